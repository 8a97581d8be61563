// Package gateway is the socket edge: it takes WebSocket connections, speaks the protocol of docs/protocol/wire.md, and
// hands what clients ask for to the services. It holds no chat rule.
package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/clock"
	"github.com/stoa-chat/stoa/internal/contact"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/message"
	"github.com/stoa-chat/stoa/internal/muc"
	"github.com/stoa-chat/stoa/internal/rehearse"
)

const (
	loginTime  = 10 * time.Second        // from the open socket to Provision
	restAfter  = 1500 * time.Millisecond // of silence
	pingAfter  = 100 * time.Second       // of silence; clients send UNREAD each 60 s
	idleTime   = 150 * time.Second       // of silence; then the connection is dead
	closeTime  = 2 * time.Second         // for a client to take note of its kick, or to answer a close
	tokenGrace = 2 * time.Second         // for a client to close at its token's end by itself, as it does
)

// Gateway is the socket edge of one node.
type Gateway struct {
	// Rehearsals say what users are to meet; nil: nothing. It is not to be changed once sockets are served.
	Rehearsals *rehearse.Service

	accounts *account.Service
	contacts *contact.Service
	mucs     *muc.Service
	messages *message.Service
	hub      *delivery.Hub
	clock    *clock.Clock
	log      *slog.Logger
	metrics  *metrics

	mu       sync.Mutex
	sessions map[*session]struct{}
	closing  bool
	live     sync.WaitGroup

	tick atomic.Int64 // the machine's clock in seconds, so that sessions need not ask for it
	stop chan struct{}
	done sync.WaitGroup
}

// New starts the gateway of a node.
func New(accounts *account.Service, contacts *contact.Service, mucs *muc.Service, messages *message.Service, hub *delivery.Hub, c *clock.Clock, m *Metrics, log *slog.Logger) *Gateway {
	g := &Gateway{accounts: accounts, contacts: contacts, mucs: mucs, messages: messages, hub: hub, clock: c, metrics: (*metrics)(m), log: log,
		sessions: map[*session]struct{}{}, stop: make(chan struct{})}
	g.tick.Store(time.Now().Unix())
	g.done.Go(g.sweepLoop)
	return g
}

// Register adds the socket's routes to a mux.
func (g *Gateway) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /ws", g.serveSocket)
	mux.HandleFunc("GET /websocket", g.serveSocket) // where clients that discover hosts look
	mux.HandleFunc("GET /ws/info", serveInfo)
	mux.HandleFunc("OPTIONS /ws/info", serveInfo)
	mux.HandleFunc("GET /ws/{server}/{session}/websocket", g.serveSockJS)
}

func (g *Gateway) serveSocket(w http.ResponseWriter, r *http.Request) { g.serve(w, r, false) }
func (g *Gateway) serveSockJS(w http.ResponseWriter, r *http.Request) { g.serve(w, r, true) }

func (g *Gateway) serve(w http.ResponseWriter, r *http.Request, sockJS bool) {
	conn, rw, _, err := ws.UpgradeHTTP(r, w)
	if err != nil {
		g.log.Debug("upgrade", "remote", r.RemoteAddr, "error", err)
		return
	}
	conn.SetDeadline(time.Time{}) // the HTTP server's time-outs end here
	var early []byte
	if n := rw.Reader.Buffered(); n > 0 {
		early, _ = rw.Reader.Peek(n)
		early = append([]byte(nil), early...)
	}
	s := newSession(g, conn, r.Header.Get("Origin"), early, sockJS)
	if !g.add(s) {
		conn.Close()
		return
	}
	if sockJS {
		s.out.control(ws.OpText, []byte("o"))
		s.out.flush()
	}
	// The handler returns, so that the HTTP server's buffers are given back.
	go s.run()
}

// serveInfo tells SockJS clients that there is a WebSocket.
func serveInfo(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	if origin := r.Header.Get("Origin"); origin != "" {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true")
		h.Set("Vary", "Origin")
	}
	if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
		h.Set("Access-Control-Allow-Headers", asked)
	}
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	if r.Method == http.MethodGet {
		w.Write([]byte(`{"websocket":true,"origins":["*:*"],"cookie_needed":false,"entropy":1}`))
	}
}

func (g *Gateway) add(s *session) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closing {
		return false
	}
	g.sessions[s] = struct{}{}
	g.live.Add(1)
	g.metrics.connections.Inc()
	return true
}

func (g *Gateway) remove(s *session) {
	g.mu.Lock()
	delete(g.sessions, s)
	g.mu.Unlock()
	g.metrics.connections.Dec()
	g.live.Done()
}

func (g *Gateway) snapshot() []*session {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make([]*session, 0, len(g.sessions))
	for s := range g.sessions {
		all = append(all, s)
	}
	return all
}

// sweepLoop does for all sessions what timers would do for each.
func (g *Gateway) sweepLoop() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		moved := g.clock.Moved()
		select {
		case <-g.stop:
			return
		case <-tick.C:
		case <-moved:
		}
		now := time.Now()
		g.tick.Store(now.Unix())
		appTime := g.clock.Now()
		for _, s := range g.snapshot() {
			s.sweep(now, appTime)
		}
	}
}

// Close ends all connections once their open requests are answered, or when the context ends. Clients reconnect,
// elsewhere or later. Closing twice is no harm.
func (g *Gateway) Close(ctx context.Context) {
	g.mu.Lock()
	closed := g.closing
	g.closing = true
	g.mu.Unlock()
	if closed {
		return
	}
	for _, s := range g.snapshot() {
		s.leave(ws.StatusGoingAway, "server is stopping")
	}
	gone := make(chan struct{})
	go func() {
		g.live.Wait()
		close(gone)
	}()
	select {
	case <-gone:
	case <-ctx.Done():
		for _, s := range g.snapshot() {
			s.out.close()
		}
		<-gone
	}
	close(g.stop)
	g.done.Wait()
}
