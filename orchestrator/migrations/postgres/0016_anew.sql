-- Whether a home that is gone is begun anew, empty: 1 for what a person has asked for who was told of it before.
ALTER TABLE operations ADD COLUMN anew BIGINT NOT NULL DEFAULT 0;
