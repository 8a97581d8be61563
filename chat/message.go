package chat

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/restclient"
)

// ChatType says where a message goes.
type ChatType int

// The kinds of conversation.
const (
	SingleChat ChatType = iota // between two users
	GroupChat
	RoomChat
	ThreadChat // beside a message of a group
)

// Target names a conversation.
type Target struct {
	Type ChatType
	ID   string // of the other user, the group, the chatroom or the thread
}

// ToUser names the conversation with a user.
func ToUser(id string) Target { return Target{SingleChat, id} }

// ToGroup names the conversation of a group.
func ToGroup(id string) Target { return Target{GroupChat, id} }

// ToRoom names the conversation of a chatroom.
func ToRoom(id string) Target { return Target{RoomChat, id} }

// ToThread names the conversation of a thread.
func ToThread(id string) Target { return Target{ThreadChat, id} }

// Kind is what a message holds.
type Kind int

// The kinds of content, with the fields of [Content] that they use.
const (
	KindText     Kind = iota // Text
	KindImage                // the file fields, Width, Height, GIF
	KindVideo                // the file fields, Duration, Width, Height
	KindLocation             // Latitude, Longitude, Address, Building
	KindAudio                // the file fields, Duration
	KindFile                 // the file fields
	KindCommand              // Action: for the program, not for people
	KindCustom               // Event, Params
	KindCombined             // forwarded messages in one: Text, Title, Summary, Level and the file fields
)

// Content is what a message holds. Which fields count depends on Kind; the zero value is an empty text.
type Content struct {
	Kind Kind
	Text string

	// A file: uploaded before, at URL; Secret is asked for at the download.
	Name, URL, Secret         string
	Size                      int // bytes
	ThumbnailURL, ThumbSecret string
	Width, Height             float64 // pixels
	Duration                  int     // s
	GIF                       bool

	Latitude, Longitude float64
	Address, Building   string

	Action string

	Event  string
	Params map[string]any // as Message.Ext

	Title, Summary string
	Level          int // how deep combined messages are nested
}

// Message is a message received, or sent and accepted by the server.
type Message struct {
	ID       string // the server's, unique
	ClientID string // the sender's own; only in messages that this client sent
	From     string // user id
	Device   string // the sending device, where the server tells
	To       string // user, group, room or thread id
	// Conversation is the id of the conversation that it belongs to: the group, room or thread, or the other user.
	Conversation string
	ChatType     ChatType
	Time         time.Time // by the server's clock
	Content
	// Ext is the application's own map. Received numbers are int64 or float64; what is neither a number, a string nor a
	// bool travels as JSON and arrives as encoding/json decodes it.
	Ext map[string]any

	// WantsReceipts: the sender of a group message asked to be told who reads it.
	WantsReceipts bool
	Priority      Priority // of a message in a chatroom
	Broadcast     bool     // sent by the backend to all chatrooms

	Thread         *ThreadPlace    // where a message of a thread stands; nil for others
	ThreadOverview *ThreadOverview // the thread that hangs on it, where the server tells
	Edited         *Edit           // its last edit; nil: it is as it was sent
	Reactions      []Reaction      // to it, where the server tells
	Translations   []Translation   // of its text
	// Read and Delivered are told of messages that come from the server's history.
	Read, Delivered bool
}

// Target returns the conversation that the message belongs to.
func (m *Message) Target() Target { return Target{m.ChatType, m.Conversation} }

// ThreadPlace says where a thread hangs.
type ThreadPlace struct {
	Group, MessageID string
	Name             string // of the thread
}

// ThreadOverview is what a message shows of its thread.
type ThreadOverview struct {
	ID, Group, Name  string
	Messages         int
	Created, Updated time.Time
	LastMessage      *Message // nil: none
}

// Edit is what was done to a message after it was sent.
type Edit struct {
	By    string // user id
	Time  time.Time
	Count int // how often it was edited
}

// Translation is a text in another language.
type Translation struct {
	Language string // its code, as "fr"
	Text     string
}

// Priority says what a chatroom drops last under load.
type Priority int

// The priorities of messages in chatrooms.
const (
	PriorityNormal Priority = iota
	PriorityHigh
	PriorityLow
)

// tag is the number of a priority on the wire.
func (p Priority) tag() int64 {
	switch p {
	case PriorityHigh:
		return 0
	case PriorityLow:
		return 2
	}
	return 1
}

// Receipt tells what became of messages.
type Receipt struct {
	MessageID string // the server's id; empty when a conversation was read
	From      string // who received or read
	// Conversation is the id of the conversation. Servers do not tell it with receipts of group messages: there it is empty,
	// and the message's id says which it is.
	Conversation string
	Time         time.Time // by the server's clock
	// ReadCount and Text come with receipts of group messages: how many have read it, and what the reader added.
	ReadCount int
	Text      string
}

const (
	userDomain  = "easemob.com"
	groupDomain = "conference.easemob.com"
)

func (t ChatType) bodyType() msync.MessageBody_Type {
	switch t {
	case GroupChat, ThreadChat:
		return msync.MessageBody_GROUPCHAT
	case RoomChat:
		return msync.MessageBody_CHATROOM
	}
	return msync.MessageBody_CHAT
}

func (t ChatType) domain() string {
	if t == SingleChat {
		return userDomain
	}
	return groupDomain
}

// encodeContent is the wire form. The error is -3, for a kind or a value that has none.
func encodeContent(c Content) (*msync.MessageBody_Content, *Error) {
	out := &msync.MessageBody_Content{Text: c.Text}
	file := func(kind msync.MessageBody_Content_Type) {
		out.Type = kind
		out.DisplayName, out.RemotePath, out.SecretKey = c.Name, c.URL, c.Secret
		out.FileLength, out.Duration = int32(c.Size), int32(c.Duration)
		out.ThumbnailRemotePath, out.ThumbnailSecretKey = c.ThumbnailURL, c.ThumbSecret
		if c.Width != 0 || c.Height != 0 {
			out.Size = &msync.MessageBody_Content_Size{Width: c.Width, Height: c.Height}
		}
	}
	switch c.Kind {
	case KindText:
	case KindImage:
		file(msync.MessageBody_Content_IMAGE)
		if c.GIF {
			out.SubType = msync.MessageBody_Content_SUB_GIF.Enum()
		}
	case KindVideo:
		file(msync.MessageBody_Content_VIDEO)
	case KindAudio:
		file(msync.MessageBody_Content_VOICE)
	case KindFile:
		file(msync.MessageBody_Content_FILE)
	case KindLocation:
		out.Type = msync.MessageBody_Content_LOCATION
		out.Latitude, out.Longitude, out.Address, out.BuildingName = c.Latitude, c.Longitude, c.Address, c.Building
	case KindCommand:
		out.Type, out.Action = msync.MessageBody_Content_COMMAND, c.Action
	case KindCustom:
		params, err := encodeMap(c.Params)
		if err != nil {
			return nil, err
		}
		out.Type, out.CustomEvent, out.CustomExts = msync.MessageBody_Content_CUSTOM, c.Event, params
	case KindCombined: // a text for clients that do not know better
		file(msync.MessageBody_Content_TEXT)
		out.SubType = msync.MessageBody_Content_SUB_COMBINE.Enum()
		out.Title, out.Summary, out.CombineLevel = c.Title, c.Summary, int32(c.Level)
	default:
		return nil, fail(errcode.InvalidParameter, "send", "there is no content of kind "+strconv.Itoa(int(c.Kind)), nil)
	}
	return out, nil
}

var contentKinds = map[msync.MessageBody_Content_Type]Kind{
	msync.MessageBody_Content_TEXT:     KindText,
	msync.MessageBody_Content_IMAGE:    KindImage,
	msync.MessageBody_Content_VIDEO:    KindVideo,
	msync.MessageBody_Content_LOCATION: KindLocation,
	msync.MessageBody_Content_VOICE:    KindAudio,
	msync.MessageBody_Content_FILE:     KindFile,
	msync.MessageBody_Content_COMMAND:  KindCommand,
	msync.MessageBody_Content_CUSTOM:   KindCustom,
	msync.MessageBody_Content_COMBINE:  KindCombined,
}

func decodeContent(in *msync.MessageBody_Content) (Content, error) {
	kind, ok := contentKinds[in.GetType()]
	if !ok {
		return Content{}, fmt.Errorf("content of unknown type %d", in.GetType())
	}
	if kind == KindText && in.SubType != nil && in.GetSubType() == msync.MessageBody_Content_SUB_COMBINE {
		kind = KindCombined
	}
	exts := in.GetCustomExts()
	if len(exts) == 0 {
		exts = in.GetParams()
	}
	return Content{
		Kind: kind, Text: in.GetText(),
		Name: in.GetDisplayName(), URL: in.GetRemotePath(), Secret: in.GetSecretKey(), Size: int(in.GetFileLength()),
		ThumbnailURL: in.GetThumbnailRemotePath(), ThumbSecret: in.GetThumbnailSecretKey(),
		Width: in.GetSize().GetWidth(), Height: in.GetSize().GetHeight(), Duration: int(in.GetDuration()),
		GIF:      kind == KindImage && in.GetSubType() == msync.MessageBody_Content_SUB_GIF,
		Latitude: in.GetLatitude(), Longitude: in.GetLongitude(), Address: in.GetAddress(), Building: in.GetBuildingName(),
		Action: in.GetAction(), Event: in.GetCustomEvent(), Params: decodeMap(exts),
		Title: in.GetTitle(), Summary: in.GetSummary(), Level: int(in.GetCombineLevel()),
	}, nil
}

// encodeMap writes keys in order: the same map gives the same bytes, and so the same message when it is sent again.
func encodeMap(m map[string]any) ([]*msync.KeyValue, *Error) {
	out := make([]*msync.KeyValue, 0, len(m))
	for _, key := range slices.Sorted(maps.Keys(m)) {
		kv, err := encodeValue(key, m[key])
		if err != nil {
			return nil, err
		}
		out = append(out, kv)
	}
	return out, nil
}

func encodeValue(key string, value any) (*msync.KeyValue, *Error) {
	integer := func(v int64) *msync.KeyValue {
		kind := msync.KeyValue_INT
		if int64(int32(v)) != v {
			kind = msync.KeyValue_LLINT
		}
		return &msync.KeyValue{Key: key, Type: kind, Value: &msync.KeyValue_VarintValue{VarintValue: v}}
	}
	switch v := reflect.ValueOf(value); v.Kind() {
	case reflect.Bool:
		kv := &msync.KeyValue_VarintValue{}
		if v.Bool() {
			kv.VarintValue = 1
		}
		return &msync.KeyValue{Key: key, Type: msync.KeyValue_BOOL, Value: kv}, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return integer(v.Int()), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if int64(v.Uint()) < 0 {
			return nil, fail(errcode.InvalidParameter, "send", fmt.Sprintf("the value of %q does not fit into 63 bits", key), nil)
		}
		return integer(int64(v.Uint())), nil
	case reflect.Float32, reflect.Float64:
		return &msync.KeyValue{Key: key, Type: msync.KeyValue_DOUBLE, Value: &msync.KeyValue_DoubleValue{DoubleValue: v.Float()}}, nil
	case reflect.String:
		return &msync.KeyValue{Key: key, Type: msync.KeyValue_STRING, Value: &msync.KeyValue_StringValue{StringValue: v.String()}}, nil
	}
	text, err := json.Marshal(value)
	if err != nil {
		return nil, fail(errcode.InvalidParameter, "send", fmt.Sprintf("the value of %q has no JSON form", key), err)
	}
	return &msync.KeyValue{Key: key, Type: msync.KeyValue_JSON_STRING, Value: &msync.KeyValue_StringValue{StringValue: string(text)}}, nil
}

// decodeMap returns nil for an empty map. JSON that is none stays text.
func decodeMap(in []*msync.KeyValue) map[string]any {
	if len(in) == 0 {
		return nil
	}
	out := make(map[string]any, len(in))
	for _, kv := range in {
		switch kv.GetType() {
		case msync.KeyValue_INT, msync.KeyValue_UINT, msync.KeyValue_LLINT:
			out[kv.GetKey()] = kv.GetVarintValue()
		case msync.KeyValue_FLOAT:
			out[kv.GetKey()] = float64(kv.GetFloatValue())
		case msync.KeyValue_DOUBLE:
			out[kv.GetKey()] = kv.GetDoubleValue()
		case msync.KeyValue_STRING:
			out[kv.GetKey()] = kv.GetStringValue()
		case msync.KeyValue_JSON_STRING:
			var v any
			if json.Unmarshal([]byte(kv.GetStringValue()), &v) != nil {
				v = kv.GetStringValue()
			}
			out[kv.GetKey()] = v
		default: // BOOL, also when the type is absent
			out[kv.GetKey()] = kv.GetVarintValue() != 0
		}
	}
	return out
}

// decodeMessage reads a content message for the given user. The error says what is wrong with it.
func decodeMessage(user string, meta *msync.Meta, body *msync.MessageBody) (*Message, error) {
	if len(body.GetContents()) == 0 {
		return nil, errNoContent
	}
	content, err := decodeContent(body.GetContents()[0])
	if err != nil {
		return nil, err
	}
	m := &Message{
		ID:       formatID(meta.GetId()),
		From:     sender(meta, body),
		Device:   meta.GetFrom().GetClientResource(),
		To:       recipient(meta, body),
		ChatType: chatTypeOf(meta, body),
		Time:     time.UnixMilli(int64(meta.GetTimestamp())),
		Content:  content,
		Ext:      decodeMap(body.GetExt()),

		WantsReceipts: body.GetMsgConfig().GetAllowGroupAck(),
	}
	var extra extraJSON
	if text := body.GetMeta(); text != "" && json.Unmarshal([]byte(text), &extra) == nil {
		extra.addTo(user, m)
	}
	for _, kv := range meta.GetExt() {
		switch kv.GetKey() {
		case "chatroom_msg_tag":
			for _, p := range []Priority{PriorityHigh, PriorityLow} {
				if kv.GetVarintValue() == p.tag() {
					m.Priority = p
				}
			}
		case "is_broadcast":
			m.Broadcast = kv.GetVarintValue() != 0
		}
	}
	m.Conversation = conversation(user, m.ChatType, m.From, m.To)
	return m, nil
}

// extraJSON is what the server adds to a message beside its content.
type extraJSON struct {
	Thread *struct {
		Message string `json:"msg_parent_id"`
		Group   string `json:"muc_parent_id"`
		Name    string `json:"thread_name"`
	} `json:"thread"`
	Overview *struct {
		ID       string             `json:"id"`
		Group    string             `json:"muc_parent_id"`
		Name     string             `json:"name"`
		Created  restclient.Millis  `json:"create_timestamp"`
		Updated  restclient.Millis  `json:"update_timestamp"`
		Messages restclient.Integer `json:"message_count"`
		Last     *messageJSON       `json:"last_message"`
	} `json:"thread_overview"`
	Edit         *editJSON      `json:"edit_msg"`
	Reactions    []reactionJSON `json:"reaction"`
	Translations []struct {
		Code string `json:"code"`
		Text string `json:"text"`
	} `json:"translations"`
	Read      bool `json:"isRead"`
	Delivered bool `json:"isDelivered"`
}

// editJSON is what the server tells of an edit.
type editJSON struct {
	Count    restclient.Integer `json:"count"`
	Operator string             `json:"operator"`
	Time     restclient.Millis  `json:"edit_time"`
	Sender   string             `json:"sender"`
	Sent     restclient.Millis  `json:"send_time"`
	ChatType string             `json:"chat_type"`
}

func (e *editJSON) edit() *Edit {
	if e == nil || e.Count <= 0 {
		return nil
	}
	return &Edit{By: e.Operator, Time: e.Time.Time, Count: int(e.Count)}
}

func (x *extraJSON) addTo(user string, m *Message) {
	if x.Thread != nil && m.ChatType == GroupChat {
		m.ChatType = ThreadChat
		m.Thread = &ThreadPlace{Group: x.Thread.Group, MessageID: x.Thread.Message, Name: x.Thread.Name}
	}
	if o := x.Overview; o != nil {
		m.ThreadOverview = &ThreadOverview{
			ID: o.ID, Group: o.Group, Name: o.Name, Messages: int(o.Messages),
			Created: o.Created.Time, Updated: o.Updated.Time, LastMessage: o.Last.message(user),
		}
	}
	m.Edited = x.Edit.edit()
	m.Reactions = reactionsOf(x.Reactions)
	for _, t := range x.Translations {
		m.Translations = append(m.Translations, Translation{Language: t.Code, Text: t.Text})
	}
	m.Read, m.Delivered = x.Read, x.Delivered
}

func decodeReceipt(user string, meta *msync.Meta, body *msync.MessageBody) *Receipt {
	r := &Receipt{
		From: sender(meta, body),
		Time: time.UnixMilli(int64(meta.GetTimestamp())),
		Text: body.GetAckContent(),
	}
	if t := chatTypeOf(meta, body); t != SingleChat || !body.GetMsgConfig().GetAllowGroupAck() {
		r.Conversation = conversation(user, t, r.From, recipient(meta, body))
	}
	if body.GetAckMessageId() != 0 {
		r.MessageID = formatID(body.GetAckMessageId())
	}
	if len(body.GetExt()) > 0 { // by convention {"<message id>": count}
		var counts map[string]int
		if json.Unmarshal([]byte(body.GetExt()[0].GetStringValue()), &counts) == nil {
			r.ReadCount = counts[r.MessageID]
		}
	}
	return r
}

func sender(meta *msync.Meta, body *msync.MessageBody) string {
	if name := body.GetFrom().GetName(); name != "" {
		return name
	}
	return meta.GetFrom().GetName()
}

func recipient(meta *msync.Meta, body *msync.MessageBody) string {
	if name := body.GetTo().GetName(); name != "" {
		return name
	}
	return meta.GetTo().GetName()
}

func chatTypeOf(meta *msync.Meta, body *msync.MessageBody) ChatType {
	switch body.GetType() {
	case msync.MessageBody_CHAT:
		return SingleChat
	case msync.MessageBody_GROUPCHAT:
		return GroupChat
	case msync.MessageBody_CHATROOM:
		return RoomChat
	}
	if meta.GetTo().GetDomain() == groupDomain {
		return GroupChat
	}
	return SingleChat
}

func conversation(user string, t ChatType, from, to string) string {
	if t == SingleChat && from != user {
		return from
	}
	return to
}

func formatID(id uint64) string { return strconv.FormatUint(id, 10) }

// parseID is 0 for what is no id.
func parseID(id string) uint64 {
	n, err := strconv.ParseUint(id, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// address splits "user/device" as the web SDK does. The server delivers to all devices of the user.
func address(appKey, to string, t ChatType) *msync.JID {
	name, device := to, ""
	if t == SingleChat {
		name, device, _ = strings.Cut(to, "/")
	}
	return &msync.JID{AppKey: appKey, Name: name, Domain: t.domain(), ClientResource: device}
}
