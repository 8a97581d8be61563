package store

import (
	"context"
	"errors"
	"iter"
)

// ErrOrder is returned by ImportApp when the store cannot keep messages with those ids behind the ones it has.
var ErrOrder = errors.New("the store has messages that are as new as those of the app, and keeps all in order of their ids")

// Row is a row of a table of an application (package tables has the list): a value for each column, which is an int64, a
// bool, a string, or a []byte that may be nil.
type Row struct {
	Table  string
	Values []any
}

// Archives moves whole applications from one store to another, of whatever engine.
type Archives interface {
	// ExportApp gives every row of an application to a function, as of one moment, in an order in which ImportApp takes
	// them. The row is the function's until it returns. ErrNotFound if there is no such application.
	ExportApp(ctx context.Context, app int64, give func(Row) error) error
	// ImportApp makes an application of rows that ExportApp has given, and returns its number. All numbers stay what they
	// were if the store has never had an application; else they are raised by the highest that are in use. Nothing is kept
	// if it fails: an error of the rows is returned as it is; ErrExists if the app key, the Agora App ID or the client id
	// is taken, or the store has a message with the same id; ErrOrder.
	//
	// What is derived (the words for search) is made by the server that opens the store next.
	ImportApp(ctx context.Context, rows iter.Seq2[Row, error]) (int64, error)
}
