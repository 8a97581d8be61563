package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/stoa-chat/stoa/internal/store"
)

// SetAttributes implements store.Profiles.
func (s *Store) SetAttributes(ctx context.Context, app, user int64, set map[string]string, limit int) (map[string]string, error) {
	all := map[string]string{}
	err := s.relate(ctx, "set attributes", func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		for key, value := range set {
			batch.Queue(`
				INSERT INTO profile (user_id, key, value, app, size) VALUES ($1, $2, $3, $4, $5)
				ON CONFLICT (user_id, key) DO UPDATE SET value = excluded.value, size = excluded.size`,
				user, key, value, app, len(key)+len(value))
		}
		size := 0
		batch.Queue("SELECT key, value FROM profile WHERE user_id = $1", user).Query(func(rows pgx.Rows) error {
			var key, value string
			_, err := pgx.ForEachRow(rows, []any{&key, &value}, func() error {
				all[key] = value
				size += len(key) + len(value)
				return nil
			})
			return err
		})
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return err
		}
		if size > limit {
			return store.ErrFull
		}
		return nil
	}, user)
	if err != nil {
		return nil, err
	}
	return all, nil
}

// Attributes implements store.Profiles.
func (s *Store) Attributes(ctx context.Context, users []int64) (map[int64]map[string]string, error) {
	rows, err := s.pool.Query(ctx, "SELECT user_id, key, value FROM profile WHERE user_id = ANY($1)", users)
	if err != nil {
		return nil, wrap("read attributes", err)
	}
	all := map[int64]map[string]string{}
	var user int64
	var key, value string
	_, err = pgx.ForEachRow(rows, []any{&user, &key, &value}, func() error {
		if all[user] == nil {
			all[user] = map[string]string{}
		}
		all[user][key] = value
		return nil
	})
	return all, wrap("read attributes", err)
}

// DropAttributes implements store.Profiles.
func (s *Store) DropAttributes(ctx context.Context, user int64) error {
	_, err := s.pool.Exec(ctx, "DELETE FROM profile WHERE user_id = $1", user)
	return wrap("drop attributes", err)
}

// AttributeBytes implements store.Profiles.
func (s *Store) AttributeBytes(ctx context.Context, app int64) (n int64, err error) {
	err = s.pool.QueryRow(ctx, "SELECT coalesce(sum(size), 0)::bigint FROM profile WHERE app = $1", app).Scan(&n)
	return n, wrap("sum attributes", err)
}
