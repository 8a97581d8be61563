package admin

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/stoa-chat/stoa/internal/restclient"
)

// place is a group or a chatroom.
type place struct {
	c    *Client
	kind string // the segment of the path
	id   string
}

// ID returns the id.
func (p place) ID() string { return p.id }

// path is a path below the place.
func (p place) path(more ...string) []string { return append([]string{p.kind, p.id}, more...) }

// do makes a call about the place.
func (p place) do(ctx context.Context, op, method string, in any, path ...string) error {
	return p.c.do(ctx, call{op: op, method: method, path: p.path(path...), in: in})
}

// each makes a call that may work for some users and not for others.
func (p place) each(ctx context.Context, op, method string, in any, path ...string) error {
	outcomes, err := data[restclient.Outcomes](ctx, p.c, call{op: op, method: method, path: p.path(path...), in: in})
	if err != nil {
		return err
	}
	return asError(outcomes.Refused(op))
}

// joined is each for users whom the path names.
func (p place) joined(ctx context.Context, op, method string, users []string, path ...string) error {
	all, err := restclient.Join(op, users)
	if err != nil {
		return err
	}
	return p.each(ctx, op, method, nil, append(path, all)...)
}

// PlaceInfo describes a group or chatroom. Lists leave out some of it.
type PlaceInfo struct {
	ID, Name, Description, Avatar, Ext string
	Owner                              string
	Public                             bool
	JoinApproval                       bool // who joins waits for the owner or an admin
	MembersInvite                      bool // members may invite
	InviteConfirm                      bool // who is invited is asked first
	MaxMembers, Members                int  // numbers
	MutedAll, Disabled                 bool
	Created                            time.Time
}

type placeJSON struct {
	ID            string             `json:"id"`
	GroupID       string             `json:"groupid"`
	Name          string             `json:"name"`
	GroupName     string             `json:"groupname"`
	Description   string             `json:"description"`
	Avatar        string             `json:"avatar"`
	Ext           string             `json:"custom"`
	Owner         string             `json:"owner"`
	Public        bool               `json:"public"`
	JoinApproval  bool               `json:"membersonly"`
	MembersInvite bool               `json:"allowinvites"`
	InviteConfirm bool               `json:"invite_need_confirm"`
	MaxMembers    restclient.Integer `json:"maxusers"`
	Members       restclient.Integer `json:"affiliations_count"`
	MembersToo    restclient.Integer `json:"affiliations"`
	MutedAll      bool               `json:"mute"`
	Disabled      bool               `json:"disabled"`
	Created       restclient.Millis  `json:"created"`
}

// detailsJSON is placeJSON in an answer about single places, where affiliations are rows.
type detailsJSON struct {
	placeJSON
	Affiliations []map[string]any `json:"affiliations"`
}

func (p placeJSON) info() PlaceInfo {
	info := PlaceInfo{ID: p.ID, Name: p.Name, Description: p.Description, Avatar: p.Avatar, Ext: p.Ext, Owner: p.Owner, Public: p.Public,
		JoinApproval: p.JoinApproval, MembersInvite: p.MembersInvite, InviteConfirm: p.InviteConfirm, MaxMembers: int(p.MaxMembers),
		Members: int(max(p.Members, p.MembersToo)), MutedAll: p.MutedAll, Disabled: p.Disabled, Created: p.Created.Time}
	if info.ID == "" {
		info.ID = p.GroupID
	}
	if info.Name == "" {
		info.Name = p.GroupName
	}
	return info
}

// Info describes the place.
func (p place) Info(ctx context.Context) (PlaceInfo, error) {
	rows, err := data[[]detailsJSON](ctx, p.c, call{op: "get info", method: http.MethodGet, path: p.path()})
	if err != nil || len(rows) == 0 {
		return PlaceInfo{}, err
	}
	return rows[0].info(), nil
}

// PlaceUpdate changes the fields that are not nil.
type PlaceUpdate struct {
	Name        *string `json:"name,omitempty"`
	Description *string `json:"description,omitempty"`
	Ext         *string `json:"custom,omitempty"`
	MaxMembers  *int    `json:"maxusers,omitempty"`
	// These are of groups alone.
	Avatar        *string `json:"avatar,omitempty"`
	Public        *bool   `json:"public,omitempty"`
	JoinApproval  *bool   `json:"membersonly,omitempty"`
	MembersInvite *bool   `json:"allowinvites,omitempty"`
	InviteConfirm *bool   `json:"invite_need_confirm,omitempty"`
}

// Update changes the place.
func (p place) Update(ctx context.Context, u PlaceUpdate) error {
	return p.do(ctx, "update", http.MethodPut, u)
}

// SetOwner makes a member the owner. The owner of before stays a member.
func (p place) SetOwner(ctx context.Context, user string) error {
	return p.do(ctx, "set owner", http.MethodPut, map[string]string{"newowner": user})
}

// Destroy ends the place with all that belongs to it.
func (p place) Destroy(ctx context.Context) error {
	return p.do(ctx, "destroy", http.MethodDelete, nil)
}

// Disable lets nothing be sent to the place or changed in it, until Enable.
func (p place) Disable(ctx context.Context) error {
	return p.do(ctx, "disable", http.MethodPost, nil, "disable")
}

// Enable ends what Disable began.
func (p place) Enable(ctx context.Context) error {
	return p.do(ctx, "enable", http.MethodPost, nil, "enable")
}

// Member is a member of a group or chatroom.
type Member struct {
	Name  string
	Owner bool
}

// Members returns the members, the owner among them.
func (p place) Members(ctx context.Context) iter.Seq2[Member, error] {
	type row struct {
		Owner  string `json:"owner"`
		Member string `json:"member"`
	}
	rows := pages[row](ctx, p.c, call{op: "list members", method: http.MethodGet, path: p.path("users")}, 100)
	return mapped(rows, func(r row) Member {
		if r.Owner != "" {
			return Member{r.Owner, true}
		}
		return Member{r.Member, false}
	})
}

// Has reports whether a user is a member.
func (p place) Has(ctx context.Context, user string) (bool, error) {
	return data[bool](ctx, p.c, call{op: "is member", method: http.MethodGet, path: p.path("user", user, "is_joined")})
}

// Add makes up to 60 users members; nobody is asked. Those who are members stay that. The error is 607 for a group, 704 for a
// chatroom, that has no room for them.
func (p place) Add(ctx context.Context, users ...string) error {
	return p.do(ctx, "add members", http.MethodPost, names(users), "users")
}

// Remove removes up to 60 members.
func (p place) Remove(ctx context.Context, users ...string) error {
	return p.joined(ctx, "remove members", http.MethodDelete, users, "users")
}

// Admins returns the admins.
func (p place) Admins(ctx context.Context) ([]string, error) {
	return data[[]string](ctx, p.c, call{op: "list admins", method: http.MethodGet, path: p.path("admin")})
}

// SetAdmin makes a member an admin.
func (p place) SetAdmin(ctx context.Context, user string) error {
	return p.do(ctx, "set admin", http.MethodPost, map[string]string{"newadmin": user}, "admin")
}

// RemoveAdmin makes an admin a member.
func (p place) RemoveAdmin(ctx context.Context, user string) error {
	return p.do(ctx, "remove admin", http.MethodDelete, nil, "admin", user)
}

// Block removes up to 60 users and keeps them from coming back.
func (p place) Block(ctx context.Context, users ...string) error {
	return p.each(ctx, "block", http.MethodPost, names(users), "blocks", "users")
}

// Unblock lets up to 60 users come back.
func (p place) Unblock(ctx context.Context, users ...string) error {
	return p.joined(ctx, "unblock", http.MethodDelete, users, "blocks", "users")
}

// Blocked returns the users who are blocked.
func (p place) Blocked(ctx context.Context) ([]string, error) {
	return data[[]string](ctx, p.c, call{op: "list blocked", method: http.MethodGet, path: p.path("blocks", "users")})
}

// Allow puts up to 60 members on the allow list: they may send while all are muted.
func (p place) Allow(ctx context.Context, users ...string) error {
	return p.each(ctx, "allow", http.MethodPost, names(users), "white", "users")
}

// Disallow takes up to 60 members from the allow list.
func (p place) Disallow(ctx context.Context, users ...string) error {
	return p.joined(ctx, "disallow", http.MethodDelete, users, "white", "users")
}

// Allowed returns the allow list.
func (p place) Allowed(ctx context.Context) ([]string, error) {
	return data[[]string](ctx, p.c, call{op: "list allowed", method: http.MethodGet, path: p.path("white", "users")})
}

// IsAllowed reports whether a member is on the allow list.
func (p place) IsAllowed(ctx context.Context, user string) (bool, error) {
	answer, err := data[struct {
		White bool `json:"white"`
	}](ctx, p.c, call{op: "is allowed", method: http.MethodGet, path: p.path("white", "users", user)})
	return answer.White, err
}

// Mute is a muted member.
type Mute struct {
	User  string
	Until time.Time // zero: without end
}

// Mute mutes up to 60 members, for ever if d is 0 or less.
func (p place) Mute(ctx context.Context, d time.Duration, users ...string) error {
	ms := d.Milliseconds()
	if d <= 0 {
		ms = -1
	}
	return p.each(ctx, "mute", http.MethodPost, map[string]any{"usernames": users, "mute_duration": ms}, "mute")
}

// Unmute unmutes up to 60 members.
func (p place) Unmute(ctx context.Context, users ...string) error {
	return p.joined(ctx, "unmute", http.MethodDelete, users, "mute")
}

// Muted returns the muted members.
func (p place) Muted(ctx context.Context) ([]Mute, error) {
	rows, err := data[[]struct {
		User   string            `json:"user"`
		Expire restclient.Millis `json:"expire"`
	}](ctx, p.c, call{op: "list muted", method: http.MethodGet, path: p.path("mute")})
	mutes := make([]Mute, len(rows))
	for i, row := range rows {
		mutes[i] = Mute{row.User, row.Expire.Time}
	}
	return mutes, err
}

// MuteAll mutes all who are not on the allow list.
func (p place) MuteAll(ctx context.Context) error {
	return p.do(ctx, "mute all", http.MethodPost, nil, "ban")
}

// UnmuteAll ends MuteAll.
func (p place) UnmuteAll(ctx context.Context) error {
	return p.do(ctx, "unmute all", http.MethodDelete, nil, "ban")
}

// Announcement returns the announcement.
func (p place) Announcement(ctx context.Context) (string, error) {
	answer, err := data[struct {
		Text string `json:"announcement"`
	}](ctx, p.c, call{op: "get announcement", method: http.MethodGet, path: p.path("announcement")})
	return answer.Text, err
}

// SetAnnouncement sets the announcement, up to 512 characters.
func (p place) SetAnnouncement(ctx context.Context, text string) error {
	return p.do(ctx, "set announcement", http.MethodPost, map[string]string{"announcement": text}, "announcement")
}

// Group is a group by its id; [Client.Group] makes one without asking the server.
type Group struct{ place }

// Group returns the group with this id.
func (c *Client) Group(id string) Group { return Group{place{c, "chatgroups", id}} }

// GroupOptions say what a new group is like.
type GroupOptions struct {
	ID            string // of one's own; empty: the server makes one
	Name          string // up to 128 characters
	Owner         string
	Members       []string
	Description   string // up to 512 characters
	Avatar        string // a URL
	Ext           string // the application's own
	Public        bool   // everyone finds the group and may join it
	JoinApproval  bool   // who joins a public group waits for the owner or an admin
	MembersInvite bool   // members may invite
	InviteConfirm bool   // who is invited is asked first
	MaxMembers    int    // with the owner; 0: 200
}

// CreateGroup makes a group. The members are in it at once.
func (c *Client) CreateGroup(ctx context.Context, o GroupOptions) (Group, error) {
	in := map[string]any{"groupname": o.Name, "owner": o.Owner, "members": o.Members, "description": o.Description, "avatar": o.Avatar,
		"custom": o.Ext, "public": o.Public, "membersonly": o.JoinApproval, "allowinvites": o.MembersInvite, "invite_need_confirm": o.InviteConfirm}
	if o.ID != "" {
		in["groupid"] = o.ID
	}
	if o.MaxMembers > 0 {
		in["maxusers"] = o.MaxMembers
	}
	answer, err := data[struct {
		ID string `json:"groupid"`
	}](ctx, c, call{op: "create group", method: http.MethodPost, path: []string{"chatgroups"}, in: in})
	return c.Group(answer.ID), err
}

// Groups returns all groups, the newest first. Their infos have id, name, owner and the number of members.
func (c *Client) Groups(ctx context.Context) iter.Seq2[PlaceInfo, error] {
	rows := pages[placeJSON](ctx, c, call{op: "list groups", method: http.MethodGet, path: []string{"chatgroups"}}, 1000)
	return mapped(rows, func(row placeJSON) PlaceInfo {
		info := row.info()
		info.Owner = strings.TrimPrefix(info.Owner, c.appKey+"_")
		return info
	})
}

// PublicGroups returns the groups that everyone finds, with id and name.
func (c *Client) PublicGroups(ctx context.Context) iter.Seq2[PlaceInfo, error] {
	return mapped(pages[placeJSON](ctx, c, call{op: "list public groups", method: http.MethodGet, path: []string{"publicchatgroups"}}, 100), placeJSON.info)
}

// GroupsOf returns the groups of a user, with id and name.
func (c *Client) GroupsOf(ctx context.Context, user string) iter.Seq2[PlaceInfo, error] {
	rows := numbered[placeJSON](ctx, c, call{op: "list groups of user", method: http.MethodGet, path: []string{"users", user, "joined_chatgroups"}}, "pagenum", "pagesize", 100)
	return mapped(rows, placeJSON.info)
}

// AnswerApplication accepts or declines a user who has applied. The error is 603 for one who has not.
func (g Group) AnswerApplication(ctx context.Context, user string, accept bool, reason string) error {
	return g.do(ctx, "answer application", http.MethodPost, map[string]any{"applicant": user, "verifyResult": accept, "reason": reason}, "apply_verify")
}

// AnswerInvitation accepts or declines an invitation, as if the invited user had. The error is 603 if there is none.
func (g Group) AnswerInvitation(ctx context.Context, user string, accept bool) error {
	return g.do(ctx, "answer invitation", http.MethodPost, map[string]any{"invitee": user, "verifyResult": accept}, "invite_verify")
}

// SetMemberAttributes sets attributes of a member; those that are not named stay, and an empty text removes one.
func (g Group) SetMemberAttributes(ctx context.Context, user string, attributes map[string]string) error {
	return g.c.do(ctx, call{op: "set member attributes", method: http.MethodPut, path: []string{"metadata", "chatgroup", g.id, "user", user},
		in: map[string]any{"metaData": attributes}})
}

// MemberAttributes returns the attributes of up to 10 members, by member: all, or those that keys name.
func (g Group) MemberAttributes(ctx context.Context, users []string, keys ...string) (map[string]map[string]string, error) {
	return data[map[string]map[string]string](ctx, g.c, call{op: "get member attributes", method: http.MethodPost,
		path: []string{"metadata", "chatgroup", g.id, "get"}, in: map[string]any{"targets": users, "properties": keys}})
}

// ReadBy returns who has read a message of the group that asked for receipts.
func (g Group) ReadBy(ctx context.Context, message string) iter.Seq2[string, error] {
	return restclient.Pages("", func(cursor string) ([]string, string, error) {
		query := url.Values{"limit": {"100"}}
		if cursor != "" {
			query.Set("key", cursor)
		}
		page, err := data[struct {
			Users []string `json:"userlist"`
			Next  string   `json:"next_key"`
			Last  bool     `json:"is_last"`
		}](ctx, g.c, call{op: "list readers", method: http.MethodGet, path: g.path("acks", message), query: query})
		if page.Last {
			page.Next = ""
		}
		return page.Users, page.Next, err
	})
}

// OnlineCount returns how many members are online.
func (g Group) OnlineCount(ctx context.Context) (int, error) {
	var answer struct {
		Result int `json:"result"`
	}
	err := g.c.do(ctx, call{op: "count online", method: http.MethodGet, path: []string{"presence", "online", g.id, "type", "0"}, out: &answer})
	return answer.Result, err
}

// Room is a chatroom by its id; [Client.Room] makes one without asking the server.
type Room struct{ place }

// Room returns the chatroom with this id.
func (c *Client) Room(id string) Room { return Room{place{c, "chatrooms", id}} }

// RoomOptions say what a new chatroom is like.
type RoomOptions struct {
	Name        string // up to 128 characters
	Owner       string
	Members     []string
	Description string // up to 512 characters
	Ext         string // the application's own
	MaxMembers  int    // 0: the server's choice
}

// CreateRoom makes a chatroom.
func (c *Client) CreateRoom(ctx context.Context, o RoomOptions) (Room, error) {
	in := map[string]any{"name": o.Name, "owner": o.Owner, "members": o.Members, "description": o.Description, "custom": o.Ext}
	if o.MaxMembers > 0 {
		in["maxusers"] = o.MaxMembers
	}
	answer, err := data[struct {
		ID string `json:"id"`
	}](ctx, c, call{op: "create room", method: http.MethodPost, path: []string{"chatrooms"}, in: in})
	return c.Room(answer.ID), err
}

// Rooms returns the chatrooms, the newest first, with id, name, owner and the number of members.
func (c *Client) Rooms(ctx context.Context) iter.Seq2[PlaceInfo, error] {
	return mapped(pages[placeJSON](ctx, c, call{op: "list rooms", method: http.MethodGet, path: []string{"chatrooms"}}, 100), placeJSON.info)
}

// RoomsOf returns the chatrooms of a user, with id and name.
func (c *Client) RoomsOf(ctx context.Context, user string) iter.Seq2[PlaceInfo, error] {
	rows := numbered[placeJSON](ctx, c, call{op: "list rooms of user", method: http.MethodGet, path: []string{"users", user, "joined_chatrooms"}}, "pagenum", "pagesize", 1000)
	return mapped(rows, placeJSON.info)
}

// SuperAdmins returns the users who may make chatrooms.
func (c *Client) SuperAdmins(ctx context.Context) iter.Seq2[string, error] {
	return numbered[string](ctx, c, call{op: "list super admins", method: http.MethodGet, path: []string{"chatrooms", "super_admin"}}, "pagenum", "pagesize", 100)
}

// AddSuperAdmin lets a user make chatrooms.
func (c *Client) AddSuperAdmin(ctx context.Context, user string) error {
	return c.do(ctx, call{op: "add super admin", method: http.MethodPost, path: []string{"chatrooms", "super_admin"}, in: map[string]string{"superadmin": user}})
}

// RemoveSuperAdmin ends AddSuperAdmin.
func (c *Client) RemoveSuperAdmin(ctx context.Context, user string) error {
	return c.do(ctx, call{op: "remove super admin", method: http.MethodDelete, path: []string{"chatrooms", "super_admin", user}})
}

// Attributes returns attributes of the chatroom: all, or those that keys name.
func (r Room) Attributes(ctx context.Context, keys ...string) (map[string]string, error) {
	return data[map[string]string](ctx, r.c, call{op: "get room attributes", method: http.MethodPost, path: []string{"metadata", "chatroom", r.id},
		in: map[string][]string{"keys": keys}})
}

// AttributeOptions say how attributes of a chatroom are changed.
type AttributeOptions struct {
	User  string // the member in whose name it is done
	Force bool   // also attributes that another member has set
	Keep  bool   // they stay when the member leaves
}

// SetAttributes sets up to 10 attributes of the chatroom. If some are refused the error is that of the first, with the
// reasons by key in Data under "keys".
func (r Room) SetAttributes(ctx context.Context, attributes map[string]string, o AttributeOptions) error {
	autoDelete := "DELETE"
	if o.Keep {
		autoDelete = "NO_DELETE"
	}
	return r.changeAttributes(ctx, "set room attributes", http.MethodPut, map[string]any{"metaData": attributes, "autoDelete": autoDelete}, o)
}

// RemoveAttributes removes up to 10 attributes. Its errors are those of SetAttributes.
func (r Room) RemoveAttributes(ctx context.Context, o AttributeOptions, keys ...string) error {
	return r.changeAttributes(ctx, "remove room attributes", http.MethodDelete, map[string]any{"keys": keys}, o)
}

func (r Room) changeAttributes(ctx context.Context, op, method string, in map[string]any, o AttributeOptions) error {
	path := []string{"metadata", "chatroom", r.id, "user", o.User}
	if o.Force {
		path = append(path, "forced")
	}
	answer, err := data[struct {
		Errors map[string]string `json:"errorKeys"`
	}](ctx, r.c, call{op: op, method: method, path: path, in: in})
	if err != nil || len(answer.Errors) == 0 {
		return err
	}
	keys := make([]string, 0, len(answer.Errors))
	for key := range answer.Errors {
		keys = append(keys, key)
	}
	e := restclient.AttributeError(op, answer.Errors[slices.Min(keys)])
	e.Data = map[string]any{"keys": answer.Errors}
	return e
}

// SetTags sets the tags of a member, at most 10; those of before are gone.
func (r Room) SetTags(ctx context.Context, user string, tags ...string) error {
	return r.do(ctx, "set tags", http.MethodPut, map[string][]string{"tags": append([]string{}, tags...)}, "users", user, "tag")
}

// Tags returns the tags of a member.
func (r Room) Tags(ctx context.Context, user string) ([]string, error) {
	until, err := data[map[string]string](ctx, r.c, call{op: "get tags", method: http.MethodGet, path: r.path("users", user, "tag")})
	tags := make([]string, 0, len(until))
	for tag := range until {
		tags = append(tags, tag)
	}
	slices.Sort(tags)
	return tags, err
}

// MuteTag mutes the members who have a tag, for whole seconds: negative is for ever, and 0 ends it.
func (r Room) MuteTag(ctx context.Context, tag string, d time.Duration) error {
	seconds := int64(d.Seconds())
	if d < 0 {
		seconds = -1
	}
	return r.do(ctx, "mute tag", http.MethodPut, map[string]any{"tag": tag, "mute_duration": seconds}, "tag", "mute")
}
