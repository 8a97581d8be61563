-- +goose Up
-- What users tell about themselves. The size is that of key and value in bytes, so that an app's sum reads no values.
CREATE TABLE profile (
    user  INTEGER NOT NULL,
    key   TEXT NOT NULL,
    value TEXT NOT NULL,
    app   INTEGER NOT NULL,
    size  INTEGER NOT NULL,
    PRIMARY KEY (user, key)
) WITHOUT ROWID;
CREATE INDEX profile_size ON profile (app, size);

-- What was published of a device. Whether it is online is told by its sessions alone.
CREATE TABLE presence (
    user     INTEGER NOT NULL,
    resource TEXT NOT NULL,
    status   INTEGER NOT NULL,
    text     TEXT NOT NULL,
    time     INTEGER NOT NULL,
    PRIMARY KEY (user, resource)
) WITHOUT ROWID;

CREATE TABLE watch (
    watcher INTEGER NOT NULL,
    target  INTEGER NOT NULL,
    name    TEXT NOT NULL, -- of the target
    app     INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    PRIMARY KEY (watcher, target)
) WITHOUT ROWID;
CREATE INDEX watch_target ON watch (target, expires);
CREATE INDEX watch_expires ON watch (expires);

-- Devices that went offline just before their node stopped.
CREATE TABLE departure (
    user     INTEGER NOT NULL,
    resource TEXT NOT NULL,
    due      INTEGER NOT NULL,
    PRIMARY KEY (user, resource)
) WITHOUT ROWID;
CREATE INDEX departure_due ON departure (due);

-- What users want to be notified of: everything (scope 0), the conversation with a user (1), a group or chatroom (2).
CREATE TABLE push_setting (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    user   INTEGER NOT NULL,
    scope  INTEGER NOT NULL,
    target TEXT NOT NULL,
    type   TEXT NOT NULL,
    until  INTEGER NOT NULL,
    quiet  TEXT NOT NULL,
    UNIQUE (user, scope, target)
);
CREATE INDEX push_setting_page ON push_setting (user, id);

CREATE TABLE push_user (
    user     INTEGER PRIMARY KEY,
    language TEXT NOT NULL,
    detailed INTEGER NOT NULL
);

CREATE TABLE push_token (
    user     INTEGER NOT NULL,
    device   TEXT NOT NULL, -- the client's id of it
    app      INTEGER NOT NULL,
    notifier TEXT NOT NULL,
    token    TEXT NOT NULL,
    updated  INTEGER NOT NULL,
    PRIMARY KEY (user, device)
) WITHOUT ROWID;
CREATE UNIQUE INDEX push_token_once ON push_token (app, notifier, token);

-- Devices that are to be told of a message, each until its provider has taken it.
CREATE TABLE notification (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    app      INTEGER NOT NULL,
    user     INTEGER NOT NULL,
    device   TEXT NOT NULL,
    timeline INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    created  INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    due      INTEGER NOT NULL,
    UNIQUE (user, device, timeline, seq)
);
CREATE INDEX notification_due ON notification (due);
