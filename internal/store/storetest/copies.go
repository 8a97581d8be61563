package storetest

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// Copies returns a function that makes folders with what fill has put into one, which it is asked for once: a database that
// is copied costs less time than one that is migrated. Files only.
func Copies(fill func(folder string) error) func(t testing.TB) (folder string) {
	read := sync.OnceValues(func() (map[string][]byte, error) {
		folder, err := os.MkdirTemp("", "copies")
		if err != nil {
			return nil, fmt.Errorf("make folder: %w", err)
		}
		defer os.RemoveAll(folder)
		if err := fill(folder); err != nil {
			return nil, err
		}
		entries, err := os.ReadDir(folder)
		if err != nil {
			return nil, fmt.Errorf("list folder: %w", err)
		}
		files := map[string][]byte{}
		for _, entry := range entries {
			if files[entry.Name()], err = os.ReadFile(filepath.Join(folder, entry.Name())); err != nil {
				return nil, fmt.Errorf("read file: %w", err)
			}
		}
		return files, nil
	})
	return func(t testing.TB) string {
		t.Helper()
		files, err := read()
		if err != nil {
			t.Fatal(err)
		}
		folder := t.TempDir()
		for name, content := range files {
			if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return folder
	}
}
