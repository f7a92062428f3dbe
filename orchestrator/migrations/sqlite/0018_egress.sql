-- The destinations that a workspace reaches, and nothing else.
ALTER TABLE runtimes ADD COLUMN egress TEXT;       -- JSON; absent where there is no list
