package postgres

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stoa-chat/stoa/internal/store"
)

// backlog is which timelines may have entries whose words are not indexed: those that this node has appended to, and
// those that a sweep over all has found. The sweep finds what a node left behind that has gone.
type backlog struct {
	mu        sync.Mutex
	timelines map[int64]bool
	next      int64     // where the sweep goes on
	swept     time.Time // when the last one ended
}

const (
	sweepSlice   = 5000 // numbers of timelines
	sweepEvery   = 10 * time.Minute
	backlogSlice = 50 // timelines in one call
)

func (b *backlog) add(timelines ...int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.timelines == nil {
		b.timelines = map[int64]bool{}
	}
	for _, t := range timelines {
		b.timelines[t] = true
	}
}

// take removes some timelines from the backlog.
func (b *backlog) take() (timelines []int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for t := range b.timelines {
		if len(timelines) == backlogSlice {
			break
		}
		timelines = append(timelines, t)
		delete(b.timelines, t)
	}
	return timelines
}

// sweep looks at some more timelines. Only one goroutine indexes.
func (s *Store) sweep(ctx context.Context) error {
	b := &s.backlog
	if b.next == 0 && time.Since(b.swept) < sweepEvery {
		return nil
	}
	var last int64
	if err := s.pool.QueryRow(ctx, "SELECT coalesce(max(id), 0) FROM timeline").Scan(&last); err != nil {
		return err
	}
	rows, err := s.pool.Query(ctx, `
		SELECT t.id FROM timeline t LEFT JOIN searched x ON x.timeline = t.id
		WHERE t.id > $1 AND t.id <= $2 AND t.kind <> $3 AND t.head > greatest(coalesce(x.seq, 0), t.floor)`,
		b.next, b.next+sweepSlice, int16(store.KindUser))
	if err != nil {
		return err
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return err
	}
	b.add(found...)
	if b.next += sweepSlice; b.next >= last {
		b.next, b.swept = 0, time.Now()
	}
	return nil
}

// Unindexed implements store.Words. A timeline leaves the backlog only when nothing new was found in it.
func (s *Store) Unindexed(ctx context.Context, limit int) ([]store.Found, store.Progress, error) {
	progress := store.Progress{Timelines: map[int64]int64{}}
	if err := s.sweep(ctx); err != nil {
		return nil, progress, wrap("look for new entries", err)
	}
	timelines := s.backlog.take()
	if len(timelines) == 0 {
		return nil, progress, nil
	}
	found, err := s.unindexed(ctx, timelines, max(limit/len(timelines), 1))
	if err != nil {
		s.backlog.add(timelines...)
		return nil, progress, wrap("read new entries", err)
	}
	for _, f := range found {
		progress.Timelines[f.Timeline] = f.Seq
	}
	for t := range progress.Timelines {
		s.backlog.add(t)
	}
	return found, progress, nil
}

func (s *Store) unindexed(ctx context.Context, timelines []int64, limit int) (found []store.Found, err error) {
	keys := map[int64]store.Timeline{}
	marks := map[int64]int64{}
	batch := &pgx.Batch{}
	batch.Queue("SELECT id, app, kind, a, b, head FROM timeline WHERE id = ANY ($1)", timelines).Query(func(rows pgx.Rows) error {
		var t store.Timeline
		var kind int16
		_, err := pgx.ForEachRow(rows, []any{&t.ID, &t.Key.App, &kind, &t.Key.A, &t.Key.B, &t.Head}, func() error {
			t.Key.Kind = store.Kind(kind)
			keys[t.ID] = t
			return nil
		})
		return err
	})
	batch.Queue("SELECT timeline, seq FROM searched WHERE timeline = ANY ($1)", timelines).Query(func(rows pgx.Rows) error {
		var timeline, seq int64
		_, err := pgx.ForEachRow(rows, []any{&timeline, &seq}, func() error {
			marks[timeline] = seq
			return nil
		})
		return err
	})
	if err := s.pool.SendBatch(ctx, batch).Close(); err != nil {
		return nil, err
	}
	batch = &pgx.Batch{}
	for _, id := range timelines {
		batch.Queue("SELECT "+entryColumns+" FROM entry WHERE (timeline, seq) > ($1, $2) AND (timeline, seq) <= ($1, $4) ORDER BY timeline, seq LIMIT $3",
			id, marks[id], limit, int64(lasting)).
			Query(func(rows pgx.Rows) error {
				entries, err := pgx.CollectRows(rows, scanEntry)
				for _, e := range entries {
					found = append(found, store.Found{Timeline: id, Key: keys[id].Key, Entry: e})
				}
				return err
			})
	}
	err = s.pool.SendBatch(ctx, batch).Close()
	return found, err
}

// Index implements store.Words. It need not wait for the disk: what a crash undoes is looked at again.
func (s *Store) Index(ctx context.Context, documents []store.Document, progress store.Progress) error {
	batch := &pgx.Batch{}
	batch.Queue("SELECT set_config('synchronous_commit', 'off', true)")
	for _, d := range documents {
		if len(d.Owners) == 0 {
			batch.Queue("DELETE FROM search WHERE timeline = $1 AND seq = $2", d.Timeline, d.Seq)
			continue
		}
		words := d.Words[:len(d.Words):len(d.Words)]
		for _, owner := range d.Owners {
			words = append(words, ownerSign+owner)
		}
		batch.Queue(`
			INSERT INTO search (timeline, seq, id, words)
			SELECT timeline, seq, id, array_to_tsvector($3::text[]) FROM entry WHERE timeline = $1 AND seq = $2
			ON CONFLICT (timeline, seq) DO UPDATE SET words = excluded.words`, d.Timeline, d.Seq, words)
	}
	for timeline, seq := range progress.Timelines {
		batch.Queue(`
			INSERT INTO searched AS old (timeline, seq) VALUES ($1, $2)
			ON CONFLICT (timeline) DO UPDATE SET seq = $2 WHERE old.seq < $2`, timeline, seq)
	}
	return wrap("index words", s.pool.SendBatch(ctx, batch).Close())
}

// ownerSign begins the words that say who can find a message. No other word has it.
const ownerSign = "@"

// FindWords implements store.Words.
func (s *Store) FindWords(ctx context.Context, q store.WordQuery) ([]store.Hit, error) {
	if len(q.Owners) == 0 || len(q.Words)+len(q.Prefixes) == 0 {
		return nil, nil
	}
	owners := make([]string, len(q.Owners))
	for i, owner := range q.Owners {
		owners[i] = quote(ownerSign + owner)
	}
	terms := []string{"(" + strings.Join(owners, " | ") + ")"}
	for _, word := range q.Words {
		terms = append(terms, quote(word))
	}
	for _, word := range q.Prefixes {
		terms = append(terms, quote(word)+":*")
	}
	rows, err := s.pool.Query(ctx, `
		SELECT timeline, seq, id FROM search WHERE words @@ $1::tsquery AND ($2::bigint = 0 OR id < $2) ORDER BY id DESC LIMIT $3`,
		strings.Join(terms, " & "), q.Before, q.Limit)
	if err != nil {
		return nil, wrap("search", err)
	}
	hits, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (h store.Hit, err error) {
		err = row.Scan(&h.Timeline, &h.Seq, &h.Position)
		return h, err
	})
	if err != nil {
		return nil, wrap("search", err)
	}
	return hits, wrap("read what was found", s.fill(ctx, hits))
}

// fill reads the entries and keys of hits.
func (s *Store) fill(ctx context.Context, hits []store.Hit) error {
	if len(hits) == 0 {
		return nil
	}
	batch := &pgx.Batch{}
	for i := range hits {
		h := &hits[i]
		batch.Queue("SELECT "+entryColumns+" FROM entry WHERE timeline = $1 AND seq = $2", h.Timeline, h.Seq).Query(func(rows pgx.Rows) error {
			found, err := pgx.CollectRows(rows, scanEntry)
			if len(found) > 0 {
				h.Entry = found[0]
			} else {
				h.Recalled = true // removed by retention a moment ago
			}
			return err
		})
		batch.Queue("SELECT app, kind, a, b FROM timeline WHERE id = $1", h.Timeline).QueryRow(func(row pgx.Row) error {
			var kind int16
			err := row.Scan(&h.Key.App, &kind, &h.Key.A, &h.Key.B)
			h.Key.Kind = store.Kind(kind)
			return err
		})
	}
	return s.pool.SendBatch(ctx, batch).Close()
}

func quote(word string) string {
	return "'" + strings.NewReplacer("'", "''", `\`, `\\`).Replace(word) + "'"
}
