-- +goose Up
-- Groups (kind 1), chatrooms (2) and threads (3). What is closed is found no more and has its members removed.
CREATE TABLE muc (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    app            bigint NOT NULL,
    kind           smallint NOT NULL,
    name           text COLLATE "C" NOT NULL,
    owner          bigint NOT NULL,
    owner_name     text COLLATE "C" NOT NULL,
    parent         bigint NOT NULL,
    message        bigint NOT NULL,
    title          text NOT NULL,
    title_key      text COLLATE "C" NOT NULL,
    description    text NOT NULL,
    avatar         text NOT NULL,
    custom         text NOT NULL,
    announcement   text NOT NULL,
    public         boolean NOT NULL,
    approval       boolean NOT NULL,
    allow_invites  boolean NOT NULL,
    invite_confirm boolean NOT NULL,
    max_users      integer NOT NULL,
    members        integer NOT NULL,
    mute_all       boolean NOT NULL,
    disabled       boolean NOT NULL,
    closed         boolean NOT NULL,
    created        bigint NOT NULL,
    modified       bigint NOT NULL,
    UNIQUE (app, name)
);
CREATE INDEX muc_list ON muc (app, kind, id) WHERE NOT closed;
CREATE INDEX muc_public ON muc (app, kind, id) WHERE NOT closed AND public;
CREATE INDEX muc_title ON muc (app, kind, title_key) WHERE NOT closed;
CREATE INDEX muc_parent ON muc (parent, id) WHERE NOT closed AND parent <> 0;
CREATE UNIQUE INDEX muc_message ON muc (parent, message) WHERE NOT closed AND parent <> 0;
CREATE INDEX muc_closed ON muc (id) WHERE closed;
CREATE INDEX muc_owner ON muc (owner);

-- Roles are 1 member, 2 admin, 3 owner. Away is since when a member of a chatroom has no session; 0: has one.
CREATE TABLE muc_member (
    id         bigint GENERATED ALWAYS AS IDENTITY,
    muc        bigint NOT NULL,
    user_id    bigint NOT NULL,
    app        bigint NOT NULL,
    kind       smallint NOT NULL,
    name       text COLLATE "C" NOT NULL,
    role       smallint NOT NULL,
    joined     bigint NOT NULL,
    shielded   boolean NOT NULL DEFAULT false,
    attributes text NOT NULL DEFAULT '',
    away       bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (muc, user_id)
);
CREATE INDEX muc_member_page ON muc_member (muc, id);
CREATE INDEX muc_member_staff ON muc_member (muc, id) WHERE role > 1;
CREATE INDEX muc_member_shielded ON muc_member (muc, id) WHERE shielded;
CREATE INDEX muc_member_user ON muc_member (user_id, kind, id);
CREATE INDEX muc_member_room ON muc_member (id) WHERE kind = 2;
CREATE INDEX muc_member_away ON muc_member (app, away) WHERE away > 0;

-- What is noted about a user: 1 muted until, 2 on the allow list, 3 on the block list, 4 invited by, 5 has applied.
CREATE TABLE muc_mark (
    id      bigint GENERATED ALWAYS AS IDENTITY,
    muc     bigint NOT NULL,
    mark    smallint NOT NULL,
    user_id bigint NOT NULL,
    name    text COLLATE "C" NOT NULL,
    until   bigint NOT NULL,
    by_user bigint NOT NULL,
    by_name text COLLATE "C" NOT NULL,
    reason  text NOT NULL,
    created bigint NOT NULL,
    PRIMARY KEY (muc, user_id, mark)
);
CREATE INDEX muc_mark_page ON muc_mark (muc, mark, id);
CREATE INDEX muc_mark_user ON muc_mark (user_id);

CREATE TABLE room_attribute (
    muc     bigint NOT NULL,
    key     text COLLATE "C" NOT NULL,
    value   text NOT NULL,
    user_id bigint NOT NULL,
    auto    boolean NOT NULL,
    PRIMARY KEY (muc, key)
);

CREATE TABLE super_admin (
    app     bigint NOT NULL,
    user_id bigint NOT NULL,
    name    text COLLATE "C" NOT NULL,
    PRIMARY KEY (app, user_id)
);
CREATE INDEX super_admin_user ON super_admin (user_id);
