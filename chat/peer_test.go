package chat

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/msync"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// peer is a scripted server for what a right one never does, and for time. It lives in the bubble of a synctest and is
// reached over pipes in memory.
type peer struct {
	t       *testing.T
	sockets chan *socket
	conns   chan net.Conn
	done    chan struct{}
	rest    http.HandlerFunc // what is not the socket

	mu      sync.Mutex
	down    bool // dials are refused
	hang    bool // dials get no answer
	refusal int  // HTTP status instead of the upgrade; 0: none
	hangUp  bool // the pipe is closed after the upgrade
	stall   bool // nothing is read after the login, until the peer ends
}

// socket is one connection with the login that came on it. The frames after it are read into a channel, which is closed
// with the connection.
type socket struct {
	t      *testing.T
	ws     *websocket.Conn
	login  *msync.Provision
	guid   *msync.JID
	auth   string
	frames chan *msync.MSync
}

func newPeer(t *testing.T) *peer {
	t.Helper()
	p := &peer{t: t, sockets: make(chan *socket, 100), conns: make(chan net.Conn), done: make(chan struct{})}
	p.rest = func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }
	server := &http.Server{Handler: p, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	stopped := make(chan struct{})
	go func() { server.Serve(p); close(stopped) }()
	t.Cleanup(func() {
		server.Close()
		<-stopped
	})
	return p
}

// Accept, Close and Addr make the peer a net.Listener.
func (p *peer) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *peer) Close() error   { close(p.done); return nil }
func (p *peer) Addr() net.Addr { return &net.TCPAddr{} }

func (p *peer) set(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

func (p *peer) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	p.mu.Lock()
	down, hang := p.down, p.hang
	p.mu.Unlock()
	if down {
		return nil, fmt.Errorf("connection refused by the test")
	}
	if hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	near, far := net.Pipe()
	select {
	case p.conns <- far:
		return near, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *peer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/ws" {
		p.rest(w, r)
		return
	}
	p.mu.Lock()
	refusal, hangUp := p.refusal, p.hangUp
	p.mu.Unlock()
	if refusal != 0 {
		http.Error(w, "refused", refusal)
		return
	}
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		p.t.Errorf("accept socket: %v", err)
		return
	}
	ws.SetReadLimit(-1)
	defer ws.CloseNow()
	if hangUp {
		return
	}
	s := &socket{t: p.t, ws: ws, frames: make(chan *msync.MSync, 10_000)}
	defer close(s.frames)
	for {
		_, data, err := ws.Read(context.Background())
		if err != nil {
			return
		}
		f := new(msync.MSync)
		if err := proto.Unmarshal(data, f); err != nil {
			p.t.Errorf("frame does not decode: %v", err)
			return
		}
		if f.GetCommand() == msync.MSync_PROVISION {
			s.guid, s.auth, s.login = f.GetGuid(), f.GetAuth(), new(msync.Provision)
			if err := proto.Unmarshal(f.GetPayload(), s.login); err != nil {
				p.t.Errorf("provision does not decode: %v", err)
			}
			p.mu.Lock()
			stall := p.stall
			p.mu.Unlock()
			p.sockets <- s
			if stall {
				<-p.done
				return
			}
			continue
		}
		s.frames <- f
	}
}

// next returns the next connection whose login waits for an answer.
func (p *peer) next() *socket {
	p.t.Helper()
	select {
	case s := <-p.sockets:
		return s
	case <-time.After(time.Hour):
		p.t.Fatal("no connection within an hour")
		return nil
	}
}

func (s *socket) send(command msync.MSync_Command, payload proto.Message) {
	s.t.Helper()
	data, err := proto.Marshal(payload)
	if err != nil {
		s.t.Fatal(err)
	}
	data, err = proto.Marshal(&msync.MSync{Command: command, Payload: data})
	if err != nil {
		s.t.Fatal(err)
	}
	s.raw(data)
}

func (s *socket) raw(data []byte) {
	s.t.Helper()
	if err := s.ws.Write(context.Background(), websocket.MessageBinary, data); err != nil {
		s.t.Errorf("write frame: %v", err)
	}
}

// verdict answers the login.
func (s *socket) verdict(code msync.Status_ErrorCode, reason string) {
	s.t.Helper()
	s.send(msync.MSync_PROVISION, &msync.Provision{Status: &msync.Status{ErrorCode: code, Reason: reason}, Resource: s.login.GetResource()})
}

// accept answers the login well, with the token's end unless it is zero, and reads what the client says first.
func (s *socket) accept(end time.Time) {
	s.t.Helper()
	answer := &msync.Provision{Status: &msync.Status{}, Resource: s.login.GetResource()}
	if !end.IsZero() {
		answer.AuthToken = fmt.Sprintf(`{"expires_in":%d}`, end.UnixMilli())
	}
	s.send(msync.MSync_PROVISION, answer)
}

// frame returns the next frame, which must have the command.
func (s *socket) frame(command msync.MSync_Command) *msync.MSync {
	s.t.Helper()
	select {
	case f, ok := <-s.frames:
		if !ok {
			s.t.Fatal("the connection ended before the frame came")
		}
		if f.GetCommand() != command {
			s.t.Fatalf("frame is %v %x, want %v", f.GetCommand(), f.GetPayload(), command)
		}
		return f
	case <-time.After(time.Hour):
		s.t.Fatalf("no %v frame within an hour", command)
	}
	return nil
}

// sync returns the next SYNC, passing over the notes "here I am".
func (s *socket) sync() *msync.CommSyncUL {
	s.t.Helper()
	for {
		up := new(msync.CommSyncUL)
		if err := proto.Unmarshal(s.frame(msync.MSync_SYNC).GetPayload(), up); err != nil {
			s.t.Fatal(err)
		}
		if up.GetMeta() == nil || up.GetMeta().GetNs() != msync.Meta_STATISTIC {
			return up
		}
	}
}

// call returns the next message or receipt.
func (s *socket) call() (*msync.Meta, *msync.MessageBody) {
	s.t.Helper()
	meta := s.sync().GetMeta()
	if meta.GetNs() != msync.Meta_CHAT {
		s.t.Fatalf("SYNC holds no message: %v", meta)
	}
	body := new(msync.MessageBody)
	if err := proto.Unmarshal(meta.GetPayload(), body); err != nil {
		s.t.Fatal(err)
	}
	return meta, body
}

func (s *socket) answer(id uint64, code msync.Status_ErrorCode, reason string, serverID uint64) {
	s.t.Helper()
	s.send(msync.MSync_SYNC, &msync.CommSyncDL{
		Status: &msync.Status{ErrorCode: code, Reason: reason}, MetaId: id, ServerId: serverID, Timestamp: 1_700_000_000_000,
	})
}

// welcome reads what the client says after a login and answers that nothing waits.
func (s *socket) welcome() {
	s.t.Helper()
	s.frame(msync.MSync_UNREAD)
	s.frame(msync.MSync_SYNC)
	s.send(msync.MSync_UNREAD, &msync.CommUnreadDL{Status: &msync.Status{}})
	s.frame(msync.MSync_SYNC)
}

// drained returns the frames that have come and were not read, without waiting.
func (s *socket) drained() (frames []*msync.MSync) {
	for {
		select {
		case f, ok := <-s.frames:
			if !ok {
				return frames
			}
			frames = append(frames, f)
		default:
			return frames
		}
	}
}

func (s *socket) ended() bool {
	for {
		select {
		case _, ok := <-s.frames:
			if !ok {
				return true
			}
		default:
			return false
		}
	}
}

// log records what the listeners see.
type eventLog struct {
	mu    sync.Mutex
	lines []string
}

func (l *eventLog) add(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}

// take returns what was recorded since the last take, when everything has come to rest.
func (l *eventLog) take() []string {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := l.lines
	l.lines = nil
	return lines
}

func (l *eventLog) listener() Listener {
	return Listener{
		OnConnected:    func() { l.add("connected") },
		OnReconnecting: func() { l.add("reconnecting") },
		OnDisconnected: func(err error) {
			if err == nil {
				l.add("disconnected")
				return
			}
			code, _ := errcode.CodeOf(err)
			l.add("disconnected %d", code)
		},
		OnTextMessage:      func(m *Message) { l.add("text %s %s %s", m.ID, m.From, m.Text) },
		OnDeliveredMessage: func(r *Receipt) { l.add("delivered %s %s", r.MessageID, r.From) },
		OnReadMessage:      func(r *Receipt) { l.add("read %s %s", r.MessageID, r.From) },
		OnConversationRead: func(r *Receipt) { l.add("conversation read %s", r.Conversation) },
		OnRecall:           func(r *Recall) { l.add("recall %s %s", r.MessageID, r.From) },
		OnEdit:             func(m *Message) { l.add("edit %s %s", m.ID, m.Text) },
		OnReaction:         func(e *ReactionEvent) { l.add("reaction %s", e.MessageID) },
		OnMessagePin:       func(e *PinEvent) { l.add("pin %s %v", e.MessageID, e.Pinned) },
		OnGroupEvent:       func(e *GroupEvent) { l.add("group %s %s", e.Group, e.Operation) },
		OnRoomEvent:        func(e *GroupEvent) { l.add("room %s %s", e.Group, e.Operation) },
		OnThreadEvent:      func(e *ThreadEvent) { l.add("thread %s %s", e.Thread, e.Operation) },
		OnPresence:         func(p *Presence) { l.add("presence %s %v", p.User, p.Online()) },
		OnDeviceEvent:      func(e *DeviceEvent) { l.add("device %s %s", e.Operation, e.Target.ID) },
		OnTokenWillExpire:  func() { l.add("token will expire") },
		OnTokenExpired:     func() { l.add("token expired") },
		OnError:            func(err *Error) { l.add("error %d", err.Code) },
	}
}

// client returns a client of the peer that is closed with the test, and what its listener sees.
func (p *peer) client(opts ...Option) (*Client, *eventLog) {
	p.t.Helper()
	transport := &http.Transport{DialContext: p.dial}
	p.t.Cleanup(transport.CloseIdleConnections)
	c, err := New("stoa#demo", slices.Concat([]Option{
		WithHTTPClient(&http.Client{Transport: transport}),
		WithServer("http://peer.test"),
		WithLogger(slog.New(slog.DiscardHandler)),
		WithDevice("go_test"),
	}, opts)...)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { c.Close() })
	events := new(eventLog)
	c.AddEventListener("test", events.listener())
	return c, events
}

// login logs a client in as alice, until a time; zero: for ever. It returns the connection.
func (p *peer) login(c *Client, cred Credential, until time.Time) *socket {
	p.t.Helper()
	result := later(func() error { return c.Login(p.t.Context(), "alice", cred) })
	s := p.next()
	s.accept(until)
	if err := <-result; err != nil {
		p.t.Fatal(err)
	}
	return s
}

// online returns a client that is logged in as alice, and its connection, on which everything was said.
func (p *peer) online(opts ...Option) (*Client, *socket, *eventLog) {
	p.t.Helper()
	c, events := p.client(opts...)
	s := p.login(c, Token("t1"), time.Time{})
	s.welcome()
	if got := events.take(); !slices.Equal(got, []string{"connected"}) {
		p.t.Fatalf("events of a login: %v", got)
	}
	return c, s, events
}

// later runs f on a goroutine of its own.
func later[T any](f func() T) <-chan T {
	done := make(chan T, 1)
	go func() { done <- f() }()
	return done
}

func textMeta(id uint64, from, text string) *msync.Meta {
	return bodyMeta(id, from, &msync.MessageBody{
		Type:     msync.MessageBody_CHAT,
		From:     &msync.JID{Name: from},
		To:       &msync.JID{Name: "alice"},
		Contents: []*msync.MessageBody_Content{{Text: text}},
	})
}

func bodyMeta(id uint64, from string, body *msync.MessageBody) *msync.Meta {
	payload, err := proto.Marshal(body)
	if err != nil {
		panic(err)
	}
	return &msync.Meta{
		Id: id, From: &msync.JID{Name: from, Domain: userDomain}, To: &msync.JID{Name: "alice", Domain: userDomain},
		Ns: msync.Meta_CHAT, Payload: payload, Timestamp: 1_700_000_000_000,
	}
}

func placeMeta(id uint64, body *msync.MUCBody) *msync.Meta {
	payload, err := proto.Marshal(body)
	if err != nil {
		panic(err)
	}
	return &msync.Meta{Id: id, From: &msync.JID{Name: "bob", ClientResource: "ios_1"}, Ns: msync.Meta_MUC, Payload: payload, Timestamp: 1_700_000_000_000}
}

func noticeMeta(id uint64, text string) *msync.Meta {
	return &msync.Meta{Id: id, From: &msync.JID{Name: "bob"}, Ns: msync.Meta_NOTIFY, Payload: []byte(text), Timestamp: 1_700_000_000_000}
}

func kickMeta(op msync.StatisticsBody_Operation, reason string) *msync.Meta {
	payload, err := proto.Marshal(&msync.StatisticsBody{Operation: op, Reason: reason})
	if err != nil {
		panic(err)
	}
	return &msync.Meta{Id: 1, From: &msync.JID{Name: "server"}, Payload: payload}
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body)
}

func readJSON(t *testing.T, r *http.Request) map[string]any {
	t.Helper()
	data, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	var v map[string]any
	if len(data) > 0 {
		if err := json.Unmarshal(data, &v); err != nil {
			t.Error(err)
		}
	}
	return v
}

func codeOf(err error) errcode.Code {
	code, _ := errcode.CodeOf(err)
	return code
}

// wantCode fails unless err is an *Error with the code.
func wantCode(t *testing.T, err error, code errcode.Code) {
	t.Helper()
	if _, ok := err.(*Error); !ok || codeOf(err) != code {
		t.Fatalf("error is %T %v, want %d %v", err, err, code, code)
	}
}

func wantEvents(t *testing.T, events *eventLog, want ...string) {
	t.Helper()
	if got := events.take(); !slices.Equal(got, want) {
		t.Fatalf("events are %q, want %q", got, want)
	}
}
