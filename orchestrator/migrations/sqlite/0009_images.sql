-- What an instance is made from is its runtime's own, so that another one for new workspaces changes no old ones.
ALTER TABLE runtimes ADD COLUMN image TEXT;       -- JSON; absent until it is known, and where there are none
ALTER TABLE runtimes ADD COLUMN applied INTEGER NOT NULL DEFAULT 1;   -- the generation that what is outside was made from
ALTER TABLE operations ADD COLUMN changes TEXT;   -- JSON: what an update is to change

-- Many workspaces of a provider get another image, a few at a time.
CREATE TABLE rollouts (
    id          TEXT PRIMARY KEY,   -- sorts by creation time
    provider    TEXT NOT NULL,
    state       TEXT NOT NULL,
    image       TEXT,               -- JSON; absent in one that takes another back
    rolls_back  TEXT,               -- that one
    at_once     INTEGER NOT NULL,
    cancel      INTEGER NOT NULL DEFAULT 0,
    error       TEXT,               -- JSON problem
    principal   TEXT NOT NULL,
    request_id  TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    finished_at INTEGER
);
CREATE UNIQUE INDEX rollouts_running ON rollouts (provider) WHERE state = 'running';

CREATE TABLE rollout_members (
    rollout_id   TEXT NOT NULL,
    position     INTEGER NOT NULL,
    workspace_id TEXT NOT NULL,
    slug         TEXT NOT NULL,
    state        TEXT NOT NULL,
    image_before TEXT,            -- JSON
    target       TEXT NOT NULL,   -- JSON
    operation_id TEXT,
    PRIMARY KEY (rollout_id, position)
);
CREATE INDEX rollout_members_by_state ON rollout_members (rollout_id, state);
