package sqlite

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/stoa-chat/stoa/internal/store"
)

// Publish implements store.Presence.
func (s *Store) Publish(ctx context.Context, p store.Publication, keep []string) error {
	stay, err := json.Marshal(append([]string{p.Resource}, keep...))
	if err != nil {
		return err
	}
	return s.relate(ctx, func(tx *statements) error {
		ctx := context.Background()
		_, err := tx.ExecContext(ctx, "DELETE FROM presence WHERE user = ? AND resource NOT IN (SELECT value FROM json_each(?))", p.User, string(stay))
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "INSERT OR REPLACE INTO presence (user, resource, status, text, time) VALUES (?, ?, ?, ?, ?)",
			p.User, p.Resource, p.Status, p.Text, p.Time)
		return err
	}, p.User)
}

// Publications implements store.Presence.
func (s *Store) Publications(ctx context.Context, users []int64) ([]store.Publication, error) {
	rows, err := s.readDB.QueryContext(ctx, `SELECT user, resource, status, text, time FROM presence
		WHERE user IN (SELECT value FROM json_each(?)) ORDER BY user, time DESC`, asJSON(users))
	return all(rows, err, func(r row) (p store.Publication, err error) {
		return p, r.Scan(&p.User, &p.Resource, &p.Status, &p.Text, &p.Time)
	})
}

// LastDevices implements store.Presence.
func (s *Store) LastDevices(ctx context.Context, users []int64) ([]store.Device, error) {
	// The bare columns beside MAX are those of its row.
	rows, err := s.readDB.QueryContext(ctx, `SELECT id, user, resource, platform, uuid, name, MAX(seen) FROM device
		WHERE user IN (SELECT value FROM json_each(?)) GROUP BY user`, asJSON(users))
	return all(rows, err, func(r row) (d store.Device, err error) {
		return d, r.Scan(&d.ID, &d.User, &d.Resource, &d.Platform, &d.UUID, &d.Name, &d.Seen)
	})
}

// Watch implements store.Presence.
func (s *Store) Watch(ctx context.Context, app, watcher int64, targets []store.Peer, expires, now int64, limit int) error {
	users := []int64{watcher}
	for _, target := range targets {
		users = append(users, target.ID)
	}
	return s.relate(ctx, func(tx *statements) error {
		ctx := context.Background()
		for _, target := range targets {
			_, err := tx.ExecContext(ctx, "INSERT OR REPLACE INTO watch (watcher, target, name, app, expires) VALUES (?, ?, ?, ?, ?)",
				watcher, target.ID, target.Name, app, expires)
			if err != nil {
				return err
			}
			if full, err := exists(tx, "SELECT COUNT(*) > ? FROM watch WHERE target = ? AND expires > ?", limit, target.ID, now); err != nil {
				return err
			} else if full {
				return store.ErrPeerFull
			}
		}
		if full, err := exists(tx, "SELECT COUNT(*) > ? FROM watch WHERE watcher = ? AND expires > ?", limit, watcher, now); err != nil {
			return err
		} else if full {
			return store.ErrFull
		}
		return nil
	}, users...)
}

// Unwatch implements store.Presence.
func (s *Store) Unwatch(ctx context.Context, watcher int64, targets []int64) error {
	return s.do(ctx, func(tx *statements) error {
		_, err := tx.ExecContext(context.Background(),
			"DELETE FROM watch WHERE watcher = ? AND target IN (SELECT value FROM json_each(?))", watcher, asJSON(targets))
		return err
	})
}

const watchColumns = "app, watcher, target, name, expires"

func scanWatch(r row) (w store.Watch, err error) {
	return w, r.Scan(&w.App, &w.Watcher, &w.Target.ID, &w.Target.Name, &w.Expires)
}

// ListWatched implements store.Presence.
func (s *Store) ListWatched(ctx context.Context, watcher, now int64, offset, limit int) (page []store.Watch, total int, err error) {
	const of = " FROM watch WHERE watcher = ? AND expires > ?"
	if err := s.readDB.QueryRowContext(ctx, "SELECT COUNT(*)"+of, watcher, now).Scan(&total); err != nil {
		return nil, 0, fmt.Errorf("count watches: %w", err)
	}
	rows, err := s.readDB.QueryContext(ctx, "SELECT "+watchColumns+of+" ORDER BY target LIMIT ? OFFSET ?", watcher, now, limit, offset)
	page, err = all(rows, err, scanWatch)
	return page, total, err
}

// Watched implements store.Presence.
func (s *Store) Watched(ctx context.Context, users []int64, now int64) ([]store.Watch, error) {
	rows, err := s.readDB.QueryContext(ctx, "SELECT "+watchColumns+` FROM json_each(?) u JOIN watch w ON w.target = u.value
		AND w.watcher = (SELECT watcher FROM watch WHERE target = u.value AND expires > ? LIMIT 1)`, asJSON(users), now)
	return all(rows, err, scanWatch)
}

// Watchers implements store.Presence.
func (s *Store) Watchers(ctx context.Context, target, now int64) ([]store.Watch, error) {
	rows, err := s.readDB.QueryContext(ctx, "SELECT "+watchColumns+" FROM watch WHERE target = ? AND expires > ? ORDER BY watcher", target, now)
	return all(rows, err, scanWatch)
}

// ForgetWatches implements store.Presence.
func (s *Store) ForgetWatches(ctx context.Context, now int64, limit int) (n int, err error) {
	var some bool
	if err := s.readDB.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM watch WHERE expires <= ?)", now).Scan(&some); err != nil || !some {
		return 0, err // it costs no commit when there is nothing
	}
	err = s.do(ctx, func(tx *statements) error {
		result, err := tx.ExecContext(context.Background(), `DELETE FROM watch WHERE (watcher, target) IN
			(SELECT watcher, target FROM watch WHERE expires <= ? LIMIT ?)`, now, limit)
		if err != nil {
			return err
		}
		gone, err := result.RowsAffected()
		n = int(gone)
		return err
	})
	return n, err
}

// PutDepartures implements store.Presence.
func (s *Store) PutDepartures(ctx context.Context, departures []store.Departure) error {
	return s.do(ctx, func(tx *statements) error {
		for _, d := range departures {
			_, err := tx.ExecContext(context.Background(), "INSERT OR REPLACE INTO departure (user, resource, due) VALUES (?, ?, ?)",
				d.User, d.Resource, d.Due)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// TakeDepartures implements store.Presence. Sessions end with the process, and nobody is left to be told of them.
func (s *Store) TakeDepartures(ctx context.Context, now int64, limit int) (taken []store.Departure, err error) {
	var some bool
	if err := s.readDB.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM departure WHERE due <= ?)", now).Scan(&some); err != nil || !some {
		return nil, err
	}
	err = s.do(ctx, func(tx *statements) error {
		rows, err := tx.QueryContext(context.Background(), `DELETE FROM departure WHERE (user, resource) IN
			(SELECT user, resource FROM departure WHERE due <= ? ORDER BY due LIMIT ?) RETURNING user, resource, due`, now, limit)
		taken, err = all(rows, err, func(r row) (d store.Departure, err error) {
			return d, r.Scan(&d.User, &d.Resource, &d.Due)
		})
		return err
	})
	return taken, err
}
