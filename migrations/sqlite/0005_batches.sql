-- A verb that somebody asked for on many containers at once. What becomes of each of them is an operation of its own; here stands which
-- containers they were, and which of them were taken up.

-- Whoever works on it renews until_at. Where that is over and ended_at is not set, its process is gone: what was not taken up is not begun,
-- and never will be.
CREATE TABLE batches (
    id         TEXT   NOT NULL PRIMARY KEY,
    cluster    TEXT   NOT NULL REFERENCES clusters (name),
    actor      TEXT   NOT NULL,
    source     TEXT,
    verb       TEXT   NOT NULL CHECK (verb IN ('start', 'stop', 'shutdown', 'restart', 'delete')),
    holder     TEXT   NOT NULL,
    until_at   BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    ended_at   BIGINT,
    -- why it ended before its last container was taken up
    cause      TEXT   CHECK (cause IN ('signed_out', 'stopped')),
    CHECK (cause IS NULL OR ended_at IS NOT NULL)
);
-- those that are too old go when another one comes
CREATE INDEX batches_by_age ON batches (created_at);

-- Without foreign keys to containers and operations: this says by itself which container it was, and the operation is named before it is
-- in the database, so that none is begun that nobody could find.
CREATE TABLE batch_items (
    batch_id     TEXT   NOT NULL REFERENCES batches (id) ON DELETE CASCADE,
    position     BIGINT NOT NULL,
    container_id TEXT   NOT NULL,
    vmid         BIGINT NOT NULL,
    hostname     TEXT   NOT NULL,
    node         TEXT   NOT NULL,
    -- what was taken up is what its operation is; refused is what never became one
    state        TEXT   NOT NULL CHECK (state IN ('waiting', 'taken', 'refused')),
    operation_id TEXT,
    -- JSON: what the user is told of a refusal
    error        TEXT,
    PRIMARY KEY (batch_id, position),
    CHECK ((state = 'waiting') = (operation_id IS NULL)),
    CHECK ((state = 'refused') = (error IS NOT NULL))
);
