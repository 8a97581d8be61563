package chat

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/msync"
)

func TestExtensionValuesTravel(t *testing.T) {
	type named int
	in := map[string]any{
		"bool": true, "false": false, "int": 7, "negative": -1, "long": int64(1) << 40, "byte": uint8(3), "named": named(4),
		"float": 1.5, "single": float32(0.5), "infinite": math.Inf(1), "text": "héllo", "empty": "", "nil": nil,
		"list": []int{1, 2}, "map": map[string]any{"a": []any{"b", true}}, "bytes": []byte("x"),
	}
	want := map[string]any{
		"bool": true, "false": false, "int": int64(7), "negative": int64(-1), "long": int64(1) << 40, "byte": int64(3), "named": int64(4),
		"float": 1.5, "single": 0.5, "infinite": math.Inf(1), "text": "héllo", "empty": "", "nil": nil,
		"list": []any{1.0, 2.0}, "map": map[string]any{"a": []any{"b", true}}, "bytes": "eA==",
	}
	wire, err := encodeMap(in)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, decodeMap(wire)); diff != "" {
		t.Errorf("map differs (-want +got):\n%s", diff)
	}
	for i := 1; i < len(wire); i++ {
		if wire[i-1].GetKey() >= wire[i].GetKey() {
			t.Errorf("keys are not in order: %s, %s", wire[i-1].GetKey(), wire[i].GetKey())
		}
	}
}

func TestExtensionValuesWithoutWireForm(t *testing.T) {
	for name, v := range map[string]any{"function": func() {}, "channel": make(chan int), "64 bits": uint64(math.MaxUint64), "not a number": []float64{math.NaN()}} {
		if _, err := encodeMap(map[string]any{"k": v}); err == nil || err.Code != errcode.InvalidParameter {
			t.Errorf("%s gives %v, want -3", name, err)
		}
	}
}

func TestExtensionValuesOfOthers(t *testing.T) {
	got := decodeMap([]*msync.KeyValue{
		{Key: "no type", Value: &msync.KeyValue_VarintValue{VarintValue: 1}},
		{Key: "float", Type: msync.KeyValue_FLOAT, Value: &msync.KeyValue_FloatValue{FloatValue: 0.5}},
		{Key: "uint", Type: msync.KeyValue_UINT, Value: &msync.KeyValue_VarintValue{VarintValue: 9}},
		{Key: "bad JSON", Type: msync.KeyValue_JSON_STRING, Value: &msync.KeyValue_StringValue{StringValue: "{"}},
		{Key: "type and value differ", Type: msync.KeyValue_STRING, Value: &msync.KeyValue_VarintValue{VarintValue: 9}},
		{Key: "future", Type: 77},
	})
	want := map[string]any{"no type": true, "float": 0.5, "uint": int64(9), "bad JSON": "{", "type and value differ": "", "future": false}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("map differs (-want +got):\n%s", diff)
	}
}

func TestContentsTravel(t *testing.T) {
	file := func(c Content) Content {
		c.Name, c.URL, c.Secret, c.Size = "a.bin", "https://chat.example.com/stoa/demo/chatfiles/1", "s", 12
		return c
	}
	for _, c := range []Content{
		{},
		{Text: "hi"},
		file(Content{Kind: KindImage, Width: 640, Height: 480, ThumbnailURL: "t", ThumbSecret: "ts"}),
		file(Content{Kind: KindImage, GIF: true}),
		file(Content{Kind: KindVideo, Duration: 3, Width: 1, Height: 2}),
		file(Content{Kind: KindAudio, Duration: 3}),
		file(Content{Kind: KindFile}),
		file(Content{Kind: KindCombined, Text: "old", Title: "t", Summary: "s", Level: 2}),
		{Kind: KindLocation, Latitude: 1.5, Longitude: -2.5, Address: "a", Building: "b"},
		{Kind: KindCommand, Action: "TypingBegin"},
		{Kind: KindCustom, Event: "gift", Params: map[string]any{"n": int64(1)}},
	} {
		wire, err := encodeContent(c)
		if err != nil {
			t.Fatal(err)
		}
		got, decodeErr := decodeContent(wire)
		if decodeErr != nil {
			t.Fatal(decodeErr)
		}
		if diff := cmp.Diff(c, got); diff != "" {
			t.Errorf("content of kind %d differs (-want +got):\n%s", c.Kind, diff)
		}
	}
	if _, err := encodeContent(Content{Kind: 99}); err == nil || err.Code != errcode.InvalidParameter {
		t.Errorf("unknown kind gives %v", err)
	}
	if _, err := encodeContent(Content{Kind: KindCustom, Params: map[string]any{"f": func() {}}}); err == nil || err.Code != errcode.InvalidParameter {
		t.Errorf("unencodable parameter gives %v", err)
	}
}

func TestTextWithSubTypeZeroIsCombined(t *testing.T) {
	for name, tt := range map[string]struct {
		in   *msync.MessageBody_Content
		want Kind
	}{
		"no sub type":  {&msync.MessageBody_Content{}, KindText},
		"sub type 0":   {&msync.MessageBody_Content{SubType: msync.MessageBody_Content_SUB_COMBINE.Enum()}, KindCombined},
		"sub type 1":   {&msync.MessageBody_Content{SubType: msync.MessageBody_Content_SUB_GIF.Enum()}, KindText},
		"type COMBINE": {&msync.MessageBody_Content{Type: msync.MessageBody_Content_COMBINE}, KindCombined},
	} {
		if got, err := decodeContent(tt.in); err != nil || got.Kind != tt.want {
			t.Errorf("%s is %v, %v, want %v", name, got.Kind, err, tt.want)
		}
	}
}

func TestMessagesAreDecoded(t *testing.T) {
	meta := &msync.Meta{
		Id: 1500000000000000008, Timestamp: 1_700_000_000_000,
		From: &msync.JID{Name: "bob", ClientResource: "ios_1"}, To: &msync.JID{Name: "alice"},
	}
	body := &msync.MessageBody{
		Type: msync.MessageBody_CHAT, From: &msync.JID{Name: "bob"}, To: &msync.JID{Name: "alice"},
		Contents: []*msync.MessageBody_Content{{Text: "hi"}},
		Ext:      []*msync.KeyValue{{Key: "k", Type: msync.KeyValue_STRING, Value: &msync.KeyValue_StringValue{StringValue: "v"}}},
	}
	want := &Message{
		ID: "1500000000000000008", From: "bob", Device: "ios_1", To: "alice", Conversation: "bob", Time: time.UnixMilli(1_700_000_000_000),
		Content: Content{Text: "hi"}, Ext: map[string]any{"k": "v"},
	}
	got, err := decodeMessage("alice", meta, body)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("message differs (-want +got):\n%s", diff)
	}

	t.Run("of the user's other device", func(t *testing.T) {
		got, err := decodeMessage("bob", meta, body)
		if err != nil || got.Conversation != "alice" {
			t.Errorf("conversation is %q, %v", got.Conversation, err)
		}
	})
	t.Run("of a group", func(t *testing.T) {
		body.Type, body.To = msync.MessageBody_GROUPCHAT, &msync.JID{Name: "g1"}
		got, err := decodeMessage("alice", meta, body)
		if err != nil || got.Conversation != "g1" || got.ChatType != GroupChat {
			t.Errorf("message is %+v, %v", got, err)
		}
	})
	t.Run("with names in the Meta only", func(t *testing.T) {
		got, err := decodeMessage("alice", meta, &msync.MessageBody{Type: msync.MessageBody_CHATROOM, Contents: body.Contents})
		if err != nil || got.From != "bob" || got.To != "alice" || got.ChatType != RoomChat {
			t.Errorf("message is %+v, %v", got, err)
		}
	})
	t.Run("without content", func(t *testing.T) {
		if _, err := decodeMessage("alice", meta, &msync.MessageBody{Type: msync.MessageBody_CHAT}); err == nil {
			t.Error("no error")
		}
	})
	t.Run("with content of another time", func(t *testing.T) {
		body := &msync.MessageBody{Type: msync.MessageBody_CHAT, Contents: []*msync.MessageBody_Content{{Type: 77}}}
		if _, err := decodeMessage("alice", meta, body); err == nil {
			t.Error("no error")
		}
	})
}

func TestReceiptsAreDecoded(t *testing.T) {
	meta := &msync.Meta{Id: 9, Timestamp: 1_700_000_000_000, From: &msync.JID{Name: "bob"}, To: &msync.JID{Name: "alice", Domain: userDomain}}
	body := &msync.MessageBody{Type: msync.MessageBody_READ_ACK, From: &msync.JID{Name: "bob"}, To: &msync.JID{Name: "alice"}, AckMessageId: 5}
	want := &Receipt{MessageID: "5", From: "bob", Conversation: "bob", Time: time.UnixMilli(1_700_000_000_000)}
	if diff := cmp.Diff(want, decodeReceipt("alice", meta, body)); diff != "" {
		t.Errorf("receipt differs (-want +got):\n%s", diff)
	}
	body.MsgConfig = &msync.MessageBody_MessageConfig{AllowGroupAck: true}
	if got := decodeReceipt("alice", meta, body); got.Conversation != "" {
		t.Errorf("conversation of a group receipt to a user is %q", got.Conversation)
	}
	meta.To = &msync.JID{Name: "g1", Domain: groupDomain}
	body.To, body.AckContent = &msync.JID{Name: "g1"}, "seen"
	body.Ext = []*msync.KeyValue{{Value: &msync.KeyValue_StringValue{StringValue: `{"5":3}`}}}
	want = &Receipt{MessageID: "5", From: "bob", Conversation: "g1", Time: time.UnixMilli(1_700_000_000_000), ReadCount: 3, Text: "seen"}
	if diff := cmp.Diff(want, decodeReceipt("alice", meta, body)); diff != "" {
		t.Errorf("group receipt differs (-want +got):\n%s", diff)
	}
	body.Ext[0].Value = &msync.KeyValue_StringValue{StringValue: "not JSON"}
	if got := decodeReceipt("alice", meta, body); got.ReadCount != 0 {
		t.Errorf("count of no JSON is %d", got.ReadCount)
	}
}

func TestSeenIDsForgetTheOldest(t *testing.T) {
	x := seenIDs{size: 3}
	x.of("alice")
	for id := uint64(1); id <= 4; id++ {
		if !x.add(id) {
			t.Errorf("%d is not new", id)
		}
	}
	if x.add(2) || x.add(3) || x.add(4) {
		t.Error("one of the last three is new")
	}
	if !x.add(1) {
		t.Error("the fourth last is known")
	}
	x.of("alice")
	if x.add(4) {
		t.Error("the same user's ids are forgotten")
	}
	x.of("bob")
	if !x.add(4) {
		t.Error("another user's ids are known")
	}
	if len(x.set) != 1 || len(x.ring) != 1 {
		t.Errorf("%d and %d ids are kept", len(x.set), len(x.ring))
	}
}
