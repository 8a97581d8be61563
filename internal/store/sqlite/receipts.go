package sqlite

import (
	"context"
	"fmt"

	"github.com/stoa-chat/stoa/internal/store"
)

// AddReceipt implements store.Receipts.
func (s *Store) AddReceipt(ctx context.Context, message store.Point, user store.Peer, now int64) (count int, news bool, err error) {
	err = s.do(ctx, func(tx *statements) error {
		result, err := tx.ExecContext(context.Background(), "INSERT INTO receipt (timeline, seq, user, name, created) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
			message.Timeline, message.Seq, user.ID, user.Name, now)
		if err != nil {
			return fmt.Errorf("add receipt: %w", err)
		}
		added, err := result.RowsAffected()
		if err != nil {
			return fmt.Errorf("add receipt: %w", err)
		}
		news = added > 0
		err = tx.QueryRowContext(context.Background(), "SELECT COUNT(*) FROM receipt WHERE timeline = ? AND seq = ?", message.Timeline, message.Seq).Scan(&count)
		return storeError(err)
	})
	return count, news, err
}

// ListReceipts implements store.Receipts.
func (s *Store) ListReceipts(ctx context.Context, message store.Point, above int64, limit int) (readers []store.Reader, count int, err error) {
	err = s.readDB.QueryRowContext(ctx, "SELECT COUNT(*) FROM receipt WHERE timeline = ? AND seq = ?", message.Timeline, message.Seq).Scan(&count)
	if err != nil {
		return nil, 0, fmt.Errorf("count receipts: %w", err)
	}
	rows, err := s.readDB.QueryContext(ctx, "SELECT id, user, name, created FROM receipt WHERE timeline = ? AND seq = ? AND id > ? ORDER BY id LIMIT ?",
		message.Timeline, message.Seq, above, limit)
	if err != nil {
		return nil, 0, fmt.Errorf("list receipts: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var r store.Reader
		if err := rows.Scan(&r.Row, &r.User.ID, &r.User.Name, &r.Time); err != nil {
			return nil, 0, fmt.Errorf("read receipt: %w", err)
		}
		readers = append(readers, r)
	}
	if err := rows.Err(); err != nil {
		return nil, 0, fmt.Errorf("list receipts: %w", err)
	}
	return readers, count, nil
}

// DropReceipts implements store.Receipts.
func (s *Store) DropReceipts(ctx context.Context, message store.Point) error {
	return s.do(ctx, func(tx *statements) error {
		_, err := tx.ExecContext(context.Background(), "DELETE FROM receipt WHERE timeline = ? AND seq = ?", message.Timeline, message.Seq)
		return storeError(err)
	})
}
