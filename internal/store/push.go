package store

import "context"

// PushScope is what a push setting is about.
type PushScope uint8

const (
	PushAll   PushScope = 0 // all conversations of the user
	PushPeer  PushScope = 1 // the conversation with a user
	PushPlace PushScope = 2 // a group or chatroom
)

// PushKey names a push setting of a user. Target is the id of the peer or group; empty with PushAll.
type PushKey struct {
	Scope  PushScope
	Target string
}

// PushSetting says what a user wants to be notified of.
type PushSetting struct {
	Row int64 // newer rows have higher numbers
	PushKey
	Type  string // ALL, AT (only when mentioned), NONE; empty: as the wider setting says
	Until int64  // silent until then; 0: not
	Quiet string // silent each day in this time, H:M-H:M; empty: never. PushAll only
}

// UserPushKey names a push setting.
type UserPushKey struct {
	User int64
	PushKey
}

// UserPushSetting is a push setting with its user.
type UserPushSetting struct {
	User int64
	PushSetting
}

// PushUser is what a user wants of notifications as such.
type PushUser struct {
	Language string // into which they are translated; empty: not
	Detailed bool   // they show sender and content, and not only that there is something
	Template string // the name of the template that words them; empty: none is wanted
}

// PushToken is where notifications for a device go.
type PushToken struct {
	App      int64
	User     int64
	Device   string // the client's id of the device
	Notifier string // the name of the provider's settings
	Token    string // of the provider
	Updated  int64
}

// Push keeps who wants to be notified of what, and where. All goes with the user.
type Push interface {
	// SetPush replaces a push setting of a user. One without type, time and quiet time is removed. ErrFull if there would
	// be more than limit. ErrNotFound if there is no such user.
	SetPush(ctx context.Context, user int64, setting PushSetting, limit int) error
	// PushSettings returns the settings that a user has for these keys.
	PushSettings(ctx context.Context, user int64, keys []PushKey) ([]PushSetting, error)
	// PushSettingsOf returns the settings that users have for these keys, for each key of whom it names.
	PushSettingsOf(ctx context.Context, keys []UserPushKey) ([]UserPushSetting, error)
	// ListPushTypes returns up to limit of a user's settings of conversations that have a type, from the row above the
	// given one on.
	ListPushTypes(ctx context.Context, user, above int64, limit int) ([]PushSetting, error)
	// SetPushUser replaces what a user wants of notifications as such. ErrNotFound if there is no such user.
	SetPushUser(ctx context.Context, user int64, u PushUser) error
	// PushUserOf returns what a user wants of notifications as such.
	PushUserOf(ctx context.Context, user int64) (PushUser, error)
	// BindPushToken notes a token, in place of another one of the user's device. Who had the same token in the app has it
	// no more: the device is somebody else's now. ErrFull if the user would have more than limit, ErrNotFound if there is
	// no such user.
	BindPushToken(ctx context.Context, t PushToken, limit int) error
	// UnbindPushToken removes the token of a user's device; it is no error if there is none.
	UnbindPushToken(ctx context.Context, user int64, device string) error
	// PushTokens returns the tokens of users.
	PushTokens(ctx context.Context, users []int64) ([]PushToken, error)
	// DropPushToken removes a token that the provider does not know any more, if it has not been bound again since.
	DropPushToken(ctx context.Context, t PushToken) error
}
