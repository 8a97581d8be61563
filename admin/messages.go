package admin

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/restclient"
)

// Receivers says to what kind of receivers a message goes. The values are the server's words.
type Receivers string

// The kinds of receivers. Threads are sent to as groups are.
const (
	Users  Receivers = "users"
	Groups Receivers = "chatgroups"
	Rooms  Receivers = "chatrooms"
)

// Content is what a message holds. Text, Image and their like make it.
type Content struct {
	// Type is "txt", "img", "audio", "video", "file", "loc", "cmd" or "custom", and Body holds its fields, as
	// docs/protocol/admin-rest.md §7.3 names them: {"msg": "hi"} is that of a text.
	Type string         `json:"type"`
	Body map[string]any `json:"body"`
}

// Text is the content of a text message.
func Text(text string) Content { return Content{"txt", map[string]any{"msg": text}} }

// Image is the content of a message with a picture, of this size in pixels.
func Image(f Attachment, width, height int) Content {
	content := ofFile("img", f)
	content.Body["size"] = map[string]int{"width": width, "height": height}
	return content
}

// Audio is the content of a message with a recording; the server tells whole seconds.
func Audio(f Attachment, length time.Duration) Content {
	content := ofFile("audio", f)
	content.Body["length"] = int64(length.Seconds())
	return content
}

// Video is the content of a message with a video and a picture of it; without a picture thumbnail is zero.
func Video(f, thumbnail Attachment, length time.Duration) Content {
	content := ofFile("video", f)
	content.Body["length"], content.Body["file_length"] = int64(length.Seconds()), f.Size
	if thumbnail.URL != "" {
		content.Body["thumb"], content.Body["thumb_secret"] = thumbnail.URL, thumbnail.Secret
	}
	return content
}

// Document is the content of a message with a file of any kind.
func Document(f Attachment) Content {
	content := ofFile("file", f)
	content.Body["file_length"] = f.Size
	return content
}

func ofFile(kind string, f Attachment) Content {
	return Content{kind, map[string]any{"url": f.URL, "filename": f.Name, "secret": f.Secret}}
}

// Location is the content of a message with a place on earth.
func Location(latitude, longitude float64, address string) Content {
	return Content{"loc", map[string]any{"lat": latitude, "lng": longitude, "addr": address}}
}

// Command is the content of a message for programs, which people are not shown.
func Command(action string) Content { return Content{"cmd", map[string]any{"action": action}} }

// Custom is the content of a message of the app's own kind.
func Custom(event string, params map[string]string) Content {
	return Content{"custom", map[string]any{"customEvent": event, "customExts": params}}
}

// Message is what SendMessage sends.
type Message struct {
	// From is the user whom the receivers see; empty: admin. One whom nobody knows yet is registered.
	From string `json:"from,omitempty"`
	// To names up to 600 users, 3 groups or 10 rooms.
	To []string `json:"to"`
	Content
	Ext map[string]any `json:"ext,omitempty"`
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
// error tells of that. The errors are 605 and 705 for a group or chatroom that does not exist, 608 for a group that is
// disabled, and 17 for a field that is wrong or a message that is too large.
func (c *Client) SendMessage(ctx context.Context, to Receivers, m Message) (map[string]string, error) {
	ask := struct {
		Message
		Route string `json:"routetype,omitempty"`
	}{Message: m}
	if m.Online {
		ask.Route = "ROUTE_ONLINE"
	}
	path := []string{"messages", string(to)}
	if len(m.Only) > 0 {
		path = append(path, "users")
	}
	return data[map[string]string](ctx, c, call{op: "send message", method: http.MethodPost, path: path, in: ask})
}

// Broadcast is a message to many.
type Broadcast struct {
	From string // as in Message
	Content
	Ext   map[string]any
	Level string // as in Message
}

// BroadcastToRooms sends a message to all chatrooms that have members, and returns its id.
func (c *Client) BroadcastToRooms(ctx context.Context, b Broadcast) (string, error) {
	return c.broadcast(ctx, b, "messages", "chatrooms", "broadcast")
}

// BroadcastToUsers sends a message to all users of the app, each in the conversation with the sender, and returns its id.
// The error is 603 if the app has broadcasts switched off, or there were too many today. Level means nothing here.
func (c *Client) BroadcastToUsers(ctx context.Context, b Broadcast) (string, error) {
	return c.broadcast(ctx, b, "messages", "broadcast")
}

// BroadcastToOnline is BroadcastToUsers for those who are online; nothing is kept of the message.
func (c *Client) BroadcastToOnline(ctx context.Context, b Broadcast) (string, error) {
	return c.broadcast(ctx, b, "messages", "users", "broadcast")
}

func (c *Client) broadcast(ctx context.Context, b Broadcast, path ...string) (string, error) {
	ask := map[string]any{"msg": b.flat()}
	if b.From != "" {
		ask["from"] = b.From
	}
	if b.Ext != nil {
		ask["ext"] = b.Ext
	}
	if b.Level != "" {
		ask["chatroom_msg_level"] = b.Level
	}
	answer, err := data[struct {
		ID json.Number `json:"id"`
	}](ctx, c, call{op: "broadcast", method: http.MethodPost, path: path, in: ask})
	return answer.ID.String(), err
}

// Part is a part of a text that grows before the receiver's eyes.
type Part struct {
	Text string
	Last bool
	// Markdown is said with the first part: the text is Markdown.
	Markdown bool
}

// Stream sends a text in parts to a user, or a group, and returns the id of the message: the first part makes it, each
// other is added to its text. Parts may be 30 seconds apart, all may take 30 minutes, and have 48 KiB. From is the user whom
// the receiver sees; empty: admin. Where parts end without a last one, the last that was there is it.
func (c *Client) Stream(ctx context.Context, from, to string, group bool, parts iter.Seq[Part]) (id string, err error) {
	kind := "user"
	if group {
		kind = "chatgroup"
	}
	seq := 0
	send := func(p Part, last bool) error {
		body := map[string]any{"msg": p.Text, "seq": seq}
		if id != "" {
			body["msgId"] = id
		} else if p.Markdown {
			body["type"] = "markdown"
		}
		if last {
			body["finish"] = true
		}
		seq++
		in := map[string]any{"to": to, "body": body}
		if from != "" {
			in["from"] = from
		}
		answer, err := data[struct {
			ID string `json:"msgId"`
		}](ctx, c, call{op: "stream message", method: http.MethodPost, path: []string{"stream_message", kind}, in: in})
		if id == "" {
			id = answer.ID
		}
		return err
	}
	for p := range parts {
		if err := send(p, p.Last); err != nil || p.Last {
			return id, err
		}
	}
	if id == "" {
		return "", nil
	}
	return id, send(Part{}, true)
}

// flat has the type beside the fields.
func (c Content) flat() map[string]any {
	all := map[string]any{"type": c.Type}
	for name, value := range c.Body {
		all[name] = value
	}
	return all
}

// OldMessage is what ImportMessage brings in.
type OldMessage struct {
	From, To string // a user, and a user or group
	Group    bool   // To is a group
	Content
	Ext  map[string]any
	Time time.Time // zero: now
	Read bool      // it has been read
}

// ImportMessage puts a message into history and the lists of conversations and returns its id; nobody is told. A message
// that is older than the last one of its conversation gets that one's time.
func (c *Client) ImportMessage(ctx context.Context, m OldMessage) (string, error) {
	ask := map[string]any{"from": m.From, "target": m.To, "type": m.Type, "body": m.Body, "is_ack_read": m.Read}
	if m.Ext != nil {
		ask["ext"] = m.Ext
	}
	if !m.Time.IsZero() {
		ask["msg_timestamp"] = m.Time.UnixMilli()
	}
	to := Users
	if m.Group {
		to = Groups
	}
	answer, err := data[struct {
		ID string `json:"msg_id"`
	}](ctx, c, call{op: "import message", method: http.MethodPost, path: []string{"messages", string(to), "import"}, in: ask})
	return answer.ID, err
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
	answer, err := data[struct {
		Recalled string `json:"recalled"`
	}](ctx, c, call{op: "recall", method: http.MethodPost, path: []string{"messages", "msg_recall"}, in: r})
	if err != nil {
		return err
	}
	switch result := answer.Recalled; {
	case result == "yes":
		return nil
	case strings.HasPrefix(result, "exceed"):
		return fail(errcode.RecallTimeLimit, "recall", result, nil)
	default:
		return fail(errcode.ServerUnknownError, "recall", result, nil)
	}
}

// Edit is what EditMessage makes of a message: a text or a custom message.
type Edit struct {
	User string // who is said to have edited it; empty: admin
	Content
	// Ext of a custom message is added to its extension, or with ReplaceExt takes its place.
	Ext        map[string]any
	ReplaceExt bool
}

// EditMessage changes a text or custom message. The error is 17 for one of another type, one that does not exist, or one
// that has been edited too often.
func (c *Client) EditMessage(ctx context.Context, id string, e Edit) error {
	ask := map[string]any{"new_msg": e.flat(), "is_combine_ext": !e.ReplaceExt}
	if e.User != "" {
		ask["user"] = e.User
	}
	if e.Ext != nil {
		ask["new_ext"] = e.Ext
	}
	return c.do(ctx, call{op: "edit message", method: http.MethodPut, path: []string{"messages", "rewrite", id}, in: ask})
}

// Sent is a message in an hour of history.
type Sent struct {
	ID, From, To string
	Type         string // "chat", "groupchat" or "chatroom"
	Time         time.Time
	Bodies       []map[string]any // one, as the Body of [Content] with its type
	Ext          map[string]any
}

// History returns the messages of an hour that is over, in UTC, in their order. The iteration ends at once if there are
// none; the error is 17 if the hour is not over.
func (c *Client) History(ctx context.Context, hour time.Time) iter.Seq2[Sent, error] {
	const op = "get history"
	return func(yield func(Sent, error) bool) {
		files, err := data[[]struct {
			URL string `json:"url"`
		}](ctx, c, call{op: op, method: http.MethodGet, path: []string{"chatmessages", hour.UTC().Format("2006010215")}})
		var refused *Error
		if errors.As(err, &refused) && refused.Data["http_status"] == http.StatusNotFound {
			return
		}
		if err != nil {
			yield(Sent{}, err)
			return
		}
		for _, file := range files {
			if !c.historyFile(ctx, op, file.URL, yield) {
				return
			}
		}
	}
}

// historyFile yields the messages of a file. It returns false if that was the end.
func (c *Client) historyFile(ctx context.Context, op, address string, yield func(Sent, error) bool) bool {
	failed := func(err *Error) bool {
		yield(Sent{}, err)
		return false
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return failed(fail(errcode.RequestFailed, op, "the server's answer names no address", err))
	}
	response, err := c.HTTP.Do(request)
	if err != nil {
		return failed(restclient.Unreached(ctx, op, err))
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return failed(restclient.Read(ctx, op, response, nil))
	}
	plain, err := gzip.NewReader(response.Body)
	if err != nil {
		return failed(restclient.Unreached(ctx, op, err))
	}
	for lines := json.NewDecoder(plain); ; {
		var line struct {
			ID      string            `json:"msg_id"`
			Time    restclient.Millis `json:"timestamp"`
			From    string            `json:"from"`
			To      string            `json:"to"`
			Type    string            `json:"chat_type"`
			Payload struct {
				Bodies []map[string]any `json:"bodies"`
				Ext    map[string]any   `json:"ext"`
			} `json:"payload"`
		}
		if err := lines.Decode(&line); errors.Is(err, io.EOF) {
			return true
		} else if err != nil {
			return failed(restclient.Unreached(ctx, op, err))
		}
		if !yield(Sent{line.ID, line.From, line.To, line.Type, line.Time.Time, line.Payload.Bodies, line.Payload.Ext}, nil) {
			return false
		}
	}
}

// DeleteConversation takes a conversation from a user's list, with messages also its history for this user. Other is a user,
// or a group.
func (c *Client) DeleteConversation(ctx context.Context, user, other string, group, messages bool) error {
	kind := "chat"
	if group {
		kind = "groupchat"
	}
	return c.do(ctx, call{op: "delete conversation", method: http.MethodDelete, path: []string{"users", user, "user_channel"},
		in: map[string]any{"channel": other, "type": kind, "delete_roam": messages}})
}

// DeleteHistory deletes messages of a conversation with a user, or in a group, for one user: those with these ids.
func (c *Client) DeleteHistory(ctx context.Context, user, other string, group bool, ids ...string) error {
	joined, err := restclient.Join("delete history", ids)
	if err != nil {
		return err
	}
	return c.deleteRoaming(ctx, user, other, group, url.Values{"msgIdList": {joined}})
}

// DeleteHistoryBefore is DeleteHistory for all messages up to a time.
func (c *Client) DeleteHistoryBefore(ctx context.Context, user, other string, group bool, before time.Time) error {
	return c.deleteRoaming(ctx, user, other, group, url.Values{"delTime": {strconv.FormatInt(before.UnixMilli(), 10)}}, "time")
}

func (c *Client) deleteRoaming(ctx context.Context, user, other string, group bool, query url.Values, more ...string) error {
	kind, name := "chat", "userId"
	if group {
		kind, name = "group", "groupId"
	}
	query.Set(name, other)
	return c.do(ctx, call{op: "delete history", method: http.MethodDelete, query: query,
		path: append([]string{"rest", "message", "roaming", kind, "user", user}, more...)})
}

// DeleteAllHistory deletes all conversations of a user, for this user.
func (c *Client) DeleteAllHistory(ctx context.Context, user string) error {
	return c.do(ctx, call{op: "delete history", method: http.MethodPost, path: []string{"rest", "message", "roaming", "user", user, "delete", "all"}})
}

// React adds a reaction of a user to a message. The error is 1101 if the user has reacted so already, 1103 where the user may
// not.
func (c *Client) React(ctx context.Context, user, message, reaction string) error {
	return c.do(ctx, call{op: "react", method: http.MethodPost, path: []string{"reaction", "user", user},
		in: map[string]string{"msgId": message, "message": reaction}})
}

// RemoveReaction removes a reaction of a user.
func (c *Client) RemoveReaction(ctx context.Context, user, message, reaction string) error {
	return c.do(ctx, call{op: "remove reaction", method: http.MethodDelete, path: []string{"reaction", "user", user},
		query: url.Values{"msgId": {message}, "message": {reaction}}})
}

// Reaction is a reaction to a message.
type Reaction struct {
	Name  string   `json:"reaction"`
	Count int      `json:"count"`    // users
	Users []string `json:"userList"` // up to 3
}

// Reactions returns the reactions to up to 20 messages of conversations between users that the user can read, by message.
func (c *Client) Reactions(ctx context.Context, user string, messages ...string) (map[string][]Reaction, error) {
	return c.reactions(ctx, user, url.Values{"msgType": {"chat"}}, messages)
}

// GroupReactions is Reactions for messages of a group.
func (c *Client) GroupReactions(ctx context.Context, user, group string, messages ...string) (map[string][]Reaction, error) {
	return c.reactions(ctx, user, url.Values{"msgType": {"groupchat"}, "groupId": {group}}, messages)
}

func (c *Client) reactions(ctx context.Context, user string, query url.Values, messages []string) (map[string][]Reaction, error) {
	const op = "list reactions"
	joined, joinErr := restclient.Join(op, messages)
	if joinErr != nil {
		return nil, joinErr
	}
	query.Set("msgIdList", joined)
	rows, err := data[[]struct {
		ID        string     `json:"msgId"`
		Reactions []Reaction `json:"reactionList"`
	}](ctx, c, call{op: op, method: http.MethodGet, path: []string{"reaction", "user", user}, query: query})
	all := map[string][]Reaction{}
	for _, row := range rows {
		all[row.ID] = row.Reactions
	}
	return all, err
}

// Translate translates a text into languages, as "fr", and returns the texts by language. The errors are 1200 for a
// language that the provider does not know, 1201 for a text that is too long, and 1204 if the provider fails.
func (c *Client) Translate(ctx context.Context, text string, languages ...string) (map[string]string, error) {
	rows, err := data[[]struct {
		Translations []struct {
			Text string `json:"text"`
			To   string `json:"to"`
		} `json:"translations"`
	}](ctx, c, call{op: "translate", method: http.MethodPost, path: []string{"translate"}, in: map[string]any{"text": text, "to": languages}})
	texts := map[string]string{}
	for _, row := range rows {
		for _, t := range row.Translations {
			texts[t.To] = t.Text
		}
	}
	return texts, err
}

// Languages returns the codes of the languages that Translate knows.
func (c *Client) Languages(ctx context.Context) ([]string, error) {
	rows, err := data[[]struct {
		Code string `json:"code"`
	}](ctx, c, call{op: "list languages", method: http.MethodGet, path: []string{"translate", "support", "language"}})
	codes := make([]string, len(rows))
	for i, row := range rows {
		codes[i] = row.Code
	}
	return codes, err
}
