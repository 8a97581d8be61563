-- +goose Up
-- Who has read a message of a group whose sender wants to know.
CREATE TABLE receipt (
    timeline bigint NOT NULL,
    seq      bigint NOT NULL,
    id       bigint GENERATED ALWAYS AS IDENTITY,
    user_id  bigint NOT NULL,
    name     text COLLATE "C" NOT NULL,
    created  bigint NOT NULL,
    PRIMARY KEY (timeline, seq, id),
    UNIQUE (timeline, seq, user_id)
);
