package account

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

// Login is a user who has proved to be it.
type Login struct {
	App        *App
	User       store.User
	Generation uint32 // of the user's tokens at that moment
	Expires    int64  // end of the token, milliseconds since 1970; 0: none
}

// Login checks a token for a user's name. The errors are those of the sign-in: 27 (unknown app), 57 (app switched off),
// 28 and 56 (token), 204 (user), 2 (banned).
func (a *Service) Login(ctx context.Context, appKey, name, text string) (Login, error) {
	app, err := a.App(appKey)
	if err != nil {
		return Login{}, err
	}
	if !app.Settings.Serving {
		return Login{}, &errcode.Error{Code: errcode.ServingDisabled, Op: "login", Message: "the application is switched off", Err: ErrServingDisabled}
	}
	c, err := a.claim(app, text)
	if err != nil {
		return Login{}, err
	}
	if c.app {
		return Login{}, refuseToken(ErrTokenPrivilege)
	}
	// By name and from the store: a login must see a new password or ban at once.
	folded := Fold(name)
	if !nameForm.MatchString(folded) {
		return Login{}, noUser(name)
	}
	user, err := a.users.Refresh(userKey{app.ID, folded}, func() (store.User, error) { return a.store.User(ctx, app.ID, folded) })
	if errors.Is(err, store.ErrNotFound) {
		return Login{}, noUser(name)
	} else if err != nil {
		return Login{}, err
	}
	if err := a.check(ctx, app, c, user); err != nil {
		return Login{}, err
	}
	login := Login{App: app, User: user, Generation: user.Generation}
	if !c.expires.IsZero() {
		login.Expires = c.expires.UnixMilli()
	}
	return login, nil
}

// DeviceInfo is what a client says of its device (docs/protocol/wire.md §2.3).
type DeviceInfo struct {
	Resource string
	UUID     string
	Name     string
	Reason   string // shown to a device that this login displaces
}

// platform is what limits of devices are counted by: the first part of the resource, where the web client writes
// "webim" for itself and its platform after it.
func (d DeviceInfo) platform() string {
	name, rest, _ := strings.Cut(d.Resource, "_")
	switch {
	case name == "webim" || name == "web":
		return "web"
	case name != "" && rest != "":
		return name
	}
	return "other"
}

// OpenSession notes that a device is online, and ends others if there are too many now.
func (a *Service) OpenSession(ctx context.Context, login Login, info DeviceInfo) (store.Session, error) {
	now := a.now()
	device, err := a.store.OpenDevice(ctx, store.Device{User: login.User.ID, Resource: info.Resource, Platform: info.platform(),
		UUID: info.UUID, Name: info.Name, Seen: now})
	if err != nil {
		return store.Session{}, err
	}
	session := store.Session{ID: a.delivery.NewID(), User: login.User.ID, Device: device.ID, Resource: device.Resource,
		Platform: device.Platform, UUID: device.UUID, Name: device.Name, Node: a.node, Since: now}
	others, err := a.store.PutSession(ctx, session, now)
	if err != nil {
		return session, err
	}
	for _, out := range displaced(login.App.Settings, session, others) {
		if err := a.endOne(ctx, out, msync.StatisticsBody_USER_LOGIN_ANOTHER_DEVICE, info.Reason); err != nil {
			return session, errors.Join(err, a.store.DropSession(ctx, session.User, session.ID))
		}
	}
	for _, o := range a.observers {
		o.SessionOpened(session)
	}
	return session, nil
}

// displaced returns the sessions that have to go for a new one. Others are oldest first.
func displaced(rules Settings, session store.Session, others []store.Session) []store.Session {
	if !rules.MultiDevice {
		return others
	}
	var same []store.Session
	for _, other := range others {
		if other.Platform == session.Platform {
			same = append(same, other)
		}
	}
	return same[:max(0, len(same)+1-rules.MaxDevicesPerPlatform)]
}

// CloseSession notes that a session has ended.
func (a *Service) CloseSession(ctx context.Context, session store.Session) error {
	how, err := a.closing(ctx, session)
	err = errors.Join(err, a.store.SeeDevice(ctx, session.User, session.Device, a.now()), a.store.DropSession(ctx, session.User, session.ID))
	for _, o := range a.observers {
		o.SessionClosed(session, how)
	}
	return err
}

// closing finds out why a session ends: who has ended it has removed it from the store.
func (a *Service) closing(ctx context.Context, session store.Session) (Closing, error) {
	sessions, err := a.store.ListSessions(ctx, session.User, a.now())
	if err != nil || slices.ContainsFunc(sessions, func(s store.Session) bool { return s.ID == session.ID }) {
		return ClosedItself, err
	}
	if slices.ContainsFunc(sessions, func(s store.Session) bool { return s.Device == session.Device }) {
		return ClosedShadow, nil
	}
	return ClosedKicked, nil
}

// Sessions returns where a user is online, oldest first.
func (a *Service) Sessions(ctx context.Context, user store.User) ([]store.Session, error) {
	return a.store.ListSessions(ctx, user.ID, a.now())
}

// CheckSession says whether a session may go on: a kick may have been missed. If it may not, kick says how to end it.
func (a *Service) CheckSession(ctx context.Context, login Login, session store.Session) (kick delivery.Kick, ok bool, err error) {
	user, err := a.User(ctx, login.App, login.User.Name)
	switch {
	case errors.Is(err, ErrNoUser), err == nil && user.ID != login.User.ID:
		return delivery.Kick{Operation: int32(msync.StatisticsBody_USER_REMOVED)}, false, nil
	case err != nil:
		return kick, false, err
	case !user.Active:
		return delivery.Kick{Operation: int32(msync.StatisticsBody_USER_KICKED_BY_OTHER_DEVICE)}, false, nil
	case user.Generation != login.Generation:
		return delivery.Kick{Operation: int32(msync.StatisticsBody_USER_KICKED_BY_CHANGE_PASSWORD)}, false, nil
	}
	if ok, err = a.store.HasSession(ctx, session.User, session.ID); err == nil && !ok {
		// A client may hold two sockets of one device for a moment (docs/protocol/wire.md §11). A kick on the older one
		// would sign it out, so being replaced by oneself is no reason to go.
		ok, err = a.online(ctx, login.User, session.Device)
	}
	return delivery.Kick{Operation: int32(msync.StatisticsBody_USER_KICKED_BY_OTHER_DEVICE)}, ok, err
}

func (a *Service) online(ctx context.Context, user store.User, device int64) (bool, error) {
	sessions, err := a.Sessions(ctx, user)
	return slices.ContainsFunc(sessions, func(s store.Session) bool { return s.Device == device }), err
}

// end ends all sessions of a user.
func (a *Service) end(ctx context.Context, user store.User, operation msync.StatisticsBody_Operation) error {
	sessions, err := a.Sessions(ctx, user)
	if err != nil {
		return err
	}
	for _, session := range sessions {
		if err := a.store.DropSession(ctx, session.User, session.ID); err != nil {
			return err
		}
	}
	a.delivery.Kick(user.ID, delivery.Kick{Operation: int32(operation)})
	return nil
}

func (a *Service) endOne(ctx context.Context, session store.Session, operation msync.StatisticsBody_Operation, reason string) error {
	if err := a.store.DropSession(ctx, session.User, session.ID); err != nil {
		return err
	}
	a.delivery.Kick(session.User, delivery.Kick{Session: session.ID, Operation: int32(operation), Reason: reason})
	return nil
}

// Disconnect ends the sessions of a user with code 217: all, or those of one device. The errors are code 204 and
// ErrNoDevice under code 17.
func (a *Service) Disconnect(ctx context.Context, app *App, name, resource string) error {
	user, err := a.User(ctx, app, name)
	if err != nil {
		return err
	}
	if resource == "" {
		return a.end(ctx, user, msync.StatisticsBody_USER_KICKED_BY_OTHER_DEVICE)
	}
	sessions, err := a.Sessions(ctx, user)
	if err != nil {
		return err
	}
	for _, session := range sessions {
		if session.Resource == resource {
			return a.endOne(ctx, session, msync.StatisticsBody_USER_KICKED_BY_OTHER_DEVICE, "")
		}
	}
	return &errcode.Error{Code: errcode.RequestFailed, Message: "the user is not online on that device", Err: ErrNoDevice}
}

// Extend tells the sessions of a token's bearer that the token has been taken up.
func (a *Service) Extend(who Principal) {
	until := int64(0)
	if !who.Expires.IsZero() {
		until = who.Expires.UnixMilli()
	}
	a.delivery.Extend(who.User.ID, until)
}
