package sqlite

import (
	"context"
	"database/sql"
	"sync"
)

// statements runs SQL in a pool of connections or on one, and keeps each text prepared: preparing costs more than most
// texts take to run, and there are only so many. On one connection a text must not be run again while its rows are read.
type statements struct {
	preparer
	mu       sync.RWMutex
	prepared map[string]*sql.Stmt
}

// preparer is a *sql.DB or a *sql.Conn.
type preparer interface {
	PrepareContext(ctx context.Context, text string) (*sql.Stmt, error)
	QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row
	Close() error
}

func newStatements(on preparer) *statements {
	return &statements{preparer: on, prepared: map[string]*sql.Stmt{}}
}

func (s *statements) statement(ctx context.Context, text string) (*sql.Stmt, error) {
	s.mu.RLock()
	st := s.prepared[text]
	s.mu.RUnlock()
	if st != nil {
		return st, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if st = s.prepared[text]; st != nil {
		return st, nil
	}
	// The statement outlives the call, and what the call may be cut off for.
	st, err := s.PrepareContext(context.WithoutCancel(ctx), text)
	if err == nil {
		s.prepared[text] = st
	}
	return st, err
}

// ExecContext runs a text that gives no rows.
func (s *statements) ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error) {
	st, err := s.statement(ctx, text)
	if err != nil {
		return nil, err
	}
	return st.ExecContext(ctx, args...)
}

// QueryContext runs a text that gives rows.
func (s *statements) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	st, err := s.statement(ctx, text)
	if err != nil {
		return nil, err
	}
	return st.QueryContext(ctx, args...)
}

// QueryRowContext runs a text that gives at most one row.
func (s *statements) QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row {
	st, err := s.statement(ctx, text)
	if err != nil {
		return s.preparer.QueryRowContext(ctx, text, args...) // fails in the same way
	}
	return st.QueryRowContext(ctx, args...)
}

// Close closes the pool or the connection, and the statements with it.
func (s *statements) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.prepared {
		st.Close()
	}
	return s.preparer.Close()
}
