package chat_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stoa-chat/stoa/chat"
	"github.com/stoa-chat/stoa/errcode"
)

// These tests run the SDK against the real server: the program that STOA_BIN names, or bin/stoa of this repository.

const patience = 10 * time.Second // for what happens at once

// server is a running `stoa dev`.
type server struct {
	url string
	cmd *exec.Cmd
}

var restAddress = regexp.MustCompile(`https?://[^\s"]+`)

// launch starts the server and waits until it tells its address. It is killed with the test.
func launch(t *testing.T, args ...string) *server {
	t.Helper()
	program := os.Getenv("STOA_BIN")
	if program == "" {
		program = filepath.Join("..", "bin", "stoa")
	}
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("the server's program is missing: %v; build it with `go build -o bin/stoa ./cmd/stoa`, or name it in STOA_BIN", err)
	}
	cmd := exec.Command(program, append([]string{"dev"}, args...)...)
	output, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = in, in
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in.Close()
	s := &server{cmd: cmd}

	address := make(chan string, 1)
	var said strings.Builder
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer output.Close()
		lines := bufio.NewScanner(output)
		for lines.Scan() {
			fmt.Fprintln(&said, lines.Text())
			if found := restAddress.FindString(lines.Text()); found != "" && strings.Contains(lines.Text(), "REST") && len(address) == 0 {
				address <- found
			}
		}
	}()
	t.Cleanup(func() {
		s.kill()
		<-read // the pipe ends with the server
		if t.Failed() {
			t.Logf("the server said:\n%s", said.String())
		}
	})
	select {
	case found := <-address:
		u, err := url.Parse(found)
		if err != nil {
			t.Fatal(err)
		}
		s.url = u.Scheme + "://" + u.Host
	case <-read:
		t.Fatal("the server ended before it told its address")
	case <-time.After(3 * patience):
		t.Fatal("the server did not tell its address")
	}
	return s
}

// kill ends the server without warning.
func (s *server) kill() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

// startServer returns the address of a server of the test's own.
func startServer(t *testing.T) (url string) {
	t.Helper()
	return launch(t, "--listen", "127.0.0.1:0").url
}

// rest makes a REST call of the app's backend and decodes the answer.
func rest(t *testing.T, server, token, method, path string, body any) map[string]any {
	t.Helper()
	var in io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		in = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, server+"/stoa/demo"+path, in)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	req.Close = true // no idle connection outlives the test
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s is answered with %d %s", method, path, resp.StatusCode, text)
	}
	var answer map[string]any
	if err := json.Unmarshal(text, &answer); err != nil {
		t.Fatalf("%s %s is answered with %s: %v", method, path, text, err)
	}
	return answer
}

func appToken(t *testing.T, server string) string {
	t.Helper()
	answer := rest(t, server, "", "POST", "/token", map[string]any{
		"grant_type": "client_credentials", "client_id": "stoa-demo-id", "client_secret": "stoa-demo-secret",
	})
	token, _ := answer["access_token"].(string)
	if token == "" {
		t.Fatalf("no app token in %v", answer)
	}
	return token
}

func userToken(t *testing.T, server, user, password string, more map[string]any) string {
	t.Helper()
	body := map[string]any{"grant_type": "password", "username": user, "password": password}
	for k, v := range more {
		body[k] = v
	}
	token, _ := rest(t, server, "", "POST", "/token", body)["access_token"].(string)
	if token == "" {
		t.Fatalf("no token for %s", user)
	}
	return token
}

// register makes a user of the test's own, with the password "pw".
func register(t *testing.T, server, user string) {
	t.Helper()
	rest(t, server, appToken(t, server), "POST", "/users", map[string]any{"username": user, "password": "pw"})
}

// watch is what the listeners of a client see.
type watch struct {
	connected, reconnecting chan struct{}
	texts, messages         chan *chat.Message
	delivered, read, whole  chan *chat.Receipt
	errs                    chan *chat.Error
	disconnected            chan error
}

// newClient returns a client that is closed with the test.
func newClient(t *testing.T, server string, opts ...chat.Option) (*chat.Client, *watch) {
	t.Helper()
	c, err := chat.New("stoa#demo", append([]chat.Option{chat.WithServer(server)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	const enough = 1000
	w := &watch{
		connected: make(chan struct{}, enough), reconnecting: make(chan struct{}, enough),
		texts: make(chan *chat.Message, enough), messages: make(chan *chat.Message, enough),
		delivered: make(chan *chat.Receipt, enough), read: make(chan *chat.Receipt, enough), whole: make(chan *chat.Receipt, enough),
		errs: make(chan *chat.Error, enough), disconnected: make(chan error, enough),
	}
	c.AddEventListener("watch", chat.Listener{
		OnConnected:        func() { w.connected <- struct{}{} },
		OnReconnecting:     func() { w.reconnecting <- struct{}{} },
		OnTextMessage:      func(m *chat.Message) { w.texts <- m },
		OnMessage:          func(m *chat.Message) { w.messages <- m },
		OnDeliveredMessage: func(r *chat.Receipt) { w.delivered <- r },
		OnReadMessage:      func(r *chat.Receipt) { w.read <- r },
		OnConversationRead: func(r *chat.Receipt) { w.whole <- r },
		OnError:            func(err *chat.Error) { w.errs <- err },
		OnDisconnected:     func(err error) { w.disconnected <- err },
	})
	return c, w
}

func login(t *testing.T, server, user, password string, opts ...chat.Option) (*chat.Client, *watch) {
	t.Helper()
	c, w := newClient(t, server, opts...)
	if err := c.Login(t.Context(), user, chat.Password(password)); err != nil {
		t.Fatal(err)
	}
	next(t, w.connected, "OnConnected")
	return c, w
}

func next[T any](t *testing.T, events <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-events:
		return v
	case <-time.After(patience):
		t.Fatalf("%s did not come within %v", what, patience)
		panic("unreachable")
	}
}

func want(t *testing.T, err error, code errcode.Code) {
	t.Helper()
	var e *chat.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Fatalf("error is %v, want %d", err, code)
	}
}

func TestAgainstTheServer(t *testing.T) {
	server := startServer(t)

	t.Run("login by password and by token", func(t *testing.T) {
		c, w := login(t, server, "alice", "stoa")
		want(t, c.Login(t.Context(), "alice", chat.Password("stoa")), errcode.AlreadyLoggedIn)
		if err := c.Logout(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := next(t, w.disconnected, "OnDisconnected"); err != nil {
			t.Errorf("OnDisconnected got %v after Logout", err)
		}
		token := userToken(t, server, "alice", "stoa", nil)
		if err := c.Login(t.Context(), "alice", chat.Token(token)); err != nil {
			t.Fatal(err)
		}
		if err := c.RenewToken(t.Context(), userToken(t, server, "alice", "stoa", nil)); err != nil {
			t.Errorf("renew token: %v", err)
		}
		if err := c.Logout(t.Context()); err != nil {
			t.Fatal(err)
		}
		provider := chat.TokenProvider(func(context.Context) (string, error) { return token, nil })
		if err := c.Login(t.Context(), "alice", provider); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("refused logins", func(t *testing.T) {
		alices := userToken(t, server, "alice", "stoa", nil)
		for name, tt := range map[string]struct {
			app, user string
			cred      chat.Credential
			code      errcode.Code
			inner     errcode.Code
			reported  bool
		}{
			"wrong password":       {"stoa#demo", "alice", chat.Password("wrong"), errcode.LoginFailed, errcode.RequestFailed, false},
			"unknown user":         {"stoa#demo", "nobody", chat.Password("stoa"), errcode.LoginFailed, errcode.UserNotFound, false},
			"empty token":          {"stoa#demo", "alice", chat.Token(""), errcode.InvalidToken, errcode.InvalidToken, true},
			"no token at all":      {"stoa#demo", "alice", chat.Token("nonsense"), errcode.InvalidToken, errcode.InvalidToken, true},
			"another user's token": {"stoa#demo", "bob", chat.Token(alices), errcode.InvalidToken, errcode.InvalidToken, true},
			"unknown app":          {"stoa#nowhere", "alice", chat.Password("stoa"), errcode.InvalidAppKey, errcode.InvalidAppKey, false},
			"unknown app by token": {"stoa#nowhere", "alice", chat.Token(alices), errcode.AuthFailed, errcode.AuthFailed, true},
		} {
			t.Run(name, func(t *testing.T) {
				c, err := chat.New(tt.app, chat.WithServer(server))
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				errs := make(chan *chat.Error, 10)
				c.AddEventListener("errors", chat.Listener{OnError: func(e *chat.Error) { errs <- e }})
				err = c.Login(t.Context(), tt.user, tt.cred)
				want(t, err, tt.code)
				if !errors.Is(err, tt.inner) {
					t.Errorf("%v does not wrap %d", err, tt.inner)
				}
				if tt.reported {
					want(t, next(t, errs, "OnError"), tt.code)
				}
			})
		}
	})

	t.Run("an expired token is 56", func(t *testing.T) {
		token := userToken(t, server, "alice", "stoa", map[string]any{"ttl": 1})
		c, w := newClient(t, server)
		deadline := time.Now().Add(6 * patience)
		for {
			err := c.Login(t.Context(), "alice", chat.Token(token))
			if err != nil {
				want(t, err, errcode.TokenExpired)
				return
			}
			// Still valid: it ends the session when it expires.
			want(t, next(t, w.disconnected, "OnDisconnected"), errcode.TokenExpired)
			if time.Now().After(deadline) {
				t.Fatal("the server goes on accepting the token")
			}
		}
	})

	t.Run("no server is 40 and 12", func(t *testing.T) {
		c, w := newClient(t, "http://127.0.0.1:1")
		want(t, c.Login(t.Context(), "alice", chat.Password("stoa")), errcode.TokenFetchFailed)
		want(t, c.Login(t.Context(), "alice", chat.Token("t")), errcode.ConnectionFailed)
		want(t, next(t, w.errs, "OnError"), errcode.ConnectionFailed)
	})

	t.Run("local refusals", func(t *testing.T) {
		_, err := chat.New("stoademo", chat.WithServer(server))
		want(t, err, errcode.InvalidAppKey)
		c, _ := newClient(t, server)
		_, err = c.SendText(t.Context(), "bob", "hi")
		want(t, err, errcode.NotLoggedIn)
		c.Close()
		_, err = c.SendText(t.Context(), "bob", "hi")
		want(t, err, errcode.NotLoggedIn)
		want(t, c.Login(t.Context(), "alice", chat.Password("stoa")), errcode.NotLoggedIn)
	})

	t.Run("text both ways", func(t *testing.T) {
		alice, aw := login(t, server, "alice", "stoa")
		bob, bw := login(t, server, "bob", "stoa")
		ext := map[string]any{"n": int64(7), "f": 1.5, "b": true, "s": "x", "j": map[string]any{"k": []any{"v"}}}
		sent, err := alice.SendText(t.Context(), "bob", "hi ☕", chat.WithExt(ext))
		if err != nil {
			t.Fatal(err)
		}
		if sent.ID == "" || sent.ClientID == "" || time.Since(sent.Time).Abs() > time.Minute {
			t.Errorf("sent message is %+v", sent)
		}
		got := next(t, bw.texts, "bob's message")
		if got.ID != sent.ID || got.From != "alice" || got.To != "bob" || got.Conversation != "alice" || got.Text != "hi ☕" || !got.Time.Equal(sent.Time) {
			t.Errorf("received %+v, sent %+v", got, sent)
		}
		if diff := cmp.Diff(ext, got.Ext); diff != "" {
			t.Errorf("extension differs (-want +got):\n%s", diff)
		}
		if same := next(t, bw.messages, "bob's message"); same != got {
			t.Errorf("OnMessage got another message: %+v", same)
		}
		back, err := bob.SendText(t.Context(), "alice", "hello")
		if err != nil {
			t.Fatal(err)
		}
		if got := next(t, aw.texts, "alice's message"); got.ID != back.ID || got.Text != "hello" {
			t.Errorf("alice received %+v", got)
		}
		// Again under the same client id: the same message, and no second copy.
		again, err := alice.SendText(t.Context(), "bob", "hi ☕", chat.WithExt(ext), chat.WithClientID(sent.ClientID))
		if err != nil || again.ID != sent.ID {
			t.Errorf("the same message again is %+v, %v, want id %s", again, err, sent.ID)
		}
		if _, err := alice.Send(t.Context(), "bob", chat.Content{Kind: chat.KindCustom, Event: "gift", Params: map[string]any{"n": "1"}}); err != nil {
			t.Fatal(err)
		}
		if got := next(t, bw.messages, "bob's message"); got.Kind != chat.KindCustom || got.Event != "gift" || got.Params["n"] != "1" {
			t.Errorf("custom message is %+v", got)
		}
	})

	t.Run("the sender's other device sees what was sent", func(t *testing.T) {
		register(t, server, "carol")
		one, ow := login(t, server, "carol", "pw")
		_, tw := login(t, server, "carol", "pw")
		sent, err := one.SendText(t.Context(), "bob", "to bob")
		if err != nil {
			t.Fatal(err)
		}
		if got := next(t, tw.texts, "the message"); got.ID != sent.ID || got.From != "carol" || got.Conversation != "bob" {
			t.Errorf("the other device got %+v", got)
		}
		if len(ow.texts) > 0 {
			t.Error("the sending device got its own message")
		}
	})

	t.Run("receipts", func(t *testing.T) {
		register(t, server, "dora")
		alice, aw := login(t, server, "alice", "stoa")
		dora, dw := login(t, server, "dora", "pw", chat.WithDeliveryReceipts())
		sent, err := alice.SendText(t.Context(), "dora", "hi")
		if err != nil {
			t.Fatal(err)
		}
		got := next(t, dw.texts, "the message")
		if r := next(t, aw.delivered, "the delivery receipt"); r.MessageID != sent.ID || r.From != "dora" || r.Conversation != "dora" {
			t.Errorf("delivery receipt is %+v", r)
		}
		if err := dora.SendRead(t.Context(), got); err != nil {
			t.Fatal(err)
		}
		if r := next(t, aw.read, "the read receipt"); r.MessageID != sent.ID || r.From != "dora" {
			t.Errorf("read receipt is %+v", r)
		}
		if err := dora.SendConversationRead(t.Context(), "alice"); err != nil {
			t.Fatal(err)
		}
		if r := next(t, aw.whole, "the receipt for the conversation"); r.From != "dora" || r.Conversation != "dora" {
			t.Errorf("receipt is %+v", r)
		}
	})

	t.Run("offline messages come at the login", func(t *testing.T) {
		register(t, server, "erin")
		alice, _ := login(t, server, "alice", "stoa")
		send := func(texts ...string) {
			t.Helper()
			for _, text := range texts {
				if _, err := alice.SendText(t.Context(), "erin", text); err != nil {
					t.Fatal(err)
				}
			}
		}
		expect := func(w *watch, texts ...string) {
			t.Helper()
			for _, text := range texts {
				if got := next(t, w.texts, "the message "+text); got.Text != text {
					t.Fatalf("received %q, want %q", got.Text, text)
				}
			}
		}
		var many []string
		for i := range 250 {
			many = append(many, fmt.Sprintf("message %d", i))
		}
		send(many...)
		erin, w := login(t, server, "erin", "pw", chat.WithDevice("go_erin"))
		expect(w, many...)
		send("online")
		expect(w, "online")
		erin.Close()
		send("late 1", "late 2")
		_, w = login(t, server, "erin", "pw", chat.WithDevice("go_erin"))
		// A message is acknowledged after its callback has returned, and the client was closed at that moment: the last
		// one may come again.
		if first := next(t, w.texts, "the first message"); first.Text == "online" {
			expect(w, "late 1", "late 2")
		} else if first.Text != "late 1" {
			t.Fatalf("received %q first", first.Text)
		} else {
			expect(w, "late 2")
		}
		if len(w.texts) > 0 {
			t.Errorf("received more: %+v", <-w.texts)
		}
	})

	t.Run("kicks", func(t *testing.T) {
		for name, tt := range map[string]struct {
			user         string
			method, path string
			body         any
			code         errcode.Code
		}{
			"disconnected": {"kick1", "GET", "/users/kick1/disconnect", nil, errcode.KickedByOtherDevice},
			"new password": {"kick2", "PUT", "/users/kick2/password", map[string]any{"newpassword": "new"}, errcode.PasswordChanged},
			"removed":      {"kick3", "DELETE", "/users/kick3", nil, errcode.UserRemoved},
		} {
			t.Run(name, func(t *testing.T) {
				register(t, server, tt.user)
				c, w := login(t, server, tt.user, "pw")
				rest(t, server, appToken(t, server), tt.method, tt.path, tt.body)
				want(t, next(t, w.errs, "OnError"), tt.code)
				want(t, next(t, w.disconnected, "OnDisconnected"), tt.code)
				_, err := c.SendText(t.Context(), "bob", "hi")
				want(t, err, errcode.NotLoggedIn)
				if len(w.reconnecting) > 0 {
					t.Error("the client reconnects after a kick")
				}
				if tt.code == errcode.KickedByOtherDevice {
					if err := c.Login(t.Context(), tt.user, chat.Password("pw")); err != nil {
						t.Errorf("login after a kick: %v", err)
					}
				}
			})
		}
	})

	t.Run("one device too many", func(t *testing.T) {
		register(t, server, "frank")
		_, first := login(t, server, "frank", "pw")
		for range 4 {
			login(t, server, "frank", "pw")
		}
		want(t, next(t, first.errs, "OnError"), errcode.LoginAnotherDevice)
		want(t, next(t, first.disconnected, "OnDisconnected"), errcode.LoginAnotherDevice)
	})

	t.Run("a panic in a callback is 31", func(t *testing.T) {
		register(t, server, "gina")
		alice, _ := login(t, server, "alice", "stoa")
		gina, w := login(t, server, "gina", "pw")
		gina.AddEventListener("bad", chat.Listener{OnTextMessage: func(m *chat.Message) { panic(m.Text) }})
		for _, text := range []string{"one", "two"} {
			if _, err := alice.SendText(t.Context(), "gina", text); err != nil {
				t.Fatal(err)
			}
			if got := next(t, w.texts, "the message"); got.Text != text {
				t.Errorf("received %q", got.Text)
			}
			want(t, next(t, w.errs, "OnError"), errcode.CallbackPanic)
		}
	})

	t.Run("refused messages", func(t *testing.T) {
		alice, _ := login(t, server, "alice", "stoa")
		_, err := alice.SendText(t.Context(), "nobody", "hi")
		want(t, err, errcode.UserNotFound)
		for _, size := range []int{6_000, 100_000} { // the app's limit, and a frame's
			_, err = alice.SendText(t.Context(), "bob", strings.Repeat("x", size))
			want(t, err, errcode.MessageTooLarge)
		}
		if _, err := alice.SendText(t.Context(), "bob", "still here"); err != nil {
			t.Error(err)
		}
	})
}

func TestReconnectsToAServerThatWasKilled(t *testing.T) {
	data := t.TempDir()
	first := launch(t, "--listen", "127.0.0.1:0", "--data", data)
	quick := chat.WithReconnect(chat.Reconnect{Attempts: -1, Min: 50 * time.Millisecond, Max: 200 * time.Millisecond})
	alice, aw := login(t, first.url, "alice", "stoa", quick)
	_, bw := login(t, first.url, "bob", "stoa", quick)
	if _, err := alice.SendText(t.Context(), "bob", "before"); err != nil {
		t.Fatal(err)
	}
	if got := next(t, bw.texts, "the message"); got.Text != "before" {
		t.Errorf("received %q", got.Text)
	}

	first.kill()
	want(t, next(t, aw.errs, "OnError"), errcode.Disconnected)
	next(t, aw.reconnecting, "OnReconnecting")
	next(t, bw.reconnecting, "OnReconnecting")
	type result struct {
		m   *chat.Message
		err error
	}
	sent := make(chan result, 1)
	go func() { // waits in the offline queue
		m, err := alice.SendText(t.Context(), "bob", "between")
		sent <- result{m, err}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := alice.SendText(ctx, "bob", "never")
	want(t, err, errcode.ClientOffline)

	address, err := url.Parse(first.url)
	if err != nil {
		t.Fatal(err)
	}
	launch(t, "--listen", address.Host, "--data", data)
	next(t, aw.connected, "OnConnected")
	next(t, bw.connected, "OnConnected")
	between := next(t, sent, "the answer")
	if between.err != nil {
		t.Fatal(between.err)
	}
	if got := next(t, bw.texts, "the message"); got.ID != between.m.ID || got.Text != "between" {
		t.Errorf("received %+v, want %q once", got, "between")
	}
	if _, err := alice.SendText(t.Context(), "bob", "after"); err != nil {
		t.Fatal(err)
	}
	if got := next(t, bw.texts, "the message"); got.Text != "after" {
		t.Errorf("received %q", got.Text)
	}
	if len(aw.disconnected)+len(bw.disconnected) > 0 {
		t.Error("OnDisconnected was called though the client reconnected")
	}
}
