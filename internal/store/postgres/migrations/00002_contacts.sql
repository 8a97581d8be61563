-- +goose Up
-- Names are kept beside the numbers so that lists need no join; they never change. A new row has the highest id.
CREATE TABLE contact (
    user_id bigint NOT NULL,
    id      bigint GENERATED ALWAYS AS IDENTITY,
    peer    bigint NOT NULL,
    name    text COLLATE "C" NOT NULL,
    remark  text NOT NULL,
    created bigint NOT NULL,
    PRIMARY KEY (user_id, id),
    UNIQUE (user_id, peer)
);
CREATE INDEX contact_peer ON contact (peer);

CREATE TABLE block (
    user_id bigint NOT NULL,
    id      bigint GENERATED ALWAYS AS IDENTITY,
    peer    bigint NOT NULL,
    name    text COLLATE "C" NOT NULL,
    created bigint NOT NULL,
    PRIMARY KEY (user_id, id),
    UNIQUE (user_id, peer)
);
CREATE INDEX block_peer ON block (peer);

-- The peer asks the user to become a contact.
CREATE TABLE invitation (
    user_id bigint NOT NULL,
    peer    bigint NOT NULL,
    reason  text NOT NULL,
    created bigint NOT NULL,
    PRIMARY KEY (user_id, peer)
);
CREATE INDEX invitation_peer ON invitation (peer);
