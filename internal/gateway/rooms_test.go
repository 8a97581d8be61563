package gateway

import (
	"encoding/json"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/muc"
	"github.com/stoa-chat/stoa/internal/store"
)

// room makes a chatroom that a backend owns through a user.
func (w *world) room(o muc.Options) store.Muc {
	w.Helper()
	w.user("owner")
	o.Owner = "owner"
	m, err := w.mucs.Create(w.Context(), muc.Backend(w.app), store.MucRoom, o)
	w.must(err)
	return m
}

// ask sends a MUCBody and returns the answer.
func (c *client) ask(operation msync.MUCBody_Operation, room string) *msync.CommSyncDL {
	c.Helper()
	body := &msync.MUCBody{MucId: &msync.JID{Name: room, Domain: msync.PlaceDomain}, Operation: operation, IsChatroom: true}
	c.sendMeta(&msync.Meta{Id: 42, Ns: msync.Meta_MUC, Payload: mustMarshal(body)})
	return c.want("an answer", isAnswer).Sync
}

func (c *client) refused(answer *msync.CommSyncDL, want errcode.Code) {
	c.Helper()
	if code := sendCode(answer.Status.ErrorCode, answer.Status.Reason); code != want {
		c.Errorf("answered with %v, which arrives as %d, want %d", answer, code, want)
	}
}

// event returns the next MUC event that is pushed.
func (c *client) event() *msync.MUCBody {
	c.Helper()
	batch := c.want("an event", isBatch).Sync
	body := &msync.MUCBody{}
	if len(batch.Metas) != 1 || batch.Metas[0].Ns != msync.Meta_MUC || proto.Unmarshal(batch.Metas[0].Payload, body) != nil {
		c.Fatalf("this is no event: %v", batch)
	}
	return body
}

func TestAChatroomIsJoinedAndLeftOverTheSocket(t *testing.T) {
	w := newWorld(t)
	room := w.room(muc.Options{Title: "hall", MaxUsers: 3})
	alice, bob, carol := w.online("Alice", "r"), w.online("bob", "r"), w.online("carol", "r")

	alice.refused(alice.ask(msync.MUCBody_JOIN, "no-such-room"), errcode.ChatroomNotExist)
	alice.refused(alice.ask(msync.MUCBody_LEAVE, room.Name), errcode.GroupNotJoined)
	answer := alice.ask(msync.MUCBody_JOIN, room.Name)
	var body msync.MUCBody
	var info map[string]muc.RoomInfo
	w.must(proto.Unmarshal(answer.Metas[0].Payload, &body))
	w.must(json.Unmarshal([]byte(body.Status.ChatroomInfo), &info))
	if want := (muc.RoomInfo{Created: room.Created, Members: 2}); answer.Status.ErrorCode != 0 || info["Alice"] != want {
		t.Errorf("alice is answered %v, want %v", info, want)
	}

	bob.ask(msync.MUCBody_JOIN, room.Name)
	w.mucs.Flush()
	if e := alice.event(); e.Operation != msync.MUCBody_PRESENCE || e.From.Name != "bob" || e.MucMemberCount != 3 || !e.IsChatroom {
		t.Errorf("alice is told %v", e)
	}
	carol.refused(carol.ask(msync.MUCBody_JOIN, room.Name), errcode.ChatroomMembersFull)
	if answer := bob.ask(msync.MUCBody_JOIN, room.Name); answer.Status.ErrorCode != 0 {
		t.Errorf("who joins again is answered %v", answer)
	}
	bob.ask(msync.MUCBody_LEAVE, room.Name)
	w.mucs.Flush()
	if e := alice.event(); e.Operation != msync.MUCBody_ABSENCE || e.From.Name != "bob" || e.MucMemberCount != 2 {
		t.Errorf("alice is told %v", e)
	}
	_, err := w.mucs.Ban(t.Context(), muc.Backend(w.app), store.MucRoom, room.Name, []string{"bob"})
	w.must(err)
	bob.refused(bob.ask(msync.MUCBody_JOIN, room.Name), errcode.PermissionDenied)
}

func TestWhoStaysAwayLeavesTheChatroom(t *testing.T) {
	w := newWorld(t)
	room := w.room(muc.Options{Title: "hall"})
	alice, bob := w.online("alice", "r"), w.online("bob", "r")
	for _, c := range []*client{alice, bob} {
		c.ask(msync.MUCBody_JOIN, room.Name)
	}
	w.mucs.Flush()
	alice.event()
	bob.hangUp()
	w.settle()
	w.clock.Advance(time.Minute)
	w.must(w.mucs.Sweep(t.Context()))
	bob = w.online("bob", "r") // in time
	w.clock.Advance(time.Hour)
	w.must(w.mucs.Sweep(t.Context()))
	alice.quiet("nobody has left")
	bob.hangUp()
	w.settle()
	w.clock.Advance(2*time.Minute + time.Second)
	w.must(w.mucs.Sweep(t.Context()))
	w.mucs.Flush()
	if e := alice.event(); e.Operation != msync.MUCBody_ABSENCE || e.From.Name != "bob" {
		t.Errorf("alice is told %v", e)
	}
}
