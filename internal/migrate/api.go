package migrate

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sethvargo/go-retry"
	"golang.org/x/time/rate"

	"github.com/stoa-chat/stoa/internal/token"
)

// Endpoint is where an app's REST API is, and how to get in: by the client id and secret, or by the App ID and the
// certificate, with which app tokens are signed.
type Endpoint struct {
	URL, App               string // App is org#app
	ClientID, ClientSecret string
	AppID, Certificate     string
}

// tokenLife is that of the tokens that are signed.
const tokenLife = 12 * time.Hour

const (
	attempts   = 12 // of one call, over some minutes
	firstPause = 250 * time.Millisecond
	maxPause   = 30 * time.Second
	maxAnswer  = 64 << 20
)

// api calls a REST API of the protocol (docs/protocol/admin-rest.md), theirs or ours. It is safe for concurrent use.
type api struct {
	Endpoint
	http  *http.Client
	limit *rate.Limiter
	pause time.Duration // before the second attempt

	mu    sync.Mutex
	token string
}

func newAPI(e Endpoint, limit *rate.Limiter) (*api, error) {
	org, app, ok := strings.Cut(e.App, "#")
	if !ok || org == "" || app == "" {
		return nil, fmt.Errorf("app key %q is not org#app", e.App)
	}
	if u, err := url.Parse(e.URL); err != nil || u.Host == "" {
		return nil, fmt.Errorf("%q is not the address of a server: https://…", e.URL)
	}
	e.URL = strings.TrimRight(e.URL, "/") + "/" + url.PathEscape(org) + "/" + url.PathEscape(app)
	return &api{Endpoint: e, http: &http.Client{Timeout: time.Minute}, limit: limit, pause: firstPause}, nil
}

// refused is an answer that is no success.
type refused struct {
	status       int
	method, path string
	text         string
}

// Error implements error.
func (e *refused) Error() string {
	return fmt.Sprintf("%s %s: status %d: %s", e.method, e.path, e.status, e.text)
}

// isRefusal reports whether a server has understood a call, and will not do it. The call of another thing may succeed.
func isRefusal(err error) bool {
	var e *refused
	return errors.As(err, &e) && e.status < 500 && e.status != http.StatusUnauthorized && e.status != http.StatusTooManyRequests
}

// isAbsent reports whether what was asked for is not there.
func isAbsent(err error) bool {
	var e *refused
	return errors.As(err, &e) && e.status == http.StatusNotFound
}

// waits are the pauses between attempts: they double, and are as long as the server asks for at least.
type waits struct {
	retry.Backoff
	asked time.Duration
}

// Next implements retry.Backoff.
func (w *waits) Next() (time.Duration, bool) {
	pause, stop := w.Backoff.Next()
	return max(pause, w.asked), stop
}

// again runs an attempt until it succeeds or fails for good. An attempt that is worth another one returns how long the
// server wants to be left alone.
func (a *api) again(ctx context.Context, attempt func(ctx context.Context) (asked time.Duration, another bool, err error)) error {
	w := &waits{Backoff: retry.WithMaxRetries(attempts, retry.WithCappedDuration(maxPause, retry.WithJitterPercent(20, retry.NewExponential(a.pause))))}
	return retry.Do(ctx, w, func(ctx context.Context) error {
		if err := a.limit.Wait(ctx); err != nil {
			return err
		}
		asked, another, err := attempt(ctx)
		if w.asked = asked; another && ctx.Err() == nil {
			return retry.RetryableError(err)
		}
		return err
	})
}

// call makes a call as the app. It is made again if the server is busy or out of reach, if the answer is broken, and with a
// new token if the server does not accept the old one.
func (a *api) call(ctx context.Context, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	renewed := false
	return a.again(ctx, func(ctx context.Context) (time.Duration, bool, error) {
		credential, err := a.credential(ctx)
		if err != nil {
			return 0, busy(err), err
		}
		asked, err := a.once(ctx, method, path, credential, body, out)
		var e *refused
		if errors.As(err, &e) && e.status == http.StatusUnauthorized && !renewed {
			renewed = true
			a.forget(credential)
			return 0, true, err
		}
		return asked, busy(err), err
	})
}

// busy reports whether the same call may succeed later.
func busy(err error) bool {
	var e *refused
	if errors.As(err, &e) {
		return e.status == http.StatusTooManyRequests || e.status >= 500
	}
	return err != nil
}

// once makes one request.
func (a *api) once(ctx context.Context, method, path, credential string, body []byte, out any) (asked time.Duration, err error) {
	if method == http.MethodGet || method == http.MethodDelete {
		body = nil
	}
	request, err := http.NewRequestWithContext(ctx, method, a.URL+path, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	if credential != "" {
		request.Header.Set("Authorization", "Bearer "+credential)
	}
	response, err := a.http.Do(request)
	if err != nil {
		return 0, fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if response.StatusCode != http.StatusOK {
		if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil {
			asked = min(time.Duration(seconds)*time.Second, time.Minute)
		}
		var told struct {
			Text string `json:"error_description"`
		}
		if json.Unmarshal(text, &told) != nil || told.Text == "" {
			told.Text = http.StatusText(response.StatusCode)
		}
		return asked, &refused{response.StatusCode, method, path, told.Text}
	}
	if err == nil && out != nil {
		err = json.Unmarshal(text, out)
	}
	if err != nil {
		return 0, fmt.Errorf("%s %s: the answer is broken: %w", method, path, err)
	}
	return 0, nil
}

// credential returns the app's token, and gets one if there is none.
func (a *api) credential(ctx context.Context) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.token != "" {
		return a.token, nil
	}
	if a.Certificate != "" {
		var err error
		a.token, err = token.BuildApp(a.AppID, a.Certificate, time.Now(), tokenLife, rand.Uint32())
		return a.token, err
	}
	body, err := json.Marshal(map[string]string{"grant_type": "client_credentials", "client_id": a.ClientID, "client_secret": a.ClientSecret})
	if err != nil {
		return "", err
	}
	var answer struct {
		Token string `json:"access_token"`
	}
	if _, err := a.once(ctx, http.MethodPost, "/token", "", body, &answer); err != nil {
		return "", err
	}
	a.token = answer.Token
	return a.token, nil
}

func (a *api) forget(credential string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.token == credential {
		a.token = ""
	}
}

// page is an answer that lists something.
type page struct {
	Entities json.RawMessage `json:"entities"`
	Data     json.RawMessage `json:"data"`
	Cursor   string          `json:"cursor"`
}

// pages gives the pages of a list that goes by cursor, from a cursor on.
func (a *api) pages(ctx context.Context, path, cursor string, each func(page) error) error {
	for {
		address := path
		if cursor != "" {
			address += "&cursor=" + url.QueryEscape(cursor)
		}
		var p page
		if err := a.call(ctx, http.MethodGet, address, nil, &p); err != nil {
			return err
		}
		var within struct {
			Cursor string `json:"cursor"`
		}
		if p.Cursor == "" && json.Unmarshal(p.Data, &within) == nil {
			p.Cursor = within.Cursor
		}
		if err := each(p); err != nil {
			return err
		}
		if p.Cursor == "" {
			return nil
		}
		if p.Cursor == cursor {
			return fmt.Errorf("GET %s: the server repeats its cursor", path)
		}
		cursor = p.Cursor
	}
}

// numbered gives the pages of a list that goes by number, until one is not full.
func numbered[T any](ctx context.Context, a *api, path string, number, size string, length int) (all []T, err error) {
	for n := 1; ; n++ {
		var p struct {
			Data []T `json:"data"`
		}
		if err := a.call(ctx, http.MethodGet, fmt.Sprintf("%s?%s=%d&%s=%d", path, number, n, size, length), nil, &p); err != nil {
			return nil, err
		}
		all = append(all, p.Data...)
		if len(p.Data) < length {
			return all, nil
		}
	}
}

// get reads the data of an answer.
func get[T any](ctx context.Context, a *api, path string) (data T, err error) {
	var answer struct {
		Data T `json:"data"`
	}
	err = a.call(ctx, http.MethodGet, path, nil, &answer)
	return answer.Data, err
}

// download reads a gzipped file whole, so that one that breaks off is read again before anything of it is used.
func (a *api) download(ctx context.Context, address string) (text []byte, err error) {
	err = a.again(ctx, func(ctx context.Context) (time.Duration, bool, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return 0, false, err
		}
		response, err := a.http.Do(request)
		if err != nil {
			return 0, true, fmt.Errorf("download messages: %w", err)
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			err := &refused{response.StatusCode, http.MethodGet, request.URL.Path, response.Status}
			return 0, busy(err), err
		}
		if text, err = unzip(response.Body); err != nil {
			return 0, true, fmt.Errorf("download messages: %w", err)
		}
		return 0, false, nil
	})
	return text, err
}

func unzip(r io.Reader) ([]byte, error) {
	zipped, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(zipped)
}
