package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stoa-chat/stoa/internal/store"
)

func (e *env) react(message int64, text string, by store.User) store.Reaction {
	e.Helper()
	r, err := e.AddReaction(e.ctx, message, text, peer(by), start+e.next(), plenty)
	e.check("add reaction", err)
	return r
}

func (e *env) reactions(user store.User, message int64) []store.Reaction {
	e.Helper()
	list, err := e.ListReactions(e.ctx, []int64{message}, user.ID)
	e.check("list reactions", err)
	return list[message]
}

// crowd makes users of the app.
func (e *env) crowd(n int) (users []store.User) {
	e.Helper()
	app := e.app()
	for i := range n {
		users = append(users, e.user(app, fmt.Sprint("user", i)))
	}
	return users
}

var reactionTests = []test{
	{"a reaction counts the users who have added it and names the first", func(t *testing.T, e *env) {
		users := e.crowd(5)
		for i, user := range users {
			want := store.Reaction{Text: "👍", Count: i + 1, Users: []store.Peer{peer(users[0])}, Mine: true}
			for _, other := range users[1:min(i+1, store.ReactionUsers)] {
				want.Users = append(want.Users, peer(other))
			}
			want.Users = want.Users[:min(i+1, store.ReactionUsers)]
			got := e.react(7, "👍", user)
			same(t, "after adding", e.reactions(user, 7), []store.Reaction{got})
			same(t, "created before updated", got.Created <= got.Updated, true)
			got.ID, got.Created, got.Updated = 0, 0, 0
			same(t, "reaction", got, want)
		}
		_, err := e.AddReaction(e.ctx, 7, "👍", peer(users[1]), start, plenty)
		e.is("again", err, store.ErrExists)

		got, err := e.RemoveReaction(e.ctx, 7, "👍", users[0].ID)
		e.check("remove reaction", err)
		same(t, "after removing", got.Count, 4)
		same(t, "users", got.Users, []store.Peer{peer(users[1]), peer(users[2]), peer(users[3])})
		same(t, "mine", got.Mine, false)
		_, err = e.RemoveReaction(e.ctx, 7, "👍", users[0].ID)
		e.is("again", err, store.ErrNotFound)
		again := e.react(7, "👍", users[0])
		same(t, "count", again.Count, 5)
		same(t, "who adds it again is last", again.Users[0], peer(users[1]))
	}},
	{"kinds of reactions are told apart to the byte, oldest first", func(t *testing.T, e *env) {
		users := e.crowd(2)
		texts := []string{"ok", "OK", " ok", "👍🏽", "👍", "'\"\\", "é", "e\u0301"}
		for _, text := range texts {
			e.react(7, text, users[0])
		}
		e.react(8, "ok", users[1])
		list, err := e.ListReactions(e.ctx, []int64{8, 7, 9}, users[1].ID)
		e.check("list reactions", err)
		var got []string
		for _, r := range list[7] {
			got = append(got, r.Text)
			same(t, "mine", r.Mine, false)
		}
		same(t, "texts", got, texts)
		same(t, "reactions to the other", list[8][0].Mine, true)
		same(t, "messages", len(list), 2)
		one, err := e.ReactionOf(e.ctx, 7, "OK", users[0].ID)
		e.check("read reaction", err)
		same(t, "one kind", one, e.reactions(users[0], 7)[1])
		_, err = e.ReactionOf(e.ctx, 8, "OK", users[0].ID)
		e.is("none", err, store.ErrNotFound)
		none, err := e.ListReactions(e.ctx, nil, users[1].ID)
		e.check("list reactions", err)
		same(t, "reactions to no message", len(none), 0)
	}},
	{"a message has so many kinds of reactions, and room again when one has no users", func(t *testing.T, e *env) {
		users := e.crowd(2)
		add := func(text string, user store.User) error {
			_, err := e.AddReaction(e.ctx, 7, text, peer(user), start, 2)
			return err
		}
		e.check("first", add("a", users[0]))
		e.check("second", add("b", users[0]))
		e.is("third", add("c", users[1]), store.ErrFull)
		e.check("one that is there", add("a", users[1]))
		r, err := e.RemoveReaction(e.ctx, 7, "b", users[0].ID)
		e.check("remove reaction", err)
		same(t, "without users", []any{r.Count, len(r.Users), r.Mine}, []any{0, 0, false})
		e.check("third", add("c", users[1]))
		same(t, "kinds", len(e.reactions(users[0], 7)), 2)
	}},
	{"who has added a reaction is listed page by page, oldest first", func(t *testing.T, e *env) {
		users := e.crowd(5)
		e.react(7, "no", users[4])
		for _, user := range users {
			e.react(7, "ok", user)
		}
		kind := e.reactions(users[0], 7)[1]
		var got []store.Peer
		for above := int64(0); ; {
			page, err := e.ListReactors(e.ctx, 7, kind.ID, above, 2)
			e.check("list reactors", err)
			if len(page) == 0 {
				break
			}
			for _, r := range page {
				got = append(got, r.Peer)
				same(t, "time", r.Time >= kind.Created && r.Time <= kind.Updated, true)
			}
			above = page[len(page)-1].Row
		}
		var want []store.Peer
		for _, user := range users {
			want = append(want, peer(user))
		}
		same(t, "users", got, want)
	}},
	{"dropping the reactions of a message leaves those of others", func(t *testing.T, e *env) {
		users := e.crowd(1)
		for range 2 {
			e.react(7, "ok", users[0])
			e.check("drop reactions", e.DropReactions(e.ctx, 7))
			same(t, "reactions", e.reactions(users[0], 7), nil)
		}
		e.react(8, "ok", users[0])
		e.check("drop reactions", e.DropReactions(e.ctx, 7))
		same(t, "reactions", len(e.reactions(users[0], 8)), 1)
	}},
	{"counts and the limit of kinds hold when many react at once", func(t *testing.T, e *env) {
		users := e.crowd(6)
		var added, full atomic.Int64
		var wg sync.WaitGroup
		for i, user := range users {
			wg.Go(func() {
				for _, text := range []string{"ok", fmt.Sprint("kind ", i)} {
					switch _, err := e.AddReaction(e.ctx, 7, text, peer(user), start, 4); {
					case err == nil:
						added.Add(1)
					case errors.Is(err, store.ErrFull):
						full.Add(1)
					default:
						t.Errorf("add reaction: %v", err)
					}
				}
			})
		}
		wg.Wait()
		list := e.reactions(users[0], 7)
		sum := 0
		for _, r := range list {
			sum += r.Count
			page, err := e.ListReactors(e.ctx, 7, r.ID, 0, plenty)
			e.check("list reactors", err)
			same(t, "count", r.Count, len(page))
		}
		same(t, "kinds", len(list), 4)
		same(t, "reactions", int64(sum), added.Load())
		same(t, "reactions and refusals", added.Load()+full.Load(), 12)
	}},
}

var pinTests = []test{
	{"pins are listed newest first, page by page", func(t *testing.T, e *env) {
		users := e.crowd(2)
		var want []store.Pin
		for i := range 5 {
			pin := store.Pin{Message: int64(100 - i), By: peer(users[i%2]), Time: start + int64(i)}
			e.check("pin", e.PutPin(e.ctx, 3, pin.Message, pin.By, pin.Time, plenty))
			want = append([]store.Pin{pin}, want...)
		}
		e.check("pin", e.PutPin(e.ctx, 4, 100, peer(users[0]), start, plenty))
		e.is("again", e.PutPin(e.ctx, 3, 99, peer(users[0]), start, plenty), store.ErrExists)
		list := func(timeline int64) (pins []store.Pin) {
			for below := int64(0); ; {
				page, err := e.ListPins(e.ctx, timeline, below, 2)
				e.check("list pins", err)
				if len(page) == 0 {
					return pins
				}
				below = page[len(page)-1].Row
				for _, p := range page {
					p.Row = 0
					pins = append(pins, p)
				}
			}
		}
		same(t, "pins", list(3), want)
		for _, dropped := range []bool{true, false} {
			got, err := e.DropPin(e.ctx, 3, want[1].Message)
			e.check("unpin", err)
			same(t, "unpinned", got, dropped)
		}
		same(t, "pins", list(3), append(want[:1:1], want[2:]...))
		same(t, "pins of the other conversation", len(list(4)), 1)
	}},
	{"a conversation has so many pins, also when many pin at once", func(t *testing.T, e *env) {
		users := e.crowd(1)
		var pinned atomic.Int64
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				switch err := e.PutPin(e.ctx, 3, int64(i+1), peer(users[0]), start, 3); {
				case err == nil:
					pinned.Add(1)
				case !errors.Is(err, store.ErrFull):
					t.Errorf("pin: %v", err)
				}
			})
		}
		wg.Wait()
		same(t, "pinned", pinned.Load(), 3)
		pins, err := e.ListPins(e.ctx, 3, 0, plenty)
		e.check("list pins", err)
		same(t, "pins", len(pins), 3)
		e.is("one that is pinned", e.PutPin(e.ctx, 3, pins[0].Message, peer(users[0]), start, 3), store.ErrExists)
	}},
}

// hangingTests are about what belongs to messages.
var hangingTests = []test{
	{"what is removed for its age takes reactions and pins along", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob := e.user(app, "alice"), e.user(app, "bob")
		key := pair(app, alice, bob)
		old, young := message(key, alice, "old"), message(key, alice, "young")
		old.Time = start - 50*hour
		appended := e.append(old, young)
		for _, m := range appended {
			e.react(m.ID, "ok", bob)
			e.check("pin", e.PutPin(e.ctx, m.Timeline, m.ID, peer(bob), start, plenty))
		}
		for pass, removed := 0, 0; removed < 1; pass++ {
			_, n, err := e.Expire(e.ctx, app.ID, start-24*hour, 0)
			e.check("expire", err)
			if removed += n; pass > 10 {
				e.Fatalf("nothing is removed")
			}
			e.commit()
		}
		same(t, "reactions to the old", e.reactions(bob, appended[0].ID), nil)
		same(t, "reactions to the young", len(e.reactions(bob, appended[1].ID)), 1)
		pins, err := e.ListPins(e.ctx, appended[0].Timeline, 0, plenty)
		e.check("list pins", err)
		same(t, "pins", len(pins), 1)
		same(t, "pinned", pins[0].Message, appended[1].ID)
	}},
}

var reportTests = []test{
	{"reports are listed newest first, one of a user about a message", func(t *testing.T, e *env) {
		app, other := e.app(), e.app()
		alice, bob := e.user(app, "alice"), e.user(app, "bob")
		report := func(message int64, by store.User, reason string) store.Report {
			r := store.Report{App: by.App, Message: message, Reporter: peer(by), Type: "spam", Reason: reason, Time: start + e.next(), Sent: start,
				Meta: []byte{0, 0xff, byte(message)}}
			e.check("put report", e.PutReport(e.ctx, r))
			return r
		}
		first := report(1, alice, "first ☃")
		report(2, bob, "to be replaced")
		third := report(1, bob, "third")
		report(1, e.user(other, "alice"), "of another app")
		again := report(2, bob, "again")
		page, err := e.ListReports(e.ctx, app.ID, 0, 2)
		e.check("list reports", err)
		rest, err := e.ListReports(e.ctx, app.ID, page[1].Row, 5)
		e.check("list reports", err)
		var got []store.Report
		for _, r := range append(page, rest...) {
			r.Row = 0
			got = append(got, r)
		}
		same(t, "reports", got, []store.Report{again, third, first})
	}},
}
