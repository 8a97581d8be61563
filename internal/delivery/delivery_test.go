package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stoa-chat/stoa/internal/bus"
	"github.com/stoa-chat/stoa/internal/store"
)

func TestPostsOfOneCallerKeepTheirOrder(t *testing.T) {
	w := newWorld(t)
	_, out := w.ready(2, 20, 1)
	var texts, want []string
	for i := range batchLimit + 100 { // more than one commit takes
		texts = append(texts, fmt.Sprint(i))
		want = append(want, fmt.Sprint("batch ", i))
	}
	w.post(1, 10, 2, texts...)
	if got := out.take(t); !slices.Equal(got, want) {
		t.Errorf("%d frames came, or in another order", len(got))
	}
}

func TestResultsCarryIDAndTimeOfTheServer(t *testing.T) {
	w := newWorld(t)
	w.clock.Advance(time.Hour)
	before := w.clock.Now().UnixMilli()
	r := w.post(1, 10, 2, "a")
	if r.ID <= 0 || r.Time < before || r.Time > w.clock.Now().UnixMilli() {
		t.Errorf("the result is %+v, the time %d", r, before)
	}
}

func TestARepetitionIsToldButNotPublished(t *testing.T) {
	w := newWorld(t)
	_, out := w.ready(2, 20, 1)
	post := Post{Key: store.PairKey(1, 1, 2), Sender: 1, Device: 10, ClientID: 7, Meta: []byte{0x28, 5}}
	first, err := w.service.AppendWait(t.Context(), post)
	if err != nil {
		t.Fatal(err)
	}
	again, err := w.service.AppendWait(t.Context(), post)
	if err != nil || again != first {
		t.Errorf("the repetition is %+v, %v, the first %+v", again, err, first)
	}
	w.settle()
	if got := out.take(t); len(got) != 1 {
		t.Errorf("the receiver got %q", got)
	}
}

func TestAFailedCommitFailsItsPostsAndNoOther(t *testing.T) {
	w := newWorld(t)
	_, out := w.ready(2, 20, 1)
	w.store.set(func() { w.store.append = func() error { return errBroken } })
	w.service.Append(Post{Key: store.PairKey(1, 1, 2)}) // nobody waits for it
	if _, err := w.service.AppendWait(t.Context(), Post{Key: store.PairKey(1, 1, 2)}); !errors.Is(err, errBroken) {
		t.Errorf("the post ended with %v", err)
	}
	w.store.set(func() { w.store.append = nil })
	w.post(1, 10, 2, "a")
	out.gets(t, "after the failure", "batch a")
}

func TestAppendAllWaitsForAll(t *testing.T) {
	w := newWorld(t)
	_, out := w.ready(2, 20, 1)
	posts := []Post{{Key: store.PairKey(1, 1, 2), Sender: 1, Meta: w.meta("a")}, {Key: store.UserKey(1, 2), Sender: 1, Meta: w.meta("b")}}
	if err := w.service.AppendAll(t.Context(), posts...); err != nil {
		t.Fatal(err)
	}
	out.gets(t, "both", "batch a", "batch b")
	if err := w.service.AppendAll(t.Context()); err != nil {
		t.Errorf("nothing ended with %v", err)
	}
	stale := Post{Key: store.PairKey(1, 1, 2), Amend: &store.Amend{Seq: 1, Version: 7, Meta: w.meta("c")}}
	if err := w.service.AppendAll(t.Context(), posts[1], stale); !errors.Is(err, store.ErrConflict) {
		t.Errorf("of two, one of which fails: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	hold := make(chan struct{})
	defer close(hold)
	w.store.set(func() { w.store.append = func() error { <-hold; return nil } })
	cancel()
	if err := w.service.AppendAll(ctx, posts...); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
}

func TestAppendWaitEndsWithItsContext(t *testing.T) {
	w := newWorld(t)
	hold := make(chan struct{})
	w.store.set(func() { w.store.append = func() error { <-hold; return nil } })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := w.service.AppendWait(ctx, Post{Key: store.PairKey(1, 1, 2)})
		ended <- err
	}()
	cancel()
	if err := soon(t, "the end of the wait", ended); !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	close(hold)
}

func TestCloseCommitsWhatWasAccepted(t *testing.T) {
	w := newWorld(t)
	hold := make(chan struct{})
	w.store.set(func() { w.store.append = func() error { <-hold; return nil } })
	results := make(chan Result, 10)
	for range 10 {
		w.service.Append(Post{Key: store.PairKey(1, 1, 2), Done: func(r Result) { results <- r }})
	}
	closed := make(chan struct{})
	go func() {
		w.service.Close()
		close(closed)
	}()
	w.until("the beginning of the end", func() bool {
		w.service.mu.Lock()
		defer w.service.mu.Unlock()
		return w.service.closed
	})
	if _, err := w.service.AppendWait(t.Context(), Post{}); !errors.Is(err, ErrClosed) {
		t.Errorf("a later post ended with %v", err)
	}
	w.service.Append(Post{}) // nobody waits for it
	close(hold)
	soon(t, "the end", closed)
	for range 10 {
		if r := <-results; r.Err != nil {
			t.Errorf("an accepted post ended with %v", r.Err)
		}
	}
}

func TestSendersWaitWhileTooMuchIsQueued(t *testing.T) {
	w := newWorld(t)
	hold := make(chan struct{})
	w.store.set(func() { w.store.append = func() error { <-hold; return nil } })
	key := store.PairKey(1, 1, 2)
	appended := make(chan int)
	go func() {
		// One batch is in the store, some are in the pipe, and the queue is full: the next one waits.
		for i := range queueLimit + 8*batchLimit {
			w.service.Append(Post{Key: key, Meta: []byte{0x28, 5}})
			if i == queueLimit-1 {
				appended <- i
			}
		}
		close(appended)
	}()
	soon(t, "the acceptance of what fits", appended)
	w.until("a full queue", func() bool {
		w.service.mu.Lock()
		defer w.service.mu.Unlock()
		return len(w.service.queue) >= queueLimit
	})
	select {
	case <-appended:
		t.Error("more was accepted than fits")
	default:
	}
	w.store.set(func() { w.store.append = func() error { return errBroken } }) // quicker than committing
	close(hold)
	soon(t, "the acceptance of the rest", appended)
}

func TestPushesReachWhoIsOnlineAndAreNotKept(t *testing.T) {
	w := newWorld(t)
	_, web := w.session(1, 10, 1) // has not even asked Unread
	_, phone := w.ready(1, 11, 2)
	_, other := w.ready(2, 20, 3)
	stored := []byte{0x28, 5, 0x32, 1, 'x'} // ns NOTIFY, payload x
	id, at := w.service.Push(1, stored, 11)
	if id <= 0 || at <= 0 {
		t.Errorf("pushed as %d at %d", id, at)
	}
	web.gets(t, "the push", "push x")
	phone.gets(t, "the device that is left out")
	other.gets(t, "another user")
	if web.flushes == 0 {
		t.Error("the push was not flushed")
	}
	web.setFull(true)
	w.service.Push(1, stored, 0)
	web.gets(t, "a full session")
	phone.gets(t, "nobody is left out", "push x")
}

func TestKicksMeetTheSessionsTheyName(t *testing.T) {
	w := newWorld(t)
	_, a := w.ready(1, 10, 101)
	_, b := w.ready(1, 11, 102)
	_, other := w.ready(2, 20, 103)
	kicks := func() [3]int { return [3]int{len(a.kicks), len(b.kicks), len(other.kicks)} }
	w.service.Kick(1, Kick{Session: 101, Operation: 2, Reason: "r"})
	if got := kicks(); got != [3]int{1, 0, 0} || a.kicks[0].Reason != "r" || a.kicks[0].Operation != 2 {
		t.Errorf("a kick of one: %v %+v", got, a.kicks)
	}
	w.service.Kick(1, Kick{Except: 102, Operation: 2})
	if got := kicks(); got != [3]int{2, 0, 0} {
		t.Errorf("a kick of all but one: %v", got)
	}
	w.service.Kick(1, Kick{Operation: 4})
	if got := kicks(); got != [3]int{3, 1, 0} {
		t.Errorf("a kick of all: %v", got)
	}
	w.service.Extend(2, 77)
	if !slices.Equal(other.extends, []int64{77}) || len(a.extends) != 0 {
		t.Errorf("extended: %v, %v", other.extends, a.extends)
	}
}

// A bus that does not publish loses nothing that the store keeps.
func TestAClosedBusLosesNothing(t *testing.T) {
	w := newWorld(t)
	s, out := w.ready(2, 20, 1)
	w.post(1, 10, 2, "a")
	out.gets(t, "a live bus", "batch a")
	if err := w.bus.Close(); err != nil {
		t.Fatal(err)
	}
	w.post(1, 10, 2, "b")
	out.gets(t, "a dead bus")
	unread := w.unread(s)
	if len(unread) != 1 {
		t.Fatalf("unread is %v", unread)
	}
	w.pull(s, unread[0].Queue, true)
	out.gets(t, "the pull", "batch a b")
	if err := w.bus.Publish(bus.User(2), nil); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("the bus was not closed: %v", err)
	}
}

// observer notes of which entries it is told, and which of them were sent live.
type observer chan observed

type observed struct {
	Content store.Content
	Live    bool
	store.Found
}

func (o observer) Committed(entry store.Found, live bool) { o <- observed{entry.Content, live, entry} }

func TestTheObserverIsToldOfNewEntriesInOrder(t *testing.T) {
	w := newWorld(t)
	seen := make(observer, 10)
	w.service.Observe(seen)
	pair := store.PairKey(1, 1, 2)
	post := func(p Post) Result {
		t.Helper()
		r, err := w.service.AppendWait(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	first := post(Post{Key: pair, Sender: 1, Device: 10, ClientID: 7, Content: store.ContentText, Meta: []byte{0x28, 5}})
	post(Post{Key: pair, Sender: 1, Device: 10, ClientID: 7, Content: store.ContentText, Meta: []byte{0x28, 5}}) // a repetition
	post(Post{Key: pair, Sender: 1, Meta: []byte{0x28, 6}})                                                      // an event
	post(Post{Key: pair, Sender: 1, Content: store.ContentCommand, Meta: []byte{0x28, 7}})
	post(Post{Key: store.MucKey(1, 3), Sender: 1, Content: store.ContentText, Live: true, Meta: []byte{0x28, 8}}) // in a room
	last := post(Post{Key: store.MucKey(1, 4), Sender: 1, Content: store.ContentImage, Ref: 3, Audience: store.Audience{Users: []int64{2}}, Meta: []byte{0x28, 9}})
	whole := map[int]store.Found{
		0: {Timeline: first.Timeline, Key: pair, Entry: store.Entry{Seq: first.Seq, ID: first.ID, Time: first.Time, Sender: 1, Device: 10,
			Content: store.ContentText, Meta: []byte{0x28, 5}}},
		4: {Timeline: last.Timeline, Key: store.MucKey(1, 4), Entry: store.Entry{Seq: last.Seq, ID: last.ID, Time: last.Time, Sender: 1,
			Content: store.ContentImage, Ref: 3, Audience: store.Audience{Users: []int64{2}}, Meta: []byte{0x28, 9}}},
	}
	for i, content := range []store.Content{store.ContentText, store.ContentEvent, store.ContentCommand, store.ContentText, store.ContentImage} {
		got := <-seen
		if got.Content != content || got.Live != (i == 3) {
			t.Errorf("entry %d is %v, live %v", i, got.Content, got.Live)
		}
		if want, ok := whole[i]; ok {
			if diff := cmp.Diff(want, got.Found); diff != "" {
				t.Error(diff)
			}
		}
	}
	w.settle()
	if len(seen) > 1 { // one is that of settle
		t.Errorf("it was also told of %v", <-seen)
	}
}
