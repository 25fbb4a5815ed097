-- When a job last named the upload; null where none has. Once such a job is over, the upload may make room for others.
ALTER TABLE upload ADD COLUMN used_at BIGINT;
