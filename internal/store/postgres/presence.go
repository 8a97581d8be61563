package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/stoa-chat/stoa/internal/store"
)

// Publish implements store.Presence.
func (s *Store) Publish(ctx context.Context, p store.Publication, keep []string) error {
	return s.relate(ctx, "publish presence", func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		batch.Queue("DELETE FROM presence WHERE user_id = $1 AND resource <> ALL($2)", p.User, append([]string{p.Resource}, keep...))
		batch.Queue(`
			INSERT INTO presence (user_id, resource, status, text, time) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (user_id, resource) DO UPDATE SET status = excluded.status, text = excluded.text, time = excluded.time`,
			p.User, p.Resource, p.Status, p.Text, p.Time)
		return tx.SendBatch(ctx, batch).Close()
	}, p.User)
}

// Publications implements store.Presence.
func (s *Store) Publications(ctx context.Context, users []int64) ([]store.Publication, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT user_id, resource, status, text, time FROM presence WHERE user_id = ANY($1) ORDER BY user_id, time DESC`, users)
	return collect[store.Publication]("read presence", rows, err)
}

// collect reads all rows of a query into structs whose fields are in the order of the columns.
func collect[T any](what string, rows pgx.Rows, err error) ([]T, error) {
	if err != nil {
		return nil, wrap(what, err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[T])
	if len(all) == 0 {
		all = nil
	}
	return all, wrap(what, err)
}

// LastDevices implements store.Presence.
func (s *Store) LastDevices(ctx context.Context, users []int64) ([]store.Device, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT DISTINCT ON (user_id) id, user_id, resource, platform, uuid, name, seen FROM device
		WHERE user_id = ANY($1) ORDER BY user_id, seen DESC`, users)
	return collect[store.Device]("read devices", rows, err)
}

// Watch implements store.Presence.
func (s *Store) Watch(ctx context.Context, app, watcher int64, targets []store.Peer, expires, now int64, limit int) error {
	users := []int64{watcher}
	for _, target := range targets {
		users = append(users, target.ID)
	}
	return s.relate(ctx, "watch users", func(tx pgx.Tx) error {
		for _, target := range targets {
			_, err := tx.Exec(ctx, `
				INSERT INTO watch (watcher, target, name, app, expires) VALUES ($1, $2, $3, $4, $5)
				ON CONFLICT (watcher, target) DO UPDATE SET expires = excluded.expires`, watcher, target.ID, target.Name, app, expires)
			if err != nil {
				return err
			}
			if full, err := exists(ctx, tx, "SELECT count(*) > $2 FROM watch WHERE target = $1 AND expires > $3", target.ID, limit, now); err != nil {
				return err
			} else if full {
				return store.ErrPeerFull
			}
		}
		if full, err := exists(ctx, tx, "SELECT count(*) > $2 FROM watch WHERE watcher = $1 AND expires > $3", watcher, limit, now); err != nil {
			return err
		} else if full {
			return store.ErrFull
		}
		return nil
	}, users...)
}

// Unwatch implements store.Presence.
func (s *Store) Unwatch(ctx context.Context, watcher int64, targets []int64) error {
	_, err := s.pool.Exec(ctx, "DELETE FROM watch WHERE watcher = $1 AND target = ANY($2)", watcher, targets)
	return wrap("unwatch users", err)
}

// collectWatches reads the columns that watchColumns names.
func collectWatches(rows pgx.Rows, err error) ([]store.Watch, error) {
	if err != nil {
		return nil, wrap("read watches", err)
	}
	watches, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (w store.Watch, err error) {
		return w, row.Scan(&w.App, &w.Watcher, &w.Target.ID, &w.Target.Name, &w.Expires)
	})
	return watches, wrap("read watches", err)
}

const watchColumns = "app, watcher, target, name, expires"

// ListWatched implements store.Presence.
func (s *Store) ListWatched(ctx context.Context, watcher, now int64, offset, limit int) (page []store.Watch, total int, err error) {
	const of = " FROM watch WHERE watcher = $1 AND expires > $2"
	if err := s.pool.QueryRow(ctx, "SELECT count(*)"+of, watcher, now).Scan(&total); err != nil {
		return nil, 0, wrap("count watches", err)
	}
	page, err = collectWatches(s.pool.Query(ctx, "SELECT "+watchColumns+of+" ORDER BY target LIMIT $3 OFFSET $4", watcher, now, limit, offset))
	return page, total, err
}

// Watched implements store.Presence.
func (s *Store) Watched(ctx context.Context, users []int64, now int64) ([]store.Watch, error) {
	return collectWatches(s.pool.Query(ctx, `
		SELECT w.* FROM unnest($1::bigint[]) u
			CROSS JOIN LATERAL (SELECT `+watchColumns+` FROM watch WHERE target = u AND expires > $2 LIMIT 1) w`, users, now))
}

// Watchers implements store.Presence.
func (s *Store) Watchers(ctx context.Context, target, now int64) ([]store.Watch, error) {
	return collectWatches(s.pool.Query(ctx, "SELECT "+watchColumns+" FROM watch WHERE target = $1 AND expires > $2 ORDER BY watcher", target, now))
}

// ForgetWatches implements store.Presence.
func (s *Store) ForgetWatches(ctx context.Context, now int64, limit int) (int, error) {
	tag, err := s.pool.Exec(ctx, `
		WITH old AS (SELECT watcher, target FROM watch WHERE expires <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)
		DELETE FROM watch w USING old WHERE w.watcher = old.watcher AND w.target = old.target`, now, limit)
	return int(tag.RowsAffected()), wrap("forget watches", err)
}

// PutDepartures implements store.Presence.
func (s *Store) PutDepartures(ctx context.Context, departures []store.Departure) error {
	batch := &pgx.Batch{}
	for _, d := range departures {
		batch.Queue(`
			INSERT INTO departure (user_id, resource, due) VALUES ($1, $2, $3)
			ON CONFLICT (user_id, resource) DO UPDATE SET due = excluded.due`, d.User, d.Resource, d.Due)
	}
	return wrap("put departures", s.pool.SendBatch(ctx, batch).Close())
}

// TakeDepartures implements store.Presence.
func (s *Store) TakeDepartures(ctx context.Context, now int64, limit int) ([]store.Departure, error) {
	rows, err := s.pool.Query(ctx, `
		WITH due AS (
			SELECT user_id, resource FROM departure WHERE due <= $1 ORDER BY due LIMIT $2 FOR UPDATE SKIP LOCKED
		), taken AS (
			DELETE FROM departure d USING due WHERE d.user_id = due.user_id AND d.resource = due.resource
			RETURNING d.user_id, d.resource, d.due
		), lost AS (
			SELECT s.user_id, s.id FROM node n JOIN session s ON s.node = n.number
			WHERE n.until <= $1 LIMIT $2 FOR UPDATE OF s SKIP LOCKED
		), ended AS (
			DELETE FROM session s USING lost WHERE s.user_id = lost.user_id AND s.id = lost.id
			RETURNING s.user_id, s.resource, $1::bigint
		)
		SELECT * FROM taken UNION ALL SELECT * FROM ended`, now, limit)
	return collect[store.Departure]("take departures", rows, err)
}
