package rest

import (
	"context"
	"fmt"
	"hash/fnv"
	"net/http"
	"strconv"

	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/contact"
	"github.com/stoa-chat/stoa/internal/store"
)

const (
	pageOfContacts    = 10
	maxPageOfContacts = 50
	maxPageOfBlocked  = 500 // without a page size: all that there can be
	maxImported       = 10  // contacts in one call
	maxChecked        = 100 // names in one call
)

// Clients and backends use different paths for some of these.
func (a *API) contactRoutes() []Route {
	return []Route{
		{http.MethodGet, "/users/{user}/contacts/users", AppOrSelf, a.allContacts},
		{http.MethodGet, "/users/{user}/contacts", AppOrSelf, a.listContacts},
		{http.MethodGet, "/user/{user}/contacts", AppOrSelf, a.listContacts},
		{http.MethodPost, "/users/{user}/contacts/apply", AppOrSelf, a.inviteContact},
		{http.MethodPost, "/users/{user}/contacts/accept/users/{friend}", AppOrSelf, a.acceptContact},
		{http.MethodPost, "/users/{user}/contacts/decline/users/{friend}", AppOrSelf, a.declineContact},
		{http.MethodPost, "/users/{user}/contacts/users/{friend}", AppToken, a.addContact},
		{http.MethodDelete, "/users/{user}/contacts/users/{friend}", AppOrSelf, a.removeContact},
		{http.MethodPut, "/users/{user}/contacts/users/{friend}", AppOrSelf, a.setRemark},
		{http.MethodPut, "/user/{user}/contacts/users/{friend}", AppOrSelf, a.setRemark},
		{http.MethodDelete, "/contacts/users/{user}", AppToken, a.clearContacts},
		{http.MethodPost, "/users/{user}/contacts/import", AppToken, a.importContacts},
		{http.MethodPost, "/contacts/check", AppToken, a.checkRelations("friend", "not_friend", func(r store.Relation) bool { return r.Contact })},
		{http.MethodPost, "/blocks/check", AppToken, a.checkRelations("block", "not_block", func(r store.Relation) bool { return r.Blocked })},
		{http.MethodGet, "/users/{user}/rosters", AppOrSelf, a.roster},
		{http.MethodGet, "/users/{user}/blocks/users", AppOrSelf, a.listBlocked},
		{http.MethodPost, "/users/{user}/blocks/users", AppOrSelf, a.block},
		{http.MethodDelete, "/users/{user}/blocks/users/{friend}", AppOrSelf, a.unblockOne},
		{http.MethodPost, "/sdk/user/{user}/blocks", AppOrSelf, a.block},
		{http.MethodDelete, "/sdk/user/{user}/blocks", AppOrSelf, a.unblock},
	}
}

// actor is the user whom the path names, on the device that the query names.
func (a *API) actor(ctx context.Context, c *Call) (contact.Actor, error) {
	user, err := a.target(ctx, c)
	if err != nil {
		return contact.Actor{}, err
	}
	return a.contacts.Actor(ctx, c.App, user, c.Query("resource"))
}

// done is the answer to a change of which there is nothing to say.
func done() Answer { return Answer{Data: map[string]string{"result": "ok"}} }

// aboutOther shows the other user to a backend. Users may not read the data of others.
func aboutOther(c *Call, other store.User) Answer {
	if c.Who.App {
		return oneUser(other)
	}
	return done()
}

// contactRow is a contact in answers.
type contactRow struct {
	Username string  `json:"username"`
	Remark   *string `json:"remark"` // null: there is none
}

func rowsOf(contacts []store.Contact, remarks bool) []contactRow {
	rows := []contactRow{}
	for _, c := range contacts {
		row := contactRow{Username: c.Peer.Name}
		if remarks && c.Remark != "" {
			row.Remark = &c.Remark
		}
		rows = append(rows, row)
	}
	return rows
}

func wantsRemarks(c *Call) bool { return c.Query("needReturnRemark") == "true" }

// allContacts lists names, and rows where remarks are asked for.
func (a *API) allContacts(ctx context.Context, c *Call) (Answer, error) {
	user, err := a.target(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	contacts, err := a.contacts.All(ctx, user)
	if err != nil {
		return Answer{}, err
	}
	names, count := []string{}, len(contacts)
	for _, c := range contacts {
		names = append(names, c.Peer.Name)
	}
	answer := Answer{Data: names, Count: &count}
	if wantsRemarks(c) {
		answer.Entities = rowsOf(contacts, true)
	}
	return answer, nil
}

func (a *API) listContacts(ctx context.Context, c *Call) (Answer, error) {
	user, err := a.target(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	limit, err := c.Limit(pageOfContacts, maxPageOfContacts)
	if err != nil {
		return Answer{}, err
	}
	below, err := c.Cursor()
	if err != nil {
		return Answer{}, err
	}
	contacts, err := a.contacts.List(ctx, user, below, limit+1)
	if err != nil {
		return Answer{}, err
	}
	contacts, cursor := pageOf(contacts, limit, func(i int) int64 { return contacts[i].Row })
	count := len(contacts)
	return Answer{Data: map[string]any{"contacts": rowsOf(contacts, wantsRemarks(c)), "cursor": cursor}, Count: &count}, nil
}

func (a *API) inviteContact(ctx context.Context, c *Call) (Answer, error) {
	var in struct {
		Usernames []string `json:"usernames"`
		Reason    string   `json:"reason"`
	}
	if err := c.Decode(&in); err != nil {
		return Answer{}, err
	}
	actor, err := a.actor(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	return done(), a.contacts.Invite(ctx, actor, in.Usernames, in.Reason)
}

func (a *API) acceptContact(ctx context.Context, c *Call) (Answer, error) {
	actor, err := a.actor(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	return done(), a.contacts.Accept(ctx, actor, c.Value("friend"))
}

func (a *API) declineContact(ctx context.Context, c *Call) (Answer, error) {
	actor, err := a.actor(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	return done(), a.contacts.Decline(ctx, actor, c.Value("friend"))
}

func (a *API) addContact(ctx context.Context, c *Call) (Answer, error) {
	actor, err := a.actor(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	friend, err := a.contacts.Add(ctx, actor, c.Value("friend"))
	return oneUser(friend), err
}

func (a *API) removeContact(ctx context.Context, c *Call) (Answer, error) {
	actor, err := a.actor(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	friend, err := a.contacts.Remove(ctx, actor, c.Value("friend"))
	return aboutOther(c, friend), err
}

func (a *API) setRemark(ctx context.Context, c *Call) (Answer, error) {
	var in struct {
		Remark *string `json:"remark"`
	}
	if err := c.Decode(&in); err != nil {
		return Answer{}, err
	}
	if in.Remark == nil {
		return Answer{}, refuseBody
	}
	actor, err := a.actor(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	return done(), a.contacts.SetRemark(ctx, actor, c.Value("friend"), *in.Remark)
}

func (a *API) clearContacts(ctx context.Context, c *Call) (Answer, error) {
	actor, err := a.actor(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	return done(), a.contacts.Clear(ctx, actor)
}

func (a *API) listBlocked(ctx context.Context, c *Call) (Answer, error) {
	user, err := a.target(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	highest := maxPageOfContacts
	if c.Query("pageSize") == "" {
		highest = maxPageOfBlocked
	}
	limit, err := c.limit("pageSize", maxPageOfBlocked, highest)
	if err != nil {
		return Answer{}, err
	}
	below, err := c.Cursor()
	if err != nil {
		return Answer{}, err
	}
	blocked, err := a.contacts.ListBlocked(ctx, user, below, limit+1)
	if err != nil {
		return Answer{}, err
	}
	blocked, cursor := pageOf(blocked, limit, func(i int) int64 { return blocked[i].Row })
	names, count := []string{}, len(blocked)
	for _, b := range blocked {
		names = append(names, b.Peer.Name)
	}
	return Answer{Data: names, Count: &count, Cursor: cursor}, nil
}

func (a *API) block(ctx context.Context, c *Call) (Answer, error) {
	return a.bar(ctx, c, a.contacts.Block)
}

func (a *API) unblock(ctx context.Context, c *Call) (Answer, error) {
	return a.bar(ctx, c, a.contacts.Unblock)
}

// bar changes the block list by the names in the body.
func (a *API) bar(ctx context.Context, c *Call, change func(context.Context, contact.Actor, []string) ([]store.User, error)) (Answer, error) {
	var in struct {
		Usernames []string `json:"usernames"`
	}
	if err := c.Decode(&in); err != nil {
		return Answer{}, err
	}
	actor, err := a.actor(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	users, err := change(ctx, actor, in.Usernames)
	if err != nil {
		return Answer{}, err
	}
	names, count := []string{}, len(users)
	for _, user := range users {
		names = append(names, user.Name)
	}
	return Answer{Data: names, Count: &count}, nil
}

func (a *API) unblockOne(ctx context.Context, c *Call) (Answer, error) {
	actor, err := a.actor(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	users, err := a.contacts.Unblock(ctx, actor, []string{c.Value("friend")})
	if err != nil {
		return Answer{}, err
	}
	return aboutOther(c, users[0]), nil
}

// importContacts makes users contacts of one who has them elsewhere.
func (a *API) importContacts(ctx context.Context, c *Call) (Answer, error) {
	var in struct {
		Usernames []string `json:"usernames"`
	}
	if err := c.decodeNames(&in, &in.Usernames); err != nil {
		return Answer{}, err
	}
	if len(in.Usernames) > maxImported {
		return Answer{}, tooMany(maxImported)
	}
	actor, err := a.actor(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	result, err := a.contacts.Import(ctx, actor, in.Usernames, c.said("isSendNotice") == "true")
	return Answer{Data: map[string][]string{"success": orEmpty(result.Added), "NotExistFailed": orEmpty(result.Unknown),
		"maxLimitFailed": orEmpty(result.Full), "UnKnowFailed": orEmpty(result.Failed)}}, err
}

func orEmpty(names []string) []string { return append([]string{}, names...) }

// checkRelations says of users whether one has a relation to them.
func (a *API) checkRelations(yes, no string, has func(store.Relation) bool) Handler {
	return func(ctx context.Context, c *Call) (Answer, error) {
		var in struct {
			Username string   `json:"username"`
			Names    []string `json:"check_list"`
		}
		if err := c.decodeNames(&in, &in.Names); err != nil {
			return Answer{}, err
		}
		if len(in.Names) > maxChecked {
			return Answer{}, tooMany(maxChecked)
		}
		user, err := a.accounts.User(ctx, c.App, in.Username)
		if err != nil {
			return Answer{}, err
		}
		relations, err := a.contacts.Relations(ctx, c.App, user, in.Names)
		if err != nil {
			return Answer{}, err
		}
		rows := []map[string]string{}
		for _, name := range in.Names {
			relation := no
			if has(relations[account.Fold(name)]) {
				relation = yes
			}
			rows = append(rows, map[string]string{"username": name, "relation": relation})
		}
		return Answer{Entities: rows}, nil
	}
}

// roster lists all contacts, with a version that is another one whenever the list or a remark is.
func (a *API) roster(ctx context.Context, c *Call) (Answer, error) {
	user, err := a.target(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	contacts, err := a.contacts.All(ctx, user)
	if err != nil {
		return Answer{}, err
	}
	rows, count := rowsOf(contacts, true), len(contacts)
	hash := fnv.New64a()
	for _, contact := range contacts {
		fmt.Fprintf(hash, "%d %q\n", contact.Peer.ID, contact.Remark)
	}
	return Answer{Data: map[string]any{"version": strconv.FormatUint(hash.Sum64(), 36), "rosters": rows}, Count: &count}, nil
}
