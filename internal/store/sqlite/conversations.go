package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/stoa-chat/stoa/internal/store"
)

const conversationColumns = `t.id, t.app, t.kind, t.a, t.b, t.head, t.floor, COALESCE(s.start, 0), COALESCE(s.until, 0),
	COALESCE(c.read, 0), COALESCE(c.cleared, 0), COALESCE(c.hidden, 0), COALESCE(c.pinned, 0), COALESCE(c.marks, 0)`

func (s *Store) scanConversation(r row) (c store.Conversation, err error) {
	key := &c.Key
	err = r.Scan(&c.ID, &key.App, &key.Kind, &key.A, &key.B, &c.Head, &c.Floor, &c.Start, &c.Until,
		&c.Read, &c.Cleared, &c.Hidden, &c.Pinned, &c.Marks)
	if err != nil {
		return c, storeError(err)
	}
	c.Head = s.timeline.headAbove(c.ID, c.Head)
	c.Until %= lasting
	return c, nil
}

// ListConversations implements store.Conversations.
func (s *Store) ListConversations(ctx context.Context, user int64) ([]store.Conversation, error) {
	rows, err := s.readDB.QueryContext(ctx, "SELECT "+conversationColumns+` FROM subscription s JOIN timeline t ON t.id = s.timeline
		LEFT JOIN conversation c ON c.user = s.user AND c.timeline = s.timeline
		WHERE s.user = ? AND t.kind <> ? ORDER BY s.timeline`, user, store.KindUser)
	if err != nil {
		return nil, fmt.Errorf("list conversations: %w", err)
	}
	defer rows.Close()
	var list []store.Conversation
	for rows.Next() {
		c, err := s.scanConversation(rows)
		if err != nil {
			return nil, fmt.Errorf("read conversation: %w", err)
		}
		list = append(list, c)
	}
	return list, rows.Err()
}

// Conversation implements store.Conversations.
func (s *Store) Conversation(ctx context.Context, user int64, key store.Key) (store.Conversation, error) {
	return s.scanConversation(s.readDB.QueryRowContext(ctx, "SELECT "+conversationColumns+` FROM timeline t
		LEFT JOIN subscription s ON s.user = ?1 AND s.timeline = t.id LEFT JOIN conversation c ON c.user = ?1 AND c.timeline = t.id
		WHERE t.app = ?2 AND t.kind = ?3 AND t.a = ?4 AND t.b = ?5`, user, key.App, key.Kind, key.A, key.B))
}

// LastMessages implements store.Conversations.
func (s *Store) LastMessages(ctx context.Context, user int64, conversations []store.Conversation) ([]store.Entry, error) {
	last := make([]store.Entry, len(conversations))
	for i, c := range conversations {
		entries, err := s.ListEntries(ctx, c.ID, store.EntryQuery{After: max(c.Start, c.Floor), Before: c.Last() + 1,
			Descending: true, Limit: 1, Reader: user})
		if err != nil {
			return nil, err
		}
		if len(entries) > 0 {
			last[i] = entries[0]
		}
	}
	return last, nil
}

// longCount is how many entries a count goes through before it is worth a write to note it.
const longCount = 256

// unreadCount is how many messages were unread after since, up to upTo.
type unreadCount struct {
	since, upTo, unread int64
}

// CountUnread implements store.Conversations.
func (s *Store) CountUnread(ctx context.Context, user int64, conversations []store.Conversation) ([]int, error) {
	counts := make([]int, len(conversations))
	for i, c := range conversations {
		n, err := s.countUnread(ctx, user, c)
		if err != nil {
			return nil, fmt.Errorf("count unread messages: %w", err)
		}
		counts[i] = n
	}
	return counts, nil
}

func (s *Store) countUnread(ctx context.Context, user int64, c store.Conversation) (int, error) {
	from, to := max(c.Read, c.After()), c.Last()
	if from >= to {
		return 0, nil
	}
	noted := unreadCount{since: -1}
	err := s.readDB.QueryRowContext(ctx, "SELECT since, counted, unread FROM conversation WHERE user = ? AND timeline = ?", user, c.ID).
		Scan(&noted.since, &noted.upTo, &noted.unread)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, err
	}
	now := noted
	if now.since != from || now.upTo > to {
		now = unreadCount{from, from, 0}
	}
	r := countRange{Store: s, user: user, line: c.ID, to: to}
	begun := now.upTo
	added, stale, err := r.count(ctx, now.since, now.upTo)
	if stale {
		now.unread, begun = 0, from
		added, _, err = r.count(ctx, from, from)
	}
	if err != nil {
		return 0, err
	}
	now.unread, now.upTo = now.unread+added, to
	if to-begun < longCount {
		return int(now.unread), nil
	}
	// Only in the place of the count that was read: the user may have deleted messages meanwhile.
	return int(now.unread), s.do(ctx, func(tx *statements) error {
		_, err := tx.ExecContext(context.Background(), `INSERT INTO conversation (user, timeline, since, counted, unread) VALUES (?1, ?2, ?3, ?4, ?5)
			ON CONFLICT DO UPDATE SET since = ?3, counted = ?4, unread = ?5 WHERE since = ?6 AND counted = ?7 AND unread = ?8`,
			user, c.ID, now.since, now.upTo, now.unread, noted.since, noted.upTo, noted.unread)
		return err
	})
}

// countRange counts the unread messages of a user in a part of a timeline.
type countRange struct {
	*Store
	user, line, to int64
}

// messages is the condition for messages of others in entry_index.
const messages = "(? >> content) & 1 AND sender <> ?"

func (r *countRange) isMessage(e tailEntry) bool {
	return store.History.Has(e.content) && e.sent.user != r.user
}

// count counts the messages after a sequence number. It is stale if one that was counted before, after since, has been
// recalled in the part that is counted now.
func (r *countRange) count(ctx context.Context, since, after int64) (n int64, stale bool, err error) {
	// The tail first: what moves to the index meanwhile is then in both, and not in neither.
	inIndex, tail := r.to, r.timeline.between(r.line, after, r.to)
	if len(tail) > 0 {
		inIndex = tail[0].seq - 1
	}
	if err := r.readDB.QueryRowContext(ctx, "SELECT COUNT(*) FROM entry_index WHERE timeline = ? AND seq > ? AND seq <= ? AND "+messages,
		r.line, after, inIndex, int64(store.History), r.user).Scan(&n); err != nil {
		return 0, false, err
	}
	special, err := r.special(ctx, after, inIndex)
	if err != nil {
		return 0, false, err
	}
	known := map[int64]tailEntry{}
	for _, e := range tail {
		known[e.seq] = e
		if r.isMessage(e) {
			n++
		}
		if e.directed || e.ref != 0 {
			special = append(special, e)
		}
	}
	var refs, directed []int64 // sequence numbers; positions
	for _, e := range special {
		if e.ref > since {
			refs = append(refs, e.ref)
		}
		if e.directed && r.isMessage(e) {
			directed = append(directed, e.pos)
		}
	}
	gone, err := r.recalled(ctx, refs)
	if err != nil {
		return 0, false, err
	}
	for seq := range gone {
		if seq <= after {
			return 0, true, nil
		}
	}
	removed, err := r.RemovedMessages(ctx, r.user, r.line, after, r.to+1)
	if err != nil {
		return 0, false, err
	}
	others, err := r.forOthers(ctx, directed)
	if err != nil {
		return 0, false, err
	}
	for _, seq := range append(removed, others...) {
		gone[seq] = true
	}
	without, err := r.messagesAmong(ctx, gone, known)
	return n - without, false, err
}

// special returns the entries in the index that say something about others or are not for all.
func (r *countRange) special(ctx context.Context, after, upTo int64) (found []tailEntry, err error) {
	rows, err := r.readDB.QueryContext(ctx, `SELECT seq, pos, sender, content, ref, directed FROM entry_index
		WHERE timeline = ? AND seq > ? AND seq <= ? AND (directed OR ref <> 0)`, r.line, after, upTo)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var e tailEntry
		if err := rows.Scan(&e.seq, &e.pos, &e.sent.user, &e.content, &e.ref, &e.directed); err != nil {
			return nil, err
		}
		found = append(found, e)
	}
	return found, rows.Err()
}

// recalled returns which of some entries have been recalled.
func (r *countRange) recalled(ctx context.Context, seqs []int64) (map[int64]bool, error) {
	found := map[int64]bool{}
	if len(seqs) == 0 {
		return found, nil
	}
	var positions []int64
	for _, seq := range seqs {
		if e := r.timeline.between(r.line, seq-1, seq); len(e) > 0 {
			positions = append(positions, e[0].pos)
		}
	}
	rows, err := r.readDB.QueryContext(ctx, `SELECT i.seq FROM entry_index i JOIN entry e ON e.pos = i.pos
		WHERE i.timeline = ? AND i.seq IN (SELECT value FROM json_each(?)) AND e.recalled
		UNION SELECT seq FROM entry WHERE pos IN (SELECT value FROM json_each(?)) AND recalled`, r.line, asJSON(seqs), asJSON(positions))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var seq int64
		if err := rows.Scan(&seq); err != nil {
			return nil, err
		}
		found[seq] = true
	}
	return found, rows.Err()
}

// forOthers returns which of the entries at some positions the user is not given.
func (r *countRange) forOthers(ctx context.Context, positions []int64) (seqs []int64, err error) {
	if len(positions) == 0 {
		return nil, nil
	}
	rows, err := r.readDB.QueryContext(ctx, "SELECT seq, audience FROM entry WHERE pos IN (SELECT value FROM json_each(?))", asJSON(positions))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var seq int64
		var packed []byte
		if err := rows.Scan(&seq, &packed); err != nil {
			return nil, err
		}
		audience, err := store.ReadAudience(packed)
		if err != nil {
			return nil, err
		}
		if !audience.Has(r.user) {
			seqs = append(seqs, seq)
		}
	}
	return seqs, rows.Err()
}

// messagesAmong counts the messages of others among some entries; those of the tail are known.
func (r *countRange) messagesAmong(ctx context.Context, seqs map[int64]bool, known map[int64]tailEntry) (n int64, err error) {
	if len(seqs) == 0 {
		return 0, nil
	}
	var tailed int64
	var indexed []int64
	for seq := range seqs {
		if e, ok := known[seq]; !ok {
			indexed = append(indexed, seq)
		} else if r.isMessage(e) {
			tailed++
		}
	}
	err = r.readDB.QueryRowContext(ctx, "SELECT COUNT(*) FROM entry_index WHERE timeline = ? AND seq IN (SELECT value FROM json_each(?)) AND "+messages,
		r.line, asJSON(indexed), int64(store.History), r.user).Scan(&n)
	return n + tailed, err
}

// between returns the entries of the tail after a sequence number, up to another.
func (t *timelines) between(timeline, after, upTo int64) []tailEntry {
	found := t.tail(timeline, after, int(min(upTo-after, 2*generationSize)))
	for len(found) > 0 && found[len(found)-1].seq > upTo {
		found = found[:len(found)-1]
	}
	return found
}

// RemovedMessages implements store.Conversations.
func (s *Store) RemovedMessages(ctx context.Context, user, timeline, after, before int64) ([]int64, error) {
	rows, err := s.readDB.QueryContext(ctx, "SELECT seq FROM removed WHERE user = ? AND timeline = ? AND seq > ? AND seq < ? ORDER BY seq",
		user, timeline, after, before)
	if err != nil {
		return nil, fmt.Errorf("read removed messages: %w", err)
	}
	defer rows.Close()
	var seqs []int64
	for rows.Next() {
		var seq int64
		if err := rows.Scan(&seq); err != nil {
			return nil, fmt.Errorf("read removed message: %w", err)
		}
		seqs = append(seqs, seq)
	}
	return seqs, rows.Err()
}

// MarkRead implements store.Conversations.
func (s *Store) MarkRead(ctx context.Context, user, timeline, seq int64) error {
	return s.do(ctx, func(tx *statements) error {
		_, err := tx.ExecContext(context.Background(), `INSERT INTO conversation (user, timeline, read) VALUES (?1, ?2, ?3)
			ON CONFLICT DO UPDATE SET read = ?3 WHERE read < ?3`, user, timeline, seq)
		return err
	})
}

// RemoveMessages implements store.Conversations.
func (s *Store) RemoveMessages(ctx context.Context, user, timeline int64, seqs []int64) error {
	return s.do(ctx, func(tx *statements) error {
		for _, seq := range seqs {
			if _, err := tx.ExecContext(context.Background(), "INSERT OR IGNORE INTO removed (user, timeline, seq) VALUES (?, ?, ?)",
				user, timeline, seq); err != nil {
				return err
			}
		}
		// The count is not right any more, nor is one that is under way: no such number was noted before.
		_, err := tx.ExecContext(context.Background(), `INSERT INTO conversation (user, timeline, since) VALUES (?, ?, -2)
			ON CONFLICT DO UPDATE SET since = -2 - ABS(since)`, user, timeline)
		return err
	})
}

// ClearConversation implements store.Conversations.
func (s *Store) ClearConversation(ctx context.Context, user, timeline, seq int64) error {
	return s.do(ctx, func(tx *statements) error {
		_, err := tx.ExecContext(context.Background(), `INSERT INTO conversation (user, timeline, cleared) VALUES (?1, ?2, ?3)
			ON CONFLICT DO UPDATE SET cleared = ?3 WHERE cleared < ?3`, user, timeline, seq)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(context.Background(), forgetRemoved, user, timeline, seq)
		return err
	})
}

const forgetRemoved = "DELETE FROM removed WHERE user = ? AND timeline = ? AND seq <= ?"

// HideConversations implements store.Conversations.
func (s *Store) HideConversations(ctx context.Context, user int64, upTo []store.Point, clear bool) error {
	return s.do(ctx, func(tx *statements) error {
		for _, p := range upTo {
			cleared := int64(0)
			if clear {
				cleared = p.Seq
			}
			_, err := tx.ExecContext(context.Background(), `INSERT INTO conversation (user, timeline, read, hidden, cleared) VALUES (?1, ?2, ?3, ?3, ?4)
				ON CONFLICT DO UPDATE SET read = MAX(read, ?3), hidden = MAX(hidden, ?3), cleared = MAX(cleared, ?4), pinned = 0, marks = 0`,
				user, p.Timeline, p.Seq, cleared)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(context.Background(), forgetRemoved, user, p.Timeline, cleared); err != nil {
				return err
			}
		}
		return nil
	})
}

// PinConversation implements store.Conversations.
func (s *Store) PinConversation(ctx context.Context, user, timeline, at int64, limit int) error {
	return s.do(ctx, func(tx *statements) error {
		if at != 0 {
			if full, err := exists(tx, "SELECT COUNT(*) >= ? FROM conversation WHERE user = ? AND timeline <> ? AND pinned <> 0",
				limit, user, timeline); err != nil {
				return err
			} else if full {
				return store.ErrFull
			}
		}
		_, err := tx.ExecContext(context.Background(), `INSERT INTO conversation (user, timeline, pinned) VALUES (?1, ?2, ?3)
			ON CONFLICT DO UPDATE SET pinned = ?3`, user, timeline, at)
		return err
	})
}

// MarkConversations implements store.Conversations.
func (s *Store) MarkConversations(ctx context.Context, user int64, timelines []int64, mark int, on bool) error {
	bit := int64(1) << mark
	return s.do(ctx, func(tx *statements) error {
		for _, timeline := range timelines {
			var err error
			if on {
				_, err = tx.ExecContext(context.Background(), `INSERT INTO conversation (user, timeline, marks) VALUES (?1, ?2, ?3)
					ON CONFLICT DO UPDATE SET marks = marks | ?3`, user, timeline, bit)
			} else {
				_, err = tx.ExecContext(context.Background(), "UPDATE conversation SET marks = marks & ~?3 WHERE user = ?1 AND timeline = ?2",
					user, timeline, bit)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// What one call of Expire looks at, and how long it may hold the writer.
const (
	expireTimelines = 100
	expireEntries   = 500
	expireTime      = 2 * time.Millisecond
)

// Expire implements store.Conversations. What is still in the tail comes with a later call: it is indexed first.
func (s *Store) Expire(ctx context.Context, app, before, after int64) (next int64, removed int, err error) {
	rows, err := s.readDB.QueryContext(ctx, "SELECT id, floor FROM timeline WHERE app = ? AND id > ? ORDER BY id LIMIT ?", app, after, expireTimelines)
	if err != nil {
		return 0, 0, fmt.Errorf("list timelines: %w", err)
	}
	defer rows.Close()
	var floors []store.Point
	for rows.Next() {
		var p store.Point
		if err := rows.Scan(&p.Timeline, &p.Seq); err != nil {
			return 0, 0, fmt.Errorf("read timeline: %w", err)
		}
		floors = append(floors, p)
	}
	if err := rows.Err(); err != nil {
		return 0, 0, fmt.Errorf("list timelines: %w", err)
	}
	rows.Close()
	for _, p := range floors {
		old, err := s.expired(ctx, p, before)
		if err != nil {
			return 0, 0, fmt.Errorf("find old entries: %w", err)
		}
		if len(old) == 0 {
			after = p.Timeline
			continue
		}
		err = s.do(ctx, func(tx *statements) (err error) {
			removed, err = s.remove(tx, old)
			return err
		})
		// The same timeline may have more.
		return after, removed, err
	}
	if len(floors) < expireTimelines {
		return 0, 0, nil
	}
	return after, 0, nil
}

// expired returns the entries at the beginning of a timeline, after its floor, that are older than a time.
func (s *Store) expired(ctx context.Context, floor store.Point, before int64) ([]tailEntry, error) {
	rows, err := s.readDB.QueryContext(ctx, `SELECT i.seq, i.pos, e.time
		FROM entry_index i JOIN entry e ON e.pos = i.pos WHERE i.timeline = ? AND i.seq > ? ORDER BY i.seq LIMIT ?`,
		floor.Timeline, floor.Seq, expireEntries)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var old []tailEntry
	for rows.Next() {
		e := tailEntry{timeline: floor.Timeline}
		var time int64
		if err := rows.Scan(&e.seq, &e.pos, &time); err != nil {
			return nil, err
		}
		if time >= before {
			return old, nil
		}
		old = append(old, e)
	}
	if err := rows.Err(); err != nil || len(old) > 0 {
		return old, err
	}
	return nil, s.indexEarly(ctx, floor, before)
}

// indexEarly has the tail indexed, although it is not full, if there is something old in it.
func (s *Store) indexEarly(ctx context.Context, floor store.Point, before int64) error {
	waiting := s.timeline.tail(floor.Timeline, floor.Seq, 1)
	if len(waiting) == 0 {
		return nil
	}
	var time int64
	if err := s.readDB.QueryRowContext(ctx, "SELECT time FROM entry WHERE pos = ?", waiting[0].pos).Scan(&time); err != nil {
		return err
	}
	if time < before {
		s.timeline.early.Store(true)
		s.writer.nudge()
	}
	return nil
}

// remove removes entries of one timeline within a job, as many as it can in its time, and returns how many.
func (s *Store) remove(tx *statements, old []tailEntry) (int, error) {
	ctx, begun := context.Background(), time.Now()
	for i, e := range old {
		for _, deletion := range []struct {
			query  string
			values []any
		}{
			{"DELETE FROM reactor WHERE reaction IN (SELECT id FROM reaction WHERE message = (SELECT id FROM entry WHERE pos = ?))", []any{e.pos}},
			{"DELETE FROM reaction WHERE message = (SELECT id FROM entry WHERE pos = ?)", []any{e.pos}},
			{"DELETE FROM pin WHERE timeline = ? AND message = (SELECT id FROM entry WHERE pos = ?)", []any{e.timeline, e.pos}},
			{"DELETE FROM entry WHERE pos = ?", []any{e.pos}},
			{"DELETE FROM entry_index WHERE timeline = ? AND seq = ?", []any{e.timeline, e.seq}},
			{"DELETE FROM search WHERE rowid = ?", []any{e.pos}},
			{"DELETE FROM receipt WHERE timeline = ? AND seq = ?", []any{e.timeline, e.seq}},
		} {
			if _, err := tx.ExecContext(ctx, deletion.query, deletion.values...); err != nil {
				return 0, err
			}
		}
		if i == len(old)-1 || time.Since(begun) > expireTime {
			_, err := tx.ExecContext(ctx, "UPDATE timeline SET floor = ? WHERE id = ?", e.seq, e.timeline)
			return i + 1, err
		}
	}
	return 0, nil
}
