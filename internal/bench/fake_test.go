package bench

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/lxzan/gws"
	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/internal/msync"
)

// fate is what the fake server does with a message.
type fate int

const (
	deliver     fate = iota
	lose             // acknowledge and forget
	twice            // deliver once more under another id
	again            // deliver once more under the same id
	swap             // deliver after the next one
	refuse           // answer with an error
	ignore           // never answer
	keep             // store, and push only when asked
	misdirect        // deliver to the sender
	garble           // change the text
	disconnect       // store, and close the receiver's socket
	answerTwice      // acknowledge two times
)

// fakeServer speaks just enough: tokens, one queue for each user, push or notice and pull, unread. It notes what
// clients do that they should not.
type fakeServer struct {
	*httptest.Server
	notices bool                                      // notice and pull, three entries at a time, in place of push
	plan    func(to string, number int) fate          // of the number-th message to a user; nil delivers all
	onSend  func(total int)                           // after each message, unless nil
	refusal func(path string, ask map[string]any) int // an HTTP status to refuse a token request with, unless 0 or nil
	welcome *msync.Status                             // the Provision's answer, if not success
	quiet   bool                                      // answers nothing after the Provision

	mu       sync.Mutex
	users    map[string]*fakeUser
	sent     int
	nextID   uint64
	statuses int // INFORMATION frames
	unreads  int
	wrong    []string
}

type fakeUser struct {
	name    string
	socket  *gws.Conn
	queue   []*msync.Meta // all that was ever stored; entry i has the key i+1
	cursor  int           // acknowledged
	given   int           // sent down on this socket
	held    *msync.Meta
	offered int // messages that were to be delivered
	pulling bool
	batches int // pushed or pulled with entries
	acks    int // keys that came up
}

func newFakeServer(t testing.TB, change func(*fakeServer)) *fakeServer {
	s := &fakeServer{users: map[string]*fakeUser{}, nextID: 1 << 60}
	if change != nil {
		change(s)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /o/a/token", s.token)
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total %g\nprocess_resident_memory_bytes 1.048576e+06\n",
			ownCPU().Seconds())
	})
	upgrader := gws.NewUpgrader(fakeHandler{server: s}, &gws.ServerOption{})
	mux.HandleFunc("GET /ws", func(w http.ResponseWriter, r *http.Request) {
		if socket, err := upgrader.Upgrade(w, r); err == nil {
			go socket.ReadLoop()
		}
	})
	s.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		s.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, text := range s.wrong {
			t.Error("a client " + text)
		}
	})
	return s
}

func (s *fakeServer) target() Target {
	return Target{URL: s.URL, App: "o#a", ClientID: "id", ClientSecret: "secret"}
}

func (s *fakeServer) complain(format string, args ...any) {
	s.wrong = append(s.wrong, fmt.Sprintf(format, args...))
}

func (s *fakeServer) token(w http.ResponseWriter, r *http.Request) {
	var ask map[string]any
	json.NewDecoder(r.Body).Decode(&ask)
	if s.refusal != nil {
		if status := s.refusal(r.Header.Get("Authorization"), ask); status != 0 {
			w.WriteHeader(status)
			fmt.Fprint(w, `{"error":"refused"}`)
			return
		}
	}
	token := ""
	switch {
	case ask["grant_type"] == "client_credentials" && ask["client_id"] == "id" && ask["client_secret"] == "secret":
		token = "app"
	case ask["grant_type"] == "inherit" && ask["autoCreateUser"] == true && r.Header.Get("Authorization") == "Bearer app":
		token = "of-" + ask["username"].(string)
		s.mu.Lock()
		if s.users[ask["username"].(string)] != nil {
			s.complain("registered %s twice", ask["username"])
		}
		s.users[ask["username"].(string)] = &fakeUser{name: ask["username"].(string)}
		s.mu.Unlock()
	default:
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	json.NewEncoder(w).Encode(map[string]any{"access_token": token})
}

type fakeHandler struct {
	gws.BuiltinEventHandler
	server *fakeServer
}

func (h fakeHandler) OnMessage(socket *gws.Conn, message *gws.Message) {
	defer message.Close()
	s := h.server
	s.mu.Lock()
	defer s.mu.Unlock()
	var frame msync.MSync
	if err := proto.Unmarshal(message.Bytes(), &frame); err != nil {
		s.complain("sent %x: %v", message.Bytes(), err)
		return
	}
	if frame.Command == msync.MSync_PROVISION {
		s.provision(socket, &frame)
		return
	}
	var u *fakeUser
	if name, ok := socket.Session().Load("user"); ok {
		u = s.users[name.(string)]
	}
	if u == nil {
		s.complain("sent %v before it signed in", frame.Command)
		return
	}
	switch frame.Command {
	case msync.MSync_UNREAD:
		s.unreads++
		if s.quiet {
			return
		}
		var unread msync.CommUnreadDL
		if u.given < len(u.queue) {
			u.pulling = true
			unread.Unread = []*msync.MetaQueue{{Queue: u.jid(), N: uint32(len(u.queue) - u.given)}}
		}
		u.write(socket, msync.MSync_UNREAD, &unread)
	case msync.MSync_SYNC:
		var up msync.CommSyncUL
		if err := proto.Unmarshal(frame.Payload, &up); err != nil {
			s.complain("sent a sync %x: %v", frame.Payload, err)
			return
		}
		if up.Meta != nil {
			s.meta(u, up.Meta)
		} else {
			s.sync(u, &up)
		}
	}
}

func (s *fakeServer) provision(socket *gws.Conn, frame *msync.MSync) {
	var p msync.Provision
	if err := proto.Unmarshal(frame.Payload, &p); err != nil {
		s.complain("sent a provision %x: %v", frame.Payload, err)
		return
	}
	u := s.users[frame.Guid.GetName()]
	if u == nil || frame.Auth != "$t$of-"+u.name || frame.Guid.AppKey != "o#a" || p.Resource == "" {
		s.complain("signed in as %v with %s", frame.Guid, frame.Auth)
		return
	}
	u.socket, u.given, u.pulling, u.batches, u.acks = socket, u.cursor, false, 0, 0
	socket.Session().Store("user", u.name)
	status := s.welcome
	if status == nil {
		status = &msync.Status{}
	}
	u.write(socket, msync.MSync_PROVISION, &msync.Provision{Status: status, Resource: p.Resource})
}

func (s *fakeServer) meta(u *fakeUser, m *msync.Meta) {
	if m.Ns == msync.Meta_STATISTIC {
		s.statuses++
		if s.quiet {
			return
		}
		u.write(u.socket, msync.MSync_SYNC, &msync.CommSyncDL{Status: &msync.Status{}, MetaId: m.Id})
		return
	}
	var body msync.MessageBody
	if err := proto.Unmarshal(m.Payload, &body); err != nil || len(body.Contents) != 1 || body.From.GetName() != u.name {
		s.complain("sent a message %v, %v", &body, err)
	}
	to := s.users[m.To.GetName()]
	if to == nil || m.To.Domain != "easemob.com" {
		s.complain("wrote to %v", m.To)
		return
	}
	s.sent++
	s.nextID++
	entry := &msync.Meta{Id: s.nextID, From: &msync.JID{Name: u.name}, To: m.To, Ns: m.Ns, Payload: m.Payload}
	does := deliver
	if s.plan != nil {
		does = s.plan(to.name, to.offered)
	}
	to.offered++
	status := &msync.Status{}
	if does == refuse {
		status = &msync.Status{ErrorCode: msync.Status_FAIL, Reason: "blocked"}
	}
	answer := &msync.CommSyncDL{Status: status, MetaId: m.Id, ServerId: entry.Id}
	if does != ignore {
		u.write(u.socket, msync.MSync_SYNC, answer)
	}
	held := to.held
	to.held = nil
	switch does {
	case deliver:
		s.store(to, entry)
	case twice:
		s.store(to, entry)
		s.nextID++
		s.store(to, &msync.Meta{Id: s.nextID, From: entry.From, To: m.To, Ns: m.Ns, Payload: m.Payload})
	case again:
		s.store(to, entry)
		s.store(to, entry)
	case swap:
		to.held = entry
	case keep:
		to.queue = append(to.queue, entry)
	case misdirect:
		s.store(u, entry)
	case garble:
		entry.Payload = append([]byte(nil), m.Payload...)
		entry.Payload[len(entry.Payload)-1] = '#'
		s.store(to, entry)
	case disconnect:
		to.queue = append(to.queue, entry)
		to.socket.NetConn().Close()
	case answerTwice:
		u.write(u.socket, msync.MSync_SYNC, answer)
		s.store(to, entry)
	}
	if held != nil {
		s.store(to, held)
	}
	if s.onSend != nil {
		s.onSend(s.sent)
	}
}

func (u *fakeUser) jid() *msync.JID { return &msync.JID{Name: "q-" + u.name} }

// store appends to a user's queue and tells the user.
func (s *fakeServer) store(u *fakeUser, entry *msync.Meta) {
	u.queue = append(u.queue, entry)
	switch {
	case u.socket == nil: // away
	case !s.notices && u.given == len(u.queue)-1:
		u.given++
		u.batches++
		u.write(u.socket, msync.MSync_SYNC, &msync.CommSyncDL{Status: &msync.Status{}, Queue: u.jid(),
			Metas: []*msync.Meta{entry}, NextKey: uint64(len(u.queue))})
	case !u.pulling:
		u.pulling = true
		u.write(u.socket, msync.MSync_NOTICE, &msync.CommNotice{Queue: u.jid()})
	}
}

// sync takes an acknowledgement and, while the queue is being pulled, gives what follows.
func (s *fakeServer) sync(u *fakeUser, up *msync.CommSyncUL) {
	if !proto.Equal(up.Queue, u.jid()) {
		s.complain("asked for the queue %v", up.Queue)
		return
	}
	if up.Key != nil {
		u.acks++
		if *up.Key > uint64(len(u.queue)) || *up.Key == 0 {
			s.complain("acknowledged %d of %d", *up.Key, len(u.queue))
			return
		}
		u.cursor = max(u.cursor, int(*up.Key))
	}
	if !u.pulling {
		return
	}
	next := u.queue[u.given:min(u.given+3, len(u.queue))]
	u.given += len(next)
	answer := &msync.CommSyncDL{Status: &msync.Status{}, Queue: u.jid(), Metas: next, NextKey: uint64(u.given)}
	if len(next) == 0 {
		u.pulling = false
		answer = &msync.CommSyncDL{Status: &msync.Status{}, Queue: u.jid(), IsLast: true}
	} else {
		u.batches++
	}
	u.write(u.socket, msync.MSync_SYNC, answer)
}

func (u *fakeUser) write(socket *gws.Conn, command msync.MSync_Command, payload proto.Message) {
	b, err := proto.Marshal(payload)
	if err != nil {
		panic(err)
	}
	frame, err := proto.Marshal(&msync.MSync{Command: command, Payload: b})
	if err != nil {
		panic(err)
	}
	socket.WriteMessage(gws.OpcodeBinary, frame)
}

// check reports receivers that have not acknowledged every batch.
func (s *fakeServer) check(t *testing.T) {
	t.Helper()
	eventually(t, "everything is acknowledged", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, u := range s.users {
			if u.cursor != len(u.queue) || u.acks != u.batches {
				return false
			}
		}
		return true
	})
}

// direct is a short Direct against the fake.
func (s *fakeServer) direct(pairs int, d time.Duration) *Direct {
	return &Direct{Load: s.load(d), Pairs: pairs, InFlight: 4}
}

func (s *fakeServer) load(d time.Duration) Load {
	return Load{URL: s.URL, App: "o#a", ClientID: "id", ClientSecret: "secret", Body: 100, Duration: d, patience: time.Second}
}

func stoaBinary() string {
	if path := os.Getenv("STOA_BIN"); path != "" {
		return path
	}
	return "../../bin/stoa"
}
