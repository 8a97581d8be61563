package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/stoa-chat/stoa/internal/store"
)

// OpenDevice implements store.Sessions. ErrNotFound if there is no such user.
func (s *Store) OpenDevice(ctx context.Context, d store.Device) (store.Device, error) {
	const update = `
		UPDATE device SET platform = $3, uuid = $4, name = $5, seen = $6 WHERE user_id = $1 AND resource = $2 RETURNING id`
	values := []any{d.User, d.Resource, d.Platform, d.UUID, d.Name, d.Seen}
	err := s.pool.QueryRow(ctx, update, values...).Scan(&d.ID)
	if !errors.Is(err, pgx.ErrNoRows) {
		return d, wrap("open device", err)
	}
	err = s.tx(ctx, func(tx pgx.Tx) error {
		// The user must not be deleted meanwhile.
		if err := tx.QueryRow(ctx, "SELECT id FROM users WHERE id = $1 FOR KEY SHARE", d.User).Scan(&d.User); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, `
			INSERT INTO device (user_id, resource, platform, uuid, name, seen) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (user_id, resource) DO NOTHING RETURNING id`, values...).Scan(&d.ID)
		if errors.Is(err, pgx.ErrNoRows) { // another login was faster
			return tx.QueryRow(ctx, update, values...).Scan(&d.ID)
		}
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
			INSERT INTO cursor (user_id, device, timeline, seq)
			SELECT user_id, $2, timeline, max(seq) FROM cursor WHERE user_id = $1 GROUP BY user_id, timeline`, d.User, d.ID)
		return err
	})
	return d, wrap("open device", err)
}

// ForgetDevices implements store.Sessions.
func (s *Store) ForgetDevices(ctx context.Context, before int64, limit int) (int, error) {
	var n int
	err := s.pool.QueryRow(ctx, `
		WITH old AS (
			SELECT user_id, id FROM device d
			WHERE seen < $1 AND NOT EXISTS (SELECT FROM session s WHERE s.user_id = d.user_id AND s.device = d.id)
			ORDER BY seen LIMIT $2 FOR UPDATE SKIP LOCKED
		), gone AS (
			DELETE FROM device d USING old WHERE d.user_id = old.user_id AND d.id = old.id RETURNING d.user_id, d.id
		), had AS (
			DELETE FROM cursor c USING gone WHERE c.user_id = gone.user_id AND c.device = gone.id
			RETURNING c.user_id, c.timeline, c.seq
		), kept AS (
			INSERT INTO cursor (user_id, device, timeline, seq)
			SELECT user_id, 0, timeline, max(seq) FROM had GROUP BY user_id, timeline ORDER BY user_id, timeline
			ON CONFLICT (user_id, device, timeline) DO UPDATE SET seq = greatest(cursor.seq, excluded.seq)
		)
		SELECT count(*) FROM gone`, before, limit).Scan(&n)
	return n, wrap("forget devices", err)
}

// sessionColumns are in the order of store.Session's fields.
const sessionColumns = "s.id, s.user_id, s.device, s.resource, s.platform, s.uuid, s.name, s.node, s.since"

const listSessions = `
	SELECT ` + sessionColumns + ` FROM session s JOIN node n ON n.number = s.node
	WHERE s.user_id = $1 AND n.until > $2 AND s.id <> $3 ORDER BY s.since, s.id`

// PutSession implements store.Sessions. ErrNotFound if there is no such user.
func (s *Store) PutSession(ctx context.Context, session store.Session, now int64) ([]store.Session, error) {
	var others []store.Session
	err := s.tx(ctx, func(tx pgx.Tx) error {
		// Logins of a user wait for each other, so that of two at once one sees the other.
		var user int64
		if err := tx.QueryRow(ctx, "SELECT id FROM users WHERE id = $1 FOR NO KEY UPDATE", session.User).Scan(&user); err != nil {
			return err
		}
		batch := &pgx.Batch{}
		batch.Queue("DELETE FROM session WHERE user_id = $1 AND (device = $2 OR id = $3)", user, session.Device, session.ID)
		batch.Queue(`
			INSERT INTO session (user_id, id, device, resource, platform, uuid, name, node, since)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			user, session.ID, session.Device, session.Resource, session.Platform, session.UUID, session.Name, session.Node,
			session.Since)
		batch.Queue(listSessions, user, now, session.ID).Query(func(rows pgx.Rows) (err error) {
			others, err = pgx.CollectRows(rows, pgx.RowToStructByPos[store.Session])
			return err
		})
		return tx.SendBatch(ctx, batch).Close()
	})
	return others, wrap("put session", err)
}

// SeeDevice implements store.Sessions.
func (s *Store) SeeDevice(ctx context.Context, user, device, seen int64) error {
	_, err := s.pool.Exec(ctx, "UPDATE device SET seen = GREATEST(seen, $3) WHERE id = $2 AND user_id = $1", user, device, seen)
	return wrap("see device", err)
}

// DropSession implements store.Sessions.
func (s *Store) DropSession(ctx context.Context, user, id int64) error {
	_, err := s.pool.Exec(ctx, "DELETE FROM session WHERE user_id = $1 AND id = $2", user, id)
	return wrap("drop session", err)
}

// ListSessions implements store.Sessions.
func (s *Store) ListSessions(ctx context.Context, user, now int64) ([]store.Session, error) {
	const none = 0
	rows, err := s.pool.Query(ctx, listSessions, user, now, none)
	if err != nil {
		return nil, wrap("list sessions", err)
	}
	sessions, err := pgx.CollectRows(rows, pgx.RowToStructByPos[store.Session])
	return sessions, wrap("list sessions", err)
}

// SessionsOf implements store.Sessions.
func (s *Store) SessionsOf(ctx context.Context, users []int64, now int64) ([]store.Session, error) {
	rows, err := s.pool.Query(ctx, "SELECT "+sessionColumns+` FROM session s JOIN node n ON n.number = s.node
		WHERE s.user_id = ANY($1) AND n.until > $2 ORDER BY s.user_id, s.since, s.id`, users, now)
	return collect[store.Session]("list sessions", rows, err)
}

// HasSession implements store.Sessions.
func (s *Store) HasSession(ctx context.Context, user, id int64) (bool, error) {
	var has bool
	err := s.pool.QueryRow(ctx, "SELECT EXISTS (SELECT FROM session WHERE user_id = $1 AND id = $2)", user, id).Scan(&has)
	return has, wrap("has session", err)
}
