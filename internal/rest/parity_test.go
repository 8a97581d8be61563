package rest

import (
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
)

// parityFile names the file to which the tests add which routes they have seen at work, for scripts/parity-rest.mjs.
const parityFile = "STOA_PARITY_REST"

var segmentInBraces = regexp.MustCompile(`\{[^}]*\}`)

// recorded notes which routes answer with 200, in tests that look at what they say. TestEveryRouteServesItsCallers and
// TestNoBodyIsTheServersFault are no such tests.
func (w *world) recorded(next http.Handler) http.Handler {
	name := os.Getenv(parityFile)
	if name == "" || strings.HasPrefix(w.Name(), "TestEveryRouteServesItsCallers") ||
		strings.HasPrefix(w.Name(), "TestNoBodyIsTheServersFault") {
		return next
	}
	var mu sync.Mutex
	seen := map[string]bool{}
	w.Cleanup(func() {
		file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		w.must(err)
		defer file.Close()
		for route := range seen {
			method, path, _ := strings.Cut(route, " ")
			line, err := json.Marshal(map[string]any{"method": method, "path": path, "test": w.Name(), "ok": !w.Failed()})
			w.must(err)
			_, err = file.Write(append(line, '\n')) // one write for a line: tests run at the same time
			w.must(err)
		}
	})
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		said := &statusOf{ResponseWriter: rw, status: http.StatusOK}
		next.ServeHTTP(said, r)
		path, err := split(r.URL)
		if err != nil || said.status != http.StatusOK || len(path) < 3 {
			return
		}
		if route, _ := w.api.tree.find(r.Method, path[2:], nil, map[string]bool{}); route != nil {
			mu.Lock()
			defer mu.Unlock()
			seen[segmentInBraces.ReplaceAllString(route.String(), "{}")] = true
		}
	})
}

// statusOf keeps the status of an answer.
type statusOf struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (s *statusOf) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (s *statusOf) Unwrap() http.ResponseWriter { return s.ResponseWriter }
