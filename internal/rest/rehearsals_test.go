package rest

import (
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/rehearse"
)

func TestRehearsalsThatMakeNoSenseChangeNothing(t *testing.T) {
	w := newWorld(t)
	if _, err := w.accounts.Register(t.Context(), w.other, account.NewUser{Name: "zoe"}); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		body   string
		status int
		want   string
	}{
		"an unknown code":       {`{"code":99999,"user":"bob"}`, 400, description("illegal_argument", "there is no code 99999 in the catalogue")},
		"an unknown name":       {`{"code":"NO_SUCH_CODE","user":"bob"}`, 400, description("illegal_argument", `there is no code "NO_SUCH_CODE"`)},
		"no code":               {`{"user":"bob"}`, 400, description("illegal_argument", "code or fault must be given")},
		"an unknown user":       {`{"code":504,"user":"nobody"}`, 404, noUser},
		"another app's user":    {`{"code":504,"user":"zoe"}`, 404, noUser},
		"a time that is none":   {`{"code":504,"user":"bob","after":"soon"}`, 400, `{"error":"illegal_argument"}`},
		"never":                 {`{"code":504,"user":"bob","for":"0"}`, 400, `{"error":"illegal_argument"}`},
		"a code and a fault":    {`{"code":504,"fault":"loss","user":"bob","for":"1m"}`, 400, `{"error":"illegal_argument"}`},
		"a code of the client":  {`{"code":31,"user":"bob"}`, 400, `{"error":"illegal_argument"}`},
		"a delay that is none":  {`{"fault":"latency","user":"bob","for":"1m","delay":"long"}`, 400, `{"error":"illegal_argument"}`},
		"something that is not": {`[]`, 400, `{}`},
	} {
		got := w.send("POST", "/acme/demo/rehearsals", w.bearer("app"), test.body)
		if diff := holds(got.object, test.want); got.status != test.status || diff != "" {
			t.Errorf("%s: %d %s\n%s", name, got.status, got.text, diff)
		}
	}
	if got := w.send("GET", "/acme/demo/rehearsals", w.bearer("app"), ""); holds(got.object, `{"data":[],"count":0}`) != "" {
		t.Errorf("there are %s", got.text)
	}
}

func TestRehearsalsAreOfOneApp(t *testing.T) {
	w := newWorld(t)
	other := "Bearer " + w.issued(w.other, "", 0, nil)
	w.send("POST", "/acme/demo/rehearsals", w.bearer("app"), `{"code":504,"user":"bob","for":"5m"}`)
	if got := w.send("GET", "/acme/other/rehearsals", other, ""); holds(got.object, `{"data":[]}`) != "" {
		t.Errorf("the other app is shown %s", got.text)
	}
	if got := w.send("DELETE", "/acme/other/rehearsals", other, ""); got.status != 200 {
		t.Errorf("%s", got.text)
	}
	if got := w.send("GET", "/acme/demo/rehearsals", w.bearer("app"), ""); holds(got.object, `{"count":1}`) != "" {
		t.Errorf("the other app has stopped it: %s", got.text)
	}
}

func TestRehearsalsAreRefusedWhereTheyAreOff(t *testing.T) {
	w := newWorld(t)
	services := w.services
	services.Rehearsals = rehearse.New(false, nil, nil, slog.New(slog.DiscardHandler))
	api := New(services, w.clock, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	for path, body := range map[string]string{"": `{"code":504,"user":"bob"}`, "/clock": `{"advance":"1m"}`} {
		request := httptest.NewRequest("POST", "/acme/demo/rehearsals"+path, strings.NewReader(body))
		request.Header.Set("Authorization", w.bearer("app"))
		answer := httptest.NewRecorder()
		api.ServeHTTP(answer, request)
		if answer.Code != 403 || !strings.Contains(answer.Body.String(), "rehearsal service not open!") {
			t.Errorf("%s: %d %s", path, answer.Code, answer.Body)
		}
	}
}
