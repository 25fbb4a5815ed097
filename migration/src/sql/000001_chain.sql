-- Times are microseconds since 1970, UTC. Small numbers that stand for words (state, status, kind, …) are the codes of the
-- enums in the crate `domain`; they are never reused.

CREATE TABLE campaign (
    id {ID},
    key {KEY_TEXT} NOT NULL UNIQUE,
    name TEXT NOT NULL,
    subject TEXT,
    from_address TEXT,
    state SMALLINT NOT NULL CHECK (state BETWEEN 1 AND 4),
    sent_at BIGINT,
    parent_id BIGINT REFERENCES campaign (id),
    -- The highest recipient number given out.
    last_recipient BIGINT NOT NULL DEFAULT 0,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX campaign_parent ON campaign (parent_id) WHERE parent_id IS NOT NULL;

CREATE TABLE address (
    id {ID},
    -- Lower case, the domain in ASCII: what spellings of one mailbox have in common.
    email_key {KEY_TEXT} NOT NULL UNIQUE,
    health SMALLINT NOT NULL DEFAULT 1 CHECK (health BETWEEN 1 AND 3),
    consecutive_soft_bounces INTEGER NOT NULL DEFAULT 0,
    -- The latest outcomes of mails to it, see domain::health.
    outcomes TEXT NOT NULL DEFAULT '',
    last_reason TEXT,
    last_reason_at BIGINT,
    blocked_at BIGINT,
    block_reason SMALLINT,
    complained_at BIGINT,
    created_at BIGINT NOT NULL,
    CHECK ((health = 3) = (blocked_at IS NOT NULL))
) {HOT};
CREATE INDEX address_blocked ON address (blocked_at, id) WHERE health = 3;

CREATE TABLE import (
    id {ID},
    campaign_id BIGINT NOT NULL REFERENCES campaign (id),
    -- Lines that are done: an import that was interrupted goes on behind them.
    lines_done BIGINT NOT NULL DEFAULT 0,
    read_count BIGINT NOT NULL DEFAULT 0,
    imported BIGINT NOT NULL DEFAULT 0,
    updated BIGINT NOT NULL DEFAULT 0,
    unchanged BIGINT NOT NULL DEFAULT 0,
    skipped BIGINT NOT NULL DEFAULT 0,
    rejected BIGINT NOT NULL DEFAULT 0,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    finished_at BIGINT
);

-- Lines that made no recipient.
CREATE TABLE import_issue (
    import_id BIGINT NOT NULL REFERENCES import (id) ON DELETE CASCADE,
    line BIGINT NOT NULL,
    content TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (import_id, line)
);

CREATE TABLE recipient (
    campaign_id BIGINT NOT NULL REFERENCES campaign (id),
    number BIGINT NOT NULL,
    address_id BIGINT NOT NULL REFERENCES address (id),
    email_key {KEY_TEXT} NOT NULL,
    email TEXT NOT NULL,
    domain {KEY_TEXT} NOT NULL,
    -- The sender's own id of the recipient.
    ref {KEY_TEXT},
    name TEXT,
    company TEXT,
    owner TEXT,
    crm_id TEXT,
    -- Other columns of the import, a JSON object.
    attributes TEXT,
    is_simulator BOOLEAN NOT NULL DEFAULT FALSE,
    attempt INTEGER NOT NULL DEFAULT 1,
    import_id BIGINT,
    status SMALLINT NOT NULL CHECK (status BETWEEN 1 AND 11),
    -- The skip reason that is shown; `skip` is the one that was decided before sending.
    skip_reason SMALLINT,
    skip SMALLINT,
    canceled BOOLEAN NOT NULL DEFAULT FALSE,
    queued_at BIGINT,
    sent_at BIGINT,
    delivered_at BIGINT,
    last_delivered_at BIGINT,
    last_soft_bounced_at BIGINT,
    hard_bounced_at BIGINT,
    refused_at BIGINT,
    failure_gravity SMALLINT,
    failure_at BIGINT,
    failure_class SMALLINT,
    failure_smtp_code SMALLINT,
    failure_enhanced_code TEXT,
    failure_diagnostic TEXT,
    first_opened_at BIGINT,
    last_opened_at BIGINT,
    opens INTEGER NOT NULL DEFAULT 0,
    machine_opens INTEGER NOT NULL DEFAULT 0,
    first_clicked_at BIGINT,
    last_clicked_at BIGINT,
    clicks INTEGER NOT NULL DEFAULT 0,
    machine_clicks INTEGER NOT NULL DEFAULT 0,
    complained_at BIGINT,
    unsubscribed_at BIGINT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (campaign_id, number),
    CHECK ((status = 8) = (skip_reason IS NOT NULL))
) {HOT};
-- No index may name the status or another column that events change: see docs/decisions/0013.
CREATE UNIQUE INDEX recipient_ref ON recipient (ref, campaign_id) WHERE ref IS NOT NULL;
CREATE INDEX recipient_email ON recipient (campaign_id, email_key, number);
{RECIPIENT_STATUS}CREATE INDEX recipient_address ON recipient (address_id);
CREATE INDEX recipient_domain ON recipient (campaign_id, domain, number);

-- Which recipient a message id belongs to. Some providers give one id to all recipients of a transmission. No foreign key: rows
-- are only written beside their recipient, under its lock.
CREATE TABLE message (
    message_id {KEY_TEXT} NOT NULL,
    campaign_id BIGINT NOT NULL,
    recipient BIGINT NOT NULL,
    PRIMARY KEY (message_id, campaign_id, recipient)
);

-- A request of a provider as it came: the inbox. Its state says what is still to be applied.
CREATE TABLE delivery (
    id {ID},
    source TEXT NOT NULL,
    provider SMALLINT NOT NULL,
    received_at BIGINT NOT NULL,
    -- A JSON array of [name, value]: the headers that reading the body needs.
    headers TEXT NOT NULL,
    -- Compressed with zstd.
    body {BYTES} NOT NULL,
    body_size BIGINT NOT NULL,
    -- 1 stored, 2 applied, 3 applied but for some elements, 4 unreadable
    state SMALLINT NOT NULL CHECK (state BETWEEN 1 AND 4),
    events INTEGER NOT NULL DEFAULT 0,
    new_events INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    error TEXT,
    applied_at BIGINT
);
CREATE INDEX delivery_waiting ON delivery (id) WHERE state = 1;
CREATE INDEX delivery_failed ON delivery (id) WHERE state >= 3;
CREATE INDEX delivery_source ON delivery (source, id);

-- What providers reported. No foreign keys: rows are only written beside their recipient, under its lock, and old months are
-- dropped as a whole. `id` is the delivery's id times 2^20 plus the place in it.
CREATE TABLE event (
    provider SMALLINT NOT NULL,
    event_id {KEY_TEXT} NOT NULL,
    occurred_at BIGINT NOT NULL,
    id BIGINT NOT NULL,
    kind SMALLINT NOT NULL,
    campaign_id BIGINT,
    recipient BIGINT,
    bounce_class SMALLINT,
    smtp_code SMALLINT,
    enhanced_code TEXT,
    diagnostic TEXT,
    url TEXT,
    -- Null: nobody can tell; 0: a person, says the provider; else the reason for taking it for a machine's.
    verdict SMALLINT,
    -- The rest only while the event matches no recipient.
    message_id {KEY_TEXT},
    email TEXT,
    recipient_ref TEXT,
    -- The campaign keys that it may mean, one a line.
    campaign_keys TEXT,
    source TEXT,
    PRIMARY KEY (provider, event_id, occurred_at)
) {BY_MONTH};
CREATE INDEX event_recipient ON event (campaign_id, recipient, occurred_at) WHERE recipient IS NOT NULL;
CREATE INDEX event_unmatched ON event (id) WHERE recipient IS NULL;
CREATE INDEX event_unmatched_message ON event (message_id) WHERE recipient IS NULL AND message_id IS NOT NULL;

CREATE TABLE tracked_link (
    id {ID},
    campaign_id BIGINT NOT NULL REFERENCES campaign (id),
    url TEXT NOT NULL,
    -- SHA-256 of the URL, hexadecimal: URLs may be longer than an index entry.
    url_hash {KEY_TEXT} NOT NULL,
    UNIQUE (campaign_id, url_hash)
);

-- As with events, no foreign key to the recipient.
CREATE TABLE click (
    campaign_id BIGINT NOT NULL,
    -- That of its event.
    id BIGINT NOT NULL,
    recipient BIGINT NOT NULL,
    link_id BIGINT NOT NULL REFERENCES tracked_link (id),
    occurred_at BIGINT NOT NULL,
    -- What the event alone told, as event.verdict.
    own_verdict SMALLINT,
    -- 0 a person; else the reason for taking it for a machine's.
    verdict SMALLINT NOT NULL,
    PRIMARY KEY (campaign_id, id)
);
CREATE INDEX click_recipient ON click (campaign_id, recipient);
CREATE INDEX click_link ON click (link_id, id);

-- Roll-ups: changed in the transaction that changes the rows they count.
CREATE TABLE campaign_statistics (
    campaign_id BIGINT NOT NULL PRIMARY KEY REFERENCES campaign (id),
    recipients BIGINT NOT NULL DEFAULT 0,
    ready BIGINT NOT NULL DEFAULT 0,
    sent_only BIGINT NOT NULL DEFAULT 0,
    delivered_only BIGINT NOT NULL DEFAULT 0,
    read BIGINT NOT NULL DEFAULT 0,
    clicked_only BIGINT NOT NULL DEFAULT 0,
    soft_bounced BIGINT NOT NULL DEFAULT 0,
    hard_bounced BIGINT NOT NULL DEFAULT 0,
    blocked BIGINT NOT NULL DEFAULT 0,
    complained_only BIGINT NOT NULL DEFAULT 0,
    unsubscribed_only BIGINT NOT NULL DEFAULT 0,
    canceled BIGINT NOT NULL DEFAULT 0,
    opened BIGINT NOT NULL DEFAULT 0,
    machine_opened BIGINT NOT NULL DEFAULT 0,
    clicked BIGINT NOT NULL DEFAULT 0,
    machine_clicked BIGINT NOT NULL DEFAULT 0,
    complained BIGINT NOT NULL DEFAULT 0,
    unsubscribed BIGINT NOT NULL DEFAULT 0,
    opens BIGINT NOT NULL DEFAULT 0,
    clicks BIGINT NOT NULL DEFAULT 0,
    updated_at BIGINT NOT NULL
);

CREATE TABLE domain_statistics (
    campaign_id BIGINT NOT NULL REFERENCES campaign (id),
    domain {KEY_TEXT} NOT NULL,
    recipients BIGINT NOT NULL DEFAULT 0,
    ready BIGINT NOT NULL DEFAULT 0,
    sent_only BIGINT NOT NULL DEFAULT 0,
    delivered_only BIGINT NOT NULL DEFAULT 0,
    read BIGINT NOT NULL DEFAULT 0,
    clicked_only BIGINT NOT NULL DEFAULT 0,
    soft_bounced BIGINT NOT NULL DEFAULT 0,
    hard_bounced BIGINT NOT NULL DEFAULT 0,
    blocked BIGINT NOT NULL DEFAULT 0,
    complained_only BIGINT NOT NULL DEFAULT 0,
    unsubscribed_only BIGINT NOT NULL DEFAULT 0,
    canceled BIGINT NOT NULL DEFAULT 0,
    opened BIGINT NOT NULL DEFAULT 0,
    machine_opened BIGINT NOT NULL DEFAULT 0,
    clicked BIGINT NOT NULL DEFAULT 0,
    machine_clicked BIGINT NOT NULL DEFAULT 0,
    complained BIGINT NOT NULL DEFAULT 0,
    unsubscribed BIGINT NOT NULL DEFAULT 0,
    opens BIGINT NOT NULL DEFAULT 0,
    clicks BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (campaign_id, domain)
) {HOTTEST};
CREATE INDEX domain_statistics_size ON domain_statistics (campaign_id, recipients);

CREATE TABLE campaign_hour (
    campaign_id BIGINT NOT NULL REFERENCES campaign (id),
    hour BIGINT NOT NULL,
    sent BIGINT NOT NULL DEFAULT 0,
    delivered BIGINT NOT NULL DEFAULT 0,
    soft_bounced BIGINT NOT NULL DEFAULT 0,
    hard_bounced BIGINT NOT NULL DEFAULT 0,
    opened BIGINT NOT NULL DEFAULT 0,
    clicked BIGINT NOT NULL DEFAULT 0,
    complained BIGINT NOT NULL DEFAULT 0,
    unsubscribed BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (campaign_id, hour)
);

CREATE TABLE link_statistics (
    link_id BIGINT NOT NULL PRIMARY KEY REFERENCES tracked_link (id),
    campaign_id BIGINT NOT NULL REFERENCES campaign (id),
    clicks BIGINT NOT NULL DEFAULT 0,
    clickers BIGINT NOT NULL DEFAULT 0,
    machine_clicks BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX link_statistics_campaign ON link_statistics (campaign_id);

CREATE TABLE bounce_statistics (
    campaign_id BIGINT NOT NULL REFERENCES campaign (id),
    bounce_class SMALLINT NOT NULL,
    -- 0 and '' where there is none.
    smtp_code SMALLINT NOT NULL,
    enhanced_code {KEY_TEXT} NOT NULL,
    recipients BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (campaign_id, bounce_class, smtp_code, enhanced_code)
);

-- Work that is due, and its history. The queue only carries pointers to these rows.
CREATE TABLE job (
    id {ID},
    kind SMALLINT NOT NULL,
    queue SMALLINT NOT NULL,
    -- Ids only, never data; JSON.
    payload TEXT NOT NULL,
    idempotency_key TEXT UNIQUE,
    -- 1 queued, 2 running, 3 succeeded, 4 failed, 5 cancelled
    state SMALLINT NOT NULL CHECK (state BETWEEN 1 AND 5),
    run_at BIGINT NOT NULL,
    attempt INTEGER NOT NULL DEFAULT 0,
    -- Attempts that no longer count: somebody had it tried again after them.
    forgiven INTEGER NOT NULL DEFAULT 0,
    lease_until BIGINT,
    worker TEXT,
    done BIGINT NOT NULL DEFAULT 0,
    total BIGINT,
    skipped BIGINT NOT NULL DEFAULT 0,
    result TEXT,
    error TEXT,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    started_at BIGINT,
    finished_at BIGINT
);
CREATE INDEX job_due ON job (queue, run_at) WHERE state = 1;
CREATE INDEX job_leased ON job (lease_until) WHERE state = 2;

CREATE TABLE upload (
    id {KEY_TEXT} NOT NULL PRIMARY KEY,
    size BIGINT NOT NULL,
    content_type TEXT,
    gzip BOOLEAN NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE user_account (
    id {ID},
    email TEXT NOT NULL,
    email_key {KEY_TEXT} NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    role SMALLINT NOT NULL CHECK (role BETWEEN 1 AND 3),
    created_at BIGINT NOT NULL
);

CREATE TABLE session (
    -- SHA-256 of the secret in the cookie, hexadecimal.
    token_hash {KEY_TEXT} NOT NULL PRIMARY KEY,
    user_id BIGINT NOT NULL REFERENCES user_account (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE TABLE api_token (
    id {ID},
    name TEXT NOT NULL,
    token_hash {KEY_TEXT} NOT NULL UNIQUE,
    role SMALLINT NOT NULL CHECK (role BETWEEN 1 AND 3),
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT
);

CREATE TABLE audit_entry (
    id {ID},
    at BIGINT NOT NULL,
    -- Who: `user:1`, `token:2`, `cli`, `source:name`.
    subject TEXT NOT NULL,
    action TEXT NOT NULL,
    -- On what: `campaign:1`.
    object TEXT NOT NULL,
    -- JSON, without personal data.
    detail TEXT
);
CREATE INDEX audit_object ON audit_entry (object, id);
