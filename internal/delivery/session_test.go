package delivery

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stoa-chat/stoa/internal/bus"
	"github.com/stoa-chat/stoa/internal/store"
)

// queue is the name of the only timeline of a user's device.
func (w *world) queue(user, device int64) string {
	w.Helper()
	positions, err := w.store.Store.Positions(w.Context(), user, device)
	if err != nil || len(positions) != 1 {
		w.Fatalf("positions are %v, %v", positions, err)
	}
	return fmt.Sprint(positions[0].Timeline)
}

func TestBeforeItsFirstUnreadASessionIsSentNoEntry(t *testing.T) {
	w := newWorld(t)
	s, out := w.session(2, 20, 1)
	w.post(1, 10, 2, "a")
	out.gets(t, "before")
	unread := w.unread(s)
	if len(unread) != 1 || unread[0].Count != 1 {
		t.Fatalf("unread is %+v", unread)
	}
	w.post(1, 10, 2, "b")
	out.gets(t, "it is behind: the client is about to pull")
	w.pull(s, unread[0].Queue, true)
	out.gets(t, "the pull", "batch a b")
	s.Acknowledge(unread[0].Queue, 2)
	w.pull(s, unread[0].Queue, false)
	out.gets(t, "its end", "end")
	w.post(1, 10, 2, "c")
	out.gets(t, "from then on", "batch c")
}

// Until the bus has the subscription of a new session, what other nodes publish for its user is not heard.
func TestWhatWasNotHeardBeforeTheSubscriptionSettledIsUnread(t *testing.T) {
	w := newWorld(t)
	w.post(1, 10, 2, "a")
	key := store.PairKey(1, 1, 2)
	w.bus.settle = func() {
		appended, err := w.store.Append(t.Context(), []store.Draft{{Key: key, ID: 1 << 40, Time: w.clock.Now().UnixMilli(), Sender: 1, Meta: w.meta("b")}})
		if err != nil || appended[0].Err != nil {
			t.Errorf("append %+v, %v", appended, err)
		}
	}
	s, out := w.session(2, 20, 1)
	unread := w.unread(s)
	if len(unread) != 1 || unread[0].Count != 2 {
		t.Fatalf("unread is %+v, want one queue with 2", unread)
	}
	w.pull(s, unread[0].Queue, true)
	out.gets(t, "both", "batch a b")
}

func TestWhatTheSinkRefusesIsPulledLater(t *testing.T) {
	w := newWorld(t)
	s, out := w.ready(2, 20, 1)
	w.post(1, 10, 2, "a")
	out.gets(t, "a push", "batch a")
	out.setFull(true)
	w.post(1, 10, 2, "b", "c")
	out.gets(t, "a full sink", "n")
	out.setFull(false)
	w.post(1, 10, 2, "d")
	out.gets(t, "no push before the pull")
	queue := w.queue(2, 20)
	s.Acknowledge(queue, 1)
	w.pull(s, queue, true)
	out.gets(t, "the pull", "batch b c d")
	if !s.Acknowledge(queue, 4) {
		t.Error("the acknowledgement of a pulled batch asks for no more")
	}
	w.pull(s, queue, false)
	out.gets(t, "the end", "end")
	if s.Acknowledge(queue, 4) {
		t.Error("an acknowledgement after the end asks for more")
	}
}

// A client does not acknowledge the key that it acknowledged last, which the server may not have heard.
func TestABatchComesUnderAnotherKeyInTheNextSession(t *testing.T) {
	w := newWorld(t)
	s, out := w.ready(2, 20, 7)
	w.post(1, 10, 2, "a")
	queue := w.queue(2, 20)
	w.pull(s, queue, true)
	out.gets(t, "a push and what was not acknowledged", "batch a", "batch a")
	s.Acknowledge(queue, 1)
	w.pull(s, queue, false)
	out.gets(t, "the end", "end")
	w.post(1, 10, 2, "b")
	w.pull(s, queue, true)
	out.gets(t, "once more", "batch b", "batch b")
	before := out.key
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for session := range int64(4) { // numbers of sessions that are opened in the same moment follow each other
		s, out := w.ready(2, 20, 8+session)
		w.pull(s, queue, true)
		out.gets(t, "the next session", "batch b")
		if out.key == before {
			t.Errorf("session %d and the one before send the batch under the key %d", 8+session, before)
		}
		w.pull(s, queue, true)
		w.pull(s, queue, true)
		out.gets(t, "the end, and once more", "end", "batch b")
		before = out.key
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEntriesDuringAPullComeWithIt(t *testing.T) {
	w := newWorld(t)
	w.post(1, 10, 2, "a")
	s, out := w.ready(2, 20, 1)
	queue := w.queue(2, 20)
	w.pull(s, queue, true)
	out.gets(t, "the first batch", "batch a")
	w.post(1, 10, 2, "b")
	out.gets(t, "no push during a pull")
	if !s.Acknowledge(queue, 1) {
		t.Error("the acknowledgement asks for no more")
	}
	w.pull(s, queue, false)
	out.gets(t, "the second batch", "batch b")
	// An acknowledgement of the first batch once more, as two pulls at a time may cause, does not bring the second again.
	if s.Acknowledge(queue, 1) {
		t.Error("an old acknowledgement goes on with the pull")
	}
	s.Acknowledge(queue, 2)
	w.pull(s, queue, false)
	out.gets(t, "the end", "end")
}

func TestANewConversationIsPushedFromItsFirstEntry(t *testing.T) {
	w := newWorld(t)
	s, out := w.ready(2, 20, 1)
	w.post(1, 10, 2, "a")
	w.post(3, 30, 2, "b")
	out.gets(t, "two new conversations", "batch a", "batch b")
	if unread := w.unread(s); len(unread) != 0 {
		t.Errorf("unread is %+v", unread)
	}
}

func TestANewConversationWhoseFirstEntryWasLostIsPulled(t *testing.T) {
	w := newWorld(t)
	s, out := w.ready(2, 20, 1)
	w.bus.Bus.Unsubscribe(bus.User(2)) // loses
	w.post(1, 10, 2, "a", "b")
	w.bus.Bus.Subscribe(bus.User(2))
	out.gets(t, "lost")
	w.post(1, 10, 2, "c")
	out.gets(t, "the third shows it", "n")
	w.post(1, 10, 2, "d")
	out.gets(t, "one notice is enough")
	queue := w.queue(2, 20)
	if s.Acknowledge(queue, 3) {
		t.Error("an acknowledgement of what was not sent asks for more")
	}
	w.pull(s, queue, true)
	out.gets(t, "the pull", "batch a b c d")
}

func TestAShadowedSessionIsSentNothing(t *testing.T) {
	w := newWorld(t)
	older, olderOut := w.ready(2, 20, 1)
	younger, youngerOut := w.ready(2, 20, 2)
	_, phone := w.ready(2, 21, 3)
	w.post(1, 10, 2, "a")
	w.service.Push(2, []byte{0x28, 5, 0x32, 1, 'x'}, 0)
	olderOut.gets(t, "the older of two sockets of a device")
	youngerOut.gets(t, "the younger", "batch a", "push x")
	phone.gets(t, "another device", "batch a", "push x")
	if err := younger.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.post(1, 10, 2, "b")
	olderOut.gets(t, "the older is alone again", "n")
	if err := older.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := w.hub.Count(); n != 1 {
		t.Errorf("the hub counts %d sessions", n)
	}
}

func TestTheLastSessionOfAUserEndsTheSubscription(t *testing.T) {
	w := newWorld(t)
	a, _ := w.session(2, 20, 1)
	b, _ := w.session(2, 21, 2)
	if n := w.bus.subscriptions(2); n != 1 {
		t.Errorf("subscribed %d times", n)
	}
	a.Close(t.Context())
	if n := w.bus.subscriptions(2); n != 1 {
		t.Errorf("with one session left: subscribed %d times", n)
	}
	b.Close(t.Context())
	if n := w.bus.subscriptions(2); n != 0 {
		t.Errorf("without a session: subscribed %d times", n)
	}
	w.bus.mu.Lock()
	w.bus.refuse = true
	w.bus.mu.Unlock()
	if _, err := w.hub.Open(Identity{User: 2, Device: 20}, &sink{}); !errors.Is(err, errBroken) || w.hub.Count() != 0 {
		t.Errorf("without the bus: %v, %d sessions", err, w.hub.Count())
	}
}

func TestCursorsAreSavedBeforeAHundredAreOpen(t *testing.T) {
	w := newWorld(t)
	s, out := w.ready(2, 20, 1)
	saves := make(chan []store.Cursor, 100)
	w.store.set(func() { w.store.save = func(c []store.Cursor) error { saves <- slices.Clone(c); return nil } })
	var texts []string
	for i := range saveAfter {
		texts = append(texts, fmt.Sprint(i))
	}
	w.post(1, 10, 2, texts...)
	if got := out.take(t); len(got) != saveAfter {
		t.Fatalf("%d pushes", len(got))
	}
	queue := w.queue(2, 20)
	w.hub.saving.Lock() // holds the saver up, so that it is seen to be called and not just to come by
	for key := uint64(1); key <= saveAfter; key++ {
		s.Acknowledge(queue, key)
		if called := len(w.hub.wake) > 0; called && key < saveAfter {
			t.Errorf("the saver is called after %d entries", key)
		}
	}
	w.post(1, 10, 2, "one more")
	s.Acknowledge(queue, saveAfter+1) // if the saver has heard the first call already, this is the second
	called := len(w.hub.wake) > 0
	w.hub.saving.Unlock()
	if !called {
		t.Error("the saver is not called")
	}
	for last := int64(0); last < saveAfter; {
		for _, c := range soon(t, "a save", saves) {
			if c.User != 2 || c.Device != 20 || c.Seq <= last || c.Seq > saveAfter+1 {
				t.Fatalf("saved %+v after %d", c, last)
			}
			last = c.Seq
		}
	}
}

func TestCloseSavesTheCursor(t *testing.T) {
	w := newWorld(t)
	s, _ := w.ready(2, 20, 1)
	w.post(1, 10, 2, "a", "b", "c")
	s.Acknowledge(w.queue(2, 20), 2)
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.cursor(2, 20); got != 2 {
		t.Errorf("the cursor is at %d", got)
	}
}

func TestASessionBeginsWithTheUnsavedCursorsOfAnEarlierOne(t *testing.T) {
	w := newWorld(t)
	older, _ := w.ready(2, 20, 1)
	w.post(1, 10, 2, "a", "b")
	older.Acknowledge(w.queue(2, 20), 1)
	younger, out := w.session(2, 20, 2)
	unread := w.unread(younger)
	if len(unread) != 1 || unread[0].Count != 1 {
		t.Fatalf("unread is %+v", unread)
	}
	w.pull(younger, unread[0].Queue, true)
	out.gets(t, "what the older one had not acknowledged", "batch b")
}

func TestAFailedSaveIsToldAndCostsOnlyRepetitions(t *testing.T) {
	w := newWorld(t)
	s, _ := w.ready(2, 20, 1)
	w.post(1, 10, 2, "a")
	w.store.set(func() { w.store.save = func([]store.Cursor) error { return errBroken } })
	s.Acknowledge(w.queue(2, 20), 1)
	if err := s.Close(t.Context()); err != nil && !errors.Is(err, errBroken) { // the hub may have tried before
		t.Errorf("close: %v", err)
	}
	w.store.set(func() { w.store.save = nil })
	again, out := w.session(2, 20, 2)
	if unread := w.unread(again); len(unread) != 1 {
		t.Fatalf("unread is %+v", unread)
	}
	w.pull(again, w.queue(2, 20), true)
	out.gets(t, "the pull", "batch a")
}

// A first look at the store may fail while events come in already.
func TestAFailedFirstUnreadLosesNothing(t *testing.T) {
	w := newWorld(t)
	s, out := w.session(1, 10, 1)
	asked, fail := make(chan struct{}), make(chan struct{})
	w.store.set(func() {
		w.store.positions = func() error {
			close(asked)
			<-fail
			return errBroken
		}
	})
	failed := make(chan error)
	go func() {
		_, err := s.Unread(t.Context())
		failed <- err
	}()
	soon(t, "the question", asked)
	w.post(1, 10, 2, "own") // moves the cursor
	w.post(3, 30, 1, "a")
	close(fail)
	if err := soon(t, "the failure", failed); !errors.Is(err, errBroken) {
		t.Fatalf("Unread: %v", err)
	}
	// The next look may fall together with the hub's saving.
	w.store.set(func() { w.store.positions = func() error { return w.hub.save(t.Context(), s) } })
	seen := out.take(t)
	for _, u := range w.unread(s) {
		w.pull(s, u.Queue, true)
	}
	seen = append(seen, out.take(t)...)
	if !slices.Contains(seen, "batch a") {
		t.Errorf("the session was sent %q", seen)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAPullOfNoQueueIsAnsweredWithItsEnd(t *testing.T) {
	w := newWorld(t)
	w.post(1, 10, 2, "secret")
	s, out := w.ready(3, 30, 1)
	for _, queue := range []string{"", "x", "0", "-1", "1", "99999999999999999999"} {
		w.pull(s, queue, true)
		out.gets(t, "queue "+queue, "end")
		if s.Acknowledge(queue, 1) {
			t.Errorf("an acknowledgement of queue %q asks for more", queue)
		}
	}
}

func TestAPullBeforeUnreadWorks(t *testing.T) {
	w := newWorld(t)
	w.post(1, 10, 2, "a")
	s, out := w.session(2, 20, 1)
	queue := w.queue(2, 20)
	s.Acknowledge(queue, 1) // of nothing
	w.pull(s, queue, true)
	if got := out.take(t); got[len(got)-1] != "batch a" {
		t.Errorf("got %q", got)
	}
}

func TestHandleOutlivesNonsense(t *testing.T) {
	w := newWorld(t)
	_, out := w.ready(1, 10, 1)
	for _, event := range [][]byte{nil, {}, {'e'}, {'p', 1}, {'k'}, {'l'}, {'?', 1, 2, 3}} {
		w.hub.Handle(bus.User(1), event)
		w.hub.Handle(bus.User(99), event)
		w.hub.Handle(bus.All, event)
	}
	out.gets(t, "nonsense")
}

func TestFlushMeetsEverySinkThatWasGivenSomething(t *testing.T) {
	w := newWorld(t)
	s, out := w.ready(2, 20, 1)
	before := out.flushes
	w.hub.Flush()
	if out.flushes != before {
		t.Error("a sink with nothing new was flushed")
	}
	s.Touch()
	s.Touch()
	w.hub.Flush()
	w.hub.Flush()
	if out.flushes != before+1 {
		t.Errorf("after a touch it was flushed %d times", out.flushes-before)
	}
}
