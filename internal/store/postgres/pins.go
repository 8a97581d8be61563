package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/stoa-chat/stoa/internal/store"
)

// PutPin implements store.Pins.
func (s *Store) PutPin(ctx context.Context, timeline, message int64, by store.Peer, now int64, limit int) error {
	return storeOrWrap("pin message", s.tx(ctx, func(tx pgx.Tx) error {
		// Of two who pin in one conversation one waits, so that the limit holds.
		if err := lock(ctx, tx, "pin", timeline); err != nil {
			return err
		}
		if ok, err := exists(ctx, tx, "SELECT EXISTS (SELECT FROM pin WHERE timeline = $1 AND message = $2)", timeline, message); err != nil {
			return err
		} else if ok {
			return store.ErrExists
		}
		if full, err := exists(ctx, tx, "SELECT count(*) >= $2 FROM pin WHERE timeline = $1", timeline, limit); err != nil {
			return err
		} else if full {
			return store.ErrFull
		}
		_, err := tx.Exec(ctx, "INSERT INTO pin (timeline, message, user_id, name, created) VALUES ($1, $2, $3, $4, $5)",
			timeline, message, by.ID, by.Name, now)
		return err
	}))
}

// DropPin implements store.Pins.
func (s *Store) DropPin(ctx context.Context, timeline, message int64) (bool, error) {
	tag, err := s.pool.Exec(ctx, "DELETE FROM pin WHERE timeline = $1 AND message = $2", timeline, message)
	return tag.RowsAffected() > 0, wrap("unpin message", err)
}

// ListPins implements store.Pins.
func (s *Store) ListPins(ctx context.Context, timeline, below int64, limit int) ([]store.Pin, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT id, message, user_id, name, created FROM pin
		WHERE timeline = $1 AND ($2::bigint = 0 OR id < $2) ORDER BY id DESC LIMIT $3`, timeline, below, limit)
	if err != nil {
		return nil, wrap("list pins", err)
	}
	pins, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p store.Pin, err error) {
		err = row.Scan(&p.Row, &p.Message, &p.By.ID, &p.By.Name, &p.Time)
		return p, err
	})
	return pins, wrap("list pins", err)
}
