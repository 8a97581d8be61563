package store

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// MucKind tells groups, chatrooms and threads apart. They share their tables.
type MucKind uint8

const (
	MucGroup  MucKind = 1
	MucRoom   MucKind = 2 // has no subscriptions: what happens in it is sent to who is online
	MucThread MucKind = 3 // hangs on a message of a group
)

// FirstRole is the role of who makes one: of a thread it is that of a member, who may leave.
func (k MucKind) FirstRole() Role {
	if k == MucThread {
		return RoleMember
	}
	return RoleOwner
}

// MucIDBase is what the wire id of a group, room or thread is above its number, so that ids have 15 digits and are still
// exact in JavaScript.
const MucIDBase = 1 << 48

// Role is a member's role; higher roles may do more.
type Role uint8

const (
	RoleNone   Role = 0 // not a member
	RoleMember Role = 1
	RoleAdmin  Role = 2
	RoleOwner  Role = 3
)

// Muc is a group, a chatroom or a thread.
type Muc struct {
	ID      int64
	App     int64
	Kind    MucKind
	Name    string // the id on the wire, unique in the app; decimal unless an import brought another
	Owner   Peer   // ID 0: the owner has been deleted
	Parent  int64  // of a thread: the group; else 0
	Message int64  // of a thread: the message's id; else 0

	Title, Description, Avatar, Custom, Announcement string

	Public        bool // listed and open to applications
	Approval      bool // who wants to join needs the consent of the owner or an admin
	AllowInvites  bool // members may invite, not only the owner and admins
	InviteConfirm bool // who is invited must consent

	MaxUsers int
	Members  int // the owner included
	MuteAll  bool
	Disabled bool

	Created, Modified int64
}

// MucChange says what UpdateMuc changes; nil fields stay.
type MucChange struct {
	Title, Description, Avatar, Custom, Announcement *string
	Public, Approval, AllowInvites, InviteConfirm    *bool
	MuteAll, Disabled                                *bool
	MaxUsers                                         *int
}

// TitleKey is a title as searches compare it.
func TitleKey(title string) string { return strings.ToLower(title) }

// MucQuery asks for a page of a list of groups, rooms or threads, newest first.
type MucQuery struct {
	App    int64
	Kind   MucKind
	Parent int64 // of threads: the group; 0: any
	// Messages are ids: only threads that hang on one of them; Parent must be given. nil: any.
	Messages []int64
	Public   bool   // only public ones
	Search   string // only those whose title begins with it, in any case of letters; empty: any
	Below    int64  // only numbers below it; 0: any
	Offset   int    // how many to skip
	Limit    int
	Oldest   bool // oldest first; Below is then above
}

// Member is a row of a member list.
type Member struct {
	Row        int64 // later joiners have higher numbers
	User       Peer
	Role       Role
	Joined     int64
	Shielded   bool              // the member has blocked the messages
	Attributes map[string]string // of members; nil: none
}

// MemberQuery asks for a page of a member list, in order of joining.
type MemberQuery struct {
	After    int64 // only rows above it
	Offset   int   // how many to skip
	Limit    int
	Role     Role // only this role and higher ones
	Shielded bool // only who has blocked the messages
}

// Joined is a row of the list of what a user has joined.
type Joined struct {
	Row    int64 // what was joined later has a higher number
	Muc    Muc
	Role   Role
	Joined int64
}

// JoinedQuery asks for a page of what a user has joined, newest first.
type JoinedQuery struct {
	User   int64
	Kind   MucKind
	Parent int64 // of threads: the group; 0: any
	Below  int64 // only rows below it; 0: any
	Offset int   // how many to skip
	Limit  int
}

// Mark is what can be noted about a user in a group or room, member or not.
type Mark uint8

const (
	MarkMute   Mark = 1 // may not write until the given time
	MarkAllow  Mark = 2 // may write while all are muted; goes with the membership
	MarkBan    Mark = 3 // may not come in
	MarkInvite Mark = 4 // has been asked to join
	MarkApply  Mark = 5 // has asked to join
)

// Marked is a user with a mark.
type Marked struct {
	Row     int64 // later ones have higher numbers
	User    Peer
	Until   int64  // of MarkMute: when it ends; Forever
	By      Peer   // of MarkInvite: who has invited
	Reason  string // of MarkInvite and MarkApply
	Created int64
}

// Forever is the end of a mute that does not end.
const Forever = 1<<53 - 1 // exact in JavaScript

// Standing is how a user stands to a group, room or thread.
type Standing struct {
	Role       Role
	Joined     int64
	Shielded   bool
	MutedUntil int64 // 0: not muted
	Allowed    bool
	Banned     bool
	Invited    bool
	InvitedBy  Peer
	Applied    bool
}

// Join says how users become members.
type Join struct {
	Muc     int64
	Users   []Peer // at most some hundred in one call
	Needs   Mark   // MarkInvite or MarkApply: only who has this mark joins; 0: whoever
	PerUser int    // how many of the kind a user may have joined
	Force   bool   // bans do not count
	Now     int64
}

// Numbers returns those of the users, each once.
func (j Join) Numbers() (ids []int64) {
	for _, user := range j.Users {
		if !slices.Contains(ids, user.ID) {
			ids = append(ids, user.ID)
		}
	}
	return ids
}

// MemberChange tells what a change of members has done.
type MemberChange struct {
	Users    []Peer // who has joined or left; who was there, or was not, is left out
	Full     []Peer // who has not joined because of Join.PerUser
	Banned   []Peer // who has not joined because of a ban
	Members  int    // how many there are now
	Timeline int64  // of groups and threads
	// At is the last entry before those who joined begin to read, or the last one that those who left read.
	At   int64
	Keys []string // attributes of a room that went with who left
}

// Candidate is a user of a Join who is no member yet.
type Candidate struct {
	User    Peer
	Banned  bool
	Full    bool // has joined Join.PerUser already
	Invited bool // has the mark that the Join needs, or it needs none
}

// Choose returns who of the candidates joins, and the number of members with them, for a group or room that has members and
// takes limit. Errors: ErrNotFound if nobody has the mark that the Join needs, ErrFull if they are too many.
func (j Join) Choose(candidates []Candidate, members, limit int) (MemberChange, error) {
	change := MemberChange{Members: members}
	asked := false
	for _, c := range candidates {
		switch {
		case !c.Invited:
			continue
		case c.Banned && !j.Force:
			change.Banned = append(change.Banned, c.User)
		case c.Full:
			change.Full = append(change.Full, c.User)
		default:
			change.Users = append(change.Users, c.User)
		}
		asked = true
	}
	switch {
	case j.Needs != 0 && len(candidates) > 0 && !asked:
		return change, ErrNotFound
	case members+len(change.Users) > limit:
		return change, ErrFull
	}
	change.Members += len(change.Users)
	return change, nil
}

// Attribute is an attribute of a chatroom.
type Attribute struct {
	Key, Value string
	User       int64 // who has set it
	Auto       bool  // goes when that user leaves
}

// RoomTag is a tag of a member of a chatroom.
type RoomTag struct {
	Tag   string
	Until int64 // who had the tag then has been muted until this time; 0: not
}

// AttributeChange says who changes the attributes of a chatroom, and how.
type AttributeChange struct {
	Muc      int64
	User     int64
	Auto     bool // what is set goes when the user leaves
	Forced   bool // also what others have set
	Outsider bool // the user need be no member
	Limit    int  // attributes that a room can have
}

// PickAttributes splits what SetRoomAttributes is to set, given who has set what is there, into what is set and why the rest
// is not.
func PickAttributes(c AttributeChange, set map[string]string, there map[string]int64) (do []Attribute, refused map[string]error) {
	refused, count := map[string]error{}, len(there)
	for _, key := range slices.Sorted(maps.Keys(set)) {
		owner, is := there[key]
		switch {
		case is && owner != c.User && !c.Forced:
			refused[key] = ErrExists
			continue
		case !is && count >= c.Limit:
			refused[key] = ErrFull
			continue
		case !is:
			count++
		}
		do = append(do, Attribute{Key: key, Value: set[key], User: c.User, Auto: c.Auto})
	}
	return do, refused
}

// PickDropped is PickAttributes for DropRoomAttributes.
func PickDropped(c AttributeChange, keys []string, there map[string]int64) (drop []string, refused map[string]error) {
	refused = map[string]error{}
	for _, key := range keys {
		switch owner, is := there[key]; {
		case !is:
			refused[key] = ErrNotFound
		case owner != c.User && !c.Forced:
			refused[key] = ErrExists
		default:
			drop = append(drop, key)
		}
	}
	return drop, refused
}

// MergeAttributes makes a member's attributes of the old ones and a change, also as the JSON that is kept. ErrFull if keys
// and values have more than limit bytes together.
func MergeAttributes(old, change map[string]string, limit int) (map[string]string, string, error) {
	merged, size := map[string]string{}, 0
	maps.Copy(merged, old)
	for key, value := range change {
		if value == "" {
			delete(merged, key)
		} else {
			merged[key] = value
		}
	}
	for key, value := range merged {
		size += len(key) + len(value)
	}
	if size > limit {
		return nil, "", ErrFull
	}
	text, err := json.Marshal(merged)
	return merged, string(text), err
}

// Stay is a user's membership.
type Stay struct {
	Row  int64
	Muc  int64
	User Peer
}

// Mucs keeps groups, chatrooms and threads with their members. Names of users are kept beside their numbers; they never
// change. Whoever joins or leaves a group or thread begins or ends to read its timeline in the same transaction.
type Mucs interface {
	// CreateMuc stores a group, room or thread with its owner as the first member, in the FirstRole, and returns it with
	// its number, and its name if that was empty. ErrExists if the name is taken, or if the message of a thread has one. ErrFull if the
	// app has perApp of the kind already, ErrPeerFull if the owner has joined perUser. ErrNotFound if the owner is gone.
	CreateMuc(ctx context.Context, muc Muc, perApp, perUser int) (Muc, MemberChange, error)
	// Muc returns a group, room or thread by its name. ErrNotFound.
	Muc(ctx context.Context, app int64, name string) (Muc, error)
	// MucByID returns a group, room or thread by its number. ErrNotFound.
	MucByID(ctx context.Context, id int64) (Muc, error)
	// ListMucs returns a page of groups, rooms or threads.
	ListMucs(ctx context.Context, query MucQuery) ([]Muc, error)
	// UpdateMuc changes a row and returns the new one. ErrNotFound.
	UpdateMuc(ctx context.Context, id, now int64, change MucChange) (Muc, error)
	// CloseMuc takes a group, room or thread out of all lists: from now on it is not found. ErrNotFound. Its members
	// stay until DropMembers has removed them, so that they can be told.
	CloseMuc(ctx context.Context, id int64) error
	// ClosedMucs returns up to limit of those that have been closed and still have rows.
	ClosedMucs(ctx context.Context, limit int) ([]Muc, error)
	// DropMembers removes up to limit members of what has been closed, the owner too, and at the end all other rows of it.
	// No Users in the answer means that nothing is left.
	DropMembers(ctx context.Context, muc int64, limit int) (MemberChange, error)

	// Standing returns how a user stands to a group, room or thread.
	Standing(ctx context.Context, muc, user int64) (Standing, error)
	// AddMembers makes users members, and removes their invitations and applications. ErrFull if all would be more than
	// MaxUsers: then nobody joins. ErrNotFound if the group is gone, or with Join.Needs if nobody has that mark. Who has
	// been deleted is left out.
	AddMembers(ctx context.Context, join Join) (MemberChange, error)
	// RemoveMembers ends memberships; the owner stays. ErrNotFound if the group is gone.
	RemoveMembers(ctx context.Context, muc int64, users []int64) (MemberChange, error)
	// ListMembers returns a page of the members.
	ListMembers(ctx context.Context, muc int64, query MemberQuery) ([]Member, error)
	// FindMembers returns those of the users who are members, in order of joining.
	FindMembers(ctx context.Context, muc int64, users []int64) ([]Member, error)
	// SetRole makes a member an admin or an admin a member, and reports whether that changed anything. ErrNotFound if the
	// user is no member or the owner. ErrFull if there are limit admins already.
	SetRole(ctx context.Context, muc, user int64, role Role, limit int) (bool, error)
	// ChangeOwner makes another member the owner and the old one a member. ErrNotFound if the user is no member.
	ChangeOwner(ctx context.Context, muc, user, now int64) error
	// SetShield has a member stop or begin again to read the timeline. ErrNotFound if the user is no member.
	SetShield(ctx context.Context, muc int64, user Peer, on bool) (MemberChange, error)
	// SetMemberAttributes changes a member's attributes; an empty value removes one. It returns all. ErrNotFound if the
	// user is no member, ErrFull if keys and values together would have more than limit bytes.
	SetMemberAttributes(ctx context.Context, muc, user int64, change map[string]string, limit int) (map[string]string, error)
	// JoinedMucs returns a page of what a user has joined.
	JoinedMucs(ctx context.Context, query JoinedQuery) ([]Joined, error)
	// CountJoined returns how many of a kind a user has joined.
	CountJoined(ctx context.Context, user int64, kind MucKind) (int, error)

	// PutMarks marks users, each named once, or changes their marks. Mutes that had ended when the first of them was marked
	// are removed. ErrNotFound if the group is gone. ErrFull if more than limit would have the mark. Who is gone is left out.
	PutMarks(ctx context.Context, muc int64, mark Mark, users []Marked, limit int) error
	// DropMarks removes marks and returns whose.
	DropMarks(ctx context.Context, muc int64, mark Mark, users []int64) ([]Peer, error)
	// ListMarks returns up to limit marks, oldest first, whose row is above after. Mutes that end before now are left out.
	ListMarks(ctx context.Context, muc int64, mark Mark, now, after int64, limit int) ([]Marked, error)

	// SetRoomTags replaces the tags of a member of a chatroom; those that stay keep their mutes. They go when the member
	// leaves. ErrNotFound if the room is gone or the user is no member.
	SetRoomTags(ctx context.Context, muc, user int64, tags []string) error
	// RoomTags returns the tags of a member of a chatroom, in their order. ErrNotFound if the user is no member.
	RoomTags(ctx context.Context, muc, user int64) ([]RoomTag, error)
	// MuteRoomTag notes until when those who have a tag are muted, and returns them without the owner. It mutes nobody:
	// that is PutMarks. ErrNotFound if nobody in the room has the tag.
	MuteRoomTag(ctx context.Context, muc int64, tag string, until int64) ([]Peer, error)

	// RoomAttributes returns attributes of a chatroom, by key; without keys all of them.
	RoomAttributes(ctx context.Context, muc int64, keys []string) ([]Attribute, error)
	// SetRoomAttributes sets attributes of a chatroom. It returns why single keys were not set: ErrExists if somebody else has
	// set it, ErrFull if there are too many. ErrNotFound if the room is gone or the user is no member.
	SetRoomAttributes(ctx context.Context, change AttributeChange, set map[string]string) (map[string]error, error)
	// DropRoomAttributes removes attributes of a chatroom. It returns why single keys were not removed: ErrNotFound, or
	// ErrExists if somebody else has set it.
	DropRoomAttributes(ctx context.Context, change AttributeChange, keys []string) (map[string]error, error)

	// PutSuperAdmin lets a user create chatrooms; it is no error if the user may already. ErrNotFound if the user is gone.
	PutSuperAdmin(ctx context.Context, app int64, user Peer) error
	// DropSuperAdmin takes that away and reports whether there was something to take.
	DropSuperAdmin(ctx context.Context, app, user int64) (bool, error)
	// IsSuperAdmin reports whether a user may create chatrooms.
	IsSuperAdmin(ctx context.Context, app, user int64) (bool, error)
	// ListSuperAdmins returns a page of the users who may, in order of their numbers.
	ListSuperAdmins(ctx context.Context, app int64, offset, limit int) ([]Peer, error)

	// SetAway notes that a user has been without a session since then, in all chatrooms that the user is in; 0: is back.
	SetAway(ctx context.Context, user, since int64) error
	// CheckAway looks at up to limit memberships of chatrooms whose row is above after, and notes of each whether the
	// user has a session: since when there is none, or that the user is back. The time now is that of the nodes' leases. It
	// returns the last row, or 0 at the end.
	CheckAway(ctx context.Context, after, since, now int64, limit int) (int64, error)
	// AwayMembers returns up to limit memberships of chatrooms of an app whose user has been away since before then and
	// is a plain member without MarkAllow, the longest away first.
	AwayMembers(ctx context.Context, app, before int64, limit int) ([]Stay, error)
}
