package msync

import (
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
)

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func marshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// frame is an MSync as the server sends it: command 0 is left out.
func frame(t testing.TB, command MSync_Command, payload proto.Message) []byte {
	t.Helper()
	return marshal(t, &MSync{Command: command, Payload: marshal(t, payload)})
}

func open[M any, P interface {
	*M
	proto.Message
}](t testing.TB, b []byte) P {
	t.Helper()
	var envelope MSync
	if err := proto.Unmarshal(b, &envelope); err != nil {
		t.Fatalf("frame %x: %v", b, err)
	}
	p := P(new(M))
	if err := proto.Unmarshal(envelope.Payload, p); err != nil {
		t.Fatalf("payload %x: %v", envelope.Payload, err)
	}
	return p
}

// The frames of docs/protocol/wire.md §15, as a real client and a real server sent them.
const (
	upUnread   = "08 00 40 01 58 00"
	downNotice = "40 02 4A 05 0A 03 12 01 71"
	upPull     = "08 00 40 00 4A 05 1A 03 12 01 71 58 00"
	downLast   = "4A 09 0A 00 32 03 12 01 71 38 01"
	upText     = "08 00 40 00 4A 3A 0A 38 08 2A 1A 17 0A 03 6F 23 61 12 03 62 6F 62 1A 0B 65 61 73 65 6D 6F 62 2E 63 6F 6D 28 01 32 17 08 01 12 04 12 02 6D 65 1A 05 12 03 62 6F 62 22 06 08 00 12 02 68 69 38 00 58 00"
	downAnswer = "4A 15 0A 00 10 2A 18 88 80 D8 D8 D7 C1 C4 E8 14 40 D3 BE 81 A8 A0 34"
)

func TestFramesThatWeWriteAreTheSampleFrames(t *testing.T) {
	for _, test := range []struct {
		name, want string
		got        []byte
	}{
		{"a notice", downNotice, AppendNotice(nil, "q")},
		{"the end of a queue", downLast, AppendBatch(nil, Batch{Queue: "q", Last: true})},
		{"the end of a queue that the client named", downLast, AppendEmptyBatch(nil, unhex(t, "12 01 71"))},
		{"an answer", downAnswer, AppendAnswer(nil, Answer{MetaID: 42, ServerID: 1500000000000000008, Time: 1795380240211})},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(unhex(t, test.want), test.got); diff != "" {
				t.Errorf("(-wire.md +helper):\n%s", diff)
			}
		})
	}
}

func TestSampleFramesOfClientsAreRead(t *testing.T) {
	f, err := ReadFrame(unhex(t, upUnread))
	if err != nil || f.Command != MSync_UNREAD || len(f.Payload) != 0 {
		t.Errorf("UNREAD is read as %+v, %v", f, err)
	}

	f, err = ReadFrame(unhex(t, upPull))
	if err != nil || f.Command != MSync_SYNC {
		t.Fatalf("SYNC of a queue is read as %+v, %v", f, err)
	}
	up, err := ReadUpload(f.Payload)
	if err != nil || up.HasKey || up.Meta != nil {
		t.Errorf("SYNC of a queue holds %+v, %v", up, err)
	}
	if name, err := QueueName(up.Queue); name != "q" || err != nil {
		t.Errorf("its queue is %q, %v", name, err)
	}

	f, err = ReadFrame(unhex(t, upText))
	if err != nil {
		t.Fatal(err)
	}
	if up, err = ReadUpload(f.Payload); err != nil || up.HasKey || up.Queue != nil {
		t.Fatalf("SYNC of a message holds %+v, %v", up, err)
	}
	if id, err := MetaID(up.Meta); id != 42 || err != nil {
		t.Errorf("its id is %d, %v", id, err)
	}
	var meta Meta
	var body MessageBody
	if err := errors.Join(proto.Unmarshal(up.Meta, &meta), proto.Unmarshal(meta.Payload, &body)); err != nil {
		t.Fatal(err)
	}
	want := &MessageBody{Type: MessageBody_CHAT, From: &JID{Name: "me"}, To: &JID{Name: "bob"}, Contents: []*MessageBody_Content{{Text: "hi"}}}
	if diff := cmp.Diff(want, &body, protocmp.Transform()); diff != "" {
		t.Errorf("its body (-want +got):\n%s", diff)
	}
}

// numbers are those at which the length of a varint changes.
var numbers = []uint64{0, 1, 127, 128, 1<<14 - 1, 1 << 14, 1<<35 - 1, 1 << 35, 1<<63 - 1, 1 << 63, math.MaxUint64}

func TestAppendAnswerEqualsTheGeneratedCode(t *testing.T) {
	reasons := []string{"", "blocked", strings.Repeat("é", 63), strings.Repeat("é", 64), strings.Repeat("x", 1<<14)}
	for _, id := range numbers[1:] {
		for _, server := range []uint64{1, 1<<63 - 1} {
			for _, status := range []Status_ErrorCode{0, 7, 200} {
				for _, reason := range reasons {
					a := Answer{MetaID: id, ServerID: int64(server), Time: int64(id), Status: status, Reason: reason}
					want := frame(t, MSync_SYNC, &CommSyncDL{Status: &Status{ErrorCode: status, Reason: reason}, MetaId: id, ServerId: server, Timestamp: id})
					if got := AppendAnswer([]byte("before"), a); string(got) != "before"+string(want) {
						t.Fatalf("%+v is\n%x, want\n%x", a, got, want)
					}
				}
			}
		}
	}
}

func TestAnAnswerMayCarryMetas(t *testing.T) {
	meta := &Meta{Id: 5, Timestamp: 6, From: &JID{Name: "alice"}, Ns: Meta_NOTIFY, Payload: []byte(`{"edit_msg":{}}`)}
	stored, err := StoredMeta(meta)
	if err != nil {
		t.Fatal(err)
	}
	got := open[CommSyncDL](t, AppendAnswer(nil, Answer{MetaID: 7, ServerID: 5, Time: 6, Metas: AppendMeta(nil, 5, 6, stored)}))
	want := &CommSyncDL{MetaId: 7, ServerId: 5, Timestamp: 6, Status: &Status{}, Metas: []*Meta{meta}}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What is zero is written all the same: the client reads it as absent.
func TestAppendAnswerWithoutServerIDDecodes(t *testing.T) {
	got := open[CommSyncDL](t, AppendAnswer(nil, Answer{MetaID: 7, Status: 1, Reason: "blocked"}))
	want := &CommSyncDL{MetaId: 7, Status: &Status{ErrorCode: 1, Reason: "blocked"}}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := open[CommSyncDL](t, AppendAnswer(nil, Answer{MetaID: 7})); got.Status == nil {
		t.Error("an answer that tells of success has no status")
	}
}

func someMeta() *Meta {
	return &Meta{
		Id: 77, Timestamp: 1700000000000,
		From: &JID{Name: "alice", Domain: UserDomain, ClientResource: "webim_web_1"}, To: &JID{Name: "bob", Domain: UserDomain},
		Ns: Meta_CHAT, Payload: []byte{0, 1, 2, 0xff}, Ext: []*KeyValue{{Key: "k", Type: 7, Value: &KeyValue_StringValue{StringValue: "v"}}},
	}
}

func TestStoredMetaHoldsAllButIDAndTimeAndLeavesItsArgument(t *testing.T) {
	m := someMeta()
	stored, err := StoredMeta(m)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(someMeta(), m, protocmp.Transform()); diff != "" {
		t.Errorf("the argument was changed (-before +after):\n%s", diff)
	}
	var got Meta
	if err := proto.Unmarshal(stored, &got); err != nil {
		t.Fatal(err)
	}
	want := someMeta()
	want.Id, want.Timestamp = 0, 0
	if diff := cmp.Diff(want, &got, protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestBatchesDecodeAsWhatTheyWereMadeOf(t *testing.T) {
	for _, size := range []int{0, 1, 2, 40} {
		for _, key := range []int64{0, 1, math.MaxInt64} {
			for _, last := range []bool{false, true} {
				batch := Batch{Queue: strings.Repeat("9", 4*size), NextKey: key, Last: last}
				want := &CommSyncDL{Status: &Status{}, Queue: &JID{Name: batch.Queue}, NextKey: uint64(key), IsLast: last}
				for i := range size {
					m := someMeta()
					m.Id, m.Timestamp = numbers[1+i%(len(numbers)-1)], numbers[1+(i/3)%(len(numbers)-1)]
					m.Payload = []byte(strings.Repeat("x", 5*i))
					stored, err := StoredMeta(m)
					if err != nil {
						t.Fatal(err)
					}
					batch.Metas = AppendMeta(batch.Metas, int64(m.Id), int64(m.Timestamp), stored)
					want.Metas = append(want.Metas, m)
				}
				got := open[CommSyncDL](t, AppendBatch(nil, batch))
				if !proto.Equal(want, got) { // cmp.Diff takes its time with equal ones
					t.Fatalf("%d metas, key %d, last %t (-want +got):\n%s", size, key, last, cmp.Diff(want, got, protocmp.Transform()))
				}
				if got.Status == nil || got.Queue == nil {
					t.Fatal("a batch without status or queue")
				}
			}
		}
	}
}

func TestTheJIDOfAnEmptyBatchGoesBackAsItCame(t *testing.T) {
	jid := marshal(t, &JID{AppKey: "o#a", Name: "12", Domain: PlaceDomain, ClientResource: "r"})
	jid = protowire.AppendTag(jid, 99, protowire.VarintType)
	jid = protowire.AppendVarint(jid, 5) // a field that we do not know
	got := open[CommSyncDL](t, AppendEmptyBatch(nil, jid))
	if !got.IsLast || got.Status == nil || len(got.Metas) != 0 || got.NextKey != 0 {
		t.Errorf("not the end of a queue: %v", got)
	}
	if back := marshal(t, got.Queue); string(back) != string(jid) {
		t.Errorf("the queue is %x, want %x", back, jid)
	}
}

func TestNoticesDecode(t *testing.T) {
	for _, queue := range []string{"", "1", "9223372036854775807", strings.Repeat("q", 300)} {
		b := AppendNotice(nil, queue)
		want := frame(t, MSync_NOTICE, &CommNotice{Queue: &JID{Name: queue}})
		if f, err := ReadFrame(b); err != nil || f.Command != MSync_NOTICE {
			t.Errorf("notice of %q is read as %v, %v", queue, f.Command, err)
		}
		if diff := cmp.Diff(open[CommNotice](t, want), open[CommNotice](t, b), protocmp.Transform()); diff != "" {
			t.Errorf("notice of %q (-want +got):\n%s", queue, diff)
		}
	}
}

func TestFrameOfDecodes(t *testing.T) {
	want := &Provision{Status: &Status{}, Resource: "webim_web_1"}
	b, err := FrameOf(MSync_PROVISION, want)
	if err != nil {
		t.Fatal(err)
	}
	if f, err := ReadFrame(b); err != nil || f.Command != MSync_PROVISION {
		t.Errorf("read as %v, %v", f.Command, err)
	}
	if diff := cmp.Diff(want, open[Provision](t, b), protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRenameUserChangesTheUserAndNothingElse(t *testing.T) {
	subType := MessageBody_Content_SubType(0) // present and 0: a combined message
	body := func(name string) *MessageBody {
		return &MessageBody{Type: MessageBody_CHAT, From: &JID{Name: name}, To: &JID{Name: "bob"},
			Contents: []*MessageBody_Content{{Text: "alice", SubType: &subType}}, AckMessageId: 3}
	}
	batch := func(name string) *CommSyncDL {
		chat := &Meta{Id: 1, From: &JID{Name: name, Domain: UserDomain, ClientResource: "r"}, To: &JID{Name: "bob"}, Ns: Meta_CHAT,
			Payload: marshal(t, body(name))}
		toGroup := &Meta{Id: 2, From: &JID{Name: "bob"}, To: &JID{Name: "alice", Domain: PlaceDomain}, Ns: Meta_CHAT,
			Payload: marshal(t, &MessageBody{From: &JID{Name: "bob"}, To: &JID{Name: "alice", Domain: PlaceDomain}})}
		other := &Meta{Id: 3, From: &JID{Name: name}, To: &JID{Name: "bob"}, Ns: Meta_NOTIFY, Payload: []byte{0xff, 0xff}}
		roster := &Meta{Id: 4, From: &JID{Name: "bob"}, To: &JID{Name: name}, Ns: Meta_ROSTER,
			Payload: marshal(t, &RosterBody{Operation: RosterBody_ADD, From: &JID{Name: "bob"}, To: []*JID{{Name: name}, {Name: "carol"}}, Reason: "alice"})}
		own := &Meta{Id: 5, From: &JID{Name: name}, To: &JID{Name: name}, Ns: Meta_ROSTER,
			Payload: marshal(t, &RosterBody{Operation: RosterBody_REMOVE, From: &JID{Name: name}, To: []*JID{{Name: "bob"}}})}
		return &CommSyncDL{Status: &Status{}, Metas: []*Meta{chat, toGroup, other, roster, own}, NextKey: 9, Queue: &JID{Name: "alice"}}
	}
	got, err := RenameUser(frame(t, MSync_SYNC, batch("alice")), "alice", "Alice")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(batch("Alice"), open[CommSyncDL](t, got), protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRenameUserKeepsUnknownFields(t *testing.T) {
	unknown := protowire.AppendString(protowire.AppendTag(nil, 900, protowire.BytesType), "news")
	payload := append(marshal(t, &MessageBody{Type: MessageBody_CHAT, From: &JID{Name: "alice"}}), unknown...)
	b := frame(t, MSync_SYNC, &CommSyncDL{Status: &Status{}, Queue: &JID{Name: "1"}, Metas: []*Meta{{Id: 1, Ns: Meta_CHAT, Payload: payload}}})
	b, err := RenameUser(b, "alice", "ALICE")
	if err != nil {
		t.Fatal(err)
	}
	var body MessageBody
	if err := proto.Unmarshal(open[CommSyncDL](t, b).Metas[0].Payload, &body); err != nil {
		t.Fatal(err)
	}
	if got := string(body.ProtoReflect().GetUnknown()); got != string(unknown) || body.From.Name != "ALICE" {
		t.Errorf("unknown fields are %x, sender is %q", got, body.From.Name)
	}
}

func TestRenameUserReportsWhatDoesNotDecode(t *testing.T) {
	bad := &CommSyncDL{Metas: []*Meta{{Ns: Meta_CHAT, Payload: []byte{0xff}}}}
	for name, b := range map[string][]byte{"frame": {0xff}, "batch": marshal(t, &MSync{Payload: []byte{0xff}}), "body": frame(t, MSync_SYNC, bad)} {
		if _, err := RenameUser(b, "a", "A"); err == nil {
			t.Errorf("a %s that does not decode is no error", name)
		}
	}
}

func TestMetaIDIsFoundInAMetaThatDoesNotDecode(t *testing.T) {
	bad := marshal(t, &Meta{Id: 42})
	bad = protowire.AppendBytes(protowire.AppendTag(bad, 3, protowire.BytesType), []byte{0x12, 0x01, 0xff}) // to.name is not UTF-8
	if err := proto.Unmarshal(bad, &Meta{}); err == nil {
		t.Fatal("the sample decodes")
	}
	if id, _ := MetaID(bad); id != 42 {
		t.Errorf("id is %d", id)
	}
	if id, err := MetaID(append(bad, 0xff)); id != 42 || !errors.Is(err, ErrMalformed) {
		t.Errorf("id before garbage is %d, %v", id, err)
	}
}

// A field of another wire type is an unknown field, as in every protobuf decoder.
func TestFieldsOfAWrongWireTypeArePassedOver(t *testing.T) {
	wrong := func(b []byte, field protowire.Number, kind protowire.Type) []byte {
		b = protowire.AppendTag(b, field, kind)
		switch kind {
		case protowire.VarintType:
			return protowire.AppendVarint(b, 3)
		case protowire.Fixed32Type:
			return protowire.AppendFixed32(b, 3)
		case protowire.Fixed64Type:
			return protowire.AppendFixed64(b, 3)
		case protowire.StartGroupType:
			return protowire.AppendTag(b, field, protowire.EndGroupType)
		}
		return protowire.AppendString(b, "x")
	}
	kinds := []protowire.Type{protowire.VarintType, protowire.Fixed32Type, protowire.Fixed64Type, protowire.BytesType, protowire.StartGroupType}
	for _, kind := range kinds {
		f := marshal(t, &MSync{Command: MSync_UNREAD, Payload: []byte("p")})
		if kind != protowire.VarintType {
			f = wrong(f, msyncCommand, kind)
		}
		if kind != protowire.BytesType {
			f = wrong(f, msyncPayload, kind)
		}
		checkFrame(t, f)
		u := marshal(t, &CommSyncUL{Meta: &Meta{Id: 1}, Key: proto.Uint64(5), Queue: &JID{Name: "q"}})
		if kind != protowire.VarintType {
			u = wrong(u, syncULKey, kind)
		}
		if kind != protowire.BytesType {
			u = wrong(wrong(u, syncULMeta, kind), syncULQueue, kind)
		}
		checkUpload(t, u)
	}
}

func TestFieldsThatComeTwiceAreMerged(t *testing.T) {
	u := marshal(t, &CommSyncUL{Meta: &Meta{Id: 1, Payload: []byte("p")}, Queue: &JID{Name: "q"}})
	u = append(u, marshal(t, &CommSyncUL{Meta: &Meta{Id: 2}, Queue: &JID{Domain: "d"}})...)
	checkUpload(t, u)
}

// checkFrame holds ReadFrame against the generated code, which knows more ways to be malformed: strings, for instance.
func checkFrame(t *testing.T, b []byte) {
	t.Helper()
	var want MSync
	err := proto.Unmarshal(b, &want)
	got, gotErr := ReadFrame(b)
	if gotErr != nil {
		if err == nil {
			t.Fatalf("%x: ReadFrame refuses what is an MSync: %v", b, gotErr)
		}
		if !errors.Is(gotErr, ErrMalformed) {
			t.Fatalf("%x: ReadFrame fails with %v", b, gotErr)
		}
		return
	}
	if err == nil && (got.Command != want.Command || string(got.Payload) != string(want.Payload)) {
		t.Fatalf("%x: ReadFrame gives %v %x, want %v %x", b, got.Command, got.Payload, want.Command, want.Payload)
	}
}

func checkUpload(t *testing.T, b []byte) {
	t.Helper()
	var want CommSyncUL
	err := proto.Unmarshal(b, &want)
	got, gotErr := ReadUpload(b)
	if gotErr != nil {
		if err == nil {
			t.Fatalf("%x: ReadUpload refuses what is a CommSyncUL: %v", b, gotErr)
		}
		if !errors.Is(gotErr, ErrMalformed) {
			t.Fatalf("%x: ReadUpload fails with %v", b, gotErr)
		}
		return
	}
	if err != nil {
		return
	}
	if got.HasKey != (want.Key != nil) || got.Key != want.GetKey() {
		t.Fatalf("%x: key is %t %d, want %v", b, got.HasKey, got.Key, want.Key)
	}
	if (got.Meta != nil) != (want.Meta != nil) || (got.Queue != nil) != (want.Queue != nil) {
		t.Fatalf("%x: meta %x, queue %x, want %v", b, got.Meta, got.Queue, &want)
	}
	var meta Meta
	if err := proto.Unmarshal(got.Meta, &meta); err != nil || want.Meta != nil && !proto.Equal(&meta, want.Meta) {
		t.Fatalf("%x: meta is %v, %v, want %v", b, &meta, err, want.Meta)
	}
	if id, err := MetaID(got.Meta); err != nil || id != want.Meta.GetId() {
		t.Fatalf("%x: meta id is %d, %v, want %d", b, id, err, want.Meta.GetId())
	}
	if name, err := QueueName(got.Queue); err != nil || name != want.Queue.GetName() {
		t.Fatalf("%x: queue is %q, %v, want %q", b, name, err, want.Queue.GetName())
	}
}

func FuzzReadFrame(f *testing.F) {
	for _, text := range []string{upUnread, downNotice, upPull, downLast, upText, downAnswer, "", "ff", "40 80", "40 ff ff ff ff ff ff ff ff ff 01"} {
		f.Add(unhex(f, text))
	}
	f.Fuzz(checkFrame)
}

func FuzzReadUpload(f *testing.F) {
	for _, text := range []string{upPull, upText} {
		frame, err := ReadFrame(unhex(f, text))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(frame.Payload)
	}
	f.Add(marshal(f, &CommSyncUL{Meta: &Meta{Id: 1}, Key: proto.Uint64(0), Queue: &JID{Name: "q", Domain: "d"}, IsRoam: true}))
	f.Add([]byte{0x0a, 0x00, 0x1a, 0x00})
	f.Fuzz(checkUpload)
}
