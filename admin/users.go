package admin

import (
	"context"
	"iter"
	"net/http"
	"strconv"
	"time"

	"github.com/stoa-chat/stoa/internal/restclient"
)

// User is a user of the app.
type User struct {
	Name     string
	UUID     string
	Nickname string // for notifications
	// Active: tokens and logins are accepted.
	Active            bool
	Created, Modified time.Time
}

type userJSON struct {
	Name     string            `json:"username"`
	UUID     string            `json:"uuid"`
	Nickname string            `json:"nickname"`
	Active   bool              `json:"activated"`
	Created  restclient.Millis `json:"created"`
	Modified restclient.Millis `json:"modified"`
}

func (u userJSON) user() User {
	return User{Name: u.Name, UUID: u.UUID, Nickname: u.Nickname, Active: u.Active, Created: u.Created.Time, Modified: u.Modified.Time}
}

// NewUser is a user to register.
type NewUser struct {
	Name string `json:"username"`
	// Password may be empty: such users log in with tokens that the backend makes.
	Password string `json:"password,omitempty"`
	Nickname string `json:"nickname,omitempty"`
}

// RegisterUser registers a user. The error is 17 for one that exists or a name that is not legal.
func (c *Client) RegisterUser(ctx context.Context, u NewUser) (User, error) {
	row, err := one[userJSON](ctx, c, call{op: "register user", method: http.MethodPost, path: []string{"users"}, in: u})
	return row.user(), err
}

// RegisterUsers registers up to 60 users, those that can be. Refused has the reasons for the others, by name.
func (c *Client) RegisterUsers(ctx context.Context, users ...NewUser) (registered []User, refused map[string]string, err error) {
	var answer struct {
		Entities []userJSON `json:"entities"`
		Data     []struct {
			Name   string `json:"username"`
			Reason string `json:"registerUserFailReason"`
		} `json:"data"`
	}
	err = c.do(ctx, call{op: "register users", method: http.MethodPost, path: []string{"users"}, in: users, out: &answer})
	for _, row := range answer.Entities {
		registered = append(registered, row.user())
	}
	refused = map[string]string{}
	for _, row := range answer.Data {
		refused[row.Name] = row.Reason
	}
	return registered, refused, err
}

// User returns a user.
func (c *Client) User(ctx context.Context, name string) (User, error) {
	row, err := one[userJSON](ctx, c, call{op: "get user", method: http.MethodGet, path: []string{"users", name}})
	return row.user(), err
}

// Users returns all users, those first who registered first.
func (c *Client) Users(ctx context.Context) iter.Seq2[User, error] {
	rows := pages[userJSON](ctx, c, call{op: "list users", method: http.MethodGet, path: []string{"users"}}, 100)
	return mapped(rows, userJSON.user)
}

// mapped yields what of makes of each row.
func mapped[A, B any](rows iter.Seq2[A, error], of func(A) B) iter.Seq2[B, error] {
	return func(yield func(B, error) bool) {
		for row, err := range rows {
			if !yield(of(row), err) {
				return
			}
		}
	}
}

// DeleteUser deletes a user with all that belongs to it; the sessions end with 207, and the groups and chatrooms that it
// owns are destroyed.
func (c *Client) DeleteUser(ctx context.Context, name string) error {
	return c.do(ctx, call{op: "delete user", method: http.MethodDelete, path: []string{"users", name}})
}

// DeleteOldestUsers deletes the n users (1 to 100) who registered first, and returns them.
func (c *Client) DeleteOldestUsers(ctx context.Context, n int) ([]User, error) {
	rows, err := entities[userJSON](ctx, c, call{op: "delete oldest users", method: http.MethodDelete, path: []string{"users"},
		query: map[string][]string{"limit": {strconv.Itoa(n)}}})
	users := make([]User, len(rows))
	for i, row := range rows {
		users[i] = row.user()
	}
	return users, err
}

// SetNickname sets the name that notifications show.
func (c *Client) SetNickname(ctx context.Context, user, nickname string) error {
	return c.do(ctx, call{op: "set nickname", method: http.MethodPut, path: []string{"users", user}, in: map[string]string{"nickname": nickname}})
}

// SetPassword sets a password of 1 to 64 bytes. All tokens of the user become invalid, and the sessions end with 216.
func (c *Client) SetPassword(ctx context.Context, user, password string) error {
	return c.do(ctx, call{op: "set password", method: http.MethodPut, path: []string{"users", user, "password"}, in: map[string]string{"newpassword": password}})
}

// Deactivate ends the sessions of a user, and refuses tokens and logins until the user is activated.
func (c *Client) Deactivate(ctx context.Context, user string) error {
	return c.do(ctx, call{op: "deactivate user", method: http.MethodPost, path: []string{"users", user, "deactivate"}})
}

// Activate accepts logins of a user again.
func (c *Client) Activate(ctx context.Context, user string) error {
	return c.do(ctx, call{op: "activate user", method: http.MethodPost, path: []string{"users", user, "activate"}})
}

// Disconnect ends all sessions of a user with 217.
func (c *Client) Disconnect(ctx context.Context, user string) error {
	return c.do(ctx, call{op: "disconnect user", method: http.MethodGet, path: []string{"users", user, "disconnect"}})
}

// DisconnectDevice ends the session of a device with 217; device is the Resource of a [Device].
func (c *Client) DisconnectDevice(ctx context.Context, user, device string) error {
	return c.do(ctx, call{op: "disconnect device", method: http.MethodDelete, path: []string{"users", user, "disconnect", device}})
}

// Device is a device with which a user is online.
type Device struct {
	Resource string `json:"res"` // as its login named it
	UUID     string `json:"device_uuid"`
	Name     string `json:"device_name"`
}

// Devices returns the devices with which a user is online.
func (c *Client) Devices(ctx context.Context, user string) ([]Device, error) {
	return data[[]Device](ctx, c, call{op: "list devices", method: http.MethodGet, path: []string{"users", user, "resources"}})
}

// Online tells which of up to 100 users are online. Users that do not exist are not.
func (c *Client) Online(ctx context.Context, users ...string) (map[string]bool, error) {
	rows, err := data[[]map[string]string](ctx, c, call{op: "get status", method: http.MethodPost, path: []string{"users", "batch", "status"}, in: names(users)})
	online := map[string]bool{}
	for _, row := range rows {
		for user, status := range row {
			online[user] = status == "online"
		}
	}
	return online, err
}

// Waiting tells how many messages no device of a user has been given yet, at most 10,000.
func (c *Client) Waiting(ctx context.Context, user string) (int, error) {
	counts, err := data[map[string]int](ctx, c, call{op: "count waiting", method: http.MethodGet, path: []string{"users", user, "offline_msg_count"}})
	for _, n := range counts {
		return n, err
	}
	return 0, err
}

// IsDelivered tells whether a device of a user has been given a message. The error is 17 if it was not sent to the user.
func (c *Client) IsDelivered(ctx context.Context, user, message string) (bool, error) {
	statuses, err := data[map[string]string](ctx, c, call{op: "is delivered", method: http.MethodGet, path: []string{"users", user, "offline_msg_status", message}})
	return statuses[message] == "delivered", err
}

// RevokeTokens makes all tokens invalid that the server has given a user, and ends the sessions with 217.
func (c *Client) RevokeTokens(ctx context.Context, user string) error {
	return c.do(ctx, call{op: "revoke tokens", method: http.MethodPost, path: []string{"token", "users", user, "invalid"}})
}

// UserToken returns a token for a user, and makes the user, without a password, if there is none. It lives as long as the
// app's settings say.
func (c *Client) UserToken(ctx context.Context, user string) (string, error) {
	return c.userToken(ctx, map[string]any{"grant_type": "inherit", "username": user, "autoCreateUser": true})
}

// UserTokenFor is UserToken for a user that must exist (204), with a life of its own, in whole seconds; 0: no end.
func (c *Client) UserTokenFor(ctx context.Context, user string, life time.Duration) (string, error) {
	return c.userToken(ctx, map[string]any{"grant_type": "inherit", "username": user, "ttl": int64(life.Seconds())})
}

func (c *Client) userToken(ctx context.Context, ask map[string]any) (string, error) {
	var answer struct {
		Token string `json:"access_token"`
	}
	err := c.do(ctx, call{op: "get user token", method: http.MethodPost, path: []string{"token"}, in: ask, out: &answer})
	return answer.Token, err
}

// SetAttributes sets attributes of a user and returns all; those that are not named stay, and an empty text removes one. The
// error is 50 for more than 2,048 bytes.
func (c *Client) SetAttributes(ctx context.Context, user string, attributes map[string]string) (map[string]string, error) {
	return data[map[string]string](ctx, c, call{op: "set attributes", method: http.MethodPut, path: []string{"metadata", "user", user}, in: attributes})
}

// Attributes returns the attributes of up to 100 users, by user: all, or those that keys name.
func (c *Client) Attributes(ctx context.Context, users []string, keys ...string) (map[string]map[string]string, error) {
	ask := map[string][]string{"targets": users}
	if len(keys) > 0 {
		ask["properties"] = keys
	}
	return data[map[string]map[string]string](ctx, c, call{op: "get attributes", method: http.MethodPost, path: []string{"metadata", "user", "get"}, in: ask})
}

// DeleteAttributes deletes all attributes of a user.
func (c *Client) DeleteAttributes(ctx context.Context, user string) error {
	return c.do(ctx, call{op: "delete attributes", method: http.MethodDelete, path: []string{"metadata", "user", user}})
}

// AttributeBytes returns how many bytes the attributes of all users have.
func (c *Client) AttributeBytes(ctx context.Context) (int64, error) {
	return data[int64](ctx, c, call{op: "get capacity", method: http.MethodGet, path: []string{"metadata", "user", "capacity"}})
}
