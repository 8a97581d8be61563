package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/stoa-chat/stoa/internal/store"
)

// searchedMark is the position up to which entries have been looked at for their words.
const searchedMark = "searched"

// Unindexed implements store.Words.
func (s *Store) Unindexed(ctx context.Context, limit int) ([]store.Found, store.Progress, error) {
	var progress store.Progress
	err := s.readDB.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = ?", searchedMark).Scan(&progress.Position)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, progress, fmt.Errorf("read search mark: %w", err)
	}
	rows, err := s.readDB.QueryContext(ctx, "SELECT "+entryColumns+`, e.pos, t.id, t.app, t.kind, t.a, t.b
		FROM entry e JOIN timeline t ON t.id = e.timeline WHERE e.pos > ? ORDER BY e.pos LIMIT ?`, progress.Position, limit)
	if err != nil {
		return nil, progress, fmt.Errorf("read new entries: %w", err)
	}
	defer rows.Close()
	var found []store.Found
	for rows.Next() {
		var f store.Found
		key := &f.Key
		if err := scanEntry(rows, &f.Entry, &progress.Position, &f.Timeline, &key.App, &key.Kind, &key.A, &key.B); err != nil {
			return nil, progress, err
		}
		if key.Kind != store.KindUser {
			found = append(found, f)
		}
	}
	return found, progress, rows.Err()
}

// Index implements store.Words.
func (s *Store) Index(ctx context.Context, documents []store.Document, progress store.Progress) error {
	return s.do(ctx, func(tx *statements) error {
		ctx := context.Background()
		for _, d := range documents {
			pos, err := s.posOf(d.Timeline, d.Seq)
			if errors.Is(err, sql.ErrNoRows) {
				continue // removed by retention
			} else if err != nil {
				return fmt.Errorf("find entry: %w", err)
			}
			if len(d.Owners) == 0 {
				_, err = tx.ExecContext(ctx, "DELETE FROM search WHERE rowid = ?", pos)
			} else {
				_, err = tx.ExecContext(ctx, "INSERT OR REPLACE INTO search (rowid, owners, words) VALUES (?, ?, ?)",
					pos, strings.Join(d.Owners, " "), strings.Join(d.Words, " "))
			}
			if err != nil {
				return fmt.Errorf("index message: %w", err)
			}
		}
		if progress.Position == 0 {
			return nil
		}
		_, err := tx.ExecContext(ctx, setMark, searchedMark, progress.Position)
		return err
	})
}

// FindWords implements store.Words.
func (s *Store) FindWords(ctx context.Context, q store.WordQuery) ([]store.Hit, error) {
	if len(q.Owners) == 0 || len(q.Words)+len(q.Prefixes) == 0 {
		return nil, nil
	}
	if q.Before == 0 {
		q.Before = math.MaxInt64
	}
	var words []string
	for _, word := range q.Words {
		words = append(words, quote(word))
	}
	for _, word := range q.Prefixes {
		words = append(words, quote(word)+"*")
	}
	owners := make([]string, len(q.Owners))
	for i, owner := range q.Owners {
		owners[i] = quote(owner)
	}
	match := "owners : (" + strings.Join(owners, " OR ") + ") AND words : (" + strings.Join(words, " AND ") + ")"
	rows, err := s.readDB.QueryContext(ctx, "SELECT "+entryColumns+`, e.pos, t.id, t.app, t.kind, t.a, t.b
		FROM (SELECT rowid AS pos FROM search WHERE search MATCH ? AND rowid < ? ORDER BY rowid DESC LIMIT ?) f
		JOIN entry e ON e.pos = f.pos JOIN timeline t ON t.id = e.timeline ORDER BY f.pos DESC`, match, q.Before, q.Limit)
	if err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	defer rows.Close()
	var hits []store.Hit
	for rows.Next() {
		var h store.Hit
		key := &h.Key
		if err := scanEntry(rows, &h.Entry, &h.Position, &h.Timeline, &key.App, &key.Kind, &key.A, &key.B); err != nil {
			return nil, err
		}
		hits = append(hits, h)
	}
	return hits, rows.Err()
}

func quote(word string) string { return `"` + strings.ReplaceAll(word, `"`, `""`) + `"` }
