package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/stoa-chat/stoa/internal/store"
)

// PutRule implements store.Rules.
func (s *Store) PutRule(ctx context.Context, r store.Rule, limit int) error {
	return storeOrWrap("put rule", s.tx(ctx, func(tx pgx.Tx) error {
		// The app's row is held, so that the limit holds.
		if err := tx.QueryRow(ctx, "SELECT id FROM app WHERE id = $1 FOR NO KEY UPDATE", r.App).Scan(&r.App); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `
			INSERT INTO rule (app, kind, name, definition) VALUES ($1, $2, $3, $4)
			ON CONFLICT (app, kind, name) DO UPDATE SET definition = excluded.definition`, r.App, int16(r.Kind), r.Name, string(r.Definition))
		if err != nil {
			return err
		}
		if full, err := exists(ctx, tx, "SELECT COUNT(*) > $3 FROM rule WHERE app = $1 AND kind = $2", r.App, int16(r.Kind), limit); err != nil {
			return err
		} else if full {
			return store.ErrFull
		}
		return nil
	}))
}

// DropRule implements store.Rules.
func (s *Store) DropRule(ctx context.Context, app int64, kind store.RuleKind, name string) error {
	tag, err := s.pool.Exec(ctx, "DELETE FROM rule WHERE app = $1 AND kind = $2 AND name = $3", app, int16(kind), name)
	return wrap("drop rule", affected(tag, err, store.ErrNotFound))
}

// ListRules implements store.Rules.
func (s *Store) ListRules(ctx context.Context, kind store.RuleKind) ([]store.Rule, error) {
	rows, err := s.pool.Query(ctx, "SELECT app, kind, name, definition::bytea FROM rule WHERE kind = $1 ORDER BY app, name", int16(kind))
	return collect[store.Rule]("list rules", rows, err)
}

// PutMutes implements store.Mutes.
func (s *Store) PutMutes(ctx context.Context, app int64, mutes []store.Mute) error {
	var users []int64
	for _, m := range mutes {
		users = append(users, m.User.ID)
	}
	return s.relate(ctx, "put mutes", func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		for _, m := range mutes {
			if m.Until == 0 {
				batch.Queue("DELETE FROM global_mute WHERE app = $1 AND user_id = $2 AND scope = $3", app, m.User.ID, int16(m.Scope))
				continue
			}
			batch.Queue(`
				INSERT INTO global_mute (app, user_id, scope, name, until) VALUES ($1, $2, $3, $4, $5)
				ON CONFLICT (app, user_id, scope) DO UPDATE SET until = excluded.until`, app, m.User.ID, int16(m.Scope), m.User.Name, m.Until)
		}
		return tx.SendBatch(ctx, batch).Close()
	}, users...)
}

func collectMutes(what string, rows pgx.Rows, err error) ([]store.Mute, error) {
	if err != nil {
		return nil, wrap(what, err)
	}
	mutes, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (m store.Mute, err error) {
		return m, row.Scan(&m.User.ID, &m.User.Name, &m.Scope, &m.Until)
	})
	return mutes, wrap(what, err)
}

// MutesOf implements store.Mutes.
func (s *Store) MutesOf(ctx context.Context, user int64) ([]store.Mute, error) {
	rows, err := s.pool.Query(ctx, "SELECT user_id, name, scope, until FROM global_mute WHERE user_id = $1 ORDER BY scope", user)
	return collectMutes("read mutes", rows, err)
}

// ListMutes implements store.Mutes.
func (s *Store) ListMutes(ctx context.Context, app, now int64, offset, limit int) ([]store.Mute, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT user_id, name, scope, until FROM global_mute WHERE app = $1 AND until > $2
		ORDER BY user_id, scope LIMIT $4 OFFSET $3`, app, now, offset, limit)
	return collectMutes("list mutes", rows, err)
}

// PutVerdict implements store.Verdicts.
func (s *Store) PutVerdict(ctx context.Context, v store.Verdict, keep int) error {
	batch := &pgx.Batch{}
	batch.Queue(`
		INSERT INTO verdict (app, rule, action, found, user_id, name, message, created, meta)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		v.App, v.Rule, v.Action, v.Found, v.Sender.ID, v.Sender.Name, v.Message, v.Time, some(v.Meta))
	batch.Queue(`
		DELETE FROM verdict WHERE app = $1 AND id <=
			(SELECT id FROM verdict WHERE app = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)`, v.App, keep)
	return wrap("put verdict", s.pool.SendBatch(ctx, batch).Close())
}

// ListVerdicts implements store.Verdicts.
func (s *Store) ListVerdicts(ctx context.Context, app, below int64, limit int) ([]store.Verdict, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT id, app, rule, action, found, user_id, name, message, created, meta FROM verdict
		WHERE app = $1 AND ($2::bigint = 0 OR id < $2) ORDER BY id DESC LIMIT $3`, app, below, limit)
	if err != nil {
		return nil, wrap("list verdicts", err)
	}
	verdicts, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (v store.Verdict, err error) {
		err = row.Scan(&v.Row, &v.App, &v.Rule, &v.Action, &v.Found, &v.Sender.ID, &v.Sender.Name, &v.Message, &v.Time, &v.Meta)
		return v, err
	})
	return verdicts, wrap("list verdicts", err)
}

// DropVerdict implements store.Verdicts.
func (s *Store) DropVerdict(ctx context.Context, app, row int64) error {
	tag, err := s.pool.Exec(ctx, "DELETE FROM verdict WHERE app = $1 AND id = $2", app, row)
	return wrap("drop verdict", affected(tag, err, store.ErrNotFound))
}
