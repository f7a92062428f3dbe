-- Which snapshot an operation works on, and with which a new home begins.
ALTER TABLE operations ADD COLUMN snapshot TEXT;   -- JSON; absent where there is none
ALTER TABLE runtimes ADD COLUMN source TEXT;       -- JSON; absent once the home is made, and where it begins empty
