package store

import "context"

// Notification tells that a device is to be told of a message.
type Notification struct {
	ID       int64
	App      int64
	User     int64
	Device   string // as in PushToken
	Timeline int64
	Seq      int64
	Created  int64 // when the message was sent
	Attempts int   // that have failed
	Due      int64 // when the next one is
}

// PushMark is up to which message id it has been looked at who is to be told of a node's messages.
type PushMark struct {
	Node int
	ID   int64
}

// Notifications keeps what is still to be told to devices of users who are away. It is written behind the message path,
// and goes with the user.
type Notifications interface {
	// PushMark returns the mark of a node; 0: there is none yet.
	PushMark(ctx context.Context, node int) (int64, error)
	// ClaimPushMarks returns the marks of nodes that have ended, and keeps them from other callers until a time.
	ClaimPushMarks(ctx context.Context, now, until int64) ([]PushMark, error)
	// DropPushMark removes the mark of a node.
	DropPushMark(ctx context.Context, node int) error
	// PutNotifications stores notifications and moves a mark forward, both or none. What is there already stays.
	PutNotifications(ctx context.Context, notifications []Notification, mark PushMark) error
	// TakeNotifications returns up to limit that are due to a node, and has them due again at the given time. Two callers
	// do not get the same.
	TakeNotifications(ctx context.Context, node int, now, again int64, limit int) ([]Notification, error)
	// ReturnNotifications has what a node took due now, as far as it has not said what became of it.
	ReturnNotifications(ctx context.Context, node int, now int64) error
	// RetryNotification notes how many attempts have failed, and when the next one is.
	RetryNotification(ctx context.Context, id int64, attempts int, due int64) error
	// FinishNotification removes a notification; it is no error if it is gone.
	FinishNotification(ctx context.Context, id int64) error
	// PushMembers returns those members of a group or thread who read its messages and have a push token; of a chatroom
	// nobody.
	PushMembers(ctx context.Context, muc int64) ([]int64, error)
	// EntriesAfter returns up to limit entries of any timelines whose message id is above the given one, in order of ids.
	EntriesAfter(ctx context.Context, id int64, limit int) ([]Found, error)
}
