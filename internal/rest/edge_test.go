package rest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
)

func TestPagesOfAnyOriginMayCall(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/acme/demo/users/alice", "/acme/demo/no/such/path", "/acme/none/token", "/", "/easemob/server.json?app_key=acme%23demo"} {
		got := w.send("OPTIONS", path, "", "", "Origin", "https://chat.example", "Access-Control-Request-Method", "DELETE",
			"Access-Control-Request-Headers", "authorization,content-type")
		want := map[string]string{
			"Access-Control-Allow-Origin":  "*",
			"Access-Control-Allow-Methods": "GET, POST, PUT, DELETE, OPTIONS",
			"Access-Control-Max-Age":       "86400",
		}
		have := map[string]string{}
		for key := range want {
			have[key] = got.header.Get(key)
		}
		if diff := cmp.Diff(want, have); got.status != http.StatusNoContent || got.text != "" || diff != "" {
			t.Errorf("OPTIONS %s: %d %q %s", path, got.status, got.text, diff)
		}
		allowed := strings.ToLower(got.header.Get("Access-Control-Allow-Headers"))
		for _, name := range []string{"authorization", "content-type", "accept", "restrict-access", "share-secret", "x-requested-with"} {
			if !strings.Contains(allowed, name) {
				t.Errorf("OPTIONS %s does not allow %s", path, name)
			}
		}
		for _, method := range []string{"GET", "POST"} { // success and errors alike
			if got := w.send(method, path, "", "", "Origin", "https://chat.example"); got.header.Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("%s %s: %d without Access-Control-Allow-Origin", method, path, got.status)
			}
		}
	}
}

func TestAnAppNarrowsTheOrigins(t *testing.T) {
	w := newWorld(t)
	w.set(`{"allowed_origins":["https://chat.example","http://localhost:5173"]}`)
	for origin, want := range map[string]string{
		"https://chat.example":      "https://chat.example",
		"http://localhost:5173":     "http://localhost:5173",
		"http://chat.example":       "",
		"https://chat.example.evil": "",
		"null":                      "",
		"":                          "",
	} {
		for _, request := range []string{"OPTIONS /acme/demo/users/alice", "GET /acme/demo/users/alice", "GET /acme/demo/none", "OPTIONS /app-id/" + w.app.AgoraID + "/token",
			"GET /easemob/server.json?app_key=acme%23demo"} {
			method, path, _ := strings.Cut(request, " ")
			header := []string{"Origin", origin}
			if origin == "" {
				header = nil
			}
			got := w.send(method, path, w.bearer("app"), "", header...)
			if got.header.Get("Access-Control-Allow-Origin") != want || got.header.Get("Vary") != "Origin" {
				t.Errorf("%s from %q: Access-Control-Allow-Origin %q, Vary %q", request, origin, got.header.Get("Access-Control-Allow-Origin"), got.header.Get("Vary"))
			}
		}
	}
	if got := w.send("GET", "/acme/other/users", "", "", "Origin", "http://chat.example"); got.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Error("the origins of one app narrow another")
	}
}

func TestTheRequestIDOfTheCallerIsKeptIfItIsSane(t *testing.T) {
	w := newWorld(t)
	for id, kept := range map[string]bool{"req-1_2.3": true, strings.Repeat("x", 64): true, strings.Repeat("x", 65): false, "a b": false, "<script>": false} {
		got := w.send("GET", "/acme/demo/users", "", "", "X-Request-Id", id)
		if (got.header.Get("X-Request-Id") == id) != kept {
			t.Errorf("%q became %q", id, got.header.Get("X-Request-Id"))
		}
	}
	one, other := w.send("GET", "/", "", "").header.Get("X-Request-Id"), w.send("GET", "/", "", "").header.Get("X-Request-Id")
	if one == other {
		t.Errorf("two requests have the id %s", one)
	}
}

func TestTheServersOwnTroubleIsLoggedOnceAndNotShown(t *testing.T) {
	secret := "disk full at /var/lib/stoa"
	for name, handle := range map[string]Handler{
		"error":                 func(context.Context, *Call) (Answer, error) { return Answer{}, errors.New(secret) },
		"error with a code":     func(context.Context, *Call) (Answer, error) { return Answer{}, errcode.New(errcode.ServerBusy, secret) },
		"panic":                 func(context.Context, *Call) (Answer, error) { panic(secret) },
		"panic of an error":     func(context.Context, *Call) (Answer, error) { panic(errors.New(secret)) },
		"answer without a form": func(context.Context, *Call) (Answer, error) { return Answer{Data: func() {}}, nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.api.add(Route{http.MethodGet, "/broken", Anyone, handle})
			got := w.send("GET", "/acme/demo/broken", "", "", "X-Request-Id", "the-id", "Origin", "https://chat.example")
			if diff := holds(got.object, `{"error":"internal_server_error","error_description":"internal server error","request_id":"the-id"}`); got.status != 500 || diff != "" {
				t.Errorf("%d %s: %s", got.status, got.text, diff)
			}
			if strings.Contains(got.text, "disk") || got.header.Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("answer %v %s", got.header, got.text)
			}
			log := w.log.String()
			if strings.Count(log, `"request_id":"the-id"`) != 1 || strings.Count(log, "\n") != 1 || !strings.Contains(log, `"route":"GET /broken"`) {
				t.Errorf("log: %s", log)
			}
			if name != "answer without a form" && !strings.Contains(log, secret) {
				t.Errorf("log lacks the cause: %s", log)
			}
		})
	}
}

func TestAStoreThatHasGoneIsNotShown(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequestWithContext(ctx, "GET", "/acme/demo/users", nil)
	r.Header.Set("Authorization", w.bearer("app"))
	answer := httptest.NewRecorder()
	w.api.ServeHTTP(answer, r)
	if answer.Code != sayGone.status || !json.Valid(answer.Body.Bytes()) {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
}

func TestErrorsHaveOneWording(t *testing.T) {
	for _, test := range []struct {
		err    error
		status int
		text   string
	}{
		{context.DeadlineExceeded, 503, "server is too busy"},
		{fmt.Errorf("read user: %w", context.Canceled), 499, "the client has gone"},
		{account.ErrNotOpen, 401, "Open registration doesn't allow, so register user need token"},
		{errcode.ServerBusy, 500, "internal server error"},
		{&errcode.Error{Code: errcode.RequestFailed, Message: "not online", Err: account.ErrNoDevice}, 404, "not online"},
		{fmt.Errorf("wrapped: %w", refuseBody), 400, "Request body is invalid. Please check body is correct."},
		{errors.New("what?"), 500, "internal server error"},
	} {
		if got := refusalOf(test.err); got.status != test.status || got.description != test.text {
			t.Errorf("%v: %d %s", test.err, got.status, got.description)
		}
	}
}

// rawServer serves the API with a time-out for requests (0: none) and returns a connection to it.
func rawServer(t *testing.T, w *world, timeout time.Duration) net.Conn {
	t.Helper()
	server := httptest.NewUnstartedServer(w.api)
	server.Config.ReadTimeout = timeout
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	server.Start()
	t.Cleanup(server.Close)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	return conn
}

func TestABodyThatDoesNotComeIsAnsweredInJSON(t *testing.T) {
	for name, test := range map[string]struct {
		request string
		timeout time.Duration
		status  int
	}{
		"slow":        {"POST /acme/demo/token HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{", 500 * time.Millisecond, http.StatusRequestTimeout},
		"bad chunk":   {"POST /acme/demo/token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxx\r\n", 0, http.StatusBadRequest},
		"good chunks": {"POST /acme/demo/token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 0, http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			conn := rawServer(t, newWorld(t), test.timeout)
			if _, err := io.WriteString(conn, test.request); err != nil {
				t.Fatal(err)
			}
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			text, err := io.ReadAll(answer.Body)
			if err != nil || answer.StatusCode != test.status || !json.Valid(text) {
				t.Errorf("%d %s, %v", answer.StatusCode, text, err)
			}
		})
	}
}

func TestAMethodThatIsNotAllowedNamesThoseThatAre(t *testing.T) {
	w := newWorld(t)
	got := w.send("PATCH", "/acme/demo/users/alice", "", "")
	if allow := got.header.Get("Allow"); got.status != http.StatusMethodNotAllowed || allow != "DELETE, GET, OPTIONS, PUT" {
		t.Errorf("%d, Allow: %s", got.status, allow)
	}
	if got := w.send("HEAD", "/acme/demo/users/alice", "", ""); got.status != http.StatusMethodNotAllowed || got.text != "" {
		t.Errorf("HEAD: %d %q", got.status, got.text)
	}
}

func TestAnswersAreNotKept(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/acme/demo/users/alice", "/acme/demo/none"} {
		h := w.send("GET", path, w.bearer("app"), "").header
		if h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", path, h)
		}
	}
}

func TestMetricsCountByRouteAndStatus(t *testing.T) {
	w := newWorld(t)
	w.send("GET", "/acme/demo/users/alice", w.bearer("app"), "")
	w.send("GET", "/acme/demo/users/bob", w.bearer("app"), "")
	w.send("GET", "/acme/demo/users/bob", "", "")
	w.send("GET", "/acme/demo/what/ever", "", "")
	w.send("GET", "/acme/none/users", "", "")
	w.send("OPTIONS", "/acme/demo/users/bob", "", "")
	w.server.Close() // so that all have been counted
	counts, times := map[string]float64{}, map[string]uint64{}
	for _, family := range w.gather() {
		for _, m := range family.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			switch family.GetName() {
			case "stoa_http_requests_total":
				counts[labels["route"]+" "+labels["status"]] = m.GetCounter().GetValue()
			case "stoa_http_request_duration_seconds":
				times[labels["route"]] = m.GetHistogram().GetSampleCount()
			}
		}
	}
	if diff := cmp.Diff(map[string]float64{"GET /users/{user} 200": 2, "GET /users/{user} 401": 1, "none 404": 2, "OPTIONS 204": 1}, counts); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]uint64{"GET /users/{user}": 3, "none": 2, "OPTIONS": 1}, times); diff != "" {
		t.Error(diff)
	}
}

func (w *world) gather() []*dto.MetricFamily {
	w.Helper()
	families, err := prometheus.Gatherer(w.registry).Gather()
	w.must(err)
	return families
}

func TestReadErrorsOfTheConnection(t *testing.T) {
	for err, status := range map[error]int{
		os.ErrDeadlineExceeded:              408,
		io.ErrUnexpectedEOF:                 400,
		&http.MaxBytesError{Limit: maxBody}: 413,
	} {
		c := &Call{reader: io.MultiReader(strings.NewReader("{"), failing{err})}
		if _, got := c.Body(); refusalOf(got).status != status {
			t.Errorf("%v: %v", err, got)
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// The server reads on while a handler works, to hear of a client that goes away. A deadline there would end the handler.
func TestWorkMayTakeLongerThanTheRequest(t *testing.T) {
	const timeout = 100 * time.Millisecond
	kind, body := form(field{name: "file", file: "a", text: "some words"})
	for name, test := range map[string]struct {
		request string
		read    func(c *Call) error
	}{
		"no body": {"GET /acme/demo/work HTTP/1.1\r\nHost: x\r\n\r\n", func(*Call) error { return nil }},
		"JSON":    {"POST /acme/demo/work HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", func(c *Call) error { return c.Decode(&struct{}{}) }},
		"a form": {fmt.Sprintf("POST /acme/demo/work HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", kind, len(body), body),
			func(c *Call) error {
				err := c.EachField(func(field *multipart.Part) error {
					_, err := io.Copy(io.Discard, field)
					return err
				})
				c.drain()
				return err
			}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.api.pace = pace{bytes: 1 << 20, up: timeout, down: time.Minute}
			work := func(ctx context.Context, c *Call) (Answer, error) {
				if err := test.read(c); err != nil {
					return Answer{}, err
				}
				select {
				case <-ctx.Done():
					return Answer{}, ctx.Err()
				case <-time.After(4 * timeout):
					return done(), nil
				}
			}
			w.api.add(Route{http.MethodGet, "/work", Anyone, work}, Route{http.MethodPost, "/work", Anyone, work})
			conn := rawServer(t, w, timeout)
			if _, err := io.WriteString(conn, test.request); err != nil {
				t.Fatal(err)
			}
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			if answer.StatusCode != http.StatusOK {
				t.Errorf("status %d", answer.StatusCode)
			}
		})
	}
}
