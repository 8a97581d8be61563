package rest

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/muc"
	"github.com/stoa-chat/stoa/internal/store"
)

// places are groups or chatrooms: the routes that both have, and the words in which they differ.
type places struct {
	*API
	kind   store.MucKind
	path   string // of all of them
	id     string // what rows about members call the id
	listID string // and rows about block and allow lists
	adds   Access // who may bring users in without asking them
}

func (a *API) groups() places {
	return places{a, store.MucGroup, "/chatgroups", "groupid", "groupid", AppToken}
}

func (a *API) rooms() places {
	return places{a, store.MucRoom, "/chatrooms", "id", "chatroomid", AnyToken}
}

const (
	pageOfMembers    = 10
	maxPageOfGroup   = 100
	maxPageOfRoom    = 1000
	maxAffiliations  = 1000   // members that the details tell of
	maxPlaces        = 100    // whose details are asked for in one call
	pageOfBlocked    = 50     // where a page size is given
	allOfList        = 10_000 // where none is
	pageOfGroups     = 10
	maxPageOfGroups  = 1000
	pageOfRooms      = 10
	maxPageOfRooms   = 100
	maxPageOfJoined  = 1000
	pageOfDetailed   = 20
	pageOfSuperAdmin = 10
)

// placeHandler does what a call about one place asks for.
type placeHandler func(ctx context.Context, c *Call, who muc.Actor, id string) (Answer, error)

// of makes a Handler: it finds who calls, and words what the services refuse.
func (a *API) of(handle placeHandler) Handler {
	return func(ctx context.Context, c *Call) (Answer, error) {
		who, err := a.doer(ctx, c)
		if err != nil {
			return Answer{}, err
		}
		answer, err := handle(ctx, c, who, c.Value("place"))
		return answer, sayPlace(c, err)
	}
}

// doer is who makes the call: a user, on the device that the query names, or the app's backend.
func (a *API) doer(ctx context.Context, c *Call) (muc.Actor, error) {
	if c.Who.App {
		who := muc.Backend(c.App)
		who.Quiet = c.Query("need_notify") == "false"
		return who, nil
	}
	return a.mucs.Actor(ctx, c.App, c.Who.User, c.Query("resource"))
}

// self is the user whom the path names, also if the app's backend calls.
func (a *API) self(ctx context.Context, c *Call) (muc.Actor, error) {
	user, err := a.target(ctx, c)
	if err != nil {
		return muc.Actor{}, err
	}
	return a.mucs.Actor(ctx, c.App, user, c.Query("resource"))
}

// common are the routes that groups and chatrooms have. What a user may do there is a matter of the role, which the
// service knows.
func (p places) common() []Route {
	one := p.path + "/{place}"
	return []Route{
		{http.MethodPost, p.path, AnyToken, p.of(p.create)},
		{http.MethodGet, one, AnyToken, p.of(p.details)},
		{http.MethodPut, one, AnyToken, p.of(p.update)},
		{http.MethodDelete, one, AnyToken, p.of(p.destroy)},
		{http.MethodPost, one + "/disable", AppToken, p.of(p.disable(true))},
		{http.MethodPost, one + "/enable", AppToken, p.of(p.disable(false))},

		{http.MethodGet, one + "/users", AnyToken, p.of(p.members)},
		{http.MethodPost, one + "/users", p.adds, p.of(p.addMembers)},
		{http.MethodPost, one + "/users/{member}", p.adds, p.of(p.addMember)},
		{http.MethodDelete, one + "/users/{members}", AnyToken, p.of(p.named("remove_member", p.id, p.mucs.Remove))},
		{http.MethodGet, one + "/user/{user}/is_joined", AppOrSelf, p.of(p.isJoined)},
		{http.MethodPost, one + "/user/{user}/is_joined", AppOrSelf, p.of(p.isJoined)},
		{http.MethodDelete, one + "/quit", UserToken, p.of(p.leave)},
		{http.MethodGet, one + "/admin", AnyToken, p.of(p.admins)},
		{http.MethodPost, one + "/admin", AnyToken, p.of(p.appoint)},
		{http.MethodDelete, one + "/admin/{member}", AnyToken, p.of(p.dismiss)},
		{http.MethodGet, one + "/roles", UserToken, p.of(p.role)},

		{http.MethodGet, one + "/blocks/users", AnyToken, p.of(p.list(p.mucs.Banned))},
		{http.MethodPost, one + "/blocks/users", AnyToken, p.of(p.listed("add_blocks", p.listID, p.mucs.Ban))},
		{http.MethodPost, one + "/blocks/users/{members}", AnyToken, p.of(p.named("add_blocks", p.listID, p.mucs.Ban))},
		{http.MethodDelete, one + "/blocks/users/{members}", AnyToken, p.of(p.named("remove_blocks", p.listID, p.mucs.Unban))},

		{http.MethodGet, one + "/white/users", AnyToken, p.of(p.list(p.mucs.Allowed))},
		{http.MethodPost, one + "/white/users", AnyToken, p.of(p.listed("add_user_whitelist", p.listID, p.mucs.Allow))},
		{http.MethodGet, one + "/white/users/{member}", AnyToken, p.of(p.isAllowed)},
		{http.MethodPost, one + "/white/users/{members}", AnyToken, p.of(p.named("add_user_whitelist", p.listID, p.mucs.Allow))},
		{http.MethodDelete, one + "/white/users/{members}", AnyToken,
			p.of(p.named("remove_user_whitelist", p.listID, p.mucs.Disallow))},

		{http.MethodGet, one + "/mute", AnyToken, p.of(p.muted)},
		{http.MethodPost, one + "/mute", AnyToken, p.of(p.mute)},
		{http.MethodDelete, one + "/mute/{members}", AnyToken, p.of(p.unmute)},
		{http.MethodGet, "/sdk" + one + "/mute/{user}", AppOrSelf, p.of(p.isMuted)},
		{http.MethodPost, one + "/ban", AnyToken, p.of(p.muteAll(true))},
		{http.MethodDelete, one + "/ban", AnyToken, p.of(p.muteAll(false))},

		{http.MethodGet, one + "/announcement", AnyToken, p.of(p.announcement)},
		{http.MethodPost, one + "/announcement", AnyToken, p.of(p.announce)},
	}
}

// size is a number of members, as a number or as a text.
type size int

// UnmarshalJSON implements json.Unmarshaler.
func (s *size) UnmarshalJSON(data []byte) error {
	n, err := strconv.Atoi(strings.Trim(string(data), `"`))
	if err != nil {
		return illegal("maxusers must be a whole number")
	}
	*s = size(n)
	return nil
}

// placeForm are the fields of a group or room under all the names that they have.
type placeForm struct {
	Owner       *string `json:"owner"`
	NewOwner    *string `json:"newowner"`
	ID          string  `json:"groupid"`
	GroupName   *string `json:"groupname"`
	Name        *string `json:"name"`
	Description *string `json:"description"`
	Desc        *string `json:"desc"`
	Avatar      *string `json:"avatar"`
	Custom      *string `json:"custom"`

	Public        *bool `json:"public"`
	MembersOnly   *bool `json:"membersonly"`
	MembersOnly2  *bool `json:"members_only"`
	Approval      *bool `json:"approval"`
	AllowInvites  *bool `json:"allowinvites"`
	InviteConfirm *bool `json:"invite_need_confirm"`
	MaxUsers      *size `json:"maxusers"`

	Members []string `json:"members"`
}

// fields are the fields that an update may name, and what the answer calls them.
var fields = map[string]string{
	"groupname": "groupname", "name": "groupname",
	"description": "description", "desc": "description",
	"avatar": "avatar", "custom": "custom", "public": "public",
	"membersonly": "membersonly", "members_only": "membersonly", "approval": "membersonly",
	"allowinvites": "allowinvites", "invite_need_confirm": "invite_need_confirm", "maxusers": "maxusers",
}

// one returns the first that is there.
func one[T any](values ...*T) *T {
	for _, value := range values {
		if value != nil {
			return value
		}
	}
	return nil
}

// or returns what a pointer points to, or the zero value.
func or[T any](p *T) (value T) {
	if p != nil {
		value = *p
	}
	return value
}

func (f *placeForm) title() *string       { return one(f.GroupName, f.Name) }
func (f *placeForm) description() *string { return one(f.Description, f.Desc) }
func (f *placeForm) approval() *bool      { return one(f.MembersOnly, f.MembersOnly2, f.Approval) }

func (p places) create(ctx context.Context, c *Call, who muc.Actor, _ string) (Answer, error) {
	var in placeForm
	if err := c.Decode(&in); err != nil {
		return Answer{}, err
	}
	made, err := p.mucs.Create(ctx, who, p.kind, muc.Options{Owner: or(in.Owner), ID: in.ID,
		Title: or(in.title()), Description: or(in.description()), Avatar: or(in.Avatar), Custom: or(in.Custom),
		Public: or(in.Public), Approval: or(in.approval()), AllowInvites: or(in.AllowInvites), InviteConfirm: in.InviteConfirm,
		MaxUsers: int(or(in.MaxUsers)), Members: in.Members})
	return Answer{Data: map[string]string{p.id: made.Name}}, err
}

// placeEntity is a group or room in answers.
type placeEntity struct {
	ID            string           `json:"id"`
	Name          string           `json:"name"`
	Avatar        string           `json:"avatar"`
	Description   string           `json:"description"`
	MembersOnly   bool             `json:"membersonly"`
	AllowInvites  bool             `json:"allowinvites"`
	InviteConfirm bool             `json:"invite_need_confirm"`
	MaxUsers      int              `json:"maxusers"`
	Owner         string           `json:"owner"`
	Created       int64            `json:"created"`
	Custom        string           `json:"custom"`
	Mute          bool             `json:"mute"`
	Shield        bool             `json:"shieldgroup"`
	Count         int              `json:"affiliations_count"`
	Disabled      bool             `json:"disabled"`
	Public        bool             `json:"public"`
	Role          string           `json:"permission,omitempty"`
	Affiliations  []map[string]any `json:"affiliations"`
}

func placeOf(m store.Muc) placeEntity {
	return placeEntity{ID: m.Name, Name: m.Title, Avatar: m.Avatar, Description: m.Description, MembersOnly: m.Approval,
		AllowInvites: m.AllowInvites, InviteConfirm: m.InviteConfirm, MaxUsers: m.MaxUsers, Owner: m.Owner.Name, Created: m.Created,
		Custom: m.Custom, Mute: m.MuteAll, Count: m.Members, Disabled: m.Disabled, Public: m.Public, Affiliations: []map[string]any{}}
}

var roleNames = map[store.Role]string{store.RoleMember: "member", store.RoleAdmin: "admin", store.RoleOwner: "owner"}

// affiliations are rows of members. In the older form admins are members, and nothing is said of when they joined.
func affiliations(members []store.Member, admins, joined bool) []map[string]any {
	rows := []map[string]any{}
	for _, m := range members {
		role := m.Role
		if role == store.RoleAdmin && !admins {
			role = store.RoleMember
		}
		row := map[string]any{roleNames[role]: m.User.Name}
		if joined {
			row["joined_time"] = m.Joined
		}
		rows = append(rows, row)
	}
	return rows
}

func wantsJoined(c *Call) bool { return c.Query("joined_time") == "true" }

// details tells of the places whose ids the path has, with commas between. Of several, those that cannot be seen are left
// out.
func (p places) details(ctx context.Context, c *Call, who muc.Actor, ids string) (Answer, error) {
	rows, all := []placeEntity{}, strings.Split(ids, ",")
	if len(all) > maxPlaces {
		return Answer{}, illegal("there are more than %d ids", maxPlaces)
	}
	for _, id := range all {
		info, err := p.mucs.Get(ctx, who, p.kind, id)
		if _, refused := errcode.CodeOf(err); refused && len(all) > 1 {
			continue
		} else if err != nil {
			return Answer{}, err
		}
		row := placeOf(info.Muc)
		row.Shield, row.Role = info.Standing.Shielded, roleNames[info.Standing.Role]
		if who.IsBackend() || info.Standing.Role != store.RoleNone {
			members, _, err := p.mucs.Members(ctx, who, p.kind, id, muc.MembersQuery{Limit: maxAffiliations})
			if err != nil {
				return Answer{}, err
			}
			row.Affiliations = affiliations(members, false, wantsJoined(c))
		}
		rows = append(rows, row)
	}
	count := len(rows)
	return Answer{Data: rows, Count: &count}, nil
}

// update changes fields, or the owner if the body names a new one.
func (p places) update(ctx context.Context, c *Call, who muc.Actor, id string) (Answer, error) {
	data, err := c.Body()
	if err != nil {
		return Answer{}, err
	}
	var in placeForm
	if err := decode(data, &in); err != nil {
		return Answer{}, err
	}
	if in.NewOwner != nil {
		return Answer{Data: map[string]bool{"newowner": true}}, p.mucs.Transfer(ctx, who, p.kind, id, *in.NewOwner)
	}
	object, err := objectOf(data)
	if err != nil {
		return Answer{}, err
	}
	known := make([]string, 0, len(fields))
	said := map[string]bool{}
	for name, answer := range fields {
		known = append(known, name)
		if _, named := object[name]; named {
			said[answer] = true
		}
	}
	if err := onlyKeys(object, known...); err != nil {
		return Answer{}, err
	}
	_, err = p.mucs.Update(ctx, who, p.kind, id, muc.Change{Title: in.title(), Description: in.description(), Avatar: in.Avatar,
		Custom: in.Custom, Public: in.Public, Approval: in.approval(), AllowInvites: in.AllowInvites, InviteConfirm: in.InviteConfirm,
		MaxUsers: (*int)(in.MaxUsers)})
	return Answer{Data: said}, err
}

func (p places) destroy(ctx context.Context, _ *Call, who muc.Actor, id string) (Answer, error) {
	return Answer{Data: map[string]any{"success": true, p.id: id, "id": id}}, p.mucs.Destroy(ctx, who, p.kind, id)
}

func (p places) disable(on bool) placeHandler {
	return func(ctx context.Context, c *Call, _ muc.Actor, id string) (Answer, error) {
		return Answer{Data: map[string]bool{"disabled": on}}, p.mucs.Disable(ctx, c.App, p.kind, id, on)
	}
}

func (p places) announcement(ctx context.Context, _ *Call, who muc.Actor, id string) (Answer, error) {
	text, err := p.mucs.Announcement(ctx, who, p.kind, id)
	return Answer{Data: map[string]string{"announcement": text}}, err
}

func (p places) announce(ctx context.Context, c *Call, who muc.Actor, id string) (Answer, error) {
	var in struct {
		Announcement *string `json:"announcement"`
	}
	if err := c.Decode(&in); err != nil {
		return Answer{}, err
	}
	if in.Announcement == nil {
		return Answer{}, refuseBody
	}
	return Answer{Data: map[string]any{"id": id, "result": true}}, p.mucs.SetAnnouncement(ctx, who, p.kind, id, *in.Announcement)
}
