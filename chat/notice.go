package chat

import (
	"encoding/json"
	"strings"

	"github.com/stoa-chat/stoa/internal/restclient"
)

// deliverNotice hands out what comes as JSON. Types that this SDK does not know are passed over.
func (s *session) deliverNotice(text []byte) error {
	var notice struct {
		Type   string          `json:"type"`
		Data   json.RawMessage `json:"data"`
		Values json.RawMessage `json:"values"`
	}
	if err := json.Unmarshal(text, &notice); err != nil {
		return err
	}
	switch notice.Type {
	case "presence":
		return s.noticePresence(notice.Data)
	case "reaction":
		return s.noticeReactions(notice.Data)
	case "thread":
		return s.noticeThread(notice.Data)
	case "roaming_delete":
		return s.noticeDeleted(notice.Data)
	case "conv":
		return s.noticeConversation(notice.Data)
	case "user_notification_mute":
		return s.noticeSilent(notice.Values)
	}
	s.c.opt.log.Debug("notice passed over", "user", s.user, "type", notice.Type)
	return nil
}

func (s *session) noticePresence(data []byte) error {
	var told struct {
		Values []presenceJSON `json:"values"`
	}
	if err := json.Unmarshal(data, &told); err != nil {
		return err
	}
	for _, row := range told.Values {
		tell(&s.c.events, "OnPresence", row.presence(), func(l *Listener) func(*Presence) { return l.OnPresence })
	}
	return nil
}

func (s *session) noticeReactions(data []byte) error {
	var told []struct {
		From      string            `json:"from"`
		To        string            `json:"to"`
		Type      string            `json:"channel_type"`
		MessageID string            `json:"messageId"`
		Time      restclient.Millis `json:"ts"`
		Reactions []reactionJSON    `json:"reactions"`
	}
	if err := json.Unmarshal(data, &told); err != nil {
		return err
	}
	for _, row := range told {
		t := chatTypeNamed(row.Type)
		e := &ReactionEvent{
			Target: Target{t, conversation(s.user, t, row.From, row.To)}, MessageID: row.MessageID, Sender: row.From,
			Time: row.Time.Time, Reactions: reactionsOf(row.Reactions),
		}
		tell(&s.c.events, "OnReaction", e, func(l *Listener) func(*ReactionEvent) { return l.OnReaction })
	}
	return nil
}

func (s *session) noticeThread(data []byte) error {
	var told struct {
		Operation string             `json:"operation"`
		ID        string             `json:"id"`
		Name      string             `json:"name"`
		Group     string             `json:"muc_parent_id"`
		MessageID string             `json:"msg_parent_id"`
		Time      restclient.Millis  `json:"timestamp"`
		From      string             `json:"from"`
		Messages  restclient.Integer `json:"message_count"`
		Last      *messageJSON       `json:"last_message"`
	}
	if err := json.Unmarshal(data, &told); err != nil {
		return err
	}
	op, ok := map[string]ThreadOperation{
		"create": ThreadCreated, "update": ThreadUpdated, "update_msg": ThreadUpdated, "delete": ThreadGone,
	}[told.Operation]
	if !ok {
		return nil
	}
	e := &ThreadEvent{
		Operation: op, Thread: told.ID, Name: told.Name, Group: told.Group, MessageID: told.MessageID, From: told.From,
		Messages: int(told.Messages), Time: told.Time.Time, LastMessage: told.Last.message(s.user),
	}
	if e.LastMessage != nil {
		e.LastMessage.ChatType = ThreadChat
	}
	tell(&s.c.events, "OnThreadEvent", e, func(l *Listener) func(*ThreadEvent) { return l.OnThreadEvent })
	return nil
}

// ownDevice reports whether it is this device.
func (s *session) ownDevice(name string) bool {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return name != "" && name == s.device
}

func (s *session) noticeDeleted(data []byte) error {
	var told struct {
		To     string            `json:"to"`
		Type   string            `json:"chatType"`
		Device string            `json:"resource"`
		Time   restclient.Millis `json:"ts"`
	}
	if err := json.Unmarshal(data, &told); err != nil {
		return err
	}
	if !s.ownDevice(told.Device) {
		target := Target{chatTypeNamed(told.Type), told.To}
		s.tellDevice(&DeviceEvent{Operation: DeviceMessagesDeleted, Target: target, Time: told.Time.Time})
	}
	return nil
}

func (s *session) noticeConversation(data []byte) error {
	var told struct {
		Op     string            `json:"op"`
		ID     string            `json:"id"`
		Type   string            `json:"type"`
		Time   restclient.Millis `json:"ts"`
		From   string            `json:"from"`
		Device string            `json:"res"`
		Ext    string            `json:"ext"`
	}
	if err := json.Unmarshal(data, &told); err != nil {
		return err
	}
	if told.From == s.user && s.ownDevice(told.Device) {
		return nil
	}
	target := Target{chatTypeNamed(told.Type), told.ID}
	switch told.Op {
	case "pin", "pin_delete":
		if target.Type == SingleChat && told.From != s.user {
			target.ID = told.From
		}
		e := &PinEvent{Target: target, MessageID: told.Ext, By: told.From, Pinned: told.Op == "pin", Time: told.Time.Time}
		tell(&s.c.events, "OnMessagePin", e, func(l *Listener) func(*PinEvent) { return l.OnMessagePin })
		return nil
	}
	op, ok := map[string]DeviceOperation{
		"del": DeviceConversationDeleted, "top": DevicePinned, "not_top": DeviceUnpinned,
		"mark": DeviceMarked, "mark_delete": DeviceUnmarked,
	}[told.Op]
	if !ok {
		return nil
	}
	mark, _ := markOf(told.Ext)
	s.tellDevice(&DeviceEvent{Operation: op, Target: target, Time: told.Time.Time, Mark: mark})
	return nil
}

func (s *session) noticeSilent(values []byte) error {
	var told []struct {
		User   string          `json:"user"`
		Group  string          `json:"group"`
		Device string          `json:"operator_resource"`
		Data   json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(values, &told); err != nil {
		return err
	}
	for _, row := range told {
		if s.ownDevice(row.Device) {
			continue
		}
		var mode silentJSON
		if err := json.Unmarshal(row.Data, &mode); err != nil {
			return err
		}
		e := &DeviceEvent{Operation: DeviceConversationSilent, Target: ToUser(row.User), Silent: mode.mode()}
		if row.Group != "" {
			e.Target = ToGroup(row.Group)
		}
		switch {
		case mode.Interval != "" || (row.Group == "" && strings.EqualFold(row.User, s.user)):
			e.Operation, e.Target = DeviceSilent, Target{}
		case mode == silentJSON{}:
			e.Operation = DeviceSilentCleared
		}
		s.tellDevice(e)
	}
	return nil
}
