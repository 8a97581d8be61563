package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Load is what the workloads that send messages have in common. The tags are for the command line.
type Load struct {
	URL          string        `name:"url" help:"The server." default:"http://127.0.0.1:8080" env:"STOA_URL"`
	App          string        `name:"app" help:"The app, as org#app." default:"stoa#demo" env:"STOA_APP"`
	ClientID     string        `name:"client-id" help:"The app's client id." default:"stoa-demo-id" env:"STOA_CLIENT_ID"`
	ClientSecret string        `name:"client-secret" help:"The app's client secret." default:"stoa-demo-secret" env:"STOA_CLIENT_SECRET"`
	Body         int           `name:"body" help:"Bytes of text in a message." default:"200"`
	Duration     time.Duration `name:"duration" help:"How long to measure." default:"10s"`
	Warmup       time.Duration `name:"warmup" help:"How long to run before measuring." default:"1s"`
	PID          int           `name:"pid" help:"The server's process on this machine, to read its CPU time and memory where it shows no metrics at the URL."`
	Admin        string        `name:"admin" help:"Where the server shows its metrics and profiles, if not at the URL: the admin address of stoa serve." placeholder:"URL"`
	JSON         bool          `name:"json" help:"Print the result as JSON."`
	Repeat       int           `name:"repeat" help:"How often to measure; medians and spread are told." default:"1"`
	Plot         string        `name:"plot" help:"Write a picture (SVG) of the last run: throughput and latencies over time." placeholder:"FILE"`

	// Progress is told what is being done, with a line a second while the load runs; nil tells nobody.
	Progress io.Writer `kong:"-"`

	patience time.Duration // for the last messages; 0 means drainTime
}

// Validate reports everything that is wrong with the settings.
func (l *Load) Validate() error {
	var wrong []error
	complain := func(bad bool, format string, args ...any) {
		if bad {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	u, err := url.Parse(l.URL)
	complain(err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https", "url %q is not http://host or https://host", l.URL)
	complain(strings.Count(l.App, "#") != 1, "app %q is not of the form org#app", l.App)
	complain(l.Body < stampSize, "body must be at least %d bytes", stampSize)
	complain(l.Duration <= 0, "duration must be positive")
	complain(l.Warmup < 0, "warmup must not be negative")
	if l.Admin != "" {
		u, err := url.Parse(l.Admin)
		complain(err != nil || u.Host == "", "admin %q is not http://host", l.Admin)
	}
	return errors.Join(wrong...)
}

func atLeast(name string, value, least int) error {
	if value < least {
		return fmt.Errorf("%s must be at least %d", name, least)
	}
	return nil
}

func (l *Load) target() Target {
	return Target{URL: l.URL, App: l.App, ClientID: l.ClientID, ClientSecret: l.ClientSecret}
}

// lastMessages is how long to wait for them.
func (l *Load) lastMessages(ctx context.Context) time.Duration {
	patience := cmp.Or(l.patience, drainTime)
	if ctx.Err() != nil {
		patience = min(patience, hurriedDrain)
	}
	return patience
}

// watch finds a way to watch the server and follows its memory until end is called.
func (l *Load) watch(ctx context.Context) (p *peak, source string, err error) {
	base := cmp.Or(l.Admin, l.URL)
	p = &peak{}
	if p.probe, source, err = findProbe(ctx, base, l.PID); err != nil {
		return nil, "", err
	}
	following, end := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.follow(following)
	}()
	p.end = func() {
		end()
		<-done
	}
	return p, source, nil
}

// running is a load while it runs.
type running interface {
	// run makes the users, lets them send for the load's time, and waits for what is on its way. No window means that it
	// never began.
	run(ctx context.Context, crowd *Crowd, watch probe, out *progress) (*window, error)
	// sum counts what became of the messages, and problems returns what else went wrong. Both are called after run.
	sum() tally
	problems() *trouble
}

// measured runs a load and puts what it has measured into the result. When ctx ends the load stops sending, and what was
// measured so far is returned. If the server broke a promise there are a result and an error.
func (l *Load) measured(ctx context.Context, result *Result, load running) (*Result, error) {
	out := newProgress(l.Progress)
	defer out.end()
	result.BodyBytes = l.Body
	watch, source, err := l.watch(ctx)
	if err != nil {
		return nil, err
	}
	defer watch.end()
	crowd, err := gather(ctx, l.target(), heartbeat)
	if err != nil {
		return nil, err
	}
	window, err := load.run(ctx, crowd, watch.read, out)
	crowd.Close() // from here on nothing is written to what load holds
	if window == nil {
		return nil, err
	}
	result.setWindow(*window)
	if err == nil {
		result.ServerSource, result.ServerPeakRSSBytes = source, watch.rss.Load()
	}
	result.Interrupted = window.took < l.Duration
	result.setTrouble(load.problems())
	result.setTally(load.sum())
	if fault := result.failure(); fault != nil {
		return result, fault
	}
	return result, err
}

// trouble is what went wrong in a run besides lost and doubled messages. It is safe for concurrent use.
type trouble struct {
	sockets      int                // that the run has opened
	end          context.CancelFunc // ends the measuring
	misdelivered atomic.Uint64

	mu          sync.Mutex
	refusals    map[string]uint64
	broken      int // sockets
	firstBroken error
}

func (t *trouble) problems() *trouble { return t }

// refuse notes an answer that is an error, by its code and reason: the first 16 kinds.
func (t *trouble) refuse(code uint64, reason []byte) {
	key := fmt.Sprintf("%d %.100s", code, reason)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.refusals == nil {
		t.refusals = map[string]uint64{}
	}
	if _, ok := t.refusals[key]; ok || len(t.refusals) < 16 {
		t.refusals[key]++
	}
}

// broke notes a socket that ended by itself. When all have, the run ends: nothing more will happen.
func (t *trouble) broke(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.broken++; t.broken == 1 {
		t.firstBroken = err
	}
	if t.broken >= t.sockets {
		t.end()
	}
}

// drain waits until everything is settled. Halfway it has those who still miss something do what the real client does in
// time: sign in again if the socket is gone, and ask for what is unread.
func drain(ctx context.Context, patience time.Duration, settled func() bool, ask func(context.Context)) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	half := time.NewTimer(patience / 2)
	defer half.Stop()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for !settled() {
		select {
		case <-ctx.Done():
			return
		case <-half.C:
			ask(ctx)
		case <-look.C:
		}
	}
}

// letters is a text of n bytes that differs from one sender to the next.
func letters(n, sender int) []byte {
	const all = "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789."
	text := make([]byte, n)
	for i := range text {
		text[i] = all[(i*7+sender*13)%len(all)]
	}
	return text
}
