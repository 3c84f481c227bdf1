-- Those who did something to a container, each behind the one before, for the filter of its history.
CREATE INDEX container_events_by_actor ON container_events (container_id, actor);
CREATE INDEX container_events_by_vmid_and_actor ON container_events (cluster, vmid, actor);
