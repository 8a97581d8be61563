package chat

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"

	"github.com/stoa-chat/stoa/internal/restclient"
)

// Reaction is one reaction to a message.
type Reaction struct {
	Reaction string   // an emoji, or a text of up to 128 characters
	Count    int      // users
	Users    []string // some of them, the latest first
	Own      bool     // the user is one of them
	// Changes are told by events only: who has just added or removed it.
	Changes []ReactionChange
}

// ReactionChange is what one user did to a reaction.
type ReactionChange struct {
	User  string
	Added bool // else removed
}

// ReactionEvent tells of the reactions to a message after a change; reactions that did not change may be left out.
type ReactionEvent struct {
	Target    Target
	MessageID string
	Sender    string // of the message
	Time      time.Time
	Reactions []Reaction
}

// reactionJSON is a reaction in the server's answers and notices, which name the same things differently.
type reactionJSON struct {
	Reaction  string             `json:"reaction"`
	Count     restclient.Integer `json:"count"`
	UserCount restclient.Integer `json:"userCount"`
	Users     []string           `json:"userList"`
	State     bool               `json:"state"`
	Own       bool               `json:"isAddedBySelf"`
	Cursor    string             `json:"cursor"`
	Changes   []struct {
		Operator string `json:"operator"`
		Type     string `json:"reactionType"`
	} `json:"op"`
}

func reactionsOf(rows []reactionJSON) []Reaction {
	var reactions []Reaction
	for _, row := range rows {
		r := Reaction{Reaction: row.Reaction, Count: int(max(row.Count, row.UserCount)), Users: row.Users, Own: row.State || row.Own}
		for _, change := range row.Changes {
			r.Changes = append(r.Changes, ReactionChange{User: change.Operator, Added: change.Type == "create"})
		}
		reactions = append(reactions, r)
	}
	return reactions
}

// AddReaction adds a reaction of the user's to a message; the members of its conversation are told by OnReaction.
//
// It returns 700 (wrapping 28) without a session, 1101 for one that is there, 1102 when another adds one at this moment,
// 1103 for a message of others' conversations, 50 for too many, 505 when the app has none, 52 when the server does not
// accept the token any more, and the codes of a failed request: 17, 500, -1, -2, -4. So do the other methods for
// reactions.
func (c *Client) AddReaction(ctx context.Context, messageID, reaction string) error {
	return c.do(ctx, call{op: "add reaction", method: http.MethodPost, path: []string{"reaction", "user", me},
		in: map[string]string{"msgId": messageID, "message": reaction}})
}

// RemoveReaction removes a reaction of the user's; 1103 for one that is another's.
func (c *Client) RemoveReaction(ctx context.Context, messageID, reaction string) error {
	return c.do(ctx, call{op: "remove reaction", method: http.MethodDelete, path: []string{"reaction", "user", me},
		query: url.Values{"msgId": {messageID}, "message": {reaction}}})
}

// Reactions returns the reactions to messages of one conversation by message id; a message without any is left out.
func (c *Client) Reactions(ctx context.Context, of Target, messageIDs ...string) (map[string][]Reaction, error) {
	const op = "reactions"
	joined, err := restclient.Join(op, messageIDs)
	if err != nil {
		return nil, err
	}
	query := url.Values{"msgIdList": {joined}, "msgType": {of.Type.name()}}
	if of.Type != SingleChat {
		query.Set("groupId", of.ID)
	}
	var answer struct {
		Data []struct {
			ID        string         `json:"msgId"`
			Reactions []reactionJSON `json:"reactionList"`
		} `json:"data"`
	}
	if err := c.get(ctx, op, &answer, query, "reaction", "user", me); err != nil {
		return nil, err
	}
	reactions := map[string][]Reaction{}
	for _, row := range answer.Data {
		if len(row.Reactions) > 0 {
			reactions[row.ID] = reactionsOf(row.Reactions)
		}
	}
	return reactions, nil
}

// ReactionUsers returns who has added a reaction to a message.
func (c *Client) ReactionUsers(ctx context.Context, messageID, reaction string) iter.Seq2[string, error] {
	return restclient.Pages("", func(cursor string) ([]string, string, error) {
		query := url.Values{"msgId": {messageID}, "message": {reaction}, "pageSize": {"50"}}
		if cursor != "" {
			query.Set("currentPage", cursor)
		}
		var answer struct {
			Data reactionJSON `json:"data"`
		}
		err := c.get(ctx, "reaction users", &answer, query, "reaction", "user", me, "detail")
		return answer.Data.Users, answer.Data.Cursor, err
	})
}
