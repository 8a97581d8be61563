package account

import (
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stoa-chat/stoa/errcode"
)

func TestAppKeysAreChecked(t *testing.T) {
	w := newWorld(t)
	for key, ok := range map[string]bool{
		"org#app": true, "41123#app_1-x": true, "Org#App": true, strings.Repeat("o", 64) + "#a": true,
		"": false, "org": false, "org#": false, "#app": false, "org#a#b": false, "org app#x": false, "o_g#app": false, "org#a.b": false,
		"ws#app": false, "Console#app": false, "metrics#app": false, "healthz#x": false, "app-id#x": false, "easemob#x": false, "debug#x": false,
		strings.Repeat("o", 65) + "#a": false, "org#app\n": false, "örg#app": false, "acme#demo": false,
	} {
		app, err := w.CreateApp(t.Context(), NewApp{Key: key, Settings: DefaultSettings()})
		if !ok {
			refused(t, "app key "+key, err, errcode.InvalidParameter, nil)
			continue
		}
		if err != nil || app.Key() != key {
			t.Errorf("app key %q: %v", key, err)
			continue
		}
		if found, err := w.App(key); err != nil || found.ID != app.ID {
			t.Errorf("app %q is not found: %v", key, err)
		}
	}
	_, err := w.CreateApp(t.Context(), NewApp{Key: "acme#demo", Settings: DefaultSettings()})
	refused(t, "an app that exists", err, errcode.InvalidParameter, ErrAppExists)
	_, err = w.CreateApp(t.Context(), NewApp{Key: "acme#demo2", ClientID: "id", Settings: DefaultSettings()})
	refused(t, "a client id that is taken", err, errcode.InvalidParameter, ErrAppExists)
	_, err = w.CreateApp(t.Context(), NewApp{Key: "acme#demo2"})
	refused(t, "settings that make no sense", err, errcode.InvalidParameter, ErrSettings)
}

func TestMissingCredentialsAreDrawn(t *testing.T) {
	w := newWorld(t)
	a, err := w.CreateApp(t.Context(), NewApp{Key: "a#a", Settings: DefaultSettings()})
	w.must(err)
	b, err := w.CreateApp(t.Context(), NewApp{Key: "b#b", Settings: DefaultSettings()})
	w.must(err)
	if len(a.AgoraID) != 32 || len(a.Certificate) != 32 || len(a.ClientID) < 16 || len(a.ClientSecret) < 32 || len(a.SigningKey) < 32 {
		t.Errorf("drawn %+v", a.App)
	}
	if a.AgoraID == b.AgoraID || a.Certificate == b.Certificate || a.ClientSecret == b.ClientSecret || string(a.SigningKey) == string(b.SigningKey) {
		t.Error("two applications share credentials")
	}
	if found, err := w.AppByAgoraID(a.AgoraID); err != nil || found.ID != a.ID {
		t.Errorf("by its App ID: %v", err)
	}
	_, err = w.AppByAgoraID("nothing")
	refused(t, "an App ID that is not there", err, errcode.InvalidAppKey, ErrNoApp)
	_, err = w.App("no#app")
	refused(t, "an app that is not there", err, errcode.InvalidAppKey, ErrNoApp)
	if n := w.Apps(); n != 4 {
		t.Errorf("%d applications", n)
	}
}

func TestSettingsArePatchedAndChecked(t *testing.T) {
	w := newWorld(t)
	all := func(change func(*Settings)) *Settings {
		s := DefaultSettings()
		change(&s)
		return &s
	}
	for _, test := range []struct {
		patch string
		want  *Settings // nil: refused
	}{
		{`{}`, all(func(*Settings) {})},
		{`{"serving":false}`, all(func(s *Settings) { s.Serving = false })},
		{`{"open_registration":true,"multi_device":false}`, all(func(s *Settings) { s.OpenRegistration, s.MultiDevice = true, false })},
		{`{"max_devices_per_platform":1}`, all(func(s *Settings) { s.MaxDevicesPerPlatform = 1 })},
		{`{"max_devices_per_platform":100}`, all(func(s *Settings) { s.MaxDevicesPerPlatform = 100 })},
		{`{"message_max_bytes":49152,"token_ttl_seconds":2147483647}`, all(func(s *Settings) { s.MessageMaxBytes, s.TokenTTLSeconds = 49152, 2147483647 })},
		{`{"message_max_bytes":1,"token_ttl_seconds":0,"dynamic_tokens":true}`, all(func(s *Settings) { s.MessageMaxBytes, s.TokenTTLSeconds, s.DynamicTokens = 1, 0, true })},
		{`{"allowed_origins":["https://a.example:8443","capacitor://localhost"]}`, all(func(s *Settings) { s.AllowedOrigins = []string{"https://a.example:8443", "capacitor://localhost"} })},
		{`{"allowed_origins":null}`, all(func(*Settings) {})},
		{``, nil},
		{`[]`, nil},
		{`"serving"`, nil},
		{`{"serving":}`, nil},
		{`{"serving":false}}`, nil},
		{`{"serving":false}{"serving":true}`, nil},
		{`{"serving":false} x`, nil},
		{`{"unknown":1}`, nil},
		{`{"serving":"no"}`, nil},
		{`{"serving":0}`, nil},
		{`{"max_devices_per_platform":"4"}`, nil},
		{`{"max_devices_per_platform":1.5}`, nil},
		{`{"max_devices_per_platform":0}`, nil},
		{`{"max_devices_per_platform":101}`, nil},
		{`{"message_max_bytes":0}`, nil},
		{`{"message_max_bytes":-1}`, nil},
		{`{"message_max_bytes":49153}`, nil},
		{`{"token_ttl_seconds":-1}`, nil},
		{`{"token_ttl_seconds":2147483648}`, nil},
		{`{"token_ttl_seconds":99999999999999999999}`, nil},
		{`{"allowed_origins":"https://a.example"}`, nil},
		{`{"allowed_origins":["a.example"]}`, nil},
		{`{"allowed_origins":["https://a.example/path"]}`, nil},
		{`{"allowed_origins":["*"]}`, nil},
		{`{"allowed_origins":[""]}`, nil},
		{`{"allowed_origins":["https://a b"]}`, nil},
		{`{"serving":false,"message_max_bytes":0}`, nil}, // nothing of a patch is taken if a part is wrong
	} {
		// Back to the beginning.
		whole, err := json.Marshal(DefaultSettings())
		w.must(err)
		if _, err := w.ChangeSettings(t.Context(), w.app, whole); err != nil {
			t.Fatal(err)
		}
		got, err := w.ChangeSettings(t.Context(), w.app, []byte(test.patch))
		want := test.want
		if want == nil {
			refused(t, test.patch, err, errcode.InvalidParameter, ErrSettings)
			want = all(func(*Settings) {})
		} else if diff := cmp.Diff(*want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", test.patch, err, diff)
		}
		for name, app := range map[string]*App{"the app": w.Current(w.app), "another node's": must(w.node().App("acme#demo"))} {
			if diff := cmp.Diff(*want, app.Settings); diff != "" {
				t.Errorf("%s: %s settings are (-want +got):\n%s", test.patch, name, diff)
			}
		}
	}
	_, err := w.ChangeSettings(t.Context(), w.app, []byte(`{"max_devices_per_platform":0,"message_max_bytes":0}`))
	if err == nil || !strings.Contains(err.Error(), "max_devices_per_platform") || !strings.Contains(err.Error(), "message_max_bytes") {
		t.Errorf("not all that is wrong is named: %v", err)
	}
	if w.app.Settings.MessageMaxBytes != DefaultSettings().MessageMaxBytes {
		t.Error("an App that somebody holds was changed")
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestChangesOfSettingsAtOneTimeAreAllKept(t *testing.T) {
	w := newWorld(t)
	var all sync.WaitGroup
	for _, patch := range []string{`{"serving":false}`, `{"open_registration":true}`, `{"multi_device":false}`, `{"dynamic_tokens":true}`, `{"message_max_bytes":7}`} {
		all.Go(func() {
			if _, err := w.ChangeSettings(t.Context(), w.app, []byte(patch)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	want := DefaultSettings()
	want.Serving, want.OpenRegistration, want.MultiDevice, want.DynamicTokens, want.MessageMaxBytes = false, true, false, true, 7
	if diff := cmp.Diff(want, w.Current(w.app).Settings); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Two may read the applications at a time; what is older must not win because it comes later.
func TestALateReloadDoesNotBringOldSettingsBack(t *testing.T) {
	w := newWorld(t)
	read, goOn := make(chan struct{}), make(chan struct{})
	var first atomic.Bool
	w.hooks.set(func() {
		w.hooks.apps = func() {
			if first.CompareAndSwap(false, true) {
				close(read)
				<-goOn
			}
		}
	})
	reloaded := make(chan error, 1)
	go func() { reloaded <- w.Reload(t.Context()) }()
	soon(t, "the reload's read", read)
	changed := make(chan error, 1)
	go func() {
		_, err := w.ChangeSettings(t.Context(), w.app, []byte(`{"serving":false}`))
		changed <- err
	}()
	// The change either waits for the reload, or is done before it: both are good.
	select {
	case err := <-changed:
		w.must(err)
		changed <- nil
	case <-time.After(300 * time.Millisecond):
	}
	close(goOn)
	w.must(soon(t, "the end of the reload", reloaded))
	w.must(soon(t, "the change", changed))
	if w.Current(w.app).Settings.Serving {
		t.Error("the older settings won")
	}
}

func TestOriginsAreComparedWithoutCase(t *testing.T) {
	s := DefaultSettings()
	if !s.AllowsOrigin("https://anything") || !s.AllowsOrigin("") {
		t.Error("without a list an origin is refused")
	}
	s.AllowedOrigins = []string{"https://a.example"}
	for origin, want := range map[string]bool{"": true, "https://a.example": true, "HTTPS://A.Example": true, "http://a.example": false,
		"https://a.example:443": false, "https://b.a.example": false, "https://a.example.evil": false, "null": false} {
		if got := s.AllowsOrigin(origin); got != want {
			t.Errorf("origin %q: %t", origin, got)
		}
	}
}

func TestAnAppThatAnotherNodeMadeFirstIsKnown(t *testing.T) {
	w := newWorld(t)
	late, err := New(t.Context(), w.hooks, w.delivery, w.bus, w.clock, 1, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	app := NewApp{Key: "acme#first", Settings: DefaultSettings()}
	if _, err := w.CreateApp(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	if _, err := late.CreateApp(t.Context(), app); !errors.Is(err, ErrAppExists) {
		t.Fatalf("%v", err)
	}
	if _, err := late.App("acme#first"); err != nil {
		t.Error(err)
	}
}
