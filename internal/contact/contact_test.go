package contact

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/account/accounttest"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
	"github.com/stoa-chat/stoa/internal/store/sqlite"
	"github.com/stoa-chat/stoa/internal/store/sqlitetest"
)

// world is a node without edges, with one application.
type world struct {
	*testing.T
	*Service
	store *sqlite.Store
	app   *account.App
}

func newWorld(t *testing.T) *world {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	s := sqlitetest.Open(t, log)
	n := accounttest.New(t, s, log)
	return &world{T: t, Service: New(n.Accounts, s, n.Delivery, n.Bus, n.Clock, log), store: s, app: n.App}
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) user(name string) Actor {
	w.Helper()
	user, err := w.accounts.RegisterHashed(w.Context(), w.app, account.NewUser{Name: name}, "")
	w.must(err)
	return Actor{App: w.app, User: user}
}

func (w *world) set(settings string) {
	w.Helper()
	_, err := w.accounts.ChangeSettings(w.Context(), w.app, []byte(settings))
	w.must(err)
}

// told returns what is on a user's own timeline: "operation from to, to: reason (device left out)".
func (w *world) told(who Actor) (lines []string) {
	w.Helper()
	positions, err := w.store.Positions(w.Context(), who.User.ID, 0)
	w.must(err)
	for _, p := range positions {
		entries, err := w.store.ReadTimeline(w.Context(), p.Timeline, 0, 500, 1<<20)
		w.must(err)
		for _, e := range entries {
			var meta msync.Meta
			var body msync.RosterBody
			w.must(proto.Unmarshal(e.Meta, &meta))
			w.must(proto.Unmarshal(meta.Payload, &body))
			if meta.Ns != msync.Meta_ROSTER || meta.From.GetName() != body.From.GetName() || meta.To.GetName() != who.User.Name {
				w.Errorf("meta is of %v, from %v, to %v", meta.Ns, meta.From, meta.To)
			}
			var to []string
			for _, jid := range body.To {
				to = append(to, jid.Name)
			}
			line := fmt.Sprintf("%v %s %s", body.Operation, body.From.GetName(), strings.Join(to, ","))
			if body.Reason != "" {
				line += ": " + body.Reason
			}
			if e.Device != 0 && e.Sender == who.User.ID {
				line += fmt.Sprintf(" (not to %d)", e.Device)
			}
			lines = append(lines, line)
		}
	}
	return lines
}

func (w *world) refused(err error, code errcode.Code, sentinel error) {
	w.Helper()
	if got, _ := errcode.CodeOf(err); got != code || sentinel != nil && !errors.Is(err, sentinel) {
		w.Errorf("error is %v, want %d, %v", err, code, sentinel)
	}
}

func same(t *testing.T, got, want []string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestBothSidesAreTold(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.user("alice"), w.user("bob")
	alice.Device, bob.Device = 7, 9
	w.must(w.Invite(t.Context(), alice, []string{"bob"}, "hello"))
	w.must(w.Decline(t.Context(), bob, "alice"))
	w.must(w.Decline(t.Context(), bob, "alice"))
	w.must(w.Invite(t.Context(), alice, []string{"BOB"}, ""))
	w.must(w.Accept(t.Context(), bob, "alice"))
	w.must(w.Accept(t.Context(), bob, "alice"))
	w.must(w.Invite(t.Context(), alice, []string{"bob"}, "are you still there?"))
	_, err := w.Remove(t.Context(), alice, "bob")
	w.must(err)
	_, err = w.Remove(t.Context(), alice, "bob")
	w.must(err)
	same(t, w.told(alice), []string{"REMOTE_DECLINE bob alice", "REMOTE_ACCEPT bob alice", "ACCEPT bob alice", "REMOVE alice bob (not to 7)"})
	same(t, w.told(bob), []string{"ADD alice bob: hello", "DECLINE bob alice (not to 9)", "ADD alice bob", "ACCEPT alice bob", "REMOVE alice bob"})
}

func TestOnlyTheBlockersDevicesAreToldOfABlock(t *testing.T) {
	w := newWorld(t)
	alice, bob, carol := w.user("alice"), w.user("bob"), w.user("carol")
	alice.Device = 7
	_, err := w.Block(t.Context(), alice, []string{"bob", "carol"})
	w.must(err)
	_, err = w.Unblock(t.Context(), alice, []string{"carol"})
	w.must(err)
	same(t, w.told(alice), []string{"BAN alice bob,carol (not to 7)", "ALLOW alice carol (not to 7)"})
	same(t, append(w.told(bob), w.told(carol)...), nil)
}

func TestABackendAndAnAppThatAcceptsByItself(t *testing.T) {
	w := newWorld(t)
	alice, bob, carol := w.user("alice"), w.user("bob"), w.user("carol")
	_, err := w.Add(t.Context(), alice, "bob")
	w.must(err)
	w.set(`{"contacts_auto_accept":true}`)
	w.must(w.Invite(t.Context(), carol, []string{"alice", "bob"}, "hello"))
	w.must(w.Clear(t.Context(), alice))
	same(t, w.told(alice), []string{"ACCEPT bob alice", "ACCEPT carol alice", "REMOVE alice carol", "REMOVE alice bob"})
	same(t, w.told(bob), []string{"ACCEPT alice bob", "ACCEPT carol bob", "REMOVE alice bob"})
	same(t, w.told(carol), []string{"REMOTE_ACCEPT alice carol", "ACCEPT alice carol", "REMOTE_ACCEPT bob carol", "ACCEPT bob carol", "REMOVE alice carol"})
}

func TestFullListsNameWhoseTheyAre(t *testing.T) {
	w := newWorld(t)
	w.set(`{"contacts_per_user":1,"blocked_per_user":1}`)
	alice, bob, carol, dave := w.user("alice"), w.user("bob"), w.user("carol"), w.user("dave")
	w.must(w.Invite(t.Context(), dave, []string{"alice"}, ""))
	w.must(w.Invite(t.Context(), alice, []string{"carol"}, ""))
	_, err := w.Add(t.Context(), alice, "bob")
	w.must(err)
	w.refused(w.Invite(t.Context(), alice, []string{"carol"}, ""), errcode.MaxLimit, ErrInviterFull)
	w.refused(w.Invite(t.Context(), carol, []string{"bob"}, ""), errcode.MaxLimit, ErrInviteeFull)
	w.refused(w.Accept(t.Context(), alice, "dave"), errcode.MaxLimit, ErrInviteeFull)
	w.refused(w.Accept(t.Context(), carol, "alice"), errcode.MaxLimit, ErrInviterFull)
	_, err = w.Add(t.Context(), alice, "carol")
	w.refused(err, errcode.MaxLimit, ErrInviterFull)
	_, err = w.Add(t.Context(), carol, "alice")
	w.refused(err, errcode.MaxLimit, ErrInviteeFull)
	_, err = w.Block(t.Context(), bob, []string{"alice", "carol"})
	w.refused(err, errcode.MaxLimit, ErrBlockFull)
	same(t, w.told(bob), []string{"ACCEPT alice bob"})
}

func TestRefusalsHaveTheirCodes(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.user("alice"), w.user("bob")
	many := make([]string, maxNames+1)
	invite := func(reason string, names ...string) error { return w.Invite(t.Context(), alice, names, reason) }
	w.refused(invite("", "nobody"), errcode.UserNotFound, account.ErrNoUser)
	w.refused(invite("", "alice"), errcode.InvalidParameter, ErrSelf)
	w.refused(invite(""), errcode.InvalidParameter, ErrNoNames)
	w.refused(invite("", many...), errcode.MaxLimit, ErrTooMany)
	w.refused(invite(strings.Repeat("é", maxReason+1), "bob"), errcode.InvalidParameter, ErrReason)
	w.refused(invite("a\x00b", "bob"), errcode.InvalidParameter, ErrReason)
	w.refused(w.Accept(t.Context(), bob, "alice"), errcode.PermissionDenied, ErrNoInvitation)
	w.refused(w.SetRemark(t.Context(), alice, "bob", "x"), errcode.UserNotFriend, ErrNotContact)
	w.refused(w.SetRemark(t.Context(), alice, "bob", strings.Repeat("é", maxRemark+1)), errcode.MaxLimit, ErrRemark)
	_, err := w.Block(t.Context(), alice, []string{"bob"})
	w.must(err)
	w.refused(w.Invite(t.Context(), bob, []string{"alice"}, "please"), errcode.PermissionDenied, ErrBlocked)
	w.must(invite(strings.Repeat("é", maxReason), "bob"))

	w.refused(w.Operate(t.Context(), alice, []byte{0xff}).Err, errcode.BadMessage, nil)
	w.refused(w.Operate(t.Context(), alice, nil).Err, errcode.ServiceNotEnabled, nil)
	accept, err := proto.Marshal(&msync.RosterBody{Operation: msync.RosterBody_ACCEPT})
	w.must(err)
	w.refused(w.Operate(t.Context(), alice, accept).Err, errcode.InvalidParameter, ErrNoNames)
}

func TestWhoMayWriteChangesAtOnce(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.user("alice"), w.user("bob")
	may := func(from, to Actor) error { return w.MayWrite(t.Context(), w.app, from.User, to.User) }
	w.must(may(alice, bob))
	w.set(`{"contacts_only":true}`)
	w.refused(may(alice, bob), errcode.UserNotFriend, ErrNotContact)
	w.must(may(alice, alice))
	_, err := w.Add(t.Context(), alice, "bob")
	w.must(err)
	w.must(may(alice, bob))
	w.must(may(bob, alice))
	_, err = w.Block(t.Context(), bob, []string{"alice"})
	w.must(err)
	w.refused(may(alice, bob), errcode.PermissionDenied, ErrBlocked)
	w.must(may(bob, alice))
	_, err = w.Remove(t.Context(), alice, "bob")
	w.must(err)
	w.refused(may(alice, bob), errcode.PermissionDenied, ErrBlocked)
	w.refused(may(bob, alice), errcode.UserNotFriend, ErrNotContact)
	_, err = w.Unblock(t.Context(), bob, []string{"alice"})
	w.must(err)
	w.refused(may(alice, bob), errcode.UserNotFriend, ErrNotContact)
	w.set(`{"contacts_only":false}`)
	w.must(may(alice, bob))
}

func TestAnotherNodeHearsOrFindsOutSoon(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.user("alice"), w.user("bob")
	// What another node did: the store has changed, and this one has not been told.
	w.must(w.MayWrite(t.Context(), w.app, bob.User, alice.User))
	w.must(w.store.Block(t.Context(), alice.User.ID, []store.Peer{peer(bob.User)}, 1, 10))
	w.must(w.MayWrite(t.Context(), w.app, bob.User, alice.User))
	w.Heard(fmt.Appendf(nil, "c%d 99 %d", alice.User.ID, bob.User.ID))
	w.refused(w.MayWrite(t.Context(), w.app, bob.User, alice.User), errcode.PermissionDenied, ErrBlocked)

	for _, word := range []string{"", "c", "u1 alice", "cx y"} {
		w.Heard([]byte(word))
	}
}

func TestOfManyInvitationsAndAnswersAtOnceOneCounts(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.user("alice"), w.user("bob")
	w.must(w.Invite(t.Context(), alice, []string{"bob"}, ""))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := w.Accept(t.Context(), bob, "alice"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	same(t, w.told(alice), []string{"REMOTE_ACCEPT bob alice", "ACCEPT bob alice"})
}
