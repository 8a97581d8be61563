-- +goose Up
-- What an app's backend has laid down: rules for messages (kind 1) and callbacks (2).
CREATE TABLE rule (
    app        INTEGER NOT NULL,
    kind       INTEGER NOT NULL,
    name       TEXT NOT NULL,
    definition TEXT NOT NULL,
    PRIMARY KEY (app, kind, name)
) WITHOUT ROWID;

CREATE TABLE global_mute (
    app   INTEGER NOT NULL,
    user  INTEGER NOT NULL,
    scope INTEGER NOT NULL,
    name  TEXT NOT NULL, -- of the user
    until INTEGER NOT NULL,
    PRIMARY KEY (app, user, scope)
) WITHOUT ROWID;
CREATE INDEX global_mute_user ON global_mute (user);

-- Messages that matched a rule.
CREATE TABLE verdict (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    app     INTEGER NOT NULL,
    rule    TEXT NOT NULL,
    action  TEXT NOT NULL,
    found   TEXT NOT NULL,
    user    INTEGER NOT NULL,
    name    TEXT NOT NULL,
    message INTEGER NOT NULL,
    created INTEGER NOT NULL,
    meta    BLOB NOT NULL
);
CREATE INDEX verdict_page ON verdict (app, id);
