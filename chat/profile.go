package chat

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/restclient"
)

// The attributes of a user that all clients know.
const (
	ProfileNickname  = "nickname"
	ProfileAvatar    = "avatarurl"
	ProfileMail      = "mail"
	ProfilePhone     = "phone"
	ProfileGender    = "gender"
	ProfileSignature = "sign"
	ProfileBirth     = "birth"
	ProfileExt       = "ext"
)

var profileKeys = []string{
	ProfileNickname, ProfileAvatar, ProfileMail, ProfilePhone, ProfileGender, ProfileSignature, ProfileBirth, ProfileExt,
}

// UpdateProfile sets attributes of the user, up to 2 KB in all; others keep their values.
//
// It returns 700 (wrapping 28) without a session, 52 when the server does not accept the token any more, and the codes of
// a failed request: 17 (also for too much), 500, -1, -2, -4. So do the other methods here.
func (c *Client) UpdateProfile(ctx context.Context, attributes map[string]string) error {
	const op = "update profile"
	if len(attributes) == 0 {
		return fail(errcode.InvalidParameter, op, "there is no attribute", nil)
	}
	form := url.Values{}
	for key, value := range attributes {
		form.Set(key, value)
	}
	return c.do(ctx, call{op: op, method: http.MethodPut, path: []string{"metadata", "user", me}, in: form})
}

// Profiles returns attributes of users by user id; without keys the eight that all clients know.
func (c *Client) Profiles(ctx context.Context, users []string, keys ...string) (map[string]map[string]string, error) {
	const op = "profiles"
	if _, err := restclient.Join(op, users); err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		keys = slices.Clone(profileKeys)
	}
	var answer struct {
		Data map[string]map[string]string `json:"data"`
	}
	err := c.do(ctx, call{op: op, method: http.MethodPost, path: []string{"metadata", "user", "get"},
		in: map[string]any{"targets": users, "properties": keys}, out: &answer})
	return answer.Data, err
}

// Register makes a user, where the app lets everybody register. It needs no session. It returns 17 with the server's words
// for a user id that is taken or not legal, and where registering is closed.
func (c *Client) Register(ctx context.Context, user, password, nickname string) error {
	in := map[string]string{"username": user, "password": password}
	if nickname != "" {
		in["nickname"] = nickname
	}
	return asError(c.request(ctx, "register", http.MethodPost, []string{"users"}, "", in, nil))
}

// OtherDevices returns the names of the user's other devices that are online; a message to "user/device" in a device's
// name is one to the user's own devices.
func (c *Client) OtherDevices(ctx context.Context) ([]string, error) {
	var answer struct {
		Data []struct {
			Name string `json:"res"`
		} `json:"data"`
	}
	if err := c.get(ctx, "other devices", &answer, nil, "users", me, "resources"); err != nil {
		return nil, err
	}
	_, own, _ := c.credentials()
	var devices []string
	for _, row := range answer.Data {
		if row.Name != own {
			devices = append(devices, row.Name)
		}
	}
	return devices, nil
}

// RTCToken lets the user into a channel of the real-time service.
type RTCToken struct {
	AppID, Channel, Token string
	UID                   uint32 // the user's number there
	Expires               time.Time
}

// RTCToken asks for a token for a channel; with an empty name it is good for all.
func (c *Client) RTCToken(ctx context.Context, channel string) (RTCToken, error) {
	query := url.Values{"channelName": {cmp.Or(channel, "*")}}
	var answer struct {
		AppID   string             `json:"app_id"`
		Token   string             `json:"rtc_token"`
		Channel string             `json:"channel_name"`
		UID     restclient.Integer `json:"rtcUid"`
		Expires restclient.Integer `json:"expires_in"`
	}
	began := time.Now()
	if err := c.get(ctx, "RTC token", &answer, query, "users", me, "token", "rtc"); err != nil {
		return RTCToken{}, err
	}
	return RTCToken{AppID: answer.AppID, Channel: answer.Channel, Token: answer.Token, UID: uint32(answer.UID),
		Expires: began.Add(time.Duration(answer.Expires) * time.Second)}, nil
}

// RTCUsers returns the user ids to numbers in the real-time service; those that are nobody's are left out.
func (c *Client) RTCUsers(ctx context.Context, uids ...uint32) (map[uint32]string, error) {
	const op = "RTC users"
	if len(uids) == 0 {
		return nil, fail(errcode.InvalidParameter, op, "there is no number", nil)
	}
	var answer struct {
		Data map[string]string `json:"data"`
	}
	err := c.do(ctx, call{op: op, method: http.MethodPost, path: []string{"rtc_mapper", "batch", "get"},
		in: map[string]any{"data": uids}, out: &answer})
	if err != nil {
		return nil, err
	}
	users := map[uint32]string{}
	for text, user := range answer.Data {
		if uid, err := strconv.ParseUint(text, 10, 32); err == nil {
			users[uint32(uid)] = user
		}
	}
	return users, nil
}
