-- What is outside with the installation's labels, and of a runtime that nobody knows.
CREATE TABLE strays (
    provider   TEXT NOT NULL,
    runtime_id TEXT NOT NULL,
    kind       TEXT NOT NULL,
    id         TEXT NOT NULL,      -- the vendor's
    home       INTEGER NOT NULL,   -- 1: never removed by itself
    first_seen INTEGER NOT NULL,
    last_seen  INTEGER NOT NULL,
    PRIMARY KEY (provider, runtime_id, kind, id)
);
