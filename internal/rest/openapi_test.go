package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// TestTheDocumentDescribesEveryRoute fails when a route is not described, or when what is described is no route.
func TestTheDocumentDescribesEveryRoute(t *testing.T) {
	w := newWorld(t)
	if _, err := w.api.Document(); err != nil {
		t.Error(err)
	}
}

// TestTheDocumentIsValid also compares its examples with its schemas.
func TestTheDocumentIsValid(t *testing.T) {
	w := newWorld(t)
	got := w.send("GET", documentPath, "", "")
	var document struct {
		OpenAPI string `json:"openapi"`
		Servers []any  `json:"servers"`
	}
	w.must(json.Unmarshal([]byte(got.text), &document))
	if !strings.HasPrefix(document.OpenAPI, "3.1.") || len(document.Servers) != 2 {
		t.Errorf("the document is OpenAPI %s for %v", document.OpenAPI, document.Servers)
	}
	w.must(loadDocument(t.Context(), []byte(got.text)).err)
}

// loaded is the document as the validator knows it.
type loaded struct {
	*openapi3.T
	err error
}

func loadDocument(ctx context.Context, text []byte) loaded {
	document, err := openapi3.NewLoader().LoadFromData(text)
	if err == nil {
		err = document.Validate(ctx, openapi3.EnableExamplesValidation())
	}
	return loaded{document, err}
}

var (
	documentOnce sync.Once
	documentRead loaded
)

// compared holds every answer that the tests get against the document: the schema of success, and the statuses and the
// schema of refusals.
func (w *world) compared(next http.Handler) http.Handler {
	documentOnce.Do(func() { documentRead = loadDocument(context.Background(), w.api.documentText()) })
	w.must(documentRead.err)
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		said := &copied{ResponseWriter: rw, status: http.StatusOK}
		next.ServeHTTP(said, r)
		route, values := w.routeOf(r)
		if route == nil || r.Method == http.MethodOptions {
			return
		}
		item := documentRead.Paths.Value(route.documented())
		if item == nil || item.GetOperation(route.Method) == nil {
			return // a route of the test alone
		}
		options := &openapi3filter.Options{IncludeResponseStatus: true, ExcludeResponseBody: said.long, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}
		input := &openapi3filter.ResponseValidationInput{Status: said.status, Header: said.Header(), Options: options,
			Body: io.NopCloser(bytes.NewReader(said.text.Bytes())),
			RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, PathParams: values, Options: options,
				Route: &routers.Route{Spec: documentRead.T, Path: route.Pattern, PathItem: item, Method: route.Method, Operation: item.GetOperation(route.Method)}}}
		if err := openapi3filter.ValidateResponse(context.Background(), input); err != nil {
			w.Errorf("%s answers %s with %d %.300s: the document does not allow that: %v", route, r.URL, said.status, said.text.String(), err)
		}
	})
}

// routeOf returns the route of a request and what its path says.
func (w *world) routeOf(r *http.Request) (*Route, map[string]string) {
	path, err := split(r.URL)
	if err != nil {
		return nil, nil
	}
	if path[0] != "easemob" {
		if len(path) < 3 {
			return nil, nil
		}
		path = path[2:]
	}
	route, values := w.api.tree.find(r.Method, path, nil, map[string]bool{})
	if route == nil {
		return nil, nil
	}
	named := map[string]string{}
	for i, name := range route.names() {
		named[name] = values[i]
	}
	return route, named
}

// copied keeps an answer that is JSON and not long.
type copied struct {
	http.ResponseWriter
	status int
	text   bytes.Buffer
	long   bool
}

// WriteHeader implements http.ResponseWriter.
func (c *copied) WriteHeader(status int) {
	c.status = status
	c.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (c *copied) Write(p []byte) (int, error) {
	c.long = c.long || c.text.Len()+len(p) > maxBody || !strings.HasPrefix(c.Header().Get("Content-Type"), "application/json")
	if !c.long {
		c.text.Write(p)
	}
	return c.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (c *copied) Unwrap() http.ResponseWriter { return c.ResponseWriter }
