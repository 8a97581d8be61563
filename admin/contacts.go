package admin

import (
	"context"
	"iter"
	"net/http"
	"net/url"

	"github.com/stoa-chat/stoa/internal/restclient"
)

// Contact is a contact of a user.
type Contact struct {
	Name   string `json:"username"`
	Remark string `json:"remark"` // what the user calls the contact
}

// Contacts returns the contacts of a user, the newest first.
func (c *Client) Contacts(ctx context.Context, user string) iter.Seq2[Contact, error] {
	return restclient.Pages("", func(cursor string) ([]Contact, string, error) {
		query := url.Values{"limit": {"50"}, "needReturnRemark": {"true"}}
		if cursor != "" {
			query.Set("cursor", cursor)
		}
		page, err := data[struct {
			Contacts []Contact `json:"contacts"`
			Cursor   string    `json:"cursor"`
		}](ctx, c, call{op: "list contacts", method: http.MethodGet, path: []string{"user", user, "contacts"}, query: query})
		return page.Contacts, page.Cursor, err
	})
}

// AddContact makes two users contacts; nobody is asked. The error is 17 if one of them has too many.
func (c *Client) AddContact(ctx context.Context, user, other string) error {
	return c.do(ctx, call{op: "add contact", method: http.MethodPost, path: []string{"users", user, "contacts", "users", other}})
}

// RemoveContact ends a contact, on both sides.
func (c *Client) RemoveContact(ctx context.Context, user, other string) error {
	return c.do(ctx, call{op: "remove contact", method: http.MethodDelete, path: []string{"users", user, "contacts", "users", other}})
}

// ClearContacts ends all contacts of a user.
func (c *Client) ClearContacts(ctx context.Context, user string) error {
	return c.do(ctx, call{op: "clear contacts", method: http.MethodDelete, path: []string{"contacts", "users", user}})
}

// SetRemark sets what a user calls a contact, up to 100 characters (50). The error is 221 if they are no contacts.
func (c *Client) SetRemark(ctx context.Context, user, contact, remark string) error {
	return c.do(ctx, call{op: "set remark", method: http.MethodPut, path: []string{"user", user, "contacts", "users", contact}, in: map[string]string{"remark": remark}})
}

// Invite invites users to become contacts, as if the user had.
func (c *Client) Invite(ctx context.Context, user, reason string, others ...string) error {
	return c.do(ctx, call{op: "invite contact", method: http.MethodPost, path: []string{"users", user, "contacts", "apply"},
		in: map[string]any{"usernames": others, "reason": reason}})
}

// AnswerInvitation accepts or declines the invitation of a user, as if the invited user had. The error is 603 if there is
// none.
func (c *Client) AnswerInvitation(ctx context.Context, user, inviter string, accept bool) error {
	answer := "decline"
	if accept {
		answer = "accept"
	}
	return c.do(ctx, call{op: answer + " invitation", method: http.MethodPost, path: []string{"users", user, "contacts", answer, "users", inviter}})
}

// Blocked returns the users whom a user blocks.
func (c *Client) Blocked(ctx context.Context, user string) ([]string, error) {
	return data[[]string](ctx, c, call{op: "list blocked", method: http.MethodGet, path: []string{"users", user, "blocks", "users"}})
}

// Block has a user block up to 50 others: they can send the user nothing.
func (c *Client) Block(ctx context.Context, user string, others ...string) error {
	return c.do(ctx, call{op: "block", method: http.MethodPost, path: []string{"users", user, "blocks", "users"}, in: names(others)})
}

// Unblock has a user block another no longer.
func (c *Client) Unblock(ctx context.Context, user, other string) error {
	return c.do(ctx, call{op: "unblock", method: http.MethodDelete, path: []string{"users", user, "blocks", "users", other}})
}

// Imported tells what became of an import of contacts, by name.
type Imported struct {
	Done    []string `json:"success"`
	Unknown []string `json:"NotExistFailed"` // there are no such users
	Full    []string `json:"maxLimitFailed"` // a list of contacts is full
	Failed  []string `json:"UnKnowFailed"`
}

// ImportContacts makes a user and up to 10 others contacts, as many as it can; nobody is asked, and nobody told.
func (c *Client) ImportContacts(ctx context.Context, user string, others ...string) (Imported, error) {
	return data[Imported](ctx, c, call{op: "import contacts", method: http.MethodPost, path: []string{"users", user, "contacts", "import"}, in: names(others)})
}

// AreContacts tells which of up to 100 others are contacts of a user.
func (c *Client) AreContacts(ctx context.Context, user string, others ...string) (map[string]bool, error) {
	return c.relations(ctx, "contacts", "friend", user, others)
}

// AreBlocked tells which of up to 100 others a user blocks.
func (c *Client) AreBlocked(ctx context.Context, user string, others ...string) (map[string]bool, error) {
	return c.relations(ctx, "blocks", "block", user, others)
}

func (c *Client) relations(ctx context.Context, kind, yes, user string, others []string) (map[string]bool, error) {
	rows, err := entities[struct {
		User     string `json:"username"`
		Relation string `json:"relation"`
	}](ctx, c, call{op: "check " + kind, method: http.MethodPost, path: []string{kind, "check"}, in: map[string]any{"username": user, "check_list": others}})
	relations := map[string]bool{}
	for _, row := range rows {
		relations[row.User] = row.Relation == yes
	}
	return relations, err
}
