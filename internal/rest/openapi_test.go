package rest

import "testing"

// TestTheDocumentDescribesEveryRoute fails when a route is not described, or when there is no such route.
func TestTheDocumentDescribesEveryRoute(t *testing.T) {
	w := newWorld(t)
	if _, err := w.api.Document(); err != nil {
		t.Error(err)
	}
}
