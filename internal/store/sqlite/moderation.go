package sqlite

import (
	"context"

	"github.com/stoa-chat/stoa/internal/store"
)

// PutRule implements store.Rules.
func (s *Store) PutRule(ctx context.Context, r store.Rule, limit int) error {
	return s.do(ctx, func(tx *statements) error {
		_, err := tx.ExecContext(context.Background(), "INSERT OR REPLACE INTO rule (app, kind, name, definition) VALUES (?, ?, ?, ?)",
			r.App, r.Kind, r.Name, string(r.Definition))
		if err != nil {
			return err
		}
		if full, err := exists(tx, "SELECT COUNT(*) > ? FROM rule WHERE app = ? AND kind = ?", limit, r.App, r.Kind); err != nil {
			return err
		} else if full {
			return store.ErrFull
		}
		return nil
	})
}

// DropRule implements store.Rules.
func (s *Store) DropRule(ctx context.Context, app int64, kind store.RuleKind, name string) error {
	return s.do(ctx, func(tx *statements) error {
		return mustTouch(tx.ExecContext(context.Background(), "DELETE FROM rule WHERE app = ? AND kind = ? AND name = ?", app, kind, name))
	})
}

// ListRules implements store.Rules.
func (s *Store) ListRules(ctx context.Context, kind store.RuleKind) ([]store.Rule, error) {
	rows, err := s.readDB.QueryContext(ctx, "SELECT app, kind, name, definition FROM rule WHERE kind = ? ORDER BY app, name", kind)
	return all(rows, err, func(r row) (rule store.Rule, err error) {
		return rule, r.Scan(&rule.App, &rule.Kind, &rule.Name, &rule.Definition)
	})
}

// PutMutes implements store.Mutes.
func (s *Store) PutMutes(ctx context.Context, app int64, mutes []store.Mute) error {
	var users []int64
	for _, m := range mutes {
		users = append(users, m.User.ID)
	}
	return s.relate(ctx, func(tx *statements) error {
		ctx := context.Background()
		for _, m := range mutes {
			var err error
			if m.Until == 0 {
				_, err = tx.ExecContext(ctx, "DELETE FROM global_mute WHERE app = ? AND user = ? AND scope = ?", app, m.User.ID, m.Scope)
			} else {
				_, err = tx.ExecContext(ctx, "INSERT OR REPLACE INTO global_mute (app, user, scope, name, until) VALUES (?, ?, ?, ?, ?)",
					app, m.User.ID, m.Scope, m.User.Name, m.Until)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}, users...)
}

const muteColumns = "user, name, scope, until"

func scanMute(r row) (m store.Mute, err error) {
	return m, r.Scan(&m.User.ID, &m.User.Name, &m.Scope, &m.Until)
}

// MutesOf implements store.Mutes.
func (s *Store) MutesOf(ctx context.Context, user int64) ([]store.Mute, error) {
	rows, err := s.readDB.QueryContext(ctx, "SELECT "+muteColumns+" FROM global_mute WHERE user = ? ORDER BY scope", user)
	return all(rows, err, scanMute)
}

// ListMutes implements store.Mutes.
func (s *Store) ListMutes(ctx context.Context, app, now int64, offset, limit int) ([]store.Mute, error) {
	rows, err := s.readDB.QueryContext(ctx, "SELECT "+muteColumns+` FROM global_mute WHERE app = ? AND until > ?
		ORDER BY user, scope LIMIT ? OFFSET ?`, app, now, limit, offset)
	return all(rows, err, scanMute)
}

// PutVerdict implements store.Verdicts.
func (s *Store) PutVerdict(ctx context.Context, v store.Verdict, keep int) error {
	return s.do(ctx, func(tx *statements) error {
		ctx := context.Background()
		_, err := tx.ExecContext(ctx, `INSERT INTO verdict (app, rule, action, found, user, name, message, created, meta)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`, v.App, v.Rule, v.Action, v.Found, v.Sender.ID, v.Sender.Name, v.Message, v.Time, notNull(v.Meta))
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM verdict WHERE app = ?1 AND id <=
			(SELECT id FROM verdict WHERE app = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)`, v.App, keep)
		return err
	})
}

// ListVerdicts implements store.Verdicts.
func (s *Store) ListVerdicts(ctx context.Context, app, below int64, limit int) ([]store.Verdict, error) {
	rows, err := s.readDB.QueryContext(ctx, `SELECT id, app, rule, action, found, user, name, message, created, meta FROM verdict
		WHERE app = ?1 AND (?2 = 0 OR id < ?2) ORDER BY id DESC LIMIT ?3`, app, below, limit)
	return all(rows, err, func(r row) (v store.Verdict, err error) {
		return v, r.Scan(&v.Row, &v.App, &v.Rule, &v.Action, &v.Found, &v.Sender.ID, &v.Sender.Name, &v.Message, &v.Time, &v.Meta)
	})
}

// DropVerdict implements store.Verdicts.
func (s *Store) DropVerdict(ctx context.Context, app, row int64) error {
	return s.do(ctx, func(tx *statements) error {
		return mustTouch(tx.ExecContext(context.Background(), "DELETE FROM verdict WHERE app = ? AND id = ?", app, row))
	})
}
