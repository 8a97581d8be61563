package store

import "context"

// Pin is a message that is pinned in its conversation.
type Pin struct {
	Row     int64 // newer rows have higher numbers
	Message int64
	By      Peer
	Time    int64
}

// Pins keeps the pinned messages of conversations, each named by its timeline. That the message is one of the
// conversation is not looked at.
type Pins interface {
	// PutPin pins a message. ErrExists if it is pinned already, ErrFull if the conversation has that many pins.
	PutPin(ctx context.Context, timeline, message int64, by Peer, now int64, limit int) error
	// DropPin unpins a message and reports whether it was pinned.
	DropPin(ctx context.Context, timeline, message int64) (bool, error)
	// ListPins returns up to limit pins, newest first, from the row below the given number on; 0: the newest.
	ListPins(ctx context.Context, timeline, below int64, limit int) ([]Pin, error)
}
