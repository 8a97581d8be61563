package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/stoa-chat/stoa/internal/store"
)

// CreateApp implements store.Apps.
func (s *Store) CreateApp(ctx context.Context, a store.App) (store.App, error) {
	err := s.pool.QueryRow(ctx, `
		INSERT INTO app (org, name, uuid, agora_id, certificate, certificate2, client_id, client_secret, signing_key,
			settings, created)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING id`,
		a.Org, a.Name, a.UUID, a.AgoraID, a.Certificate, a.Certificate2, a.ClientID, a.ClientSecret, some(a.SigningKey),
		some(a.Settings), a.Created).Scan(&a.ID)
	return a, wrap("create app", err)
}

// Apps implements store.Apps.
func (s *Store) Apps(ctx context.Context) ([]store.App, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT id, org, name, uuid, agora_id, certificate, certificate2, client_id, client_secret, signing_key, settings,
			created
		FROM app ORDER BY id`)
	if err != nil {
		return nil, wrap("read apps", err)
	}
	apps, err := pgx.CollectRows(rows, pgx.RowToStructByPos[store.App])
	return apps, wrap("read apps", err)
}

// SaveAppSettings implements store.Apps.
func (s *Store) SaveAppSettings(ctx context.Context, app int64, settings []byte) error {
	tag, err := s.pool.Exec(ctx, "UPDATE app SET settings = $2 WHERE id = $1", app, some(settings))
	return wrap("save app settings", affected(tag, err, store.ErrNotFound))
}

// userColumns are in the order of store.User's fields.
const userColumns = "id, app, name, uuid, nickname, password, active, generation, created, modified"

// CreateUser implements store.Users.
func (s *Store) CreateUser(ctx context.Context, u store.User) (store.User, error) {
	err := s.pool.QueryRow(ctx, `
		INSERT INTO users (app, name, uuid, nickname, password, active, generation, created, modified)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id`,
		u.App, u.Name, u.UUID, u.Nickname, u.PasswordHash, u.Active, u.Generation, u.Created, u.Modified).Scan(&u.ID)
	return u, wrap("create user", err)
}

// User implements store.Users.
func (s *Store) User(ctx context.Context, app int64, name string) (store.User, error) {
	return s.oneUser(ctx, "read user", "SELECT "+userColumns+" FROM users WHERE app = $1 AND name = $2", app, name)
}

// UserByID implements store.Users.
func (s *Store) UserByID(ctx context.Context, id int64) (store.User, error) {
	return s.oneUser(ctx, "read user", "SELECT "+userColumns+" FROM users WHERE id = $1", id)
}

// UserByUUID implements store.Users.
func (s *Store) UserByUUID(ctx context.Context, app int64, uuid string) (store.User, error) {
	return s.oneUser(ctx, "read user", "SELECT "+userColumns+" FROM users WHERE app = $1 AND uuid = $2", app, uuid)
}

func (s *Store) oneUser(ctx context.Context, what, query string, args ...any) (store.User, error) {
	rows, err := s.pool.Query(ctx, query, args...)
	if err != nil {
		return store.User{}, wrap(what, err)
	}
	user, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[store.User])
	return user, wrap(what, err)
}

// ListUsers implements store.Users.
func (s *Store) ListUsers(ctx context.Context, app, after int64, limit int) ([]store.User, error) {
	rows, err := s.pool.Query(ctx,
		"SELECT "+userColumns+" FROM users WHERE app = $1 AND id > $2 ORDER BY id LIMIT $3", app, after, limit)
	if err != nil {
		return nil, wrap("list users", err)
	}
	users, err := pgx.CollectRows(rows, pgx.RowToStructByPos[store.User])
	return users, wrap("list users", err)
}

// UpdateUser implements store.Users.
func (s *Store) UpdateUser(ctx context.Context, id, now int64, change store.UserChange) (store.User, error) {
	return s.oneUser(ctx, "update user", `
		UPDATE users SET password = coalesce($3, password), nickname = coalesce($4, nickname),
			active = coalesce($5, active), generation = generation + $6::boolean::integer, modified = $2
		WHERE id = $1 RETURNING `+userColumns,
		id, now, change.PasswordHash, change.Nickname, change.Active, change.Revoke)
}

// DeleteUser implements store.Users. Subscriptions and cursors that are saved meanwhile may stay behind, and harm nobody:
// the user's number is never given again.
func (s *Store) DeleteUser(ctx context.Context, id int64) error {
	return wrap("delete user", s.tx(ctx, func(tx pgx.Tx) error {
		// The user first: who logs in meanwhile holds this row, or finds it gone.
		tag, err := tx.Exec(ctx, "DELETE FROM users WHERE id = $1", id)
		if err := affected(tag, err, store.ErrNotFound); err != nil {
			return err
		}
		batch := &pgx.Batch{}
		for _, table := range []string{"session", "device", "subscription", "cursor", "conversation", "removed", "profile", "presence", "departure", "push_setting", "push_user", "push_token", "notification", "global_mute"} {
			batch.Queue("DELETE FROM "+table+" WHERE user_id = $1", id)
		}
		for _, table := range []string{"contact", "block", "invitation"} {
			// In one order, or two users who know each other and are deleted at once would wait for one another.
			batch.Queue(`
				WITH mine AS (
					SELECT user_id, peer FROM `+table+` WHERE user_id = $1 OR peer = $1 ORDER BY user_id, peer FOR UPDATE
				)
				DELETE FROM `+table+` t USING mine WHERE t.user_id = mine.user_id AND t.peer = mine.peer`, id)
		}
		batch.Queue(`
			WITH mine AS (
				SELECT watcher, target FROM watch WHERE watcher = $1 OR target = $1 ORDER BY watcher, target FOR UPDATE
			)
			DELETE FROM watch w USING mine WHERE w.watcher = mine.watcher AND w.target = mine.target`, id)
		unlabel(batch, id)
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return err
		}
		return leaveMucs(ctx, tx, id)
	}))
}
