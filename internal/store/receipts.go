package store

import "context"

// Reader is a user who has read a message.
type Reader struct {
	Row  int64 // later readers have higher numbers
	User Peer
	Time int64
}

// Receipts keeps who has read the messages of groups whose senders want to know. That the message exists, and who may see
// it, is not looked at. A receipt stays when its user is deleted, as messages do; it goes with its message when that
// expires.
type Receipts interface {
	// AddReceipt notes that a user has read a message and returns how many users have. It is no news if that was noted
	// before.
	AddReceipt(ctx context.Context, message Point, user Peer, now int64) (count int, news bool, err error)
	// ListReceipts returns up to limit readers of a message, in the order in which they read it, from the row above the
	// given one on, and how many there are in all.
	ListReceipts(ctx context.Context, message Point, above int64, limit int) (readers []Reader, count int, err error)
	// DropReceipts removes all receipts of a message; it is no error if there are none.
	DropReceipts(ctx context.Context, message Point) error
}
