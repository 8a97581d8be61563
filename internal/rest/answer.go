package rest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Answer is what a handler has to say. All of it goes into the envelope of docs/protocol/admin-rest.md §1.3.
type Answer struct {
	Action   string // empty: the method in lower case
	Entities any    // a slice; nil: none
	Data     any    // nil: the key is left out
	Cursor   string // of the next page; empty: this is the last
	Count    *int   // rows in the page; nil: the key is left out
	// Properties hold the cursor of lists of threads, which have it nowhere else.
	Properties map[string]string
	Status     string // what some calls say at the top
	// Bare, if it is not nil, is the whole answer, without an envelope. It must be a JSON object.
	Bare any
	// Stream, if it is not nil, writes the whole answer by itself, with its status, see API.stream.
	Stream func(w http.ResponseWriter, r *http.Request)
}

// envelope is the form of success.
type envelope struct {
	Action       string              `json:"action"`
	Application  string              `json:"application"`
	AppName      string              `json:"applicationName"`
	Organization string              `json:"organization"`
	Path         string              `json:"path"`
	URI          string              `json:"uri"`
	Params       map[string][]string `json:"params,omitempty"`
	Entities     any                 `json:"entities"`
	Data         any                 `json:"data,omitempty"`
	Cursor       string              `json:"cursor,omitempty"`
	Count        *int                `json:"count,omitempty"`
	Properties   map[string]string   `json:"properties,omitempty"`
	Status       string              `json:"status,omitempty"`
	Timestamp    int64               `json:"timestamp"`
	Duration     int64               `json:"duration"`
}

// success encodes an answer. The status is always 200.
func (a *API) success(c *Call, answer Answer) ([]byte, error) {
	if answer.Bare != nil {
		return encode(answer.Bare)
	}
	if answer.Action == "" {
		answer.Action = strings.ToLower(c.http.Method)
	}
	if answer.Entities == nil {
		answer.Entities = []struct{}{}
	}
	scheme, host := a.base(c.http)
	collection, _, _ := strings.Cut(c.route.Pattern[1:], "/")
	return encode(envelope{
		Action: answer.Action, Application: c.App.UUID, AppName: c.App.Name, Organization: c.App.Org,
		Path: "/" + collection, URI: scheme + "://" + host + c.http.URL.EscapedPath(), Params: c.query,
		Entities: answer.Entities, Data: answer.Data, Cursor: answer.Cursor, Count: answer.Count, Properties: answer.Properties, Status: answer.Status,
		Timestamp: a.clock.Now().UnixMilli(), Duration: time.Since(c.start).Milliseconds(),
	})
}

// errorEnvelope is the form of failure, docs/protocol/admin-rest.md §1.4. error_code is what the web client looks at
// first; request_id is how to find the request in the log.
type errorEnvelope struct {
	Error       string `json:"error"`
	Exception   string `json:"exception,omitempty"`
	Timestamp   int64  `json:"timestamp"`
	Duration    int64  `json:"duration"`
	Description string `json:"error_description"`
	Desc        string `json:"desc,omitempty"`
	Code        int    `json:"error_code,omitempty"`
	RequestID   string `json:"request_id"`
}

func (a *API) failure(c *Call, r *refusal) []byte {
	said := errorEnvelope{Error: r.slug, Exception: r.exception, Description: r.description, Code: r.code,
		Timestamp: a.clock.Now().UnixMilli(), Duration: time.Since(c.start).Milliseconds(), RequestID: c.id}
	if r.code/1000 == 60 { // codes about attributes, of which the web client reads this
		said.Desc = r.description
	}
	text, err := encode(said)
	if err != nil {
		panic(err) // texts and numbers always encode
	}
	return text
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	return b.Bytes(), nil
}

// methodOptions is how metrics name what asks which origins may call.
const methodOptions = http.MethodOptions

// allowOrigin lets pages of other origins read the answer, also if it is an error: those that the app's settings name,
// or all. Tokens are sent by the client on purpose, never by the browser by itself.
func (a *API) allowOrigin(h http.Header, c *Call) {
	h.Set("Access-Control-Expose-Headers", "Accept-Ranges, Content-Disposition, Content-Length, Content-Range, ETag, X-Request-Id")
	if c.App == nil || len(c.App.Settings.AllowedOrigins) == 0 {
		h.Set("Access-Control-Allow-Origin", "*")
		return
	}
	h.Add("Vary", "Origin")
	if origin := c.http.Header.Get("Origin"); origin != "" && c.App.Settings.AllowsOrigin(origin) {
		h.Set("Access-Control-Allow-Origin", origin)
	}
}

// preflight answers OPTIONS on any path.
func preflight(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE, OPTIONS")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Accept, restrict-access, share-secret, thumbnail, "+
		"thumbnail-width, thumbnail-height, Range, If-Range, If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since, X-Requested-With, X-Request-Id")
	h.Set("Access-Control-Max-Age", "86400")
	w.WriteHeader(http.StatusNoContent)
}
