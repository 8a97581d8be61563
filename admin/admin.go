// Package admin is for backends: it calls the REST API of a chat server as the application, with its credentials, not as
// a user.
//
//	c, err := admin.New("http://127.0.0.1:8080", "stoa#demo", clientID, clientSecret)
//	if err != nil { … }
//	_, err = c.RegisterUser(ctx, admin.NewUser{Name: "carol", Password: "secret"})
//	group, err := c.CreateGroup(ctx, admin.GroupOptions{Name: "hikers", Owner: "alice", Members: []string{"carol"}})
//	ids, err := c.SendMessage(ctx, admin.Groups, admin.Message{To: []string{group.ID()}, Content: admin.Text("Welcome!")})
//
// What a call does is told at once to the clients that it concerns. docs/rest-api.md describes the API itself; a backend may
// do everything, except what only a user can: log in, read conversations as clients do, and answer for oneself.
//
// # Places
//
// [Client.Group], [Client.Room] and [Client.Thread] give what can be done in these places, without asking the server. Lists
// that can be long are iterators: they ask for page after page while they are read, and yield an error as the last.
//
// # Errors
//
// Every error is an [*Error] with a code of the catalogue (package errcode), as in package chat. All methods return, besides
// what they say themselves: 204 for a user that does not exist, -3 for an id that is none, 52 for credentials that the
// server does not accept, 505 for what the app has switched off, 500 for too many calls, 17 for what is refused for
// another reason, with the server's words, and -1, -2 and -4 for calls that were not answered. Methods of groups also return
// 605, 602 for who is no member and 608 for a group that is disabled, those of chatrooms 705 and 702.
package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/restclient"
)

// Error is what every method reports: a code of the catalogue with its cause and its remedy. Compare codes with
// errors.Is(err, errcode.UserNotFound), read the details with errors.As.
//
// Data holds, where they exist: "http_status", "body" and "retry_after" of the answer, and "users", the reasons by user for
// which some were refused.
type Error = errcode.Error

// Client calls the REST API of one application. It is safe for concurrent use.
type Client struct {
	// HTTP makes the requests; a request may take 15 s with the client that New sets.
	HTTP *http.Client

	base        *url.URL
	appKey      string
	credentials func(ctx context.Context) (string, error)

	mu    sync.Mutex
	token string
}

// Option changes a setting of a [Client]. An option that makes no sense makes [New] return -3.
type Option func(*Client) error

// WithHTTPClient sets the client that makes the requests.
func WithHTTPClient(h *http.Client) Option {
	return func(c *Client) error {
		if h == nil {
			return fail(errcode.InvalidParameter, "new", "the HTTP client is nil", nil)
		}
		c.HTTP = h
		return nil
	}
}

// WithToken has the client ask for its tokens in place of client id and secret: the function returns one, for instance an
// AccessToken2 of the app. It is called for the first request, and again when the server does not accept the token.
func WithToken(token func(ctx context.Context) (string, error)) Option {
	return func(c *Client) error {
		if token == nil {
			return fail(errcode.InvalidParameter, "new", "there is no function for tokens", nil)
		}
		c.credentials = token
		return nil
	}
}

// New returns a client. Server is the base address, as http://127.0.0.1:8080; appKey is org#app, else the error is
// code 27.
func New(server, appKey, clientID, clientSecret string, options ...Option) (*Client, error) {
	org, app, ok := strings.Cut(appKey, "#")
	if !ok || org == "" || app == "" || strings.Contains(app, "#") {
		return nil, errcode.Newf(errcode.InvalidAppKey, "app key %q is not org#app", appKey)
	}
	base, err := url.Parse(server)
	if err != nil || base.Host == "" {
		return nil, fail(errcode.InvalidParameter, "new", "the server's address is no URL", err)
	}
	c := &Client{HTTP: &http.Client{Timeout: 15 * time.Second}, base: base.JoinPath(url.PathEscape(org), url.PathEscape(app)), appKey: appKey}
	c.credentials = func(ctx context.Context) (string, error) {
		var answer struct {
			Token string `json:"access_token"`
		}
		ask := map[string]string{"grant_type": "client_credentials", "client_id": clientID, "client_secret": clientSecret}
		err := c.send(ctx, "", call{op: "get app token", method: http.MethodPost, path: []string{"token"}, in: ask, out: &answer})
		return answer.Token, asError(err)
	}
	for _, option := range options {
		if err := option(c); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Settings returns the application's settings by name (docs/configuration.md).
func (c *Client) Settings(ctx context.Context) (map[string]any, error) {
	return data[map[string]any](ctx, c, call{op: "get settings", method: http.MethodGet, path: []string{"settings"}})
}

// ChangeSettings sets the settings that it names and returns all. The error for an unknown or bad one is 17.
func (c *Client) ChangeSettings(ctx context.Context, change map[string]any) (map[string]any, error) {
	return data[map[string]any](ctx, c, call{op: "change settings", method: http.MethodPut, path: []string{"settings"}, in: change})
}

// fail makes an error of one operation; an empty message means the catalogue's text for the code.
func fail(code errcode.Code, op, message string, cause error) *Error {
	return restclient.Fail(code, op, message, cause)
}

// asError turns nil pointers into nil interfaces.
func asError(e *Error) error {
	if e == nil {
		return nil
	}
	return e
}

// call is a REST call.
type call struct {
	op, method string
	path       []string // segments below the app
	query      url.Values
	in         any // JSON; a form is what it is
	header     http.Header
	out        any       // JSON; where it is nil, only the form of the answer is looked at
	to         io.Writer // takes the answer in place of out, if it is not nil
}

// form is a body that is no JSON.
type form struct {
	kind    string
	content func() io.Reader // makes it anew for each attempt
}

// do makes a call with the app's token, and with a new one if the server refuses it.
func (c *Client) do(ctx context.Context, k call) error {
	if err := restclient.CheckPath(k.op, k.path); err != nil {
		return err
	}
	c.mu.Lock()
	token := c.token
	c.mu.Unlock()
	if token != "" {
		err := c.send(ctx, token, k)
		if err == nil || err.Data["http_status"] != http.StatusUnauthorized {
			return asError(err)
		}
	}
	token, err := c.credentials(ctx)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.token = token
	c.mu.Unlock()
	return asError(c.send(ctx, token, k))
}

func (c *Client) send(ctx context.Context, token string, k call) *Error {
	segments := make([]string, len(k.path))
	for i, segment := range k.path {
		segments[i] = url.PathEscape(segment)
	}
	address := c.base.JoinPath(segments...)
	address.RawQuery = k.query.Encode()
	kind, body := "application/json", io.Reader(nil)
	if f, ok := k.in.(form); ok {
		kind, body = f.kind, f.content()
	} else if k.in != nil {
		text, err := json.Marshal(k.in)
		if err != nil {
			return fail(errcode.InvalidParameter, k.op, "the request has no JSON form", err)
		}
		body = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, k.method, address.String(), body)
	if err != nil {
		return fail(errcode.InvalidParameter, k.op, "the request has no valid form", err)
	}
	for name, values := range k.header {
		request.Header[name] = values
	}
	request.Header.Set("Content-Type", kind)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := c.HTTP.Do(request)
	if err != nil {
		return restclient.Unreached(ctx, k.op, err)
	}
	defer response.Body.Close()
	if k.to == nil || response.StatusCode != http.StatusOK {
		return restclient.Read(ctx, k.op, response, k.out)
	}
	if _, err := io.Copy(k.to, response.Body); err != nil {
		return restclient.Unreached(ctx, k.op, err)
	}
	return nil
}

// data makes a call and returns what its answer has under "data".
func data[T any](ctx context.Context, c *Client, k call) (T, error) {
	var answer struct {
		Data T `json:"data"`
	}
	k.out = &answer
	err := c.do(ctx, k)
	return answer.Data, err
}

// entities makes a call and returns what its answer has under "entities".
func entities[T any](ctx context.Context, c *Client, k call) ([]T, error) {
	var answer struct {
		Entities []T `json:"entities"`
	}
	k.out = &answer
	err := c.do(ctx, k)
	return answer.Entities, err
}

// one is entities for an answer that has one.
func one[T any](ctx context.Context, c *Client, k call) (T, error) {
	list, err := entities[T](ctx, c, k)
	if err == nil && len(list) != 1 {
		err = fail(errcode.RequestFailed, k.op, "the server's answer has not one row", nil)
	}
	if err != nil {
		var none T
		return none, err
	}
	return list[0], nil
}

// pages reads a list whose pages name the next one. It asks for limit rows a page.
func pages[T any](ctx context.Context, c *Client, k call, limit int) iter.Seq2[T, error] {
	return restclient.Pages("", func(cursor string) ([]T, string, error) {
		var answer struct {
			Data       []T    `json:"data"`
			Entities   []T    `json:"entities"`
			Cursor     string `json:"cursor"`
			Properties struct {
				Cursor string `json:"cursor"` // of threads
			} `json:"properties"`
		}
		ask := k
		ask.query = url.Values{"limit": {strconv.Itoa(limit)}}
		maps.Copy(ask.query, k.query)
		if cursor != "" {
			ask.query.Set("cursor", cursor)
		}
		ask.out = &answer
		err := c.do(ctx, ask)
		return append(answer.Data, answer.Entities...), answer.Cursor + answer.Properties.Cursor, err
	})
}

// numbered reads a list whose pages have numbers, under these names.
func numbered[T any](ctx context.Context, c *Client, k call, number, size string, rows int) iter.Seq2[T, error] {
	return restclient.NumberedPages(1, rows, func(page int) ([]T, error) {
		ask := k
		ask.query = url.Values{number: {strconv.Itoa(page)}, size: {strconv.Itoa(rows)}}
		return data[[]T](ctx, c, ask)
	})
}

// names is a body that names users.
func names(users []string) map[string][]string { return map[string][]string{"usernames": users} }

// pageQuery asks for a page by its number.
func pageQuery(page, rows int) url.Values {
	return url.Values{"pageNum": {strconv.Itoa(page)}, "pageSize": {strconv.Itoa(rows)}}
}
