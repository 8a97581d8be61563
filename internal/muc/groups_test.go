package muc

import (
	"context"
	"strings"
	"testing"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/store"
)

func TestWhatIsMadeIsChecked(t *testing.T) {
	w := newWorld(t)
	alice := w.user("alice")
	w.user("bob")
	w.set(`{"group_max_members": 10, "groups_per_app": 3, "groups_per_user": 2, "room_max_members": 5}`)
	backend := Backend(w.app)
	for _, test := range []struct {
		name     string
		by       Actor
		kind     store.MucKind
		o        Options
		code     errcode.Code
		sentinel error
	}{
		{"a long name", alice, store.MucGroup, Options{Title: strings.Repeat("é", 129)}, errcode.RequestFailed, ErrText},
		{"a name that is no text", alice, store.MucGroup, Options{Title: "\xff"}, errcode.RequestFailed, ErrText},
		{"a long description", alice, store.MucGroup, Options{Description: strings.Repeat("x", 513)}, errcode.RequestFailed, ErrText},
		{"too large", alice, store.MucGroup, Options{MaxUsers: 11}, errcode.GroupMembersLimit, ErrMaxUsers},
		{"a negative size", alice, store.MucGroup, Options{MaxUsers: -1}, errcode.RequestFailed, ErrOptions},
		{"more members than places", alice, store.MucGroup, Options{MaxUsers: 1, Members: []string{"bob"}}, errcode.GroupMembersFull, ErrFull},
		{"a member who does not exist", alice, store.MucGroup, Options{Members: []string{"nobody"}}, errcode.UserNotFound, account.ErrNoUser},
		{"for somebody else", alice, store.MucGroup, Options{Owner: "bob"}, errcode.PermissionDenied, ErrDenied},
		{"with an id of one's own", alice, store.MucGroup, Options{ID: "x"}, errcode.RequestFailed, ErrOptions},
		{"with a bad id", backend, store.MucGroup, Options{Owner: "bob", ID: "a b"}, errcode.RequestFailed, ErrOptions},
		{"without an owner", backend, store.MucGroup, Options{}, errcode.RequestFailed, ErrOptions},
		{"a room, by anybody", alice, store.MucRoom, Options{}, errcode.PermissionDenied, ErrNotSuperAdmin},
		{"a large room", backend, store.MucRoom, Options{Owner: "alice", MaxUsers: 6}, errcode.GroupMembersLimit, ErrMaxUsers},
		{"a full room", backend, store.MucRoom, Options{Owner: "alice", MaxUsers: 1, Members: []string{"bob"}}, errcode.ChatroomMembersFull, ErrFull},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := w.Create(context.Background(), test.by, test.kind, test.o)
			w.refused(err, test.code, test.sentinel)
		})
	}
	list, err := w.List(t.Context(), w.app, store.MucGroup, ListQuery{Limit: 10})
	w.must(err)
	same(t, len(list), 0)

	m, err := w.Create(t.Context(), backend, store.MucGroup, Options{Owner: "alice", ID: "my-own", Members: []string{"alice", "bob"}})
	w.must(err)
	same(t, []any{m.Name, m.MaxUsers}, []any{"my-own", 10})
	_, err = w.Create(t.Context(), backend, store.MucGroup, Options{Owner: "alice", ID: "my-own"})
	w.refused(err, errcode.RequestFailed, ErrIDTaken)
	_, err = w.Create(t.Context(), alice, store.MucGroup, Options{})
	w.must(err)
	_, err = w.Create(t.Context(), alice, store.MucGroup, Options{})
	w.refused(err, errcode.MaxLimit, ErrTooManyJoined)
	_, err = w.Create(t.Context(), w.find("bob"), store.MucGroup, Options{})
	w.must(err)
	_, err = w.Create(t.Context(), w.find("bob"), store.MucGroup, Options{})
	w.refused(err, errcode.MaxLimit, ErrTooManyInApp)

	w.must(w.AddSuperAdmin(t.Context(), w.app, "alice"))
	room, err := w.Create(t.Context(), alice, store.MucRoom, Options{Title: "hall"})
	w.must(err)
	same(t, []any{room.MaxUsers, room.Public}, []any{5, true})
	w.must(w.RemoveSuperAdmin(t.Context(), w.app, "alice"))
	_, err = w.Create(t.Context(), alice, store.MucRoom, Options{})
	w.refused(err, errcode.PermissionDenied, ErrNotSuperAdmin)
}

func TestAChangeIsToldWithItsFields(t *testing.T) {
	w := newWorld(t)
	u := w.users("alice", "bob")
	g := w.group(u[0], Options{Title: "g", AllowInvites: true}, u[1])
	title, yes, size := "new", true, 9
	m, err := w.Update(t.Context(), u[0], store.MucGroup, g.Name, Change{Title: &title, Public: &yes, MaxUsers: &size})
	w.must(err)
	same(t, []any{m.Title, m.Public, m.MaxUsers, m.AllowInvites}, []any{"new", true, 9, false})
	w.must(w.SetAnnouncement(t.Context(), u[0], store.MucGroup, g.Name, "news"))
	w.must(w.SetAnnouncement(t.Context(), u[0], store.MucGroup, g.Name, ""))
	w.must(w.MuteAll(t.Context(), u[0], store.MucGroup, g.Name, true))
	w.must(w.MuteAll(t.Context(), u[0], store.MucGroup, g.Name, false))
	w.must(w.AnnounceFile(t.Context(), u[1], store.MucGroup, g.Name, false))
	w.must(w.AnnounceFile(t.Context(), u[1], store.MucGroup, g.Name, true))
	lines := w.told(u[1], store.KindMuc)
	for _, part := range []string{`"name":"new"`, `"public":true`, `"max_users":9`, `"last_modified":`} {
		if !strings.HasPrefix(lines[0], "UPDATE alice: {") || !strings.Contains(lines[0], part) {
			t.Errorf("the update says %s, not %s", lines[0], part)
		}
	}
	same(t, lines[1:], []string{"UPDATE_ANNOUNCEMENT alice: news", "DELETE_ANNOUNCEMENT alice", "BAN_GROUP alice", "REMOVE_BAN_GROUP alice", "UPLOAD_FILE bob", "DELETE_FILE bob"})

	small := 1
	_, err = w.Update(t.Context(), u[0], store.MucGroup, g.Name, Change{MaxUsers: &small})
	w.refused(err, errcode.RequestFailed, ErrOptions)
	long := strings.Repeat("x", MaxAnnouncement+1)
	w.refused(w.SetAnnouncement(t.Context(), u[0], store.MucGroup, g.Name, long), errcode.RequestFailed, ErrText)
}

func TestAllAreToldOfTheEnd(t *testing.T) {
	w := newWorld(t)
	u := w.users("alice", "bob", "carol")
	g := w.group(u[0], Options{Title: "g"}, u[1], u[2])
	w.must(w.Shield(t.Context(), u[2], g.Name, true))
	w.must(w.Destroy(t.Context(), u[0], store.MucGroup, g.Name))
	same(t, w.told(u[1], store.KindMuc), []string{"DESTROY alice"})
	same(t, w.told(u[2])[2:], []string{"DESTROY alice"})
	_, err := w.MaySend(t.Context(), w.app, u[1].User, g.Name)
	w.refused(err, errcode.GroupNotExist, ErrNotExist)
	w.refused(w.Destroy(t.Context(), u[0], store.MucGroup, g.Name), errcode.GroupNotExist, ErrNotExist)
	joined, err := w.Joined(t.Context(), u[1].User, store.MucGroup, 0, 0, 9)
	w.must(err)
	same(t, len(joined), 0)
	closed, err := w.store.ClosedMucs(t.Context(), 9)
	w.must(err)
	same(t, len(closed), 0)

	// A node that dies in the middle leaves the rest to the next start.
	h := w.group(u[0], Options{Title: "h"}, u[1])
	w.must(w.store.CloseMuc(t.Context(), h.ID))
	others, err := w.finish(t.Context(), func(int64) bool { return false })
	w.must(err)
	same(t, others, map[int64]bool{h.ID: true})
	_, err = w.finish(t.Context(), func(muc int64) bool { return others[muc] })
	w.must(err)
	same(t, w.told(u[1], store.KindMuc)[1:], []string{"DESTROY @ppAdmin"})
}

func TestIDsAreCheckedBeforeTheDatabaseSeesThem(t *testing.T) {
	w := newWorld(t)
	alice := w.user("alice")
	for _, id := range []string{"", "a\x00b", "\xff", strings.Repeat("9", 100), "281474976710999"} {
		_, err := w.Get(t.Context(), alice, store.MucGroup, id)
		w.refused(err, errcode.GroupNotExist, ErrNotExist)
		_, err = w.MaySend(t.Context(), w.app, alice.User, id)
		w.refused(err, errcode.GroupNotExist, ErrNotExist)
		_, _, err = w.JoinRoom(t.Context(), alice, id, JoinOptions{})
		w.refused(err, errcode.ChatroomNotExist, ErrNotExist)
	}
	g := w.group(alice, Options{Title: "g"})
	_, err := w.Get(t.Context(), alice, store.MucRoom, g.Name)
	w.refused(err, errcode.ChatroomNotExist, ErrNotExist)
}
