// Package rehearse lets a developer meet an error on purpose: the running server makes the next fitting situation of one
// user end with a chosen code, or makes that user's connection bad, for a bounded time. It knows which user rehearses
// what; the situations themselves are made where they belong: account narrows settings, the edges refuse, are slow, lose
// an answer or end a socket, as the catalogue's wire entries say (errcode.Wire).
//
// Rehearsals are in memory. A node that starts later does not know them.
package rehearse

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/bus"
	"github.com/stoa-chat/stoa/internal/delivery"
)

// Situations that edges word in their own ways. They are wrapped in an *errcode.Error.
var (
	// ErrOff: the server was not started with rehearsals.
	ErrOff = errors.New("rehearsal is switched off")
	// ErrImpossible: no server can make a client raise the code.
	ErrImpossible = errors.New("only a client can raise it")
	// ErrUnknown: there is no such rehearsal.
	ErrUnknown = errors.New("unknown rehearsal")
	// ErrBad: what was asked for makes no sense.
	ErrBad = errors.New("bad rehearsal")
)

// Fault is trouble that is no single code.
type Fault string

const (
	// Latency holds each request of the user up for Delay.
	Latency Fault = "latency"
	// Loss loses every second push to the user; the client has to notice and ask, and the server to repair it.
	Loss Fault = "loss"
	// LostAnswers loses every second answer to what the user sends. What was sent is kept.
	LostAnswers Fault = "lost-answers"
	// Duplicates sends each push twice.
	Duplicates Fault = "duplicates"
	// Storm ends the user's sockets each Delay, so that clients reconnect again and again.
	Storm Fault = "storm"
)

// faults says of which faults there are, and whether they need a delay.
var faults = map[Fault]bool{Latency: true, Loss: false, LostAnswers: false, Duplicates: false, Storm: true}

const (
	maxActive  = 1000 // rehearsals at a time
	maxPerUser = 20
	maxDelay   = time.Minute
	minStorm   = time.Second
	// Longest is how long a rehearsal may last or wait, unless it is until it is switched off.
	Longest = 24 * time.Hour
)

// Rehearsal is what one user is to meet.
type Rehearsal struct {
	ID   int64  `json:"id"`
	App  int64  `json:"app"`
	User int64  `json:"user"`
	Name string `json:"name"` // of the user
	// Code is the error; 0 with a Fault.
	Code  errcode.Code  `json:"code,omitempty"`
	Fault Fault         `json:"fault,omitempty"`
	Delay time.Duration `json:"delay,omitempty"` // of Latency and Storm
	// Times is how often the error is to happen; 0: as often as it fits until the end.
	Times  int       `json:"times,omitempty"`
	Begins time.Time `json:"begins"`
	Ends   time.Time `json:"ends,omitzero"` // zero: when it is switched off
	// Met is how often the user has met the error.
	Met int `json:"met"`
}

func (r *Rehearsal) over(now time.Time) bool {
	return !r.Ends.IsZero() && !now.Before(r.Ends) || r.Times > 0 && r.Met >= r.Times
}

func (r *Rehearsal) active(now time.Time) bool { return !now.Before(r.Begins) && !r.over(now) }

// Service knows the rehearsals. The methods that ask what a user rehearses are cheap while there are none, and may be
// called on a nil Service, which has none.
type Service struct {
	on       bool
	delivery *delivery.Service
	bus      bus.Bus
	log      *slog.Logger

	count  atomic.Int64 // of all
	mu     sync.Mutex
	byUser map[int64][]*Rehearsal
	timers map[int64]*time.Timer // of this node's: what begins later, and storms
	closed bool
	turn   map[int64]int // of Loss and LostAnswers, by rehearsal
}

// New makes the service of a node; on false refuses every Start with ErrOff. What arrives on bus.All goes to Heard.
func New(on bool, d *delivery.Service, b bus.Bus, log *slog.Logger) *Service {
	return &Service{on: on, delivery: d, bus: b, log: log, byUser: map[int64][]*Rehearsal{}, timers: map[int64]*time.Timer{}, turn: map[int64]int{}}
}

// Start begins a rehearsal, on all nodes, and returns it with its id. Begins may be zero: now. The errors are 505 (ErrOff)
// and -3 (ErrBad, and ErrImpossible with the way to meet the code in the message).
func (s *Service) Start(r Rehearsal) (Rehearsal, error) {
	if !s.on {
		return r, &errcode.Error{Code: errcode.ServiceNotEnabled, Op: "rehearse", Err: ErrOff,
			Message: "rehearsal is switched off: stoa dev has it on, stoa serve with --rehearsal"}
	}
	now := time.Now()
	if r.Begins.IsZero() {
		r.Begins = now
	}
	if err := r.check(now); err != nil {
		return r, err
	}
	r.ID, r.Met = s.delivery.NewID(), 0
	s.mu.Lock()
	s.tidy(now)
	full := int(s.count.Load()) >= maxActive || len(s.byUser[r.User]) >= maxPerUser
	s.mu.Unlock()
	if full {
		return r, bad("there are too many rehearsals, switch some off first")
	}
	s.tell(word{Start: &r})
	s.log.Info("rehearsal starts", "id", r.ID, "user", r.User, "code", int(r.Code), "fault", string(r.Fault), "begins", r.Begins, "ends", r.Ends, "times", r.Times)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.timers[r.ID] = time.AfterFunc(time.Until(r.Begins), func() { s.begin(r) })
	}
	return r, nil
}

// On reports whether the server was started with rehearsals.
func (s *Service) On() bool { return s.on }

func bad(format string, args ...any) error {
	e := errcode.Newf(errcode.InvalidParameter, format, args...)
	e.Op, e.Err = "rehearse", ErrBad
	return e
}

func (r *Rehearsal) check(now time.Time) error {
	delayed, known := faults[r.Fault]
	switch {
	case r.Fault != "" && !known:
		return bad("there is no fault %q; there are latency, loss, lost-answers, duplicates and storm", string(r.Fault))
	case r.Fault != "" && r.Code != 0:
		return bad("a rehearsal is of a code or of a fault, not of both")
	case delayed && (r.Delay <= 0 || r.Delay > maxDelay):
		return bad("%s needs a delay of up to %s", string(r.Fault), maxDelay)
	case r.Fault == Storm && r.Delay < minStorm:
		return bad("a storm needs at least %s between two losses", minStorm)
	case r.Times < 0:
		return bad("how often must not be negative")
	case r.Fault != "" && r.Times != 0:
		return bad("a fault lasts for a time and is not counted")
	case !r.Ends.IsZero() && !r.Ends.After(r.Begins):
		return bad("it would end before it begins")
	case r.Begins.Sub(now) > Longest, !r.Ends.IsZero() && r.Ends.Sub(r.Begins) > Longest:
		return bad("a rehearsal waits and lasts for up to %s each", Longest)
	case r.Fault != "":
		return nil
	}
	entry, ok := errcode.Lookup(r.Code)
	if !ok {
		return bad("there is no code %d in the catalogue", int(r.Code))
	}
	if !Possible(r.Code) {
		return &errcode.Error{Code: errcode.InvalidParameter, Op: "rehearse", Err: ErrImpossible,
			Message: fmt.Sprintf("%s is raised by the client alone. %s Go: %s; web: %s", entry.Name, entry.Alone.How, entry.Alone.Go, entry.Alone.Web)}
	}
	return nil
}

// begin does what a rehearsal does at once: it ends the sessions that are there, so that the user need not wait.
func (s *Service) begin(r Rehearsal) {
	s.mu.Lock()
	known := slices.ContainsFunc(s.byUser[r.User], func(other *Rehearsal) bool { return other.ID == r.ID && !other.over(time.Now()) })
	if known && r.Fault == Storm && !s.closed {
		s.timers[r.ID] = time.AfterFunc(r.Delay, func() { s.begin(r) })
	} else {
		delete(s.timers, r.ID)
	}
	s.mu.Unlock()
	if !known {
		return
	}
	if r.Fault == Storm {
		s.delivery.Kick(r.User, delivery.Kick{Operation: delivery.Drop})
		return
	}
	entry, _ := errcode.Lookup(r.Code)
	if operation, ok := entry.Notice(); ok {
		s.delivery.Kick(r.User, delivery.Kick{Operation: int32(operation), Reason: "rehearsal"})
	} else if cutOff[r.Code] {
		s.delivery.Kick(r.User, delivery.Kick{Operation: delivery.Drop})
	}
}

// List returns the rehearsals of an app that are not over, oldest first.
func (s *Service) List(app int64) []Rehearsal {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tidy(time.Now())
	var list []Rehearsal
	for _, of := range s.byUser {
		for _, r := range of {
			if r.App == app {
				list = append(list, *r)
			}
		}
	}
	slices.SortFunc(list, func(a, b Rehearsal) int { return int(a.ID - b.ID) })
	return list
}

// Stop ends a rehearsal of an app, or all of the app with id 0. The error is 51 (ErrUnknown).
func (s *Service) Stop(app, id int64) error {
	if id != 0 && !slices.ContainsFunc(s.List(app), func(r Rehearsal) bool { return r.ID == id }) {
		return &errcode.Error{Code: errcode.MessageNotFound, Op: "rehearse", Message: "there is no such rehearsal", Err: ErrUnknown}
	}
	s.log.Info("rehearsal stops", "id", id, "app", app)
	s.tell(word{StopApp: app, Stop: id})
	return nil
}

// Close stops what waits. The service is not to be used afterwards.
func (s *Service) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, timer := range s.timers {
		timer.Stop()
	}
}

// heardRehearsal begins what this package says on bus.All; JSON follows.
const heardRehearsal = 'r'

type word struct {
	Start         *Rehearsal `json:"start,omitempty"`
	Stop, StopApp int64
	Met, User     int64 // the user has met rehearsal Stop, for the so manieth time
}

// tell takes a word on this node and sends it to the others.
func (s *Service) tell(w word) {
	text, err := json.Marshal(w)
	if err != nil {
		s.log.Error("pack rehearsal", "error", err)
		return
	}
	s.take(w)
	if err := s.bus.Publish(bus.All, append([]byte{heardRehearsal}, text...)); err != nil {
		s.log.Warn("publish rehearsal", "error", err)
	}
}

// Heard takes what nodes, this one too, tell about rehearsals. It does not block.
func (s *Service) Heard(data []byte) {
	if len(data) == 0 || data[0] != heardRehearsal {
		return
	}
	var w word
	if err := json.Unmarshal(data[1:], &w); err != nil {
		s.log.Error("read rehearsal", "error", err)
		return
	}
	s.take(w)
}

// take may be given a word twice: by this node itself and by the bus. It is told apart by what is there already.
func (s *Service) take(w word) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case w.Start != nil:
		of := s.byUser[w.Start.User]
		if !slices.ContainsFunc(of, func(r *Rehearsal) bool { return r.ID == w.Start.ID }) {
			own := *w.Start // who told it goes on reading theirs
			s.byUser[w.Start.User] = append(of, &own)
			s.count.Add(1)
		}
	case w.StopApp != 0:
		s.drop(func(r *Rehearsal) bool { return r.App == w.StopApp && (w.Stop == 0 || w.Stop == r.ID) })
	case w.User != 0:
		for _, r := range s.byUser[w.User] {
			if r.ID == w.Stop {
				r.Met = max(r.Met, int(w.Met))
			}
		}
		s.tidy(time.Now())
	}
}

// tidy forgets what is over.
func (s *Service) tidy(now time.Time) {
	s.drop(func(r *Rehearsal) bool { return r.over(now) })
}

func (s *Service) drop(gone func(*Rehearsal) bool) {
	for user, of := range s.byUser {
		rest := slices.DeleteFunc(of, func(r *Rehearsal) bool {
			if !gone(r) {
				return false
			}
			s.count.Add(-1)
			delete(s.turn, r.ID)
			if timer := s.timers[r.ID]; timer != nil {
				timer.Stop()
				delete(s.timers, r.ID)
			}
			return true
		})
		if len(rest) == 0 {
			delete(s.byUser, user)
		} else {
			s.byUser[user] = rest
		}
	}
}

// pick returns the first active rehearsal of a user that fits.
func (s *Service) pick(user int64, fits func(*Rehearsal) bool) (Rehearsal, bool) {
	if !s.Any() {
		return Rehearsal{}, false
	}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.byUser[user] {
		if r.active(now) && fits(r) {
			return *r, true
		}
	}
	return Rehearsal{}, false
}

// Any reports whether anybody rehearses anything.
func (s *Service) Any() bool { return s != nil && s.count.Load() > 0 }

// Has reports whether a user rehearses a code at this moment.
func (s *Service) Has(user int64, code errcode.Code) bool {
	_, ok := s.pick(user, func(r *Rehearsal) bool { return r.Code == code && r.Fault == "" })
	return ok
}

// Codes returns the codes that a user rehearses at this moment.
func (s *Service) Codes(user int64) (codes []errcode.Code) {
	s.pick(user, func(r *Rehearsal) bool {
		if r.Fault == "" {
			codes = append(codes, r.Code)
		}
		return false
	})
	return codes
}

// Met notes that a user has met a code, by rehearsal or not: whatever was to happen a number of times has happened once
// more.
func (s *Service) Met(user int64, code errcode.Code) {
	r, ok := s.pick(user, func(r *Rehearsal) bool { return r.Code == code && r.Fault == "" })
	if !ok {
		return
	}
	s.log.Info("rehearsal met", "id", r.ID, "user", user, "code", int(code))
	s.mu.Lock()
	for _, own := range s.byUser[user] {
		if own.ID == r.ID {
			own.Met++
			r.Met = own.Met
		}
	}
	s.mu.Unlock()
	s.tell(word{User: user, Stop: r.ID, Met: int64(r.Met)})
}

// Delay returns how long a request of the user is to be held up; 0: not at all.
func (s *Service) Delay(user int64) time.Duration {
	r, _ := s.pick(user, func(r *Rehearsal) bool { return r.Fault == Latency })
	return r.Delay
}

// Push says what to do with a push to the user: how often to send it, 0 to 2 times.
func (s *Service) Push(user int64) int {
	switch r, ok := s.pick(user, func(r *Rehearsal) bool { return r.Fault == Loss || r.Fault == Duplicates }); {
	case !ok:
		return 1
	case r.Fault == Duplicates:
		return 2
	case s.every2nd(r.ID):
		return 0
	}
	return 1
}

// LoseAnswer reports whether the answer to what the user has sent is to be lost.
func (s *Service) LoseAnswer(user int64) bool {
	r, ok := s.pick(user, func(r *Rehearsal) bool { return r.Fault == LostAnswers })
	return ok && s.every2nd(r.ID)
}

// every2nd is true the first, third, … time that it is asked for a rehearsal.
func (s *Service) every2nd(id int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn[id]++
	return s.turn[id]%2 == 1
}
