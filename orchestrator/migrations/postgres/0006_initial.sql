-- The same tables as in SQLite, whose first five changes no PostgreSQL ever had. Times that are compared are milliseconds
-- since 1970 by the database's clock; the others are RFC 3339.
CREATE TABLE runtimes (
    id         TEXT PRIMARY KEY,
    provider   TEXT NOT NULL,
    size       TEXT NOT NULL,
    region     TEXT,               -- absent when the provider has one place only
    generation BIGINT NOT NULL,
    observed   TEXT NOT NULL,
    since      TEXT NOT NULL,
    endpoint   TEXT,               -- JSON, present while traffic can be sent
    error      TEXT,               -- JSON problem
    created_at TEXT NOT NULL,
    fence      BIGINT NOT NULL DEFAULT 1,   -- raised when work on it is taken over
    revision   BIGINT NOT NULL DEFAULT 1    -- raised by every change
);

CREATE TABLE workspaces (
    id         TEXT PRIMARY KEY,   -- for ever; another one of the same name has another
    slug       TEXT NOT NULL,
    owner      TEXT NOT NULL DEFAULT '',
    git        TEXT,               -- JSON, absent without a repository
    desired    TEXT NOT NULL,
    runtime_id TEXT UNIQUE REFERENCES runtimes (id),
    operation  TEXT,               -- the one under way, or the last one
    created_at TEXT NOT NULL,
    deleted_at BIGINT              -- then nothing of it is left but the words of its operations
);
CREATE UNIQUE INDEX workspaces_slug ON workspaces (slug) WHERE deleted_at IS NULL;

-- One row for each accepted change. Those that have not ended are the queue.
CREATE TABLE operations (
    id             TEXT PRIMARY KEY,   -- sorts by creation time
    kind           TEXT NOT NULL,
    workspace_id   TEXT NOT NULL,
    runtime_id     TEXT NOT NULL,
    slug           TEXT NOT NULL,
    owner          TEXT NOT NULL DEFAULT '',
    provider       TEXT NOT NULL DEFAULT '',
    state          TEXT NOT NULL,
    phases         TEXT NOT NULL,      -- JSON
    error          TEXT,               -- JSON problem
    request_id     TEXT NOT NULL,
    desired_before TEXT,                        -- what a cancel gives back
    cancel         BIGINT NOT NULL DEFAULT 0,   -- 1: somebody asked for its end
    claimer        TEXT,                        -- the process that runs it
    lease_until    BIGINT NOT NULL DEFAULT 0,
    fence          BIGINT NOT NULL DEFAULT 0,   -- of the runtime, when it was claimed
    attempt        BIGINT NOT NULL DEFAULT 0,   -- how often it was claimed
    accepted_at    BIGINT NOT NULL DEFAULT 0,
    finished_at    BIGINT
);
-- One of a runtime runs, and one waits.
CREATE UNIQUE INDEX operations_running ON operations (runtime_id) WHERE state = 'running';
CREATE UNIQUE INDEX operations_queued ON operations (runtime_id) WHERE state = 'queued';
CREATE INDEX operations_by_runtime ON operations (runtime_id, id);
CREATE INDEX operations_of_workspace ON operations (workspace_id, id);
CREATE INDEX operations_of_owner ON operations (owner) WHERE state = 'running';
CREATE INDEX operations_unfinished ON operations (state, id) WHERE state IN ('queued', 'running');
CREATE INDEX operations_finished ON operations (finished_at) WHERE finished_at IS NOT NULL;

-- What operations told while they ran. A number is given once, whichever process gives it.
CREATE TABLE events (
    operation_id TEXT NOT NULL,
    sequence     BIGINT NOT NULL,   -- from 1
    at           TEXT NOT NULL,
    body         TEXT NOT NULL,     -- JSON
    PRIMARY KEY (operation_id, sequence)
);

-- What a client's key was used for.
CREATE TABLE keys (
    principal    TEXT NOT NULL,
    key          TEXT NOT NULL,
    digest       TEXT NOT NULL,     -- of the route and the body
    operation_id TEXT NOT NULL,
    used_at      BIGINT NOT NULL,
    PRIMARY KEY (principal, key)
);

-- What the database belongs to.
CREATE TABLE installation (
    name  TEXT PRIMARY KEY,   -- 'secrets': a digest of those that cannot be made anew
    value TEXT NOT NULL
);

-- What one process of several does for all.
CREATE TABLE leases (
    name   TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    fence  BIGINT NOT NULL,
    until  BIGINT NOT NULL
);

-- What ran, for whom, at which rate. A row is begun when it boots and ended when it does not run any more.
CREATE TABLE usage (
    runtime_id   TEXT NOT NULL,
    began        BIGINT NOT NULL,
    ended        BIGINT,
    workspace_id TEXT NOT NULL,
    owner        TEXT NOT NULL,
    provider     TEXT NOT NULL,
    size         TEXT NOT NULL,
    PRIMARY KEY (runtime_id, began)
);

-- Who asked for what.
CREATE TABLE audit (
    sequence     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           BIGINT NOT NULL,
    principal    TEXT NOT NULL,
    action       TEXT NOT NULL,
    workspace_id TEXT NOT NULL,
    slug         TEXT NOT NULL,
    operation_id TEXT NOT NULL,
    request_id   TEXT NOT NULL
);
CREATE INDEX audit_of_operation ON audit (operation_id);
