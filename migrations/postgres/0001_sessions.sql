-- Who is signed in. The id is the SHA-256 of what the cookie holds, so that a copy of the database signs nobody in.
CREATE TABLE sessions (
    id         TEXT   NOT NULL PRIMARY KEY,
    data       TEXT   NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- A session's Proxmox ticket, sealed for that session. It goes with the session.
CREATE TABLE tickets (
    session_id TEXT   NOT NULL PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
    cluster    TEXT   NOT NULL,
    user_id    TEXT   NOT NULL,
    sealed     BYTEA  NOT NULL,
    issued_at  BIGINT NOT NULL
);
