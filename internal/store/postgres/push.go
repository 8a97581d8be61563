package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/stoa-chat/stoa/internal/store"
)

// SetPush implements store.Push.
func (s *Store) SetPush(ctx context.Context, user int64, p store.PushSetting, limit int) error {
	return s.relate(ctx, "set push", func(tx pgx.Tx) error {
		if p.Type == "" && p.Until == 0 && p.Quiet == "" {
			_, err := tx.Exec(ctx, "DELETE FROM push_setting WHERE user_id = $1 AND scope = $2 AND target = $3", user, p.Scope, p.Target)
			return err
		}
		_, err := tx.Exec(ctx, `
			INSERT INTO push_setting (user_id, scope, target, type, until, quiet) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (user_id, scope, target) DO UPDATE SET type = excluded.type, until = excluded.until, quiet = excluded.quiet`,
			user, p.Scope, p.Target, p.Type, p.Until, p.Quiet)
		if err != nil {
			return err
		}
		if full, err := exists(ctx, tx, "SELECT count(*) > $2 FROM push_setting WHERE user_id = $1", user, limit); err != nil {
			return err
		} else if full {
			return store.ErrFull
		}
		return nil
	}, user)
}

const pushColumns = "id, p.scope, p.target, type, until, quiet"

func collectPush(rows pgx.Rows, err error) ([]store.PushSetting, error) {
	if err != nil {
		return nil, wrap("read push settings", err)
	}
	settings, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p store.PushSetting, err error) {
		return p, row.Scan(&p.Row, &p.Scope, &p.Target, &p.Type, &p.Until, &p.Quiet)
	})
	return settings, wrap("read push settings", err)
}

// PushSettings implements store.Push.
func (s *Store) PushSettings(ctx context.Context, user int64, keys []store.PushKey) ([]store.PushSetting, error) {
	scopes, targets := make([]int16, len(keys)), make([]string, len(keys))
	for i, key := range keys {
		scopes[i], targets[i] = int16(key.Scope), key.Target
	}
	return collectPush(s.pool.Query(ctx, "SELECT "+pushColumns+` FROM unnest($2::smallint[], $3::text[]) k (scope, target)
		JOIN push_setting p ON p.user_id = $1 AND p.scope = k.scope AND p.target = k.target ORDER BY id`, user, scopes, targets))
}

// PushSettingsOf implements store.Push.
func (s *Store) PushSettingsOf(ctx context.Context, keys []store.UserPushKey) ([]store.UserPushSetting, error) {
	users, scopes, targets := make([]int64, len(keys)), make([]int16, len(keys)), make([]string, len(keys))
	for i, key := range keys {
		users[i], scopes[i], targets[i] = key.User, int16(key.Scope), key.Target
	}
	rows, err := s.pool.Query(ctx, `
		SELECT p.user_id, p.id, p.scope, p.target, p.type, p.until, p.quiet FROM unnest($1::bigint[], $2::smallint[], $3::text[]) k (user_id, scope, target)
		JOIN push_setting p ON p.user_id = k.user_id AND p.scope = k.scope AND p.target = k.target`, users, scopes, targets)
	settings, err := all(rows, err, func(row pgx.CollectableRow) (p store.UserPushSetting, err error) {
		return p, row.Scan(&p.User, &p.Row, &p.Scope, &p.Target, &p.Type, &p.Until, &p.Quiet)
	})
	return settings, wrap("read push settings", err)
}

// ListPushTypes implements store.Push.
func (s *Store) ListPushTypes(ctx context.Context, user, above int64, limit int) ([]store.PushSetting, error) {
	return collectPush(s.pool.Query(ctx, "SELECT "+pushColumns+` FROM push_setting p
		WHERE user_id = $1 AND id > $2 AND scope <> 0 AND type <> '' ORDER BY id LIMIT $3`, user, above, limit))
}

// SetPushUser implements store.Push.
func (s *Store) SetPushUser(ctx context.Context, user int64, u store.PushUser) error {
	return s.relate(ctx, "set push user", func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
			INSERT INTO push_user (user_id, language, detailed, template) VALUES ($1, $2, $3, $4)
			ON CONFLICT (user_id) DO UPDATE SET language = excluded.language, detailed = excluded.detailed, template = excluded.template`,
			user, u.Language, u.Detailed, u.Template)
		return err
	}, user)
}

// PushUserOf implements store.Push.
func (s *Store) PushUserOf(ctx context.Context, user int64) (u store.PushUser, err error) {
	err = s.pool.QueryRow(ctx, "SELECT language, detailed, template FROM push_user WHERE user_id = $1", user).
		Scan(&u.Language, &u.Detailed, &u.Template)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return u, wrap("read push user", err)
}

// BindPushToken implements store.Push.
func (s *Store) BindPushToken(ctx context.Context, t store.PushToken, limit int) error {
	return s.relate(ctx, "bind push token", func(tx pgx.Tx) error {
		// Two users who bind the same token at once wait for each other here: the index holds one row of it.
		_, err := tx.Exec(ctx, "DELETE FROM push_token WHERE app = $1 AND notifier = $2 AND token = $3", t.App, t.Notifier, t.Token)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
			INSERT INTO push_token (user_id, device, app, notifier, token, updated) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (user_id, device) DO UPDATE SET notifier = excluded.notifier, token = excluded.token, updated = excluded.updated`,
			t.User, t.Device, t.App, t.Notifier, t.Token, t.Updated)
		if err != nil {
			return err
		}
		if full, err := exists(ctx, tx, "SELECT count(*) > $2 FROM push_token WHERE user_id = $1", t.User, limit); err != nil {
			return err
		} else if full {
			return store.ErrFull
		}
		return nil
	}, t.User)
}

// UnbindPushToken implements store.Push.
func (s *Store) UnbindPushToken(ctx context.Context, user int64, device string) error {
	_, err := s.pool.Exec(ctx, "DELETE FROM push_token WHERE user_id = $1 AND device = $2", user, device)
	return wrap("unbind push token", err)
}

// PushTokens implements store.Push.
func (s *Store) PushTokens(ctx context.Context, users []int64) ([]store.PushToken, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT app, user_id, device, notifier, token, updated FROM push_token WHERE user_id = ANY($1) ORDER BY user_id, device`, users)
	return collect[store.PushToken]("read push tokens", rows, err)
}

// DropPushToken implements store.Push.
func (s *Store) DropPushToken(ctx context.Context, t store.PushToken) error {
	_, err := s.pool.Exec(ctx, `
		DELETE FROM push_token WHERE user_id = $1 AND device = $2 AND notifier = $3 AND token = $4 AND updated = $5`,
		t.User, t.Device, t.Notifier, t.Token, t.Updated)
	return wrap("drop push token", err)
}
