-- How often requests to a source had an outcome. Written every few seconds by each process that serves requests, so it holds a few rows for
-- each configured source, however many requests come.
CREATE TABLE source_tally (
    -- The name of the source as it is configured; empty for requests to names that are not.
    source {KEY_TEXT} NOT NULL,
    -- domain::source::SourceOutcome.
    outcome SMALLINT NOT NULL,
    requests BIGINT NOT NULL,
    -- When the first and the last of them came.
    first_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    PRIMARY KEY (source, outcome)
);
