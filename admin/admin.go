// Package admin is for backends: it calls the server's REST API with the credentials of an application.
package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/stoa-chat/stoa/errcode"
)

// Client calls the REST API of one application. It is safe for concurrent use.
type Client struct {
	// HTTP makes the requests; a request may take 15 s with the client that New sets.
	HTTP *http.Client

	base, clientID, clientSecret string

	mu    sync.Mutex
	token string
}

// New returns a client. Server is the base address, as http://127.0.0.1:8080; appKey is org#app, else the error is
// code 27.
func New(server, appKey, clientID, clientSecret string) (*Client, error) {
	org, app, ok := strings.Cut(appKey, "#")
	if !ok || org == "" || app == "" || strings.Contains(app, "#") {
		return nil, errcode.Newf(errcode.InvalidAppKey, "app key %q is not org#app", appKey)
	}
	base := strings.TrimRight(server, "/") + "/" + url.PathEscape(org) + "/" + url.PathEscape(app)
	return &Client{HTTP: &http.Client{Timeout: 15 * time.Second}, base: base, clientID: clientID, clientSecret: clientSecret}, nil
}

// Settings returns the application's settings by name.
func (c *Client) Settings(ctx context.Context) (map[string]any, error) {
	var answer struct {
		Data map[string]any `json:"data"`
	}
	err := c.call(ctx, http.MethodGet, "/settings", nil, &answer)
	return answer.Data, err
}

// ChangeSettings sets the settings that it names and returns all. The error for an unknown or bad one is code 17 with
// the server's words.
func (c *Client) ChangeSettings(ctx context.Context, change map[string]any) (map[string]any, error) {
	var answer struct {
		Data map[string]any `json:"data"`
	}
	err := c.call(ctx, http.MethodPut, "/settings", change, &answer)
	return answer.Data, err
}

// call makes a request with the app's token, and with a new one if the server refuses it.
func (c *Client) call(ctx context.Context, method, path string, body, answer any) error {
	c.mu.Lock()
	token := c.token
	c.mu.Unlock()
	if token != "" {
		if status, err := c.do(ctx, method, path, token, body, answer); status != http.StatusUnauthorized {
			return err
		}
	}
	var fresh struct {
		Token string `json:"access_token"`
	}
	credentials := map[string]string{"grant_type": "client_credentials", "client_id": c.clientID, "client_secret": c.clientSecret}
	if _, err := c.do(ctx, http.MethodPost, "/token", "", credentials, &fresh); err != nil {
		return err
	}
	c.mu.Lock()
	c.token = fresh.Token
	c.mu.Unlock()
	_, err := c.do(ctx, method, path, fresh.Token, body, answer)
	return err
}

func (c *Client) do(ctx context.Context, method, path, token string, body, answer any) (int, error) {
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return 0, err
		}
		content = bytes.NewReader(b)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, content)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := c.HTTP.Do(request)
	if err != nil {
		return 0, &errcode.Error{Code: errcode.RequestUnknown, Op: path[1:], Message: "the server did not answer", Err: err}
	}
	defer response.Body.Close()
	b, err := io.ReadAll(io.LimitReader(response.Body, 16<<20))
	if err != nil {
		return response.StatusCode, &errcode.Error{Code: errcode.RequestUnknown, Op: path[1:], Message: "the answer broke off", Err: err}
	}
	if response.StatusCode != http.StatusOK {
		return response.StatusCode, refusal(path[1:], response.StatusCode, b)
	}
	if err := json.Unmarshal(b, answer); err != nil {
		return response.StatusCode, fmt.Errorf("read answer: %w", err)
	}
	return response.StatusCode, nil
}

func refusal(op string, status int, body []byte) error {
	var told struct {
		Description string `json:"error_description"`
		RequestID   string `json:"request_id"`
	}
	if json.Unmarshal(body, &told) != nil || told.Description == "" {
		told.Description = http.StatusText(status)
	}
	code := errcode.RequestFailed
	switch status {
	case http.StatusUnauthorized:
		code = errcode.NoPermission
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		code = errcode.ServerBusy
	case http.StatusForbidden:
		code = errcode.PermissionDenied
		if strings.Contains(told.Description, "service not open!") {
			code = errcode.ServiceNotEnabled
		}
	}
	return &errcode.Error{Code: code, Op: op, Message: told.Description, RequestID: told.RequestID, Data: map[string]any{"http_status": status}}
}
