package muc

import (
	"context"
	"errors"
	"slices"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

// SetMemberAttributes changes attributes of a member and tells all members; a key with an empty value is removed. It returns
// all attributes of the member. The errors are those of the policy, and code 505 (ErrAttributesOff), 609 (ErrAttribute: a
// key or a value is illegal), 50 (ErrAttributeSize), 204 and 602 (ErrNotMember).
func (s *Service) SetMemberAttributes(ctx context.Context, actor Actor, id, name string, set map[string]string) (map[string]string, error) {
	if !s.settings(actor.App).GroupMemberAttributes {
		return nil, attributesOff()
	}
	op := SetAttributes
	if !actor.IsBackend() && account.Fold(name) == actor.User.Name {
		op = SetOwnAttributes
	}
	sc, err := s.permit(ctx, actor, store.MucGroup, id, op)
	if err != nil {
		return nil, err
	}
	if err := checkAttributes(set); err != nil {
		return nil, err
	}
	user, err := s.accounts.User(ctx, actor.App, name)
	if err != nil {
		return nil, err
	}
	return s.setMemberAttributes(ctx, sc, user, set)
}

// checkAttributes refuses illegal keys and values.
func checkAttributes(set map[string]string) error {
	for key, value := range set {
		if key == "" || len(key) > maxMemberKey || !store.IsText(key) || !store.IsText(value) {
			return refuse(errcode.GroupMemberAttributesFailed, ErrAttribute, "a key has 1 to %d bytes of text", maxMemberKey)
		}
		if len(value) > maxMemberValue {
			return refuse(errcode.MaxLimit, ErrAttributeSize, "exceeds chatgroup user metadata single value limit: %d bytes", maxMemberValue)
		}
	}
	return nil
}

func (s *Service) setMemberAttributes(ctx context.Context, sc scene, user store.User, set map[string]string) (map[string]string, error) {
	ctx, cancel := outlast(ctx)
	defer cancel()
	all, err := s.store.SetMemberAttributes(ctx, sc.muc.ID, user.ID, set, maxMemberBytes)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, notMember(store.MucGroup, user.Name)
	case errors.Is(err, store.ErrFull):
		return nil, refuse(errcode.MaxLimit, ErrAttributeSize, "exceeds chatgroup user metadata single value limit: %d bytes together", maxMemberBytes)
	case err != nil || len(set) == 0:
		return all, err
	}
	return all, s.toAll(ctx, sc.Actor, sc.muc, event{operation: msync.MUCBody_GROUP_MEMBER_METADATA_UPDATE,
		detail: map[string]any{"username": user.Name, "properties": set}})
}

// Attributed is a member with attributes.
type Attributed struct {
	User       string
	Attributes map[string]string // to set; afterwards all that the member has
	Err        error             // nil: done
}

// SetMembersAttributes is SetMemberAttributes for several members, each with attributes of their own, as a backend sets them.
// It changes nobody's if one is no member or a key or value is illegal; what single ones may fail with then is 50
// (ErrAttributeSize). The errors are those of SetMemberAttributes, -3 (ErrNoNames) and 50 (ErrTooManyNames: more than
// MaxAttributed).
func (s *Service) SetMembersAttributes(ctx context.Context, actor Actor, id string, changes []Attributed) ([]Attributed, error) {
	if !s.settings(actor.App).GroupMemberAttributes {
		return nil, attributesOff()
	}
	sc, err := s.permit(ctx, actor, store.MucGroup, id, SetAttributes)
	if err != nil {
		return nil, err
	}
	if len(changes) > MaxAttributed {
		return nil, refuse(errcode.MaxLimit, ErrTooManyNames, "exceeds chatgroup metadata batch put users limit")
	}
	var names []string
	for _, change := range changes {
		if err := checkAttributes(change.Attributes); err != nil {
			return nil, err
		}
		names = append(names, change.User)
	}
	people, err := s.persons(ctx, actor.App, names, MaxAttributed)
	if err != nil {
		return nil, err
	}
	members, err := s.roles(ctx, sc.muc, people)
	if err != nil {
		return nil, err
	}
	users := map[string]store.User{}
	for _, p := range people {
		if _, in := members[p.user.ID]; p.err != nil || !in {
			return nil, refuse(errcode.GroupNotJoined, ErrNotMember, "Some users are not in the group: %s", p.user.Name)
		}
		users[p.user.Name] = p.user
	}
	var results []Attributed
	for _, change := range changes { // a member may be named twice
		user := users[account.Fold(change.User)]
		all, err := s.setMemberAttributes(ctx, sc, user, change.Attributes)
		if _, refused := errcode.CodeOf(err); err != nil && !refused {
			return nil, err
		}
		results = append(results, Attributed{User: user.Name, Attributes: all, Err: err})
	}
	return results, nil
}

func attributesOff() error {
	return refuse(errcode.ServiceNotEnabled, ErrAttributesOff, "attributes are switched off for this app")
}

// MemberAttributes returns attributes of members, by user id; without keys all of them. Who is no member is left out. The
// errors are those of the policy, and code 505 (ErrAttributesOff), -3 (ErrNoNames) and 50 (ErrTooManyNames: more than
// MaxTargets).
func (s *Service) MemberAttributes(ctx context.Context, actor Actor, id string, names, keys []string) (map[string]map[string]string, error) {
	if !s.settings(actor.App).GroupMemberAttributes {
		return nil, attributesOff()
	}
	sc, err := s.permit(ctx, actor, store.MucGroup, id, ReadList)
	if err != nil {
		return nil, err
	}
	people, err := s.persons(ctx, actor.App, names, MaxTargets)
	if err != nil {
		return nil, err
	}
	rows, err := s.roles(ctx, sc.muc, people)
	if err != nil {
		return nil, err
	}
	found := map[string]map[string]string{}
	for _, row := range rows {
		attributes := map[string]string{}
		for key, value := range row.Attributes {
			if len(keys) == 0 || slices.Contains(keys, key) {
				attributes[key] = value
			}
		}
		found[row.User.Name] = attributes
	}
	return found, nil
}
