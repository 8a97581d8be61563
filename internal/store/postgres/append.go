package postgres

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/stoa-chat/stoa/internal/store"
)

const (
	// batchDrafts is how many drafts of waiting callers make a batch full. A caller's drafts stay together.
	batchDrafts = 1000
	// repetitionLife is how long a client id is remembered, in milliseconds.
	repetitionLife = int64(24 * time.Hour / time.Millisecond)
	// knownTimelines bounds what is remembered of timelines to some tens of megabytes.
	knownTimelines = 200_000
	// attemptLife bounds one attempt at a transaction.
	attemptLife = 30 * time.Second
)

// pauses are the waits before each further attempt when the database, and not a draft, is to blame.
var pauses = []time.Duration{10 * time.Millisecond, 50 * time.Millisecond, 250 * time.Millisecond, time.Second, time.Second}

var errClosed = errors.New("store is closed")

// item is a draft on its way.
type item struct {
	store.Draft
	sum    [sha256.Size]byte // of Meta, if there is a client id
	result store.Appended
}

// call is one Append that waits.
type call struct {
	items []item
	err   error // nothing was written
	done  chan struct{}
}

// queue is the calls that the committer has not taken yet. It is as long as there are callers.
type queue struct {
	mu     sync.Mutex
	more   sync.Cond // there are calls, or closed is set
	calls  []*call
	closed bool
}

func (q *queue) init() { q.more.L = &q.mu }

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.more.Signal()
}

func (q *queue) put(c *call) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return errClosed
	}
	q.calls = append(q.calls, c)
	q.more.Signal()
	return nil
}

// withdraw takes a call back and reports whether it was still there.
func (q *queue) withdraw(c *call) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.calls, c)
	if i < 0 {
		return false
	}
	q.calls = slices.Delete(q.calls, i, i+1)
	return true
}

// take waits for calls and returns a batch of them; none when the queue is closed and empty.
func (q *queue) take() []*call {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.calls) == 0 {
		if q.closed {
			return nil
		}
		q.more.Wait()
	}
	n, drafts := 0, 0
	for n < len(q.calls) && (n == 0 || drafts+len(q.calls[n].items) <= batchDrafts) {
		drafts += len(q.calls[n].items)
		n++
	}
	batch := slices.Clone(q.calls[:n])
	q.calls = slices.Delete(q.calls, 0, n)
	return batch
}

// Append implements store.Timelines. When the context ends, drafts that are not in a transaction yet are withdrawn.
//
// The error and Appended.Err tell that nothing was written, but for one case: if the connection is lost at the moment of
// the commit, and the database stays out of reach for seconds, nobody knows. A client that sends such a message again
// under its id is recognised.
func (s *Store) Append(ctx context.Context, drafts []store.Draft) ([]store.Appended, error) {
	if err := ctx.Err(); err != nil || len(drafts) == 0 {
		return nil, err
	}
	c := &call{items: make([]item, len(drafts)), done: make(chan struct{})}
	for i, d := range drafts {
		c.items[i].Draft = d
		if d.ClientID != 0 {
			c.items[i].sum = sha256.Sum256(d.Meta)
		}
	}
	if err := s.queue.put(c); err != nil {
		return nil, err
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		if s.queue.withdraw(c) {
			return nil, ctx.Err()
		}
		<-c.done
	}
	if c.err != nil {
		return nil, fmt.Errorf("append: %w", c.err)
	}
	results := make([]store.Appended, len(c.items))
	for i := range c.items {
		results[i] = c.items[i].result
	}
	return results, nil
}

// commitAll is the committer, a goroutine. There is one: while its transaction is under way, the next batch gathers.
func (s *Store) commitAll() {
	for {
		calls := s.queue.take()
		if calls == nil {
			return
		}
		var batch []*item
		for _, c := range calls {
			for i := range c.items {
				batch = append(batch, &c.items[i])
			}
		}
		s.write(batch)
		for _, c := range calls {
			written := slices.ContainsFunc(c.items, func(it item) bool { return it.result.Err == nil })
			if err := c.items[0].result.Err; !written && outage(err) {
				c.err = err
			}
			close(c.done)
		}
	}
}

// write makes a batch durable. If a draft in it makes the transaction fail, halves of it are tried, until that draft
// fails alone.
func (s *Store) write(items []*item) {
	err := s.persist(items)
	if err == nil {
		return
	}
	if len(items) > 1 && !outage(err) {
		half := len(items) / 2
		s.write(items[:half])
		s.write(items[half:])
		return
	}
	for _, it := range items {
		it.result = store.Appended{Err: err}
	}
}

// persist runs the transaction, several times if the database is busy or was out of reach.
func (s *Store) persist(items []*item) error {
	t := transaction{Store: s, items: items}
	for attempt := 0; ; attempt++ {
		err := t.run()
		if err == nil || !outage(err) || attempt == len(pauses) {
			return err
		}
		s.log.Warn("append entries, will try again", "entries", len(items), "error", err)
		time.Sleep(pauses[attempt])
	}
}

// outage reports whether an error is the database's or the network's fault, and not that of a draft.
func outage(err error) bool {
	if err == nil || errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNotFound) {
		return false
	}
	var engine *pgconn.PgError
	if !errors.As(err, &engine) {
		return true
	}
	switch engine.Code[:2] {
	case "22", "23", "54", "P0": // bad data, violated constraint, limit of the engine, raised by a trigger
		return false
	}
	return true
}

// transaction appends one batch.
type transaction struct {
	*Store
	items []*item

	timelines map[store.Key]int64 // 0: not made yet
	made      map[store.Key]int64 // those made in this transaction
	heads     map[int64]int64
	first     map[int]store.Appended // by index in items: the entry that it repeats
	versions  map[place]int          // of the entries that are to be amended; none of one that is recalled
	fresh     []*item                // the others, with a number each

	// The last attempt has asked for its commit and never heard what became of it.
	uncertain bool
}

// place is where an entry stands.
type place struct{ timeline, seq int64 }

// run makes one attempt.
func (t *transaction) run() error {
	ctx, cancel := context.WithTimeout(context.Background(), attemptLife)
	defer cancel()
	conn, err := t.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Release() // closes the connection if a transaction is open
	if err := t.findTimelines(ctx, conn); err != nil {
		return fmt.Errorf("find timelines: %w", err)
	}
	if err := t.attempt(ctx, conn); err != nil {
		if !conn.Conn().IsClosed() {
			conn.Exec(ctx, "ROLLBACK") // if it fails, closing the connection does the same
		}
		return err
	}
	t.learn(t.made)
	for key, id := range t.timelines {
		if key.Kind != store.KindUser {
			t.backlog.add(id)
		}
	}
	return nil
}

// attempt is the transaction itself. It takes two round trips, and more when timelines are made.
func (t *transaction) attempt(ctx context.Context, conn *pgxpool.Conn) error {
	begin := &pgx.Batch{}
	begin.Queue("BEGIN")
	if err := t.makeTimelines(ctx, conn, begin); err != nil {
		return fmt.Errorf("make timelines: %w", err)
	}
	t.lockHeads(begin)
	committed := false
	if t.uncertain {
		last := t.fresh[0].result
		begin.Queue("SELECT EXISTS (SELECT FROM entry WHERE timeline = $1 AND seq = $2 AND id = $3)",
			last.Timeline, last.Seq, last.ID).QueryRow(func(row pgx.Row) error { return row.Scan(&committed) })
	}
	t.findRepetitions(begin)
	t.findVersions(begin)
	if err := conn.SendBatch(ctx, begin).Close(); err != nil {
		return fmt.Errorf("lock timelines: %w", err)
	}
	if committed { // the results are there, too
		_, err := conn.Exec(ctx, "ROLLBACK")
		return err
	}
	if err := t.number(); err != nil {
		return err
	}
	commit := &pgx.Batch{}
	t.insert(commit)
	commit.Queue("COMMIT")
	t.uncertain = len(t.fresh) > 0
	err := conn.SendBatch(ctx, commit).Close()
	if engine := new(pgconn.PgError); err == nil || errors.As(err, &engine) && !conn.Conn().IsClosed() {
		t.uncertain = false
	}
	if err != nil {
		return fmt.Errorf("write entries: %w", err)
	}
	return nil
}

// findTimelines looks up the numbers of the timelines that exist.
func (t *transaction) findTimelines(ctx context.Context, conn *pgxpool.Conn) error {
	t.timelines = make(map[store.Key]int64)
	var unknown []store.Key
	for _, it := range t.items {
		if _, ok := t.timelines[it.Key]; ok {
			continue
		}
		id := t.known[it.Key] // 0 if it is not
		t.timelines[it.Key] = id
		if id == 0 {
			unknown = append(unknown, it.Key)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	found, err := t.queryKeys(ctx, conn, selectTimelines, unknown)
	t.learn(found)
	return err
}

const (
	selectTimelines = `
		SELECT t.id, t.app, t.kind, t.a, t.b
		FROM unnest($1::bigint[], $2::smallint[], $3::bigint[], $4::bigint[]) AS k (app, kind, a, b)
		JOIN timeline t USING (app, kind, a, b)`
	insertTimelines = `
		INSERT INTO timeline (app, kind, a, b, head)
		SELECT app, kind, a, b, 0 FROM unnest($1::bigint[], $2::smallint[], $3::bigint[], $4::bigint[]) AS k (app, kind, a, b)
		ON CONFLICT (app, kind, a, b) DO NOTHING RETURNING id, app, kind, a, b`
)

// queryKeys runs a query that takes keys and returns timelines, and notes those.
func (t *transaction) queryKeys(ctx context.Context, conn *pgxpool.Conn, query string, keys []store.Key) (map[store.Key]int64, error) {
	apps, kinds := make([]int64, len(keys)), make([]int16, len(keys))
	as, bs := make([]int64, len(keys)), make([]int64, len(keys))
	for i, key := range keys {
		apps[i], kinds[i], as[i], bs[i] = key.App, int16(key.Kind), key.A, key.B
	}
	rows, err := conn.Query(ctx, query, apps, kinds, as, bs)
	if err != nil {
		return nil, err
	}
	found := make(map[store.Key]int64)
	var id int64
	var key store.Key
	var kind int16
	_, err = pgx.ForEachRow(rows, []any{&id, &key.App, &kind, &key.A, &key.B}, func() error {
		key.Kind = store.Kind(kind)
		found[key], t.timelines[key] = id, id
		return nil
	})
	return found, err
}

// makeTimelines makes what is missing, with the subscriptions. If nothing is missing it leaves the batch for later, else
// it sends it and begins it anew.
func (t *transaction) makeTimelines(ctx context.Context, conn *pgxpool.Conn, batch *pgx.Batch) error {
	t.made = nil
	var missing []store.Key
	for key, id := range t.timelines {
		if id == 0 {
			missing = append(missing, key)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if err := conn.SendBatch(ctx, batch).Close(); err != nil {
		return err
	}
	*batch = pgx.Batch{}
	// In one order for all, since who makes the same key at the same time waits here.
	slices.SortFunc(missing, func(a, b store.Key) int {
		return cmp.Or(cmp.Compare(a.App, b.App), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.A, b.A), cmp.Compare(a.B, b.B))
	})
	made, err := t.queryKeys(ctx, conn, insertTimelines, missing)
	if err != nil {
		return err
	}
	t.made = made
	if len(made) < len(missing) { // others have made them meanwhile
		if _, err := t.queryKeys(ctx, conn, selectTimelines, missing); err != nil {
			return err
		}
	}
	var users, timelines []int64
	for key, id := range made {
		for _, reader := range key.Readers() {
			users, timelines = append(users, reader), append(timelines, id)
		}
	}
	batch.Queue("INSERT INTO subscription (user_id, timeline) SELECT * FROM unnest($1::bigint[], $2::bigint[])", users, timelines)
	return nil
}

// lockHeads locks the timelines in order of their numbers, so that two nodes cannot wait for each other in a circle.
// Statements after it see all that was written by those who held the locks before.
func (t *transaction) lockHeads(batch *pgx.Batch) {
	t.heads = make(map[int64]int64, len(t.timelines))
	ids := make([]int64, 0, len(t.timelines))
	for _, id := range t.timelines {
		ids = append(ids, id)
	}
	batch.Queue("SELECT id, head FROM timeline WHERE id = ANY ($1::bigint[]) ORDER BY id FOR NO KEY UPDATE", ids).
		Query(func(rows pgx.Rows) error {
			var id, head int64
			_, err := pgx.ForEachRow(rows, []any{&id, &head}, func() error {
				t.heads[id] = head
				return nil
			})
			return err
		})
}

// findRepetitions looks for entries that drafts repeat. Contents are compared by their sums, so that none goes over the
// wire for it.
func (t *transaction) findRepetitions(batch *pgx.Batch) {
	var indexes []int64
	var senders, devices, clientIDs, timelines, sinces []int64
	var sums [][]byte
	for i, it := range t.items {
		if it.ClientID == 0 {
			continue
		}
		indexes = append(indexes, int64(i))
		senders, devices, clientIDs = append(senders, it.Sender), append(devices, it.Device), append(clientIDs, int64(it.ClientID))
		timelines, sinces = append(timelines, t.timelines[it.Key]), append(sinces, it.Time-repetitionLife)
		sums = append(sums, it.sum[:])
	}
	t.first = make(map[int]store.Appended)
	if len(indexes) == 0 {
		return
	}
	batch.Queue(`
		SELECT d.i, e.timeline, e.seq, e.id, e.time
		FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bytea[])
			AS d (i, sender, device, client_id, timeline, since, sum)
		JOIN entry e ON e.sender = d.sender AND e.device = d.device AND e.client_id = d.client_id AND e.client_id <> 0
			AND e.time > d.since AND e.timeline = d.timeline AND coalesce(e.digest, sha256(e.meta)) = d.sum
		ORDER BY d.i, e.seq DESC`,
		indexes, senders, devices, clientIDs, timelines, sinces, sums).
		Query(func(rows pgx.Rows) error {
			var i int
			first := store.Appended{Repeated: true}
			_, err := pgx.ForEachRow(rows, []any{&i, &first.Timeline, &first.Seq, &first.ID, &first.Time}, func() error {
				t.first[i] = first // the last one stays, which is the oldest
				return nil
			})
			return err
		})
}

// findVersions reads the versions of the entries that drafts amend. Who has the lock of the timeline may change them.
func (t *transaction) findVersions(batch *pgx.Batch) {
	t.versions = make(map[place]int)
	var timelines, seqs []int64
	for _, it := range t.items {
		if it.Amend != nil {
			timelines, seqs = append(timelines, t.timelines[it.Key]), append(seqs, it.Amend.Seq)
		}
	}
	if len(seqs) == 0 {
		return
	}
	batch.Queue(`
		SELECT e.timeline, e.seq, e.version FROM unnest($1::bigint[], $2::bigint[]) AS a (timeline, seq)
		JOIN entry e USING (timeline, seq) WHERE NOT e.recalled`, timelines, seqs).
		Query(func(rows pgx.Rows) error {
			var at place
			var version int
			_, err := pgx.ForEachRow(rows, []any{&at.timeline, &at.seq, &version}, func() error {
				t.versions[at] = version
				return nil
			})
			return err
		})
}

// number gives each draft its result.
func (t *transaction) number() error {
	type identity struct {
		sender, device, timeline int64
		clientID                 uint64
		sum                      [sha256.Size]byte
	}
	seen := make(map[identity]*item)
	t.fresh = t.fresh[:0]
	for i, it := range t.items {
		timeline := t.timelines[it.Key]
		head, ok := t.heads[timeline]
		if !ok {
			return fmt.Errorf("timeline %d is gone", timeline)
		}
		if first, ok := t.first[i]; ok {
			it.result = first
			continue
		}
		if it.ClientID != 0 {
			id := identity{it.Sender, it.Device, timeline, it.ClientID, it.sum}
			if first := seen[id]; first != nil && it.Time-first.Time < repetitionLife {
				it.result = first.result
				it.result.Repeated = true
				continue
			}
			seen[id] = it
		}
		if a := it.Amend; a != nil {
			at := place{timeline, a.Seq}
			version, ok := t.versions[at]
			if !ok {
				it.result = store.Appended{Err: store.ErrNotFound}
				continue
			} else if version != a.Version {
				it.result = store.Appended{Err: store.ErrConflict}
				continue
			}
			if t.versions[at]++; a.Recall {
				delete(t.versions, at)
			}
		}
		t.heads[timeline] = head + 1
		it.result = store.Appended{Timeline: timeline, Seq: head + 1, ID: it.ID, Time: it.Time}
		t.fresh = append(t.fresh, it)
	}
	return nil
}

// insert writes the entries and the heads.
func (t *transaction) insert(batch *pgx.Batch) {
	if len(t.fresh) == 0 {
		return
	}
	n := len(t.fresh)
	timelines, seqs, ids, times := make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n)
	senders, devices, clientIDs, metas := make([]int64, n), make([]int64, n), make([]int64, n), make([][]byte, n)
	contents, refs, audiences := make([]int16, n), make([]int64, n), make([][]byte, n)
	for i, it := range t.fresh {
		timelines[i], seqs[i], ids[i], times[i] = it.result.Timeline, it.result.Seq, it.ID, it.Time
		senders[i], devices[i], clientIDs[i], metas[i] = it.Sender, it.Device, int64(it.ClientID), some(it.Meta)
		contents[i], refs[i], audiences[i] = int16(it.Content), it.Ref, store.AppendAudience(nil, it.Audience)
	}
	batch.Queue(`
		INSERT INTO entry (timeline, seq, id, time, sender, device, client_id, meta, content, ref, audience)
		SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],
			$7::bigint[], $8::bytea[], $9::smallint[], $10::bigint[], $11::bytea[])`,
		timelines, seqs, ids, times, senders, devices, clientIDs, metas, contents, refs, audiences)
	for _, it := range t.fresh {
		if a := it.Amend; a != nil {
			meta := some(a.Meta)
			if a.Recall {
				meta = []byte{}
			}
			batch.Queue(`
				UPDATE entry SET version = $3, recalled = $4, digest = coalesce(digest, sha256(meta)), meta = $5
				WHERE timeline = $1 AND seq = $2`,
				it.result.Timeline, a.Seq, a.Version+1, a.Recall, meta)
		}
	}
	batch.Queue(`
		UPDATE timeline t SET head = n.head
		FROM (SELECT timeline, max(seq) AS head FROM unnest($1::bigint[], $2::bigint[]) AS e (timeline, seq) GROUP BY timeline) n
		WHERE t.id = n.timeline`, timelines, seqs)
}

// learn notes timelines that exist, which is for good.
func (s *Store) learn(timelines map[store.Key]int64) {
	if s.known == nil || len(s.known)+len(timelines) > knownTimelines {
		s.known = make(map[store.Key]int64)
	}
	maps.Copy(s.known, timelines)
}
