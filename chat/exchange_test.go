package chat

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/msync"
)

// roomTag is the priority that goes with every message to a chatroom.
func roomTag(n int64) []*msync.KeyValue {
	return []*msync.KeyValue{{Key: "chatroom_msg_tag", Type: msync.KeyValue_INT, Value: &msync.KeyValue_VarintValue{VarintValue: n}}}
}

func TestSendOptionsReachTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		c, s, _ := p.online()
		p.rest = func(w http.ResponseWriter, r *http.Request) {
			writeJSON(w, 200, map[string]any{"data": []any{map[string]any{"translations": []any{map[string]any{"text": "salut", "to": "fr"}}}}})
		}
		for name, tt := range map[string]struct {
			opts []SendOption
			meta *msync.Meta
			body *msync.MessageBody
		}{
			"online only": {
				[]SendOption{WithOnlineOnly()},
				&msync.Meta{Routetype: msync.Meta_ROUTE_ONLINE}, &msync.MessageBody{Type: msync.MessageBody_CHAT},
			},
			"receivers in a group": {
				[]SendOption{WithChatType(GroupChat), WithReceivers("bob", "carol"), WithOnlineOnly()},
				&msync.Meta{Routetype: msync.Meta_ROUTE_DIRECT, DirectedUsers: []string{"bob", "carol"}}, &msync.MessageBody{Type: msync.MessageBody_GROUPCHAT},
			},
			"receipts": {
				[]SendOption{WithChatType(GroupChat), WithReadReceipts()},
				&msync.Meta{}, &msync.MessageBody{Type: msync.MessageBody_GROUPCHAT, MsgConfig: &msync.MessageBody_MessageConfig{AllowGroupAck: true}},
			},
			"room": {
				[]SendOption{WithChatType(RoomChat)},
				&msync.Meta{Ext: roomTag(1)}, &msync.MessageBody{Type: msync.MessageBody_CHATROOM},
			},
			"room, high": {
				[]SendOption{WithChatType(RoomChat), WithPriority(PriorityHigh)},
				&msync.Meta{Ext: roomTag(0)}, &msync.MessageBody{Type: msync.MessageBody_CHATROOM},
			},
			"room, low": {
				[]SendOption{WithChatType(RoomChat), WithPriority(PriorityLow)},
				&msync.Meta{Ext: roomTag(2)}, &msync.MessageBody{Type: msync.MessageBody_CHATROOM},
			},
			"thread": {
				[]SendOption{WithChatType(ThreadChat)},
				&msync.Meta{}, &msync.MessageBody{Type: msync.MessageBody_GROUPCHAT, Meta: `{"thread":{}}`},
			},
			"translations": {
				[]SendOption{WithTranslations("fr")},
				&msync.Meta{}, &msync.MessageBody{Type: msync.MessageBody_CHAT, Meta: `{"translations":[{"code":"fr","text":"salut"}]}`},
			},
		} {
			result := later(func() sent {
				m, err := c.SendText(t.Context(), "X", "hi", tt.opts...)
				return sent{m, err}
			})
			meta, body := s.call()
			s.answer(meta.GetId(), msync.Status_OK, "", 5)
			if got := <-result; got.err != nil {
				t.Fatal(got.err)
			}
			domain := userDomain
			if tt.body.GetType() != msync.MessageBody_CHAT {
				domain = groupDomain
			}
			tt.meta.Ns, tt.meta.To = msync.Meta_CHAT, &msync.JID{AppKey: "stoa#demo", Name: "X", Domain: domain}
			if diff := cmp.Diff(tt.meta, meta, protocmp.Transform(), protocmp.IgnoreFields(meta, "id", "payload")); diff != "" {
				t.Errorf("%s: meta differs (-want +got):\n%s", name, diff)
			}
			tt.body.From, tt.body.To = &msync.JID{Name: "alice"}, &msync.JID{Name: "X"}
			tt.body.Contents = []*msync.MessageBody_Content{{Text: "hi"}}
			if diff := cmp.Diff(tt.body, body, protocmp.Transform()); diff != "" {
				t.Errorf("%s: body differs (-want +got):\n%s", name, diff)
			}
		}
	})
}

func TestASentMessageHasTheContentThatTheServerStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		c, s, events := p.online()
		answer := func(replacement *msync.Meta) sent {
			result := sendLater(t.Context(), c, "damn")
			meta, _ := s.call()
			s.send(msync.MSync_SYNC, &msync.CommSyncDL{Status: &msync.Status{}, MetaId: meta.GetId(), ServerId: 5, Metas: []*msync.Meta{replacement}})
			return <-result
		}
		if got := answer(textMeta(5, "alice", "****")); got.err != nil || got.m.Text != "****" {
			t.Errorf("message is %+v, %v", got.m, got.err)
		}
		wantEvents(t, events)
		if got := answer(&msync.Meta{Id: 5, Ns: msync.Meta_CHAT, Payload: []byte{0xff}}); got.err != nil || got.m.Text != "damn" {
			t.Errorf("message is %+v, %v", got.m, got.err)
		}
		wantEvents(t, events, "error 604")
	})
}

func TestRecall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		c, s, _ := p.online()
		m := &Message{ID: "77", From: "bob", Conversation: "G1", ChatType: GroupChat}
		result := later(func() error { return c.Recall(t.Context(), m, "sorry") })
		meta, body := s.call()
		want := &msync.MessageBody{
			Type: msync.MessageBody_RECALL, AckMessageId: 77, From: &msync.JID{Name: "alice"}, To: &msync.JID{Name: "G1"},
			Contents: []*msync.MessageBody_Content{{}},
		}
		if diff := cmp.Diff(want, body, protocmp.Transform()); diff != "" {
			t.Errorf("body differs (-want +got):\n%s", diff)
		}
		if meta.GetTo().GetDomain() != groupDomain || len(meta.GetExt()) != 1 || meta.GetExt()[0].GetKey() != recallText || meta.GetExt()[0].GetStringValue() != "sorry" {
			t.Errorf("meta is %v", meta)
		}
		s.answer(meta.GetId(), msync.Status_FAIL, "exceed recall time limit", 0)
		wantCode(t, <-result, errcode.RecallTimeLimit)

		result = later(func() error { return c.Recall(t.Context(), m, "") })
		meta, _ = s.call()
		s.answer(meta.GetId(), msync.Status_OK, "", 0)
		if err := <-result; err != nil || len(meta.GetExt()) > 0 {
			t.Errorf("recall without a text: %v, %v", err, meta)
		}
		wantCode(t, c.Recall(t.Context(), nil, ""), errcode.MessageParameterError)
		wantCode(t, c.Recall(t.Context(), &Message{Conversation: "bob"}, ""), errcode.MessageParameterError)
		wantCode(t, c.Recall(t.Context(), &Message{ID: "77"}, ""), errcode.MessageParameterError)
	})
}

func TestEdit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		c, s, events := p.online()
		m := &Message{ID: "77", From: "alice", To: "bob", Conversation: "bob", Content: Content{Text: "old"}, Ext: map[string]any{"k": "v"}}
		edit := func(notice string, opts ...SendOption) (*msync.MessageBody, sent) {
			t.Helper()
			result := later(func() sent {
				m, err := c.Edit(t.Context(), m, Content{Text: "new"}, opts...)
				return sent{m, err}
			})
			meta, body := s.call()
			answer := &msync.CommSyncDL{Status: &msync.Status{}, MetaId: meta.GetId(), ServerId: 78}
			if notice != "" {
				answer.Metas = []*msync.Meta{{Id: 78, Ns: msync.Meta_NOTIFY, Payload: []byte(notice)}}
			}
			s.send(msync.MSync_SYNC, answer)
			return body, <-result
		}
		body, got := edit(`{"edit_msg":{"count":2,"operator":"alice","edit_time":1700000000000,"sender":"alice","send_time":1600000000000,"chat_type":"chat:user"}}`)
		if got.err != nil {
			t.Fatal(got.err)
		}
		want := &msync.MessageBody{
			Type: msync.MessageBody_EDIT, EditMessageId: 77, EditScope: msync.MessageBody_BODY, From: &msync.JID{Name: "alice"}, To: &msync.JID{Name: "bob"},
			Contents: []*msync.MessageBody_Content{{Text: "new"}},
		}
		if diff := cmp.Diff(want, body, protocmp.Transform()); diff != "" {
			t.Errorf("body differs (-want +got):\n%s", diff)
		}
		edited := *m
		edited.Content.Text, edited.Edited = "new", &Edit{By: "alice", Time: time.UnixMilli(1_700_000_000_000), Count: 2}
		if diff := cmp.Diff(&edited, got.m); diff != "" {
			t.Errorf("message differs (-want +got):\n%s", diff)
		}
		if body, got = edit("", WithExt(map[string]any{"k": "w"})); body.GetEditScope() != msync.MessageBody_BODY_AND_EXT || got.m.Ext["k"] != "w" || got.m.Edited != nil {
			t.Errorf("edit with an extension is %v, %+v", body, got.m)
		}
		wantEvents(t, events)
		if _, got = edit("{"); got.err != nil {
			t.Error(got.err)
		}
		wantEvents(t, events, "error 604")
	})
}

func TestGroupReadReceiptsCarryAText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		c, s, _ := p.online()
		result := later(func() error {
			return c.SendRead(t.Context(), &Message{ID: "7", From: "bob", To: "G1", ChatType: GroupChat}, WithReceiptText("seen"))
		})
		meta, body := s.call()
		s.answer(meta.GetId(), msync.Status_FAIL, "group ack not open", 0)
		wantCode(t, <-result, errcode.ServerUnknownError)
		if body.GetAckContent() != "seen" || !body.GetMsgConfig().GetAllowGroupAck() || meta.GetTo().GetName() != "G1" || meta.GetTo().GetDomain() != groupDomain {
			t.Errorf("receipt is %v %v", meta, body)
		}
	})
}

// muc returns the next call about a chatroom.
func (s *socket) muc() (*msync.Meta, *msync.MUCBody) {
	s.t.Helper()
	meta := s.sync().GetMeta()
	body := new(msync.MUCBody)
	if meta.GetNs() != msync.Meta_MUC {
		s.t.Fatalf("SYNC is not about a chatroom: %v", meta)
	}
	if err := proto.Unmarshal(meta.GetPayload(), body); err != nil {
		s.t.Fatal(err)
	}
	return meta, body
}

type joined struct {
	state RoomState
	err   error
}

func joinLater(t *testing.T, c *Client, o JoinOptions) <-chan joined {
	return later(func() joined {
		state, err := c.Room("R1").Join(t.Context(), o)
		return joined{state, err}
	})
}

func TestJoiningAndLeavingAChatroom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		c, s, events := p.online()
		result := joinLater(t, c, JoinOptions{Ext: "hello", LeaveOthers: true})
		meta, body := s.muc()
		room := &msync.JID{AppKey: "stoa#demo", Name: "R1", Domain: groupDomain}
		if diff := cmp.Diff(&msync.Meta{From: &msync.JID{AppKey: "stoa#demo", Name: "alice", Domain: userDomain}, To: &msync.JID{Domain: userDomain}, Ns: msync.Meta_MUC},
			meta, protocmp.Transform(), protocmp.IgnoreFields(meta, "id", "payload")); diff != "" {
			t.Errorf("meta differs (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(&msync.MUCBody{MucId: room, Operation: msync.MUCBody_JOIN, From: &msync.JID{Name: "alice"}, IsChatroom: true, Ext: "hello", LeaveOtherRooms: true},
			body, protocmp.Transform()); diff != "" {
			t.Errorf("body differs (-want +got):\n%s", diff)
		}
		answer := func(id uint64, info string) {
			payload, err := proto.Marshal(&msync.MUCBody{MucId: room, Status: &msync.MUCBody_Status{ChatroomInfo: info}})
			if err != nil {
				t.Fatal(err)
			}
			s.send(msync.MSync_SYNC, &msync.CommSyncDL{Status: &msync.Status{}, MetaId: id, Metas: []*msync.Meta{{Id: 9, Ns: msync.Meta_MUC, Payload: payload}}})
		}
		answer(meta.GetId(), `{"alice":{"is_all_mute":true,"create_timestamp":1600000000000,"is_in_white_list":true,"member_count":3,"mute_duration":1700000000000}}`)
		want := RoomState{MutedAll: true, Allowed: true, Members: 3, Muted: true, MutedUntil: time.UnixMilli(1_700_000_000_000), Created: time.UnixMilli(1_600_000_000_000)}
		if got := <-result; got.err != nil || got.state != want {
			t.Errorf("state is %+v, %v", got.state, got.err)
		}

		result = joinLater(t, c, JoinOptions{})
		meta, _ = s.muc()
		s.answer(meta.GetId(), msync.Status_OK, "", 0)
		if got := <-result; got.err != nil || got.state != (RoomState{}) {
			t.Errorf("a join without a state is %+v", got)
		}
		wantEvents(t, events)
		result = joinLater(t, c, JoinOptions{})
		meta, _ = s.muc()
		answer(meta.GetId(), "{")
		if got := <-result; got.err != nil || got.state != (RoomState{}) {
			t.Errorf("a join with a state that is none is %+v", got)
		}
		wantEvents(t, events, "error 604")

		for reason, code := range map[string]errcode.Code{
			"grpID R1 does not exist!":                     errcode.ChatroomNotExist,
			"group member list is full!":                   errcode.ChatroomMembersFull,
			"can not join this group: is in the blacklist": errcode.PermissionDenied,
			"the user has joined too many chatrooms":       errcode.MaxLimit,
			"auto create failed":                           errcode.ServerBusy,
			"group ID illegal, please check it":            errcode.InvalidParameter,
		} {
			result = joinLater(t, c, JoinOptions{})
			meta, _ = s.muc()
			s.answer(meta.GetId(), msync.Status_FAIL, reason, 0)
			wantCode(t, (<-result).err, code)
		}

		left := later(func() error { return c.Room("R1").Leave(t.Context()) })
		meta, body = s.muc()
		if body.GetOperation() != msync.MUCBody_LEAVE || !body.GetIsChatroom() {
			t.Errorf("body is %v", body)
		}
		s.answer(meta.GetId(), msync.Status_FAIL, "not in group or chatroom", 0)
		wantCode(t, <-left, errcode.GroupNotJoined)
		wantCode(t, c.Room("").Leave(t.Context()), errcode.MessageParameterError)
	})
}

func TestAChatroomIsNotJoinedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		c, s, _ := p.online()
		broken := joinLater(t, c, JoinOptions{})
		s.muc()
		waiting := sendLater(t.Context(), c, "hi")
		s.call()
		p.set(func() { p.down = true })
		s.ws.CloseNow()
		wantCode(t, (<-broken).err, errcode.Disconnected)
		_, err := c.Room("R1").Join(t.Context(), JoinOptions{})
		wantCode(t, err, errcode.Disconnected)
		wantCode(t, c.Room("R1").Leave(t.Context()), errcode.Disconnected)

		p.set(func() { p.down = false })
		s = p.next()
		s.accept(time.Time{})
		meta, _ := s.call() // the message, and no join before it
		s.answer(meta.GetId(), msync.Status_OK, "", 5)
		if got := <-waiting; got.err != nil {
			t.Error(got.err)
		}
	})
}

func TestAJoinWithoutAnAnswerIsATimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		c, s, _ := p.online()
		result := joinLater(t, c, JoinOptions{})
		s.muc()
		wantCode(t, (<-result).err, errcode.RequestTimeout)
		p.next() // the client does not trust the connection any more
	})
}

func TestProbeAsksAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		c, s, _ := p.online()
		if !c.Connected() {
			t.Error("the client is not connected")
		}
		c.Probe()
		synctest.Wait()
		if frames := s.drained(); len(frames) != 1 || frames[0].GetCommand() != msync.MSync_UNREAD {
			t.Errorf("frames are %v", frames)
		}
		c.Close()
		c.Probe()
		if c.Connected() {
			t.Error("a closed client is connected")
		}
	})
}

func TestTheLoginInfoIsSentWithTheLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		c, _ := p.client(WithLoginInfo("from the kitchen"))
		result := later(func() error { return c.Login(t.Context(), "alice", Token("t1")) })
		s := p.next()
		if s.login.GetReason() != "from the kitchen" {
			t.Errorf("login is %v", s.login)
		}
		s.accept(time.Time{})
		if err := <-result; err != nil {
			t.Fatal(err)
		}
	})
	_, err := New("stoa#demo", WithLoginInfo(string(make([]byte, 1025))))
	wantCode(t, err, errcode.InvalidParameter)
}

// files lets the peer keep the last file that was uploaded.
func (p *peer) files() *[]byte {
	var kept []byte
	p.rest = func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.Write(kept)
			return
		}
		form, err := r.MultipartReader()
		if err != nil {
			p.t.Error(err)
			return
		}
		part, err := form.NextPart()
		if err != nil {
			p.t.Error(err)
			return
		}
		if kept, err = io.ReadAll(part); err != nil {
			p.t.Error(err)
		}
		io.Copy(io.Discard, r.Body)
		writeJSON(w, 200, map[string]any{"entities": []any{map[string]any{"uuid": "U1", "share-secret": "S"}}})
	}
	return &kept
}

func TestSendFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		kept := p.files()
		c, s, _ := p.online()
		result := later(func() sent {
			m, err := c.SendFile(t.Context(), "bob", NewFile("a.mp4", []byte("film")), Content{Kind: KindVideo, Duration: 3})
			return sent{m, err}
		})
		meta, body := s.call()
		s.answer(meta.GetId(), msync.Status_OK, "", 5)
		got := <-result
		if got.err != nil {
			t.Fatal(got.err)
		}
		const url = "http://peer.test/stoa/demo/chatfiles/U1"
		want := &msync.MessageBody_Content{
			Type: msync.MessageBody_Content_VIDEO, DisplayName: "a.mp4", RemotePath: url, SecretKey: "S", FileLength: 4, Duration: 3,
			ThumbnailRemotePath: url + "?vframe=true", ThumbnailSecretKey: "S",
		}
		if diff := cmp.Diff(want, body.GetContents()[0], protocmp.Transform()); diff != "" {
			t.Errorf("content differs (-want +got):\n%s", diff)
		}
		var file bytes.Buffer
		if err := c.Download(t.Context(), got.m.Content, &file); err != nil || file.String() != "film" || string(*kept) != "film" {
			t.Errorf("file is %q, %v", file.String(), err)
		}
		_, err := c.SendFile(t.Context(), "bob", File{Name: "a", Type: "image/png", Content: bytes.NewReader([]byte("x")), Size: 1}, Content{Kind: KindImage, GIF: true})
		wantCode(t, err, errcode.IllegalContent)
		_, err = c.SendFile(t.Context(), "", NewFile("a", []byte("x")), Content{Kind: KindFile})
		wantCode(t, err, errcode.MessageParameterError)
	})
}

func TestCombinedMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		kept := p.files()
		c, s, _ := p.online()
		parts := []*Message{
			{ID: "1", From: "bob", To: "alice", Conversation: "bob", Time: time.UnixMilli(1_600_000_000_000), Content: Content{Text: "hi"}, Ext: map[string]any{"k": "v"}},
			{ID: "2", From: "carol", To: "G1", Conversation: "G1", ChatType: GroupChat, Time: time.UnixMilli(1_600_000_000_001),
				Content: Content{Kind: KindCombined, Title: "older", Level: 1, URL: "u", Secret: "s", Name: "combine", Size: 3}},
		}
		combine := func() sent {
			result := later(func() sent {
				m, err := c.SendCombined(t.Context(), "bob", Combined{Title: "t", Summary: "s", Text: "update your program", Messages: parts})
				return sent{m, err}
			})
			meta, _ := s.call()
			s.answer(meta.GetId(), msync.Status_OK, "", 5)
			return <-result
		}
		got := combine()
		if got.err != nil {
			t.Fatal(got.err)
		}
		want := Content{
			Kind: KindCombined, Title: "t", Summary: "s", Text: "update your program", Level: 2, Name: "combine", Secret: "S", Size: len(*kept),
			URL: "http://peer.test/stoa/demo/chatfiles/U1?em-redirect=true&share-secret=S",
		}
		if diff := cmp.Diff(want, got.m.Content); diff != "" {
			t.Errorf("content differs (-want +got):\n%s", diff)
		}
		read, err := c.CombinedMessages(t.Context(), got.m.Content)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(parts, read); diff != "" {
			t.Errorf("messages differ (-want +got):\n%s", diff)
		}

		for name, broken := range map[string][]byte{
			"empty":       {},
			"header only": []byte("cm"),
			"header":      append([]byte("xx"), (*kept)[2:]...),
			"check byte":  append(slices.Clone((*kept)[:len(*kept)-1]), (*kept)[len(*kept)-1]^1),
			"cut off":     checked([]byte{'c', 'm', 0, 0, 0, 9, 1}),
			"no message":  checked([]byte{'c', 'm', 0, 0, 0, 1, 0xff}),
		} {
			*kept = broken
			if _, err := c.CombinedMessages(t.Context(), got.m.Content); codeOf(err) != errcode.ParseFileFailed {
				t.Errorf("%s is %v", name, err)
			}
		}

		*kept = make([]byte, combinedSize+1)
		if _, err := c.CombinedMessages(t.Context(), got.m.Content); err == nil || !strings.Contains(err.Error(), "larger than") {
			t.Errorf("a file that is too large is %v", err)
		}
	})
}

func TestACombinedMessageOfTheWebSDKIsRead(t *testing.T) {
	file, err := os.ReadFile("testdata/combined-by-web-sdk.bin") // as agora-chat 1.4.0 uploaded it
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeCombined("carol", file)
	if err != nil {
		t.Fatal(err)
	}
	want := []*Message{
		{ID: "913933572073586688", From: "alice-92f7eca5", To: "bob-85d6ecce", Conversation: "alice-92f7eca5", Time: time.UnixMilli(1_795_735_543_647),
			Content: Content{Text: "first ☃"}, Ext: map[string]any{"k": "v"}},
		{ID: "913933572149084160", From: "alice-92f7eca5", To: "bob-85d6ecce", Conversation: "alice-92f7eca5", Time: time.UnixMilli(1_795_735_543_665),
			Content: Content{Kind: KindCustom, Event: "gift", Params: map[string]any{"n": "1"}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("messages differ (-want +got):\n%s", diff)
	}
}

func checked(data []byte) []byte { return append(data, checkByte(data)) }

func TestCombinedMessagesHaveLimits(t *testing.T) {
	text := &Message{ID: "1", From: "bob", To: "alice", Content: Content{Text: "hi"}}
	deep := &Message{ID: "1", From: "bob", To: "alice", Content: Content{Kind: KindCombined, Level: 10}}
	for name, messages := range map[string][]*Message{"none": nil, "too many": slices.Repeat([]*Message{text}, 301), "too deep": {text, deep}} {
		if _, _, err := encodeCombined("stoa#demo", messages); err == nil || err.Code != errcode.MaxLimit {
			t.Errorf("%s is %v, want 50", name, err)
		}
	}
	if _, _, err := encodeCombined("stoa#demo", []*Message{nil}); err == nil || err.Code != errcode.InvalidParameter {
		t.Errorf("nil is %v, want -3", err)
	}
	if _, level, err := encodeCombined("stoa#demo", slices.Repeat([]*Message{text}, 300)); err != nil || level != 1 {
		t.Errorf("300 messages have level %d, %v", level, err)
	}
}
