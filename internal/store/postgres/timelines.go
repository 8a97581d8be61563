package postgres

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/stoa-chat/stoa/internal/store"
)

// lasting is the until of a subscription that has not ended.
const lasting = math.MaxInt64

// entryColumns are those of an entry, as scanEntry reads them.
const entryColumns = "seq, id, time, sender, device, client_id, content, ref, audience, version, recalled, meta"

func scanEntry(row pgx.CollectableRow) (e store.Entry, err error) {
	var clientID int64
	var audience []byte
	err = row.Scan(&e.Seq, &e.ID, &e.Time, &e.Sender, &e.Device, &clientID, &e.Content, &e.Ref, &audience, &e.Version, &e.Recalled, &e.Meta)
	if err != nil {
		return e, err
	}
	e.ClientID = uint64(clientID)
	e.Audience, err = store.ReadAudience(audience)
	return e, err
}

// ReadTimeline implements store.Timelines.
//
// Here and below, parts of timelines are asked for by comparing rows. The engine takes "timeline = a AND seq > b AND
// seq < c" for a few rows, whatever the numbers are, and would read and sort them all to find the first: it keeps plans
// that know no numbers. By rows it expects many, and goes along the index.
func (s *Store) ReadTimeline(ctx context.Context, timeline, after int64, limit, maxBytes int) ([]store.Entry, error) {
	rows, err := s.pool.Query(ctx, "SELECT "+entryColumns+` FROM (
			SELECT *, sum(length(meta)) OVER (ORDER BY timeline, seq ROWS UNBOUNDED PRECEDING) - length(meta) AS before
			FROM entry WHERE (timeline, seq) > ($1, $2) AND (timeline, seq) <= ($1, $5) ORDER BY timeline, seq LIMIT $3
		) e WHERE before < $4 ORDER BY seq`, timeline, after, limit, max(maxBytes, 1), int64(lasting))
	if err != nil {
		return nil, wrap("read timeline", err)
	}
	entries, err := pgx.CollectRows(rows, scanEntry)
	return entries, wrap("read timeline", err)
}

// ListEntries implements store.Timelines.
func (s *Store) ListEntries(ctx context.Context, timeline int64, q store.EntryQuery) ([]store.Entry, error) {
	if q.Contents == 0 {
		q.Contents = store.History
	}
	var entries []store.Entry
	for {
		// More than the limit may have to be looked at: only a row itself tells whom it is for.
		page, err := s.listPage(ctx, timeline, q, q.Limit-len(entries))
		if err != nil || len(page) == 0 {
			return entries, wrap("list entries", err)
		}
		for _, e := range page {
			if q.Reader == 0 || e.Audience.Has(q.Reader) || e.Sender == q.Reader {
				entries = append(entries, e)
			}
		}
		if len(entries) == q.Limit {
			return entries, nil
		}
		if last := page[len(page)-1].Seq; q.Descending {
			q.Before = last
		} else {
			q.After = last
		}
	}
}

func (s *Store) listPage(ctx context.Context, timeline int64, q store.EntryQuery, limit int) ([]store.Entry, error) {
	before := q.Before
	if before == 0 {
		before = math.MaxInt64
	}
	query := "SELECT " + entryColumns + ` FROM entry
		WHERE (timeline, seq) > ($1, $2) AND (timeline, seq) < ($1, $3) AND ($4::integer >> content) & 1 = 1 AND NOT recalled
		AND ($5::bigint = 0 OR sender = $5) ORDER BY timeline, seq`
	if q.Descending {
		query = strings.Replace(query, "ORDER BY timeline, seq", "ORDER BY timeline DESC, seq DESC", 1)
	}
	rows, err := s.pool.Query(ctx, query+" LIMIT $6", timeline, q.After, before, int32(q.Contents), q.Sender, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanEntry)
}

// FindEntry implements store.Timelines.
func (s *Store) FindEntry(ctx context.Context, app, id int64) (store.Found, error) {
	rows, err := s.pool.Query(ctx, "SELECT timeline, seq FROM entry WHERE id = $1", id)
	if err != nil {
		return store.Found{}, wrap("find entry", err)
	}
	places, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (at place, err error) {
		err = row.Scan(&at.timeline, &at.seq)
		return at, err
	})
	if err != nil {
		return store.Found{}, wrap("find entry", err)
	}
	for _, at := range places {
		t, err := s.timelineWhere(ctx, "id = $1 AND app = $2", at.timeline, app)
		if errors.Is(err, store.ErrNotFound) {
			continue
		} else if err != nil {
			return store.Found{}, err
		}
		rows, err := s.pool.Query(ctx, "SELECT "+entryColumns+" FROM entry WHERE timeline = $1 AND seq = $2", at.timeline, at.seq)
		if err != nil {
			return store.Found{}, wrap("find entry", err)
		}
		entry, err := pgx.CollectExactlyOneRow(rows, scanEntry)
		return store.Found{Timeline: t.ID, Key: t.Key, Entry: entry}, wrap("find entry", err)
	}
	return store.Found{}, store.ErrNotFound
}

// FindTimeline implements store.Timelines.
func (s *Store) FindTimeline(ctx context.Context, key store.Key) (store.Timeline, error) {
	return s.timelineWhere(ctx, "app = $1 AND kind = $2 AND a = $3 AND b = $4", key.App, int16(key.Kind), key.A, key.B)
}

func (s *Store) timelineWhere(ctx context.Context, where string, values ...any) (t store.Timeline, err error) {
	var kind int16
	err = s.pool.QueryRow(ctx, "SELECT id, app, kind, a, b, head FROM timeline WHERE "+where, values...).
		Scan(&t.ID, &t.Key.App, &kind, &t.Key.A, &t.Key.B, &t.Head)
	t.Key.Kind = store.Kind(kind)
	return t, wrap("find timeline", err)
}

// Subscribe implements store.Timelines.
func (s *Store) Subscribe(ctx context.Context, key store.Key, users []int64) (t store.Timeline, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		t, err = subscribe(ctx, tx, key, users)
		return err
	})
	return t, wrap("subscribe", err)
}

// Unsubscribe implements store.Timelines.
func (s *Store) Unsubscribe(ctx context.Context, key store.Key, users []int64) (t store.Timeline, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		t, err = unsubscribe(ctx, tx, key, users)
		return err
	})
	return t, wrap("unsubscribe", err)
}

// subscribe lets users read a timeline from its head on. It locks the head, so that no entry is between the two.
func subscribe(ctx context.Context, tx pgx.Tx, key store.Key, users []int64) (store.Timeline, error) {
	_, err := tx.Exec(ctx, "INSERT INTO timeline (app, kind, a, b, head) VALUES ($1, $2, $3, $4, 0) ON CONFLICT DO NOTHING",
		key.App, int16(key.Kind), key.A, key.B)
	if err != nil {
		return store.Timeline{}, fmt.Errorf("make timeline: %w", err)
	}
	t, err := lockTimeline(ctx, tx, key)
	if err != nil {
		return store.Timeline{}, err
	}
	_, err = tx.Exec(ctx, `
		INSERT INTO subscription AS old (user_id, timeline, start, until)
		SELECT DISTINCT u, $2::bigint, $3::bigint, $4::bigint FROM unnest($1::bigint[]) u ORDER BY u
		ON CONFLICT (user_id, timeline) DO UPDATE SET start = excluded.start, until = excluded.until WHERE old.until < $4`,
		users, t.ID, t.Head, int64(lasting))
	return t, err
}

// unsubscribe ends the users' right to read a timeline at its head.
func unsubscribe(ctx context.Context, tx pgx.Tx, key store.Key, users []int64) (store.Timeline, error) {
	t, err := lockTimeline(ctx, tx, key)
	if err != nil {
		return store.Timeline{}, err
	}
	_, err = tx.Exec(ctx, "UPDATE subscription SET until = $3 WHERE user_id = ANY ($1) AND timeline = $2 AND until = $4",
		users, t.ID, t.Head, int64(lasting))
	return t, err
}

func lockTimeline(ctx context.Context, tx pgx.Tx, key store.Key) (store.Timeline, error) {
	t := store.Timeline{Key: key}
	err := tx.QueryRow(ctx, "SELECT id, head FROM timeline WHERE app = $1 AND kind = $2 AND a = $3 AND b = $4 FOR NO KEY UPDATE",
		key.App, int16(key.Kind), key.A, key.B).Scan(&t.ID, &t.Head)
	return t, wrap("lock timeline", err)
}

// Subscriptions implements store.Timelines.
func (s *Store) Subscriptions(ctx context.Context, user int64) ([]store.Subscription, error) {
	return s.subscriptions(ctx, "user_id = $1", user)
}

// Subscription implements store.Timelines.
func (s *Store) Subscription(ctx context.Context, user, timeline int64) (store.Subscription, error) {
	found, err := s.subscriptions(ctx, "user_id = $1 AND timeline = $2", user, timeline)
	if err != nil {
		return store.Subscription{}, err
	}
	if len(found) == 0 {
		return store.Subscription{}, store.ErrNotFound
	}
	return found[0], nil
}

// subscriptions reads what belongs to the user, and then what belongs to the timelines.
func (s *Store) subscriptions(ctx context.Context, where string, values ...any) ([]store.Subscription, error) {
	rows, err := s.pool.Query(ctx, "SELECT timeline, start, until FROM subscription WHERE until > 0 AND "+where+" ORDER BY timeline", values...)
	if err != nil {
		return nil, wrap("read subscriptions", err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (one store.Subscription, err error) {
		err = row.Scan(&one.ID, &one.Start, &one.Until)
		one.Until %= lasting
		return one, err
	})
	if err != nil {
		return nil, wrap("read subscriptions", err)
	}
	timelines := make([]int64, len(found))
	for i, one := range found {
		timelines[i] = one.ID
	}
	err = s.eachTimeline(ctx, timelines, func(i int, t store.Timeline) { found[i].Timeline = t })
	return found, wrap("read subscriptions", err)
}

// eachTimeline reads timelines, whose numbers rise, and calls do with the place of each in the list.
func (s *Store) eachTimeline(ctx context.Context, ids []int64, do func(i int, t store.Timeline)) error {
	if len(ids) == 0 {
		return nil
	}
	rows, err := s.pool.Query(ctx, "SELECT id, app, kind, a, b, head FROM timeline WHERE id = ANY ($1)", ids)
	if err != nil {
		return err
	}
	var t store.Timeline
	var kind int16
	_, err = pgx.ForEachRow(rows, []any{&t.ID, &t.Key.App, &kind, &t.Key.A, &t.Key.B, &t.Head}, func() error {
		t.Key.Kind = store.Kind(kind)
		if i, ok := slices.BinarySearch(ids, t.ID); ok {
			do(i, t)
		}
		return nil
	})
	return err
}

// Positions implements store.Timelines. What belongs to the user and what belongs to the timelines is read apart.
func (s *Store) Positions(ctx context.Context, user, device int64) ([]store.Position, error) {
	query, values := `
		SELECT s.timeline, s.until, greatest(coalesce(c.seq, 0), s.start) FROM subscription s
		LEFT JOIN cursor c ON c.user_id = s.user_id AND c.device = $2 AND c.timeline = s.timeline
		WHERE s.user_id = $1 AND s.until > 0 ORDER BY s.timeline`, []any{user, device}
	if device == 0 { // its cursors are those of devices that are forgotten
		query, values = `
		SELECT s.timeline, s.until, greatest(coalesce(c.seq, 0), s.start) FROM subscription s
		LEFT JOIN (SELECT timeline, max(seq) AS seq FROM cursor WHERE user_id = $1 GROUP BY timeline) c ON c.timeline = s.timeline
		WHERE s.user_id = $1 AND s.until > 0 ORDER BY s.timeline`, []any{user}
	}
	rows, err := s.pool.Query(ctx, query, values...)
	if err != nil {
		return nil, wrap("read cursors", err)
	}
	positions, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p store.Position, err error) {
		err = row.Scan(&p.Timeline, &p.Until, &p.Cursor)
		return p, err
	})
	if err != nil {
		return nil, wrap("read cursors", err)
	}
	timelines := make([]int64, len(positions))
	for i, p := range positions {
		timelines[i] = p.Timeline
	}
	err = s.eachTimeline(ctx, timelines, func(i int, t store.Timeline) {
		p := &positions[i]
		p.Head = min(t.Head, p.Until)
		p.Until %= lasting
		if t.Key.Kind == store.KindMuc {
			p.Muc = t.Key.A
		}
	})
	return positions, wrap("read heads", err)
}

// SaveCursors implements store.Timelines. Cursors of devices that are gone are left out.
func (s *Store) SaveCursors(ctx context.Context, cursors []store.Cursor) error {
	if len(cursors) == 0 {
		return nil
	}
	users, devices := make([]int64, len(cursors)), make([]int64, len(cursors))
	timelines, seqs := make([]int64, len(cursors)), make([]int64, len(cursors))
	for i, c := range cursors {
		users[i], devices[i], timelines[i], seqs[i] = c.User, c.Device, c.Timeline, c.Seq
	}
	// A batch is one transaction. It need not wait for the disk. Rows are taken in one order by all, so that two who save
	// the same cursors wait for each other and not in a circle.
	batch := &pgx.Batch{}
	batch.Queue("SELECT set_config('synchronous_commit', 'off', true)")
	batch.Queue(`
		INSERT INTO cursor AS old (user_id, device, timeline, seq)
		SELECT c.user_id, c.device, c.timeline, max(c.seq)
		FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) AS c (user_id, device, timeline, seq)
		JOIN device d ON d.user_id = c.user_id AND d.id = c.device
		GROUP BY c.user_id, c.device, c.timeline ORDER BY c.user_id, c.device, c.timeline
		ON CONFLICT (user_id, device, timeline) DO UPDATE SET seq = excluded.seq WHERE old.seq < excluded.seq`,
		users, devices, timelines, seqs)
	return wrap("save cursors", s.pool.SendBatch(ctx, batch).Close())
}
