package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/stoa-chat/stoa/internal/store"
)

// PushMark implements store.Notifications.
func (s *Store) PushMark(ctx context.Context, node int) (id int64, err error) {
	err = s.pool.QueryRow(ctx, "SELECT id FROM push_mark WHERE node = $1", node).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return id, wrap("read push mark", err)
}

// ClaimPushMarks implements store.Notifications.
func (s *Store) ClaimPushMarks(ctx context.Context, now, until int64) ([]store.PushMark, error) {
	rows, err := s.pool.Query(ctx, `
		UPDATE push_mark m SET claimed = $2 FROM node n WHERE n.number = m.node AND n.until <= $1 AND m.claimed <= $1
		RETURNING m.node, m.id`, now, until)
	return collect[store.PushMark]("claim push marks", rows, err)
}

// DropPushMark implements store.Notifications.
func (s *Store) DropPushMark(ctx context.Context, node int) error {
	_, err := s.pool.Exec(ctx, "DELETE FROM push_mark WHERE node = $1", node)
	return wrap("drop push mark", err)
}

// PutNotifications implements store.Notifications.
func (s *Store) PutNotifications(ctx context.Context, notifications []store.Notification, mark store.PushMark) error {
	batch := &pgx.Batch{}
	for _, n := range notifications {
		// Who has been deleted meanwhile is told nothing.
		batch.Queue(`
			INSERT INTO notification (app, user_id, device, timeline, seq, created, attempts, due)
			SELECT $1, id, $3, $4, $5, $6, $7, $8 FROM users WHERE id = $2 ON CONFLICT DO NOTHING`,
			n.App, n.User, n.Device, n.Timeline, n.Seq, n.Created, n.Attempts, n.Due)
	}
	batch.Queue(`
		INSERT INTO push_mark AS old (node, id) VALUES ($1, $2)
		ON CONFLICT (node) DO UPDATE SET id = excluded.id WHERE old.id < excluded.id`, mark.Node, mark.ID)
	return wrap("put notifications", s.pool.SendBatch(ctx, batch).Close())
}

// TakeNotifications implements store.Notifications.
func (s *Store) TakeNotifications(ctx context.Context, node int, now, again int64, limit int) ([]store.Notification, error) {
	rows, err := s.pool.Query(ctx, `
		WITH due AS (SELECT id FROM notification WHERE due <= $1 ORDER BY due, id LIMIT $3 FOR UPDATE SKIP LOCKED)
		UPDATE notification n SET due = $2, taker = $4 FROM due WHERE n.id = due.id
		RETURNING n.id, n.app, n.user_id, n.device, n.timeline, n.seq, n.created, n.attempts, n.due`, now, again, limit, node)
	return collect[store.Notification]("take notifications", rows, err)
}

// ReturnNotifications implements store.Notifications.
func (s *Store) ReturnNotifications(ctx context.Context, node int, now int64) error {
	_, err := s.pool.Exec(ctx, "UPDATE notification SET due = $2, taker = NULL WHERE taker = $1", node, now)
	return wrap("return notifications", err)
}

// RetryNotification implements store.Notifications.
func (s *Store) RetryNotification(ctx context.Context, id int64, attempts int, due int64) error {
	_, err := s.pool.Exec(ctx, "UPDATE notification SET attempts = $2, due = $3, taker = NULL WHERE id = $1", id, attempts, due)
	return wrap("retry notification", err)
}

// FinishNotification implements store.Notifications.
func (s *Store) FinishNotification(ctx context.Context, id int64) error {
	_, err := s.pool.Exec(ctx, "DELETE FROM notification WHERE id = $1", id)
	return wrap("finish notification", err)
}

// PushMembers implements store.Notifications.
func (s *Store) PushMembers(ctx context.Context, muc int64) ([]int64, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT user_id FROM muc_member m WHERE muc = $1 AND kind <> $2 AND NOT shielded
			AND EXISTS (SELECT FROM push_token t WHERE t.user_id = m.user_id)`, muc, int16(store.MucRoom))
	if err != nil {
		return nil, wrap("read members", err)
	}
	users, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	return users, wrap("read members", err)
}

// EntriesAfter implements store.Notifications.
func (s *Store) EntriesAfter(ctx context.Context, id int64, limit int) (found []store.Found, err error) {
	rows, err := s.pool.Query(ctx, "SELECT timeline, seq FROM entry WHERE id > $1 ORDER BY id LIMIT $2", id, limit)
	places, err := all(rows, err, func(row pgx.CollectableRow) (f store.Found, err error) { return f, row.Scan(&f.Timeline, &f.Seq) })
	if err != nil {
		return nil, wrap("find entries", err)
	}
	var timelines []int64
	batch := &pgx.Batch{}
	for _, f := range places {
		timelines = append(timelines, f.Timeline)
		batch.Queue("SELECT "+entryColumns+" FROM entry WHERE timeline = $1 AND seq = $2", f.Timeline, f.Seq).Query(func(rows pgx.Rows) error {
			entries, err := pgx.CollectRows(rows, scanEntry) // none: it was removed a moment ago
			for _, f.Entry = range entries {
				found = append(found, f)
			}
			return err
		})
	}
	keys := map[int64]store.Key{}
	batch.Queue("SELECT id, app, kind, a, b FROM timeline WHERE id = ANY ($1)", timelines).Query(func(rows pgx.Rows) error {
		var id int64
		var key store.Key
		var kind int16
		_, err := pgx.ForEachRow(rows, []any{&id, &key.App, &kind, &key.A, &key.B}, func() error {
			key.Kind = store.Kind(kind)
			keys[id] = key
			return nil
		})
		return err
	})
	if err := s.pool.SendBatch(ctx, batch).Close(); err != nil {
		return nil, wrap("read entries", err)
	}
	for i := range found {
		found[i].Key = keys[found[i].Timeline]
	}
	return found, nil
}
