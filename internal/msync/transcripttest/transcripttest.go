// Package transcripttest holds what goes over the wire in tests to files of testdata/transcripts, which the flag -update
// writes.
package transcripttest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the transcripts of testdata anew")

var (
	idForm   = regexp.MustCompile(`\b\d{18,19}\b`)
	timeForm = regexp.MustCompile(`\b1[6-9]\d{11}\b`)
)

// Transcript is a text in which ids are numbered in the order in which they appear, and times are left out. The zero value
// is empty.
type Transcript struct {
	text strings.Builder
	ids  map[string]string
}

// Notef adds to the text.
func (tr *Transcript) Notef(format string, args ...any) {
	text := idForm.ReplaceAllStringFunc(fmt.Sprintf(format, args...), func(id string) string {
		if tr.ids == nil {
			tr.ids = map[string]string{}
		}
		if tr.ids[id] == "" {
			tr.ids[id] = fmt.Sprintf("<id %d>", len(tr.ids)+1)
		}
		return tr.ids[id]
	})
	tr.text.WriteString(timeForm.ReplaceAllString(text, "<time>"))
}

// Compare fails the test if the text is not that of the file, or writes the file.
func (tr *Transcript) Compare(t testing.TB, name string) {
	t.Helper()
	path := filepath.Join("testdata", "transcripts", name+".txt")
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(tr.text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), tr.text.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
