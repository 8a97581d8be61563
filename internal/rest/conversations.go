package rest

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/stoa-chat/stoa/internal/message"
	"github.com/stoa-chat/stoa/internal/msync"
)

const (
	pageOfConversations    = 20
	maxPageOfConversations = 50
	// allConversations is how many the old list has, which knows no pages.
	allConversations = 100
)

// Clients and backends use different paths for some of these.
func (a *API) conversationRoutes() []Route {
	return []Route{
		{http.MethodGet, "/users/{user}/user_channels", AppOrSelf, a.oldConversations},
		{http.MethodGet, "/user/{user}/user_channels", AppOrSelf, a.oldConversations},
		{http.MethodGet, "/users/{user}/user_channels/page", AppOrSelf, a.oldConversations},
		{http.MethodGet, "/sdk/user/{user}/user_channels/list", AppOrSelf, a.listConversations},
		{http.MethodGet, "/sdk/user/{user}/user_channels/mark/search", AppOrSelf, a.markedConversations},
		{http.MethodPost, "/sdk/user/{user}/user_channels/mark", AppOrSelf, a.markConversations},
		{http.MethodDelete, "/sdk/user/{user}/user_channels/mark", AppOrSelf, a.unmarkConversations},
		{http.MethodPost, "/sdk/user/{user}/user_channel/top", AppOrSelf, a.pinConversation},
		{http.MethodDelete, "/sdk/user/{user}/user_channel/top", AppOrSelf, a.unpinConversation},
		{http.MethodDelete, "/user/{user}/user_channel", AppOrSelf, a.deleteConversation},
		{http.MethodDelete, "/users/{user}/user_channel", AppOrSelf, a.deleteConversation},
	}
}

// sender is the user whom the path names, on the device that the query names.
func (a *API) sender(ctx context.Context, c *Call) (message.Sender, error) {
	actor, err := a.actor(ctx, c)
	return message.Sender{App: actor.App, User: actor.User, Device: actor.Device, Resource: c.Query("resource")}, err
}

// oldConversations answers in the first form of the list, which names a conversation as the wire does.
func (a *API) oldConversations(ctx context.Context, c *Call) (Answer, error) {
	user, err := a.target(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	page, err := c.limit("pageNum", 1, 1<<20)
	if err != nil {
		return Answer{}, err
	}
	size, err := c.limit("pageSize", allConversations, allConversations)
	if err != nil {
		return Answer{}, err
	}
	list, _, err := a.messages.Conversations(ctx, c.App, user, message.ConversationQuery{Mark: -1, Skip: (page - 1) * size, Limit: size})
	if err != nil {
		return Answer{}, err
	}
	rows := []map[string]any{}
	for _, l := range list {
		domain := msync.UserDomain
		if l.Type != message.Chat {
			domain = msync.PlaceDomain
		}
		last, err := lastMessage(l)
		if err != nil {
			return Answer{}, err
		}
		rows = append(rows, map[string]any{"channel_id": fmt.Sprintf("%s_%s@%s", c.App.Key(), l.ID, domain), "meta": last, "unread_num": l.Unread})
	}
	count := len(rows)
	return Answer{Data: map[string]any{"channel_infos": rows}, Count: &count}, nil
}

// lastMessage is the last message of a conversation in the form of lists, or an empty object.
func lastMessage(l message.Listed) (any, error) {
	if l.Last == nil {
		return struct{}{}, nil
	}
	return l.Last.AsText()
}

func (a *API) listConversations(ctx context.Context, c *Call) (Answer, error) {
	return a.conversationPage(ctx, c, message.ConversationQuery{Mark: -1, Pinned: c.Query("is_top") == "true"})
}

func (a *API) markedConversations(ctx context.Context, c *Call) (Answer, error) {
	mark, err := parseMark(c.Query("mark"))
	if err != nil {
		return Answer{}, err
	}
	return a.conversationPage(ctx, c, message.ConversationQuery{Mark: mark})
}

func (a *API) conversationPage(ctx context.Context, c *Call, q message.ConversationQuery) (Answer, error) {
	user, err := a.target(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	if q.Limit, err = c.Limit(pageOfConversations, maxPageOfConversations); err != nil {
		return Answer{}, err
	}
	q.Cursor = c.Query("cursor")
	list, cursor, err := a.messages.Conversations(ctx, c.App, user, q)
	if err != nil {
		return Answer{}, err
	}
	rows := []map[string]any{}
	for _, l := range list {
		last, err := lastMessage(l)
		if err != nil {
			return Answer{}, err
		}
		row := map[string]any{"session_to": l.ID, "session_type": l.Type, "is_top": l.Pinned != 0, "unread_num": l.Unread, "meta": last}
		if l.Pinned != 0 {
			row["update_top_status_time"] = l.Pinned
		}
		if c.Query("need_mark") == "true" {
			marks := []string{}
			for _, mark := range l.Marks {
				marks = append(marks, markPrefix+strconv.Itoa(mark))
			}
			row["marks"] = marks
		}
		rows = append(rows, row)
	}
	return Answer{Data: map[string]any{"channel_infos": rows, "cursor": cursor}}, nil
}

const markPrefix = "mark_"

// The web client knows these two texts.
var (
	refuseNoMark  = illegal("param mark must be not empty, please check!")
	refuseBadMark = illegal("param mark illegal, please check it!")
)

func parseMark(text string) (int, error) {
	if text == "" {
		return 0, refuseNoMark
	}
	number, ok := strings.CutPrefix(text, markPrefix)
	mark, err := strconv.Atoi(number)
	if !ok || err != nil || mark < 0 || mark > message.MaxMark {
		return 0, refuseBadMark
	}
	return mark, nil
}

func (a *API) markConversations(ctx context.Context, c *Call) (Answer, error) {
	return a.changeMarks(ctx, c, true)
}

func (a *API) unmarkConversations(ctx context.Context, c *Call) (Answer, error) {
	return a.changeMarks(ctx, c, false)
}

// conversationName is how bodies name a conversation.
type conversationName struct {
	To   string `json:"to"`
	Type string `json:"type"`
}

func (n conversationName) place() (message.Place, error) {
	t, err := message.ParseChatType(n.Type)
	return message.Place{Type: t, ID: n.To}, err
}

func (a *API) changeMarks(ctx context.Context, c *Call, on bool) (Answer, error) {
	var in struct {
		Mark    string             `json:"mark"`
		Targets []conversationName `json:"targets"`
	}
	if err := c.Decode(&in); err != nil {
		return Answer{}, err
	}
	mark, err := parseMark(in.Mark)
	if err != nil {
		return Answer{}, err
	}
	if len(in.Targets) == 0 {
		return Answer{}, refuseBody
	}
	places := make([]message.Place, len(in.Targets))
	for i, target := range in.Targets {
		if places[i], err = target.place(); err != nil {
			return Answer{}, err
		}
	}
	by, err := a.sender(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	missing, err := a.messages.MarkConversations(ctx, by, places, mark, on)
	data := map[string]any{}
	if len(missing) > 0 {
		ignored := []conversationName{}
		for _, p := range missing {
			ignored = append(ignored, conversationName{p.ID, string(p.Type)})
		}
		data["ignore"] = ignored
	}
	return Answer{Data: data}, err
}

func (a *API) pinConversation(ctx context.Context, c *Call) (Answer, error) {
	var in conversationName
	if err := c.Decode(&in); err != nil {
		return Answer{}, err
	}
	return a.changePin(ctx, c, in, true)
}

func (a *API) unpinConversation(ctx context.Context, c *Call) (Answer, error) {
	return a.changePin(ctx, c, conversationName{c.Query("to"), c.Query("type")}, false)
}

func (a *API) changePin(ctx context.Context, c *Call, name conversationName, on bool) (Answer, error) {
	place, err := name.place()
	if err != nil {
		return Answer{}, err
	}
	by, err := a.sender(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	at, err := a.messages.PinConversation(ctx, by, place, on)
	if err != nil {
		return Answer{}, err
	}
	data := map[string]any{"is_top": on}
	if on {
		data["update_top_status_time"] = at
	}
	return Answer{Data: data}, nil
}

func (a *API) deleteConversation(ctx context.Context, c *Call) (Answer, error) {
	var in struct {
		Channel  string `json:"channel"`
		Type     string `json:"type"`
		Messages bool   `json:"delete_roam"`
	}
	if err := c.Decode(&in); err != nil {
		return Answer{}, err
	}
	place, err := conversationName{in.Channel, in.Type}.place()
	if err != nil {
		return Answer{}, err
	}
	by, err := a.sender(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	return done(), a.messages.DeleteConversation(ctx, by, place, in.Messages)
}
