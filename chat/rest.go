package chat

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stoa-chat/stoa/errcode"
)

// answerLimit bounds what is read of an HTTP answer. Lists that are not paged are the longest; a full one of contacts has
// about 0.5 MB.
const answerLimit = 16 << 20

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
	return endTime(ms), nil
}

// endTime reads the protocol's milliseconds; 0 and what lies behind the year 9999 mean that there is no end.
func endTime(ms float64) time.Time {
	if !(ms > 0 && ms < 253402300800000) {
		return time.Time{}
	}
	return time.UnixMilli(int64(ms))
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
	if err := checkPath(k.op, k.path); err != nil {
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

// checkPath refuses ids that would make the path another one: -3.
func checkPath(op string, path []string) *Error {
	for _, segment := range path {
		switch segment {
		case "", ".", "..":
			return fail(errcode.InvalidParameter, op, "an id is empty or made of dots", nil)
		}
	}
	return nil
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

// joinIDs joins ids as one segment of a path or one value of a query. The error is -3, for no ids and for those that would
// be read as others.
func joinIDs(op string, ids []string) (string, *Error) {
	if len(ids) == 0 {
		return "", fail(errcode.InvalidParameter, op, "there is no id", nil)
	}
	for _, id := range ids {
		if id == "" || strings.Contains(id, ",") {
			return "", fail(errcode.InvalidParameter, op, "an id is empty or has a comma", nil)
		}
	}
	return strings.Join(ids, ","), nil
}

// path returns the address of a path below the app.
func (c *Client) path(segments ...string) *url.URL {
	return c.opt.server.JoinPath(slices.Concat([]string{c.org, c.app}, escape(segments))...)
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
		return transportError(ctx, op, err)
	}
	defer resp.Body.Close()
	return readAnswer(ctx, op, resp, out)
}

// readAnswer decodes a 200 answer into out, and makes any other the error that it is.
func readAnswer(ctx context.Context, op string, resp *http.Response, out any) *Error {
	text, err := io.ReadAll(io.LimitReader(resp.Body, answerLimit))
	if err != nil {
		return transportError(ctx, op, err)
	}
	if resp.StatusCode != http.StatusOK {
		return restError(op, resp, text)
	}
	if out == nil {
		out = new(any)
	}
	if err := json.Unmarshal(text, out); err != nil {
		e := fail(errcode.RequestFailed, op, "the server's answer is not JSON of the expected form", err)
		e.Data = map[string]any{"http_status": resp.StatusCode, "body": string(text)}
		return e
	}
	return nil
}

// cursorPages yields what next returns, page by page, until a page names no next one or that of before. An error is
// yielded once, as the last.
func cursorPages[T any](first string, next func(cursor string) ([]T, string, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for cursor := first; ; {
			items, following, err := next(cursor)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if following == "" || following == cursor {
				return
			}
			cursor = following
		}
	}
}

// numberedPages is cursorPages for lists whose pages are numbered; one that is not full is the last.
func numberedPages[T any](first, size int, next func(page int) ([]T, error)) iter.Seq2[T, error] {
	return cursorPages(strconv.Itoa(first), func(cursor string) ([]T, string, error) {
		page, _ := strconv.Atoi(cursor)
		items, err := next(page)
		if err != nil || len(items) < size {
			return items, "", err
		}
		return items, strconv.Itoa(page + 1), nil
	})
}

// integer is a number that some servers write as text.
type integer int64

// UnmarshalJSON takes numbers, also with a fraction, and texts that are numbers; null and "" are 0.
func (n *integer) UnmarshalJSON(text []byte) error {
	digits := strings.Trim(string(text), `"`)
	if digits == "null" || digits == "" {
		*n = 0
		return nil
	}
	if v, err := strconv.ParseInt(digits, 10, 64); err == nil {
		*n = integer(v)
		return nil
	}
	v, err := strconv.ParseFloat(digits, 64)
	if err != nil || !(v > -1<<53 && v < 1<<53) {
		return fmt.Errorf("%s is not a number", text)
	}
	*n = integer(v)
	return nil
}

// millis is a time in the protocol's milliseconds; what is not after 1970, and what never comes, is the zero time.
type millis struct{ time.Time }

func (m *millis) UnmarshalJSON(text []byte) error {
	var n integer
	if err := n.UnmarshalJSON(text); err != nil {
		return err
	}
	m.Time = endTime(float64(n))
	return nil
}

func escape(path []string) []string {
	out := make([]string, len(path))
	for i, p := range path {
		out[i] = url.PathEscape(p)
	}
	return out
}

// transportError is -4 or -1 when a context ended, else -2.
func transportError(ctx context.Context, op string, err error) *Error {
	var timeout interface{ Timeout() bool }
	switch {
	case ctx.Err() != nil:
		return ctxError(ctx, op)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return fail(errcode.RequestTimeout, op, "", errors.Join(err, context.DeadlineExceeded))
	}
	return fail(errcode.RequestUnknown, op, "the server could not be reached", err)
}
