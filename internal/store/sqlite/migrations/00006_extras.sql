-- +goose Up
-- One kind of reaction to a message. The count is kept, so that a crowd of users is not counted at each look.
CREATE TABLE reaction (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    message INTEGER NOT NULL,
    text    TEXT NOT NULL,
    count   INTEGER NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    UNIQUE (message, text)
);

CREATE TABLE reactor (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    reaction INTEGER NOT NULL,
    user     INTEGER NOT NULL,
    name     TEXT NOT NULL,
    created  INTEGER NOT NULL,
    UNIQUE (reaction, user)
);
CREATE INDEX reactor_page ON reactor (reaction, id);

CREATE TABLE pin (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    timeline INTEGER NOT NULL,
    message  INTEGER NOT NULL,
    user     INTEGER NOT NULL,
    name     TEXT NOT NULL,
    created  INTEGER NOT NULL,
    UNIQUE (timeline, message)
);
CREATE INDEX pin_page ON pin (timeline, id);

CREATE TABLE report (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    app      INTEGER NOT NULL,
    message  INTEGER NOT NULL,
    reporter INTEGER NOT NULL,
    name     TEXT NOT NULL,
    type     TEXT NOT NULL,
    reason   TEXT NOT NULL,
    created  INTEGER NOT NULL,
    sent     INTEGER NOT NULL,
    meta     BLOB NOT NULL,
    UNIQUE (app, message, reporter)
);
CREATE INDEX report_page ON report (app, id);
