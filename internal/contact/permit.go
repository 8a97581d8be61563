package contact

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/bus"
	"github.com/stoa-chat/stoa/internal/store"
)

// MayWrite says whether a user may send another one messages: nil, or code 603 (ErrBlocked), or code 221 (ErrNotContact)
// where the app wants contacts. It asks the store once in some seconds for a pair of users.
func (s *Service) MayWrite(ctx context.Context, app *account.App, from, to store.User) error {
	if from.ID == to.ID {
		return nil
	}
	relation, err := s.relation(ctx, pair{to.ID, from.ID})
	switch {
	case err != nil:
		return err
	case relation.Blocked:
		return blocked(to.Name)
	case !relation.Contact && s.accounts.Current(app).Settings.ContactsOnly:
		e := errcode.Newf(errcode.UserNotFriend, "%s is not a contact", to.Name)
		e.Op, e.Reason, e.Err = "send", "nonroster", ErrNotContact
		return e
	}
	return nil
}

func blocked(by string) error {
	return &errcode.Error{Code: errcode.PermissionDenied, Op: "send", Reason: "blocked", Err: ErrBlocked,
		Message: fmt.Sprintf("%s has blocked the sender", by)}
}

// pair is a user and the one whom a relation is about.
type pair struct{ user, peer int64 }

const (
	cacheLife = 5 * time.Second // bounds what a lost word can cost
	cacheSize = 100_000
)

// relationCache answers the message path without a query. Changes are heard over the bus.
type relationCache struct {
	mu      sync.Mutex
	entries map[pair]cachedRelation
	changes uint64 // so that a read that began before a change is not kept after it
}

type cachedRelation struct {
	relation store.Relation
	at       time.Time
}

func newRelationCache() relationCache {
	return relationCache{entries: map[pair]cachedRelation{}}
}

func (s *Service) relation(ctx context.Context, of pair) (store.Relation, error) {
	c := &s.known
	c.mu.Lock()
	cached, ok := c.entries[of]
	changes := c.changes
	c.mu.Unlock()
	// The machine's clock: what is cached ages also where the app's time stands still or jumps.
	if ok && time.Since(cached.at) < cacheLife {
		return cached.relation, nil
	}
	relation, err := s.store.Relation(ctx, of.user, of.peer)
	if err != nil {
		return relation, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changes == changes {
		if len(c.entries) >= cacheSize {
			clear(c.entries)
		}
		c.entries[of] = cachedRelation{relation, time.Now()}
	}
	return relation, nil
}

// heardContacts begins what this package says on bus.All: a user's relations have changed. The user's number and those of
// the others follow, with spaces between.
const heardContacts = 'c'

// changed lets all nodes forget how users stand to each other.
func (s *Service) changed(user store.User, others ...store.User) {
	word := []byte{heardContacts}
	word = strconv.AppendInt(word, user.ID, 10)
	for _, other := range others {
		word = strconv.AppendInt(append(word, ' '), other.ID, 10)
	}
	s.Heard(word)
	if err := s.bus.Publish(bus.All, word); err != nil {
		s.log.Warn("publish change", "error", err)
	}
}

// Heard takes what other nodes, and this one, tell about changes. It does not block.
func (s *Service) Heard(data []byte) {
	if len(data) == 0 || data[0] != heardContacts {
		return
	}
	first, rest, _ := strings.Cut(string(data[1:]), " ")
	user, _ := strconv.ParseInt(first, 10, 64)
	s.known.mu.Lock()
	defer s.known.mu.Unlock()
	s.known.changes++
	for other := range strings.SplitSeq(rest, " ") {
		peer, _ := strconv.ParseInt(other, 10, 64)
		delete(s.known.entries, pair{user, peer})
		delete(s.known.entries, pair{peer, user})
	}
}
