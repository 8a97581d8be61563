package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"unicode/utf8"

	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/store"
)

const (
	maxRegistrations = 60 // users in one call
	maxUserName      = 64 // characters; only to say what is wrong with a name
	pageOfUsers      = 10
	maxPageOfUsers   = 100
)

func (a *API) userRoutes() []Route {
	return []Route{
		{http.MethodPost, "/users", AppOrOpen, a.createUsers},
		{http.MethodGet, "/users", AppToken, a.listUsers},
		{http.MethodDelete, "/users", AppToken, a.deleteUsers},
		{http.MethodGet, "/users/{user}", AppOrSelf, a.getUser},
		{http.MethodPut, "/users/{user}", AppOrSelf, a.changeUser},
		{http.MethodDelete, "/users/{user}", AppToken, a.deleteUser},
		{http.MethodPut, "/users/{user}/password", AppToken, a.setPassword},
		{http.MethodPost, "/users/{user}/password", AppToken, a.setPassword},
		{http.MethodPost, "/users/{user}/deactivate", AppToken, a.deactivateUser},
		{http.MethodPost, "/users/{user}/activate", AppToken, a.activateUser},
	}
}

// userEntity is a user in answers.
type userEntity struct {
	UUID      string `json:"uuid"`
	Type      string `json:"type"`
	Created   int64  `json:"created"`
	Modified  int64  `json:"modified"`
	Username  string `json:"username"`
	Activated bool   `json:"activated"`
	Nickname  string `json:"nickname,omitempty"`
}

func entityOf(u store.User) userEntity {
	return userEntity{u.UUID, "user", u.Created, u.Modified, u.Name, u.Active, u.Nickname}
}

func oneUser(u store.User) Answer { return Answer{Entities: []userEntity{entityOf(u)}} }

// target returns the user whom the path names.
func (a *API) target(ctx context.Context, c *Call) (store.User, error) {
	if !c.Who.App { // AppOrSelf has compared the names
		return c.Who.User, nil
	}
	return a.accounts.User(ctx, c.App, c.User())
}

var refuseNoName = illegal("Entity user requires a property named username")

// newUsers reads the body of a registration: one user, or an array of up to 60. single tells that the answer is about
// one user.
func newUsers(data []byte) (users []account.NewUser, single bool, err error) {
	rows := []json.RawMessage{data}
	if bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("[")) {
		if err := json.Unmarshal(data, &rows); err != nil || len(rows) == 0 {
			return nil, false, refuseBody
		}
	}
	if len(rows) > maxRegistrations {
		return nil, false, tooMany(maxRegistrations)
	}
	for _, row := range rows {
		var in struct {
			Username string  `json:"username"`
			Password *string `json:"password"`
			Nickname string  `json:"nickname"`
		}
		if err := decode(row, &in); err != nil {
			return nil, false, err
		}
		user := account.NewUser{Name: in.Username, Nickname: in.Nickname}
		switch {
		case in.Username == "":
			return nil, false, refuseNoName
		case in.Password != nil && *in.Password == "":
			return nil, false, illegal("password or pin must provided")
		case in.Password != nil:
			user.Password = *in.Password
		}
		users = append(users, user)
	}
	return users, len(users) == 1, nil
}

func tooMany(limit int) *refusal {
	say := badRequest("invalid_parameter", fmt.Sprintf("usernames size is more than max limit : %d", limit))
	return &say
}

// registration words what can go wrong when a user is made.
func registration(app *account.App, name string, err error) error {
	switch {
	case errors.Is(err, account.ErrUserExists):
		say := badRequest("duplicate_unique_property_exists", fmt.Sprintf("Application %s Entity user requires that property named username be unique, value of %s exists", app.UUID, account.Fold(name)))
		return say.because(err)
	case errors.Is(err, account.ErrUserName) && utf8.RuneCountInString(name) > maxUserName:
		return illegal("USERNAME_TOO_LONG").because(err)
	case errors.Is(err, account.ErrUserName):
		return illegal("username [%s] is not legal", name).because(err)
	}
	return err
}

// notRegistered is the row of a user who could not be made.
type notRegistered struct {
	Username string `json:"username"`
	Reason   string `json:"registerUserFailReason"`
}

func (a *API) createUsers(ctx context.Context, c *Call) (Answer, error) {
	data, err := c.Body()
	if err != nil {
		return Answer{}, err
	}
	users, single, err := newUsers(data)
	if err != nil {
		return Answer{}, err
	}
	if single {
		user, err := a.accounts.Register(ctx, c.App, users[0])
		if err != nil {
			return Answer{}, registration(c.App, users[0].Name, err)
		}
		return oneUser(user), nil
	}
	made, failed := []userEntity{}, []notRegistered{}
	for _, n := range users {
		user, err := a.accounts.Register(ctx, c.App, n)
		if err == nil {
			made = append(made, entityOf(user))
			continue
		}
		said, name := refusalOf(registration(c.App, n.Name, err)), account.Fold(n.Name)
		switch {
		case said.status != http.StatusBadRequest: // not the fault of the row
			return Answer{}, err
		case errors.Is(err, account.ErrUserExists):
			failed = append(failed, notRegistered{name, fmt.Sprintf("the %s already exists", name)})
		default:
			failed = append(failed, notRegistered{name, said.description})
		}
	}
	return Answer{Entities: made, Data: failed}, nil
}

// page reads a page of users, oldest first; the cursor is that of the next.
func (a *API) page(ctx context.Context, c *Call) (users []store.User, cursor string, err error) {
	limit, err := c.Limit(pageOfUsers, maxPageOfUsers)
	if err != nil {
		return nil, "", err
	}
	after, err := c.Cursor()
	if err != nil {
		return nil, "", err
	}
	if users, err = a.accounts.ListUsers(ctx, c.App, after, limit+1); err != nil {
		return nil, "", err
	}
	users, cursor = pageOf(users, limit, func(i int) int64 { return users[i].ID })
	return users, cursor, nil
}

func (a *API) listUsers(ctx context.Context, c *Call) (Answer, error) {
	users, cursor, err := a.page(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	entities := []userEntity{}
	for _, user := range users {
		entities = append(entities, entityOf(user))
	}
	count := len(entities)
	return Answer{Entities: entities, Cursor: cursor, Count: &count}, nil
}

// deleteUsers deletes the oldest users.
func (a *API) deleteUsers(ctx context.Context, c *Call) (Answer, error) {
	users, cursor, err := a.page(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	entities := []userEntity{}
	for _, user := range users {
		gone, err := a.accounts.Delete(ctx, c.App, user.Name)
		if errors.Is(err, account.ErrNoUser) { // somebody else was faster
			continue
		} else if err != nil {
			return Answer{}, err
		}
		entities = append(entities, entityOf(gone))
	}
	count := len(entities)
	return Answer{Entities: entities, Cursor: cursor, Count: &count}, nil
}

func (a *API) getUser(ctx context.Context, c *Call) (Answer, error) {
	user, err := a.target(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	answer, count := oneUser(user), 1
	answer.Count = &count
	return answer, nil
}

// changeUser sets the nickname and what the user wants of notifications, by the fields of the body. What it does not know
// is refused, not passed over.
func (a *API) changeUser(ctx context.Context, c *Call) (Answer, error) {
	data, err := c.Body()
	if err != nil {
		return Answer{}, err
	}
	object, err := objectOf(data)
	if err != nil {
		return Answer{}, err
	}
	if object["entities"] != nil {
		return a.ignoreGroups(ctx, c, data)
	}
	if err := onlyKeys(object, append([]string{"nickname"}, changesPush...)...); err != nil {
		return Answer{}, err
	}
	var in struct {
		Nickname *string `json:"nickname"`
	}
	if err := decode(data, &in); err != nil {
		return Answer{}, err
	}
	if len(object) == 0 || in.Nickname == nil && object["nickname"] != nil {
		return Answer{}, refuseBody
	}
	user, err := a.accounts.User(ctx, c.App, c.User())
	if err != nil {
		return Answer{}, err
	}
	delete(object, "nickname")
	if len(object) > 0 {
		if err := a.changePush(ctx, c, data, user); err != nil {
			return Answer{}, err
		}
	}
	if in.Nickname != nil {
		if user, err = a.accounts.SetNickname(ctx, c.App, user.Name, *in.Nickname); err != nil {
			return Answer{}, err
		}
	}
	if len(object) == 0 {
		return oneUser(user), nil
	}
	entity := struct {
		userEntity
		Push []binding `json:"pushInfo"`
	}{userEntity: entityOf(user)}
	tokens, err := a.push.Bound(ctx, c.App, user)
	entity.Push = bindingsOf(tokens)
	return Answer{Entities: []any{entity}}, err
}

func (a *API) deleteUser(ctx context.Context, c *Call) (Answer, error) {
	user, err := a.accounts.Delete(ctx, c.App, c.User())
	if err != nil {
		return Answer{}, err
	}
	return oneUser(user), nil
}

func (a *API) setPassword(ctx context.Context, c *Call) (Answer, error) {
	var in struct {
		Password string `json:"newpassword"`
	}
	if err := c.Decode(&in); err != nil {
		return Answer{}, err
	}
	if in.Password == "" {
		return Answer{}, illegal("newpassword is required")
	}
	err := a.accounts.SetPassword(ctx, c.App, c.User(), in.Password)
	if errors.Is(err, account.ErrNoUser) {
		say := badRequest("required_property_not_found", refuseNoName.description)
		return Answer{}, say.because(err)
	} else if err != nil {
		return Answer{}, err
	}
	return Answer{Action: "set user password"}, nil
}

func (a *API) deactivateUser(ctx context.Context, c *Call) (Answer, error) {
	return a.setActive(ctx, c, false, "Deactivate user")
}

func (a *API) activateUser(ctx context.Context, c *Call) (Answer, error) {
	return a.setActive(ctx, c, true, "activate user")
}

func (a *API) setActive(ctx context.Context, c *Call, active bool, action string) (Answer, error) {
	user, err := a.accounts.SetActive(ctx, c.App, c.User(), active)
	if err != nil {
		return Answer{}, err
	}
	answer := oneUser(user)
	answer.Action = action
	return answer, nil
}
