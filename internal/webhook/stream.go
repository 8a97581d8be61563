package webhook

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/store"
)

const (
	queueLimit = 8192             // news that wait in memory; more are read from the store
	retrySlice = 16               // stored callbacks that are taken together
	noteEvery  = 2 * time.Second  // the mark is written at least so often, while there is news
	idleEvery  = 10 * time.Second // it is moved on without any
	settled    = time.Minute      // after it was given its id, an entry has been committed or has failed
	storeAgain = time.Second      // when the store did not answer

	firstRetry = 2 * time.Second // of an event that has failed; it doubles with each
	lastRetry  = time.Hour       // and becomes no longer
	maxAge     = 24 * time.Hour  // then it is given up
	maxReplay  = 10              // attempts after which one is given up that is replayed
	keepDead   = 72 * time.Hour  // what was given up, docs/protocol/admin-rest.md §18.10
)

// news is something that a backend may have to be told of: an entry, what is kept in no timeline (which has no Timeline), or
// a session.
type news struct {
	store.Found
	session *sessionNews
}

func (n *news) kept() bool { return n.Timeline != 0 }

func (n *news) at() int64 {
	if n.session != nil {
		return n.session.at
	}
	return n.Time
}

// stream tells the backend of one rule. Its loop does one thing after the other; what is due of the stored goes first.
type stream struct {
	service *Service
	app     int64
	rule    string
	stop    context.CancelFunc
	limit   int // of the queue

	mu      sync.Mutex
	queue   []news
	behind  bool  // entries are in the store that were not in the queue
	doing   int64 // when what is under way happened; 0: there is nothing
	due     bool  // something stored is due
	adopted []store.CallbackMark
	wake    chan struct{}

	mark  store.CallbackMark // up to where it has come; the loop's alone, like the next
	noted time.Time

	health health
}

// begin starts a stream, with what happens from now on if the rule is new.
func (s *Service) begin(app int64, rule string) *stream {
	running := s.running
	ctx, stop := context.WithCancel(running)
	one := &stream{service: s, app: app, rule: rule, stop: stop, limit: queueLimit, wake: make(chan struct{}, 1),
		mark: store.CallbackMark{App: app, Rule: rule, Node: s.node, ID: s.delivery.NewID()}}
	s.work.Go(func() {
		one.run(ctx)
		if running.Err() == nil { // the rule is gone or off
			one.clear(running)
		}
	})
	return one
}

// clear removes what is left of a rule that is gone or off. What is stored of one that is off waits.
func (t *stream) clear(ctx context.Context) {
	s := t.service
	if find((*s.streams.Load())[t.app], t.rule) != nil {
		return // it is on again
	}
	err := s.store.DropCallbackMarks(ctx, t.app, t.rule)
	if _, ok := s.listener(t.app, t.rule); !ok {
		err = errors.Join(err, s.store.DropCallbacks(ctx, t.app, t.rule))
	}
	if err != nil && ctx.Err() == nil {
		s.log.Warn("remove callbacks", "app", t.app, "rule", t.rule, "error", err)
	}
}

// add queues news. It does not block. Entries for which there is no room are in the store anyhow.
func (t *stream) add(n news) {
	t.mu.Lock()
	switch {
	case n.kept() && (t.behind || len(t.queue) >= t.limit):
		t.behind = true
	case len(t.queue) >= 2*t.limit:
		t.service.metrics.count(resultLost, 1)
	default:
		t.queue = append(t.queue, n)
	}
	t.mu.Unlock()
	nudge(t.wake)
}

func (t *stream) retry() {
	t.mu.Lock()
	t.due = true
	t.mu.Unlock()
	nudge(t.wake)
}

func (t *stream) adopt(mark store.CallbackMark) {
	t.mu.Lock()
	t.adopted = append(t.adopted, mark)
	t.mu.Unlock()
	nudge(t.wake)
}

// oldest is when the oldest event happened that the backend has not been told of and that is not stored; 0: there is none.
func (t *stream) oldest() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.doing == 0 && len(t.queue) > 0 {
		return t.queue[0].at()
	}
	return t.doing
}

// task is what the loop does next.
type task struct {
	due     bool
	news    []news
	behind  bool
	adopted *store.CallbackMark
}

// next takes something to do, up to limit news; false: there is nothing.
func (t *stream) next(limit int) (what task, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.due:
		t.due, what.due = false, true
	case len(t.queue) > 0:
		n := min(len(t.queue), limit)
		what.news, t.queue = t.queue[:n:n], t.queue[n:]
		t.doing = what.news[0].at()
	case t.behind:
		t.behind, what.behind = false, true
	case len(t.adopted) > 0:
		what.adopted, t.adopted = &t.adopted[0], t.adopted[1:]
	default:
		t.queue, t.doing = nil, 0
		return what, false
	}
	return what, true
}

func (t *stream) run(ctx context.Context) {
	s := t.service
	t.persist(ctx, "read callback mark", func() error {
		id, err := s.store.CallbackMark(ctx, t.app, t.rule, s.node)
		if err != nil {
			return err
		}
		if id != 0 { // of an earlier run
			t.mu.Lock()
			t.mark.ID, t.behind = id, true
			t.mu.Unlock()
			return nil
		}
		return s.store.PutCallbacks(ctx, nil, t.mark)
	})
	idle := time.NewTicker(idleEvery)
	defer idle.Stop()
	for ctx.Err() == nil {
		moved := s.clock.Moved()
		rest, careful := t.health.rest(s.clock.Now())
		if rest > 0 {
			t.spill(ctx)
			t.wait(ctx, rest, moved)
			continue
		}
		limit := slice
		if careful {
			limit = 1
		}
		what, ok := t.next(limit)
		switch {
		case what.due:
			t.persist(ctx, "retry callbacks", func() error { return t.tellStored(ctx, careful) })
		case what.news != nil:
			t.tell(ctx, what.news, &t.mark, 0)
		case what.behind:
			t.catchUp(ctx, &t.mark, limit)
		case what.adopted != nil:
			t.inherit(ctx, *what.adopted, limit)
		}
		if ok {
			continue
		}
		select {
		case <-ctx.Done():
		case <-t.wake:
		case <-idle.C:
			t.moveOn(ctx)
		}
	}
}

// wait waits for some time, until the clock is moved, or there is news.
func (t *stream) wait(ctx context.Context, d time.Duration, moved <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-moved:
	case <-t.wake:
	}
}

// persist does something in the store until it succeeds or the context ends.
func (t *stream) persist(ctx context.Context, what string, do func() error) {
	for ctx.Err() == nil {
		err := do()
		if err == nil || ctx.Err() != nil {
			return
		}
		t.service.log.Warn(what, "app", t.app, "rule", t.rule, "error", err)
		timer := time.NewTimer(storeAgain)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// moveOn moves the mark while there is nothing to tell, so that a start need not go through all that came meanwhile.
func (t *stream) moveOn(ctx context.Context) {
	t.mu.Lock()
	free := len(t.queue) == 0 && !t.behind
	t.mu.Unlock()
	if id := delivery.IDAt(time.Now().Add(-settled).UnixMilli()); free && id > t.mark.ID {
		t.mark.ID = id
	}
	t.note(ctx, nil, t.mark)
}

func (t *stream) note(ctx context.Context, rows []store.Callback, mark store.CallbackMark) {
	t.persist(ctx, "store callbacks", func() error { return t.service.store.PutCallbacks(ctx, rows, mark) })
	t.noted = time.Now()
}

// spill empties the queue while the backend is left alone: what is in no timeline is stored, the rest is read again later.
// What has become too old meanwhile is given up.
func (t *stream) spill(ctx context.Context) {
	t.mu.Lock()
	var loose []news
	for _, n := range t.queue {
		if n.kept() {
			t.behind = true
		} else {
			loose = append(loose, n)
		}
	}
	t.queue = nil
	behind := t.behind
	t.mu.Unlock()
	if rows := t.rows(t.events(loose)); len(rows) > 0 {
		t.note(ctx, rows, store.CallbackMark{})
	}
	t.persist(ctx, "give up callbacks", func() error {
		s := t.service
		n, err := s.store.ExpireCallbacks(ctx, t.app, t.rule, s.now()-maxAge.Milliseconds(), s.now())
		s.metrics.count(resultDead, n)
		if err == nil && behind {
			err = t.giveUp(ctx, &t.mark)
		}
		return err
	})
}

// giveUp stores as given up what entries after a mark have become too old.
func (t *stream) giveUp(ctx context.Context, mark *store.CallbackMark) error {
	s := t.service
	for ctx.Err() == nil && delivery.TimeOf(mark.ID) < s.now()-maxAge.Milliseconds() {
		entries, err := s.store.EntriesAfter(ctx, mark.ID, slice)
		if err != nil {
			return err
		}
		last := mark.ID
		var old []news
		for _, f := range entries {
			if s.now()-f.Time < maxAge.Milliseconds() {
				break
			}
			last = f.ID
			if t.concerns(f, mark.Node) {
				old = append(old, news{Found: f})
			}
		}
		if last == mark.ID {
			return nil
		}
		rows := t.rows(t.events(old))
		for i := range rows {
			rows[i].Dead, rows[i].Error = s.now(), "the backend did not answer for too long"
		}
		s.metrics.count(resultDead, len(rows))
		mark.ID = last
		t.note(ctx, rows, *mark)
	}
	return nil
}

// concerns reports whether an entry that was found in the store is one that the stream tells of for a node.
func (t *stream) concerns(f store.Found, node int) bool {
	return f.Key.App == t.app && delivery.NodeOf(f.ID) == node && !f.Recalled && f.Device != store.NotDelivered
}

// catchUp tells of the entries after a mark that are in the store, up to limit at a time, unless the backend fails.
func (t *stream) catchUp(ctx context.Context, mark *store.CallbackMark, limit int) (whole bool) {
	s := t.service
	for ctx.Err() == nil {
		var entries []store.Found
		t.persist(ctx, "read entries to tell of", func() (err error) {
			if err = t.giveUp(ctx, mark); err == nil {
				entries, err = s.store.EntriesAfter(ctx, mark.ID, slice)
			}
			return err
		})
		if len(entries) == 0 || ctx.Err() != nil {
			return ctx.Err() == nil
		}
		upTo := entries[len(entries)-1].ID
		var mine []news
		for _, f := range entries {
			if !t.concerns(f, mark.Node) {
				continue
			}
			if len(mine) == limit {
				upTo = mine[limit-1].ID
				break
			}
			mine = append(mine, news{Found: f})
		}
		if len(mine) > 0 {
			t.mu.Lock()
			t.doing = mine[0].at()
			t.mu.Unlock()
		}
		t.tell(ctx, mine, mark, upTo)
		if rest, _ := t.health.rest(s.clock.Now()); rest > 0 {
			t.mu.Lock()
			t.behind = t.behind || mark == &t.mark
			t.mu.Unlock()
			return false
		}
		limit = slice
	}
	return false
}

// inherit tells what a node that has ended has left.
func (t *stream) inherit(ctx context.Context, mark store.CallbackMark, limit int) {
	if !t.catchUp(ctx, &mark, limit) {
		t.mu.Lock()
		t.adopted = append(t.adopted, mark)
		t.mu.Unlock()
		return
	}
	t.persist(ctx, "remove callback mark", func() error { return t.service.store.DropCallbackMark(ctx, mark) })
}

// events makes events of news, those that the rule wants.
func (t *stream) events(list []news) (events []event) {
	app, known := t.service.accounts.AppByID(t.app)
	l, ok := t.service.listener(t.app, t.rule)
	if !known || !ok {
		return nil
	}
	for _, n := range list {
		for _, e := range t.service.word(app, l.second, n) {
			if l.wants(&e) {
				events = append(events, e)
			}
		}
	}
	return events
}

// rows are events as they are stored.
func (t *stream) rows(events []event) []store.Callback {
	rows := make([]store.Callback, 0, len(events))
	for _, e := range events {
		body, err := e.pack()
		if err != nil {
			t.service.log.Error("pack callback", "app", t.app, "rule", t.rule, "error", err)
			continue
		}
		rows = append(rows, store.Callback{App: t.app, Rule: t.rule, Event: e.id, Lane: e.lane, Created: e.at, Due: t.service.now(), Body: body})
	}
	return rows
}

// tell tells the backend of news, those of a conversation one after the other, and stores what it does not take. Then the
// mark moves on: up to upTo, or if that is 0 up to the last entry.
func (t *stream) tell(ctx context.Context, list []news, mark *store.CallbackMark, upTo int64) {
	var fresh []news
	for _, n := range list {
		if n.kept() && n.ID <= mark.ID {
			continue // it was read from the store
		}
		fresh = append(fresh, n)
		if n.kept() {
			upTo = max(upTo, n.ID)
		}
	}
	rows := t.rows(t.events(fresh))
	t.call(ctx, rows)
	if ctx.Err() != nil {
		return // the mark stays, so all of it is told again
	}
	var failed []store.Callback
	for _, row := range rows {
		if row.Due != 0 {
			failed = append(failed, row)
		}
	}
	mark.ID = max(mark.ID, upTo)
	if len(failed) > 0 || time.Since(t.noted) > noteEvery {
		t.note(ctx, failed, *mark)
	}
}

// tellStored tells the backend of what is due.
func (t *stream) tellStored(ctx context.Context, careful bool) error {
	s := t.service
	l, ok := s.listener(t.app, t.rule)
	if !ok {
		return nil
	}
	limit := retrySlice
	if careful {
		limit = 1
	}
	now := s.clock.Now()
	again := now.Add(retrySlice*l.timeout + time.Minute)
	rows, err := s.store.TakeCallbacks(ctx, t.app, t.rule, now.UnixMilli(), again.UnixMilli(), limit)
	if err != nil || len(rows) == 0 {
		return err
	}
	t.call(ctx, rows)
	var told []int64
	for _, row := range rows {
		if row.Due == 0 {
			told = append(told, row.ID)
		} else if err := s.store.RetryCallback(context.WithoutCancel(ctx), row); err != nil {
			return err
		}
	}
	if len(told) > 0 {
		err = s.store.FinishCallbacks(context.WithoutCancel(ctx), told)
	}
	if len(rows) == limit {
		t.retry() // there may be more
	}
	return err
}
