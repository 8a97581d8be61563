package chat

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/msync"
)

// handed is what the callbacks of alice's device "go_test" are given for one item, in order.
func handed(t *testing.T, meta *msync.Meta) []any {
	t.Helper()
	c, err := New("stoa#demo", WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	var got []any
	c.AddEventListener("all", Listener{
		OnMessage:        func(m *Message) { got = append(got, m) },
		OnReadMessage:    func(r *Receipt) { got = append(got, r) },
		OnRecall:         func(r *Recall) { got = append(got, r) },
		OnEdit:           func(m *Message) { got = append(got, "edited", m) },
		OnReaction:       func(e *ReactionEvent) { got = append(got, e) },
		OnMessagePin:     func(e *PinEvent) { got = append(got, e) },
		OnGroupEvent:     func(e *GroupEvent) { got = append(got, "group", e) },
		OnRoomEvent:      func(e *GroupEvent) { got = append(got, "room", e) },
		OnThreadEvent:    func(e *ThreadEvent) { got = append(got, e) },
		OnPresence:       func(p *Presence) { got = append(got, p) },
		OnDeviceEvent:    func(e *DeviceEvent) { got = append(got, e) },
		OnContactInvited: func(e *ContactEvent) { got = append(got, e) },
		OnError:          func(e *Error) { got = append(got, e.Code) },
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := newSession(c, "alice", Token("t"), ctx.Done(), cancel)
	s.phase, s.device, c.session = online, "go_test", s
	s.deliverMeta(meta)
	return got
}

func TestEventsOfPlaces(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_000)
	ops := func(op msync.MUCBody_Operation) *msync.MUCBody {
		return &msync.MUCBody{MucId: &msync.JID{Name: "G1"}, From: &msync.JID{Name: "bob"}, Operation: op}
	}
	with := func(op msync.MUCBody_Operation, change func(b *msync.MUCBody)) *msync.MUCBody {
		b := ops(op)
		change(b)
		return b
	}
	info := func(text string) func(b *msync.MUCBody) {
		return func(b *msync.MUCBody) { b.EventInfo = &msync.MUCBody_EventInfo{Ext: text} }
	}
	to := func(users ...string) func(b *msync.MUCBody) {
		return func(b *msync.MUCBody) {
			for _, user := range users {
				b.To = append(b.To, &msync.JID{Name: user})
			}
		}
	}
	for name, tt := range map[string]struct {
		body *msync.MUCBody
		want GroupEvent // beside Group, From, Device and Time
	}{
		"destroyed":       {ops(msync.MUCBody_DESTROY), GroupEvent{Operation: OpDestroy}},
		"asked to let in": {with(msync.MUCBody_APPLY, func(b *msync.MUCBody) { b.Reason = "please" }), GroupEvent{Operation: OpRequestToJoin, Reason: "please"}},
		"refused":         {with(msync.MUCBody_APPLY_DECLINE, to("alice")), GroupEvent{Operation: OpRejectRequest, Users: []string{"alice"}}},
		"invited":         {with(msync.MUCBody_INVITE, func(b *msync.MUCBody) { b.MucName = "hikers" }), GroupEvent{Operation: OpInvite, Name: "hikers"}},
		"one came": {with(msync.MUCBody_PRESENCE, func(b *msync.MUCBody) { b.MucMemberCount, b.Ext = 3, "hello" }),
			GroupEvent{Operation: OpPresence, Users: []string{"bob"}, MemberCount: 3, Ext: "hello"}},
		"several left": {with(msync.MUCBody_ABSENCE, func(b *msync.MUCBody) { b.Members = []string{"carol", "dave"} }),
			GroupEvent{Operation: OpAbsence, Users: []string{"carol", "dave"}}},
		"new owner": {with(msync.MUCBody_ASSIGN_OWNER, to("carol")), GroupEvent{Operation: OpChangeOwner, Users: []string{"carol"}}},
		"muted": {with(msync.MUCBody_ADD_MUTE, func(b *msync.MUCBody) {
			to("carol", "dave")(b)
			b.Ext = `{"user_mute_time":{"carol":1700000000000,"dave":-1}}`
		}), GroupEvent{Operation: OpMute, Users: []string{"carol", "dave"}, MutedUntil: map[string]time.Time{"carol": at, "dave": {}}}},
		"muted without a time": {with(msync.MUCBody_ADD_MUTE, to("carol")), GroupEvent{Operation: OpMute, Users: []string{"carol"}}},
		"announced": {with(msync.MUCBody_UPDATE_ANNOUNCEMENT, func(b *msync.MUCBody) { b.Reason = "hi" }),
			GroupEvent{Operation: OpAnnounce, Announcement: "hi"}},
		"updated": {with(msync.MUCBody_UPDATE, info(`{"title":"g2","public":"true","allow_user_invites":false,"max_users":"300","custom":"x"}`)),
			GroupEvent{Operation: OpUpdate, Changes: &GroupChanges{Name: new("g2"), Public: new(true), OnlyAdminsInvite: new(true), MaxMembers: new(300), Ext: new("x")}}},
		"updated without detail": {ops(msync.MUCBody_UPDATE), GroupEvent{Operation: OpUpdate}},
		"attributes set": {with(msync.MUCBody_SET_METADATA, info(`{"result":{"successKeys":["a"]},"properties":{"a":"1","b":"2"}}`)),
			GroupEvent{Operation: OpSetAttributes, AttributeKeys: []string{"a"}, Attributes: map[string]string{"a": "1"}}},
		"attributes removed": {with(msync.MUCBody_DELETE_METADATA, info(`{"result":{"successKeys":["a"]},"properties":{"a":"1"}}`)),
			GroupEvent{Operation: OpRemoveAttributes, AttributeKeys: []string{"a"}}},
		"a member's attributes": {with(msync.MUCBody_GROUP_MEMBER_METADATA_UPDATE, info(`{"username":"carol","properties":{"k":"v"}}`)),
			GroupEvent{Operation: OpMemberAttributes, Users: []string{"carol"}, Attributes: map[string]string{"k": "v"}}},
		"disabled": {ops(msync.MUCBody_DISABLE_GROUP), GroupEvent{Operation: OpDisable}},
	} {
		t.Run(name, func(t *testing.T) {
			tt.want.Group, tt.want.From, tt.want.Device, tt.want.Time = "G1", "bob", "ios_1", at
			if diff := cmp.Diff([]any{"group", &tt.want}, handed(t, placeMeta(5, tt.body))); diff != "" {
				t.Errorf("event differs (-want +got):\n%s", diff)
			}
			tt.body.IsChatroom = true
			if diff := cmp.Diff([]any{"room", &tt.want}, handed(t, placeMeta(5, tt.body))); diff != "" {
				t.Errorf("event of a room differs (-want +got):\n%s", diff)
			}
		})
	}

	for op := range msync.MUCBody_Operation_name {
		switch got := handed(t, placeMeta(5, with(msync.MUCBody_Operation(op), info(`{}`)))); {
		case operations[msync.MUCBody_Operation(op)] != "" && len(got) != 2, operations[msync.MUCBody_Operation(op)] == "" && len(got) != 0:
			t.Errorf("operation %v gives %v", msync.MUCBody_Operation(op), got)
		}
	}
	for name, body := range map[string]*msync.MUCBody{
		"update":           with(msync.MUCBody_UPDATE, info("{")),
		"mute":             with(msync.MUCBody_ADD_MUTE, func(b *msync.MUCBody) { b.Ext = "{" }),
		"attributes":       ops(msync.MUCBody_SET_METADATA),
		"member attribute": ops(msync.MUCBody_GROUP_MEMBER_METADATA_UPDATE),
	} {
		if diff := cmp.Diff([]any{errcode.BadMessage}, handed(t, placeMeta(5, body))); diff != "" {
			t.Errorf("%s without its JSON (-want +got):\n%s", name, diff)
		}
	}
}

func TestEventsOfThreads(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_000)
	body := func(op msync.MUCBody_Operation) *msync.MUCBody {
		return &msync.MUCBody{
			MucId: &msync.JID{Name: "T1"}, From: &msync.JID{Name: "bob"}, Operation: op, IsThread: true, MucParentId: &msync.JID{Name: "G1"},
			MucName: "topic", To: []*msync.JID{{Name: "alice"}},
		}
	}
	for op, want := range map[msync.MUCBody_Operation]DeviceOperation{
		msync.MUCBody_THREAD_CREATE: DeviceThreadCreated, msync.MUCBody_THREAD_DESTROY: DeviceThreadDestroyed, msync.MUCBody_THREAD_JOIN: DeviceThreadJoined,
		msync.MUCBody_THREAD_LEAVE: DeviceThreadLeft, msync.MUCBody_THREAD_UPDATE: DeviceThreadRenamed,
	} {
		e := &DeviceEvent{Operation: want, Target: ToThread("T1"), Name: "topic", Group: "G1", Time: at}
		if diff := cmp.Diff([]any{e}, handed(t, placeMeta(5, body(op)))); diff != "" {
			t.Errorf("%v differs (-want +got):\n%s", op, diff)
		}
	}
	kicked := &ThreadEvent{Operation: ThreadRemoved, Thread: "T1", Name: "topic", Group: "G1", From: "bob", User: "alice", Time: at}
	if diff := cmp.Diff([]any{kicked}, handed(t, placeMeta(5, body(msync.MUCBody_THREAD_KICK)))); diff != "" {
		t.Errorf("kick differs (-want +got):\n%s", diff)
	}
	if got := handed(t, placeMeta(5, body(msync.MUCBody_THREAD_PRESENCE))); got != nil {
		t.Errorf("presence in a thread gives %v", got)
	}
}

func TestNotices(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_000)
	for name, tt := range map[string]struct {
		notice string
		want   []any
	}{
		"presence": {
			`{"type":"presence","data":{"values":[{"uid":"bob","last_time":1700000000,"expiry":"1700003600","ext":"busy","status":{"ios_1":"1","web":0}}]}}`,
			[]any{&Presence{User: "bob", Text: "busy", LastSeen: at, Expires: at.Add(time.Hour), Devices: map[string]int{"ios_1": 1, "web": 0}}},
		},
		"reactions": {
			`{"type":"reaction","data":[{"from":"bob","to":"alice","channel_type":"chat","messageId":"7","ts":1700000000000,"reactions":[{"reaction":"ok","count":2,"userList":["bob","alice"],"isAddedBySelf":true,"op":[{"operator":"bob","reactionType":"create"},{"operator":"carol","reactionType":"delete"}]}]},{"from":"bob","to":"G1","channel_type":"groupchat","messageId":"8"}]}`,
			[]any{
				&ReactionEvent{Target: ToUser("bob"), MessageID: "7", Sender: "bob", Time: at, Reactions: []Reaction{
					{Reaction: "ok", Count: 2, Users: []string{"bob", "alice"}, Own: true, Changes: []ReactionChange{{"bob", true}, {"carol", false}}},
				}},
				&ReactionEvent{Target: ToGroup("G1"), MessageID: "8", Sender: "bob"},
			},
		},
		"a thread": {
			`{"type":"thread","data":{"operation":"update_msg","id":"T1","name":"topic","muc_parent_id":"G1","msg_parent_id":"7","timestamp":1700000000000,"from":"bob","message_count":2,"last_message":{"id":"9","from":"bob","to":"T1","timestamp":1700000000000,"payload":{"bodies":[{"type":"txt","msg":"hi"}],"from":"bob","to":"T1","type":"groupchat"}}}}`,
			[]any{&ThreadEvent{
				Operation: ThreadUpdated, Thread: "T1", Name: "topic", Group: "G1", MessageID: "7", From: "bob", Messages: 2, Time: at,
				LastMessage: &Message{ID: "9", From: "bob", To: "T1", Conversation: "T1", ChatType: ThreadChat, Time: at, Content: Content{Text: "hi"}},
			}},
		},
		"a thread that is gone": {
			`{"type":"thread","data":{"operation":"delete","id":"T1","last_message":{}}}`,
			[]any{&ThreadEvent{Operation: ThreadGone, Thread: "T1"}},
		},
		"a thread of another time": {`{"type":"thread","data":{"operation":"future","id":"T1"}}`, nil},
		"deleted messages": {
			`{"type":"roaming_delete","data":{"to":"G1","chatType":"groupchat","resource":"web"}}`,
			[]any{&DeviceEvent{Operation: DeviceMessagesDeleted, Target: ToGroup("G1")}},
		},
		"deleted messages, by this device": {`{"type":"roaming_delete","data":{"to":"G1","chatType":"groupchat","resource":"go_test"}}`, nil},
		"a deleted conversation": {
			`{"type":"conv","data":{"op":"del","id":"bob","type":"chat","ts":1700000000000,"from":"alice","res":"web"}}`,
			[]any{&DeviceEvent{Operation: DeviceConversationDeleted, Target: ToUser("bob"), Time: at}},
		},
		"a mark": {
			`{"type":"conv","data":{"op":"mark","id":"G1","type":"groupchat","ts":1700000000000,"from":"alice","res":"web","ext":"mark_3"}}`,
			[]any{&DeviceEvent{Operation: DeviceMarked, Target: ToGroup("G1"), Time: at, Mark: 3}},
		},
		"a conversation pinned by this device": {`{"type":"conv","data":{"op":"top","id":"bob","type":"chat","from":"alice","res":"go_test"}}`, nil},
		"a change of another time":             {`{"type":"conv","data":{"op":"future","id":"bob"}}`, nil},
		"a pin of the other": {
			`{"type":"conv","data":{"op":"pin","id":"alice","type":"chat","ts":1700000000000,"from":"bob","res":"web","ext":"7"}}`,
			[]any{&PinEvent{Target: ToUser("bob"), MessageID: "7", By: "bob", Pinned: true, Time: at}},
		},
		"an own unpin": {
			`{"type":"conv","data":{"op":"pin_delete","id":"bob","type":"chat","from":"alice","res":"web","ext":"7"}}`,
			[]any{&PinEvent{Target: ToUser("bob"), MessageID: "7", By: "alice"}},
		},
		"a pin in a room": {
			`{"type":"conv","data":{"op":"pin","id":"R1","type":"chatroom","from":"bob","res":"web","ext":"7"}}`,
			[]any{&PinEvent{Target: ToRoom("R1"), MessageID: "7", By: "bob", Pinned: true}},
		},
		"silent modes": {
			`{"type":"user_notification_mute","values":[{"user":"alice","operator_resource":"web","data":{"ignoreInterval":"8:5-9:30"}},{"group":"G1","operator_resource":"web","data":{"type":"AT","ignoreDuration":1700000000000}},{"user":"bob","operator_resource":"web","data":{}},{"user":"bob","operator_resource":"go_test","data":{}}]}`,
			[]any{
				&DeviceEvent{Operation: DeviceSilent, Silent: SilentMode{Daily: &Interval{Clock{8, 5}, Clock{9, 30}}}},
				&DeviceEvent{Operation: DeviceConversationSilent, Target: ToGroup("G1"), Silent: SilentMode{Remind: RemindMentioned, Until: at}},
				&DeviceEvent{Operation: DeviceSilentCleared, Target: ToUser("bob")},
			},
		},
		"a notice of another time": {`{"type":"future"}`, nil},
		"no JSON":                  {`{`, []any{errcode.BadMessage}},
		"presence of no form":      {`{"type":"presence","data":[]}`, []any{errcode.BadMessage}},
		"presence without data":    {`{"type":"presence"}`, []any{errcode.BadMessage}},
		"silence without data":     {`{"type":"user_notification_mute","values":[{"user":"bob"}]}`, []any{errcode.BadMessage}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, handed(t, noticeMeta(5, tt.notice))); diff != "" {
				t.Errorf("events differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEventsOfMessages(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_000)
	group := func(body *msync.MessageBody) *msync.Meta {
		body.From, body.To = &msync.JID{Name: "bob"}, &msync.JID{Name: "G1"}
		meta := bodyMeta(8, "bob", body)
		meta.To = &msync.JID{Name: "G1", Domain: groupDomain}
		return meta
	}

	recall := group(&msync.MessageBody{Type: msync.MessageBody_RECALL, AckMessageId: 7})
	recall.Ext = []*msync.KeyValue{{Key: recallText, Type: msync.KeyValue_STRING, Value: &msync.KeyValue_StringValue{StringValue: "sorry"}}}
	if diff := cmp.Diff([]any{&Recall{MessageID: "7", From: "bob", Conversation: "G1", Text: "sorry", Time: at}}, handed(t, recall)); diff != "" {
		t.Errorf("recall differs (-want +got):\n%s", diff)
	}
	byBackend := bodyMeta(8, "server", &msync.MessageBody{Type: msync.MessageBody_RECALL, AckMessageId: 7, To: &msync.JID{Name: "alice"}})
	if diff := cmp.Diff([]any{&Recall{MessageID: "7", From: "admin", Conversation: "server", Time: at}}, handed(t, byBackend)); diff != "" {
		t.Errorf("recall by the backend differs (-want +got):\n%s", diff)
	}

	edit := group(&msync.MessageBody{
		Type: msync.MessageBody_EDIT, EditMessageId: 7, Contents: []*msync.MessageBody_Content{{Text: "new"}},
		Meta: `{"edit_msg":{"count":2,"operator":"bob","edit_time":1700000000000,"sender":"carol","send_time":1600000000000,"chat_type":"chat:room"}}`,
	})
	edited := &Message{
		ID: "7", From: "carol", To: "G1", Conversation: "G1", ChatType: RoomChat, Time: time.UnixMilli(1_600_000_000_000), Content: Content{Text: "new"},
		Edited: &Edit{By: "bob", Time: at, Count: 2},
	}
	if diff := cmp.Diff([]any{"edited", edited}, handed(t, edit)); diff != "" {
		t.Errorf("edit differs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]any{errcode.BadMessage}, handed(t, group(&msync.MessageBody{Type: msync.MessageBody_EDIT}))); diff != "" {
		t.Errorf("edit without content (-want +got):\n%s", diff)
	}

	decorated := group(&msync.MessageBody{
		Type: msync.MessageBody_GROUPCHAT, Contents: []*msync.MessageBody_Content{{Text: "hi"}}, MsgConfig: &msync.MessageBody_MessageConfig{AllowGroupAck: true},
		Meta: `{"thread":{"msg_parent_id":"6","muc_parent_id":"G0","thread_name":"topic"},"translations":[{"code":"fr","text":"salut"}],` +
			`"reaction":[{"reaction":"ok","count":1,"state":true,"userList":["alice"]}],"isRead":true,` +
			`"thread_overview":{"id":"T1","muc_parent_id":"G1","name":"n","last_message":{},"create_timestamp":1700000000000,"update_timestamp":0,"message_count":3}}`,
	})
	want := &Message{
		ID: "8", From: "bob", To: "G1", Conversation: "G1", ChatType: ThreadChat, Time: at, Content: Content{Text: "hi"}, WantsReceipts: true, Read: true,
		Thread:         &ThreadPlace{Group: "G0", MessageID: "6", Name: "topic"},
		ThreadOverview: &ThreadOverview{ID: "T1", Group: "G1", Name: "n", Messages: 3, Created: at},
		Reactions:      []Reaction{{Reaction: "ok", Count: 1, Own: true, Users: []string{"alice"}}},
		Translations:   []Translation{{Language: "fr", Text: "salut"}},
	}
	if diff := cmp.Diff([]any{want}, handed(t, decorated)); diff != "" {
		t.Errorf("message differs (-want +got):\n%s", diff)
	}

	room := group(&msync.MessageBody{Type: msync.MessageBody_CHATROOM, Contents: []*msync.MessageBody_Content{{Text: "hi"}}, Meta: "not JSON"})
	room.Ext = append(roomTag(0), &msync.KeyValue{Key: "is_broadcast", Type: msync.KeyValue_BOOL, Value: &msync.KeyValue_VarintValue{VarintValue: 1}})
	want = &Message{ID: "8", From: "bob", To: "G1", Conversation: "G1", ChatType: RoomChat, Time: at, Content: Content{Text: "hi"}, Priority: PriorityHigh, Broadcast: true}
	if diff := cmp.Diff([]any{want}, handed(t, room)); diff != "" {
		t.Errorf("message in a room differs (-want +got):\n%s", diff)
	}
	own := proto.CloneOf(room)
	own.Payload, _ = proto.Marshal(&msync.MessageBody{Type: msync.MessageBody_CHATROOM, From: &msync.JID{Name: "alice"}, Contents: []*msync.MessageBody_Content{{Text: "hi"}}})
	own.From = &msync.JID{Name: "alice", ClientResource: "go_test"}
	if got := handed(t, own); got != nil {
		t.Errorf("the own message came back: %v", got)
	}
}

func TestMessagesInJSON(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_000)
	for name, tt := range map[string]struct {
		body string
		want Content
	}{
		"text":     {`{"type":"txt","msg":"hi"}`, Content{Text: "hi"}},
		"combined": {`{"type":"txt","subType":"sub_combine","msg":"old","title":"t","summary":"s","url":"u","secret":"x","file_length":"3","filename":"combine","combineLevel":2}`, Content{Kind: KindCombined, Text: "old", Title: "t", Summary: "s", URL: "u", Secret: "x", Size: 3, Name: "combine", Level: 2}},
		"combine":  {`{"type":"combine","text":"old","title":"t"}`, Content{Kind: KindCombined, Text: "old", Title: "t"}},
		"image":    {`{"type":"img","url":"u","secret":"x","size":{"width":640,"height":480},"file_length":3,"subType":"sub_gif"}`, Content{Kind: KindImage, URL: "u", Secret: "x", Width: 640, Height: 480, Size: 3, GIF: true}},
		"video":    {`{"type":"video","url":"u","thumb":"v","thumb_secret":"y","filename":"a","length":4,"file_length":3}`, Content{Kind: KindVideo, URL: "u", ThumbnailURL: "v", ThumbSecret: "y", Name: "a", Duration: 4, Size: 3}},
		"audio":    {`{"type":"audio","url":"u","length":4}`, Content{Kind: KindAudio, URL: "u", Duration: 4}},
		"file":     {`{"type":"file","url":"u","filename":"a"}`, Content{Kind: KindFile, URL: "u", Name: "a"}},
		"location": {`{"type":"loc","addr":"a","buildingName":"b","lat":1.5,"lng":-2.5}`, Content{Kind: KindLocation, Address: "a", Building: "b", Latitude: 1.5, Longitude: -2.5}},
		"command":  {`{"type":"cmd","action":"x"}`, Content{Kind: KindCommand, Action: "x"}},
		"custom":   {`{"type":"custom","customEvent":"gift","customExts":[{"n":1},{"f":1.5}]}`, Content{Kind: KindCustom, Event: "gift", Params: map[string]any{"n": int64(1), "f": 1.5}}},
		"custom, as an object": {`{"type":"custom","customEvent":"gift","customExts":{"l":[1,{"a":2}],"b":true}}`,
			Content{Kind: KindCustom, Event: "gift", Params: map[string]any{"l": []any{1.0, map[string]any{"a": 2.0}}, "b": true}}},
		"unknown": {`{"type":"future"}`, Content{}},
	} {
		t.Run(name, func(t *testing.T) {
			text := `{"id":"1","from":"x","to":"G1","timestamp":1700000000000,"payload":{"bodies":[` + tt.body + `],"from":"bob","to":"G1","type":"groupchat","ext":{}}}`
			var m messageJSON
			if err := json.Unmarshal([]byte(text), &m); err != nil {
				t.Fatal(err)
			}
			want := &Message{ID: "1", From: "bob", To: "G1", Conversation: "G1", ChatType: GroupChat, Time: at, Content: tt.want}
			if diff := cmp.Diff(want, m.message("alice")); diff != "" {
				t.Errorf("message differs (-want +got):\n%s", diff)
			}
		})
	}
	var m messageJSON
	if err := json.Unmarshal([]byte(`{"id":"1","payload":""}`), &m); err != nil || m.message("alice") == nil {
		t.Errorf("a message without payload is %v", err)
	}
	if err := json.Unmarshal([]byte(`{"id":"1","payload":"{"}`), &m); err == nil {
		t.Error("a payload that is cut off decodes")
	}
	if err := json.Unmarshal([]byte(`{"id":"1","payload":{"ext":[1]}}`), &m); err == nil {
		t.Error("an extension that is no map decodes")
	}
}
