package gateway

import (
	"flag"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/gobwas/ws"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/stoa-chat/stoa/internal/bus"
	"github.com/stoa-chat/stoa/internal/msync"
)

// device reacts to what comes down as the web client does (docs/protocol/wire.md §5.1 and §5.2), over reconnects.
type device struct {
	world          *world
	user, resource string

	mu        sync.Mutex
	client    *client // nil: offline
	ended     chan struct{}
	lazy      bool // what it acknowledges is lost
	waiting   []string
	lastKey   uint64
	lastQueue string
	seen      []uint64
	shown     []*msync.Meta
	answers   map[uint64]*msync.CommSyncDL
	pongs     int
	wrong     []string
}

func newDevice(w *world, user, resource string) *device {
	return &device{world: w, user: user, resource: resource, answers: map[uint64]*msync.CommSyncDL{}}
}

// Errorf, Fatalf and Helper make the device the failer of its client.
func (d *device) Helper() {}

func (d *device) Errorf(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wrong = append(d.wrong, fmt.Sprintf(format, args...))
}

func (d *device) Fatalf(format string, args ...any) {
	d.Errorf(format, args...)
	runtime.Goexit()
}

func (d *device) connect() {
	c := d.world.login(d.user, d.resource)
	c.failer = d
	ended := make(chan struct{})
	d.mu.Lock()
	d.client, d.ended = c, ended
	d.mu.Unlock()
	go func() {
		defer close(ended)
		for g := c.next(); g != nil; g = c.next() {
			d.react(c, g)
		}
	}()
	c.send(msync.MSync_UNREAD, nil)
}

func (d *device) disconnect() {
	d.mu.Lock()
	c, ended := d.client, d.ended
	d.client = nil
	d.mu.Unlock()
	c.conn.Close()
	<-ended
}

// setLazy begins or ends a time in which acknowledgements are lost, which ends with the connection.
func (d *device) setLazy(lazy bool) {
	d.mu.Lock()
	before := d.lazy
	d.lazy = lazy
	d.mu.Unlock()
	if before && !lazy && d.client != nil {
		d.disconnect()
		d.connect()
	}
}

// react does what the client does.
func (d *device) react(c *client, g *got) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case isPong(g):
		d.pongs++
	case isAnswer(g):
		d.answers[g.Sync.MetaId] = g.Sync
	case isUnread(g):
		for _, q := range g.Unread.Unread {
			c.pull(q.Queue.Name)
		}
	case isNotice(g):
		if name := g.Notice.Queue.Name; !slices.Contains(d.waiting, name) {
			if d.waiting = append(d.waiting, name); len(d.waiting) == 1 {
				c.pull(name)
			}
		}
	case isEnd(g):
		d.waiting = slices.DeleteFunc(d.waiting, func(name string) bool { return name == g.Sync.Queue.Name })
		if len(d.waiting) > 0 {
			c.pull(d.waiting[0])
		}
	case isBatch(g) && !g.Sync.IsLast:
		for _, m := range g.Sync.Metas {
			if slices.Contains(d.seen, m.Id) {
				continue
			}
			d.seen = append(d.seen, m.Id)
			d.seen = d.seen[max(0, len(d.seen)-101):]
			d.shown = append(d.shown, m)
		}
		if queue, key := g.Sync.Queue.Name, g.Sync.NextKey; queue != d.lastQueue || key != d.lastKey {
			d.lastQueue, d.lastKey = queue, key
			if !d.lazy {
				c.ack(queue, key)
			}
		}
	default:
		d.wrong = append(d.wrong, "got "+g.String())
	}
}

func (d *device) answer(id uint64) *msync.CommSyncDL {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.answers[id]
}

func (d *device) ids() (ids []uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, m := range d.shown {
		ids = append(ids, m.Id)
	}
	return ids
}

// barrier returns when the server has handled all that the device has sent.
func (d *device) barrier() {
	d.mu.Lock()
	before := d.pongs
	d.client.frame(ws.OpPing, nil)
	d.mu.Unlock()
	d.world.until("a pong", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.pongs > before
	})
}

// sent is a message of the model.
type sent struct {
	from     *device
	to, text string
	client   uint64
	id       uint64
}

// wildness is what the bus does with events.
type wildness struct {
	mu     sync.Mutex
	plan   []int // what becomes of the next events: 0 publish, 1 lose, 2 twice, 3 hold back
	held   []func()
	flush  func()
	events int
}

func (b *wildness) rule(_ bus.Subject, _ []byte, publish func()) {
	b.mu.Lock()
	fate := 0
	if len(b.plan) > 0 {
		fate = b.plan[b.events%len(b.plan)]
	}
	b.events++
	held := b.held
	if fate == 3 {
		b.held = append(b.held, publish)
		b.mu.Unlock()
		return
	}
	b.held = nil
	b.mu.Unlock()
	if fate != 1 {
		publish()
	}
	if fate == 2 {
		publish()
	}
	for _, late := range held {
		late()
	}
}

// draw makes another plan.
func (b *wildness) draw(t *rapid.T) {
	plan := rapid.SliceOfN(rapid.IntRange(0, 3), 0, 4).Draw(t, "fates")
	b.mu.Lock()
	defer b.mu.Unlock()
	b.plan = plan
}

// calm ends it: all is published, and every device is there, acknowledges, and looks once.
func (b *wildness) calm(devices []*device) {
	b.mu.Lock()
	held := b.held
	b.held, b.plan = nil, nil
	b.mu.Unlock()
	for _, late := range held {
		late()
	}
	b.flush()
	for _, d := range devices {
		d.setLazy(false)
		if d.client == nil {
			d.connect()
		} else {
			d.client.send(msync.MSync_UNREAD, nil)
		}
	}
}

// fewRuns has a model run a dozen times: a hundred would take half a minute. -rapid.checks asks for as many as one likes.
// It returns what undoes that.
func fewRuns() (undo func()) {
	checks := flag.Lookup("rapid.checks")
	if checks.Value.String() != checks.DefValue {
		return func() {}
	}
	checks.Value.Set("12")
	return func() { checks.Value.Set(checks.DefValue) }
}

// devices puts a user online on some devices.
func (w *world) devices(user string, resources ...string) (all []*device) {
	for _, resource := range resources {
		d := newDevice(w, user, resource)
		d.connect()
		d.barrier()
		all = append(all, d)
	}
	return all
}

// offline disconnects devices that are online.
func offline(devices []*device) {
	for _, d := range devices {
		if d.client != nil {
			d.disconnect()
		}
	}
}

// nothingLeft disconnects devices and fails the test if there is still something to pull for one.
func (w *world) nothingLeft(t *rapid.T, devices []*device) {
	w.settle()
	for _, d := range devices {
		d.barrier()
		d.disconnect()
		c := w.login(d.user, d.resource)
		c.failer = t
		if queues := c.unread(); len(queues) != 0 {
			t.Errorf("%s/%s still has the queues %v", d.user, d.resource, queues)
		}
		c.conn.Close()
	}
}

// TestEveryDeviceSeesEverythingOnceWhateverHappens lets the devices of two users come, go, send, be slow to acknowledge
// and lose events. In the end every device must have shown every message that it must see, once, in order, and nothing
// may be left to pull.
func TestEveryDeviceSeesEverythingOnceWhateverHappens(t *testing.T) {
	defer fewRuns()()
	w := newWorld(t)
	w.set(`{"max_devices_per_platform":100}`)
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		wild := &wildness{flush: w.hub.Flush}
		w.bus.use(wild.rule)
		defer w.bus.use(nil)
		users := []string{fmt.Sprintf("anna%d", run), fmt.Sprintf("Ben%d", run)}
		var devices []*device
		for _, user := range users {
			devices = append(devices, w.devices(user, "webim_web_1", "android_1")...)
		}
		defer offline(devices)
		var all []*sent
		nextID := uint64(1)
		send := func(m *sent) {
			m.from.client.sendMeta(textTo(m.from.user, m.to, m.text, m.client))
		}
		settle := func(m *sent) {
			w.until("the answer to "+m.text, func() bool { return m.from.answer(m.client) != nil })
			a := m.from.answer(m.client)
			if a.Status.ErrorCode != 0 {
				t.Fatalf("%s is answered with %v", m.text, a)
			}
			m.id = a.ServerId
		}
		for range rapid.IntRange(5, 25).Draw(t, "steps") {
			d := devices[rapid.IntRange(0, len(devices)-1).Draw(t, "device")]
			switch action := rapid.SampledFrom([]string{"send", "send", "send", "cut", "disconnect", "lazy", "bus", "unread", "burst"}).Draw(t, "action"); {
			case d.client == nil:
				d.connect()
			case action == "send", action == "burst", action == "cut":
				n := 1
				if action == "burst" {
					n = 4
				}
				var now []*sent
				for range n {
					m := &sent{from: d, to: rapid.SampledFrom(users).Draw(t, "to"), text: fmt.Sprint("text ", nextID), client: nextID}
					nextID++
					send(m)
					now = append(now, m)
				}
				if action == "cut" { // the connection breaks before the answer; the client sends it again
					d.disconnect()
					d.connect()
					for _, m := range now {
						send(m)
					}
				}
				for _, m := range now {
					settle(m)
				}
				all = append(all, now...)
			case action == "disconnect":
				d.disconnect()
			case action == "lazy":
				d.setLazy(!d.lazy)
			case action == "bus":
				wild.draw(t)
			case action == "unread":
				d.client.send(msync.MSync_UNREAD, nil)
			}
		}
		wild.calm(devices)
		slices.SortFunc(all, func(a, b *sent) int { return int(a.id) - int(b.id) })
		for _, d := range devices {
			var want []uint64
			for _, m := range all {
				if m.from != d && (m.from.user == d.user || m.to == d.user) {
					want = append(want, m.id)
				}
			}
			w.until(fmt.Sprintf("%s/%s's seeing of %d messages", d.user, d.resource, len(want)), func() bool { return len(d.ids()) >= len(want) })
			d.barrier()
			d.barrier() // what the first answers may have had as a consequence
			got := d.ids()
			sorted := slices.Sorted(slices.Values(got))
			if !slices.Equal(sorted, want) {
				t.Errorf("%s/%s saw %v, want %v", d.user, d.resource, sorted, want)
			}
			last := map[string]uint64{}
			d.mu.Lock()
			for _, m := range d.shown {
				place := m.From.Name
				if place == d.user {
					place = m.To.Name
				}
				if m.Id <= last[place] {
					t.Errorf("%s/%s saw %d of the conversation with %s after %d", d.user, d.resource, m.Id, place, last[place])
				}
				last[place] = m.Id
				var body msync.MessageBody
				if err := proto.Unmarshal(m.Payload, &body); err != nil || body.From.GetName() != m.From.Name {
					t.Errorf("%s/%s saw %v with the body %v, %v", d.user, d.resource, m, &body, err)
				}
			}
			if len(d.wrong) > 0 {
				t.Errorf("%s/%s: %q", d.user, d.resource, d.wrong)
			}
			d.mu.Unlock()
		}
		w.nothingLeft(t, devices)
	})
}
