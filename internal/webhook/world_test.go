package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/bus"
	"github.com/stoa-chat/stoa/internal/clock"
	"github.com/stoa-chat/stoa/internal/contact"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/muc"
	"github.com/stoa-chat/stoa/internal/store"
	"github.com/stoa-chat/stoa/internal/store/sqlite"
)

// world is a node that can be stopped and started anew on the same data.
type world struct {
	*testing.T
	folder string
	app    *account.App

	store    *sqlite.Store
	hub      *delivery.Hub
	delivery *delivery.Service
	bus      bus.Bus
	accounts *account.Service
	contacts *contact.Service
	mucs     *muc.Service
	clock    *clock.Clock
	registry *prometheus.Registry
	service  *Service
	stopRun  context.CancelFunc
	run      sync.WaitGroup
	floor    int64 // of ids
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, folder: t.TempDir(), clock: clock.New()}
	w.start(nil)
	t.Cleanup(w.stop)
	var err error
	w.app, err = w.accounts.CreateApp(t.Context(), account.NewApp{Key: "acme#demo", Settings: account.DefaultSettings()})
	w.must(err)
	for _, name := range []string{"alice", "bob", "carol"} {
		_, err := w.accounts.Register(t.Context(), w.app, account.NewUser{Name: name})
		w.must(err)
	}
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// start starts the node. Over makes the store that callbacks see of the real one; nil: it is that.
func (w *world) start(over func(*sqlite.Store) Store) {
	w.Helper()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	ctx := context.Background()
	var err error
	w.store, err = sqlite.Open(ctx, w.folder, log)
	w.must(err)
	w.hub = delivery.NewHub(w.store, w.clock, log)
	w.bus = bus.NewLocal(func(subject bus.Subject, data []byte) {
		if subject.Kind != bus.KindAll {
			w.hub.Handle(subject, data)
		}
	})
	w.registry = prometheus.NewRegistry()
	w.delivery = delivery.New(w.hub, w.store, w.bus, delivery.NewIDs(0, w.floor), w.clock, delivery.NewMetrics(w.registry), log)
	w.accounts, err = account.New(ctx, w.store, w.delivery, w.bus, w.clock, 0, log)
	w.must(err)
	w.contacts = contact.New(w.accounts, w.store, w.delivery, w.bus, w.clock, log)
	w.mucs = muc.New(w.accounts, w.store, w.delivery, w.bus, w.clock, log)
	s := Store(w.store)
	if over != nil {
		s = over(w.store)
	}
	w.service, err = New(ctx, w.accounts, s, w.delivery, w.bus, w.clock, 0, NewMetrics(w.registry), log)
	w.must(err)
	w.delivery.Observe(w.service)
	w.accounts.Observe(w.service)
	w.mucs.Observe(w.service)
	ctx, w.stopRun = context.WithCancel(ctx)
	w.run.Go(func() { w.service.Run(ctx) })
	for begun := false; !begun; { // a rule is told of what follows once Run has begun
		w.service.syncing.Lock()
		begun = w.service.running != nil
		w.service.syncing.Unlock()
	}
}

// crash ends the node so that nothing of callbacks is written any more.
func (w *world) crash() {
	w.Helper()
	w.stopRun()
	w.run.Wait()
	w.delivery.Close()
	w.must(w.hub.Close())
	w.must(w.bus.Close())
	w.must(w.store.Close())
	w.floor = time.Now().UnixMilli()
	w.store = nil
}

func (w *world) stop() {
	if w.store == nil {
		return
	}
	w.stopRun()
	w.run.Wait()
	w.must(w.service.Close(context.Background()))
	w.crash()
}

func (w *world) user(name string) store.User {
	w.Helper()
	user, err := w.accounts.User(w.Context(), w.app, name)
	w.must(err)
	return user
}

// listen lays down a rule with a secret; more is what follows the address in it.
func (w *world) listen(name, address, more string) {
	w.Helper()
	w.must(w.service.Listeners.Put(w.Context(), w.app.ID, name, []byte(`{"url":"`+address+`","secret":"s3cret"`+more+`}`)))
}

// metric returns a counter of results.
func (w *world) metric(result string) int {
	families, err := w.registry.Gather()
	w.must(err)
	for _, family := range families {
		for _, m := range family.Metric {
			if family.GetName() == "stoa_callbacks_total" && m.Label[0].GetValue() == result {
				return int(m.Counter.GetValue())
			}
		}
	}
	return 0
}

// post appends what a user has done on a device.
func (w *world) post(from string, p delivery.Post, body *msync.MessageBody, to *msync.JID) delivery.Result {
	w.Helper()
	sender := w.user(from)
	payload, err := proto.Marshal(body)
	w.must(err)
	p.Sender, p.Device = sender.ID, 1
	p.Meta, err = msync.StoredMeta(&msync.Meta{From: &msync.JID{Name: from, Domain: msync.UserDomain, ClientResource: "webim_1"}, To: to,
		Ns: msync.Meta_CHAT, Payload: payload})
	w.must(err)
	r, err := w.delivery.AppendWait(w.Context(), p)
	w.must(err)
	return r
}

func textOf(text string) []*msync.MessageBody_Content {
	return []*msync.MessageBody_Content{{Type: msync.MessageBody_Content_TEXT, Text: text}}
}

// say sends a text from one user to another.
func (w *world) say(from, to, text string) delivery.Result {
	w.Helper()
	return w.post(from, delivery.Post{Key: store.PairKey(w.app.ID, w.user(from).ID, w.user(to).ID), Content: store.ContentText},
		&msync.MessageBody{Type: msync.MessageBody_CHAT, From: &msync.JID{Name: from}, To: &msync.JID{Name: to}, Contents: textOf(text)},
		&msync.JID{Name: to, Domain: msync.UserDomain})
}

// call is what a backend was sent.
type call struct {
	CallID    string          `json:"callId"`
	Security  string          `json:"security"`
	Timestamp int64           `json:"timestamp"`
	EventType string          `json:"eventType"`
	ChatType  string          `json:"chat_type"`
	From      string          `json:"from"`
	To        string          `json:"to"`
	Group     string          `json:"group_id"`
	ID        string          `json:"msg_id"`
	RecallID  string          `json:"recall_id"`
	Event     string          `json:"event"`
	Type      string          `json:"type"`
	Operation string          `json:"operation"`
	Operator  string          `json:"operator"`
	Place     string          `json:"id"`
	Reason    string          `json:"reason"`
	Status    string          `json:"status"`
	User      string          `json:"user"`
	Payload   json.RawMessage `json:"payload"`
	body      []byte
	header    http.Header
}

// text is the text of a message.
func (c call) text() string {
	var p struct {
		Bodies []struct {
			Text string `json:"msg"`
		} `json:"bodies"`
	}
	if json.Unmarshal(c.Payload, &p) != nil || len(p.Bodies) == 0 {
		return ""
	}
	return p.Bodies[0].Text
}

// operation is what happened to a group or contact.
func (c call) operation() string {
	var p struct {
		Operation string `json:"operation"`
	}
	_ = json.Unmarshal(c.Payload, &p)
	return p.Operation
}

// backend records what it is told.
type backend struct {
	*httptest.Server
	mu     sync.Mutex
	calls  []call
	news   chan struct{}
	answer func(c call, n int) int // the status for the n-th call; nil: 200
}

func newBackend(t *testing.T) *backend {
	b := &backend{news: make(chan struct{}, 1)}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		c := call{body: body, header: r.Header}
		if err := json.Unmarshal(body, &c); err != nil {
			t.Errorf("the backend was sent %s", body)
		}
		b.mu.Lock()
		answer, n := b.answer, len(b.calls)
		b.calls = append(b.calls, c)
		b.mu.Unlock()
		nudge(b.news)
		if answer != nil {
			w.WriteHeader(answer(c, n))
		}
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *backend) answers(with func(c call, n int) int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answer = with
}

// wait waits until what the backend was told is enough.
func (b *backend) wait(t *testing.T, enough func(calls []call) bool) []call {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		b.mu.Lock()
		calls := append([]call(nil), b.calls...)
		b.mu.Unlock()
		if enough(calls) {
			return calls
		}
		select {
		case <-b.news:
		case <-deadline:
			var told []string
			for _, c := range calls {
				told = append(told, string(c.body))
			}
			t.Fatalf("the backend was told %d times only:\n%s", len(calls), strings.Join(told, "\n"))
		}
	}
}

// count waits for n calls.
func (b *backend) count(t *testing.T, n int) []call {
	t.Helper()
	return b.wait(t, func(calls []call) bool { return len(calls) >= n })
}

// texts waits for n messages and returns their texts in order.
func (b *backend) texts(t *testing.T, n int) (texts []string) {
	t.Helper()
	for _, c := range b.count(t, n) {
		texts = append(texts, c.text())
	}
	return texts
}

func numbered(from, to int) (texts []string) {
	for i := from; i < to; i++ {
		texts = append(texts, fmt.Sprint(i))
	}
	return texts
}
