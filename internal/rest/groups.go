package rest

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/muc"
	"github.com/stoa-chat/stoa/internal/push"
	"github.com/stoa-chat/stoa/internal/store"
)

func (a *API) groupRoutes() []Route {
	g := a.groups()
	return slices.Concat(g.common(), g.sharing(), []Route{
		{http.MethodGet, "/chatgroups", AppToken, a.listGroups},
		{http.MethodGet, "/publicchatgroups", AnyToken, a.publicGroups},
		{http.MethodGet, "/users/{user}/joined_chatgroups", AppOrSelf, a.joinedGroups},
		{http.MethodGet, "/chatgroups/user/{user}", AppOrSelf, a.detailedGroups},
		{http.MethodGet, "/chatgroups/user/{user}/joined_count", AppOrSelf, a.countGroups},

		{http.MethodPost, "/chatgroups/{place}/apply", UserToken, a.of(a.applyToGroup)},
		{http.MethodPost, "/chatgroups/{place}/apply_verify", AnyToken, a.of(a.answerApplication)},
		{http.MethodPost, "/chatgroups/{place}/invite", AnyToken, a.of(a.inviteToGroup)},
		{http.MethodPost, "/chatgroups/{place}/invite_verify", AnyToken, a.of(a.answerInvitation)},
		{http.MethodPost, "/chatgroups/{place}/shield", UserToken, a.of(a.shieldGroup(true))},
		{http.MethodDelete, "/chatgroups/{place}/shield", UserToken, a.of(a.shieldGroup(false))},

		{http.MethodGet, "/chatgroups/{place}/acks/{message}", AnyToken, a.of(a.groupReaders)},

		{http.MethodPut, "/metadata/chatgroup/{place}/user/{member}", AnyToken, a.of(a.setMemberAttributes)},
		{http.MethodPut, "/sdk/metadata/chatgroup/{place}/user/{member}", AnyToken, a.of(a.setMemberAttributes)},
		{http.MethodPut, "/metadata/chatgroup/{place}/users/batch", AppToken, a.of(a.setMembersAttributes)},
		{http.MethodGet, "/metadata/chatgroup/{place}/user/{member}", AnyToken, a.of(a.memberAttributes)},
		{http.MethodPost, "/metadata/chatgroup/{place}/get", AnyToken, a.of(a.membersAttributes)},
		{http.MethodPost, "/sdk/metadata/chatgroup/{place}/get", AnyToken, a.of(a.membersAttributes)},
	})
}

// groupRow is a group in short lists.
type groupRow struct {
	ID   string `json:"groupid"`
	Name string `json:"groupname"`
}

// pageOfPlaces reads a page by cursor, newest first.
func (a *API) pageOfPlaces(ctx context.Context, c *Call, kind store.MucKind, public bool, standard, highest int) (
	page []store.Muc, cursor string, err error) {
	limit, err := c.Limit(standard, highest)
	if err != nil {
		return nil, "", err
	}
	below, err := c.Cursor()
	if err != nil {
		return nil, "", err
	}
	if page, err = a.mucs.List(ctx, c.App, kind, muc.ListQuery{Public: public, Below: below, Limit: limit + 1}); err != nil {
		return nil, "", err
	}
	page, cursor = pageOf(page, limit, func(i int) int64 { return page[i].ID })
	return page, cursor, nil
}

func (a *API) listGroups(ctx context.Context, c *Call) (Answer, error) {
	groups, cursor, err := a.pageOfPlaces(ctx, c, store.MucGroup, false, pageOfGroups, maxPageOfGroups)
	if err != nil {
		return Answer{}, err
	}
	rows := []map[string]any{}
	for _, g := range groups {
		rows = append(rows, map[string]any{"owner": c.App.Key() + "_" + g.Owner.Name, "groupid": g.Name, "affiliations": g.Members,
			"type": "group", "lastModified": strconv.FormatInt(g.Modified, 10), "groupname": g.Title})
	}
	count := len(rows)
	return Answer{Data: rows, Cursor: cursor, Count: &count}, nil
}

func (a *API) publicGroups(ctx context.Context, c *Call) (Answer, error) {
	groups, cursor, err := a.pageOfPlaces(ctx, c, store.MucGroup, true, pageOfGroups, maxPageOfGroups)
	if err != nil {
		return Answer{}, err
	}
	rows := []groupRow{}
	for _, g := range groups {
		rows = append(rows, groupRow{g.Name, g.Title})
	}
	count := len(rows)
	return Answer{Data: rows, Cursor: cursor, Count: &count}, nil
}

// joined reads a page of what the user of the path has joined; without a page size all of it.
func (a *API) joined(ctx context.Context, c *Call, kind store.MucKind, first, standard, highest int) ([]store.Joined, error) {
	user, err := a.target(ctx, c)
	if err != nil {
		return nil, err
	}
	offset, limit, err := c.Page(first, standard, highest)
	if err != nil {
		return nil, err
	}
	return a.mucs.Joined(ctx, user, kind, 0, offset, limit)
}

func (a *API) joinedGroups(ctx context.Context, c *Call) (Answer, error) {
	joined, err := a.joined(ctx, c, store.MucGroup, 1, allOfList, maxPageOfJoined)
	if err != nil {
		return Answer{}, err
	}
	rows := []groupRow{}
	for _, j := range joined {
		rows = append(rows, groupRow{j.Muc.Name, j.Muc.Title})
	}
	count := len(rows)
	return Answer{Data: rows, Count: &count}, nil
}

// detailedGroup is a group in the list that tells of roles. The web client reads other names here than in the details.
type detailedGroup struct {
	placeEntity
	GroupID      string            `json:"groupId"`
	Affiliations *[]map[string]any `json:"affiliations,omitempty"`
}

func (a *API) detailedGroups(ctx context.Context, c *Call) (Answer, error) {
	joined, err := a.joined(ctx, c, store.MucGroup, 0, pageOfDetailed, pageOfDetailed)
	if err != nil {
		return Answer{}, err
	}
	rows := []detailedGroup{}
	for _, j := range joined {
		row := detailedGroup{placeEntity: placeOf(j.Muc), GroupID: j.Muc.Name}
		row.Role = roleNames[j.Role]
		rows = append(rows, row)
	}
	count := len(rows)
	return Answer{Entities: rows, Count: &count}, nil
}

func (a *API) countGroups(ctx context.Context, c *Call) (Answer, error) {
	user, err := a.target(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	count, err := a.mucs.CountJoined(ctx, user, store.MucGroup)
	return Answer{Data: count}, err
}

func (a *API) applyToGroup(ctx context.Context, c *Call, who muc.Actor, id string) (Answer, error) {
	var in struct {
		Message string `json:"message"`
	}
	if err := c.Decode(&in); err != nil {
		return Answer{}, err
	}
	_, err := a.mucs.Apply(ctx, who, id, in.Message)
	return Answer{Data: verified("apply", id, who.User.Name)}, err
}

// verified is the answer to applications, and to answers to them and to invitations.
func verified(action, id, user string) map[string]any {
	return map[string]any{"action": action, "id": id, "result": true, "user": user}
}

func (a *API) answerApplication(ctx context.Context, c *Call, who muc.Actor, id string) (Answer, error) {
	var in struct {
		Applicant string `json:"applicant"`
		Accept    bool   `json:"verifyResult"`
		Reason    string `json:"reason"`
	}
	if err := c.Decode(&in); err != nil {
		return Answer{}, err
	}
	err := a.mucs.AnswerApplication(ctx, who, id, in.Applicant, in.Accept, in.Reason)
	return Answer{Data: verified("apply_verify", id, account.Fold(in.Applicant))}, err
}

func (a *API) inviteToGroup(ctx context.Context, c *Call, who muc.Actor, id string) (Answer, error) {
	names, err := c.usernames()
	if err != nil {
		return Answer{}, err
	}
	results, err := a.mucs.Invite(ctx, who, id, names)
	return Answer{Data: a.groups().rows(results, "invite", "id", id)}, err
}

func (a *API) answerInvitation(ctx context.Context, c *Call, who muc.Actor, id string) (Answer, error) {
	var in struct {
		Invitee string `json:"invitee"`
		Accept  bool   `json:"verifyResult"`
	}
	if err := c.Decode(&in); err != nil {
		return Answer{}, err
	}
	err := a.mucs.AnswerInvitation(ctx, who, id, in.Invitee, in.Accept)
	return Answer{Data: verified("invite_verify", id, account.Fold(in.Invitee))}, err
}

func (a *API) shieldGroup(on bool) placeHandler {
	action := "unshield"
	if on {
		action = "shield"
	}
	return func(ctx context.Context, _ *Call, who muc.Actor, id string) (Answer, error) {
		row := map[string]any{"result": true, "action": action, "groupid": id, "user": who.User.Name}
		return Answer{Data: row}, a.mucs.Shield(ctx, who, id, on)
	}
}

func (a *API) setMemberAttributes(ctx context.Context, c *Call, who muc.Actor, id string) (Answer, error) {
	var in struct {
		MetaData map[string]string `json:"metaData"`
	}
	if err := c.Decode(&in); err != nil {
		return Answer{}, err
	}
	if in.MetaData == nil {
		return Answer{}, refuseBody
	}
	_, err := a.mucs.SetMemberAttributes(ctx, who, id, c.Value("member"), in.MetaData)
	return Answer{Data: in.MetaData}, err
}

// attributedRow is a member with attributes.
type attributedRow struct {
	User     string            `json:"username"`
	MetaData map[string]string `json:"metadata,omitempty"`
	Reason   string            `json:"reason,omitempty"`
}

func (a *API) setMembersAttributes(ctx context.Context, c *Call, who muc.Actor, id string) (Answer, error) {
	data, err := c.Body()
	if err != nil {
		return Answer{}, err
	}
	var in []attributedRow
	if err := json.Unmarshal(data, &in); err != nil {
		return Answer{}, refuseBody
	}
	var changes []muc.Attributed
	for _, row := range in {
		if row.MetaData == nil {
			return Answer{}, refuseBody
		}
		changes = append(changes, muc.Attributed{User: row.User, Attributes: row.MetaData})
	}
	results, err := a.mucs.SetMembersAttributes(ctx, who, id, changes)
	done, failed := []attributedRow{}, []attributedRow{}
	for _, r := range results {
		if r.Err != nil {
			failed = append(failed, attributedRow{User: r.User, Reason: reason(r.Err)})
		} else {
			done = append(done, attributedRow{User: r.User, MetaData: r.Attributes})
		}
	}
	return Answer{Data: map[string]any{"updateMetadataSucceeded": done, "updateMetadataFailed": failed}}, err
}

func (a *API) memberAttributes(ctx context.Context, c *Call, who muc.Actor, id string) (Answer, error) {
	name := account.Fold(c.Value("member"))
	found, err := a.mucs.MemberAttributes(ctx, who, id, []string{name}, nil)
	if err != nil {
		return Answer{}, err
	}
	attributes := found[name]
	if attributes == nil {
		attributes = map[string]string{}
	}
	return Answer{Data: attributes}, nil
}

func (a *API) membersAttributes(ctx context.Context, c *Call, who muc.Actor, id string) (Answer, error) {
	var in struct {
		Targets    []string `json:"targets"`
		Properties []string `json:"properties"`
	}
	if err := c.decodeNames(&in, &in.Targets); err != nil {
		return Answer{}, err
	}
	found, err := a.mucs.MemberAttributes(ctx, who, id, in.Targets, in.Properties)
	return Answer{Data: found}, err
}

// ignoresGroup begins the field by which old clients ask for no notifications of a group; its id follows.
const ignoresGroup = "notification_ignore_"

// ignoreGroups changes a user as old clients do: it silences the notifications of groups, or ends that.
func (a *API) ignoreGroups(ctx context.Context, c *Call, data []byte) (Answer, error) {
	var in struct {
		Entities []map[string]bool `json:"entities"`
	}
	if err := decode(data, &in); err != nil {
		return Answer{}, err
	}
	actor, err := a.actor(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	device := push.Device{ID: actor.Device, Resource: c.Query("resource")}
	for _, entity := range in.Entities {
		for field, on := range entity {
			id, ok := strings.CutPrefix(field, ignoresGroup)
			if !ok {
				return Answer{}, refuseBody
			}
			kind := push.TypeDefault
			if on {
				kind = push.TypeNone
			}
			if _, err := a.push.Set(ctx, c.App, actor.User, device, push.Conversation{Place: id}, push.Change{Type: &kind}); err != nil {
				return Answer{}, err
			}
		}
	}
	return oneUser(actor.User), nil
}

// pageOfReaders is what the web client asks for.
const pageOfReaders = 500

// groupReaders tells who has read a message.
func (a *API) groupReaders(ctx context.Context, c *Call, who muc.Actor, group string) (Answer, error) {
	id, err := strconv.ParseUint(c.Value("message"), 10, 63)
	if err != nil {
		return Answer{}, illegal("%q is no id of a message", c.Value("message"))
	}
	limit, err := c.Limit(pageOfReaders, pageOfReaders)
	if err != nil {
		return Answer{}, err
	}
	above, err := c.cursor("key")
	if err != nil {
		return Answer{}, err
	}
	readers, err := a.messages.GroupReaders(ctx, who, group, id, above, limit+1)
	if err != nil {
		return Answer{}, err
	}
	page, next := pageOf(readers.Page, limit, func(i int) int64 { return readers.Page[i].Row })
	names := []string{}
	var last int64 // when the last one of the page read it
	for _, r := range page {
		names, last = append(names, r.User.Name), r.Time
	}
	return Answer{Data: map[string]any{"ackmid": c.Value("message"), "is_last": next == "", "next_key": next, "timestamp": last,
		"total": readers.Count, "userlist": names}}, nil
}
