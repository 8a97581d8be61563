package webhook

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

// operation is a change of a group or room as backends are told of it.
type operation struct {
	first  string // payload.operation of generation 1; empty: its name on the wire in small letters
	second string // operation of generation 2; empty: it is not told in that form
	kind   string // payload.type of generation 2
	// own: it may stand on a user's own timeline only. once: on several users', of which that of the user concerned counts.
	own, once bool
}

// operations are those that backends are told of. Others tell clients what one of these tells, too.
var operations = map[msync.MUCBody_Operation]operation{
	msync.MUCBody_CREATE:                       {second: "CREATE", own: true},
	msync.MUCBody_DESTROY:                      {second: "DELETE"},
	msync.MUCBody_APPLY:                        {second: "APPLY", kind: "REQUEST"},
	msync.MUCBody_APPLY_ACCEPT:                 {second: "APPLY", kind: "ACCEPT", own: true},
	msync.MUCBody_APPLY_DECLINE:                {second: "APPLY", kind: "DECLINE", own: true},
	msync.MUCBody_INVITE:                       {second: "INVITE", kind: "REQUEST", own: true},
	msync.MUCBody_INVITE_ACCEPT:                {second: "INVITE", kind: "ACCEPT", own: true},
	msync.MUCBody_INVITE_DECLINE:               {second: "INVITE", kind: "DECLINE", own: true},
	msync.MUCBody_PRESENCE:                     {second: "JOIN", kind: "DIRECT"},
	msync.MUCBody_ABSENCE:                      {second: "LEAVE", kind: "DIRECT"},
	msync.MUCBody_LEAVE:                        {own: true},
	msync.MUCBody_KICK:                         {second: "KICK", own: true},
	msync.MUCBody_BAN:                          {second: "BLOCKLIST", kind: "ADD"},
	msync.MUCBody_ALLOW:                        {second: "BLOCKLIST", kind: "REMOVE", own: true},
	msync.MUCBody_BLOCK:                        {second: "BLOCK", kind: "ADD", own: true},
	msync.MUCBody_UNBLOCK:                      {second: "BLOCK", kind: "REMOVE", own: true},
	msync.MUCBody_UPDATE:                       {second: "INFO", kind: "UPDATE"},
	msync.MUCBody_ASSIGN_OWNER:                 {first: "assing_owner", second: "OWNER", kind: "UPDATE", own: true, once: true},
	msync.MUCBody_ADD_ADMIN:                    {second: "ADMIN", kind: "ADD", own: true},
	msync.MUCBody_REMOVE_ADMIN:                 {second: "ADMIN", kind: "REMOVE", own: true},
	msync.MUCBody_ADD_MUTE:                     {second: "MUTE", kind: "ADD", own: true, once: true},
	msync.MUCBody_REMOVE_MUTE:                  {second: "MUTE", kind: "REMOVE", own: true, once: true},
	msync.MUCBody_BAN_GROUP:                    {second: "BAN", kind: "ADD"},
	msync.MUCBody_REMOVE_BAN_GROUP:             {second: "BAN", kind: "REMOVE"},
	msync.MUCBody_ADD_USER_WHITE_LIST:          {second: "ALLOWLIST", kind: "ADD", own: true},
	msync.MUCBody_REMOVE_USER_WHITE_LIST:       {second: "ALLOWLIST", kind: "REMOVE", own: true},
	msync.MUCBody_UPDATE_ANNOUNCEMENT:          {second: "ANNOUNCEMENT", kind: "UPDATE"},
	msync.MUCBody_DELETE_ANNOUNCEMENT:          {second: "ANNOUNCEMENT", kind: "DELETE"},
	msync.MUCBody_UPLOAD_FILE:                  {second: "FILE", kind: "UPLOAD"},
	msync.MUCBody_DELETE_FILE:                  {second: "FILE", kind: "DELETE"},
	msync.MUCBody_DISABLE_GROUP:                {second: "DISABLE", kind: "ADD"},
	msync.MUCBody_ABLE_GROUP:                   {second: "DISABLE", kind: "REMOVE"},
	msync.MUCBody_GROUP_MEMBER_METADATA_UPDATE: {second: "MEMBER_METADATA", kind: "UPDATE"},
	msync.MUCBody_SET_METADATA:                 {second: "METADATA", kind: "UPDATE"},
	msync.MUCBody_DELETE_METADATA:              {second: "METADATA", kind: "DELETE"},
}

// backendOperator is who acts in generation 2 when a backend does.
const backendOperator = "@ppAdmin"

func wordMuc(app *account.App, second bool, f store.Found, meta *msync.Meta) ([]event, error) {
	var body msync.MUCBody
	if err := proto.Unmarshal(meta.Payload, &body); err != nil {
		return nil, fmt.Errorf("read change of group: %w", err)
	}
	op, told := operations[body.Operation]
	if !told || body.IsThread || second && op.second == "" || f.Key.Kind == store.KindUser && !op.own {
		return nil, errNotTold
	}
	// Whom it is about. An entry on a user's own timeline is about that user, if it is about somebody.
	var concerned []string
	for _, to := range body.To {
		concerned = append(concerned, to.GetName())
	}
	if f.Key.Kind == store.KindUser && len(concerned) > 0 {
		if reader := meta.To.GetName(); op.once && reader != concerned[0] {
			return nil, errNotTold
		} else if !op.once {
			concerned = []string{reader}
		}
	}
	if body.Operation == msync.MUCBody_PRESENCE || body.Operation == msync.MUCBody_ABSENCE {
		if concerned = body.Members; len(concerned) == 0 {
			concerned = []string{body.From.GetName()}
		}
	}
	e := event{name: eventGroup, lane: "p" + body.MucId.GetName(), to: body.MucId.GetName()}
	switch {
	case op.second == "FILE":
		e.name = eventFile
	case body.IsChatroom:
		e.name = eventRoom
	}
	if second {
		return []event{generation2(e, op, f, &body, concerned)}, nil
	}
	if len(concerned) == 0 {
		return []event{generation1(app, e, op, f, &body, body.From, "")}, nil
	}
	var events []event
	for _, user := range concerned {
		switch body.Operation {
		case msync.MUCBody_PRESENCE, msync.MUCBody_ABSENCE: // from is who has come or gone
			who := &msync.JID{Name: user}
			if user == body.From.GetName() {
				who = body.From
			}
			events = append(events, generation1(app, e, op, f, &body, who, ""))
		default:
			events = append(events, generation1(app, e, op, f, &body, body.From, user))
		}
	}
	return events, nil
}

// generation1 words an operation in the form of generation 1 (docs/protocol/admin-rest.md §18.7).
func generation1(app *account.App, e event, op operation, f store.Found, body *msync.MUCBody, from *msync.JID, about string) event {
	name := op.first
	if name == "" {
		name = strings.ToLower(body.Operation.String())
	}
	id := body.MucId.GetName()
	payload := map[string]any{"muc_id": app.Key() + "_" + id + "@" + msync.PlaceDomain, "reason": body.Reason, "is_chatroom": body.IsChatroom,
		"operation": name, "status": map[string]any{"description": "", "error_code": "ok"}}
	if body.EventInfo != nil {
		payload["event_info"] = map[string]any{"ext": body.EventInfo.Ext}
	}
	to := id
	if about != "" {
		to = userJID(app, about)
	}
	sender := userJID(app, from.GetName())
	if from.GetClientResource() != "" {
		sender += "/" + from.GetClientResource()
	}
	e.from = from.GetName()
	e.body = map[string]any{"chat_type": "muc", "eventType": "chat", "group_id": id, "from": sender, "to": to, "msg_id": strconv.FormatInt(f.ID, 10),
		"payload": payload}
	return e
}

// generation2 words an operation in the form of generation 2 (docs/protocol/admin-rest.md §18.8).
func generation2(e event, op operation, f store.Found, body *msync.MUCBody, concerned []string) event {
	e.from = body.From.GetName()
	if f.Sender == 0 {
		e.from = backendOperator
	}
	payload := map[string]any{}
	if op.kind != "" {
		payload["type"] = op.kind
	}
	if len(concerned) > 0 {
		payload["member"] = concerned
	}
	if body.Reason != "" {
		payload["reason"] = body.Reason
	}
	if body.EventInfo != nil && json.Valid([]byte(body.EventInfo.Ext)) {
		payload["ext"] = json.RawMessage(body.EventInfo.Ext)
	}
	kind := "GROUP"
	if body.IsChatroom {
		kind = "CHATROOM"
	}
	e.body = map[string]any{"event": "group_op_event", "type": kind, "operation": op.second, "operator": e.from, "id": body.MucId.GetName(), "payload": payload}
	if body.MucMemberCount > 0 {
		e.body["member_count"] = body.MucMemberCount
	}
	return e
}
