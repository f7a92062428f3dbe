-- Who may work on what, and until when. Times that are compared are milliseconds since 1970 by the database's clock.
ALTER TABLE runtimes ADD COLUMN fence INTEGER NOT NULL DEFAULT 1;      -- raised when work on it is taken over
ALTER TABLE runtimes ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;   -- raised by every change

ALTER TABLE workspaces RENAME TO workspaces_before;

CREATE TABLE workspaces (
    id         TEXT PRIMARY KEY,   -- for ever; another one of the same name has another
    slug       TEXT NOT NULL,
    owner      TEXT NOT NULL DEFAULT '',
    git        TEXT,               -- JSON, absent without a repository
    desired    TEXT NOT NULL,
    runtime_id TEXT UNIQUE REFERENCES runtimes (id),
    operation  TEXT,               -- the one under way, or the last one
    created_at TEXT NOT NULL,
    deleted_at INTEGER             -- then nothing of it is left but the words of its operations
) STRICT;

INSERT INTO workspaces (id, slug, git, desired, runtime_id, operation, created_at)
SELECT id, slug, git, desired, runtime_id, operation, created_at FROM workspaces_before;

DROP TABLE workspaces_before;

CREATE UNIQUE INDEX workspaces_slug ON workspaces (slug) WHERE deleted_at IS NULL;

ALTER TABLE operations ADD COLUMN owner TEXT NOT NULL DEFAULT '';
ALTER TABLE operations ADD COLUMN provider TEXT NOT NULL DEFAULT '';
ALTER TABLE operations ADD COLUMN desired_before TEXT;                  -- what a cancel gives back
ALTER TABLE operations ADD COLUMN cancel INTEGER NOT NULL DEFAULT 0;    -- 1: somebody asked for its end
ALTER TABLE operations ADD COLUMN claimer TEXT;                         -- the process that runs it
ALTER TABLE operations ADD COLUMN lease_until INTEGER NOT NULL DEFAULT 0;
ALTER TABLE operations ADD COLUMN fence INTEGER NOT NULL DEFAULT 0;     -- of the runtime, when it was claimed
ALTER TABLE operations ADD COLUMN attempt INTEGER NOT NULL DEFAULT 0;   -- how often it was claimed
ALTER TABLE operations ADD COLUMN accepted_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE operations ADD COLUMN finished_at INTEGER;

UPDATE operations SET provider = COALESCE((SELECT provider FROM runtimes WHERE runtimes.id = operations.runtime_id), '');

-- Of several that wait for one runtime, the last counts.
UPDATE operations SET state = 'canceled' WHERE state = 'queued' AND id <> (
    SELECT MAX(later.id) FROM operations later WHERE later.runtime_id = operations.runtime_id AND later.state = 'queued'
);
UPDATE operations SET finished_at = 0 WHERE state NOT IN ('queued', 'running');
-- A delete that waits meant to end what runs.
UPDATE operations SET cancel = 1 WHERE state = 'running' AND EXISTS (
    SELECT 1 FROM operations later
    WHERE later.runtime_id = operations.runtime_id AND later.state = 'queued' AND later.kind = '"delete"'
);

-- One of a runtime runs, and one waits.
CREATE UNIQUE INDEX operations_running ON operations (runtime_id) WHERE state = 'running';
CREATE UNIQUE INDEX operations_queued ON operations (runtime_id) WHERE state = 'queued';
CREATE INDEX operations_of_owner ON operations (owner) WHERE state = 'running';
CREATE INDEX operations_finished ON operations (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX operations_of_workspace ON operations (workspace_id, id);

-- What a client's key was used for.
CREATE TABLE keys (
    principal    TEXT NOT NULL,
    key          TEXT NOT NULL,
    digest       TEXT NOT NULL,      -- of the route and the body
    operation_id TEXT NOT NULL,
    used_at      INTEGER NOT NULL,
    PRIMARY KEY (principal, key)
) STRICT, WITHOUT ROWID;

INSERT INTO keys (principal, key, digest, operation_id, used_at)
SELECT 'admin', idempotency_key, COALESCE(request_digest, ''), id, CAST(unixepoch() AS INTEGER) * 1000 FROM operations
WHERE idempotency_key IS NOT NULL;
UPDATE operations SET idempotency_key = NULL, request_digest = NULL;

-- What one process of several does for all.
CREATE TABLE leases (
    name   TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    fence  INTEGER NOT NULL,
    until  INTEGER NOT NULL
) STRICT;

-- What ran, for whom, at which rate. A row is begun when it boots and ended when it does not run any more.
CREATE TABLE usage (
    runtime_id   TEXT NOT NULL,
    began        INTEGER NOT NULL,
    ended        INTEGER,
    workspace_id TEXT NOT NULL,
    owner        TEXT NOT NULL,
    provider     TEXT NOT NULL,
    size         TEXT NOT NULL,
    PRIMARY KEY (runtime_id, began)
) STRICT, WITHOUT ROWID;

-- Who asked for what.
CREATE TABLE audit (
    sequence     INTEGER PRIMARY KEY AUTOINCREMENT,
    at           INTEGER NOT NULL,
    principal    TEXT NOT NULL,
    action       TEXT NOT NULL,
    workspace_id TEXT NOT NULL,
    slug         TEXT NOT NULL,
    operation_id TEXT NOT NULL,
    request_id   TEXT NOT NULL
) STRICT;
CREATE INDEX audit_of_operation ON audit (operation_id);
