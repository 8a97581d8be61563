-- +goose Up
-- One kind of reaction to a message. The count is kept, so that a crowd of users is not counted at each look.
CREATE TABLE reaction (
    message bigint NOT NULL,
    id      bigint GENERATED ALWAYS AS IDENTITY,
    text    text COLLATE "C" NOT NULL,
    count   integer NOT NULL,
    created bigint NOT NULL,
    updated bigint NOT NULL,
    PRIMARY KEY (message, id),
    UNIQUE (message, text)
);

CREATE TABLE reactor (
    message  bigint NOT NULL,
    reaction bigint NOT NULL,
    id       bigint GENERATED ALWAYS AS IDENTITY,
    user_id  bigint NOT NULL,
    name     text COLLATE "C" NOT NULL,
    created  bigint NOT NULL,
    PRIMARY KEY (message, reaction, id),
    UNIQUE (message, reaction, user_id)
);

CREATE TABLE pin (
    timeline bigint NOT NULL,
    id       bigint GENERATED ALWAYS AS IDENTITY,
    message  bigint NOT NULL,
    user_id  bigint NOT NULL,
    name     text COLLATE "C" NOT NULL,
    created  bigint NOT NULL,
    PRIMARY KEY (timeline, id),
    UNIQUE (timeline, message)
);

CREATE TABLE report (
    app      bigint NOT NULL,
    id       bigint GENERATED ALWAYS AS IDENTITY,
    message  bigint NOT NULL,
    reporter bigint NOT NULL,
    name     text COLLATE "C" NOT NULL,
    type     text NOT NULL,
    reason   text NOT NULL,
    created  bigint NOT NULL,
    sent     bigint NOT NULL,
    meta     bytea NOT NULL,
    PRIMARY KEY (app, id),
    UNIQUE (app, message, reporter)
);
