package chat

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/restclient"
)

// Thread is a thread by its id; [Client.Thread] makes one without asking the server. Messages in it are sent with
// [WithChatType] and ThreadChat.
//
// Its methods return 700 (wrapping 28) without a session, -3 for ids that are none, 1300 for a thread that does not exist,
// 602 for who is not in its group, 603 when the user may not do it, 505 when the app has no threads, and the codes of a
// failed request: 17, 52, 500, -1, -2, -4.
type Thread struct {
	c  *Client
	id string
}

// Thread returns the thread with this id.
func (c *Client) Thread(id string) Thread { return Thread{c, id} }

// ID returns the id of the thread.
func (t Thread) ID() string { return t.id }

// ThreadInfo describes a thread.
type ThreadInfo struct {
	ID, Name  string
	Owner     string // user id
	Group     string // that it belongs to
	MessageID string // that it hangs on
	Members   int    // told by [Thread.Info] only
	Created   time.Time
}

// threadJSON is a thread in the server's answers.
type threadJSON struct {
	ID      string             `json:"id"`
	Name    string             `json:"name"`
	Owner   string             `json:"owner"`
	Group   string             `json:"groupId"`
	Message string             `json:"msgId"`
	Count   restclient.Integer `json:"affiliations_count"`
	Created restclient.Millis  `json:"created"`
}

func (t threadJSON) info() ThreadInfo {
	return ThreadInfo{
		ID: t.ID, Name: t.Name, Owner: t.Owner, Group: t.Group, MessageID: t.Message, Members: int(t.Count), Created: t.Created.Time,
	}
}

// CreateThread makes a thread beside a message of a group; its name has up to 64 characters. The group is told by
// OnThreadEvent. It returns 1301 for a message that has one, 50 for too many threads, and else what the methods of
// [Thread] do.
func (c *Client) CreateThread(ctx context.Context, group, messageID, name string) (Thread, error) {
	const op = "create thread"
	user, _, _ := c.credentials()
	in := map[string]string{"name": name, "msg_id": messageID, "group_id": group, "owner": user}
	var answer struct {
		Data struct {
			ID string `json:"thread_id"`
		} `json:"data"`
	}
	if err := c.change(ctx, op, http.MethodPost, in, &answer, "thread"); err != nil {
		return Thread{}, err
	}
	if answer.Data.ID == "" {
		return Thread{}, fail(errcode.RequestFailed, op, "the server's answer does not name the thread", nil)
	}
	return c.Thread(answer.Data.ID), nil
}

// JoinedThreads returns the threads that the user is in, newest first; with a group those of that group.
func (c *Client) JoinedThreads(ctx context.Context, group string) iter.Seq2[ThreadInfo, error] {
	if group == "" {
		return c.threads(ctx, "joined threads", "threads", "user", me)
	}
	return c.threads(ctx, "joined threads", "threads", "chatgroups", group, "user", me)
}

// Threads returns the threads of the group, newest first.
func (g Group) Threads(ctx context.Context) iter.Seq2[ThreadInfo, error] {
	return g.c.threads(ctx, "threads", "threads", "chatgroups", g.id)
}

func (c *Client) threads(ctx context.Context, op string, path ...string) iter.Seq2[ThreadInfo, error] {
	return restclient.Pages("", func(cursor string) ([]ThreadInfo, string, error) {
		var answer struct {
			Entities   []threadJSON `json:"entities"`
			Properties struct {
				Cursor string `json:"cursor"`
			} `json:"properties"`
		}
		err := c.get(ctx, op, &answer, url.Values{"limit": {"50"}, "cursor": {cursor}}, path...)
		infos := make([]ThreadInfo, len(answer.Entities))
		for i, row := range answer.Entities {
			infos[i] = row.info()
		}
		return infos, answer.Properties.Cursor, err
	})
}

// LastMessages returns the last message of each thread by thread id; one that holds none is left out.
func (c *Client) LastMessages(ctx context.Context, threads ...string) (map[string]*Message, error) {
	const op = "last messages"
	if _, err := restclient.Join(op, threads); err != nil {
		return nil, err
	}
	var answer struct {
		Entities []struct {
			ID   string       `json:"thread_id"`
			Last *messageJSON `json:"last_message"`
		} `json:"entities"`
	}
	err := c.do(ctx, call{op: op, method: http.MethodPost, path: []string{"thread", "message"},
		in: map[string]any{"threadIds": threads}, out: &answer})
	if err != nil {
		return nil, err
	}
	user, _, _ := c.credentials()
	last := map[string]*Message{}
	for _, row := range answer.Entities {
		if m := row.Last.message(user); m != nil {
			m.ChatType = ThreadChat
			last[row.ID] = m
		}
	}
	return last, nil
}

// Info describes the thread.
func (t Thread) Info(ctx context.Context) (ThreadInfo, error) {
	var answer struct {
		Data threadJSON `json:"data"`
	}
	err := t.c.get(ctx, "thread info", &answer, nil, "thread", t.id)
	return answer.Data.info(), err
}

// Join joins the thread: its messages come from now on.
func (t Thread) Join(ctx context.Context) (ThreadInfo, error) {
	var answer struct {
		Data struct {
			Detail threadJSON `json:"detail"`
		} `json:"data"`
	}
	err := t.c.change(ctx, "join thread", http.MethodPost, nil, &answer, "thread", t.id, "user", me, "join")
	return answer.Data.Detail.info(), err
}

// Leave leaves the thread.
func (t Thread) Leave(ctx context.Context) error {
	return t.c.change(ctx, "leave thread", http.MethodDelete, nil, nil, "thread", t.id, "user", me, "quit")
}

// Rename changes the name of the thread, up to 64 characters.
func (t Thread) Rename(ctx context.Context, name string) error {
	return t.c.change(ctx, "rename thread", http.MethodPut, map[string]string{"name": name}, nil, "thread", t.id)
}

// Destroy ends the thread for all its members.
func (t Thread) Destroy(ctx context.Context) error {
	return t.c.change(ctx, "destroy thread", http.MethodDelete, nil, nil, "thread", t.id)
}

// Members returns the ids of the members.
func (t Thread) Members(ctx context.Context) iter.Seq2[string, error] {
	return restclient.Pages("", func(cursor string) ([]string, string, error) {
		var answer struct {
			Data struct {
				Affiliations []string `json:"affiliations"`
			} `json:"data"`
			Properties struct {
				Cursor string `json:"cursor"`
			} `json:"properties"`
		}
		err := t.c.get(ctx, "thread members", &answer, url.Values{"limit": {"50"}, "cursor": {cursor}}, "thread", t.id, "users")
		return answer.Data.Affiliations, answer.Properties.Cursor, err
	})
}

// Remove removes a member.
func (t Thread) Remove(ctx context.Context, user string) error {
	return t.c.change(ctx, "remove thread member", http.MethodDelete, nil, nil, "thread", t.id, "users", user)
}
