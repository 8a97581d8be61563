package muc

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/bus"
	"github.com/stoa-chat/stoa/internal/store"
)

// Target is a group, room or thread as the message path needs it. It may be some seconds old.
type Target struct {
	ID      int64 // its number: store.MucKey names its timeline
	Kind    store.MucKind
	Name    string // its id on the wire
	Title   string
	Owner   store.Peer
	Members int
	// Disabled: nobody may send there.
	Disabled bool
	Role     store.Role // of the user who was asked about; RoleNone for a backend
	Message  int64      // of a thread: the message that it hangs on
	Group    store.Muc  // of a thread: the group; only MaySend, MayRead and Find tell it
}

func target(m store.Muc, st store.Standing) Target {
	return Target{ID: m.ID, Kind: m.Kind, Name: m.Name, Title: m.Title, Owner: m.Owner, Members: m.Members, Disabled: m.Disabled, Role: st.Role, Message: m.Message}
}

// MaySend says whether a user may send to the group, room or thread with that id now, in the order of
// docs/protocol/errors.md §10: code 605 (ErrNotExist), for rooms too, as the client words it; 608 (ErrDisabled); 602
// (ErrNotMember); 507 (ErrMuted); 506 (ErrMutedAll). It asks the store once in some seconds.
func (s *Service) MaySend(ctx context.Context, app *account.App, user store.User, id string) (Target, error) {
	m, st, err := s.lookUp(ctx, app, user, id)
	if err != nil {
		return Target{}, err
	}
	t, err := s.placed(ctx, m, st)
	if err == nil {
		err = s.maySend(m, st, user)
	}
	if err == nil && m.Kind == store.MucThread {
		err = s.maySendIn(ctx, t.Group, user)
	}
	return t, err
}

func (s *Service) maySend(m store.Muc, st store.Standing, user store.User) error {
	if m.Disabled {
		return disabled(m)
	}
	who := standing(st, s.now())
	if who == Admin && st.MutedUntil > s.now() {
		who = Muted // by the owner
	}
	if err := verdictOf(m, Send, who, user.Name); err != nil {
		return err
	}
	if m.MuteAll && st.Role < store.RoleAdmin && !st.Allowed {
		return &errcode.Error{Code: errcode.NotAllowedMuteAll, Op: "send", Message: "all members of this " + noun(m.Kind) + " are muted", Err: ErrMutedAll}
	}
	return nil
}

// MayRead is MaySend for what needs membership only, as receipts, reactions and history do: code 605 (ErrNotExist) and 602
// (ErrNotMember).
func (s *Service) MayRead(ctx context.Context, app *account.App, user store.User, id string) (Target, error) {
	m, st, err := s.lookUp(ctx, app, user, id)
	if err != nil {
		return Target{}, err
	}
	t, err := s.placed(ctx, m, st)
	if err == nil && st.Role == store.RoleNone {
		err = refuse(errcode.GroupNotJoined, ErrNotMember, "%s is not a member of this %s", user.Name, noun(m.Kind))
	}
	return t, err
}

// Find returns the group, room or thread with that id, from the cache: code 605 (ErrNotExist).
func (s *Service) Find(ctx context.Context, app *account.App, id string) (Target, error) {
	m, err := s.row(ctx, app, id)
	if err != nil {
		return Target{}, err
	}
	return s.placed(ctx, m, store.Standing{})
}

// placed makes a target, for a thread with its group.
func (s *Service) placed(ctx context.Context, m store.Muc, st store.Standing) (t Target, err error) {
	t = target(m, st)
	if m.Kind == store.MucThread {
		t.Group, err = s.numbered(ctx, m.Parent)
	}
	if errors.Is(err, store.ErrNotFound) { // it is being destroyed
		err = notExist(store.MucGroup, m.Name)
	}
	return t, err
}

// lookUp finds a row and the user's standing without asking the store, if it can.
func (s *Service) lookUp(ctx context.Context, app *account.App, user store.User, id string) (store.Muc, store.Standing, error) {
	m, err := s.row(ctx, app, id)
	if err != nil {
		return m, store.Standing{}, err
	}
	st, err := s.standing(ctx, m.ID, user.ID)
	return m, st, err
}

const (
	cacheLife   = 5 * time.Second // bounds what a lost word can cost
	cacheShards = 64
	cacheSize   = 4096 // entries of a kind in a shard
)

// cache answers the message path without a query. Changes are heard over the bus. Every change of a shard counts, so that
// a reading that began before a change is not kept after it. A word names the members whom it is about: the others of a
// large group stay known.
type cache struct {
	shards [cacheShards]*cacheShard
}

type cacheShard struct {
	mu        sync.Mutex
	changes   uint64
	rows      map[int64]cached[store.Muc]
	standings map[membership]cached[store.Standing]
	numbers   map[rowKey]int64 // which id is which number; an id that a backend uses again has another one
}

type cached[T any] struct {
	value T
	at    time.Time
}

func (c cached[T]) fresh() bool {
	// The machine's clock: what is cached ages also where the app's time stands still or jumps.
	return !c.at.IsZero() && time.Since(c.at) < cacheLife
}

type membership struct{ muc, user int64 }

// mixed spreads the members of a large group over the shards.
func (m membership) mixed() int64 { return m.muc*31 + m.user }

type rowKey struct {
	app  int64
	name string
}

func newCache() (c cache) {
	for i := range c.shards {
		c.shards[i] = &cacheShard{rows: map[int64]cached[store.Muc]{}, standings: map[membership]cached[store.Standing]{}, numbers: map[rowKey]int64{}}
	}
	return c
}

func (c *cache) shard(n int64) *cacheShard { return c.shards[uint64(n)%cacheShards] }

// named is the shard in which the number of an id is kept.
func (c *cache) named(key rowKey) *cacheShard {
	n := uint64(key.app)
	for i := range len(key.name) {
		n = n*31 + uint64(key.name[i])
	}
	return c.shards[n%cacheShards]
}

// keep puts a reading into a map of the shard, unless something has changed since it began.
func keep[K comparable, T any](c *cacheShard, into map[K]cached[T], key K, value T, changes uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changes != changes {
		return
	}
	if len(into) >= cacheSize {
		clear(into)
	}
	into[key] = cached[T]{value, time.Now()}
}

func look[K comparable, T any](c *cacheShard, in map[K]cached[T], key K) (value cached[T], changes uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return in[key], c.changes
}

// row finds a group, room or thread of any kind by its id.
func (s *Service) row(ctx context.Context, app *account.App, id string) (store.Muc, error) {
	if !idForm.MatchString(id) {
		return store.Muc{}, notExist(store.MucGroup, clean(id))
	}
	key := rowKey{app.ID, id}
	names := s.known.named(key)
	if number, ok := names.number(key); ok {
		m, err := s.numbered(ctx, number)
		if !errors.Is(err, store.ErrNotFound) {
			return m, err
		}
		names.misname(key, number) // it has been destroyed: the id may be another's by now
	}
	m, err := s.store.Muc(ctx, app.ID, id)
	if errors.Is(err, store.ErrNotFound) {
		return m, notExist(store.MucGroup, id)
	} else if err != nil {
		return m, err
	}
	names.name(key, m.ID)
	// By number it is cached, so a change that was heard meanwhile is not overlooked.
	if m, err = s.numbered(ctx, m.ID); errors.Is(err, store.ErrNotFound) {
		err = notExist(store.MucGroup, id)
	}
	return m, err
}

func (c *cacheShard) number(key rowKey) (number int64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	number, ok = c.numbers[key]
	return number, ok
}

func (c *cacheShard) name(key rowKey, number int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.numbers) >= cacheSize {
		clear(c.numbers)
	}
	c.numbers[key] = number
}

// misname forgets that an id is a number.
func (c *cacheShard) misname(key rowKey, number int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.numbers[key] == number {
		delete(c.numbers, key)
	}
}

// numbered finds a group, room or thread by its number: store.ErrNotFound.
func (s *Service) numbered(ctx context.Context, number int64) (store.Muc, error) {
	shard := s.known.shard(number)
	found, changes := look(shard, shard.rows, number)
	if found.fresh() {
		return found.value, nil
	}
	m, err := s.store.MucByID(ctx, number)
	if err == nil {
		keep(shard, shard.rows, number, m, changes)
	}
	return m, err
}

func (s *Service) standing(ctx context.Context, muc, user int64) (store.Standing, error) {
	key := membership{muc, user}
	shard := s.known.shard(key.mixed())
	found, changes := look(shard, shard.standings, key)
	if found.fresh() {
		return found.value, nil
	}
	st, err := s.store.Standing(ctx, muc, user)
	if err == nil {
		keep(shard, shard.standings, key, st, changes)
	}
	return st, err
}

// heardMuc begins what this package says on bus.All: the number of a group or room that has changed, and those of the
// users whose standing there has, if it is that, with spaces between.
const heardMuc = 'm'

// changed lets all nodes forget a row.
func (s *Service) changed(m store.Muc) { s.say(wordOf(m.ID)) }

// moved lets all nodes forget how users stand.
func (s *Service) moved(m store.Muc, users ...int64) {
	if len(users) > 0 {
		s.say(wordOf(m.ID, users...))
	}
}

func wordOf(muc int64, users ...int64) []byte {
	word := strconv.AppendInt([]byte{heardMuc}, muc, 10)
	for _, user := range users {
		word = strconv.AppendInt(append(word, ' '), user, 10)
	}
	return word
}

func (s *Service) say(word []byte) {
	s.Heard(word)
	if err := s.bus.Publish(bus.All, word); err != nil {
		s.log.Warn("publish change", "error", err)
	}
}

// Heard takes what other nodes, and this one, tell about changes. It does not block.
func (s *Service) Heard(data []byte) {
	if len(data) == 0 || data[0] != heardMuc {
		return
	}
	first, rest, users := strings.Cut(string(data[1:]), " ")
	muc, _ := strconv.ParseInt(first, 10, 64)
	if !users {
		shard := s.known.shard(muc)
		shard.mu.Lock()
		defer shard.mu.Unlock()
		shard.changes++
		delete(shard.rows, muc)
		return
	}
	for word := range strings.SplitSeq(rest, " ") {
		user, _ := strconv.ParseInt(word, 10, 64)
		s.known.forget(membership{muc, user})
	}
}

func (c *cache) forget(key membership) {
	shard := c.shard(key.mixed())
	shard.mu.Lock()
	defer shard.mu.Unlock()
	shard.changes++
	delete(shard.standings, key)
}
