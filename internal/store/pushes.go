package store

import "context"

// PushTemplate words notifications: patterns with {0}, {1}… for what the message says.
type PushTemplate struct {
	Name             string // unique in the app
	Title, Content   string
	Created, Updated int64
}

// PushLabel gathers users of an app whom its backend notifies together.
type PushLabel struct {
	ID          int64 // newer ones have higher numbers
	Name        string
	Description string
	Users       int
	Created     int64
}

// Labelled is a user with a label.
type Labelled struct {
	User    Peer
	Created int64
}

// PushMessage is what a backend tells devices, apart from any message of the chat. Its notifications have the timeline 0 and
// its number as their seq.
type PushMessage struct {
	ID      int64
	App     int64
	Content []byte  // JSON; its meaning belongs to the push service
	Labels  []int64 // who has all of them is notified; empty: all users of the app
	Created int64
}

// Pushes keeps what backends notify users of.
type Pushes interface {
	// PutPushTemplate stores a template, in place of one of the same name, and returns it. ErrFull if the app would have more
	// than limit.
	PutPushTemplate(ctx context.Context, app int64, t PushTemplate, limit int) (PushTemplate, error)
	// PushTemplates returns those of the templates that exist, in the order of their names.
	PushTemplates(ctx context.Context, app int64, names []string) ([]PushTemplate, error)
	// DropPushTemplate removes a template and returns it. ErrNotFound.
	DropPushTemplate(ctx context.Context, app int64, name string) (PushTemplate, error)

	// CreatePushLabel stores a label and returns it with its number. ErrExists, and ErrFull if the app has limit already.
	CreatePushLabel(ctx context.Context, app int64, l PushLabel, limit int) (PushLabel, error)
	// PushLabel returns a label. ErrNotFound.
	PushLabel(ctx context.Context, app int64, name string) (PushLabel, error)
	// ListPushLabels returns up to limit labels, newest first, whose number is below the given one; 0: any.
	ListPushLabels(ctx context.Context, app, below int64, limit int) ([]PushLabel, error)
	// DropPushLabel removes a label from all users and for good. ErrNotFound.
	DropPushLabel(ctx context.Context, app int64, name string) error
	// LabelUsers gives users a label, who may have it already; who is gone is left out. ErrNotFound if the label is gone,
	// ErrFull if more than limit users would have it.
	LabelUsers(ctx context.Context, label int64, users []int64, now int64, limit int) error
	// UnlabelUsers takes a label from users and returns who had it.
	UnlabelUsers(ctx context.Context, label int64, users []int64) ([]int64, error)
	// ListLabelled returns up to limit users with a label, by their numbers, which are above the given one.
	ListLabelled(ctx context.Context, label, above int64, limit int) ([]Labelled, error)

	// PutPush stores what a backend tells, with notifications that are due now for the devices of users. Without users it is
	// SpreadPush that makes them. ErrFull if the app has limit of these under way.
	PutPush(ctx context.Context, p PushMessage, users []int64, limit int) (int64, error)
	// PushMessage returns what a backend tells. ErrNotFound.
	PushMessage(ctx context.Context, id int64) (PushMessage, error)
	// SpreadPush makes notifications that are due now for up to limit users of the oldest push that has not reached all of
	// its users yet, and reports whether there was one. Two callers do not spread the same.
	SpreadPush(ctx context.Context, limit int) (bool, error)
	// DropPushes removes what has reached all users and was stored before a time. It returns how many it has removed, at most
	// limit.
	DropPushes(ctx context.Context, before int64, limit int) (int, error)
}
