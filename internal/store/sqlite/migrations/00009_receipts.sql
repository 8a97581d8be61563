-- +goose Up
-- Who has read a message of a group whose sender wants to know.
CREATE TABLE receipt (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    timeline INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    user     INTEGER NOT NULL,
    name     TEXT NOT NULL,
    created  INTEGER NOT NULL,
    UNIQUE (timeline, seq, user)
);
CREATE INDEX receipt_page ON receipt (timeline, seq, id);
