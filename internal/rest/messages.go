package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/message"
	"github.com/stoa-chat/stoa/internal/msync"
)

// Receivers of one call, docs/protocol/admin-rest.md §7.1.
const (
	maxUsersAddressed  = 600
	maxGroupsAddressed = 3
	maxRoomsAddressed  = 10
)

func (a *API) messageRoutes() []Route {
	return []Route{
		{http.MethodPost, "/messages", AppToken, a.sendOld},
		{http.MethodPost, "/messages/users", AppToken, a.sendTo(message.Chat, maxUsersAddressed)},
		{http.MethodPost, "/messages/chatgroups", AppToken, a.sendTo(message.Group, maxGroupsAddressed)},
		{http.MethodPost, "/messages/chatrooms", AppToken, a.sendTo(message.Room, maxRoomsAddressed)},
		{http.MethodPost, "/messages/chatgroups/users", AppToken, a.sendWithin(message.Group)},
		{http.MethodPost, "/messages/chatrooms/users", AppToken, a.sendWithin(message.Room)},
		{http.MethodPost, "/messages/users/import", AppToken, a.importTo(message.Chat)},
		{http.MethodPost, "/messages/chatgroups/import", AppToken, a.importTo(message.Group)},
		{http.MethodPost, "/messages/msg_recall", AppToken, a.recallOne},
		{http.MethodPost, "/messages/recall", AppToken, a.recallSome(maxRecalled)},
		{http.MethodPost, "/messages/batch_recall", AppToken, a.recallSome(maxBatchRecalled)},
		{http.MethodPut, "/messages/rewrite/{message}", AppToken, a.rewrite},
	}
}

// outgoing is what the bodies of all sends have.
type outgoing struct {
	From     *string         `json:"from"`
	To       []string        `json:"to"`
	Users    []string        `json:"users"`
	Type     string          `json:"type"`
	Body     json.RawMessage `json:"body"`
	Ext      json.RawMessage `json:"ext"`
	Unsaved  []string        `json:"roam_ignore_users"`
	Route    string          `json:"routetype"`
	Sync     bool            `json:"sync_device"`
	Receipts bool            `json:"need_group_ack"`
	Level    string          `json:"chatroom_msg_level"`
}

// speaker is in whose name a backend speaks.
func speaker(from *string) (string, error) {
	switch {
	case from == nil:
		return message.Spokesman, nil
	case *from == "":
		return "", illegal("from can't be empty")
	}
	return *from, nil
}

// extension reads the ext of a message; nil: there is none.
func extension(ext json.RawMessage) ([]*msync.KeyValue, error) {
	if ext == nil {
		return nil, nil
	}
	object, err := objectOf(ext)
	if err != nil {
		return nil, illegal("ext must be JSONObject")
	}
	return msync.ValuesFromJSON(object), nil
}

// content reads the body of a message of a type.
func content(kind string, body json.RawMessage) (*msync.MessageBody_Content, error) {
	object, err := objectOf(body)
	if err != nil {
		return nil, illegal("body must be JSONObject")
	}
	if object["type"], err = json.Marshal(kind); err != nil {
		return nil, fmt.Errorf("write type: %w", err)
	}
	if body, err = json.Marshal(object); err != nil {
		return nil, fmt.Errorf("write body: %w", err)
	}
	return typed(body)
}

// typed reads the content of a message that names its type.
func typed(body json.RawMessage) (*msync.MessageBody_Content, error) {
	c, err := msync.ContentFromJSON(body)
	if err != nil {
		return nil, illegal("%v", err).because(err)
	}
	return c, nil
}

// read makes the message that is to be sent.
func (in outgoing) read() (o message.Outgoing, err error) {
	if o.From, err = speaker(in.From); err != nil {
		return o, err
	}
	if o.Content, err = content(in.Type, in.Body); err != nil {
		return o, err
	}
	err = in.options(&o)
	return o, err
}

func (in outgoing) options(o *message.Outgoing) (err error) {
	level, ok := levels[in.Level]
	switch {
	case !ok:
		return illegal("chatroom_msg_level is high, normal or low")
	case in.Route != "" && in.Route != "ROUTE_ONLINE":
		return illegal("routetype can only be 'ROUTE_ONLINE'")
	}
	o.Level, o.Online, o.Sync, o.Receipts, o.Unsaved = level, in.Route != "", in.Sync, in.Receipts, in.Unsaved
	o.Ext, err = extension(in.Ext)
	return err
}

// addressed checks the number of receivers.
func addressed(names []string, highest int) error {
	if len(names) == 0 || len(names) > highest {
		return illegal("to must name 1 to %d receivers", highest)
	}
	return nil
}

// sayMessage words what is refused of a backend's messages.
func sayMessage(c *Call, from string, err error) error {
	var e *errcode.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, account.ErrUserName):
		return registration(c.App, from, err)
	case (errors.Is(err, errcode.GroupNotExist) || errors.Is(err, errcode.ChatroomNotExist)) && errors.As(err, &e):
		say := refusal{status: http.StatusNotFound, slug: "resource_not_found", description: e.Reason}
		return say.because(err)
	case errors.Is(err, errcode.GroupDisabled):
		say := forbidden("forbidden_op", "can not operate this group, reason: group is disabled")
		return say.because(err)
	case errors.Is(err, errcode.BadMessage) && errors.As(err, &e):
		return illegal("%s", e.Message).because(err)
	}
	return err
}

// sendTo sends to each of the receivers.
func (a *API) sendTo(t message.ChatType, highest int) Handler {
	return func(ctx context.Context, c *Call) (Answer, error) {
		var in outgoing
		if err := c.Decode(&in); err != nil {
			return Answer{}, err
		}
		o, err := in.read()
		if err == nil {
			err = addressed(in.To, highest)
		}
		if err != nil {
			return Answer{}, err
		}
		o.Type, o.To = t, in.To
		return a.sent(ctx, c, o)
	}
}

// sendWithin sends to some of one group or room.
func (a *API) sendWithin(t message.ChatType) Handler {
	return func(ctx context.Context, c *Call) (Answer, error) {
		var in outgoing
		if err := c.Decode(&in); err != nil {
			return Answer{}, err
		}
		o, err := in.read()
		switch {
		case err != nil:
			return Answer{}, err
		case len(in.To) != 1:
			return Answer{}, illegal("to must name 1 receiver")
		case len(in.Users) == 0:
			return Answer{}, illegal("users must name the receivers")
		}
		o.Type, o.To, o.Only = t, in.To, in.Users
		return a.sent(ctx, c, o)
	}
}

// sent sends a message and answers with the ids of its copies.
func (a *API) sent(ctx context.Context, c *Call, o message.Outgoing) (Answer, error) {
	ids, err := a.messages.SendFor(ctx, c.App, o)
	if err != nil {
		return Answer{}, sayMessage(c, o.From, err)
	}
	data := map[string]string{}
	for i, name := range o.To {
		data[name] = strconv.FormatInt(ids[i], 10)
	}
	return Answer{Data: data}, nil
}

// targets are the kinds of receivers of the oldest route.
var targets = map[string]struct {
	kind    message.ChatType
	highest int
}{
	"users":      {message.Chat, maxUsersAddressed},
	"chatgroups": {message.Group, maxGroupsAddressed},
	"chatrooms":  {message.Room, maxRoomsAddressed},
}

// sendOld is the oldest route, which tells no ids unless it is asked to.
func (a *API) sendOld(ctx context.Context, c *Call) (Answer, error) {
	var in struct {
		outgoing
		TargetType string          `json:"target_type"`
		Target     []string        `json:"target"`
		Msg        json.RawMessage `json:"msg"`
	}
	data, err := c.Body()
	if err != nil {
		return Answer{}, err
	}
	if err := errors.Join(decode(data, &in), decode(data, &in.outgoing)); err != nil {
		return Answer{}, refuseBody
	}
	target, ok := targets[in.TargetType]
	if !ok {
		return Answer{}, illegal("target_type can only be 'users' or 'chatgroups' or 'chatrooms'")
	}
	o := message.Outgoing{Type: target.kind, To: in.Target}
	if o.From, err = speaker(in.From); err != nil {
		return Answer{}, err
	}
	if o.Content, err = typed(in.Msg); err != nil {
		return Answer{}, err
	}
	if err = in.options(&o); err == nil {
		err = addressed(in.Target, target.highest)
	}
	if err != nil {
		return Answer{}, err
	}
	answer, err := a.sent(ctx, c, o)
	if err != nil || c.Query("useMsgId") == "true" {
		return answer, err
	}
	done := map[string]string{}
	for _, name := range in.Target {
		done[name] = "success"
	}
	return Answer{Data: done}, nil
}

func (a *API) importTo(t message.ChatType) Handler {
	return func(ctx context.Context, c *Call) (Answer, error) {
		var in struct {
			From   string          `json:"from"`
			Target string          `json:"target"`
			Type   string          `json:"type"`
			Body   json.RawMessage `json:"body"`
			Ext    json.RawMessage `json:"ext"`
			Read   bool            `json:"is_ack_read"`
			Time   scalar          `json:"msg_timestamp"`
			Fetch  bool            `json:"need_download"`
		}
		if err := c.Decode(&in); err != nil {
			return Answer{}, err
		}
		m := message.Import{From: in.From, To: in.Target, Type: t, Time: in.Time.time(), Read: in.Read}
		switch {
		case in.From == "":
			return Answer{}, illegal("from can't be empty")
		case in.Target == "":
			return Answer{}, illegal("target can't be empty")
		}
		var err error
		if m.Content, err = content(in.Type, in.Body); err != nil {
			return Answer{}, err
		}
		if m.Ext, err = extension(in.Ext); err != nil {
			return Answer{}, err
		}
		if in.Fetch && m.Content.RemotePath != "" {
			if err := a.fetchFile(ctx, c, m.Content); err != nil {
				return Answer{}, err
			}
		}
		id, err := a.messages.Import(ctx, c.App, m)
		return Answer{Data: map[string]string{"msg_id": strconv.FormatInt(id, 10)}}, sayMessage(c, m.From, err)
	}
}

// recalled is a message to take back, and in answers what became of it.
type recalled struct {
	ID    scalar `json:"msg_id"`
	To    string `json:"to"`
	Type  string `json:"chat_type"`
	From  string `json:"from"`
	Force bool   `json:"force"`
}

// recall takes a message back and returns what the protocol calls the result.
func (a *API) recall(ctx context.Context, c *Call, in recalled) (string, error) {
	t, err := message.ParseChatType(in.Type)
	if err != nil {
		return "", err
	}
	err = a.messages.RecallFor(ctx, c.App, message.Recall{ID: messageID(string(in.ID)), From: in.From, Type: t, To: in.To, Force: in.Force})
	var e *errcode.Error
	switch {
	case err == nil:
		return "yes", nil
	case errors.Is(err, errcode.ServiceNotEnabled):
		say := forbidden("forbidden_op", "message recall service is unopened")
		return "", say.because(err)
	case errors.Is(err, errcode.OperationUnsupported) && errors.As(err, &e):
		return "", illegal("%s", e.Message).because(err)
	case errors.As(err, &e) && e.Reason != "":
		return e.Reason, nil
	}
	return "", err
}

func (a *API) recallOne(ctx context.Context, c *Call) (Answer, error) {
	var in recalled
	if err := c.Decode(&in); err != nil {
		return Answer{}, err
	}
	result, err := a.recall(ctx, c, in)
	if in.From == "" {
		in.From = message.Spokesman
	}
	return Answer{Data: map[string]string{"recalled": result, "chattype": in.Type, "from": in.From, "to": in.To, "msg_id": string(in.ID)}}, err
}

// How many messages one call recalls: the older route, and the newer one.
const (
	maxRecalled      = 100
	maxBatchRecalled = 30
)

// recallSome recalls what it can, and answers with a row for each message.
func (a *API) recallSome(highest int) Handler {
	return func(ctx context.Context, c *Call) (Answer, error) {
		var in struct {
			Messages []json.RawMessage `json:"msgs"`
		}
		if err := c.Decode(&in); err != nil {
			return Answer{}, err
		}
		if len(in.Messages) == 0 || len(in.Messages) > highest {
			return Answer{}, illegal("msgs must name 1 to %d messages", highest)
		}
		rows := []map[string]string{}
		for _, m := range in.Messages {
			var one recalled
			if err := decode(m, &one); err != nil {
				return Answer{}, err
			}
			result, err := a.recall(ctx, c, one)
			if err != nil {
				return Answer{}, err
			}
			rows = append(rows, map[string]string{"msg_id": string(one.ID), "recalled": result})
		}
		return Answer{Data: map[string]any{"msgs": rows}}, nil
	}
}

// sayRewrite words what is refused of an edit, docs/protocol/admin-rest.md §9.2.
func sayRewrite(err error) error {
	say := refusal{slug: "message_rewrite_error"}
	switch {
	case errors.Is(err, errcode.ServiceNotEnabled):
		say.status, say.exception, say.description = http.StatusForbidden, "EditFeatureNotEnabledException", "The rewrite message feature is not open."
	case errors.Is(err, errcode.MaxLimit):
		say.status, say.exception, say.description = http.StatusForbidden, "EditLimitExceededException", "The message has been edited too often."
	case errors.Is(err, errcode.EditMessageNotExist):
		say.status, say.exception, say.description = http.StatusNotFound, "MessageUnavailableException", "The message is not available."
	case errors.Is(err, errcode.EditFormatError):
		say.status, say.exception, say.description = http.StatusBadRequest, "UnsupportedMessageTypeException", "The type of the message is not supported."
	default:
		return err
	}
	return say.because(err)
}

func (a *API) rewrite(ctx context.Context, c *Call) (Answer, error) {
	id := messageID(c.Value("message"))
	if id == 0 {
		return Answer{}, &refusal{status: http.StatusBadRequest, slug: "message_rewrite_error", exception: "InvalidMessageIdException",
			description: "The message id must be a number."}
	}
	var in struct {
		User    string          `json:"user"`
		Msg     json.RawMessage `json:"new_msg"`
		Ext     json.RawMessage `json:"new_ext"`
		Combine *bool           `json:"is_combine_ext"`
	}
	if err := c.Decode(&in); err != nil {
		return Answer{}, err
	}
	e := message.Edit{ID: id, By: account.Fold(in.User), Replace: in.Combine != nil && !*in.Combine}
	if in.User == "" {
		e.By = message.Spokesman
	}
	var err error
	if e.Content, err = typed(in.Msg); err != nil {
		return Answer{}, err
	}
	if e.Content.Type == msync.MessageBody_Content_CUSTOM { // only there it is part of what is edited
		if e.Ext, err = extension(in.Ext); err != nil {
			return Answer{}, err
		}
	}
	if err := a.messages.EditFor(ctx, c.App, e); err != nil {
		return Answer{}, sayRewrite(sayMessage(c, "", err))
	}
	return Answer{Data: "success"}, nil
}
