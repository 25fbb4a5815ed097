-- What a rule made to remind of a campaign for the nth time.
CREATE TABLE new_reminder (
    rule_id BIGINT NOT NULL REFERENCES reminder_rule (id),
    campaign_id BIGINT NOT NULL REFERENCES campaign (id),
    round BIGINT NOT NULL,
    -- The campaign whose recipients are reminded; null: none was made.
    child_id BIGINT UNIQUE REFERENCES campaign (id),
    created_at BIGINT NOT NULL,
    -- When its targets were last compared with what became of the campaign.
    checked_at BIGINT NOT NULL,
    -- The selection whose members are those who are reminded; null: none was made.
    selection_id BIGINT UNIQUE REFERENCES selection (id),
    -- There are targets that are to become members of the selection, and no job has been asked for that yet.
    is_unreported BOOLEAN NOT NULL DEFAULT FALSE,
    -- There are targets to whom the campaign itself is sent again.
    has_attempts BOOLEAN NOT NULL DEFAULT FALSE,
    PRIMARY KEY (rule_id, campaign_id, round)
);
INSERT INTO new_reminder (rule_id, campaign_id, round, child_id, created_at, checked_at)
    SELECT rule_id, campaign_id, round, child_id, created_at, checked_at FROM reminder;
DROP TABLE reminder;
ALTER TABLE new_reminder RENAME TO reminder;
CREATE INDEX reminder_campaign ON reminder (campaign_id);

-- Whom a rule reminded, and for the how manieth time: once. By what: a recipient of another campaign; another attempt of the recipient
-- itself; or, where all of these are null, by whoever works with the selection.
CREATE TABLE new_reminder_target (
    rule_id BIGINT NOT NULL,
    campaign_id BIGINT NOT NULL,
    recipient BIGINT NOT NULL,
    round BIGINT NOT NULL,
    child_id BIGINT,
    child_recipient BIGINT,
    created_at BIGINT NOT NULL,
    -- The attempt of the recipient that is the reminder.
    attempt BIGINT,
    -- There was such an attempt, and it was taken back before it was sent.
    is_taken_back BOOLEAN NOT NULL DEFAULT FALSE,
    PRIMARY KEY (rule_id, campaign_id, recipient, round)
);
INSERT INTO new_reminder_target (rule_id, campaign_id, recipient, round, child_id, child_recipient, created_at)
    SELECT rule_id, campaign_id, recipient, round, child_id, child_recipient, created_at FROM reminder_target;
DROP TABLE reminder_target;
ALTER TABLE new_reminder_target RENAME TO reminder_target;
CREATE UNIQUE INDEX reminder_target_child ON reminder_target (child_id, child_recipient);
