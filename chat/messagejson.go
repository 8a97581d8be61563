package chat

import (
	"bytes"
	"cmp"
	"encoding/json"
	"time"

	"github.com/stoa-chat/stoa/internal/restclient"
)

// messageJSON is a message in the lists of the REST interface (docs/protocol/sdk-rest.md 3.1).
type messageJSON struct {
	ID        string            `json:"id"`
	From      string            `json:"from"`
	To        string            `json:"to"`
	Timestamp restclient.Millis `json:"timestamp"`
	Payload   payloadJSON       `json:"payload"`
}

// payloadJSON is an object, or a text that holds one.
type payloadJSON struct {
	Bodies    []contentJSON `json:"bodies"`
	From      string        `json:"from"`
	To        string        `json:"to"`
	Type      string        `json:"type"`
	Ext       valueMap      `json:"ext"`
	MsgConfig struct {
		AllowGroupAck bool `json:"allowGroupAck"`
	} `json:"msgConfig"`
	Meta *extraJSON `json:"meta"`
}

func (p *payloadJSON) UnmarshalJSON(text []byte) error {
	var inner string
	if json.Unmarshal(text, &inner) == nil {
		text = []byte(inner)
	}
	type plain payloadJSON
	if len(bytes.TrimSpace(text)) == 0 {
		return nil
	}
	return json.Unmarshal(text, (*plain)(p))
}

// contentJSON is one content of a message.
type contentJSON struct {
	Type     string             `json:"type"`
	SubType  string             `json:"subType"`
	Msg      string             `json:"msg"`
	Text     string             `json:"text"`
	URL      string             `json:"url"`
	Secret   string             `json:"secret"`
	Filename string             `json:"filename"`
	Bytes    restclient.Integer `json:"file_length"`
	Length   restclient.Integer `json:"length"`
	Size     struct {
		Width  float64 `json:"width"`
		Height float64 `json:"height"`
	} `json:"size"`
	Thumb       string             `json:"thumb"`
	ThumbSecret string             `json:"thumb_secret"`
	Address     string             `json:"addr"`
	Building    string             `json:"buildingName"`
	Latitude    float64            `json:"lat"`
	Longitude   float64            `json:"lng"`
	Action      string             `json:"action"`
	Event       string             `json:"customEvent"`
	Params      valueMap           `json:"customExts"`
	Title       string             `json:"title"`
	Summary     string             `json:"summary"`
	Level       restclient.Integer `json:"combineLevel"`
}

// message returns the message for a user; nil where there is none, as in an empty conversation.
func (m *messageJSON) message(user string) *Message {
	if m == nil || m.ID == "" {
		return nil
	}
	out := &Message{
		ID: m.ID, From: cmp.Or(m.Payload.From, m.From), To: cmp.Or(m.Payload.To, m.To), Time: m.Timestamp.Time,
		ChatType: chatTypeNamed(m.Payload.Type), Ext: m.Payload.Ext, WantsReceipts: m.Payload.MsgConfig.AllowGroupAck,
	}
	if m.Payload.Meta != nil {
		m.Payload.Meta.addTo(user, out)
	}
	out.Conversation = conversation(user, out.ChatType, out.From, out.To)
	if len(m.Payload.Bodies) > 0 {
		out.Content = m.Payload.Bodies[0].content()
	}
	return out
}

var kindNames = map[Kind]string{
	KindText: "txt", KindImage: "img", KindVideo: "video", KindLocation: "loc", KindAudio: "audio",
	KindFile: "file", KindCommand: "cmd", KindCustom: "custom", KindCombined: "combine",
}

func (b *contentJSON) content() Content {
	c := Content{Text: cmp.Or(b.Msg, b.Text)}
	for kind, name := range kindNames {
		if name == b.Type {
			c.Kind = kind
		}
	}
	if c.Kind == KindText && b.SubType == "sub_combine" {
		c.Kind = KindCombined
	}
	switch c.Kind {
	case KindText:
	case KindLocation:
		c.Latitude, c.Longitude, c.Address, c.Building = b.Latitude, b.Longitude, b.Address, b.Building
	case KindCommand:
		c.Action = b.Action
	case KindCustom:
		c.Event, c.Params = b.Event, b.Params
	default:
		c.Name, c.URL, c.Secret, c.Size = b.Filename, b.URL, b.Secret, int(b.Bytes)
		c.ThumbnailURL, c.ThumbSecret = b.Thumb, b.ThumbSecret
		c.Width, c.Height, c.Duration = b.Size.Width, b.Size.Height, int(b.Length)
		c.GIF = c.Kind == KindImage && b.SubType == "sub_gif"
		c.Title, c.Summary, c.Level = b.Title, b.Summary, int(b.Level)
	}
	return c
}

// valueMap is an application's map: an object, or an array of objects that together are one. Numbers become int64 or
// float64.
type valueMap map[string]any

func (m *valueMap) UnmarshalJSON(text []byte) error {
	var parts []map[string]any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if text = bytes.TrimSpace(text); len(text) > 0 && text[0] == '[' {
		if err := decoder.Decode(&parts); err != nil {
			return err
		}
	} else {
		parts = make([]map[string]any, 1)
		if err := decoder.Decode(&parts[0]); err != nil {
			return err
		}
	}
	for _, part := range parts {
		for key, value := range part {
			if *m == nil {
				*m = valueMap{}
			}
			if n, ok := value.(json.Number); ok {
				if whole, err := n.Int64(); err == nil {
					value = whole
				} else {
					value, _ = n.Float64()
				}
			} else {
				value = plainNumbers(value)
			}
			(*m)[key] = value
		}
	}
	return nil
}

// plainNumbers makes numbers inside lists and maps what encoding/json makes of them.
func plainNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		f, _ := v.Float64()
		return f
	case []any:
		for i := range v {
			v[i] = plainNumbers(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = plainNumbers(v[key])
		}
	}
	return v
}

// chatTypeNamed reads the names of the REST interface and of notices, in any case; what is unknown is a user's.
func chatTypeNamed(name string) ChatType {
	switch name {
	case "groupchat", "groupChat", "chat:group":
		return GroupChat
	case "chatroom", "chatRoom", "chat:room":
		return RoomChat
	}
	return SingleChat
}

// name is what the REST interface calls a kind of conversation.
func (t ChatType) name() string {
	switch t {
	case GroupChat, ThreadChat:
		return "groupchat"
	case RoomChat:
		return "chatroom"
	}
	return "chat"
}

// unixSeconds is a time in seconds; 0 is the zero time.
func unixSeconds(s restclient.Integer) time.Time {
	if s <= 0 {
		return time.Time{}
	}
	return time.Unix(int64(s), 0)
}
