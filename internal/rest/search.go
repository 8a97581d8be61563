package rest

import (
	"context"
	"encoding/base64"
	"strings"

	"github.com/stoa-chat/stoa/internal/message"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

const pageOfFound = 20

// contents reads types of messages as clients list them; none: all. Names that nobody knows match nothing.
func contents(types string) (set store.Contents, err error) {
	if types == "" {
		return 0, nil
	}
	set, known := message.ContentsNamed(strings.Split(types, ","))
	if !known {
		return 0, illegal("there are no messages of type %q", types)
	}
	return set, nil
}

// search answers with messages as history does, and in the JSON form of lists.
func (a *API) search(ctx context.Context, c *Call) (Answer, error) {
	q := message.SearchQuery{Text: c.Query("text"), Cursor: c.Query("cursor")}
	var err error
	if q.Limit, err = c.Limit(pageOfFound, message.MaxFound); err != nil {
		return Answer{}, err
	}
	if q.Contents, err = contents(c.Query("msgType")); err != nil {
		return Answer{}, err
	}
	if id := c.Query("to"); id != "" {
		if q.In, err = (conversationName{id, c.Query("type")}).place(); err != nil {
			return Answer{}, err
		}
	}
	user, err := a.target(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	found, cursor, err := a.messages.Search(ctx, c.App, user, q)
	if err != nil {
		return Answer{}, err
	}
	type hit struct {
		conversationName
		Msg     string              `json:"msg"`
		Message msync.MessageObject `json:"message"`
	}
	hits := []hit{}
	for _, f := range found {
		hits = append(hits, hit{conversationName{f.ID, string(f.Type)}, base64.StdEncoding.EncodeToString(f.Meta), f.Object})
	}
	return Answer{Data: map[string]any{"msgs": hits, "cursor": cursor}}, nil
}
