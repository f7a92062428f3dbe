-- One row for each workspace that exists or is being made or deleted.
CREATE TABLE workspaces (
    runtime_id  TEXT PRIMARY KEY,
    slug        TEXT NOT NULL UNIQUE,
    provider    TEXT NOT NULL,
    size        TEXT NOT NULL,
    git         TEXT,               -- JSON, absent without a repository
    generation  INTEGER NOT NULL,
    desired     TEXT NOT NULL,
    observed    TEXT NOT NULL,
    since       TEXT NOT NULL,      -- RFC 3339
    endpoint    TEXT,               -- JSON, present while traffic can be sent
    error       TEXT,               -- JSON problem
    operation   TEXT,               -- the one under way, or the last one
    created_at  TEXT NOT NULL
) STRICT;

-- One row for each accepted change; kept after the workspace is gone. Unfinished rows are the queue.
CREATE TABLE operations (
    id              TEXT PRIMARY KEY,   -- sorts by creation time
    kind            TEXT NOT NULL,
    runtime_id      TEXT NOT NULL,
    slug            TEXT NOT NULL,
    state           TEXT NOT NULL,
    phases          TEXT NOT NULL,      -- JSON
    error           TEXT,               -- JSON problem
    request_id      TEXT NOT NULL,
    idempotency_key TEXT UNIQUE,
    request_digest  TEXT                -- what the key was used for
) STRICT;

CREATE INDEX operations_by_runtime ON operations (runtime_id, id);
CREATE INDEX operations_unfinished ON operations (state) WHERE state IN ('queued', 'running');
