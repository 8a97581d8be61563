// Package sqlite keeps the store in one SQLite file, for one node. It is the default.
//
// All writes go through one goroutine that commits in groups: while one commit is on its way to the disk, what arrives
// gathers for the next (synchronous=FULL, write-ahead log). Reads use connections of their own and see the last commit.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/pressly/goose/v3"
	sqlite3 "modernc.org/sqlite"

	"github.com/stoa-chat/stoa/internal/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Store is a store.Store in one SQLite file. Sessions are kept in memory: there is one node.
type Store struct {
	log      *slog.Logger
	lock     *os.File // held while the folder is ours
	writeDB  *sql.DB
	readPool *sql.DB
	readDB   *statements // in readPool
	pushDB   *sql.DB     // moves the log into the database

	writer   writer
	timeline timelines
	sessions sessions

	stop   chan struct{}
	closed sync.Once
	done   sync.WaitGroup
}

// Open opens the database in a folder, and makes both if they are missing. A folder belongs to one process at a time.
func Open(ctx context.Context, folder string, log *slog.Logger) (*Store, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	lock, err := lockFolder(folder)
	if err != nil {
		return nil, err
	}
	s := &Store{log: log, lock: lock, stop: make(chan struct{})}
	if err := s.open(ctx, filepath.Join(folder, "stoa.db")); err != nil {
		s.shut()
		return nil, err
	}
	return s, nil
}

func lockFolder(folder string) (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(folder, "stoa.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("data folder %s is in use by another process: %w", folder, err)
	}
	return lock, nil
}

func (s *Store) open(ctx context.Context, path string) error {
	var err error
	// The background checkpoint (below) does most of the work; 4,000 pages is where the writer does the rest itself.
	// Migrations do not wait for the disk one by one: what a power cut takes is done again, and the writer's first commit
	// (writer.open) takes all that is before it to the disk.
	if s.writeDB, err = openDB(path, 1, "synchronous(NORMAL)", "wal_autocheckpoint(4000)", "cache_size(-65536)"); err != nil {
		return err
	}
	if err := migrate(ctx, s.writeDB); err != nil {
		return err
	}
	s.readPool, err = openDB(path, 2*runtime.GOMAXPROCS(0)+2, "query_only(1)", "cache_size(-8192)")
	if err != nil {
		return err
	}
	s.readDB = newStatements(s.readPool)
	if s.pushDB, err = openDB(path, 1, "synchronous(FULL)"); err != nil {
		return err
	}
	if err := s.writer.open(ctx, s.writeDB); err != nil {
		return err
	}
	if err := s.recover(ctx); err != nil {
		return fmt.Errorf("recover tail: %w", err)
	}
	s.writer.wake = make(chan struct{}, 1)
	s.sessions.online = map[int64][]store.Session{}
	s.done.Go(s.write)
	s.done.Go(s.checkpoint)
	return nil
}

func openDB(path string, connections int, pragmas ...string) (*sql.DB, error) {
	query := url.Values{"_txlock": {"immediate"}}
	// busy_timeout comes first: setting the journal mode may have to wait for another connection.
	for _, pragma := range append([]string{"busy_timeout(10000)", "journal_mode(WAL)", "temp_store(MEMORY)"}, pragmas...) {
		query.Add("_pragma", pragma)
	}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+query.Encode())
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

func migrate(ctx context.Context, db *sql.DB) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files)
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate database: %w", err)
	}
	return nil
}

// checkpoint moves the write-ahead log into the database beside the writer, so that the writer has little left to do.
func (s *Store) checkpoint() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
			if _, err := s.pushDB.Exec("PRAGMA wal_checkpoint(PASSIVE)"); err != nil {
				s.log.Warn("checkpoint", "error", err)
			}
		}
	}
}

// Ping implements store.Store.
func (s *Store) Ping(ctx context.Context) error {
	var one int
	return s.readDB.QueryRowContext(ctx, "SELECT 1").Scan(&one)
}

// Close writes what was accepted and closes the database.
func (s *Store) Close() error {
	var err error
	s.closed.Do(func() {
		close(s.stop)
		s.done.Wait()
		err = s.shut()
	})
	return err
}

func (s *Store) shut() error {
	var errs []error
	for _, statements := range []*statements{s.writer.conn, s.readDB} { // a connection left open would keep the log
		if statements != nil {
			errs = append(errs, statements.Close())
		}
	}
	for _, db := range []*sql.DB{s.pushDB, s.writeDB} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(append(errs, s.lock.Close())...)
}

// storeError turns the engine's errors into those of the store package.
func storeError(err error) error {
	const constraintUnique, constraintPrimaryKey = 2067, 1555
	var engine *sqlite3.Error
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return store.ErrNotFound
	case errors.As(err, &engine) && (engine.Code() == constraintUnique || engine.Code() == constraintPrimaryKey):
		return store.ErrExists
	}
	return err
}
