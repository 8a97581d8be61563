package store

import "context"

// Report is a user's complaint about a message. It holds what the message was then, as it may be recalled or deleted later.
type Report struct {
	Row      int64 // newer rows have higher numbers
	App      int64
	Message  int64
	Reporter Peer
	Type     string
	Reason   string
	Time     int64
	Sent     int64  // the message's time
	Meta     []byte // the message, in the form in which entries hold it
}

// Reports keeps complaints about messages, for the app's operator. They stay when one of the users is deleted.
type Reports interface {
	// PutReport keeps a report. An earlier one of the same user about the same message is replaced, and so becomes the
	// newest.
	PutReport(ctx context.Context, report Report) error
	// ListReports returns up to limit reports of an app, newest first, from the row below the given number on; 0: the
	// newest.
	ListReports(ctx context.Context, app, below int64, limit int) ([]Report, error)
}
