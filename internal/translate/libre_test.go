package translate

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// newProvider returns a provider for a server that behaves as handle says.
func newProvider(t *testing.T, key string, handle http.HandlerFunc) *LibreTranslate {
	t.Helper()
	server := httptest.NewServer(handle)
	t.Cleanup(server.Close)
	l, err := NewLibreTranslate(server.URL+"/", key)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestATextIsTranslatedIntoEachLanguage(t *testing.T) {
	l := newProvider(t, "secret", func(w http.ResponseWriter, r *http.Request) {
		var in map[string]string
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.Method != http.MethodPost || r.URL.Path != "/translate" {
			t.Errorf("request %s %s: %v", r.Method, r.URL, err)
		}
		target := in["target"]
		delete(in, "target")
		want := map[string]string{"q": "hello \"world\"\n☃", "source": "auto", "format": "text", "api_key": "secret"}
		if diff := cmp.Diff(want, in); diff != "" {
			t.Error(diff)
		}
		json.NewEncoder(w).Encode(map[string]any{"translatedText": in["q"] + " in " + target,
			"detectedLanguage": map[string]any{"language": "en", "confidence": 92.5}})
	})
	got, err := l.Translate(t.Context(), "hello \"world\"\n☃", []string{"fr", "zh-Hans"})
	want := Translation{Language: "en", Score: 0.925, Texts: []string{"hello \"world\"\n☃ in fr", "hello \"world\"\n☃ in zh-Hans"}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
}

func TestLanguagesAreAskedForOnce(t *testing.T) {
	var asked atomic.Int64
	l := newProvider(t, "", func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.Path != "/languages" {
			t.Errorf("path %s", r.URL.Path)
		}
		w.Write([]byte(`[{"code":"en","name":"English","targets":["fr"]},{"code":"zh-Hans","name":"Chinese"},{"code":"tlh-x","name":"Klingon"}]`))
	})
	want := []Language{{"en", "English", "English"}, {"zh-Hans", "Chinese", "简体中文"}, {"tlh-x", "Klingon", "Klingon"}}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			got, err := l.Languages(t.Context())
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%v %s", err, diff)
			}
		})
	}
	wg.Wait()
	if asked.Load() != 1 {
		t.Errorf("the server was asked %d times", asked.Load())
	}
}

func TestWhatTheServerCannotDoIsAnError(t *testing.T) {
	for name, handle := range map[string]http.HandlerFunc{
		"500":     func(w http.ResponseWriter, _ *http.Request) { http.Error(w, `{"error":"no model"}`, 500) },
		"400":     func(w http.ResponseWriter, _ *http.Request) { http.Error(w, `{"error":"xx is not supported"}`, 400) },
		"no JSON": func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) },
		"empty":   func(http.ResponseWriter, *http.Request) {},
		"cut off": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"endless": func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`"` + strings.Repeat("x", 2*maxAnswer))) },
	} {
		t.Run(name, func(t *testing.T) {
			l := newProvider(t, "", handle)
			if got, err := l.Translate(t.Context(), "hello", []string{"fr", "de"}); err == nil {
				t.Errorf("translation %v", got)
			}
			if got, err := l.Languages(t.Context()); err == nil {
				t.Errorf("languages %v", got)
			}
		})
	}
}

func TestTheServerIsNotFlooded(t *testing.T) {
	release, arrived := make(chan struct{}), make(chan struct{}, 1000)
	var under, most atomic.Int64
	l := newProvider(t, "", func(w http.ResponseWriter, _ *http.Request) {
		n := under.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		arrived <- struct{}{}
		<-release
		under.Add(-1)
		w.Write([]byte(`{"translatedText":"x"}`))
	})
	var wg sync.WaitGroup
	for range calls + maxWaiting {
		wg.Go(func() {
			if _, err := l.Translate(t.Context(), "hello", []string{"fr"}); err != nil {
				t.Error(err)
			}
		})
	}
	for range calls {
		<-arrived
	}
	for len(l.waiting) < cap(l.waiting) {
	}
	if _, err := l.Translate(t.Context(), "one more", []string{"fr"}); !errors.Is(err, ErrBusy) {
		t.Errorf("error %v, want %v", err, ErrBusy)
	}
	close(release)
	wg.Wait()
	if most.Load() != calls {
		t.Errorf("%d requests at a time, want %d", most.Load(), calls)
	}
}

func TestACallerWhoLeavesDoesNotWait(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	gone := make(chan struct{})
	l := newProvider(t, "", func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // until then the server does not look whether the client is there
		leave()
		<-r.Context().Done()
		close(gone)
	})
	if _, err := l.Translate(ctx, "hello", []string{"fr"}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	<-gone
}

func TestAnAddressMustBeOneOfHTTP(t *testing.T) {
	for _, address := range []string{"", "localhost:5000", "ftp://host", "http://", "http://%zz"} {
		if _, err := NewLibreTranslate(address, ""); err == nil {
			t.Errorf("%q is taken", address)
		}
	}
}
