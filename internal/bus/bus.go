// Package bus carries messages between the nodes of a server. There are two: Local for one node, in the process, and
// NATS for many. Both are held to one suite (bustest).
//
// The bus is a way to be fast, never the truth: a message is delivered at most once and may be lost or overtaken.
// Whatever must arrive stands in the store, and who listens must be able to see that something is missing.
package bus

import (
	"context"
	"errors"
)

// ErrClosed is returned by all methods of a bus that has been closed, except for Close itself.
var ErrClosed = errors.New("bus closed")

// Kind says what a subject's number stands for.
type Kind byte

const (
	KindUser Kind = 'u' // what concerns one user; ID is the user's number
	KindMuc  Kind = 'm' // what concerns a group, chatroom or thread; ID is its number
	KindAll  Kind = 'a' // every node hears it; ID is 0
)

// All is the subject that every node hears.
var All = Subject{Kind: KindAll}

// User returns the subject of what concerns one user.
func User(id int64) Subject { return Subject{Kind: KindUser, ID: id} }

// Muc returns the subject of what concerns a group, chatroom or thread.
func Muc(id int64) Subject { return Subject{Kind: KindMuc, ID: id} }

// Subject is an address on the bus. It is made of numbers: names may hold characters that a bus gives a meaning to.
type Subject struct {
	Kind Kind
	ID   int64
}

// Handler takes what arrives for this node, also what this node has published itself. It may be called by several
// goroutines at once and must not block: it holds up the publisher, or all that other nodes have published. It may keep
// data, which is shared and must not be changed.
type Handler func(subject Subject, data []byte)

// Bus connects the nodes. All methods are safe for concurrent use.
type Bus interface {
	// Publish sends data to every node that is subscribed to the subject. If this node is, the handler is called before
	// Publish returns. Data must not be changed afterwards. It arrives at most once; what one goroutine publishes to one
	// subject arrives in order, what several publish in any. No error does not mean that it has arrived.
	Publish(subject Subject, data []byte) error
	// Subscribe tells that this node wants to hear the subject. It does not wait for the network. What this node publishes
	// afterwards is heard at once; what another node publishes is heard if that node has heard from this one since, and
	// otherwise some moments later. Subscribing twice is the same as once. KindAll is always subscribed.
	Subscribe(subject Subject) error
	// Unsubscribe ends a subscription; it is no error if there is none. A message that was under way may still arrive.
	// KindAll stays subscribed.
	Unsubscribe(subject Subject) error
	// Settle returns when the subscriptions that were made before hold: what other nodes publish from then on is heard.
	// Without an error only that much is promised, since whatever is published may be lost. With a context that has ended
	// it does not wait: no error means that there is nothing to wait for.
	Settle(ctx context.Context) error
	// Close ends all subscriptions. A message that was under way may still arrive. Closing twice is no error; closing
	// within the handler is one.
	Close() error
}
