package muc

import (
	"fmt"
	"io"
	"strings"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/store"
)

//go:generate go run ./internal/gen ../../docs/permissions.md

// Standing is how a user stands to a group or room, as far as the policy tells users apart.
type Standing int

// The standings, from the highest role down.
const (
	Owner    Standing = iota
	Admin             // made by the owner
	Member            // joined
	Muted             // a member who may not write at the moment
	Blocked           // may not come in
	Invited           // no member, but has been asked to join
	Stranger          // anybody else
	standings
)

var standingNames = [standings]string{"owner", "admin", "member", "muted", "blocked", "invited", "stranger"}

// String returns the word for it, in lower case.
func (s Standing) String() string { return standingNames[s] }

// Operation is something that the policy allows or refuses.
type Operation int

// The operations, in the order of docs/permissions.md, where each is explained.
const (
	Send Operation = iota
	See
	SeePrivate
	ReadList
	ReadOwn
	Join
	JoinPrivate
	AnswerInvitation
	Leave
	Shield
	Invite
	InviteOpen
	Add
	Answer
	Remove
	Update
	Announce
	Transfer
	Destroy
	Appoint
	Mute
	ReadMutes
	MuteAll
	Allow
	ReadAllowed
	Ban
	ReadBanned
	SetOwnAttributes
	SetAttributes
	ReadFiles
	AddFile
	RemoveFile
	UseThread
	ManageThread
	operations
)

// verdict is what a standing may: 0 yes, none the operation does not exist, else the code of the refusal.
type verdict errcode.Code

const none verdict = -1

// line is the verdicts of one operation, by standing.
type line [standings]verdict

// Rule says who may do an operation, in groups and in rooms.
type Rule struct {
	Operation Operation
	Name      string // as refusals name it
	Means     string // what is done, for docs/permissions.md
	group     line
	room      line
}

// from allows an operation to a role and the higher ones. Members below it get 603, outsiders the code that says that
// they are not in.
func from(lowest Standing, outside errcode.Code) (l line) {
	for s := range standings {
		switch {
		case s <= lowest:
		case s <= Muted:
			l[s] = verdict(errcode.PermissionDenied)
		default:
			l[s] = verdict(outside)
		}
	}
	if lowest == Member {
		l[Muted] = 0
	}
	return l
}

func inGroup(lowest Standing) line { return from(lowest, errcode.GroupNotJoined) }
func inRoom(lowest Standing) line  { return from(lowest, errcode.ChatroomNotJoined) }

// with returns the line with another verdict for some standings.
func (l line) with(v verdict, who ...Standing) line {
	for _, s := range who {
		l[s] = v
	}
	return l
}

func nobody(v verdict) (l line) {
	for s := range standings {
		l[s] = v
	}
	return l
}

var missing = nobody(none)

// Policy is the table that every operation of users is checked against. Backends may do everything.
var Policy = [operations]Rule{
	{Send, "send", "send messages",
		inGroup(Member).with(verdict(errcode.Muted), Muted),
		from(Member, errcode.GroupNotJoined).with(verdict(errcode.Muted), Muted)},
	{See, "details", "read the details of a public group or of a room", nobody(0), nobody(0)},
	{SeePrivate, "details", "read the details of a private group", inGroup(Member).with(0, Invited), missing},
	{ReadList, "members", "read the lists of members and of admins", inGroup(Member), inRoom(Member)},
	{ReadOwn, "own entry", "read the announcement, and how one stands oneself", inGroup(Member), inRoom(Member)},
	{Join, "join", "join a public group, or apply where that needs consent; join a room",
		nobody(0).with(verdict(errcode.GroupAlreadyJoined), Owner, Admin, Member, Muted).with(verdict(errcode.PermissionDenied), Blocked),
		nobody(0).with(verdict(errcode.PermissionDenied), Blocked)},
	{JoinPrivate, "join", "join a private group",
		nobody(verdict(errcode.PermissionDenied)).with(verdict(errcode.GroupAlreadyJoined), Owner, Admin, Member, Muted).with(0, Invited), missing},
	{AnswerInvitation, "answer invitation", "accept or decline an invitation",
		nobody(verdict(errcode.PermissionDenied)).with(verdict(errcode.GroupAlreadyJoined), Owner, Admin, Member, Muted).with(0, Invited), missing},
	{Leave, "leave", "leave", inGroup(Member).with(verdict(errcode.PermissionDenied), Owner), inRoom(Member)},
	{Shield, "block messages", "stop and begin again to receive messages", inGroup(Member), missing},
	{Invite, "invite", "invite users", inGroup(Admin), missing},
	{InviteOpen, "invite", "invite users to a group that lets members invite", inGroup(Member), missing},
	{Add, "add", "add users to a room without asking them", missing, inRoom(Admin)},
	{Answer, "answer application", "accept and decline applications", inGroup(Admin), missing},
	{Remove, "remove members", "remove members", inGroup(Admin), inRoom(Admin)},
	{Update, "update", "change name, description, avatar, extension and options", inGroup(Admin), inRoom(Admin)},
	{Announce, "announce", "change the announcement", inGroup(Admin), inRoom(Admin)},
	{Transfer, "transfer", "make another member the owner", inGroup(Owner), inRoom(Owner)},
	{Destroy, "destroy", "destroy", inGroup(Owner), inRoom(Owner)},
	{Appoint, "appoint admins", "make members admins, and admins members", inGroup(Owner), inRoom(Owner)},
	{Mute, "mute", "mute and unmute members", inGroup(Admin), inRoom(Admin)},
	{ReadMutes, "mute list", "read the list of muted members", inGroup(Admin), inRoom(Admin)},
	{MuteAll, "mute all", "mute and unmute all members", inGroup(Admin), inRoom(Admin)},
	{Allow, "allow", "change the allow list", inGroup(Admin), inRoom(Admin)},
	{ReadAllowed, "allow list", "read the allow list", inGroup(Admin), inRoom(Admin)},
	{Ban, "block", "change the block list", inGroup(Admin), inRoom(Admin)},
	{ReadBanned, "block list", "read the block list", inGroup(Admin), inRoom(Admin)},
	{SetOwnAttributes, "own attributes", "set one's own member attributes; attributes of a room",
		inGroup(Member), inRoom(Member)},
	{SetAttributes, "member attributes", "set the member attributes of others", inGroup(Admin), missing},
	{ReadFiles, "shared files", "list and download shared files", inGroup(Member), inRoom(Member)},
	{AddFile, "share file", "share a file", inGroup(Member), inRoom(Member)},
	{RemoveFile, "remove shared file", "remove a file that somebody else shared", inGroup(Admin), inRoom(Admin)},
	{UseThread, "thread", "start a thread, join one and list the threads", inGroup(Member), missing},
	{ManageThread, "manage thread", "rename and destroy the threads of others, and remove their members", inGroup(Admin), missing},
}

// Allows says what the policy has for an operation: 0 where it is allowed, or the code of the refusal. ok is false where
// a kind has no such operation.
func Allows(kind store.MucKind, op Operation, who Standing) (code errcode.Code, ok bool) {
	l := Policy[op].group
	if kind == store.MucRoom {
		l = Policy[op].room
	}
	return errcode.Code(l[who]), l[who] != none
}

// WritePolicy writes the table as a page of Markdown.
func WritePolicy(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# Permissions in groups and chatrooms\n\n")
	b.WriteString("Made by `go generate ./internal/muc` from the table that the server goes by (`internal/muc/policy.go`).\n\n")
	b.WriteString("✓ is allowed, a number is the code of the refusal ([errors](errors.md)), – does not exist. Nobody but the owner may\n")
	b.WriteString("remove, mute or block an admin, and nobody the owner. A backend, with the app's token, may do everything. Users of other\n")
	b.WriteString("apps get 605 for groups and 705 for rooms, as for ids that do not exist.\n")
	for _, kind := range []store.MucKind{store.MucGroup, store.MucRoom} {
		title := "Groups"
		if kind == store.MucRoom {
			title = "Chatrooms"
		}
		fmt.Fprintf(&b, "\n## %s\n\n| to |", title)
		for s := range standings {
			fmt.Fprintf(&b, " %s |", s)
		}
		b.WriteString("\n|---|" + strings.Repeat(":-:|", int(standings)) + "\n")
		for _, rule := range Policy {
			if _, ok := Allows(kind, rule.Operation, Owner); !ok {
				continue
			}
			fmt.Fprintf(&b, "| %s |", rule.Means)
			for s := range standings {
				if code, _ := Allows(kind, rule.Operation, s); code == 0 {
					b.WriteString(" ✓ |")
				} else {
					fmt.Fprintf(&b, " %d |", code)
				}
			}
			b.WriteByte('\n')
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
