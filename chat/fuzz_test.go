package chat

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/internal/msync"
)

// FuzzReceive gives a session any bytes as a frame, twice: nothing may panic, hang, or make the client answer without
// bound, and what it answers must decode.
func FuzzReceive(f *testing.F) {
	for _, sample := range []string{
		"40 02 4A 05 0A 03 12 01 71",
		"4A 09 0A 00 32 03 12 01 71 38 01",
		"4A 15 0A 00 10 2A 18 88 80 D8 D8 D7 C1 C4 E8 14 40 D3 BE 81 A8 A0 34",
	} {
		data, err := hex.DecodeString(strings.ReplaceAll(sample, " ", ""))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	add := func(command msync.MSync_Command, payload proto.Message) {
		data, err := frame(command, payload)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	queue := &msync.JID{AppKey: "stoa#demo", Name: "q", Domain: userDomain}
	add(msync.MSync_UNREAD, &msync.CommUnreadDL{Status: &msync.Status{}, Unread: []*msync.MetaQueue{{Queue: queue, N: 2}, {}}, Timestamp: 1_700_000_000_000})
	add(msync.MSync_SYNC, &msync.CommSyncDL{Status: &msync.Status{ErrorCode: msync.Status_FAIL, Reason: "nonroster"}, MetaId: 42})
	receipt := &msync.MessageBody{
		Type: msync.MessageBody_READ_ACK, AckMessageId: 5,
		Ext: []*msync.KeyValue{{Value: &msync.KeyValue_StringValue{StringValue: `{"5":3}`}}},
	}
	add(msync.MSync_SYNC, &msync.CommSyncDL{Queue: queue, NextKey: 7, Metas: []*msync.Meta{
		textMeta(1, "bob", "hi"), bodyMeta(2, "bob", receipt), bodyMeta(3, "bob", &msync.MessageBody{Type: msync.MessageBody_CHANNEL_ACK}),
		{Id: 4, Ns: msync.Meta_NOTIFY, Payload: []byte("{}")}, {},
	}})
	add(msync.MSync_SYNC, &msync.CommSyncDL{Queue: queue, NextKey: 8, Metas: []*msync.Meta{
		placeMeta(5, &msync.MUCBody{Operation: msync.MUCBody_UPDATE, EventInfo: &msync.MUCBody_EventInfo{Ext: `{"name":"g"}`}}),
		placeMeta(6, &msync.MUCBody{Operation: msync.MUCBody_SET_METADATA, IsChatroom: true, EventInfo: &msync.MUCBody_EventInfo{Ext: `{"properties":{}}`}}),
		placeMeta(7, &msync.MUCBody{Operation: msync.MUCBody_THREAD_KICK, IsThread: true}),
		noticeMeta(8, `{"type":"presence","data":{"values":[{"uid":"bob","status":{"a":"1"}}]}}`),
		noticeMeta(9, `{"type":"reaction","data":[{"reactions":[{"op":[{}]}]}]}`),
		noticeMeta(10, `{"type":"thread","data":{"operation":"update_msg","last_message":{"id":"1","payload":"{}"}}}`),
		noticeMeta(11, `{"type":"conv","data":{"op":"mark","ext":"mark_1"}}`),
		noticeMeta(12, `{"type":"user_notification_mute","values":[{"data":{"ignoreInterval":"1:2-3:4"}}]}`),
		bodyMeta(13, "bob", &msync.MessageBody{Type: msync.MessageBody_RECALL, AckMessageId: 1}),
		bodyMeta(14, "bob", &msync.MessageBody{Type: msync.MessageBody_EDIT, Contents: []*msync.MessageBody_Content{{}}, Meta: `{"edit_msg":{"count":1}}`}),
	}})
	add(msync.MSync_SYNC, &msync.CommSyncDL{Queue: queue, IsLast: true, Metas: []*msync.Meta{kickMeta(msync.StatisticsBody_USER_REMOVED, "x")}})

	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := New("stoa#demo", WithDeliveryReceipts(), WithLogger(slog.New(slog.DiscardHandler)))
		if err != nil {
			t.Fatal(err)
		}
		c.AddEventListener("all", (&eventLog{}).listener())
		c.AddEventListener("bad", Listener{OnMessage: func(*Message) { panic("x") }})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s := newSession(c, "alice", Token("t"), ctx.Done(), cancel)
		cn := &conn{wake: make(chan struct{}, 1), pulls: map[string]bool{}}
		c.mu.Lock()
		c.session, s.phase, s.conn = s, online, cn
		s.expiry.start(s, time.Now().Add(time.Hour))
		u := &uplink{id: 42, op: "send", done: make(chan struct{})}
		if err := s.open(u, "alice"); err != nil {
			t.Fatal(err)
		}
		c.mu.Unlock()

		s.receive(cn, data)
		s.receive(cn, data)
		idle := make(chan struct{})
		c.events.post(func() { close(idle) })
		<-idle

		c.mu.Lock()
		defer c.mu.Unlock()
		s.expiry.stop()
		if len(cn.control) > 2*len(data)+4 {
			t.Errorf("%d frames answer %d bytes", len(cn.control), len(data))
		}
		for e := s.queue.Front(); e != nil; e = e.Next() {
			if frame := e.Value.(*uplink).frame; frame != nil {
				cn.control = append(cn.control, frame)
			}
		}
		for _, frame := range cn.control {
			var up msync.MSync
			if err := proto.Unmarshal(frame, &up); err != nil {
				t.Fatalf("answer does not decode: %v", err)
			}
			if up.GetCommand() == msync.MSync_SYNC {
				if err := proto.Unmarshal(up.GetPayload(), new(msync.CommSyncUL)); err != nil {
					t.Errorf("answer's payload does not decode: %v", err)
				}
			}
		}
	})
}

// FuzzCombined reads any bytes as the file of a combined message; what is read can be combined again.
func FuzzCombined(f *testing.F) {
	data, _, err := encodeCombined("stoa#demo", []*Message{
		{ID: "1", From: "bob", To: "alice", Content: Content{Text: "hi"}},
		{ID: "2", From: "bob", To: "G1", ChatType: GroupChat, Content: Content{Kind: KindCustom, Event: "e"}},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte("cm\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, file := range [][]byte{data, append(append([]byte(combinedHeader), data...), checkByte(append([]byte(combinedHeader), data...)))} {
			messages, err := decodeCombined("alice", file)
			if err != nil || len(messages) == 0 {
				continue
			}
			for _, m := range messages { // deeper ones are refused
				m.Level = 0
			}
			if _, _, err := encodeCombined("stoa#demo", messages); err != nil {
				t.Errorf("what was read cannot be combined: %v", err)
			}
		}
	})
}

// FuzzMessageJSON reads any text as a message of the REST interface.
func FuzzMessageJSON(f *testing.F) {
	f.Add([]byte(`{"id":"1","from":"bob","to":"alice","timestamp":1,"payload":"{\"bodies\":[{\"type\":\"txt\",\"msg\":\"hi\"}]}"}`))
	f.Add([]byte(`{"id":"1","payload":{"bodies":[{"type":"custom","customExts":[{"a":1}]}],"ext":{"n":1e99},"meta":{"thread":{},"edit_msg":{"count":"2"}}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var m messageJSON
		if json.Unmarshal(data, &m) == nil {
			m.message("alice")
		}
	})
}
