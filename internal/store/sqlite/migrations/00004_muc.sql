-- +goose Up
-- Groups (kind 1), chatrooms (2) and threads (3). What is closed is found no more and has its members removed.
CREATE TABLE muc (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    app            INTEGER NOT NULL,
    kind           INTEGER NOT NULL,
    name           TEXT NOT NULL,
    owner          INTEGER NOT NULL,
    owner_name     TEXT NOT NULL,
    parent         INTEGER NOT NULL,
    message        INTEGER NOT NULL,
    title          TEXT NOT NULL,
    title_key      TEXT NOT NULL,
    description    TEXT NOT NULL,
    avatar         TEXT NOT NULL,
    custom         TEXT NOT NULL,
    announcement   TEXT NOT NULL,
    public         INTEGER NOT NULL,
    approval       INTEGER NOT NULL,
    allow_invites  INTEGER NOT NULL,
    invite_confirm INTEGER NOT NULL,
    max_users      INTEGER NOT NULL,
    members        INTEGER NOT NULL,
    mute_all       INTEGER NOT NULL,
    disabled       INTEGER NOT NULL,
    closed         INTEGER NOT NULL,
    created        INTEGER NOT NULL,
    modified       INTEGER NOT NULL,
    UNIQUE (app, name)
);
CREATE INDEX muc_list ON muc (app, kind, id) WHERE closed = 0;
CREATE INDEX muc_public ON muc (app, kind, id) WHERE closed = 0 AND public = 1;
CREATE INDEX muc_title ON muc (app, kind, title_key) WHERE closed = 0;
CREATE INDEX muc_parent ON muc (parent, id) WHERE closed = 0 AND parent <> 0;
CREATE UNIQUE INDEX muc_message ON muc (parent, message) WHERE closed = 0 AND parent <> 0;
CREATE INDEX muc_closed ON muc (id) WHERE closed = 1;
CREATE INDEX muc_owner ON muc (owner);

-- Roles are 1 member, 2 admin, 3 owner. Away is since when a member of a chatroom has no session; 0: has one.
CREATE TABLE muc_member (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    muc        INTEGER NOT NULL,
    user       INTEGER NOT NULL,
    app        INTEGER NOT NULL,
    kind       INTEGER NOT NULL,
    name       TEXT NOT NULL,
    role       INTEGER NOT NULL,
    joined     INTEGER NOT NULL,
    shielded   INTEGER NOT NULL DEFAULT 0,
    attributes TEXT NOT NULL DEFAULT '',
    away       INTEGER NOT NULL DEFAULT 0,
    UNIQUE (muc, user)
);
CREATE INDEX muc_member_page ON muc_member (muc, id);
CREATE INDEX muc_member_staff ON muc_member (muc, id) WHERE role > 1;
CREATE INDEX muc_member_shielded ON muc_member (muc, id) WHERE shielded = 1;
CREATE INDEX muc_member_user ON muc_member (user, kind, id);
CREATE INDEX muc_member_room ON muc_member (id) WHERE kind = 2;
CREATE INDEX muc_member_away ON muc_member (app, away) WHERE away > 0;

-- What is noted about a user: 1 muted until, 2 on the allow list, 3 on the block list, 4 invited by, 5 has applied.
CREATE TABLE muc_mark (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    muc     INTEGER NOT NULL,
    mark    INTEGER NOT NULL,
    user    INTEGER NOT NULL,
    name    TEXT NOT NULL,
    until   INTEGER NOT NULL,
    by_user INTEGER NOT NULL,
    by_name TEXT NOT NULL,
    reason  TEXT NOT NULL,
    created INTEGER NOT NULL,
    UNIQUE (muc, user, mark)
);
CREATE INDEX muc_mark_page ON muc_mark (muc, mark, id);
CREATE INDEX muc_mark_user ON muc_mark (user);

CREATE TABLE room_attribute (
    muc   INTEGER NOT NULL,
    key   TEXT NOT NULL,
    value TEXT NOT NULL,
    user  INTEGER NOT NULL,
    auto  INTEGER NOT NULL,
    PRIMARY KEY (muc, key)
) WITHOUT ROWID;

CREATE TABLE super_admin (
    app  INTEGER NOT NULL,
    user INTEGER NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (app, user)
) WITHOUT ROWID;
CREATE INDEX super_admin_user ON super_admin (user);
