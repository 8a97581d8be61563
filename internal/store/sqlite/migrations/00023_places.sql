-- +goose Up
-- How many groups, chatrooms and threads an app has that are not closed.
CREATE TABLE muc_count (
    app   INTEGER NOT NULL,
    kind  INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (app, kind)
) WITHOUT ROWID;
INSERT INTO muc_count (app, kind, count) SELECT app, kind, COUNT(*) FROM muc WHERE closed = 0 GROUP BY app, kind;

-- Tags of members of chatrooms. Who had the tag when it was muted is so until then; 0: not.
CREATE TABLE room_tag (
    muc   INTEGER NOT NULL,
    tag   TEXT NOT NULL,
    user  INTEGER NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (muc, tag, user)
) WITHOUT ROWID;
CREATE INDEX room_tag_user ON room_tag (user, muc);
