package postgres

import (
	"context"
	"errors"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/stoa-chat/stoa/internal/store"
)

const callbackColumns = "id, app, rule, event, lane, created, attempts, due, dead, replays, target, error, body"

// CallbackMark implements store.Callbacks.
func (s *Store) CallbackMark(ctx context.Context, app int64, rule string, node int) (id int64, err error) {
	err = s.pool.QueryRow(ctx, "SELECT id FROM callback_mark WHERE app = $1 AND rule = $2 AND node = $3", app, rule, node).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return id, wrap("read callback mark", err)
}

// LostCallbackMarks implements store.Callbacks.
func (s *Store) LostCallbackMarks(ctx context.Context, now, until int64, limit int) ([]store.CallbackMark, error) {
	rows, err := s.pool.Query(ctx, `
		WITH lost AS (
			SELECT m.app, m.rule, m.node FROM callback_mark m JOIN node n ON n.number = m.node
			WHERE n.until <= $1 AND m.taken <= $1 LIMIT $3 FOR UPDATE OF m SKIP LOCKED)
		UPDATE callback_mark m SET taken = $2 FROM lost WHERE m.app = lost.app AND m.rule = lost.rule AND m.node = lost.node
		RETURNING m.app, m.rule, m.node, m.id`, now, until, limit)
	return collect[store.CallbackMark]("take callback marks", rows, err)
}

// PutCallbacks implements store.Callbacks.
func (s *Store) PutCallbacks(ctx context.Context, callbacks []store.Callback, mark store.CallbackMark) error {
	batch := &pgx.Batch{}
	for _, c := range callbacks {
		batch.Queue(`
			INSERT INTO callback (app, rule, event, lane, created, attempts, due, dead, replays, target, error, body)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING`,
			c.App, c.Rule, c.Event, c.Lane, c.Created, c.Attempts, c.Due, c.Dead, c.Replays, c.Target, c.Error, c.Body)
	}
	if mark.ID != 0 {
		batch.Queue(`
			INSERT INTO callback_mark AS old (app, rule, node, id) VALUES ($1, $2, $3, $4)
			ON CONFLICT (app, rule, node) DO UPDATE SET id = excluded.id WHERE old.id < excluded.id`, mark.App, mark.Rule, mark.Node, mark.ID)
	}
	return wrap("put callbacks", s.pool.SendBatch(ctx, batch).Close())
}

// DropCallbackMark implements store.Callbacks.
func (s *Store) DropCallbackMark(ctx context.Context, m store.CallbackMark) error {
	_, err := s.pool.Exec(ctx, "DELETE FROM callback_mark WHERE app = $1 AND rule = $2 AND node = $3 AND id <= $4", m.App, m.Rule, m.Node, m.ID)
	return wrap("drop callback mark", err)
}

// DropCallbackMarks implements store.Callbacks.
func (s *Store) DropCallbackMarks(ctx context.Context, app int64, rule string) error {
	_, err := s.pool.Exec(ctx, "DELETE FROM callback_mark WHERE app = $1 AND rule = $2", app, rule)
	return wrap("drop callback marks", err)
}

// DropCallbacks implements store.Callbacks.
func (s *Store) DropCallbacks(ctx context.Context, app int64, rule string) error {
	_, err := s.pool.Exec(ctx, "DELETE FROM callback WHERE app = $1 AND rule = $2", app, rule)
	return wrap("drop callbacks", err)
}

// DueCallbacks implements store.Callbacks.
func (s *Store) DueCallbacks(ctx context.Context, now int64, limit int) ([]store.CallbackMark, error) {
	rows, err := s.pool.Query(ctx, "SELECT DISTINCT app, rule, 0, 0::bigint FROM callback WHERE dead = 0 AND due <= $1 LIMIT $2", now, limit)
	return collect[store.CallbackMark]("find due callbacks", rows, err)
}

// TakeCallbacks implements store.Callbacks.
func (s *Store) TakeCallbacks(ctx context.Context, app int64, rule string, now, again int64, limit int) ([]store.Callback, error) {
	rows, err := s.pool.Query(ctx, `
		WITH due AS (
			SELECT id AS row FROM callback WHERE app = $1 AND rule = $2 AND dead = 0 AND due <= $3
			ORDER BY id LIMIT $5 FOR UPDATE SKIP LOCKED)
		UPDATE callback SET due = $4 FROM due WHERE id = due.row RETURNING `+callbackColumns, app, rule, now, again, limit)
	taken, err := collect[store.Callback]("take callbacks", rows, err)
	slices.SortFunc(taken, func(a, b store.Callback) int { return int(a.ID - b.ID) })
	return taken, err
}

// RetryCallback implements store.Callbacks.
func (s *Store) RetryCallback(ctx context.Context, c store.Callback) error {
	_, err := s.pool.Exec(ctx, "UPDATE callback SET attempts = $2, due = $3, dead = $4, error = $5 WHERE id = $1", c.ID, c.Attempts, c.Due, c.Dead, c.Error)
	return wrap("retry callback", err)
}

// ExpireCallbacks implements store.Callbacks.
func (s *Store) ExpireCallbacks(ctx context.Context, app int64, rule string, before, now int64) (int, error) {
	tag, err := s.pool.Exec(ctx, "UPDATE callback SET dead = $4 WHERE app = $1 AND rule = $2 AND dead = 0 AND created < $3 AND replays = 0", app, rule, before, now)
	return int(tag.RowsAffected()), wrap("expire callbacks", err)
}

// FinishCallbacks implements store.Callbacks.
func (s *Store) FinishCallbacks(ctx context.Context, ids []int64) error {
	_, err := s.pool.Exec(ctx, "DELETE FROM callback WHERE id = ANY($1)", ids)
	return wrap("finish callbacks", err)
}

// deadWhere is the condition of a query, with the arguments 1 to 5 that deadArgs gives.
const deadWhere = `app = $1 AND dead > 0 AND created >= $2 AND created < $3 AND ($4::bigint[] IS NULL OR id = ANY($4)) AND ($5 = '' OR rule = $5)`

func deadArgs(app int64, q store.DeadQuery) []any {
	until := q.Until
	if until == 0 {
		until = math.MaxInt64
	}
	return []any{app, q.Since, until, q.IDs, q.Rule}
}

// ListDeadCallbacks implements store.Callbacks.
func (s *Store) ListDeadCallbacks(ctx context.Context, app int64, q store.DeadQuery) ([]store.Callback, error) {
	below := q.Below
	if below == 0 {
		below = math.MaxInt64
	}
	rows, err := s.pool.Query(ctx, "SELECT "+callbackColumns+" FROM callback WHERE "+deadWhere+" AND id < $6 ORDER BY id DESC LIMIT $7",
		append(deadArgs(app, q), below, q.Limit)...)
	return collect[store.Callback]("list dead callbacks", rows, err)
}

// CountDeadCallbacks implements store.Callbacks.
func (s *Store) CountDeadCallbacks(ctx context.Context, app int64) ([]store.DeadCallbacks, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT created / 600000 * 600000 AS since, COUNT(*), MAX(replays) FROM callback WHERE app = $1 AND dead > 0
		GROUP BY since ORDER BY since`, app)
	return collect[store.DeadCallbacks]("count dead callbacks", rows, err)
}

// ReplayCallbacks implements store.Callbacks.
func (s *Store) ReplayCallbacks(ctx context.Context, app int64, q store.DeadQuery, now int64, target string) (int, error) {
	tag, err := s.pool.Exec(ctx, "UPDATE callback SET dead = 0, attempts = 0, replays = replays + 1, due = $6, target = $7 WHERE "+deadWhere,
		append(deadArgs(app, q), now, target)...)
	return int(tag.RowsAffected()), wrap("replay callbacks", err)
}

// ForgetCallbacks implements store.Callbacks.
func (s *Store) ForgetCallbacks(ctx context.Context, before int64, limit int) (int, error) {
	tag, err := s.pool.Exec(ctx, "DELETE FROM callback WHERE id IN (SELECT id FROM callback WHERE dead > 0 AND dead < $1 LIMIT $2)", before, limit)
	return int(tag.RowsAffected()), wrap("forget callbacks", err)
}

// CallbackBacklog implements store.Callbacks.
func (s *Store) CallbackBacklog(ctx context.Context) (count int, oldest int64, err error) {
	err = s.pool.QueryRow(ctx, "SELECT COUNT(*), COALESCE(MIN(created), 0) FROM callback WHERE dead = 0").Scan(&count, &oldest)
	return count, oldest, wrap("count callbacks", err)
}
