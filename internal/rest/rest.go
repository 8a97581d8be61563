// Package rest is the HTTP edge: it takes the calls of SDKs and backends (docs/protocol/sdk-rest.md and admin-rest.md),
// asks the services, and words their answers and refusals as clients expect them. It holds no rule.
//
// A call is a Route in a table. Its handler is given a Call and returns an Answer or an error; what every call has in
// common (finding the application, tokens, envelopes, origins, metrics) happens once, around it.
package rest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/clock"
	"github.com/stoa-chat/stoa/internal/contact"
	"github.com/stoa-chat/stoa/internal/file"
	"github.com/stoa-chat/stoa/internal/message"
	"github.com/stoa-chat/stoa/internal/moderation"
	"github.com/stoa-chat/stoa/internal/muc"
	"github.com/stoa-chat/stoa/internal/presence"
	"github.com/stoa-chat/stoa/internal/push"
	"github.com/stoa-chat/stoa/internal/rehearse"
	"github.com/stoa-chat/stoa/internal/webhook"
)

// API is the HTTP edge of one node. It answers every request by itself: what it has no route for is a 404 with JSON, as
// clients hang on any other body (docs/protocol/sdk-rest.md §0).
type API struct {
	// TrustProxy believes X-Forwarded-Proto, -Host and -For, which any client could send. It is not to be changed
	// once requests are served.
	TrustProxy bool

	accounts *account.Service
	contacts *contact.Service
	presence *presence.Service
	push     *push.Service
	files    *file.Service
	messages *message.Service
	mucs     *muc.Service
	clock    *clock.Clock
	log      *slog.Logger
	metrics  *metrics
	pace     pace
	rates    rates
	routes   []Route
	tree     *node
	document func() []byte // for documentPath

	moderation *moderation.Service
	webhooks   *webhook.Service
	rehearsals *rehearse.Service
}

// Services are what the edge asks.
type Services struct {
	Accounts *account.Service
	Contacts *contact.Service
	Presence *presence.Service
	Push     *push.Service
	Files    *file.Service
	Messages *message.Service
	Mucs     *muc.Service

	Moderation *moderation.Service
	Webhooks   *webhook.Service
	Rehearsals *rehearse.Service // nil: none
}

// New makes the edge and registers its metrics.
func New(services Services, c *clock.Clock, registry prometheus.Registerer, log *slog.Logger) *API {
	a := &API{accounts: services.Accounts, contacts: services.Contacts, presence: services.Presence, push: services.Push, files: services.Files,
		messages: services.Messages, mucs: services.Mucs, moderation: services.Moderation, webhooks: services.Webhooks, rehearsals: services.Rehearsals, clock: c, log: log, metrics: newMetrics(registry), pace: standardPace, tree: newNode()}
	a.document = sync.OnceValue(a.documentText)
	a.add(a.discoveryRoutes()...)
	a.add(a.tokenRoutes()...)
	a.add(a.userRoutes()...)
	a.add(a.deviceRoutes()...)
	a.add(a.contactRoutes()...)
	a.add(a.profileRoutes()...)
	a.add(a.callRoutes()...)
	a.add(a.presenceRoutes()...)
	a.add(a.pushRoutes()...)
	a.add(a.backendPushRoutes()...)
	a.add(a.fileRoutes()...)
	a.add(a.translationRoutes()...)
	a.add(a.reactionRoutes()...)
	a.add(a.pinRoutes()...)
	a.add(a.reportRoutes()...)
	a.add(a.conversationRoutes()...)
	a.add(a.historyRoutes()...)
	a.add(a.groupRoutes()...)
	a.add(a.roomRoutes()...)
	a.add(a.threadRoutes()...)
	a.add(a.broadcastRoutes()...)
	a.add(a.messageRoutes()...)
	a.add(a.streamedRoutes()...)
	a.add(a.exportRoutes()...)
	a.add(a.settingsRoutes()...)
	a.add(a.moderationRoutes()...)
	a.add(a.callbackRoutes()...)
	if a.rehearsals != nil {
		a.add(a.rehearsalRoutes()...)
	}
	return a
}

// add puts routes into the table. It panics on a route that contradicts the table or itself: that is a slip in the code.
func (a *API) add(routes ...Route) {
	for _, r := range routes {
		r.check()
		a.tree.add(&r)
		a.routes = append(a.routes, r)
	}
}

// Routes returns the table.
func (a *API) Routes() []Route { return slices.Clone(a.routes) }

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == documentPath && r.Method == http.MethodGet {
		a.serveDocument(w, r)
		return
	}
	c := a.newCall(w, r)
	path, err := a.locate(c)
	a.allowOrigin(w.Header(), c)
	if r.Method == http.MethodOptions {
		preflight(w)
		a.metrics.observe(methodOptions, http.StatusNoContent, time.Since(c.start))
		return
	}
	var answer Answer
	if err == nil {
		answer, err = a.run(r.Context(), c, path)
	}
	if errors.Is(err, errNoAnswer) {
		panic(http.ErrAbortHandler) // ends the connection
	}
	c.drain()
	status := a.respond(w, c, answer, err)
	a.metrics.observe(c.route.String(), status, time.Since(c.start))
	a.log.Debug("request", "request_id", c.id, "method", r.Method, "path", r.URL.Path, "status", status, "error", err)
}

// run finds the route, asks whether the caller may use it, and calls its handler.
func (a *API) run(ctx context.Context, c *Call, path []string) (answer Answer, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	if err := a.route(c, path); err != nil {
		return Answer{}, err
	}
	if err := a.authorise(ctx, c, c.route.Access); err != nil {
		return Answer{}, err
	}
	if err := a.paced(c); err != nil {
		return Answer{}, err
	}
	if err := a.rehearsed(ctx, c, c.Who.User.ID); err != nil {
		return Answer{}, err
	}
	if !c.Who.App {
		c.App = a.accounts.AppFor(c.App, c.Who.User.ID)
	}
	answer, err = c.route.Handle(ctx, c)
	if code, ok := errcode.CodeOf(err); ok {
		a.rehearsals.Met(c.Who.User.ID, code)
	}
	return answer, err
}

// respond writes the answer or the error and returns the status.
func (a *API) respond(w http.ResponseWriter, c *Call, answer Answer, err error) int {
	if err == nil && answer.Stream != nil {
		return a.stream(w, c, answer)
	}
	var text []byte
	status := http.StatusOK
	if err == nil {
		text, err = a.success(c, answer)
	}
	if err != nil {
		said := refusalOf(err)
		if said.log {
			a.log.Error("request failed", "request_id", c.id, "method", c.http.Method, "route", c.route.String(), "error", err)
		}
		if len(said.allow) > 0 {
			w.Header()["Allow"] = said.allow
		}
		if said.retryAfter != "" {
			w.Header().Set("Retry-After", said.retryAfter)
		}
		status, text = said.status, a.failure(c, said)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	h.Set("Cache-Control", "no-store") // answers hold tokens
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	w.Write(text) // a client that has gone needs no answer
	return status
}

var requestIDForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// requestID takes the id that the caller or a proxy gave to the request, or makes one.
func requestID(r *http.Request) string {
	if id := r.Header.Get("X-Request-Id"); requestIDForm.MatchString(id) {
		return id
	}
	return rand.Text()
}
