package msync

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
)

func storedMessage(t testing.TB, body *MessageBody) []byte {
	t.Helper()
	stored, err := StoredMeta(&Meta{Ns: Meta_CHAT, Payload: marshal(t, body)})
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

func textValue(key, value string) *KeyValue {
	return &KeyValue{Key: key, Type: KeyValue_STRING, Value: &KeyValue_StringValue{StringValue: value}}
}

func TestMessagesInJSON(t *testing.T) {
	combine, gif := MessageBody_Content_SUB_COMBINE, MessageBody_Content_SUB_GIF
	for _, test := range []struct {
		name    string
		kind    MessageBody_Type
		content *MessageBody_Content
		want    string // the body
	}{
		{"text", MessageBody_CHAT, &MessageBody_Content{Text: "hi <b>"}, `{"type":"txt","msg":"hi <b>"}`},
		{"image", MessageBody_GROUPCHAT, &MessageBody_Content{Type: MessageBody_Content_IMAGE, RemotePath: "http://x/y", SecretKey: "s",
			DisplayName: "a.gif", FileLength: 3, Size: &MessageBody_Content_Size{Width: 4, Height: 5}, SubType: &gif},
			`{"type":"img","url":"http://x/y","secret":"s","filename":"a.gif","file_length":3,"size":{"width":4,"height":5},"subType":"sub_gif"}`},
		{"video", MessageBody_CHAT, &MessageBody_Content{Type: MessageBody_Content_VIDEO, Duration: 7, ThumbnailRemotePath: "t", ThumbnailSecretKey: "k"},
			`{"type":"video","url":"","secret":"","filename":"","file_length":0,"length":7,"size":{"width":0,"height":0},"thumb":"t","thumb_secret":"k"}`},
		{"voice", MessageBody_CHATROOM, &MessageBody_Content{Type: MessageBody_Content_VOICE, Duration: 2},
			`{"type":"audio","url":"","secret":"","filename":"","file_length":0,"length":2}`},
		{"file", MessageBody_CHAT, &MessageBody_Content{Type: MessageBody_Content_FILE, DisplayName: "f"},
			`{"type":"file","url":"","secret":"","filename":"f","file_length":0}`},
		{"location", MessageBody_CHAT, &MessageBody_Content{Type: MessageBody_Content_LOCATION, Address: "a", BuildingName: "b", Latitude: 1.5, Longitude: math.NaN()},
			`{"type":"loc","addr":"a","buildingName":"b","lat":1.5,"lng":null}`},
		{"command", MessageBody_CHAT, &MessageBody_Content{Type: MessageBody_Content_COMMAND, Action: "go"}, `{"type":"cmd","action":"go"}`},
		{"custom", MessageBody_CHAT, &MessageBody_Content{Type: MessageBody_Content_CUSTOM, CustomEvent: "e", CustomExts: []*KeyValue{textValue("a", "1"), textValue("b", "2")}},
			`{"type":"custom","customEvent":"e","customExts":[{"a":"1"},{"b":"2"}]}`},
		{"combined", MessageBody_CHAT, &MessageBody_Content{Text: "old", SubType: &combine, Title: "T", Summary: "S", CombineLevel: 1},
			`{"type":"txt","subType":"sub_combine","msg":"old","text":"old","title":"T","summary":"S","combineLevel":1,"url":"","secret":"","filename":"","file_length":0}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, err := MessageJSON(1001, 1700000000000, storedMessage(t, &MessageBody{Type: test.kind, From: &JID{Name: "bob"}, To: &JID{Name: "alice"},
				Contents: []*MessageBody_Content{test.content}, Meta: `{"edit_msg":{"count":1}}`}))
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			want := `{"id":"1001","from":"bob","to":"alice","timestamp":1700000000000,"payload":{"bodies":[` + test.want + `],"from":"bob","to":"alice","type":"` +
				strings.ToLower(test.kind.String()) + `","ext":{},"meta":{"edit_msg":{"count":1}}}}`
			if diff := cmp.Diff(values(t, want), values(t, string(got))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			text, err := m.AsText()
			if err != nil {
				t.Fatal(err)
			}
			payload, _ := json.Marshal(m.Payload)
			if text.Payload != string(payload) || text.ID != "1001" {
				t.Errorf("as text it is %+v", text)
			}
		})
	}
}

func values(t *testing.T, text string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

func TestExtensionsInJSONHaveTheTypesOfJavaScript(t *testing.T) {
	number := func(key string, kind KeyValue_ValueType, n int64) *KeyValue {
		return &KeyValue{Key: key, Type: kind, Value: &KeyValue_VarintValue{VarintValue: n}}
	}
	m, err := MessageJSON(1, 2, storedMessage(t, &MessageBody{Type: MessageBody_CHAT, Contents: []*MessageBody_Content{{}}, Meta: "[no object]", Ext: []*KeyValue{
		number("yes", KeyValue_BOOL, 1), number("no", 0, 0), number("int", KeyValue_INT, -3), textValue("text", "\x00☃"),
		{Key: "double", Type: KeyValue_DOUBLE, Value: &KeyValue_DoubleValue{DoubleValue: 0.5}},
		{Key: "inf", Type: KeyValue_FLOAT, Value: &KeyValue_FloatValue{FloatValue: float32(math.Inf(1))}},
		{Key: "json", Type: KeyValue_JSON_STRING, Value: &KeyValue_StringValue{StringValue: `{"a": [1, null]}`}},
		{Key: "broken", Type: KeyValue_JSON_STRING, Value: &KeyValue_StringValue{StringValue: `{"a": [1`}},
	}}))
	if err != nil {
		t.Fatal(err)
	}
	got, _ := json.Marshal(m.Payload.Ext)
	want := `{"yes":true,"no":false,"int":-3,"text":"\u0000☃","double":0.5,"inf":null,"json":{"a":[1,null]},"broken":"{\"a\": [1"}`
	if diff := cmp.Diff(values(t, want), values(t, string(got))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if string(m.Payload.Meta) != "{}" {
		t.Errorf("a meta that is no object became %s", m.Payload.Meta)
	}
}

func TestMessageJSONRefusesWhatIsNoMessage(t *testing.T) {
	for name, stored := range map[string][]byte{
		"garbage": {0xff},
		"receipt": storedMessage(t, &MessageBody{Type: MessageBody_READ_ACK, Contents: []*MessageBody_Content{{}}}),
		"empty":   storedMessage(t, &MessageBody{Type: MessageBody_CHAT}),
	} {
		if m, err := MessageJSON(1, 2, stored); err == nil {
			t.Errorf("%s became %+v", name, m)
		}
	}
}

func TestNoticesHoldNoControlCharacters(t *testing.T) {
	stored, err := Notify("alice", "alice", map[string]string{"type": "conv", "ext": "a\n\tb\x01"})
	if err != nil {
		t.Fatal(err)
	}
	var meta Meta
	if err := proto.Unmarshal(stored, &meta); err != nil {
		t.Fatal(err)
	}
	if meta.Ns != Meta_NOTIFY || meta.From.GetName() != "alice" || meta.To.GetName() != "alice" {
		t.Errorf("meta is %v", &meta)
	}
	for _, b := range meta.Payload {
		if b < 0x20 {
			t.Fatalf("payload %q", meta.Payload)
		}
	}
}

// Whatever a client has sent, its JSON form is JSON, and the payload within a string is, too.
func FuzzMessageJSON(f *testing.F) {
	f.Add(storedMessage(f, &MessageBody{Type: MessageBody_CHAT, Contents: []*MessageBody_Content{{Text: "hi"}}, Ext: []*KeyValue{textValue("a", "b")}}))
	f.Add(storedMessage(f, &MessageBody{Type: MessageBody_CHATROOM, Meta: "{\"a\":\n1}", Contents: []*MessageBody_Content{{Type: MessageBody_Content_CUSTOM,
		CustomExts: []*KeyValue{{Key: "k", Type: KeyValue_JSON_STRING, Value: &KeyValue_StringValue{StringValue: "[1]"}}}}}}))
	f.Fuzz(func(t *testing.T, stored []byte) {
		m, err := MessageJSON(1, 2, stored)
		if err != nil {
			return
		}
		object, err := json.Marshal(m)
		if err != nil {
			t.Fatalf("encode: %v", err)
		}
		text, err := m.AsText()
		if err != nil {
			t.Fatalf("encode as text: %v", err)
		}
		for _, j := range [][]byte{object, []byte(text.Payload)} {
			var v any
			if err := json.Unmarshal(j, &v); err != nil {
				t.Fatalf("%v in %s", err, j)
			}
		}
	})
}
