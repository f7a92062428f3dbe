-- What exists outside is one thing, what a person sees is another.
CREATE TABLE runtimes (
    id         TEXT PRIMARY KEY,
    provider   TEXT NOT NULL,
    size       TEXT NOT NULL,
    region     TEXT,               -- absent when the provider has one place only
    generation INTEGER NOT NULL,
    observed   TEXT NOT NULL,
    since      TEXT NOT NULL,      -- RFC 3339
    endpoint   TEXT,               -- JSON, present while traffic can be sent
    error      TEXT,               -- JSON problem
    created_at TEXT NOT NULL
) STRICT;

INSERT INTO runtimes (id, provider, size, region, generation, observed, since, endpoint, error, created_at)
SELECT runtime_id, provider, size, region, generation, observed, since, endpoint, error, created_at FROM workspaces;

ALTER TABLE workspaces RENAME TO workspaces_before;

CREATE TABLE workspaces (
    id         TEXT PRIMARY KEY,   -- for ever; another one of the same name has another
    slug       TEXT NOT NULL UNIQUE,
    git        TEXT,               -- JSON, absent without a repository
    desired    TEXT NOT NULL,
    runtime_id TEXT UNIQUE REFERENCES runtimes (id),
    operation  TEXT,               -- the one under way, or the last one
    created_at TEXT NOT NULL
) STRICT;

INSERT INTO workspaces (id, slug, git, desired, runtime_id, operation, created_at)
SELECT 'ws_' || substr(runtime_id, 4), slug, git, desired, runtime_id, operation, created_at FROM workspaces_before;

DROP TABLE workspaces_before;

ALTER TABLE operations ADD COLUMN workspace_id TEXT NOT NULL DEFAULT '';
UPDATE operations SET workspace_id = 'ws_' || substr(runtime_id, 4);
