package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/bus"
	"github.com/stoa-chat/stoa/internal/clock"
	"github.com/stoa-chat/stoa/internal/contact"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/message"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/muc"
	"github.com/stoa-chat/stoa/internal/store"
	"github.com/stoa-chat/stoa/internal/store/sqlite"
	"github.com/stoa-chat/stoa/internal/store/sqlitetest"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// failer is what the helpers need of testing.T and rapid.T.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// world is a node with everything but REST, listening on loopback.
type world struct {
	*testing.T
	store    *sqlite.Store // as it is
	bus      *wildBus
	hub      *delivery.Hub
	delivery *delivery.Service
	accounts *account.Service
	gateway  *Gateway
	mucs     *muc.Service
	clock    *clock.Clock
	log      *logBook
	server   *httptest.Server
	app      *account.App
	stores   *heldStore // as the node sees it

	mu     sync.Mutex
	tokens map[string]string
}

// heldStore is the store, except that the test can hold up commits or make reads fail.
type heldStore struct {
	*sqlite.Store
	mu     sync.Mutex
	hold   chan struct{} // not nil: Append waits until it is closed
	failed error         // not nil: Positions and ReadTimeline fail
}

func (h *heldStore) Append(ctx context.Context, drafts []store.Draft) ([]store.Appended, error) {
	h.mu.Lock()
	hold := h.hold
	h.mu.Unlock()
	if hold != nil {
		<-hold
	}
	return h.Store.Append(ctx, drafts)
}

func (h *heldStore) broken() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.failed
}

func (h *heldStore) breakDown(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failed = err
}

func (h *heldStore) Positions(ctx context.Context, user, device int64) ([]store.Position, error) {
	if err := h.broken(); err != nil {
		return nil, err
	}
	return h.Store.Positions(ctx, user, device)
}

func (h *heldStore) ReadTimeline(ctx context.Context, timeline, after int64, limit, maxBytes int) ([]store.Entry, error) {
	if err := h.broken(); err != nil {
		return nil, err
	}
	return h.Store.ReadTimeline(ctx, timeline, after, limit, maxBytes)
}

// holdCommits keeps what is sent from becoming durable until the function that it returns is called.
func (h *heldStore) holdCommits() (release func()) {
	hold := make(chan struct{})
	h.mu.Lock()
	h.hold = hold
	h.mu.Unlock()
	return sync.OnceFunc(func() {
		h.mu.Lock()
		h.hold = nil
		h.mu.Unlock()
		close(hold)
	})
}

// wildBus is a bus that loses, repeats and reorders what the test tells it to.
type wildBus struct {
	bus.Bus
	mu   sync.Mutex
	rule func(subject bus.Subject, data []byte, publish func()) // nil: publish
}

func (b *wildBus) Publish(subject bus.Subject, data []byte) error {
	b.mu.Lock()
	rule := b.rule
	b.mu.Unlock()
	if rule == nil || subject.Kind == bus.KindAll {
		return b.Bus.Publish(subject, data)
	}
	rule(subject, data, func() { b.Bus.Publish(subject, data) })
	return nil
}

// use sets what becomes of messages for users and groups.
func (b *wildBus) use(rule func(subject bus.Subject, data []byte, publish func())) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rule = rule
}

// lose loses everything for a user, or with 0 nothing any more.
func (b *wildBus) lose(user int64) {
	b.use(func(subject bus.Subject, _ []byte, publish func()) {
		if subject != bus.User(user) {
			publish()
		}
	})
}

// logBook is a log that can be read while it is written.
type logBook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel() // most of the time goes into waiting for the disk
	w := &world{T: t, clock: clock.New(), log: &logBook{}, tokens: map[string]string{}}
	log := slog.New(slog.NewTextHandler(w.log, nil))
	s := sqlitetest.Open(t, log)
	w.store, w.stores = s, &heldStore{Store: s}
	w.hub = delivery.NewHub(w.stores, w.clock, log)
	w.bus = &wildBus{Bus: bus.NewLocal(func(subject bus.Subject, data []byte) {
		if subject.Kind != bus.KindAll {
			w.hub.Handle(subject, data)
		} else if w.accounts != nil {
			w.accounts.Heard(data)
			if w.mucs != nil {
				w.mucs.Heard(data)
			}
		}
	})}
	registry := prometheus.NewRegistry()
	w.delivery = delivery.New(w.hub, w.stores, w.bus, delivery.NewIDs(0, 0), w.clock, delivery.NewMetrics(registry), log)
	accounts, err := account.New(t.Context(), s, w.delivery, w.bus, w.clock, 0, log)
	w.must(err)
	w.accounts = accounts
	contacts := contact.New(w.accounts, s, w.delivery, w.bus, w.clock, log)
	w.mucs = muc.New(w.accounts, s, w.delivery, w.bus, w.clock, log)
	w.gateway = New(w.accounts, contacts, w.mucs, message.New(w.accounts, contacts, w.mucs, s, w.delivery, w.clock, log), w.hub, w.clock, NewMetrics(registry), log)
	mux := http.NewServeMux()
	w.gateway.Register(mux)
	w.server = httptest.NewServer(mux)
	t.Cleanup(func() {
		w.server.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		w.gateway.Close(ctx)
		w.delivery.Close()
		for _, err := range []error{w.hub.Close(), w.bus.Close(), s.Close()} {
			if err != nil {
				t.Error(err)
			}
		}
		if text := w.log.String(); strings.Contains(text, "panic") || t.Failed() && testing.Verbose() {
			t.Errorf("the log says:\n%s", text)
		}
	})
	w.app, err = w.accounts.CreateApp(t.Context(), account.NewApp{Key: "o#a", Settings: account.DefaultSettings()})
	w.must(err)
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// set changes settings of the app.
func (w *world) set(patch string) {
	w.Helper()
	_, err := w.accounts.ChangeSettings(w.Context(), w.app, []byte(patch))
	w.must(err)
}

// token returns a token of a user, who is made if missing.
func (w *world) token(name string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	name = account.Fold(name)
	if w.tokens[name] == "" {
		app, err := w.accounts.App("o#a")
		w.must(err)
		token, err := w.accounts.InheritToken(w.Context(), app, name, true, account.TTL{})
		w.must(err)
		w.tokens[name] = token.Text
	}
	return w.tokens[name]
}

func (w *world) user(name string) store.User {
	w.Helper()
	w.token(name)
	user, err := w.accounts.User(w.Context(), w.app, name)
	w.must(err)
	return user
}

// settle returns when all that was sent before has been offered to the sessions that are online.
func (w *world) settle() {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	// The dispatcher takes one after the other; this one is read by nobody.
	nobody := store.UserKey(w.app.ID, 1<<40)
	for range 2 { // the second makes sure that the first has been published
		_, err := w.delivery.AppendWait(ctx, delivery.Post{Key: nobody})
		w.must(err)
	}
}

// only returns the one session of the gateway.
func (w *world) only() *session {
	w.Helper()
	all := w.gateway.snapshot()
	if len(all) != 1 {
		w.Fatalf("the gateway has %d sessions", len(all))
	}
	return all[0]
}

// until waits for a condition.
func (w *world) until(what string, ok func() bool) {
	w.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			w.Fatalf("%s did not happen", what)
		}
		wait, cancel := context.WithTimeout(w.Context(), time.Millisecond)
		<-wait.Done()
		cancel()
	}
}

// client is one WebSocket as a test drives it, frame by frame.
type client struct {
	failer
	world   *world
	conn    net.Conn
	in      *bytes.Reader // what came with the upgrade
	sockJS  bool
	name    string
	writing sync.Mutex
}

// got is something that the server sent.
type got struct {
	Op        ws.OpCode // OpBinary: one of the following is set
	Sync      *msync.CommSyncDL
	Unread    *msync.CommUnreadDL
	Notice    *msync.CommNotice
	Provision *msync.Provision
	Logout    *msync.Logout
	Code      ws.StatusCode // of OpClose
	Data      []byte
}

func (g *got) String() string {
	switch {
	case g == nil:
		return "the end of the connection"
	case g.Sync != nil:
		return "SYNC " + g.Sync.String()
	case g.Unread != nil:
		return "UNREAD " + g.Unread.String()
	case g.Notice != nil:
		return "NOTICE " + g.Notice.String()
	case g.Provision != nil:
		return "PROVISION " + g.Provision.String()
	case g.Op == ws.OpClose:
		return fmt.Sprintf("close %d %q", g.Code, g.Data)
	}
	return fmt.Sprintf("frame %x %q", g.Op, g.Data)
}

// The kinds of SYNC down.
func isAnswer(g *got) bool { return g != nil && g.Sync != nil && g.Sync.MetaId != 0 }
func isBatch(g *got) bool {
	return g != nil && g.Sync != nil && g.Sync.MetaId == 0 && len(g.Sync.Metas) > 0 && !isKick(g)
}
func isEnd(g *got) bool {
	return g != nil && g.Sync != nil && g.Sync.MetaId == 0 && len(g.Sync.Metas) == 0 && g.Sync.IsLast
}
func isNotice(g *got) bool { return g != nil && g.Notice != nil }
func isUnread(g *got) bool { return g != nil && g.Unread != nil }
func isKick(g *got) bool {
	return g != nil && g.Sync != nil && len(g.Sync.Metas) == 1 && g.Sync.Metas[0].Ns == msync.Meta_STATISTIC
}
func isPing(g *got) bool  { return g != nil && g.Op == ws.OpPing }
func isPong(g *got) bool  { return g != nil && g.Op == ws.OpPong }
func isClose(g *got) bool { return g != nil && g.Op == ws.OpClose }

// dial opens a socket.
func (w *world) dial(path string, headers http.Header) *client {
	w.Helper()
	dialer := ws.Dialer{Header: ws.HandshakeHeaderHTTP(headers), Timeout: patience}
	conn, early, _, err := dialer.Dial(w.Context(), "ws"+strings.TrimPrefix(w.server.URL, "http")+path)
	w.must(err)
	c := &client{failer: w, world: w, conn: conn, sockJS: path != "/ws"}
	if early != nil {
		text, _ := early.Peek(early.Buffered())
		c.in = bytes.NewReader(bytes.Clone(text))
		ws.PutReader(early)
	}
	w.Cleanup(func() { conn.Close() })
	return c
}

// Read implements io.Reader.
func (c *client) Read(b []byte) (int, error) {
	if c.in != nil && c.in.Len() > 0 {
		return c.in.Read(b)
	}
	c.conn.SetReadDeadline(time.Now().Add(patience))
	return c.conn.Read(b)
}

// frame writes a WebSocket frame. That the server is gone is seen when reading.
func (c *client) frame(op ws.OpCode, payload []byte) {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.conn.SetWriteDeadline(time.Now().Add(patience))
	ws.WriteFrame(c.conn, ws.MaskFrameInPlace(ws.NewFrame(op, true, bytes.Clone(payload))))
}

// up packs a frame as the web client does.
func up(command msync.MSync_Command, payload proto.Message) []byte {
	m := &msync.MSync{Command: command}
	if payload != nil {
		b, err := proto.Marshal(payload)
		if err != nil {
			panic(err)
		}
		m.Payload = b
	}
	b, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	return b
}

func (c *client) send(command msync.MSync_Command, payload proto.Message) {
	c.frame(ws.OpBinary, up(command, payload))
}

// next returns what comes next; nil if the connection has ended.
func (c *client) next() *got {
	c.Helper()
	f, err := readFrame(c)
	if err != nil {
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			c.Fatalf("%s: nothing came", c.name)
		}
		return nil
	}
	g := &got{Op: f.Header.OpCode, Data: f.Payload}
	switch {
	case g.Op == ws.OpClose:
		code, reason := ws.ParseCloseFrameData(f.Payload)
		g.Code, g.Data = code, []byte(reason)
	case g.Op == ws.OpText && strings.HasPrefix(string(g.Data), "a["):
		frames, err := readSockJS(g.Data[1:])
		if err != nil || len(frames) != 1 {
			c.Fatalf("%s: SockJS frame %s: %v", c.name, g.Data, err)
		}
		c.decode(g, frames[0])
	case g.Op == ws.OpBinary:
		c.decode(g, f.Payload)
	}
	return g
}

func (c *client) decode(g *got, b []byte) {
	c.Helper()
	var m msync.MSync
	err := proto.Unmarshal(b, &m)
	into := func(p proto.Message) { err = errors.Join(err, proto.Unmarshal(m.Payload, p)) }
	switch m.Command {
	case msync.MSync_SYNC:
		g.Sync = &msync.CommSyncDL{}
		into(g.Sync)
		if g.Sync.Status == nil {
			err = errors.Join(err, errors.New("SYNC without a status"))
		}
		if g.Sync.MetaId == 0 && g.Sync.Queue == nil {
			err = errors.Join(err, errors.New("batch without a queue"))
		}
	case msync.MSync_UNREAD:
		g.Unread = &msync.CommUnreadDL{}
		into(g.Unread)
	case msync.MSync_NOTICE:
		g.Notice = &msync.CommNotice{}
		into(g.Notice)
	case msync.MSync_PROVISION:
		g.Provision = &msync.Provision{}
		into(g.Provision)
	case msync.MSync_LOGOUT:
		g.Logout = &msync.Logout{}
		into(g.Logout)
	}
	if err != nil {
		c.Fatalf("%s: frame %x: %v", c.name, b, err)
	}
}

// want returns what comes next and fails unless it is of that kind.
func (c *client) want(what string, kind func(*got) bool) *got {
	c.Helper()
	g := c.next()
	if !kind(g) {
		c.Fatalf("%s: got %v, want %s", c.name, g, what)
	}
	return g
}

// skipTo reads on to the first of a kind and returns it with what came before.
func (c *client) skipTo(what string, kind func(*got) bool) (g *got, before []*got) {
	c.Helper()
	for {
		if g = c.next(); g == nil {
			c.Fatalf("%s: the connection ended before %s", c.name, what)
		}
		if kind(g) {
			return g, before
		}
		before = append(before, g)
	}
}

// quiet fails if anything is on its way to the client.
func (c *client) quiet(why string) {
	c.Helper()
	c.world.settle()
	c.frame(ws.OpPing, []byte("quiet?"))
	if _, before := c.skipTo("a pong", isPong); len(before) > 0 {
		c.Fatalf("%s: got %v, want nothing: %s", c.name, before, why)
	}
}

// ended fails unless the connection ends with a close code, before which anything may come. Code 0 is: none.
func (c *client) ended(code ws.StatusCode) {
	c.Helper()
	var last *got
	for g := c.next(); g != nil; g = c.next() {
		if last = g; g.Op == ws.OpClose {
			if g.Code != code {
				c.Fatalf("%s: closed with %d %q, want %d", c.name, g.Code, g.Data, code)
			}
			c.frame(ws.OpClose, ws.NewCloseFrameBody(code, ""))
			if g := c.next(); g != nil {
				c.Fatalf("%s: got %v after the close frame", c.name, g)
			}
			c.conn.Close()
			return
		}
	}
	if code != 0 {
		c.Fatalf("%s: the connection ended without a close frame, after %v", c.name, last)
	}
}

// provision asks for a sign-in and returns the answer.
func (c *client) provision(name, token, resource string) *msync.Provision {
	c.Helper()
	c.name = name + "/" + resource
	c.sendProvision(name, token, resource)
	return c.want("a Provision", func(g *got) bool { return g != nil && g.Provision != nil }).Provision
}

func (c *client) sendProvision(name, token, resource string) {
	payload, err := proto.Marshal(&msync.Provision{OsType: 16, Version: "1.4.0", Resource: resource, DeviceUuid: resource, DeviceName: "webim", Reason: "from " + resource})
	if err != nil {
		c.Fatalf("%v", err)
	}
	b, err := proto.Marshal(&msync.MSync{Command: msync.MSync_PROVISION, Payload: payload, Auth: "$t$" + token,
		Guid: &msync.JID{AppKey: "o#a", Name: name, Domain: msync.UserDomain, ClientResource: resource}})
	if err != nil {
		c.Fatalf("%v", err)
	}
	if c.sockJS {
		c.frame(ws.OpText, sockJSUp(b))
		return
	}
	c.frame(ws.OpBinary, b)
}

// login opens a socket and signs a user in on a device.
func (w *world) login(name, resource string) *client {
	w.Helper()
	c := w.dial("/ws", nil)
	if p := c.provision(name, w.token(name), resource); p.Status == nil || p.Status.ErrorCode != 0 || p.Resource != resource {
		w.Fatalf("%s is not signed in: %v", c.name, p)
	}
	return c
}

// online is login and the first UNREAD, which must list that many queues.
func (w *world) online(name, resource string) *client {
	w.Helper()
	c := w.login(name, resource)
	if queues := c.unread(); len(queues) != 0 {
		w.Fatalf("%s begins with the queues %v", c.name, queues)
	}
	return c
}

// unread asks for the queues that hold something.
func (c *client) unread() (queues []string) {
	c.Helper()
	c.send(msync.MSync_UNREAD, nil)
	g := c.want("an UNREAD", isUnread)
	if g.Unread.Timestamp == 0 {
		c.Errorf("%s: UNREAD without a timestamp", c.name)
	}
	for _, q := range g.Unread.Unread {
		queues = append(queues, q.Queue.Name)
	}
	slices.Sort(queues)
	return queues
}

// textTo is a message as the web client sends it.
func textTo(from, to, text string, id uint64) *msync.Meta {
	return metaTo(to, id, &msync.MessageBody{Type: msync.MessageBody_CHAT, From: &msync.JID{Name: from}, To: &msync.JID{Name: to},
		Contents: []*msync.MessageBody_Content{{Type: msync.MessageBody_Content_TEXT, Text: text}}})
}

func metaTo(to string, id uint64, body *msync.MessageBody) *msync.Meta {
	payload, err := proto.Marshal(body)
	if err != nil {
		panic(err)
	}
	return &msync.Meta{Id: id, To: &msync.JID{AppKey: "o#a", Name: to, Domain: msync.UserDomain}, Ns: msync.Meta_CHAT, Payload: payload}
}

func (c *client) sendMeta(meta *msync.Meta) {
	c.send(msync.MSync_SYNC, &msync.CommSyncUL{Meta: meta})
}

func (c *client) user() string {
	name, _, _ := strings.Cut(c.name, "/")
	return name
}

// text sends a text and returns the answer, which must be the next thing that comes.
func (c *client) text(to, text string, id uint64) *msync.CommSyncDL {
	c.Helper()
	c.sendMeta(textTo(c.user(), to, text, id))
	g := c.want("an answer", isAnswer)
	if g.Sync.MetaId != id {
		c.Fatalf("%s: the answer is to %d, want %d", c.name, g.Sync.MetaId, id)
	}
	return g.Sync
}

// ok is text that must succeed.
func (c *client) ok(to, text string, id uint64) *msync.CommSyncDL {
	c.Helper()
	a := c.text(to, text, id)
	if a.Status.ErrorCode != 0 || a.ServerId == 0 || a.Timestamp == 0 {
		c.Fatalf("%s: %q to %s is answered with %v", c.name, text, to, a)
	}
	return a
}

func (c *client) ack(queue string, key uint64) {
	c.send(msync.MSync_SYNC, &msync.CommSyncUL{Queue: &msync.JID{Name: queue}, Key: &key})
}

func (c *client) pull(queue string) {
	c.send(msync.MSync_SYNC, &msync.CommSyncUL{Queue: &msync.JID{Name: queue}})
}

// push waits for a pushed or pulled batch that holds these texts.
func (c *client) push(texts ...string) *msync.CommSyncDL {
	c.Helper()
	g := c.want(fmt.Sprintf("a batch of %q", texts), isBatch)
	if got := textsOf(c, g.Sync); !slices.Equal(got, texts) {
		c.Fatalf("%s: got %q, want %q", c.name, got, texts)
	}
	return g.Sync
}

func bodyOf(f failer, m *msync.Meta) *msync.MessageBody {
	f.Helper()
	var body msync.MessageBody
	if err := proto.Unmarshal(m.Payload, &body); err != nil {
		f.Fatalf("body of %v: %v", m, err)
	}
	return &body
}

func textsOf(f failer, batch *msync.CommSyncDL) (texts []string) {
	f.Helper()
	for _, m := range batch.Metas {
		text := ""
		if body := bodyOf(f, m); len(body.Contents) > 0 {
			text = body.Contents[0].Text
		}
		texts = append(texts, text)
	}
	return texts
}

// drain pulls a queue to its end, as the web client does, and returns the texts.
func (c *client) drain(queue string) (texts []string) {
	c.Helper()
	c.pull(queue)
	for {
		g := c.next()
		switch {
		case isBatch(g) && g.Sync.Queue.Name == queue && !g.Sync.IsLast && g.Sync.NextKey != 0:
			texts = append(texts, textsOf(c, g.Sync)...)
			c.ack(queue, g.Sync.NextKey)
		case isEnd(g) && g.Sync.Queue.Name == queue:
			return texts
		default:
			c.Fatalf("%s: got %v while pulling %s", c.name, g, queue)
		}
	}
}

// catchUp asks for the queues and pulls them all.
func (c *client) catchUp() (texts []string) {
	c.Helper()
	for _, queue := range c.unread() {
		texts = append(texts, c.drain(queue)...)
	}
	return texts
}

// hangUp closes the connection and waits until the server has noticed.
func (c *client) hangUp() {
	c.Helper()
	before := len(c.world.gateway.snapshot())
	c.conn.Close()
	c.world.until("the end of the session", func() bool { return len(c.world.gateway.snapshot()) < before })
}

func marshalJID(jid *msync.JID) []byte {
	b, err := proto.Marshal(&msync.MSync{Guid: jid})
	if err != nil {
		panic(err)
	}
	return b
}

// marshalGuid is the part of a frame that names who signs in.
func marshalGuid(name string) []byte { return marshalJID(&msync.JID{AppKey: "o#a", Name: name}) }

func dialRaw(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func mustMarshal(m proto.Message) []byte {
	b, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	return b
}

// syncOf is a frame that holds a Meta.
func syncOf(m *msync.Meta) []byte { return up(msync.MSync_SYNC, &msync.CommSyncUL{Meta: m}) }
