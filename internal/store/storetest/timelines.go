package storetest

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"

	"github.com/stoa-chat/stoa/internal/store"
)

var timelineTests = []test{
	{"entries come back as they were appended", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob := e.user(app, "alice"), e.user(app, "bob")
		key := store.PairKey(app.ID, alice.ID, bob.ID)
		var drafts []store.Draft
		for i, meta := range [][]byte{
			[]byte("hello"), nil, {}, {0}, []byte("a\x00b\x00"), {0xff, 0xfe, 0x80}, []byte("\xc3\x28"), []byte(`\x00`), []byte("'"),
			bytes.Repeat([]byte{0, 0xff, '\\', '\n', '\t'}, 5000),
		} {
			drafts = append(drafts, store.Draft{
				Key: key, ID: math.MaxInt64 - int64(i), Time: start + int64(i), Sender: alice.ID, Device: int64(i),
				ClientID: math.MaxUint64 - uint64(i), Meta: meta,
			})
		}
		var want []store.Entry
		for i, r := range e.append(drafts...) {
			d := drafts[i]
			same(t, "result", r, store.Appended{Timeline: r.Timeline, Seq: int64(i) + 1, ID: d.ID, Time: d.Time})
			want = append(want, store.Entry{
				Seq: r.Seq, ID: d.ID, Time: d.Time, Sender: d.Sender, Device: d.Device, ClientID: d.ClientID, Meta: d.Meta,
			})
		}
		timeline := e.append(store.Draft{Key: key, ID: 5, Time: 6})[0].Timeline
		if timeline <= 0 {
			t.Errorf("timeline number is %d", timeline)
		}
		same(t, "entries", e.read(timeline), append(want, store.Entry{Seq: int64(len(want)) + 1, ID: 5, Time: 6}))
	}},
	{"nothing appended is nothing done", func(t *testing.T, e *env) {
		results, err := e.Append(e.ctx, nil)
		e.check("append", err)
		same(t, "results", results, nil)
	}},
	{"a batch keeps its order in each of its timelines", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob, carol := e.user(app, "alice"), e.user(app, "bob"), e.user(app, "carol")
		keys := []store.Key{
			store.PairKey(app.ID, alice.ID, bob.ID), store.UserKey(app.ID, bob.ID), store.PairKey(app.ID, carol.ID, alice.ID),
			store.PairKey(app.ID, alice.ID, alice.ID), store.UserKey(app.ID, alice.ID),
		}
		var drafts []store.Draft
		for i := range 40 {
			drafts = append(drafts, store.Draft{Key: keys[i*i%len(keys)], Meta: fmt.Append(nil, i)})
		}
		timelines := make(map[store.Key]int64)
		want := make(map[store.Key][]string)
		for range 2 {
			for i, r := range e.append(drafts...) {
				key := drafts[i].Key
				drafts[i].ID = 0
				if known, ok := timelines[key]; ok && known != r.Timeline {
					t.Fatalf("%+v is timeline %d and %d", key, known, r.Timeline)
				}
				timelines[key] = r.Timeline
				want[key] = append(want[key], string(drafts[i].Meta))
				same(t, "sequence number", r.Seq, int64(len(want[key])))
			}
		}
		keyOf := make(map[int64]store.Key)
		for key, timeline := range timelines {
			if other, ok := keyOf[timeline]; ok {
				t.Errorf("%+v and %+v share a timeline", key, other)
			}
			keyOf[timeline] = key
			var got []string
			for i, entry := range e.read(timeline) {
				same(t, "sequence number", entry.Seq, int64(i)+1)
				got = append(got, string(entry.Meta))
			}
			same(t, "entries", got, want[key])
		}
	}},
	{"a batch may be large", func(t *testing.T, e *env) {
		app := e.app()
		var keys []store.Key
		for i := range 7 {
			keys = append(keys, store.UserKey(app.ID, e.user(app, fmt.Sprint("user", i)).ID))
		}
		drafts := make([]store.Draft, 2500)
		for i := range drafts {
			drafts[i] = store.Draft{Key: keys[i%7], ClientID: uint64(i), Device: 1, Meta: fmt.Append(nil, i)}
		}
		next := make(map[int64]int64)
		for i, r := range e.append(drafts...) {
			next[r.Timeline]++
			if r.Seq != next[r.Timeline] {
				t.Fatalf("draft %d has number %d in its timeline, want %d", i, r.Seq, next[r.Timeline])
			}
		}
		same(t, "number of timelines", len(next), 7)
	}},
	{"the order of a pair does not matter", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob := e.user(app, "alice"), e.user(app, "bob")
		there := e.fill(store.PairKey(app.ID, alice.ID, bob.ID), 1)
		back := e.fill(store.PairKey(app.ID, bob.ID, alice.ID), 1)
		same(t, "timeline", back, there)
	}},
	{"many callers at once get numbers without gaps, and readers never see one", func(t *testing.T, e *env) {
		app := e.app()
		users := []store.User{e.user(app, "alice"), e.user(app, "bob"), e.user(app, "carol")}
		keys := []store.Key{
			store.PairKey(app.ID, users[0].ID, users[1].ID), store.PairKey(app.ID, users[1].ID, users[2].ID),
			store.UserKey(app.ID, users[0].ID), // made by many at once
		}
		first := e.fill(keys[0], 1)
		const callers, calls = 12, 15

		var mu sync.Mutex
		written := make(map[int64]map[int64]string) // timeline and number, as the callers were told
		var wg sync.WaitGroup
		for caller := range callers {
			wg.Go(func() {
				last := make(map[int64]int64)
				for call := range calls {
					var drafts []store.Draft
					for i := range 1 + (caller+call)%4 {
						drafts = append(drafts, store.Draft{
							Key: keys[(caller+i)%len(keys)], ID: int64(1000*(1000*caller+call) + i + 1), Time: start,
							Sender: users[0].ID, Device: int64(caller + 1), ClientID: uint64(call*10 + i), // no repetitions
							Meta: fmt.Appendf(nil, "%d/%d/%d", caller, call, i),
						})
					}
					results, err := e.Append(e.ctx, drafts)
					if err != nil {
						t.Errorf("append: %v", err)
						return
					}
					mu.Lock()
					for i, r := range results {
						if r.Err != nil || r.Repeated || r.ID != drafts[i].ID {
							t.Errorf("result is %+v", r)
						}
						if r.Seq <= last[r.Timeline] {
							t.Errorf("timeline %d gave %d after %d to one caller", r.Timeline, r.Seq, last[r.Timeline])
						}
						last[r.Timeline] = r.Seq
						if written[r.Timeline] == nil {
							written[r.Timeline] = make(map[int64]string)
						}
						if other, ok := written[r.Timeline][r.Seq]; ok {
							t.Errorf("%q and %q have number %d in timeline %d", other, drafts[i].Meta, r.Seq, r.Timeline)
						}
						written[r.Timeline][r.Seq] = string(drafts[i].Meta)
					}
					mu.Unlock()
				}
			})
		}
		appended := make(chan struct{})
		var reader sync.WaitGroup
		reader.Go(func() {
			for after, stop := int64(0), false; !stop; {
				select {
				case <-appended:
					stop = true // after one more round
				default:
				}
				entries, err := e.ReadTimeline(e.ctx, first, after, 10, 1<<20)
				if err != nil {
					t.Errorf("read timeline: %v", err)
					return
				}
				for _, entry := range entries {
					if after++; entry.Seq != after {
						t.Errorf("a reader saw number %d, want %d", entry.Seq, after)
						return
					}
				}
			}
		})
		wg.Wait()
		close(appended)
		reader.Wait()

		written[first][1] = string(e.read(first)[0].Meta)
		for timeline, want := range written {
			got := make(map[int64]string)
			for i, entry := range e.read(timeline) {
				same(t, "sequence number", entry.Seq, int64(i)+1)
				got[entry.Seq] = string(entry.Meta)
			}
			same(t, "entries", got, want)
		}
	}},
	{"an append that returns an error has written nothing", func(t *testing.T, e *env) {
		app := e.app()
		key := store.UserKey(app.ID, e.user(app, "alice").ID)
		timeline := e.fill(key, 1)
		var mu sync.Mutex
		want := []string{string(e.read(timeline)[0].Meta)}
		var wg sync.WaitGroup
		for caller := range 40 {
			wg.Go(func() {
				ctx, cancel := context.WithCancel(e.ctx)
				defer cancel()
				if caller%4 == 0 {
					cancel() // before
				} else if caller%4 == 1 {
					go cancel() // some time
				}
				meta := fmt.Append(nil, caller)
				results, err := e.Append(ctx, []store.Draft{{Key: key, ID: int64(1000 + caller), Time: start, Meta: meta}})
				if err == nil {
					err = results[0].Err
				}
				if err != nil {
					if ctx.Err() == nil {
						t.Errorf("append: %v", err)
					}
					return
				}
				mu.Lock()
				defer mu.Unlock()
				want = append(want, string(meta))
			})
		}
		wg.Wait()
		e.fill(key, 1) // after everything that was before it
		var got []string
		entries := e.read(timeline)
		for _, entry := range entries[:len(entries)-1] {
			got = append(got, string(entry.Meta))
		}
		slices.Sort(got)
		slices.Sort(want)
		same(t, "entries", got, want)
	}},
	{"reading begins after the given number", func(t *testing.T, e *env) {
		app := e.app()
		timeline := e.fill(store.UserKey(app.ID, e.user(app, "alice").ID), 5)
		other := e.fill(store.UserKey(app.ID, e.user(app, "bob").ID), 1)
		for _, test := range []struct {
			timeline, after int64
			limit, maxBytes int
			want            []int64
		}{
			{timeline, 0, 100, 1 << 20, []int64{1, 2, 3, 4, 5}},
			{timeline, 2, 100, 1 << 20, []int64{3, 4, 5}},
			{timeline, 4, 100, 1 << 20, []int64{5}},
			{timeline, 5, 100, 1 << 20, nil},
			{timeline, 6, 100, 1 << 20, nil},
			{timeline, math.MaxInt64, 100, 1 << 20, nil},
			{timeline, 0, 1, 1 << 20, []int64{1}},
			{timeline, 1, 3, 1 << 20, []int64{2, 3, 4}},
			{timeline, 3, 3, 1 << 20, []int64{4, 5}},
			{other, 0, 100, 1 << 20, []int64{1}},
			{max(timeline, other) + 100, 0, 100, 1 << 20, nil},
		} {
			entries, err := e.ReadTimeline(e.ctx, test.timeline, test.after, test.limit, test.maxBytes)
			e.check("read timeline", err)
			same(t, fmt.Sprintf("%+v", test), seqs(entries), test.want)
		}
	}},
	{"reading ends when the entries hold enough, but not before the first", func(t *testing.T, e *env) {
		app := e.app()
		key := store.UserKey(app.ID, e.user(app, "alice").ID)
		meta := make([]byte, 1000)
		var timeline int64
		for range 300 {
			timeline = e.append(store.Draft{Key: key, Meta: meta}, store.Draft{Key: key, Meta: meta})[0].Timeline
		}
		for maxBytes, want := range map[int][2]int{ // whether the entry that reaches the limit is in is left open
			1: {1, 1}, 999: {1, 1}, 1000: {1, 1}, 2000: {2, 2}, 2500: {2, 3}, 200_000: {200, 200}, 10_000_000: {400, 400},
		} {
			entries, err := e.ReadTimeline(e.ctx, timeline, 100, 400, maxBytes)
			e.check("read timeline", err)
			if n := len(entries); n < want[0] || n > want[1] {
				t.Errorf("%d bytes: %d entries, want %d to %d", maxBytes, n, want[0], want[1])
			}
			for i, entry := range entries {
				same(t, "sequence number", entry.Seq, int64(101+i))
			}
		}
	}},
}

func seqs(entries []store.Entry) []int64 {
	var list []int64
	for _, entry := range entries {
		list = append(list, entry.Seq)
	}
	return list
}

var repetitionTests = []test{
	{"a repetition returns the first copy and writes nothing", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob := e.user(app, "alice"), e.user(app, "bob")
		draft := store.Draft{
			Key: store.PairKey(app.ID, alice.ID, bob.ID), ID: 100, Time: start, Sender: alice.ID, Device: 7,
			ClientID: 1 << 63, Meta: []byte("hi\x00\xff"),
		}
		first := e.append(draft)[0]
		same(t, "first result", first, store.Appended{Timeline: first.Timeline, Seq: 1, ID: 100, Time: start})
		want := first
		want.Repeated = true
		for i := range int64(3) {
			draft.ID, draft.Time = 101+i, start+1000*i
			draft.Meta = slices.Clone(draft.Meta)
			same(t, "result", e.append(draft)[0], want)
		}
		same(t, "entries", len(e.read(first.Timeline)), 1)
		same(t, "next", e.append(store.Draft{Key: draft.Key, Meta: draft.Meta})[0].Seq, 2)
	}},
	{"a repetition is recognised within a batch", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob := e.user(app, "alice"), e.user(app, "bob")
		draft := func(id int64, client uint64, text string) store.Draft {
			return store.Draft{
				Key: store.PairKey(app.ID, alice.ID, bob.ID), ID: id, Time: start + id, Sender: alice.ID, Device: 7,
				ClientID: client, Meta: []byte(text),
			}
		}
		old := e.append(draft(1, 1, "old"))[0].Timeline
		got := e.append(draft(2, 2, "a"), draft(3, 1, "old"), draft(4, 2, "a"), draft(5, 2, "b"), draft(6, 2, "b"), draft(7, 3, "a"))
		same(t, "results", got, []store.Appended{
			{Timeline: old, Seq: 2, ID: 2, Time: start + 2},
			{Timeline: old, Seq: 1, ID: 1, Time: start + 1, Repeated: true},
			{Timeline: old, Seq: 2, ID: 2, Time: start + 2, Repeated: true},
			{Timeline: old, Seq: 3, ID: 5, Time: start + 5},
			{Timeline: old, Seq: 3, ID: 5, Time: start + 5, Repeated: true},
			{Timeline: old, Seq: 4, ID: 7, Time: start + 7},
		})
		same(t, "entries", seqs(e.read(old)), []int64{1, 2, 3, 4})
		same(t, "only repetitions", e.append(draft(8, 1, "old"), draft(9, 2, "b")), []store.Appended{
			{Timeline: old, Seq: 1, ID: 1, Time: start + 1, Repeated: true},
			{Timeline: old, Seq: 3, ID: 5, Time: start + 5, Repeated: true},
		})
	}},
	{"what differs in anything but id and time is a message of its own", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob, carol := e.user(app, "alice"), e.user(app, "bob"), e.user(app, "carol")
		draft := store.Draft{
			Key: store.PairKey(app.ID, alice.ID, bob.ID), Sender: alice.ID, Device: 7, ClientID: 1, Meta: []byte("hi"),
		}
		e.append(draft)
		for name, change := range map[string]func(*store.Draft){
			"another body":      func(d *store.Draft) { d.Meta = []byte("hi!") },
			"an empty body":     func(d *store.Draft) { d.Meta = nil },
			"another receiver":  func(d *store.Draft) { d.Key = store.PairKey(app.ID, alice.ID, carol.ID) },
			"another device":    func(d *store.Draft) { d.Device = 8 },
			"another client id": func(d *store.Draft) { d.ClientID = 2 },
			"another sender":    func(d *store.Draft) { d.Sender = bob.ID },
		} {
			other := draft
			change(&other)
			for _, repeated := range []bool{false, true} {
				if r := e.append(other)[0]; r.Repeated != repeated {
					t.Errorf("%s: repeated is %v, want %v", name, r.Repeated, repeated)
				}
			}
		}
		if r := e.append(draft)[0]; !r.Repeated || r.Seq != 1 {
			t.Errorf("the first message again: %+v", r)
		}
	}},
	{"an entry without a client id is never a repetition", func(t *testing.T, e *env) {
		app := e.app()
		alice := e.user(app, "alice")
		draft := store.Draft{Key: store.UserKey(app.ID, alice.ID), Sender: alice.ID, Device: 7, Meta: []byte("hi")}
		for i, r := range append(e.append(draft, draft), e.append(draft, draft)...) {
			same(t, "result", r, store.Appended{Timeline: r.Timeline, Seq: int64(i) + 1, ID: r.ID, Time: start})
		}
	}},
	{"an app may begin its client ids at 1 again", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob := e.user(app, "alice"), e.user(app, "bob")
		key := store.PairKey(app.ID, alice.ID, bob.ID)
		for run := range 3 {
			for i := range 5 {
				r := e.append(store.Draft{
					Key: key, Sender: alice.ID, Device: 7, ClientID: uint64(i) + 1, Meta: fmt.Appendf(nil, "run %d text %d", run, i),
				})[0]
				if r.Repeated || r.Seq != int64(run*5+i+1) {
					t.Fatalf("run %d, message %d: %+v", run, i, r)
				}
			}
		}
		r := e.append(store.Draft{Key: key, Sender: alice.ID, Device: 7, ClientID: 2, Meta: []byte("run 1 text 1")})[0]
		if !r.Repeated || r.Seq != 7 {
			t.Errorf("a retry of the second run: %+v", r)
		}
	}},
	{"a repetition is recognised for a day", func(t *testing.T, e *env) {
		app := e.app()
		alice := e.user(app, "alice")
		draft := store.Draft{Key: store.UserKey(app.ID, alice.ID), Sender: alice.ID, Device: 7, ClientID: 1, Meta: []byte("hi")}
		for _, step := range []struct {
			hours    int64
			seq      int64
			repeated bool
		}{
			{0, 1, false}, {23, 1, true}, {25, 2, false}, {26, 2, true}, {48, 2, true}, {51, 3, false},
		} {
			draft.ID, draft.Time = e.next(), start+step.hours*hour
			if r := e.append(draft)[0]; r.Seq != step.seq || r.Repeated != step.repeated {
				t.Errorf("after %d hours: %+v, want number %d and repeated %v", step.hours, r, step.seq, step.repeated)
			}
		}
	}},
	{"of many retries at once one is written", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob := e.user(app, "alice"), e.user(app, "bob")
		results := make([]store.Appended, 16)
		var wg sync.WaitGroup
		for i := range results {
			wg.Go(func() {
				got, err := e.Append(e.ctx, []store.Draft{{
					Key: store.PairKey(app.ID, alice.ID, bob.ID), ID: int64(100 + i), Time: start, Sender: alice.ID, Device: 7,
					ClientID: 1, Meta: []byte("hi"),
				}})
				if err != nil {
					t.Errorf("append: %v", err)
					return
				}
				results[i] = got[0]
			})
		}
		wg.Wait()
		var written int
		for _, r := range results {
			if !r.Repeated {
				written++
			}
			same(t, "result", r, store.Appended{
				Timeline: results[0].Timeline, Seq: 1, ID: results[0].ID, Time: start, Repeated: r.Repeated,
			})
		}
		same(t, "number of copies", written, 1)
		same(t, "entries", len(e.read(results[0].Timeline)), 1)
	}},
}

var cursorTests = []test{
	{"a user reads their own timelines only", func(t *testing.T, e *env) {
		app, other := e.app(), e.app()
		alice, bob, carol := e.user(app, "alice"), e.user(app, "bob"), e.user(app, "carol")
		stranger := e.user(other, "alice")
		ab := e.fill(store.PairKey(app.ID, bob.ID, alice.ID), 3)
		bc := e.fill(store.PairKey(app.ID, bob.ID, carol.ID), 2)
		b := e.fill(store.UserKey(app.ID, bob.ID), 1)
		bb := e.fill(store.PairKey(app.ID, bob.ID, bob.ID), 4)
		e.fill(store.UserKey(other.ID, stranger.ID), 1)
		for _, test := range []struct {
			user store.User
			want []store.Position
		}{
			{alice, []store.Position{{Timeline: ab, Head: 3}}},
			{bob, []store.Position{{Timeline: ab, Head: 3}, {Timeline: bc, Head: 2}, {Timeline: b, Head: 1}, {Timeline: bb, Head: 4}}},
			{carol, []store.Position{{Timeline: bc, Head: 2}}},
		} {
			slices.SortFunc(test.want, func(a, b store.Position) int { return int(a.Timeline - b.Timeline) })
			same(t, test.user.Name, e.positions(test.user.ID, e.device(test.user, "phone").ID), test.want)
		}
		same(t, "nobody", e.positions(stranger.ID+100, 1), nil)
	}},
	{"a repetition moves no head", func(t *testing.T, e *env) {
		app := e.app()
		alice := e.user(app, "alice")
		draft := store.Draft{Key: store.UserKey(app.ID, alice.ID), Sender: alice.ID, Device: 7, ClientID: 1, Meta: []byte("hi")}
		timeline := e.append(draft, draft)[0].Timeline
		e.append(draft)
		same(t, "positions", e.positions(alice.ID, e.device(alice, "phone").ID), []store.Position{{Timeline: timeline, Head: 1}})
	}},
	{"device 0 is as far as the furthest device of the user", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob := e.user(app, "alice"), e.user(app, "bob")
		phone, laptop, bobs := e.device(alice, "phone"), e.device(alice, "laptop"), e.device(bob, "phone")
		timeline := e.fill(store.PairKey(app.ID, alice.ID, bob.ID), 10)
		same(t, "before", e.positions(alice.ID, 0), []store.Position{{Timeline: timeline, Head: 10}})
		e.save(phone, timeline, 3)
		e.save(laptop, timeline, 7)
		e.save(bobs, timeline, 9)
		e.save(laptop, timeline, 6)
		same(t, "after", e.positions(alice.ID, 0), []store.Position{{Timeline: timeline, Head: 10, Cursor: 7}})
	}},
	{"a cursor is the device's own and never goes back", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob := e.user(app, "alice"), e.user(app, "bob")
		phone, laptop, bobs := e.device(alice, "phone"), e.device(alice, "laptop"), e.device(bob, "phone")
		timeline := e.fill(store.PairKey(app.ID, alice.ID, bob.ID), 10)
		for _, step := range []struct{ save, want int64 }{{3, 3}, {2, 3}, {3, 3}, {0, 3}, {9, 9}, {1, 9}, {10, 10}} {
			e.save(phone, timeline, step.save)
			same(t, fmt.Sprintf("after %d", step.save), e.positions(alice.ID, phone.ID),
				[]store.Position{{Timeline: timeline, Head: 10, Cursor: step.want}})
		}
		for _, device := range []store.Device{laptop, bobs} {
			same(t, "another device", e.positions(device.User, device.ID), []store.Position{{Timeline: timeline, Head: 10}})
		}
	}},
	{"a batch of cursors may name one several times", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob := e.user(app, "alice"), e.user(app, "bob")
		phone, laptop := e.device(alice, "phone"), e.device(alice, "laptop")
		one, two := e.fill(store.PairKey(app.ID, alice.ID, bob.ID), 10), e.fill(store.UserKey(app.ID, alice.ID), 10)
		e.check("save cursors", e.SaveCursors(e.ctx, []store.Cursor{
			cursor(phone, one, 2), cursor(phone, two, 1), cursor(phone, one, 5), cursor(laptop, two, 8), cursor(phone, one, 4),
		}))
		same(t, "phone", e.positions(alice.ID, phone.ID),
			[]store.Position{{Timeline: one, Head: 10, Cursor: 5}, {Timeline: two, Head: 10, Cursor: 1}})
		same(t, "laptop", e.positions(alice.ID, laptop.ID),
			[]store.Position{{Timeline: one, Head: 10}, {Timeline: two, Head: 10, Cursor: 8}})
		e.check("save no cursors", e.SaveCursors(e.ctx, nil))
	}},
	{"cursors of a device that is gone are dropped, the others of the batch are saved", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob := e.user(app, "alice"), e.user(app, "bob")
		phone, bobs := e.device(alice, "phone"), e.device(bob, "phone")
		timeline := e.fill(store.PairKey(app.ID, alice.ID, bob.ID), 10)
		e.check("delete user", e.DeleteUser(e.ctx, bob.ID))
		e.check("save cursors", e.SaveCursors(e.ctx, []store.Cursor{cursor(bobs, timeline, 5), cursor(phone, timeline, 6)}))
		same(t, "phone", e.positions(alice.ID, phone.ID), []store.Position{{Timeline: timeline, Head: 10, Cursor: 6}})
		same(t, "the deleted user", e.positions(bob.ID, bobs.ID), nil)
	}},
	{"cursors saved by many at once all count", func(t *testing.T, e *env) {
		app := e.app()
		alice := e.user(app, "alice")
		var devices []store.Device
		for i := range 3 {
			devices = append(devices, e.device(alice, fmt.Sprint("device", i)))
		}
		var timelines []int64
		for i := range 4 {
			timelines = append(timelines, e.fill(store.PairKey(app.ID, alice.ID, e.user(app, fmt.Sprint("user", i)).ID), 50))
		}
		var wg sync.WaitGroup
		for saver := range 6 {
			wg.Go(func() {
				for seq := int64(1); seq <= 50; seq += 7 {
					var cursors []store.Cursor
					for i := range 12 {
						i = (i + saver*5) % 12 // in an order of its own
						cursors = append(cursors, cursor(devices[i%3], timelines[i/3], min(seq+int64(saver), 50)))
					}
					if err := e.SaveCursors(e.ctx, cursors); err != nil {
						t.Errorf("save cursors: %v", err)
					}
				}
			})
		}
		wg.Wait()
		var want []store.Position
		for _, timeline := range timelines {
			want = append(want, store.Position{Timeline: timeline, Head: 50, Cursor: 50})
		}
		for _, device := range devices {
			same(t, device.Resource, e.positions(alice.ID, device.ID), want)
		}
	}},
}
