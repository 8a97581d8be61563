// Package muc is groups and chatrooms: who is in, with which role, who is muted, blocked or on the allow list, and what
// follows from that. The two are one package with one policy (policy.go) and differ in its columns: a group's members read
// its timeline, also what came while they were away; a chatroom's members are told what happens while they are online.
//
// Every change is told as a MUC event (docs/protocol/wire.md §8): to members by an entry of the group's timeline or a push
// to the room, to the persons concerned on their own timelines. Refusals are *errcode.Error; where an edge has to tell
// apart situations that share a code, one of the package's sentinels is wrapped.
package muc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/bus"
	"github.com/stoa-chat/stoa/internal/clock"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/store"
)

// Limits of docs/protocol/errors.md §11 and admin-rest.md §11.3, in characters where nothing else is said. What an app can
// set is in account.Settings.
const (
	MaxTitle        = 128
	MaxDescription  = 512
	MaxAnnouncement = 512
	MaxAvatar       = 1024
	MaxCustom       = 8192 // bytes
	MaxReason       = 1024
	MaxAdmins       = 99 // besides the owner
	MaxNames        = 60 // users in one call, unless it says otherwise
	MaxBanned       = 10000
	MaxPending      = 10000 // open invitations, and open applications, of a group

	maxMemberKey   = 16   // bytes
	maxMemberValue = 512  // bytes
	maxMemberBytes = 4096 // keys and values of a member together
	MaxTargets     = 10   // members whose attributes are read in one call

	MaxRoomAttributes = 100 // of a room
	MaxAttributeKeys  = 10  // in one call
	maxAttributeKey   = 128 // bytes
	maxAttributeValue = 4096

	MaxTags = 10 // of a member of a room
	MaxTag  = 32

	MaxAttributed = 20 // members whose attributes are set in one call
)

const (
	// memberSlice is how many members are added or removed in one commit, so that messages need not wait for the rest.
	memberSlice = 250
	// writeTime bounds a change once it has begun. It does not end with the request: a change that is made must be told.
	writeTime = time.Minute
)

// Situations that edges word in their own ways. They are wrapped in an *errcode.Error.
var (
	ErrNotExist      = errors.New("no such group or room")              // 605, 705, 1300
	ErrNotMember     = errors.New("not a member")                       // 602, 702
	ErrDenied        = errors.New("the role does not allow it")         // 603
	ErrOnOwner       = errors.New("forbidden operation on the owner")   // 603
	ErrOnAdmin       = errors.New("forbidden operation on an admin")    // 603
	ErrBanned        = errors.New("on the block list")                  // 603
	ErrSameOwner     = errors.New("is the owner already")               // 603
	ErrNoInvitation  = errors.New("no invitation")                      // 603
	ErrNoApplication = errors.New("no application")                     // 603
	ErrMember        = errors.New("is a member already")                // 601
	ErrFull          = errors.New("the member list is full")            // 606, 704
	ErrMaxUsers      = errors.New("more members than the app allows")   // 607
	ErrDisabled      = errors.New("disabled")                           // 608
	ErrMuted         = errors.New("muted")                              // 507
	ErrMutedAll      = errors.New("all are muted")                      // 506
	ErrTooManyInApp  = errors.New("the app has too many")               // 50
	ErrTooManyJoined = errors.New("the user has joined too many")       // 50
	ErrTooManyNames  = errors.New("too many users in one call")         // 50
	ErrAdminsFull    = errors.New("too many admins")                    // 603
	ErrListFull      = errors.New("the list is full")                   // 50
	ErrNoNames       = errors.New("no users")                           // -3
	ErrOptions       = errors.New("bad options")                        // 17
	ErrIDTaken       = errors.New("the id is taken")                    // 17
	ErrText          = errors.New("text too long")                      // 17
	ErrDuration      = errors.New("bad duration")                       // -3
	ErrAttribute     = errors.New("bad member attributes")              // 609
	ErrAttributeSize = errors.New("member attributes too large")        // 50
	ErrAttributesOff = errors.New("attributes are switched off")        // 505
	ErrNotSuperAdmin = errors.New("only super admins may create rooms") // 603
	ErrKey           = errors.New("illegal attribute key")              // -3
	ErrValue         = errors.New("attribute value too long")           // 50
	ErrTooManyKeys   = errors.New("too many attributes")                // 50
	ErrKeyOfOther    = errors.New("the attribute is somebody else's")   // 52
	ErrNoKey         = errors.New("there is no such attribute")         // 17
	ErrTag           = errors.New("illegal tag")                        // -3
	ErrNoTag         = errors.New("nobody has the tag")                 // -3
	ErrTagLength     = errors.New("tag too long")                       // 50
	ErrTooManyTags   = errors.New("too many tags")                      // 50
)

// Store is what the service keeps in the store: messages are read for threads.
type Store interface {
	store.Mucs
	store.Timelines
	store.Conversations
}

// Service is the service for groups, rooms and threads of one node.
type Service struct {
	accounts *account.Service
	store    Store
	delivery *delivery.Service
	bus      bus.Bus
	clock    *clock.Clock
	log      *slog.Logger

	known  cache
	crowds crowds
	swept  atomic.Int64 // the membership that Sweep has looked at last
	spoken spoken

	beforeEnd []func(ctx context.Context, muc int64) error
	observer  Observer // may be nil
}

// Observer is told of what happens and is kept nowhere, most of it in chatrooms. The entry stands in no timeline. It must not
// block.
type Observer interface {
	Happened(event store.Found)
}

// Observe names who is told of what is kept nowhere. It is to be called before the service is in use.
func (s *Service) Observe(o Observer) { s.observer = o }

// New makes the service of a node. What arrives on bus.All goes to Heard; Run does what has to be done from time to time.
func New(accounts *account.Service, s Store, d *delivery.Service, b bus.Bus, c *clock.Clock, log *slog.Logger) *Service {
	return &Service{accounts: accounts, store: s, delivery: d, bus: b, clock: c, log: log, known: newCache()}
}

// BeforeEnd has a function called before the last of a destroyed group, room or thread is removed, by a service that keeps
// something of it. It may be called again if that fails. BeforeEnd is not to be called once the service is in use.
func (s *Service) BeforeEnd(end func(ctx context.Context, muc int64) error) {
	s.beforeEnd = append(s.beforeEnd, end)
}

// Actor is who does something: a user on a device, or a backend, which is no user and may do everything.
type Actor struct {
	App      *account.App
	User     store.User // zero: a backend
	Device   int64      // the device on which the user does it, which is not told again; 0: none
	Resource string     // the device's name; events carry it so that the user's devices know their own doings
	Quiet    bool       // the other members are not told who has come or gone
}

// Backend returns the actor for calls with the app's token.
func Backend(app *account.App) Actor { return Actor{App: app} }

// IsBackend reports whether the actor is no user.
func (a Actor) IsBackend() bool { return a.User.ID == 0 }

// backendName is who has acted, in events, if it was a backend.
const backendName = "@ppAdmin"

func (a Actor) name() string {
	if a.IsBackend() {
		return backendName
	}
	return a.User.Name
}

// Actor finds the device of a user by its resource. One that is not online is none.
func (s *Service) Actor(ctx context.Context, app *account.App, user store.User, resource string) (Actor, error) {
	actor := Actor{App: app, User: user, Resource: resource}
	if resource == "" {
		return actor, nil
	}
	sessions, err := s.accounts.Sessions(ctx, user)
	for _, session := range sessions {
		if session.Resource == resource {
			actor.Device = session.Device
		}
	}
	return actor, err
}

// Result tells what became of one of several users.
type Result struct {
	User  string
	Until int64 // of Mute: when it ends, in milliseconds since 1970; store.Forever
	Err   error // nil: done
}

// whole returns results, and as an error that of the first user if none has succeeded.
func whole(results []Result) ([]Result, error) {
	for _, r := range results {
		if r.Err == nil {
			return results, nil
		}
	}
	return results, results[0].Err
}

func refuse(code errcode.Code, sentinel error, format string, args ...any) error {
	e := errcode.Newf(code, format, args...)
	e.Op, e.Err = "muc", sentinel
	return e
}

func peer(u store.User) store.Peer { return store.Peer{ID: u.ID, Name: u.Name} }

func (s *Service) now() int64 { return s.clock.Now().UnixMilli() }

// settings are those that the app has now.
func (s *Service) settings(app *account.App) account.Settings {
	return s.accounts.Current(app).Settings
}

// outlast returns a context for a change.
func outlast(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), writeTime)
}

var idForm = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// noun is what a kind is called in refusals.
func noun(kind store.MucKind) string {
	switch kind {
	case store.MucRoom:
		return "chatroom"
	case store.MucThread:
		return "thread"
	}
	return "group"
}

func notExist(kind store.MucKind, id string) error {
	code, reason := errcode.GroupNotExist, ""
	switch kind {
	case store.MucRoom:
		code, reason = errcode.ChatroomNotExist, fmt.Sprintf("grpID %s does not exist!", id)
	case store.MucThread:
		code = errcode.ThreadNotExist
	}
	return &errcode.Error{Code: code, Op: "muc", Message: fmt.Sprintf("there is no %s %q", noun(kind), id), Reason: reason, Err: ErrNotExist}
}

func notMember(kind store.MucKind, name string) error {
	code := errcode.GroupNotJoined
	if kind == store.MucRoom {
		code = errcode.ChatroomNotJoined
	}
	return refuse(code, ErrNotMember, "%s is not a member of this %s", name, noun(kind))
}

func full(m store.Muc) error {
	code := errcode.GroupMembersFull
	if m.Kind == store.MucRoom {
		code = errcode.ChatroomMembersFull
	}
	e := errcode.Newf(code, "the %s has room for %d members", noun(m.Kind), m.MaxUsers)
	e.Op, e.Reason, e.Err = "muc", "group member list is full!", ErrFull
	return e
}

// find reads a row.
func (s *Service) find(ctx context.Context, app *account.App, kind store.MucKind, id string) (store.Muc, error) {
	if !idForm.MatchString(id) {
		return store.Muc{}, notExist(kind, clean(id))
	}
	m, err := s.store.Muc(ctx, app.ID, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && m.Kind != kind {
		return m, notExist(kind, id)
	}
	return m, err
}

// clean makes a piece of what a client sent fit for a message.
func clean(id string) string {
	id = strings.ToValidUTF8(id, "?")
	if len(id) > 64 {
		id = strings.ToValidUTF8(id[:64], "")
	}
	return id
}

// scene is an operation that is under way: who does it, where, and how the actor stands there.
type scene struct {
	Actor
	muc   store.Muc
	stand store.Standing // of the actor; zero for a backend
}

// standing names how a user stands, for the policy.
func standing(st store.Standing, now int64) Standing {
	switch {
	case st.Role == store.RoleOwner:
		return Owner
	case st.Role == store.RoleAdmin:
		return Admin
	case st.Role == store.RoleMember && st.MutedUntil > now:
		return Muted
	case st.Role == store.RoleMember:
		return Member
	case st.Banned:
		return Blocked
	case st.Invited:
		return Invited
	}
	return Stranger
}

// whileDisabled are the operations that a disabled group still allows.
var whileDisabled = map[Operation]bool{See: true, SeePrivate: true, ReadList: true, ReadOwn: true, ReadMutes: true,
	ReadAllowed: true, ReadBanned: true, ReadFiles: true, Leave: true}

// enter finds a group or room and how the actor stands there.
func (s *Service) enter(ctx context.Context, actor Actor, kind store.MucKind, id string) (scene, error) {
	sc := scene{Actor: actor}
	var err error
	if sc.muc, err = s.find(ctx, actor.App, kind, id); err != nil || actor.IsBackend() {
		return sc, err
	}
	sc.stand, err = s.store.Standing(ctx, sc.muc.ID, actor.User.ID)
	return sc, err
}

// permit is enter for an operation that the policy allows.
func (s *Service) permit(ctx context.Context, actor Actor, kind store.MucKind, id string, op Operation) (scene, error) {
	sc, err := s.enter(ctx, actor, kind, id)
	if err != nil {
		return sc, err
	}
	return sc, s.allow(sc, op)
}

// allow says whether the policy allows an operation: nil or the refusal.
func (s *Service) allow(sc scene, op Operation) error {
	if sc.IsBackend() {
		return nil
	}
	if sc.muc.Disabled && !whileDisabled[op] {
		return disabled(sc.muc)
	}
	return verdictOf(sc.muc, op, standing(sc.stand, s.now()), sc.User.Name)
}

func disabled(m store.Muc) error {
	return refuse(errcode.GroupDisabled, ErrDisabled, "can not operate this group, reason: group is disabled")
}

// verdictOf words what the policy says.
func verdictOf(m store.Muc, op Operation, who Standing, name string) error {
	code, ok := Allows(m.Kind, op, who)
	if ok && code == 0 {
		return nil
	}
	if !ok {
		return refuse(errcode.OperationUnsupported, ErrDenied, "a %s has no operation %q", noun(m.Kind), Policy[op].Name)
	}
	switch code {
	case errcode.GroupNotJoined, errcode.ChatroomNotJoined:
		e := errcode.Newf(code, "%s is not a member of this %s", name, noun(m.Kind))
		e.Op, e.Err = Policy[op].Name, ErrNotMember
		return e
	case errcode.GroupAlreadyJoined:
		return alreadyMember(m, name)
	case errcode.Muted:
		return &errcode.Error{Code: code, Op: "send", Message: fmt.Sprintf("%s is muted in this %s", name, noun(m.Kind)), Err: ErrMuted}
	}
	if who == Blocked {
		return banned(m, name)
	}
	e := errcode.Newf(code, "who is %s of this %s may not %s", who, noun(m.Kind), Policy[op].Means)
	if who == Stranger || who == Invited {
		e = errcode.Newf(code, "who is not a member of this %s may not %s", noun(m.Kind), Policy[op].Means)
	}
	e.Op, e.Err = Policy[op].Name, ErrDenied
	return e
}

func alreadyMember(m store.Muc, name string) error {
	return refuse(errcode.GroupAlreadyJoined, ErrMember, "invite users to join group failed, reason: user: %s already in group: %s", name, m.Name)
}

func banned(m store.Muc, name string) error {
	return &errcode.Error{Code: errcode.PermissionDenied, Op: "join", Err: ErrBanned,
		Message: fmt.Sprintf("%s is on the block list of this %s", name, noun(m.Kind)),
		Reason:  fmt.Sprintf("can not join this group, reason: user: %s is in the blacklist", name)}
}

// Permit checks one operation of the policy for what other packages do with a group or room, and returns where it is. The
// errors are those of the policy, 605, 705 or 1300 (ErrNotExist) and 608 (ErrDisabled).
func (s *Service) Permit(ctx context.Context, actor Actor, kind store.MucKind, id string, op Operation) (Target, error) {
	sc, err := s.permit(ctx, actor, kind, id, op)
	return target(sc.muc, sc.stand), err
}

// mayTouch refuses what is done to the owner, and to an admin by others than the owner.
func mayTouch(sc scene, user store.User, role store.Role) error {
	switch {
	case role == store.RoleOwner:
		return refuse(errcode.PermissionDenied, ErrOnOwner, "forbidden operation on group owner!")
	case role == store.RoleAdmin && !sc.IsBackend() && sc.stand.Role != store.RoleOwner && user.ID != sc.User.ID:
		return refuse(errcode.PermissionDenied, ErrOnAdmin, "%s is an admin: only the owner may do this", user.Name)
	}
	return nil
}

// person is a user whom a call names, or why there is none.
type person struct {
	user store.User
	err  error
}

// persons finds the users whom a call names. Names that are repeated count once.
func (s *Service) persons(ctx context.Context, app *account.App, names []string, limit int) ([]person, error) {
	if len(names) == 0 {
		return nil, refuse(errcode.InvalidParameter, ErrNoNames, "there are no user names")
	}
	if len(names) > limit {
		return nil, refuse(errcode.MaxLimit, ErrTooManyNames, "usernames size is more than max limit : %d", limit)
	}
	found := make([]person, 0, len(names))
	seen := map[string]bool{}
	for _, name := range names {
		if name = account.Fold(name); seen[name] {
			continue
		}
		seen[name] = true
		user, err := s.accounts.User(ctx, app, name)
		if err != nil {
			if _, refused := errcode.CodeOf(err); !refused {
				return nil, err
			}
			user.Name = clean(name)
		}
		found = append(found, person{user, err})
	}
	return found, nil
}

// roles returns the roles of those persons who are members.
func (s *Service) roles(ctx context.Context, m store.Muc, people []person) (map[int64]store.Member, error) {
	var ids []int64
	for _, p := range people {
		if p.err == nil {
			ids = append(ids, p.user.ID)
		}
	}
	members := map[int64]store.Member{}
	for part := range slices.Chunk(ids, memberSlice) {
		rows, err := s.store.FindMembers(ctx, m.ID, part)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			members[row.User.ID] = row
		}
	}
	return members, nil
}
