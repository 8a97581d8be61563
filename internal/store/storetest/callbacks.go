package storetest

import (
	"slices"
	"testing"

	"github.com/stoa-chat/stoa/internal/store"
)

// waiting is a callback of an app that has not been tried.
func waiting(app store.App, event string, created, due int64) store.Callback {
	return store.Callback{App: app.ID, Rule: "tell", Event: event, Lane: "x", Created: created, Due: due, Body: []byte(`{"a":"☃"}`)}
}

func eventsOf(callbacks []store.Callback) (events []string) {
	for _, c := range callbacks {
		events = append(events, c.Event)
	}
	return events
}

func (e *env) take(app store.App, now int64, limit int, want ...string) []store.Callback {
	e.Helper()
	due, err := e.DueCallbacks(e.ctx, now, plenty)
	e.check("due", err)
	taken, err := e.TakeCallbacks(e.ctx, app.ID, "tell", now, now+5, limit)
	e.check("take", err)
	same(e, "taken", eventsOf(taken), want)
	same(e, "that something was due", slices.Contains(due, store.CallbackMark{App: app.ID, Rule: "tell"}), len(want) > 0)
	return taken
}

func (e *env) dead(app store.App, query store.DeadQuery, want ...string) []store.Callback {
	e.Helper()
	if query.Limit == 0 {
		query.Limit = plenty
	}
	list, err := e.ListDeadCallbacks(e.ctx, app.ID, query)
	e.check("list dead", err)
	same(e, "dead", eventsOf(list), want)
	return list
}

func (e *env) backlog(count int, oldest int64) {
	e.Helper()
	n, at, err := e.CallbackBacklog(e.ctx)
	e.check("backlog", err)
	same(e, "backlog", []int64{int64(n), at}, []int64{int64(count), oldest})
}

var callbackTests = []test{
	{"callbacks are stored once, and marks move forward only", func(t *testing.T, e *env) {
		app, other := e.app(), e.app()
		mark := func(want int64) {
			t.Helper()
			id, err := e.CallbackMark(e.ctx, app.ID, "tell", 3)
			e.check("mark", err)
			same(t, "mark", id, want)
		}
		mark(0)
		e.backlog(0, 0)
		at := func(id int64) store.CallbackMark {
			return store.CallbackMark{App: app.ID, Rule: "tell", Node: 3, ID: id}
		}
		a, foreign := waiting(app, "a", start, start), waiting(other, "a", start+1, start)
		e.check("put", e.PutCallbacks(e.ctx, []store.Callback{a, foreign}, at(5)))
		e.check("put again", e.PutCallbacks(e.ctx, []store.Callback{a}, at(4)))
		e.check("put without mark", e.PutCallbacks(e.ctx, []store.Callback{a}, at(0)))
		mark(5)
		e.backlog(2, start)
		taken := e.take(app, start, plenty, "a")
		a.ID, a.Due = taken[0].ID, start+5
		same(t, "the first", taken[0], a)

		e.check("drop old mark", e.DropCallbackMark(e.ctx, at(4)))
		mark(5)
		e.check("drop mark", e.DropCallbackMark(e.ctx, at(5)))
		mark(0)
		e.check("put mark", e.PutCallbacks(e.ctx, nil, at(6)))
		e.check("drop marks", e.DropCallbackMarks(e.ctx, app.ID, "tell"))
		mark(0)
		e.check("drop callbacks", e.DropCallbacks(e.ctx, app.ID, "tell"))
		e.take(app, start+5, plenty)
		same(t, "left", e.take(other, start+5, plenty, "a")[0].App, other.ID)
	}},
	{"callbacks are taken when they are due, by one at a time", func(t *testing.T, e *env) {
		app := e.app()
		e.check("put", e.PutCallbacks(e.ctx, []store.Callback{
			waiting(app, "a", start, start+1), waiting(app, "b", start, start), waiting(app, "c", start, start+9)}, store.CallbackMark{}))
		b := e.take(app, start, plenty, "b")[0]
		a := e.take(app, start+1, 1, "a")[0]
		e.take(app, start+1, plenty)
		b.Attempts, b.Due, b.Error = 1, start+2, "status 500"
		e.check("retry", e.RetryCallback(e.ctx, b))
		b.Due = start + 7
		same(t, "again", e.take(app, start+2, plenty, "b")[0], b)
		e.check("finish", e.FinishCallbacks(e.ctx, []int64{b.ID, 12345}))
		e.check("retry what is gone", e.RetryCallback(e.ctx, b))
		e.take(app, start+6, plenty, "a") // nobody has said what became of it
		e.check("finish", e.FinishCallbacks(e.ctx, []int64{a.ID}))
		e.take(app, start+9, plenty, "c")
	}},
	{"callbacks that were given up are listed, counted, taken up again and forgotten", func(t *testing.T, e *env) {
		app, other := e.app(), e.app()
		const bucket = 600_000
		first := start / bucket * bucket
		give := func(app store.App, rule, event string, created, dead int64) {
			c := waiting(app, event, created, start)
			c.Rule, c.Dead, c.Attempts, c.Error = rule, dead, 9, "gone"
			e.check("put", e.PutCallbacks(e.ctx, []store.Callback{c}, store.CallbackMark{}))
		}
		give(app, "tell", "a", first, start)
		give(app, "tell", "b", first+bucket-1, start+1)
		give(app, "more", "c", first+bucket, start+2)
		give(other, "tell", "d", first, start)
		e.backlog(0, 0)
		e.take(app, start+hour, plenty)
		list := e.dead(app, store.DeadQuery{}, "c", "b", "a")
		e.dead(app, store.DeadQuery{Limit: 1, Below: list[0].ID}, "b")
		e.dead(app, store.DeadQuery{Rule: "more"}, "c")
		e.dead(app, store.DeadQuery{Since: first + 1}, "c", "b")
		e.dead(app, store.DeadQuery{Since: first, Until: first + bucket}, "b", "a")
		e.dead(app, store.DeadQuery{IDs: []int64{list[1].ID, 12345}}, "b")
		e.dead(app, store.DeadQuery{IDs: []int64{}})
		counts, err := e.CountDeadCallbacks(e.ctx, app.ID)
		e.check("count", err)
		same(t, "counts", counts, []store.DeadCallbacks{{From: first, Count: 2}, {From: first + bucket, Count: 1}})

		replay := func(query store.DeadQuery, want int) {
			t.Helper()
			n, err := e.ReplayCallbacks(e.ctx, app.ID, query, start+3, "http://other")
			e.check("replay", err)
			same(t, "replayed", n, want)
		}
		replay(store.DeadQuery{IDs: []int64{list[1].ID}}, 1)
		replay(store.DeadQuery{IDs: []int64{list[1].ID}}, 0)
		taken := e.take(app, start+3, plenty, "b")
		same(t, "replayed", []any{taken[0].Attempts, taken[0].Dead, taken[0].Replays, taken[0].Target}, []any{0, int64(0), 1, "http://other"})
		taken[0].Dead = start + 4
		e.check("give up again", e.RetryCallback(e.ctx, taken[0]))
		replay(store.DeadQuery{Rule: "more", Since: first + bucket}, 1)
		counts, err = e.CountDeadCallbacks(e.ctx, app.ID)
		e.check("count", err)
		same(t, "counts", counts, []store.DeadCallbacks{{From: first, Count: 2, Replays: 1}})

		expire := func(before int64, want int) {
			t.Helper()
			n, err := e.ExpireCallbacks(e.ctx, app.ID, "tell", before, start+2)
			e.check("expire", err)
			same(t, "expired", n, want)
		}
		e.check("put", e.PutCallbacks(e.ctx, []store.Callback{waiting(app, "e", start, start+hour), waiting(other, "e", start, start+hour)}, store.CallbackMark{}))
		expire(start, 0)
		expire(start+1, 1)
		expire(start+1, 0)
		same(t, "when", e.dead(app, store.DeadQuery{Rule: "tell", Since: start, Until: start + 1}, "e")[0].Dead, start+2)
		forget := func(before int64, limit, want int) {
			t.Helper()
			n, err := e.ForgetCallbacks(e.ctx, before, limit)
			e.check("forget", err)
			same(t, "forgotten", n, want)
		}
		forget(start, plenty, 0)
		forget(start+1, 1, 1)
		forget(start+hour, plenty, 3)
		e.backlog(2, start) // what waits is not forgotten
	}},
}
