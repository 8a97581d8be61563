package chat

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/restclient"
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
		Entities []contactJSON `json:"entities"`
	}
	err := c.get(ctx, "contacts", &answer, url.Values{"needReturnRemark": {"true"}}, "users", me, "contacts", "users")
	if err != nil {
		return nil, err
	}
	return contactsOf(answer.Entities), nil
}

// EachContact is like [Client.Contacts], but reads the list page by page, for users who may have very many.
func (c *Client) EachContact(ctx context.Context) iter.Seq2[Contact, error] {
	return restclient.Pages("", func(cursor string) ([]Contact, string, error) {
		var answer struct {
			Data struct {
				Contacts []contactJSON `json:"contacts"`
				Cursor   string        `json:"cursor"`
			} `json:"data"`
		}
		query := url.Values{"needReturnRemark": {"true"}, "limit": {"50"}, "cursor": {cursor}}
		err := c.get(ctx, "contacts", &answer, query, "users", me, "contacts")
		return contactsOf(answer.Data.Contacts), answer.Data.Cursor, err
	})
}

// contactJSON is a contact in the server's answers.
type contactJSON struct {
	Username string `json:"username"`
	Remark   string `json:"remark"`
}

func contactsOf(list []contactJSON) []Contact {
	contacts := make([]Contact, len(list))
	for i, e := range list {
		contacts[i] = Contact{User: e.Username, Remark: e.Remark}
	}
	return contacts
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
	if user == "" {
		return fail(errcode.InvalidParameter, "add contact", "the user id is empty", nil)
	}
	return c.change(ctx, "add contact", http.MethodPost, in, nil, "users", me, "contacts", "apply")
}

// AcceptContact accepts a user's invitation: from then on each has the other as a contact.
//
// It returns 204 for an unknown user, 603 without an invitation, and 50 when one of them has 1,000 contacts.
func (c *Client) AcceptContact(ctx context.Context, user string) error {
	return c.change(ctx, "accept contact", http.MethodPost, nil, nil, "users", me, "contacts", "accept", "users", user)
}

// DeclineContact declines a user's invitation. It is no error if there is none. It returns 204 for an unknown user.
func (c *Client) DeclineContact(ctx context.Context, user string) error {
	return c.change(ctx, "decline contact", http.MethodPost, nil, nil, "users", me, "contacts", "decline", "users", user)
}

// RemoveContact removes a contact for both. It is no error if the user is none. It returns 204 for an unknown user.
func (c *Client) RemoveContact(ctx context.Context, user string) error {
	return c.change(ctx, "remove contact", http.MethodDelete, nil, nil, "users", me, "contacts", "users", user)
}

// SetContactRemark changes the own note on a contact.
//
// It returns 204 for an unknown user, 221 for one who is no contact, and 50 for more than 100 characters.
func (c *Client) SetContactRemark(ctx context.Context, user, remark string) error {
	return c.change(ctx, "set remark", http.MethodPut, map[string]string{"remark": remark}, nil, "users", me, "contacts", "users", user)
}

// BlockedUsers returns whom the user has blocked, newest first.
func (c *Client) BlockedUsers(ctx context.Context) ([]string, error) {
	var answer struct {
		Data []string `json:"data"`
	}
	err := c.get(ctx, "blocked users", &answer, nil, "users", me, "blocks", "users")
	return answer.Data, err
}

// BlockUsers blocks up to 50 users, all or none: their messages to this user are refused with 603, as are their
// invitations. They are not told.
//
// It returns 204 for an unknown user, and 50 for too many at once or a list of more than 500.
func (c *Client) BlockUsers(ctx context.Context, users ...string) error {
	return c.changeBlocks(ctx, "block users", http.MethodPost, users)
}

// UnblockUsers lifts blocks. It is no error if there are none. It returns 204 for an unknown user, and 50 for more than 50.
func (c *Client) UnblockUsers(ctx context.Context, users ...string) error {
	return c.changeBlocks(ctx, "unblock users", http.MethodDelete, users)
}

func (c *Client) changeBlocks(ctx context.Context, op, method string, users []string) error {
	if len(users) == 0 || slices.Contains(users, "") {
		return fail(errcode.InvalidParameter, op, "a user id is empty, or there is none", nil)
	}
	return c.change(ctx, op, method, map[string]any{"usernames": users}, nil, "sdk", "user", me, "blocks")
}

// deliverRoster hands out a change of contacts. Changes of the block list have no callback.
func (s *session) deliverRoster(meta *msync.Meta) error {
	body := new(msync.RosterBody)
	if err := proto.Unmarshal(meta.GetPayload(), body); err != nil {
		return err
	}
	e := &ContactEvent{From: body.GetFrom().GetName(), Reason: body.GetReason()}
	if e.User = e.From; e.From == s.user && len(body.GetTo()) > 0 {
		e.User = body.GetTo()[0].GetName()
	}
	d := &s.c.events
	switch body.GetOperation() {
	case msync.RosterBody_ADD:
		tell(d, "OnContactInvited", e, func(l *Listener) func(*ContactEvent) { return l.OnContactInvited })
	case msync.RosterBody_REMOTE_ACCEPT:
		tell(d, "OnContactAgreed", e, func(l *Listener) func(*ContactEvent) { return l.OnContactAgreed })
	case msync.RosterBody_DECLINE, msync.RosterBody_REMOTE_DECLINE:
		tell(d, "OnContactRefused", e, func(l *Listener) func(*ContactEvent) { return l.OnContactRefused })
	case msync.RosterBody_ACCEPT:
		tell(d, "OnContactAdded", e, func(l *Listener) func(*ContactEvent) { return l.OnContactAdded })
	case msync.RosterBody_REMOVE:
		tell(d, "OnContactDeleted", e, func(l *Listener) func(*ContactEvent) { return l.OnContactDeleted })
	}
	return nil
}
