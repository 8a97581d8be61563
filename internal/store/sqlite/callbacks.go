package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/stoa-chat/stoa/internal/store"
)

const callbackColumns = "id, app, rule, event, lane, created, attempts, due, dead, replays, target, error, body"

func scanCallback(r row) (c store.Callback, err error) {
	return c, r.Scan(&c.ID, &c.App, &c.Rule, &c.Event, &c.Lane, &c.Created, &c.Attempts, &c.Due, &c.Dead, &c.Replays, &c.Target, &c.Error, &c.Body)
}

// CallbackMark implements store.Callbacks.
func (s *Store) CallbackMark(ctx context.Context, app int64, rule string, node int) (id int64, err error) {
	err = s.readDB.QueryRowContext(ctx, "SELECT id FROM callback_mark WHERE app = ? AND rule = ? AND node = ?", app, rule, node).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return id, err
}

// LostCallbackMarks implements store.Callbacks: the one node takes up its own.
func (s *Store) LostCallbackMarks(context.Context, int64, int64, int) ([]store.CallbackMark, error) {
	return nil, nil
}

// PutCallbacks implements store.Callbacks.
func (s *Store) PutCallbacks(ctx context.Context, callbacks []store.Callback, mark store.CallbackMark) error {
	return s.do(ctx, func(tx *statements) error {
		ctx := context.Background()
		for _, c := range callbacks {
			_, err := tx.ExecContext(ctx, `INSERT INTO callback (app, rule, event, lane, created, attempts, due, dead, replays, target, error, body)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
				c.App, c.Rule, c.Event, c.Lane, c.Created, c.Attempts, c.Due, c.Dead, c.Replays, c.Target, c.Error, notNull(c.Body))
			if err != nil {
				return err
			}
		}
		if mark.ID == 0 {
			return nil
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO callback_mark (app, rule, node, id) VALUES (?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET id = excluded.id WHERE excluded.id > id`, mark.App, mark.Rule, mark.Node, mark.ID)
		return err
	})
}

func (s *Store) execute(ctx context.Context, query string, args ...any) error {
	_, err := s.affected(ctx, query, args...)
	return err
}

// affected runs a statement and returns how many rows it has changed.
func (s *Store) affected(ctx context.Context, query string, args ...any) (int, error) {
	var count int64 // the job's until it is done: the context may end before
	err := s.do(ctx, func(tx *statements) error {
		result, err := tx.ExecContext(context.Background(), query, args...)
		if err == nil {
			count, err = result.RowsAffected()
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	return int(count), nil
}

// DropCallbackMark implements store.Callbacks.
func (s *Store) DropCallbackMark(ctx context.Context, m store.CallbackMark) error {
	return s.execute(ctx, "DELETE FROM callback_mark WHERE app = ? AND rule = ? AND node = ? AND id <= ?", m.App, m.Rule, m.Node, m.ID)
}

// DropCallbackMarks implements store.Callbacks.
func (s *Store) DropCallbackMarks(ctx context.Context, app int64, rule string) error {
	return s.execute(ctx, "DELETE FROM callback_mark WHERE app = ? AND rule = ?", app, rule)
}

// DropCallbacks implements store.Callbacks.
func (s *Store) DropCallbacks(ctx context.Context, app int64, rule string) error {
	return s.execute(ctx, "DELETE FROM callback WHERE app = ? AND rule = ?", app, rule)
}

// DueCallbacks implements store.Callbacks.
func (s *Store) DueCallbacks(ctx context.Context, now int64, limit int) ([]store.CallbackMark, error) {
	rows, err := s.readDB.QueryContext(ctx, "SELECT DISTINCT app, rule FROM callback WHERE dead = 0 AND due <= ? LIMIT ?", now, limit)
	return all(rows, err, func(r row) (m store.CallbackMark, err error) { return m, r.Scan(&m.App, &m.Rule) })
}

// TakeCallbacks implements store.Callbacks.
func (s *Store) TakeCallbacks(ctx context.Context, app int64, rule string, now, again int64, limit int) ([]store.Callback, error) {
	var taken []store.Callback // the job's until it is done: the context may end before
	err := s.do(ctx, func(tx *statements) error {
		rows, err := tx.QueryContext(context.Background(), `UPDATE callback SET due = ?4 WHERE id IN
			(SELECT id FROM callback WHERE app = ?1 AND rule = ?2 AND dead = 0 AND due <= ?3 ORDER BY id LIMIT ?5) RETURNING `+callbackColumns,
			app, rule, now, again, limit)
		taken, err = all(rows, err, scanCallback)
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(taken, func(a, b store.Callback) int { return int(a.ID - b.ID) })
	return taken, nil
}

// RetryCallback implements store.Callbacks.
func (s *Store) RetryCallback(ctx context.Context, c store.Callback) error {
	return s.execute(ctx, "UPDATE callback SET attempts = ?, due = ?, dead = ?, error = ? WHERE id = ?", c.Attempts, c.Due, c.Dead, c.Error, c.ID)
}

// ExpireCallbacks implements store.Callbacks.
func (s *Store) ExpireCallbacks(ctx context.Context, app int64, rule string, before, now int64) (int, error) {
	const old = "app = ? AND rule = ? AND dead = 0 AND created < ? AND replays = 0"
	var some bool
	err := s.readDB.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM callback WHERE "+old+")", app, rule, before).Scan(&some)
	if err != nil || !some {
		return 0, err
	}
	return s.affected(ctx, "UPDATE callback SET dead = ? WHERE "+old, now, app, rule, before)
}

// FinishCallbacks implements store.Callbacks.
func (s *Store) FinishCallbacks(ctx context.Context, ids []int64) error {
	return s.execute(ctx, "DELETE FROM callback WHERE id IN (SELECT value FROM json_each(?))", asJSON(ids))
}

// deadWhere is the condition of a query, and its arguments.
func deadWhere(app int64, q store.DeadQuery) (where string, args []any) {
	where, args = "app = ? AND dead > 0 AND created >= ? AND created < ?", []any{app, q.Since, math.MaxInt64}
	if q.Until != 0 {
		args[2] = q.Until
	}
	if q.IDs != nil {
		where, args = where+" AND id IN (SELECT value FROM json_each(?))", append(args, asJSON(q.IDs))
	}
	if q.Rule != "" {
		where, args = where+" AND rule = ?", append(args, q.Rule)
	}
	return where, args
}

// ListDeadCallbacks implements store.Callbacks.
func (s *Store) ListDeadCallbacks(ctx context.Context, app int64, q store.DeadQuery) ([]store.Callback, error) {
	where, args := deadWhere(app, q)
	if q.Below != 0 {
		where, args = where+" AND id < ?", append(args, q.Below)
	}
	rows, err := s.readDB.QueryContext(ctx, fmt.Sprintf("SELECT %s FROM callback WHERE %s ORDER BY id DESC LIMIT ?", callbackColumns, where),
		append(args, q.Limit)...)
	return all(rows, err, scanCallback)
}

// CountDeadCallbacks implements store.Callbacks.
func (s *Store) CountDeadCallbacks(ctx context.Context, app int64) ([]store.DeadCallbacks, error) {
	rows, err := s.readDB.QueryContext(ctx, `SELECT created / 600000 * 600000 AS since, COUNT(*), MAX(replays) FROM callback
		WHERE app = ? AND dead > 0 GROUP BY since ORDER BY since`, app)
	return all(rows, err, func(r row) (d store.DeadCallbacks, err error) { return d, r.Scan(&d.From, &d.Count, &d.Replays) })
}

// ReplayCallbacks implements store.Callbacks.
func (s *Store) ReplayCallbacks(ctx context.Context, app int64, q store.DeadQuery, now int64, target string) (int, error) {
	where, args := deadWhere(app, q)
	return s.affected(ctx, "UPDATE callback SET dead = 0, attempts = 0, replays = replays + 1, due = ?, target = ? WHERE "+where,
		append([]any{now, target}, args...)...)
}

// ForgetCallbacks implements store.Callbacks.
func (s *Store) ForgetCallbacks(ctx context.Context, before int64, limit int) (int, error) {
	return s.affected(ctx, "DELETE FROM callback WHERE id IN (SELECT id FROM callback WHERE dead > 0 AND dead < ? LIMIT ?)", before, limit)
}

// CallbackBacklog implements store.Callbacks.
func (s *Store) CallbackBacklog(ctx context.Context) (count int, oldest int64, err error) {
	err = s.readDB.QueryRowContext(ctx, "SELECT COUNT(*), COALESCE(MIN(created), 0) FROM callback WHERE dead = 0").Scan(&count, &oldest)
	return count, oldest, err
}
