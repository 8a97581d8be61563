-- +goose Up
-- What an app's backend has laid down: rules for messages (kind 1) and callbacks (2).
CREATE TABLE rule (
    app        bigint NOT NULL,
    kind       smallint NOT NULL,
    name       text COLLATE "C" NOT NULL,
    definition text NOT NULL,
    PRIMARY KEY (app, kind, name)
);

CREATE TABLE global_mute (
    app     bigint NOT NULL,
    user_id bigint NOT NULL,
    scope   smallint NOT NULL,
    name    text COLLATE "C" NOT NULL, -- of the user
    until   bigint NOT NULL,
    PRIMARY KEY (app, user_id, scope)
);
CREATE INDEX global_mute_user ON global_mute (user_id);

-- Messages that matched a rule.
CREATE TABLE verdict (
    app     bigint NOT NULL,
    id      bigint GENERATED ALWAYS AS IDENTITY,
    rule    text NOT NULL,
    action  text NOT NULL,
    found   text NOT NULL,
    user_id bigint NOT NULL,
    name    text COLLATE "C" NOT NULL,
    message bigint NOT NULL,
    created bigint NOT NULL,
    meta    bytea NOT NULL,
    PRIMARY KEY (app, id)
);
