-- +goose Up
-- What backends could not be told at once, and what was given up (dead is when).
CREATE TABLE callback (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    app      INTEGER NOT NULL,
    rule     TEXT NOT NULL,
    event    TEXT NOT NULL,
    lane     TEXT NOT NULL,
    created  INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    due      INTEGER NOT NULL,
    dead     INTEGER NOT NULL,
    replays  INTEGER NOT NULL,
    target   TEXT NOT NULL,
    error    TEXT NOT NULL,
    body     BLOB NOT NULL,
    UNIQUE (app, rule, event)
);
CREATE INDEX callback_due ON callback (due, app, rule) WHERE dead = 0;
CREATE INDEX callback_rule ON callback (app, rule, id) WHERE dead = 0;
CREATE INDEX callback_waiting ON callback (created) WHERE dead = 0;
CREATE INDEX callback_dead ON callback (app, id) WHERE dead > 0;
CREATE INDEX callback_old ON callback (dead) WHERE dead > 0;

-- Up to which message id a backend has been told of what a node has made durable.
CREATE TABLE callback_mark (
    app  INTEGER NOT NULL,
    rule TEXT NOT NULL,
    node INTEGER NOT NULL,
    id   INTEGER NOT NULL,
    PRIMARY KEY (app, rule, node)
) WITHOUT ROWID;
