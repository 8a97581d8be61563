package chat

import (
	"context"
	"encoding/json"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/restclient"
)

// Room is a chatroom by its id; [Client.Room] makes one without asking the server. Its methods return what those of
// [Group] do, but 705 for a chatroom that does not exist and 702 for who is not in it.
type Room struct{ place }

// Room returns the chatroom with this id.
func (c *Client) Room(id string) Room { return Room{place{c, "chatrooms", id}} }

// RoomOptions say what a new chatroom is like.
type RoomOptions struct {
	Name, Description string // up to 128 and 512 characters
	MaxMembers        int    // with the owner; 0: the server's choice
	Members           []string
	// AppToken is a token of the app's backend, for apps whose users may not make rooms.
	AppToken string
}

// RoomUpdate changes the fields that are not nil.
type RoomUpdate struct {
	Name, Description *string
	MaxMembers        *int
}

// JoinOptions say how a chatroom is joined.
type JoinOptions struct {
	// Ext is told to the members, in the event's Ext.
	Ext string
	// LeaveOthers leaves all other chatrooms.
	LeaveOthers bool
}

// RoomState is what the server tells of a chatroom that was joined; where it tells nothing all is zero.
type RoomState struct {
	MutedAll   bool
	Allowed    bool // the user is on the allow list
	Members    int
	Muted      bool      // the user may not send
	MutedUntil time.Time // zero: for ever
	Created    time.Time
}

// CreateRoom makes a chatroom whose owner is the user. It returns 52 or 603 where users may not make rooms, and else what
// the methods of [Room] do.
func (c *Client) CreateRoom(ctx context.Context, o RoomOptions) (Room, error) {
	const op = "create room"
	user, _, _ := c.credentials()
	in := map[string]any{"name": o.Name, "description": o.Description, "owner": user}
	if o.MaxMembers != 0 {
		in["maxusers"] = o.MaxMembers
	}
	if len(o.Members) > 0 {
		in["members"] = o.Members
	}
	var answer struct {
		Data struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	err := c.do(ctx, call{op: op, method: http.MethodPost, path: []string{"chatrooms"}, in: in, out: &answer, own: true,
		token: o.AppToken})
	if err != nil {
		return Room{}, err
	}
	if answer.Data.ID == "" {
		return Room{}, fail(errcode.RequestFailed, op, "the server's answer does not name the room", nil)
	}
	return c.Room(answer.Data.ID), nil
}

// Rooms returns the chatrooms of the app.
func (c *Client) Rooms(ctx context.Context) iter.Seq2[GroupInfo, error] {
	const size = 50
	return restclient.NumberedPages(1, size, func(page int) ([]GroupInfo, error) {
		var answer struct {
			Data []groupJSON `json:"data"`
		}
		query := url.Values{"pagenum": {strconv.Itoa(page)}, "pagesize": {strconv.Itoa(size)}}
		err := c.get(ctx, "rooms", &answer, query, "chatrooms")
		return infosOf(answer.Data), err
	})
}

// JoinedRooms returns the chatrooms that the user is in.
func (c *Client) JoinedRooms(ctx context.Context) iter.Seq2[GroupInfo, error] {
	const size = 50
	return restclient.NumberedPages(1, size, func(page int) ([]GroupInfo, error) {
		var answer struct {
			Data []groupJSON `json:"data"`
		}
		query := url.Values{"pagenum": {strconv.Itoa(page)}, "pagesize": {strconv.Itoa(size)}, "detail": {"true"}}
		err := c.get(ctx, "joined rooms", &answer, query, "users", me, "joined_chatrooms")
		for i := range answer.Data { // here an owner's id comes with that of the app
			answer.Data[i].Owner = strings.TrimPrefix(answer.Data[i].Owner, c.appKey+"_")
		}
		return infosOf(answer.Data), err
	})
}

// Join joins the chatroom: its messages and events come from now on. The server takes a user out of it some minutes after
// the connection was lost, and at once after [Room.Leave].
//
// It returns 39 without a session, 16 when the connection is down or breaks, -1 when the server does not answer, 705 for a
// room that does not exist, 704 for a full one, 603 for who is blocked, 50 for too many rooms, 608, 500 and -3.
func (r Room) Join(ctx context.Context, o JoinOptions) (RoomState, error) {
	user, answer, err := r.exchange(ctx, "join room", &msync.MUCBody{
		Operation: msync.MUCBody_JOIN, Ext: o.Ext, LeaveOtherRooms: o.LeaveOthers,
	})
	if err != nil {
		return RoomState{}, err
	}
	return r.state(user, answer), nil
}

// Leave leaves the chatroom. It returns 602 for who is not in it, and else what [Room.Join] does.
func (r Room) Leave(ctx context.Context) error {
	_, _, err := r.exchange(ctx, "leave room", &msync.MUCBody{Operation: msync.MUCBody_LEAVE})
	return asError(err)
}

func (r Room) exchange(ctx context.Context, op string, body *msync.MUCBody) (string, *msync.CommSyncDL, *Error) {
	user, err := r.c.sender(op, r.id)
	if err != nil {
		return "", nil, err
	}
	body.MucId = &msync.JID{AppKey: r.c.appKey, Name: r.id, Domain: groupDomain}
	body.From, body.IsChatroom = &msync.JID{Name: user}, true
	u, err := r.c.pack(op, "", &msync.Meta{
		From: &msync.JID{AppKey: r.c.appKey, Name: user, Domain: userDomain},
		To:   &msync.JID{Domain: userDomain},
		Ns:   msync.Meta_MUC,
	}, body)
	if err != nil {
		return "", nil, err
	}
	u.prompt = true
	_, answer, err := r.c.await(ctx, u, user)
	return user, answer, err
}

// state reads what comes with the answer to a join.
func (r Room) state(user string, answer *msync.CommSyncDL) RoomState {
	if len(answer.GetMetas()) == 0 {
		return RoomState{}
	}
	meta, body := answer.GetMetas()[0], new(msync.MUCBody)
	err := proto.Unmarshal(meta.GetPayload(), body)
	var infos map[string]struct {
		AllMute     bool               `json:"is_all_mute"`
		Created     restclient.Millis  `json:"create_timestamp"`
		White       bool               `json:"is_in_white_list"`
		MemberCount restclient.Integer `json:"member_count"`
		Mute        restclient.Integer `json:"mute_duration"` // in spite of its name, when the mute ends
	}
	if text := body.GetStatus().GetChatroomInfo(); err == nil && text != "" {
		err = json.Unmarshal([]byte(text), &infos)
	}
	if err != nil { // joined all the same
		r.c.reportBad(badMessage("join room", "the room's state", meta.GetId(), err))
	}
	i := infos[user]
	return RoomState{
		MutedAll: i.AllMute, Allowed: i.White, Members: int(i.MemberCount), Created: i.Created.Time,
		Muted: i.Mute != 0, MutedUntil: restclient.Time(float64(i.Mute)),
	}
}

// Info describes the chatroom.
func (r Room) Info(ctx context.Context) (GroupInfo, error) {
	var answer struct {
		Data []groupJSON `json:"data"`
	}
	err := r.get(ctx, "room info", &answer, nil)
	if err == nil && len(answer.Data) == 0 {
		err = fail(errcode.ChatroomNotExist, "room info", "", nil)
	}
	if err != nil {
		return GroupInfo{}, err
	}
	return answer.Data[0].info(), nil
}

// Update changes the chatroom; its members are told.
func (r Room) Update(ctx context.Context, u RoomUpdate) error {
	in := map[string]any{}
	if u.Name != nil {
		in["groupname"] = *u.Name
	}
	if u.Description != nil {
		in["description"] = *u.Description
	}
	if u.MaxMembers != nil {
		in["maxusers"] = *u.MaxMembers
	}
	return r.change(ctx, "update room", http.MethodPut, in, nil)
}

// Destroy ends the chatroom for all its members. The token of the app's backend may be given, where users may not do it;
// empty, the session's is used.
func (r Room) Destroy(ctx context.Context, appToken string) error {
	return r.c.do(ctx, call{op: "destroy room", method: http.MethodDelete, path: []string{r.kind, r.id},
		query: url.Values{"version": {"v3"}}, own: true, token: appToken})
}

// Add adds users to the chatroom. It returns 704 for a full one.
func (r Room) Add(ctx context.Context, users ...string) error {
	return r.changeNamed(ctx, "add to room", users, "users")
}

// AttributeOptions say how attributes of a chatroom are changed.
type AttributeOptions struct {
	// Keep keeps the attributes when the user leaves the room; else they go with the user.
	Keep bool
	// Force changes also what other users have set.
	Force bool
}

// Attributes returns attributes of the chatroom; without keys all of them.
func (r Room) Attributes(ctx context.Context, keys ...string) (map[string]string, error) {
	in := map[string]any{}
	if len(keys) > 0 {
		in["keys"] = keys
	}
	var answer struct {
		Data map[string]string `json:"data"`
	}
	err := r.c.do(ctx, call{op: "room attributes", method: http.MethodPost, path: []string{"metadata", "chatroom", r.id},
		in: in, out: &answer})
	return answer.Data, err
}

// SetAttributes sets up to 10 attributes of the chatroom, which holds up to 100; keys have up to 128 of the characters A-Z
// a-z 0-9 - _ and ., values up to 4,096. Those that could be set are. For the others it returns the first one's error, in
// the order of the keys, with the reasons of all by key in Data under "attributes": 52 for another user's, 50, -3, 54 for
// one that is being changed, 17. It returns 702 for who is not in the room.
func (r Room) SetAttributes(ctx context.Context, attributes map[string]string, o AttributeOptions) error {
	in := map[string]any{"metaData": attributes, "autoDelete": "DELETE"}
	if o.Keep {
		in["autoDelete"] = "NO_DELETE"
	}
	return r.changeAttributes(ctx, "set room attributes", http.MethodPut, in, o.Force)
}

// RemoveAttributes removes attributes of the chatroom; with force also those of others. For the errors see
// [Room.SetAttributes].
func (r Room) RemoveAttributes(ctx context.Context, force bool, keys ...string) error {
	return r.changeAttributes(ctx, "remove room attributes", http.MethodDelete, map[string]any{"keys": keys}, force)
}

func (r Room) changeAttributes(ctx context.Context, op, method string, in map[string]any, force bool) error {
	path := []string{"metadata", "chatroom", r.id, "user", me}
	if force {
		path = append(path, "forced")
	}
	var answer struct {
		Data struct {
			Errors map[string]string `json:"errorKeys"`
		} `json:"data"`
	}
	if err := r.c.do(ctx, call{op: op, method: method, path: path, in: in, out: &answer}); err != nil {
		return err
	}
	reasons := answer.Data.Errors
	if len(reasons) == 0 {
		return nil
	}
	e := restclient.AttributeError(op, reasons[slices.Min(slices.Collect(maps.Keys(reasons)))])
	e.Data = map[string]any{"attributes": reasons}
	return e
}
