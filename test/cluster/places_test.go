package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stoa-chat/stoa/chat"
	"github.com/stoa-chat/stoa/errcode"
)

// The subtests run one after another: the last kills a node.
func TestGroupsAndRoomsSpanTwoNodes(t *testing.T) {
	c := start(t)
	for name, kind := range map[string]chat.ChatType{"group": chat.GroupChat, "room": chat.RoomChat} {
		t.Run("messages to a "+name+" from both nodes reach each member once and in order", func(t *testing.T) {
			c.testMessagesFromBothNodes(t, kind)
		})
		t.Run("who is added to a "+name+", removed and muted on one node is so on the other", func(t *testing.T) {
			c.testMembershipCrosses(t, kind)
		})
	}
	t.Run("when a node is killed members of groups miss nothing and members of rooms come back or leave", c.testFailoverOfPlaces)
}

// place is a group or room in the hands of its owner.
type place interface {
	ID() string
	Mute(ctx context.Context, d time.Duration, users ...string) error
	Unmute(ctx context.Context, users ...string) error
	Remove(ctx context.Context, users ...string) error
}

// place makes a group or room with these members; add makes others members.
func (c *nodes) place(t *testing.T, kind chat.ChatType, owner *device, members ...*device) (p place, add func(context.Context, ...string) error) {
	t.Helper()
	if kind == chat.GroupChat {
		var users []string
		for _, d := range members {
			users = append(users, d.user)
		}
		g, err := owner.CreateGroup(t.Context(), chat.GroupOptions{Name: "hikers", Members: users})
		if err != nil {
			t.Fatal(err)
		}
		return g, g.Invite
	}
	r, err := owner.CreateRoom(t.Context(), chat.RoomOptions{Name: "hall", AppToken: c.token})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range append([]*device{owner}, members...) {
		if _, err := d.Room(r.ID()).Join(t.Context(), chat.JoinOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return r, r.Add
}

// stream is what one device sends to a place: the numbers from 0, and then a farewell.
type stream struct {
	*device
	begun atomic.Int64
	sent  []string // ids, by number
}

const farewell = "end"

// run sends until enough reports true for the next number.
func (s *stream) run(t *testing.T, to string, kind chat.ChatType, enough func(n int) bool) {
	for n := 0; !enough(n); n++ {
		s.begun.Add(1)
		m, err := s.insist(t.Context(), to, n, chat.WithChatType(kind))
		if err != nil {
			t.Errorf("message %d of %s: %v", n, s.user, err)
			return
		}
		s.sent = append(s.sent, m.ID)
	}
}

// expectStreams takes what has come up to the farewells of all others, which must be each message once and in order. It
// returns the messages in the order in which they came.
func (d *device) expectStreams(t *testing.T, streams []*stream) (order []string) {
	t.Helper()
	got, open := map[string][]string{}, map[string]bool{}
	want := map[string][]string{}
	for _, s := range streams {
		if s.device != d {
			open[s.user], want[s.user] = true, s.sent
		}
	}
	for len(open) > 0 {
		m := next(t, d.texts, fmt.Sprintf("the end of %v for %s", slices.Collect(maps.Keys(open)), d.user))
		if m.Text == farewell {
			delete(open, m.From)
			continue
		}
		if m.Text != strconv.Itoa(len(got[m.From])) || !open[m.From] {
			t.Fatalf("%s received %q of %s after %d of that user's messages", d.user, m.Text, m.From, len(got[m.From]))
		}
		got[m.From] = append(got[m.From], m.ID)
		order = append(order, m.ID)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s received other messages than were acknowledged (-want +got):\n%s", d.user, diff)
	}
	return order
}

func (c *nodes) testMessagesFromBothNodes(t *testing.T, kind chat.ChatType) {
	var members []*device
	for i := range 6 {
		members = append(members, c.person(t, "member").login(t, c.url(i%2)))
	}
	p, _ := c.place(t, kind, members[0], members[1:]...)
	streams := []*stream{{device: members[0]}, {device: members[1]}}
	var sending sync.WaitGroup
	for _, s := range streams {
		sending.Go(func() { s.run(t, p.ID(), kind, func(n int) bool { return n == 100 }) })
	}
	sending.Wait()
	for _, s := range streams {
		s.sendTo(t, kind, p.ID(), farewell)
	}
	var orders [][]string
	for _, d := range members {
		orders = append(orders, d.expectStreams(t, streams))
	}
	for _, order := range orders[3:] { // the first two have sent some themselves
		if kind == chat.GroupChat && !slices.Equal(order, orders[2]) {
			t.Error("two members have received the messages of a group in different orders")
		}
	}
}

func (c *nodes) testMembershipCrosses(t *testing.T, kind chat.ChatType) {
	owner := c.person(t, "owner").login(t, c.url(0))
	stays, comes := c.person(t, "stays").login(t, c.url(1)), c.person(t, "comes").login(t, c.url(1))
	p, add := c.place(t, kind, owner, stays)
	do := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	// answered waits until the other node answers a message of the newcomer so.
	answered := func(want errcode.Code) {
		t.Helper()
		eventually(t, fmt.Sprintf("a message is answered with %d", want), func() bool {
			_, err := comes.SendText(t.Context(), p.ID(), "may I?", chat.WithChatType(kind))
			return want == 0 && err == nil || want != 0 && errors.Is(err, want)
		})
	}
	// hears takes the next message that is not of the newcomer.
	hears := func(d *device, text string) {
		t.Helper()
		for {
			if m := next(t, d.texts, fmt.Sprintf("%q for %s", text, d.user)); m.Text == text {
				return
			} else if m.From != comes.user {
				t.Fatalf("%s received %q of %s, want %q", d.user, m.Text, m.From, text)
			}
		}
	}
	answered(errcode.GroupNotJoined)
	do("add", add(t.Context(), comes.user))
	answered(0)
	owner.sendTo(t, kind, p.ID(), "welcome")
	hears(stays, "welcome")
	hears(comes, "welcome")
	do("mute", p.Mute(t.Context(), time.Hour, comes.user))
	answered(errcode.Muted)
	owner.sendTo(t, kind, p.ID(), "hush")
	hears(stays, "hush")
	hears(comes, "hush")
	do("unmute", p.Unmute(t.Context(), comes.user))
	answered(0)
	do("remove", p.Remove(t.Context(), comes.user))
	answered(errcode.GroupNotJoined)
	owner.sendTo(t, kind, p.ID(), "among us")
	hears(stays, "among us")
	owner.send(t, comes.user, "bye")
	comes.expect(t, "bye")
}

// testFailoverOfPlaces kills a node in the middle of a group's messages and of visits to a room.
func (c *nodes) testFailoverOfPlaces(t *testing.T) {
	c.rest(t, 0, http.MethodPut, "/settings", map[string]any{"room_leave_after_seconds": 3})
	moving, kill := c.balance(t)
	staying := c.url(1)
	quick := chat.WithReconnect(chat.Reconnect{Attempts: -1, Min: 20 * time.Millisecond, Max: 200 * time.Millisecond})
	var members []*device
	for i := range 8 {
		members = append(members, c.person(t, "member").login(t, []string{moving, staying}[i%2], quick))
	}
	owner := c.person(t, "owner").login(t, staying)
	removed := []*device{c.person(t, "removed").login(t, moving, quick), c.person(t, "removed").login(t, staying, quick)}
	group, _ := c.place(t, chat.GroupChat, owner, append(removed, members...)...)

	dead := c.person(t, "dead").login(t, c.url(0)) // who does not find the other node
	events := make(chan *chat.GroupEvent, 100)
	owner.AddEventListener("room", chat.Listener{OnRoomEvent: func(e *chat.GroupEvent) { events <- e }})
	room, _ := c.place(t, chat.RoomChat, owner, append([]*device{dead}, members...)...)

	var streams []*stream
	for _, d := range members[:4] {
		streams = append(streams, &stream{device: d})
	}
	total := func() (n int64) {
		for _, s := range streams {
			n += s.begun.Load()
		}
		return n
	}
	reach := func(goal int64) {
		t.Helper()
		eventually(t, fmt.Sprintf("%d messages", goal), func() bool { return total() >= goal || t.Failed() })
	}
	var enough atomic.Bool
	var sending sync.WaitGroup
	for _, s := range streams {
		sending.Go(func() { s.run(t, group.ID(), chat.GroupChat, func(int) bool { return enough.Load() }) })
	}
	defer sending.Wait()
	defer enough.Store(true)
	reach(200)
	for _, d := range removed {
		if err := group.Remove(t.Context(), d.user); err != nil {
			t.Fatal(err)
		}
	}
	late := map[string]int64{} // by user, the first number that was sent after that
	for _, s := range streams {
		late[s.user] = s.begun.Load()
	}
	reach(total() + 200)
	kill()
	for _, d := range append(removed, members...) {
		if d.server == moving {
			next(t, d.reconnected, "the reconnect of "+d.user)
		}
	}
	reach(total() + 200)
	enough.Store(true)
	sending.Wait()
	t.Logf("%d messages", total())
	for _, s := range streams {
		s.sendTo(t, chat.GroupChat, group.ID(), farewell)
	}
	for _, d := range append([]*device{owner}, members...) {
		d.expectStreams(t, streams)
	}
	for _, d := range removed {
		owner.send(t, d.user, "bye")
		came := map[string]int{}
		for m := next(t, d.texts, "the last message of "+d.user); m.Text != "bye"; m = next(t, d.texts, "the last message of "+d.user) {
			if m.Text != strconv.Itoa(came[m.From]) || int64(came[m.From]) >= late[m.From] {
				t.Fatalf("%s, who was removed before message %d of %s, received %q after %d others", d.user, late[m.From], m.From, m.Text, came[m.From])
			}
			came[m.From]++
		}
	}

	// Who has come back is in the room still, and may join it again.
	owner.sendTo(t, chat.RoomChat, room.ID(), "all well?")
	for _, d := range members {
		d.expect(t, "all well?")
		if _, err := d.Room(room.ID()).Join(t.Context(), chat.JoinOptions{}); err != nil {
			t.Errorf("%s joins again: %v", d.user, err)
		}
	}
	owner.sendTo(t, chat.RoomChat, room.ID(), "good")
	for _, d := range members {
		d.expect(t, "good")
	}
	// The lease of the node has to end before its devices are taken for offline.
	for tooLate, gone := time.After(time.Minute), false; !gone; {
		select {
		case e := <-events:
			if e.Operation == chat.OpAbsence {
				if !slices.Equal(e.Users, []string{dead.user}) {
					t.Fatalf("%v left the room, want %s", e.Users, dead.user)
				}
				gone = true
			}
		case <-tooLate:
			t.Fatalf("the room was not told that %s has left", dead.user)
		}
	}
	var stayed []string
	for m, err := range owner.Room(room.ID()).Members(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		stayed = append(stayed, m.User)
	}
	want := []string{owner.user}
	for _, d := range members {
		want = append(want, d.user)
	}
	slices.Sort(stayed)
	slices.Sort(want)
	if diff := cmp.Diff(want, stayed); diff != "" {
		t.Errorf("members of the room (-want +got):\n%s", diff)
	}
}

// sendTo sends a text to a group or room and fails the test if the server does not take it.
func (d *device) sendTo(t *testing.T, kind chat.ChatType, to, text string) {
	t.Helper()
	if _, err := d.SendText(t.Context(), to, text, chat.WithChatType(kind)); err != nil {
		t.Fatal(err)
	}
}
