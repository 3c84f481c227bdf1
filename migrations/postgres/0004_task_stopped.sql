-- Somebody stopped a task: that is an event too.
ALTER TABLE container_events DROP CONSTRAINT container_events_kind_check;
ALTER TABLE container_events ADD CONSTRAINT container_events_kind_check CHECK (kind IN
    ('created', 'started', 'stopped', 'deleted', 'failed', 'refused', 'service_ready', 'script_completed', 'task_stopped'));
