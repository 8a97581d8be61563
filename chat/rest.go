package chat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/stoa-chat/stoa/errcode"
)

// answerLimit bounds what is read of an HTTP answer; the longest is a full list of contacts, about 0.5 MB.
const answerLimit = 1 << 20

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

// endTime reads the protocol's milliseconds; 0 and absurdly far ends mean none.
func endTime(ms float64) time.Time {
	if !(ms > 0 && ms < 1<<53) {
		return time.Time{}
	}
	return time.UnixMilli(int64(ms))
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
	if in != nil {
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
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := c.opt.httpClient.Do(req)
	if err != nil {
		return transportError(ctx, op, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, answerLimit))
	if err != nil {
		return transportError(ctx, op, err)
	}
	if resp.StatusCode != http.StatusOK {
		return restError(op, resp.StatusCode, resp.Header, text)
	}
	if err := json.Unmarshal(text, out); err != nil {
		e := fail(errcode.RequestFailed, op, "the server's answer is not JSON of the expected form", err)
		e.Data = map[string]any{"http_status": resp.StatusCode, "body": string(text)}
		return e
	}
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

// restBody is the server's form of an error.
type restBody struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
	Exception   string `json:"exception"`
	Code        int    `json:"error_code"`
}

// restRule maps an HTTP answer to a code; its parts that are zero match anything.
type restRule struct {
	status  int
	codes   []int
	slug    string
	exact   string
	parts   []string // all of them in the description
	except  string   // the exception
	becomes errcode.Code
}

// restRules hold what the routes of this package can be answered with; they are tried from top to bottom, what matches
// none is 17.
var restRules = []restRule{
	{status: 400, exact: "The quantity has exceeded the limit!", becomes: errcode.MaxLimit},
	{status: 400, parts: []string{"remark length must less"}, becomes: errcode.MaxLimit},
	{status: 400, exact: "updateRemark | they are not friends, please add as a friend first.", becomes: errcode.UserNotFriend},
	{status: 400, exact: "Request body not readable.Please check content type is correct!", becomes: errcode.InvalidParameter},
	{status: 401, codes: []int{40001, 60001}, becomes: errcode.NoPermission},
	{status: 401, exact: "Unable to authenticate (OAuth)", becomes: errcode.NoPermission},
	{status: 403, codes: []int{40005, 40007, 91002, 91101}, becomes: errcode.MaxLimit},
	{status: 403, codes: []int{40000, 60004, 15002}, becomes: errcode.ServiceNotEnabled},
	{status: 403, parts: []string{"service not open!"}, becomes: errcode.ServiceNotEnabled},
	{status: 403, parts: []string{"Inviter's contact max count"}, becomes: errcode.MaxLimit},
	{status: 403, parts: []string{"Invitee's contact max count"}, becomes: errcode.MaxLimit},
	{status: 403, becomes: errcode.PermissionDenied},
	{status: 404, slug: "organization_application_not_found", becomes: errcode.InvalidAppKey},
	{status: 404, codes: []int{40012}, becomes: errcode.NoPermission},
	{status: 404, parts: []string{"username", "doesn't exist!'"}, becomes: errcode.UserNotFound},
	{status: 404, parts: []string{"user not found"}, becomes: errcode.UserNotFound},
	{status: 404, parts: []string{"Service resource not found"}, except: "UserNotFoundException", becomes: errcode.UserNotFound},
	{status: 406, codes: []int{90004}, becomes: errcode.OperationNotAllowed},
	{status: 429, parts: []string{"The request has reached the maximum limit"}, becomes: errcode.MaxLimit},
	{status: 503, parts: []string{"The request has reached the maximum limit"}, becomes: errcode.MaxLimit},
	{status: 429, becomes: errcode.ServerBusy},
	{status: 503, becomes: errcode.ServerBusy},
	{status: 500, codes: []int{40006, 40008, 40010}, becomes: errcode.ServerUnknownError},
	{status: 500, codes: []int{90005, 99999}, becomes: errcode.RequestUnknown},
}

func (r restRule) matches(status int, b restBody) bool {
	return r.status == status &&
		(len(r.codes) == 0 || slices.Contains(r.codes, b.Code)) &&
		(r.slug == "" || r.slug == b.Error) &&
		(r.exact == "" || r.exact == b.Description) &&
		(r.except == "" || r.except == b.Exception) &&
		!slices.ContainsFunc(r.parts, func(part string) bool { return !strings.Contains(b.Description, part) })
}

// restError is the error of an answer other than 200.
func restError(op string, status int, header http.Header, text []byte) *Error {
	var b restBody
	_ = json.Unmarshal(text, &b) // a body that is not the server's matches by status alone
	code := errcode.RequestFailed
	if i := slices.IndexFunc(restRules, func(r restRule) bool { return r.matches(status, b) }); i >= 0 {
		code = restRules[i].becomes
	}
	message := b.Description
	if message == "" {
		message = http.StatusText(status)
	}
	e := fail(code, op, message, nil)
	e.RequestID = header.Get("X-Request-Id")
	e.Data = map[string]any{"http_status": status, "body": string(text)}
	if after := header.Get("Retry-After"); after != "" {
		e.Data["retry_after"] = after
	}
	return e
}
