package bench

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/stoa-chat/stoa/internal/msync"
)

func unhex(t testing.TB, s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The bytes are those that the web client sends: docs/protocol/wire.md, sample frames.
func TestFramesUpAreThoseOfTheWebClient(t *testing.T) {
	text := newTextMessage(bodySingle, "o#a", "me", "bob", 42, []byte("hi"))
	q := unhex(t, "12 01 71")
	for _, test := range []struct {
		name, want string
		got        []byte
	}{
		{"unread", "08 00 40 01 58 00", appendMSync(nil, commandUnread, nil)},
		{"ask for a queue", "08 00 40 00 4A 05 1A 03 12 01 71 58 00", appendReceived(nil, q, 0, false)},
		{"acknowledge 7", "08 00 40 00 4A 07 10 07 1A 03 12 01 71 58 00", appendReceived(nil, q, 7, true)},
		{"text", "08 00 40 00 4A 3A 0A 38 08 2A 1A 17 0A 03 6F 23 61 12 03 62 6F 62 1A 0B 65 61 73 65 6D 6F 62 2E 63 6F 6D " +
			"28 01 32 17 08 01 12 04 12 02 6D 65 1A 05 12 03 62 6F 62 22 06 08 00 12 02 68 69 38 00 58 00", text.frame},
	} {
		if diff := cmp.Diff(unhex(t, test.want), test.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestProvisionSaysWhoSignsIn(t *testing.T) {
	now := time.UnixMilli(1795380240211)
	var frame msync.MSync
	if err := proto.Unmarshal(provision("o#a", "me", "secret", "webim_web_x", now), &frame); err != nil {
		t.Fatal(err)
	}
	var p msync.Provision
	if err := proto.Unmarshal(frame.Payload, &p); err != nil {
		t.Fatal(err)
	}
	frame.Payload = nil
	wantFrame := &msync.MSync{Command: msync.MSync_PROVISION, Auth: "$t$secret", EncryptType: []msync.EncryptType{0},
		Guid: &msync.JID{AppKey: "o#a", Name: "me", Domain: "easemob.com", ClientResource: "webim_web_x"}}
	want := &msync.Provision{OsType: 16, Version: "1.4.0", CompressType: []msync.Provision_CompressType{0},
		EncryptType: []msync.EncryptType{0}, DeviceUuid: "webim_web_x", DeviceName: "webim_web_x", Resource: "webim_web_x",
		ActionVersion: "v5.1", AuthToken: `{"token":"$t$secret"}`, SessionId: "1795380240211:"}
	if diff := cmp.Diff(wantFrame, &frame, protocmp.Transform()); diff != "" {
		t.Errorf("frame (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, &p, protocmp.Transform()); diff != "" {
		t.Errorf("provision (-want +got):\n%s", diff)
	}
}

func TestOneTextMessageServesForAll(t *testing.T) {
	m := newTextMessage(bodySingle, "o#a", "me", "bob", 1, []byte(strings.Repeat("-", 200)))
	for _, id := range []uint64{1, 127, 128, 530_000_000_000, 530_000_000_001, 1<<63 + 5} {
		m.setID(id)
		stamp(m.text, 7, id&0xffff, time.Duration(id&0xfffff))
		var frame msync.MSync
		var up msync.CommSyncUL
		var body msync.MessageBody
		if err := proto.Unmarshal(m.frame, &frame); err != nil {
			t.Fatal(err)
		}
		if err := proto.Unmarshal(frame.Payload, &up); err != nil {
			t.Fatal(err)
		}
		if err := proto.Unmarshal(up.Meta.Payload, &body); err != nil {
			t.Fatal(err)
		}
		if up.Meta.Id != id {
			t.Errorf("id %d, want %d", up.Meta.Id, id)
		}
		pair, number, at, ok := parseStamp([]byte(body.Contents[0].Text))
		if pair != 7 || number != id&0xffff || at != time.Duration(id&0xfffff) || !ok {
			t.Errorf("stamp of %d: %d, %d, %d, %t", id, pair, number, at, ok)
		}
		if len(body.Contents[0].Text) != 200 {
			t.Errorf("the text has %d bytes", len(body.Contents[0].Text))
		}
	}
}

func TestStampSurvivesItsLargestNumbers(t *testing.T) {
	body := make([]byte, stampSize)
	stamp(body, 1<<32-1, 1<<48-1, 1<<63-1)
	pair, number, at, ok := parseStamp(body)
	if pair != 1<<32-1 || number != 1<<48-1 || at != 1<<63-1 || !ok {
		t.Errorf("%d, %d, %d, %t", pair, number, at, ok)
	}
	if _, _, _, ok := parseStamp([]byte("too short")); ok {
		t.Error("a short body has a stamp")
	}
	if _, _, _, ok := parseStamp([]byte(strings.Repeat("x", 100))); ok {
		t.Error("a body that is not hexadecimal has a stamp")
	}
}

// FuzzReadSync compares reading by hand with the generated code.
func FuzzReadSync(f *testing.F) {
	f.Add(uint64(42), uint64(7), uint64(1), int32(0), "nonroster", "q", "text", true, uint8(3))
	f.Add(uint64(0), uint64(1<<64-1), uint64(0), int32(19), "", "", "", false, uint8(0))
	f.Fuzz(func(t *testing.T, metaID, key, id uint64, code int32, reason, queue, text string, last bool, n uint8) {
		down := &msync.CommSyncDL{MetaId: metaID, NextKey: key, IsLast: last, Queue: &msync.JID{Name: queue, AppKey: "o#a"},
			Status: &msync.Status{ErrorCode: msync.Status_ErrorCode(code), Reason: reason}}
		body, err := proto.Marshal(&msync.MessageBody{Type: 1, Contents: []*msync.MessageBody_Content{{Text: text}}})
		if err != nil {
			t.Skip("invalid UTF-8")
		}
		for range n {
			down.Metas = append(down.Metas, &msync.Meta{Id: id, Ns: msync.Meta_CHAT, Payload: body})
		}
		payload, err := proto.Marshal(down)
		if err != nil {
			t.Skip("invalid UTF-8")
		}
		frame, err := proto.Marshal(&msync.MSync{Payload: payload})
		if err != nil {
			t.Fatal(err)
		}
		command, payload, err := parseMSync(frame)
		if command != commandSync || err != nil {
			t.Fatalf("command %d, %v", command, err)
		}
		d, err := parseSync(payload)
		if err != nil {
			t.Fatal(err)
		}
		if d.metaID != metaID || d.nextKey != key || d.last != last || d.metas != int(n) || string(queueName(d.queue)) != queue {
			t.Errorf("read %+v from %v", d, down)
		}
		gotCode, gotReason, err := parseStatus(d.status)
		if uint64(int64(code)) != gotCode || string(gotReason) != reason || err != nil {
			t.Errorf("status %d %q, %v", gotCode, gotReason, err)
		}
		for rest := (fields{rest: payload}); rest.next(); {
			if rest.field != 4 {
				continue
			}
			gotID, ns, gotBody, err := parseMeta(rest.bytes)
			if gotID != id || ns != nsChat || err != nil || string(first(first(gotBody, 4), 2)) != text {
				t.Errorf("meta %d, %d, %x, %v", gotID, ns, gotBody, err)
			}
		}
	})
}
