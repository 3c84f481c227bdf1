-- The batches that somebody has under way, for the list of containers.
CREATE INDEX batches_open ON batches (cluster, actor) WHERE ended_at IS NULL;
