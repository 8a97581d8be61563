package rest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/stoa-chat/stoa/internal/message"
	"github.com/stoa-chat/stoa/internal/msync"
)

// pageOfHistory is the page of clients that name no size: the oldest call of the web client does not, and asks again
// until it has enough.
const pageOfHistory = 20

func (a *API) historyRoutes() []Route {
	routes := []Route{
		{http.MethodPost, "/users/{user}/messageroaming", AppOrSelf, a.history},
		{http.MethodGet, "/users/{user}/messages/search", AppOrSelf, a.search},
	}
	// Clients say sdk and backends say rest. Deleting by time is a DELETE for some, a POST for others.
	for _, edge := range []string{"/sdk", "/rest"} {
		routes = append(routes, Route{http.MethodPost, edge + "/message/roaming/user/{user}/delete/all", AppOrSelf, a.removeEverything})
		for _, kind := range []string{"chat", "group"} {
			path := edge + "/message/roaming/" + kind + "/user/{user}"
			routes = append(routes,
				Route{http.MethodDelete, path, AppOrSelf, a.removeMessages},
				Route{http.MethodDelete, path + "/time", AppOrSelf, a.removeUntil},
				Route{http.MethodPost, path + "/time", AppOrSelf, a.removeUntil})
		}
	}
	return routes
}

// scalar is a number or a text, as clients mix them; null and "undefined" are empty.
type scalar string

func (s *scalar) UnmarshalJSON(data []byte) error {
	text := strings.Trim(string(data), `"`)
	if text == "null" || text == "undefined" {
		text = ""
	}
	if _, err := strconv.ParseInt(text, 10, 64); text != "" && err != nil {
		return illegal("%q is not a number", text)
	}
	*s = scalar(text)
	return nil
}

// time reads milliseconds since 1970; 0 and less: none.
func (s scalar) time() int64 {
	number, _ := strconv.ParseInt(string(s), 10, 64) // it has been checked
	return max(number, 0)
}

// queuePlace reads how the wire names a conversation: by an id and the domain of users or of places.
func queuePlace(queue string) (message.Place, error) {
	id, domain, _ := strings.Cut(queue, "@")
	switch domain {
	case msync.UserDomain, "":
		return message.Place{Type: message.Chat, ID: id}, nil
	case msync.PlaceDomain:
		return message.Place{Type: message.Group, ID: id}, nil
	}
	return message.Place{}, illegal("queue must be an id @%s or @%s", msync.UserDomain, msync.PlaceDomain)
}

func (a *API) history(ctx context.Context, c *Call) (Answer, error) {
	var in struct {
		Queue   string          `json:"queue"`
		Start   scalar          `json:"start"`
		Size    json.RawMessage `json:"pull_number"`
		Forward bool            `json:"is_positive"`
		Types   string          `json:"msgType"`
		Since   scalar          `json:"startTime"`
		Until   scalar          `json:"endTime"`
		Sender  string          `json:"userId"`
	}
	if err := c.Decode(&in); err != nil {
		return Answer{}, err
	}
	q := message.HistoryQuery{Forward: in.Forward, Limit: pageOfHistory, Sender: in.Sender, Since: in.Since.time(), Until: in.Until.time()}
	if size := string(in.Size); size != "" && size != "null" {
		n, err := strconv.Atoi(size)
		if err != nil || n < 1 {
			return Answer{}, illegal("pull_number must be a number from 1 to %d", message.MaxHistory)
		}
		q.Limit = min(n, message.MaxHistory)
	}
	var err error
	if q.Start, err = message.ParseStart(string(in.Start)); err != nil {
		return Answer{}, err
	}
	if q.Contents, err = contents(in.Types); err != nil {
		return Answer{}, err
	}
	place, err := queuePlace(in.Queue)
	if err != nil {
		return Answer{}, err
	}
	user, err := a.target(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	page, err := a.messages.History(ctx, c.App, user, place, q)
	if err != nil {
		return Answer{}, err
	}
	msgs := []map[string]string{}
	for _, meta := range page.Messages {
		msgs = append(msgs, map[string]string{"msg": base64.StdEncoding.EncodeToString(meta)})
	}
	return Answer{Data: map[string]any{"msgs": msgs, "next_key": message.FormatNext(page.Next), "is_last": page.Last}}, nil
}

func (a *API) removeMessages(ctx context.Context, c *Call) (Answer, error) {
	var ids []int64
	for text := range strings.SplitSeq(c.Query("msgIdList"), ",") {
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return Answer{}, illegal("msgIdList must be message ids, separated by commas")
		}
		ids = append(ids, id)
	}
	return a.remove(ctx, c, func(by message.Sender, place message.Place) error {
		return a.messages.RemoveMessages(ctx, by, place, ids)
	})
}

func (a *API) removeUntil(ctx context.Context, c *Call) (Answer, error) {
	time, err := strconv.ParseInt(c.Query("delTime"), 10, 64)
	if err != nil || time < 0 {
		return Answer{}, illegal("delTime must be a time in milliseconds")
	}
	return a.remove(ctx, c, func(by message.Sender, place message.Place) error {
		return a.messages.RemoveUntil(ctx, by, place, time)
	})
}

// remove deletes in the conversation that the query names.
func (a *API) remove(ctx context.Context, c *Call, do func(message.Sender, message.Place) error) (Answer, error) {
	place := message.Place{Type: message.Chat, ID: c.Query("userId")}
	if place.ID == "" {
		place = message.Place{Type: message.Group, ID: c.Query("groupId")}
	}
	if place.ID == "" {
		return Answer{}, illegal("userId or groupId must name the conversation")
	}
	by, err := a.sender(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	return done(), do(by, place)
}

func (a *API) removeEverything(ctx context.Context, c *Call) (Answer, error) {
	by, err := a.sender(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	return done(), a.messages.RemoveEverything(ctx, by)
}
