package migrate_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/stoa-chat/stoa/admin"
	"github.com/stoa-chat/stoa/chat"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/clock"
	"github.com/stoa-chat/stoa/internal/config"
	"github.com/stoa-chat/stoa/internal/server"
)

const (
	app          = "acme#chat"
	clientID     = "acme-id"
	clientSecret = "acme-secret"
)

// node is a running server with an app of its own.
type node struct {
	*testing.T
	url  string
	stop func()
}

// serve runs a server on data that is there, or makes the app.
func serve(t *testing.T, c config.Config) *node {
	t.Helper()
	c.Listen = "127.0.0.1:0"
	s, err := server.New(t.Context(), c, clock.New(), slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		t.Fatal(err)
	}
	if s.Accounts().Apps() == 0 {
		_, err := s.Accounts().CreateApp(t.Context(), account.NewApp{Key: app, ClientID: clientID, ClientSecret: clientSecret, Settings: account.DefaultSettings()})
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- s.Run(ctx, func() { close(ready) }) }()
	n := &node{T: t, url: s.URL(), stop: sync.OnceFunc(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("server: %v", err)
		}
	})}
	t.Cleanup(n.stop)
	<-ready
	return n
}

func (n *node) admin() *admin.Client {
	n.Helper()
	c, err := admin.New(n.url, app, clientID, clientSecret)
	n.must(err)
	return c
}

func (n *node) client(user string, credential chat.Credential) *chat.Client {
	n.Helper()
	c, err := chat.New(app, chat.WithServer(n.url), chat.WithLogger(slog.New(slog.DiscardHandler)))
	n.must(err)
	n.Cleanup(func() { c.Close() })
	n.must(c.Login(n.Context(), user, credential))
	return c
}

// rest calls the server as the app's backend and returns the answer.
func (n *node) rest(method, path, body string) map[string]any {
	n.Helper()
	call := func(method, path, token, body string) map[string]any {
		r, err := http.NewRequestWithContext(n.Context(), method, n.url+"/acme/chat"+path, strings.NewReader(body))
		n.must(err)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+token)
		response, err := http.DefaultClient.Do(r)
		n.must(err)
		defer response.Body.Close()
		var answer map[string]any
		n.must(json.NewDecoder(response.Body).Decode(&answer))
		if response.StatusCode != http.StatusOK {
			n.Fatalf("%s %s: %v", method, path, answer)
		}
		return answer
	}
	app := call("POST", "/token", "", fmt.Sprintf(`{"grant_type":"client_credentials","client_id":%q,"client_secret":%q}`, clientID, clientSecret))
	return call(method, path, app["access_token"].(string), body)
}

func (n *node) must(err error) {
	n.Helper()
	if err != nil {
		n.Fatal(err)
	}
}

// postgres makes an empty schema and returns the URL that leads to it.
func postgres(t *testing.T) string {
	t.Helper()
	text := os.Getenv("STOA_TEST_POSTGRES")
	if text == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("STOA_TEST_POSTGRES is not set")
		}
		t.Skip("needs a database: export STOA_TEST_POSTGRES=$(scripts/postgres.sh start DIR)")
	}
	link, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("migrate_%d", os.Getpid())
	run := func(statement string) {
		conn, err := pgx.Connect(context.Background(), text)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		if _, err := conn.Exec(context.Background(), statement); err != nil {
			t.Fatal(err)
		}
	}
	run("CREATE SCHEMA " + name)
	t.Cleanup(func() { run("DROP SCHEMA " + name + " CASCADE") })
	values := link.Query()
	values.Set("search_path", name)
	link.RawQuery = values.Encode()
	return link.String()
}
