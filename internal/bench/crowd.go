package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// atOnce is how many users are registered or signed in at a time.
const atOnce = 16

// heartbeat is how often the web client looks whether something came down.
const heartbeat = 30 * time.Second

// Target is a server, an app on it, and the credentials with which users of the app are made.
type Target struct {
	URL          string // http or https, without a path that is not the server's
	App          string // "org#app"
	ClientID     string
	ClientSecret string
}

// Crowd is a set of signed-in users. Their sessions send the web client's heartbeat, so that they stay. It is safe for
// concurrent use.
type Crowd struct {
	target Target
	http   *http.Client
	token  string // of the app
	prefix string // of user names: unique
	stop   chan struct{}
	beats  sync.WaitGroup

	mu       sync.Mutex
	sessions []*session
}

// Idle registers n users, 16 at a time, and signs them in. They receive and acknowledge what comes and send nothing.
// ctx covers the signing in only; the caller must Close the crowd.
func Idle(ctx context.Context, target Target, n int) (*Crowd, error) {
	c, err := gather(ctx, target, heartbeat)
	if err != nil {
		return nil, err
	}
	err = parallel(ctx, n, func(ctx context.Context, i int) error {
		name := c.name("i", i)
		token, err := c.register(ctx, name)
		if err == nil {
			_, err = c.login(ctx, name, token, idle{})
		}
		return err
	})
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Online is how many of the users' sockets are open.
func (c *Crowd) Online() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, s := range c.sessions {
		select {
		case <-s.done:
		default:
			n++
		}
	}
	return n
}

// Close signs everyone out and waits until all is still. It must be called once.
func (c *Crowd) Close() {
	close(c.stop)
	c.mu.Lock()
	var leaving sync.WaitGroup
	for _, s := range c.sessions {
		leaving.Go(s.close)
	}
	leaving.Wait()
	c.mu.Unlock()
	c.beats.Wait() // after the sockets: a beat may be held up by one
	c.http.CloseIdleConnections()
}

type idle struct{}

func (idle) received(uint64, []byte)        {}
func (idle) answered(_, _ uint64, _ []byte) {}
func (idle) broke(error)                    {}

// gather makes a crowd without people: it gets the app's token.
func gather(ctx context.Context, target Target, beat time.Duration) (*Crowd, error) {
	target.URL = strings.TrimSuffix(target.URL, "/")
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = atOnce
	c := &Crowd{target: target, http: &http.Client{Transport: transport, Timeout: 30 * time.Second}, stop: make(chan struct{}),
		prefix: "bench-" + strconv.FormatInt(time.Now().UnixNano(), 36)}
	var err error
	c.token, err = c.askToken(ctx, "", map[string]any{
		"grant_type": "client_credentials", "client_id": target.ClientID, "client_secret": target.ClientSecret})
	if err != nil {
		c.http.CloseIdleConnections()
		return nil, fmt.Errorf("get app token: %w", err)
	}
	c.beats.Go(func() { c.beat(beat) })
	return c, nil
}

func (c *Crowd) name(role string, i int) string { return c.prefix + "-" + role + strconv.Itoa(i) }

// register makes a user without a password and returns a token for it.
func (c *Crowd) register(ctx context.Context, name string) (string, error) {
	token, err := c.askToken(ctx, c.token, map[string]any{"grant_type": "inherit", "username": name, "autoCreateUser": true})
	if err != nil {
		return "", fmt.Errorf("register %s: %w", name, err)
	}
	return token, nil
}

func (c *Crowd) askToken(ctx context.Context, bearer string, ask map[string]any) (string, error) {
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := c.post(ctx, "/token", bearer, ask, &answer); err != nil {
		return "", err
	}
	if answer.AccessToken == "" {
		return "", errors.New("the answer holds no access_token")
	}
	return answer.AccessToken, nil
}

// post sends JSON to a path below the app and decodes the answer.
func (c *Crowd) post(ctx context.Context, path, bearer string, ask, answer any) error {
	org, app, ok := strings.Cut(c.target.App, "#")
	if !ok {
		return fmt.Errorf("app %q is not of the form org#app", c.target.App)
	}
	body, err := json.Marshal(ask)
	if err != nil {
		return err
	}
	address := c.target.URL + "/" + url.PathEscape(org) + "/" + url.PathEscape(app) + path
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	if bearer != "" {
		request.Header.Set("Authorization", "Bearer "+bearer)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %.200s", response.Status, content)
	}
	if err := json.Unmarshal(content, answer); err != nil {
		return fmt.Errorf("decode answer %.200q: %w", content, err)
	}
	return nil
}

// login signs a user in; the session ends with the crowd.
func (c *Crowd) login(ctx context.Context, name, token string, ev events) (*session, error) {
	s, err := login(ctx, c.target.URL, c.target.App, name, token, ev)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.sessions = append(c.sessions, s)
	c.mu.Unlock()
	return s, nil
}

// beat asks for what is unread on every session that has heard nothing for a period, as the web client does.
func (c *Crowd) beat(every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-c.stop:
			return
		case <-ticker.C:
		}
		c.mu.Lock()
		sessions := c.sessions[:len(c.sessions):len(c.sessions)]
		c.mu.Unlock()
		for _, s := range sessions {
			if !s.heard.Swap(false) {
				s.askUnread() // an error ends the session's reader too, which tells
			}
		}
	}
}

// parallel runs do for 0 to n-1, 16 at a time, and returns the first error, which also ends the rest.
func parallel(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(n, atOnce) {
		workers.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := do(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}
