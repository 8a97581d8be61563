-- +goose Up
-- Names are kept beside the numbers so that lists need no join; they never change. A new row has the highest id.
CREATE TABLE contact (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    user    INTEGER NOT NULL,
    peer    INTEGER NOT NULL,
    name    TEXT NOT NULL,
    remark  TEXT NOT NULL,
    created INTEGER NOT NULL,
    UNIQUE (user, peer)
);
CREATE INDEX contact_page ON contact (user, id);
CREATE INDEX contact_peer ON contact (peer);

CREATE TABLE block (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    user    INTEGER NOT NULL,
    peer    INTEGER NOT NULL,
    name    TEXT NOT NULL,
    created INTEGER NOT NULL,
    UNIQUE (user, peer)
);
CREATE INDEX block_page ON block (user, id);
CREATE INDEX block_peer ON block (peer);

-- The peer asks the user to become a contact.
CREATE TABLE invitation (
    user    INTEGER NOT NULL,
    peer    INTEGER NOT NULL,
    reason  TEXT NOT NULL,
    created INTEGER NOT NULL,
    PRIMARY KEY (user, peer)
) WITHOUT ROWID;
CREATE INDEX invitation_peer ON invitation (peer);
