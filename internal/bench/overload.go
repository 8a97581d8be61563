package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Overload is the workload of more than the server can take: a closed loop finds what it can, then the senders send a
// multiple of that on a schedule, and a closed loop afterwards tells whether it is back to normal. Some receivers do not
// read until the end. Nothing that is acknowledged may be lost.
type Overload struct {
	Load
	Pairs    int     `name:"pairs" help:"Pairs of a sender and a receiver." default:"100"`
	InFlight int     `name:"in-flight" help:"Messages that each sender keeps unanswered before and after." default:"16"`
	Factor   float64 `name:"factor" help:"How many times what the server can take is sent." default:"2"`
	Stalled  int     `name:"stalled" help:"Receivers who do not read until the end." default:"1"`
}

// Validate reports everything that is wrong with the settings.
func (o *Overload) Validate() error {
	err := errors.Join(o.Load.Validate(), atLeast("pairs", o.Pairs, 1), atLeast("in-flight", o.InFlight, 1))
	if o.Factor <= 0 || o.Factor > 100 {
		err = errors.Join(err, errors.New("factor must be above 0 and at most 100"))
	}
	if o.Stalled < 0 || o.Stalled >= o.Pairs {
		err = errors.Join(err, errors.New("stalled must be at least 0, and less than the pairs"))
	}
	return err
}

// Run runs the workload as Direct.Run does. The window is the time of the overload.
func (o *Overload) Run(ctx context.Context) (*Result, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	result := newResult("overload")
	result.Pairs, result.InFlight, result.Stalled = o.Pairs, o.InFlight, o.Stalled
	load := &overload{factor: o.Factor, result: result, directLoad: directLoad{Load: &o.Load, inFlight: o.InFlight, stalled: o.Stalled,
		released: make(chan struct{}), trouble: trouble{sockets: 2 * o.Pairs}, pairs: make([]*pair, o.Pairs)}}
	return o.measured(ctx, result, load)
}

// overload is a run of Overload.
type overload struct {
	directLoad
	factor float64
	result *Result
}

// recoveryTime is how long a server that was overloaded may take to answer and to deliver everything.
const recoveryTime = 6 * drainTime

// run returns no window if the overload never began.
func (l *overload) run(ctx context.Context, crowd *Crowd, watch probe, out *progress) (*window, error) {
	release := sync.OnceFunc(func() { close(l.released) })
	defer release() // whatever happens, so that the readers end
	running, cancel := context.WithCancel(ctx)
	defer cancel()
	l.end = cancel
	if err := l.connect(ctx, crowd, out); err != nil {
		return nil, err
	}
	// looped is what the server takes in a closed loop.
	looped := func() (float64, error) {
		l.loop()
		window, err := l.meter.measure(running, watch, l.Warmup, l.Duration, out)
		l.looping.Store(false)
		l.answered(ctx)
		return rate(window.ack.total(), window.took), err
	}
	var err error
	if l.result.CapacityPerS, err = looped(); err != nil {
		return nil, err
	}
	if l.result.CapacityPerS == 0 {
		return nil, errors.Join(ctx.Err(), fmt.Errorf("the server acknowledged nothing before the overload; refusals: %v", l.refusals))
	}
	l.result.Rate = l.factor * l.result.CapacityPerS
	sending, stop := context.WithCancel(running)
	defer stop()
	wait, err := l.schedule(sending, time.Duration(float64(len(l.pairs))/l.result.Rate*float64(time.Second)))
	if err != nil {
		return nil, err
	}
	window, err := l.meter.measure(running, watch, 0, l.Duration, out)
	ended := time.Now()
	stop()
	err = errors.Join(err, wait())
	out.status("waiting for the answers")
	l.answered(ctx)
	l.result.RecoveryMS = float64(time.Since(ended)) / float64(time.Millisecond)
	var again error
	l.result.RecoveredPerS, again = looped()
	release()
	l.finish(ctx, l.recovery(), out)
	return &window, errors.Join(err, again)
}

func (l *overload) recovery() time.Duration { return cmp.Or(l.patience, recoveryTime) }

// answered waits until every message is answered, and delivered to who reads.
func (l *overload) answered(ctx context.Context) {
	reading := len(l.pairs) - l.stalled
	drain(ctx, l.recovery(), func() bool {
		for i, p := range l.pairs {
			unanswered, missing := p.ledger.waiting()
			if unanswered > 0 || i < reading && missing > 0 {
				return false
			}
		}
		return true
	}, func(context.Context) {})
}

// stalling hears what a receiver's session hears, and does not go on before it is released: nothing is read from the
// socket meanwhile.
type stalling struct {
	receiving
	released <-chan struct{}
}

func (s stalling) received(id uint64, text []byte) {
	<-s.released
	s.receiving.received(id, text)
}
