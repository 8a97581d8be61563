package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/stoa-chat/stoa/internal/account"
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

func TestThePageOfTheDocumentationIsCurrent(t *testing.T) {
	var page bytes.Buffer
	if err := WriteReference(&page); err != nil {
		t.Fatal(err)
	}
	if written, err := os.ReadFile("../../docs/rest-api.md"); err != nil || page.String() != string(written) {
		t.Errorf("docs/rest-api.md is not what the routes are now; make docs (%v)", err)
	}
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

// TestTheExamplesOfTheDocumentWork sends the example of every operation; compared looks at the answer.
func TestTheExamplesOfTheDocumentWork(t *testing.T) {
	w := newWorld(t)
	for i, r := range w.api.Routes() {
		operation := documentRead.Paths.Value(r.documented()).GetOperation(r.Method)
		for _, name := range []string{"alice", "bob", "dave"} { // the example before may have left nothing of them
			if _, err := w.accounts.Delete(t.Context(), w.app, name); err != nil && !errors.Is(err, account.ErrNoUser) {
				t.Fatal(err)
			}
			w.createUser(w.app, name)
		}
		path, live := w.stage(r, fmt.Sprint("example-", i))
		query := url.Values{}
		for _, p := range operation.Parameters {
			encoded, err := json.Marshal(p.Value.Example)
			w.must(err)
			switch text := strings.Trim(string(encoded), `"`); {
			case p.Value.In == "path":
				path = strings.NewReplacer("{"+p.Value.Name+"}", text, "{"+p.Value.Name+"s}", text).Replace(path)
			case p.Value.In == "query" && p.Value.Example != nil:
				query.Set(p.Value.Name, text)
			}
		}
		body, kind := "", "application/json"
		if operation.RequestBody != nil {
			content := operation.RequestBody.Value.Content
			if media := content["application/json"]; media != nil {
				text, err := json.Marshal(media.Example)
				w.must(err)
				body = string(text)
			} else {
				kind, body = form(field{name: "part_number", text: "1"}, field{"part_file", "part", "", "content"}, fileField("a.txt", "text/plain", "content"))
				if !strings.Contains(r.Pattern, "part-upload") {
					kind, body = form(fileField("a.txt", "text/plain", "content"))
				}
			}
		}
		as := map[Access]string{Anyone: "", UserToken: "alice"}[r.Access]
		if r.Access != Anyone && as == "" {
			as = "app"
		}
		path, encoded, body := live.Replace(path), live.Replace(query.Encode()), live.Replace(body)
		if !strings.HasPrefix(path, "/easemob/") && !strings.HasPrefix(path, "/acme/") {
			path = "/acme/demo" + path
		}
		if strings.Contains(path, "?") {
			encoded = ""
		} else {
			path += "?"
		}
		request, err := http.NewRequestWithContext(t.Context(), r.Method, w.server.URL+path+encoded, strings.NewReader(body))
		w.must(err)
		request.Header.Set("Content-Type", kind)
		if as != "" {
			request.Header.Set("Authorization", w.bearer(as))
		}
		answer, err := w.server.Client().Do(request)
		w.must(err)
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Errorf("%s: the example %s %s is answered with %d %s, %v", &r, path+encoded, body, answer.StatusCode, text, err)
		}
	}
}

// stage makes what the examples are about, and returns the path of a route, of which some may be filled in, and what the
// examples' ids stand for.
func (w *world) stage(r Route, n string) (path string, live *strings.Replacer) {
	w.Helper()
	const group, room, thread, message, file, rehearsal = "148364667715585", "148364667715586", "148364667715587",
		"1150024325218536448", "3e7dc2e0-9a0a-11ee-8d4f-6f1a2b3c4d5e", "/18"
	path = r.Pattern
	w.connect("alice", "webim_web_1")
	if r.Method == http.MethodPut && strings.HasSuffix(r.Pattern, "{friend}") { // a remark needs a contact
		w.send("POST", "/acme/demo/users/bob/contacts/users/alice", w.bearer("app"), "")
	} else {
		w.send("POST", "/acme/demo/users/bob/contacts/apply", w.bearer("bob"), `{"usernames":["alice"]}`)
	}
	w.pushGround(r)
	said, place, started := fmt.Sprint(w.text("alice", "bob", "hello")), "own-"+n, ""
	if aboutPlaces(r) {
		path, _ = w.ground(r, n)
		if strings.Contains(r.Pattern, "thread") {
			got := w.send("POST", "/acme/demo/thread", w.bearer("alice"), fmt.Sprintf(`{"name":"t","msg_id":%q,"group_id":%q}`, w.says("bob", place, "a message"), place))
			started = got.object["data"].(map[string]any)["thread_id"].(string)
		}
		if !strings.Contains(r.Pattern, "chatroom") {
			said = w.says("alice", place, "hello")
		}
	}
	if strings.Contains(r.Pattern, "/acks/") {
		got := w.send("POST", "/acme/demo/messages/chatgroups", w.bearer("app"), fmt.Sprintf(`{"from":"alice","to":[%q],"type":"txt","body":{"msg":"hi"},"need_group_ack":true}`, place))
		said = got.object["data"].(map[string]any)[place].(string)
	}
	if strings.Contains(r.Pattern, "/message/roaming/group/") {
		w.play([]step{{"POST", "/acme/demo/chatgroups", "app", fmt.Sprintf(`{"groupid":%q,"groupname":"n","owner":"alice"}`, place), 200, "", ""}})
	}
	if strings.HasPrefix(r.Pattern, "/reaction/") {
		w.send("POST", "/acme/demo/reaction/user/alice", w.bearer("alice"), fmt.Sprintf(`{"msgId":%q,"message":"heart"}`, said))
	}
	if strings.HasSuffix(r.Pattern, "/mark/search") || r.Method == http.MethodDelete && strings.HasSuffix(r.Pattern, "/mark") {
		w.send("POST", "/acme/demo/sdk/user/alice/user_channels/mark", w.bearer("alice"), `{"mark":"mark_3","targets":[{"to":"bob","type":"chat"}]}`)
	}
	if r.Method == http.MethodDelete && strings.HasSuffix(r.Pattern, "/user_channel/pin") {
		w.send("POST", "/acme/demo/sdk/user/alice/user_channel/pin", w.bearer("alice"), fmt.Sprintf(`{"to":"bob","type":"chat","pin_msg_id":%q}`, said))
	}
	if strings.Contains(r.Pattern, "/moderation/r") && !strings.Contains(r.Pattern, "report") || strings.Contains(r.Pattern, "/moderation/matches") || strings.HasPrefix(r.Pattern, "/callbacks/pre") {
		path, _ = w.underRules(r)
	}
	begun := ""
	if strings.Contains(r.Pattern, "{rehearsal}") {
		got := w.send("POST", "/acme/demo/rehearsals", w.bearer("app"), `{"code":504,"user":"bob"}`)
		begun = got.object["data"].(map[string]any)["id"].(string)
	}
	kept := ""
	switch {
	case strings.Contains(r.Pattern, "/share_files/"):
		got := w.submit("POST", strings.TrimSuffix(path, "/{file}"), "alice", nil, fileField("a.txt", "text/plain", "content"))
		kept = got.object["data"].(map[string]any)["file_id"].(string)
	case strings.Contains(r.Pattern, "part-upload/"):
		upload := w.beginParts("app")
		upload.put("1", "content")
		kept = upload.id
	case strings.Contains(r.Pattern, "chatfiles"):
		kept = w.upload("app", false, fileField("a.txt", "text/plain", "content")).uuid
	}
	hour := time.Now().UTC().Format(hourForm) // ids do not follow the clock of the test
	if strings.HasPrefix(r.Pattern, "/chatmessages/") {
		w.clock.Advance(2 * time.Hour)
		if strings.HasSuffix(r.Pattern, "/file") {
			got := w.send("GET", "/acme/demo/chatmessages/"+hour, w.bearer("app"), "")
			path = strings.TrimPrefix(got.object["data"].([]any)[0].(map[string]any)["url"].(string), w.server.URL)
		}
	}
	return path, strings.NewReplacer(group, place, room, place, thread, started, message, said, file, kept, rehearsal, "/"+begun, "2026112701", hour)
}
