package store

import "context"

// Publication is what a user has told of a device: a number, and a text that is about the user.
type Publication struct {
	User     int64
	Resource string // of the device
	Status   int
	Text     string
	Time     int64
}

// Watch is a user's wish to hear when another one comes and goes.
type Watch struct {
	App     int64
	Watcher int64
	Target  Peer
	Expires int64
}

// Departure is a device that has gone offline and may come back until it is due: only then are the watchers told.
type Departure struct {
	User     int64
	Resource string
	Due      int64
}

// Presence keeps what users publish of themselves and who watches whom. All goes with the user who published or
// watches, and watches go with their target.
type Presence interface {
	// Publish notes what a user tells of a device, in place of what was there, and forgets what was told of devices that
	// are not in keep. ErrNotFound if there is no such user.
	Publish(ctx context.Context, p Publication, keep []string) error
	// Publications returns what users have published, of each user the newest first.
	Publications(ctx context.Context, users []int64) ([]Publication, error)
	// LastDevices returns for each of the users the device that was seen last; who has none is left out.
	LastDevices(ctx context.Context, users []int64) ([]Device, error)
	// Watch makes a user watch others until the given time, all or none; who is watched already is watched until then.
	// ErrFull if the user would watch more than limit, ErrPeerFull if one of them would be watched by more. Watches that
	// have ended do not count. ErrNotFound if one of the users is gone.
	Watch(ctx context.Context, app, watcher int64, targets []Peer, expires, now int64, limit int) error
	// Unwatch ends watches; it is no error if there are none.
	Unwatch(ctx context.Context, watcher int64, targets []int64) error
	// ListWatched returns up to limit of a user's watches in order of the targets' numbers, after the first offset of them,
	// and how many there are.
	ListWatched(ctx context.Context, watcher, now int64, offset, limit int) (page []Watch, total int, err error)
	// Watched returns a watch of each of the users whom somebody watches.
	Watched(ctx context.Context, users []int64, now int64) ([]Watch, error)
	// Watchers returns who watches a user.
	Watchers(ctx context.Context, target, now int64) ([]Watch, error)
	// ForgetWatches removes up to limit watches that have ended and returns how many.
	ForgetWatches(ctx context.Context, now int64, limit int) (int, error)
	// PutDepartures notes departures that somebody else shall tell of.
	PutDepartures(ctx context.Context, departures []Departure) error
	// TakeDepartures removes up to limit departures that are due and returns them. What nodes that have ended have left of
	// their sessions is among them. Two callers do not get the same.
	TakeDepartures(ctx context.Context, now int64, limit int) ([]Departure, error)
}
