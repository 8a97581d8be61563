package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/stoa-chat/stoa/internal/store"
)

const stateColumns = "coalesce(c.read, 0), coalesce(c.cleared, 0), coalesce(c.hidden, 0), coalesce(c.pinned, 0), coalesce(c.marks, 0)"

// ListConversations implements store.Conversations. What belongs to the user and what belongs to the timelines is read apart.
func (s *Store) ListConversations(ctx context.Context, user int64) ([]store.Conversation, error) {
	rows, err := s.pool.Query(ctx, "SELECT s.timeline, s.start, s.until, "+stateColumns+` FROM subscription s
		LEFT JOIN conversation c ON c.user_id = s.user_id AND c.timeline = s.timeline
		WHERE s.user_id = $1 ORDER BY s.timeline`, user)
	if err != nil {
		return nil, wrap("list conversations", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c store.Conversation, err error) {
		err = row.Scan(&c.ID, &c.Start, &c.Until, &c.Read, &c.Cleared, &c.Hidden, &c.Pinned, &c.Marks)
		c.Until %= lasting
		return c, err
	})
	if err != nil {
		return nil, wrap("list conversations", err)
	}
	places := make(map[int64]*store.Conversation, len(all))
	ids := make([]int64, len(all))
	for i := range all {
		ids[i], places[all[i].ID] = all[i].ID, &all[i]
	}
	rows, err = s.pool.Query(ctx, "SELECT id, app, kind, a, b, head, floor FROM timeline WHERE id = ANY ($1) AND kind <> $2 ORDER BY id",
		ids, int16(store.KindUser))
	if err != nil {
		return nil, wrap("list conversations", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.Conversation, error) {
		var t store.Conversation
		if err := scanTimeline(row, &t); err != nil {
			return t, err
		}
		c := *places[t.ID]
		c.Timeline, c.Floor = t.Timeline, t.Floor
		return c, nil
	})
	return list, wrap("list conversations", err)
}

func scanTimeline(row pgx.Row, c *store.Conversation) error {
	var kind int16
	err := row.Scan(&c.ID, &c.Key.App, &kind, &c.Key.A, &c.Key.B, &c.Head, &c.Floor)
	c.Key.Kind = store.Kind(kind)
	return err
}

// Conversation implements store.Conversations.
func (s *Store) Conversation(ctx context.Context, user int64, key store.Key) (c store.Conversation, err error) {
	if err := scanTimeline(s.pool.QueryRow(ctx, "SELECT id, app, kind, a, b, head, floor FROM timeline WHERE app = $1 AND kind = $2 AND a = $3 AND b = $4",
		key.App, int16(key.Kind), key.A, key.B), &c); err != nil {
		return c, wrap("find conversation", err)
	}
	err = s.pool.QueryRow(ctx, "SELECT coalesce(s.start, 0), coalesce(s.until, 0), "+stateColumns+` FROM (VALUES (0)) one
		LEFT JOIN subscription s ON s.user_id = $1 AND s.timeline = $2 LEFT JOIN conversation c ON c.user_id = $1 AND c.timeline = $2`,
		user, c.ID).Scan(&c.Start, &c.Until, &c.Read, &c.Cleared, &c.Hidden, &c.Pinned, &c.Marks)
	c.Until %= lasting
	return c, wrap("read conversation", err)
}

// LastMessages implements store.Conversations.
func (s *Store) LastMessages(ctx context.Context, user int64, conversations []store.Conversation) ([]store.Entry, error) {
	last := make([]store.Entry, len(conversations))
	if len(conversations) == 0 {
		return last, nil
	}
	batch := &pgx.Batch{}
	for i, c := range conversations {
		batch.Queue("SELECT "+entryColumns+` FROM entry WHERE (timeline, seq) > ($1, $2) AND (timeline, seq) <= ($1, $3)
			AND ($4::integer >> content) & 1 = 1 AND NOT recalled ORDER BY timeline DESC, seq DESC LIMIT 1`,
			c.ID, max(c.Start, c.Floor), c.Last(), int32(store.History)).Query(func(rows pgx.Rows) (err error) {
			last[i], err = pgx.CollectOneRow(rows, scanEntry)
			if errors.Is(err, pgx.ErrNoRows) {
				return nil
			}
			return err
		})
	}
	if err := s.pool.SendBatch(ctx, batch).Close(); err != nil {
		return nil, wrap("read last messages", err)
	}
	for i, c := range conversations {
		if e := last[i]; e.Seq == 0 || e.Sender == user || e.Audience.Has(user) {
			continue
		}
		before, err := s.ListEntries(ctx, c.ID, store.EntryQuery{After: max(c.Start, c.Floor), Before: last[i].Seq, Descending: true, Limit: 1, Reader: user})
		if err != nil {
			return nil, err
		}
		last[i] = store.Entry{}
		if len(before) > 0 {
			last[i] = before[0]
		}
	}
	return last, nil
}

// longCount is how many entries a count goes through before it is worth a write to note it.
const longCount = 256

// unreadCount is how many messages of a conversation were unread after since, up to upTo.
type unreadCount struct {
	since, upTo, unread int64
}

// counting is the way to the count of one conversation.
type counting struct {
	store.Conversation
	from    int64       // what is after it counts
	noted   unreadCount // as it was read
	removed []int64     // what the user has deleted after from
	now     unreadCount
	begun   int64
	stale   bool // a message that noted counts has been recalled
}

// CountUnread implements store.Conversations.
func (s *Store) CountUnread(ctx context.Context, user int64, conversations []store.Conversation) ([]int, error) {
	var open []*counting
	places := map[int64]*counting{}
	var ids []int64
	for _, c := range conversations {
		one := &counting{Conversation: c, from: max(c.Read, c.After()), noted: unreadCount{since: -1}, removed: []int64{}}
		if one.from < c.Last() {
			open, places[c.ID], ids = append(open, one), one, append(ids, c.ID)
		}
	}
	if err := s.readCounts(ctx, user, ids, places); err != nil {
		return nil, wrap("count unread messages", err)
	}
	for _, c := range open {
		c.now = c.noted
		if c.now.since != c.from || c.now.upTo > c.Last() {
			c.now = unreadCount{c.from, c.from, 0}
		}
	}
	if err := s.count(ctx, user, open); err != nil {
		return nil, wrap("count unread messages", err)
	}
	var again []*counting
	for _, c := range open {
		if c.stale {
			c.now = unreadCount{c.from, c.from, 0}
			again = append(again, c)
		}
	}
	if err := s.count(ctx, user, again); err != nil {
		return nil, wrap("count unread messages", err)
	}
	counts := make([]int, len(conversations))
	for i, c := range conversations {
		if one := places[c.ID]; one != nil {
			counts[i] = int(one.now.unread)
		}
	}
	return counts, wrap("note counts", s.noteCounts(ctx, user, open))
}

// readCounts reads what was noted and what was deleted.
func (s *Store) readCounts(ctx context.Context, user int64, ids []int64, places map[int64]*counting) error {
	if len(ids) == 0 {
		return nil
	}
	var timeline, seq int64
	var n unreadCount
	batch := &pgx.Batch{}
	batch.Queue("SELECT timeline, since, counted, unread FROM conversation WHERE user_id = $1 AND timeline = ANY ($2)", user, ids).
		Query(func(rows pgx.Rows) error {
			_, err := pgx.ForEachRow(rows, []any{&timeline, &n.since, &n.upTo, &n.unread}, func() error {
				places[timeline].noted = n
				return nil
			})
			return err
		})
	batch.Queue("SELECT timeline, seq FROM removed WHERE user_id = $1 AND timeline = ANY ($2)", user, ids).
		Query(func(rows pgx.Rows) error {
			_, err := pgx.ForEachRow(rows, []any{&timeline, &seq}, func() error {
				if c := places[timeline]; seq > c.from {
					c.removed = append(c.removed, seq)
				}
				return nil
			})
			return err
		})
	return s.pool.SendBatch(ctx, batch).Close()
}

// count goes on with counts to the ends of their conversations.
func (s *Store) count(ctx context.Context, user int64, open []*counting) error {
	if len(open) == 0 {
		return nil
	}
	batch := &pgx.Batch{}
	for _, c := range open {
		c.begun = c.now.upTo
		batch.Queue(`
			SELECT count(*) FILTER (WHERE audience IS NULL), array_agg(audience) FILTER (WHERE audience IS NOT NULL), EXISTS (
				SELECT FROM entry r JOIN entry e ON e.timeline = r.timeline AND e.seq = r.ref AND e.recalled
				WHERE r.timeline = $1 AND r.seq > $2 AND r.seq <= $3 AND r.ref > $4 AND r.ref <= $2)
			FROM entry WHERE timeline = $1 AND seq > $2 AND seq <= $3 AND ($5::integer >> content) & 1 = 1 AND sender <> $6
				AND NOT recalled AND seq <> ALL ($7::bigint[])`,
			c.ID, c.now.upTo, c.Last(), c.now.since, int32(store.History), user, c.removed).QueryRow(func(row pgx.Row) error {
			var forAll int64
			var directed [][]byte
			if err := row.Scan(&forAll, &directed, &c.stale); err != nil {
				return err
			}
			for _, packed := range directed {
				audience, err := store.ReadAudience(packed)
				if err != nil {
					return err
				}
				if audience.Has(user) {
					forAll++
				}
			}
			c.now.unread, c.now.upTo = c.now.unread+forAll, c.Last()
			return nil
		})
	}
	return s.pool.SendBatch(ctx, batch).Close()
}

// noteCounts notes long counts, only in the place of those that were read: the user may have deleted messages meanwhile.
func (s *Store) noteCounts(ctx context.Context, user int64, open []*counting) error {
	batch := &pgx.Batch{}
	batch.Queue("SELECT set_config('synchronous_commit', 'off', true)")
	for _, c := range open { // in order of the timelines, as all do
		if c.now.upTo-c.begun >= longCount {
			batch.Queue(`
				INSERT INTO conversation AS old (user_id, timeline, since, counted, unread) VALUES ($1, $2, $3, $4, $5)
				ON CONFLICT (user_id, timeline) DO UPDATE SET since = $3, counted = $4, unread = $5
				WHERE old.since = $6 AND old.counted = $7 AND old.unread = $8`,
				user, c.ID, c.now.since, c.now.upTo, c.now.unread, c.noted.since, c.noted.upTo, c.noted.unread)
		}
	}
	if batch.Len() == 1 {
		return nil
	}
	return s.pool.SendBatch(ctx, batch).Close()
}

// RemovedMessages implements store.Conversations.
func (s *Store) RemovedMessages(ctx context.Context, user, timeline, after, before int64) ([]int64, error) {
	rows, err := s.pool.Query(ctx, "SELECT seq FROM removed WHERE user_id = $1 AND timeline = $2 AND seq > $3 AND seq < $4 ORDER BY seq",
		user, timeline, after, before)
	if err != nil {
		return nil, wrap("read removed messages", err)
	}
	seqs, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	return seqs, wrap("read removed messages", err)
}

// MarkRead implements store.Conversations.
func (s *Store) MarkRead(ctx context.Context, user, timeline, seq int64) error {
	_, err := s.pool.Exec(ctx, `
		INSERT INTO conversation AS old (user_id, timeline, read) VALUES ($1, $2, $3)
		ON CONFLICT (user_id, timeline) DO UPDATE SET read = $3 WHERE old.read < $3`, user, timeline, seq)
	return wrap("mark as read", err)
}

// RemoveMessages implements store.Conversations.
func (s *Store) RemoveMessages(ctx context.Context, user, timeline int64, seqs []int64) error {
	return wrap("remove messages", s.tx(ctx, func(tx pgx.Tx) error {
		// The count is not right any more, nor is one that is under way: no such number was noted before.
		_, err := tx.Exec(ctx, `
			INSERT INTO conversation AS old (user_id, timeline, since) VALUES ($1, $2, -2)
			ON CONFLICT (user_id, timeline) DO UPDATE SET since = -2 - abs(old.since)`, user, timeline)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
			INSERT INTO removed (user_id, timeline, seq) SELECT DISTINCT $1::bigint, $2::bigint, seq FROM unnest($3::bigint[]) AS s (seq)
			ON CONFLICT DO NOTHING`, user, timeline, seqs)
		return err
	}))
}

const forgetRemoved = "DELETE FROM removed WHERE user_id = $1 AND timeline = $2 AND seq <= $3"

// ClearConversation implements store.Conversations.
func (s *Store) ClearConversation(ctx context.Context, user, timeline, seq int64) error {
	return wrap("clear conversation", s.tx(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
			INSERT INTO conversation AS old (user_id, timeline, cleared) VALUES ($1, $2, $3)
			ON CONFLICT (user_id, timeline) DO UPDATE SET cleared = $3 WHERE old.cleared < $3`, user, timeline, seq)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, forgetRemoved, user, timeline, seq)
		return err
	}))
}

// HideConversations implements store.Conversations.
func (s *Store) HideConversations(ctx context.Context, user int64, upTo []store.Point, clear bool) error {
	return wrap("hide conversations", s.tx(ctx, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		for _, p := range upTo {
			cleared := int64(0)
			if clear {
				cleared = p.Seq
			}
			batch.Queue(`
				INSERT INTO conversation AS old (user_id, timeline, read, hidden, cleared) VALUES ($1, $2, $3, $3, $4)
				ON CONFLICT (user_id, timeline) DO UPDATE SET read = greatest(old.read, $3), hidden = greatest(old.hidden, $3),
					cleared = greatest(old.cleared, $4), pinned = 0, marks = 0`, user, p.Timeline, p.Seq, cleared)
			batch.Queue(forgetRemoved, user, p.Timeline, cleared)
		}
		return tx.SendBatch(ctx, batch).Close()
	}))
}

// PinConversation implements store.Conversations.
func (s *Store) PinConversation(ctx context.Context, user, timeline, at int64, limit int) error {
	return s.relate(ctx, "pin conversation", func(tx pgx.Tx) error {
		if at != 0 {
			if full, err := exists(ctx, tx, "SELECT count(*) >= $3 FROM conversation WHERE user_id = $1 AND timeline <> $2 AND pinned <> 0",
				user, timeline, limit); err != nil {
				return err
			} else if full {
				return store.ErrFull
			}
		}
		_, err := tx.Exec(ctx, `
			INSERT INTO conversation (user_id, timeline, pinned) VALUES ($1, $2, $3)
			ON CONFLICT (user_id, timeline) DO UPDATE SET pinned = $3`, user, timeline, at)
		return err
	}, user)
}

// MarkConversations implements store.Conversations.
func (s *Store) MarkConversations(ctx context.Context, user int64, timelines []int64, mark int, on bool) error {
	query := `
		INSERT INTO conversation AS old (user_id, timeline, marks) SELECT DISTINCT $1::bigint, t, $3::bigint FROM unnest($2::bigint[]) t ORDER BY t
		ON CONFLICT (user_id, timeline) DO UPDATE SET marks = old.marks | $3`
	if !on {
		query = "UPDATE conversation SET marks = marks & ~$3::bigint WHERE user_id = $1 AND timeline = ANY ($2)"
	}
	_, err := s.pool.Exec(ctx, query, user, timelines, int64(1)<<mark)
	return wrap("mark conversations", err)
}

// What one call of Expire looks at.
const (
	expireTimelines = 100
	expireEntries   = 200
)

// Expire implements store.Conversations.
func (s *Store) Expire(ctx context.Context, app, before, after int64) (next int64, removed int, err error) {
	// Up to each timeline's first entry that is not old, as far as one looks.
	rows, err := s.pool.Query(ctx, `
		SELECT t.id, (SELECT coalesce(min(seq) FILTER (WHERE time >= $4) - 1, max(seq), 0) FROM (
			SELECT seq, time FROM entry e WHERE (e.timeline, e.seq) > (t.id, t.floor) AND (e.timeline, e.seq) <= (t.id, $6)
			ORDER BY e.timeline, e.seq LIMIT $5) first)
		FROM (SELECT id, floor FROM timeline WHERE app = $1 AND id > $2 ORDER BY id LIMIT $3) t ORDER BY t.id`,
		app, after, expireTimelines, before, expireEntries, int64(lasting))
	if err != nil {
		return 0, 0, wrap("find old entries", err)
	}
	points, err := pgx.CollectRows(rows, pgx.RowToStructByPos[store.Point])
	if err != nil {
		return 0, 0, wrap("find old entries", err)
	}
	for _, p := range points {
		removed, err := s.remove(ctx, p)
		if err != nil || removed > 0 {
			return after, removed, wrap("remove old entries", err) // the same timeline may have more
		}
		after = p.Timeline
	}
	if len(points) < expireTimelines {
		return 0, 0, nil
	}
	return after, 0, nil
}

// remove removes the entries of a timeline up to one.
func (s *Store) remove(ctx context.Context, upTo store.Point) (removed int, err error) {
	if upTo.Seq == 0 {
		return 0, nil
	}
	err = s.tx(ctx, func(tx pgx.Tx) error {
		// What hangs on the entries goes first.
		for _, which := range []string{"reactor WHERE", "reaction WHERE", "pin WHERE timeline = $1 AND"} {
			_, err := tx.Exec(ctx, "DELETE FROM "+which+" message IN (SELECT id FROM entry WHERE timeline = $1 AND seq <= $2)", upTo.Timeline, upTo.Seq)
			if err != nil {
				return err
			}
		}
		tag, err := tx.Exec(ctx, "DELETE FROM entry WHERE timeline = $1 AND seq <= $2", upTo.Timeline, upTo.Seq)
		if removed = int(tag.RowsAffected()); err != nil || removed == 0 {
			return err
		}
		for _, table := range []string{"search", "receipt"} {
			if _, err := tx.Exec(ctx, "DELETE FROM "+table+" WHERE timeline = $1 AND seq <= $2", upTo.Timeline, upTo.Seq); err != nil {
				return err
			}
		}
		// Last, since it holds up whoever appends.
		_, err = tx.Exec(ctx, "UPDATE timeline SET floor = $2 WHERE id = $1 AND floor < $2", upTo.Timeline, upTo.Seq)
		return err
	})
	return removed, err
}
