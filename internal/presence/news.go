package presence

import (
	"container/heap"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

const (
	// gather is how long a device has to be online before that is told: what comes together is told together.
	gather = 250 * time.Millisecond
	// grace is how long a device has to be offline before that is told: most come back at once.
	grace = 5 * time.Second
	// round is how many users are looked at together, and between how long it takes at least from one round to the next.
	round   = 256
	between = 50 * time.Millisecond
	// noticesPerSecond bounds what a storm of changes costs. What waits for its turn gathers.
	noticesPerSecond = 10_000

	retryAfter  = time.Second // when the store did not answer
	departEvery = 5 * time.Second
	departSlice = 500
	forgetEvery = time.Minute
	forgetSlice = 1000
)

// published is the resource under which a publication is noted. No device has an empty name.
const published = ""

// change is something about a device that has not been told.
type change struct {
	online bool // what the watchers know
	due    time.Time
}

// SessionOpened implements account.Observer.
func (s *Service) SessionOpened(session store.Session) {
	s.note(session.User, session.Resource, change{online: false, due: s.clock.Now().Add(gather)})
}

// SessionClosed implements account.Observer.
func (s *Service) SessionClosed(session store.Session, _ account.Closing) {
	s.note(session.User, session.Resource, change{online: true, due: s.clock.Now().Add(grace)})
}

// note keeps a change until it is due. What comes back before its absence was told leaves nothing to tell; what goes
// before its presence was told is looked at when that is due.
func (s *Service) note(user int64, resource string, c change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.changes[user]
	if had, ok := of[resource]; ok && resource != published {
		if had.online && !c.online {
			s.drop(user, resource)
		}
		return
	}
	if of == nil {
		of = map[string]change{}
		s.changes[user] = of
	}
	of[resource] = c
	turn := pending{c.due, user, resource}
	if heap.Push(&s.turns, turn); s.turns[0] == turn {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// pending says when it is a change's turn.
type pending struct {
	due      time.Time
	user     int64
	resource string
}

// turns are the changes that wait, as a heap. It also has some of changes that have been dropped or put off.
type turns []pending

// Len implements heap.Interface.
func (t turns) Len() int { return len(t) }

// Less implements heap.Interface.
func (t turns) Less(i, j int) bool { return t[i].due.Before(t[j].due) }

// Swap implements heap.Interface.
func (t turns) Swap(i, j int) { t[i], t[j] = t[j], t[i] }

// Push implements heap.Interface.
func (t *turns) Push(turn any) { *t = append(*t, turn.(pending)) }

// Pop implements heap.Interface.
func (t *turns) Pop() any {
	last := (*t)[len(*t)-1]
	*t = (*t)[:len(*t)-1]
	return last
}

// first returns the change whose turn is next; the lock is held.
func (s *Service) first() (pending, bool) {
	for len(s.turns) > 0 {
		turn := s.turns[0]
		if c, ok := s.changes[turn.user][turn.resource]; ok && c.due.Equal(turn.due) {
			return turn, true
		}
		heap.Pop(&s.turns)
	}
	return pending{}, false
}

// drop forgets a change; the lock is held.
func (s *Service) drop(user int64, resource string) {
	delete(s.changes[user], resource)
	if len(s.changes[user]) == 0 {
		delete(s.changes, user)
	}
}

// run tells of changes as they become due.
func (s *Service) run(ctx context.Context) {
	for ctx.Err() == nil {
		moved := s.clock.Moved()
		due, wait := s.take()
		if len(due) > 0 {
			notices, err := s.tell(ctx, due)
			if err != nil && ctx.Err() == nil {
				s.log.Warn("tell presence", "users", len(due), "error", err)
				s.putBack(due)
			}
			s.sleep(ctx, time.Duration(notices)*time.Second/time.Duration(s.pace))
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-moved:
		case <-s.wake:
		}
		timer.Stop()
	}
}

func (s *Service) sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// due is what is due of a user.
type due struct {
	user    int64
	changes map[string]change
	// still is the devices that are offline and may come back: watchers are not told yet.
	still []string
}

// take takes what is due of up to a round of users, the oldest first, and says how long to wait if there is nothing.
func (s *Service) take() ([]due, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	var all []due
	for len(all) < round {
		turn, ok := s.first()
		if !ok {
			return all, time.Hour
		}
		if turn.due.After(now) {
			return all, max(turn.due.Sub(now), between)
		}
		d := due{user: turn.user, changes: map[string]change{}}
		for resource, c := range s.changes[turn.user] {
			switch {
			case !c.due.After(now):
				d.changes[resource] = c
			case c.online:
				d.still = append(d.still, resource)
			}
		}
		for resource := range d.changes {
			s.drop(d.user, resource)
		}
		all = append(all, d)
	}
	return all, 0
}

// putBack keeps what could not be told for another try.
func (s *Service) putBack(all []due) {
	at := s.clock.Now().Add(retryAfter)
	for _, d := range all {
		for resource, c := range d.changes {
			s.note(d.user, resource, change{online: c.online, due: at})
		}
	}
}

// tell tells watchers what has become of the users, and returns how many notices it took.
func (s *Service) tell(ctx context.Context, all []due) (notices int, err error) {
	users := make([]int64, len(all))
	for i, d := range all {
		users[i] = d.user
	}
	watched, err := s.store.Watched(ctx, users, s.now())
	if err != nil {
		return 0, err
	}
	var peers []store.Peer
	for _, w := range watched {
		if app, ok := s.accounts.AppByID(w.App); ok && app.Settings.Presence {
			peers = append(peers, w.Target)
		}
	}
	if len(peers) == 0 {
		return 0, nil
	}
	states, err := s.states(ctx, peers)
	if err != nil {
		return 0, err
	}
	for i, peer := range peers {
		d := all[slices.Index(users, peer.ID)]
		if !d.applyTo(&states[i]) {
			continue
		}
		watches, err := s.store.Watchers(ctx, peer.ID, s.now())
		if err != nil {
			return notices, err
		}
		if err := s.send(states[i], watches); err != nil {
			return notices, err
		}
		notices += len(watches)
	}
	return notices, nil
}

func (s *Service) send(state State, watches []store.Watch) error {
	for _, w := range watches {
		stored, err := notice(state, w)
		if err != nil {
			return err
		}
		s.delivery.Push(w.Watcher, stored, 0)
	}
	return nil
}

// Forget tells the watchers of a user who is about to be deleted that the user is not there any more: afterwards nobody
// would know who they are. See account.Service.BeforeDelete.
func (s *Service) Forget(ctx context.Context, app *account.App, user store.User) error {
	if s.offered(app) != nil {
		return nil
	}
	watches, err := s.store.Watchers(ctx, user.ID, s.now())
	if err != nil || len(watches) == 0 {
		return err
	}
	states, err := s.states(ctx, []store.Peer{{ID: user.ID, Name: user.Name}})
	if err != nil {
		return err
	}
	state := states[0]
	for resource := range state.Devices {
		state.Devices[resource] = 0
	}
	state.Text = ""
	return s.send(state, watches)
}

// applyTo completes a state for those who are told of it and reports whether there is something to tell: devices that
// have gone are named, and those that may come back are shown as if they were there.
func (d due) applyTo(state *State) (news bool) {
	for resource, c := range d.changes {
		status, known := state.Devices[resource]
		switch {
		case resource == published:
			news = true
		case known && status != 0: // online
			news = news || !c.online
		case c.online:
			state.Devices[resource] = 0
			news = true
		}
	}
	for _, resource := range d.still {
		if state.Devices[resource] == 0 {
			state.Devices[resource] = 1
		}
	}
	return news
}

// Value is how the protocol shows a user's state (docs/protocol/admin-rest.md §15): times are seconds, and texts.
type Value struct {
	User    string            `json:"uid"`
	Changed string            `json:"last_time"`
	Expires string            `json:"expiry,omitempty"`
	Text    string            `json:"ext"`
	Devices map[string]string `json:"status"`
}

// Seconds is how the protocol shows a time in milliseconds.
func Seconds(ms int64) string { return strconv.FormatInt(ms/1000, 10) }

// ValueOf shows a state. Expires is the end of a subscription in milliseconds; 0: there is none.
func ValueOf(state State, expires int64) Value {
	v := Value{User: state.Name, Changed: Seconds(state.Changed), Text: state.Text, Devices: map[string]string{}}
	if expires != 0 {
		v.Expires = Seconds(expires)
	}
	for resource, status := range state.Devices {
		v.Devices[resource] = strconv.Itoa(status)
	}
	return v
}

// notice packs what a watcher is told. There is one user in it: the web client mixes up the devices of several.
func notice(state State, w store.Watch) ([]byte, error) {
	var body struct {
		Type string `json:"type"`
		Data struct {
			Values []Value `json:"values"`
		} `json:"data"`
	}
	body.Type, body.Data.Values = "presence", []Value{ValueOf(state, w.Expires)}
	return msync.Notify(state.Name, "", body)
}

// housekeep looks for devices whose node has ended, and forgets subscriptions that have.
func (s *Service) housekeep(ctx context.Context) {
	tick := time.NewTicker(departEvery)
	defer tick.Stop()
	for forgotten := time.Now(); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.takeDepartures(ctx)
		if time.Since(forgotten) < forgetEvery {
			continue
		}
		forgotten = time.Now()
		s.forgetWatches(ctx)
	}
}

func (s *Service) forgetWatches(ctx context.Context) {
	for ctx.Err() == nil {
		n, err := s.store.ForgetWatches(ctx, s.now(), forgetSlice)
		if err != nil && ctx.Err() == nil {
			s.log.Warn("forget presence subscriptions", "error", err)
		}
		if err != nil || n < forgetSlice {
			return
		}
	}
}

func (s *Service) takeDepartures(ctx context.Context) {
	for ctx.Err() == nil {
		taken, err := s.store.TakeDepartures(ctx, s.now(), departSlice)
		if err != nil {
			if ctx.Err() == nil {
				s.log.Warn("take departures", "error", err)
			}
			return
		}
		for _, d := range taken {
			s.SessionClosed(store.Session{User: d.User, Resource: d.Resource}, account.ClosedItself)
		}
		if len(taken) < departSlice {
			return
		}
	}
}

// Close stops the service. What devices have gone and have not been told of are left to the nodes that stay, or to the
// next start. The node's sessions should be closed by then.
func (s *Service) Close(ctx context.Context) error {
	s.stop()
	s.done.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	var gone []store.Departure
	for user, of := range s.changes {
		for resource, c := range of {
			if c.online && resource != published {
				gone = append(gone, store.Departure{User: user, Resource: resource, Due: c.due.UnixMilli()})
			}
		}
	}
	if len(gone) == 0 {
		return nil
	}
	return s.store.PutDepartures(ctx, gone)
}
