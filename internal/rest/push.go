package rest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/stoa-chat/stoa/internal/push"
	"github.com/stoa-chat/stoa/internal/store"
)

const (
	pageOfTypes    = 10
	maxPageOfTypes = 50
)

func (a *API) pushRoutes() []Route {
	return []Route{
		{http.MethodPut, "/users/{user}/notification/user/{peer}", AppOrSelf, a.setPush},
		{http.MethodGet, "/users/{user}/notification/user/{peer}", AppOrSelf, a.getPush},
		{http.MethodPut, "/users/{user}/notification/chatgroup/{group}", AppOrSelf, a.setPush},
		{http.MethodGet, "/users/{user}/notification/chatgroup/{group}", AppOrSelf, a.getPush},
		{http.MethodGet, "/users/{user}/notification", AppOrSelf, a.getManyPush},
		{http.MethodGet, "/users/{user}/notification/mute/type", AppOrSelf, a.listPushTypes},
		{http.MethodPut, "/users/{user}/notification/language", AppOrSelf, a.setPushLanguage},
		{http.MethodGet, "/users/{user}/notification/language", AppOrSelf, a.getPushLanguage},
		{http.MethodPut, "/users/{user}/push/binding", AppOrSelf, a.bindPush},
		{http.MethodGet, "/users/{user}/push/binding", AppOrSelf, a.boundPush},
		{http.MethodPut, "/users/{user}/notification/template", AppOrSelf, a.choosePushTemplate},
	}
}

func (c *Call) conversation() push.Conversation {
	return push.Conversation{Peer: c.Value("peer"), Place: c.Value("group")}
}

func (a *API) setPush(ctx context.Context, c *Call) (Answer, error) {
	var in struct {
		Type  *string `json:"type"`
		For   *int64  `json:"ignoreDuration"`
		Quiet *string `json:"ignoreInterval"`
	}
	if err := c.Decode(&in); err != nil {
		return Answer{}, err
	}
	change := push.Change{Type: in.Type, Quiet: in.Quiet}
	if in.For != nil {
		// What is too long for a Duration is refused as too long.
		long := time.Duration(min(max(*in.For, -1), int64(time.Hour/time.Millisecond)*24*365)) * time.Millisecond
		change.For = &long
	}
	actor, err := a.actor(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	device := push.Device{ID: actor.Device, Resource: c.Query("resource")}
	setting, err := a.push.Set(ctx, c.App, actor.User, device, c.conversation(), change)
	return Answer{Data: setting}, err
}

func (a *API) getPush(ctx context.Context, c *Call) (Answer, error) {
	user, err := a.target(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	setting, err := a.push.Get(ctx, c.App, user, c.conversation())
	return Answer{Data: setting}, err
}

// listOf reads a list with commas; an empty text has nothing in it.
func listOf(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

func (a *API) getManyPush(ctx context.Context, c *Call) (Answer, error) {
	user, err := a.target(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	var about []push.Conversation
	for _, name := range listOf(c.Query("user")) {
		about = append(about, push.Conversation{Peer: name})
	}
	for _, id := range listOf(c.Query("group")) {
		about = append(about, push.Conversation{Place: id})
	}
	found, err := a.push.GetMany(ctx, c.App, user, about)
	if err != nil {
		return Answer{}, err
	}
	users, groups := map[string]push.Setting{}, map[string]push.Setting{}
	for _, n := range found {
		if n.Conversation.Place != "" {
			groups[n.Conversation.Place] = n.Setting
		} else {
			users[n.Conversation.Peer] = n.Setting
		}
	}
	return Answer{Data: map[string]any{"user": users, "group": groups}}, nil
}

func (a *API) listPushTypes(ctx context.Context, c *Call) (Answer, error) {
	user, err := a.target(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	limit, err := c.Limit(pageOfTypes, maxPageOfTypes)
	if err != nil {
		return Answer{}, err
	}
	above, err := c.Cursor()
	if err != nil {
		return Answer{}, err
	}
	found, next, err := a.push.ListTypes(ctx, c.App, user, above, limit)
	if err != nil {
		return Answer{}, err
	}
	type row struct {
		User  string `json:"user,omitempty"`
		Group string `json:"group,omitempty"`
		Value string `json:"value"`
	}
	rows := []row{}
	for _, n := range found {
		rows = append(rows, row{n.Conversation.Peer, n.Conversation.Place, n.Setting.Type})
	}
	answer := Answer{Data: rows}
	if next != 0 {
		answer.Cursor = nextCursor(next)
	}
	return answer, nil
}

type language struct {
	Language string `json:"language"`
}

func (a *API) setPushLanguage(ctx context.Context, c *Call) (Answer, error) {
	var in struct {
		Language *string `json:"translationLanguage"`
	}
	if err := c.Decode(&in); err != nil {
		return Answer{}, err
	}
	if in.Language == nil {
		return Answer{}, refuseBody
	}
	user, err := a.target(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	return Answer{Data: language{*in.Language}}, a.push.SetLanguage(ctx, c.App, user, *in.Language)
}

func (a *API) getPushLanguage(ctx context.Context, c *Call) (Answer, error) {
	user, err := a.target(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	u, err := a.push.User(ctx, c.App, user)
	return Answer{Data: language{u.Language}}, err
}

// binding is where notifications for a device go.
type binding struct {
	Device   string `json:"device_id"`
	Token    string `json:"device_token"`
	Notifier string `json:"notifier_name"`
}

func bindingsOf(tokens []store.PushToken) []binding {
	all := []binding{}
	for _, t := range tokens {
		all = append(all, binding{t.Device, t.Token, t.Notifier})
	}
	return all
}

func (a *API) bindPush(ctx context.Context, c *Call) (Answer, error) {
	var in binding
	if err := c.Decode(&in); err != nil {
		return Answer{}, err
	}
	user, err := a.target(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	if err := a.push.Bind(ctx, c.App, user, in.Device, in.Notifier, in.Token); err != nil {
		return Answer{}, err
	}
	return a.boundPush(ctx, c)
}

func (a *API) boundPush(ctx context.Context, c *Call) (Answer, error) {
	user, err := a.target(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	tokens, err := a.push.Bound(ctx, c.App, user)
	return Answer{Data: bindingsOf(tokens)}, err
}

// changesPush are the fields of PUT /users/{user} that are about notifications.
var changesPush = []string{
	"device_id", "device_token", "notifier_name", "notification_display_style",
	"notification_no_disturbing", "notification_no_disturbing_start", "notification_no_disturbing_end",
}

// changePush does what these fields say, as far as they are there.
func (a *API) changePush(ctx context.Context, c *Call, data []byte, user store.User) error {
	var in struct {
		Device   string          `json:"device_id"`
		Token    *string         `json:"device_token"`
		Notifier string          `json:"notifier_name"`
		Style    json.RawMessage `json:"notification_display_style"` // number or text
		Silent   *bool           `json:"notification_no_disturbing"`
		From     json.RawMessage `json:"notification_no_disturbing_start"` // an hour
		To       json.RawMessage `json:"notification_no_disturbing_end"`
	}
	if err := decode(data, &in); err != nil {
		return err
	}
	if in.Token != nil || in.Device != "" {
		if in.Token == nil {
			return refuseBody
		}
		if err := a.push.Bind(ctx, c.App, user, in.Device, in.Notifier, *in.Token); err != nil {
			return err
		}
	}
	if in.Style != nil {
		style, err := numberOf(in.Style)
		if err != nil || style < 0 || style > 1 {
			return illegal("notification_display_style is 0 or 1")
		}
		if err := a.push.SetDetailed(ctx, c.App, user, style == 1); err != nil {
			return err
		}
	}
	if in.Silent == nil {
		return nil
	}
	quiet := ""
	if *in.Silent {
		from, err := numberOf(in.From)
		if err != nil {
			return illegal("notification_no_disturbing_start is not an hour")
		}
		to, err := numberOf(in.To)
		if err != nil {
			return illegal("notification_no_disturbing_end is not an hour")
		}
		quiet = fmt.Sprintf("%d:0-%d:0", from, to)
	}
	_, err := a.push.Set(ctx, c.App, user, push.Device{Resource: c.Query("resource")}, push.Conversation{}, push.Change{Quiet: &quiet})
	return err
}

// numberOf reads a number, also one within a text.
func numberOf(value json.RawMessage) (int, error) {
	return strconv.Atoi(strings.Trim(string(value), `"`))
}
