package delivery

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stoa-chat/stoa/internal/bus"
	"github.com/stoa-chat/stoa/internal/clock"
	"github.com/stoa-chat/stoa/internal/store"
	"github.com/stoa-chat/stoa/internal/store/sqlitetest"
)

// newNodes makes two nodes with one store, connected by NATS.
func newNodes(t *testing.T) (a, b *world) {
	t.Helper()
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	s := sqlitetest.Open(t, log)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	nats, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	nats.Start()
	t.Cleanup(func() {
		nats.Shutdown()
		nats.WaitForShutdown()
	})
	if !nats.ReadyForConnections(patience) {
		t.Fatal("the NATS server does not start")
	}
	node := func(number int) *world {
		w := &world{TB: t, store: &brokenStore{Store: s}, clock: clock.New()}
		w.hub = NewHub(w.store, w.clock, log)
		hear := func(subject bus.Subject, data []byte) {
			w.hub.Handle(subject, data)
			w.hub.Flush()
		}
		b, err := bus.DialNATS(t.Context(), nats.ClientURL(), hear, func() {}, log)
		if err != nil {
			t.Fatal(err)
		}
		w.bus = &recordedBus{subscribed: map[bus.Subject]int{}, Bus: b}
		w.service = New(w.hub, w.store, w.bus, NewIDs(number, 0), w.clock, NewMetrics(prometheus.NewRegistry()), log)
		t.Cleanup(func() {
			w.service.Close()
			if err := errors.Join(w.hub.Close(), w.bus.Close()); err != nil {
				t.Error(err)
			}
		})
		return w
	}
	return node(0), node(1)
}

// hears waits until a session has been sent words that hold all of these; it pulls when it is told to.
func (w *world) hears(s *Session, out *sink, queue string, want ...string) {
	w.Helper()
	var got []string
	w.until(fmt.Sprintf("the arrival of %q", want), func() bool {
		for _, word := range out.take(w) {
			if word == "n" {
				w.pull(s, queue, true)
			} else if texts, ok := strings.CutPrefix(word, "batch "); ok {
				got = append(got, strings.Fields(texts)...)
			}
		}
		return !slices.ContainsFunc(want, func(text string) bool { return !slices.Contains(got, text) })
	})
}

func TestAGroupSpansNodes(t *testing.T) {
	a, b := newNodes(t)
	line := a.join(group, 1, 2)
	queue := fmt.Sprint(line.ID)
	_, own := a.ready(1, 11, 1)
	s, out := b.ready(2, 20, 2)
	b.settled(group)
	for i := range 20 {
		a.say(1, 10, group, fmt.Sprint("a", i))
		own.gets(t, "on the sender's node", fmt.Sprint("batch a", i))
		b.hears(s, out, queue, fmt.Sprint("a", i))
	}
	a.leave(group, 2)
	b.until("the end of the subscription", func() bool { return !b.bus.hears(group) })
	a.say(1, 10, group, "late")
	a.join(group, 2)
	a.say(1, 10, group, "again")
	b.hears(s, out, queue, "again")
	if words := out.take(t); slices.Contains(words, "batch late") {
		t.Errorf("who had left got %q", words)
	}
}

// The node of a new member does not listen yet when the group's next entry is published.
func TestTheFirstEntryAfterJoiningReachesANodeThatDidNotListen(t *testing.T) {
	a, b := newNodes(t)
	s, out := b.ready(2, 20, 1)
	for i := range int64(30) {
		line := a.join(group+i, 1, 2)
		text := fmt.Sprint("welcome", i)
		a.service.Append(Post{Key: store.MucKey(1, group+i), Sender: 1, Meta: a.meta(text)})
		b.hears(s, out, fmt.Sprint(line.ID), text)
	}
}

func TestARoomSpansNodes(t *testing.T) {
	a, b := newNodes(t)
	const room = 2000
	s, out := b.ready(2, 20, 1)
	s.Enter(room)
	b.settled(room)
	a.sayThis(Post{Key: store.MucKey(1, room), Sender: 1, Device: 10, Live: true}, "a")
	var got []string
	b.until("the push", func() bool { got = append(got, out.take(t)...); return len(got) > 0 })
	if !slices.Equal(got, []string{"push a"}) {
		t.Errorf("got %q", got)
	}
	a.service.Unsubscribed([]int64{2}, room, 0, 0)
	b.until("the end of the visit", func() bool { return !b.bus.hears(room) })
}

func TestManyNewMembersAreTold(t *testing.T) {
	a, b := newNodes(t)
	s, out := b.ready(4999, 20, 1)
	var users []int64
	for user := range int64(5000) {
		users = append(users, user+1)
	}
	line := a.join(group, users...)
	a.service.Append(Post{Key: store.MucKey(1, group), Sender: 1, Meta: a.meta("hello")})
	b.hears(s, out, fmt.Sprint(line.ID), "hello")
}
