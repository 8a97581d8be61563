package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"github.com/stoa-chat/stoa/internal/store"
)

// entryColumns are those of an entry e, as scanEntry reads them.
const entryColumns = "e.seq, e.id, e.time, e.sender, e.device, e.client, e.content, e.ref, e.audience, e.version, e.recalled, e.meta"

func scanEntry(row interface{ Scan(...any) error }, e *store.Entry, more ...any) error {
	var client int64
	var audience []byte
	columns := []any{&e.Seq, &e.ID, &e.Time, &e.Sender, &e.Device, &client, &e.Content, &e.Ref, &audience, &e.Version, &e.Recalled, &e.Meta}
	if err := row.Scan(append(columns, more...)...); err != nil {
		return fmt.Errorf("read entry: %w", err)
	}
	e.ClientID = uint64(client)
	var err error
	if e.Audience, err = store.ReadAudience(audience); err != nil {
		return fmt.Errorf("read entry: %w", err)
	}
	return nil
}

// ReadTimeline implements store.Timelines.
func (s *Store) ReadTimeline(ctx context.Context, timeline, after int64, limit, maxBytes int) ([]store.Entry, error) {
	// The tail first: what moves from the tail to the index meanwhile is then in both, and not in neither.
	positions := s.timeline.tail(timeline, after, limit)
	var entries []store.Entry
	if len(positions) == 0 || positions[0].seq > after+1 {
		rows, err := s.readDB.QueryContext(ctx, "SELECT "+entryColumns+` FROM entry_index i JOIN entry e ON e.pos = i.pos
			WHERE i.timeline = ? AND i.seq > ? ORDER BY i.seq LIMIT ?`, timeline, after, limit)
		if err != nil {
			return nil, fmt.Errorf("read timeline: %w", err)
		}
		if entries, err = scanEntries(rows, maxBytes); err != nil {
			return nil, err
		}
		last := after
		if len(entries) > 0 {
			last = entries[len(entries)-1].Seq
		}
		positions = slices.DeleteFunc(positions, func(e tailEntry) bool { return e.seq <= last })
		if len(entries) >= limit || len(positions) == 0 || full(entries, maxBytes) {
			return entries, nil
		}
		positions = positions[:min(len(positions), limit-len(entries))]
	}
	wanted := make([]int64, len(positions))
	for i, e := range positions {
		wanted[i] = e.pos
	}
	rest, err := s.entriesAt(ctx, wanted, maxBytes-size(entries))
	return append(entries, rest...), err
}

// entriesAt reads the entries of a timeline at some positions, in order, and no more once they hold maxBytes. That is not
// always the order of the positions: what was imported lies in order of its ids, which several nodes have made.
func (s *Store) entriesAt(ctx context.Context, positions []int64, maxBytes int) ([]store.Entry, error) {
	list, err := json.Marshal(positions)
	if err != nil {
		return nil, err
	}
	rows, err := s.readDB.QueryContext(ctx, "SELECT "+entryColumns+
		" FROM entry e WHERE e.pos IN (SELECT value FROM json_each(?)) ORDER BY e.seq", string(list))
	if err != nil {
		return nil, fmt.Errorf("read entries: %w", err)
	}
	return scanEntries(rows, maxBytes)
}

func size(entries []store.Entry) (n int) {
	for _, e := range entries {
		n += len(e.Meta)
	}
	return n
}

func full(entries []store.Entry, maxBytes int) bool {
	return len(entries) > 0 && size(entries) >= maxBytes
}

func scanEntries(rows *sql.Rows, maxBytes int) ([]store.Entry, error) {
	defer rows.Close()
	var entries []store.Entry
	for bytes := 0; rows.Next(); {
		var e store.Entry
		if err := scanEntry(rows, &e); err != nil {
			return nil, err
		}
		entries = append(entries, e)
		if bytes += len(e.Meta); bytes >= maxBytes {
			return entries, nil
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read entry: %w", err)
	}
	return entries, nil
}

// tail returns the entries after a sequence number that may not be in the index yet.
func (t *timelines) tail(timeline, after int64, limit int) []tailEntry {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var found []tailEntry
	for _, g := range []*generation{&t.old, &t.young} {
		entries := g.byLine[timeline]
		from, _ := slices.BinarySearchFunc(entries, after+1, func(e tailEntry, seq int64) int { return int(e.seq - seq) })
		found = append(found, entries[from:min(len(entries), from+limit-len(found))]...)
	}
	return found
}

// Positions implements store.Timelines.
func (s *Store) Positions(ctx context.Context, user, device int64) ([]store.Position, error) {
	rows, err := s.readDB.QueryContext(ctx, `SELECT s.timeline, t.kind, t.a, t.head, s.until, MAX(COALESCE(c.seq, 0), s.start)
		FROM subscription s JOIN timeline t ON t.id = s.timeline
		LEFT JOIN cursor c ON c.user = s.user AND c.device = ? AND c.timeline = s.timeline
		WHERE s.user = ? AND s.until > 0 ORDER BY s.timeline`, device, user)
	if err != nil {
		return nil, fmt.Errorf("read positions: %w", err)
	}
	defer rows.Close()
	var positions []store.Position
	for rows.Next() {
		var p store.Position
		var kind store.Kind
		if err := rows.Scan(&p.Timeline, &kind, &p.Muc, &p.Head, &p.Until, &p.Cursor); err != nil {
			return nil, fmt.Errorf("read position: %w", err)
		}
		if kind != store.KindMuc {
			p.Muc = 0
		}
		positions = append(positions, p)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read positions: %w", err)
	}
	s.timeline.mu.RLock()
	defer s.timeline.mu.RUnlock()
	for i := range positions {
		p := &positions[i]
		p.Head = min(max(p.Head, s.timeline.heads[p.Timeline]), p.Until)
		p.Until %= lasting
	}
	return positions, nil
}

// ListEntries implements store.Timelines.
func (s *Store) ListEntries(ctx context.Context, timeline int64, q store.EntryQuery) ([]store.Entry, error) {
	if q.Contents == 0 {
		q.Contents = store.History
	}
	var entries []store.Entry
	for {
		// More than the limit may have to be looked at: an entry itself tells that it was recalled, and whom it is for.
		chosen, err := s.choose(ctx, timeline, q, q.Limit-len(entries))
		if err != nil || len(chosen) == 0 {
			return entries, err
		}
		positions := make([]int64, len(chosen))
		for i, e := range chosen {
			positions[i] = e.pos
		}
		found, err := s.entriesAt(ctx, positions, math.MaxInt)
		if err != nil {
			return nil, err
		}
		if q.Descending {
			slices.Reverse(found)
		}
		for _, e := range found {
			if !e.Recalled && (q.Reader == 0 || e.Audience.Has(q.Reader) || e.Sender == q.Reader) {
				entries = append(entries, e)
			}
		}
		if len(entries) == q.Limit {
			return entries, nil
		}
		if last := chosen[len(chosen)-1].seq; q.Descending {
			q.Before = last
		} else {
			q.After = last
		}
	}
}

// choose finds the next entries that a query may want, in its order: seq and pos of each.
func (s *Store) choose(ctx context.Context, timeline int64, q store.EntryQuery, limit int) ([]tailEntry, error) {
	before := q.Before
	if before == 0 {
		before = math.MaxInt64
	}
	// The tail first: what moves to the index meanwhile is then in both, and not in neither.
	found := s.timeline.chooseTail(timeline, q, before)
	query := "SELECT seq, pos FROM entry_index WHERE timeline = ? AND seq > ? AND seq < ? AND (? >> content) & 1"
	values := []any{timeline, q.After, before, int64(q.Contents)}
	if q.Sender != 0 {
		query += " AND sender = ?"
		values = append(values, q.Sender)
	}
	order := " ORDER BY seq LIMIT ?"
	if q.Descending {
		order = " ORDER BY seq DESC LIMIT ?"
	}
	rows, err := s.readDB.QueryContext(ctx, query+order, append(values, limit)...)
	if err != nil {
		return nil, fmt.Errorf("choose entries: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var e tailEntry
		if err := rows.Scan(&e.seq, &e.pos); err != nil {
			return nil, fmt.Errorf("choose entries: %w", err)
		}
		found = append(found, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("choose entries: %w", err)
	}
	slices.SortFunc(found, func(a, b tailEntry) int {
		if q.Descending {
			a, b = b, a
		}
		return int(a.seq - b.seq)
	})
	found = slices.CompactFunc(found, func(a, b tailEntry) bool { return a.seq == b.seq })
	return found[:min(limit, len(found))], nil
}

func (t *timelines) chooseTail(timeline int64, q store.EntryQuery, before int64) (found []tailEntry) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, g := range []*generation{&t.old, &t.young} {
		for _, e := range g.byLine[timeline] {
			if e.seq > q.After && e.seq < before && q.Contents.Has(e.content) && (q.Sender == 0 || q.Sender == e.sent.user) {
				found = append(found, e)
			}
		}
	}
	return found
}

// entryFrom finds the first entry at a position or after it.
const entryFrom = "SELECT pos, id FROM entry WHERE pos >= ? ORDER BY pos LIMIT 1"

// FindEntry implements store.Timelines. Message ids rise with the positions, so no index is needed.
func (s *Store) FindEntry(ctx context.Context, app, id int64) (found store.Found, err error) {
	var low, high int64 // the entry is at a position above low, up to high
	if err := s.readDB.QueryRowContext(ctx, "SELECT COALESCE(MAX(pos), 0) FROM entry").Scan(&high); err != nil {
		return found, fmt.Errorf("find entry: %w", err)
	}
	for low < high {
		middle := low + (high-low+1)/2
		var pos, at int64
		if err := s.readDB.QueryRowContext(ctx, entryFrom, middle).Scan(&pos, &at); err != nil {
			return found, storeError(err)
		}
		switch {
		case at == id:
			return s.foundAt(ctx, app, pos)
		case at < id:
			low = pos
		default:
			high = middle - 1
		}
	}
	return found, store.ErrNotFound
}

func (s *Store) foundAt(ctx context.Context, app, pos int64) (found store.Found, err error) {
	row := s.readDB.QueryRowContext(ctx, "SELECT "+entryColumns+`, t.id, t.app, t.kind, t.a, t.b
		FROM entry e JOIN timeline t ON t.id = e.timeline WHERE e.pos = ? AND t.app = ?`, pos, app)
	key := &found.Key
	err = scanEntry(row, &found.Entry, &found.Timeline, &key.App, &key.Kind, &key.A, &key.B)
	return found, storeError(err)
}

// FindTimeline implements store.Timelines.
func (s *Store) FindTimeline(ctx context.Context, key store.Key) (store.Timeline, error) {
	t := store.Timeline{Key: key}
	err := s.readDB.QueryRowContext(ctx, timelineOf,
		key.App, key.Kind, key.A, key.B).Scan(&t.ID, &t.Head)
	if err != nil {
		return store.Timeline{}, storeError(err)
	}
	t.Head = s.timeline.headAbove(t.ID, t.Head)
	return t, nil
}

// headAbove returns the head of a timeline, of which the database knows this much.
func (t *timelines) headAbove(timeline, stored int64) int64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return max(stored, t.heads[timeline])
}

// Subscriptions implements store.Timelines.
func (s *Store) Subscriptions(ctx context.Context, user int64) ([]store.Subscription, error) {
	return s.subscriptions(ctx, "s.user = ? ORDER BY s.timeline", user)
}

// Subscription implements store.Timelines.
func (s *Store) Subscription(ctx context.Context, user, timeline int64) (store.Subscription, error) {
	found, err := s.subscriptions(ctx, "s.user = ? AND s.timeline = ?", user, timeline)
	if err != nil {
		return store.Subscription{}, err
	}
	if len(found) == 0 {
		return store.Subscription{}, store.ErrNotFound
	}
	return found[0], nil
}

func (s *Store) subscriptions(ctx context.Context, where string, values ...any) ([]store.Subscription, error) {
	rows, err := s.readDB.QueryContext(ctx, `SELECT t.id, t.app, t.kind, t.a, t.b, t.head, s.start, s.until
		FROM subscription s JOIN timeline t ON t.id = s.timeline WHERE s.until > 0 AND `+where, values...)
	if err != nil {
		return nil, fmt.Errorf("read subscriptions: %w", err)
	}
	defer rows.Close()
	var found []store.Subscription
	for rows.Next() {
		var one store.Subscription
		key := &one.Key
		if err := rows.Scan(&one.ID, &key.App, &key.Kind, &key.A, &key.B, &one.Head, &one.Start, &one.Until); err != nil {
			return nil, fmt.Errorf("read subscription: %w", err)
		}
		one.Head = s.timeline.headAbove(one.ID, one.Head)
		one.Until %= lasting
		found = append(found, one)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read subscriptions: %w", err)
	}
	return found, nil
}

// SaveCursors implements store.Timelines.
func (s *Store) SaveCursors(ctx context.Context, cursors []store.Cursor) error {
	const set = `INSERT INTO cursor (user, device, timeline, seq) VALUES (?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET seq = excluded.seq WHERE excluded.seq > seq`
	return s.do(ctx, func(tx *statements) error {
		ctx := context.Background()
		for _, c := range cursors {
			if _, err := tx.ExecContext(ctx, set, c.User, c.Device, c.Timeline, c.Seq); err != nil {
				return fmt.Errorf("save cursor: %w", err)
			}
			if _, err := tx.ExecContext(ctx, set, c.User, 0, c.Timeline, c.Seq); err != nil {
				return fmt.Errorf("save furthest cursor: %w", err)
			}
		}
		return nil
	})
}
