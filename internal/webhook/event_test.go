package webhook

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/contact"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/muc"
	"github.com/stoa-chat/stoa/internal/store"
)

// short is a call in a line.
func (c call) short() string {
	drop := strings.NewReplacer("acme#demo_", "", "@easemob.com", "")
	switch {
	case c.Event != "":
		var p map[string]any
		if err := json.Unmarshal(c.Payload, &p); err != nil {
			return err.Error()
		}
		return fmt.Sprint(c.Type, " ", c.Operation, " ", p["type"], " by ", c.Operator, " of ", p["member"])
	case c.User != "":
		return fmt.Sprint(c.Reason, " ", c.Status, " ", drop.Replace(c.User))
	case c.operation() != "":
		to := drop.Replace(c.To)
		if c.Group != "" && c.To == c.Group {
			to = "it"
		}
		return fmt.Sprint(c.ChatType, " ", c.operation(), " ", drop.Replace(c.From), " ", to)
	}
	return fmt.Sprint(c.ChatType, " ", c.From, " ", c.To, " ", c.text())
}

// told waits until the backend was told what is wanted since the last time, in whatever order.
func (b *backend) told(t *testing.T, want ...string) []call {
	t.Helper()
	calls := b.count(t, len(want))
	var got []string
	for _, c := range calls {
		got = append(got, c.short())
	}
	b.mu.Lock()
	b.calls = b.calls[len(calls):]
	b.mu.Unlock()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the backend was told\n%s\nand not\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	return calls
}

// nothingElse tells that the backend was told nothing more: what comes after it in all lanes is a message.
func (w *world) nothingElse(b *backend) {
	w.Helper()
	w.say("alice", "bob", "the last")
	b.told(w.T, "chat alice bob the last")
}

// holds fails unless a body has a piece of JSON.
func (c call) holds(t *testing.T, pieces ...string) {
	t.Helper()
	for _, piece := range pieces {
		if !bytes.Contains(c.body, []byte(piece)) {
			t.Errorf("there is no %s in %s", piece, c.body)
		}
	}
}

func TestMessagesAndReceiptsAreToldAsDocumented(t *testing.T) {
	w, b := newWorld(t), newBackend(t)
	w.listen("all", b.URL, `,"rest":true`)
	alice, bob := w.user("alice"), w.user("bob")
	pair := store.PairKey(w.app.ID, alice.ID, bob.ID)
	to := &msync.JID{Name: "bob", Domain: msync.UserDomain}
	sent := w.post("alice", delivery.Post{Key: pair, Content: store.ContentCustom}, &msync.MessageBody{Type: msync.MessageBody_CHAT,
		Contents: []*msync.MessageBody_Content{{Type: msync.MessageBody_Content_CUSTOM, CustomEvent: "gift",
			CustomExts: []*msync.KeyValue{{Key: "n", Type: msync.KeyValue_INT, Value: &msync.KeyValue_VarintValue{VarintValue: 3}}}}},
		Ext: []*msync.KeyValue{{Key: "k", Type: msync.KeyValue_STRING, Value: &msync.KeyValue_StringValue{StringValue: "v☃"}}}}, to)
	b.told(t, "chat alice bob ")[0].holds(t, `"customEvent":"gift"`, `"customExts":[{"n":3}]`, `"v2:customExts":{"n":3}`, `"ext":{"k":"v☃"}`,
		`"eventType":"chat"`, fmt.Sprintf(`"timestamp":%d`, sent.Time), `"appkey":"acme#demo"`, `"securityVersion":"1.0.0"`, fmt.Sprintf(`"msg_id":"%d"`, sent.ID))

	ack := uint64(sent.ID)
	own := store.UserKey(w.app.ID, alice.ID)
	from := &msync.JID{Name: "alice", Domain: msync.UserDomain}
	id := fmt.Sprintf(`"ack_message_id":"%d"`, sent.ID)
	w.post("bob", delivery.Post{Key: own}, &msync.MessageBody{Type: msync.MessageBody_DELIVER_ACK, AckMessageId: ack}, from)
	b.told(t, "delivery_ack bob alice ")[0].holds(t, id, `"bodies":[]`)
	w.post("bob", delivery.Post{Key: own}, &msync.MessageBody{Type: msync.MessageBody_READ_ACK, AckMessageId: ack}, from)
	b.told(t, "read_ack bob alice ")[0].holds(t, id)
	w.post("bob", delivery.Post{Key: own}, &msync.MessageBody{Type: msync.MessageBody_READ_ACK, AckMessageId: ack,
		MsgConfig: &msync.MessageBody_MessageConfig{AllowGroupAck: true}}, from)
	b.told(t, "read_ack bob alice ")[0].holds(t, `"allow_group_ack":true`, `"channel_user":"acme#demo_bob@easemob.com"`, `"content_type":"chat:ack:read"`)
	w.post("bob", delivery.Post{Key: own}, &msync.MessageBody{Type: msync.MessageBody_CHANNEL_ACK}, from)
	b.told(t, "read_ack bob alice ")[0].holds(t, `"type":"channel_ack"`)
	w.post("alice", delivery.Post{Key: pair}, &msync.MessageBody{Type: msync.MessageBody_EDIT, EditMessageId: ack, Contents: textOf("new"),
		Meta: `{"edit_msg":{"count":1,"operator":"alice"}}`}, to)
	b.told(t, "edit alice bob new")[0].holds(t, fmt.Sprintf(`"edit_message_id":"%d"`, sent.ID), `"operator":"alice"`, `"type":"edit"`)
	w.post("alice", delivery.Post{Key: pair}, &msync.MessageBody{Type: msync.MessageBody_RECALL, AckMessageId: ack}, to)
	b.told(t, "recall alice bob ")[0].holds(t, id, fmt.Sprintf(`"recall_id":"%d"`, sent.ID))

	place := store.MucKey(w.app.ID, 7)
	group := &msync.JID{Name: "281474976710657", Domain: msync.PlaceDomain}
	for kind, word := range map[msync.MessageBody_Type]string{msync.MessageBody_GROUPCHAT: "groupchat", msync.MessageBody_CHATROOM: "chatroom"} {
		w.post("alice", delivery.Post{Key: place, Content: store.ContentText}, &msync.MessageBody{Type: kind, Contents: textOf("hi")}, group)
		b.told(t, word+" alice 281474976710657 hi")[0].holds(t, `"group_id":"281474976710657"`)
	}

	// A reaction stands in the timeline twice.
	for _, mine := range []bool{true, false} {
		for _, change := range []string{"create", "delete"} {
			meta, err := msync.Notify("bob", "bob", map[string]any{"type": "reaction", "data": []map[string]any{{"from": "alice", "to": "bob", "channel_type": "chat",
				"messageId": "1", "ts": 2, "reactions": []map[string]any{{"reaction": "ok", "count": 1, "userList": []string{"bob"}, "isAddedBySelf": mine,
					"op": []map[string]string{{"operator": "bob", "reactionType": change}}}}}}})
			w.must(err)
			_, err = w.delivery.AppendWait(t.Context(), delivery.Post{Key: pair, Sender: bob.ID, Meta: meta})
			w.must(err)
		}
	}
	for _, c := range b.told(t, "notify bob bob ", "notify bob bob ") {
		c.holds(t, `"type":"reaction"`, `"num":1`, `"op":[{"operator":"bob"`)
	}
	w.nothingElse(b)
}

func TestContactsAreTold(t *testing.T) {
	w, b := newWorld(t), newBackend(t)
	w.listen("all", b.URL, "")
	actor := func(name string) contact.Actor { return contact.Actor{App: w.app, User: w.user(name), Device: 1} }
	w.must(w.contacts.Invite(t.Context(), actor("alice"), []string{"bob", "carol"}, "hello"))
	for _, c := range b.told(t, "roster add alice bob", "roster add alice carol") {
		c.holds(t, `"reason":"hello"`)
	}
	w.must(w.contacts.Accept(t.Context(), actor("bob"), "alice"))
	b.told(t, "roster remote_accept bob alice", "roster accept bob alice", "roster accept alice bob")
	w.must(w.contacts.Decline(t.Context(), actor("carol"), "alice"))
	b.told(t, "roster remote_decline carol alice", "roster decline carol alice")
	_, err := w.contacts.Remove(t.Context(), actor("alice"), "bob")
	w.must(err)
	b.told(t, "roster remove alice bob")
	_, err = w.contacts.Block(t.Context(), actor("alice"), []string{"bob", "carol"})
	w.must(err)
	b.told(t, "roster ban alice bob", "roster ban alice carol")
	_, err = w.contacts.Unblock(t.Context(), actor("alice"), []string{"bob"})
	w.must(err)
	b.told(t, "roster allow alice bob")
	w.nothingElse(b)
}

func TestSessionsAreTold(t *testing.T) {
	w, b := newWorld(t), newBackend(t)
	w.listen("all", b.URL, "")
	login := account.Login{App: w.app, User: w.user("alice")}
	open := func(resource string) store.Session {
		session, err := w.accounts.OpenSession(t.Context(), login, account.DeviceInfo{Resource: resource})
		w.must(err)
		return session
	}
	first := open("webim_1")
	b.told(t, "login online alice/webim_1")
	again := open("webim_1") // the device reconnects before its old connection is found broken
	b.told(t, "login online alice/webim_1")
	w.must(w.accounts.CloseSession(t.Context(), first))
	w.must(w.accounts.CloseSession(t.Context(), again))
	b.told(t, "logout offline alice/webim_1")[0].holds(t, `"os":"web"`)
	kicked := open("webim_2")
	b.told(t, "login online alice/webim_2")
	w.must(w.accounts.Disconnect(t.Context(), w.app, "alice", ""))
	w.must(w.accounts.CloseSession(t.Context(), kicked))
	b.told(t, "replaced offline alice/webim_2")
	w.nothingElse(b)
}

func TestGroupsAreToldInBothForms(t *testing.T) {
	w, old, recent := newWorld(t), newBackend(t), newBackend(t)
	w.listen("old", old.URL, "")
	w.listen("new", recent.URL, `,"format":"group_op_event","events":["group","room","file"]`)
	ctx := t.Context()
	owner := muc.Actor{App: w.app, User: w.user("alice"), Device: 1, Resource: "webim_1"}
	bob, backend := muc.Actor{App: w.app, User: w.user("bob"), Device: 2}, muc.Backend(w.app)
	step := func(first, second []string, do func() error) {
		t.Helper()
		w.must(do())
		for _, c := range old.told(t, first...) {
			if c.Group == "" || c.CallID != "acme#demo_"+c.ID && !strings.HasPrefix(c.CallID, "acme#demo_"+c.ID+"_") {
				t.Errorf("the call is %s", c.body)
			}
		}
		recent.told(t, second...)
	}
	var id string
	confirm := false
	step([]string{"muc create alice/webim_1 it"}, []string{"GROUP CREATE <nil> by alice of <nil>"}, func() error {
		m, err := w.mucs.Create(ctx, owner, store.MucGroup, muc.Options{Title: "t", Public: true, InviteConfirm: &confirm})
		id = m.Name
		return err
	})
	step([]string{"muc presence bob it", "muc presence carol it"}, []string{"GROUP JOIN DIRECT by @ppAdmin of [bob carol]"}, func() error {
		_, err := w.mucs.AddMembers(ctx, backend, store.MucGroup, id, []string{"bob", "carol"})
		return err
	})
	step([]string{"muc add_mute alice/webim_1 bob"}, []string{"GROUP MUTE ADD by alice of [bob]"}, func() error {
		_, err := w.mucs.Mute(ctx, owner, store.MucGroup, id, []string{"bob"}, time.Hour)
		return err
	})
	step([]string{"muc add_admin alice/webim_1 carol"}, []string{"GROUP ADMIN ADD by alice of [carol]"}, func() error {
		return w.mucs.Appoint(ctx, owner, store.MucGroup, id, "carol")
	})
	step([]string{"muc update_announcement alice/webim_1 it"}, []string{"GROUP ANNOUNCEMENT UPDATE by alice of <nil>"}, func() error {
		return w.mucs.SetAnnouncement(ctx, owner, store.MucGroup, id, "news")
	})
	step([]string{"muc upload_file alice/webim_1 it"}, []string{"GROUP FILE UPLOAD by alice of <nil>"}, func() error {
		return w.mucs.AnnounceFile(ctx, owner, store.MucGroup, id, false)
	})
	step([]string{"muc absence bob it", "muc leave bob it"}, []string{"GROUP LEAVE DIRECT by bob of [bob]"}, func() error {
		_, err := w.mucs.Leave(ctx, bob, store.MucGroup, id)
		return err
	})
	step([]string{"muc ban alice/webim_1 carol", "muc kick alice/webim_1 carol", "muc absence carol it"},
		[]string{"GROUP BLOCKLIST ADD by alice of [carol]", "GROUP KICK <nil> by alice of [carol]", "GROUP LEAVE DIRECT by carol of [carol]"}, func() error {
			_, err := w.mucs.Ban(ctx, owner, store.MucGroup, id, []string{"carol"})
			return err
		})
	step([]string{"muc destroy alice/webim_1 it"}, []string{"GROUP DELETE <nil> by alice of <nil>"}, func() error {
		return w.mucs.Destroy(ctx, owner, store.MucGroup, id)
	})

	step([]string{"muc create alice it"}, []string{"CHATROOM CREATE <nil> by @ppAdmin of <nil>"}, func() error {
		m, err := w.mucs.Create(ctx, backend, store.MucRoom, muc.Options{Owner: "alice", Title: "r"})
		id = m.Name
		return err
	})
	step([]string{"muc presence bob it"}, []string{"CHATROOM JOIN DIRECT by bob of [bob]"}, func() error {
		_, _, err := w.mucs.JoinRoom(ctx, bob, id, muc.JoinOptions{})
		return err
	})
	step([]string{"muc ban_group alice/webim_1 it"}, []string{"CHATROOM BAN ADD by alice of <nil>"}, func() error {
		return w.mucs.MuteAll(ctx, owner, store.MucRoom, id, true)
	})
	step([]string{"muc add_mute alice/webim_1 bob"}, []string{"CHATROOM MUTE ADD by alice of [bob]"}, func() error {
		_, err := w.mucs.Mute(ctx, owner, store.MucRoom, id, []string{"bob"}, time.Hour)
		return err
	})
	w.nothingElse(old)
}

func TestARuleChoosesWhatItIsToldOf(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.user("alice"), w.user("bob")
	entry := func(device int64) news {
		return news{Found: store.Found{Timeline: 1, Key: store.PairKey(w.app.ID, alice.ID, bob.ID), Entry: store.Entry{ID: 5, Time: 6, Sender: alice.ID, Device: device,
			Content: store.ContentText, Meta: message(t, "hello")}}}
	}
	for _, test := range []struct {
		rule   string
		device int64
		want   bool
	}{
		{``, 1, true},
		{``, 0, false},
		{`,"rest":true`, 0, true},
		{`,"events":["message","login"]`, 1, true},
		{`,"events":["login"]`, 1, false},
		{`,"chat_types":["groupchat"]`, 1, false},
		{`,"chat_types":["chat"]`, 1, true},
		{`,"message_types":["img"]`, 1, false},
		{`,"message_types":["txt"]`, 1, true},
		{`,"from":["bob"]`, 1, false},
		{`,"from":["bob","alice"],"to":["bob"]`, 1, true},
		{`,"to":["alice"]`, 1, false},
		{`,"ext_key":"k"`, 1, false},
	} {
		l, err := ParseListener([]byte(`{"url":"http://x","secret":"s"` + test.rule + `}`))
		w.must(err)
		events := w.service.word(w.app, false, entry(test.device))
		if len(events) != 1 || l.wants(&events[0]) != test.want {
			t.Errorf("%s of device %d: %d events, and not %v", test.rule, test.device, len(events), test.want)
		}
	}
	for _, chatType := range []string{"groupchat", "chatroom"} { // a recall does not say which
		if l := (&Listener{chatTypes: []string{chatType}}); !l.wants(&event{name: eventRecall, chatType: chatPlace}) {
			t.Errorf("a rule for %s is told of no recalls", chatType)
		}
	}
	for _, rule := range []string{`{`, `{"url":"ftp://x","secret":"s"}`, `{"url":"http://x"}`, `{"url":"http://x","secret":"s","timeout_ms":0}`,
		`{"url":"http://x","secret":"s","timeout_ms":60001}`, `{"url":"http://x","secret":"s","format":"xml"}`,
		`{"url":"http://x","secret":"s","events":["birth"]}`, `{"url":"http://x","secret":"s","fallback":"pass"}`} {
		if _, err := ParseListener([]byte(rule)); err == nil {
			t.Errorf("%s is taken", rule)
		}
	}
}

func TestWhatDoesNotDecodeIsPassedOver(t *testing.T) {
	w := newWorld(t)
	for _, ns := range []msync.Meta_NameSpace{msync.Meta_CHAT, msync.Meta_MUC, msync.Meta_ROSTER, msync.Meta_NOTIFY, msync.Meta_STATISTIC} {
		meta, err := msync.StoredMeta(&msync.Meta{Ns: ns, Payload: []byte{0xff}})
		w.must(err)
		if events := w.service.word(w.app, true, news{Found: store.Found{Entry: store.Entry{Meta: meta}}}); events != nil {
			t.Errorf("%v gives %v", ns, events)
		}
	}
}
