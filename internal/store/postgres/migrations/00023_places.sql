-- +goose Up
-- How many groups, chatrooms and threads an app has that are not closed.
CREATE TABLE muc_count (
    app   bigint NOT NULL,
    kind  smallint NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (app, kind)
);
INSERT INTO muc_count (app, kind, count) SELECT app, kind, count(*) FROM muc WHERE NOT closed GROUP BY app, kind;

-- Tags of members of chatrooms. Who had the tag when it was muted is so until then; 0: not.
CREATE TABLE room_tag (
    muc     bigint NOT NULL,
    tag     text COLLATE "C" NOT NULL,
    user_id bigint NOT NULL,
    until   bigint NOT NULL,
    PRIMARY KEY (muc, tag, user_id)
);
CREATE INDEX room_tag_user ON room_tag (user_id, muc);
