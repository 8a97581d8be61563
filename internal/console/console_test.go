package console

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

var builtPage = fstest.MapFS{
	".gitkeep":               {},
	"index.html":             {Data: []byte("<!doctype html><title>playground</title>")},
	"favicon.svg":            {Data: []byte("<svg/>")},
	"assets/index-abc.js":    {Data: []byte("export {}")},
	"assets/index-abc.css":   {Data: []byte("a{}")},
	"assets/plex-abc.woff2":  {Data: []byte("wOF2")},
	"assets/something-a.bin": {Data: []byte{0}},
}

var notBuilt = fstest.MapFS{".gitkeep": {}}

func get(t *testing.T, page fstest.MapFS, method, target string, header http.Header) *http.Response {
	t.Helper()
	h, err := newHandler(page)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), method, target, nil)
	for name, values := range header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, res *http.Response) string {
	t.Helper()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestThePageIsServedBelowPlayground(t *testing.T) {
	const (
		revalidate = "no-cache"
		forever    = "public, max-age=31536000, immutable"
	)
	type answer struct {
		Status                 int
		ContentType, Caching   string
		Location, Allow, Sniff string
	}
	tests := []struct {
		name, method, target string
		want                 answer
	}{
		{"the bare name redirects", "GET", "/playground", answer{Status: 308, ContentType: "text/html; charset=utf-8", Location: "/playground/"}},
		{"the folder is the index", "GET", "/playground/", answer{Status: 200, ContentType: "text/html; charset=utf-8", Caching: revalidate}},
		{"the index by name", "GET", "/playground/index.html", answer{Status: 200, ContentType: "text/html; charset=utf-8", Caching: revalidate}},
		{"HEAD is answered too", "HEAD", "/playground/", answer{Status: 200, ContentType: "text/html; charset=utf-8", Caching: revalidate}},
		{"the icon keeps its name, so it is asked for again", "GET", "/playground/favicon.svg", answer{Status: 200, ContentType: "image/svg+xml", Caching: revalidate}},
		{"a script never changes under its name", "GET", "/playground/assets/index-abc.js", answer{Status: 200, ContentType: "text/javascript; charset=utf-8", Caching: forever}},
		{"a style sheet", "GET", "/playground/assets/index-abc.css", answer{Status: 200, ContentType: "text/css; charset=utf-8", Caching: forever}},
		{"a font", "GET", "/playground/assets/plex-abc.woff2", answer{Status: 200, ContentType: "font/woff2", Caching: forever}},
		{"a kind of file that is not known", "GET", "/playground/assets/something-a.bin", answer{Status: 200, ContentType: "application/octet-stream", Caching: forever}},
		{"an unknown file", "GET", "/playground/assets/none.js", answer{Status: 404, ContentType: "text/plain; charset=utf-8"}},
		{"a folder is not listed", "GET", "/playground/assets/", answer{Status: 404, ContentType: "text/plain; charset=utf-8"}},
		{"hidden files stay hidden", "GET", "/playground/.gitkeep", answer{Status: 404, ContentType: "text/plain; charset=utf-8"}},
		{"a path that only begins alike", "GET", "/playgrounds/", answer{Status: 404, ContentType: "text/plain; charset=utf-8"}},
		{"the page takes no posts", "POST", "/playground/", answer{Status: 405, ContentType: "text/plain; charset=utf-8", Allow: "GET, HEAD"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res := get(t, builtPage, tt.method, tt.target, nil)
			tt.want.Sniff = "nosniff"
			got := answer{
				Status:      res.StatusCode,
				ContentType: res.Header.Get("Content-Type"),
				Caching:     res.Header.Get("Cache-Control"),
				Location:    res.Header.Get("Location"),
				Allow:       res.Header.Get("Allow"),
				Sniff:       res.Header.Get("X-Content-Type-Options"),
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			if csp := res.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; ") {
				t.Errorf("content security policy = %q", csp)
			}
			if policy := res.Header.Get("Referrer-Policy"); policy != "no-referrer" {
				t.Errorf("referrer policy = %q", policy)
			}
		})
	}
}

func TestAnUnchangedFileIsNotSentTwice(t *testing.T) {
	first := get(t, builtPage, "GET", "/playground/", nil)
	etag := first.Header.Get("ETag")
	if etag == "" {
		t.Fatal("no ETag")
	}
	if res := get(t, builtPage, "GET", "/playground/", http.Header{"If-None-Match": {etag}}); res.StatusCode != http.StatusNotModified {
		t.Errorf("status with the same ETag = %d, want 304", res.StatusCode)
	}
	changed := fstest.MapFS{"index.html": {Data: []byte("<!doctype html><title>new</title>")}}
	if res := get(t, changed, "GET", "/playground/", http.Header{"If-None-Match": {etag}}); res.StatusCode != http.StatusOK {
		t.Errorf("status after a change = %d, want 200", res.StatusCode)
	}
}

func TestThePolicyForbidsInlineCodeAndOtherHosts(t *testing.T) {
	for directive := range strings.SplitSeq(contentSecurityPolicy, ";") {
		name, sources, _ := strings.Cut(strings.TrimSpace(directive), " ")
		for source := range strings.FieldsSeq(sources) {
			switch {
			case source == "'self'", source == "'none'":
			case name == "script-src" && source == "'unsafe-eval'":
			default:
				t.Errorf("%s allows %s", name, source)
			}
		}
	}
}

func TestABinaryWithoutThePageSaysHowToBuildIt(t *testing.T) {
	for _, target := range []string{"/playground", "/playground/", "/playground/assets/index-abc.js"} {
		res := get(t, notBuilt, "GET", target, nil)
		if res.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s: status = %d, want 404", target, res.StatusCode)
		}
		if got := res.Header.Get("Content-Type"); got != "text/html; charset=utf-8" {
			t.Errorf("GET %s: content type = %q", target, got)
		}
		if text := body(t, res); !strings.Contains(text, "built without the playground") || !strings.Contains(text, "make build") {
			t.Errorf("GET %s: the page does not say what to do:\n%s", target, text)
		}
	}
}

func TestTheEmbeddedPageIsServedOrExplained(t *testing.T) {
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/playground/", nil))
	if w.Code != http.StatusOK && w.Code != http.StatusNotFound {
		t.Errorf("status = %d", w.Code)
	}
	if !strings.Contains(w.Body.String(), "<title>Stoa") {
		t.Errorf("neither the page nor its absence:\n%s", w.Body)
	}
}

func TestEachCodeHasAPage(t *testing.T) {
	h := Handler()
	for path, want := range map[string]string{
		"/playground/errors/221":              "221 USER_NOT_FRIEND",
		"/playground/errors/user_not_friend":  "221 USER_NOT_FRIEND",
		"/playground/errors/-3":               "-3 REQUEST_PARAMETER_ERROR",
		"/playground/errors/99999":            "",
		"/playground/errors/":                 "",
		"/playground/errors/../../etc/passwd": "",
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, &http.Request{Method: http.MethodGet, URL: &url.URL{Path: path}})
		if want == "" {
			if w.Code != http.StatusNotFound {
				t.Errorf("%s: %d", path, w.Code)
			}
			continue
		}
		if text := w.Body.String(); w.Code != http.StatusOK || !strings.HasPrefix(text, want) || !strings.Contains(text, "How to rehearse it") {
			t.Errorf("%s: %d %q", path, w.Code, text)
		}
	}
}
