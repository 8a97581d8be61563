package admin

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"

	"github.com/stoa-chat/stoa/internal/restclient"
)

// Thread is a thread under a message of a group, by its id; [Client.Thread] makes one without asking the server. Messages are
// sent to it as to a group.
//
// Its methods return the codes of groups: 605 for a thread that does not exist, and 602 for who is no member of the group.
type Thread struct {
	c  *Client
	id string
}

// Thread returns the thread with this id.
func (c *Client) Thread(id string) Thread { return Thread{c, id} }

// ID returns the id.
func (t Thread) ID() string { return t.id }

// ThreadInfo describes a thread.
type ThreadInfo struct {
	ID, Name, Owner  string
	Group, MessageID string // where it was started
	Members          int    // their number
	Created          time.Time
}

type threadJSON struct {
	ID        string             `json:"id"`
	Name      string             `json:"name"`
	Owner     string             `json:"owner"`
	Group     string             `json:"groupId"`
	MessageID string             `json:"msgId"`
	Members   restclient.Integer `json:"affiliations_count"`
	Created   restclient.Millis  `json:"created"`
}

func (t threadJSON) info() ThreadInfo {
	return ThreadInfo{t.ID, t.Name, t.Owner, t.Group, t.MessageID, int(t.Members), t.Created.Time}
}

// CreateThread starts a thread under a message of a group, with a name of 1 to 64 characters. The error is 1300 for a message
// that has one.
func (c *Client) CreateThread(ctx context.Context, group, messageID, owner, name string) (Thread, error) {
	answer, err := data[struct {
		ID string `json:"thread_id"`
	}](ctx, c, call{op: "create thread", method: http.MethodPost, path: []string{"thread"},
		in: map[string]string{"group_id": group, "msg_id": messageID, "owner": owner, "name": name}})
	return c.Thread(answer.ID), err
}

// Threads returns the ids of all threads, the newest first.
func (c *Client) Threads(ctx context.Context) iter.Seq2[string, error] {
	return mapped(c.threads(ctx, "list threads", "thread"), func(t ThreadInfo) string { return t.ID })
}

// ThreadsOf returns the threads that a user has joined, the newest first.
func (c *Client) ThreadsOf(ctx context.Context, user string) iter.Seq2[ThreadInfo, error] {
	return c.threads(ctx, "list threads of user", "threads", "user", user)
}

// Threads returns the threads of the group, the newest first.
func (g Group) Threads(ctx context.Context) iter.Seq2[ThreadInfo, error] {
	return g.c.threads(ctx, "list threads of group", "threads", "chatgroups", g.id)
}

// ThreadsOf returns the threads of the group that a user has joined.
func (g Group) ThreadsOf(ctx context.Context, user string) iter.Seq2[ThreadInfo, error] {
	return g.c.threads(ctx, "list threads of user", "threads", "chatgroups", g.id, "user", user)
}

func (c *Client) threads(ctx context.Context, op string, path ...string) iter.Seq2[ThreadInfo, error] {
	return mapped(pages[threadJSON](ctx, c, call{op: op, method: http.MethodGet, path: path}, 50), threadJSON.info)
}

// do makes a call about the thread.
func (t Thread) do(ctx context.Context, op, method string, in any, path ...string) error {
	return t.c.do(ctx, call{op: op, method: method, path: append([]string{"thread", t.id}, path...), in: in})
}

// Info describes the thread.
func (t Thread) Info(ctx context.Context) (ThreadInfo, error) {
	row, err := data[threadJSON](ctx, t.c, call{op: "get thread", method: http.MethodGet, path: []string{"thread", t.id}})
	return row.info(), err
}

// Rename changes the name.
func (t Thread) Rename(ctx context.Context, name string) error {
	return t.do(ctx, "rename thread", http.MethodPut, map[string]string{"name": name})
}

// Destroy ends the thread.
func (t Thread) Destroy(ctx context.Context) error {
	return t.do(ctx, "destroy thread", http.MethodDelete, nil)
}

// Members returns the members.
func (t Thread) Members(ctx context.Context) iter.Seq2[string, error] {
	return restclient.Pages("", func(cursor string) ([]string, string, error) {
		query := url.Values{"limit": {"50"}}
		if cursor != "" {
			query.Set("cursor", cursor)
		}
		var answer struct {
			Data struct {
				Users []string `json:"affiliations"`
			} `json:"data"`
			Properties struct {
				Cursor string `json:"cursor"`
			} `json:"properties"`
		}
		err := t.c.do(ctx, call{op: "list members", method: http.MethodGet, path: []string{"thread", t.id, "users"}, query: query, out: &answer})
		return answer.Data.Users, answer.Properties.Cursor, err
	})
}

// Add makes up to 10 members of the group members of the thread.
func (t Thread) Add(ctx context.Context, users ...string) error {
	return t.do(ctx, "add to thread", http.MethodPost, names(users), "users")
}

// Remove removes up to 10 members.
func (t Thread) Remove(ctx context.Context, users ...string) error {
	var answer struct {
		Entities restclient.Outcomes `json:"entities"`
	}
	const op = "remove from thread"
	err := t.c.do(ctx, call{op: op, method: http.MethodDelete, path: []string{"thread", t.id, "users"}, in: names(users), out: &answer})
	if err != nil {
		return err
	}
	return asError(answer.Entities.Refused(op))
}
