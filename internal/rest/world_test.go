package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/blob"
	"github.com/stoa-chat/stoa/internal/bus"
	"github.com/stoa-chat/stoa/internal/clock"
	"github.com/stoa-chat/stoa/internal/contact"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/file"
	"github.com/stoa-chat/stoa/internal/message"
	"github.com/stoa-chat/stoa/internal/moderation"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/muc"
	"github.com/stoa-chat/stoa/internal/presence"
	"github.com/stoa-chat/stoa/internal/push"
	"github.com/stoa-chat/stoa/internal/rehearse"
	"github.com/stoa-chat/stoa/internal/store"
	"github.com/stoa-chat/stoa/internal/store/sqlitetest"
	"github.com/stoa-chat/stoa/internal/token"
	"github.com/stoa-chat/stoa/internal/webhook"
)

const password = "secret"

var passwordHash = sync.OnceValues(func() (string, error) { return token.HashPassword(context.Background(), password) })

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

// world is a node without sockets: two applications, in the first of which are alice and bob.
type world struct {
	testing.TB
	services   Services
	store      store.Store
	api        *API
	server     *httptest.Server
	accounts   *account.Service
	contacts   *contact.Service
	presence   *presence.Service
	files      *file.Service
	messages   *message.Service
	mucs       *muc.Service
	hub        *delivery.Hub
	delivery   *delivery.Service
	clock      *clock.Clock
	registry   *prometheus.Registry
	log        *logBook
	rehearsals *rehearse.Service
	app, other *account.App
	saved      map[string]string // tokens that answers gave
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{TB: t, clock: clock.New(), registry: prometheus.NewRegistry(), log: &logBook{}, saved: map[string]string{}}
	log := slog.New(slog.NewJSONHandler(w.log, nil))
	s := sqlitetest.Open(t, log)
	w.store = s
	w.hub = delivery.NewHub(s, w.clock, log)
	b := bus.NewLocal(func(subject bus.Subject, data []byte) {
		if subject.Kind != bus.KindAll {
			w.hub.Handle(subject, data)
		} else if w.mucs != nil {
			w.accounts.Heard(data)
			w.contacts.Heard(data)
			w.mucs.Heard(data)
		}
	})
	d := delivery.New(w.hub, s, b, delivery.NewIDs(0, 0), w.clock, delivery.NewMetrics(w.registry), log)
	w.delivery = d
	accounts, err := account.New(t.Context(), s, d, b, w.clock, 0, log)
	w.must(err)
	w.accounts = accounts
	w.contacts = contact.New(w.accounts, s, d, b, w.clock, log)
	w.rehearsals = rehearse.New(true, d, b, log)
	w.accounts.Rehearsals = w.rehearsals
	w.presence = presence.New(w.accounts, s, d, w.clock, log)
	w.accounts.Observe(w.presence)
	blobs, err := blob.OpenFolder(filepath.Join(t.TempDir(), "files"))
	w.must(err)
	w.files = file.New(w.accounts, s, blobs, w.clock, log)
	w.mucs = muc.New(w.accounts, s, d, b, w.clock, log)
	rules, err := moderation.New(t.Context(), w.accounts, s, b, w.clock, log)
	w.must(err)
	hooks, err := webhook.New(t.Context(), w.accounts, s, d, b, w.clock, 0, webhook.NewMetrics(w.registry), log)
	w.must(err)
	w.messages = message.New(w.accounts, w.contacts, w.mucs, s, d, w.clock, log)
	w.messages.Translator, w.messages.Moderation = interpreter{}, rules
	w.accounts.BeforeDelete(w.mucs.Forget)
	w.mucs.BeforeEnd(w.files.DropPlace)
	w.services = Services{Accounts: w.accounts, Contacts: w.contacts, Presence: w.presence, Push: push.New(w.accounts, s, d, w.clock, 0, push.NewMetrics(w.registry), log), Files: w.files,
		Messages: w.messages, Mucs: w.mucs, Moderation: rules, Webhooks: hooks, Rehearsals: w.rehearsals}
	w.api = New(w.services, w.clock, w.registry, log)
	w.server = httptest.NewServer(w.recorded(w.compared(w.api)))
	t.Cleanup(func() {
		w.server.Close()
		d.Close()
		w.messages.Close()
		for _, err := range []error{w.presence.Close(context.Background()), w.hub.Close(), b.Close(), s.Close()} {
			if err != nil {
				t.Error(err)
			}
		}
	})
	w.app = w.createApp("acme#demo")
	w.other = w.createApp("acme#other")
	for _, name := range []string{"alice", "bob"} {
		w.createUser(w.app, name)
		w.createUser(w.other, name)
	}
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// text appends a text message and returns its id.
func (w *world) text(from, to, text string) int64 {
	w.Helper()
	a, b := w.user(from), w.user(to)
	body, err := proto.Marshal(&msync.MessageBody{Type: msync.MessageBody_CHAT, From: &msync.JID{Name: from}, To: &msync.JID{Name: to},
		Contents: []*msync.MessageBody_Content{{Text: text}}})
	w.must(err)
	stored, err := msync.StoredMeta(&msync.Meta{From: &msync.JID{Name: from}, To: &msync.JID{Name: to}, Ns: msync.Meta_CHAT, Payload: body})
	w.must(err)
	r, err := w.delivery.AppendWait(w.Context(), delivery.Post{Key: store.PairKey(w.app.ID, a.ID, b.ID), Sender: a.ID, Content: store.ContentText, Meta: stored})
	w.must(err)
	return r.ID
}

func (w *world) createApp(key string) *account.App {
	w.Helper()
	app, err := w.accounts.CreateApp(w.Context(), account.NewApp{Key: key, ClientID: key + "-id", ClientSecret: "shh", Settings: account.DefaultSettings()})
	w.must(err)
	return app
}

// in returns the world as it is seen from another application, which has alice, bob and dave: paths below /acme/demo are
// in that.
func (w *world) in(key string) *world {
	w.Helper()
	other := *w
	other.app = w.createApp(key)
	for _, name := range []string{"alice", "bob", "dave"} {
		other.createUser(other.app, name)
	}
	return &other
}

func (w *world) createUser(app *account.App, name string) store.User {
	w.Helper()
	hash, err := passwordHash()
	w.must(err)
	user, err := w.accounts.RegisterHashed(w.Context(), app, account.NewUser{Name: name}, hash)
	w.must(err)
	return user
}

func (w *world) user(name string) store.User {
	w.Helper()
	user, err := w.accounts.User(w.Context(), w.app, name)
	w.must(err)
	return user
}

func (w *world) set(settings string) {
	w.Helper()
	_, err := w.accounts.ChangeSettings(w.Context(), w.app, []byte(settings))
	w.must(err)
}

// issued makes a token of the server's kind, with the first app's key unless another one is given.
func (w *world) issued(app *account.App, name string, life time.Duration, key []byte) string {
	w.Helper()
	now := w.clock.Now()
	claims := token.Claims{Privilege: token.PrivilegeApp, App: app.ID, IssuedAt: now}
	if name != "" {
		user, err := w.accounts.User(w.Context(), app, name)
		w.must(err)
		claims.Privilege, claims.User, claims.Generation = token.PrivilegeUser, user.ID, user.Generation
	}
	if life != 0 {
		claims.ExpiresAt = now.Add(life)
	}
	if key == nil {
		key = app.SigningKey
	}
	return token.Mint(key, claims)
}

// signed makes an AccessToken2.
func (w *world) signed(app *account.App, name, certificate string, age time.Duration) string {
	w.Helper()
	build := func() (string, error) {
		if name == "" {
			return token.BuildApp(app.AgoraID, certificate, w.clock.Now().Add(-age), time.Hour, 1)
		}
		return token.BuildUser(app.AgoraID, certificate, name, w.clock.Now().Add(-age), time.Hour, 1)
	}
	text, err := build()
	w.must(err)
	return text
}

// bearer makes the Authorization header of "app", a user, a signed:… of either, a $token that was saved, or else the
// text itself.
func (w *world) bearer(as string) string {
	name, signed := strings.CutPrefix(as, "signed:")
	saved, isSaved := strings.CutPrefix(as, "$")
	user := map[string]string{"app": "", "alice": "alice", "bob": "bob", "carol": "carol", "dave": "dave"}
	_, known := user[name]
	switch {
	case isSaved:
		return "Bearer " + w.saved[saved]
	case known && signed:
		return "Bearer " + w.signed(w.app, user[name], w.app.Certificate, 0)
	case known:
		return "Bearer " + w.issued(w.app, user[name], 0, nil)
	}
	return as
}

// reply is an answer of the server.
type reply struct {
	status int
	header http.Header
	text   string
	object map[string]any
}

// send makes a request. Whatever it is, the answer must be one that clients can bear.
func (w *world) send(method, path, authorization, body string, header ...string) reply {
	w.Helper()
	if below, ok := strings.CutPrefix(path, "/acme/demo/"); ok {
		path = "/" + strings.ReplaceAll(w.app.Key(), "#", "/") + "/" + below
	}
	r, err := http.NewRequestWithContext(w.Context(), method, w.server.URL+path, strings.NewReader(body))
	w.must(err)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
	}
	answer, err := w.server.Client().Do(r)
	w.must(err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	w.must(err)
	got := reply{status: answer.StatusCode, header: answer.Header, text: string(text)}
	if method == http.MethodOptions || method == http.MethodHead {
		return got
	}
	if err := json.Unmarshal(text, &got.object); err != nil || got.object == nil {
		w.Fatalf("%s %s: %d with a body that is no JSON object: %q", method, path, got.status, text)
	}
	if kind := answer.Header.Get("Content-Type"); kind != "application/json; charset=utf-8" {
		w.Errorf("%s %s: Content-Type %q", method, path, kind)
	}
	id := answer.Header.Get("X-Request-Id")
	if !requestIDForm.MatchString(id) {
		w.Errorf("%s %s: X-Request-Id %q", method, path, id)
	}
	if got.status == http.StatusOK {
		return got
	}
	description, _ := got.object["error_description"].(string)
	if description == "" || got.object["error"] == "" || got.object["request_id"] != id {
		w.Errorf("%s %s: incomplete error %s", method, path, text)
	}
	if got.status == http.StatusNotAcceptable || got.status < 400 || strings.Contains(description, "does not exist") && !strings.Contains(path, "message") {
		w.Errorf("%s %s: clients misunderstand %d %s", method, path, got.status, text)
	}
	return got
}

// holds says what of want, a JSON text, is not in got: objects may have more keys, arrays not more elements.
func holds(got any, want string) string {
	var wanted any
	if err := json.Unmarshal([]byte(want), &wanted); err != nil {
		return fmt.Sprintf("bad expectation %s: %v", want, err)
	}
	return differs("", got, wanted)
}

func differs(at string, got, want any) string {
	switch want := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok {
			return fmt.Sprintf("%s is %v, want an object", at, got)
		}
		for key, value := range want {
			if _, ok := object[key]; !ok {
				return fmt.Sprintf("%s.%s is missing", at, key)
			}
			if diff := differs(at+"."+key, object[key], value); diff != "" {
				return diff
			}
		}
		return ""
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			return fmt.Sprintf("%s is %v, want %v", at, got, want)
		}
		for i := range want {
			if diff := differs(fmt.Sprintf("%s[%d]", at, i), list[i], want[i]); diff != "" {
				return diff
			}
		}
		return ""
	}
	if got != want {
		return fmt.Sprintf("%s is %v, want %v", at, got, want)
	}
	return ""
}

// socket is a device that is online, as the gateway would hold it.
type socket struct {
	mu    sync.Mutex
	kicks []int32
	until []int64
}

func (s *socket) Queue([]byte, bool) bool { return true }
func (s *socket) Flush()                  {}
func (s *socket) Kick(k delivery.Kick) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kicks = append(s.kicks, k.Operation)
}
func (s *socket) Extend(until int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until = append(s.until, until)
}

func (s *socket) kicked() []int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.kicks)
}

func (s *socket) extended() []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.until)
}

// connect brings a user online.
func (w *world) connect(name, resource string) *socket {
	w.Helper()
	login, err := w.accounts.Login(w.Context(), w.app.Key(), name, w.issued(w.app, name, time.Hour, nil))
	w.must(err)
	session, err := w.accounts.OpenSession(w.Context(), login, account.DeviceInfo{Resource: resource, UUID: "uuid-" + resource, Name: "device " + resource})
	w.must(err)
	s := &socket{}
	open, err := w.hub.Open(delivery.Identity{Session: session.ID, User: login.User.ID, Device: session.Device, Name: login.User.Name, Alias: name}, s)
	w.must(err)
	w.Cleanup(func() { open.Close(context.Background()) })
	return s
}
