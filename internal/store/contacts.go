package store

import (
	"context"
	"errors"
)

var (
	// ErrFull is returned when the user's list has no room.
	ErrFull = errors.New("list is full")
	// ErrPeerFull is returned when the other user's list has no room.
	ErrPeerFull = errors.New("list of the other is full")
)

// Peer is the other user of a relation. The name is kept in each row, so that a list is read without asking for users:
// names never change.
type Peer struct {
	ID   int64
	Name string
}

// Contact is a row of a user's list of contacts.
type Contact struct {
	Row     int64 // newer rows have higher numbers
	Peer    Peer
	Remark  string // the user's own note on the contact
	Created int64
}

// Blocked is a row of a user's block list.
type Blocked struct {
	Row     int64 // newer rows have higher numbers
	Peer    Peer
	Created int64
}

// Relation is how a user stands to another.
type Relation struct {
	Contact bool // each has the other in the list of contacts
	Blocked bool // the user has blocked the other
	Invited bool // the other has asked to become a contact and has not been answered
}

// Contacts keeps who knows whom: contacts, open invitations and block lists. Every row belongs to one user and goes with
// the user, and with the other one. Two users are contacts of each other or not at all. Methods that write return
// ErrNotFound if one of the users is gone.
type Contacts interface {
	// Relation returns how a user stands to a peer, by the user's own rows alone.
	Relation(ctx context.Context, user, peer int64) (Relation, error)
	// PutInvitation notes that a peer asks a user to become a contact; it replaces an earlier one of the same. ErrFull if
	// the user has that many contacts already, ErrPeerFull if the peer has. ErrExists if they are contacts.
	PutInvitation(ctx context.Context, user, peer Peer, reason string, now int64, limit int) error
	// DropInvitation removes the invitation of a user by a peer and reports whether there was one.
	DropInvitation(ctx context.Context, user, peer int64) (bool, error)
	// AddContact makes two users contacts and removes the invitations between them. Asked tells that this needs an
	// invitation of the user by the peer; ErrNotFound if there is none. ErrExists if they are contacts already. ErrFull
	// if the user has that many contacts already, ErrPeerFull if the peer has.
	AddContact(ctx context.Context, user, peer Peer, asked bool, now int64, limit int) error
	// RemoveContact removes two users from each other's contacts and reports whether they were.
	RemoveContact(ctx context.Context, user, peer int64) (bool, error)
	// SetRemark changes a user's note on a contact. ErrNotFound if the peer is none.
	SetRemark(ctx context.Context, user, peer int64, remark string) error
	// ListContacts returns up to limit contacts, newest first, from the row below the given number on; 0: the newest.
	ListContacts(ctx context.Context, user, below int64, limit int) ([]Contact, error)
	// Block adds peers to a user's block list, all or none; who is there already stays. ErrFull if there would be more
	// than limit.
	Block(ctx context.Context, user int64, peers []Peer, now int64, limit int) error
	// Unblock removes peers from a user's block list; it is no error if they are not there.
	Unblock(ctx context.Context, user int64, peers []int64) error
	// ListBlocked is ListContacts for the block list.
	ListBlocked(ctx context.Context, user, below int64, limit int) ([]Blocked, error)
}
