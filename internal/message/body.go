package message

import (
	"encoding/json"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

// Field numbers of MessageBody.
const (
	bodyType     = 1
	bodyFrom     = 2
	bodyTo       = 3
	bodyContents = 4
	bodyExt      = 5
	bodyMeta     = 9
	jidName      = 2
)

// contentSize is what counts against the limit of a message: its contents and its extension.
func contentSize(payload []byte) (size int) {
	for len(payload) > 0 {
		field, kind, n := protowire.ConsumeTag(payload)
		m := protowire.ConsumeFieldValue(field, kind, payload[n:])
		if field == bodyContents || field == bodyExt {
			size += m
		}
		payload = payload[n+m:]
	}
	return size
}

// contentOf says what a message is. One without contents is shown by no client, and so is an event.
func contentOf(body *msync.MessageBody) (store.Content, error) {
	if len(body.Contents) == 0 {
		return store.ContentEvent, nil
	}
	content := body.Contents[0]
	switch {
	case content.IsCombined():
		return store.ContentCombine, nil
	case content.Type < msync.MessageBody_Content_TEXT || content.Type > msync.MessageBody_Content_COMBINE:
		return 0, bad(fmt.Sprintf("there are no messages with contents of type %d", content.Type), nil)
	}
	return store.ContentText + store.Content(content.Type), nil
}

// checkBody refuses what would be an uncaught error in the receiver's client (docs/protocol/wire.md §4).
func checkBody(meta *msync.Meta, body *msync.MessageBody) error {
	if body.Meta != "" && objectOf(body.Meta) == nil {
		return bad("the meta of the message body is not a JSON object", nil)
	}
	lists := [][]*msync.KeyValue{meta.Ext, body.Ext}
	for _, c := range body.Contents {
		lists = append(lists, c.Params, c.CustomExts)
	}
	for _, list := range lists {
		for _, kv := range list {
			if kv.GetType() == msync.KeyValue_JSON_STRING && !json.Valid([]byte(kv.GetStringValue())) {
				return bad(fmt.Sprintf("the value of %q says that it is JSON, but is not", kv.GetKey()), nil)
			}
		}
	}
	return nil
}

// objectOf reads JSON text; nil if it is not an object.
func objectOf(text string) (object map[string]json.RawMessage) {
	if json.Unmarshal([]byte(text), &object) != nil {
		return nil
	}
	return object
}

// allowedMeta are the keys of a body's meta that senders may set. The others are the server's own: with them a sender
// could forge edits, reactions and receipts.
var allowedMeta = []string{threadKey, translationsKey}

const (
	threadKey       = "thread"
	translationsKey = "translations"
)

// cleanMeta returns a body's meta without what senders may not set. With thread, the thread in which the message is, that
// is told to the receivers; without, the message is in none.
func cleanMeta(text string, thread *threadOf) (string, error) {
	object := objectOf(text)
	before := len(object)
	for key := range object {
		if !slices.Contains(allowedMeta, key) || key == threadKey && thread == nil {
			delete(object, key)
		}
	}
	switch {
	case thread != nil:
		about, err := json.Marshal(thread)
		if err != nil {
			return "", fmt.Errorf("pack thread: %w", err)
		}
		if object == nil {
			object = map[string]json.RawMessage{}
		}
		object[threadKey] = about
	case len(object) == before:
		return text, nil
	case len(object) == 0:
		return "", nil
	}
	clean, err := json.Marshal(object)
	if err != nil {
		return "", fmt.Errorf("pack meta: %w", err)
	}
	return string(clean), nil
}

// threadOf is the thread of a message as its meta tells of it (docs/protocol/wire.md §7.5).
type threadOf struct {
	Message string `json:"msg_parent_id"`
	Group   string `json:"muc_parent_id"`
	Name    string `json:"thread_name"`
}

// serverOnly is the key of a Meta's extension by which the server marks what goes to all rooms.
const serverOnly = "is_broadcast"

// pack makes what receivers get. The body goes on as it came; only the names in it are made those that user and place
// have, and its meta is the given one: a field that comes again replaces the first.
func pack(from Sender, to *msync.JID, meta *msync.Meta, body *msync.MessageBody, bodyJSON string) ([]byte, error) {
	payload := meta.Payload
	if body.From.GetName() != from.User.Name {
		payload = appendName(payload, bodyFrom, from.User.Name)
	}
	if body.To.GetName() != to.Name {
		payload = appendName(payload, bodyTo, to.Name)
	}
	if body.Meta != bodyJSON {
		payload = appendField(payload, bodyMeta, []byte(bodyJSON))
	}
	ext := meta.Ext
	if slices.ContainsFunc(ext, isServerOnly) {
		ext = slices.DeleteFunc(slices.Clone(ext), isServerOnly)
	}
	return msync.StoredMeta(&msync.Meta{
		From:    &msync.JID{Name: from.User.Name, Domain: msync.UserDomain, ClientResource: from.Resource},
		To:      to,
		Ns:      meta.Ns,
		Payload: payload,
		Ext:     ext,
	})
}

func isServerOnly(kv *msync.KeyValue) bool { return kv.GetKey() == serverOnly }

func appendName(payload []byte, field protowire.Number, name string) []byte {
	return appendField(payload, field, protowire.AppendString(protowire.AppendTag(nil, jidName, protowire.BytesType), name))
}

func appendField(payload []byte, field protowire.Number, value []byte) []byte {
	payload = protowire.AppendTag(payload[:len(payload):len(payload)], field, protowire.BytesType)
	return protowire.AppendBytes(payload, value)
}

// unpack reads a stored Meta and the body in it.
func unpack(stored []byte) (*msync.Meta, *msync.MessageBody, error) {
	var meta msync.Meta
	var body msync.MessageBody
	if err := proto.Unmarshal(stored, &meta); err != nil {
		return nil, nil, fmt.Errorf("read message: %w", err)
	}
	if err := proto.Unmarshal(meta.Payload, &body); err != nil {
		return nil, nil, fmt.Errorf("read message: %w", err)
	}
	return &meta, &body, nil
}

// withMeta sets a key of the JSON in the body of a stored Meta.
func withMeta(stored []byte, key string, value any) ([]byte, error) {
	meta, body, err := unpack(stored)
	if err != nil {
		return nil, err
	}
	object := map[string]json.RawMessage{}
	if body.Meta != "" {
		if err := json.Unmarshal([]byte(body.Meta), &object); err != nil {
			return nil, err
		}
	}
	if object[key], err = json.Marshal(value); err != nil {
		return nil, err
	}
	text, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	body.Meta = string(text)
	if meta.Payload, err = proto.Marshal(body); err != nil {
		return nil, err
	}
	return msync.StoredMeta(meta)
}
