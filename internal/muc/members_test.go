package muc

import (
	"testing"

	"github.com/stoa-chat/stoa/errcode"
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
	same(t, w.told(alice, store.KindUser), []string{
		"CREATE alice", "CREATE alice", "INVITE_ACCEPT bob to alice", "INVITE_DECLINE carol to alice"})
	same(t, w.told(alice, store.KindMuc), []string{"PRESENCE bob (2) not to 7", "PRESENCE bob (2)"})
	same(t, w.told(bob, store.KindUser), []string{"DIRECT_JOINED alice to bob", "INVITE alice to bob,carol"})
	same(t, w.told(bob, store.KindMuc), []string{"PRESENCE bob (2) not to 7", "PRESENCE bob (2)"})
	same(t, w.told(carol), []string{"INVITE alice to bob,carol"})
}
