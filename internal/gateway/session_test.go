package gateway

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/msync"
)

// kickOf returns the operation and reason of a kick.
func kickOf(c *client, g *got) (msync.StatisticsBody_Operation, string) {
	c.Helper()
	m := g.Sync.Metas[0]
	if m.Id == 0 || m.From.GetName() == "" || !g.Sync.IsLast || g.Sync.NextKey != 0 {
		c.Errorf("the kick is %v", g)
	}
	var body msync.StatisticsBody
	if err := proto.Unmarshal(m.Payload, &body); err != nil {
		c.Fatalf("%v", err)
	}
	return body.Operation, body.Reason
}

// kicked reads a kick, answers its ping and waits for the close.
func (c *client) kicked(operation msync.StatisticsBody_Operation) (reason string) {
	c.Helper()
	got, reason := kickOf(c, c.want("a kick", isKick))
	if got != operation {
		c.Errorf("%s was kicked by %v, want %v", c.name, got, operation)
	}
	ping := c.want("a ping", isPing)
	c.frame(ws.OpPong, ping.Data)
	c.ended(ws.StatusNormalClosure)
	return reason
}

func TestAKickComesAfterTheAnswersToAllThatIsOpen(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.online("alice", "r"), w.online("bob", "r")
	bob.ok("alice", "make the conversation", 1)
	alice.push("make the conversation")
	release := w.stores.holdCommits()
	defer release()
	const open = 5
	for id := range uint64(open) {
		alice.sendMeta(textTo("alice", "bob", "hi", 10+id))
	}
	s := w.gateway
	w.until("the arrival of the messages", func() bool { return openRequests(s) == open })
	w.must(w.accounts.Disconnect(t.Context(), w.app, "alice", ""))
	alice.frame(ws.OpPing, []byte("not yet"))
	alice.want("a pong before the kick: messages are open", isPong)
	// What comes now is refused.
	alice.sendMeta(textTo("alice", "bob", "too late", 99))
	if g := alice.want("an answer", isAnswer); g.Sync.MetaId != 99 || sendCode(g.Sync.Status.ErrorCode, g.Sync.Status.Reason) != 503 {
		t.Errorf("a message after the kick is answered with %v", g)
	}
	release()
	for id := range uint64(open) {
		if g := alice.want("an answer before the kick", isAnswer); g.Sync.MetaId != 10+id || g.Sync.Status.ErrorCode != 0 {
			t.Errorf("got %v, want the answer to %d", g, 10+id)
		}
	}
	alice.kicked(msync.StatisticsBody_USER_KICKED_BY_OTHER_DEVICE)
	bob.push("hi")
	for range open - 1 {
		bob.push("hi")
	}
	bob.quiet("what came after the kick was refused")
	w.until("the end of alice's session", func() bool { return len(w.gateway.snapshot()) == 1 })
}

func openRequests(g *Gateway) (n int) {
	for _, s := range g.snapshot() {
		s.mu.Lock()
		n += s.open
		s.mu.Unlock()
	}
	return n
}

func TestAKickedClientThatDoesNotCloseIsClosed(t *testing.T) {
	w := newWorld(t)
	c := w.online("alice", "r")
	w.must(w.accounts.Disconnect(t.Context(), w.app, "alice", "r"))
	c.want("a kick", isKick)
	c.want("a ping", isPing)
	s := w.only()
	c.sendMeta(textTo("alice", "bob", "still here", 1))
	c.want("a refusal", isAnswer)
	s.sweep(time.Now(), time.Now())
	c.send(msync.MSync_UNREAD, nil) // is not kicked a second time
	s.sweep(time.Now().Add(closeTime+time.Second), time.Now())
	for g := c.next(); g != nil; g = c.next() {
		if isKick(g) {
			t.Error("a second kick")
		}
	}
}

func TestEveryWayToLoseTheRightToBeThere(t *testing.T) {
	w := newWorld(t)
	for _, test := range []struct {
		name string
		do   func(user string) error
		want msync.StatisticsBody_Operation
	}{
		{"removed", func(user string) error { _, err := w.accounts.Delete(t.Context(), w.app, user); return err }, 1},
		{"new password", func(user string) error { return w.accounts.SetPassword(t.Context(), w.app, user, "new") }, 3},
		{"banned", func(user string) error { _, err := w.accounts.SetActive(t.Context(), w.app, user, false); return err }, 4},
		{"disconnected", func(user string) error { return w.accounts.Disconnect(t.Context(), w.app, user, "") }, 4},
		{"disconnected by device", func(user string) error { return w.accounts.Disconnect(t.Context(), w.app, user, "r") }, 4},
	} {
		t.Run(test.name, func(t *testing.T) {
			told := "told-" + strings.ReplaceAll(test.name, " ", "-")
			c := w.online(told, "r")
			w.must(test.do(told))
			c.kicked(test.want)
			// The word may be lost on the bus: then UNREAD tells.
			missed := "missed-" + strings.ReplaceAll(test.name, " ", "-")
			c = w.online(missed, "r")
			w.bus.lose(w.user(missed).ID)
			w.must(test.do(missed))
			w.bus.lose(0)
			c.quiet("the kick was lost")
			c.send(msync.MSync_UNREAD, nil)
			c.kicked(test.want)
		})
	}
}

func TestTooManyDevicesOfAPlatformEndTheEarliest(t *testing.T) {
	w := newWorld(t)
	w.set(`{"max_devices_per_platform":2}`)
	first, second := w.online("alice", "webim_web_1"), w.online("alice", "webim_web_2")
	phone := w.online("alice", "android_1")
	third := w.login("alice", "webim_web_3")
	if reason := first.kicked(msync.StatisticsBody_USER_LOGIN_ANOTHER_DEVICE); reason != "from webim_web_3" {
		t.Errorf("the reason is %q", reason)
	}
	second.quiet("it is the second of two")
	phone.quiet("it is of another platform")
	third.quiet("it is the newcomer")
	// The same device again ends nobody, not even itself.
	again := w.login("alice", "webim_web_3")
	for _, c := range []*client{second, phone, third, again} {
		c.quiet("a device came back")
	}
	third.send(msync.MSync_UNREAD, nil)
	third.want("an UNREAD: being replaced by oneself is no reason to go", isUnread)
}

func TestWithoutMultiDeviceALoginEndsAllOthers(t *testing.T) {
	w := newWorld(t)
	web, phone := w.online("alice", "webim_web_1"), w.online("alice", "android_1")
	bob := w.online("bob", "r")
	w.set(`{"multi_device":false}`)
	tablet := w.online("alice", "ios_1")
	web.kicked(msync.StatisticsBody_USER_LOGIN_ANOTHER_DEVICE)
	phone.kicked(msync.StatisticsBody_USER_LOGIN_ANOTHER_DEVICE)
	tablet.quiet("it is the newcomer")
	bob.quiet("he is somebody else")
}

func TestCloseAnswersWhatIsOpenAndSaysGoodbye(t *testing.T) {
	w := newWorld(t)
	alice, idle, nobody := w.online("alice", "r"), w.online("bob", "r"), w.dial("/ws", nil)
	nobody.frame(ws.OpPing, nil)
	nobody.want("a pong", isPong)
	release := w.stores.holdCommits()
	defer release()
	alice.sendMeta(textTo("alice", "bob", "hi", 2))
	w.until("the arrival of the message", func() bool { return openRequests(w.gateway) == 1 })
	closed := make(chan struct{})
	go func() {
		w.gateway.Close(context.Background())
		close(closed)
	}()
	idle.ended(ws.StatusGoingAway)
	nobody.ended(ws.StatusGoingAway)
	w.until("alice's leaving", func() bool {
		s := w.sessionOf("alice")
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.leaving != nil
	})
	alice.sendMeta(textTo("alice", "bob", "too late", 3))
	if g := alice.want("a refusal", isAnswer); g.Sync.MetaId != 3 || g.Sync.Status.ErrorCode != 1 {
		t.Errorf("a message after the goodbye is answered with %v", g)
	}
	never(t, "the end of the gateway", closed)
	release()
	if g := alice.want("an answer before the close", isAnswer); g.Sync.MetaId != 2 || g.Sync.Status.ErrorCode != 0 {
		t.Errorf("got %v", g)
	}
	alice.ended(ws.StatusGoingAway)
	soon(t, "the end of the gateway", closed)
	w.gateway.Close(t.Context()) // again is no harm
	c := w.dial("/ws", nil)
	c.ended(0)
}

func TestCloseDoesNotWaitForEverForClientsThatDoNotAnswer(t *testing.T) {
	w := newWorld(t)
	w.online("alice", "r")
	stuck := w.online("bob", "r")
	release := w.stores.holdCommits()
	defer release()
	stuck.sendMeta(textTo("bob", "alice", "hi", 1))
	w.until("the arrival of the message", func() bool { return openRequests(w.gateway) == 1 })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w.gateway.Close(ctx)
}

// Kicks, the end of a token and the end of the server may come in one moment: the client must get at most one kick and
// one close frame, and nothing after it.
func TestAGoodbyeIsSaidOnce(t *testing.T) {
	w := newWorld(t)
	for range 30 {
		c := w.online("alice", "r")
		var s *session
		for _, s = range w.gateway.snapshot() {
		}
		start := make(chan struct{})
		var all sync.WaitGroup
		s.begin()
		for _, do := range []func(){
			func() { s.Kick(delivery.Kick{Operation: 4}) },
			func() { s.Kick(delivery.Kick{Operation: 3}) },
			func() { s.leave(ws.StatusPolicyViolation, "token expired") },
			func() { s.leave(ws.StatusGoingAway, "server is stopping") },
			s.settle,
		} {
			all.Go(func() {
				<-start
				do()
			})
		}
		close(start)
		all.Wait()
		kicks := 0
		for {
			g := c.next()
			if isKick(g) {
				kicks++
			}
			if isClose(g) {
				break
			}
			if g == nil {
				t.Fatal("no close frame")
			}
		}
		if kicks > 1 {
			t.Errorf("%d kicks", kicks)
		}
		c.frame(ws.OpClose, ws.NewCloseFrameBody(1000, ""))
		if g := c.next(); g != nil {
			t.Fatalf("got %v after the close frame", g)
		}
		w.until("the end of the session", func() bool { return len(w.gateway.snapshot()) == 0 })
	}
}

func TestAClientsCloseIsAnswered(t *testing.T) {
	w := newWorld(t)
	for _, test := range []struct {
		name string
		body []byte
		want ws.StatusCode
	}{
		{"with a code", ws.NewCloseFrameBody(4001, "bye"), 4001},
		{"without one", nil, ws.StatusNormalClosure},
		{"with half of one", []byte{3}, ws.StatusNormalClosure},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := w.login("alice", "r")
			c.frame(ws.OpClose, test.body)
			g := c.want("a close frame", isClose)
			if g.Code != test.want {
				t.Errorf("closed with %d, want %d", g.Code, test.want)
			}
			if g := c.next(); g != nil {
				t.Errorf("got %v after it", g)
			}
		})
	}
}

func TestMetasAreAnsweredOnceAndWithTheirID(t *testing.T) {
	w := newWorld(t)
	c := w.online("alice", "r")
	w.token("bob")
	malformed := protowire.AppendBytes([]byte{0x08, 42}, nil)[:2]              // id 42,
	malformed = append(malformed, 0x1a, 3, 0x12, 1, 0xff)                      // to.name is not UTF-8
	upload := protowire.AppendBytes(protowire.AppendTag(nil, 1, 2), malformed) // CommSyncUL.meta
	notUTF8 := append([]byte{0x4a, byte(len(upload))}, upload...)
	muc := func(operation msync.MUCBody_Operation) []byte {
		return mustMarshal(&msync.MUCBody{MucId: &msync.JID{Name: "room1", Domain: msync.PlaceDomain}, Operation: operation, IsChatroom: true})
	}
	for _, test := range []struct {
		name  string
		frame []byte
		want  errcode.Code
	}{
		{"a Meta that does not decode", notUTF8, errcode.BadMessage},
		{"a body that does not decode", syncOf(&msync.Meta{Id: 42, Ns: msync.Meta_CHAT, To: &msync.JID{Name: "bob"}, Payload: []byte{0x12, 3, 0x12, 1, 0xff}}), errcode.BadMessage},
		{"joining a room", syncOf(&msync.Meta{Id: 42, Ns: msync.Meta_MUC, Payload: muc(2)}), errcode.ChatroomNotExist},
		{"leaving a room", syncOf(&msync.Meta{Id: 42, Ns: msync.Meta_MUC, Payload: muc(3)}), errcode.ChatroomNotExist},
		{"a room that does not decode", syncOf(&msync.Meta{Id: 42, Ns: msync.Meta_MUC, Payload: []byte{0xff}}), errcode.BadMessage},
		{"a contact operation", syncOf(&msync.Meta{Id: 42, Ns: msync.Meta_ROSTER}), errcode.ServiceNotEnabled},
		{"a conference", syncOf(&msync.Meta{Id: 42, Ns: msync.Meta_CONFERENCE}), errcode.ServiceNotEnabled},
		{"a namespace of the future", syncOf(&msync.Meta{Id: 42, Ns: 77}), errcode.ServiceNotEnabled},
	} {
		t.Run(test.name, func(t *testing.T) {
			c.frame(ws.OpBinary, test.frame)
			g := c.want("an answer", isAnswer)
			if code := sendCode(g.Sync.Status.ErrorCode, g.Sync.Status.Reason); g.Sync.MetaId != 42 || code != test.want {
				t.Errorf("answered with %v, which arrives as %d, want %d", g, code, test.want)
			}
			if bytes.Contains(test.frame, []byte("room1")) && !strings.Contains(g.Sync.Status.Reason, "room1") {
				t.Errorf("the reason %q does not name the room", g.Sync.Status.Reason)
			}
			c.quiet("one answer is enough")
		})
	}
}

func TestMetasWithoutAnIDAreHandledButNotAnswered(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.online("alice", "r"), w.online("bob", "r")
	alice.sendMeta(textTo("alice", "bob", "hi", 0))
	bob.push("hi")
	alice.sendMeta(textTo("alice", "nobody", "hi", 0))
	alice.send(msync.MSync_SYNC, &msync.CommSyncUL{Meta: &msync.Meta{Ns: msync.Meta_MUC}})
	alice.quiet("what has no id cannot be answered")
}

func TestTroubleOfTheStoreIsNoVerdict(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.online("alice", "r"), w.online("bob", "r")
	bob.ok("alice", "hi", 1)
	queue := alice.push("hi").Queue.Name
	w.stores.breakDown(errors.New("no disk"))
	alice.send(msync.MSync_UNREAD, nil)
	alice.ended(ws.StatusInternalServerError)
	bob.pull(queue)
	bob.ended(ws.StatusInternalServerError)
	w.stores.breakDown(nil)
	if got := w.login("alice", "r").catchUp(); len(got) != 1 {
		t.Errorf("alice then catches up with %q", got)
	}
}
