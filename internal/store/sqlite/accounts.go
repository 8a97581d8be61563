package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/stoa-chat/stoa/internal/store"
)

const appColumns = "id, org, name, uuid, agora_id, certificate, certificate2, client_id, client_secret, signing_key, settings, created"

// CreateApp implements store.Apps.
func (s *Store) CreateApp(ctx context.Context, a store.App) (store.App, error) {
	err := s.do(ctx, func(tx *statements) error {
		return tx.QueryRowContext(context.Background(), `INSERT INTO app
			(org, name, uuid, agora_id, certificate, certificate2, client_id, client_secret, signing_key, settings, created)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id`,
			a.Org, a.Name, a.UUID, a.AgoraID, a.Certificate, a.Certificate2, a.ClientID, a.ClientSecret, a.SigningKey, a.Settings, a.Created).Scan(&a.ID)
	})
	return a, err
}

// Apps implements store.Apps.
func (s *Store) Apps(ctx context.Context) ([]store.App, error) {
	rows, err := s.readDB.QueryContext(ctx, "SELECT "+appColumns+" FROM app ORDER BY id")
	if err != nil {
		return nil, fmt.Errorf("read apps: %w", err)
	}
	defer rows.Close()
	var apps []store.App
	for rows.Next() {
		var a store.App
		if err := rows.Scan(&a.ID, &a.Org, &a.Name, &a.UUID, &a.AgoraID, &a.Certificate, &a.Certificate2,
			&a.ClientID, &a.ClientSecret, &a.SigningKey, &a.Settings, &a.Created); err != nil {
			return nil, fmt.Errorf("read app: %w", err)
		}
		apps = append(apps, a)
	}
	return apps, rows.Err()
}

// SaveAppSettings implements store.Apps.
func (s *Store) SaveAppSettings(ctx context.Context, app int64, settings []byte) error {
	return s.do(ctx, func(tx *statements) error {
		return mustTouch(tx.ExecContext(context.Background(), "UPDATE app SET settings = ? WHERE id = ?", settings, app))
	})
}

// mustTouch turns "no row changed" into ErrNotFound.
func mustTouch(result sql.Result, err error) error {
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n > 0 {
		return err
	}
	return store.ErrNotFound
}

const userColumns = "id, app, name, uuid, nickname, password, active, generation, created, modified"

type row interface{ Scan(...any) error }

func scanUser(r row) (u store.User, err error) {
	err = r.Scan(&u.ID, &u.App, &u.Name, &u.UUID, &u.Nickname, &u.PasswordHash, &u.Active, &u.Generation, &u.Created, &u.Modified)
	return u, storeError(err)
}

// CreateUser implements store.Users.
func (s *Store) CreateUser(ctx context.Context, u store.User) (store.User, error) {
	err := s.do(ctx, func(tx *statements) error {
		return tx.QueryRowContext(context.Background(), `INSERT INTO user
			(app, name, uuid, nickname, password, active, generation, created, modified)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id`,
			u.App, u.Name, u.UUID, u.Nickname, u.PasswordHash, u.Active, u.Generation, u.Created, u.Modified).Scan(&u.ID)
	})
	return u, err
}

// User implements store.Users.
func (s *Store) User(ctx context.Context, app int64, name string) (store.User, error) {
	return scanUser(s.readDB.QueryRowContext(ctx, "SELECT "+userColumns+" FROM user WHERE app = ? AND name = ?", app, name))
}

// UserByID implements store.Users.
func (s *Store) UserByID(ctx context.Context, id int64) (store.User, error) {
	return scanUser(s.readDB.QueryRowContext(ctx, "SELECT "+userColumns+" FROM user WHERE id = ?", id))
}

// UserByUUID implements store.Users.
func (s *Store) UserByUUID(ctx context.Context, app int64, uuid string) (store.User, error) {
	return scanUser(s.readDB.QueryRowContext(ctx, "SELECT "+userColumns+" FROM user WHERE app = ? AND uuid = ?", app, uuid))
}

// ListUsers implements store.Users.
func (s *Store) ListUsers(ctx context.Context, app, after int64, limit int) ([]store.User, error) {
	rows, err := s.readDB.QueryContext(ctx, "SELECT "+userColumns+" FROM user WHERE id > ? AND app = ? ORDER BY id LIMIT ?", after, app, limit)
	if err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	defer rows.Close()
	var users []store.User
	for rows.Next() {
		u, err := scanUser(rows)
		if err != nil {
			return nil, fmt.Errorf("read user: %w", err)
		}
		users = append(users, u)
	}
	return users, rows.Err()
}

// UpdateUser implements store.Users.
func (s *Store) UpdateUser(ctx context.Context, id, now int64, change store.UserChange) (u store.User, err error) {
	err = s.do(ctx, func(tx *statements) (err error) {
		u, err = scanUser(tx.QueryRowContext(context.Background(), `UPDATE user SET modified = ?2,
			password = COALESCE(?3, password), nickname = COALESCE(?4, nickname), active = COALESCE(?5, active),
			generation = generation + ?6 WHERE id = ?1 RETURNING `+userColumns,
			id, now, change.PasswordHash, change.Nickname, change.Active, change.Revoke))
		return err
	})
	return u, err
}

// DeleteUser implements store.Users.
func (s *Store) DeleteUser(ctx context.Context, id int64) error {
	err := s.do(ctx, func(tx *statements) error {
		if err := mustTouch(tx.ExecContext(context.Background(), "DELETE FROM user WHERE id = ?", id)); err != nil {
			return err
		}
		for _, table := range []string{"device", "subscription", "cursor", "conversation", "removed", "profile", "presence", "departure", "push_setting", "push_user", "push_token", "notification", "global_mute"} {
			if _, err := tx.ExecContext(context.Background(), "DELETE FROM "+table+" WHERE user = ?", id); err != nil {
				return fmt.Errorf("delete %s rows: %w", table, err)
			}
		}
		for _, table := range []string{"contact", "block", "invitation"} {
			if _, err := tx.ExecContext(context.Background(), "DELETE FROM "+table+" WHERE user = ?1 OR peer = ?1", id); err != nil {
				return fmt.Errorf("delete %s rows: %w", table, err)
			}
		}
		_, err := tx.ExecContext(context.Background(), "DELETE FROM watch WHERE watcher = ?1 OR target = ?1", id)
		if err != nil {
			return err
		}
		if err := unlabel(tx, id); err != nil {
			return err
		}
		return leaveMucs(tx, id)
	})
	if err == nil {
		s.sessions.forget(id)
	}
	return err
}
