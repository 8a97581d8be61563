// Package contact knows who knows whom: contacts, the invitations to become one, and who has blocked whom. The message
// service asks it who may write to whom. Its refusals are *errcode.Error; where an edge has to tell apart situations that
// share a code, one of the package's sentinels is wrapped.
//
// What changes is told to both users as ROSTER events (docs/protocol/wire.md §9) on their own timelines, so that devices
// that are away get them, too.
package contact

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/bus"
	"github.com/stoa-chat/stoa/internal/cache"
	"github.com/stoa-chat/stoa/internal/clock"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

// Limits of docs/protocol/errors.md §11.
const (
	maxNames  = 50   // in one call
	maxRemark = 100  // characters
	maxReason = 1024 // characters
)

// writeTime bounds a change once it has begun. It does not end with the request: a change that is made must be told.
const writeTime = 15 * time.Second

// Situations that edges word in their own ways. They are wrapped in an *errcode.Error.
var (
	ErrSelf         = errors.New("oneself")
	ErrNoNames      = errors.New("no user names")
	ErrTooMany      = errors.New("too many user names")
	ErrReason       = errors.New("reason too long")
	ErrRemark       = errors.New("remark too long")
	ErrNotContact   = errors.New("not a contact")
	ErrNoInvitation = errors.New("no invitation")
	ErrBlocked      = errors.New("blocked by the receiver")
	ErrInviterFull  = errors.New("the inviter's list of contacts is full")
	ErrInviteeFull  = errors.New("the invitee's list of contacts is full")
	ErrBlockFull    = errors.New("the block list is full")
)

// Service is the contact service of one node.
type Service struct {
	accounts *account.Service
	store    store.Contacts
	delivery *delivery.Service
	bus      bus.Bus
	clock    *clock.Clock
	log      *slog.Logger

	known cache.Cache[pair, store.Relation]
}

// New makes the service of a node. What arrives on bus.All goes to Heard.
func New(accounts *account.Service, s store.Contacts, d *delivery.Service, b bus.Bus, c *clock.Clock, log *slog.Logger) *Service {
	return &Service{accounts: accounts, store: s, delivery: d, bus: b, clock: c, log: log}
}

// Actor is who changes something.
type Actor struct {
	App    *account.App
	User   store.User
	Device int64 // the device on which the user does it, which is not told again; 0: none, as when a backend does it
}

// Actor finds the device of a user by its resource. One that is not online is none.
func (s *Service) Actor(ctx context.Context, app *account.App, user store.User, resource string) (Actor, error) {
	actor := Actor{App: app, User: user}
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

func refuse(code errcode.Code, sentinel error, format string, args ...any) error {
	e := errcode.Newf(code, format, args...)
	e.Op, e.Err = "contacts", sentinel
	return e
}

func peer(u store.User) store.Peer { return store.Peer{ID: u.ID, Name: u.Name} }

// other finds the user whom the actor means.
func (s *Service) other(ctx context.Context, actor Actor, name string) (store.User, error) {
	user, err := s.accounts.User(ctx, actor.App, name)
	if err == nil && user.ID == actor.User.ID {
		return user, refuse(errcode.InvalidParameter, ErrSelf, "users have no relation to themselves")
	}
	return user, err
}

// others finds several users, all or none. Names that are repeated count once.
func (s *Service) others(ctx context.Context, actor Actor, names []string) ([]store.User, error) {
	if err := checkNames(names); err != nil {
		return nil, err
	}
	var users []store.User
	for _, name := range names {
		user, err := s.other(ctx, actor, name)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(users, func(u store.User) bool { return u.ID == user.ID }) {
			users = append(users, user)
		}
	}
	return users, nil
}

func checkNames(names []string) error {
	if len(names) == 0 {
		return refuse(errcode.InvalidParameter, ErrNoNames, "there are no user names")
	}
	if len(names) > maxNames {
		return refuse(errcode.MaxLimit, ErrTooMany, "there are %d user names, the limit is %d", len(names), maxNames)
	}
	return nil
}

// outlast returns a context for a change.
func outlast(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), writeTime)
}

// refusal words what the store refuses: userFull and peerFull are the situations when the list of the user or of the peer
// has no room.
func refusal(err, userFull, peerFull error) error {
	switch {
	case errors.Is(err, store.ErrFull):
		return refuse(errcode.MaxLimit, userFull, "%v", userFull)
	case errors.Is(err, store.ErrPeerFull):
		return refuse(errcode.MaxLimit, peerFull, "%v", peerFull)
	case errors.Is(err, store.ErrNotFound): // deleted a moment ago
		return refuse(errcode.UserNotFound, account.ErrNoUser, "one of the users has been deleted")
	}
	return err
}

// Invite asks users to become contacts, or makes them contacts where the app accepts by itself. Who is a contact already
// is not asked. The errors are code 204 (ErrNoUser of account), -3 (ErrSelf, ErrNoNames, ErrReason), 603 (ErrBlocked) and
// 50 (ErrTooMany, ErrInviterFull, ErrInviteeFull).
func (s *Service) Invite(ctx context.Context, actor Actor, names []string, reason string) error {
	if utf8.RuneCountInString(reason) > maxReason || !store.IsText(reason) {
		return refuse(errcode.InvalidParameter, ErrReason, "the reason is longer than %d characters", maxReason)
	}
	users, err := s.others(ctx, actor, names)
	if err != nil {
		return err
	}
	for _, user := range users {
		if err := s.invite(ctx, actor, user, reason); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) invite(ctx context.Context, actor Actor, user store.User, reason string) error {
	relation, err := s.store.Relation(ctx, user.ID, actor.User.ID)
	if err != nil {
		return err
	}
	if relation.Blocked {
		return blocked(user.Name)
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	if s.accounts.Current(actor.App).Settings.ContactsAutoAccept {
		return s.add(ctx, actor.App, user, actor.User, false, true)
	}
	err = s.store.PutInvitation(ctx, peer(user), peer(actor.User), reason, s.now(), s.accounts.Current(actor.App).Settings.ContactsPerUser)
	if errors.Is(err, store.ErrExists) {
		return nil
	} else if err != nil {
		return refusal(err, ErrInviteeFull, ErrInviterFull)
	}
	return s.tell(ctx, actor.App, event{reader: user, operation: msync.RosterBody_ADD, from: actor.User, to: []store.User{user}, reason: reason})
}

// add makes the invitee and the inviter contacts. Asked tells that this needs an invitation, answer that the inviter is
// told of the invitee's consent.
func (s *Service) add(ctx context.Context, app *account.App, invitee, inviter store.User, asked, answer bool) error {
	err := s.store.AddContact(ctx, peer(invitee), peer(inviter), asked, s.now(), s.accounts.Current(app).Settings.ContactsPerUser)
	s.changed(invitee, inviter)
	switch {
	case errors.Is(err, store.ErrExists):
		return nil
	case asked && errors.Is(err, store.ErrNotFound):
		return refuse(errcode.PermissionDenied, ErrNoInvitation, "there is no invitation of %s", inviter.Name)
	case err != nil:
		return refusal(err, ErrInviteeFull, ErrInviterFull)
	}
	events := []event{
		{reader: inviter, operation: msync.RosterBody_ACCEPT, from: invitee, to: []store.User{inviter}},
		{reader: invitee, operation: msync.RosterBody_ACCEPT, from: inviter, to: []store.User{invitee}},
	}
	if answer {
		events = append([]event{{reader: inviter, operation: msync.RosterBody_REMOTE_ACCEPT, from: invitee, to: []store.User{inviter}}}, events...)
	}
	return s.tell(ctx, app, events...)
}

// Accept accepts an invitation. It is no error if they are contacts already. The errors are code 204, -3 (ErrSelf), 603
// (ErrNoInvitation) and 50 (ErrInviterFull, ErrInviteeFull).
func (s *Service) Accept(ctx context.Context, actor Actor, name string) error {
	inviter, err := s.other(ctx, actor, name)
	if err != nil {
		return err
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	return s.add(ctx, actor.App, actor.User, inviter, true, true)
}

// Decline declines an invitation. It is no error if there is none. The errors are code 204 and -3 (ErrSelf).
func (s *Service) Decline(ctx context.Context, actor Actor, name string) error {
	inviter, err := s.other(ctx, actor, name)
	if err != nil {
		return err
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	dropped, err := s.store.DropInvitation(ctx, actor.User.ID, inviter.ID)
	if err != nil {
		return refusal(err, nil, nil)
	}
	if !dropped {
		return nil
	}
	return s.tell(ctx, actor.App,
		event{reader: inviter, operation: msync.RosterBody_REMOTE_DECLINE, from: actor.User, to: []store.User{inviter}},
		event{reader: actor.User, operation: msync.RosterBody_DECLINE, from: actor.User, to: []store.User{inviter}, except: actor.Device})
}

// Add makes two users contacts without an invitation, as a backend may, and returns the other one. The errors are code
// 204, -3 (ErrSelf) and 50 (ErrInviterFull: the actor's list, ErrInviteeFull: the other's).
func (s *Service) Add(ctx context.Context, actor Actor, name string) (store.User, error) {
	other, err := s.other(ctx, actor, name)
	if err != nil {
		return other, err
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	return other, s.add(ctx, actor.App, other, actor.User, false, false)
}

// Imported says what became of the names that Import was given.
type Imported struct {
	Added   []string // contacts now, or already before
	Unknown []string // there is no such user
	Full    []string // the user's list, or theirs, has no room
	Failed  []string // the user, who is no contact of oneself
}

// Import makes users contacts of the actor without an invitation, as many as it can. They and the actor are told only if
// tell is set. Names that are repeated count once.
func (s *Service) Import(ctx context.Context, actor Actor, names []string, tell bool) (done Imported, err error) {
	seen := map[string]bool{}
	for _, name := range names {
		if name = account.Fold(name); seen[name] {
			continue
		}
		seen[name] = true
		other, err := s.other(ctx, actor, name)
		if err == nil {
			err = s.join(ctx, actor, other, tell)
		}
		switch {
		case err == nil:
			done.Added = append(done.Added, name)
		case errors.Is(err, account.ErrNoUser):
			done.Unknown = append(done.Unknown, name)
		case errors.Is(err, ErrInviterFull), errors.Is(err, ErrInviteeFull):
			done.Full = append(done.Full, name)
		case errors.Is(err, ErrSelf):
			done.Failed = append(done.Failed, name)
		default:
			return done, err
		}
	}
	return done, nil
}

// join makes the actor and another user contacts, and tells them if it is to.
func (s *Service) join(ctx context.Context, actor Actor, other store.User, tell bool) error {
	ctx, cancel := outlast(ctx)
	defer cancel()
	if tell {
		return s.add(ctx, actor.App, other, actor.User, false, false)
	}
	err := s.store.AddContact(ctx, peer(other), peer(actor.User), false, s.now(), s.accounts.Current(actor.App).Settings.ContactsPerUser)
	s.changed(other, actor.User)
	if err == nil || errors.Is(err, store.ErrExists) {
		return nil
	}
	return refusal(err, ErrInviteeFull, ErrInviterFull)
}

// Relations returns how a user stands to others, by name. Who is not there has no relation to anybody.
func (s *Service) Relations(ctx context.Context, app *account.App, user store.User, names []string) (map[string]store.Relation, error) {
	relations := map[string]store.Relation{}
	for _, name := range names {
		name = account.Fold(name)
		other, err := s.accounts.User(ctx, app, name)
		if errors.Is(err, account.ErrNoUser) {
			relations[name] = store.Relation{}
			continue
		} else if err != nil {
			return nil, err
		}
		if relations[name], err = s.store.Relation(ctx, user.ID, other.ID); err != nil {
			return nil, err
		}
	}
	return relations, nil
}

// Remove ends a relation for both users and returns the other one. It is no error if there is none. The errors are code
// 204 and -3 (ErrSelf).
func (s *Service) Remove(ctx context.Context, actor Actor, name string) (store.User, error) {
	other, err := s.other(ctx, actor, name)
	if err != nil {
		return other, err
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	removed, err := s.store.RemoveContact(ctx, actor.User.ID, other.ID)
	s.changed(actor.User, other)
	if err != nil {
		return other, refusal(err, nil, nil)
	}
	if !removed {
		return other, nil
	}
	return other, s.tell(ctx, actor.App,
		event{reader: other, operation: msync.RosterBody_REMOVE, from: actor.User, to: []store.User{other}},
		event{reader: actor.User, operation: msync.RosterBody_REMOVE, from: actor.User, to: []store.User{other}, except: actor.Device})
}

// Clear removes all contacts of a user.
func (s *Service) Clear(ctx context.Context, actor Actor) error {
	contacts, err := s.All(ctx, actor.User)
	if err != nil {
		return err
	}
	for _, c := range contacts {
		if _, err := s.Remove(ctx, actor, c.Peer.Name); err != nil && !errors.Is(err, account.ErrNoUser) {
			return err
		}
	}
	return nil
}

// SetRemark changes the user's own note on a contact. The errors are code 204, 50 (ErrRemark), 221 (ErrNotContact) and -3
// (ErrSelf).
func (s *Service) SetRemark(ctx context.Context, actor Actor, name, remark string) error {
	if utf8.RuneCountInString(remark) > maxRemark || !store.IsText(remark) {
		return refuse(errcode.MaxLimit, ErrRemark, "the remark is longer than %d characters", maxRemark)
	}
	other, err := s.other(ctx, actor, name)
	if err != nil {
		return err
	}
	err = s.store.SetRemark(ctx, actor.User.ID, other.ID, remark)
	if errors.Is(err, store.ErrNotFound) {
		return refuse(errcode.UserNotFriend, ErrNotContact, "%s is not a contact", other.Name)
	}
	return err
}

// List returns up to limit contacts, newest first, from the row below the given one on; 0: the newest.
func (s *Service) List(ctx context.Context, user store.User, below int64, limit int) ([]store.Contact, error) {
	return s.store.ListContacts(ctx, user.ID, below, limit)
}

// All returns all contacts of a user, newest first.
func (s *Service) All(ctx context.Context, user store.User) ([]store.Contact, error) {
	return s.List(ctx, user, 0, account.MostContacts)
}

// Block refuses messages and invitations of users from now on, and returns who they are. Who is blocked is not told. The
// errors are code 204, -3 (ErrSelf, ErrNoNames) and 50 (ErrTooMany, ErrBlockFull).
func (s *Service) Block(ctx context.Context, actor Actor, names []string) ([]store.User, error) {
	return s.bar(ctx, actor, names, msync.RosterBody_BAN, func(ctx context.Context, users []store.User) error {
		peers := make([]store.Peer, len(users))
		for i, user := range users {
			peers[i] = peer(user)
		}
		return s.store.Block(ctx, actor.User.ID, peers, s.now(), s.accounts.Current(actor.App).Settings.BlockedPerUser)
	})
}

// Unblock lifts blocks and returns whose. It is no error if there was none. The errors are code 204, -3 (ErrSelf, ErrNoNames)
// and 50 (ErrTooMany).
func (s *Service) Unblock(ctx context.Context, actor Actor, names []string) ([]store.User, error) {
	return s.bar(ctx, actor, names, msync.RosterBody_ALLOW, func(ctx context.Context, users []store.User) error {
		numbers := make([]int64, len(users))
		for i, user := range users {
			numbers[i] = user.ID
		}
		return s.store.Unblock(ctx, actor.User.ID, numbers)
	})
}

// bar changes the block list and tells the user's other devices.
func (s *Service) bar(ctx context.Context, actor Actor, names []string, operation msync.RosterBody_Operation, write func(context.Context, []store.User) error) ([]store.User, error) {
	users, err := s.others(ctx, actor, names)
	if err != nil {
		return nil, err
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	err = write(ctx, users)
	s.changed(actor.User, users...)
	if err != nil {
		return nil, refusal(err, ErrBlockFull, ErrBlockFull)
	}
	return users, s.tell(ctx, actor.App, event{reader: actor.User, operation: operation, from: actor.User, to: users, except: actor.Device})
}

// ListBlocked is List for the block list.
func (s *Service) ListBlocked(ctx context.Context, user store.User, below int64, limit int) ([]store.Blocked, error) {
	return s.store.ListBlocked(ctx, user.ID, below, limit)
}

// Operate does what a RosterBody asks for that a client sent over the socket, as old releases do.
func (s *Service) Operate(ctx context.Context, actor Actor, payload []byte) delivery.Result {
	return delivery.Result{ID: s.delivery.NewID(), Time: s.now(), Err: s.operate(ctx, actor, payload)}
}

func (s *Service) operate(ctx context.Context, actor Actor, payload []byte) error {
	var body msync.RosterBody
	if err := proto.Unmarshal(payload, &body); err != nil {
		return &errcode.Error{Code: errcode.BadMessage, Op: "contacts", Message: "the body does not decode", Err: err}
	}
	var names []string
	for _, to := range body.To {
		names = append(names, to.GetName())
	}
	each := func(one func(context.Context, Actor, string) error) error {
		if err := checkNames(names); err != nil {
			return err
		}
		for _, name := range names {
			if err := one(ctx, actor, name); err != nil {
				return err
			}
		}
		return nil
	}
	var err error
	switch body.Operation {
	case msync.RosterBody_ADD:
		return s.Invite(ctx, actor, names, body.Reason)
	case msync.RosterBody_ACCEPT:
		return each(s.Accept)
	case msync.RosterBody_DECLINE:
		return each(s.Decline)
	case msync.RosterBody_REMOVE:
		return each(func(ctx context.Context, actor Actor, name string) error {
			_, err := s.Remove(ctx, actor, name)
			return err
		})
	case msync.RosterBody_BAN:
		_, err = s.Block(ctx, actor, names)
	case msync.RosterBody_ALLOW:
		_, err = s.Unblock(ctx, actor, names)
	default:
		err = errcode.Newf(errcode.ServiceNotEnabled, "this server does not offer %v over the socket", body.Operation)
	}
	return err
}

func (s *Service) now() int64 { return s.clock.Now().UnixMilli() }

// event is a change as one user's devices are told of it. From is who acted; an ACCEPT names the new contact there.
type event struct {
	reader    store.User
	operation msync.RosterBody_Operation
	from      store.User
	to        []store.User
	reason    string
	except    int64 // a device of the reader; 0: none
}

// tell appends events to their readers' timelines, and returns when they are durable.
func (s *Service) tell(ctx context.Context, app *account.App, events ...event) error {
	var posts []delivery.Post
	for _, e := range events {
		meta, err := e.meta()
		if err != nil {
			return fmt.Errorf("pack event: %w", err)
		}
		post := delivery.Post{Key: store.UserKey(app.ID, e.reader.ID), Sender: e.from.ID, Meta: meta}
		if e.from.ID == e.reader.ID {
			post.Device = e.except
		}
		posts = append(posts, post)
	}
	return s.delivery.AppendAll(ctx, posts...)
}

func (e event) meta() ([]byte, error) {
	jid := func(u store.User) *msync.JID { return &msync.JID{Name: u.Name, Domain: msync.UserDomain} }
	body := &msync.RosterBody{Operation: e.operation, From: jid(e.from), Reason: e.reason}
	for _, to := range e.to {
		body.To = append(body.To, jid(to))
	}
	payload, err := proto.Marshal(body)
	if err != nil {
		return nil, err
	}
	return msync.StoredMeta(&msync.Meta{From: jid(e.from), To: jid(e.reader), Ns: msync.Meta_ROSTER, Payload: payload})
}
