-- When a campaign that was sent was taken up again, because some of its recipients are to be sent to again.
ALTER TABLE campaign ADD COLUMN reopened_at BIGINT;
-- State 2 is SENDING.
UPDATE campaign SET reopened_at = (SELECT max(attempt.ended_at) FROM attempt WHERE attempt.campaign_id = campaign.id) WHERE state = 2;

-- An applied correction is looked for by the old address of each recipient.
DROP INDEX correction_old;
CREATE INDEX correction_old ON correction (old_key, state, id);

-- Whether the CRM is to have the new address besides what it has: the old one is gone there, and nothing stands in its place.
ALTER TABLE correction ADD COLUMN is_added BOOLEAN NOT NULL DEFAULT FALSE;
-- The job that is telling the CRM.
ALTER TABLE correction ADD COLUMN push_job BIGINT;
-- Whoever reads recipients again asks whether a correction of theirs is still undecided.
CREATE INDEX correction_new ON correction (new_key, person_id);

-- Tasks are listed by the name of whoever is responsible.
CREATE INDEX follow_up_owner_name ON follow_up (owner, id);
