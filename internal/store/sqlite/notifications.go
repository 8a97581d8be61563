package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/stoa-chat/stoa/internal/store"
)

// pushedMark is the message id up to which it has been looked at who is to be told.
const pushedMark = "pushed"

// PushMark implements store.Notifications. There is one node.
func (s *Store) PushMark(ctx context.Context, _ int) (id int64, err error) {
	err = s.readDB.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = ?", pushedMark).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return id, err
}

// ClaimPushMarks implements store.Notifications: the one node takes up its own.
func (s *Store) ClaimPushMarks(context.Context, int64, int64) ([]store.PushMark, error) {
	return nil, nil
}

// DropPushMark implements store.Notifications.
func (s *Store) DropPushMark(ctx context.Context, _ int) error {
	return s.do(ctx, func(tx *statements) error {
		_, err := tx.ExecContext(context.Background(), "DELETE FROM meta WHERE key = ?", pushedMark)
		return err
	})
}

// PutNotifications implements store.Notifications.
func (s *Store) PutNotifications(ctx context.Context, notifications []store.Notification, mark store.PushMark) error {
	return s.do(ctx, func(tx *statements) error {
		ctx := context.Background()
		for _, n := range notifications {
			// Who has been deleted meanwhile is told nothing.
			_, err := tx.ExecContext(ctx, `INSERT INTO notification (app, user, device, timeline, seq, created, attempts, due)
				SELECT ?, id, ?, ?, ?, ?, ?, ? FROM user WHERE id = ? ON CONFLICT DO NOTHING`,
				n.App, n.Device, n.Timeline, n.Seq, n.Created, n.Attempts, n.Due, n.User)
			if err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, setMark+" WHERE excluded.value > value", pushedMark, mark.ID)
		return err
	})
}

// TakeNotifications implements store.Notifications.
func (s *Store) TakeNotifications(ctx context.Context, node int, now, again int64, limit int) (taken []store.Notification, err error) {
	var some bool
	if err := s.readDB.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM notification WHERE due <= ?)", now).Scan(&some); err != nil || !some {
		return nil, err // it costs no commit when there is nothing
	}
	err = s.do(ctx, func(tx *statements) error {
		rows, err := tx.QueryContext(context.Background(), `UPDATE notification SET due = ?2, taker = ?4 WHERE id IN
			(SELECT id FROM notification WHERE due <= ?1 ORDER BY due, id LIMIT ?3)
			RETURNING id, app, user, device, timeline, seq, created, attempts, due`, now, again, limit, node)
		taken, err = all(rows, err, func(r row) (n store.Notification, err error) {
			return n, r.Scan(&n.ID, &n.App, &n.User, &n.Device, &n.Timeline, &n.Seq, &n.Created, &n.Attempts, &n.Due)
		})
		return err
	})
	return taken, err
}

// ReturnNotifications implements store.Notifications.
func (s *Store) ReturnNotifications(ctx context.Context, node int, now int64) error {
	return s.execute(ctx, "UPDATE notification SET due = ?, taker = NULL WHERE taker = ?", now, node)
}

// RetryNotification implements store.Notifications.
func (s *Store) RetryNotification(ctx context.Context, id int64, attempts int, due int64) error {
	return s.do(ctx, func(tx *statements) error {
		_, err := tx.ExecContext(context.Background(), "UPDATE notification SET attempts = ?, due = ?, taker = NULL WHERE id = ?", attempts, due, id)
		return err
	})
}

// FinishNotification implements store.Notifications.
func (s *Store) FinishNotification(ctx context.Context, id int64) error {
	return s.do(ctx, func(tx *statements) error {
		_, err := tx.ExecContext(context.Background(), "DELETE FROM notification WHERE id = ?", id)
		return err
	})
}

// PushMembers implements store.Notifications.
func (s *Store) PushMembers(ctx context.Context, muc int64) ([]int64, error) {
	rows, err := s.readDB.QueryContext(ctx, `SELECT user FROM muc_member m WHERE muc = ? AND kind <> ? AND shielded = 0
		AND EXISTS (SELECT 1 FROM push_token WHERE user = m.user)`, muc, store.MucRoom)
	return all(rows, err, func(r row) (user int64, err error) { return user, r.Scan(&user) })
}

// EntriesAfter implements store.Notifications. Message ids rise with the positions.
func (s *Store) EntriesAfter(ctx context.Context, id int64, limit int) ([]store.Found, error) {
	var low, high int64 // the last entry that is not wanted is at a position from low to high
	if err := s.readDB.QueryRowContext(ctx, "SELECT COALESCE(MAX(pos), 0) FROM entry").Scan(&high); err != nil {
		return nil, fmt.Errorf("find entries: %w", err)
	}
	for low < high {
		middle := low + (high-low+1)/2
		var pos, at int64
		if err := s.readDB.QueryRowContext(ctx, entryFrom, middle).Scan(&pos, &at); err != nil {
			return nil, fmt.Errorf("find entries: %w", err)
		}
		if at <= id {
			low = pos
		} else {
			high = middle - 1
		}
	}
	rows, err := s.readDB.QueryContext(ctx, "SELECT "+entryColumns+`, t.id, t.app, t.kind, t.a, t.b
		FROM entry e JOIN timeline t ON t.id = e.timeline WHERE e.pos > ? ORDER BY e.pos LIMIT ?`, low, limit)
	return all(rows, err, func(r row) (f store.Found, err error) {
		return f, scanEntry(r, &f.Entry, &f.Timeline, &f.Key.App, &f.Key.Kind, &f.Key.A, &f.Key.B)
	})
}
