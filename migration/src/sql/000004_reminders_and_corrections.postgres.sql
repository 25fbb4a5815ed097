-- What these columns mean stands in 000004_reminders_and_corrections.sqlite.sql.
ALTER TABLE reminder
    ALTER COLUMN child_id DROP NOT NULL,
    ADD COLUMN selection_id BIGINT UNIQUE REFERENCES selection (id),
    ADD COLUMN is_unreported BOOLEAN NOT NULL DEFAULT FALSE,
    ADD COLUMN has_attempts BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE reminder_target
    ALTER COLUMN child_id DROP NOT NULL,
    ALTER COLUMN child_recipient DROP NOT NULL,
    ADD COLUMN attempt BIGINT,
    ADD COLUMN is_taken_back BOOLEAN NOT NULL DEFAULT FALSE;
