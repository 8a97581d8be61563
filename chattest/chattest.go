// Package chattest gives the tests of a Go program a chat server of their own: in the process, on a free port, with an
// app, a clock that can be moved, and errors on demand.
//
//	func TestBotSurvivesBeingMuted(t *testing.T) {
//		server := chattest.Start(t)
//		bot := server.Login(t, "bot")
//		server.Rehearse(t, "bot", errcode.Muted)
//		_, err := bot.SendText(t.Context(), "alice", "hello")
//		…
//	}
//
// The server is the one that `stoa dev` runs, with its data in a folder that is removed at the end. Each test may start
// one; it takes some tens of milliseconds.
package chattest

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/stoa-chat/stoa/admin"
	"github.com/stoa-chat/stoa/chat"
	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/clock"
	"github.com/stoa-chat/stoa/internal/config"
	"github.com/stoa-chat/stoa/internal/server"
)

// Password is that of the users alice and bob, who are there from the start, and of those that User makes.
const Password = server.DevPassword

// Server is a running server. Its fields are read-only.
type Server struct {
	// URL is the base address of REST, and SocketURL that of the socket, for clients in any language.
	URL, SocketURL string
	// AppKey is the app, org#name, and the others its credentials for backends.
	AppKey, ClientID, ClientSecret, AppID, Certificate string
	// Admin calls the server as the app's backend.
	Admin *admin.Client

	clock *clock.Clock
}

// Start starts a server that ends with the test. The test fails if it cannot.
func Start(t testing.TB) *Server {
	t.Helper()
	k := clock.New()
	node, err := server.New(t.Context(), config.Config{Listen: "127.0.0.1:0", Data: t.TempDir(), App: server.DevApp, Rehearsal: true}, k,
		slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		t.Fatalf("chattest: start server: %v", err)
	}
	if err := node.SetUpDev(t.Context()); err != nil {
		node.Close()
		t.Fatalf("chattest: %v", err)
	}
	// Not the test's context: it ends before the clients of the test have closed.
	ctx, stop := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- node.Run(ctx, func() { close(ready) }) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("chattest: server: %v", err)
		}
	})
	<-ready
	s := &Server{URL: node.URL(), SocketURL: node.SocketURL(), AppKey: server.DevApp, ClientID: server.DevClientID,
		ClientSecret: server.DevClientSecret, AppID: server.DevAgoraID, Certificate: server.DevCertificate, clock: k}
	if s.Admin, err = admin.New(s.URL, s.AppKey, s.ClientID, s.ClientSecret); err != nil {
		t.Fatalf("chattest: %v", err)
	}
	t.Cleanup(s.Admin.HTTP.CloseIdleConnections)
	return s
}

// User makes a user with that name and no password, if there is none, and returns a token for it.
func (s *Server) User(t testing.TB, name string) (token string) {
	t.Helper()
	token, err := s.Admin.UserToken(t.Context(), name)
	if err != nil {
		t.Fatalf("chattest: make user %s: %v", name, err)
	}
	return token
}

// Client makes a client of the server that is not logged in. It is closed with the test.
func (s *Server) Client(t testing.TB, options ...chat.Option) *chat.Client {
	t.Helper()
	quiet := chat.WithLogger(slog.New(slog.NewTextHandler(io.Discard, nil)))
	client, err := chat.New(s.AppKey, append([]chat.Option{chat.WithServer(s.URL), quiet}, options...)...)
	if err != nil {
		t.Fatalf("chattest: make client: %v", err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// Login makes the user if there is none, and a client that is logged in as that user. Listeners that must not miss
// anything are added to a Client before it logs in.
func (s *Server) Login(t testing.TB, name string, options ...chat.Option) *chat.Client {
	t.Helper()
	client := s.Client(t, options...)
	if err := client.Login(t.Context(), name, chat.Token(s.User(t, name))); err != nil {
		t.Fatalf("chattest: log in %s: %v", name, err)
	}
	return client
}

// Advance moves the server's clock forward: tokens end, mutes end, messages become too old to be recalled, at once. It
// never goes back.
func (s *Server) Advance(d time.Duration) { s.clock.Advance(d) }

// Rehearse makes the next fitting situation of a user end with a code. The test fails if no server can raise the code.
func (s *Server) Rehearse(t testing.TB, user string, code errcode.Code) admin.Rehearsal {
	t.Helper()
	return s.RehearseAs(t, admin.RehearsalRequest{User: user, Code: code})
}

// RehearseAs is Rehearse with a say in how long, how often, and for faults that are no code.
func (s *Server) RehearseAs(t testing.TB, request admin.RehearsalRequest) admin.Rehearsal {
	t.Helper()
	rehearsal, err := s.Admin.Rehearse(t.Context(), request)
	if err != nil {
		t.Fatalf("chattest: rehearse: %v", err)
	}
	return rehearsal
}

// StopRehearsals ends all rehearsals.
func (s *Server) StopRehearsals(t testing.TB) {
	t.Helper()
	if err := s.Admin.StopRehearsal(t.Context(), ""); err != nil {
		t.Fatalf("chattest: stop rehearsals: %v", err)
	}
}
