package sqlite

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stoa-chat/stoa/internal/store"
)

// What is in memory of the timelines. Entries are written to the end of one table; how to find them (entry_index, sent,
// timeline.head) is written behind, in sorted slices, because one row in each of a hundred timelines touches a hundred
// pages. Until then the tail answers. After a crash the tail is read back from the entries past the mark 'indexed'.
const (
	generationSize = 8192 // entries after which the tail is handed over to be indexed
	sliceSize      = 128  // index rows in one commit, for which messages wait, or twice as many as it has entries
	cacheSize      = 200_000
	lasting        = math.MaxInt64 // subscription.until of one that has not ended
)

const (
	timelineOf      = "SELECT id, head FROM timeline WHERE app = ? AND kind = ? AND a = ? AND b = ?"
	putSubscription = `INSERT INTO subscription (user, timeline, start, until) VALUES (?1, ?2, ?3, ?4)
		ON CONFLICT DO UPDATE SET start = ?3, until = ?4 WHERE until < ?4`
)

// timelines is touched by the writer's goroutine, and read by others under mu. The writer's own changes become visible
// with publish, after the commit.
type timelines struct {
	mu    sync.RWMutex
	heads map[int64]int64 // timelines with entries that timeline.head does not count yet, and more
	young generation      // being filled
	old   generation      // being indexed; empty when there is nothing to do
	early atomic.Bool     // young is to be indexed although it is not full

	// The writer's alone:
	known   map[store.Key]int64 // timeline numbers
	next    int64               // the next entry's position
	staged  []tailEntry         // of the commit under way
	rising  map[int64]int64     // heads as staged raises them
	made    []store.Key         // timelines that the commit under way makes
	highest map[sender]uint64   // the highest client id that a device has sent
	queue   []tailEntry         // old's entries by timeline, as far as they are not indexed
	sweep   time.Time           // when repetitions were last forgotten
}

type sender struct{ user, device int64 }

type sentKey struct {
	sender
	client uint64
}

type tailEntry struct {
	timeline, seq, pos int64
	id, ref            int64
	sent               sentKey
	content            store.Content
	directed           bool
}

// generation is a part of the tail.
type generation struct {
	entries []tailEntry
	byLine  map[int64][]tailEntry
}

func (g *generation) add(e tailEntry) {
	if g.byLine == nil {
		g.byLine = map[int64][]tailEntry{}
	}
	g.entries = append(g.entries, e)
	g.byLine[e.timeline] = append(g.byLine[e.timeline], e)
}

// appendRequest is one caller's drafts.
type appendRequest struct {
	drafts  []store.Draft
	results []store.Appended
	done    chan error
}

// recover reads what the last run had not indexed.
func (s *Store) recover(ctx context.Context) error {
	t := &s.timeline
	t.heads, t.rising = map[int64]int64{}, map[int64]int64{}
	t.known, t.highest = map[store.Key]int64{}, map[sender]uint64{}
	indexed, err := s.mark(ctx, "indexed")
	if err != nil {
		return err
	}
	rows, err := s.writer.conn.QueryContext(ctx, `
		SELECT pos, timeline, seq, id, ref, sender, device, client, content, audience IS NOT NULL
		FROM entry WHERE pos > ? ORDER BY pos`, indexed)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var e tailEntry
		var client int64
		if err := rows.Scan(&e.pos, &e.timeline, &e.seq, &e.id, &e.ref, &e.sent.user, &e.sent.device, &client,
			&e.content, &e.directed); err != nil {
			return err
		}
		e.sent.client = uint64(client)
		t.young.add(e)
		t.heads[e.timeline] = max(t.heads[e.timeline], e.seq)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	var last int64
	err = s.writer.conn.QueryRowContext(ctx, "SELECT COALESCE(MAX(pos), 0) FROM entry").Scan(&last)
	t.next = max(last, indexed) + 1 // the last entries may have been removed; their positions are not used again
	return err
}

func (s *Store) mark(ctx context.Context, key string) (value int64, err error) {
	err = s.writer.conn.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = ?", key).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return value, err
}

const setMark = "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value"

// append writes one caller's drafts inside the transaction.
func (s *Store) append(a *appendRequest) error {
	t := &s.timeline
	for i := range a.drafts {
		d, r := &a.drafts[i], &a.results[i]
		line, err := s.lineOf(d.Key)
		if err != nil {
			return err
		}
		if d.ClientID != 0 {
			repeated, err := s.repeated(d, line)
			if err != nil {
				return err
			}
			if repeated != nil {
				*r = *repeated
				continue
			}
		}
		head, err := s.headOf(line)
		if err != nil {
			return err
		}
		if d.Amend != nil {
			if err := s.amend(line, d.Amend); errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNotFound) {
				*r = store.Appended{Err: err}
				continue
			} else if err != nil {
				return err
			}
		}
		e := tailEntry{timeline: line, seq: head + 1, pos: t.next, id: d.ID, ref: d.Ref,
			sent: sentKey{sender{d.Sender, d.Device}, d.ClientID}, content: d.Content, directed: !d.Audience.All()}
		if err := s.writer.entries.add(e.pos, line, e.seq, d.ID, d.Time, d.Sender, d.Device, int64(d.ClientID),
			d.Content, d.Ref, store.AppendAudience(nil, d.Audience), notNull(d.Meta)); err != nil {
			return err
		}
		t.next++
		t.staged = append(t.staged, e)
		t.rising[line] = e.seq
		if d.ClientID != 0 {
			from := e.sent.sender
			t.highest[from] = max(t.highest[from], d.ClientID)
		}
		*r = store.Appended{Timeline: line, Seq: e.seq, ID: d.ID, Time: d.Time}
	}
	return nil
}

// notNull keeps an empty body from becoming NULL.
func notNull(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// subscribe lets users read a timeline from its head on, within a job.
func (s *Store) subscribe(key store.Key, users []int64) (store.Timeline, error) {
	line, err := s.lineOf(key)
	if err != nil {
		return store.Timeline{}, fmt.Errorf("find timeline: %w", err)
	}
	head, err := s.headOf(line)
	if err != nil {
		return store.Timeline{}, err
	}
	for _, user := range users {
		if _, err := s.writer.conn.ExecContext(context.Background(), putSubscription, user, line, head, lasting); err != nil {
			return store.Timeline{}, fmt.Errorf("subscribe: %w", err)
		}
	}
	return store.Timeline{ID: line, Key: key, Head: head}, nil
}

// unsubscribe ends the users' right to read a timeline at its head, within a job.
func (s *Store) unsubscribe(key store.Key, users []int64) (store.Timeline, error) {
	var line, head int64
	if err := s.writer.conn.QueryRowContext(context.Background(), timelineOf, key.App, key.Kind, key.A, key.B).Scan(&line, &head); err != nil {
		return store.Timeline{}, fmt.Errorf("find timeline: %w", err)
	}
	head, err := s.headOf(line)
	if err != nil {
		return store.Timeline{}, err
	}
	for _, user := range users {
		if _, err := s.writer.conn.ExecContext(context.Background(), "UPDATE subscription SET until = ? WHERE user = ? AND timeline = ? AND until = ?",
			head, user, line, lasting); err != nil {
			return store.Timeline{}, fmt.Errorf("unsubscribe: %w", err)
		}
	}
	return store.Timeline{ID: line, Key: key, Head: head}, nil
}

// Subscribe implements store.Timelines.
func (s *Store) Subscribe(ctx context.Context, key store.Key, users []int64) (t store.Timeline, err error) {
	err = s.do(ctx, func(*statements) error {
		t, err = s.subscribe(key, users)
		return err
	})
	return t, err
}

// Unsubscribe implements store.Timelines.
func (s *Store) Unsubscribe(ctx context.Context, key store.Key, users []int64) (t store.Timeline, err error) {
	err = s.do(ctx, func(*statements) error {
		t, err = s.unsubscribe(key, users)
		return err
	})
	return t, err
}

// lineOf finds the timeline or makes it.
func (s *Store) lineOf(key store.Key) (int64, error) {
	t := &s.timeline
	if line, ok := t.known[key]; ok {
		return line, nil
	}
	var line, head int64
	err := s.writer.conn.QueryRowContext(context.Background(), timelineOf, key.App, key.Kind, key.A, key.B).Scan(&line, &head)
	if errors.Is(err, sql.ErrNoRows) {
		result, err := s.writer.conn.ExecContext(context.Background(), "INSERT INTO timeline (app, kind, a, b, head) VALUES (?, ?, ?, ?, 0)",
			key.App, key.Kind, key.A, key.B)
		if err != nil {
			return 0, err
		}
		if line, err = result.LastInsertId(); err != nil {
			return 0, err
		}
		for _, user := range key.Readers() {
			if _, err := s.writer.conn.ExecContext(context.Background(), putSubscription, user, line, 0, lasting); err != nil {
				return 0, err
			}
		}
		t.made = append(t.made, key)
	} else if err != nil {
		return 0, err
	}
	if len(t.known) >= cacheSize {
		clear(t.known)
	}
	t.known[key] = line
	return line, nil
}

// headOf returns the timeline's last sequence number, with what the commit under way has added. Only the writer calls
// it, so it reads heads without the lock.
func (s *Store) headOf(line int64) (int64, error) {
	t := &s.timeline
	if head, ok := t.rising[line]; ok {
		return head, nil
	}
	if head, ok := t.heads[line]; ok {
		return head, nil
	}
	var head int64
	err := s.writer.conn.QueryRowContext(context.Background(), "SELECT head FROM timeline WHERE id = ?", line).Scan(&head)
	if err != nil {
		return 0, fmt.Errorf("read head of timeline %d: %w", line, err)
	}
	return head, nil
}

// stored is an entry as the writer needs it.
type stored struct {
	store.Found
	digest []byte
}

// entryAt reads an entry within the transaction.
func (s *Store) entryAt(pos int64) (e stored, err error) {
	if err = s.writer.entries.flush(); err != nil { // it may be one of these
		return e, err
	}
	err = s.writer.conn.QueryRowContext(context.Background(),
		"SELECT timeline, seq, id, time, version, recalled, digest, meta FROM entry WHERE pos = ?", pos).Scan(&e.Timeline, &e.Seq, &e.ID, &e.Time, &e.Version, &e.Recalled, &e.digest, &e.Meta)
	return e, err
}

// began reports whether the entry's first content was this.
func (e *stored) began(meta []byte) bool {
	if e.digest == nil {
		return bytes.Equal(e.Meta, meta)
	}
	sum := sha256.Sum256(meta)
	return bytes.Equal(e.digest, sum[:])
}

// amend changes an entry within the transaction.
func (s *Store) amend(line int64, a *store.Amend) error {
	pos, err := s.posOf(line, a.Seq)
	if errors.Is(err, sql.ErrNoRows) {
		return store.ErrNotFound
	} else if err != nil {
		return err
	}
	e, err := s.entryAt(pos)
	switch {
	case err != nil:
		return err
	case e.Recalled:
		return store.ErrNotFound
	case e.Version != a.Version:
		return store.ErrConflict
	}
	meta := notNull(a.Meta)
	if a.Recall {
		meta = []byte{}
	}
	sum := sha256.Sum256(e.Meta)
	_, err = s.writer.conn.ExecContext(context.Background(),
		"UPDATE entry SET version = ?2, recalled = ?3, digest = COALESCE(digest, ?4), meta = ?5 WHERE pos = ?1",
		pos, e.Version+1, a.Recall, sum[:], meta)
	return err
}

// posOf finds an entry from within the transaction; sql.ErrNoRows.
func (s *Store) posOf(line, seq int64) (pos int64, err error) {
	t := &s.timeline
	for _, e := range t.staged {
		if e.timeline == line && e.seq == seq {
			return e.pos, nil
		}
	}
	if e := t.tail(line, seq-1, 1); len(e) > 0 && e[0].seq == seq {
		return e[0].pos, nil
	}
	err = s.writer.conn.QueryRowContext(context.Background(), "SELECT pos FROM entry_index WHERE timeline = ? AND seq = ?", line, seq).Scan(&pos)
	return pos, err
}

// publish shows the readers what has been committed.
func (t *timelines) publish() {
	t.made = t.made[:0]
	if len(t.staged) == 0 {
		return
	}
	t.mu.Lock()
	for _, e := range t.staged {
		t.young.add(e)
		t.heads[e.timeline] = e.seq
	}
	t.mu.Unlock()
	t.staged = t.staged[:0]
	clear(t.rising)
}

// unmake forgets the timelines that the commit under way has made after the first n: their job was undone.
func (t *timelines) unmake(n int) {
	for _, key := range t.made[n:] {
		delete(t.known, key)
	}
	t.made = t.made[:n]
}

// abandon forgets what was not committed.
func (t *timelines) abandon() {
	t.unmake(0)
	t.next -= int64(len(t.staged))
	clear(t.highest)
	clear(t.rising)
	t.staged = t.staged[:0]
}

// mustIndex reports whether the writer has indexing to do although nobody waits for a commit.
func (t *timelines) mustIndex(stopping bool) bool {
	return len(t.queue) > 0 || t.mustHandOver(stopping)
}

// mustHandOver reports whether young is to be indexed.
func (t *timelines) mustHandOver(stopping bool) bool {
	return len(t.young.entries) >= generationSize || (stopping || t.early.Load()) && len(t.young.entries) > 0
}

// indexSlice writes some of the index inside the transaction. The function that it returns is to be called when the
// commit has succeeded.
func (s *Store) indexSlice(stopping bool) (func(), error) {
	t := &s.timeline
	if len(t.queue) == 0 {
		if !t.mustHandOver(stopping) {
			return func() {}, s.forgetSent()
		}
		t.early.Store(false)
		t.mu.Lock()
		t.old, t.young = t.young, generation{}
		t.mu.Unlock()
		t.queue = slices.Clone(t.old.entries)
		slices.SortFunc(t.queue, func(a, b tailEntry) int {
			if a.timeline != b.timeline {
				return int(a.timeline - b.timeline)
			}
			return int(a.seq - b.seq)
		})
	}
	slice := t.queue[:min(max(sliceSize, 2*len(t.staged)), len(t.queue))]
	rest := t.queue[len(slice):]
	for i, e := range slice {
		if err := s.writer.index.add(e.timeline, e.seq, e.pos, e.sent.user, e.content, e.ref, e.directed); err != nil {
			return nil, err
		}
		if i == len(slice)-1 || slice[i+1].timeline != e.timeline {
			if _, err := s.writer.conn.ExecContext(context.Background(), "UPDATE timeline SET head = ?2 WHERE id = ?1 AND head < ?2", e.timeline, e.seq); err != nil {
				return nil, err
			}
		}
	}
	if err := errors.Join(s.writer.index.flush(), s.rememberSent(slice)); err != nil {
		return nil, err
	}
	if len(rest) == 0 {
		last := t.old.entries[len(t.old.entries)-1].pos
		if _, err := s.writer.conn.ExecContext(context.Background(), setMark, "indexed", last); err != nil {
			return nil, err
		}
	}
	return func() {
		t.queue = rest
		if len(rest) > 0 {
			return
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		if len(t.heads) > cacheSize {
			t.heads = map[int64]int64{}
			for _, e := range t.young.entries {
				t.heads[e.timeline] = e.seq
			}
		}
		t.old = generation{}
	}, nil
}
