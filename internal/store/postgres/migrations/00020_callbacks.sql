-- +goose Up
-- What backends could not be told at once, and what was given up (dead is when).
CREATE TABLE callback (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    app      bigint NOT NULL,
    rule     text COLLATE "C" NOT NULL,
    event    text COLLATE "C" NOT NULL,
    lane     text NOT NULL,
    created  bigint NOT NULL,
    attempts integer NOT NULL,
    due      bigint NOT NULL,
    dead     bigint NOT NULL,
    replays  integer NOT NULL,
    target   text NOT NULL,
    error    text NOT NULL,
    body     bytea NOT NULL,
    UNIQUE (app, rule, event)
);
CREATE INDEX callback_due ON callback (due, app, rule) WHERE dead = 0;
CREATE INDEX callback_rule ON callback (app, rule, id) WHERE dead = 0;
CREATE INDEX callback_waiting ON callback (created) WHERE dead = 0;
CREATE INDEX callback_dead ON callback (app, id) WHERE dead > 0;
CREATE INDEX callback_old ON callback (dead) WHERE dead > 0;

-- Up to which message id a backend has been told of what a node has made durable. Until taken, somebody else tells it of
-- what the node has left, which has ended.
CREATE TABLE callback_mark (
    app   bigint NOT NULL,
    rule  text COLLATE "C" NOT NULL,
    node  integer NOT NULL,
    id    bigint NOT NULL,
    taken bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (app, rule, node)
);
