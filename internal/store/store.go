// Package store is Stoa's durable state: applications, users, devices, sessions, timelines, cursors, contacts and what is
// known of files. The interfaces here have two implementations, sqlite (one node) and postgres (many nodes), held to one
// suite (storetest).
//
// What a method reports as done is on disk when it returns, unless it says otherwise. All methods are safe for
// concurrent use. Times are milliseconds since 1970 UTC. Numbers (app, user, device, timeline) are never used twice, so
// that a deleted name registered again inherits nothing.
package store

import (
	"context"
	"errors"
	"strings"
	"unicode/utf8"
)

var (
	// ErrNotFound is returned when the row asked for does not exist.
	ErrNotFound = errors.New("not found")
	// ErrExists is returned when a row with that unique name is there already.
	ErrExists = errors.New("already exists")
	// ErrConflict is the result of a change that another one was ahead of.
	ErrConflict = errors.New("changed meanwhile")
	// ErrLeaseLost is returned by RenewNode when the node's number has been given to another node.
	ErrLeaseLost = errors.New("node lease lost")
)

// Store is everything; services take the part that they need.
type Store interface {
	Apps
	Users
	Cluster
	Sessions
	Timelines
	Contacts
	Mucs
	Files
	Receipts
	Reactions
	Pins
	Reports
	Profiles
	Presence
	Push
	Notifications
	Callbacks
	Pushes
	Conversations
	Words
	Rules
	Mutes
	Verdicts
	Archives
	// Ping reports whether the store answers.
	Ping(ctx context.Context) error
	// Close ends all work after what was accepted is durable.
	Close() error
}

// App is an application: the tenant that every other row belongs to.
type App struct {
	ID           int64
	Org, Name    string // the app key is Org#Name
	UUID         string
	AgoraID      string // the Agora App ID that AccessToken2 tokens carry; 32 hex digits
	Certificate  string // primary App Certificate, as typed
	Certificate2 string // secondary App Certificate; may be empty
	ClientID     string
	ClientSecret string // kept as it is: it also signs dynamic tokens (docs/protocol/tokens.md §5)
	SigningKey   []byte // signs the tokens that the server issues
	Settings     []byte // JSON; its meaning belongs to the account service
	Created      int64
}

// Apps keeps applications.
type Apps interface {
	// CreateApp stores a new application and returns it with its number. ErrExists if the app key, the Agora App ID or
	// the client id is taken.
	CreateApp(ctx context.Context, app App) (App, error)
	// Apps returns all applications, oldest first.
	Apps(ctx context.Context) ([]App, error)
	// SaveAppSettings replaces the settings of an application. ErrNotFound if there is none.
	SaveAppSettings(ctx context.Context, app int64, settings []byte) error
}

// User is a registered user of an application.
type User struct {
	ID           int64
	App          int64
	Name         string // folded to lower case by the account service
	UUID         string
	Nickname     string
	PasswordHash string // PHC string; empty: no login by password
	Active       bool   // false: banned
	Generation   uint32 // issued tokens of an older generation are revoked
	Created      int64
	Modified     int64
}

// UserChange says what UpdateUser changes; nil fields stay.
type UserChange struct {
	PasswordHash *string
	Nickname     *string
	Active       *bool
	Revoke       bool // raise Generation
}

// Users keeps users.
type Users interface {
	// CreateUser stores a new user and returns it with its number. ErrExists if the name is taken in the app.
	CreateUser(ctx context.Context, user User) (User, error)
	// User returns a user by name. ErrNotFound.
	User(ctx context.Context, app int64, name string) (User, error)
	// UserByID returns a user by number. ErrNotFound.
	UserByID(ctx context.Context, id int64) (User, error)
	// UserByUUID returns a user by UUID. ErrNotFound.
	UserByUUID(ctx context.Context, app int64, uuid string) (User, error)
	// ListUsers returns up to limit users whose number is above after, in order of registration.
	ListUsers(ctx context.Context, app int64, after int64, limit int) ([]User, error)
	// UpdateUser changes a user and returns the new row. ErrNotFound.
	UpdateUser(ctx context.Context, id int64, now int64, change UserChange) (User, error)
	// DeleteUser removes a user with devices, cursors, subscriptions and sessions, and from the lists of contacts and the
	// block lists of all, and from groups and chatrooms; those that the user owns have no owner then. What the user wrote
	// to others stays. ErrNotFound.
	DeleteUser(ctx context.Context, id int64) error
}

// Lease is a node's right to its number, and with it to a part of the message ids.
type Lease struct {
	Node    int    // 0 to 1023
	Token   string // proves that the lease is still ours
	IDFloor int64  // milliseconds: ids must be made of a later time than this, whatever the clock says
}

// Cluster keeps the nodes.
type Cluster interface {
	// JoinCluster leases a node number until the given time and reserves as much time for its ids, counted from the
	// floor or from now, whichever is later.
	JoinCluster(ctx context.Context, now, until int64) (Lease, error)
	// RenewNode extends the lease and reserves ids up to until. ErrLeaseLost.
	RenewNode(ctx context.Context, lease Lease, now, until int64) error
	// LeaveCluster gives the number back and removes the node's sessions.
	LeaveCluster(ctx context.Context, lease Lease) error
}

// Device is a place where a user logs in; it keeps cursors.
type Device struct {
	ID       int64
	User     int64
	Resource string // the name that the client gives, docs/protocol/wire.md §2.3
	Platform string
	UUID     string
	Name     string
	Seen     int64
}

// Session is a device that is online.
type Session struct {
	ID       int64 // unique over all nodes and restarts
	User     int64
	Device   int64
	Resource string
	Platform string
	UUID     string
	Name     string
	Node     int
	Since    int64
}

// Sessions keeps who is online. Sessions of nodes whose lease has ended do not count.
type Sessions interface {
	// OpenDevice finds the user's device by resource or makes it. A new device begins with what no other device of the
	// user has had. It also notes when the device was seen. A user that has just been deleted may give ErrNotFound.
	OpenDevice(ctx context.Context, device Device) (Device, error)
	// SeeDevice notes when a device was seen last; it is no error if the device is gone.
	SeeDevice(ctx context.Context, user, device, seen int64) error
	// ForgetDevices removes up to limit devices that were last seen before the given time and are not online; their
	// cursors go with them. It returns how many were removed.
	ForgetDevices(ctx context.Context, before int64, limit int) (int, error)
	// PutSession notes that a session is online and returns the user's other sessions, oldest first. An older session
	// of the same device is replaced and not among them.
	PutSession(ctx context.Context, session Session, now int64) ([]Session, error)
	// DropSession removes a session; it is no error if it is gone.
	DropSession(ctx context.Context, user, id int64) error
	// ListSessions returns the user's sessions, oldest first.
	ListSessions(ctx context.Context, user int64, now int64) ([]Session, error)
	// SessionsOf returns the sessions of users, each user's oldest first.
	SessionsOf(ctx context.Context, users []int64, now int64) ([]Session, error)
	// HasSession reports whether the session has neither ended nor been replaced nor been kicked.
	HasSession(ctx context.Context, user, id int64) (bool, error)
}

// Kind is what a timeline belongs to.
type Kind uint8

const (
	KindUser Kind = 1 // the notices of user A
	KindPair Kind = 2 // the conversation of users A and B, A ≤ B
	KindMuc  Kind = 3 // the conversation of the group, chatroom or thread A
)

// Key names a timeline.
type Key struct {
	App  int64
	Kind Kind
	A, B int64
}

// PairKey names the conversation of two users, or of one with oneself.
func PairKey(app, a, b int64) Key {
	if a > b {
		a, b = b, a
	}
	return Key{App: app, Kind: KindPair, A: a, B: b}
}

// UserKey names a user's own timeline.
func UserKey(app, user int64) Key { return Key{App: app, Kind: KindUser, A: user} }

// MucKey names the conversation of a group, chatroom or thread.
func MucKey(app, muc int64) Key { return Key{App: app, Kind: KindMuc, A: muc} }

// Readers returns the users who read the timeline. Of a KindMuc it returns none: those are its members.
func (k Key) Readers() []int64 {
	switch {
	case k.Kind == KindMuc:
		return nil
	case k.Kind == KindPair && k.A != k.B:
		return []int64{k.A, k.B}
	}
	return []int64{k.A}
}

// Draft is an entry to append.
type Draft struct {
	Key      Key
	ID       int64 // message id; kept unless the entry is a repetition
	Time     int64
	Sender   int64  // user; 0: the server
	Device   int64  // the sender's device; 0: none
	ClientID uint64 // the client's id for it; 0: never a repetition
	Content  Content
	Ref      int64 // the entry of the same timeline that this one is about; 0: none
	Audience Audience
	Amend    *Amend // an earlier entry to change in the same commit; nil: none
	Meta     []byte // opaque here: msync.AppendMeta's form
}

// Appended tells what became of a Draft.
type Appended struct {
	Timeline int64
	Seq      int64 // 1 for the first entry; without gaps
	ID       int64
	Time     int64
	// Repeated: the same sender, device, client id, timeline and content was there already. The other fields are those
	// of the first copy, and nothing was written.
	Repeated bool
	// Err tells that this draft failed; others of the batch may have succeeded. ErrConflict and ErrNotFound are about what
	// it should amend.
	Err error
}

// IsText reports whether a store can keep a string as text: PostgreSQL takes neither NUL nor what is not UTF-8.
func IsText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }
