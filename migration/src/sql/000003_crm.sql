-- The CRM: persons, selections, projects and tasks, as a mirror of the one that is connected or on their own; corrections of addresses;
-- campaigns sent again.

CREATE TABLE person (
    id {ID},
    -- The CRM's id.
    crm_id {KEY_TEXT} NOT NULL UNIQUE,
    name TEXT,
    company_id {KEY_TEXT},
    company TEXT,
    -- The user who is responsible.
    owner_id {KEY_TEXT},
    owner TEXT,
    owner_is_active BOOLEAN NOT NULL DEFAULT TRUE,
    is_former_employee BOOLEAN NOT NULL DEFAULT FALSE,
    no_mailing BOOLEAN NOT NULL DEFAULT FALSE,
    -- Null where the CRM does not keep it.
    consent BOOLEAN,
    -- Names, a JSON array; null where the CRM does not keep them.
    subscriptions TEXT,
    -- When the CRM last changed the person.
    crm_updated_at BIGINT,
    -- The complete reading of all persons that last found it: who is not found by the next one is gone.
    seen_in BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT
);
CREATE INDEX person_company ON person (company_id) WHERE company_id IS NOT NULL;

-- The addresses of a person, the one to write to with rank 0.
CREATE TABLE person_email (
    person_id BIGINT NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    email_key {KEY_TEXT} NOT NULL,
    -- As the CRM writes it.
    email TEXT NOT NULL,
    rank INTEGER NOT NULL,
    -- As often the built-in CRM was told that mails to it bounce.
    bounces INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (person_id, email_key)
);
CREATE INDEX person_email_key ON person_email (email_key, person_id);

CREATE TABLE selection (
    id {ID},
    -- Ours: by it a list that may have been made is found again in the CRM.
    key {KEY_TEXT} NOT NULL UNIQUE,
    -- The CRM's id; null until it has been made there.
    crm_id {KEY_TEXT} UNIQUE,
    name TEXT NOT NULL,
    description TEXT,
    -- domain::crm::SelectionKind
    kind SMALLINT NOT NULL CHECK (kind BETWEEN 1 AND 3),
    -- As of the last job that changed or read the members.
    member_count BIGINT NOT NULL DEFAULT 0,
    seen_in BIGINT NOT NULL DEFAULT 0,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    -- When its members were last read from the CRM, and why the last try failed.
    -- The job that makes it in the CRM; and the one that has its members in hand: one at a time.
    job_id BIGINT,
    pusher BIGINT,
    synced_at BIGINT,
    sync_error TEXT,
    deleted_at BIGINT
);

-- Who is on a selection, or is to be. 1 to be added, 2 being added: the CRM may know it or not, 3 a member, 4 to be removed.
CREATE TABLE selection_member (
    list_id BIGINT NOT NULL REFERENCES selection (id) ON DELETE CASCADE,
    person_id BIGINT NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    state SMALLINT NOT NULL CHECK (state BETWEEN 1 AND 4),
    -- The job that wants the change.
    job_id BIGINT,
    seen_in BIGINT NOT NULL DEFAULT 0,
    added_at BIGINT NOT NULL,
    PRIMARY KEY (list_id, person_id)
);
CREATE INDEX selection_member_open ON selection_member (list_id, state, person_id) WHERE state <> 3;
CREATE INDEX selection_member_person ON selection_member (person_id);

-- As a selection.
CREATE TABLE project (
    id {ID},
    key {KEY_TEXT} NOT NULL UNIQUE,
    crm_id {KEY_TEXT} UNIQUE,
    name TEXT NOT NULL,
    description TEXT,
    kind SMALLINT NOT NULL CHECK (kind BETWEEN 1 AND 3),
    member_count BIGINT NOT NULL DEFAULT 0,
    seen_in BIGINT NOT NULL DEFAULT 0,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    job_id BIGINT,
    pusher BIGINT,
    synced_at BIGINT,
    sync_error TEXT,
    deleted_at BIGINT
);

CREATE TABLE project_member (
    list_id BIGINT NOT NULL REFERENCES project (id) ON DELETE CASCADE,
    person_id BIGINT NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    state SMALLINT NOT NULL CHECK (state BETWEEN 1 AND 4),
    job_id BIGINT,
    seen_in BIGINT NOT NULL DEFAULT 0,
    added_at BIGINT NOT NULL,
    PRIMARY KEY (list_id, person_id)
);
CREATE INDEX project_member_open ON project_member (list_id, state, person_id) WHERE state <> 3;
CREATE INDEX project_member_person ON project_member (person_id);

-- A task for somebody who is responsible for a person.
CREATE TABLE follow_up (
    id {ID},
    -- Of the campaign, the person or company, and the title; or of the address and the bounce since which it is blocked: there is one of each.
    key {KEY_TEXT} NOT NULL UNIQUE,
    crm_id {KEY_TEXT},
    -- Null for a task that no campaign is behind.
    campaign_id BIGINT REFERENCES campaign (id),
    recipient BIGINT,
    person_id BIGINT NOT NULL REFERENCES person (id),
    owner_id {KEY_TEXT} NOT NULL,
    owner TEXT,
    title TEXT NOT NULL,
    description TEXT,
    -- Why: a word in capitals, the recipient's status then, or why the address was blocked.
    reason TEXT NOT NULL,
    due_at BIGINT,
    -- 1 to be made, 2 being made: the CRM may have it or not, 3 made, 4 refused by the CRM
    state SMALLINT NOT NULL CHECK (state BETWEEN 1 AND 4),
    error TEXT,
    job_id BIGINT,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    done_at BIGINT
);
CREATE INDEX follow_up_open ON follow_up (job_id, id) WHERE state < 3;
CREATE INDEX follow_up_campaign ON follow_up (campaign_id, id);
CREATE INDEX follow_up_owner ON follow_up (owner_id, id) WHERE done_at IS NULL;

-- What the CRM is still to be told about persons and addresses: bounces, withdrawn consent, who has left.
CREATE TABLE crm_report (
    id {ID},
    -- There is one of each.
    key {KEY_TEXT} NOT NULL UNIQUE,
    kind SMALLINT NOT NULL,
    address_id BIGINT REFERENCES address (id),
    person_id BIGINT REFERENCES person (id) ON DELETE CASCADE,
    -- 1 to be told, 2 being told: the CRM may have heard it or not, 3 told, 4 refused by the CRM, 5 nobody knows, and it is not told again
    state SMALLINT NOT NULL CHECK (state BETWEEN 1 AND 5),
    job_id BIGINT,
    error TEXT,
    created_at BIGINT NOT NULL,
    done_at BIGINT
);
CREATE INDEX crm_report_open ON crm_report (id) WHERE state < 3;

-- How far the mirror is, one row for each of `persons`, `selections`, `projects`.
CREATE TABLE crm_sync (
    subject {KEY_TEXT} NOT NULL PRIMARY KEY,
    -- What is read is at least as new as this.
    read_until BIGINT,
    -- When everything was last read, and the number of that reading.
    complete_at BIGINT,
    reading BIGINT NOT NULL DEFAULT 0,
    last_job BIGINT,
    last_error TEXT,
    last_at BIGINT
);

-- What a CRM gave us for later requests, encrypted with the installation's key.
CREATE TABLE crm_token (
    name {KEY_TEXT} NOT NULL PRIMARY KEY,
    sealed {BYTES} NOT NULL,
    expires_at BIGINT,
    updated_at BIGINT NOT NULL
);

-- Another address in place of one: suggested, or decided.
CREATE TABLE correction (
    id {ID},
    old_email TEXT NOT NULL,
    old_key {KEY_TEXT} NOT NULL,
    old_domain {KEY_TEXT} NOT NULL,
    new_email TEXT NOT NULL,
    new_key {KEY_TEXT} NOT NULL,
    new_domain {KEY_TEXT} NOT NULL,
    person_id BIGINT REFERENCES person (id) ON DELETE SET NULL,
    -- domain::correction::CorrectionState
    state SMALLINT NOT NULL,
    -- domain::correction::CorrectionSource
    source SMALLINT NOT NULL,
    -- Why it was suggested: domain::correction::SuggestionReason
    suggestion SMALLINT,
    -- How sure that is, in percent.
    confidence SMALLINT,
    -- What people said about it.
    reason TEXT,
    -- What has become of it in the CRM: domain::correction::PushState
    push SMALLINT NOT NULL DEFAULT 1,
    push_error TEXT,
    -- The address that the CRM has instead, where that is a conflict.
    crm_email TEXT,
    job_id BIGINT,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    decided_by TEXT,
    decided_at BIGINT
);
CREATE INDEX correction_old ON correction (old_key, id);
CREATE INDEX correction_state ON correction (state, id);
CREATE INDEX correction_push ON correction (push, id) WHERE push IN (2, 3);
CREATE INDEX correction_domain ON correction (old_domain) WHERE state = 2;
-- An address has one open suggestion of each kind at most.
CREATE UNIQUE INDEX correction_open ON correction (old_key, new_key) WHERE state = 1;
-- Lines of a file of corrections that corrected nothing, and why.
CREATE TABLE correction_issue (
    job_id BIGINT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    line BIGINT NOT NULL,
    content TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (job_id, line)
);
-- When a recipient's address was corrected last, and the one that failed before.
ALTER TABLE recipient ADD COLUMN corrected_at BIGINT;

-- Who of a campaign is a person of the CRM: found for reading the recipients again.
CREATE INDEX recipient_crm ON recipient (campaign_id, crm_id) WHERE crm_id IS NOT NULL;

-- Whether it was made of selections and projects: whoever is on none of them any more is taken out when they are read again.
ALTER TABLE import ADD COLUMN from_lists BOOLEAN NOT NULL DEFAULT FALSE;

-- Where the recipients of a campaign come from, to be read again.
CREATE TABLE campaign_source (
    id {ID},
    campaign_id BIGINT NOT NULL REFERENCES campaign (id),
    selection_id BIGINT REFERENCES selection (id),
    project_id BIGINT REFERENCES project (id),
    -- The subscription without which nobody of it is written to.
    subscription TEXT,
    created_at BIGINT NOT NULL,
    CHECK ((selection_id IS NULL) <> (project_id IS NULL))
);
CREATE UNIQUE INDEX campaign_source_selection ON campaign_source (campaign_id, selection_id) WHERE selection_id IS NOT NULL;
CREATE UNIQUE INDEX campaign_source_project ON campaign_source (campaign_id, project_id) WHERE project_id IS NOT NULL;

-- What became of a recipient when the campaign was sent to it before: as in `recipient`, until it was sent again.
CREATE TABLE attempt (
    campaign_id BIGINT NOT NULL,
    number BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    address_id BIGINT NOT NULL REFERENCES address (id),
    email_key {KEY_TEXT} NOT NULL,
    email TEXT NOT NULL,
    status SMALLINT NOT NULL,
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
    -- When the next one was asked for.
    ended_at BIGINT NOT NULL,
    PRIMARY KEY (campaign_id, number, attempt)
);
ALTER TABLE message ADD COLUMN attempt INTEGER NOT NULL DEFAULT 1;
ALTER TABLE click ADD COLUMN attempt INTEGER NOT NULL DEFAULT 1;
