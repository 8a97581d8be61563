-- +goose Up
-- What a device has sent under ids of its own, so that a repetition is recognised: for each run of its entries, up to the
-- last position, the lowest and the highest id (less 2^63, since ids have no sign), and pairs of an id and its entry's
-- position (sent.go).
CREATE TABLE sent_run (
    sender INTEGER NOT NULL,
    device INTEGER NOT NULL,
    upto   INTEGER NOT NULL,
    low    INTEGER NOT NULL,
    high   INTEGER NOT NULL,
    ids    BLOB NOT NULL,
    PRIMARY KEY (sender, device, upto)
) WITHOUT ROWID;
INSERT INTO sent_run (sender, device, upto, low, high, ids)
    SELECT sender, device, pos, id, id, ids FROM (SELECT sender, device, pos, unhex(printf('%016x%016x', client, pos)) AS ids,
        CASE WHEN client < 0 THEN client + 9223372036854775807 + 1 ELSE client - 9223372036854775807 - 1 END AS id FROM sent);
DROP TABLE sent;
