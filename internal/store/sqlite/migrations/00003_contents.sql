-- +goose Up
-- What an entry is, whom it is for, and what became of it.
ALTER TABLE entry ADD COLUMN content INTEGER NOT NULL DEFAULT 0;
ALTER TABLE entry ADD COLUMN ref INTEGER NOT NULL DEFAULT 0;
ALTER TABLE entry ADD COLUMN audience BLOB;
ALTER TABLE entry ADD COLUMN version INTEGER NOT NULL DEFAULT 0;
ALTER TABLE entry ADD COLUMN recalled INTEGER NOT NULL DEFAULT 0;
ALTER TABLE entry ADD COLUMN digest BLOB; -- SHA-256 of the first meta, once it was amended

-- What pages and counts choose by, so that they need not visit the entries.
ALTER TABLE entry_index ADD COLUMN sender INTEGER NOT NULL DEFAULT 0;
ALTER TABLE entry_index ADD COLUMN content INTEGER NOT NULL DEFAULT 0;
ALTER TABLE entry_index ADD COLUMN ref INTEGER NOT NULL DEFAULT 0;
ALTER TABLE entry_index ADD COLUMN directed INTEGER NOT NULL DEFAULT 0; -- it has an audience

-- The last entry that may be read; the highest number while the subscription lasts.
ALTER TABLE subscription ADD COLUMN until INTEGER NOT NULL DEFAULT 9223372036854775807;
CREATE INDEX subscription_timeline ON subscription (timeline, user);
