package rest

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.yaml.in/yaml/v3"
)

// documentPath is where the server serves its description. It stands below no application.
const documentPath = "/openapi.json"

// described are the descriptions of all routes: api.yaml says how they are written.
//
//go:embed openapi/*.yaml
var described embed.FS

// object is a part of the document.
type object = map[string]any

// chapter is a file of descriptions.
type chapter struct {
	Tag   string
	About string
	Paths map[string]map[string]object // by pattern and method
}

// descriptions are the files, read once.
var descriptions = sync.OnceValues(func() (map[string]chapter, error) {
	files, err := described.ReadDir("openapi")
	chapters := map[string]chapter{}
	for _, file := range files {
		text, err := described.ReadFile("openapi/" + file.Name())
		if err != nil {
			return nil, err
		}
		var c chapter
		if file.Name() != commonFile {
			if err := yaml.Unmarshal(text, &c); err != nil {
				return nil, fmt.Errorf("read %s: %w", file.Name(), err)
			}
			chapters[file.Name()] = c
		}
	}
	return chapters, err
})

// commonFile holds what all chapters have in common.
const commonFile = "api.yaml"

// Document returns the OpenAPI document of the table's routes. The error names routes that are not described, and
// descriptions of what is no route; the document is without them.
func (a *API) Document() (map[string]any, error) {
	chapters, err := descriptions()
	if err != nil {
		return nil, err
	}
	text, err := described.ReadFile("openapi/" + commonFile)
	if err != nil {
		return nil, err
	}
	var document object
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, fmt.Errorf("read %s: %w", commonFile, err)
	}
	table := map[string]*Route{}
	for i := range a.routes {
		table[a.routes[i].String()] = &a.routes[i]
	}
	var wrong []error
	paths, tags := object{}, []any{}
	for _, name := range slices.Sorted(maps.Keys(chapters)) {
		c := chapters[name]
		used := false
		for _, pattern := range slices.Sorted(maps.Keys(c.Paths)) {
			for method, written := range c.Paths[pattern] {
				key := strings.ToUpper(method) + " " + pattern
				route := table[key]
				if route == nil {
					wrong = append(wrong, fmt.Errorf("%s describes %s, which is no route, or is described twice", name, key))
					continue
				}
				delete(table, key)
				operation, err := route.describe(c.Tag, written)
				if err != nil {
					wrong = append(wrong, fmt.Errorf("%s: %s: %w", name, key, err))
				}
				item, _ := paths[route.documented()].(object)
				if item == nil {
					item = object{}
					paths[route.documented()] = item
				}
				item[method], used = operation, true
				if c.Tag == outsideApps {
					item["servers"] = []any{object{"url": "/"}}
				}
			}
		}
		if used {
			tags = append(tags, object{"name": c.Tag, "description": c.About})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(table)) {
		wrong = append(wrong, fmt.Errorf("%s is not described in openapi/*.yaml", key))
	}
	document["tags"], document["paths"] = tags, paths
	return document, errors.Join(wrong...)
}

// outsideApps is the chapter of what stands below no application.
const outsideApps = "Discovery"

// describe makes the operation of a route: what is written, and what follows from the table.
func (r *Route) describe(tag string, written object) (object, error) {
	op := maps.Clone(written)
	for _, key := range []string{"users", "body", "example", "answer", "bare", "errors"} {
		delete(op, key)
	}
	op["tags"] = []any{tag}
	op["operationId"] = strings.ToLower(r.Method) + strings.NewReplacer("/", "_", "{", "", "}", "", "-", "_", ".", "_").Replace(r.Pattern)
	op["security"] = r.Access.security()
	users, _ := written["users"].(string)
	if asks := r.Access == AnyToken || r.Access == UserToken; asks != (users != "") {
		return op, fmt.Errorf("users are to be named for %s and %s only", AnyToken, UserToken)
	}
	description, _ := op["description"].(string)
	op["description"] = strings.TrimSpace(description + "\n\nWho may call: " + r.Access.callers(users) + ".")
	op["x-access"] = r.Access.String()
	if written["errors"] != nil {
		op["x-errors"] = written["errors"] // without those that every call has
	}
	parameters := []any{}
	for _, name := range r.names() {
		parameters = append(parameters, object{"$ref": "#/components/parameters/" + r.component(name)})
	}
	if more, ok := written["parameters"].([]any); ok {
		parameters = append(parameters, more...)
	}
	op["parameters"] = parameters
	if body, ok := written["body"]; ok {
		content := object{"schema": body}
		if example, ok := written["example"]; ok {
			content["example"] = example
		}
		op["requestBody"] = object{"required": true, "content": object{"application/json": content}}
	}
	responses := r.refusals(op["requestBody"] != nil, written["errors"])
	success, err := succeeds(written)
	maps.Copy(responses, success)
	op["responses"] = responses
	return op, err
}

// documented is the pattern in the document, where a segment may not have a second name, for several users.
func (r *Route) documented() string { return strings.ReplaceAll(r.Pattern, "{members}", "{member}") }

// component is the name of the description of a segment.
func (r *Route) component(name string) string {
	if name != "place" {
		return name
	}
	switch {
	case strings.Contains(r.Pattern, "chatroom"):
		return "chatroom"
	case strings.HasPrefix(r.Pattern, "/thread"), strings.HasPrefix(r.Pattern, "/threads/{"):
		if !strings.Contains(r.Pattern, "chatgroups") {
			return "thread"
		}
	}
	return "chatgroup"
}

// callers says in words who has the access; users is what a route says of the users.
func (a Access) callers(users string) string {
	switch a {
	case AppToken:
		return "the app's backend"
	case AnyToken:
		return "the app's backend; with a user's token: " + users
	case UserToken:
		return "with a user's token: " + users
	case AppOrSelf:
		return "the app's backend, and the user whom the path names"
	case AppOrOpen:
		return "the app's backend; anyone, if the app has open registration"
	}
	return "anyone, without a token"
}

func (a Access) security() []any {
	app, user := object{"appToken": []any{}}, object{"userToken": []any{}}
	switch a {
	case AppToken:
		return []any{app}
	case AnyToken, AppOrSelf:
		return []any{app, user}
	case UserToken:
		return []any{user}
	case AppOrOpen:
		return []any{app, object{}}
	}
	return []any{}
}

// refusals are the answers to what may be wrong with a call: what every call has, and what is written.
func (r *Route) refusals(hasBody bool, written any) object {
	texts := map[string]string{"404": "`organization_application_not_found`: there is no such app",
		"429": "`reach_limit`: there are too many calls", "5XX": "`internal_server_error`, `service_unavailable`: the server could not answer"}
	if r.Access != Anyone {
		texts["401"] = "`unauthorized`, `auth_bad_access_token`: the token is missing, expired, malformed or of another caller"
		texts["400"] = "`invalid_grant`: the user of the token is deactivated"
		texts["404"] += "; `entity_not_found`: the user of the token has been deleted"
	}
	if hasBody {
		texts["400"] = "`json_parse`, `invalid_request_body`: the body is not JSON, or a field is of a wrong kind; " + texts["400"]
		texts["408"] = "`request_timeout`: the body did not arrive in time"
		texts["413"] = "`Request Entity Too Large`: the body is too large"
	}
	for status, text := range asObject(written) {
		said := []string{fmt.Sprint(text)}
		if texts[status] != "" {
			said = append(said, texts[status])
		}
		texts[status] = strings.Join(said, "; ")
	}
	responses := object{}
	for status, text := range texts {
		responses[status] = object{"description": strings.TrimSuffix(strings.TrimSpace(text), ";"),
			"content": object{"application/json": object{"schema": object{"$ref": "#/components/schemas/Error"}}}}
	}
	return responses
}

// succeeds are the answers to a call that succeeds.
func succeeds(written object) (object, error) {
	if responses, ok := written["responses"]; ok {
		return asObject(responses), nil
	}
	schema, ok := written["bare"]
	if answer, has := written["answer"]; has {
		ok = true
		schema = object{"$ref": "#/components/schemas/Envelope"}
		if more := asObject(answer); len(more) > 0 {
			schema = object{"allOf": []any{schema, more}}
		}
	}
	if !ok {
		return nil, errors.New("there is neither answer nor bare nor responses")
	}
	return object{"200": object{"description": "It is done.", "content": object{"application/json": object{"schema": schema}}}}, nil
}

func asObject(v any) object {
	o, _ := v.(object)
	return o
}

// documentText is the document as JSON. What of it is out of step with the table is left out, and found by a test; a
// server without rehearsals is without their routes.
func (a *API) documentText() []byte {
	document, err := a.Document()
	if document == nil {
		panic(err) // a file that is part of the program is not YAML
	}
	text, err := json.Marshal(document)
	if err != nil {
		panic(err) // it came from text
	}
	return text
}

func (a *API) serveDocument(w http.ResponseWriter, r *http.Request) {
	start, text := time.Now(), a.document()
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Request-Id", requestID(r))
	w.Write(text) // a client that has gone needs no answer
	a.metrics.observe(http.MethodGet+" "+documentPath, http.StatusOK, time.Since(start))
}
