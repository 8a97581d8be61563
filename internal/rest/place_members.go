package rest

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/muc"
	"github.com/stoa-chat/stoa/internal/store"
)

// members has two forms: pages by number, and by cursor for who asks with a limit.
func (p places) members(ctx context.Context, c *Call, who muc.Actor, id string) (Answer, error) {
	standard, highest := pageOfMembers, maxPageOfGroup
	if p.kind == store.MucRoom {
		standard, highest = maxPageOfRoom, maxPageOfRoom
	}
	byCursor := c.Query("limit") != ""
	var q muc.MembersQuery
	var err error
	if byCursor {
		if q.After, err = c.Cursor(); err != nil {
			return Answer{}, err
		}
		q.Limit, err = c.Limit(standard, highest)
	} else {
		q.Offset, q.Limit, err = c.Page(1, standard, highest)
	}
	if err != nil {
		return Answer{}, err
	}
	limit := q.Limit
	q.Limit++
	members, _, err := p.mucs.Members(ctx, who, p.kind, id, q)
	if err != nil {
		return Answer{}, err
	}
	members, cursor := pageOf(members, limit, func(i int) int64 { return members[i].Row })
	if !byCursor {
		cursor = ""
	}
	count := len(members)
	return Answer{Data: affiliations(members, byCursor, wantsJoined(c)), Cursor: cursor, Count: &count}, nil
}

// added is the answer to adding several.
func (p places) added(results []muc.Result, id string) Answer {
	names := []string{}
	for _, r := range results {
		if r.Err == nil {
			names = append(names, r.User)
		}
	}
	return Answer{Data: map[string]any{"newmembers": names, "action": "add_member", p.id: id}}
}

func (p places) addMembers(ctx context.Context, c *Call, who muc.Actor, id string) (Answer, error) {
	names, err := c.usernames()
	if err != nil {
		return Answer{}, err
	}
	results, err := p.mucs.AddMembers(ctx, who, p.kind, id, names)
	return p.added(results, id), err
}

func (p places) addMember(ctx context.Context, c *Call, who muc.Actor, id string) (Answer, error) {
	results, err := p.mucs.AddMembers(ctx, who, p.kind, id, []string{c.Value("member")})
	if err != nil {
		return Answer{}, err
	}
	return Answer{Data: p.rows(results, "add_member", p.id, id)[0]}, nil
}

// usernames reads the body {"usernames": […]}.
func (c *Call) usernames() ([]string, error) {
	var in struct {
		Usernames []string `json:"usernames"`
	}
	err := c.decodeNames(&in, &in.Usernames)
	return in.Usernames, err
}

// onUsers is an operation of the service on several users.
type onUsers func(ctx context.Context, actor muc.Actor, kind store.MucKind, id string, names []string) ([]muc.Result, error)

// rows tells how each user fared.
func (p places) rows(results []muc.Result, action, key, id string) []map[string]any {
	rows := []map[string]any{}
	for _, r := range results {
		row := map[string]any{"result": r.Err == nil, "action": action, "user": r.User, key: id}
		if p.kind == store.MucRoom {
			row["id"] = id
		}
		if r.Err != nil {
			row["reason"] = reason(r.Err)
		}
		rows = append(rows, row)
	}
	return rows
}

// reason is what rows say of a refusal.
func reason(err error) string {
	var e *errcode.Error
	if errors.As(err, &e) {
		return e.Message
	}
	return sayInternal.description
}

// listed does something to the users whom the body names.
func (p places) listed(action, key string, do onUsers) placeHandler {
	return func(ctx context.Context, c *Call, who muc.Actor, id string) (Answer, error) {
		names, err := c.usernames()
		if err != nil {
			return Answer{}, err
		}
		results, err := do(ctx, who, p.kind, id, names)
		return Answer{Data: p.rows(results, action, key, id)}, err
	}
}

// named does something to the users whom the path names, with commas between. Of one alone the answer is a row, not a list.
func (p places) named(action, key string, do onUsers) placeHandler {
	return func(ctx context.Context, c *Call, who muc.Actor, id string) (Answer, error) {
		names := strings.Split(c.Value("members"), ",")
		results, err := do(ctx, who, p.kind, id, names)
		if err != nil {
			return Answer{}, err
		}
		rows := p.rows(results, action, key, id)
		if len(names) == 1 {
			return Answer{Data: rows[0]}, nil
		}
		return Answer{Data: rows}, nil
	}
}

// readMarked reads who is marked, from the row above after on.
type readMarked func(ctx context.Context, actor muc.Actor, kind store.MucKind, id string, after int64, limit int) ([]store.Marked, error)

// list lists who is marked: all, or a page where one is asked for.
func (p places) list(read readMarked) placeHandler {
	return func(ctx context.Context, c *Call, who muc.Actor, id string) (Answer, error) {
		limit, err := c.limit("pageSize", allOfList, pageOfBlocked)
		if err != nil {
			return Answer{}, err
		}
		after, err := c.Cursor()
		if err != nil {
			return Answer{}, err
		}
		marked, err := read(ctx, who, p.kind, id, after, limit+1)
		if err != nil {
			return Answer{}, err
		}
		marked, cursor := pageOf(marked, limit, func(i int) int64 { return marked[i].Row })
		names := []string{}
		for _, m := range marked {
			names = append(names, m.User.Name)
		}
		count := len(names)
		return Answer{Data: names, Cursor: cursor, Count: &count}, nil
	}
}

func (p places) isJoined(ctx context.Context, c *Call, _ muc.Actor, id string) (Answer, error) {
	standing, err := p.mucs.StandingOf(ctx, muc.Backend(c.App), p.kind, id, c.User()) // strangers may ask, too
	return Answer{Data: standing.Role != store.RoleNone}, err
}

func (p places) leave(ctx context.Context, _ *Call, who muc.Actor, id string) (Answer, error) {
	_, err := p.mucs.Leave(ctx, who, p.kind, id)
	return Answer{Data: map[string]bool{"result": true}}, err
}

func (p places) admins(ctx context.Context, _ *Call, who muc.Actor, id string) (Answer, error) {
	members, err := p.mucs.Admins(ctx, who, p.kind, id)
	names := []string{}
	for _, m := range members {
		names = append(names, m.User.Name)
	}
	count := len(names)
	return Answer{Data: names, Count: &count}, err
}

func (p places) appoint(ctx context.Context, c *Call, who muc.Actor, id string) (Answer, error) {
	var in struct {
		NewAdmin string `json:"newadmin"`
	}
	if err := c.Decode(&in); err != nil {
		return Answer{}, err
	}
	err := p.mucs.Appoint(ctx, who, p.kind, id, in.NewAdmin)
	return Answer{Data: map[string]string{"result": "success", "newadmin": account.Fold(in.NewAdmin)}}, err
}

func (p places) dismiss(ctx context.Context, c *Call, who muc.Actor, id string) (Answer, error) {
	name := c.Value("member")
	err := p.mucs.Dismiss(ctx, who, p.kind, id, name)
	return Answer{Data: map[string]string{"result": "success", "oldadmin": account.Fold(name)}}, err
}

func (p places) role(ctx context.Context, _ *Call, who muc.Actor, id string) (Answer, error) {
	standing, err := p.mucs.StandingOf(ctx, who, p.kind, id, who.User.Name)
	return Answer{Data: map[string]string{"role": roleNames[standing.Role]}}, err
}

func (p places) isAllowed(ctx context.Context, c *Call, who muc.Actor, id string) (Answer, error) {
	name := account.Fold(c.Value("member"))
	standing, err := p.mucs.StandingOf(ctx, who, p.kind, id, name)
	return Answer{Data: map[string]any{"white": standing.Allowed || standing.Role >= store.RoleAdmin, "member": name}}, err
}

func (p places) isMuted(ctx context.Context, c *Call, who muc.Actor, id string) (Answer, error) {
	standing, err := p.mucs.StandingOf(ctx, who, p.kind, id, c.User())
	return Answer{Data: standing.MutedUntil > p.clock.Now().UnixMilli()}, err
}

func (p places) muted(ctx context.Context, _ *Call, who muc.Actor, id string) (Answer, error) {
	muted, err := p.mucs.Muted(ctx, who, p.kind, id, 0, allOfList)
	rows := []map[string]any{}
	for _, m := range muted {
		rows = append(rows, map[string]any{"expire": m.Until, "user": m.User.Name})
	}
	return Answer{Data: rows}, err
}

func (p places) mute(ctx context.Context, c *Call, who muc.Actor, id string) (Answer, error) {
	var in struct {
		Usernames []string `json:"usernames"`
		Duration  int64    `json:"mute_duration"`
	}
	if err := c.decodeNames(&in, &in.Usernames); err != nil {
		return Answer{}, err
	}
	results, err := p.mucs.Mute(ctx, who, p.kind, id, in.Usernames, time.Duration(min(in.Duration, maxMute))*time.Millisecond)
	if err != nil {
		return Answer{}, err
	}
	rows := userRows(results)
	for i, r := range results {
		if r.Err == nil {
			rows[i]["expire"] = r.Until
		}
	}
	return Answer{Data: rows}, nil
}

// maxMute is what a mute can last, in milliseconds; what is longer than a life is for ever.
const maxMute = 100 * 365 * 24 * 3600 * 1000

func (p places) unmute(ctx context.Context, c *Call, who muc.Actor, id string) (Answer, error) {
	results, err := p.mucs.Unmute(ctx, who, p.kind, id, strings.Split(c.Value("members"), ","))
	return Answer{Data: userRows(results)}, err
}

func userRows(results []muc.Result) []map[string]any {
	rows := []map[string]any{}
	for _, r := range results {
		row := map[string]any{"result": r.Err == nil, "user": r.User}
		if r.Err != nil {
			row["reason"] = reason(r.Err)
		}
		rows = append(rows, row)
	}
	return rows
}

func (p places) muteAll(on bool) placeHandler {
	return func(ctx context.Context, _ *Call, who muc.Actor, id string) (Answer, error) {
		return Answer{Action: "put", Data: map[string]bool{"mute": on}}, p.mucs.MuteAll(ctx, who, p.kind, id, on)
	}
}
