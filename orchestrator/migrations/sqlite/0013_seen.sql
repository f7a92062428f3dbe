-- When it was last seen running: where an end is found, and not made, nothing later counts.
ALTER TABLE usage ADD COLUMN seen INTEGER;
