-- What ended or was accepted before its time was kept is as old as this change, so that it is kept for its time.
UPDATE operations SET finished_at = CAST(extract(epoch FROM clock_timestamp()) AS BIGINT) * 1000 WHERE finished_at = 0;
UPDATE operations SET accepted_at = CAST(extract(epoch FROM clock_timestamp()) AS BIGINT) * 1000 WHERE accepted_at = 0;

CREATE INDEX workspaces_operation ON workspaces (operation) WHERE deleted_at IS NULL;
