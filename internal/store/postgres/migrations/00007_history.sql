-- +goose Up
-- What a user has done with a conversation. There is a row when there is something to remember.
CREATE TABLE conversation (
    user_id  bigint NOT NULL,
    timeline bigint NOT NULL,
    read     bigint NOT NULL DEFAULT 0, -- the read mark
    cleared  bigint NOT NULL DEFAULT 0, -- the user has deleted what is up to it
    hidden   bigint NOT NULL DEFAULT 0, -- not in the list until there is a message after it
    pinned   bigint NOT NULL DEFAULT 0, -- when it was pinned; 0: it is not
    marks    bigint NOT NULL DEFAULT 0, -- a bit for each
    -- How many were unread after since, up to counted. It says nothing once counting has to begin elsewhere.
    since    bigint NOT NULL DEFAULT -1,
    counted  bigint NOT NULL DEFAULT 0,
    unread   bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (user_id, timeline)
);

-- Messages that a user has deleted one by one.
CREATE TABLE removed (
    user_id  bigint NOT NULL,
    timeline bigint NOT NULL,
    seq      bigint NOT NULL,
    PRIMARY KEY (user_id, timeline, seq)
);

-- Entries up to the floor have been removed for good. Retention goes through an app's timelines by their numbers.
ALTER TABLE timeline ADD COLUMN floor bigint NOT NULL DEFAULT 0;
CREATE INDEX timeline_app ON timeline (app, id);

-- The words of messages. The server has split the text already (internal/message/words.go). Who can find a message is a
-- word of it, too.
CREATE TABLE search (
    timeline bigint NOT NULL,
    seq      bigint NOT NULL,
    id       bigint NOT NULL, -- of the message: their order is that of arrival
    words    tsvector NOT NULL,
    PRIMARY KEY (timeline, seq)
);
-- New words go into the index at once: a list of pending ones would be read by every search.
CREATE INDEX search_words ON search USING gin (words) WITH (fastupdate = off);

-- How far the entries of a timeline have been looked at for their words.
CREATE TABLE searched (
    timeline bigint PRIMARY KEY,
    seq      bigint NOT NULL
);
