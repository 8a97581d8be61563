package message

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

// Limits of docs/protocol/errors.md §11.
const (
	maxReactionKinds = 20  // of a message
	maxReaction      = 128 // characters
	maxReacted       = 20  // messages in one call
)

// maxHolders is how many users an event of a reaction tells apart: to them it says that they have added it, to the others
// that they have not. Where it is more, only the one who acted is told so; the client's types allow for it.
const maxHolders = 200

// ReactedMessage is a message with the reactions to it, as a user sees them.
type ReactedMessage struct {
	ID        int64
	Reactions []store.Reaction // oldest kind first
}

// reactable finds a message that the user may react to. The errors are code 505, 51, 1103 (a message between others, or in
// a chatroom), and of groups 605 and 602.
func (s *Service) reactable(ctx context.Context, app *account.App, user store.User, id int64) (seen, error) {
	if !s.accounts.Current(app).Settings.Reactions {
		return seen{}, off("react", "reactions")
	}
	m, err := s.look(ctx, app, user, id)
	if errors.Is(err, errForeign) || err == nil && m.object.Payload.Type == string(Room) {
		return m, errcode.New(errcode.ReactionIllegal, "the message is of no conversation in which the user may react")
	}
	return m, err
}

// checkReaction refuses what no reaction can be.
func checkReaction(text string) error {
	switch n := utf8.RuneCountInString(text); {
	case n > maxReaction:
		return errcode.Newf(errcode.MaxLimit, "the reaction has %d characters, the limit is %d", n, maxReaction)
	case text == "" || !store.IsText(text):
		return errcode.New(errcode.InvalidParameter, "the reaction is no text")
	}
	return nil
}

func crowded(cause error) error {
	return &errcode.Error{Code: errcode.ReactionCreating, Op: "react", Message: "others are reacting to the same message", Err: cause}
}

// AddReaction adds a user's reaction to a message, and tells all who are in the conversation. It returns the reaction and
// the message. The errors are code -3, 50 (too long, or one kind too many), 505, 51, 1101, 1102, 1103, those of
// contact.MayWrite, and of groups 605 and 602.
func (s *Service) AddReaction(ctx context.Context, by Sender, message int64, text string) (r store.Reaction, _ msync.MessageObject, err error) {
	if err := checkReaction(text); err != nil {
		return r, msync.MessageObject{}, err
	}
	m, err := s.reactable(ctx, by.App, by.User, message)
	if err != nil {
		return r, m.object, err
	}
	if other, ok := m.other(by.User); ok {
		if err := s.contacts.MayWrite(ctx, by.App, by.User, other); err != nil {
			return r, m.object, err
		}
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	r, err = s.store.AddReaction(ctx, message, text, peerOf(by.User), s.clock.Now().UnixMilli(), maxReactionKinds)
	switch {
	case errors.Is(err, store.ErrExists):
		return r, m.object, errcode.Newf(errcode.ReactionAlreadyAdded, "%s has added this reaction already", by.User.Name)
	case errors.Is(err, store.ErrFull):
		return r, m.object, errcode.Newf(errcode.MaxLimit, "a message has at most %d kinds of reactions", maxReactionKinds)
	case errors.Is(err, store.ErrConflict):
		return r, m.object, crowded(err)
	case err != nil:
		return r, m.object, err
	}
	return r, m.object, s.tellReaction(ctx, by, m, r, "create")
}

// RemoveReaction takes a user's reaction back, and tells all who are in the conversation. The errors are code 505, 51,
// 1102, 1103 (the user has not added it), and of groups 605 and 602.
func (s *Service) RemoveReaction(ctx context.Context, by Sender, message int64, text string) error {
	m, err := s.reactable(ctx, by.App, by.User, message)
	if err != nil {
		return err
	}
	missing := errcode.Newf(errcode.ReactionIllegal, "%s has not added this reaction", by.User.Name)
	if checkReaction(text) != nil {
		return missing
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	r, err := s.store.RemoveReaction(ctx, message, text, by.User.ID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return missing
	case errors.Is(err, store.ErrConflict):
		return crowded(err)
	case err != nil:
		return err
	}
	return s.tellReaction(ctx, by, m, r, "delete")
}

// ListReactions returns the reactions to messages, in the order of the ids; those that the user cannot see are left out.
// If a group is named, the user must be in it. The errors are code 505, 50 (too many messages), 605 and 602.
func (s *Service) ListReactions(ctx context.Context, app *account.App, user store.User, group string, messages []int64) ([]ReactedMessage, error) {
	if len(messages) > maxReacted {
		return nil, errcode.Newf(errcode.MaxLimit, "there are %d messages, the limit is %d", len(messages), maxReacted)
	}
	if group != "" {
		if _, err := s.placeOfMember(ctx, app, user, Place{Group, group}); err != nil {
			return nil, err
		}
	}
	var visible []int64
	for _, id := range messages {
		_, err := s.reactable(ctx, app, user, id)
		if code, ok := errcode.CodeOf(err); ok && code != errcode.ServiceNotEnabled {
			continue
		}
		if err != nil {
			return nil, err
		}
		visible = append(visible, id)
	}
	reactions, err := s.store.ListReactions(ctx, visible, user.ID)
	if err != nil {
		return nil, err
	}
	var list []ReactedMessage
	for _, id := range visible {
		list = append(list, ReactedMessage{id, reactions[id]})
	}
	return list, nil
}

// ReactionUsers returns one kind of reaction to a message, and a page of up to limit users who have added it, oldest first,
// from the row above the given one on; 0: the oldest. A reaction that nobody has added has no users. The errors are code
// 505, 51, 1103, and of groups 605 and 602.
func (s *Service) ReactionUsers(ctx context.Context, app *account.App, user store.User, message int64, text string,
	above int64, limit int) (store.Reaction, []store.Reactor, error) {
	if _, err := s.reactable(ctx, app, user, message); err != nil {
		return store.Reaction{}, nil, err
	}
	none := store.Reaction{Text: text}
	if checkReaction(text) != nil {
		return none, nil, nil
	}
	r, err := s.store.ReactionOf(ctx, message, text, user.ID)
	if errors.Is(err, store.ErrNotFound) {
		return none, nil, nil
	} else if err != nil {
		return none, nil, err
	}
	users, err := s.store.ListReactors(ctx, message, r.ID, above, limit)
	return r, users, err
}

// tellReaction tells of a change, and of the state that came of it. Who acts at the same time may tell of an older state
// later than of a newer one: so each looks again afterwards, and the last who tells has told how it is.
func (s *Service) tellReaction(ctx context.Context, by Sender, m seen, r store.Reaction, operation string) error {
	for {
		if err := s.tellState(ctx, by, m, r, operation); err != nil {
			return err
		}
		latest, err := s.store.ReactionOf(ctx, m.ID, r.Text, by.User.ID)
		if errors.Is(err, store.ErrNotFound) {
			latest, err = store.Reaction{Text: r.Text}, nil
		}
		if err != nil || latest.Count == r.Count && slices.Equal(latest.Users, r.Users) {
			return err
		}
		r = latest
	}
}

// reactionState is a reaction in events and in messages.
type reactionState struct {
	Reaction string              `json:"reaction"`
	Count    int                 `json:"count"`
	Users    []string            `json:"userList"`
	Mine     *bool               `json:"isAddedBySelf,omitempty"`
	State    *bool               `json:"state,omitempty"` // what isAddedBySelf is called in messages
	Changes  []map[string]string `json:"op,omitempty"`
}

func stateOf(r store.Reaction) reactionState {
	state := reactionState{Reaction: r.Text, Count: r.Count, Users: []string{}}
	for _, user := range r.Users {
		state.Users = append(state.Users, user.Name)
	}
	return state
}

// tellState posts the events of one state: for those who have added the reaction, and for those who have not.
func (s *Service) tellState(ctx context.Context, by Sender, m seen, r store.Reaction, operation string) error {
	holders, err := s.store.ListReactors(ctx, m.ID, r.ID, 0, maxHolders+1)
	if err != nil {
		return err
	}
	var with []int64
	for _, h := range holders {
		with = append(with, h.Peer.ID)
	}
	yes, no := true, false
	having, others := &yes, &no
	if len(with) > maxHolders {
		with, having, others = []int64{by.User.ID}, &r.Mine, nil
	}
	tell := func(to store.Audience, mine *bool) error {
		state := stateOf(r)
		state.Mine, state.Changes = mine, []map[string]string{{"operator": by.User.Name, "reactionType": operation}}
		meta, err := msync.Notify(by.User.Name, m.object.To, notice{"reaction", []map[string]any{{
			"from": m.object.From, "to": m.object.To, "channel_type": m.object.Payload.Type, "messageId": m.object.ID,
			"ts": s.clock.Now().UnixMilli(), "reactions": []reactionState{state},
		}}})
		if err != nil {
			return err
		}
		_, err = s.delivery.AppendWait(ctx, delivery.Post{Key: m.Key, Sender: by.User.ID, Ref: m.Seq, Audience: to, Meta: meta})
		return err
	}
	if of, some := narrow(m.Audience, with); some {
		if err := tell(of, having); err != nil {
			return err
		}
	}
	if of, some := without(m.Audience, with); some {
		return tell(of, others)
	}
	return nil
}

// narrow returns those of the users who belong to an audience; some is false if there are none.
func narrow(a store.Audience, users []int64) (of store.Audience, some bool) {
	for _, user := range users {
		if a.Has(user) {
			of.Users = append(of.Users, user)
		}
	}
	return of, len(of.Users) > 0
}

// without takes users out of an audience; some is false if it is known that nobody is left.
func without(a store.Audience, users []int64) (of store.Audience, some bool) {
	if a.All() || a.Except {
		return store.Audience{Users: append(slices.Clone(a.Users), users...), Except: true}, true
	}
	of.Users = slices.DeleteFunc(slices.Clone(a.Users), func(user int64) bool { return slices.Contains(users, user) })
	return of, len(of.Users) > 0
}

func peerOf(u store.User) store.Peer { return store.Peer{ID: u.ID, Name: u.Name} }

// showReactions puts the reactions to messages into their metas, as the user sees them.
func (s *Service) showReactions(ctx context.Context, app *account.App, user store.User, entries []store.Entry) error {
	if len(entries) == 0 || !s.accounts.Current(app).Settings.Reactions {
		return nil
	}
	ids := make([]int64, len(entries))
	for i, e := range entries {
		ids[i] = e.ID
	}
	reactions, err := s.store.ListReactions(ctx, ids, user.ID)
	if err != nil {
		return err
	}
	for i, e := range entries {
		if of := reactions[e.ID]; len(of) > 0 {
			if entries[i].Meta, err = withReactions(e.Meta, of); err != nil {
				return fmt.Errorf("show reactions to message %d: %w", e.ID, err)
			}
		}
	}
	return nil
}

// withReactions adds reactions to the JSON in the body of a stored Meta.
func withReactions(stored []byte, reactions []store.Reaction) ([]byte, error) {
	states := make([]reactionState, len(reactions))
	for i, r := range reactions {
		states[i] = stateOf(r)
		states[i].State = &r.Mine
	}
	return withMeta(stored, "reaction", states)
}
