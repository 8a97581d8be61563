package muc

import (
	"context"
	"fmt"
	"testing"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/store"
)

func TestWhoIsInvitedIsInAtOnceOrAsked(t *testing.T) {
	w := newWorld(t)
	u := w.users("alice", "bob", "carol")
	alice, bob, carol := u[0], u[1], u[2]
	confirm := true
	open, err := w.Create(t.Context(), alice, store.MucGroup, Options{Title: "open"})
	w.must(err)
	asks, err := w.Create(t.Context(), alice, store.MucGroup, Options{Title: "asks", InviteConfirm: &confirm})
	w.must(err)
	alice.Device = 7
	_, err = w.Invite(t.Context(), alice, open.Name, []string{"bob"})
	w.must(err)
	_, err = w.Invite(t.Context(), alice, asks.Name, []string{"bob", "carol"})
	w.must(err)
	w.must(w.AnswerInvitation(t.Context(), bob, asks.Name, "bob", true))
	w.must(w.AnswerInvitation(t.Context(), carol, asks.Name, "carol", false))
	w.refused(w.AnswerInvitation(t.Context(), carol, asks.Name, "carol", true), errcode.PermissionDenied, nil)
	w.refused(w.AnswerInvitation(t.Context(), carol, asks.Name, "bob", true), errcode.PermissionDenied, ErrDenied)
	_, err = w.Invite(t.Context(), alice, open.Name, []string{"bob"})
	w.refused(err, errcode.GroupAlreadyJoined, ErrMember)
	same(t, w.told(alice, store.KindUser), []string{
		"CREATE alice", "CREATE alice", "INVITE_ACCEPT bob to alice", "INVITE_DECLINE carol to alice"})
	same(t, w.told(alice, store.KindMuc), []string{"PRESENCE bob (2) not to 7", "PRESENCE bob (2)"})
	same(t, w.told(bob, store.KindUser), []string{"DIRECT_JOINED alice to bob", "INVITE alice to bob,carol"})
	same(t, w.told(bob, store.KindMuc), []string{"PRESENCE bob (2) not to 7", "PRESENCE bob (2)"})
	same(t, w.told(carol), []string{"INVITE alice to bob,carol"})
}

func TestInvitingSeveralSaysHowEachFares(t *testing.T) {
	w := newWorld(t)
	u := w.users("alice", "bob", "carol", "dave")
	g := w.group(u[0], Options{Title: "g", MaxUsers: 3}, u[1])
	_, err := w.Ban(t.Context(), u[0], store.MucGroup, g.Name, []string{"dave"})
	w.must(err)
	results, err := w.Invite(t.Context(), u[0], g.Name, []string{"bob", "carol", "Carol", "dave", "nobody"})
	w.must(err)
	var got []string
	for _, r := range results {
		code, _ := errcode.CodeOf(r.Err)
		got = append(got, fmt.Sprint(r.User, " ", int(code)))
	}
	same(t, got, []string{"bob 601", "carol 0", "dave 603", "nobody 204"})
	_, err = w.Invite(t.Context(), u[0], g.Name, []string{"nobody"})
	w.refused(err, errcode.UserNotFound, account.ErrNoUser)
	_, err = w.Unban(t.Context(), u[0], store.MucGroup, g.Name, []string{"dave"})
	w.must(err)
	_, err = w.Invite(t.Context(), u[0], g.Name, []string{"dave"})
	w.refused(err, errcode.GroupMembersFull, ErrFull)
	_, err = w.Invite(t.Context(), u[0], g.Name, nil)
	w.refused(err, errcode.InvalidParameter, ErrNoNames)
	_, err = w.Invite(t.Context(), u[0], g.Name, make([]string, MaxNames+1))
	w.refused(err, errcode.MaxLimit, ErrTooManyNames)
	w.set(`{"groups_per_user": 1}`)
	h := w.group(u[3], Options{Title: "h"})
	_, err = w.Invite(t.Context(), u[3], h.Name, []string{"bob"})
	w.refused(err, errcode.MaxLimit, ErrTooManyJoined)
}

func TestAnApplicationIsForOwnerAndAdmins(t *testing.T) {
	w := newWorld(t)
	u := w.users("alice", "bob", "carol", "dave", "erin")
	alice, bob, carol, dave, erin := u[0], u[1], u[2], u[3], u[4]
	g := w.group(alice, Options{Title: "g", Public: true, Approval: true}, bob, carol)
	w.must(w.Appoint(t.Context(), alice, store.MucGroup, g.Name, "bob"))
	for _, by := range []Actor{dave, erin} {
		joined, err := w.Apply(t.Context(), by, g.Name, "let me in")
		w.must(err)
		same(t, joined, false)
	}
	w.must(w.AnswerApplication(t.Context(), bob, g.Name, "dave", true, ""))
	w.must(w.AnswerApplication(t.Context(), alice, g.Name, "erin", false, "no"))
	w.refused(w.AnswerApplication(t.Context(), alice, g.Name, "erin", true, ""), errcode.PermissionDenied, ErrNoApplication)
	w.refused(w.AnswerApplication(t.Context(), alice, g.Name, "dave", true, ""), errcode.GroupAlreadyJoined, ErrMember)
	staff := []string{"APPLY dave: let me in", "APPLY erin: let me in"}
	same(t, w.told(alice, store.KindMuc), append(append([]string{}, staff...), "PRESENCE dave (4)"))
	same(t, w.told(bob, store.KindMuc), append(append([]string{"ADD_ADMIN alice to bob"}, staff...), "PRESENCE dave (4)"))
	same(t, w.told(carol, store.KindMuc), []string{"PRESENCE dave (4)"})
	same(t, w.told(dave, store.KindUser), []string{"APPLY_ACCEPT bob to dave"})
	same(t, w.told(erin), []string{"APPLY_DECLINE alice to erin: no"})

	open := w.group(alice, Options{Title: "open", Public: true})
	joined, err := w.Apply(t.Context(), erin, open.Name, "")
	w.must(err)
	same(t, joined, true)
}

func TestWhoLeavesOrIsRemovedIsToldAndSoAreTheOthers(t *testing.T) {
	w := newWorld(t)
	u := w.users("alice", "bob", "carol", "dave")
	alice, bob, carol, dave := u[0], u[1], u[2], u[3]
	g := w.group(alice, Options{Title: "g"}, bob, carol, dave)
	bob.Device = 9
	_, err := w.Leave(t.Context(), bob, store.MucGroup, g.Name)
	w.must(err)
	_, err = w.Remove(t.Context(), alice, store.MucGroup, g.Name, []string{"carol", "dave", "bob"})
	w.must(err)
	_, err = w.Remove(t.Context(), alice, store.MucGroup, g.Name, []string{"bob"})
	w.refused(err, errcode.GroupNotJoined, ErrNotMember)
	same(t, w.told(alice, store.KindMuc), []string{"ABSENCE bob (3) not to 9", "ABSENCE carol members carol,dave (1)"})
	same(t, w.told(bob), []string{"DIRECT_JOINED @ppAdmin to bob,carol,dave", "LEAVE bob not to 9"})
	same(t, w.told(carol), []string{"ABSENCE bob (3) not to 9", "DIRECT_JOINED @ppAdmin to bob,carol,dave", "KICK alice to carol"})
	_, err = w.MayRead(t.Context(), w.app, carol.User, g.Name)
	w.refused(err, errcode.GroupNotJoined, ErrNotMember)
}

func TestEventsOfOneMemberAreForThatMember(t *testing.T) {
	w := newWorld(t)
	u := w.users("alice", "bob", "carol")
	alice, bob, carol := u[0], u[1], u[2]
	g := w.group(alice, Options{Title: "g"}, bob, carol)
	ctx := t.Context()
	w.must(w.Appoint(ctx, alice, store.MucGroup, g.Name, "bob"))
	w.must(w.Appoint(ctx, alice, store.MucGroup, g.Name, "bob"))
	w.must(w.Shield(ctx, bob, g.Name, true))
	w.must(w.Dismiss(ctx, alice, store.MucGroup, g.Name, "bob"))
	w.must(w.Shield(ctx, bob, g.Name, false))
	w.must(w.Transfer(ctx, alice, store.MucGroup, g.Name, "bob"))
	_, err := w.SetMemberAttributes(ctx, carol, g.Name, "carol", map[string]string{"k": "v"})
	w.must(err)
	same(t, w.told(alice, store.KindMuc), []string{"ASSIGN_OWNER alice to bob", `GROUP_MEMBER_METADATA_UPDATE carol: {"properties":{"k":"v"},"username":"carol"}`})
	// What came before bob began to read again is not to be had any more.
	same(t, w.told(bob, store.KindMuc), w.told(alice, store.KindMuc))
	same(t, w.told(bob, store.KindUser)[1:], []string{"BLOCK bob", "REMOVE_ADMIN alice to bob", "UNBLOCK bob"})
}

func TestMemberAttributesAreChecked(t *testing.T) {
	w := newWorld(t)
	u := w.users("alice", "bob")
	g := w.group(u[0], Options{Title: "g"}, u[1])
	set := func(values map[string]string) error {
		_, err := w.SetMemberAttributes(t.Context(), u[1], g.Name, "bob", values)
		return err
	}
	long := func(n int) string { return fmt.Sprintf("%0*d", n, 1) }
	w.refused(set(map[string]string{"": "v"}), errcode.GroupMemberAttributesFailed, ErrAttribute)
	w.refused(set(map[string]string{long(17): "v"}), errcode.GroupMemberAttributesFailed, ErrAttribute)
	w.refused(set(map[string]string{"k": "\x00"}), errcode.GroupMemberAttributesFailed, ErrAttribute)
	w.refused(set(map[string]string{"k": long(513)}), errcode.MaxLimit, ErrAttributeSize)
	large := map[string]string{}
	for i := range 8 {
		large[fmt.Sprint(i)] = long(511)
	}
	w.must(set(large))
	w.refused(set(map[string]string{"k": "v"}), errcode.MaxLimit, ErrAttributeSize)
	got, err := w.MemberAttributes(t.Context(), u[0], g.Name, []string{"bob", "alice", "nobody"}, []string{"0", "z"})
	w.must(err)
	same(t, got, map[string]map[string]string{"bob": {"0": long(511)}, "alice": {}})
	w.set(`{"group_member_attributes": false}`)
	w.refused(set(large), errcode.ServiceNotEnabled, ErrAttributesOff)
}

func TestWhoIsDeletedHandsTheGroupsOn(t *testing.T) {
	w := newWorld(t)
	u := w.users("alice", "bob", "carol")
	alice, bob, carol := u[0], u[1], u[2]
	ctx := context.Background()
	led := w.group(alice, Options{Title: "led"}, bob, carol)
	w.must(w.Appoint(ctx, alice, store.MucGroup, led.Name, "carol"))
	plain := w.group(alice, Options{Title: "plain"}, bob, carol)
	alone := w.room(alice, Options{Title: "alone"})
	joined := w.group(bob, Options{Title: "joined"}, alice)
	_, err := w.accounts.Delete(ctx, w.app, "alice")
	w.must(err)
	for m, owner := range map[store.Muc]string{led: "carol", plain: "bob", joined: "bob"} {
		info, err := w.Get(ctx, Backend(w.app), store.MucGroup, m.Name)
		w.must(err)
		if info.Owner.Name != owner {
			t.Errorf("%s belongs to %s, want %s", m.Title, info.Owner.Name, owner)
		}
	}
	_, err = w.Get(ctx, Backend(w.app), store.MucRoom, alone.Name)
	w.refused(err, errcode.ChatroomNotExist, ErrNotExist)
	same(t, w.told(bob, store.KindMuc), []string{"ASSIGN_OWNER alice to carol", "ABSENCE alice (2)", "ASSIGN_OWNER alice to bob", "ABSENCE alice (2)", "ABSENCE alice (1)"})
}

func TestManyMembersComeInSlices(t *testing.T) {
	if testing.Short() {
		t.Skip("makes a thousand users")
	}
	w := newWorld(t)
	owner := w.user("owner")
	var names []string
	users := make(chan string, 1000)
	for i := range cap(users) - 1 {
		users <- fmt.Sprint("u", i)
	}
	close(users)
	done := make(chan error)
	for range 64 {
		go func() {
			for name := range users {
				if _, err := w.accounts.RegisterHashed(t.Context(), w.app, account.NewUser{Name: name}, ""); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 64 {
		w.must(<-done)
	}
	for i := range 999 {
		names = append(names, fmt.Sprint("u", i))
	}
	g := w.group(owner, Options{Title: "g", MaxUsers: 1000})
	results, err := w.AddMembers(t.Context(), Backend(w.app), store.MucGroup, g.Name, names)
	w.must(err)
	for _, r := range results {
		w.must(r.Err)
	}
	info, err := w.Get(t.Context(), owner, store.MucGroup, g.Name)
	w.must(err)
	same(t, info.Members, 1000)
	if events := w.told(owner, store.KindMuc); len(events) != 4 {
		t.Errorf("the owner is told by %d events, want one for each slice of %d", len(events), memberSlice)
	}
}

func TestWhoBlocksTheMessagesIsNotSentThemOnLeaving(t *testing.T) {
	w := newWorld(t)
	u := w.users("alice", "bob")
	g := w.group(u[0], Options{Title: "g"}, u[1])
	session, _ := w.online(u[1])
	_, err := session.Unread(t.Context())
	w.must(err)
	w.must(w.Shield(t.Context(), u[1], g.Name, true))
	w.must(w.SetAnnouncement(t.Context(), u[0], store.MucGroup, g.Name, "not for bob"))
	_, err = w.Leave(t.Context(), u[1], store.MucGroup, g.Name)
	w.must(err)
	line, err := w.store.FindTimeline(t.Context(), store.MucKey(w.app.ID, g.ID))
	w.must(err)
	queues, err := session.Unread(t.Context())
	w.must(err)
	for _, queue := range queues {
		if queue.Queue == fmt.Sprint(line.ID) {
			t.Errorf("bob is told of %d entries in the group", queue.Count)
		}
	}
}

func TestABackendAddsAndRemovesWithoutAWordToTheOthers(t *testing.T) {
	w := newWorld(t)
	u := w.users("alice", "bob", "carol")
	g := w.group(u[0], Options{Title: "g"}, u[1])
	before := w.told(u[1], store.KindMuc)
	quiet := Backend(w.app)
	quiet.Quiet = true
	_, err := w.AddMembers(t.Context(), quiet, store.MucGroup, g.Name, []string{"carol"})
	w.must(err)
	_, err = w.Remove(t.Context(), quiet, store.MucGroup, g.Name, []string{"carol"})
	w.must(err)
	same(t, w.told(u[1], store.KindMuc), before)
	same(t, w.told(u[2], store.KindUser), []string{"DIRECT_JOINED @ppAdmin to carol", "KICK @ppAdmin to carol"})
}
