package bench

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Direct is the one-to-one workload, a closed loop: each sender keeps InFlight messages unanswered to a receiver of its
// own, who acknowledges every batch as the web client does. It makes its users itself, without passwords. The tags are
// for the command line.
type Direct struct {
	Load
	Pairs    int `name:"pairs" help:"Pairs of a sender and a receiver." default:"100"`
	InFlight int `name:"in-flight" help:"Messages that each sender keeps unanswered." default:"16"`
}

const (
	// drainTime is how long messages may take to arrive after the last was sent.
	drainTime = 10 * time.Second
	// hurriedDrain is the same for a run that was interrupted.
	hurriedDrain = 2 * time.Second
)

// Validate reports everything that is wrong with the settings.
func (d *Direct) Validate() error {
	return errors.Join(d.Load.Validate(), atLeast("pairs", d.Pairs, 1), atLeast("in-flight", d.InFlight, 1))
}

// Run runs the workload. When ctx ends it stops sending and returns what it has measured so far; only before the first
// message is that an error. If messages were lost, doubled, misdelivered or never answered, or if sockets broke, it
// returns the result and an error.
func (d *Direct) Run(ctx context.Context) (*Result, error) {
	if err := d.Validate(); err != nil {
		return nil, err
	}
	out := newProgress(d.Progress)
	defer out.end()
	result := newResult("direct")
	result.Pairs, result.InFlight, result.BodyBytes = d.Pairs, d.InFlight, d.Body

	watch, source, err := findProbe(ctx, d.URL, d.PID)
	if err != nil {
		return nil, err
	}
	crowd, err := gather(ctx, d.target(), heartbeat)
	if err != nil {
		return nil, err
	}
	load := &directLoad{crowd: crowd, inFlight: d.InFlight, body: d.Body, epoch: time.Now(), trouble: trouble{sockets: 2 * d.Pairs}}
	window, err := load.run(ctx, d, watch, out)
	crowd.Close() // from here on nothing is written to what load holds
	if window == nil {
		return nil, err
	}
	result.setWindow(*window)
	if err == nil {
		result.ServerSource = source
	}
	result.Interrupted = window.took < d.Duration
	result.setTrouble(&load.trouble)
	var sum tally
	for _, p := range load.pairs {
		sum.add(p.ledger.sum())
	}
	result.setTally(sum)
	if fault := result.failure(); fault != nil {
		return result, fault
	}
	return result, err
}

// directLoad is a run of Direct.
type directLoad struct {
	crowd          *Crowd
	inFlight, body int
	epoch          time.Time // times of sending count from here
	meter          meter
	pairs          []*pair
	stopped        atomic.Bool // senders send no more
	trouble
}

// run returns no window if the load never began.
func (l *directLoad) run(ctx context.Context, d *Direct, watch probe, out *progress) (*window, error) {
	running, cancel := context.WithCancel(ctx)
	defer cancel()
	l.end = cancel
	out.status("registering %d users", 2*d.Pairs)
	tokens := make([]string, 2*d.Pairs)
	err := parallel(ctx, len(tokens), func(ctx context.Context, i int) (err error) {
		tokens[i], err = l.crowd.register(ctx, l.user(i))
		return err
	})
	if err != nil {
		return nil, err
	}
	out.status("signing in %d users", 2*d.Pairs)
	l.pairs = make([]*pair, d.Pairs)
	for i := range l.pairs {
		l.pairs[i] = l.newPair(i, tokens[2*i+1])
	}
	err = parallel(ctx, len(tokens), func(ctx context.Context, i int) (err error) {
		p := l.pairs[i/2]
		if i%2 == 0 {
			p.sender, err = l.crowd.login(ctx, l.user(i), tokens[i], sending{p})
		} else {
			p.receiver, err = l.crowd.login(ctx, l.user(i), tokens[i], receiving{p})
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, p := range l.pairs {
		p.begin()
	}
	window, err := l.meter.measure(running, watch, d.Warmup, d.Duration, out)
	l.stopped.Store(true)
	out.status("waiting for the last messages")
	l.drain(context.WithoutCancel(ctx), d.lastMessages(ctx))
	return &window, err
}

// user names the users: even numbers send, each to the odd number that follows.
func (l *directLoad) user(i int) string {
	role := "s"
	if i%2 == 1 {
		role = "r"
	}
	return l.crowd.name(role, i/2)
}

// drain waits until everything is settled. Halfway it does for the receivers that still miss something
// what the real client does in time: sign in again if the socket is gone, and ask for what is unread.
func (l *directLoad) drain(ctx context.Context, patience time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	half := time.NewTimer(patience / 2)
	defer half.Stop()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for open := l.pairs; ; {
		var still []*pair
		for _, p := range open {
			if !p.settled() {
				still = append(still, p)
			}
		}
		if open = still; len(open) == 0 {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-half.C:
			parallel(ctx, len(open), func(ctx context.Context, i int) error {
				open[i].ask(ctx)
				return nil
			})
		case <-look.C:
		}
	}
}

// pair is a sender and its receiver.
type pair struct {
	load          *directLoad
	number        uint32
	receiverToken string
	ledger        ledger

	sender, receiver *session

	mu      sync.Mutex // held from taking a number to queueing its frame, so that numbers go out in order
	message *textMessage
	filler  []byte // what follows the stamp in every body
}

func (l *directLoad) newPair(i int, receiverToken string) *pair {
	body := letters(l.body, i)
	return &pair{load: l, number: uint32(i), receiverToken: receiverToken, filler: bytes.Clone(body[stampSize:]),
		message: newTextMessage(bodySingle, l.crowd.target.App, l.user(2*i), l.user(2*i+1), 1, body)}
}

// begin sends the first messages; the answers draw the others after them.
func (p *pair) begin() {
	for range p.load.inFlight {
		p.post()
	}
	p.sender.conn.flush() // an error ends the session's reader too, which tells
}

// post queues the next message.
func (p *pair) post() {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := time.Since(p.load.epoch)
	number := p.ledger.send(at)
	p.message.setID(p.sender.base + number)
	stamp(p.message.text, p.number, number, at)
	p.sender.conn.queue(opBinary, p.message.frame)
}

// settled reports whether nothing more is to come: every message is answered, or cannot be any more, and every
// acknowledged one is delivered.
func (p *pair) settled() bool {
	unanswered, missing := p.ledger.waiting()
	select {
	case <-p.sender.done:
		return missing == 0
	default:
		return missing+unanswered == 0
	}
}

// ask lets the receiver ask for what it has not been given.
func (p *pair) ask(ctx context.Context) {
	p.ledger.ask()
	select {
	case <-p.receiver.done:
		if again, err := p.load.crowd.login(ctx, p.receiver.user, p.receiverToken, receiving{p}); err == nil {
			p.receiver = again
		}
	default:
		p.receiver.askUnread()
	}
}

// sending hears what the sender's session hears.
type sending struct{ *pair }

func (s sending) received(uint64, []byte) { s.load.misdelivered.Add(1) }

func (s sending) answered(number, code uint64, reason []byte) {
	sent, ok := s.ledger.answer(number, code != 0)
	if !ok {
		return // to a statistics frame, or a second answer
	}
	if code == 0 {
		s.load.meter.ack.add(time.Since(s.load.epoch) - sent)
	} else {
		s.load.refuse(code, reason)
	}
	if !s.load.stopped.Load() {
		s.post()
	}
}

func (s sending) broke(err error) { s.load.broke(err) }

// receiving hears what the receiver's session hears.
type receiving struct{ *pair }

func (r receiving) received(id uint64, text []byte) {
	pair, number, sent, ok := parseStamp(text)
	if !ok || pair != r.number || !bytes.Equal(text[stampSize:], r.filler) {
		r.load.misdelivered.Add(1)
		return
	}
	if r.ledger.deliver(number, id) {
		r.load.meter.deliver.add(time.Since(r.load.epoch) - sent)
	}
}

func (r receiving) answered(_, _ uint64, _ []byte) {}
func (r receiving) broke(err error)                { r.load.broke(err) }
