package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// pending is how many messages of other nodes may wait for the handler. More are dropped and counted.
	pending = 1 << 15
	// patience is how long to wait for the server's word that it has our subscriptions.
	patience = 2 * time.Second
)

// NATS is a bus that many nodes share.
//
// What a node publishes it hears without the way over the server (which is told not to send it back): sender and
// receiver on one node lose no time, and notice nothing when the server is away. The order that the bus promises is kept:
// a goroutine's messages go either all the one way or all the other. The price is that a message of this node more often
// overtakes one of another node, which the bus has never excluded.
type NATS struct {
	local   *Local
	handler Handler
	log     *slog.Logger
	conn    *nats.Conn

	// All subscriptions feed one channel, which one goroutine empties: a subscription costs no goroutine.
	arrived chan *nats.Msg
	stop    chan struct{}
	stopped sync.WaitGroup

	mu            sync.Mutex
	subscriptions map[Subject]*nats.Subscription
	closed        bool
	dropped       uint64 // by subscriptions that have ended

	unsent atomic.Uint64
}

var _ Bus = (*NATS)(nil)

// DialNATS connects to a NATS server (or several, with commas between the URLs). When the connection is lost later it is
// tried again without end. Reconnected is called when it is back, since something may have been missed. The context's
// deadline is that of the first connection.
func DialNATS(ctx context.Context, url string, handler Handler, reconnected func(), log *slog.Logger) (*NATS, error) {
	n := &NATS{
		local:         NewLocal(handler),
		handler:       handler,
		log:           log,
		arrived:       make(chan *nats.Msg, pending),
		stop:          make(chan struct{}),
		subscriptions: make(map[Subject]*nats.Subscription),
	}
	options := []nats.Option{
		nats.Name("stoa"),
		nats.NoEcho(),
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(), // a server that is being set up may refuse us for a while
		nats.ReconnectWait(250 * time.Millisecond),
		nats.PingInterval(20 * time.Second),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil { // nil: we closed it
				log.Warn("bus disconnected", "error", err)
			}
		}),
		nats.ReconnectHandler(func(conn *nats.Conn) {
			// The subscriptions are on their way again. Who looks for what was missed must look after they are there.
			if err := conn.FlushTimeout(patience); err != nil {
				log.Warn("bus reconnected, but does not answer", "error", err)
			} else {
				log.Info("bus reconnected")
			}
			reconnected()
		}),
		nats.ErrorHandler(func(_ *nats.Conn, s *nats.Subscription, err error) {
			subject := ""
			if s != nil {
				subject = s.Subject
			}
			log.Warn("bus error", "subject", subject, "error", err)
		}),
	}
	if deadline, ok := ctx.Deadline(); ok {
		options = append(options, nats.Timeout(time.Until(deadline)))
	}
	var err error
	if n.conn, err = nats.Connect(url, options...); err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	if err := n.subscribe(All); err != nil {
		n.conn.Close()
		return nil, err
	}
	if err := n.conn.FlushTimeout(patience); err != nil { // from here on this node hears what is for all
		n.conn.Close()
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	n.stopped.Go(n.dispatch)
	return n, nil
}

const (
	subjectAll    = "stoa.all"
	subjectPrefix = "stoa." // then the kind, a dot and the number
)

func subjectName(s Subject) string {
	if s.Kind == KindAll {
		return subjectAll
	}
	name := append(make([]byte, 0, len(subjectPrefix)+22), subjectPrefix...)
	return string(strconv.AppendInt(append(name, byte(s.Kind), '.'), s.ID, 10))
}

func parseSubject(name string) (Subject, bool) {
	if name == subjectAll {
		return All, true
	}
	rest, ok := strings.CutPrefix(name, subjectPrefix)
	if !ok || len(rest) < 3 || rest[1] != '.' {
		return Subject{}, false
	}
	id, err := strconv.ParseInt(rest[2:], 10, 64)
	return Subject{Kind: Kind(rest[0]), ID: id}, err == nil
}

// dispatch calls the handler for what other nodes have published.
func (n *NATS) dispatch() {
	for {
		select {
		case m := <-n.arrived:
			if subject, ok := parseSubject(m.Subject); ok {
				n.handler(subject, m.Data)
			}
		case <-n.stop:
			return
		}
	}
}

// Publish calls the handler if this node is subscribed, and sends the message to the others. That the server is away is
// not an error: messages are kept for it up to some megabytes, and counted when they are lost.
func (n *NATS) Publish(subject Subject, data []byte) error {
	if err := n.local.Publish(subject, data); err != nil {
		return err
	}
	switch err := n.conn.Publish(subjectName(subject), data); {
	case err == nil:
	case errors.Is(err, nats.ErrConnectionClosed):
		return ErrClosed
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("publish: %w", err)
	default: // the server is going or gone
		n.unsent.Add(1)
	}
	return nil
}

// Subscribe sends the subscription on its way and does not wait for the server. If that is away it is told when it is
// back.
func (n *NATS) Subscribe(subject Subject) error {
	if err := n.local.Subscribe(subject); err != nil || subject.Kind == KindAll {
		return err
	}
	return n.subscribe(subject)
}

func (n *NATS) subscribe(subject Subject) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return ErrClosed
	}
	if n.subscriptions[subject] != nil {
		return nil
	}
	s, err := n.conn.ChanSubscribe(subjectName(subject), n.arrived)
	if err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	n.subscriptions[subject] = s
	return nil
}

// Unsubscribe ends a subscription.
func (n *NATS) Unsubscribe(subject Subject) error {
	if err := n.local.Unsubscribe(subject); err != nil || subject.Kind == KindAll {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.subscriptions[subject]
	if s == nil {
		return nil
	}
	delete(n.subscriptions, subject)
	n.dropped += drops(s)
	if err := s.Unsubscribe(); err != nil {
		return fmt.Errorf("unsubscribe: %w", err)
	}
	return nil
}

// Settle waits for the server's word that it has our subscriptions. Where servers form a cluster, the others may need
// some moments more. It gives up after two seconds, and at once while the server is away.
func (n *NATS) Settle(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if n.conn.IsReconnecting() {
		return fmt.Errorf("settle: %w", nats.ErrConnectionReconnecting)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	switch err := n.conn.FlushWithContext(ctx); {
	case errors.Is(err, nats.ErrConnectionClosed):
		return ErrClosed
	case err != nil:
		return fmt.Errorf("settle: %w", err)
	}
	return nil
}

// Lost returns how many messages this node has dropped so far, because its handler was too slow or because it could not
// send them while the server was away.
func (n *NATS) Lost() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	lost := n.dropped + n.unsent.Load()
	for _, s := range n.subscriptions {
		lost += drops(s)
	}
	return lost
}

func drops(s *nats.Subscription) uint64 {
	count, err := s.Dropped()
	if err != nil {
		return 0 // has ended
	}
	return uint64(count)
}

// Close sends what is published and ends the connection.
func (n *NATS) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil
	}
	n.closed = true
	n.local.Close()
	for _, s := range n.subscriptions {
		n.dropped += drops(s)
	}
	n.subscriptions = nil
	n.conn.Close()
	close(n.stop)
	n.stopped.Wait()
	return nil
}
