package chat

import (
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
)

// dispatcher calls the listeners: one event after the other, on one goroutine that lives while there are events. It has
// no lock in common with the code that it calls.
type dispatcher struct {
	log   *slog.Logger
	limit int // of received items that wait

	mu        sync.Mutex
	listeners []namedListener
	queue     []event
	waiting   int // received items in queue
	running   bool
}

type namedListener struct {
	id string
	Listener
}

type event struct {
	run   func()
	items int
}

func (d *dispatcher) add(id string, l Listener) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.listeners = slices.Clone(d.listeners) // calls go on with the slice that they have
	if i := d.find(id); i >= 0 {
		d.listeners[i].Listener = l
		return
	}
	d.listeners = append(d.listeners, namedListener{id, l})
}

func (d *dispatcher) remove(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if i := d.find(id); i >= 0 {
		d.listeners = slices.Delete(slices.Clone(d.listeners), i, i+1)
	}
}

func (d *dispatcher) find(id string) int {
	return slices.IndexFunc(d.listeners, func(l namedListener) bool { return l.id == id })
}

// post queues an event of the client's own; there are few of them, and none may be lost.
func (d *dispatcher) post(run func()) { d.enqueue(event{run: run}) }

// offer queues received items and reports whether there was room. A single event always finds room in an empty queue.
func (d *dispatcher) offer(items int, run func()) bool { return d.enqueue(event{run, items}) }

func (d *dispatcher) enqueue(e event) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e.items > 0 && d.waiting > 0 && d.waiting+e.items > d.limit {
		return false
	}
	d.queue = append(d.queue, e)
	d.waiting += e.items
	if !d.running {
		d.running = true
		go d.work()
	}
	return true
}

func (d *dispatcher) work() {
	idle := false
	defer func() {
		if !idle { // a callback ended the goroutine with runtime.Goexit, as t.FailNow does
			go d.work()
		}
	}()
	for {
		d.mu.Lock()
		if len(d.queue) == 0 {
			d.queue, d.running, idle = nil, false, true
			d.mu.Unlock()
			return
		}
		e := d.queue[0]
		d.queue[0] = event{}
		d.queue = d.queue[1:]
		d.waiting -= e.items
		d.mu.Unlock()
		e.run()
	}
}

// each calls f for every listener, in order. The name is that of the callback, for the report of a panic. It is called
// from events only.
func (d *dispatcher) each(name string, f func(l *Listener)) {
	for _, l := range d.snapshot() {
		d.guard(l.id+"."+name, func() { f(&l.Listener) }, func(e *Error) { d.reportError(e) })
	}
}

// tell hands a value to one callback of every listener. It is called from events only.
func tell[T any](d *dispatcher, name string, v T, callback func(*Listener) func(T)) {
	d.each(name, func(l *Listener) {
		if f := callback(l); f != nil {
			f(v)
		}
	})
}

// reportError gives an error to every OnError.
func (d *dispatcher) reportError(e *Error) {
	for _, l := range d.snapshot() {
		if l.OnError != nil {
			d.guard(l.id+".OnError", func() { l.OnError(e) }, func(*Error) {}) // logged; a second report could go round in circles
		}
	}
}

func (d *dispatcher) snapshot() []namedListener {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.listeners
}

func (d *dispatcher) guard(where string, call func(), report func(*Error)) {
	defer func() {
		if v := recover(); v != nil {
			e := panicError(where, v)
			d.log.Error("callback panicked", "callback", where, "code", int(e.Code), "panic", v, "stack", string(debug.Stack()))
			report(e)
		}
	}()
	call()
}

// The events that carry nothing but their name, or an error.

func (d *dispatcher) connected() {
	d.post(func() { d.each("OnConnected", func(l *Listener) { invoke(l.OnConnected) }) })
}

func (d *dispatcher) reconnecting() {
	d.post(func() { d.each("OnReconnecting", func(l *Listener) { invoke(l.OnReconnecting) }) })
}

func (d *dispatcher) disconnected(err error) {
	d.post(func() { tell(d, "OnDisconnected", err, func(l *Listener) func(error) { return l.OnDisconnected }) })
}

func (d *dispatcher) tokenWillExpire() {
	d.post(func() { d.each("OnTokenWillExpire", func(l *Listener) { invoke(l.OnTokenWillExpire) }) })
}

func (d *dispatcher) tokenExpired() {
	d.post(func() { d.each("OnTokenExpired", func(l *Listener) { invoke(l.OnTokenExpired) }) })
}

func (d *dispatcher) failed(e *Error) { d.post(func() { d.reportError(e) }) }

func invoke(f func()) {
	if f != nil {
		f()
	}
}
