// Package console serves the web pages that are built into the binary: today the playground, and below it, at
// errors/CODE, a page for each error code.
//
// The pages are built by Vite into dist (see /playground in the repository) and embedded. A checkout that never ran the
// build still compiles, because dist always holds a .gitkeep; its binary then says how to build the page.
package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/stoa-chat/stoa/errcode"
)

//go:embed all:dist
var dist embed.FS

// prefix is where the playground lives; Vite's `base` names the same path.
const prefix = "/playground/"

// contentSecurityPolicy lets the page load its own files and talk to its own server, and nothing else. 'self' covers the
// WebSocket of the same host. 'unsafe-eval' is there for the chat SDK alone: its protobuf library compiles its
// encoders with Function().
const contentSecurityPolicy = "default-src 'none'; script-src 'self' 'unsafe-eval'; style-src 'self'; font-src 'self'; " +
	"img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// notBuiltPage is the whole of /playground/ in a binary that was built without Node.
const notBuiltPage = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Stoa: no playground</title>
<h1>No playground here</h1>
<p>This binary was built without the playground. With Node.js installed, <code>make build</code> builds it in.</p>
<p>The chat server itself does not need it.</p>
</html>
`

// contentTypes are the kinds of file that the build writes. They are listed here because the tables of the operating
// system, which package mime reads, differ from machine to machine.
var contentTypes = map[string]string{
	".html":  "text/html; charset=utf-8",
	".js":    "text/javascript; charset=utf-8",
	".css":   "text/css; charset=utf-8",
	".svg":   "image/svg+xml",
	".txt":   "text/plain; charset=utf-8",
	".woff2": "font/woff2",
}

// Handler returns the handler of /playground and everything below it. It answers GET and HEAD; other methods are 405.
// If the binary was built without the page, every path is 404 with a page that says so. The handler is safe for
// concurrent use.
func Handler() http.Handler {
	built, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // "dist" is a valid path, so this cannot happen
	}
	h, err := newHandler(built)
	if err != nil {
		panic(err) // embedded files are always readable
	}
	return h
}

// file is one file of the page, ready to be served.
type file struct {
	body         []byte
	contentType  string
	etag         string
	cacheControl string
}

type handler map[string]file // by path below prefix

// newHandler reads the built page once; fsys is not used after it returns.
func newHandler(fsys fs.FS) (handler, error) {
	files := handler{}
	err := fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasPrefix(entry.Name(), ".") {
			return err
		}
		body, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		files[name] = newFile(name, body)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read page: %w", err)
	}
	return files, nil
}

func newFile(name string, body []byte) file {
	sum := sha256.Sum256(body)
	f := file{
		body:         body,
		contentType:  contentTypes[path.Ext(name)],
		etag:         `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`,
		cacheControl: "no-cache", // keep, but ask each time
	}
	if f.contentType == "" {
		f.contentType = "application/octet-stream"
	}
	if strings.HasPrefix(name, "assets/") { // their names hold a hash of their content
		f.cacheControl = "public, max-age=31536000, immutable"
	}
	return f
}

func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Security-Policy", contentSecurityPolicy)
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Content-Type-Options", "nosniff")

	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	name, below := strings.CutPrefix(r.URL.Path, prefix)
	if query, ok := strings.CutPrefix(name, "errors/"); below && ok {
		serveCode(w, r, query)
		return
	}
	if _, built := h["index.html"]; !built {
		h.serveNotBuilt(w)
		return
	}
	if !below {
		if r.URL.Path == strings.TrimSuffix(prefix, "/") {
			http.Redirect(w, r, prefix, http.StatusPermanentRedirect)
		} else {
			http.NotFound(w, r)
		}
		return
	}
	if name == "" {
		name = "index.html"
	}
	f, ok := h[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	header.Set("Content-Type", f.contentType)
	header.Set("Cache-Control", f.cacheControl)
	header.Set("ETag", f.etag)
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(f.body))
}

// serveCode serves the page of an error code, by number or name: all that the catalogue knows of it, as text.
func serveCode(w http.ResponseWriter, r *http.Request, query string) {
	entry, ok := errcode.Find(query)
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", contentTypes[".txt"])
	w.Header().Set("Cache-Control", "no-cache")
	_ = errcode.Explain(w, entry) // a client that has gone away needs no page
}

func (handler) serveNotBuilt(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNotFound)
	_, _ = w.Write([]byte(notBuiltPage)) // a client that has gone away needs no page
}
