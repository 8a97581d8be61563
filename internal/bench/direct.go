package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
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

// Open is the same as Direct in an open loop: messages are sent on a schedule, whether or not those before have been
// answered, and times count from when a message was due. A server that stops for a moment cannot hide it.
type Open struct {
	Load
	Pairs int     `name:"pairs" help:"Pairs of a sender and a receiver." default:"100"`
	Rate  float64 `name:"rate" help:"Messages a second, of all senders together." default:"600"`
}

// Validate reports everything that is wrong with the settings.
func (o *Open) Validate() error {
	err := errors.Join(o.Load.Validate(), atLeast("pairs", o.Pairs, 1))
	if o.Rate <= 0 || o.Rate > 1e6 {
		err = errors.Join(err, errors.New("rate must be above 0 and at most 1,000,000"))
	}
	return err
}

// Run runs the workload as Direct.Run does.
func (o *Open) Run(ctx context.Context) (*Result, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	result := newResult("open")
	result.Pairs, result.Rate = o.Pairs, o.Rate
	every := time.Duration(float64(o.Pairs) / o.Rate * float64(time.Second))
	load := &directLoad{Load: &o.Load, every: every, trouble: trouble{sockets: 2 * o.Pairs}, pairs: make([]*pair, o.Pairs)}
	return o.measured(ctx, result, load)
}

// Run runs the workload. When ctx ends it stops sending and returns what it has measured so far; only before the first
// message is that an error. If messages were lost, doubled, misdelivered or never answered, or if sockets broke, it
// returns the result and an error.
func (d *Direct) Run(ctx context.Context) (*Result, error) {
	if err := d.Validate(); err != nil {
		return nil, err
	}
	result := newResult("direct")
	result.Pairs, result.InFlight = d.Pairs, d.InFlight
	load := &directLoad{Load: &d.Load, inFlight: d.InFlight, trouble: trouble{sockets: 2 * d.Pairs}, pairs: make([]*pair, d.Pairs)}
	return d.measured(ctx, result, load)
}

// directLoad is a run of Direct or Open.
type directLoad struct {
	*Load
	inFlight int           // closed loop
	every    time.Duration // open loop: between two messages of a sender
	crowd    *Crowd
	epoch    time.Time // times of sending count from here
	meter    meter
	pairs    []*pair
	stalled  int           // the last pairs, whose receivers do not read until released is closed
	released chan struct{} // of an overload
	looping  atomic.Bool   // an answer draws the next message
	trouble
}

// connect makes the users and signs them in. An error means that the load never began.
func (l *directLoad) connect(ctx context.Context, crowd *Crowd, out *progress) error {
	l.crowd, l.epoch = crowd, time.Now()
	pairs := len(l.pairs)
	out.status("registering %d users", 2*pairs)
	tokens := make([]string, 2*pairs)
	err := parallel(ctx, len(tokens), func(ctx context.Context, i int) (err error) {
		tokens[i], err = l.crowd.register(ctx, l.user(i))
		return err
	})
	if err != nil {
		return err
	}
	out.status("signing in %d users", 2*pairs)
	for i := range l.pairs {
		l.pairs[i] = l.newPair(i, tokens[2*i+1])
	}
	return parallel(ctx, len(tokens), func(ctx context.Context, i int) (err error) {
		p := l.pairs[i/2]
		switch {
		case i%2 == 0:
			p.sender, err = l.crowd.login(ctx, l.user(i), tokens[i], sending{p})
		case i/2 >= pairs-l.stalled:
			p.receiver, err = l.crowd.login(ctx, l.user(i), tokens[i], stalling{receiving{p}, l.released})
		default:
			p.receiver, err = l.crowd.login(ctx, l.user(i), tokens[i], receiving{p})
		}
		return err
	})
}

// loop has every sender keep messages unanswered until looping ends.
func (l *directLoad) loop() {
	l.looping.Store(true)
	for _, p := range l.pairs {
		p.begin()
	}
}

// schedule has the senders send every so often, each, until ctx ends. wait returns when all have stopped.
func (l *directLoad) schedule(ctx context.Context, every time.Duration) (wait func() error, err error) {
	alarm, err := newAlarm(ctx)
	if err != nil {
		return nil, err
	}
	start := time.Since(l.epoch)
	// The senders' messages are spread over the time between two.
	due := func(n int) time.Duration { return start + time.Duration(n)*every/time.Duration(len(l.pairs)) }
	var schedules errgroup.Group
	for i, p := range l.pairs {
		schedules.Go(func() error { p.follow(ctx, due(i), every); return nil })
	}
	schedules.Go(func() error {
		defer alarm.close()
		for n := 0; ; n++ {
			if err := alarm.wait(due(n) - time.Since(l.epoch)); ctx.Err() != nil {
				return nil
			} else if err != nil {
				return fmt.Errorf("wait for the next message: %w", err)
			}
			select {
			case l.pairs[n%len(l.pairs)].wake <- struct{}{}:
			default: // it is late, and will send this one, too
			}
		}
	})
	return schedules.Wait, nil
}

// run returns no window if the load never began.
func (l *directLoad) run(ctx context.Context, crowd *Crowd, watch probe, out *progress) (*window, error) {
	running, cancel := context.WithCancel(ctx)
	defer cancel()
	l.end = cancel
	if err := l.connect(ctx, crowd, out); err != nil {
		return nil, err
	}
	wait := func() error { return nil }
	if l.every > 0 {
		var err error
		if wait, err = l.schedule(running, l.every); err != nil {
			return nil, err
		}
	} else {
		l.loop()
	}
	window, err := l.meter.measure(running, watch, l.Warmup, l.Duration, out)
	l.looping.Store(false)
	cancel()
	err = errors.Join(err, wait())
	l.finish(ctx, l.lastMessages(ctx), out)
	return &window, err
}

// finish waits for the last messages.
func (l *directLoad) finish(ctx context.Context, patience time.Duration, out *progress) {
	out.status("waiting for the last messages")
	open := l.pairs
	drain(context.WithoutCancel(ctx), patience, func() bool {
		var still []*pair
		for _, p := range open {
			if !p.settled() {
				still = append(still, p)
			}
		}
		open = still
		return len(open) == 0
	}, func(ctx context.Context) {
		parallel(ctx, len(open), func(ctx context.Context, i int) error {
			open[i].ask(ctx)
			return nil
		})
	})
}

func (l *directLoad) sum() (sum tally) {
	for _, p := range l.pairs {
		sum.add(p.ledger.sum())
	}
	return sum
}

// user names the users: even numbers send, each to the odd number that follows.
func (l *directLoad) user(i int) string {
	role := "s"
	if i%2 == 1 {
		role = "r"
	}
	return l.crowd.name(role, i/2)
}

// pair is a sender and its receiver.
type pair struct {
	load          *directLoad
	number        uint32
	receiverToken string
	ledger        ledger

	sender, receiver *session
	wake             chan struct{} // open loop: something is due

	mu      sync.Mutex // held from taking a number to queueing its frame, so that numbers go out in order
	message *textMessage
	filler  []byte // what follows the stamp in every body
}

func (l *directLoad) newPair(i int, receiverToken string) *pair {
	body := letters(l.Body, i)
	return &pair{load: l, number: uint32(i), receiverToken: receiverToken, filler: bytes.Clone(body[stampSize:]), wake: make(chan struct{}, 1),
		message: newTextMessage(bodySingle, l.crowd.target.App, l.user(2*i), l.user(2*i+1), 1, body)}
}

// begin sends the first messages; the answers draw the others after them.
func (p *pair) begin() {
	for range p.load.inFlight {
		p.post(time.Since(p.load.epoch))
	}
	p.sender.conn.flush() // an error ends the session's reader too, which tells
}

// follow sends on a schedule that begins at a time since the load's epoch, when it is woken. A message that is late goes
// out at once, as due when it was.
func (p *pair) follow(ctx context.Context, due, every time.Duration) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		}
		for now := time.Since(p.load.epoch); due <= now; due += every {
			p.post(due)
		}
		p.sender.conn.flush()
	}
}

// post queues the next message, which was due at a time since the load's epoch.
func (p *pair) post(at time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
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
	if s.load.looping.Load() {
		s.post(time.Since(s.load.epoch))
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
