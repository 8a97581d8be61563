-- +goose Up
-- What a user has done with a conversation. There is a row when there is something to remember.
CREATE TABLE conversation (
    user     INTEGER NOT NULL,
    timeline INTEGER NOT NULL,
    read     INTEGER NOT NULL DEFAULT 0, -- the read mark
    cleared  INTEGER NOT NULL DEFAULT 0, -- the user has deleted what is up to it
    hidden   INTEGER NOT NULL DEFAULT 0, -- not in the list until there is a message after it
    pinned   INTEGER NOT NULL DEFAULT 0, -- when it was pinned; 0: it is not
    marks    INTEGER NOT NULL DEFAULT 0, -- a bit for each
    -- How many were unread after since, up to counted. It says nothing once counting has to begin elsewhere.
    since    INTEGER NOT NULL DEFAULT -1,
    counted  INTEGER NOT NULL DEFAULT 0,
    unread   INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (user, timeline)
) WITHOUT ROWID;

-- Messages that a user has deleted one by one.
CREATE TABLE removed (
    user     INTEGER NOT NULL,
    timeline INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    PRIMARY KEY (user, timeline, seq)
) WITHOUT ROWID;

-- Entries up to the floor have been removed for good. Retention goes through an app's timelines by their numbers.
ALTER TABLE timeline ADD COLUMN floor INTEGER NOT NULL DEFAULT 0;
CREATE INDEX timeline_app ON timeline (app, id);

-- The words of messages, by position. The server has split the text already (internal/message/words.go): here a blank
-- separates, and all that is not ASCII belongs to a word.
CREATE VIRTUAL TABLE search USING fts5 (owners, words, content = '', contentless_delete = 1, detail = 'column', tokenize = 'ascii');
