package chat

import (
	"cmp"
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/restclient"
)

// Group is a group by its id; [Client.Group] makes one without asking the server.
//
// Its methods return 700 (wrapping 28) without a session, -3 for ids that are none, 605 for a group that does not exist,
// 602 for who is no member, 603 when the user's role does not allow it, 608 when the group is disabled, 204 for who is no
// user, 52 when the server does not accept the token any more, and the codes of a failed request: 17, 500, -1, -2, -4.
// Those that return more say so. A method that takes several users does what it can: when some are refused, it returns 17
// with the reasons by user id in Data under "users".
type Group struct{ place }

// Group returns the group with this id.
func (c *Client) Group(id string) Group { return Group{place{c, "chatgroups", id}} }

// GroupOptions say what a new group is like.
type GroupOptions struct {
	Name        string // up to 128 characters
	Description string // up to 512 characters
	Avatar      string // a URL
	Ext         string // the application's own, up to 8,192 bytes
	Members     []string
	// Public: everyone finds the group and may ask to join it.
	Public bool
	// JoinApproval: who joins a public group waits for the owner or an admin.
	JoinApproval bool
	// OnlyAdminsInvite: other members may not invite.
	OnlyAdminsInvite bool
	// InviteConfirm: who is invited is asked first.
	InviteConfirm bool
	MaxMembers    int // with the owner; 0: 200
}

// GroupInfo describes a group or chatroom. Lists leave out some of it.
type GroupInfo struct {
	ID, Name, Description, Avatar, Ext string
	Owner                              string
	Public, JoinApproval               bool
	OnlyAdminsInvite, InviteConfirm    bool
	MaxMembers, Members                int // numbers
	MutedAll, Disabled                 bool
	// Blocked: the user does not want its messages.
	Blocked bool
	Role    Role // of the user who is logged in
	Created time.Time
	// Affiliations are the owner and members that a single group's answer names.
	Affiliations []Member
}

// GroupUpdate changes the fields that are not nil.
type GroupUpdate struct {
	Name, Description, Avatar, Ext *string
}

// groupJSON is a group in the server's answers, whose lists name the same things differently.
type groupJSON struct {
	ID            string             `json:"id"`
	GroupID       string             `json:"groupid"`
	GroupIDToo    string             `json:"groupId"`
	Name          string             `json:"name"`
	GroupName     string             `json:"groupname"`
	Title         string             `json:"title"`
	Description   string             `json:"description"`
	Avatar        string             `json:"avatar"`
	Custom        string             `json:"custom"`
	Owner         string             `json:"owner"`
	Public        bool               `json:"public"`
	MembersOnly   bool               `json:"membersonly"`
	AllowInvites  *bool              `json:"allowinvites"`
	InviteConfirm bool               `json:"invite_need_confirm"`
	MaxUsers      restclient.Integer `json:"maxusers"`
	MaxUsersToo   restclient.Integer `json:"max_users"`
	Count         restclient.Integer `json:"affiliations_count"`
	Mute          bool               `json:"mute"`
	Disabled      bool               `json:"disabled"`
	Shield        bool               `json:"shieldgroup"`
	Permission    string             `json:"permission"`
	Created       restclient.Millis  `json:"created"`
	Affiliations  []memberJSON       `json:"affiliations"`
}

func (g groupJSON) info() GroupInfo {
	return GroupInfo{
		ID: cmp.Or(g.ID, g.GroupID, g.GroupIDToo), Name: cmp.Or(g.Name, g.GroupName, g.Title), Description: g.Description,
		Avatar: g.Avatar, Ext: g.Custom, Owner: g.Owner, Public: g.Public, JoinApproval: g.MembersOnly,
		OnlyAdminsInvite: g.AllowInvites != nil && !*g.AllowInvites, InviteConfirm: g.InviteConfirm,
		MaxMembers: int(max(g.MaxUsers, g.MaxUsersToo)), Members: int(g.Count), MutedAll: g.Mute, Disabled: g.Disabled,
		Blocked: g.Shield, Role: Role(g.Permission), Created: g.Created.Time, Affiliations: membersOf(g.Affiliations),
	}
}

func infosOf(rows []groupJSON) []GroupInfo {
	infos := make([]GroupInfo, len(rows))
	for i, row := range rows {
		infos[i] = row.info()
	}
	return infos
}

// CreateGroup makes a group whose owner is the user. The members are told by OnGroupEvent, or asked.
//
// It returns 607 for more members than the app allows, 603 or 50 for too many groups, 204 for a member who is no user, and
// else what the methods of [Group] do.
func (c *Client) CreateGroup(ctx context.Context, o GroupOptions) (Group, error) {
	const op = "create group"
	user, _, _ := c.credentials()
	in := map[string]any{
		"owner": user, "groupname": o.Name, "desc": o.Description, "avatar": o.Avatar, "custom": o.Ext, "public": o.Public,
		"approval": o.JoinApproval, "allowinvites": !o.OnlyAdminsInvite, "invite_need_confirm": o.InviteConfirm, "maxusers": 200,
	}
	if o.MaxMembers != 0 {
		in["maxusers"] = o.MaxMembers
	}
	if len(o.Members) > 0 {
		in["members"] = o.Members
	}
	var answer struct {
		Data struct {
			ID string `json:"groupid"`
		} `json:"data"`
	}
	if err := c.change(ctx, op, http.MethodPost, in, &answer, "chatgroups"); err != nil {
		return Group{}, err
	}
	if answer.Data.ID == "" {
		return Group{}, fail(errcode.RequestFailed, op, "the server's answer does not name the group", nil)
	}
	return c.Group(answer.Data.ID), nil
}

// JoinedGroups returns the groups of the user, with the own role in each.
func (c *Client) JoinedGroups(ctx context.Context) iter.Seq2[GroupInfo, error] {
	const size = 20
	return restclient.NumberedPages(0, size, func(page int) ([]GroupInfo, error) {
		var answer struct {
			Entities []groupJSON `json:"entities"`
		}
		query := url.Values{
			"pagenum": {strconv.Itoa(page)}, "pagesize": {strconv.Itoa(size)}, "needAffiliations": {"true"}, "needRole": {"true"},
		}
		err := c.get(ctx, "joined groups", &answer, query, "chatgroups", "user", me)
		return infosOf(answer.Entities), err
	})
}

// JoinedGroupCount returns how many groups the user is in.
func (c *Client) JoinedGroupCount(ctx context.Context) (int, error) {
	var answer struct {
		Data restclient.Integer `json:"data"`
	}
	err := c.get(ctx, "joined groups", &answer, nil, "chatgroups", "user", me, "joined_count")
	return int(answer.Data), err
}

// PublicGroups returns the public groups of the app, with id and name.
func (c *Client) PublicGroups(ctx context.Context) iter.Seq2[GroupInfo, error] {
	return restclient.Pages("", func(cursor string) ([]GroupInfo, string, error) {
		var answer struct {
			Data   []groupJSON `json:"data"`
			Cursor string      `json:"cursor"`
		}
		query := url.Values{"limit": {"50"}}
		if cursor != "" {
			query.Set("cursor", cursor)
		}
		err := c.get(ctx, "public groups", &answer, query, "publicchatgroups")
		return infosOf(answer.Data), answer.Cursor, err
	})
}

// GroupInfos describes several groups; those that do not exist are left out.
func (c *Client) GroupInfos(ctx context.Context, ids ...string) ([]GroupInfo, error) {
	const op = "group info"
	joined, err := restclient.Join(op, ids)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Data []groupJSON `json:"data"`
	}
	failure := c.get(ctx, op, &answer, url.Values{"joined_time": {"true"}}, "chatgroups", joined)
	return infosOf(answer.Data), failure
}

// Info describes the group.
func (g Group) Info(ctx context.Context) (GroupInfo, error) {
	infos, err := g.c.GroupInfos(ctx, g.id)
	if err == nil && len(infos) == 0 {
		err = fail(errcode.GroupNotExist, "group info", "", nil)
	}
	if err != nil {
		return GroupInfo{}, err
	}
	return infos[0], nil
}

// Update changes the group; its members are told.
func (g Group) Update(ctx context.Context, u GroupUpdate) error {
	in := map[string]string{}
	for key, value := range map[string]*string{
		"groupname": u.Name, "description": u.Description, "avatar": u.Avatar, "custom": u.Ext,
	} {
		if value != nil {
			in[key] = *value
		}
	}
	return g.change(ctx, "update group", http.MethodPut, in, nil)
}

// TransferTo makes another member the owner.
func (g Group) TransferTo(ctx context.Context, user string) error {
	return g.change(ctx, "transfer group", http.MethodPut, map[string]string{"newowner": user}, nil)
}

// Destroy ends the group for all its members.
func (g Group) Destroy(ctx context.Context) error {
	return g.c.do(ctx, call{op: "destroy group", method: http.MethodDelete, path: []string{g.kind, g.id},
		query: url.Values{"version": {"v3"}}, own: true})
}

// Join joins a public group, or asks to; the message goes to its owner and admins. It returns 606 for a full group, 601 or
// 603 for who may not join.
func (g Group) Join(ctx context.Context, message string) error {
	return g.change(ctx, "join group", http.MethodPost, map[string]string{"message": message}, nil, "apply")
}

// Leave leaves the group. Its owner cannot.
func (g Group) Leave(ctx context.Context) error {
	return g.change(ctx, "leave group", http.MethodDelete, nil, nil, "quit")
}

// Invite invites users, who become members at once or when they accept; see GroupOptions.InviteConfirm. It returns 601
// for who is a member already and 606 for a full group.
func (g Group) Invite(ctx context.Context, users ...string) error {
	return g.changeNamed(ctx, "invite to group", users, "invite")
}

// AcceptJoin lets a user in who asked to join.
func (g Group) AcceptJoin(ctx context.Context, user string) error {
	return g.verify(ctx, "accept join", "apply_verify", map[string]any{"applicant": user, "verifyResult": true})
}

// RejectJoin declines a user who asked to join, with a reason.
func (g Group) RejectJoin(ctx context.Context, user, reason string) error {
	in := map[string]any{"applicant": user, "verifyResult": false, "reason": reason}
	return g.verify(ctx, "reject join", "apply_verify", in)
}

// AcceptInvite accepts an invitation to the group.
func (g Group) AcceptInvite(ctx context.Context) error {
	user, _, _ := g.c.credentials()
	return g.verify(ctx, "accept invite", "invite_verify", map[string]any{"invitee": user, "verifyResult": true})
}

// RejectInvite declines an invitation to the group.
func (g Group) RejectInvite(ctx context.Context) error {
	user, _, _ := g.c.credentials()
	return g.verify(ctx, "reject invite", "invite_verify", map[string]any{"invitee": user, "verifyResult": false})
}

func (g Group) verify(ctx context.Context, op, path string, in map[string]any) error {
	return g.change(ctx, op, http.MethodPost, in, nil, path)
}

// BlockMessages keeps the group's messages from the user.
func (g Group) BlockMessages(ctx context.Context) error {
	return g.shield(ctx, "block group messages", http.MethodPost)
}

// UnblockMessages ends what BlockMessages began.
func (g Group) UnblockMessages(ctx context.Context) error {
	return g.shield(ctx, "unblock group messages", http.MethodDelete)
}

func (g Group) shield(ctx context.Context, op, method string) error {
	return g.c.do(ctx, call{op: op, method: method, path: []string{g.kind, g.id, "shield"},
		query: url.Values{"version": {"v3"}}, own: true})
}

// IgnorePush turns push notices for the group off, or on again; its messages come all the same.
func (g Group) IgnorePush(ctx context.Context, ignore bool) error {
	in := map[string]any{"entities": []map[string]bool{{"notification_ignore_" + g.id: ignore}}}
	return g.c.change(ctx, "ignore push", http.MethodPut, in, nil, "users", me)
}

// SetMemberAttributes changes attributes of a member, who may be the user; an empty value removes one. A key has up to 16
// bytes, a value 512, all of them 4 KB: beyond it is 50. It returns 609 when they could not be saved.
func (g Group) SetMemberAttributes(ctx context.Context, user string, attributes map[string]string) error {
	return g.c.change(ctx, "set member attributes", http.MethodPut, map[string]any{"metaData": attributes}, nil,
		"sdk", "metadata", "chatgroup", g.id, "user", user)
}

// MemberAttributes returns attributes of members by user id; without keys all of them.
func (g Group) MemberAttributes(ctx context.Context, users []string, keys ...string) (map[string]map[string]string, error) {
	const op = "member attributes"
	if _, err := restclient.Join(op, users); err != nil {
		return nil, err
	}
	if keys == nil {
		keys = []string{}
	}
	var answer struct {
		Data map[string]map[string]string `json:"data"`
	}
	err := g.c.do(ctx, call{op: op, method: http.MethodPost, path: []string{"sdk", "metadata", "chatgroup", g.id, "get"},
		in: map[string]any{"targets": users, "properties": keys}, out: &answer})
	return answer.Data, err
}

// Readers returns who has read a message that asked for receipts. Only its sender may ask.
func (g Group) Readers(ctx context.Context, messageID string) iter.Seq2[string, error] {
	return restclient.Pages("", func(cursor string) ([]string, string, error) {
		var answer struct {
			Data struct {
				Users []string `json:"userlist"`
				Next  string   `json:"next_key"`
				Last  bool     `json:"is_last"`
			} `json:"data"`
		}
		query := url.Values{"limit": {"500"}}
		if cursor != "" {
			query.Set("key", cursor)
		}
		err := g.get(ctx, "group readers", &answer, query, "acks", messageID)
		if answer.Data.Last {
			answer.Data.Next = ""
		}
		return answer.Data.Users, answer.Data.Next, err
	})
}

// ReadCount returns how many have read a message that asked for receipts. Only its sender may ask.
func (g Group) ReadCount(ctx context.Context, messageID string) (int, error) {
	var answer struct {
		Data struct {
			Total restclient.Integer `json:"total"`
		} `json:"data"`
	}
	err := g.get(ctx, "group readers", &answer, url.Values{"limit": {"1"}}, "acks", messageID)
	return int(answer.Data.Total), err
}
