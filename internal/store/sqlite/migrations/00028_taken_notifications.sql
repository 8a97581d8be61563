-- +goose Up
-- The node that has the notification under way: after a crash it is due at once.
ALTER TABLE notification ADD COLUMN taker INTEGER;
CREATE INDEX notification_taker ON notification (taker) WHERE taker IS NOT NULL;
