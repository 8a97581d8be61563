-- +goose Up
CREATE TABLE app (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org           text NOT NULL,
    name          text NOT NULL,
    uuid          text NOT NULL,
    agora_id      text NOT NULL UNIQUE,
    certificate   text NOT NULL,
    certificate2  text NOT NULL,
    client_id     text NOT NULL UNIQUE,
    client_secret text NOT NULL,
    signing_key   bytea NOT NULL,
    settings      bytea NOT NULL, -- JSON, kept to the byte
    created       bigint NOT NULL,
    UNIQUE (org, name)
);

CREATE TABLE users (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    app        bigint NOT NULL,
    name       text COLLATE "C" NOT NULL,
    uuid       text NOT NULL,
    nickname   text NOT NULL,
    password   text NOT NULL,
    active     boolean NOT NULL,
    generation bigint NOT NULL,
    created    bigint NOT NULL,
    modified   bigint NOT NULL,
    UNIQUE (app, name)
);
CREATE INDEX users_page ON users (app, id);
CREATE UNIQUE INDEX users_uuid ON users (app, uuid);

-- A node's number. Its row stays when the node has gone, for what it has reserved.
CREATE TABLE node (
    number   integer PRIMARY KEY,
    token    text NOT NULL,   -- empty: the number was given back
    until    bigint NOT NULL, -- when the lease ends
    reserved bigint NOT NULL  -- ids may have been made up to this time
);

-- From here on every table is keyed by its owner: by the user who has the devices, by the timeline that has the entries.
-- No statement joins rows of different owners, and no foreign key binds them.

CREATE TABLE device (
    user_id  bigint NOT NULL,
    id       bigint GENERATED ALWAYS AS IDENTITY,
    resource text COLLATE "C" NOT NULL,
    platform text NOT NULL,
    uuid     text NOT NULL,
    name     text NOT NULL,
    seen     bigint NOT NULL,
    PRIMARY KEY (user_id, id),
    UNIQUE (user_id, resource)
);
CREATE INDEX device_seen ON device (seen);

CREATE TABLE session (
    user_id  bigint NOT NULL,
    id       bigint NOT NULL,
    device   bigint NOT NULL,
    resource text NOT NULL,
    platform text NOT NULL,
    uuid     text NOT NULL,
    name     text NOT NULL,
    node     integer NOT NULL,
    since    bigint NOT NULL,
    PRIMARY KEY (user_id, id)
);
CREATE INDEX session_node ON session (node);

-- Device 0 stands for all devices that were forgotten.
CREATE TABLE cursor (
    user_id  bigint NOT NULL,
    device   bigint NOT NULL,
    timeline bigint NOT NULL,
    seq      bigint NOT NULL,
    PRIMARY KEY (user_id, device, timeline)
) WITH (fillfactor = 70);

CREATE TABLE subscription (
    user_id  bigint NOT NULL,
    timeline bigint NOT NULL,
    PRIMARY KEY (user_id, timeline)
);

-- The head is kept apart from the entries: nothing that deletes entries lowers it. There is room in each page for the
-- next versions of its rows, so that a new head touches no index.
CREATE TABLE timeline (
    id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    app  bigint NOT NULL,
    kind smallint NOT NULL,
    a    bigint NOT NULL,
    b    bigint NOT NULL,
    head bigint NOT NULL,
    UNIQUE (app, kind, a, b)
) WITH (fillfactor = 50);

-- Entries lie in order of arrival.
CREATE TABLE entry (
    timeline  bigint NOT NULL,
    seq       bigint NOT NULL,
    id        bigint NOT NULL,
    time      bigint NOT NULL,
    sender    bigint NOT NULL,
    device    bigint NOT NULL,
    client_id bigint NOT NULL, -- the 64 bits of a number without a sign
    meta      bytea NOT NULL
);
CREATE UNIQUE INDEX entry_place ON entry (timeline, seq);
-- For repetitions. The time is in it because an app may use the same client id again and again.
CREATE INDEX entry_client ON entry (sender, device, client_id, time) WHERE client_id <> 0;
