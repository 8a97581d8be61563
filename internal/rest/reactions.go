package rest

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/message"
	"github.com/stoa-chat/stoa/internal/store"
)

const pageOfReactors = 50

func (a *API) reactionRoutes() []Route {
	return []Route{
		{http.MethodPost, "/reaction/user/{user}", AppOrSelf, a.addReaction},
		{http.MethodDelete, "/reaction/user/{user}", AppOrSelf, a.removeReaction},
		{http.MethodGet, "/reaction/user/{user}", AppOrSelf, a.listReactions},
		{http.MethodGet, "/reaction/user/{user}/detail", AppOrSelf, a.reactionUsers},
	}
}

// messageID reads the id of a message; 0 is none.
func messageID(text string) int64 {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return max(id, 0)
}

// reacted is the answer of this service, which has a form of its own.
func (a *API) reacted(data any) Answer {
	answer := map[string]any{"requestStatusCode": "ok", "timestamp": a.clock.Now().UnixMilli()}
	if data != nil {
		answer["data"] = data
	}
	return Answer{Bare: answer}
}

// reactionRefusal words what groups refuse as this service does.
func reactionRefusal(err error) error {
	say := badRequest("Bad Request", "")
	switch {
	case errors.Is(err, errcode.GroupNotJoined):
		say.description = "The user not in this group!"
	case errors.Is(err, errcode.GroupNotExist):
		say.description = "groupId can not be null!"
	default:
		return err
	}
	return say.because(err)
}

func isoTime(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }

func (a *API) addReaction(ctx context.Context, c *Call) (Answer, error) {
	var in struct {
		Message string `json:"msgId"`
		Text    string `json:"message"`
	}
	if err := c.Decode(&in); err != nil {
		return Answer{}, err
	}
	sender, err := a.sender(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	r, m, err := a.messages.AddReaction(ctx, sender, messageID(in.Message), in.Text)
	if err != nil {
		return Answer{}, reactionRefusal(err)
	}
	row := map[string]any{"id": strconv.FormatInt(r.ID, 10), "msgId": in.Message, "msgType": m.Payload.Type, "groupId": nil, "reaction": r.Text,
		"createdAt": isoTime(r.Created), "updatedAt": isoTime(r.Updated)}
	if m.Payload.Type != string(message.Chat) {
		row["groupId"] = m.To
	}
	return a.reacted(row), nil
}

func (a *API) removeReaction(ctx context.Context, c *Call) (Answer, error) {
	sender, err := a.sender(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	return a.reacted(nil), reactionRefusal(a.messages.RemoveReaction(ctx, sender, messageID(c.Query("msgId")), c.Query("message")))
}

// reactionRow is a reaction in answers. SDKs and backends read the number of users under different names.
type reactionRow struct {
	ID        string   `json:"reactionId"`
	Reaction  string   `json:"reaction"`
	Count     int      `json:"count"`
	UserCount int      `json:"userCount"`
	State     bool     `json:"state"`
	Users     []string `json:"userList"`
}

func reactionRowOf(r store.Reaction, users []string) reactionRow {
	return reactionRow{ID: strconv.FormatInt(r.ID, 10), Reaction: r.Text, Count: r.Count, UserCount: r.Count, State: r.Mine, Users: users}
}

func (a *API) listReactions(ctx context.Context, c *Call) (Answer, error) {
	user, err := a.target(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	group := c.Query("groupId")
	if c.Query("msgType") != string(message.Group) {
		group = ""
	} else if group == "" {
		say := badRequest("Bad Request", "groupId can not be null!")
		return Answer{}, &say
	}
	var ids []int64
	for text := range strings.SplitSeq(c.Query("msgIdList"), ",") {
		if id := messageID(text); id != 0 {
			ids = append(ids, id)
		}
	}
	list, err := a.messages.ListReactions(ctx, c.App, user, group, ids)
	if err != nil {
		return Answer{}, reactionRefusal(err)
	}
	type row struct {
		ID        string        `json:"msgId"`
		Reactions []reactionRow `json:"reactionList"`
	}
	rows := []row{}
	for _, m := range list {
		r := row{ID: strconv.FormatInt(m.ID, 10), Reactions: []reactionRow{}}
		for _, reaction := range m.Reactions {
			names := []string{}
			for _, user := range reaction.Users {
				names = append(names, user.Name)
			}
			r.Reactions = append(r.Reactions, reactionRowOf(reaction, names))
		}
		rows = append(rows, r)
	}
	return a.reacted(rows), nil
}

// reactionUsers pages with currentPage, as the web client calls the cursor, or with cursor.
func (a *API) reactionUsers(ctx context.Context, c *Call) (Answer, error) {
	user, err := a.target(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	size := "limit"
	if c.Query("pageSize") != "" {
		size = "pageSize"
	}
	limit, err := c.limit(size, pageOfReactors, pageOfReactors)
	if err != nil {
		return Answer{}, err
	}
	at := "cursor"
	if c.Query("currentPage") != "" {
		at = "currentPage"
	}
	above, err := c.cursor(at)
	if err != nil {
		return Answer{}, err
	}
	r, users, err := a.messages.ReactionUsers(ctx, c.App, user, messageID(c.Query("msgId")), c.Query("message"), above, limit+1)
	if err != nil {
		return Answer{}, reactionRefusal(err)
	}
	users, cursor := pageOf(users, limit, func(i int) int64 { return users[i].Row })
	names := []string{}
	for _, user := range users {
		names = append(names, user.Peer.Name)
	}
	return a.reacted(struct {
		reactionRow
		Cursor string `json:"cursor"`
	}{reactionRowOf(r, names), cursor}), nil
}
