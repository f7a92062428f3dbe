-- Why a workspace of a rollout was left as it is.
ALTER TABLE rollout_members ADD COLUMN reason TEXT;
