package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/internal/msync"
)

// deaf is a socket that only takes.
type deaf struct{ net.Conn }

func (deaf) Write(b []byte) (int, error) { return len(b), nil }
func (deaf) Close() error                { return nil }

// talk is a session that is given frames and tells what it does.
type talk struct {
	session *session
	log     []string
}

func newTalk() *talk {
	k := &talk{}
	k.session = &session{conn: &conn{net: deaf{}}, app: "o#a", user: "me", resource: "here", events: k, base: 1000}
	return k
}

func (k *talk) received(id uint64, text []byte) {
	k.log = append(k.log, fmt.Sprintf("received %d %s", id, text))
}
func (k *talk) answered(number, code uint64, reason []byte) {
	k.log = append(k.log, strings.TrimSpace(fmt.Sprintf("answered %d %d %s", number, code, reason)))
}
func (k *talk) broke(err error) { k.log = append(k.log, err.Error()) }

// down hands a frame to the session and adds what it sends to the log.
func (k *talk) down(command msync.MSync_Command, payload proto.Message) error {
	b, err := proto.Marshal(payload)
	if err != nil {
		return err
	}
	frame, err := proto.Marshal(&msync.MSync{Command: command, Payload: b})
	if err != nil {
		return err
	}
	err = k.session.handle(frame)
	for in := strings.NewReader(string(k.session.conn.out)); in.Len() > 0; {
		_, frame, err := readClientFrame(in)
		if err != nil {
			return err
		}
		var up msync.MSync
		var sync msync.CommSyncUL
		if err := errors.Join(proto.Unmarshal(frame, &up), proto.Unmarshal(up.Payload, &sync)); err != nil {
			return err
		}
		switch {
		case sync.Meta != nil:
			k.log = append(k.log, "statistics")
		case sync.Key != nil:
			k.log = append(k.log, fmt.Sprintf("acknowledge %s %d", sync.Queue.Name, *sync.Key))
		default:
			k.log = append(k.log, fmt.Sprintf("ask %s", sync.Queue.Name))
		}
	}
	k.session.conn.out = k.session.conn.out[:0]
	return err
}

func textMeta(t testing.TB, id uint64, text string) *msync.Meta {
	body, err := proto.Marshal(&msync.MessageBody{Type: 1, Contents: []*msync.MessageBody_Content{{Text: text}}})
	if err != nil {
		t.Fatal(err)
	}
	return &msync.Meta{Id: id, Ns: msync.Meta_CHAT, Payload: body, From: &msync.JID{Name: "x"}}
}

func TestSessionReactsAsTheWebClientDoes(t *testing.T) {
	q := func(name string) *msync.JID { return &msync.JID{Name: name, Domain: "d"} }
	notice := func(name string) func(*talk) error {
		return func(k *talk) error { return k.down(msync.MSync_NOTICE, &msync.CommNotice{Queue: q(name)}) }
	}
	batch := func(queue string, key uint64, last bool, metas ...*msync.Meta) func(*talk) error {
		return func(k *talk) error {
			return k.down(msync.MSync_SYNC, &msync.CommSyncDL{Queue: q(queue), NextKey: key, IsLast: last, Metas: metas})
		}
	}
	answer := func(id uint64, status *msync.Status) func(*talk) error {
		return func(k *talk) error {
			return k.down(msync.MSync_SYNC, &msync.CommSyncDL{MetaId: id, Status: status})
		}
	}
	one, two := textMeta(t, 1, "one"), textMeta(t, 2, "two")
	for _, test := range []struct {
		name  string
		steps []func(*talk) error
		want  []string
		err   string
	}{
		{"a push is shown, then acknowledged", []func(*talk) error{batch("q", 7, false, one, two)},
			[]string{"received 1 one", "received 2 two", "acknowledge q 7"}, ""},
		{"pushes in flight are each acknowledged", []func(*talk) error{batch("q", 9, false, one), batch("q", 3, false, two), batch("q", 9, false, one)},
			[]string{"received 1 one", "acknowledge q 9", "received 2 two", "acknowledge q 3", "received 1 one", "acknowledge q 9"}, ""},
		{"the key that was just acknowledged is not again", []func(*talk) error{batch("q", 9, false, one), batch("q", 9, false, two), batch("p", 9, false, one)},
			[]string{"received 1 one", "acknowledge q 9", "received 2 two", "received 1 one", "acknowledge p 9"}, ""},
		{"a push with is_last is shown only", []func(*talk) error{batch("q", 9, true, one)}, []string{"received 1 one"}, ""},
		{"a notice is asked, pulled and finished",
			[]func(*talk) error{notice("q"), batch("q", 7, false, one), batch("q", 9, false, two), batch("q", 0, true), notice("q")},
			[]string{"ask q", "received 1 one", "acknowledge q 7", "received 2 two", "acknowledge q 9", "ask q"}, ""},
		{"queues are asked one at a time and once", []func(*talk) error{notice("q"), notice("p"), notice("q"), batch("q", 0, true), batch("p", 0, true)},
			[]string{"ask q", "ask p"}, ""},
		{"metas with is_last leave the queue waiting", []func(*talk) error{notice("q"), batch("q", 7, true, one)},
			[]string{"ask q", "received 1 one", "ask q"}, ""},
		{"an empty batch that is not last is acknowledged", []func(*talk) error{batch("q", 7, false)}, []string{"acknowledge q 7"}, ""},
		{"a notice for the own device is ignored", []func(*talk) error{func(k *talk) error {
			return k.down(msync.MSync_NOTICE, &msync.CommNotice{Queue: &msync.JID{Name: "me", ClientResource: "here"}})
		}}, nil, ""},
		{"every unread queue is asked at once", []func(*talk) error{notice("q"), func(k *talk) error {
			return k.down(msync.MSync_UNREAD, &msync.CommUnreadDL{Unread: []*msync.MetaQueue{{Queue: q("q"), N: 1}, {Queue: q("p")}}})
		}}, []string{"ask q", "ask q", "ask p", "statistics"}, ""},
		{"nothing unread is answered with statistics", []func(*talk) error{func(k *talk) error {
			return k.down(msync.MSync_UNREAD, &msync.CommUnreadDL{})
		}}, []string{"statistics"}, ""},
		{"answers reach the sender", []func(*talk) error{answer(1001, &msync.Status{}), answer(1002, &msync.Status{ErrorCode: 1, Reason: "blocked"})},
			[]string{"answered 1 0", "answered 2 1 blocked"}, ""},
		{"other metas are passed over and acknowledged",
			[]func(*talk) error{batch("q", 7, false, &msync.Meta{Ns: msync.Meta_ROSTER, Payload: []byte{8, 1}}, &msync.Meta{Ns: msync.Meta_STATISTIC})},
			[]string{"acknowledge q 7"}, ""},
		{"an answer without a status is an error", []func(*talk) error{answer(1001, nil)}, nil, "the answer to 1001 has no status"},
		{"a notice without a queue is an error", []func(*talk) error{func(k *talk) error { return k.down(msync.MSync_NOTICE, &msync.CommNotice{}) }},
			nil, "a notice names no queue"},
		{"a batch without a queue is an error", []func(*talk) error{func(k *talk) error {
			return k.down(msync.MSync_SYNC, &msync.CommSyncDL{NextKey: 7, Metas: []*msync.Meta{one}})
		}}, nil, "a batch names no queue"},
		{"a kick is an error", []func(*talk) error{batch("q", 7, false, &msync.Meta{Ns: msync.Meta_STATISTIC, Payload: []byte{8, 2}})},
			nil, "signed out by the server: login on another device"},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := newTalk()
			var err error
			for _, step := range test.steps {
				err = errors.Join(err, step(k))
			}
			if diff := cmp.Diff(test.want, k.log); diff != "" {
				t.Errorf("what the session did (-want +got):\n%s", diff)
			}
			if got := fmt.Sprint(err); err != nil && got != test.err || err == nil && test.err != "" {
				t.Errorf("error %v, want %q", err, test.err)
			}
		})
	}
}

// The queue goes back as it came, with fields that this client does not know.
func TestAQueueIsSentBackAsItCame(t *testing.T) {
	queue := unhex(t, "0A 03 6F 23 61 12 01 71 1A 01 64 22 01 72 7A 01 21")
	frame := appendMSync(nil, commandSync, appendNested(appendNumber(nil, 5, 7), 6, queue))
	k := newTalk()
	if err := k.session.handle(frame); err != nil {
		t.Fatal(err)
	}
	_, up, err := readClientFrame(strings.NewReader(string(k.session.conn.out)))
	if err != nil {
		t.Fatal(err)
	}
	_, payload, err := parseMSync(up)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(queue, first(payload, 3)); diff != "" {
		t.Errorf("queue (-want +got):\n%s", diff)
	}
}

func TestTakingABatchDoesNotAllocate(t *testing.T) {
	payload, err := proto.Marshal(&msync.CommSyncDL{Status: &msync.Status{}, Queue: &msync.JID{Name: "q"}, NextKey: 1 << 60,
		Metas: []*msync.Meta{textMeta(t, 1<<60, "hello")}})
	if err != nil {
		t.Fatal(err)
	}
	frame := appendMSync(nil, commandSync, payload)
	k := newTalk()
	k.session.events = idle{}
	n := testing.AllocsPerRun(1000, func() {
		k.session.lastKey = 0 // else it is the same batch again
		if err := k.session.handle(frame); err != nil {
			t.Fatal(err)
		}
		if len(k.session.conn.out) == 0 {
			t.Fatal("no acknowledgement")
		}
		k.session.conn.flush()
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzSessionTakesAnyFrame(f *testing.F) {
	f.Add([]byte("\x40\x02\x4a\x05\x0a\x03\x12\x01q"))
	f.Add([]byte("\x4a\x09\x0a\x00\x32\x03\x12\x01q\x38\x01"))
	f.Add([]byte("\x4a\x15\x0a\x00\x10\x2a\x18\x88\x80\xd8\xd8\xd7\xc1\xc4\xe8\x14\x40\xd3\xbe\x81\xa8\xa0\x34"))
	f.Add(appendMSync(nil, commandUnread, []byte("\x12\x07\x0a\x05\x12\x03abc")))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, frame []byte) {
		k := newTalk()
		k.session.handle(frame)
		k.session.handle(frame)
		for in := strings.NewReader(string(k.session.conn.out)); in.Len() > 0; {
			_, up, err := readClientFrame(in)
			if err != nil {
				t.Fatalf("what is sent is no frame: %v", err)
			}
			if _, _, err := parseMSync(up); err != nil {
				t.Fatalf("what is sent is no message: %v", err)
			}
		}
	})
}

func TestIdleUsersStayAndTakeWhatComes(t *testing.T) {
	server := newFakeServer(t, nil)
	crowd, err := Idle(t.Context(), server.target(), 20)
	if err != nil {
		t.Fatal(err)
	}
	defer crowd.Close()
	if n := crowd.Online(); n != 20 {
		t.Errorf("%d are online, want 20", n)
	}
	eventually(t, "each has sent its statistics twice", func() bool {
		server.mu.Lock()
		defer server.mu.Unlock()
		return server.statuses == 40 && server.unreads == 20
	})
	server.mu.Lock()
	for _, u := range server.users {
		server.store(u, textMeta(t, 1, "hello"))
	}
	server.mu.Unlock()
	server.check(t)

	server.mu.Lock()
	for name, u := range server.users {
		if strings.HasSuffix(name, "0") {
			u.socket.NetConn().Close()
		}
	}
	server.mu.Unlock()
	eventually(t, "two are gone", func() bool { return crowd.Online() == 18 })
}

func TestAQuietSessionSendsTheHeartbeat(t *testing.T) {
	server := newFakeServer(t, func(s *fakeServer) { s.quiet = true })
	crowd, err := gather(t.Context(), server.target(), 5*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer crowd.Close()
	token, err := crowd.register(t.Context(), "u")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := crowd.login(t.Context(), "u", token, idle{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it has asked for what is unread five times", func() bool {
		server.mu.Lock()
		defer server.mu.Unlock()
		return server.unreads >= 5
	})
}

func TestARefusedSignInSaysWhy(t *testing.T) {
	server := newFakeServer(t, func(s *fakeServer) {
		s.welcome = &msync.Status{ErrorCode: msync.Status_FAIL, Reason: "Sorry, token expired"}
	})
	_, err := Idle(t.Context(), server.target(), 3)
	if err == nil || !strings.Contains(err.Error(), "refused: 1 Sorry, token expired") {
		t.Errorf("Idle: %v", err)
	}
}

func TestRefusedTokensSayWhy(t *testing.T) {
	server := newFakeServer(t, func(s *fakeServer) {
		s.refusal = func(_ string, ask map[string]any) int {
			if name, _ := ask["username"].(string); strings.HasSuffix(name, "7") {
				return 429
			}
			return 0
		}
	})
	target := server.target()
	target.ClientSecret = "wrong"
	if _, err := Idle(t.Context(), target, 1); err == nil || !strings.Contains(err.Error(), "get app token: 401") {
		t.Errorf("with a wrong secret: %v", err)
	}
	if _, err := Idle(t.Context(), server.target(), 20); err == nil || !strings.Contains(err.Error(), "7: 429") {
		t.Errorf("with a refused user: %v", err)
	}
}

func TestParallelEndsAtTheFirstError(t *testing.T) {
	var mu sync.Mutex
	done := map[int]int{}
	if err := parallel(t.Context(), 100, func(_ context.Context, i int) error {
		mu.Lock()
		defer mu.Unlock()
		done[i]++
		return nil
	}); err != nil {
		t.Error(err)
	}
	for i := range 100 {
		if done[i] != 1 {
			t.Errorf("%d was done %d times", i, done[i])
		}
	}
	broken := errors.New("broken")
	err := parallel(t.Context(), 1000, func(ctx context.Context, i int) error {
		if i == 20 {
			return broken
		}
		if i > 20 {
			<-ctx.Done()
		}
		return nil
	})
	if err != broken {
		t.Errorf("parallel: %v, want %v", err, broken)
	}
}
