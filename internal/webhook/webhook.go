// Package webhook asks backends before messages are delivered (ask.go), and tells them afterwards what has happened. Its
// refusals are *errcode.Error.
//
// The way of what backends are told: an entry is durable and its sender answered; each rule of the app (listener.go) has a
// stream on each node (stream.go), which finds the entry in its queue in memory, or in the timelines if the queue ran over or
// the node was started anew; there the entry becomes an event (event.go) and is sent. Only what a backend does not take at
// once is stored, and tried again. A mark in the store says how far a stream has come.
package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/bus"
	"github.com/stoa-chat/stoa/internal/clock"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/ruleset"
	"github.com/stoa-chat/stoa/internal/store"
)

const (
	maxRules    = 4                // of an app and a kind
	lookEvery   = time.Second      // for callbacks that are due
	countEvery  = 5 * time.Second  // how many wait
	adoptEvery  = 30 * time.Second // what nodes that have ended have left
	adoptTime   = 10 * time.Minute // that who takes it has for it
	forgetEvery = time.Minute
	slice       = 256 // rows in one step
	maxSessions = 8192
)

// SignatureHeader holds "sha256=" and the HMAC-SHA256 of the body under the rule's secret, in hex.
const SignatureHeader = "X-Stoa-Signature"

func signature(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// security is the signature of docs/protocol/tokens.md §8.
func security(id, secret string, at int64) string {
	sum := md5.Sum([]byte(id + secret + strconv.FormatInt(at, 10)))
	return hex.EncodeToString(sum[:])
}

// Store is what the service keeps in the store, and reads there.
type Store interface {
	store.Rules
	store.Callbacks
	EntriesAfter(ctx context.Context, id int64, limit int) ([]store.Found, error)
	UserByID(ctx context.Context, id int64) (store.User, error)
}

// Service asks and tells backends, on one node.
type Service struct {
	// Hooks are the rules of what backends are asked.
	Hooks *ruleset.Set[*Hook]
	// Listeners are the rules of what they are told. What another node changes goes to ReloadListeners.
	Listeners Listeners

	accounts *account.Service
	store    Store
	delivery *delivery.Service
	clock    *clock.Clock
	node     int
	metrics  *Metrics
	log      *slog.Logger
	client   *http.Client

	syncing sync.Mutex
	running context.Context // nil: not yet, or no more
	work    sync.WaitGroup
	streams atomic.Pointer[map[int64][]*stream] // by app; read-only

	mu       sync.Mutex
	sessions []sessionNews // that have not been given to streams
	wake     chan struct{}
}

// New reads the rules. What arrives on bus.All goes to the Heard of Hooks and Listeners. The service is to be told of entries
// (delivery.Service.Observe), of sessions (account.Service.Observe) and of what is not kept (Happened). Run has it tell.
func New(ctx context.Context, accounts *account.Service, s Store, d *delivery.Service, b bus.Bus, c *clock.Clock, node int, m *Metrics, log *slog.Logger) (*Service, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 64
	w := &Service{accounts: accounts, store: s, delivery: d, clock: c, node: node, metrics: m, log: log, wake: make(chan struct{}, 1),
		client: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	w.streams.Store(&map[int64][]*stream{})
	m.age(w.age)
	var err error
	if w.Hooks, err = ruleset.New(ctx, store.RuleCallback, maxRules, ParseHook, s, b, log); err != nil {
		return nil, err
	}
	w.Listeners.service = w
	w.Listeners.Set, err = ruleset.New(ctx, store.RuleListener, maxRules, ParseListener, s, b, log)
	return w, err
}

func (s *Service) now() int64 { return s.clock.Now().UnixMilli() }

// Run tells backends what has happened, until the context ends.
func (s *Service) Run(ctx context.Context) {
	s.syncing.Lock()
	s.running = ctx
	s.syncing.Unlock()
	s.sync()
	due, count, adopt, forget := time.NewTicker(lookEvery), time.NewTicker(countEvery), time.NewTicker(adoptEvery), time.NewTicker(forgetEvery)
	for _, t := range []*time.Ticker{due, count, adopt, forget} {
		defer t.Stop()
	}
	for ctx.Err() == nil {
		moved, what := s.clock.Moved(), "look for callbacks"
		var err error
		select {
		case <-ctx.Done():
		case <-s.wake:
			what, err = "tell of sessions", s.resolve(ctx)
		case <-moved:
			err = s.lookForDue(ctx)
		case <-due.C:
			err = s.lookForDue(ctx)
		case <-count.C:
			err = s.count(ctx)
		case <-adopt.C:
			what, err = "take over callbacks", s.adopt(ctx)
		case <-forget.C:
			_, err = s.store.ForgetCallbacks(ctx, s.now()-keepDead.Milliseconds(), slice)
		}
		if err != nil && ctx.Err() == nil {
			s.log.Warn(what, "error", err)
		}
	}
	s.syncing.Lock()
	s.running = nil // no stream begins any more
	s.syncing.Unlock()
	s.work.Wait()
}

// sync begins and ends streams, so that there is one for each rule that is on.
func (s *Service) sync() {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	if s.running == nil {
		return
	}
	had := *s.streams.Load()
	next := map[int64][]*stream{}
	for app, rules := range s.Listeners.All() {
		for _, rule := range rules {
			if rule.Made.asleep {
				continue
			}
			one := find(had[app], rule.Name)
			if one == nil {
				one = s.begin(app, rule.Name)
			}
			next[app] = append(next[app], one)
		}
	}
	s.streams.Store(&next)
	for app, streams := range had {
		for _, one := range streams {
			if find(next[app], one.rule) == nil {
				one.stop()
			}
		}
	}
}

func find(streams []*stream, rule string) *stream {
	for _, one := range streams {
		if one.rule == rule {
			return one
		}
	}
	return nil
}

// ReloadListeners reads the rules of what backends are told again.
func (s *Service) ReloadListeners(ctx context.Context) error {
	err := s.Listeners.Reload(ctx)
	s.sync()
	return err
}

// lookForDue wakes the streams of which something is due. What is left of a rule that is gone is removed.
func (s *Service) lookForDue(ctx context.Context) error {
	due, err := s.store.DueCallbacks(ctx, s.now(), slice)
	if err != nil {
		return err
	}
	streams := *s.streams.Load()
	for _, of := range due {
		if one := find(streams[of.App], of.Rule); one != nil {
			one.retry()
		} else if _, ok := s.listener(of.App, of.Rule); !ok {
			if err := s.store.DropCallbacks(ctx, of.App, of.Rule); err != nil {
				return err
			}
		}
	}
	return nil
}

// adopt has streams tell what nodes that have ended have left.
func (s *Service) adopt(ctx context.Context) error {
	now := s.now()
	marks, err := s.store.LostCallbackMarks(ctx, now, now+adoptTime.Milliseconds(), slice)
	if err != nil {
		return err
	}
	streams := *s.streams.Load()
	for _, mark := range marks {
		if one := find(streams[mark.App], mark.Rule); one != nil {
			one.adopt(mark)
		} else if err := s.store.DropCallbackMark(ctx, mark); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) count(ctx context.Context) error {
	count, oldest, err := s.store.CallbackBacklog(ctx)
	s.metrics.waiting.Set(float64(count))
	s.metrics.oldest.Store(oldest)
	return err
}

// age is how long the oldest event waits that a backend has not been told of, in seconds.
func (s *Service) age() float64 {
	oldest := s.metrics.oldest.Load()
	for _, streams := range *s.streams.Load() {
		for _, one := range streams {
			if at := one.oldest(); at != 0 && (oldest == 0 || at < oldest) {
				oldest = at
			}
		}
	}
	if oldest == 0 {
		return 0
	}
	return max(0, float64(s.now()-oldest)/1000)
}

// listener returns a rule of an app.
func (s *Service) listener(app int64, name string) (*Listener, bool) {
	for _, rule := range s.Listeners.Of(app) {
		if rule.Name == name {
			return rule.Made, true
		}
	}
	return nil, false
}

// Committed implements delivery.Observer. Without rules it costs a look at a pointer.
func (s *Service) Committed(entry store.Found, _ bool) { s.hand(entry.Key.App, news{Found: entry}) }

// Happened tells of something that is kept in no timeline. It is told once, if the node does not crash within moments. It
// does not block.
func (s *Service) Happened(event store.Found) { s.hand(event.Key.App, news{Found: event}) }

func (s *Service) hand(app int64, n news) {
	streams := *s.streams.Load()
	if len(streams) == 0 {
		return
	}
	for _, one := range streams[app] {
		one.add(n)
	}
}

// sessionNews is a session that has come or gone.
type sessionNews struct {
	store.Session
	id     string // of the event
	reason string // login, logout or replaced
	at     int64
	user   store.User
}

// SessionOpened implements account.Observer.
func (s *Service) SessionOpened(session store.Session) { s.note(session, "login") }

// SessionClosed implements account.Observer.
func (s *Service) SessionClosed(session store.Session, how account.Closing) {
	switch how {
	case account.ClosedItself:
		s.note(session, "logout")
	case account.ClosedKicked:
		s.note(session, "replaced")
	}
}

// note queues a session whose user has to be looked up.
func (s *Service) note(session store.Session, reason string) {
	if len(*s.streams.Load()) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sessions) >= maxSessions {
		s.metrics.count(resultLost, 1)
		return
	}
	s.sessions = append(s.sessions, sessionNews{Session: session, id: uuid.NewString(), reason: reason, at: s.now()})
	nudge(s.wake)
}

// resolve gives sessions to the streams of their apps.
func (s *Service) resolve(ctx context.Context) (err error) {
	s.mu.Lock()
	sessions := s.sessions
	s.sessions = nil
	s.mu.Unlock()
	for i := range sessions {
		session := &sessions[i]
		session.user, err = s.store.UserByID(ctx, session.User)
		if errors.Is(err, store.ErrNotFound) {
			continue // deleted a moment ago
		} else if err != nil {
			return err
		}
		s.hand(session.user.App, news{session: session})
	}
	return nil
}

// Close stores what Run, which has ended, has left and is kept in no timeline. It is to be called when nothing happens any
// more.
func (s *Service) Close(ctx context.Context) error {
	err := s.resolve(ctx)
	for _, streams := range *s.streams.Load() {
		for _, one := range streams {
			one.spill(ctx)
			one.note(ctx, nil, one.mark)
		}
	}
	return err
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
