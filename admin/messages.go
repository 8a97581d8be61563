package admin

import (
	"context"
	"net/http"
	"strings"

	"github.com/stoa-chat/stoa/errcode"
)

// Receivers says to what kind of receivers a message goes. The values are the server's words.
type Receivers string

// The kinds of receivers. Threads are sent to as groups are.
const (
	Users  Receivers = "users"
	Groups Receivers = "chatgroups"
	Rooms  Receivers = "chatrooms"
)

// Message is what SendMessage sends.
type Message struct {
	// From is the user whom the receivers see; empty: admin. One whom nobody knows yet is registered.
	From string `json:"from,omitempty"`
	// To names up to 600 users, 3 groups or 10 rooms.
	To []string `json:"to"`
	// Type is "txt", "img", "audio", "video", "file", "loc", "cmd" or "custom", and Body holds its fields, as
	// docs/protocol/admin-rest.md §7.3 names them: {"msg": "hi"} is that of a text.
	Type string         `json:"type"`
	Body map[string]any `json:"body"`
	Ext  map[string]any `json:"ext,omitempty"`
	// Only names up to 20 members of the one group or room in To; nobody else is given the message.
	Only []string `json:"users,omitempty"`
	// Unsaved names up to 20 users in whose history the message is not to be.
	Unsaved []string `json:"roam_ignore_users,omitempty"`
	// Online: who is not online now is never given it, and nothing is kept.
	Online bool `json:"-"`
	// Sync: the sender's devices are given it, too.
	Sync bool `json:"sync_device,omitempty"`
	// Receipts asks the members of a group for read receipts.
	Receipts bool `json:"need_group_ack,omitempty"`
	// Level is the priority in a room: "high", "normal" or "low"; empty is normal.
	Level string `json:"chatroom_msg_level,omitempty"`
}

// SendMessage sends a message and returns its id for each receiver. A user whom nobody knows is given nothing, and no
// error tells of that. The errors are code 17 (a field is wrong, the message is too large, or there is no such group or
// room) and 603 (the group is disabled), with the server's words.
func (c *Client) SendMessage(ctx context.Context, to Receivers, m Message) (map[string]string, error) {
	ask := struct {
		Message
		Route string `json:"routetype,omitempty"`
	}{Message: m}
	if m.Online {
		ask.Route = "ROUTE_ONLINE"
	}
	path := "/messages/" + string(to)
	if len(m.Only) > 0 {
		path += "/users"
	}
	var answer struct {
		Data map[string]string `json:"data"`
	}
	err := c.call(ctx, http.MethodPost, path, ask, &answer)
	return answer.Data, err
}

// RecallRequest says which message Recall is to take back.
type RecallRequest struct {
	ID string `json:"msg_id"`
	To string `json:"to"`
	// Type is "chat", "groupchat" or "chatroom".
	Type string `json:"chat_type"`
	// From is who members of a group are told has recalled it; empty: admin.
	From string `json:"from,omitempty"`
	// Force recalls it whatever its age.
	Force bool `json:"force,omitempty"`
}

// Recall takes a message back. The error is code 504 if it is too old, 503 if there is no such message or receiver, and 603
// if the app has recalls switched off.
func (c *Client) Recall(ctx context.Context, r RecallRequest) error {
	var answer struct {
		Data struct {
			Recalled string `json:"recalled"`
		} `json:"data"`
	}
	if err := c.call(ctx, http.MethodPost, "/messages/msg_recall", r, &answer); err != nil {
		return err
	}
	switch result := answer.Data.Recalled; {
	case result == "yes":
		return nil
	case strings.HasPrefix(result, "exceed"):
		return &errcode.Error{Code: errcode.RecallTimeLimit, Op: "recall", Message: result}
	default:
		return &errcode.Error{Code: errcode.ServerUnknownError, Op: "recall", Message: result}
	}
}
