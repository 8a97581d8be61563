package sqlite

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stoa-chat/stoa/internal/store"
	"github.com/stoa-chat/stoa/internal/store/storetest"
)

func openIn(t *testing.T, folder string) *Store {
	t.Helper()
	s, err := Open(t.Context(), folder, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

var migrated = storetest.Copies(func(folder string) error {
	s, err := Open(context.Background(), folder, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	return s.Close()
})

func open(t *testing.T) store.Store { return openIn(t, migrated(t)) }

func TestStore(t *testing.T) { storetest.Run(t, open) }

func TestReopen(t *testing.T) {
	storetest.RunReopen(t, func(t *testing.T) (store.Store, func() store.Store) {
		folder := migrated(t)
		s := openIn(t, folder)
		return s, func() store.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = openIn(t, folder)
			return s
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	s, err := Open(b.Context(), b.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	storetest.BenchmarkAppend(b, s)
}

// Acknowledged means durable: that rests on these.
func TestWriterSyncsEveryCommit(t *testing.T) {
	s := openIn(t, t.TempDir())
	for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "wal"} {
		var got string
		if n := s.writeDB.Stats().OpenConnections; n != 1 {
			t.Fatalf("the writer has %d connections", n)
		}
		if err := s.do(t.Context(), func(tx *statements) error {
			return tx.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got)
		}); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s is %s, want %s", pragma, got, want)
		}
	}
}

func TestFolderMayHaveAnyName(t *testing.T) {
	for _, name := range []string{"a b", "50%", "what?", "c#", "é", "a&b=c", "%41"} {
		folder := filepath.Join(t.TempDir(), name)
		openIn(t, folder)
		if _, err := os.Stat(filepath.Join(folder, "stoa.db")); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestFolderBelongsToOneProcess(t *testing.T) {
	folder := t.TempDir()
	openIn(t, folder)
	if s, err := Open(t.Context(), folder, slog.New(slog.DiscardHandler)); err == nil {
		s.Close()
		t.Fatal("a folder in use was opened a second time")
	}
}

func TestCommitsWaitForTheDisk(t *testing.T) {
	s := openIn(t, t.TempDir())
	var level int
	if err := s.writer.conn.QueryRowContext(t.Context(), "PRAGMA synchronous").Scan(&level); err != nil || level != 2 {
		t.Errorf("synchronous is %d, %v; want 2, FULL", level, err)
	}
}
