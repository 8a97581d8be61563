package chat

import (
	"context"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/restclient"
)

// Credential is what a user logs in with: [Password], [Token] or a [TokenProvider].
type Credential interface {
	// obtain returns a token that is not empty.
	obtain(ctx context.Context, c *Client, user string) (string, *Error)
}

type password string

type token string

// Password logs in with the user's password, which is exchanged for a token over REST and then forgotten. When the
// token ends, the session does.
func Password(p string) Credential { return password(p) }

// Token logs in with a token of any kind that the server accepts. Give the client a new one with
// [Client.RenewToken] before it ends.
func Token(t string) Credential { return token(t) }

// TokenProvider obtains a token from the application, for the login and again when a token is about to end or was
// refused on a reconnect. It runs on a goroutine of its own and should return when the context ends. Its error becomes
// the cause of a 12 (TokenFetchFailed).
type TokenProvider func(ctx context.Context) (string, error)

func (p password) obtain(ctx context.Context, c *Client, user string) (string, *Error) {
	if p == "" {
		return "", fail(errcode.LoginFailed, "login", "the password is empty", nil)
	}
	return c.passwordToken(ctx, user, string(p))
}

func (t token) obtain(context.Context, *Client, string) (string, *Error) {
	if t == "" {
		return "", fail(errcode.InvalidToken, "login", "the token is empty", nil)
	}
	return string(t), nil
}

func (p TokenProvider) obtain(ctx context.Context, _ *Client, _ string) (string, *Error) {
	const op = "obtain token"
	if p == nil {
		return "", fail(errcode.LoginFailed, op, "the token provider is nil", nil)
	}
	type result struct {
		token string
		err   error
	}
	// Not waited for when the context ends: the provider may itself be in a call that closes the client.
	done := make(chan result, 1)
	go func() {
		var r result
		defer func() {
			if v := recover(); v != nil {
				r.err = panicError("the token provider", v)
			}
			done <- r
		}()
		r.token, r.err = p(ctx)
	}()
	select {
	case r := <-done:
		switch {
		case r.err != nil && ctx.Err() != nil:
			return "", restclient.ContextError(ctx, op)
		case r.err != nil:
			return "", fail(errcode.TokenFetchFailed, op, "the token provider returned an error", r.err)
		case r.token == "":
			return "", fail(errcode.TokenFetchFailed, op, "the token provider returned an empty token", nil)
		}
		return r.token, nil
	case <-ctx.Done():
		return "", restclient.ContextError(ctx, op)
	}
}
