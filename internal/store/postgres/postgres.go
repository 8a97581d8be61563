// Package postgres keeps the store in PostgreSQL, for many nodes.
//
// Each node gathers the entries that its callers append while earlier ones are on their way to the disk, and writes what
// has gathered in one transaction (append.go). All else is a statement or a short transaction of its own.
package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/stoa-chat/stoa/internal/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

// minConns is how many connections a node may at least use, for all that it does. The URL may ask for
// more (pool_max_conns).
const minConns = 10

// Store is a store.Store in a PostgreSQL database, which other nodes may use at the same time.
type Store struct {
	log     *slog.Logger
	pool    *pgxpool.Pool
	queue   queue
	known   map[store.Key]int64 // numbers of timelines; the committer's alone
	backlog backlog
	closed  sync.Once
	done    sync.WaitGroup
}

var _ store.Store = (*Store)(nil)

// Open connects to the database with that URL and brings its tables up to date. Several nodes may do so at once.
func Open(ctx context.Context, url string, log *slog.Logger) (*Store, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("read database URL: %w", err)
	}
	config.MaxConns = max(config.MaxConns, minConns)
	for name, value := range map[string]string{
		"application_name": "stoa",
		// What is acknowledged is on disk, whatever the server's default is.
		"synchronous_commit": "on",
		// Statements after a lock see what was written before it was given.
		"default_transaction_isolation": "read committed",
		// All statements go by an index. The engine, which keeps plans, would scan tables from end to end because they
		// were empty when it made the plan.
		"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off", "jit": "off",
		// A node that stops within a transaction must not keep its timelines locked for the others.
		"idle_in_transaction_session_timeout": "10000",
	} {
		config.ConnConfig.RuntimeParams[name] = value
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if err := migrate(ctx, pool); err != nil {
		pool.Close()
		return nil, err
	}
	s := &Store{log: log, pool: pool}
	s.queue.init()
	s.done.Go(s.commitAll)
	return s, nil
}

// migrate runs under a lock of the database, so that one node migrates and the others wait.
func migrate(ctx context.Context, pool *pgxpool.Pool) error {
	const lock = 0x73746f61 // "stoa"
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	// The lock belongs to the connection: it is gone when this is closed, whatever happens.
	conn, err := pgx.ConnectConfig(ctx, pool.Config().ConnConfig)
	if err != nil {
		return fmt.Errorf("connect to database: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", lock); err != nil {
		return fmt.Errorf("lock database: %w", err)
	}
	db := stdlib.OpenDBFromPool(pool)
	defer db.Close()
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files)
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate database: %w", err)
	}
	return nil
}

// Ping implements store.Store.
func (s *Store) Ping(ctx context.Context) error { return s.pool.Ping(ctx) }

// Close writes what was accepted and closes the connections.
func (s *Store) Close() error {
	s.closed.Do(func() {
		s.queue.close()
		s.done.Wait()
		s.pool.Close()
	})
	return nil
}

// tx runs a transaction. It is rolled back if run returns an error.
func (s *Store) tx(ctx context.Context, run func(tx pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, s.pool, run)
}

// wrap says what could not be done, and turns the engine's errors into those of the store package.
func wrap(what string, err error) error {
	const uniqueViolation = "23505"
	var engine *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pgx.ErrNoRows), errors.Is(err, store.ErrNotFound):
		return store.ErrNotFound
	case errors.As(err, &engine) && engine.Code == uniqueViolation:
		return store.ErrExists
	}
	return fmt.Errorf("%s: %w", what, err)
}

// affected turns a statement that has touched nothing into an error.
func affected(tag pgconn.CommandTag, err, none error) error {
	if err == nil && tag.RowsAffected() == 0 {
		return none
	}
	return err
}

// some returns bytes that are not NULL for the engine.
func some(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
