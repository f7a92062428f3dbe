-- At one of which places the runtime is: which engine, which account. What answers elsewhere knows nothing of it.
ALTER TABLE runtimes ADD COLUMN sites TEXT;   -- JSON; absent until it is known, and where providers have none
