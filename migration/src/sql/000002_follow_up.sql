-- What is done about addresses, and work that is ordered or scheduled.

-- What people did about an address, see domain::health::Marks.
ALTER TABLE address ADD COLUMN cleared_at BIGINT;
ALTER TABLE address ADD COLUMN blocked_by_hand_at BIGINT;
ALTER TABLE address ADD COLUMN former_employee_at BIGINT;
ALTER TABLE address ADD COLUMN deleted_at BIGINT;
-- Why somebody blocked it, in their words.
ALTER TABLE address ADD COLUMN block_note TEXT;
-- The event that brought the block about, as event.id.
ALTER TABLE address ADD COLUMN block_event BIGINT;
-- Consent: withdrawn by the latest complaint, unless it was given again after it.
ALTER TABLE address ADD COLUMN last_complained_at BIGINT;
ALTER TABLE address ADD COLUMN consent_given_at BIGINT;
-- The latest of each, over all campaigns.
ALTER TABLE address ADD COLUMN unsubscribed_at BIGINT;
ALTER TABLE address ADD COLUMN subscribed_at BIGINT;
UPDATE address SET last_complained_at = complained_at WHERE complained_at IS NOT NULL;
CREATE INDEX address_unwell ON address (id) WHERE health > 1;

-- Who complained about what. The first complaint of a recipient counts.
CREATE TABLE complaint (
    id {ID},
    campaign_id BIGINT NOT NULL,
    recipient BIGINT NOT NULL,
    address_id BIGINT NOT NULL REFERENCES address (id),
    complained_at BIGINT NOT NULL,
    UNIQUE (campaign_id, recipient)
);
CREATE INDEX complaint_time ON complaint (complained_at, id);
INSERT INTO complaint (campaign_id, recipient, address_id, complained_at)
    SELECT campaign_id, number, address_id, complained_at FROM recipient WHERE complained_at IS NOT NULL AND NOT is_simulator;

-- Where a long job is, in its own words: a new attempt goes on from there.
ALTER TABLE job ADD COLUMN position TEXT;
CREATE INDEX job_finished ON job (finished_at) WHERE finished_at IS NOT NULL;

-- What an admin has set; what is not here has its default. The value is JSON.
CREATE TABLE setting (
    name {KEY_TEXT} NOT NULL PRIMARY KEY,
    value TEXT NOT NULL,
    updated_by TEXT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- Each time at which something of the schedule was due, and when it was noticed. Whoever inserts the row sees to it.
CREATE TABLE schedule_tick (
    rule {KEY_TEXT} NOT NULL,
    due_at BIGINT NOT NULL,
    -- Null for the row that a rule begins with, for which nothing is done.
    job_id BIGINT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (rule, due_at)
);

-- Something that is wrong with a campaign: open until it is resolved.
CREATE TABLE alert (
    id {ID},
    campaign_id BIGINT NOT NULL REFERENCES campaign (id),
    kind SMALLINT NOT NULL,
    -- The rate that was reached and its limit, in parts per million; of silence, hours.
    value BIGINT NOT NULL,
    limit_value BIGINT NOT NULL,
    raised_at BIGINT NOT NULL,
    resolved_at BIGINT
);
CREATE UNIQUE INDEX alert_open ON alert (campaign_id, kind) WHERE resolved_at IS NULL;
CREATE INDEX alert_campaign ON alert (campaign_id, id);
CREATE INDEX campaign_statistics_updated ON campaign_statistics (updated_at);
CREATE INDEX campaign_sent ON campaign (sent_at) WHERE state = 3;

-- A file that a job made, to be downloaded.
CREATE TABLE export_file (
    id {KEY_TEXT} NOT NULL PRIMARY KEY,
    job_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    content_type TEXT NOT NULL,
    size BIGINT NOT NULL,
    rows_written BIGINT NOT NULL,
    -- The moment whose state the file shows.
    snapshot_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    -- When the file goes.
    expires_at BIGINT NOT NULL,
    removed_at BIGINT
);
CREATE INDEX export_file_expiry ON export_file (expires_at) WHERE removed_at IS NULL;

CREATE TABLE reminder_rule (
    id {ID},
    name TEXT NOT NULL,
    -- Exactly one of the two.
    campaign_id BIGINT REFERENCES campaign (id),
    name_pattern TEXT,
    after_hours INTEGER NOT NULL,
    audience SMALLINT NOT NULL,
    max_reminders INTEGER NOT NULL,
    time_zone TEXT NOT NULL,
    -- Times of day (08:00) and days (MON,TUE); null: at any time.
    send_from TEXT,
    send_to TEXT,
    send_days TEXT,
    action SMALLINT NOT NULL,
    subject_prefix TEXT,
    enabled BOOLEAN NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT,
    CHECK ((campaign_id IS NULL) <> (name_pattern IS NULL))
);

-- The campaign that a rule made to remind of another for the nth time.
CREATE TABLE reminder (
    rule_id BIGINT NOT NULL REFERENCES reminder_rule (id),
    campaign_id BIGINT NOT NULL REFERENCES campaign (id),
    round BIGINT NOT NULL,
    child_id BIGINT NOT NULL UNIQUE REFERENCES campaign (id),
    created_at BIGINT NOT NULL,
    -- When its targets were last compared with what became of the campaign.
    checked_at BIGINT NOT NULL,
    PRIMARY KEY (rule_id, campaign_id, round)
);
CREATE INDEX reminder_campaign ON reminder (campaign_id);

-- Whom a rule reminded, and for the how manieth time: once.
CREATE TABLE reminder_target (
    rule_id BIGINT NOT NULL,
    campaign_id BIGINT NOT NULL,
    recipient BIGINT NOT NULL,
    round BIGINT NOT NULL,
    child_id BIGINT NOT NULL,
    child_recipient BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (rule_id, campaign_id, recipient, round)
);
CREATE UNIQUE INDEX reminder_target_child ON reminder_target (child_id, child_recipient);

-- When a rule was last seen to for a campaign, and by which job: there is at most one at a time. Campaign 0: all of the rule's.
CREATE TABLE reminder_check (
    rule_id BIGINT NOT NULL REFERENCES reminder_rule (id),
    campaign_id BIGINT NOT NULL,
    job_id BIGINT NOT NULL,
    checked_at BIGINT NOT NULL,
    PRIMARY KEY (rule_id, campaign_id)
);
