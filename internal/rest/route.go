package rest

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/stoa-chat/stoa/internal/account"
)

// Handler does what a call asks for. Its errors are worded by refusalOf.
type Handler func(ctx context.Context, c *Call) (Answer, error)

// Route is one call of the API.
type Route struct {
	Method string
	// Pattern is the path below the application, as /users/{user}: a segment in braces takes any text. A fixed segment
	// goes before one in braces, so /chatgroups/user/{user} and /chatgroups/{group}/users can stand beside each other.
	// The one pattern that stands below no application begins with /easemob/.
	Pattern string
	Access  Access
	Handle  Handler
}

// String returns method and pattern, as a pattern of http.ServeMux is written.
func (r *Route) String() string {
	if r == nil {
		return "none"
	}
	return r.Method + " " + r.Pattern
}

func (r *Route) check() {
	switch {
	case r.Access == 0:
		panic(fmt.Sprintf("rest: %s does not say who may call it", r))
	case r.Access == AppOrSelf && !slices.Contains(r.names(), "user"):
		panic(fmt.Sprintf("rest: %s is for a user whom the path does not name", r))
	}
}

// names returns the names of the segments in braces.
func (r *Route) names() (names []string) {
	for segment := range strings.SplitSeq(r.Pattern, "/") {
		if name, ok := inBraces(segment); ok {
			names = append(names, name)
		}
	}
	return names
}

func inBraces(segment string) (string, bool) {
	if strings.HasPrefix(segment, "{") && strings.HasSuffix(segment, "}") {
		return segment[1 : len(segment)-1], true
	}
	return "", false
}

// node is a segment in the tree of all patterns.
type node struct {
	fixed  map[string]*node
	open   *node             // a segment in braces
	routes map[string]*Route // those that end here, by method
}

func newNode() *node { return &node{fixed: map[string]*node{}, routes: map[string]*Route{}} }

func (n *node) add(r *Route) {
	for segment := range strings.SplitSeq(strings.TrimPrefix(r.Pattern, "/"), "/") {
		if _, open := inBraces(segment); open {
			if n.open == nil {
				n.open = newNode()
			}
			n = n.open
			continue
		}
		if n.fixed[segment] == nil {
			n.fixed[segment] = newNode()
		}
		n = n.fixed[segment]
	}
	if n.routes[r.Method] != nil {
		panic(fmt.Sprintf("rest: there are two of %s", r))
	}
	n.routes[r.Method] = r
}

// find returns the route for a path and the texts of its open segments. A fixed segment that leads nowhere is tried as
// an open one: there may be a user called "batch". The methods of routes with that path are added to allow.
func (n *node) find(method string, path, values []string, allow map[string]bool) (*Route, []string) {
	if len(path) == 0 {
		for m := range n.routes {
			allow[m] = true
		}
		return n.routes[method], values
	}
	if next := n.fixed[path[0]]; next != nil {
		if r, v := next.find(method, path[1:], values, allow); r != nil {
			return r, v
		}
	}
	if n.open == nil || path[0] == "" {
		return nil, nil
	}
	return n.open.find(method, path[1:], append(values, path[0]), allow)
}

// route finds the route of a call and fills in what the path says.
func (a *API) route(c *Call, path []string) error {
	allow := map[string]bool{}
	route, values := a.tree.find(c.http.Method, path, nil, allow)
	if route != nil {
		c.route = route
		for i, name := range route.names() {
			c.values[name] = values[i]
		}
		return nil
	}
	if len(allow) > 0 {
		methods := append(slices.Collect(maps.Keys(allow)), http.MethodOptions)
		slices.Sort(methods)
		return &refusal{status: http.StatusMethodNotAllowed, slug: "method_not_allowed", description: "method not allowed",
			allow: []string{strings.Join(methods, ", ")}}
	}
	return &refusal{status: http.StatusNotFound, slug: "not_found", description: "there is no such path"}
}

// locate finds the application that a request is for and returns the path below it, in segments.
func (a *API) locate(c *Call) (path []string, err error) {
	segments, err := split(c.http.URL)
	if err != nil {
		return nil, &refusal{status: http.StatusNotFound, slug: "not_found", description: "there is no such path", err: err}
	}
	if segments[0] == "easemob" { // the host discovery, whose query names the application
		c.App, err = a.discovered(c)
		return segments, err
	}
	if len(segments) < 2 {
		return nil, &refusal{status: http.StatusNotFound, slug: "not_found", description: "there is no such path"}
	}
	if segments[0] == "app-id" {
		c.App, err = a.accounts.AppByAgoraID(segments[1])
	} else {
		c.App, err = a.accounts.App(segments[0] + "#" + segments[1])
	}
	if err != nil {
		return nil, noApp(segments[0]+"/"+segments[1], strings.Join(segments, "/"), err)
	}
	return segments[2:], nil
}

func noApp(name, uri string, err error) error {
	return &refusal{status: http.StatusNotFound, slug: "organization_application_not_found", err: err,
		description: fmt.Sprintf("Could not find application for %s from URI: %s", name, uri)}
}

// split cuts a path into its segments before it unescapes them: an escaped slash belongs to a name.
func split(u *url.URL) ([]string, error) {
	segments := strings.Split(strings.TrimSuffix(strings.TrimPrefix(u.EscapedPath(), "/"), "/"), "/")
	for i, segment := range segments {
		text, err := url.PathUnescape(segment)
		if err != nil {
			return nil, err
		}
		segments[i] = text
	}
	return segments, nil
}

// User is the {user} of the path, in the form in which users are kept.
func (c *Call) User() string { return account.Fold(c.values["user"]) }
