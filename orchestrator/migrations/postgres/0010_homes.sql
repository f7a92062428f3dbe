-- A workspace that is deleted keeps its runtime's home for a while.
ALTER TABLE workspaces ADD COLUMN home_until BIGINT;   -- absent while it is not deleted, and where nothing is kept
CREATE INDEX workspaces_homes ON workspaces (home_until) WHERE home_until IS NOT NULL;
