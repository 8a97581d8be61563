package storetest

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/stoa-chat/stoa/internal/store"
)

var modelTests = []test{
	{"random work gives what the model gives", func(t *testing.T, e *env) {
		rapid.Check(t, func(r *rapid.T) {
			// Every round is an app of its own in the same store.
			e := &env{tb: r, Store: e.Store, ctx: e.ctx, last: e.last}
			m := &model{timelines: make(map[store.Key]*modelTimeline), cursors: make(map[[2]int64]int64), had: make(map[[2]int64]int64)}
			app := e.app()
			for i := range 3 {
				m.users = append(m.users, e.user(app, fmt.Sprint("user", i)))
			}
			for _, a := range m.users {
				m.keys = append(m.keys, store.UserKey(app.ID, a.ID))
				for _, b := range m.users {
					if key := store.PairKey(app.ID, a.ID, b.ID); !slices.Contains(m.keys, key) {
						m.keys = append(m.keys, key)
					}
				}
			}
			r.Repeat(map[string]func(*rapid.T){
				"append": func(r *rapid.T) {
					drafts := make([]store.Draft, rapid.IntRange(1, 6).Draw(r, "drafts"))
					for i := range drafts {
						drafts[i] = store.Draft{
							Key: rapid.SampledFrom(m.keys).Draw(r, "key"), ID: e.next(), Time: start + rapid.Int64Range(0, hour).Draw(r, "time"),
							Sender: rapid.SampledFrom(m.users).Draw(r, "sender").ID, Device: rapid.Int64Range(1, 2).Draw(r, "device"),
							ClientID: rapid.Uint64Range(0, 3).Draw(r, "client id"),
							Meta:     rapid.SampledFrom([][]byte{[]byte("a"), []byte("b"), {0, 0xff}}).Draw(r, "meta"),
						}
					}
					results, err := e.Append(e.ctx, drafts)
					e.check("append", err)
					m.append(r, drafts, results)
				},
				"read": func(r *rapid.T) {
					timeline := m.timelines[rapid.SampledFrom(m.keys).Draw(r, "key")]
					if timeline == nil {
						return
					}
					after, limit := rapid.IntRange(0, 20).Draw(r, "after"), rapid.IntRange(1, 20).Draw(r, "limit")
					entries, err := e.ReadTimeline(e.ctx, timeline.number, int64(after), limit, 1<<20)
					e.check("read timeline", err)
					want := timeline.entries[min(after, len(timeline.entries)):]
					same(r, "entries", entries, want[:min(limit, len(want))])
				},
				"open device": func(r *rapid.T) {
					user := rapid.SampledFrom(m.users).Draw(r, "user")
					m.open(e.device(user, fmt.Sprint(rapid.IntRange(0, 4).Draw(r, "resource"))))
				},
				"save cursors": func(r *rapid.T) {
					if len(m.devices) == 0 {
						return
					}
					var cursors []store.Cursor
					for range rapid.IntRange(1, 5).Draw(r, "cursors") {
						device := rapid.SampledFrom(m.devices).Draw(r, "device")
						if mine := m.reads(device.User); len(mine) > 0 {
							timeline := rapid.SampledFrom(mine).Draw(r, "timeline")
							seq := rapid.Int64Range(0, int64(len(timeline.entries))).Draw(r, "seq")
							cursors = append(cursors, cursor(device, timeline.number, seq))
						}
					}
					e.check("save cursors", e.SaveCursors(e.ctx, cursors))
					m.save(cursors)
				},
				"compare positions": func(r *rapid.T) {
					for _, device := range m.devices {
						same(r, "positions", e.positions(device.User, device.ID), m.positions(device))
					}
				},
			})
		})
	}},
}

// model is what a store does, without durability and as simple as can be.
type model struct {
	users     []store.User
	keys      []store.Key
	timelines map[store.Key]*modelTimeline
	devices   []store.Device
	cursors   map[[2]int64]int64 // device and timeline
	had       map[[2]int64]int64 // user and timeline: how far the furthest device is
}

type modelTimeline struct {
	key     store.Key
	number  int64
	entries []store.Entry
}

func (m *model) append(t tb, drafts []store.Draft, results []store.Appended) {
	for i, d := range drafts {
		timeline := m.timelines[d.Key]
		if timeline == nil {
			timeline = &modelTimeline{key: d.Key, number: results[i].Timeline}
			m.timelines[d.Key] = timeline
		}
		entry := store.Entry{ID: d.ID, Time: d.Time, Sender: d.Sender, Device: d.Device, ClientID: d.ClientID, Meta: d.Meta}
		at := slices.IndexFunc(timeline.entries, func(old store.Entry) bool {
			return d.ClientID != 0 && old.Sender == d.Sender && old.Device == d.Device && old.ClientID == d.ClientID &&
				bytes.Equal(old.Meta, d.Meta)
		})
		repeated := at >= 0
		if !repeated {
			at = len(timeline.entries)
			entry.Seq = int64(at) + 1
			timeline.entries = append(timeline.entries, entry)
		}
		first := timeline.entries[at]
		same(t, "result", results[i], store.Appended{
			Timeline: timeline.number, Seq: first.Seq, ID: first.ID, Time: first.Time, Repeated: repeated,
		})
	}
}

func (m *model) open(device store.Device) {
	for _, known := range m.devices {
		if known.ID == device.ID {
			return
		}
	}
	m.devices = append(m.devices, device)
	for _, timeline := range m.reads(device.User) {
		m.cursors[[2]int64{device.ID, timeline.number}] = m.had[[2]int64{device.User, timeline.number}]
	}
}

func (m *model) save(cursors []store.Cursor) {
	for _, c := range cursors {
		device, user := [2]int64{c.Device, c.Timeline}, [2]int64{c.User, c.Timeline}
		m.cursors[device] = max(m.cursors[device], c.Seq)
		m.had[user] = max(m.had[user], c.Seq)
	}
}

// reads returns the timelines of a user in order of their numbers.
func (m *model) reads(user int64) []*modelTimeline {
	var mine []*modelTimeline
	for _, timeline := range m.timelines {
		if slices.Contains(timeline.key.Readers(), user) {
			mine = append(mine, timeline)
		}
	}
	slices.SortFunc(mine, func(a, b *modelTimeline) int { return int(a.number - b.number) })
	return mine
}

func (m *model) positions(device store.Device) []store.Position {
	var positions []store.Position
	for _, timeline := range m.reads(device.User) {
		positions = append(positions, store.Position{
			Timeline: timeline.number, Head: int64(len(timeline.entries)), Cursor: m.cursors[[2]int64{device.ID, timeline.number}],
		})
	}
	return positions
}
