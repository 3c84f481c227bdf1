-- What is ours about containers: which ones we know, what was done to them, and what is being done. Proxmox is the truth about all else.
--
-- Times are epoch milliseconds by the database's clock. Ids are the 32 hex digits of a UUIDv7: they sort by the time they were made.

-- The clock that all replicas share. A view, so that a statement about time is written once for both databases.
CREATE VIEW clock AS SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS now_ms;

CREATE TABLE clusters (
    name          TEXT   NOT NULL PRIMARY KEY,
    first_seen_at BIGINT NOT NULL
);

CREATE TABLE nodes (
    id      TEXT   NOT NULL PRIMARY KEY,
    cluster TEXT   NOT NULL REFERENCES clusters (name),
    name    TEXT   NOT NULL,
    seen_at BIGINT NOT NULL,
    UNIQUE (cluster, name),
    -- what a container refers to, so that its node is one of its own cluster
    UNIQUE (cluster, id)
);

CREATE TABLE templates (
    id         TEXT   NOT NULL PRIMARY KEY,
    name       TEXT   NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

-- A row whose container vanished, or was replaced by another under the same number, gets gone_at and keeps its history.
CREATE TABLE containers (
    id          TEXT   NOT NULL PRIMARY KEY,
    cluster     TEXT   NOT NULL,
    vmid        BIGINT NOT NULL CHECK (vmid BETWEEN 100 AND 999999999),
    node_id     TEXT   NOT NULL,
    template_id TEXT   REFERENCES templates (id) ON DELETE SET NULL,
    hostname    TEXT   NOT NULL,
    lifecycle   TEXT   NOT NULL CHECK (lifecycle IN ('creating', 'ready', 'error')),
    status      TEXT   NOT NULL CHECK (status IN ('running', 'stopped', 'unknown')),
    status_at   BIGINT NOT NULL,
    fingerprint TEXT,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    gone_at     BIGINT,
    FOREIGN KEY (cluster, node_id) REFERENCES nodes (cluster, id)
);
CREATE UNIQUE INDEX containers_living ON containers (cluster, vmid) WHERE gone_at IS NULL;
-- the newest first
CREATE INDEX containers_by_age ON containers (cluster, id) WHERE gone_at IS NULL;
-- for the foreign keys
CREATE INDEX containers_by_node ON containers (node_id);
CREATE INDEX containers_by_template ON containers (template_id) WHERE template_id IS NOT NULL;

-- How many living containers of each lifecycle there are, kept by the triggers below: to count ten thousand rows for one line of a page
-- would take as long as all the rest of that page.
CREATE TABLE container_counts (
    cluster   TEXT   NOT NULL REFERENCES clusters (name),
    lifecycle TEXT   NOT NULL,
    number    BIGINT NOT NULL,
    PRIMARY KEY (cluster, lifecycle)
);
CREATE TRIGGER containers_counted_in AFTER INSERT ON containers WHEN NEW.gone_at IS NULL BEGIN
    INSERT INTO container_counts (cluster, lifecycle, number) VALUES (NEW.cluster, NEW.lifecycle, 1)
    ON CONFLICT (cluster, lifecycle) DO UPDATE SET number = number + 1;
END;
CREATE TRIGGER containers_counted_out AFTER DELETE ON containers WHEN OLD.gone_at IS NULL BEGIN
    UPDATE container_counts SET number = number - 1 WHERE cluster = OLD.cluster AND lifecycle = OLD.lifecycle;
END;
CREATE TRIGGER containers_counted_anew AFTER UPDATE OF cluster, lifecycle, gone_at ON containers BEGIN
    UPDATE container_counts SET number = number - 1
    WHERE OLD.gone_at IS NULL AND cluster = OLD.cluster AND lifecycle = OLD.lifecycle;
    INSERT INTO container_counts (cluster, lifecycle, number) SELECT NEW.cluster, NEW.lifecycle, 1 WHERE NEW.gone_at IS NULL
    ON CONFLICT (cluster, lifecycle) DO UPDATE SET number = number + 1;
END;

CREATE TABLE container_services (
    id           TEXT   NOT NULL PRIMARY KEY,
    container_id TEXT   NOT NULL REFERENCES containers (id) ON DELETE CASCADE,
    name         TEXT   NOT NULL,
    kind         TEXT   NOT NULL CHECK (kind IN ('systemd', 'docker', 'process')),
    port         BIGINT CHECK (port BETWEEN 1 AND 65535),
    web_url      TEXT,
    status       TEXT   NOT NULL CHECK (status IN ('installing', 'running', 'stopped', 'error')),
    -- sealed
    credentials  BLOB,
    updated_at   BIGINT NOT NULL
);
CREATE INDEX container_services_by_container ON container_services (container_id, name);

-- Who did what. Without a foreign key: an event outlives its container, and says which it was by itself.
CREATE TABLE container_events (
    id           TEXT   NOT NULL PRIMARY KEY,
    container_id TEXT   NOT NULL,
    cluster      TEXT   NOT NULL,
    vmid         BIGINT NOT NULL,
    hostname     TEXT   NOT NULL,
    kind         TEXT   NOT NULL CHECK (kind IN
        ('created', 'started', 'stopped', 'deleted', 'failed', 'refused', 'service_ready', 'script_completed')),
    actor        TEXT   NOT NULL,
    source       TEXT,
    operation_id TEXT,
    verb         TEXT   CHECK (verb IN ('start', 'stop', 'shutdown', 'restart', 'delete')),
    upid         TEXT,
    code         TEXT   NOT NULL,
    manner       TEXT   CHECK (manner IN ('graceful', 'forced')),
    before       TEXT   CHECK (before IN ('running', 'stopped', 'unknown')),
    after        TEXT   CHECK (after IN ('running', 'stopped', 'unknown')),
    at           BIGINT NOT NULL
);
CREATE INDEX container_events_by_container ON container_events (container_id, id);
CREATE INDEX container_events_by_vmid ON container_events (cluster, vmid, id);
CREATE TRIGGER container_events_stay_as_they_are BEFORE UPDATE ON container_events BEGIN
    SELECT RAISE(ABORT, 'events are only added');
END;
CREATE TRIGGER container_events_stay BEFORE DELETE ON container_events BEGIN
    SELECT RAISE(ABORT, 'events are only added');
END;
-- INSERT OR REPLACE deletes without the trigger above
CREATE TRIGGER container_events_are_not_replaced BEFORE INSERT ON container_events
WHEN EXISTS (SELECT 1 FROM container_events WHERE id = NEW.id) BEGIN
    SELECT RAISE(ABORT, 'events are only added');
END;

-- A verb that somebody asked for: in here before the first call is made, and until its end is known.
CREATE TABLE operations (
    id            TEXT    NOT NULL PRIMARY KEY,
    container_id  TEXT    NOT NULL,
    cluster       TEXT    NOT NULL REFERENCES clusters (name),
    vmid          BIGINT  NOT NULL,
    hostname      TEXT    NOT NULL,
    node          TEXT    NOT NULL,
    verb          TEXT    NOT NULL CHECK (verb IN ('start', 'stop', 'shutdown', 'restart', 'delete')),
    graceful_only BOOLEAN NOT NULL,
    actor         TEXT    NOT NULL,
    source        TEXT,
    state         TEXT    NOT NULL CHECK (state IN ('open', 'succeeded', 'failed', 'interrupted', 'unknown')),
    stage         TEXT    NOT NULL CHECK (stage IN ('begun', 'intended', 'waiting', 'observing')),
    call          TEXT    CHECK (call IN ('start', 'stop', 'shutdown', 'abort', 'delete')),
    -- by the clock of Proxmox, in epoch seconds, as its tasks have it
    intent_at     BIGINT,
    upid          TEXT,
    -- JSON: every task so far
    upids         TEXT    NOT NULL,
    before        TEXT    CHECK (before IN ('running', 'stopped', 'unknown')),
    after         TEXT    CHECK (after IN ('running', 'stopped', 'unknown')),
    manner        TEXT    CHECK (manner IN ('graceful', 'forced')),
    code          TEXT,
    incident      BIGINT,
    -- JSON: what the user is told
    error         TEXT,
    -- sealed for this operation
    ticket        BLOB,
    started_at    BIGINT  NOT NULL,
    deadline_at   BIGINT  NOT NULL,
    updated_at    BIGINT  NOT NULL,
    ended_at      BIGINT,
    CHECK ((state = 'open') = (ended_at IS NULL)),
    CHECK ((state = 'open') = (code IS NULL)),
    CHECK (state = 'open' OR ticket IS NULL)
);
CREATE INDEX operations_open ON operations (id) WHERE state = 'open';
CREATE INDEX operations_unknown ON operations (cluster, id) WHERE state = 'unknown';
CREATE INDEX operations_by_container ON operations (container_id, id);
CREATE INDEX operations_by_vmid ON operations (cluster, vmid, id);
CREATE INDEX operations_by_change ON operations (updated_at);
CREATE INDEX operations_by_cluster ON operations (cluster, updated_at);

-- Whose turn it is with a container: one operation at a time, on one replica.
CREATE TABLE leases (
    cluster      TEXT   NOT NULL,
    vmid         BIGINT NOT NULL,
    -- checked at the end of the transaction, which takes the lease before it writes the operation
    operation_id TEXT   NOT NULL UNIQUE REFERENCES operations (id) DEFERRABLE INITIALLY DEFERRED,
    holder       TEXT   NOT NULL,
    until_at     BIGINT NOT NULL,
    PRIMARY KEY (cluster, vmid)
);
