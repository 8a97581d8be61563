package rest

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/muc"
	"github.com/stoa-chat/stoa/internal/store"
)

func (a *API) roomRoutes() []Route {
	r := a.rooms()
	return slices.Concat(r.common(), r.sharing(), []Route{
		{http.MethodGet, "/chatrooms", AnyToken, a.listRooms},
		{http.MethodGet, "/users/{user}/joined_chatrooms", AppOrSelf, a.joinedRooms},
		{http.MethodGet, "/chatrooms/super_admin", AppToken, a.superAdmins},
		{http.MethodPost, "/chatrooms/super_admin", AppToken, a.addSuperAdmin},
		{http.MethodDelete, "/chatrooms/super_admin/{member}", AppToken, a.removeSuperAdmin},

		{http.MethodPost, "/chatrooms/{place}/apply", UserToken, a.of(a.applyToRoom)},
		{http.MethodPut, "/chatrooms/{place}/users/{member}/tag", AppToken, a.of(a.setRoomTags)},
		{http.MethodGet, "/chatrooms/{place}/users/{member}/tag", AppToken, a.of(a.roomTags)},
		{http.MethodPut, "/chatrooms/{place}/tag/mute", AppToken, a.of(a.muteRoomTag)},

		{http.MethodPost, "/metadata/chatroom/{place}", AnyToken, a.of(a.roomAttributes)},
		{http.MethodPut, "/metadata/chatroom/{place}/user/{user}", AppOrSelf, a.of(a.setRoomAttributes(false))},
		{http.MethodPut, "/metadata/chatroom/{place}/user/{user}/forced", AppOrSelf, a.of(a.setRoomAttributes(true))},
		{http.MethodDelete, "/metadata/chatroom/{place}/user/{user}", AppOrSelf, a.of(a.removeRoomAttributes(false))},
		{http.MethodDelete, "/metadata/chatroom/{place}/user/{user}/forced", AppOrSelf, a.of(a.removeRoomAttributes(true))},
	})
}

// listRooms has two forms: clients page by number, backends by cursor.
func (a *API) listRooms(ctx context.Context, c *Call) (Answer, error) {
	var rooms []store.Muc
	var cursor string
	var err error
	if c.Query("pagenum") == "" && c.Query("pagesize") == "" {
		rooms, cursor, err = a.pageOfPlaces(ctx, c, store.MucRoom, false, pageOfRooms, maxPageOfRooms)
	} else {
		var q muc.ListQuery
		if q.Offset, q.Limit, err = c.Page(1, pageOfRooms, maxPageOfRoom); err == nil {
			rooms, err = a.mucs.List(ctx, c.App, store.MucRoom, q)
		}
	}
	if err != nil {
		return Answer{}, err
	}
	rows := []map[string]any{}
	for _, r := range rooms {
		rows = append(rows, map[string]any{"id": r.Name, "name": r.Title, "owner": r.Owner.Name,
			"affiliations_count": r.Members, "disabled": r.Disabled})
	}
	count := len(rows)
	return Answer{Data: rows, Cursor: cursor, Count: &count}, nil
}

// joinedRooms tells more to clients, which ask for it. They take the name of the app off the owner's.
func (a *API) joinedRooms(ctx context.Context, c *Call) (Answer, error) {
	joined, err := a.joined(ctx, c, store.MucRoom, 1, maxPageOfRoom, maxPageOfRoom)
	if err != nil {
		return Answer{}, err
	}
	rows := []map[string]any{}
	for _, j := range joined {
		row := map[string]any{"id": j.Muc.Name, "name": j.Muc.Title}
		if c.Query("detail") == "true" {
			row["title"], row["owner"], row["created"] = j.Muc.Title, c.App.Key()+"_"+j.Muc.Owner.Name, j.Muc.Created
			row["description"], row["max_users"] = j.Muc.Description, j.Muc.MaxUsers
		}
		rows = append(rows, row)
	}
	count := len(rows)
	return Answer{Data: rows, Count: &count}, nil
}

func (a *API) superAdmins(ctx context.Context, c *Call) (Answer, error) {
	offset, limit, err := c.Page(1, pageOfSuperAdmin, maxPageOfRoom)
	if err != nil {
		return Answer{}, err
	}
	users, err := a.mucs.SuperAdmins(ctx, c.App, offset, limit)
	names := []string{}
	for _, user := range users {
		names = append(names, user.Name)
	}
	count := len(names)
	return Answer{Data: names, Count: &count}, err
}

func (a *API) addSuperAdmin(ctx context.Context, c *Call) (Answer, error) {
	var in struct {
		Name string `json:"superadmin"`
	}
	if err := c.Decode(&in); err != nil {
		return Answer{}, err
	}
	return Answer{Data: map[string]string{"result": "success", "resource": ""}}, a.mucs.AddSuperAdmin(ctx, c.App, in.Name)
}

func (a *API) removeSuperAdmin(ctx context.Context, c *Call) (Answer, error) {
	name := c.Value("member")
	err := a.mucs.RemoveSuperAdmin(ctx, c.App, name)
	return Answer{Data: map[string]string{"newSuperAdmin": account.Fold(name), "resource": ""}}, err
}

// applyToRoom joins, as clients do that are older than the room's join over the socket.
func (a *API) applyToRoom(ctx context.Context, c *Call, who muc.Actor, id string) (Answer, error) {
	_, _, err := a.mucs.JoinRoom(ctx, who, id, muc.JoinOptions{})
	return Answer{Data: verified("apply", id, who.User.Name)}, err
}

func (a *API) setRoomTags(ctx context.Context, c *Call, _ muc.Actor, id string) (Answer, error) {
	data, err := c.Body()
	if err != nil {
		return Answer{}, err
	}
	object, err := objectOf(data)
	if err != nil {
		return Answer{}, err
	}
	var tags []string
	if err := json.Unmarshal(object["tags"], &tags); err != nil || tags == nil {
		return Answer{}, badRequest("invalid_parameter", "tags should be type of List").because(err)
	}
	return Answer{Data: map[string]bool{"result": true}}, a.mucs.SetRoomTags(ctx, c.App, id, c.Value("member"), tags)
}

// roomTags tells of each tag until when those who had it have been muted: 0 not at all, -1 for ever.
func (a *API) roomTags(ctx context.Context, c *Call, _ muc.Actor, id string) (Answer, error) {
	tags, err := a.mucs.RoomTags(ctx, c.App, id, c.Value("member"))
	until := map[string]string{}
	for _, tag := range tags {
		if tag.Until == store.Forever {
			tag.Until = -1
		}
		until[tag.Tag] = strconv.FormatInt(tag.Until, 10)
	}
	return Answer{Data: until}, err
}

// muteRoomTag reads seconds, where mutes of single members are milliseconds.
func (a *API) muteRoomTag(ctx context.Context, c *Call, _ muc.Actor, id string) (Answer, error) {
	var in struct {
		Tag      string `json:"tag"`
		Duration *int64 `json:"mute_duration"`
	}
	if err := c.Decode(&in); err != nil {
		return Answer{}, err
	}
	if in.Duration == nil {
		return Answer{}, refuseBody
	}
	lasts := time.Duration(max(min(*in.Duration, maxMute/1000), -1)) * time.Second
	return Answer{Data: map[string]bool{"result": true}}, a.mucs.MuteTag(ctx, c.App, id, in.Tag, lasts)
}

func (a *API) roomAttributes(ctx context.Context, c *Call, who muc.Actor, id string) (Answer, error) {
	var in struct {
		Keys []string `json:"keys"`
	}
	if err := c.Decode(&in); err != nil {
		return Answer{}, err
	}
	found, err := a.mucs.RoomAttributes(ctx, who, id, in.Keys)
	return Answer{Data: found}, err
}

// attributed is the answer to changes of attributes, of which each may fail by itself.
func attributed(result muc.AttributeResult, err error) (Answer, error) {
	if err != nil {
		return Answer{}, err
	}
	done, failed := result.Done, map[string]string{}
	if done == nil {
		done = []string{}
	}
	for key, err := range result.Failed {
		if _, refused := errcode.CodeOf(err); !refused {
			return Answer{}, err
		}
		failed[key] = reason(err)
	}
	return Answer{Data: map[string]any{"successKeys": done, "errorKeys": failed}, Status: "ok"}, nil
}

func (a *API) setRoomAttributes(forced bool) placeHandler {
	return func(ctx context.Context, c *Call, who muc.Actor, id string) (Answer, error) {
		var in struct {
			MetaData   map[string]string `json:"metaData"`
			AutoDelete string            `json:"autoDelete"`
		}
		if err := c.Decode(&in); err != nil {
			return Answer{}, err
		}
		if in.AutoDelete != "" && in.AutoDelete != "DELETE" && in.AutoDelete != "NO_DELETE" {
			return Answer{}, illegal("autoDelete must be DELETE or NO_DELETE")
		}
		return attributed(a.mucs.SetRoomAttributes(ctx, who, id, c.User(), in.MetaData, in.AutoDelete != "NO_DELETE", forced))
	}
}

func (a *API) removeRoomAttributes(forced bool) placeHandler {
	return func(ctx context.Context, c *Call, who muc.Actor, id string) (Answer, error) {
		var in struct {
			Keys []string `json:"keys"`
		}
		if err := c.Decode(&in); err != nil {
			return Answer{}, err
		}
		return attributed(a.mucs.RemoveRoomAttributes(ctx, who, id, c.User(), in.Keys, forced))
	}
}
