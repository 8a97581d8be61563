package sqlite

import (
	"context"
	"fmt"

	"github.com/stoa-chat/stoa/internal/store"
)

// SetAttributes implements store.Profiles.
func (s *Store) SetAttributes(ctx context.Context, app, user int64, set map[string]string, limit int) (map[string]string, error) {
	all := map[string]string{}
	err := s.relate(ctx, func(tx *statements) error {
		ctx := context.Background()
		for key, value := range set {
			_, err := tx.ExecContext(ctx, "INSERT OR REPLACE INTO profile (user, key, value, app, size) VALUES (?, ?, ?, ?, ?)",
				user, key, value, app, len(key)+len(value))
			if err != nil {
				return err
			}
		}
		rows, err := tx.QueryContext(ctx, "SELECT key, value FROM profile WHERE user = ?", user)
		if err != nil {
			return err
		}
		defer rows.Close()
		size := 0
		for rows.Next() {
			var key, value string
			if err := rows.Scan(&key, &value); err != nil {
				return err
			}
			all[key] = value
			size += len(key) + len(value)
		}
		if size > limit {
			return store.ErrFull
		}
		return rows.Err()
	}, user)
	if err != nil {
		return nil, err
	}
	return all, nil
}

// Attributes implements store.Profiles.
func (s *Store) Attributes(ctx context.Context, users []int64) (map[int64]map[string]string, error) {
	rows, err := s.readDB.QueryContext(ctx, "SELECT user, key, value FROM profile WHERE user IN (SELECT value FROM json_each(?))", asJSON(users))
	if err != nil {
		return nil, fmt.Errorf("read attributes: %w", err)
	}
	defer rows.Close()
	all := map[int64]map[string]string{}
	for rows.Next() {
		var user int64
		var key, value string
		if err := rows.Scan(&user, &key, &value); err != nil {
			return nil, fmt.Errorf("read attribute: %w", err)
		}
		if all[user] == nil {
			all[user] = map[string]string{}
		}
		all[user][key] = value
	}
	return all, rows.Err()
}

// DropAttributes implements store.Profiles.
func (s *Store) DropAttributes(ctx context.Context, user int64) error {
	return s.do(ctx, func(tx *statements) error {
		_, err := tx.ExecContext(context.Background(), "DELETE FROM profile WHERE user = ?", user)
		return err
	})
}

// AttributeBytes implements store.Profiles.
func (s *Store) AttributeBytes(ctx context.Context, app int64) (n int64, err error) {
	err = s.readDB.QueryRowContext(ctx, "SELECT COALESCE(SUM(size), 0) FROM profile WHERE app = ?", app).Scan(&n)
	return n, err
}
