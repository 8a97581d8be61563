-- +goose Up
CREATE TABLE file (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    app        bigint NOT NULL,
    uuid       text COLLATE "C" NOT NULL,
    owner      bigint NOT NULL, -- 0: the app's backend
    owner_name text COLLATE "C" NOT NULL,
    place      bigint NOT NULL, -- the group or room that shares it; 0: it came with a message
    state      smallint NOT NULL,
    blob       text NOT NULL,
    secret     bytea NOT NULL,
    restricted boolean NOT NULL,
    size       bigint NOT NULL,
    type       text NOT NULL,
    name       text NOT NULL,
    width      integer NOT NULL,
    height     integer NOT NULL,
    thumb      smallint NOT NULL,
    created    bigint NOT NULL,
    since      bigint NOT NULL,
    UNIQUE (app, uuid)
);
CREATE INDEX file_life ON file (app, state, since);
CREATE INDEX file_place ON file (place, id) WHERE place <> 0;

CREATE TABLE file_part (
    file   bigint NOT NULL,
    number integer NOT NULL,
    blob   text NOT NULL,
    size   bigint NOT NULL,
    PRIMARY KEY (file, number)
);
