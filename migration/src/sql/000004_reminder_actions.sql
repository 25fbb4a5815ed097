-- When a campaign that was sent was taken up again, because some of its recipients are to be sent to again.
ALTER TABLE campaign ADD COLUMN reopened_at BIGINT;
-- State 2 is SENDING.
UPDATE campaign SET reopened_at = (SELECT max(attempt.ended_at) FROM attempt WHERE attempt.campaign_id = campaign.id) WHERE state = 2;

-- An applied correction is looked for by the old address of each recipient.
DROP INDEX correction_old;
CREATE INDEX correction_old ON correction (old_key, state, id);
