package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

// event is something that a backend is told of, in the form of docs/protocol/admin-rest.md §18.4 to §18.9.
type event struct {
	name     string // that rules call it by
	id       string // callId
	lane     string // those of a lane are told in order
	at       int64
	chatType string // chat, groupchat, chatroom or chatPlace; empty: not about a conversation
	kind     string // the type of a message
	from, to string
	ext      map[string]any
	backend  bool // a message that a backend has sent
	body     map[string]any
}

// pack makes the body that is stored. Seal adds the signature: the secret may change until then.
func (e *event) pack() ([]byte, error) {
	e.body["callId"], e.body["timestamp"], e.body["securityVersion"] = e.id, e.at, "1.0.0"
	return json.Marshal(e.body)
}

func seal(c *store.Callback, secret string) []byte {
	return fmt.Appendf(nil, `%s,"security":%q}`, c.Body[:len(c.Body)-1], security(c.Event, secret, c.Created))
}

var errNotTold = errors.New("backends are not told of this")

// word makes the events that news amounts to: none, one, or one for each user concerned.
func (s *Service) word(app *account.App, second bool, n news) []event {
	host := "stoa-" + strconv.Itoa(s.node)
	if n.session != nil {
		return []event{wordSession(app, host, n.session)}
	}
	events, err := wordEntry(app, second, n.Found)
	if err != nil && !errors.Is(err, errNotTold) {
		s.log.Error("word callback", "app", app.Key(), "msg_id", n.ID, "error", err)
	}
	for i := range events {
		e := &events[i]
		e.at = n.Time
		e.id = app.Key() + "_" + strconv.FormatInt(n.ID, 10)
		if i > 0 {
			e.id += "_" + strconv.Itoa(i)
		}
		if e.body["event"] == "group_op_event" {
			// The same again when it is told again, so that it can be recognised.
			e.id = app.Key() + "_" + uuid.NewSHA1(uuid.NameSpaceURL, []byte(e.id)).String()
		}
		e.body["appkey"], e.body["host"] = app.Key(), host
	}
	return events
}

func wordSession(app *account.App, host string, n *sessionNews) event {
	e := event{name: eventLogout, id: app.Key() + "_" + n.id, lane: "u" + strconv.FormatInt(n.User, 10), at: n.at, from: n.user.Name}
	status := "offline"
	if n.reason == "login" {
		e.name, status = eventLogin, "online"
	}
	e.body = map[string]any{"reason": n.reason, "status": status, "os": n.Platform, "ip": "", "version": "", "host": host, "appkey": app.Key(),
		"user": userJID(app, n.user.Name) + "/" + n.Resource}
	return e
}

func userJID(app *account.App, name string) string {
	return app.Key() + "_" + name + "@" + msync.UserDomain
}

func wordEntry(app *account.App, second bool, f store.Found) ([]event, error) {
	var meta msync.Meta
	if err := proto.Unmarshal(f.Meta, &meta); err != nil {
		return nil, fmt.Errorf("read meta: %w", err)
	}
	switch meta.Ns {
	case msync.Meta_CHAT:
		return wordChat(app, f, &meta)
	case msync.Meta_MUC:
		return wordMuc(app, second, f, &meta)
	case msync.Meta_ROSTER:
		return wordRoster(f, &meta)
	case msync.Meta_NOTIFY:
		return wordNotice(f, &meta)
	}
	return nil, errNotTold
}

// pairLane is the lane of two users, to which also their receipts and invitations belong.
func pairLane(a, b int64) string { return fmt.Sprintf("%d:%d", min(a, b), max(a, b)) }

// laneOf is the lane of a conversation, or of whom a user's own entry is from.
func laneOf(f store.Found, to string) string {
	switch f.Key.Kind {
	case store.KindPair:
		return pairLane(f.Key.A, f.Key.B)
	case store.KindUser:
		return pairLane(f.Key.A, f.Sender)
	}
	return "p" + to
}

// about makes the event of an entry in a conversation.
func about(f store.Found, name, chatType string, meta *msync.Meta, payload map[string]any) event {
	from, to := meta.From.GetName(), meta.To.GetName()
	e := event{name: name, lane: laneOf(f, to), from: from, to: to, body: map[string]any{"eventType": "chat", "chat_type": chatType,
		"from": from, "to": to, "msg_id": strconv.FormatInt(f.ID, 10), "payload": payload}}
	if f.Key.Kind == store.KindMuc {
		e.body["group_id"] = to
	}
	return e
}

// chatPlace is the chat type of what says only that it is about a group or a chatroom.
const chatPlace = "place"

func chatTypeOf(f store.Found) string {
	if f.Key.Kind == store.KindMuc {
		return chatPlace
	}
	return "chat"
}

// restAdmin is who has edited where a backend has.
const restAdmin = "easemob_rest_app_admin"

func wordChat(app *account.App, f store.Found, meta *msync.Meta) ([]event, error) {
	var body msync.MessageBody
	if err := proto.Unmarshal(meta.Payload, &body); err != nil {
		return nil, fmt.Errorf("read message: %w", err)
	}
	p := msync.PayloadJSON(&body)
	for i, content := range p.Bodies {
		if content["type"] == "custom" {
			exts := map[string]any{}
			for _, one := range content["customExts"].([]map[string]any) {
				for key, value := range one {
					exts[key] = value
				}
			}
			p.Bodies[i]["v2:customExts"] = exts
		}
	}
	ack := strconv.FormatUint(body.AckMessageId, 10)
	acked := map[string]any{"ext": p.Ext, "ack_message_id": ack, "bodies": []any{}}
	chatType := chatTypeOf(f)
	var e event
	switch body.Type {
	case msync.MessageBody_CHAT, msync.MessageBody_GROUPCHAT, msync.MessageBody_CHATROOM:
		chatType = map[msync.MessageBody_Type]string{msync.MessageBody_CHAT: "chat", msync.MessageBody_GROUPCHAT: "groupchat",
			msync.MessageBody_CHATROOM: "chatroom"}[body.Type]
		payload := map[string]any{"ext": p.Ext, "bodies": p.Bodies}
		if string(p.Meta) != "{}" {
			payload["meta"] = p.Meta
		}
		e = about(f, eventMessage, chatType, meta, payload)
		e.ext = p.Ext
		if len(p.Bodies) > 0 {
			e.kind, _ = p.Bodies[0]["type"].(string)
		}
		e.backend = f.Device == 0
	case msync.MessageBody_RECALL:
		e = about(f, eventRecall, "recall", meta, acked)
		e.body["recall_id"] = ack
		e.backend = f.Device == 0
	case msync.MessageBody_EDIT:
		var edited map[string]any
		if err := json.Unmarshal(p.Meta, &edited); err != nil {
			return nil, fmt.Errorf("read edit: %w", err)
		}
		if edit, ok := edited["edit_msg"].(map[string]any); ok && f.Device == 0 {
			edit["operator"] = restAdmin
		}
		e = about(f, eventEdit, "edit", meta, map[string]any{"ext": p.Ext, "bodies": p.Bodies, "from": meta.From.GetName(), "to": meta.To.GetName(),
			"type": "edit", "edit_message_id": strconv.FormatUint(body.EditMessageId, 10), "meta": edited})
		e.backend = f.Device == 0
	case msync.MessageBody_READ_ACK:
		e = about(f, eventRead, "read_ack", meta, acked)
		if body.MsgConfig.GetAllowGroupAck() {
			acked["msg_config"], acked["type"], chatType = map[string]any{"allow_group_ack": true}, "read_ack", chatPlace
			e.body["channel_user"], e.body["content_type"] = userJID(app, meta.From.GetName()), "chat:ack:read"
		}
	case msync.MessageBody_CHANNEL_ACK:
		e = about(f, eventRead, "read_ack", meta, map[string]any{"ext": p.Ext, "bodies": []any{}, "type": "channel_ack"})
	case msync.MessageBody_DELIVER_ACK:
		e = about(f, eventDelivery, "delivery_ack", meta, acked)
	default:
		return nil, errNotTold
	}
	e.chatType = chatType
	return []event{e}, nil
}

// wordNotice words reactions, pins and what becomes of threads.
func wordNotice(f store.Found, meta *msync.Meta) ([]event, error) {
	var notice struct {
		Type string          `json:"type"`
		Data json.RawMessage `json:"data"`
	}
	if f.Key.Kind == store.KindUser || json.Unmarshal(meta.Payload, &notice) != nil {
		return nil, errNotTold
	}
	payload := map[string]any{"type": notice.Type, "data": notice.Data}
	var name string
	switch notice.Type {
	case "reaction":
		name = eventReaction
		var data []struct {
			ChannelType string           `json:"channel_type"`
			Message     string           `json:"messageId"`
			From        string           `json:"from"`
			To          string           `json:"to"`
			At          int64            `json:"ts"`
			Reactions   []map[string]any `json:"reactions"`
		}
		if err := json.Unmarshal(notice.Data, &data); err != nil || len(data) == 0 || len(data[0].Reactions) == 0 {
			return nil, errors.Join(errNotTold, err)
		}
		state := data[0].Reactions[0]
		// It stands in the timeline twice, for those who have added the reaction and for the others.
		changes, _ := state["op"].([]any)
		if len(changes) == 0 {
			return nil, errNotTold
		}
		change, _ := changes[0].(map[string]any)
		if mine, ok := state["isAddedBySelf"].(bool); !ok || mine != (change["reactionType"] == "create") {
			return nil, errNotTold
		}
		delete(state, "isAddedBySelf")
		payload["channel_type"], payload["num"] = data[0].ChannelType, len(data)
		payload["data"] = []any{map[string]any{"messageId": data[0].Message, "from": data[0].From, "to": data[0].To,
			"channel_type": data[0].ChannelType, "ts": data[0].At, "reactions": []any{state}}}
	case "thread":
		name = eventThread
	case "pin", "pin_delete":
		name = eventPin
	default:
		return nil, errNotTold
	}
	e := about(f, name, "notify", meta, payload)
	e.chatType = chatTypeOf(f)
	return []event{e}, nil
}

func wordRoster(f store.Found, meta *msync.Meta) ([]event, error) {
	var body msync.RosterBody
	if err := proto.Unmarshal(meta.Payload, &body); err != nil {
		return nil, fmt.Errorf("read change of contacts: %w", err)
	}
	if body.Operation == msync.RosterBody_REMOVE && f.Sender == f.Key.A {
		return nil, errNotTold // for one's own other devices; the other user is told the same
	}
	operation := strings.ToLower(body.Operation.String())
	var events []event
	for _, to := range body.To {
		payload := map[string]any{"operation": operation, "roster_ver": body.RosterVer, "status": map[string]any{"error_code": "ok"}}
		if body.Reason != "" {
			payload["reason"] = body.Reason
		}
		e := about(f, eventContact, "roster", meta, payload)
		e.from, e.to = body.From.GetName(), to.GetName()
		e.body["from"], e.body["to"] = e.from, e.to
		events = append(events, e)
	}
	return events, nil
}
