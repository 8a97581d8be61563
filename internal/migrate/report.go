package migrate

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// Report tells what an import has done, and what it could not carry over. It is safe for concurrent use.
type Report struct {
	mu sync.Mutex
	// Carried counts what is on the server now because of the import, by kind; what had been there before is in Kept.
	Carried map[string]int64 `json:"carried"`
	Kept    map[string]int64 `json:"already_there"`
	// Lost is what could not be carried over, by reason.
	Lost map[string]*Loss `json:"not_carried"`
}

// Loss is what could not be carried over for one reason.
type Loss struct {
	Count    int64    `json:"count"`
	Examples []string `json:"examples,omitempty"` // up to 3
}

const maxExamples = 3

func newReport() *Report {
	return &Report{Carried: map[string]int64{}, Kept: map[string]int64{}, Lost: map[string]*Loss{}}
}

func (r *Report) carried(kind string, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n > 0 {
		r.Carried[kind] += int64(n)
	}
}

func (r *Report) kept(kind string, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n > 0 {
		r.Kept[kind] += int64(n)
	}
}

// lost notes that something could not be carried over.
func (r *Report) lost(why, example string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	loss := r.Lost[why]
	if loss == nil {
		loss = &Loss{}
		r.Lost[why] = loss
	}
	if loss.Count++; len(loss.Examples) < maxExamples && !slices.Contains(loss.Examples, example) {
		loss.Examples = append(loss.Examples, example)
	}
}

// MarshalJSON implements json.Marshaler.
func (r *Report) MarshalJSON() ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	type plain Report
	return json.Marshal((*plain)(r))
}

// Write writes the report as text.
func (r *Report) Write(w io.Writer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, part := range []struct {
		title  string
		counts map[string]int64
	}{{"Carried over", r.Carried}, {"Already there", r.Kept}} {
		fmt.Fprintf(w, "%s:\n", part.title)
		for _, kind := range slices.Sorted(maps.Keys(part.counts)) {
			fmt.Fprintf(w, "  %-28s %d\n", kind, part.counts[kind])
		}
	}
	fmt.Fprintln(w, "Not carried over:")
	for _, why := range slices.SortedFunc(maps.Keys(r.Lost), func(a, b string) int { return cmp.Or(cmp.Compare(r.Lost[b].Count, r.Lost[a].Count), cmp.Compare(a, b)) }) {
		fmt.Fprintf(w, "  %d × %s\n", r.Lost[why].Count, why)
		for _, example := range r.Lost[why].Examples {
			fmt.Fprintf(w, "      %s\n", example)
		}
	}
}

// state is what an import remembers of itself between runs.
type state struct {
	path string
	// Source and Target are the apps that it is about.
	Source string `json:"source"`
	Target string `json:"target"`
	// Done are the steps that are done, and Cursor is where the next one goes on. Both are empty once all are done.
	Done   []string `json:"done,omitempty"`
	Cursor string   `json:"cursor,omitempty"`
	// Files are the files of messages that were imported whole.
	Files  []string        `json:"files,omitempty"`
	Report json.RawMessage `json:"report,omitempty"` // of what is done, of a run that was interrupted
}

// loadState reads the state that an earlier run has left; a new one if there is none. Without a path nothing is kept.
func loadState(path, source, target string) (*state, error) {
	s := &state{path: path, Source: source, Target: target}
	if path == "" {
		return s, nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	} else if err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	if err := json.Unmarshal(text, s); err != nil {
		return nil, fmt.Errorf("read state %s: %w", path, err)
	}
	if s.Source != source || s.Target != target {
		return nil, fmt.Errorf("the state in %s is that of an import from %s to %s: name another file", path, s.Source, s.Target)
	}
	return s, nil
}

// save writes the state in place of the old one, whole.
func (s *state) save() error {
	if s.path == "" {
		return nil
	}
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	fresh, err := os.CreateTemp(filepath.Dir(s.path), ".stoa-import-*")
	if err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	_, err = fresh.Write(text)
	if err = errors.Join(err, fresh.Sync(), fresh.Close()); err == nil {
		err = os.Rename(fresh.Name(), s.path)
	}
	if err != nil {
		os.Remove(fresh.Name())
		return fmt.Errorf("save state: %w", err)
	}
	return nil
}
