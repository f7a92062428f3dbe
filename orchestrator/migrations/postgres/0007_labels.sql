-- A client's own words, to find workspaces by.
ALTER TABLE workspaces ADD COLUMN labels TEXT NOT NULL DEFAULT '{}';   -- JSON
CREATE INDEX workspaces_of_owner ON workspaces (owner) WHERE deleted_at IS NULL;
CREATE INDEX workspaces_created ON workspaces (created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX audit_of_workspace ON audit (workspace_id, sequence);
