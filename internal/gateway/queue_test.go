package gateway

import (
	"fmt"
	"math"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/internal/bus"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

// entries appends texts from one user to another without a socket.
func (w *world) entries(from, to string, texts ...string) {
	w.Helper()
	sender, receiver := w.user(from), w.user(to)
	done := make(chan delivery.Result, len(texts))
	for _, text := range texts {
		m := textTo(from, to, text, 0)
		m.From = &msync.JID{Name: sender.Name, Domain: msync.UserDomain}
		stored, err := msync.StoredMeta(m)
		w.must(err)
		w.delivery.Append(delivery.Post{Key: store.PairKey(w.app.ID, sender.ID, receiver.ID), Sender: sender.ID, Meta: stored,
			Done: func(r delivery.Result) { done <- r }})
	}
	for range texts {
		w.must((<-done).Err)
	}
	w.settle()
}

func numbered(n int) (texts []string) {
	for i := range n {
		texts = append(texts, fmt.Sprint("text ", i))
	}
	return texts
}

func TestAMessageGoesToAllDevicesButTheOneThatSentIt(t *testing.T) {
	w := newWorld(t)
	web, phone := w.online("alice", "webim_web_1"), w.online("alice", "android_1")
	bob, bobsPhone := w.online("bob", "webim_web_1"), w.online("bob", "android_1")
	carol := w.online("carol", "webim_web_1")
	answer := web.ok("bob", "hi", 7)
	var queue string
	for _, c := range []*client{phone, bob, bobsPhone} {
		batch := c.push("hi")
		m := batch.Metas[0]
		if m.Id != answer.ServerId || m.Timestamp != answer.Timestamp || batch.NextKey == 0 || batch.IsLast {
			t.Errorf("%s got %v, the answer was %v", c.name, batch, answer)
		}
		body := bodyOf(t, m)
		want := &msync.Meta{Id: answer.ServerId, Timestamp: answer.Timestamp, Ns: msync.Meta_CHAT, Payload: m.Payload,
			From: &msync.JID{Name: "alice", Domain: msync.UserDomain, ClientResource: "webim_web_1"}, To: &msync.JID{Name: "bob", Domain: msync.UserDomain}}
		if !proto.Equal(m, want) || body.From.GetName() != "alice" || body.To.GetName() != "bob" {
			t.Errorf("%s got %v with the body %v", c.name, m, body)
		}
		if queue == "" {
			queue = batch.Queue.Name
		}
		if batch.Queue.Name != queue || slices.Contains([]string{"alice", "bob"}, queue) {
			t.Errorf("%s was told the queue %q, others %q", c.name, batch.Queue.Name, queue)
		}
	}
	web.quiet("it sent the message")
	carol.quiet("the message is not hers")
	// The device that sent it has nothing to catch up with either.
	web.hangUp()
	if got := w.login("alice", "webim_web_1").catchUp(); len(got) != 0 {
		t.Errorf("the device that sent it then catches up with %q", got)
	}
}

func TestAMessageToOneselfGoesToTheOtherDevices(t *testing.T) {
	w := newWorld(t)
	web, phone := w.online("alice", "webim_web_1"), w.online("alice", "android_1")
	web.ok("alice", "note", 1)
	phone.push("note")
	phone.quiet("once is enough")
	web.quiet("it sent the note")
}

func TestAPullComesInBatchesAndEndsWithAnEmptyOne(t *testing.T) {
	w := newWorld(t)
	w.token("bob")
	texts := numbered(1200)
	w.entries("alice", "bob", texts...)
	bob := w.login("bob", "r")
	queues := bob.unread()
	if len(queues) != 1 {
		t.Fatalf("bob is told the queues %v", queues)
	}
	var got []string
	var keys []uint64
	bob.pull(queues[0])
	for {
		g := bob.next()
		if isEnd(g) {
			break
		}
		if !isBatch(g) || g.Sync.IsLast || len(g.Sync.Metas) > 500 {
			t.Fatalf("got %v", g)
		}
		got = append(got, textsOf(t, g.Sync)...)
		if slices.Contains(keys, g.Sync.NextKey) {
			t.Errorf("key %d came twice", g.Sync.NextKey)
		}
		keys = append(keys, g.Sync.NextKey)
		bob.ack(queues[0], g.Sync.NextKey)
	}
	if diff := cmp.Diff(texts, got); diff != "" {
		t.Errorf("(-sent +pulled):\n%s", diff)
	}
	if len(keys) != 3 {
		t.Errorf("%d batches", len(keys))
	}
	// From here on it is pushed.
	w.entries("alice", "bob", "live")
	bob.push("live")
	if queues := bob.unread(); len(queues) != 0 {
		t.Errorf("after the pull the queues are %v", queues)
	}
}

func TestBatchesAreBoundedInBytes(t *testing.T) {
	w := newWorld(t)
	var texts []string
	for range 12 {
		texts = append(texts, strings.Repeat("x", 45_000))
	}
	w.entries("alice", "bob", texts...)
	bob := w.login("bob", "r")
	queue := bob.unread()[0]
	bob.pull(queue)
	if g := bob.want("a batch", isBatch); len(g.Sync.Metas) != 6 { // 256 KiB, and what makes it full
		t.Errorf("the first batch has %d of 12 large entries", len(g.Sync.Metas))
	}
}

func TestWhatWasNotAcknowledgedComesAgain(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.online("alice", "r"), w.online("bob", "r")
	for i := range uint64(4) {
		alice.ok("bob", fmt.Sprint(i), 1+i)
	}
	var keys []uint64
	var queue string
	for i := range 4 {
		batch := bob.push(fmt.Sprint(i))
		keys, queue = append(keys, batch.NextKey), batch.Queue.Name
	}
	bob.ack(queue, keys[1]) // also says that the one before has arrived
	bob.quiet("an acknowledgement of a push has no answer")
	bob.hangUp()
	bob = w.login("bob", "r")
	if queues := bob.unread(); !slices.Equal(queues, []string{queue}) {
		t.Fatalf("bob's queues are %v", queues)
	}
	bob.pull(queue)
	batch := bob.push("2", "3")
	// The client may have acknowledged the last of these before: it would not acknowledge the same key again.
	if slices.Contains(keys, batch.NextKey) {
		t.Errorf("the batch comes under the key %d, which the client has seen", batch.NextKey)
	}
	bob.hangUp() // the acknowledgement is lost again
	bob = w.login("bob", "r")
	bob.unread()
	bob.pull(queue)
	again := bob.push("2", "3")
	if again.NextKey == batch.NextKey {
		t.Errorf("the batch comes under the same key %d", again.NextKey)
	}
	bob.pull(queue) // once more in the same session: what is on its way does not come twice
	bob.want("the end", isEnd)
	bob.ack(queue, again.NextKey)
	bob.quiet("the queue has been read to its end")
	bob.hangUp()
	if got := w.login("bob", "r").catchUp(); len(got) != 0 {
		t.Errorf("after all is acknowledged %q comes", got)
	}
}

func TestAnAcknowledgementIsKeptByARestart(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.online("alice", "r"), w.online("bob", "r")
	alice.ok("bob", "hi", 1)
	batch := bob.push("hi")
	bob.ack(batch.Queue.Name, batch.NextKey)
	bob.quiet("the acknowledgement has arrived")
	device := w.sessionOf("bob").row.Device
	w.until("the cursor's way to the store", func() bool {
		positions, err := w.store.Positions(t.Context(), w.user("bob").ID, device)
		return err == nil && len(positions) == 1 && positions[0].Cursor == 1
	})
}

// sessionOf returns the one session of a user.
func (w *world) sessionOf(name string) *session {
	w.Helper()
	user := w.user(name)
	for _, s := range w.gateway.snapshot() {
		if s.loggedIn.Load() && s.row.User == user.ID {
			return s
		}
	}
	w.Fatalf("%s has no session", name)
	return nil
}

func TestOwnMessagesMoveTheCursor(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.online("alice", "r"), w.online("bob", "r")
	cursor := func() int64 {
		s := w.sessionOf("alice")
		w.must(s.deliver.Close(t.Context())) // saves
		positions, err := w.store.Positions(t.Context(), s.row.User, s.row.Device)
		w.must(err)
		if len(positions) != 1 {
			t.Fatalf("positions are %v", positions)
		}
		return positions[0].Cursor
	}
	alice.ok("bob", "1", 1)
	bob.push("1")
	bob.ok("alice", "2", 1)
	batch := alice.push("2")
	alice.ok("bob", "3", 3)
	alice.ok("bob", "4", 4)
	alice.quiet("4 entries")
	if got := cursor(); got != 1 {
		t.Errorf("the cursor is at %d although entry 2 is not acknowledged", got)
	}
	alice.ack(batch.Queue.Name, batch.NextKey)
	alice.quiet("acknowledged")
	if got := cursor(); got != 4 {
		t.Errorf("the cursor is at %d, want 4: what follows is alice's own", got)
	}
}

func TestTrailingOwnEntriesEndAPull(t *testing.T) {
	w := newWorld(t)
	alice := w.online("alice", "r")
	w.entries("bob", "alice", "1")
	alice.push("1")
	alice.ok("bob", "2", 1)
	alice.ok("bob", "3", 2)
	alice.hangUp()
	alice = w.login("alice", "r")
	queue := alice.unread()[0]
	alice.pull(queue)
	batch := alice.push("1")
	alice.ack(queue, batch.NextKey)
	alice.want("the end", isEnd)
	alice.hangUp()
	if queues := w.login("alice", "r").unread(); len(queues) != 0 {
		t.Errorf("own entries are unread: %v", queues)
	}
}

func TestANewDeviceBeginsAtTheFurthest(t *testing.T) {
	w := newWorld(t)
	web := w.login("bob", "webim_web_1")
	w.entries("alice", "bob", "1", "2", "3")
	queue := web.unread()[0]
	web.pull(queue)
	batch := web.push("1", "2", "3")
	web.ack(queue, batch.NextKey-1) // two of three
	web.quiet("the third is on its way")
	web.hangUp()
	if got := w.login("bob", "android_1").catchUp(); !slices.Equal(got, []string{"3"}) {
		t.Errorf("a new device gets %q, want what none has had", got)
	}
	if got := w.login("bob", "webim_web_1").catchUp(); !slices.Equal(got, []string{"3"}) {
		t.Errorf("the old one gets %q", got)
	}
}

func TestAResentMessageIsKeptOnce(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.online("alice", "r"), w.online("bob", "r")
	first := alice.ok("bob", "hi", 7)
	bob.push("hi")
	if again := alice.ok("bob", "hi", 7); again.ServerId != first.ServerId || again.Timestamp != first.Timestamp {
		t.Errorf("sent again it is answered with %v, at first %v", again, first)
	}
	alice.hangUp()
	alice = w.online("alice", "r")
	if again := alice.ok("bob", "hi", 7); again.ServerId != first.ServerId {
		t.Errorf("sent again after a reconnect it is answered with %v, at first %v", again, first)
	}
	bob.quiet("it was the same message")
	if other := alice.ok("bob", "ho", 7); other.ServerId == first.ServerId {
		t.Error("another text under the same id was taken for the first")
	}
	bob.push("ho")
	w.token("carol")
	if other := alice.ok("carol", "hi", 7); other.ServerId == first.ServerId {
		t.Error("the same text to somebody else was taken for the first")
	}
}

func TestUnreadFindsALostPush(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.online("alice", "r"), w.online("bob", "r")
	alice.ok("bob", "1", 1)
	batch := bob.push("1")
	bob.ack(batch.Queue.Name, batch.NextKey)
	w.bus.lose(w.user("bob").ID)
	alice.ok("bob", "2", 2)
	alice.ok("bob", "3", 3)
	bob.quiet("the bus lost them")
	if got := bob.catchUp(); !slices.Equal(got, []string{"2", "3"}) {
		t.Errorf("UNREAD finds %q", got)
	}
	w.bus.lose(0)
	alice.ok("bob", "4", 4)
	bob.push("4")
}

func TestTheNextMessageShowsThatOneWasLost(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.online("alice", "r"), w.online("bob", "r")
	w.bus.lose(w.user("bob").ID)
	alice.ok("bob", "1", 1)
	w.bus.lose(0)
	alice.ok("bob", "2", 2)
	g := bob.want("a notice", isNotice)
	alice.ok("bob", "3", 3)
	bob.quiet("one notice is enough")
	if got := bob.drain(g.Notice.Queue.Name); !slices.Equal(got, []string{"1", "2", "3"}) {
		t.Errorf("the pull gives %q", got)
	}
	alice.ok("bob", "4", 4)
	bob.push("4")
}

func TestEventsInAnyOrderAndTwiceAreShownOnceInOrder(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.online("alice", "r"), w.online("bob", "r")
	var held []func()
	w.bus.use(func(subject bus.Subject, _ []byte, publish func()) {
		if subject.ID == w.user("bob").ID {
			held = append(held, publish)
			return
		}
		publish()
	})
	for i := range uint64(4) {
		alice.ok("bob", fmt.Sprint(i+1), i+1)
	}
	w.settle()
	w.bus.use(nil)
	for _, i := range []int{0, 0, 2, 0, 1, 3, 3, 2} {
		held[i]()
	}
	w.hub.Flush()
	batch := bob.push("1")
	bob.ack(batch.Queue.Name, batch.NextKey)
	g := bob.want("a notice", isNotice)
	if got := bob.drain(g.Notice.Queue.Name); !slices.Equal(got, []string{"2", "3", "4"}) {
		t.Errorf("the pull gives %q", got)
	}
	for _, publish := range held {
		publish()
	}
	w.hub.Flush()
	bob.quiet("all of it is old")
}

// An entry may be in the store already, and its event still on its way, when the session looks at the store for a reason
// of its own. It must not be forgotten between the two.
func TestLookingAtTheStoreDoesNotSwallowAnEventOnItsWay(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.online("alice", "r"), w.online("bob", "r")
	alice.ok("bob", "1", 1)
	batch := bob.push("1")
	bob.ack(batch.Queue.Name, batch.NextKey)
	queue := batch.Queue.Name
	var held []func()
	w.bus.use(func(subject bus.Subject, _ []byte, publish func()) {
		if subject.ID == w.user("bob").ID {
			held = append(held, publish)
		}
	})
	alice.ok("bob", "2", 2)
	w.settle()
	w.bus.use(nil)
	bob.pull("99999") // a queue that he has not: the session looks whether it is new
	_, before := bob.skipTo("the end", isEnd)
	for _, publish := range held {
		publish()
	}
	w.hub.Flush()
	bob.frame(ws.OpPing, nil)
	_, after := bob.skipTo("a pong", isPong)
	told := slices.ContainsFunc(append(before, after...), func(g *got) bool {
		return isBatch(g) && g.Sync.Queue.Name == queue || isNotice(g) && g.Notice.Queue.Name == queue
	})
	if !told {
		t.Fatalf("bob was sent %v and %v, but not told of the message", before, after)
	}
	if got := bob.drain(queue); !slices.Equal(got, []string{"2"}) {
		t.Errorf("the pull gives %q", got)
	}
	alice.ok("bob", "3", 3)
	bob.push("3")
}

func TestAClientThatDoesNotReadIsToldToPullLater(t *testing.T) {
	w := newWorld(t)
	bob := w.online("bob", "r")
	bob.conn.(*net.TCPConn).SetReadBuffer(64 * 1024)
	w.sessionOf("bob").conn.(*net.TCPConn).SetWriteBuffer(64 * 1024)
	carol := w.online("carol", "r")
	var texts []string
	for i := range 70 {
		texts = append(texts, fmt.Sprintf("%d %s", i, strings.Repeat("x", 40_000)))
	}
	w.entries("alice", "bob", texts...) // more than the sockets hold
	w.entries("alice", "carol", "meanwhile")
	carol.push("meanwhile") // a slow reader holds up nobody
	var got []string
	var queue string
	for {
		g := bob.next()
		if isBatch(g) {
			got = append(got, textsOf(t, g.Sync)...)
			bob.ack(g.Sync.Queue.Name, g.Sync.NextKey)
			continue
		}
		if !isNotice(g) {
			t.Fatalf("after %d pushes: %v", len(got), g)
		}
		queue = g.Notice.Queue.Name
		break
	}
	if len(got) == 0 || len(got) == len(texts) {
		t.Fatalf("%d of %d were pushed: not what is to be tested", len(got), len(texts))
	}
	got = append(got, bob.drain(queue)...)
	if !slices.Equal(got, texts) {
		t.Errorf("%d of %d entries arrived, or in another order", len(got), len(texts))
	}
	w.entries("alice", "bob", "live")
	bob.push("live")
}

func TestTheYoungerOfTwoSocketsOfADeviceIsSentWhatIsNew(t *testing.T) {
	w := newWorld(t)
	alice, older := w.online("alice", "r"), w.online("bob", "r")
	alice.ok("bob", "1", 1)
	batch := older.push("1")
	queue := batch.Queue.Name
	older.ack(queue, batch.NextKey)
	older.quiet("acknowledged") // but perhaps not saved
	younger := w.online("bob", "r")
	alice.ok("bob", "2", 2)
	batch = younger.push("2")
	older.quiet("there is a younger socket")
	younger.ack(queue, batch.NextKey)
	alice.ok("bob", "3", 3)
	younger.push("3")
	younger.hangUp()
	alice.ok("bob", "4", 4)
	// The older one is the only one again. It may be given what the younger one had acknowledged, but it must get the rest.
	g := older.want("a notice", isNotice)
	if got := older.drain(g.Notice.Queue.Name); !slices.Equal(got[len(got)-2:], []string{"3", "4"}) {
		t.Errorf("the older socket then gets %q", got)
	}
	older.hangUp()
	if got := w.login("bob", "r").catchUp(); len(got) != 0 {
		t.Errorf("then comes %q", got)
	}
}

func TestForeignQueuesAreEmpty(t *testing.T) {
	w := newWorld(t)
	alice, bob, eve := w.online("alice", "r"), w.online("bob", "r"), w.online("eve", "r")
	alice.ok("bob", "secret", 1)
	queue := bob.push("secret").Queue.Name
	for _, name := range []string{queue, "0", "-1", "1e3", "", "alice", "bob", "online", "session", "9223372036854775807", "9223372036854775808", "\x00"} {
		if got := eve.drain(name); len(got) != 0 {
			t.Errorf("eve reads %q from %q", got, name)
		}
		eve.ack(name, 1)
		eve.ack(name, math.MaxUint64)
	}
	eve.quiet("acknowledgements of foreign queues are passed over")
	bob.hangUp()
	if got := w.login("bob", "r").catchUp(); !slices.Equal(got, []string{"secret"}) {
		t.Errorf("bob then catches up with %q", got)
	}
}

func TestTheQueueOfAnEmptyPullComesBackAsItWas(t *testing.T) {
	w := newWorld(t)
	c := w.online("alice", "r")
	jid := &msync.JID{AppKey: "o#a", Name: "nothing", Domain: msync.PlaceDomain, ClientResource: "x"}
	c.send(msync.MSync_SYNC, &msync.CommSyncUL{Queue: jid})
	if g := c.want("the end", isEnd); !proto.Equal(g.Sync.Queue, jid) {
		t.Errorf("the queue is %v", g.Sync.Queue)
	}
}

func TestAKeyBeyondWhatWasSentAcknowledgesNoMore(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.online("alice", "r"), w.online("bob", "r")
	alice.ok("bob", "1", 1)
	queue := bob.push("1").Queue.Name
	for _, key := range []uint64{0, 2, 1 << 39, 1<<40 - 1, 1 << 40, 1 << 62, math.MaxInt64, math.MaxUint64} {
		bob.ack(queue, key)
	}
	bob.quiet("acknowledged")
	alice.ok("bob", "2", 2)
	bob.push("2")
	bob.hangUp()
	if got := w.login("bob", "r").catchUp(); !slices.Equal(got, []string{"2"}) {
		t.Errorf("bob catches up with %q", got)
	}
}

func TestAForeignSenderIsRefused(t *testing.T) {
	w := newWorld(t)
	eve, bob := w.online("eve", "r"), w.online("bob", "r")
	eve.sendMeta(textTo("alice", "bob", "I am alice", 1))
	g := eve.want("an answer", isAnswer)
	if code := sendCode(g.Sync.Status.ErrorCode, g.Sync.Status.Reason); code != 603 {
		t.Errorf("answered with %v, code %d", g, code)
	}
	bob.quiet("the message was refused")
}

func TestALoginWithCapitalsHearsOfItselfSo(t *testing.T) {
	w := newWorld(t)
	capital, small := w.online("Alice", "webim_web_1"), w.online("alice", "android_1")
	bob := w.online("bob", "r")
	capital.ok("BOB", "1", 1)
	for _, test := range []struct {
		c        *client
		from, to string
	}{{bob, "alice", "bob"}, {small, "alice", "bob"}} {
		m := test.c.push("1").Metas[0]
		body := bodyOf(t, m)
		if m.From.Name != test.from || m.To.Name != test.to || body.From.Name != test.from || body.To.Name != test.to {
			t.Errorf("%s: meta %v, body %v", test.c.name, m, body)
		}
	}
	small.ok("bob", "2", 2)
	bob.push("2")
	check := func(m *msync.Meta, from, to string) {
		t.Helper()
		body := bodyOf(t, m)
		if m.From.Name != from || m.To.Name != to || body.From.Name != from || body.To.Name != to {
			t.Errorf("meta %v, body %v, want from %s to %s", m, body, from, to)
		}
	}
	check(capital.push("2").Metas[0], "Alice", "bob")
	bob.ok("alice", "3", 3)
	check(capital.push("3").Metas[0], "bob", "Alice")
	check(small.push("3").Metas[0], "bob", "alice")
	capital.hangUp()
	capital = w.login("ALICE", "webim_web_1")
	queue := capital.unread()[0]
	capital.pull(queue)
	batch := capital.push("2", "3")
	check(batch.Metas[0], "ALICE", "bob")
	check(batch.Metas[1], "bob", "ALICE")
}

func TestMessagesForWhoIsOnlineAreNotKept(t *testing.T) {
	w := newWorld(t)
	alice, phone, bob := w.online("alice", "r"), w.online("alice", "android_1"), w.online("bob", "r")
	m := textTo("alice", "bob", "typing", 5)
	m.Routetype = msync.Meta_ROUTE_ONLINE
	alice.sendMeta(m)
	g := alice.want("an answer", isAnswer)
	if g.Sync.Status.ErrorCode != 0 || g.Sync.ServerId == 0 || g.Sync.Timestamp == 0 {
		t.Errorf("answered with %v", g)
	}
	for _, c := range []*client{bob, phone} {
		if batch := c.push("typing"); !batch.IsLast || batch.NextKey != 0 || batch.Metas[0].Id == 0 {
			t.Errorf("%s got %v", c.name, batch)
		}
	}
	alice.quiet("it sent it")
	bob.hangUp()
	alice.sendMeta(m)
	alice.want("an answer", isAnswer)
	if got := w.login("bob", "r").catchUp(); len(got) != 0 {
		t.Errorf("later bob gets %q", got)
	}
}

func TestReceiptsReachTheOther(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.online("alice", "r"), w.online("bob", "r")
	phone := w.online("bob", "android_1")
	sent := alice.ok("bob", "hi", 1)
	bob.push("hi")
	phone.push("hi")
	for i, kind := range []msync.MessageBody_Type{msync.MessageBody_DELIVER_ACK, msync.MessageBody_READ_ACK, msync.MessageBody_CHANNEL_ACK} {
		bob.sendMeta(metaTo("alice", uint64(10+i), &msync.MessageBody{Type: kind, From: &msync.JID{Name: "bob"}, To: &msync.JID{Name: "alice"},
			AckMessageId: sent.ServerId, Contents: []*msync.MessageBody_Content{{}}}))
		if g := bob.want("an answer", isAnswer); g.Sync.Status.ErrorCode != 0 || g.Sync.MetaId != uint64(10+i) {
			t.Errorf("%v is answered with %v", kind, g)
		}
		batch := alice.want("a receipt", isBatch).Sync
		if body := bodyOf(t, batch.Metas[0]); body.Type != kind || body.AckMessageId != sent.ServerId {
			t.Errorf("alice got %v", body)
		}
		alice.ack(batch.Queue.Name, batch.NextKey)
	}
	alice.quiet("three receipts")
	alice.hangUp()
	if got := w.login("alice", "r").catchUp(); len(got) != 0 {
		t.Errorf("later alice gets %q", got)
	}
}

func TestCatchingUpReachesBackAMonth(t *testing.T) {
	w := newWorld(t)
	bob := w.online("bob", "r")
	bob.hangUp()
	w.entries("alice", "bob", "old", "older than a month")
	w.clock.Advance(delivery.OfflineWindow + time.Hour)
	w.entries("alice", "bob", "new")
	bob = w.login("bob", "r")
	queue := bob.unread()[0]
	bob.pull(queue)
	batch := bob.push("new")
	bob.ack(queue, batch.NextKey)
	bob.want("the end", isEnd)
	bob.hangUp()
	w.clock.Advance(-1) // time never goes back
	if queues := w.login("bob", "r").unread(); len(queues) != 0 {
		t.Errorf("the queues are %v", queues)
	}
}

func TestOnlyOldEntriesEndThePullAtOnce(t *testing.T) {
	w := newWorld(t)
	w.online("bob", "r").hangUp()
	w.entries("alice", "bob", numbered(700)...)
	w.clock.Advance(delivery.OfflineWindow + time.Hour)
	bob := w.login("bob", "r")
	if got := bob.catchUp(); len(got) != 0 {
		t.Errorf("%d old entries come", len(got))
	}
	w.entries("alice", "bob", "live")
	bob.push("live")
}

// After the bus was away the server tells the clients itself what they missed.
func TestResyncTellsWhatTheBusLost(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.online("alice", "r"), w.online("bob", "r")
	late := w.login("bob", "android_1") // has not asked UNREAD yet, and will
	w.bus.lose(w.user("bob").ID)
	alice.ok("bob", "1", 1)
	w.settle()
	w.bus.lose(0)
	w.hub.Resync(t.Context())
	g := bob.want("a notice", isNotice)
	if got := bob.drain(g.Notice.Queue.Name); !slices.Equal(got, []string{"1"}) {
		t.Errorf("the pull gives %q", got)
	}
	late.quiet("it has not asked yet")
	if got := late.catchUp(); !slices.Equal(got, []string{"1"}) {
		t.Errorf("the late one gets %q", got)
	}
	w.hub.Resync(t.Context())
	bob.quiet("nothing is missing")
}
