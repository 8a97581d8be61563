package postgres

import (
	"errors"
	"testing"

	"github.com/stoa-chat/stoa/internal/store"
)

func TestAReactionDoesNotWaitForOthersForEver(t *testing.T) {
	s := open(t, newSchema(t))
	tx, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := lock(t.Context(), tx, "reaction", 7); err != nil {
		t.Fatal(err)
	}
	user := store.Peer{ID: 1, Name: "alice"}
	if _, err := s.AddReaction(t.Context(), 7, "ok", user, 1, 20); !errors.Is(err, store.ErrConflict) {
		t.Errorf("while the message is locked: %v, want %v", err, store.ErrConflict)
	}
	if _, err := s.AddReaction(t.Context(), 8, "ok", user, 1, 20); err != nil {
		t.Errorf("another message: %v", err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddReaction(t.Context(), 7, "ok", user, 1, 20); err != nil {
		t.Errorf("once it is free: %v", err)
	}
}
