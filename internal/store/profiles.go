package store

import "context"

// Profiles keeps what users tell about themselves: attributes, which are texts under names. They go with the user.
type Profiles interface {
	// SetAttributes sets attributes of a user, beside those that are there, and returns all. ErrFull if the names and
	// texts of all would have more than limit bytes: then nothing changes. ErrNotFound if there is no such user.
	SetAttributes(ctx context.Context, app, user int64, set map[string]string, limit int) (map[string]string, error)
	// Attributes returns the attributes of users by their numbers. Who has none is not among them.
	Attributes(ctx context.Context, users []int64) (map[int64]map[string]string, error)
	// DropAttributes removes all attributes of a user; it is no error if there are none.
	DropAttributes(ctx context.Context, user int64) error
	// AttributeBytes returns how many bytes the names and texts of an application's users have together.
	AttributeBytes(ctx context.Context, app int64) (int64, error)
}
