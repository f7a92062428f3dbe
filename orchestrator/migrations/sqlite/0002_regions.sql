-- Where the workspace runs; absent when its provider has one place only.
ALTER TABLE workspaces ADD COLUMN region TEXT;
