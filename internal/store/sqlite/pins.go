package sqlite

import (
	"context"
	"fmt"

	"github.com/stoa-chat/stoa/internal/store"
)

// PutPin implements store.Pins.
func (s *Store) PutPin(ctx context.Context, timeline, message int64, by store.Peer, now int64, limit int) error {
	return s.do(ctx, func(tx *statements) error {
		if ok, err := exists(tx, "SELECT EXISTS (SELECT 1 FROM pin WHERE timeline = ? AND message = ?)", timeline, message); err != nil {
			return err
		} else if ok {
			return store.ErrExists
		}
		if full, err := exists(tx, "SELECT COUNT(*) >= ? FROM pin WHERE timeline = ?", limit, timeline); err != nil {
			return err
		} else if full {
			return store.ErrFull
		}
		_, err := tx.ExecContext(context.Background(), "INSERT INTO pin (timeline, message, user, name, created) VALUES (?, ?, ?, ?, ?)",
			timeline, message, by.ID, by.Name, now)
		return err
	})
}

// DropPin implements store.Pins.
func (s *Store) DropPin(ctx context.Context, timeline, message int64) (dropped bool, err error) {
	err = s.do(ctx, func(tx *statements) error {
		dropped, err = touched(tx.ExecContext(context.Background(), "DELETE FROM pin WHERE timeline = ? AND message = ?", timeline, message))
		return err
	})
	return dropped && err == nil, err
}

// ListPins implements store.Pins.
func (s *Store) ListPins(ctx context.Context, timeline, below int64, limit int) ([]store.Pin, error) {
	rows, err := s.readDB.QueryContext(ctx, `SELECT id, message, user, name, created FROM pin
		WHERE timeline = ?1 AND (?2 = 0 OR id < ?2) ORDER BY id DESC LIMIT ?3`, timeline, below, limit)
	if err != nil {
		return nil, fmt.Errorf("list pins: %w", err)
	}
	defer rows.Close()
	var pins []store.Pin
	for rows.Next() {
		var p store.Pin
		if err := rows.Scan(&p.Row, &p.Message, &p.By.ID, &p.By.Name, &p.Time); err != nil {
			return nil, fmt.Errorf("read pin: %w", err)
		}
		pins = append(pins, p)
	}
	return pins, rows.Err()
}
