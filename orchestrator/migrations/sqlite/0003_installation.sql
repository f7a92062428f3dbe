-- What the database belongs to.
CREATE TABLE installation (
    name  TEXT PRIMARY KEY,   -- 'secrets': a digest of those that cannot be made anew
    value TEXT NOT NULL
) STRICT;
