package chat

import (
	"context"
	"net/http"
)

// Report reports a message to the app's moderators: of which kind it is, as "spam", and why.
//
// It returns 700 (wrapping 28) without a session, 51 for a message that the server does not have, 505 when the app takes no
// reports, 52 when the server does not accept the token any more, and the codes of a failed request: 17, 500, -1, -2, -4.
func (c *Client) Report(ctx context.Context, messageID, kind, reason string) error {
	user, _, _ := c.credentials()
	return c.do(ctx, call{op: "report", method: http.MethodPost,
		path: []string{"user", me, "moderation", "report", "message", messageID},
		in:   map[string]string{"username": user, "reportType": kind, "reportReason": reason}})
}
