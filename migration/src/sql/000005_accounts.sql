-- Since when a user may not sign in; NULL: the user may.
ALTER TABLE user_account ADD COLUMN disabled_at BIGINT;

-- Time of the last request, accurate to a minute; NULL: none since the session began before this column existed.
ALTER TABLE session ADD COLUMN last_seen_at BIGINT;
CREATE INDEX session_of_user ON session (user_id);

-- Second factors: one authenticator app (RFC 6238) for each user who has one.
CREATE TABLE user_totp (
    user_id BIGINT NOT NULL PRIMARY KEY,
    -- The shared secret, encrypted with a key of the installation.
    sealed {BYTES} NOT NULL,
    created_at BIGINT NOT NULL,
    -- NULL until the user has proved to have it: it is not asked for before.
    confirmed_at BIGINT,
    -- The time step of the last code that was accepted: neither that code nor an older one is accepted again.
    last_step BIGINT NOT NULL
);

-- Codes for whoever has lost the app. A code that was used is deleted.
CREATE TABLE user_recovery_code (
    -- HMAC-SHA256 with a key of the installation, hexadecimal.
    code_hash {KEY_TEXT} NOT NULL PRIMARY KEY,
    user_id BIGINT NOT NULL
);
CREATE INDEX recovery_code_of_user ON user_recovery_code (user_id);
