package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/stoa-chat/stoa/internal/store"
)

// AddReceipt implements store.Receipts. Readers of one timeline wait for each other, so that the last one counts all.
func (s *Store) AddReceipt(ctx context.Context, message store.Point, user store.Peer, now int64) (count int, news bool, err error) {
	err = s.tx(ctx, func(tx pgx.Tx) error {
		if err := lock(ctx, tx, "receipt", message.Timeline); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, "INSERT INTO receipt (timeline, seq, user_id, name, created) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
			message.Timeline, message.Seq, user.ID, user.Name, now)
		if err != nil {
			return err
		}
		news = tag.RowsAffected() > 0
		return tx.QueryRow(ctx, "SELECT count(*) FROM receipt WHERE timeline = $1 AND seq = $2", message.Timeline, message.Seq).Scan(&count)
	})
	return count, news, wrap("add receipt", err)
}

// ListReceipts implements store.Receipts.
func (s *Store) ListReceipts(ctx context.Context, message store.Point, above int64, limit int) (readers []store.Reader, count int, err error) {
	err = s.pool.QueryRow(ctx, "SELECT count(*) FROM receipt WHERE timeline = $1 AND seq = $2", message.Timeline, message.Seq).Scan(&count)
	if err != nil {
		return nil, 0, wrap("count receipts", err)
	}
	rows, err := s.pool.Query(ctx, "SELECT id, user_id, name, created FROM receipt WHERE timeline = $1 AND seq = $2 AND id > $3 ORDER BY id LIMIT $4",
		message.Timeline, message.Seq, above, limit)
	if err != nil {
		return nil, 0, wrap("list receipts", err)
	}
	readers, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (r store.Reader, err error) {
		err = row.Scan(&r.Row, &r.User.ID, &r.User.Name, &r.Time)
		return r, err
	})
	return readers, count, wrap("list receipts", err)
}

// DropReceipts implements store.Receipts.
func (s *Store) DropReceipts(ctx context.Context, message store.Point) error {
	_, err := s.pool.Exec(ctx, "DELETE FROM receipt WHERE timeline = $1 AND seq = $2", message.Timeline, message.Seq)
	return wrap("drop receipts", err)
}
