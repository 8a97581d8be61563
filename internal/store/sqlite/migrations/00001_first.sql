-- +goose Up
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE app (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    org           TEXT NOT NULL,
    name          TEXT NOT NULL,
    uuid          TEXT NOT NULL,
    agora_id      TEXT NOT NULL UNIQUE,
    certificate   TEXT NOT NULL,
    certificate2  TEXT NOT NULL,
    client_id     TEXT NOT NULL UNIQUE,
    client_secret TEXT NOT NULL,
    signing_key   BLOB NOT NULL,
    settings      BLOB NOT NULL,
    created       INTEGER NOT NULL,
    UNIQUE (org, name)
);

CREATE TABLE user (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    app        INTEGER NOT NULL,
    name       TEXT NOT NULL,
    uuid       TEXT NOT NULL,
    nickname   TEXT NOT NULL,
    password   TEXT NOT NULL,
    active     INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    created    INTEGER NOT NULL,
    modified   INTEGER NOT NULL,
    UNIQUE (app, name)
);
CREATE UNIQUE INDEX user_uuid ON user (app, uuid);

CREATE TABLE device (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    user     INTEGER NOT NULL,
    resource TEXT NOT NULL,
    platform TEXT NOT NULL,
    uuid     TEXT NOT NULL,
    name     TEXT NOT NULL,
    seen     INTEGER NOT NULL,
    UNIQUE (user, resource)
);
CREATE INDEX device_seen ON device (seen);

-- The head is kept apart from the entries: nothing that deletes entries lowers it. It lags behind the entries that are
-- not in entry_index yet.
CREATE TABLE timeline (
    id   INTEGER PRIMARY KEY AUTOINCREMENT,
    app  INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    a    INTEGER NOT NULL,
    b    INTEGER NOT NULL,
    head INTEGER NOT NULL,
    UNIQUE (app, kind, a, b)
);

-- Who reads a timeline, and after which entry.
CREATE TABLE subscription (
    user     INTEGER NOT NULL,
    timeline INTEGER NOT NULL,
    start    INTEGER NOT NULL,
    PRIMARY KEY (user, timeline)
) WITHOUT ROWID;

-- Device 0 is the furthest of the user's devices.
CREATE TABLE cursor (
    user     INTEGER NOT NULL,
    device   INTEGER NOT NULL,
    timeline INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    PRIMARY KEY (user, device, timeline)
) WITHOUT ROWID;

-- Entries lie in order of arrival, so that a commit writes the last pages only. The two tables after it are how entries
-- are found; they are filled behind the message path (timelines.go).
CREATE TABLE entry (
    pos      INTEGER PRIMARY KEY,
    timeline INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    id       INTEGER NOT NULL,
    time     INTEGER NOT NULL,
    sender   INTEGER NOT NULL,
    device   INTEGER NOT NULL,
    client   INTEGER NOT NULL,
    meta     BLOB NOT NULL
);
CREATE TABLE entry_index (
    timeline INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    pos      INTEGER NOT NULL,
    PRIMARY KEY (timeline, seq)
) WITHOUT ROWID;

-- What was sent under a client's own id, so that a repetition is recognised.
CREATE TABLE sent (
    sender INTEGER NOT NULL,
    device INTEGER NOT NULL,
    client INTEGER NOT NULL,
    pos    INTEGER NOT NULL,
    PRIMARY KEY (sender, device, client, pos)
) WITHOUT ROWID;
