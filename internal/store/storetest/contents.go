package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stoa-chat/stoa/internal/store"
)

// group is a timeline of members, whose number is not looked at by the store.
func (e *env) group(app store.App) store.Key { return store.MucKey(app.ID, e.next()) }

func (e *env) subscribe(key store.Key, users ...store.User) store.Timeline {
	e.Helper()
	timeline, err := e.Subscribe(e.ctx, key, numbers(users))
	e.check("subscribe", err)
	return timeline
}

func (e *env) unsubscribe(key store.Key, users ...store.User) store.Timeline {
	e.Helper()
	timeline, err := e.Unsubscribe(e.ctx, key, numbers(users))
	e.check("unsubscribe", err)
	return timeline
}

func numbers(users []store.User) (ids []int64) {
	for _, user := range users {
		ids = append(ids, user.ID)
	}
	return ids
}

// list returns the sequence numbers of a page.
func (e *env) list(timeline int64, q store.EntryQuery) (seqs []int64) {
	e.Helper()
	entries, err := e.ListEntries(e.ctx, timeline, q)
	e.check("list entries", err)
	for _, entry := range entries {
		seqs = append(seqs, entry.Seq)
	}
	return seqs
}

// amend appends an entry that changes another, and expects an error.
func (e *env) amend(key store.Key, change store.Amend, want error) {
	e.Helper()
	results, err := e.Append(e.ctx, []store.Draft{{Key: key, ID: e.next(), Time: start, Ref: change.Seq, Amend: &change}})
	e.check("append", err)
	if got := results[0].Err; !errors.Is(got, want) {
		e.Fatalf("amending entry %d of version %d ended with %v, want %v", change.Seq, change.Version, got, want)
	}
}

var contentTests = []test{
	{"an entry keeps what it is, what it is about and whom it is for", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob := e.user(app, "alice"), e.user(app, "bob")
		key := e.group(app)
		drafts := []store.Draft{
			{Content: store.ContentText},
			{Content: store.ContentCombine, Audience: store.Audience{Users: []int64{alice.ID, bob.ID}}},
			{Ref: 1, Audience: store.Audience{Users: []int64{1 << 60}, Except: true}},
		}
		var want []store.Entry
		for i := range drafts {
			d := &drafts[i]
			d.Key, d.ID, d.Time, d.Meta = key, e.next(), start, fmt.Append(nil, i)
			want = append(want, store.Entry{Seq: int64(i) + 1, ID: d.ID, Time: d.Time, Content: d.Content, Ref: d.Ref, Audience: d.Audience, Meta: d.Meta})
		}
		timeline := e.append(drafts...)[0].Timeline
		same(t, "entries", e.read(timeline), want)
		for _, entry := range want {
			found, err := e.FindEntry(e.ctx, app.ID, entry.ID)
			e.check("find entry", err)
			same(t, "found", found, store.Found{Timeline: timeline, Key: key, Entry: entry})
		}
	}},
	{"an entry is found by its id in its app only", func(t *testing.T, e *env) {
		app, other := e.app(), e.app()
		ids := map[int64]store.Key{}
		for range 50 {
			for _, key := range []store.Key{e.group(app), e.group(other)} {
				id := e.last.Add(7)
				e.append(store.Draft{Key: key, ID: id})
				ids[id] = key
			}
		}
		for id, key := range ids {
			found, err := e.FindEntry(e.ctx, key.App, id)
			e.check("find entry", err)
			same(t, "key", found.Key, key)
			for _, q := range []struct{ app, id int64 }{{app.ID + other.ID - key.App, id}, {key.App, id + 1}, {key.App, id - 1}} {
				if _, err := e.FindEntry(e.ctx, q.app, q.id); !errors.Is(err, store.ErrNotFound) {
					t.Errorf("entry %d of app %d: %v, want ErrNotFound", q.id, q.app, err)
				}
			}
		}
	}},
	{"an edit replaces the content and counts", func(t *testing.T, e *env) {
		key := e.group(e.app())
		first := e.append(store.Draft{Key: key, Content: store.ContentText, Meta: []byte("one")})[0]
		e.amend(key, store.Amend{Seq: 1, Version: 0, Meta: []byte("two")}, nil)
		e.amend(key, store.Amend{Seq: 1, Version: 0, Meta: []byte("late")}, store.ErrConflict)
		e.amend(key, store.Amend{Seq: 1, Version: 1, Meta: []byte("three")}, nil)
		e.amend(key, store.Amend{Seq: 9, Version: 0, Meta: []byte("none")}, store.ErrNotFound)
		entries := e.read(first.Timeline)
		same(t, "edited", entries[0], store.Entry{Seq: 1, ID: first.ID, Time: start, Content: store.ContentText, Version: 2, Meta: []byte("three")})
		same(t, "entries", len(entries), 3) // the two that failed have left nothing
	}},
	{"a recall takes the content away for good", func(t *testing.T, e *env) {
		key := e.group(e.app())
		first := e.append(store.Draft{Key: key, Content: store.ContentText, Meta: []byte("secret")})[0]
		e.amend(key, store.Amend{Seq: 1, Version: 0, Recall: true, Meta: []byte("ignored")}, nil)
		e.amend(key, store.Amend{Seq: 1, Version: 1, Meta: []byte("again")}, store.ErrNotFound)
		e.amend(key, store.Amend{Seq: 1, Version: 1, Recall: true}, store.ErrNotFound)
		same(t, "recalled", e.read(first.Timeline)[0],
			store.Entry{Seq: 1, ID: first.ID, Time: start, Content: store.ContentText, Version: 1, Recalled: true})
		same(t, "history", e.list(first.Timeline, store.EntryQuery{Limit: 10}), nil)
	}},
	{"amendments of one batch follow one another", func(t *testing.T, e *env) {
		key := e.group(e.app())
		timeline := e.append(store.Draft{Key: key, Meta: []byte("zero")})[0].Timeline
		results, err := e.Append(e.ctx, []store.Draft{
			{Key: key, ID: e.next(), Time: start, Amend: &store.Amend{Seq: 1, Version: 0, Meta: []byte("one")}},
			{Key: key, ID: e.next(), Time: start, Amend: &store.Amend{Seq: 1, Version: 0, Meta: []byte("too late")}},
			{Key: key, ID: e.next(), Time: start, Amend: &store.Amend{Seq: 1, Version: 1, Meta: []byte("two")}},
			{Key: key, ID: e.next(), Time: start, Meta: []byte("beside")},
		})
		e.check("append", err)
		for i, want := range []error{nil, store.ErrConflict, nil, nil} {
			if !errors.Is(results[i].Err, want) {
				t.Errorf("draft %d: %v, want %v", i, results[i].Err, want)
			}
		}
		entries := e.read(timeline)
		same(t, "content", string(entries[0].Meta), "two")
		same(t, "entries", len(entries), 4)
	}},
	{"a repetition is recognised after the first copy was amended", func(t *testing.T, e *env) {
		for _, recall := range []bool{false, true} {
			key := e.group(e.app())
			draft := store.Draft{Key: key, Sender: 7, Device: 8, ClientID: 9, Meta: []byte("one")}
			first := e.append(draft)[0]
			e.amend(key, store.Amend{Seq: 1, Version: 0, Recall: recall, Meta: []byte("two")}, nil)
			draft.ID = 0
			again := e.append(draft)[0]
			first.Repeated = true
			same(t, "repetition", again, first)
			draft.ID, draft.Meta = 0, []byte("two")
			if e.append(draft)[0].Repeated {
				t.Error("another content under the id was taken for a repetition")
			}
		}
	}},
	{"a page holds what was asked for, in both directions", func(t *testing.T, e *env) {
		const n = 9000 // SQLite has some of them in its index by then, and some in memory
		app := e.app()
		key := e.group(app)
		kinds := []store.Content{store.ContentText, store.ContentEvent, store.ContentImage, store.ContentCommand, store.ContentText}
		drafts := make([]store.Draft, n)
		for i := range drafts {
			drafts[i] = store.Draft{Key: key, Sender: int64(i%3) + 1, Content: kinds[i%len(kinds)], Meta: []byte{1}}
			if i%7 == 0 {
				drafts[i].Audience = store.Audience{Users: []int64{5}}
			}
		}
		timeline := e.append(drafts...)[0].Timeline
		e.append(store.Draft{Key: key}) // SQLite indexes with the commit after
		var recalled []int64
		for seq := int64(1); seq <= n; seq += 500 {
			e.amend(key, store.Amend{Seq: seq, Recall: true}, nil)
			recalled = append(recalled, seq)
		}
		for _, q := range []store.EntryQuery{
			{Limit: 20}, {Limit: 20, Descending: true}, {Limit: 100, After: 8150}, {Limit: 100, Before: 8250, Descending: true},
			{Limit: 50, After: 100, Before: 130}, {Limit: 50, After: 8990}, {Limit: 50, Before: 12, Descending: true},
			{Limit: 30, Contents: store.ContentsOf(store.ContentImage)}, {Limit: 30, Contents: store.ContentsOf(store.ContentCommand, store.ContentEvent)},
			{Limit: 30, Sender: 2, Descending: true}, {Limit: 30, Reader: 4}, {Limit: 30, Reader: 5}, {Limit: 30, Reader: 1, Descending: true},
			{Limit: 30, Sender: 9}, {Limit: 30, After: n}, {Limit: 9000, Contents: store.ContentsOf(store.ContentImage)},
		} {
			contents := q.Contents
			if contents == 0 {
				contents = store.History
			}
			var want []int64
			for i, d := range drafts {
				seq := int64(i) + 1
				if contents.Has(d.Content) && seq > q.After && (q.Before == 0 || seq < q.Before) && (q.Sender == 0 || q.Sender == d.Sender) &&
					(q.Reader == 0 || d.Audience.Has(q.Reader) || d.Sender == q.Reader) && !slices.Contains(recalled, seq) {
					want = append(want, seq)
				}
			}
			if contents.Has(store.ContentEvent) && q.Limit > len(want) {
				t.Fatal("the entries after the filled ones would be among them")
			}
			if q.Descending {
				slices.Reverse(want)
			}
			same(t, fmt.Sprintf("%+v", q), e.list(timeline, q), want[:min(len(want), q.Limit)])
		}
		for _, seq := range []int64{1, 4000, 8192, 8193, n} {
			found, err := e.FindEntry(e.ctx, app.ID, drafts[seq-1].ID)
			e.check("find entry", err)
			same(t, "found", found.Seq, seq)
		}
	}},
	{"times lead to sequence numbers", func(t *testing.T, e *env) {
		key := e.group(e.app())
		for i := range int64(20) {
			e.append(store.Draft{Key: key, Time: start + i/2*10, Content: store.ContentText}) // two at each time
		}
		e.append(store.Draft{Key: key, Time: start + 5}) // events may have any time
		timeline, err := e.FindTimeline(e.ctx, key)
		e.check("find timeline", err)
		for _, c := range []struct{ time, want int64 }{{start, 0}, {start + 1, 2}, {start + 10, 2}, {start + 85, 18}, {start + 90, 18}, {start + 91, 21}, {0, 0}} {
			seq, err := store.SeqBefore(e.ctx, e, timeline, c.time)
			e.check("look for time", err)
			same(t, fmt.Sprintf("before start%+d", c.time-start), seq, c.want)
		}
	}},
}

var subscriptionTests = []test{
	{"a member reads from joining to leaving", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob := e.user(app, "alice"), e.user(app, "bob")
		phone, laptop := e.device(alice, "phone"), e.device(bob, "laptop")
		key := e.group(app)
		line := e.subscribe(key, alice)
		same(t, "timeline", line, store.Timeline{ID: line.ID, Key: key})
		e.fill(key, 3)
		same(t, "timeline", e.subscribe(key, bob), store.Timeline{ID: line.ID, Key: key, Head: 3})
		e.fill(key, 2)
		same(t, "who was there", e.positions(alice.ID, phone.ID), []store.Position{{Timeline: line.ID, Muc: key.A, Head: 5}})
		same(t, "who came later", e.positions(bob.ID, laptop.ID), []store.Position{{Timeline: line.ID, Muc: key.A, Head: 5, Cursor: 3}})
		same(t, "timeline", e.unsubscribe(key, bob), store.Timeline{ID: line.ID, Key: key, Head: 5})
		e.fill(key, 4)
		same(t, "who left", e.positions(bob.ID, laptop.ID), []store.Position{{Timeline: line.ID, Muc: key.A, Head: 5, Until: 5, Cursor: 3}})
		same(t, "who stayed", e.positions(alice.ID, phone.ID), []store.Position{{Timeline: line.ID, Muc: key.A, Head: 9}})
		left := store.Subscription{Timeline: store.Timeline{ID: line.ID, Key: key, Head: 9}, Start: 3, Until: 5}
		one, err := e.Subscription(e.ctx, bob.ID, line.ID)
		e.check("subscription", err)
		same(t, "subscription", one, left)
		for seq, want := range map[int64]bool{3: false, 4: true, 5: true, 6: false} {
			if got := one.Reads(seq); got != want {
				t.Errorf("entry %d is readable: %t, want %t", seq, got, want)
			}
		}
	}},
	{"who joins again begins anew, also with old cursors", func(t *testing.T, e *env) {
		app := e.app()
		alice := e.user(app, "alice")
		phone := e.device(alice, "phone")
		key := e.group(app)
		line := e.subscribe(key, alice)
		e.fill(key, 5)
		e.save(phone, line.ID, 4)
		e.unsubscribe(key, alice)
		e.unsubscribe(key, alice) // leaves the first end as it is
		e.fill(key, 5)
		e.subscribe(key, alice)
		e.fill(key, 1)
		e.subscribe(key, alice) // reads it already
		same(t, "phone", e.positions(alice.ID, phone.ID), []store.Position{{Timeline: line.ID, Muc: key.A, Head: 11, Cursor: 10}})
	}},
	{"who left before the first entry has nothing to read, then or later", func(t *testing.T, e *env) {
		app := e.app()
		alice := e.user(app, "alice")
		phone := e.device(alice, "phone")
		key := e.group(app)
		line := e.subscribe(key, alice)
		e.unsubscribe(key, alice)
		e.fill(key, 2)
		same(t, "positions", e.positions(alice.ID, phone.ID), nil)
		if one, err := e.Subscription(e.ctx, alice.ID, line.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the subscription is %+v, %v", one, err)
		}
	}},
	{"subscriptions are listed with their timelines", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob := e.user(app, "alice"), e.user(app, "bob")
		key, pair := e.group(app), store.PairKey(app.ID, alice.ID, bob.ID)
		with := e.fill(pair, 2)
		line := e.subscribe(key, alice, bob)
		left := e.group(app)
		e.subscribe(left, alice)
		e.unsubscribe(left, alice)
		for user, want := range map[store.User][]store.Subscription{
			alice: {{Timeline: store.Timeline{ID: with, Key: pair, Head: 2}}, {Timeline: line}},
			bob:   {{Timeline: store.Timeline{ID: with, Key: pair, Head: 2}}, {Timeline: line}},
		} {
			list, err := e.Subscriptions(e.ctx, user.ID)
			e.check("subscriptions", err)
			same(t, user.Name, list, want)
		}
		if _, err := e.Subscription(e.ctx, alice.ID, line.ID+100); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("subscription to nothing: %v", err)
		}
		for _, unknown := range []store.Key{e.group(app), store.UserKey(app.ID, alice.ID)} {
			if _, err := e.FindTimeline(e.ctx, unknown); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("timeline of nothing: %v", err)
			}
			if _, err := e.Unsubscribe(e.ctx, unknown, []int64{alice.ID}); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("unsubscribing from nothing: %v", err)
			}
		}
	}},
}
