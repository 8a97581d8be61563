// Package sqlitetest opens databases for the tests of what stands above the stores.
package sqlitetest

import (
	"context"
	"log/slog"
	"testing"

	"github.com/stoa-chat/stoa/internal/store/sqlite"
	"github.com/stoa-chat/stoa/internal/store/storetest"
)

var folder = storetest.Copies(func(folder string) error {
	s, err := sqlite.Open(context.Background(), folder, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	return s.Close()
})

// Open opens an empty database of the test's own. The test closes it.
func Open(t testing.TB, log *slog.Logger) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), folder(t), log)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
