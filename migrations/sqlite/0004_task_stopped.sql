-- Somebody stopped a task: that is an event too. SQLite changes a condition only with the whole table.
CREATE TABLE container_events_anew (
    id           TEXT   NOT NULL PRIMARY KEY,
    container_id TEXT   NOT NULL,
    cluster      TEXT   NOT NULL,
    vmid         BIGINT NOT NULL,
    hostname     TEXT   NOT NULL,
    kind         TEXT   NOT NULL CHECK (kind IN
        ('created', 'started', 'stopped', 'deleted', 'failed', 'refused', 'service_ready', 'script_completed', 'task_stopped')),
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
INSERT INTO container_events_anew (id, container_id, cluster, vmid, hostname, kind, actor, source, operation_id, verb, upid, code, manner,
    before, after, at)
SELECT id, container_id, cluster, vmid, hostname, kind, actor, source, operation_id, verb, upid, code, manner, before, after, at
FROM container_events;
DROP TABLE container_events;
ALTER TABLE container_events_anew RENAME TO container_events;
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
