-- +goose Up
-- What an entry is, whom it is for, and what became of it.
ALTER TABLE entry
    ADD COLUMN content  smallint NOT NULL DEFAULT 0,
    ADD COLUMN ref      bigint NOT NULL DEFAULT 0,
    ADD COLUMN audience bytea,
    ADD COLUMN version  integer NOT NULL DEFAULT 0,
    ADD COLUMN recalled boolean NOT NULL DEFAULT false,
    ADD COLUMN digest   bytea; -- SHA-256 of the first meta, once it was amended

-- Pages and counts choose by what is included, and need not visit the entries.
DROP INDEX entry_place;
CREATE UNIQUE INDEX entry_place ON entry (timeline, seq) INCLUDE (sender, content, ref);
CREATE INDEX entry_id ON entry (id);

-- A subscription reads the entries after start, up to until.
ALTER TABLE subscription
    ADD COLUMN start bigint NOT NULL DEFAULT 0,
    ADD COLUMN until bigint NOT NULL DEFAULT 9223372036854775807;
