package chat

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/restclient"
)

// passwordToken exchanges a password for a token. A verdict on the credentials is 1, with the server's own code as the
// cause; anything that keeps the server from giving one is 12.
func (c *Client) passwordToken(ctx context.Context, user, password string) (string, *Error) {
	const op = "login"
	request := map[string]any{
		"grant_type": "password", "username": user, "password": password, "timestamp": time.Now().UnixMilli(),
	}
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	err := c.request(ctx, op, http.MethodPost, []string{"token"}, "", request, &answer)
	switch {
	case err == nil && answer.AccessToken == "":
		return "", fail(errcode.TokenFetchFailed, op, "the token endpoint's answer holds no token", nil)
	case err == nil:
		return answer.AccessToken, nil
	case err.Code == errcode.InvalidAppKey || ctx.Err() != nil:
		return "", err
	case isVerdict(err):
		e := fail(errcode.LoginFailed, op, err.Message, err)
		e.Data = err.Data
		return "", e
	}
	e := fail(errcode.TokenFetchFailed, op, "the token endpoint gave no verdict", err)
	e.Data = err.Data
	return "", e
}

// isVerdict reports whether an answer judges the credentials: a refusal in the form of the server, not of a proxy.
func isVerdict(e *Error) bool {
	switch e.Data["http_status"] {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		body, _ := e.Data["body"].(string)
		return json.Valid([]byte(body))
	}
	return false
}

// tokenEnd asks the server when a token ends; the zero time means never. The call also tells the server that the
// session goes on with this token.
func (c *Client) tokenEnd(ctx context.Context, op, user, token string) (time.Time, *Error) {
	var answer struct {
		ExpireTimestamp *json.Number `json:"expire_timestamp"`
	}
	if err := c.request(ctx, op, http.MethodGet, []string{"sdk", "users", user, "token", "expires"}, token, nil, &answer); err != nil {
		return time.Time{}, err
	}
	if answer.ExpireTimestamp == nil {
		return time.Time{}, fail(errcode.RequestFailed, op, "the server's answer does not say when the token ends", nil)
	}
	ms, err := answer.ExpireTimestamp.Float64()
	if err != nil {
		return time.Time{}, fail(errcode.RequestFailed, op, "the server's answer does not say when the token ends", err)
	}
	return restclient.Time(ms), nil
}

// me stands in the path of a [call] for the user who is logged in. It is the id of nobody.
const me = "\x00me"

// call is a REST call with the session's token.
type call struct {
	op, method string
	path       []string // segments below the app; me is replaced
	query      url.Values
	in, out    any // JSON; where out is nil, only the form of the answer is looked at
	// own names this device to the server, which then does not tell it what it has done itself.
	own bool
	// token is used in place of the session's, unless it is empty.
	token string
}

// do makes a call. It returns 700 (wrapping 28) without a session and -3 for an id that no path can hold.
func (c *Client) do(ctx context.Context, k call) error {
	return asError(c.doCall(ctx, k))
}

func (c *Client) doCall(ctx context.Context, k call) *Error {
	user, device, token := c.credentials()
	if token == "" {
		return fail(errcode.RestNoSession, k.op, "", errcode.InvalidToken)
	}
	if err := restclient.CheckPath(k.op, k.path); err != nil {
		return err
	}
	path := slices.Clone(k.path)
	for i, segment := range path {
		if segment == me {
			path[i] = user
		}
	}
	u := c.path(path...)
	query := maps.Clone(k.query)
	if k.own && device != "" {
		if query == nil {
			query = url.Values{}
		}
		query.Set("resource", device)
	}
	u.RawQuery = query.Encode()
	return c.requestAt(ctx, k.op, k.method, u, cmp.Or(k.token, token), k.in, k.out)
}

// get reads what is at a path.
func (c *Client) get(ctx context.Context, op string, out any, query url.Values, path ...string) error {
	return c.do(ctx, call{op: op, method: http.MethodGet, path: path, query: query, out: out})
}

// change makes a call that the user's other devices, or others, are told of.
func (c *Client) change(ctx context.Context, op, method string, in, out any, path ...string) error {
	return c.do(ctx, call{op: op, method: method, path: path, in: in, out: out, own: true})
}

// credentials are those of the session; the token is empty without one.
func (c *Client) credentials() (user, device, token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.session; s != nil && s.phase != connecting {
		return s.user, s.device, s.token
	}
	return "", "", ""
}

// path returns the address of a path below the app.
func (c *Client) path(segments ...string) *url.URL {
	return c.opt.server.JoinPath(slices.Concat([]string{c.org, c.app}, restclient.Escape(segments))...)
}

// request makes one REST call below the app and decodes a 200 answer into out.
func (c *Client) request(ctx context.Context, op, method string, path []string, token string, in, out any) *Error {
	return c.requestAt(ctx, op, method, c.path(path...), token, in, out)
}

func (c *Client) requestAt(ctx context.Context, op, method string, u *url.URL, token string, in, out any) *Error {
	var body io.Reader
	contentType := "application/json"
	switch in := in.(type) {
	case nil:
	case url.Values:
		// A plus sign is no blank there: web clients do not encode all that they send.
		body = strings.NewReader(strings.ReplaceAll(in.Encode(), "+", "%20"))
		contentType = "application/x-www-form-urlencoded"
	default:
		text, err := json.Marshal(in)
		if err != nil {
			return fail(errcode.InvalidParameter, op, "the request has no JSON form", err)
		}
		body = bytes.NewReader(text)
	}
	limited, cancel := context.WithTimeout(ctx, c.opt.timeouts.Request)
	defer cancel()
	req, err := http.NewRequestWithContext(limited, method, u.String(), body)
	if err != nil {
		return fail(errcode.InvalidParameter, op, "the request has no valid form", err)
	}
	req.Header.Set("Content-Type", contentType)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := c.opt.httpClient.Do(req)
	if err != nil {
		return restclient.Unreached(ctx, op, err)
	}
	defer resp.Body.Close()
	return restclient.Read(ctx, op, resp, out)
}
