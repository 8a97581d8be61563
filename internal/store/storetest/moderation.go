package storetest

import (
	"testing"

	"github.com/stoa-chat/stoa/internal/store"
)

var ruleTests = []test{
	{"rules are listed by app and name, and replaced by name", func(t *testing.T, e *env) {
		app, other := e.app(), e.app()
		put := func(r store.Rule) store.Rule {
			e.check("put rule", e.PutRule(e.ctx, r, 2))
			return r
		}
		b := put(store.Rule{App: app.ID, Kind: store.RuleModeration, Name: "b", Definition: []byte(`{"words":["☃"]}`)})
		put(store.Rule{App: app.ID, Kind: store.RuleModeration, Name: "B", Definition: []byte(`{"old":true}`)})
		upper := put(store.Rule{App: app.ID, Kind: store.RuleModeration, Name: "B", Definition: []byte(`{"old":false}`)})
		put(store.Rule{App: app.ID, Kind: store.RuleCallback, Name: "b", Definition: []byte(`{}`)})
		foreign := put(store.Rule{App: other.ID, Kind: store.RuleModeration, Name: "a", Definition: []byte(`{}`)})
		e.is("a third", e.PutRule(e.ctx, store.Rule{App: app.ID, Kind: store.RuleModeration, Name: "c", Definition: []byte(`{}`)}, 2), store.ErrFull)
		got, err := e.ListRules(e.ctx, store.RuleModeration)
		e.check("list rules", err)
		same(t, "rules", got, []store.Rule{upper, b, foreign})

		e.check("drop rule", e.DropRule(e.ctx, app.ID, store.RuleModeration, "b"))
		e.is("again", e.DropRule(e.ctx, app.ID, store.RuleModeration, "b"), store.ErrNotFound)
		got, err = e.ListRules(e.ctx, store.RuleModeration)
		e.check("list rules", err)
		same(t, "rules", got, []store.Rule{upper, foreign})
		got, err = e.ListRules(e.ctx, store.RuleCallback)
		e.check("list rules", err)
		same(t, "rules of the other kind", len(got), 1)
	}},
}

var muteTests = []test{
	{"mutes are listed while they last, and go with the user", func(t *testing.T, e *env) {
		app, other := e.app(), e.app()
		alice, bob, carol := e.user(app, "alice"), e.user(app, "bob"), e.user(other, "carol")
		mute := func(user store.User, scope store.Scope, until int64) store.Mute {
			m := store.Mute{User: peer(user), Scope: scope, Until: until}
			e.check("mute", e.PutMutes(e.ctx, user.App, []store.Mute{m}))
			return m
		}
		list := func(offset, limit int) []store.Mute {
			got, err := e.ListMutes(e.ctx, app.ID, start, offset, limit)
			e.check("list mutes", err)
			return got
		}
		mute(alice, store.ScopeRoom, start+1)
		room := mute(alice, store.ScopeRoom, start+2)
		chat := mute(alice, store.ScopeChat, start+3)
		ended := mute(bob, store.ScopeGroup, start)
		bobs := mute(bob, store.ScopeRoom, start+1)
		mute(carol, store.ScopeChat, start+1)
		same(t, "mutes", list(0, plenty), []store.Mute{chat, room, bobs})
		same(t, "a page", list(1, 1), []store.Mute{room})
		got, err := e.MutesOf(e.ctx, bob.ID)
		e.check("mutes of bob", err)
		same(t, "mutes of bob", got, []store.Mute{ended, bobs})

		mute(alice, store.ScopeRoom, 0)
		same(t, "mutes", list(0, plenty), []store.Mute{chat, bobs})
		e.check("delete user", e.DeleteUser(e.ctx, bob.ID))
		same(t, "mutes", list(0, plenty), []store.Mute{chat})
		e.is("of nobody", e.PutMutes(e.ctx, app.ID, []store.Mute{bobs}), store.ErrNotFound)
	}},
}

var verdictTests = []test{
	{"verdicts are listed newest first, and the oldest make room", func(t *testing.T, e *env) {
		app, other := e.app(), e.app()
		alice := e.user(app, "alice")
		put := func(app store.App, found string) store.Verdict {
			v := store.Verdict{App: app.ID, Rule: "rude", Action: "flag", Found: found, Sender: peer(alice), Message: e.next(), Time: start, Meta: []byte{0, 0xff}}
			e.check("put verdict", e.PutVerdict(e.ctx, v, 3))
			return v
		}
		list := func(below int64, limit int) []store.Verdict {
			got, err := e.ListVerdicts(e.ctx, app.ID, below, limit)
			e.check("list verdicts", err)
			return got
		}
		put(app, "first")
		second, third := put(app, "second"), put(app, "third ☃")
		put(other, "foreign")
		fourth := put(app, "fourth")
		got := list(0, plenty)
		rows := []int64{}
		for i := range got {
			rows = append(rows, got[i].Row)
			got[i].Row = 0
		}
		same(t, "verdicts", got, []store.Verdict{fourth, third, second})
		same(t, "below", len(list(rows[0], plenty)), 2)
		same(t, "a page", len(list(0, 1)), 1)
		e.is("of another app", e.DropVerdict(e.ctx, other.ID, rows[1]), store.ErrNotFound)
		e.check("drop verdict", e.DropVerdict(e.ctx, app.ID, rows[1]))
		e.is("again", e.DropVerdict(e.ctx, app.ID, rows[1]), store.ErrNotFound)
		same(t, "verdicts", len(list(0, plenty)), 2)
	}},
}
