package delivery

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stoa-chat/stoa/internal/bus"
	"github.com/stoa-chat/stoa/internal/store"
)

func TestEventsComeBackAsTheyWere(t *testing.T) {
	for _, e := range []entryEvent{
		{timeline: 1, seq: 2, sender: 3, device: 4, frame: []byte("frame")},
		{timeline: math.MaxInt64, seq: math.MaxInt64, sender: math.MaxInt64, device: math.MaxInt64, frame: []byte{}},
		{frame: []byte{0xff, 0xff}},
		{audience: store.Audience{Users: []int64{1, math.MaxInt64}}, frame: []byte("frame")},
		{seq: 1, audience: store.Audience{Users: []int64{7}, Except: true}, frame: []byte{}},
	} {
		b := appendEntryEvent(nil, e)
		got, err := readEntryEvent(b[1:])
		if diff := cmp.Diff(e, got, cmp.AllowUnexported(entryEvent{})); b[0] != eventEntry || diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
	for _, k := range []Kick{{}, {Session: math.MaxInt64, Except: 7, Operation: 4, Reason: "from another device"}} {
		b := appendKick(nil, k)
		if got, err := readKick(b[1:]); b[0] != eventKick || got != k || err != nil {
			t.Errorf("%+v comes back as %+v, %v", k, got, err)
		}
	}
	for _, m := range []membership{{}, {muc: 1, timeline: 2, at: 3}, {muc: math.MaxInt64, timeline: math.MaxInt64, at: math.MaxInt64}} {
		b := appendMembership(nil, eventJoin, m)
		if got, err := readMembership(b[1:]); b[0] != eventJoin || got != m || err != nil {
			t.Errorf("%+v comes back as %+v, %v", m, got, err)
		}
	}
	for _, until := range []int64{0, 1, math.MaxInt64} {
		b := appendLifetime(nil, until)
		if got, err := readLifetime(b[1:]); b[0] != eventLifetime || got != until || err != nil {
			t.Errorf("%d comes back as %d, %v", until, got, err)
		}
	}
}

// Other nodes may be of another version.
func TestCutEventsAreErrors(t *testing.T) {
	long := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}
	for _, b := range [][]byte{nil, {1}, {1, 2}, {1, 2, 0x80}, {1, 2, 3, 4}, {1, 2, 3, 4, 1}, {1, 2, 3, 4, 2, 0, 0x80}, long} {
		if _, err := readEntryEvent(b); err == nil {
			t.Errorf("%x is read as an entry", b)
		}
	}
	for _, b := range [][]byte{nil, {1}, {1, 2}, {1, 2, 0x80}, long} {
		if _, err := readMembership(b); err == nil {
			t.Errorf("%x is read as a membership", b)
		}
	}
	for _, b := range [][]byte{nil, {1}, {1, 0x80}, long} {
		if _, err := readKick(b); err == nil {
			t.Errorf("%x is read as a kick", b)
		}
	}
	for _, b := range [][]byte{nil, {0x80}, long} {
		if _, err := readLifetime(b); err == nil {
			t.Errorf("%x is read as a lifetime", b)
		}
	}
}

func FuzzHandle(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{'x', 1})
	f.Add(appendEntryEvent(nil, entryEvent{timeline: 1, seq: 1, sender: 2, device: 3, frame: []byte{0x4a, 0}}))
	f.Add(appendKick(nil, Kick{Session: 1, Reason: "r"}))
	f.Add(appendLifetime(nil, 9))
	f.Add(appendMembership(nil, eventJoin, membership{muc: 1, timeline: 2, at: 3}))
	f.Add(appendMembership(nil, eventLeave, membership{muc: 1, timeline: 1, at: 3}))
	w := newWorld(f)
	s, _ := w.session(1, 1, 1)
	if _, err := s.Unread(w.Context()); err != nil {
		f.Fatal(err)
	}
	s.Enter(1)
	f.Fuzz(func(t *testing.T, event []byte) {
		w.hub.Handle(bus.User(1), event)
		w.hub.Handle(bus.Muc(1), event)
	})
}
