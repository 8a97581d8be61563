package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/stoa-chat/stoa/internal/blob"
	"github.com/stoa-chat/stoa/internal/config"
	"github.com/stoa-chat/stoa/internal/migrate"
	"github.com/stoa-chat/stoa/internal/seed"
	"github.com/stoa-chat/stoa/internal/store"
)

// Export writes the archive of an app, org#name, from the database and the files that a configuration names. With SQLite
// the server must be stopped; with PostgreSQL the archive is of the moment at which the export began.
func Export(ctx context.Context, c config.Config, key string, w io.Writer, log *slog.Logger) (m migrate.Manifest, err error) {
	err = withData(ctx, c, log, func(s store.Store, blobs blob.Store) error {
		app, err := findApp(ctx, s, key)
		if err != nil {
			return err
		}
		m, err = migrate.Export(ctx, s, blobs, app, w)
		return err
	})
	return m, err
}

func findApp(ctx context.Context, s store.Store, key string) (store.App, error) {
	apps, err := s.Apps(ctx)
	if err != nil {
		return store.App{}, err
	}
	for _, app := range apps {
		if app.Org+"#"+app.Name == key {
			return app, nil
		}
	}
	return store.App{}, fmt.Errorf("there is no app %q in this database", key)
}

// Seed fills an app, org#name, with users and messages, in the database that a configuration names, and returns how the
// names of the users begin. With SQLite the server must be stopped; with PostgreSQL its nodes should be.
func Seed(ctx context.Context, c config.Config, key string, plan seed.Plan, log *slog.Logger) (prefix string, err error) {
	err = withData(ctx, c, log, func(s store.Store, _ blob.Store) error {
		app, err := findApp(ctx, s, key)
		if err != nil {
			return err
		}
		prefix, err = seed.Fill(ctx, s, app, plan)
		return err
	})
	return prefix, err
}

// Import makes the app of an archive and returns its key. The server must be stopped; nodes that share a PostgreSQL
// database learn of the app when they start next.
func Import(ctx context.Context, c config.Config, r io.Reader, log *slog.Logger) (app string, m migrate.Manifest, err error) {
	err = withData(ctx, c, log, func(s store.Store, blobs blob.Store) error {
		app, m, err = migrate.Import(ctx, s, blobs, r)
		if errors.Is(err, store.ErrExists) {
			return fmt.Errorf("the database has app %s, or one with its App ID or client id: %w", app, err)
		}
		return err
	})
	return app, m, err
}

// withData opens the database and the files for what runs without a server.
func withData(ctx context.Context, c config.Config, log *slog.Logger, run func(store.Store, blob.Store) error) error {
	s, err := openStore(ctx, c, log)
	if err != nil {
		return err
	}
	blobs, err := openBlobs(ctx, c, log)
	if err == nil {
		err = run(s, blobs)
	}
	return errors.Join(err, s.Close())
}
