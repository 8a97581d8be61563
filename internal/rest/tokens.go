package rest

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/stoa-chat/stoa/internal/account"
)

func (a *API) tokenRoutes() []Route {
	return []Route{
		{http.MethodPost, "/token", Anyone, a.createToken}, // each grant has its own proof
		{http.MethodGet, "/sdk/users/{user}/token/expires", AppOrSelf, a.tokenExpires},
		{http.MethodPost, "/token/users/{user}/invalid", AppToken, a.revokeTokens},
	}
}

// What is said of the end of a token that has none.
const (
	neverSeconds   = math.MaxInt32 // clients keep it in 32 bits
	neverTimestamp = 4102444800000 // the year 2100
)

// ttl is seconds, as a number or as a text.
type ttl account.TTL

var _ json.Unmarshaler = (*ttl)(nil)

// UnmarshalJSON implements json.Unmarshaler.
func (t *ttl) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	if !strings.ContainsAny(string(data[:1]), `"-0123456789`) {
		return refuseBody
	}
	seconds, err := strconv.ParseInt(strings.Trim(string(data), `"`), 10, 64)
	if err != nil {
		return illegal("ttl must be a whole number of seconds")
	}
	*t = ttl{Set: true, Seconds: seconds}
	return nil
}

// grant is the body of a token call.
type grant struct {
	Type         string `json:"grant_type"`
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
	Username     string `json:"username"`
	Password     string `json:"password"`
	Create       bool   `json:"autoCreateUser"`
	TTL          ttl    `json:"ttl"`
}

// createToken gives out a token for one of four proofs.
func (a *API) createToken(ctx context.Context, c *Call) (Answer, error) {
	var g grant
	if err := c.Decode(&g); err != nil {
		return Answer{}, err
	}
	switch g.Type {
	case "client_credentials":
		t, err := a.accounts.AppToken(c.App, g.ClientID, g.ClientSecret, account.TTL(g.TTL))
		if err != nil {
			return Answer{}, err
		}
		return issued(t, map[string]any{"application": c.App.UUID}), nil
	case "password":
		if g.Username == "" || g.Password == "" {
			say := badRequest("invalid_grant", "invalid username or password")
			return Answer{}, &say
		}
		t, err := a.passwordToken(ctx, c, g)
		if err == nil {
			err = a.rehearsed(ctx, c, t.User.ID)
		}
		return userToken(t, err)
	case "inherit":
		if err := a.authorise(ctx, c, AppToken); err != nil {
			return Answer{}, err
		}
		if g.Username == "" {
			return Answer{}, refuseNoName
		}
		t, err := a.accounts.InheritToken(ctx, c.App, g.Username, g.Create, account.TTL(g.TTL))
		return userToken(t, registration(c.App, g.Username, err))
	case "agora":
		return a.exchangeToken(ctx, c, account.TTL(g.TTL))
	}
	return Answer{}, illegal("grant_type [%s] is not supported", g.Type)
}

func issued(t account.Token, more map[string]any) Answer {
	more["access_token"], more["expires_in"] = t.Text, neverSeconds
	if t.Life > 0 {
		more["expires_in"] = int64(t.Life / time.Second)
	}
	return Answer{Bare: more}
}

func userToken(t account.Token, err error) (Answer, error) {
	if errors.Is(err, account.ErrNoUser) {
		return Answer{}, &refusal{status: http.StatusNotFound, slug: "invalid_grant", description: "user not found", err: err}
	} else if err != nil {
		return Answer{}, err
	}
	return issued(t, map[string]any{"user": entityOf(t.User)}), nil
}

// exchangeToken gives an issued token for a signed one. It is also how web clients up to 1.2 renew theirs.
func (a *API) exchangeToken(ctx context.Context, c *Call, life account.TTL) (Answer, error) {
	text := bearer(c.http)
	if text == "" {
		return Answer{}, account.ErrNoToken
	}
	t, err := a.accounts.Exchange(ctx, c.App, text, life)
	if err != nil {
		return Answer{}, callerGone(err)
	}
	answer := map[string]any{"access_token": t.Text, "expire_timestamp": timestampOf(t.Expires)}
	if t.User.ID != 0 {
		answer["user"] = entityOf(t.User)
		a.accounts.Extend(account.Principal{User: t.User, Expires: t.Expires})
	}
	return Answer{Bare: answer}, nil
}

// tokenExpires says when the caller's token ends. That a client asks is the only sign that it goes on with this token.
func (a *API) tokenExpires(_ context.Context, c *Call) (Answer, error) {
	if !c.Who.App {
		a.accounts.Extend(c.Who)
	}
	return Answer{Bare: map[string]any{"expire_timestamp": timestampOf(c.Who.Expires)}}, nil
}

// revokeTokens makes all tokens that the server has given a user so far invalid.
func (a *API) revokeTokens(ctx context.Context, c *Call) (Answer, error) {
	if err := a.accounts.Revoke(ctx, c.App, c.User()); err != nil {
		return Answer{}, err
	}
	return done(), nil
}

func timestampOf(end time.Time) int64 {
	if end.IsZero() {
		return neverTimestamp
	}
	return end.UnixMilli()
}
