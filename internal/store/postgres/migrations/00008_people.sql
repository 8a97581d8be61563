-- +goose Up
-- What users tell about themselves. The size is that of key and value in bytes, so that an app's sum reads no values.
CREATE TABLE profile (
    user_id bigint NOT NULL,
    key     text COLLATE "C" NOT NULL,
    value   text NOT NULL,
    app     bigint NOT NULL,
    size    bigint NOT NULL,
    PRIMARY KEY (user_id, key)
);
CREATE INDEX profile_size ON profile (app, size);

-- What was published of a device. Whether it is online is told by its sessions alone.
CREATE TABLE presence (
    user_id  bigint NOT NULL,
    resource text COLLATE "C" NOT NULL,
    status   integer NOT NULL,
    text     text NOT NULL,
    time     bigint NOT NULL,
    PRIMARY KEY (user_id, resource)
);

CREATE TABLE watch (
    watcher bigint NOT NULL,
    target  bigint NOT NULL,
    name    text COLLATE "C" NOT NULL, -- of the target
    app     bigint NOT NULL,
    expires bigint NOT NULL,
    PRIMARY KEY (watcher, target)
);
CREATE INDEX watch_target ON watch (target, expires);
CREATE INDEX watch_expires ON watch (expires);

-- Devices that went offline just before their node stopped.
CREATE TABLE departure (
    user_id  bigint NOT NULL,
    resource text COLLATE "C" NOT NULL,
    due      bigint NOT NULL,
    PRIMARY KEY (user_id, resource)
);
CREATE INDEX departure_due ON departure (due);

-- What users want to be notified of: everything (scope 0), the conversation with a user (1), a group or chatroom (2).
CREATE TABLE push_setting (
    user_id bigint NOT NULL,
    id      bigint GENERATED ALWAYS AS IDENTITY,
    scope   smallint NOT NULL,
    target  text COLLATE "C" NOT NULL,
    type    text NOT NULL,
    until   bigint NOT NULL,
    quiet   text NOT NULL,
    PRIMARY KEY (user_id, id),
    UNIQUE (user_id, scope, target)
);

CREATE TABLE push_user (
    user_id  bigint PRIMARY KEY,
    language text NOT NULL,
    detailed boolean NOT NULL
);

CREATE TABLE push_token (
    user_id  bigint NOT NULL,
    device   text COLLATE "C" NOT NULL, -- the client's id of it
    app      bigint NOT NULL,
    notifier text COLLATE "C" NOT NULL,
    token    text COLLATE "C" NOT NULL,
    updated  bigint NOT NULL,
    PRIMARY KEY (user_id, device)
);
CREATE UNIQUE INDEX push_token_once ON push_token (app, notifier, token);

-- Devices that are to be told of a message, each until its provider has taken it.
CREATE TABLE notification (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    app      bigint NOT NULL,
    user_id  bigint NOT NULL,
    device   text COLLATE "C" NOT NULL,
    timeline bigint NOT NULL,
    seq      bigint NOT NULL,
    created  bigint NOT NULL,
    attempts integer NOT NULL,
    due      bigint NOT NULL,
    UNIQUE (user_id, device, timeline, seq)
);
CREATE INDEX notification_due ON notification (due);

-- Up to which message id it has been looked at who is to be told of a node's messages.
CREATE TABLE push_mark (
    node integer PRIMARY KEY,
    id   bigint NOT NULL
);
