package message

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/muc"
	"github.com/stoa-chat/stoa/internal/store"
)

// found makes a group or room of an owner and members.
func (w *world) found(kind store.MucKind, owner Sender, members ...Sender) store.Muc {
	w.Helper()
	o := muc.Options{Owner: owner.User.Name, Title: "a place"}
	for _, m := range members {
		o.Members = append(o.Members, m.User.Name)
	}
	place, err := w.mucs.Create(w.Context(), muc.Backend(w.app), kind, o)
	w.must(err)
	return place
}

func (w *world) group(owner Sender, members ...Sender) store.Muc {
	return w.found(store.MucGroup, owner, members...)
}

func (w *world) room(owner Sender, members ...Sender) store.Muc {
	return w.found(store.MucRoom, owner, members...)
}

// owner is who leads a place.
func (w *world) owner(of Sender) muc.Actor { return muc.Actor{App: w.app, User: of.User} }

// textIn is a text in a group or room.
func textIn(kind msync.MessageBody_Type, s string) *msync.MessageBody {
	b := text(s)
	b.Type, b.From, b.To = kind, nil, nil
	return b
}

func groupText(s string) *msync.MessageBody { return textIn(msync.MessageBody_GROUPCHAT, s) }
func roomText(s string) *msync.MessageBody  { return textIn(msync.MessageBody_CHATROOM, s) }

// metaIn addresses a body to a place.
func metaIn(place store.Muc, body *msync.MessageBody) *msync.Meta {
	m := fresh(metaTo(place.Name, body))
	m.To.Domain = msync.PlaceDomain
	return m
}

func directed(m *msync.Meta, names ...string) *msync.Meta {
	m.Routetype, m.DirectedUsers = msync.Meta_ROUTE_DIRECT, names
	return m
}

func online(m *msync.Meta) *msync.Meta {
	m.Routetype = msync.Meta_ROUTE_ONLINE
	return m
}

// ear is a session that notes which messages reach it.
type ear struct {
	*delivery.Session
	mu    sync.Mutex
	texts []string
}

func (e *ear) Queue(frame []byte, _ bool) bool {
	var m msync.MSync
	var batch msync.CommSyncDL
	if proto.Unmarshal(frame, &m) != nil || proto.Unmarshal(m.Payload, &batch) != nil {
		return true
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, meta := range batch.Metas {
		var body msync.MessageBody
		if meta.Ns != msync.Meta_CHAT || proto.Unmarshal(meta.Payload, &body) != nil {
			continue
		}
		word := strings.ToLower(body.Type.String())
		if len(body.Contents) > 0 && body.Contents[0].Text != "" {
			word = body.Contents[0].Text
		}
		e.texts = append(e.texts, word)
	}
	return true
}

func (e *ear) Flush()             {}
func (e *ear) Kick(delivery.Kick) {}
func (e *ear) Extend(int64)       {}

// listen opens a session of a user on a new device.
func (w *world) listen(user store.User, session int64) *ear {
	w.Helper()
	e := &ear{}
	var err error
	e.Session, err = w.hub.Open(delivery.Identity{Session: session, User: user.ID, Device: session + 1000, Name: user.Name, Alias: user.Name}, e)
	w.must(err)
	_, err = e.Unread(w.Context())
	w.must(err)
	w.Cleanup(func() { w.must(e.Close(context.Background())) })
	return e
}

// heard returns what has reached the session since the last time.
func (w *world) heard(e *ear) []string {
	w.Helper()
	_, err := w.delivery.AppendWait(w.Context(), delivery.Post{Key: store.UserKey(w.app.ID, 1<<40)})
	w.must(err)
	e.mu.Lock()
	defer e.mu.Unlock()
	texts := e.texts
	e.texts = nil
	return texts
}

func (w *world) hears(what string, e *ear, want ...string) {
	w.Helper()
	if got := w.heard(e); !slices.Equal(got, want) {
		w.Errorf("%s hears %q, want %q", what, got, want)
	}
}

func TestAGroupsMembersGetItsMessages(t *testing.T) {
	w := newWorld(t)
	bob, carol := w.device(w.bob), w.sender("carol")
	group := w.group(w.alice, bob)
	phone, to, stranger := w.listen(w.alice.User, 1), w.listen(w.bob, 2), w.listen(carol.User, 3)
	r := w.sent(w.alice, metaIn(group, groupText("hello")))
	w.hears("the sender's other device", phone, "hello")
	w.hears("a member", to, "hello")
	w.hears("a stranger", stranger)
	found, meta, body := w.read(r.ID)
	if found.Key != store.MucKey(w.app.ID, group.ID) || found.Content != store.ContentText {
		t.Errorf("kept as %+v", found)
	}
	if meta.To.Name != group.Name || meta.To.Domain != msync.PlaceDomain || meta.From.Name != "alice" || body.To.GetName() != group.Name || body.From.GetName() != "alice" {
		t.Errorf("kept %v with %v", meta, body)
	}
	w.sent(bob, online(metaIn(group, groupText("typing"))))
	w.hears("a member", phone, "typing")
	w.hears("the sender's other device", to, "typing")
	w.refused("a stranger", w.sendAs(carol, metaIn(group, groupText("let me in"))), errcode.GroupNotJoined)
}

func TestSendingToGroupsAndRoomsIsRefusedInOrder(t *testing.T) {
	w := newWorld(t)
	bob := w.device(w.bob)
	group, room := w.group(w.alice, bob), w.room(w.alice, bob)
	nowhere := store.Muc{Name: "281474976710999"}
	big := strings.Repeat("x", 6000)
	owner := w.owner(w.alice)
	w.refused("too much for no group", w.send(metaIn(nowhere, groupText(big))), errcode.MessageTooLarge)
	w.refused("no group", w.send(metaIn(nowhere, groupText("hi"))), errcode.GroupNotExist)
	w.refused("no room", w.send(metaIn(nowhere, roomText("hi"))), errcode.ChatroomNotExist)
	w.refused("a room that is a group", w.send(metaIn(group, roomText("hi"))), errcode.ChatroomNotExist)
	w.refused("a group that is a room", w.send(metaIn(room, groupText("hi"))), errcode.GroupNotExist)
	w.refused("a single message to a group", w.send(metaIn(group, text("hi"))), errcode.GroupNotExist)
	twenty := slices.Repeat([]string{"bob"}, 20)
	w.sent(w.alice, directed(metaIn(group, groupText("hi")), twenty...))
	w.refused("too many directed users", w.send(directed(metaIn(group, groupText("hi")), append(twenty, "bob")...)), errcode.MaxLimit)
	for _, place := range []store.Muc{group, room} {
		say := groupText
		if place.Kind == store.MucRoom {
			say = roomText
		}
		w.sent(bob, metaIn(place, say("hi")))
		w.must(w.mucs.MuteAll(t.Context(), owner, place.Kind, place.Name, true))
		w.refused("while all are muted", w.sendAs(bob, metaIn(place, say("hi"))), errcode.NotAllowedMuteAll)
		_, err := w.mucs.Mute(t.Context(), owner, place.Kind, place.Name, []string{"bob"}, time.Hour)
		w.must(err)
		w.refused("a muted member, while all are", w.sendAs(bob, metaIn(place, say("hi"))), errcode.Muted)
		w.sent(w.alice, metaIn(place, say("hi"))) // the owner may
	}
	w.refused("a refused member's edit", w.sendAs(bob, metaIn(group, editOf(7, "x"))), errcode.Muted)
}

func TestMessagesForAFewReachThoseOnly(t *testing.T) {
	w := newWorld(t)
	bob, carol, dave := w.device(w.bob), w.sender("carol"), w.sender("dave")
	w.sender("eve")
	group, room := w.group(w.alice, bob, carol, dave), w.room(w.alice, bob, carol, dave)
	ears := map[string]*ear{"alice": w.listen(w.alice.User, 1), "bob": w.listen(w.bob, 2), "carol": w.listen(carol.User, 3), "dave": w.listen(dave.User, 4)}
	for _, e := range ears {
		e.Enter(room.ID)
	}
	for what, r := range map[string]Result{
		"for some": w.sent(w.alice, directed(metaIn(group, groupText("for some")), "Bob", "dave", "nobody", "eve")),
		"in room":  w.sent(w.alice, directed(metaIn(room, roomText("in room")), "bob", "dave")),
	} {
		found, _, _ := w.read(r.ID)
		for name, user := range map[string]store.User{"alice": w.alice.User, "bob": w.bob, "dave": dave.User} {
			if !found.Audience.Has(user.ID) {
				t.Errorf("%s: %s is not given it", what, name)
			}
		}
		if found.Audience.Has(carol.User.ID) {
			t.Errorf("%s: carol is given it", what)
		}
	}
	for name, want := range map[string]int{"alice": 2, "bob": 2, "carol": 0, "dave": 2} {
		if got := w.heard(ears[name]); len(got) != want {
			t.Errorf("%s hears %q", name, got)
		}
	}
	// A recall of it is told to the same.
	r := w.sent(bob, directed(metaIn(group, groupText("a slip")), "alice"))
	w.refused("a member who has not had it", w.sendAs(carol, metaIn(group, recallOf(r.ID))), errcode.ServerUnknownError)
	w.sent(bob, metaIn(group, recallOf(r.ID)))
	w.hears("alice", ears["alice"], "a slip", "recall")
	w.hears("carol", ears["carol"])
}

func TestRoomsAreToldWhatHappensNow(t *testing.T) {
	w := newWorld(t)
	bob := w.device(w.bob)
	room := w.room(w.alice, bob)
	inside, outside := w.listen(w.bob, 1), w.listen(w.bob, 2)
	inside.Enter(room.ID)
	meta := metaIn(room, roomText("hello"))
	meta.Ext = []*msync.KeyValue{{Key: "chatroom_msg_tag", Type: msync.KeyValue_INT, Value: &msync.KeyValue_VarintValue{VarintValue: 2}}}
	r := w.sent(w.alice, meta)
	w.hears("who is in the room", inside, "hello")
	w.hears("another socket", outside)
	found, kept, _ := w.read(r.ID)
	if found.Content != store.ContentText || len(kept.Ext) != 1 || kept.Ext[0].GetVarintValue() != 2 {
		t.Errorf("kept %+v with %v", found, kept)
	}
	w.sent(w.alice, metaIn(room, editOf(r.ID, "hallo")))
	w.sent(w.alice, metaIn(room, recallOf(r.ID)))
	w.hears("who is in the room", inside, "hallo", "recall")
	w.set(`{"room_history":false}`)
	gone := w.sent(w.alice, metaIn(room, roomText("for now")))
	w.hears("who is in the room", inside, "for now")
	if _, err := w.store.FindEntry(t.Context(), w.app.ID, gone.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("kept without history: %v", err)
	}
}

func TestWhoLeadsAGroupMayAmendItsMessages(t *testing.T) {
	w := newWorld(t)
	bob, carol := w.device(w.bob), w.sender("carol")
	group := w.group(w.alice, bob, carol)
	e := w.listen(carol.User, 1)
	r := w.sent(bob, metaIn(group, groupText("hello")))
	w.refused("another member's edit", w.sendAs(carol, metaIn(group, editOf(r.ID, "hallo"))), errcode.PermissionDenied)
	w.refused("another member's recall", w.sendAs(carol, metaIn(group, recallOf(r.ID))), errcode.PermissionDenied)
	told := w.sent(w.alice, metaIn(group, editOf(r.ID, "hallo")))
	if _, _, body := w.read(told.ID); !strings.Contains(body.Meta, `"chat_type":"chat:group"`) || !strings.Contains(body.Meta, `"sender":"bob"`) ||
		!strings.Contains(body.Meta, `"operator":"alice"`) {
		t.Errorf("the event tells %s", body.Meta)
	}
	w.sent(w.alice, metaIn(group, recallOf(r.ID)))
	w.hears("a member", e, "hello", "hallo", "recall")
	other := w.group(w.alice, bob)
	r = w.sent(bob, metaIn(group, groupText("once more")))
	w.refused("a recall in the wrong group", w.send(metaIn(other, recallOf(r.ID))), errcode.ServerUnknownError)
	w.refused("an edit in the wrong group", w.send(metaIn(other, editOf(r.ID, "x"))), errcode.EditMessageNotExist)
}

func TestCommandsInGroupsAreKeptForLater(t *testing.T) {
	w := newWorld(t)
	bob := w.device(w.bob)
	group := w.group(w.alice, bob)
	command := groupText("")
	command.Contents[0] = &msync.MessageBody_Content{Type: msync.MessageBody_Content_COMMAND, Action: "ring"}
	r := w.sent(w.alice, metaIn(group, command))
	found, _, _ := w.read(r.ID)
	late := w.listen(w.bob, 1)
	w.must(late.Pull(t.Context(), nil, fmt.Sprint(found.Timeline), true))
	w.hears("who was away", late, "groupchat")
	if store.History.Has(found.Content) {
		t.Error("a command is history")
	}
}

// counts returns what the receipts that have reached a user's own timeline say.
func (w *world) counts(user store.User) (all []string) {
	w.Helper()
	for _, m := range w.entries(user) {
		var body msync.MessageBody
		if m.Ns == msync.Meta_CHAT && proto.Unmarshal(m.Payload, &body) == nil && body.Type == msync.MessageBody_READ_ACK {
			all = append(all, fmt.Sprint(body.From.GetName(), " ", body.AckContent, " ", body.Ext[0].GetStringValue()))
		}
	}
	return all
}

func receiptFor(id int64) *msync.MessageBody {
	return &msync.MessageBody{Type: msync.MessageBody_READ_ACK, AckMessageId: uint64(id), AckContent: "seen",
		MsgConfig: &msync.MessageBody_MessageConfig{AllowGroupAck: true}, Contents: []*msync.MessageBody_Content{{}}}
}

func TestTheSenderIsToldHowManyHaveReadAMessage(t *testing.T) {
	w := newWorld(t)
	bob, carol, dave := w.device(w.bob), w.sender("carol"), w.sender("dave")
	group := w.group(w.alice, bob, carol)
	wanted := groupText("read this")
	wanted.MsgConfig = &msync.MessageBody_MessageConfig{AllowGroupAck: true}
	r := w.sent(w.alice, metaIn(group, wanted))
	plain := w.sent(w.alice, metaIn(group, groupText("or not")))
	w.sent(bob, metaIn(group, receiptFor(r.ID)))
	w.sent(bob, metaIn(group, receiptFor(r.ID)))               // once more
	w.sent(w.alice, metaIn(group, receiptFor(r.ID)))           // one's own
	w.sent(carol, fresh(metaTo("whatever", receiptFor(r.ID)))) // the receiver means nothing
	want := []string{fmt.Sprintf(`bob seen {"%d":1}`, r.ID), fmt.Sprintf(`carol seen {"%d":2}`, r.ID)}
	if got := w.counts(w.alice.User); !slices.Equal(got, want) {
		t.Errorf("alice is told %q, want %q", got, want)
	}
	if got := w.counts(w.bob); got != nil {
		t.Errorf("bob is told %q", got)
	}
	for what, again := range map[string]struct {
		from Sender
		id   int64
	}{"a stranger": {dave, r.ID}, "a message whose sender does not ask": {bob, plain.ID}, "no message": {bob, 77}} {
		w.refused("the receipt of "+what, w.sendAs(again.from, metaIn(group, receiptFor(again.id))), errcode.ServerUnknownError)
	}
	big := receiptFor(r.ID)
	big.AckContent = strings.Repeat("x", 6000)
	w.refused("a receipt with too much", w.sendAs(bob, metaIn(group, big)), errcode.MessageTooLarge)

	readers := func(by muc.Actor, group string, id, above int64, limit int) (names []string, last int64, err error) {
		page, err := w.messages.GroupReaders(t.Context(), by, group, uint64(id), above, limit)
		for _, r := range page.Page {
			names, last = append(names, r.User.Name), r.Row
		}
		if err == nil && page.Count != 2 {
			t.Errorf("%d have read it", page.Count)
		}
		return names, last, err
	}
	first, last, err := readers(w.owner(w.alice), group.Name, r.ID, 0, 1)
	w.must(err)
	second, _, err := readers(muc.Backend(w.app), group.Name, r.ID, last, 10)
	w.must(err)
	if got := append(first, second...); !slices.Equal(got, []string{"bob", "carol"}) {
		t.Errorf("read by %q", got)
	}
	other := w.group(w.alice)
	for what, again := range map[string]struct {
		by    muc.Actor
		group string
		id    int64
		want  error
	}{
		"somebody else": {w.owner(bob), group.Name, r.ID, ErrNotSender}, "no message": {w.owner(w.alice), group.Name, 77, ErrNoMessage},
		"another group": {w.owner(w.alice), other.Name, r.ID, ErrNoMessage}, "no group": {w.owner(w.alice), "7", r.ID, muc.ErrNotExist},
	} {
		if _, _, err := readers(again.by, again.group, again.id, 0, 10); !errors.Is(err, again.want) {
			t.Errorf("readers for %s: %v", what, err)
		}
	}
	w.set(`{"group_receipts":false}`)
	w.refused("a receipt where that is off", w.sendAs(bob, metaIn(group, receiptFor(r.ID))), errcode.ServerUnknownError)
	if _, _, err := readers(w.owner(w.alice), group.Name, r.ID, 0, 10); !errors.Is(err, ErrReceiptsOff) {
		t.Errorf("readers where that is off: %v", err)
	}
	w.sent(w.alice, metaIn(group, recallOf(r.ID)))
	found, _, _ := w.read(r.ID)
	if _, count, err := w.store.ListReceipts(t.Context(), store.Point{Timeline: found.Timeline, Seq: found.Seq}, 0, 1); err != nil || count != 0 {
		t.Errorf("a recalled message has %d receipts, %v", count, err)
	}
}

func TestAMemberWhoHasReadAGroupHasNothingUnread(t *testing.T) {
	w := newWorld(t)
	bob, carol := w.device(w.bob), w.sender("carol")
	group := w.group(w.alice, bob)
	last := w.sent(w.alice, metaIn(group, groupText("hello")))
	ack := &msync.MessageBody{Type: msync.MessageBody_CHANNEL_ACK}
	w.sent(bob, metaIn(group, ack))
	found, _, _ := w.read(last.ID)
	c, err := w.store.Conversation(t.Context(), w.bob.ID, found.Key)
	w.must(err)
	if c.Read < found.Seq {
		t.Errorf("the read mark is at %d of %d", c.Read, found.Seq)
	}
	w.refused("a stranger", w.sendAs(carol, metaIn(group, ack)), errcode.GroupNotJoined)
}

func TestMessagesInThreadsSayWhereTheyAre(t *testing.T) {
	w := newWorld(t)
	bob, carol := w.device(w.bob), w.sender("carol")
	group := w.group(w.alice, bob, carol)
	root := w.sent(w.alice, metaIn(group, groupText("what about this?")))
	thread, err := w.mucs.CreateThread(t.Context(), w.owner(bob), muc.ThreadOptions{Group: group.Name, Title: "this", Message: root.ID})
	w.must(err)
	body := groupText("this is fine")
	body.Meta = `{"thread":{},"translations":[]}`
	r := w.sent(bob, metaIn(thread.Muc, body))
	found, meta, kept := w.read(r.ID)
	want := fmt.Sprintf(`{"thread":{"msg_parent_id":"%d","muc_parent_id":"%s","thread_name":"this"},"translations":[]}`, root.ID, group.Name)
	if found.Key != store.MucKey(w.app.ID, thread.ID) || kept.Meta != want || meta.To.Name != thread.Name {
		t.Errorf("kept %+v to %v with the meta %s, want %s", found.Key, meta.To, kept.Meta, want)
	}
	edited := w.sent(bob, metaIn(thread.Muc, editOf(r.ID, "or not")))
	if _, _, event := w.read(edited.ID); !strings.Contains(event.Meta, `"thread":{"msg_parent_id"`) {
		t.Errorf("an edit tells %s", event.Meta)
	}
	w.refused("a member of the group who has not joined", w.sendAs(carol, metaIn(thread.Muc, groupText("hi"))), errcode.GroupNotJoined)
	w.sent(bob, metaIn(thread.Muc, recallOf(r.ID)))
}
