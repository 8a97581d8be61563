package muc

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

// pushed returns the MUC events that a session has been sent since the last call.
func (w *world) pushed(s *sink) (lines []string) {
	w.Helper()
	for {
		select {
		case frame := <-s.frames:
			var envelope msync.MSync
			var batch msync.CommSyncDL
			w.must(proto.Unmarshal(frame, &envelope))
			w.must(proto.Unmarshal(envelope.Payload, &batch))
			for _, meta := range batch.Metas {
				packed, err := msync.StoredMeta(meta)
				w.must(err)
				lines = append(lines, w.line(store.Entry{Meta: packed}))
			}
		default:
			return lines
		}
	}
}

// in joins a room with a session.
func (w *world) in(who Actor, room store.Muc) (*delivery.Session, *sink) {
	w.Helper()
	session, s := w.online(who)
	_, _, err := w.JoinRoom(w.Context(), who, room.Name, JoinOptions{})
	w.must(err)
	return session, s
}

func TestARoomIsToldWhoComesAndGoes(t *testing.T) {
	w := newWorld(t)
	u := w.users("alice", "bob", "carol", "dave")
	room := w.room(u[0], Options{Title: "hall"})
	w.Flush()
	_, bob := w.in(u[1], room)
	w.in(u[2], room)
	w.in(u[3], room)
	w.Flush()
	same(t, w.pushed(bob), []string{"PRESENCE carol members carol,dave (4)"})
	w.Flush()
	_, err := w.Leave(t.Context(), u[2], store.MucRoom, room.Name)
	w.must(err)
	same(t, w.pushed(bob), []string{"ABSENCE carol (3)"})
	_, _, err = w.JoinRoom(t.Context(), u[2], room.Name, JoinOptions{Ext: "hello"})
	w.must(err)
	_, _, err = w.JoinRoom(t.Context(), u[2], room.Name, JoinOptions{Ext: "again"})
	w.must(err)
	w.Flush()
	same(t, w.pushed(bob), []string{"PRESENCE carol: hello (4)"})
}

func TestWhoIsRemovedFromARoomHearsNoMoreOfIt(t *testing.T) {
	w := newWorld(t)
	u := w.users("alice", "bob", "carol")
	room := w.room(u[0], Options{Title: "hall"})
	_, bob := w.in(u[1], room)
	_, carol := w.in(u[2], room)
	w.Flush()
	w.pushed(bob)
	_, err := w.Remove(t.Context(), u[0], store.MucRoom, room.Name, []string{"bob"})
	w.must(err)
	w.must(w.MuteAll(t.Context(), u[0], store.MucRoom, room.Name, true))
	w.Flush()
	same(t, w.pushed(bob), []string{"KICK alice to bob"})
	same(t, w.told(u[1]), []string{"KICK alice to bob"})
	same(t, w.pushed(carol), []string{"BAN_GROUP alice", "ABSENCE bob (2)"})
}

func TestWhoIsAddedToARoomHearsOfIt(t *testing.T) {
	w := newWorld(t)
	u := w.users("alice", "bob")
	room := w.room(u[0], Options{Title: "hall"})
	_, bob := w.online(u[1])
	_, err := w.AddMembers(t.Context(), u[0], store.MucRoom, room.Name, []string{"bob"})
	w.must(err)
	w.must(w.SetAnnouncement(t.Context(), u[0], store.MucRoom, room.Name, "news"))
	same(t, w.pushed(bob), []string{"DIRECT_JOINED alice to bob", "UPDATE_ANNOUNCEMENT alice: news"})
	same(t, w.told(u[1]), []string{"DIRECT_JOINED alice to bob"})
}

func TestAMuteInARoomIsForTheMutedAndTheStaff(t *testing.T) {
	w := newWorld(t)
	u := w.users("alice", "bob", "carol", "dave")
	room := w.room(u[0], Options{Title: "hall"}, u[1], u[2], u[3])
	w.must(w.Appoint(t.Context(), u[0], store.MucRoom, room.Name, "bob"))
	_, err := w.Mute(t.Context(), u[1], store.MucRoom, room.Name, []string{"carol"}, -1)
	w.must(err)
	_, err = w.Unmute(t.Context(), u[1], store.MucRoom, room.Name, []string{"carol"})
	w.must(err)
	mutes := []string{fmt.Sprintf(`ADD_MUTE bob to carol: {"user_mute_time":{"carol":%d}}`, store.Forever), "REMOVE_MUTE bob to carol"}
	same(t, w.told(u[0]), mutes)
	same(t, w.told(u[1])[2:], mutes)
	same(t, w.told(u[2])[1:], mutes)
	same(t, len(w.told(u[3])), 1)
}

func TestLeavingOtherRoomsOnJoining(t *testing.T) {
	w := newWorld(t)
	u := w.users("alice", "bob")
	first, own, last := w.room(u[0], Options{Title: "first"}, u[1]), w.room(u[1], Options{Title: "own"}), w.room(u[0], Options{Title: "last"})
	_, _, err := w.JoinRoom(t.Context(), u[1], last.Name, JoinOptions{LeaveOthers: true})
	w.must(err)
	joined, err := w.Joined(t.Context(), u[1].User, store.MucRoom, 0, 0, 9)
	w.must(err)
	var titles []string
	for _, j := range joined {
		titles = append(titles, j.Muc.Title)
	}
	same(t, titles, []string{last.Title, own.Title})
	w.refused(w.sends(u[1], first), errcode.GroupNotJoined, ErrNotMember)
	w.set(`{"rooms_per_user": 2}`)
	_, _, err = w.JoinRoom(t.Context(), u[1], first.Name, JoinOptions{})
	w.refused(err, errcode.MaxLimit, ErrTooManyJoined)
}

func TestRoomAttributesBelongToWhoSetThem(t *testing.T) {
	w := newWorld(t)
	u := w.users("alice", "bob", "carol")
	room := w.room(u[0], Options{Title: "hall"}, u[1])
	_, bob := w.in(u[2], room) // carol listens
	w.Flush()
	w.pushed(bob)
	set := func(by Actor, values map[string]string, auto, forced bool) AttributeResult {
		t.Helper()
		r, err := w.SetRoomAttributes(t.Context(), by, room.Name, by.User.Name, values, auto, forced)
		w.must(err)
		return r
	}
	failed := func(r AttributeResult, key string, code errcode.Code, text string) {
		t.Helper()
		if got, _ := errcode.CodeOf(r.Failed[key]); got != code || !strings.Contains(r.Failed[key].Error(), text) {
			t.Errorf("%s fails with %v, want %d", key, r.Failed[key], code)
		}
	}
	same(t, set(u[0], map[string]string{"a": "1"}, false, false).Done, []string{"a"})
	r := set(u[1], map[string]string{"a": "2", "b": "2", "no key": "x", "c": strings.Repeat("x", 4097)}, true, false)
	same(t, r.Done, []string{"b"})
	failed(r, "a", errcode.NoPermission, "is not part of you")
	failed(r, "no key", errcode.InvalidParameter, "is not Legal")
	failed(r, "c", errcode.MaxLimit, "is exceeding maximum limit")
	same(t, set(u[1], map[string]string{"a": "3"}, false, true).Done, []string{"a"})
	dropped, err := w.RemoveRoomAttributes(t.Context(), u[0], room.Name, "alice", []string{"a", "z"}, false)
	w.must(err)
	failed(dropped, "a", errcode.NoPermission, "is not part of you")
	failed(dropped, "z", errcode.RequestFailed, "is not set")
	_, err = w.Leave(t.Context(), u[1], store.MucRoom, room.Name)
	w.must(err)
	got, err := w.RoomAttributes(t.Context(), u[0], room.Name, nil)
	w.must(err)
	same(t, got, map[string]string{"a": "3"})
	same(t, w.pushed(bob), []string{
		`SET_METADATA alice: {"properties":{"a":"1"},"result":{"successKeys":["a"]}}`,
		`SET_METADATA bob: {"properties":{"b":"2"},"result":{"successKeys":["b"]}}`,
		`SET_METADATA bob: {"properties":{"a":"3"},"result":{"successKeys":["a"]}}`,
		`DELETE_METADATA bob: {"properties":{},"result":{"successKeys":["b"]}}`,
		"ABSENCE bob (2)"})

	many := map[string]string{}
	for i := range MaxAttributeKeys + 1 {
		many[fmt.Sprint(i)] = "x"
	}
	_, err = w.SetRoomAttributes(t.Context(), u[0], room.Name, "alice", many, false, false)
	w.refused(err, errcode.MaxLimit, ErrTooManyKeys)
	_, err = w.SetRoomAttributes(t.Context(), u[0], room.Name, "carol", map[string]string{"k": "v"}, false, false)
	w.refused(err, errcode.PermissionDenied, ErrDenied)
	w.set(`{"room_attributes": false}`)
	_, err = w.RoomAttributes(t.Context(), u[0], room.Name, nil)
	w.refused(err, errcode.ServiceNotEnabled, ErrAttributesOff)
}

func TestACrowdIsToldTogether(t *testing.T) {
	w := newWorld(t)
	u := w.users("alice", "bob")
	room := w.room(u[0], Options{Title: "hall", MaxUsers: 2000})
	_, bob := w.in(u[1], room)
	w.Flush()
	w.pushed(bob)
	var come []store.Peer
	for i := range 2*presenceBatch + 1 {
		come = append(come, store.Peer{ID: int64(1_000_000 + i), Name: fmt.Sprint("u", i)})
	}
	w.gather(u[0], room, event{operation: msync.MUCBody_PRESENCE, count: 9}, come)
	w.Flush()
	if lines := w.pushed(bob); len(lines) != 3 {
		t.Errorf("%d users come in %d events, want 3", len(come), len(lines))
	}
}

// returning is a store in which a user comes back just before one notes that the user has gone.
type returning struct {
	Store
	back func()
}

func (r returning) SetAway(ctx context.Context, user, since int64) error {
	if since > 0 {
		r.back()
	}
	return r.Store.SetAway(ctx, user, since)
}

func TestWhoComesBackAtOnceStaysInTheRoom(t *testing.T) {
	w := newWorld(t)
	u := w.users("alice", "bob")
	room := w.room(u[0], Options{Title: "r"}, u[1])
	w.Service.store = returning{w.store, func() {
		w.online(u[1])
		_, err := w.CameOnline(t.Context(), u[1].User)
		w.must(err)
	}}
	w.must(w.WentOffline(t.Context(), u[1].User))
	away, err := w.store.AwayMembers(t.Context(), w.app.ID, w.now()+1, 9)
	w.must(err)
	if len(away) > 0 {
		t.Errorf("away are %v of room %d", away, room.ID)
	}
}
