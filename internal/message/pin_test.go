package message

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/store"
)

func TestARecalledMessageHasNoReactionsAndIsNotPinned(t *testing.T) {
	w := newWorld(t)
	id := w.sentText("hi")
	_, _, err := w.messages.AddReaction(t.Context(), w.bobs(), id, "ok")
	w.must(err)
	w.must(w.messages.PinMessage(t.Context(), w.bobs(), Place{Chat, "alice"}, id))
	found, _, _ := w.read(id)
	w.sent(w.alice, fresh(metaTo("bob", recallOf(id))))
	_, _, err = w.messages.AddReaction(t.Context(), w.bobs(), id, "no")
	w.denied("a reaction to it", err, errcode.MessageNotFound)
	reactions, err := w.store.ListReactions(t.Context(), []int64{id}, w.bob.ID)
	w.must(err)
	pins, err := w.store.ListPins(t.Context(), found.Timeline, 0, 10)
	w.must(err)
	if len(reactions) > 0 || len(pins) > 0 {
		t.Errorf("it has reactions %v and pins %v", reactions, pins)
	}
}

func TestAPinIsToldAndListed(t *testing.T) {
	w := newWorld(t)
	first, second := w.sentText("first"), w.sentText("second")
	here, there := Place{Chat, "bob"}, Place{Chat, "Alice"}
	w.must(w.messages.PinMessage(t.Context(), w.alice, here, first))
	w.must(w.messages.PinMessage(t.Context(), w.bobs(), there, second))
	w.must(w.messages.PinMessage(t.Context(), w.bobs(), there, second)) // as it is
	list, next, err := w.messages.PinnedMessages(t.Context(), w.app, w.bob, there, 0, 1)
	w.must(err)
	rest, end, err := w.messages.PinnedMessages(t.Context(), w.app, w.bob, there, next, 1)
	w.must(err)
	var got []string
	for _, p := range append(list, rest...) {
		got = append(got, p.By.Name+" "+p.Message.Payload.Bodies[0]["msg"].(string))
	}
	if diff := cmp.Diff([]string{"bob second", "alice first"}, got); diff != "" || end != 0 {
		t.Errorf("pins %s, then %d", diff, end)
	}
	w.must(w.messages.UnpinMessage(t.Context(), w.bobs(), there, first))
	w.denied("unpinned again", w.messages.UnpinMessage(t.Context(), w.bobs(), there, first), errcode.MessageNotFound)

	got = nil
	for _, n := range w.notices("conv", w.alice.User) {
		got = append(got, fmt.Sprint(n["op"], " ", n["id"], " ", n["type"], " ", n["from"], " ", n["res"], " ", n["ext"]))
	}
	want := []string{fmt.Sprint("pin bob chat alice webim_web_1 ", first), fmt.Sprint("pin alice chat bob  ", second), fmt.Sprint("pin_delete alice chat bob  ", first)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWhatCannotBePinned(t *testing.T) {
	w := newWorld(t)
	w.sender("carol")
	here := Place{Chat, "bob"}
	id := w.sentText("hi")
	pin := func(p Place, id int64) error { return w.messages.PinMessage(t.Context(), w.alice, p, id) }
	w.denied("a message that is not there", pin(here, id+1), errcode.MessageNotFound)
	w.denied("a message of another conversation", pin(Place{Chat, "carol"}, id), errcode.MessageNotFound)
	w.denied("in a conversation with nobody", pin(Place{Chat, "nobody"}, id), errcode.UserNotFound)
	w.denied("in a group that is not there", pin(Place{Group, "1"}, id), errcode.GroupNotExist)
	for i := range maxPins {
		w.must(pin(here, w.sentText(fmt.Sprint(i))))
	}
	w.denied("one too many", pin(here, id), errcode.MaxLimit)
	if list, _, err := w.messages.PinnedMessages(t.Context(), w.app, w.alice.User, Place{Chat, "carol"}, 0, 10); len(list) > 0 || err != nil {
		t.Errorf("pins where nothing was said: %v, %v", list, err)
	}
	w.set(`{"pins":false}`)
	w.denied("where pins are off", pin(here, id), errcode.ServiceNotEnabled)
	_, _, err := w.messages.PinnedMessages(t.Context(), w.app, w.bob, Place{Chat, "alice"}, 0, 10)
	w.denied("listing where pins are off", err, errcode.ServiceNotEnabled)
}

func TestPinsInGroupsAndRoomsAreForMembers(t *testing.T) {
	w := newWorld(t)
	carol, dave := w.sender("carol"), w.sender("dave")
	for _, test := range []struct {
		place   store.Muc
		kind    ChatType
		foreign errcode.Code
		missing errcode.Code
	}{
		{w.group(w.alice, w.bobs(), carol), Group, errcode.GroupNotJoined, errcode.GroupNotExist},
		{w.room(w.alice, w.bobs(), carol), Room, errcode.ChatroomNotJoined, errcode.ChatroomNotExist},
	} {
		p := Place{test.kind, test.place.Name}
		body := groupText("hi")
		if test.kind == Room {
			body = roomText("hi")
		}
		id := w.sent(w.alice, metaIn(test.place, body)).ID
		w.denied("a stranger's pin", w.messages.PinMessage(t.Context(), dave, p, id), test.foreign)
		w.denied("a pin nowhere", w.messages.PinMessage(t.Context(), carol, Place{test.kind, "1"}, id), test.missing)
		w.must(w.messages.PinMessage(t.Context(), carol, p, id))
		list, _, err := w.messages.PinnedMessages(t.Context(), w.app, w.bob, p, 0, 10)
		w.must(err)
		if len(list) != 1 || list[0].By.Name != "carol" || list[0].Message.Payload.Type != string(test.kind) {
			t.Errorf("pins of the %s: %+v", test.kind, list)
		}
		_, _, err = w.messages.PinnedMessages(t.Context(), w.app, dave.User, p, 0, 10)
		w.denied("a stranger's look", err, test.foreign)
		w.denied("a stranger's report", w.messages.ReportMessage(t.Context(), w.app, dave.User, id, "", ""), test.foreign)
		w.must(w.messages.ReportMessage(t.Context(), w.app, carol.User, id, "", ""))
		w.must(w.messages.UnpinMessage(t.Context(), w.bobs(), p, id))
	}
	room := w.room(w.alice)
	_, _, err := w.messages.AddReaction(t.Context(), w.alice, w.sent(w.alice, metaIn(room, roomText("hi"))).ID, "ok")
	w.denied("a reaction in a room", err, errcode.ReactionIllegal)
}
