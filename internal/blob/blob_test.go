package blob_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stoa-chat/stoa/internal/blob"
	"github.com/stoa-chat/stoa/internal/blob/blobtest"
)

func openFolder(t *testing.T, root string) blob.Store {
	t.Helper()
	s, err := blob.OpenFolder(root)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFolder(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) blob.Store { return openFolder(t, filepath.Join(t.TempDir(), "a folder", "files")) })
}

func TestAKeyDoesNotLeaveTheFolder(t *testing.T) {
	root := t.TempDir()
	s := openFolder(t, filepath.Join(root, "files"))
	for _, key := range []string{"../../outside", "/etc/outside", "a/../../../outside", ""} {
		if _, err := s.Put(t.Context(), key, strings.NewReader("x")); err == nil {
			t.Errorf("%q was written", key)
		}
		if _, err := s.Open(t.Context(), key); err == nil {
			t.Errorf("%q was opened", key)
		}
		if err := s.Delete(t.Context(), key); err == nil {
			t.Errorf("%q was deleted", key)
		}
		if err := s.DeleteAll(t.Context(), key); err == nil {
			t.Errorf("%q was deleted with all below it", key)
		}
	}
}

// files returns the paths of all files below a folder.
func files(t *testing.T, root string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func TestNothingHalfWrittenStays(t *testing.T) {
	root := t.TempDir()
	s := openFolder(t, root)
	broken := errors.New("broken")
	if _, err := s.Put(t.Context(), "1/a", &brokenReader{left: 10, err: broken}); !errors.Is(err, broken) {
		t.Fatalf("error is %v, want %v", err, broken)
	}
	if left := files(t, root); len(left) > 0 {
		t.Errorf("a put that failed has left %v", left)
	}
	// What a process that was killed has left goes at a later start; what another node may be writing stays.
	for name, age := range map[string]time.Duration{"old": 25 * time.Hour, "young": time.Minute} {
		path := filepath.Join(root, "half", name)
		if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	openFolder(t, root)
	if left := files(t, root); len(left) != 1 || filepath.Base(left[0]) != "young" {
		t.Errorf("after the start there are %v", left)
	}
}

type brokenReader struct {
	left int
	err  error
}

// Read implements io.Reader.
func (r *brokenReader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, r.err
	}
	n := min(len(p), r.left)
	r.left -= n
	return n, nil
}

func TestOpenReadsTheURL(t *testing.T) {
	folder := t.TempDir()
	if _, err := blob.Open(t.Context(), "file://"+folder); err != nil {
		t.Error(err)
	}
	for address, want := range map[string]string{
		"/just/a/path":                                `scheme is ""`,
		"ftp://host/files":                            `scheme is "ftp"`,
		"s3://key:se%cret@bucket":                     "not a URL",
		"s3://bucket?endpoint=localhost:9000":         "endpoint must be",
		"s3://bucket?endpoint=http://h/path":          "endpoint must be",
		"s3://bucket?endpoint=http://h&regoin=x":      `unknown parameter "regoin"`,
		"s3://k:s@bucket?endpoint=http://127.0.0.1:1": "ask S3 store",
	} {
		_, err := blob.Open(t.Context(), address)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "cret") {
			t.Errorf("%s: error is %v, want one with %q", address, err, want)
		}
	}
}
