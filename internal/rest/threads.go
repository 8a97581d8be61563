package rest

import (
	"context"
	"net/http"
	"strconv"

	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/muc"
	"github.com/stoa-chat/stoa/internal/store"
)

const maxPageOfThreads = 50 // also the standard

func (a *API) threadRoutes() []Route {
	return []Route{
		{http.MethodPost, "/thread", AnyToken, a.of(a.createThread)},
		{http.MethodGet, "/thread", AppToken, a.of(a.allThreads)},
		{http.MethodGet, "/thread/{place}", AnyToken, a.of(a.showThread)},
		{http.MethodPut, "/thread/{place}", AnyToken, a.of(a.renameThread)},
		{http.MethodDelete, "/thread/{place}", AnyToken, a.of(a.destroyThread)},
		{http.MethodPost, "/thread/{place}/user/{user}/join", AppOrSelf, a.of(a.joinThread)},
		{http.MethodDelete, "/thread/{place}/user/{user}/quit", AppOrSelf, a.of(a.leaveThread)},
		{http.MethodGet, "/thread/{place}/users", AnyToken, a.of(a.threadMembers)},
		{http.MethodPost, "/thread/{place}/users", AppToken, a.of(a.addToThread)},
		{http.MethodDelete, "/thread/{place}/users", AnyToken, a.of(a.removeFromThread)},
		{http.MethodDelete, "/threads/{place}/users", AnyToken, a.of(a.removeFromThread)},
		{http.MethodDelete, "/thread/{place}/users/{member}", AnyToken, a.of(a.removeOneFromThread)},
		{http.MethodGet, "/threads/user/{user}", AppOrSelf, a.of(a.joinedThreads)},
		{http.MethodGet, "/threads/chatgroups/{place}", AnyToken, a.of(a.threads)},
		{http.MethodGet, "/threads/chatgroups/{place}/user/{user}", AppOrSelf, a.of(a.joinedThreads)},
		{http.MethodPost, "/thread/message", AnyToken, a.of(a.lastMessages)},
	}
}

// threadEntity is a thread in answers.
type threadEntity struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Owner   string `json:"owner"`
	Created int64  `json:"created"`
	Message string `json:"msgId"`
	Group   string `json:"groupId"`
	Count   int    `json:"affiliations_count"`
}

func threadOf(t muc.Thread) threadEntity {
	return threadEntity{t.Name, t.Title, t.Owner.Name, t.Created, strconv.FormatInt(t.Message, 10), t.Group.Name, t.Members}
}

// ok is the answer to a change of a thread of which there is nothing to say.
func ok() Answer { return Answer{Data: map[string]string{"status": "ok"}} }

func (a *API) createThread(ctx context.Context, c *Call, who muc.Actor, _ string) (Answer, error) {
	var in struct {
		Name    string `json:"name"`
		Message string `json:"msg_id"`
		Group   string `json:"group_id"`
		Owner   string `json:"owner"`
	}
	if err := c.Decode(&in); err != nil {
		return Answer{}, err
	}
	message, err := strconv.ParseInt(in.Message, 10, 64)
	if err != nil {
		return Answer{}, illegal("msg_id is not the id of a message")
	}
	thread, err := a.mucs.CreateThread(ctx, who,
		muc.ThreadOptions{Group: in.Group, Message: message, Owner: in.Owner, Title: in.Name})
	return Answer{Data: map[string]string{"thread_id": thread.Name}}, err
}

func (a *API) showThread(ctx context.Context, _ *Call, who muc.Actor, id string) (Answer, error) {
	thread, err := a.mucs.GetThread(ctx, who, id)
	return Answer{Data: threadOf(thread)}, err
}

func (a *API) renameThread(ctx context.Context, c *Call, who muc.Actor, id string) (Answer, error) {
	var in struct {
		Name string `json:"name"`
	}
	if err := c.Decode(&in); err != nil {
		return Answer{}, err
	}
	thread, err := a.mucs.RenameThread(ctx, who, id, in.Name)
	return Answer{Data: map[string]string{"name": thread.Title}}, err
}

func (a *API) destroyThread(ctx context.Context, _ *Call, who muc.Actor, id string) (Answer, error) {
	return ok(), a.mucs.DestroyThread(ctx, who, id)
}

func (a *API) joinThread(ctx context.Context, c *Call, _ muc.Actor, id string) (Answer, error) {
	who, err := a.self(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	thread, err := a.mucs.JoinThread(ctx, who, id)
	return Answer{Data: map[string]any{"status": "ok", "detail": threadOf(thread)}}, err
}

func (a *API) leaveThread(ctx context.Context, c *Call, _ muc.Actor, id string) (Answer, error) {
	who, err := a.self(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	return ok(), a.mucs.LeaveThread(ctx, who, id)
}

// threadPage reads what a page of threads or of their members is to be; one more row than the limit tells whether there is
// another page.
func threadPage(c *Call) (q muc.ThreadQuery, limit int, err error) {
	if limit, err = c.Limit(maxPageOfThreads, maxPageOfThreads); err != nil {
		return q, 0, err
	}
	q.Limit, q.Oldest = limit+1, c.Query("sort") == "asc"
	q.Below, err = c.Cursor()
	return q, limit, err
}

// paged cuts off the row too many and makes the cursor, which lists of threads also have on the last page.
func paged[T any](rows []T, limit int, row func(int) int64) ([]T, map[string]string) {
	rows, cursor := pageOf(rows, limit, row)
	return rows, map[string]string{"cursor": cursor}
}

func entitiesOf(threads []muc.Thread) []threadEntity {
	rows := []threadEntity{}
	for _, t := range threads {
		rows = append(rows, threadOf(t))
	}
	return rows
}

func (a *API) threads(ctx context.Context, c *Call, who muc.Actor, group string) (Answer, error) {
	q, limit, err := threadPage(c)
	if err != nil {
		return Answer{}, err
	}
	threads, err := a.mucs.Threads(ctx, who, group, q)
	if err != nil {
		return Answer{}, err
	}
	threads, properties := paged(threads, limit, func(i int) int64 { return threads[i].ID })
	return Answer{Entities: entitiesOf(threads), Properties: properties}, nil
}

func (a *API) joinedThreads(ctx context.Context, c *Call, _ muc.Actor, group string) (Answer, error) {
	user, err := a.target(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	q, limit, err := threadPage(c)
	if err != nil {
		return Answer{}, err
	}
	threads, rows, err := a.mucs.JoinedThreads(ctx, c.App, user, group, q)
	if err != nil {
		return Answer{}, err
	}
	threads, properties := paged(threads, limit, func(i int) int64 { return rows[i] })
	return Answer{Entities: entitiesOf(threads), Properties: properties}, nil
}

func (a *API) allThreads(ctx context.Context, c *Call, _ muc.Actor, _ string) (Answer, error) {
	q, limit, err := threadPage(c)
	if err != nil {
		return Answer{}, err
	}
	threads, err := a.mucs.AllThreads(ctx, c.App, q)
	if err != nil {
		return Answer{}, err
	}
	threads, properties := paged(threads, limit, func(i int) int64 { return threads[i].ID })
	rows := []map[string]string{}
	for _, t := range threads {
		rows = append(rows, map[string]string{"id": t.Name})
	}
	return Answer{Entities: rows, Properties: properties}, nil
}

func (a *API) threadMembers(ctx context.Context, c *Call, who muc.Actor, id string) (Answer, error) {
	q, limit, err := threadPage(c)
	if err != nil {
		return Answer{}, err
	}
	members, err := a.mucs.ThreadMembers(ctx, who, id, muc.MembersQuery{After: q.Below, Limit: q.Limit})
	if err != nil {
		return Answer{}, err
	}
	members, properties := paged(members, limit, func(i int) int64 { return members[i].Row })
	names := []string{}
	for _, m := range members {
		names = append(names, m.User.Name)
	}
	return Answer{Data: map[string]any{"affiliations": names}, Properties: properties}, nil
}

func (a *API) addToThread(ctx context.Context, c *Call, who muc.Actor, id string) (Answer, error) {
	names, err := c.usernames()
	if err != nil {
		return Answer{}, err
	}
	return ok(), a.mucs.AddToThread(ctx, who, id, names)
}

func (a *API) removeFromThread(ctx context.Context, c *Call, who muc.Actor, id string) (Answer, error) {
	names, err := c.usernames()
	if err != nil {
		return Answer{}, err
	}
	results, err := a.mucs.RemoveFromThread(ctx, who, id, names)
	return Answer{Entities: userRows(results)}, err
}

func (a *API) removeOneFromThread(ctx context.Context, c *Call, who muc.Actor, id string) (Answer, error) {
	results, err := a.mucs.RemoveFromThread(ctx, who, id, []string{c.Value("member")})
	if err != nil {
		return Answer{}, err
	}
	return Answer{Data: userRows(results)[0]}, nil
}

// lastMessages has the payload as an object, where other lists have it as a text.
func (a *API) lastMessages(ctx context.Context, c *Call, who muc.Actor, _ string) (Answer, error) {
	var in struct {
		IDs []string `json:"threadIds"`
	}
	if err := c.decodeNames(&in, &in.IDs); err != nil {
		return Answer{}, err
	}
	entries, err := a.mucs.LastMessages(ctx, who, in.IDs)
	if err != nil {
		return Answer{}, err
	}
	rows := []map[string]any{}
	for i, entry := range entries {
		last, err := lastOf(entry)
		if err != nil {
			return Answer{}, err
		}
		rows = append(rows, map[string]any{"thread_id": in.IDs[i], "last_message": last})
	}
	return Answer{Entities: rows}, nil
}

// lastOf is a message, or an empty object.
func lastOf(entry store.Entry) (any, error) {
	if entry.Seq == 0 {
		return struct{}{}, nil
	}
	return msync.MessageJSON(entry.ID, entry.Time, entry.Meta)
}
