package chat

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/msync"
)

// Contact is a user in the list of contacts.
type Contact struct {
	User   string
	Remark string // the own note on the contact; nobody else sees it
}

// ContactEvent is a change of contacts.
type ContactEvent struct {
	// User is the other one of the two.
	User string
	// From is who asked, accepted, declined or removed; it is the user of this client when that happened on another
	// device. OnContactAdded has the new contact here.
	From   string
	Reason string // of an invitation
}

// Contacts returns all contacts of the user, newest first.
//
// It returns 700 (wrapping 28) without a session, 52 when the server does not accept the token any more, and the codes of
// a failed request: 17, 500, -1, -2, -4. So do all methods for contacts and block lists; those below name what they return
// besides.
func (c *Client) Contacts(ctx context.Context) ([]Contact, error) {
	var answer struct {
		Entities []struct {
			Username string `json:"username"`
			Remark   string `json:"remark"`
		} `json:"entities"`
	}
	err := c.asUser(ctx, userCall{op: "contacts", method: http.MethodGet, below: []string{"users"}, path: []string{"contacts", "users"},
		query: url.Values{"needReturnRemark": {"true"}}, out: &answer})
	if err != nil {
		return nil, err
	}
	contacts := make([]Contact, len(answer.Entities))
	for i, e := range answer.Entities {
		contacts[i] = Contact{User: e.Username, Remark: e.Remark}
	}
	return contacts, nil
}

// AddContact asks a user to become a contact, in words of up to 1,024 characters, which may be empty. The other is told by
// OnContactInvited; the answer comes as OnContactAgreed or OnContactRefused. Who is a contact already is not asked.
//
// It returns 204 for an unknown user, 603 when the other has blocked this user, and 50 when one of them has 1,000 contacts.
func (c *Client) AddContact(ctx context.Context, user, reason string) error {
	in := map[string]any{"usernames": []string{user}}
	if reason != "" {
		in["reason"] = reason
	}
	return c.change(ctx, []string{user}, userCall{op: "add contact", method: http.MethodPost, below: []string{"users"}, path: []string{"contacts", "apply"}, in: in})
}

// AcceptContact accepts a user's invitation: from then on each has the other as a contact.
//
// It returns 204 for an unknown user, 603 without an invitation, and 50 when one of them has 1,000 contacts.
func (c *Client) AcceptContact(ctx context.Context, user string) error {
	return c.change(ctx, []string{user}, userCall{op: "accept contact", method: http.MethodPost, below: []string{"users"}, path: []string{"contacts", "accept", "users", user}})
}

// DeclineContact declines a user's invitation. It is no error if there is none. It returns 204 for an unknown user.
func (c *Client) DeclineContact(ctx context.Context, user string) error {
	return c.change(ctx, []string{user}, userCall{op: "decline contact", method: http.MethodPost, below: []string{"users"}, path: []string{"contacts", "decline", "users", user}})
}

// RemoveContact removes a contact for both. It is no error if the user is none. It returns 204 for an unknown user.
func (c *Client) RemoveContact(ctx context.Context, user string) error {
	return c.change(ctx, []string{user}, userCall{op: "remove contact", method: http.MethodDelete, below: []string{"users"}, path: []string{"contacts", "users", user}})
}

// SetContactRemark changes the own note on a contact.
//
// It returns 204 for an unknown user, 221 for one who is no contact, and 50 for more than 100 characters.
func (c *Client) SetContactRemark(ctx context.Context, user, remark string) error {
	return c.change(ctx, []string{user}, userCall{op: "set remark", method: http.MethodPut, below: []string{"users"}, path: []string{"contacts", "users", user}, in: map[string]string{"remark": remark}})
}

// BlockedUsers returns whom the user has blocked, newest first.
func (c *Client) BlockedUsers(ctx context.Context) ([]string, error) {
	var answer struct {
		Data []string `json:"data"`
	}
	err := c.asUser(ctx, userCall{op: "blocked users", method: http.MethodGet, below: []string{"users"}, path: []string{"blocks", "users"}, out: &answer})
	return answer.Data, err
}

// BlockUsers blocks up to 50 users, all or none: their messages to this user are refused with 603, as are their
// invitations. They are not told.
//
// It returns 204 for an unknown user, and 50 for too many at once or a list of more than 500.
func (c *Client) BlockUsers(ctx context.Context, users ...string) error {
	return c.change(ctx, users, userCall{op: "block users", method: http.MethodPost, below: []string{"sdk", "user"}, path: []string{"blocks"}, in: map[string]any{"usernames": users}})
}

// UnblockUsers lifts blocks. It is no error if there are none. It returns 204 for an unknown user, and 50 for more than 50.
func (c *Client) UnblockUsers(ctx context.Context, users ...string) error {
	return c.change(ctx, users, userCall{op: "unblock users", method: http.MethodDelete, below: []string{"sdk", "user"}, path: []string{"blocks"}, in: map[string]any{"usernames": users}})
}

// userCall is a REST call on what belongs to the user: the path has the user's id after below.
type userCall struct {
	op, method  string
	below, path []string
	query       url.Values
	in, out     any
}

// change makes a call that concerns others. The server does not tell this device what it has done itself.
func (c *Client) change(ctx context.Context, others []string, call userCall) error {
	if len(others) == 0 {
		return fail(errcode.InvalidParameter, call.op, "there is no user id", nil)
	}
	for _, other := range others {
		if other == "" || other == "." || other == ".." { // no segment of a path
			return fail(errcode.InvalidParameter, call.op, "the user id is empty or made of dots", nil)
		}
	}
	c.mu.Lock()
	if c.session != nil {
		call.query = url.Values{"resource": {c.session.device}}
	}
	c.mu.Unlock()
	call.out = &struct{}{}
	return c.asUser(ctx, call)
}

// asUser makes a call with the session's token.
func (c *Client) asUser(ctx context.Context, call userCall) error {
	c.mu.Lock()
	s, user, token := c.session, "", ""
	if s != nil && s.phase != connecting {
		user, token = s.user, s.token
	}
	c.mu.Unlock()
	if token == "" {
		return fail(errcode.RestNoSession, call.op, "", errcode.InvalidToken)
	}
	u := c.path(slices.Concat(call.below, []string{user}, call.path)...)
	u.RawQuery = call.query.Encode()
	return asError(c.requestAt(ctx, call.op, call.method, u, token, call.in, call.out))
}

// deliverRoster hands out a change of contacts. Changes of the block list have no callback.
func (s *session) deliverRoster(meta *msync.Meta) {
	body := new(msync.RosterBody)
	if err := proto.Unmarshal(meta.GetPayload(), body); err != nil {
		s.c.events.reportError(s.badMessage("roster event", meta.GetId(), err))
		return
	}
	e := &ContactEvent{From: body.GetFrom().GetName(), Reason: body.GetReason()}
	if e.User = e.From; e.From == s.user && len(body.GetTo()) > 0 {
		e.User = body.GetTo()[0].GetName()
	}
	var name string
	var callback func(*Listener) func(*ContactEvent)
	switch body.GetOperation() {
	case msync.RosterBody_ADD:
		name, callback = "OnContactInvited", func(l *Listener) func(*ContactEvent) { return l.OnContactInvited }
	case msync.RosterBody_REMOTE_ACCEPT:
		name, callback = "OnContactAgreed", func(l *Listener) func(*ContactEvent) { return l.OnContactAgreed }
	case msync.RosterBody_DECLINE, msync.RosterBody_REMOTE_DECLINE:
		name, callback = "OnContactRefused", func(l *Listener) func(*ContactEvent) { return l.OnContactRefused }
	case msync.RosterBody_ACCEPT:
		name, callback = "OnContactAdded", func(l *Listener) func(*ContactEvent) { return l.OnContactAdded }
	case msync.RosterBody_REMOVE:
		name, callback = "OnContactDeleted", func(l *Listener) func(*ContactEvent) { return l.OnContactDeleted }
	default:
		return
	}
	s.c.events.each(name, func(l *Listener) {
		if f := callback(l); f != nil {
			f(e)
		}
	})
}
