-- +goose Up
CREATE TABLE file (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    app        INTEGER NOT NULL,
    uuid       TEXT NOT NULL,
    owner      INTEGER NOT NULL, -- 0: the app's backend
    owner_name TEXT NOT NULL,
    place      INTEGER NOT NULL, -- the group or room that shares it; 0: it came with a message
    state      INTEGER NOT NULL,
    blob       TEXT NOT NULL,
    secret     BLOB NOT NULL,
    restricted INTEGER NOT NULL,
    size       INTEGER NOT NULL,
    type       TEXT NOT NULL,
    name       TEXT NOT NULL,
    width      INTEGER NOT NULL,
    height     INTEGER NOT NULL,
    thumb      INTEGER NOT NULL,
    created    INTEGER NOT NULL,
    since      INTEGER NOT NULL,
    UNIQUE (app, uuid)
);
CREATE INDEX file_life ON file (app, state, since);
CREATE INDEX file_place ON file (place, id) WHERE place <> 0;

CREATE TABLE file_part (
    file   INTEGER NOT NULL,
    number INTEGER NOT NULL,
    blob   TEXT NOT NULL,
    size   INTEGER NOT NULL,
    PRIMARY KEY (file, number)
) WITHOUT ROWID;
