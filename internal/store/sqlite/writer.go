package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"github.com/stoa-chat/stoa/internal/store"
)

// errClosed is what a write gets once the store is closing.
var errClosed = errors.New("store is closed")

// A job is one caller's part of a commit. It runs on the writer's goroutine inside the transaction. An error undoes the
// job alone.
type job struct {
	run  func(tx *statements) error
	done chan error
}

// writer gathers jobs and appends while a commit is under way.
type writer struct {
	conn    *statements
	entries *inserter // of the commit under way
	index   *inserter
	sent    *inserter
	wake    chan struct{}

	mu      sync.Mutex
	jobs    []job
	appends []*appendRequest
	closing bool
}

// open takes the one connection that writes, and has its commits wait for the disk.
func (w *writer) open(ctx context.Context, db *sql.DB) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("take write connection: %w", err)
	}
	if _, err := conn.ExecContext(ctx, "PRAGMA synchronous = FULL"); err != nil {
		conn.Close()
		return fmt.Errorf("wait for the disk: %w", err)
	}
	w.conn = newStatements(conn)
	w.entries = newInserter(w.conn, "INSERT INTO entry", "pos", "timeline", "seq", "id", "time", "sender", "device", "client", "content",
		"ref", "audience", "meta")
	w.index = newInserter(w.conn, "INSERT OR IGNORE INTO entry_index", "timeline", "seq", "pos", "sender", "content", "ref", "directed")
	w.sent = newInserter(w.conn, "INSERT OR REPLACE INTO sent_run", "sender", "device", "upto", "low", "high", "ids")
	return nil
}

// do runs a job in the next commit and waits for it.
func (s *Store) do(ctx context.Context, run func(tx *statements) error) error {
	j := job{run: run, done: make(chan error, 1)}
	s.writer.mu.Lock()
	if s.writer.closing {
		s.writer.mu.Unlock()
		return errClosed
	}
	s.writer.jobs = append(s.writer.jobs, j)
	s.writer.mu.Unlock()
	s.writer.nudge()
	select {
	case err := <-j.done:
		return storeError(err)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *writer) nudge() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// write is the writer's goroutine.
func (s *Store) write() {
	w := &s.writer
	for {
		stopping := false
		select {
		case <-w.wake:
		case <-s.stop:
			stopping = true
		}
		w.mu.Lock()
		w.closing = stopping
		jobs, appends := w.jobs, w.appends
		w.jobs, w.appends = nil, nil
		w.mu.Unlock()
		for len(jobs) > 0 || len(appends) > 0 || s.timeline.mustIndex(stopping) {
			if err := s.commit(jobs, appends, stopping); err != nil {
				s.log.Error("commit failed", "jobs", len(jobs), "appends", len(appends), "error", err)
				break // what waits is tried at the next wake, not in a spin
			}
			w.mu.Lock()
			jobs, appends = w.jobs, w.appends
			w.jobs, w.appends = nil, nil
			w.mu.Unlock()
		}
		if stopping {
			return
		}
	}
}

// commit makes everything that gathered durable at once.
func (s *Store) commit(jobs []job, appends []*appendRequest, stopping bool) error {
	err := s.transact(jobs, appends, stopping)
	for _, a := range appends {
		a.done <- err
	}
	return err
}

func (s *Store) transact(jobs []job, appends []*appendRequest, stopping bool) (err error) {
	results := make([]error, len(jobs))
	defer func() {
		for i, j := range jobs {
			if err != nil {
				results[i] = err
			}
			j.done <- results[i]
		}
	}()
	tx, ctx := s.writer.conn, context.Background()
	if _, err = tx.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("begin commit: %w", err)
	}
	defer func() {
		if err != nil {
			s.timeline.abandon()
			s.writer.entries.drop()
			s.writer.index.drop()
			s.writer.sent.drop()
			if _, undo := tx.ExecContext(ctx, "ROLLBACK"); undo != nil {
				s.log.Error("roll back", "error", undo)
			}
		}
	}()
	for _, a := range appends {
		if err = s.append(a); err != nil {
			return fmt.Errorf("append entries: %w", err)
		}
	}
	if err = s.writer.entries.flush(); err != nil {
		return err
	}
	for i, j := range jobs {
		if results[i], err = s.runJob(j); err != nil {
			return fmt.Errorf("run write: %w", err)
		}
	}
	finish, err := s.indexSlice(stopping)
	if err != nil {
		return fmt.Errorf("index entries: %w", err)
	}
	if _, err = tx.ExecContext(ctx, "COMMIT"); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	s.timeline.publish()
	finish()
	return nil
}

// runJob runs one job so that its failure leaves the transaction as it was before it.
func (s *Store) runJob(j job) (result, err error) {
	tx, ctx := s.writer.conn, context.Background()
	if _, err := tx.ExecContext(ctx, "SAVEPOINT job"); err != nil {
		return nil, err
	}
	made := len(s.timeline.made)
	if result = j.run(s.writer.conn); result != nil {
		s.timeline.unmake(made)
		if _, err := tx.ExecContext(ctx, "ROLLBACK TO job"); err != nil {
			return result, err
		}
	}
	_, err = tx.ExecContext(ctx, "RELEASE job")
	return result, err
}

// Append implements store.Timelines.
func (s *Store) Append(ctx context.Context, drafts []store.Draft) ([]store.Appended, error) {
	a := &appendRequest{drafts: drafts, results: make([]store.Appended, len(drafts)), done: make(chan error, 1)}
	s.writer.mu.Lock()
	if s.writer.closing {
		s.writer.mu.Unlock()
		return nil, errClosed
	}
	s.writer.appends = append(s.writer.appends, a)
	s.writer.mu.Unlock()
	s.writer.nudge()
	// What is in a commit cannot be taken back, so the context does not end the wait.
	if err := <-a.done; err != nil {
		return nil, err
	}
	return a.results, nil
}
