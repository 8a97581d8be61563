package admin

import (
	"context"
	"net/http"
)

// UserToken returns a token for a user, and makes the user, without a password, if there is none.
func (c *Client) UserToken(ctx context.Context, user string) (string, error) {
	var answer struct {
		Token string `json:"access_token"`
	}
	ask := map[string]any{"grant_type": "inherit", "username": user, "autoCreateUser": true}
	err := c.call(ctx, http.MethodPost, "/token", ask, &answer)
	return answer.Token, err
}
