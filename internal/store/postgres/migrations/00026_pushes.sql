-- +goose Up
ALTER TABLE push_user ADD COLUMN template text NOT NULL DEFAULT '';
CREATE INDEX push_token_user ON push_token (app, user_id);

CREATE TABLE push_template (
    app     bigint NOT NULL,
    name    text COLLATE "C" NOT NULL,
    title   text NOT NULL,
    content text NOT NULL,
    created bigint NOT NULL,
    updated bigint NOT NULL,
    PRIMARY KEY (app, name)
);

-- Users is how many have the label.
CREATE TABLE push_label (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    app         bigint NOT NULL,
    name        text COLLATE "C" NOT NULL,
    description text NOT NULL,
    users       int NOT NULL DEFAULT 0,
    created     bigint NOT NULL,
    UNIQUE (app, name)
);
CREATE INDEX push_label_page ON push_label (app, id);

CREATE TABLE push_labelled (
    label   bigint NOT NULL,
    user_id bigint NOT NULL,
    created bigint NOT NULL,
    PRIMARY KEY (label, user_id)
);
CREATE INDEX push_labelled_user ON push_labelled (user_id);

-- What backends tell devices. Reached is the last user for whom there are notifications, until done.
CREATE TABLE push_message (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    app     bigint NOT NULL,
    content bytea NOT NULL,
    labels  bigint[] NOT NULL,
    reached bigint NOT NULL DEFAULT 0,
    done    boolean NOT NULL,
    created bigint NOT NULL
);
CREATE INDEX push_message_open ON push_message (id) WHERE NOT done;
CREATE INDEX push_message_created ON push_message (created) WHERE done;

-- Until when another node looks at what this one has left behind.
ALTER TABLE push_mark ADD COLUMN claimed bigint NOT NULL DEFAULT 0;
