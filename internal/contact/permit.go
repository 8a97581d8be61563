package contact

import (
	"context"
	"fmt"
	"strconv"
	"strings"

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
	relation, err := s.known.Get(pair{to.ID, from.ID}, func() (store.Relation, error) { return s.store.Relation(ctx, to.ID, from.ID) })
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
	var pairs []pair
	for other := range strings.SplitSeq(rest, " ") {
		peer, _ := strconv.ParseInt(other, 10, 64)
		pairs = append(pairs, pair{user, peer}, pair{peer, user})
	}
	s.known.Forget(pairs...)
}
