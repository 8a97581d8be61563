-- +goose Up
ALTER TABLE push_user ADD COLUMN template TEXT NOT NULL DEFAULT '';
CREATE INDEX push_token_user ON push_token (app, user);

CREATE TABLE push_template (
    app     INTEGER NOT NULL,
    name    TEXT NOT NULL,
    title   TEXT NOT NULL,
    content TEXT NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    PRIMARY KEY (app, name)
) WITHOUT ROWID;

-- Users is how many have the label.
CREATE TABLE push_label (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    app         INTEGER NOT NULL,
    name        TEXT NOT NULL,
    description TEXT NOT NULL,
    users       INTEGER NOT NULL DEFAULT 0,
    created     INTEGER NOT NULL,
    UNIQUE (app, name)
);
CREATE INDEX push_label_page ON push_label (app, id);

CREATE TABLE push_labelled (
    label   INTEGER NOT NULL,
    user    INTEGER NOT NULL,
    created INTEGER NOT NULL,
    PRIMARY KEY (label, user)
) WITHOUT ROWID;
CREATE INDEX push_labelled_user ON push_labelled (user);

-- What backends tell devices. Labels is a JSON list of numbers. Reached is the last user for whom there are notifications,
-- until done.
CREATE TABLE push_message (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    app     INTEGER NOT NULL,
    content BLOB NOT NULL,
    labels  TEXT NOT NULL,
    reached INTEGER NOT NULL DEFAULT 0,
    done    INTEGER NOT NULL,
    created INTEGER NOT NULL
);
CREATE INDEX push_message_open ON push_message (id) WHERE done = 0;
CREATE INDEX push_message_created ON push_message (created) WHERE done = 1;
