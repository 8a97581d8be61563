package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/stoa-chat/stoa/internal/store"
)

// SetPush implements store.Push.
func (s *Store) SetPush(ctx context.Context, user int64, p store.PushSetting, limit int) error {
	return s.relate(ctx, func(tx *statements) error {
		ctx := context.Background()
		if p.Type == "" && p.Until == 0 && p.Quiet == "" {
			_, err := tx.ExecContext(ctx, "DELETE FROM push_setting WHERE user = ? AND scope = ? AND target = ?", user, p.Scope, p.Target)
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO push_setting (user, scope, target, type, until, quiet) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET type = excluded.type, until = excluded.until, quiet = excluded.quiet`,
			user, p.Scope, p.Target, p.Type, p.Until, p.Quiet)
		if err != nil {
			return err
		}
		if full, err := exists(tx, "SELECT COUNT(*) > ? FROM push_setting WHERE user = ?", limit, user); err != nil {
			return err
		} else if full {
			return store.ErrFull
		}
		return nil
	}, user)
}

const pushColumns = "id, scope, target, type, until, quiet"

func scanPush(r row) (p store.PushSetting, err error) {
	return p, r.Scan(&p.Row, &p.Scope, &p.Target, &p.Type, &p.Until, &p.Quiet)
}

// PushSettings implements store.Push.
func (s *Store) PushSettings(ctx context.Context, user int64, keys []store.PushKey) ([]store.PushSetting, error) {
	wanted, err := json.Marshal(keys)
	if err != nil {
		return nil, err
	}
	rows, err := s.readDB.QueryContext(ctx, "SELECT "+pushColumns+` FROM push_setting WHERE user = ? AND (scope, target) IN
		(SELECT value ->> 'Scope', value ->> 'Target' FROM json_each(?)) ORDER BY id`, user, string(wanted))
	return all(rows, err, scanPush)
}

// PushSettingsOf implements store.Push.
func (s *Store) PushSettingsOf(ctx context.Context, keys []store.UserPushKey) ([]store.UserPushSetting, error) {
	rows, err := s.readDB.QueryContext(ctx, `SELECT p.user, p.id, p.scope, p.target, p.type, p.until, p.quiet FROM json_each(?) k CROSS JOIN push_setting p
		ON p.user = k.value ->> 'User' AND p.scope = k.value ->> 'Scope' AND p.target = k.value ->> 'Target'`, asJSON(keys))
	return all(rows, err, func(r row) (p store.UserPushSetting, err error) {
		return p, r.Scan(&p.User, &p.Row, &p.Scope, &p.Target, &p.Type, &p.Until, &p.Quiet)
	})
}

// ListPushTypes implements store.Push.
func (s *Store) ListPushTypes(ctx context.Context, user, above int64, limit int) ([]store.PushSetting, error) {
	rows, err := s.readDB.QueryContext(ctx, "SELECT "+pushColumns+` FROM push_setting
		WHERE user = ? AND id > ? AND scope <> 0 AND type <> '' ORDER BY id LIMIT ?`, user, above, limit)
	return all(rows, err, scanPush)
}

// SetPushUser implements store.Push.
func (s *Store) SetPushUser(ctx context.Context, user int64, u store.PushUser) error {
	return s.relate(ctx, func(tx *statements) error {
		_, err := tx.ExecContext(context.Background(), "INSERT OR REPLACE INTO push_user (user, language, detailed, template) VALUES (?, ?, ?, ?)",
			user, u.Language, u.Detailed, u.Template)
		return err
	}, user)
}

// PushUserOf implements store.Push.
func (s *Store) PushUserOf(ctx context.Context, user int64) (u store.PushUser, err error) {
	err = s.readDB.QueryRowContext(ctx, "SELECT language, detailed, template FROM push_user WHERE user = ?", user).
		Scan(&u.Language, &u.Detailed, &u.Template)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return u, err
}

// BindPushToken implements store.Push.
func (s *Store) BindPushToken(ctx context.Context, t store.PushToken, limit int) error {
	return s.relate(ctx, func(tx *statements) error {
		ctx := context.Background()
		_, err := tx.ExecContext(ctx, "DELETE FROM push_token WHERE app = ? AND notifier = ? AND token = ?", t.App, t.Notifier, t.Token)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "INSERT OR REPLACE INTO push_token (user, device, app, notifier, token, updated) VALUES (?, ?, ?, ?, ?, ?)",
			t.User, t.Device, t.App, t.Notifier, t.Token, t.Updated)
		if err != nil {
			return err
		}
		if full, err := exists(tx, "SELECT COUNT(*) > ? FROM push_token WHERE user = ?", limit, t.User); err != nil {
			return err
		} else if full {
			return store.ErrFull
		}
		return nil
	}, t.User)
}

// UnbindPushToken implements store.Push.
func (s *Store) UnbindPushToken(ctx context.Context, user int64, device string) error {
	return s.do(ctx, func(tx *statements) error {
		_, err := tx.ExecContext(context.Background(), "DELETE FROM push_token WHERE user = ? AND device = ?", user, device)
		return err
	})
}

// PushTokens implements store.Push.
func (s *Store) PushTokens(ctx context.Context, users []int64) ([]store.PushToken, error) {
	rows, err := s.readDB.QueryContext(ctx, `SELECT app, user, device, notifier, token, updated FROM push_token
		WHERE user IN (SELECT value FROM json_each(?)) ORDER BY user, device`, asJSON(users))
	return all(rows, err, func(r row) (t store.PushToken, err error) {
		return t, r.Scan(&t.App, &t.User, &t.Device, &t.Notifier, &t.Token, &t.Updated)
	})
}

// DropPushToken implements store.Push.
func (s *Store) DropPushToken(ctx context.Context, t store.PushToken) error {
	return s.do(ctx, func(tx *statements) error {
		_, err := tx.ExecContext(context.Background(),
			"DELETE FROM push_token WHERE user = ? AND device = ? AND notifier = ? AND token = ? AND updated = ?",
			t.User, t.Device, t.Notifier, t.Token, t.Updated)
		return err
	})
}
