-- What operations told while they ran. A number is given once, whichever process gives it.
CREATE TABLE events (
    operation_id TEXT NOT NULL,
    sequence     INTEGER NOT NULL,   -- from 1
    at           TEXT NOT NULL,      -- RFC 3339
    body         TEXT NOT NULL,      -- JSON
    PRIMARY KEY (operation_id, sequence)
) STRICT, WITHOUT ROWID;
