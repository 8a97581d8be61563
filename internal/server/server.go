// Package server wires the parts of a node together and runs them: configuration in, running server out.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/blob"
	"github.com/stoa-chat/stoa/internal/bus"
	"github.com/stoa-chat/stoa/internal/clock"
	"github.com/stoa-chat/stoa/internal/config"
	"github.com/stoa-chat/stoa/internal/console"
	"github.com/stoa-chat/stoa/internal/contact"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/file"
	"github.com/stoa-chat/stoa/internal/gateway"
	"github.com/stoa-chat/stoa/internal/message"
	"github.com/stoa-chat/stoa/internal/moderation"
	"github.com/stoa-chat/stoa/internal/muc"
	"github.com/stoa-chat/stoa/internal/presence"
	"github.com/stoa-chat/stoa/internal/push"
	"github.com/stoa-chat/stoa/internal/rehearse"
	"github.com/stoa-chat/stoa/internal/rest"
	"github.com/stoa-chat/stoa/internal/store"
	"github.com/stoa-chat/stoa/internal/store/postgres"
	"github.com/stoa-chat/stoa/internal/store/sqlite"
	"github.com/stoa-chat/stoa/internal/translate"
	"github.com/stoa-chat/stoa/internal/webhook"
)

const (
	leaseTime   = 30 * time.Second // how long a node's number is its own without a renewal
	leaseRenew  = 8 * time.Second
	stopTime    = 15 * time.Second // for clients to be answered when the server stops
	forgetEvery = time.Minute
	forgetSlice = 200 // devices forgotten at a time
	sweepEvery  = time.Minute
)

// Server is a node.
type Server struct {
	config   config.Config
	log      *slog.Logger
	clock    *clock.Clock
	registry *prometheus.Registry

	store     store.Store
	bus       bus.Bus
	lease     store.Lease
	ids       *delivery.IDs
	hub       *delivery.Hub
	delivery  *delivery.Service
	accounts  *account.Service
	contacts  *contact.Service
	mucs      *muc.Service
	messages  *message.Service
	presence  *presence.Service
	push      *push.Service
	files     *file.Service
	listening atomic.Bool // the services may be told of changes
	gateway   *gateway.Gateway

	moderation *moderation.Service
	webhooks   *webhook.Service
	rehearsals *rehearse.Service

	handler  http.Handler
	listener net.Listener
	admin    net.Listener
	ready    atomic.Bool
	failed   chan error // what ends the server by itself
	stop     context.CancelFunc
	stopped  context.Context
	work     sync.WaitGroup
}

// New opens the store, joins the other nodes and listens. Call Run, or Close if it is not to run.
func New(ctx context.Context, c config.Config, k *clock.Clock, log *slog.Logger) (_ *Server, err error) {
	s := &Server{config: c, log: log, clock: k, registry: prometheus.NewRegistry(), failed: make(chan error, 4)}
	s.stopped, s.stop = context.WithCancel(context.Background())
	s.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.store, err = openStore(ctx, c, log); err != nil {
		return nil, err
	}
	blobs, err := openBlobs(ctx, c, log)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if s.lease, err = s.store.JoinCluster(ctx, now.UnixMilli(), now.Add(leaseTime).UnixMilli()); err != nil {
		return nil, fmt.Errorf("join cluster: %w", err)
	}
	if s.lease.Node > 0 && c.NATSURL == "" {
		log.Warn("another node uses this database, or did a moment ago, and there is no NATS: messages between the nodes arrive at the next heartbeat only")
	}
	s.ids = delivery.NewIDs(s.lease.Node, s.lease.IDFloor)
	s.hub = delivery.NewHub(s.store, k, log)
	if s.bus, err = s.openBus(ctx); err != nil {
		return nil, err
	}
	s.delivery = delivery.New(s.hub, s.store, s.bus, s.ids, k, delivery.NewMetrics(s.registry), log)
	if s.accounts, err = account.New(ctx, s.store, s.delivery, s.bus, k, s.lease.Node, log); err != nil {
		return nil, fmt.Errorf("read applications: %w", err)
	}
	s.rehearsals = rehearse.New(c.Rehearsal, s.delivery, s.bus, log)
	s.accounts.Rehearsals = s.rehearsals
	s.contacts = contact.New(s.accounts, s.store, s.delivery, s.bus, k, log)
	s.presence = presence.New(s.accounts, s.store, s.delivery, k, log)
	s.accounts.Observe(s.presence)
	s.accounts.BeforeDelete(s.presence.Forget)
	s.push = push.New(s.accounts, s.store, s.delivery, k, s.lease.Node, push.NewMetrics(s.registry), log)
	s.delivery.Observe(s.push)
	s.files = file.New(s.accounts, s.store, blobs, k, log)
	s.mucs = muc.New(s.accounts, s.store, s.delivery, s.bus, k, log)
	s.accounts.BeforeDelete(s.mucs.Forget)
	s.mucs.BeforeEnd(s.files.DropPlace)
	if s.moderation, err = moderation.New(ctx, s.accounts, s.store, s.bus, k, log); err != nil {
		return nil, err
	}
	s.webhooks, err = webhook.New(ctx, s.accounts, s.store, s.delivery, s.bus, k, s.lease.Node, webhook.NewMetrics(s.registry), log)
	if err != nil {
		return nil, err
	}
	s.delivery.Observe(s.webhooks)
	s.accounts.Observe(s.webhooks)
	s.mucs.Observe(s.webhooks)
	s.listening.Store(true)
	s.reloadAll() // for what was changed in between
	s.messages = message.New(s.accounts, s.contacts, s.mucs, s.store, s.delivery, k, log)
	s.messages.Moderation, s.messages.Webhooks = s.moderation, s.webhooks
	if c.TranslateURL != "" {
		if s.messages.Translator, err = translate.NewLibreTranslate(c.TranslateURL, c.TranslateKey); err != nil {
			return nil, err
		}
	}
	s.gateway = gateway.New(s.accounts, s.contacts, s.mucs, s.messages, s.hub, k, gateway.NewMetrics(s.registry), log)
	s.gateway.Rehearsals = s.rehearsals
	s.handler = s.routes()
	if s.listener, err = net.Listen("tcp", c.Listen); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if c.AdminListen != "" {
		if s.admin, err = net.Listen("tcp", c.AdminListen); err != nil {
			return nil, fmt.Errorf("listen for administration: %w", err)
		}
	}
	return s, nil
}

func openStore(ctx context.Context, c config.Config, log *slog.Logger) (store.Store, error) {
	if c.DatabaseURL != "" {
		s, err := postgres.Open(ctx, c.DatabaseURL, log)
		if err != nil {
			return nil, fmt.Errorf("open PostgreSQL: %w", err)
		}
		return s, nil
	}
	s, err := sqlite.Open(ctx, c.Data, log)
	if err != nil {
		return nil, fmt.Errorf("open SQLite: %w", err)
	}
	return s, nil
}

func openBlobs(ctx context.Context, c config.Config, log *slog.Logger) (blob.Store, error) {
	if c.FilesURL != "" {
		return blob.Open(ctx, c.FilesURL)
	}
	if c.NATSURL != "" {
		log.Warn("files are kept in this node's own folder, where other nodes do not find them: set files-url")
	}
	return blob.OpenFolder(filepath.Join(c.Data, "files"))
}

func (s *Server) openBus(ctx context.Context) (bus.Bus, error) {
	if s.config.NATSURL == "" {
		return bus.NewLocal(s.heard), nil
	}
	b, err := bus.DialNATS(ctx, s.config.NATSURL, func(subject bus.Subject, data []byte) {
		s.heard(subject, data)
		s.hub.Flush()
	}, s.reconnected, s.log)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	return b, nil
}

// heard takes what arrives on the bus.
func (s *Server) heard(subject bus.Subject, data []byte) {
	if subject.Kind != bus.KindAll {
		s.hub.Handle(subject, data)
		return
	}
	// The node may hear others before it is ready itself; it reads everything again when it is.
	if !s.listening.Load() {
		return
	}
	s.contacts.Heard(data)
	s.mucs.Heard(data)
	s.rehearsals.Heard(data)
	if s.accounts.Heard(data) {
		s.reload("applications", s.accounts.Reload)
	}
	if s.moderation.Heard(data) {
		s.reload("rules", s.moderation.Rules.Reload)
	}
	if s.webhooks.Hooks.Heard(data) {
		s.reload("callbacks", s.webhooks.Hooks.Reload)
	}
	if s.webhooks.Listeners.Heard(data) {
		s.reload("callbacks", s.webhooks.ReloadListeners)
	}
}

// reload reads again what has changed, beside what else is heard.
func (s *Server) reload(what string, read func(context.Context) error) {
	if s.stopped.Err() != nil {
		return
	}
	s.work.Go(func() {
		if err := read(s.stopped); err != nil && s.stopped.Err() == nil {
			s.log.Error("read "+what, "error", err)
		}
	})
}

// reconnected looks in the store for what the bus may have lost.
func (s *Server) reconnected() {
	s.work.Go(func() { s.hub.Resync(s.stopped) })
	if s.listening.Load() {
		s.reloadAll()
	}
}

// reloadAll reads again what is in memory for good; what else is kept there ages.
func (s *Server) reloadAll() {
	s.reload("applications", s.accounts.Reload)
	s.reload("rules", s.moderation.Rules.Reload)
	s.reload("callbacks", s.webhooks.Hooks.Reload)
	s.reload("callbacks", s.webhooks.ReloadListeners)
}

// Accounts is for what the commands set up before the server runs.
func (s *Server) Accounts() *account.Service { return s.accounts }

// Addr returns the address that the server listens on, host:port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// URL returns the base address of REST for a client on this machine, and SocketURL that of the socket.
func (s *Server) URL() string       { return s.scheme("http") + "://" + s.Addr() }
func (s *Server) SocketURL() string { return s.scheme("ws") + "://" + s.Addr() + "/ws" }

func (s *Server) scheme(plain string) string {
	if s.config.TLSCert != "" {
		return plain + "s"
	}
	return plain
}

// routes dispatches by the first path segment: what is not the server's own is an application's.
func (s *Server) routes() http.Handler {
	sockets := http.NewServeMux()
	s.gateway.Register(sockets)
	api := rest.New(rest.Services{Accounts: s.accounts, Contacts: s.contacts, Presence: s.presence, Push: s.push, Files: s.files, Messages: s.messages,
		Mucs: s.mucs, Moderation: s.moderation, Webhooks: s.webhooks, Rehearsals: s.rehearsals},
		s.clock, s.registry, s.log)
	api.TrustProxy = s.config.TrustProxy
	own := http.NewServeMux()
	own.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok") })
	own.HandleFunc("GET /readyz", s.serveReady)
	playground := console.Handler()
	metrics := promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		switch first {
		case "ws", "websocket":
			if _, pattern := sockets.Handler(r); pattern != "" {
				sockets.ServeHTTP(w, r)
				return
			}
		case "playground":
			playground.ServeHTTP(w, r)
			return
		case "healthz", "readyz":
			if _, pattern := own.Handler(r); pattern != "" {
				own.ServeHTTP(w, r)
				return
			}
		case "metrics":
			if s.config.AdminListen == "" && r.Method == http.MethodGet {
				metrics.ServeHTTP(w, r)
				return
			}
		}
		api.ServeHTTP(w, r)
	})
}

func answer(w http.ResponseWriter, status int, word string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, "{\"status\":%q}\n", word)
}

func (s *Server) serveReady(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 3*time.Second)
	defer cancel()
	if !s.ready.Load() {
		answer(w, http.StatusServiceUnavailable, "stopping")
	} else if err := s.store.Ping(ctx); err != nil {
		s.log.Error("store does not answer", "error", err)
		answer(w, http.StatusServiceUnavailable, "store does not answer")
	} else {
		answer(w, http.StatusOK, "ready")
	}
}

func adminRoutes(registry *prometheus.Registry) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

// Run serves until the context ends, and stops so that nothing acknowledged is lost. ready is called once it serves.
func (s *Server) Run(ctx context.Context, ready func()) error {
	main := &http.Server{Handler: s.handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)}
	if s.config.TLSCert != "" {
		files, err := loadCertificate(s.config.TLSCert, s.config.TLSKey, s.log)
		if err != nil {
			return errors.Join(err, s.Close())
		}
		// HTTP/1.1 only: a WebSocket is an upgrade of it.
		main.TLSConfig = &tls.Config{GetCertificate: files.get, NextProtos: []string{"http/1.1"}}
	}
	s.work.Go(s.keepLease)
	s.work.Go(s.forgetDevices)
	s.work.Go(func() { s.push.Run(s.stopped) })
	s.work.Go(func() { s.webhooks.Run(s.stopped) })
	s.work.Go(func() { s.messages.Index(s.stopped) })
	s.work.Go(func() { s.messages.Expire(s.stopped) })
	s.work.Go(s.sweepFiles)
	s.work.Go(func() { s.mucs.Run(s.stopped) })
	servers := []*http.Server{main}
	go s.serve(main, s.listener)
	if s.admin != nil {
		admin := &http.Server{Handler: adminRoutes(s.registry), ReadHeaderTimeout: 10 * time.Second}
		servers = append(servers, admin)
		go s.serve(admin, s.admin)
	}
	s.ready.Store(true)
	ready()
	var failure error
	select {
	case <-ctx.Done():
	case failure = <-s.failed:
	}
	s.ready.Store(false)
	s.log.Info("stopping")
	grace, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	for _, server := range servers {
		if err := server.Shutdown(grace); err != nil {
			s.log.Warn("stop HTTP", "error", err)
		}
	}
	return errors.Join(failure, s.Close())
}

func (s *Server) serve(server *http.Server, listener net.Listener) {
	var err error
	if server.TLSConfig != nil {
		err = server.ServeTLS(listener, "", "")
	} else {
		err = server.Serve(listener)
	}
	if !errors.Is(err, http.ErrServerClosed) {
		s.failed <- fmt.Errorf("serve: %w", err)
	}
}

// keepLease keeps the node's number, and ids reserved ahead.
func (s *Server) keepLease() {
	tick := time.NewTicker(leaseRenew)
	defer tick.Stop()
	renewed := time.Now()
	for {
		select {
		case <-s.stopped.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		until := max(now.UnixMilli(), s.ids.Last()) + leaseTime.Milliseconds()
		ctx, cancel := context.WithTimeout(s.stopped, leaseRenew/2)
		err := s.store.RenewNode(ctx, s.lease, now.UnixMilli(), until)
		cancel()
		switch {
		case err == nil:
			renewed = now
		case s.stopped.Err() != nil:
			return
		case errors.Is(err, store.ErrLeaseLost), time.Since(renewed) > leaseTime-leaseRenew:
			// Another node may make ids with our number from now on.
			s.failed <- fmt.Errorf("keep node lease: %w", err)
			return
		default:
			s.log.Warn("renew node lease", "error", err)
		}
	}
}

// forgetDevices forgets the devices that were away for longer than catching up reaches back.
func (s *Server) forgetDevices() {
	tick := time.NewTicker(forgetEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.stopped.Done():
			return
		case <-tick.C:
		}
		before := s.clock.Now().Add(-delivery.OfflineWindow).UnixMilli()
		n, err := s.store.ForgetDevices(s.stopped, before, forgetSlice)
		if err != nil && s.stopped.Err() == nil {
			s.log.Warn("forget devices", "error", err)
		} else if n > 0 {
			s.log.Info("forgot devices", "count", n)
		}
	}
}

// sweepFiles removes files that have expired and uploads that were abandoned.
func (s *Server) sweepFiles() {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.stopped.Done():
			return
		case <-tick.C:
		}
		n, err := s.files.Sweep(s.stopped)
		if err != nil && s.stopped.Err() == nil {
			s.log.Warn("sweep files", "error", err)
		}
		if n > 0 {
			s.log.Info("removed files", "count", n)
		}
	}
}

// Close releases everything, in the order in which the parts need each other. What was accepted is committed first.
func (s *Server) Close() error {
	s.stop()
	var errs []error
	for _, listener := range []net.Listener{s.listener, s.admin} {
		if listener != nil {
			listener.Close() // Run's servers have closed it already
		}
	}
	if s.gateway != nil {
		ctx, cancel := context.WithTimeout(context.Background(), stopTime)
		defer cancel()
		s.gateway.Close(ctx)
	}
	s.work.Wait()
	if s.rehearsals != nil {
		s.rehearsals.Close()
	}
	if s.presence != nil {
		ctx, cancel := context.WithTimeout(context.Background(), stopTime)
		defer cancel()
		errs = append(errs, s.presence.Close(ctx))
	}
	if s.delivery != nil {
		s.delivery.Close()
	}
	if s.messages != nil {
		s.messages.Close()
		ctx, cancel := context.WithTimeout(context.Background(), stopTime)
		defer cancel()
		errs = append(errs, s.webhooks.Close(ctx))
	}
	if s.hub != nil {
		errs = append(errs, s.hub.Close())
	}
	if s.bus != nil {
		errs = append(errs, s.bus.Close())
	}
	if s.store != nil {
		ctx, cancel := context.WithTimeout(context.Background(), stopTime)
		defer cancel()
		errs = append(errs, s.store.LeaveCluster(ctx, s.lease), s.store.Close())
	}
	return errors.Join(errs...)
}
