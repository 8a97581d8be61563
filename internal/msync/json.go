package msync

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
)

// MessageObject is a message in the JSON form of conversation lists, pinned messages and threads
// (docs/protocol/sdk-rest.md §3.1).
type MessageObject struct {
	ID        string         `json:"id"`
	From      string         `json:"from"`
	To        string         `json:"to"`
	Timestamp int64          `json:"timestamp"` // milliseconds since 1970
	Payload   MessagePayload `json:"payload"`
}

// MessagePayload is what a message holds.
type MessagePayload struct {
	Bodies    []map[string]any `json:"bodies"`
	From      string           `json:"from"`
	To        string           `json:"to"`
	Type      string           `json:"type"` // chat, groupchat or chatroom
	Ext       map[string]any   `json:"ext"`
	MsgConfig map[string]any   `json:"msgConfig,omitempty"`
	Meta      json.RawMessage  `json:"meta"`
}

// TextObject is a MessageObject for the routes whose clients want the payload as JSON within a string.
type TextObject struct {
	ID        string `json:"id"`
	From      string `json:"from"`
	To        string `json:"to"`
	Timestamp int64  `json:"timestamp"`
	Payload   string `json:"payload"`
}

// AsText packs the payload into a string.
func (m MessageObject) AsText() (TextObject, error) {
	payload, err := json.Marshal(m.Payload)
	if err != nil {
		return TextObject{}, fmt.Errorf("encode payload: %w", err)
	}
	return TextObject{ID: m.ID, From: m.From, To: m.To, Timestamp: m.Timestamp, Payload: string(payload)}, nil
}

// MessageJSON turns a stored Meta into its JSON form. It fails for what is not a message of a known kind.
func MessageJSON(id, time int64, stored []byte) (MessageObject, error) {
	var meta Meta
	var body MessageBody
	if err := proto.Unmarshal(stored, &meta); err != nil {
		return MessageObject{}, fmt.Errorf("read meta: %w", err)
	}
	if err := proto.Unmarshal(meta.Payload, &body); err != nil {
		return MessageObject{}, fmt.Errorf("read message: %w", err)
	}
	kind, ok := chatTypes[body.Type]
	if !ok || len(body.Contents) == 0 {
		return MessageObject{}, fmt.Errorf("%w: it is no message", ErrMalformed)
	}
	p := PayloadJSON(&body)
	p.Type = kind
	return MessageObject{ID: strconv.FormatInt(id, 10), From: p.From, To: p.To, Timestamp: time, Payload: p}, nil
}

// PayloadJSON turns a body of any kind into the JSON form of messages, without its type.
func PayloadJSON(body *MessageBody) MessagePayload {
	p := MessagePayload{From: body.From.GetName(), To: body.To.GetName(), Ext: valuesOf(body.Ext), Meta: objectOf(body.Meta)}
	for _, content := range body.Contents {
		p.Bodies = append(p.Bodies, contentJSON(content))
	}
	if config := body.MsgConfig; config != nil {
		p.MsgConfig = map[string]any{"allowGroupAck": config.AllowGroupAck}
	}
	return p
}

var chatTypes = map[MessageBody_Type]string{MessageBody_CHAT: "chat", MessageBody_GROUPCHAT: "groupchat", MessageBody_CHATROOM: "chatroom"}

// objectOf returns JSON text if it is that of an object, else an empty object.
func objectOf(text string) json.RawMessage {
	var object map[string]json.RawMessage
	text = strings.ToValidUTF8(text, "\uFFFD")
	if json.Unmarshal([]byte(text), &object) != nil || object == nil {
		return json.RawMessage("{}")
	}
	return json.RawMessage(text)
}

// IsCombined reports whether a content is a forwarded bundle: of that type, or a text that says so for old clients.
func (c *MessageBody_Content) IsCombined() bool {
	return c.Type == MessageBody_Content_COMBINE ||
		c.Type == MessageBody_Content_TEXT && c.SubType != nil && *c.SubType == MessageBody_Content_SUB_COMBINE
}

func contentJSON(c *MessageBody_Content) map[string]any {
	file := map[string]any{"url": c.RemotePath, "secret": c.SecretKey, "filename": c.DisplayName, "file_length": c.FileLength}
	if c.IsCombined() {
		file["type"], file["msg"], file["text"], file["subType"] = "txt", c.Text, c.Text, "sub_combine"
		if c.Type == MessageBody_Content_COMBINE {
			file["type"] = "combine"
			delete(file, "subType")
		}
		file["title"], file["summary"], file["combineLevel"] = c.Title, c.Summary, c.CombineLevel
		return file
	}
	switch c.Type {
	case MessageBody_Content_IMAGE:
		file["type"], file["size"] = "img", sizeJSON(c.Size)
		if c.SubType != nil && *c.SubType == MessageBody_Content_SUB_GIF {
			file["subType"] = "sub_gif"
		}
		return file
	case MessageBody_Content_VIDEO:
		file["type"], file["length"], file["size"] = "video", c.Duration, sizeJSON(c.Size)
		file["thumb"], file["thumb_secret"] = c.ThumbnailRemotePath, c.ThumbnailSecretKey
		return file
	case MessageBody_Content_VOICE:
		file["type"], file["length"] = "audio", c.Duration
		return file
	case MessageBody_Content_FILE:
		file["type"] = "file"
		return file
	case MessageBody_Content_LOCATION:
		return map[string]any{"type": "loc", "addr": c.Address, "buildingName": c.BuildingName, "lat": finite(c.Latitude), "lng": finite(c.Longitude)}
	case MessageBody_Content_COMMAND:
		return map[string]any{"type": "cmd", "action": c.Action}
	case MessageBody_Content_CUSTOM:
		exts := []map[string]any{} // the client wants one object for each key
		for _, kv := range c.CustomExts {
			exts = append(exts, map[string]any{kv.Key: valueOf(kv)})
		}
		return map[string]any{"type": "custom", "customEvent": c.CustomEvent, "customExts": exts}
	}
	return map[string]any{"type": "txt", "msg": c.Text}
}

func sizeJSON(s *MessageBody_Content_Size) map[string]any {
	return map[string]any{"width": finite(s.GetWidth()), "height": finite(s.GetHeight())}
}

func valuesOf(list []*KeyValue) map[string]any {
	values := map[string]any{}
	for _, kv := range list {
		values[kv.Key] = valueOf(kv)
	}
	return values
}

// valueOf is a value as JavaScript reads it (docs/protocol/wire.md §4).
func valueOf(kv *KeyValue) any {
	switch kv.Type {
	case KeyValue_INT, KeyValue_UINT, KeyValue_LLINT:
		return kv.GetVarintValue()
	case KeyValue_FLOAT:
		return finite(float64(kv.GetFloatValue()))
	case KeyValue_DOUBLE:
		return finite(kv.GetDoubleValue())
	case KeyValue_STRING:
		return kv.GetStringValue()
	case KeyValue_JSON_STRING:
		text := strings.ToValidUTF8(kv.GetStringValue(), "\uFFFD")
		if !json.Valid([]byte(text)) {
			return text
		}
		return json.RawMessage(text)
	}
	return kv.GetVarintValue() != 0
}

// finite returns a number that JSON has, else null, as JavaScript writes the others.
func finite(number float64) any {
	if math.IsNaN(number) || math.IsInf(number, 0) {
		return nil
	}
	return number
}

// Notify packs a NOTIFY Meta for storing: payload is encoded as JSON (docs/protocol/sdk-rest.md §5.3).
func Notify(from, to string, payload any) ([]byte, error) {
	text, err := json.Marshal(payload)
	if err != nil {
		return nil, fmt.Errorf("encode notice: %w", err)
	}
	return StoredMeta(&Meta{
		From: &JID{Name: from, Domain: UserDomain}, To: &JID{Name: to, Domain: UserDomain}, Ns: Meta_NOTIFY, Payload: text,
	})
}
