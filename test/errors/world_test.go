// Package errors arranges, for each code of the catalogue, the situation that it names, and looks how the Go SDK reports
// it. With STOA_ERRORS=FILE it writes down what it has seen; `make errors` prints that as a table.
package errors

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stoa-chat/stoa/chat"
	"github.com/stoa-chat/stoa/chattest"
	"github.com/stoa-chat/stoa/errcode"
)

// The ways in which a code reaches a Go program.
const (
	goReturn    = "go return"
	goOnError   = "go onError"
	goRehearsed = "rehearsed go"
)

var recording sync.Mutex

// record writes down what became of a test that shows how a code arrives.
func record(t *testing.T, code errcode.Code, way string) {
	path := os.Getenv("STOA_ERRORS")
	if path == "" {
		return
	}
	line, err := json.Marshal(map[string]any{"code": code, "way": way, "ok": !t.Failed(), "by": t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	recording.Lock()
	defer recording.Unlock()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(append(line, '\n')); err != nil {
		t.Fatal(err)
	}
}

// shows runs a test of one code and records it.
func shows(t *testing.T, code errcode.Code, way string, body func(t *testing.T)) {
	t.Helper()
	t.Run(code.String()+" as "+way, func(t *testing.T) {
		defer func() { record(t, code, way) }()
		body(t)
	})
}

// want fails the test if the error has another code. A code that is wrapped counts, too.
func want(t *testing.T, err error, code errcode.Code) {
	t.Helper()
	if !errors.Is(err, code) {
		t.Fatalf("got %v, want %d", err, code)
	}
	if e := (*chat.Error)(nil); !errors.As(err, &e) || e.Message == "" || e.Remedy() == "" {
		t.Errorf("%v explains nothing", err)
	}
}

// ok fails the test on an error.
func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// must returns the value and fails the test on an error.
func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		ok(t, err)
		return v
	}
}

// world is a server of its own for one test.
type world struct{ *chattest.Server }

func newWorld(t *testing.T) world { return world{chattest.Start(t)} }

// admin calls the server as the app's backend, and fails the test if it refuses.
func (w world) admin(t *testing.T, method, path string, body any) map[string]any {
	t.Helper()
	token := w.appToken(t)
	text, err := json.Marshal(body)
	ok(t, err)
	request, err := http.NewRequestWithContext(t.Context(), method, w.URL+"/stoa/demo"+path, bytes.NewReader(text))
	ok(t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	ok(t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	ok(t, err)
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s %s", method, path, response.Status, content)
	}
	var answer map[string]any
	ok(t, json.Unmarshal(content, &answer))
	return answer
}

func (w world) appToken(t *testing.T) string {
	t.Helper()
	text, err := json.Marshal(map[string]string{"grant_type": "client_credentials", "client_id": w.ClientID, "client_secret": w.ClientSecret})
	ok(t, err)
	response, err := http.Post(w.URL+"/stoa/demo/token", "application/json", bytes.NewReader(text))
	ok(t, err)
	defer response.Body.Close()
	var answer struct {
		Token string `json:"access_token"`
	}
	ok(t, json.NewDecoder(response.Body).Decode(&answer))
	return answer.Token
}

// set changes a setting of the app.
func (w world) set(t *testing.T, name string, value any) {
	t.Helper()
	_, err := w.Admin.ChangeSettings(t.Context(), map[string]any{name: value})
	ok(t, err)
}

// told is what a listener hears.
type told struct {
	errors       chan *chat.Error
	disconnected chan error
	texts        chan *chat.Message
}

func listen(c *chat.Client) *told {
	h := &told{make(chan *chat.Error, 100), make(chan error, 10), make(chan *chat.Message, 100)}
	c.AddEventListener("conformance", chat.Listener{
		OnError:        func(err *chat.Error) { h.errors <- err },
		OnDisconnected: func(err error) { h.disconnected <- err },
		OnTextMessage:  func(m *chat.Message) { h.texts <- m },
	})
	return h
}

func next[T any](t *testing.T, from chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(10 * time.Second):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// cable is a way to the server that can be cut.
type cable struct {
	listener net.Listener
	server   string
	mu       sync.Mutex
	cut      bool
	conns    map[net.Conn]struct{}
	last     net.Conn // the client's end of the newest connection
	done     sync.WaitGroup
}

func newCable(t *testing.T, server string) *cable {
	t.Helper()
	to, err := url.Parse(server)
	ok(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	c := &cable{listener: l, server: to.Host, conns: map[net.Conn]struct{}{}}
	c.done.Go(c.serve)
	t.Cleanup(func() {
		l.Close()
		c.Cut()
		c.done.Wait()
	})
	return c
}

// URL is the server's address by way of the cable.
func (c *cable) URL() string { return "http://" + c.listener.Addr().String() }

func (c *cable) serve() {
	for {
		near, err := c.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", c.server)
		if err != nil || !c.add(near, far) {
			near.Close()
			if far != nil {
				far.Close()
			}
			continue
		}
		c.done.Go(func() { c.pump(near, far) })
		c.done.Go(func() { c.pump(far, near) })
	}
}

func (c *cable) add(ends ...net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, end := range ends {
		if !c.cut {
			c.conns[end] = struct{}{}
		}
	}
	c.last = ends[0]
	return !c.cut
}

func (c *cable) pump(to, from net.Conn) {
	io.Copy(to, from)
	to.Close()
	from.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.conns, to)
	delete(c.conns, from)
}

// Cut ends all connections and lets none through any more.
func (c *cable) Cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = true
	for conn := range c.conns {
		conn.Close()
	}
}

// Say puts bytes on the way to the client, as if the server had sent them.
func (c *cable) Say(data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last.Write(data)
}

// impatient are time-outs and pauses for tests.
var impatient = []chat.Option{
	chat.WithTimeouts(chat.Timeouts{Dial: 5 * time.Second, Login: 5 * time.Second, Send: 5 * time.Second, Request: 5 * time.Second}),
	chat.WithReconnect(chat.Reconnect{Attempts: 2, Min: time.Millisecond, Max: 5 * time.Millisecond}),
}

// client makes a client that is listened to.
func (w world) client(t *testing.T, options ...chat.Option) (*chat.Client, *told) {
	t.Helper()
	c := w.Client(t, append(append([]chat.Option{}, impatient...), options...)...)
	return c, listen(c)
}

// login makes a client that is listened to, and logs in.
func (w world) login(t *testing.T, user string, options ...chat.Option) (*chat.Client, *told) {
	t.Helper()
	c, h := w.client(t, options...)
	ok(t, c.Login(t.Context(), user, chat.Token(w.User(t, user))))
	return c, h
}

// within returns a context that ends soon, for calls that would wait.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
