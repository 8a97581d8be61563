package muc

import (
	"cmp"
	"context"
	"errors"
	"regexp"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

// JoinOptions say how a user joins a chatroom.
type JoinOptions struct {
	Ext         string // shown to the other members
	LeaveOthers bool   // the user leaves all other rooms
}

// RoomInfo is what who joins a chatroom is told about it (docs/protocol/wire.md §8.1).
type RoomInfo struct {
	MuteAll    bool  `json:"is_all_mute"`
	Created    int64 `json:"create_timestamp"`
	Allowed    bool  `json:"is_in_white_list"`
	Members    int   `json:"member_count"`
	MutedUntil int64 `json:"mute_duration"`
}

// JoinRoom makes the actor a member of a chatroom and tells the others. It is no error if the actor is one: the client joins
// again when it has been away. The errors are those of the policy, and code 705 (ErrNotExist), 704 (ErrFull), 608 (ErrDisabled), 603 (ErrBanned), 50 (ErrTooManyJoined) and 17
// (ErrText).
func (s *Service) JoinRoom(ctx context.Context, actor Actor, id string, o JoinOptions) (Target, RoomInfo, error) {
	sc, err := s.permit(ctx, actor, store.MucRoom, id, Join)
	if err != nil {
		return Target{}, RoomInfo{}, err
	}
	if !store.IsText(o.Ext) || utf8.RuneCountInString(o.Ext) > MaxReason {
		return Target{}, RoomInfo{}, refuse(errcode.RequestFailed, ErrText, "the extension is longer than %d characters", MaxReason)
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	if o.LeaveOthers {
		if err := s.leaveRooms(ctx, actor, sc.muc.ID); err != nil {
			return Target{}, RoomInfo{}, err
		}
	}
	if sc.stand.Role == store.RoleNone {
		results, err := s.admit(ctx, sc, []person{{user: actor.User}}, admission{ext: o.Ext})
		if err == nil {
			err = results[0].Err
		}
		if err != nil {
			return Target{}, RoomInfo{}, err
		}
		sc.stand.Role, sc.muc.Members = store.RoleMember, sc.muc.Members+1
	}
	return target(sc.muc, sc.stand), RoomInfo{MuteAll: sc.muc.MuteAll, Created: sc.muc.Created, Allowed: sc.stand.Allowed,
		Members: sc.muc.Members, MutedUntil: sc.stand.MutedUntil}, nil
}

// leaveRooms leaves all rooms but one.
func (s *Service) leaveRooms(ctx context.Context, actor Actor, but int64) error {
	rooms, err := s.rooms(ctx, actor.User)
	if err != nil {
		return err
	}
	for _, room := range rooms {
		if room.Muc.ID == but || room.Role == store.RoleOwner {
			continue
		}
		if err := s.leave(ctx, scene{Actor: actor, muc: room.Muc}, peer(actor.User)); err != nil && !errors.Is(err, ErrNotExist) {
			return err
		}
	}
	return nil
}

// rooms returns all rooms that a user is in.
func (s *Service) rooms(ctx context.Context, user store.User) (all []store.Joined, err error) {
	const page = 500
	below := int64(0)
	for {
		rooms, err := s.store.JoinedMucs(ctx, store.JoinedQuery{User: user.ID, Kind: store.MucRoom, Below: below, Limit: page})
		if err != nil {
			return nil, err
		}
		all = append(all, rooms...)
		if len(rooms) < page {
			return all, nil
		}
		below = rooms[len(rooms)-1].Row
	}
}

// CameOnline is called when a user has a new session. It returns the numbers of the chatrooms that the user is still in: the
// session has to enter them.
func (s *Service) CameOnline(ctx context.Context, user store.User) ([]int64, error) {
	// Most are in none: to count costs half as much as to list.
	if n, err := s.store.CountJoined(ctx, user.ID, store.MucRoom); err != nil || n == 0 {
		return nil, err
	}
	rooms, err := s.rooms(ctx, user)
	if err != nil || len(rooms) == 0 {
		return nil, err
	}
	var numbers []int64
	for _, room := range rooms {
		numbers = append(numbers, room.Muc.ID)
	}
	return numbers, s.store.SetAway(ctx, user.ID, 0)
}

// WentOffline is called when a session of a user has ended. If it was the last one, the user leaves all chatrooms after the
// time that the app's settings name, unless the user comes back.
func (s *Service) WentOffline(ctx context.Context, user store.User) error {
	sessions, err := s.accounts.Sessions(ctx, user)
	if err != nil || len(sessions) > 0 {
		return err
	}
	if rooms, err := s.store.CountJoined(ctx, user.ID, store.MucRoom); err != nil || rooms == 0 {
		return err
	}
	if err := s.store.SetAway(ctx, user.ID, s.now()); err != nil {
		return err
	}
	// Who has come back meanwhile, perhaps to another node, may have said so just before.
	if sessions, err = s.accounts.Sessions(ctx, user); err != nil || len(sessions) == 0 {
		return err
	}
	return s.store.SetAway(ctx, user.ID, 0)
}

const (
	sweepSlice = 500
	// presenceBatch is how many who come or go are named in one event.
	presenceBatch = 500
)

// Sweep has those leave their chatrooms who have been away for too long, and looks at the next memberships, whether the user
// is away: a node may have died. Run calls it.
func (s *Service) Sweep(ctx context.Context) error {
	for _, app := range s.accounts.All() {
		lasts := app.Settings.RoomLeaveAfterSeconds
		if lasts < 0 {
			continue
		}
		stays, err := s.store.AwayMembers(ctx, app.ID, s.now()-lasts*1000, sweepSlice)
		if err != nil {
			return err
		}
		slices.SortFunc(stays, func(a, b store.Stay) int { return cmp.Compare(a.Muc, b.Muc) })
		for len(stays) > 0 {
			room := stays[0].Muc
			n := slices.IndexFunc(stays, func(stay store.Stay) bool { return stay.Muc != room })
			if n < 0 {
				n = len(stays)
			}
			m, err := s.store.MucByID(ctx, room)
			if err == nil {
				var users []store.Peer
				for _, stay := range stays[:n] {
					users = append(users, stay.User)
				}
				err = s.leave(ctx, scene{Actor: Backend(app), muc: m}, users...)
			}
			if err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, ErrNotExist) {
				return err
			}
			stays = stays[n:]
		}
	}
	last, err := s.store.CheckAway(ctx, s.swept.Load(), s.now(), time.Now().UnixMilli(), sweepSlice)
	s.swept.Store(last)
	return err
}

// crowds gathers who comes to rooms and goes. The first is told at once; who follows within a moment is told together: ten
// thousand who come to one room would else be a hundred million events.
type crowds struct {
	mu sync.Mutex
	of map[int64]*crowd
}

type crowd struct {
	app  *account.App
	muc  store.Muc
	wait []change
}

// change is a user who has come or gone.
type change struct {
	operation msync.MUCBody_Operation
	user      store.Peer
	ext       string
	count     int
}

// gather tells a room's members who has come or gone, now or a moment later.
func (s *Service) gather(actor Actor, m store.Muc, e event, users []store.Peer) {
	changes := make([]change, len(users))
	for i, user := range users {
		changes[i] = change{e.operation, user, e.ext, e.count}
	}
	s.crowds.mu.Lock()
	if waiting := s.crowds.of[m.ID]; waiting != nil {
		waiting.wait = append(waiting.wait, changes...)
		s.crowds.mu.Unlock()
		return
	}
	if s.crowds.of == nil {
		s.crowds.of = map[int64]*crowd{}
	}
	s.crowds.of[m.ID] = &crowd{app: actor.App, muc: m}
	s.crowds.mu.Unlock()
	s.tellCrowd(actor, m, changes)
}

// Flush tells rooms who has come and gone since they were told last. Run calls it.
func (s *Service) Flush() {
	var due []crowd
	s.crowds.mu.Lock()
	for id, of := range s.crowds.of {
		if len(of.wait) == 0 {
			delete(s.crowds.of, id)
			continue
		}
		due = append(due, *of)
		of.wait = nil
	}
	s.crowds.mu.Unlock()
	for _, of := range due {
		s.tellCrowd(Backend(of.app), of.muc, of.wait)
	}
}

// tellCrowd pushes events with up to presenceBatch users each. Who brings an extension has an event alone. An event that is
// about one user only is not sent to that user.
func (s *Service) tellCrowd(actor Actor, m store.Muc, changes []change) {
	for len(changes) > 0 {
		first, n := changes[0], 1
		for first.ext == "" && n < min(len(changes), presenceBatch) && changes[n].operation == first.operation && changes[n].ext == "" {
			n++
		}
		e := event{operation: first.operation, from: first.user.Name, ext: first.ext, count: changes[n-1].count}
		but := store.Audience{Users: []int64{first.user.ID}, Except: true}
		if n > 1 {
			e.members, but = make([]string, n), store.Audience{}
			for i := range n {
				e.members[i] = changes[i].user.Name
			}
		}
		if err := s.push(actor, m, e, but); err != nil {
			s.log.Error("tell room", "room", m.ID, "error", err)
		}
		changes = changes[n:]
	}
}

// AddSuperAdmin lets a user create chatrooms. The error is code 204.
func (s *Service) AddSuperAdmin(ctx context.Context, app *account.App, name string) error {
	user, err := s.accounts.User(ctx, app, name)
	if err != nil {
		return err
	}
	err = s.store.PutSuperAdmin(ctx, app.ID, peer(user))
	if errors.Is(err, store.ErrNotFound) {
		return gone(user.Name)
	}
	return err
}

// RemoveSuperAdmin takes that away. It is no error if there is nothing to take. The error is code 204.
func (s *Service) RemoveSuperAdmin(ctx context.Context, app *account.App, name string) error {
	user, err := s.accounts.User(ctx, app, name)
	if err != nil {
		return err
	}
	_, err = s.store.DropSuperAdmin(ctx, app.ID, user.ID)
	return err
}

// SuperAdmins returns a page of the users who may create chatrooms.
func (s *Service) SuperAdmins(ctx context.Context, app *account.App, offset, limit int) ([]store.Peer, error) {
	return s.store.ListSuperAdmins(ctx, app.ID, offset, limit)
}

// AttributeResult tells what became of several attributes of a chatroom. Keys are in order of the alphabet.
type AttributeResult struct {
	Done   []string
	Failed map[string]error // *errcode.Error whose message is the text that clients look for (docs/protocol/sdk-rest.md §1.6.4)
}

var attributeKey = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,128}$`)

// checkKey refuses an illegal key or value.
func checkKey(key, value string) error {
	switch {
	case !attributeKey.MatchString(key):
		return refuse(errcode.InvalidParameter, ErrKey, "%s is not Legal", clean(key))
	case len(value) > maxAttributeValue || !store.IsText(value):
		return refuse(errcode.MaxLimit, ErrValue, "value of %s is exceeding maximum limit", key)
	}
	return nil
}

// keyRefusal words why the store has not changed an attribute.
func keyRefusal(key string, err error) error {
	switch {
	case errors.Is(err, store.ErrExists):
		return refuse(errcode.NoPermission, ErrKeyOfOther, "%s is not part of you", key)
	case errors.Is(err, store.ErrFull):
		return refuse(errcode.MaxLimit, ErrTooManyKeys, "size of metadata for this single chatroom exceeds the user defined limit")
	case errors.Is(err, store.ErrNotFound):
		return refuse(errcode.RequestFailed, ErrNoKey, "%s is not set", key)
	}
	return err
}

// attributing begins a change of a room's attributes in the name of a user: the actor, or whom a backend names.
func (s *Service) attributing(ctx context.Context, actor Actor, id, name string, keys int) (scene, store.User, error) {
	if !s.settings(actor.App).RoomAttributes {
		return scene{}, store.User{}, attributesOff()
	}
	sc, err := s.permit(ctx, actor, store.MucRoom, id, SetOwnAttributes)
	if err != nil {
		return sc, store.User{}, err
	}
	if keys == 0 || keys > MaxAttributeKeys {
		return sc, store.User{}, refuse(errcode.MaxLimit, ErrTooManyKeys, "exceed allowed batch size %d", MaxAttributeKeys)
	}
	user, err := s.accounts.User(ctx, actor.App, name)
	if err == nil && !actor.IsBackend() && user.ID != actor.User.ID {
		err = refuse(errcode.PermissionDenied, ErrDenied, "users set attributes in their own name")
	}
	return sc, user, err
}

// SetRoomAttributes sets attributes of a chatroom in the name of a member, and tells the members. With auto they go when
// that member leaves; forced changes also what others have set. Single keys may fail: code -3 (ErrKey), 50 (ErrValue,
// ErrTooManyKeys), 52 (ErrKeyOfOther). The errors of the whole are those of the policy, 505 (ErrAttributesOff), 50
// (ErrTooManyKeys: more than MaxAttributeKeys), 204 and 702 (ErrNotMember).
func (s *Service) SetRoomAttributes(ctx context.Context, actor Actor, id, name string, set map[string]string, auto, forced bool) (AttributeResult, error) {
	sc, user, err := s.attributing(ctx, actor, id, name, len(set))
	if err != nil {
		return AttributeResult{}, err
	}
	result := AttributeResult{Failed: map[string]error{}}
	good := map[string]string{}
	for key, value := range set {
		if err := checkKey(key, value); err != nil {
			result.Failed[clean(key)] = err
		} else {
			good[key] = value
		}
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	if len(good) > 0 {
		refused, err := s.store.SetRoomAttributes(ctx, store.AttributeChange{Muc: sc.muc.ID, User: user.ID, Auto: auto, Forced: forced, Outsider: actor.IsBackend(), Limit: MaxRoomAttributes}, good)
		if err := roomRefusal(sc.muc, user, err); err != nil {
			return AttributeResult{}, err
		}
		for key, err := range refused {
			result.Failed[key] = keyRefusal(key, err)
			delete(good, key)
		}
	}
	for key := range good {
		result.Done = append(result.Done, key)
	}
	slices.Sort(result.Done)
	return result, s.toldAttributes(ctx, sc, msync.MUCBody_SET_METADATA, result.Done, good)
}

func roomRefusal(m store.Muc, user store.User, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return notMember(m.Kind, user.Name)
	}
	return err
}

// RemoveRoomAttributes removes attributes of a chatroom, as SetRoomAttributes sets them. A key that is not set fails with
// code 17 (ErrNoKey).
func (s *Service) RemoveRoomAttributes(ctx context.Context, actor Actor, id, name string, keys []string, forced bool) (AttributeResult, error) {
	sc, user, err := s.attributing(ctx, actor, id, name, len(keys))
	if err != nil {
		return AttributeResult{}, err
	}
	result := AttributeResult{Failed: map[string]error{}}
	var good []string
	for _, key := range keys {
		if err := checkKey(key, ""); err != nil {
			result.Failed[clean(key)] = err
		} else if !slices.Contains(good, key) {
			good = append(good, key)
		}
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	if len(good) > 0 {
		refused, err := s.store.DropRoomAttributes(ctx, store.AttributeChange{Muc: sc.muc.ID, User: user.ID, Forced: forced, Outsider: actor.IsBackend()}, good)
		if err := roomRefusal(sc.muc, user, err); err != nil {
			return AttributeResult{}, err
		}
		for key, err := range refused {
			result.Failed[key] = keyRefusal(key, err)
		}
	}
	for _, key := range good {
		if result.Failed[key] == nil {
			result.Done = append(result.Done, key)
		}
	}
	slices.Sort(result.Done)
	return result, s.toldAttributes(ctx, sc, msync.MUCBody_DELETE_METADATA, result.Done, nil)
}

// toldAttributes tells the members of a room about its attributes.
func (s *Service) toldAttributes(ctx context.Context, sc scene, op msync.MUCBody_Operation, keys []string, values map[string]string) error {
	if len(keys) == 0 {
		return nil
	}
	if values == nil {
		values = map[string]string{}
	}
	return s.toAll(ctx, sc.Actor, sc.muc, event{operation: op, detail: map[string]any{"result": map[string]any{"successKeys": keys}, "properties": values}})
}

// RoomAttributes returns attributes of a chatroom; without keys all of them. The errors are those of the policy, and 505
// (ErrAttributesOff).
func (s *Service) RoomAttributes(ctx context.Context, actor Actor, id string, keys []string) (map[string]string, error) {
	if !s.settings(actor.App).RoomAttributes {
		return nil, attributesOff()
	}
	sc, err := s.permit(ctx, actor, store.MucRoom, id, ReadOwn)
	if err != nil {
		return nil, err
	}
	keys = slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return !attributeKey.MatchString(key) })
	rows, err := s.store.RoomAttributes(ctx, sc.muc.ID, keys)
	found := map[string]string{}
	for _, row := range rows {
		found[row.Key] = row.Value
	}
	return found, err
}
