package muc

import (
	"context"
	"errors"
	"slices"
	"unicode/utf8"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

// Options say what Create makes. Fields of rooms are Owner, ID, Title, Description, Custom, MaxUsers and Members.
type Options struct {
	Owner string // user id; empty: the actor
	ID    string // an id of the app's own; empty: one is made. Only backends may choose.

	Title, Description, Avatar, Custom string

	Public        bool
	Approval      bool  // joining needs consent
	AllowInvites  bool  // members may invite; private groups only
	InviteConfirm *bool // who is invited must consent; nil: as the app's settings say
	MaxUsers      int   // 0: the default, 200 of a group and 1,000 of a room, or what the app allows if that is less
	Members       []string
}

// The sizes of groups and rooms that name none.
const (
	defaultGroupSize = 200
	defaultRoomSize  = 1000
)

// Info is a group or room, and how the actor stands there.
type Info struct {
	store.Muc
	Standing store.Standing // zero for a backend
}

// checkTexts refuses texts that are too long. Those that are nil are not looked at.
func checkTexts(title, description, avatar, custom, announcement *string) error {
	for _, text := range []struct {
		name  string
		value *string
		limit int
	}{{"name", title, MaxTitle}, {"description", description, MaxDescription}, {"avatar", avatar, MaxAvatar},
		{"extension", custom, MaxCustom}, {"announcement", announcement, MaxAnnouncement}} {
		if text.value == nil {
			continue
		}
		if !store.IsText(*text.value) || utf8.RuneCountInString(*text.value) > text.limit || text.value == custom && len(*custom) > MaxCustom {
			return refuse(errcode.RequestFailed, ErrText, "the %s is longer than %d characters", text.name, text.limit)
		}
	}
	return nil
}

// sizeLimit is how many members the app allows.
func sizeLimit(settings account.Settings, kind store.MucKind) int {
	if kind == store.MucRoom {
		return settings.RoomMaxMembers
	}
	return settings.GroupMaxMembers
}

func (s *Service) checkSize(app *account.App, kind store.MucKind, size int) error {
	if size < 1 {
		return refuse(errcode.RequestFailed, ErrOptions, "maxusers must be 1 or more")
	}
	if limit := sizeLimit(s.settings(app), kind); size > limit {
		return refuse(errcode.GroupMembersLimit, ErrMaxUsers, "members size is greater than max user size ! the limit is %d", limit)
	}
	return nil
}

// Create makes a group or room with its first members. A user makes groups for oneself; rooms only as a super admin. With
// Options.InviteConfirm the members are invited, else they are in at once; backends always add them. The errors are code
// 17 (ErrText, ErrOptions, ErrIDTaken), 204, 603 (ErrNotSuperAdmin), 606 and 704 (ErrFull: more members than MaxUsers), 607
// (ErrMaxUsers) and 50 (ErrTooManyInApp, ErrTooManyJoined: the owner has).
func (s *Service) Create(ctx context.Context, actor Actor, kind store.MucKind, o Options) (store.Muc, error) {
	settings := s.settings(actor.App)
	if err := checkTexts(&o.Title, &o.Description, &o.Avatar, &o.Custom, nil); err != nil {
		return store.Muc{}, err
	}
	if o.MaxUsers == 0 {
		o.MaxUsers = defaultGroupSize
		if kind == store.MucRoom {
			o.MaxUsers = defaultRoomSize
		}
		o.MaxUsers = min(o.MaxUsers, sizeLimit(settings, kind))
	}
	if err := s.checkSize(actor.App, kind, o.MaxUsers); err != nil {
		return store.Muc{}, err
	}
	owner, err := s.creator(ctx, actor, kind, o)
	if err != nil {
		return store.Muc{}, err
	}
	confirm := settings.GroupInviteConfirm
	if o.InviteConfirm != nil {
		confirm = *o.InviteConfirm
	}
	var members []person
	names := slices.DeleteFunc(slices.Clone(o.Members), func(name string) bool { return account.Fold(name) == owner.Name })
	if len(names) > 0 {
		if members, err = s.persons(ctx, actor.App, names, o.MaxUsers); err != nil {
			if len(names) > o.MaxUsers {
				err = full(store.Muc{Kind: kind, MaxUsers: o.MaxUsers})
			}
			return store.Muc{}, err
		}
		for _, p := range members {
			if p.err != nil {
				return store.Muc{}, p.err
			}
		}
	}
	if len(members)+1 > o.MaxUsers {
		return store.Muc{}, full(store.Muc{Kind: kind, MaxUsers: o.MaxUsers})
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	now := s.now()
	perApp, perUser := limits(settings, kind)
	m, joined, err := s.store.CreateMuc(ctx, store.Muc{App: actor.App.ID, Kind: kind, Name: o.ID, Owner: peer(owner),
		Title: o.Title, Description: o.Description, Avatar: o.Avatar, Custom: o.Custom,
		Public: o.Public || kind == store.MucRoom, Approval: o.Approval, AllowInvites: o.AllowInvites && !o.Public, InviteConfirm: confirm,
		MaxUsers: o.MaxUsers, Created: now, Modified: now}, perApp, perUser)
	switch {
	case errors.Is(err, store.ErrExists):
		return m, refuse(errcode.RequestFailed, ErrIDTaken, "there is a group or room with the id %q", o.ID)
	case errors.Is(err, store.ErrFull):
		return m, refuse(errcode.MaxLimit, ErrTooManyInApp, "this appKey has create too many groups/chatrooms!")
	case errors.Is(err, store.ErrPeerFull):
		return m, tooManyJoined(owner.Name)
	case errors.Is(err, store.ErrNotFound):
		return m, gone(owner.Name)
	case err != nil:
		return m, err
	}
	s.begun(m, joined)
	if kind == store.MucGroup {
		if err := s.toUsers(ctx, actor, m, event{operation: msync.MUCBody_CREATE, from: owner.Name}, peer(owner)); err != nil {
			return m, err
		}
	} else if err := s.unheard(actor, m, event{operation: msync.MUCBody_CREATE, from: owner.Name}); err != nil {
		return m, err
	}
	if len(members) == 0 {
		return m, nil
	}
	sc := scene{Actor: actor, muc: m, stand: store.Standing{Role: store.RoleOwner}}
	if kind == store.MucGroup && confirm && !actor.IsBackend() {
		_, err = s.ask(ctx, sc, members, "")
	} else {
		_, err = s.admit(ctx, sc, members, admission{tell: msync.MUCBody_DIRECT_JOINED, quiet: true})
	}
	return m, err
}

// creator finds who will own what is made, and refuses who may not make it.
func (s *Service) creator(ctx context.Context, actor Actor, kind store.MucKind, o Options) (store.User, error) {
	if actor.IsBackend() {
		if o.ID != "" && !idForm.MatchString(o.ID) {
			return store.User{}, refuse(errcode.RequestFailed, ErrOptions, "an id has 1 to 64 letters, digits, _, - and .")
		}
		if o.Owner == "" {
			return store.User{}, refuse(errcode.RequestFailed, ErrOptions, "the owner is missing")
		}
		return s.accounts.User(ctx, actor.App, o.Owner)
	}
	if o.ID != "" {
		return store.User{}, refuse(errcode.RequestFailed, ErrOptions, "only a backend may choose the id")
	}
	if o.Owner != "" && account.Fold(o.Owner) != actor.User.Name {
		return store.User{}, refuse(errcode.PermissionDenied, ErrDenied, "users own what they make")
	}
	if kind == store.MucRoom {
		may, err := s.store.IsSuperAdmin(ctx, actor.App.ID, actor.User.ID)
		if err != nil {
			return store.User{}, err
		}
		if !may {
			return store.User{}, refuse(errcode.PermissionDenied, ErrNotSuperAdmin, "only super admins may create chatrooms")
		}
	}
	return actor.User, nil
}

// limits are how many of a kind an app may have, and a user may join.
func limits(settings account.Settings, kind store.MucKind) (perApp, perUser int) {
	if kind == store.MucRoom {
		return settings.RoomsPerApp, settings.RoomsPerUser
	}
	return settings.GroupsPerApp, settings.GroupsPerUser
}

func tooManyJoined(name string) error {
	e := errcode.Newf(errcode.MaxLimit, "the user %s has joined too many groups/chatrooms", name)
	e.Op, e.Reason, e.Err = "muc", "the user has joined too many chatrooms", ErrTooManyJoined
	return e
}

func gone(name string) error {
	return refuse(errcode.UserNotFound, account.ErrNoUser, "username %s doesn't exist!", name)
}

// Get returns a group or room. Private groups are shown to members and who is invited. The errors are code 605, 705
// (ErrNotExist) and 602 (ErrNotMember).
func (s *Service) Get(ctx context.Context, actor Actor, kind store.MucKind, id string) (Info, error) {
	sc, err := s.enter(ctx, actor, kind, id)
	if err != nil {
		return Info{}, err
	}
	op := See
	if kind == store.MucGroup && !sc.muc.Public {
		op = SeePrivate
	}
	return Info{sc.muc, sc.stand}, s.allow(sc, op)
}

// ListQuery asks for a page of groups or rooms, newest first.
type ListQuery struct {
	Public bool   // only public ones
	Search string // only names that begin with it
	Below  int64  // only those whose number is below it; 0: any
	Offset int
	Limit  int
}

// List returns a page of the groups or rooms of an app.
func (s *Service) List(ctx context.Context, app *account.App, kind store.MucKind, q ListQuery) ([]store.Muc, error) {
	if !store.IsText(q.Search) {
		return nil, nil
	}
	return s.store.ListMucs(ctx, store.MucQuery{App: app.ID, Kind: kind, Public: q.Public, Search: q.Search, Below: q.Below, Offset: q.Offset, Limit: q.Limit})
}

// Joined returns a page of what a user has joined, newest first: rows below the given one (0: any), after offset others.
func (s *Service) Joined(ctx context.Context, user store.User, kind store.MucKind, below int64, offset, limit int) ([]store.Joined, error) {
	return s.store.JoinedMucs(ctx, store.JoinedQuery{User: user.ID, Kind: kind, Below: below, Offset: offset, Limit: limit})
}

// CountJoined returns how many groups or rooms a user has joined.
func (s *Service) CountJoined(ctx context.Context, user store.User, kind store.MucKind) (int, error) {
	return s.store.CountJoined(ctx, user.ID, kind)
}

// Change says what Update changes; nil fields stay.
type Change struct {
	Title, Description, Avatar, Custom            *string
	Public, Approval, AllowInvites, InviteConfirm *bool
	MaxUsers                                      *int
}

// Update changes name, description and options, and tells all members. The errors are those of the policy, and code 17
// (ErrText, ErrOptions: the size is below what is there) and 607 (ErrMaxUsers).
func (s *Service) Update(ctx context.Context, actor Actor, kind store.MucKind, id string, c Change) (store.Muc, error) {
	sc, err := s.permit(ctx, actor, kind, id, Update)
	if err != nil {
		return sc.muc, err
	}
	if err := checkTexts(c.Title, c.Description, c.Avatar, c.Custom, nil); err != nil {
		return sc.muc, err
	}
	if c.MaxUsers != nil {
		if err := s.checkSize(actor.App, kind, *c.MaxUsers); err != nil {
			return sc.muc, err
		}
		if *c.MaxUsers < sc.muc.Members {
			return sc.muc, refuse(errcode.RequestFailed, ErrOptions, "the %s has %d members already", noun(kind), sc.muc.Members)
		}
	}
	if c.Public != nil && *c.Public || c.Public == nil && sc.muc.Public {
		c.AllowInvites = nil
		if sc.muc.AllowInvites {
			c.AllowInvites = new(bool)
		}
	}
	m, err := s.update(ctx, sc, store.MucChange{Title: c.Title, Description: c.Description, Avatar: c.Avatar, Custom: c.Custom, Public: c.Public,
		Approval: c.Approval, AllowInvites: c.AllowInvites, InviteConfirm: c.InviteConfirm, MaxUsers: c.MaxUsers})
	if err != nil {
		return m, err
	}
	e := event{operation: msync.MUCBody_UPDATE}
	if kind == store.MucGroup {
		e.detail = c.detail(m)
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	return m, s.toAll(ctx, actor, m, e)
}

// detail is the JSON of an UPDATE: what has changed, under the names that clients read.
func (c Change) detail(m store.Muc) map[string]any {
	detail := map[string]any{"last_modified": m.Modified}
	for name, value := range map[string]*string{"name": c.Title, "description": c.Description, "avatar": c.Avatar, "custom": c.Custom} {
		if value != nil {
			detail[name] = *value
		}
	}
	for name, value := range map[string]*bool{"public": c.Public, "members_only": c.Approval, "allow_user_invites": c.AllowInvites, "invite_need_confirm": c.InviteConfirm} {
		if value != nil {
			detail[name] = *value
		}
	}
	if c.MaxUsers != nil {
		detail["max_users"] = *c.MaxUsers
	}
	return detail
}

// update writes a change of the row.
func (s *Service) update(ctx context.Context, sc scene, change store.MucChange) (store.Muc, error) {
	ctx, cancel := outlast(ctx)
	defer cancel()
	m, err := s.store.UpdateMuc(ctx, sc.muc.ID, s.now(), change)
	s.changed(sc.muc)
	if errors.Is(err, store.ErrNotFound) {
		return sc.muc, notExist(sc.muc.Kind, sc.muc.Name)
	}
	return m, err
}

// Announcement returns the announcement. The errors are those of the policy.
func (s *Service) Announcement(ctx context.Context, actor Actor, kind store.MucKind, id string) (string, error) {
	sc, err := s.permit(ctx, actor, kind, id, ReadOwn)
	return sc.muc.Announcement, err
}

// SetAnnouncement changes the announcement, or removes it if the text is empty, and tells all members. The errors are those
// of the policy, and code 17 (ErrText).
func (s *Service) SetAnnouncement(ctx context.Context, actor Actor, kind store.MucKind, id, text string) error {
	sc, err := s.permit(ctx, actor, kind, id, Announce)
	if err != nil {
		return err
	}
	if err := checkTexts(nil, nil, nil, nil, &text); err != nil {
		return err
	}
	if _, err := s.update(ctx, sc, store.MucChange{Announcement: &text}); err != nil {
		return err
	}
	e := event{operation: msync.MUCBody_UPDATE_ANNOUNCEMENT, reason: text}
	if text == "" {
		e.operation = msync.MUCBody_DELETE_ANNOUNCEMENT
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	return s.toAll(ctx, actor, sc.muc, e)
}

// MuteAll forbids members to write who are not on the allow list, or ends that, and tells all members. The errors are those
// of the policy.
func (s *Service) MuteAll(ctx context.Context, actor Actor, kind store.MucKind, id string, on bool) error {
	sc, err := s.permit(ctx, actor, kind, id, MuteAll)
	if err != nil {
		return err
	}
	if _, err := s.update(ctx, sc, store.MucChange{MuteAll: &on}); err != nil {
		return err
	}
	e := event{operation: msync.MUCBody_BAN_GROUP}
	if !on {
		e.operation = msync.MUCBody_REMOVE_BAN_GROUP
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	return s.toAll(ctx, actor, sc.muc, e)
}

// Disable stops all messages and changes in a group or room, or ends that, and tells all members. It is for backends. The
// error is code 605 or 705 (ErrNotExist).
func (s *Service) Disable(ctx context.Context, app *account.App, kind store.MucKind, id string, on bool) error {
	sc, err := s.enter(ctx, Backend(app), kind, id)
	if err != nil {
		return err
	}
	if _, err := s.update(ctx, sc, store.MucChange{Disabled: &on}); err != nil {
		return err
	}
	e := event{operation: msync.MUCBody_DISABLE_GROUP}
	if !on {
		e.operation = msync.MUCBody_ABLE_GROUP
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	return s.toAll(ctx, sc.Actor, sc.muc, e)
}

// Transfer makes another member the owner; the old one becomes a member. All members of a group are told; of a room the
// two. The errors are those of the policy, and code 204, 602 and 702 (ErrNotMember) and 603 (ErrSameOwner).
func (s *Service) Transfer(ctx context.Context, actor Actor, kind store.MucKind, id, name string) error {
	sc, err := s.permit(ctx, actor, kind, id, Transfer)
	if err != nil {
		return err
	}
	user, err := s.accounts.User(ctx, actor.App, name)
	if err != nil {
		return err
	}
	return s.transfer(ctx, sc, peer(user))
}

func (s *Service) transfer(ctx context.Context, sc scene, to store.Peer) error {
	old := sc.muc.Owner
	if to.ID == old.ID {
		return refuse(errcode.PermissionDenied, ErrSameOwner, "new owner and old owner are the same")
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	err := s.store.ChangeOwner(ctx, sc.muc.ID, to.ID, s.now())
	s.changed(sc.muc)
	s.moved(sc.muc, old.ID, to.ID)
	if errors.Is(err, store.ErrNotFound) {
		return notMember(sc.muc.Kind, to.Name)
	} else if err != nil {
		return err
	}
	if _, err := s.store.DropMarks(ctx, sc.muc.ID, store.MarkMute, []int64{to.ID}); err != nil { // who could lift it later?
		return err
	}
	s.moved(sc.muc, to.ID)
	if sc.muc.Kind == store.MucThread { // there is no such event
		return nil
	}
	e := event{operation: msync.MUCBody_ASSIGN_OWNER, from: old.Name, to: []string{to.Name}}
	if sc.muc.Kind == store.MucRoom {
		return s.toUsers(ctx, sc.Actor, sc.muc, e, old, to)
	}
	return s.toAll(ctx, sc.Actor, sc.muc, e)
}

// Destroy ends a group or room. Its members are told, and it is found no more. The errors are those of the policy.
func (s *Service) Destroy(ctx context.Context, actor Actor, kind store.MucKind, id string) error {
	sc, err := s.permit(ctx, actor, kind, id, Destroy)
	if err != nil {
		return err
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	err = s.store.CloseMuc(ctx, sc.muc.ID)
	s.changed(sc.muc)
	if errors.Is(err, store.ErrNotFound) {
		return notExist(kind, id)
	} else if err != nil {
		return err
	}
	return s.dissolve(ctx, actor, sc.muc)
}

// dissolve tells the members of what has been closed, and removes them.
func (s *Service) dissolve(ctx context.Context, actor Actor, m store.Muc) error {
	e := event{operation: msync.MUCBody_DESTROY}
	if m.Kind != store.MucThread { // of which the group has been told
		if err := s.toAll(ctx, actor, m, e); err != nil {
			return err
		}
	}
	if m.Kind == store.MucGroup {
		if err := s.tellShielded(ctx, actor, m, e); err != nil {
			return err
		}
		if err := s.closeThreads(ctx, actor, m); err != nil {
			return err
		}
	}
	for _, end := range s.beforeEnd {
		if err := end(ctx, m.ID); err != nil {
			return err
		}
	}
	for {
		left, err := s.store.DropMembers(ctx, m.ID, memberSlice)
		if err != nil || len(left.Users) == 0 {
			return err
		}
		s.ended(m, left)
	}
}

// tellShielded tells those who do not read the group's timeline.
func (s *Service) tellShielded(ctx context.Context, actor Actor, m store.Muc, e event) error {
	query := store.MemberQuery{Limit: memberSlice, Shielded: true}
	for {
		members, err := s.store.ListMembers(ctx, m.ID, query)
		if err != nil || len(members) == 0 {
			return err
		}
		var users []store.Peer
		for _, member := range members {
			users = append(users, member.User)
		}
		if err := s.toUsers(ctx, actor, m, e, users...); err != nil {
			return err
		}
		query.After = members[len(members)-1].Row
	}
}

// AnnounceFile tells all members that a shared file has come, or with removed that it has gone. Who may share and remove
// is in the policy: AddFile and RemoveFile.
func (s *Service) AnnounceFile(ctx context.Context, actor Actor, kind store.MucKind, id string, removed bool) error {
	m, err := s.find(ctx, actor.App, kind, id)
	if err != nil {
		return err
	}
	e := event{operation: msync.MUCBody_UPLOAD_FILE}
	if removed {
		e.operation = msync.MUCBody_DELETE_FILE
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	return s.toAll(ctx, actor, m, e)
}
