package push

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/account/accounttest"
	"github.com/stoa-chat/stoa/internal/clock"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
	"github.com/stoa-chat/stoa/internal/store/sqlite"
	"github.com/stoa-chat/stoa/internal/store/sqlitetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

// request is what the providers' stand-in was sent.
type request struct {
	path          string
	header        http.Header
	body          map[string]any
	form          string // of the request for an access token
	authorization string
}

// reply is what the stand-in answers.
type reply struct {
	status int
	header map[string]string
	body   string
}

// standIn is Apple and Google in one: an HTTP/2 server that takes what it is sent.
type standIn struct {
	t        *testing.T
	server   *httptest.Server
	requests chan request

	mu      sync.Mutex
	replies []reply // the next ones; then 200
	tokens  int     // access tokens that were given
}

func newStandIn(t *testing.T) *standIn {
	t.Helper()
	p := &standIn{t: t, requests: make(chan request, 1000)}
	p.server = httptest.NewUnstartedServer(p)
	p.server.EnableHTTP2 = true
	p.server.StartTLS()
	t.Cleanup(p.server.Close)
	return p
}

// answers sets the next answers.
func (p *standIn) answers(replies ...reply) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.replies = replies
}

func (p *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor != 2 || r.Method != http.MethodPost {
		p.t.Errorf("%s over %s", r.Method, r.Proto)
	}
	text, err := io.ReadAll(r.Body)
	if err != nil {
		p.t.Error(err)
	}
	got := request{path: r.URL.Path, header: r.Header, authorization: r.Header.Get("Authorization")}
	p.mu.Lock()
	if r.URL.Path == "/token" {
		p.tokens++
		got.form = string(text)
		answer := `{"access_token":"access-` + strconv.Itoa(p.tokens) + `","expires_in":3600}`
		p.mu.Unlock()
		p.requests <- got
		io.WriteString(w, answer)
		return
	}
	said := reply{status: http.StatusOK, body: "{}"}
	if len(p.replies) > 0 {
		said, p.replies = p.replies[0], p.replies[1:]
	}
	p.mu.Unlock()
	if err := json.Unmarshal(text, &got.body); err != nil {
		p.t.Errorf("body %q: %v", text, err)
	}
	p.requests <- got
	for key, value := range said.header {
		w.Header().Set(key, value)
	}
	w.WriteHeader(said.status)
	io.WriteString(w, said.body)
}

// next returns the next request.
func (p *standIn) next() request {
	p.t.Helper()
	select {
	case r := <-p.requests:
		return r
	case <-time.After(patience):
		p.t.Fatal("the provider was sent nothing")
	}
	return request{}
}

// quiet fails if the provider was sent something.
func (p *standIn) quiet() {
	p.t.Helper()
	select {
	case r := <-p.requests:
		p.t.Fatalf("the provider was sent %v", r.body)
	default:
	}
}

// Keys that tests sign with. They are made once.
var (
	ecKey  = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	rsaKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func pemOf(key any) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(key))}))
}

// claimsOf checks the signature of a JSON Web Token and returns header and claims.
func claimsOf(t *testing.T, token string) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("token %q", token)
	}
	decode := base64.RawURLEncoding.DecodeString
	if err := json.Unmarshal(must(decode(parts[0])), &header); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(must(decode(parts[1])), &claims); err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	signature := must(decode(parts[2]))
	switch header["alg"] {
	case "ES256":
		r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
		if len(signature) != 64 || !ecdsa.Verify(&ecKey().PublicKey, digest[:], r, s) {
			t.Error("the signature does not verify")
		}
	case "RS256":
		if err := rsa.VerifyPKCS1v15(&rsaKey().PublicKey, crypto.SHA256, digest[:], signature); err != nil {
			t.Error(err)
		}
	default:
		t.Errorf("algorithm %v", header["alg"])
	}
	return header, claims
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

// noticing is a store that tells what becomes of notifications.
type noticing struct {
	*sqlite.Store
	outcomes chan outcome
}

// outcome is that a notification is finished, or tried again.
type outcome struct {
	finished bool
	attempts int
	due      int64
}

func (s *noticing) FinishNotification(ctx context.Context, id int64) error {
	err := s.Store.FinishNotification(ctx, id)
	s.outcomes <- outcome{finished: true}
	return err
}

func (s *noticing) RetryNotification(ctx context.Context, id int64, attempts int, due int64) error {
	err := s.Store.RetryNotification(ctx, id, attempts, due)
	s.outcomes <- outcome{attempts: attempts, due: due}
	return err
}

// next returns the next outcome.
func (s *noticing) next(t *testing.T) outcome {
	t.Helper()
	select {
	case o := <-s.outcomes:
		return o
	case <-time.After(patience):
		t.Fatal("no notification is finished or to be tried again")
		return outcome{}
	}
}

// world is a node without edges, with one application that has the providers apple and google.
type world struct {
	*testing.T
	*Service
	store    *noticing
	hub      *delivery.Hub
	delivery *delivery.Service
	clock    *clock.Clock
	provider *standIn
	app      *account.App
	log      *logBook
	stop     func() // ends the service's work
	observer atomic.Pointer[Service]
}

// Committed implements delivery.Observer for the service that there is now.
func (w *world) Committed(message store.Found, live bool) { w.observer.Load().Committed(message, live) }

func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	book := &logBook{}
	log := slog.New(slog.NewTextHandler(book, nil))
	s := &noticing{sqlitetest.Open(t, log), make(chan outcome, 1000)}
	n := accounttest.New(t, s, log)
	w := &world{T: t, store: s, hub: n.Hub, delivery: n.Delivery, clock: n.Clock, provider: newStandIn(t), app: n.App, log: book, stop: func() {}}
	w.Service = New(n.Accounts, w.store, w.delivery, w.clock, 0, NewMetrics(prometheus.NewRegistry()), log)
	w.fresh()
	w.delivery.Observe(w)
	t.Cleanup(func() { w.stop() })
	google := must(json.Marshal(map[string]string{"project_id": "proj", "client_email": "stoa@proj", "private_key_id": "k1",
		"private_key": pemOf(rsaKey()), "token_uri": w.provider.server.URL + "/token"}))
	w.set(map[string]any{"push_providers": []account.PushProvider{
		{Name: "apple", Type: account.ProviderAPNs, Secret: pemOf(ecKey()), KeyID: "KEY", TeamID: "TEAM", Topic: "org.example", URL: w.provider.server.URL},
		{Name: "google", Type: account.ProviderFCM, Secret: string(google), URL: w.provider.server.URL},
		{Name: "log", Type: account.ProviderLog},
	}})
	return w
}

// fresh puts a service in the place of the one that there is, as after a crash. It does not work yet.
func (w *world) fresh() {
	w.stop()
	w.stop = func() {}
	w.Service = New(w.Service.accounts, w.store, w.delivery, w.clock, 0, w.Service.metrics, w.Service.log)
	w.Service.client.Transport.(*http.Transport).TLSClientConfig.RootCAs = w.roots()
	w.observer.Store(w.Service)
}

func (w *world) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(w.provider.server.Certificate())
	return pool
}

// run has the service work.
func (w *world) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	service := w.Service
	go func() {
		defer close(done)
		service.Run(ctx)
	}()
	w.stop = func() {
		cancel()
		<-done
		service.client.CloseIdleConnections()
	}
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) set(settings map[string]any) {
	w.Helper()
	_, err := w.accounts.ChangeSettings(w.Context(), w.app, must(json.Marshal(settings)))
	w.must(err)
}

// user makes a user; with a notifier, one that has a device with a token.
func (w *world) user(name, notifier string) store.User {
	w.Helper()
	user, err := w.accounts.RegisterHashed(w.Context(), w.app, account.NewUser{Name: name}, "")
	w.must(err)
	if notifier != "" {
		w.must(w.Bind(w.Context(), w.app, user, "phone", notifier, "token-of-"+name))
	}
	return user
}

func text(words string) *msync.MessageBody_Content {
	return &msync.MessageBody_Content{Type: msync.MessageBody_Content_TEXT, Text: words}
}

// post is a message as the message service would post it.
func (w *world) post(from store.User, key store.Key, to string, what *msync.MessageBody_Content, ext map[string]any) delivery.Post {
	w.Helper()
	kind, domain := msync.MessageBody_CHAT, msync.UserDomain
	if key.Kind == store.KindMuc {
		kind, domain = msync.MessageBody_GROUPCHAT, msync.PlaceDomain
	}
	body := &msync.MessageBody{Type: kind, From: &msync.JID{Name: from.Name}, To: &msync.JID{Name: to}, Contents: []*msync.MessageBody_Content{what}}
	for name, value := range ext {
		kv := &msync.KeyValue{Key: name, Type: msync.KeyValue_JSON_STRING}
		if s, ok := value.(string); ok {
			kv.Type, kv.Value = msync.KeyValue_STRING, &msync.KeyValue_StringValue{StringValue: s}
		} else {
			kv.Value = &msync.KeyValue_StringValue{StringValue: string(must(json.Marshal(value)))}
		}
		body.Ext = append(body.Ext, kv)
	}
	meta, err := msync.StoredMeta(&msync.Meta{From: &msync.JID{Name: from.Name}, To: &msync.JID{Name: to, Domain: domain}, Ns: msync.Meta_CHAT,
		Payload: must(proto.Marshal(body))})
	w.must(err)
	return delivery.Post{Key: key, Sender: from.ID, Content: store.Content(what.Type + 1), Meta: meta}
}

// send sends a text from one user to another.
func (w *world) send(from, to store.User, words string, ext map[string]any) delivery.Result {
	w.Helper()
	r, err := w.delivery.AppendWait(w.Context(), w.post(from, store.PairKey(w.app.ID, from.ID, to.ID), to.Name, text(words), ext))
	w.must(err)
	return r
}
