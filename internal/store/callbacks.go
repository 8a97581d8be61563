package store

import "context"

// Callback is something that an app's backend could not be told at once.
type Callback struct {
	ID       int64
	App      int64
	Rule     string
	Event    string // names it among those of the rule
	Lane     string // those of a lane are told in order
	Created  int64  // when it happened
	Attempts int    // that have failed
	Due      int64  // when the next one is
	Dead     int64  // when it was given up; 0: it was not
	Replays  int    // how often it was taken up again afterwards
	Target   string // where it goes instead of to the address of the rule; empty: there
	Error    string // of the last attempt
	Body     []byte
}

// CallbackMark is up to which message id a rule's backend has been told of what a node has made durable.
type CallbackMark struct {
	App  int64
	Rule string
	Node int
	ID   int64
}

// DeadQuery asks for callbacks of an app that were given up.
type DeadQuery struct {
	IDs          []int64 // nil: any
	Rule         string  // empty: any
	Since, Until int64   // when they happened: from Since on, before Until; 0: no bound
	Below        int64   // the row below which the page begins; 0: the newest
	Limit        int
}

// DeadCallbacks is how many callbacks were given up that happened in ten minutes.
type DeadCallbacks struct {
	From    int64 // the beginning of the ten minutes
	Count   int
	Replays int // of the one that was replayed most often
}

// Callbacks keeps what backends are still to be told, and up to where they have been told. What a backend takes at once is
// not in it. It is written behind the message path.
type Callbacks interface {
	// CallbackMark returns the mark of a rule for what a node has made durable; 0: there is none yet.
	CallbackMark(ctx context.Context, app int64, rule string, node int) (int64, error)
	// LostCallbackMarks takes up to limit marks of nodes that have ended, for whoever asks, until the given time.
	LostCallbackMarks(ctx context.Context, now, until int64, limit int) ([]CallbackMark, error)
	// PutCallbacks stores callbacks and moves a mark forward, both or none. What is there already under an Event stays. A
	// mark without ID is none.
	PutCallbacks(ctx context.Context, callbacks []Callback, mark CallbackMark) error
	// DropCallbackMark removes a mark, unless it has moved on.
	DropCallbackMark(ctx context.Context, mark CallbackMark) error
	// DropCallbackMarks removes the marks of a rule, of all nodes.
	DropCallbackMarks(ctx context.Context, app int64, rule string) error
	// DropCallbacks removes all that is stored for a rule but its marks.
	DropCallbacks(ctx context.Context, app int64, rule string) error
	// DueCallbacks returns App and Rule of up to limit rules of which something is due.
	DueCallbacks(ctx context.Context, now int64, limit int) ([]CallbackMark, error)
	// TakeCallbacks returns up to limit of a rule that are due, in order of their rows, and has them due again at the given
	// time. Two callers do not get the same.
	TakeCallbacks(ctx context.Context, app int64, rule string, now, again int64, limit int) ([]Callback, error)
	// RetryCallback notes Attempts, Due, Dead and Error of a callback; it is no error if it is gone.
	RetryCallback(ctx context.Context, callback Callback) error
	// ExpireCallbacks gives up, at the time now, what of a rule happened before a time and was never replayed, and returns how
	// many there are.
	ExpireCallbacks(ctx context.Context, app int64, rule string, before, now int64) (int, error)
	// FinishCallbacks removes callbacks; it is no error if some are gone.
	FinishCallbacks(ctx context.Context, ids []int64) error
	// ListDeadCallbacks returns callbacks of an app that were given up, the newest rows first.
	ListDeadCallbacks(ctx context.Context, app int64, query DeadQuery) ([]Callback, error)
	// CountDeadCallbacks counts an app's callbacks that were given up, in order of their times.
	CountDeadCallbacks(ctx context.Context, app int64) ([]DeadCallbacks, error)
	// ReplayCallbacks has callbacks that were given up due again, as if they had not been tried, and returns how many. Below
	// and Limit mean nothing. A target replaces the rule's address; empty: it does not.
	ReplayCallbacks(ctx context.Context, app int64, query DeadQuery, now int64, target string) (int, error)
	// ForgetCallbacks removes up to limit callbacks that were given up before a time, and returns how many.
	ForgetCallbacks(ctx context.Context, before int64, limit int) (int, error)
	// CallbackBacklog returns how many callbacks wait, and when the oldest of them happened; 0: there is none.
	CallbackBacklog(ctx context.Context) (count int, oldest int64, err error)
}
