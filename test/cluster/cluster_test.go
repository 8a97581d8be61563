package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stoa-chat/stoa/chat"
	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/test/cluster"
	"github.com/stoa-chat/stoa/test/internal/node"
)

const (
	patience = 15 * time.Second
	grace    = 10 * time.Second // for a node that is asked to stop
	password = "secret"
)

// The subtests run one after another: some cut and end what the others need.
func TestTwoNodes(t *testing.T) {
	c := start(t)

	t.Run("a rehearsal that begins on one node is met on the other, once", func(t *testing.T) {
		alice := c.person(t, "alice").login(t, c.url(1))
		bob := c.person(t, "bob")
		c.rest(t, 0, http.MethodPost, "/rehearsals", map[string]any{"code": 221, "user": alice.user})
		var err error
		eventually(t, "alice's message is refused", func() bool {
			_, err = alice.SendText(t.Context(), bob.user, "hi")
			return err != nil
		})
		if !errors.Is(err, errcode.UserNotFriend) {
			t.Error(err)
		}
		eventually(t, "the rehearsal is over on the first node", func() bool {
			list, _ := c.rest(t, 0, http.MethodGet, "/rehearsals", nil)["data"].([]any)
			return len(list) == 0
		})
		if _, err := alice.SendText(t.Context(), bob.user, "hi again"); err != nil {
			t.Error(err)
		}
	})

	t.Run("messages and receipts cross in both directions", func(t *testing.T) {
		alice := c.person(t, "alice").login(t, c.url(0), chat.WithDeliveryReceipts())
		bob := c.person(t, "bob").login(t, c.url(1), chat.WithDeliveryReceipts())
		const count = 100
		var sending sync.WaitGroup
		sent := make([][]*chat.Message, 2)
		for i, pair := range [][2]*device{{alice, bob}, {bob, alice}} {
			sending.Go(func() {
				for n := range count {
					m, err := pair[0].SendText(t.Context(), pair[1].user, strconv.Itoa(n))
					if err != nil {
						t.Error(err)
						return
					}
					sent[i] = append(sent[i], m)
				}
			})
		}
		sending.Wait()
		for i, pair := range [][2]*device{{alice, bob}, {bob, alice}} {
			from, to := pair[0], pair[1]
			for _, m := range sent[i] {
				if got := next(t, to.texts, "message "+m.Text); got.ID != m.ID || got.Text != m.Text || got.From != from.user {
					t.Fatalf("%s received %+v, want %+v", to.user, got, m)
				}
			}
			delivered := map[string]bool{}
			for range count {
				delivered[next(t, from.delivered, "delivery receipt").MessageID] = true
			}
			for _, m := range sent[i] {
				if !delivered[m.ID] {
					t.Errorf("no delivery receipt for %s", m.Text)
				}
			}
			if err := to.SendRead(t.Context(), sent[i][0]); err != nil {
				t.Fatal(err)
			}
			if r := next(t, from.read, "read receipt"); r.MessageID != sent[i][0].ID || r.From != to.user {
				t.Errorf("read receipt is %+v", r)
			}
			if err := to.SendConversationRead(t.Context(), from.user); err != nil {
				t.Fatal(err)
			}
			if r := next(t, from.whole, "receipt for the conversation"); r.Conversation != to.user {
				t.Errorf("receipt is %+v", r)
			}
		}
	})

	t.Run("a user's devices on both nodes see the same", func(t *testing.T) {
		alice, bob := c.person(t, "alice"), c.person(t, "bob")
		phone, laptop := alice.login(t, c.url(0)), alice.login(t, c.url(1))
		other := bob.login(t, c.url(1))
		other.send(t, alice.user, "to both")
		for _, d := range []*device{phone, laptop} {
			d.expect(t, "to both")
		}
		phone.send(t, bob.user, "from the phone")
		if m := next(t, laptop.texts, "own message"); m.Text != "from the phone" || m.From != alice.user || m.Conversation != bob.user {
			t.Errorf("the laptop received %+v", m)
		}
		other.expect(t, "from the phone")
	})

	for name, tt := range map[string]struct {
		method, path string
		body         any
		code         errcode.Code
	}{
		"disconnecting a user on one node ends the sessions on the other": {http.MethodGet, "/disconnect", nil, errcode.KickedByOtherDevice},
		"a new password set on one node ends the sessions on the other":   {http.MethodPut, "/password", map[string]any{"newpassword": "new"}, errcode.PasswordChanged},
		"removing a user on one node ends the sessions on the other":      {http.MethodDelete, "", nil, errcode.UserRemoved},
	} {
		t.Run(name, func(t *testing.T) {
			alice := c.person(t, "alice")
			devices := []*device{alice.login(t, c.url(0)), alice.login(t, c.url(1))}
			c.rest(t, 0, tt.method, "/users/"+alice.user+tt.path, tt.body)
			for _, d := range devices {
				d.expectEnd(t, tt.code)
			}
		})
	}

	t.Run("a setting changed on one node holds on the other", func(t *testing.T) {
		alice, bob := c.person(t, "alice").login(t, c.url(1)), c.person(t, "bob")
		long := strings.Repeat("x", 2000)
		alice.send(t, bob.user, long)
		c.change(t, map[string]any{"message_max_bytes": 1000})
		eventually(t, "the limit holds", func() bool {
			_, err := alice.SendText(t.Context(), bob.user, long)
			return errors.Is(err, errcode.MessageTooLarge)
		})
	})

	t.Run("with one device for each user a login on one node ends the session on the other", func(t *testing.T) {
		c.change(t, map[string]any{"multi_device": false})
		alice, bob := c.person(t, "alice"), c.person(t, "bob").login(t, c.url(0))
		at := []int{0, 1, 0}
		last := alice.login(t, c.url(1))
		for _, i := range at {
			fresh := alice.login(t, c.url(i))
			last.expectEnd(t, errcode.LoginAnotherDevice)
			bob.send(t, alice.user, "still there?")
			fresh.expect(t, "still there?")
			last = fresh
		}
	})

	t.Run("the device limit counts the devices on all nodes", func(t *testing.T) {
		alice := c.person(t, "alice")
		var devices []*device
		for i := range 5 {
			devices = append(devices, alice.login(t, c.url(i%2)))
		}
		devices[0].expectEnd(t, errcode.LoginAnotherDevice)
		for i, d := range devices[1:] {
			if len(d.ended) > 0 {
				t.Errorf("device %d was ended, too", i+1)
			}
		}
	})

	t.Run("a backend is told of what comes in through either node, once", c.testCallbacks)

	t.Run("a node that was cut off from the bus looks for what it missed", func(t *testing.T) {
		alice, bob := c.person(t, "alice").login(t, c.url(0)), c.person(t, "bob").login(t, c.url(1))
		alice.send(t, bob.user, "before")
		bob.expect(t, "before")
		c.cutBus(t, 1)
		var texts []string
		for i := range 50 {
			texts = append(texts, strconv.Itoa(i))
		}
		alice.send(t, bob.user, texts...)
		// Some may have come: a client that still reads its queue is served from the store.
		c.HealBus(1)
		bob.expect(t, texts...)
		alice.send(t, bob.user, "after")
		bob.expect(t, "after")
	})

	t.Run("a kick that the bus lost ends the session at its next sign of life", func(t *testing.T) {
		alice := c.person(t, "alice")
		quick := chat.WithTimeouts(chat.Timeouts{Heartbeat: 300 * time.Millisecond})
		d := alice.login(t, c.url(1), quick)
		c.cutBus(t, 1)
		c.rest(t, 0, http.MethodGet, "/users/"+alice.user+"/disconnect", nil)
		d.expectEnd(t, errcode.KickedByOtherDevice)
		c.HealBus(1)
	})

	t.Run("messages sent while the bus is away arrive when it is back", func(t *testing.T) {
		alice, bob := c.person(t, "alice").login(t, c.url(0)), c.person(t, "bob").login(t, c.url(1))
		alice.send(t, bob.user, "before")
		bob.expect(t, "before")
		disconnects := []int{c.disconnects(0), c.disconnects(1)}
		c.StopBus()
		for i, before := range disconnects {
			eventually(t, "the node has lost the bus", func() bool { return c.disconnects(i) > before })
		}
		alice.send(t, bob.user, "1", "2", "3")
		bob.send(t, alice.user, "1", "2", "3")
		if err := c.StartBus(); err != nil {
			t.Fatal(err)
		}
		alice.send(t, bob.user, "4")
		bob.send(t, alice.user, "4")
		alice.expect(t, "1", "2", "3", "4")
		bob.expect(t, "1", "2", "3", "4")
	})

	t.Run("when a node is killed its clients go on at the other, and nothing acknowledged is lost", c.testFailover)

	t.Run("a killed node comes back and takes part again", func(t *testing.T) {
		if err := c.StartNode(0); err != nil {
			t.Fatal(err)
		}
		if _, told := node.ParseApp(c.Nodes[0].Output()); told {
			t.Error("the node has made an application again")
		}
		alice, bob := c.person(t, "alice").login(t, c.url(0)), c.person(t, "bob").login(t, c.url(1))
		alice.send(t, bob.user, "hello")
		bob.expect(t, "hello")
		bob.send(t, alice.user, "hello")
		alice.expect(t, "hello")
	})

	t.Run("nodes stop when they are asked to", func(t *testing.T) {
		for i, n := range c.Nodes {
			if err := n.Stop(grace); err != nil {
				t.Errorf("node %d: %v", i, err)
			}
		}
	})
}

// testFailover has pairs of users talk over an address behind which the first node that lives answers, and kills that
// node in the middle.
func (c *nodes) testFailover(t *testing.T) {
	moving, kill := c.balance(t)
	staying := c.url(1)
	quick := chat.WithReconnect(chat.Reconnect{Attempts: -1, Min: 20 * time.Millisecond, Max: 200 * time.Millisecond})

	type pair struct {
		from, to *device
		sent     []string // ids, by number
	}
	var pairs []*pair
	for i := range 12 {
		ends := [][2]string{{moving, staying}, {staying, moving}, {moving, moving}}[i%3]
		pairs = append(pairs, &pair{
			from: c.person(t, "alice").login(t, ends[0], quick),
			to:   c.person(t, "bob").login(t, ends[1], quick),
		})
	}
	// One who is on that node does not come back; somebody on the other is told of it.
	gone, eye := c.person(t, "gone").login(t, c.url(0)), c.person(t, "eye").login(t, staying)
	seen := make(chan *chat.Presence, 100)
	eye.AddEventListener("presence", chat.Listener{OnPresence: func(p *chat.Presence) { seen <- p }})
	if states, err := eye.SubscribePresence(t.Context(), time.Hour, gone.user); err != nil || !states[0].Online() {
		t.Fatalf("presence %+v, %v", states, err)
	}
	var accepted atomic.Int64
	enough := make(chan struct{})
	var sending sync.WaitGroup
	for _, p := range pairs {
		sending.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-enough:
					return
				default:
				}
				m, err := p.from.insist(t.Context(), p.to.user, n)
				if err != nil {
					t.Errorf("message %d of %s: %v", n, p.from.user, err)
					return
				}
				p.sent = append(p.sent, m.ID)
				accepted.Add(1)
			}
		})
	}
	reach := func(goal int64) {
		eventually(t, fmt.Sprintf("%d messages", goal), func() bool { return accepted.Load() >= goal || t.Failed() })
	}
	reach(500)
	kill()
	for _, p := range pairs {
		for _, d := range []*device{p.from, p.to} {
			if d.server == moving {
				next(t, d.reconnected, "the reconnect of "+d.user)
			}
		}
	}
	reach(accepted.Load() + 500)
	close(enough)
	sending.Wait()
	t.Logf("%d messages", accepted.Load())
	for _, p := range pairs {
		var got []string
		for n := range p.sent {
			m := next(t, p.to.texts, fmt.Sprintf("message %d of %s", n, p.from.user))
			if m.Text != strconv.Itoa(n) {
				t.Fatalf("%s received %s, want %d", p.to.user, m.Text, n)
			}
			got = append(got, m.ID)
		}
		if diff := cmp.Diff(p.sent, got); diff != "" {
			t.Errorf("%s received other messages than were acknowledged (-want +got):\n%s", p.to.user, diff)
		}
		// The store holds them once, too: a message that follows them is the next.
		p.from.send(t, p.to.user, "end")
		p.to.expect(t, "end")
	}
	// The lease of the node has to end before its devices are taken for offline.
	for late := time.After(time.Minute); ; {
		select {
		case p := <-seen:
			if p.User == gone.user && !p.Online() {
				return
			}
		case <-late:
			t.Fatalf("nobody was told that %s has gone", gone.user)
		}
	}
}

// balance returns an address behind which the first node answers, until kill kills it, and then the second.
func (c *nodes) balance(t *testing.T) (address string, kill func()) {
	t.Helper()
	var killed atomic.Bool
	balancer, err := cluster.NewWay(func() string {
		if killed.Load() {
			return strings.TrimPrefix(c.Nodes[1].URL, "http://")
		}
		return strings.TrimPrefix(c.Nodes[0].URL, "http://")
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(balancer.Close)
	return "http://" + balancer.Address(), func() {
		killed.Store(true)
		c.Nodes[0].Kill()
	}
}

// insist sends the number as a text until the server has it, under the same id each time.
func (d *device) insist(ctx context.Context, to string, number int, opts ...chat.SendOption) (*chat.Message, error) {
	opts = append(opts, chat.WithClientID(strconv.Itoa(number+1)))
	for attempt := 1; ; attempt++ {
		m, err := d.SendText(ctx, to, strconv.Itoa(number), opts...)
		if err == nil || attempt == 5 || !errors.Is(err, errcode.SendInterrupted) && !errors.Is(err, errcode.SendTimeout) {
			return m, err
		}
	}
}

// nodes is the cluster with what tests want to do with it.
type nodes struct {
	*cluster.Cluster
	token  string // app token
	people atomic.Int64
}

func start(t *testing.T) *nodes {
	t.Helper()
	const variable = "STOA_TEST_POSTGRES"
	postgres := os.Getenv(variable)
	if postgres == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal(variable + " is not set")
		}
		t.Skip("needs a database: export " + variable + "=$(scripts/postgres.sh start DIR)")
	}
	program, err := node.Program(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c, err := cluster.Start(t.Context(), program, postgres, 2)
	if err != nil {
		t.Fatal(err)
	}
	n := &nodes{Cluster: c}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			for i, n := range c.Nodes {
				t.Logf("node %d wrote:\n%s", i, n.Output())
			}
		}
	})
	if n.token, err = c.App.Token(t.Context(), c.Nodes[0]); err != nil {
		t.Fatal(err)
	}
	return n
}

func (c *nodes) url(i int) string { return c.Nodes[i].URL }

func (c *nodes) rest(t *testing.T, i int, method, path string, body any) map[string]any {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience) // in a cleanup the test's own has ended
	defer cancel()
	answer, err := c.App.Call(ctx, c.Nodes[i], method, path, c.token, body)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// change sets settings on the first node until the test ends, and waits until the second has them.
func (c *nodes) change(t *testing.T, settings map[string]any) {
	t.Helper()
	get := func(i int) map[string]any {
		current, _ := c.rest(t, i, http.MethodGet, "/settings", nil)["data"].(map[string]any)
		return current
	}
	set := func(settings map[string]any) {
		c.rest(t, 0, http.MethodPut, "/settings", settings)
		wanted := get(0)
		eventually(t, "the other node has the settings", func() bool { return cmp.Equal(wanted, get(1)) })
	}
	before, undo := get(0), map[string]any{}
	for name := range settings {
		undo[name] = before[name]
	}
	t.Cleanup(func() { set(undo) })
	set(settings)
}

// disconnects is how often a node has lost the bus.
func (c *nodes) disconnects(i int) int {
	return strings.Count(c.Nodes[i].Output(), "bus disconnected")
}

// cutBus cuts a node off the bus and waits until it has noticed. What the test leaves cut is healed after it.
func (c *nodes) cutBus(t *testing.T, i int) {
	t.Helper()
	before := c.disconnects(i)
	c.CutBus(i)
	t.Cleanup(func() { c.HealBus(i) })
	eventually(t, "the node has lost the bus", func() bool { return c.disconnects(i) > before })
}

// person is a user who was registered on the first node.
type person struct {
	app     string
	user    string
	devices int
}

func (c *nodes) person(t *testing.T, name string) *person {
	t.Helper()
	p := &person{app: c.App.Key, user: fmt.Sprintf("%s%d", name, c.people.Add(1))}
	i := 0
	if !c.Nodes[i].Alive() {
		i = 1
	}
	c.rest(t, i, http.MethodPost, "/users", map[string]any{"username": p.user, "password": password})
	return p
}

// device is a client that is logged in, and what its listeners see.
type device struct {
	*chat.Client
	user, server           string
	texts                  chan *chat.Message
	delivered, read, whole chan *chat.Receipt
	errs                   chan *chat.Error
	reconnected            chan struct{}
	ended                  chan error
}

// login logs the person in with one more device, which is closed with the test.
func (p *person) login(t *testing.T, server string, opts ...chat.Option) *device {
	t.Helper()
	p.devices++
	opts = append([]chat.Option{chat.WithServer(server), chat.WithDevice(fmt.Sprintf("go_%s_%d", p.user, p.devices))}, opts...)
	client, err := chat.New(p.app, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	const enough = 10_000
	d := &device{
		Client: client, user: p.user, server: server, texts: make(chan *chat.Message, enough),
		delivered: make(chan *chat.Receipt, enough), read: make(chan *chat.Receipt, enough), whole: make(chan *chat.Receipt, enough),
		errs: make(chan *chat.Error, enough), reconnected: make(chan struct{}, enough), ended: make(chan error, enough),
	}
	var before atomic.Bool
	connected := make(chan struct{}, 1)
	client.AddEventListener("test", chat.Listener{
		OnConnected: func() {
			if before.Swap(true) {
				d.reconnected <- struct{}{}
			} else {
				connected <- struct{}{}
			}
		},
		OnTextMessage:      func(m *chat.Message) { d.texts <- m },
		OnDeliveredMessage: func(r *chat.Receipt) { d.delivered <- r },
		OnReadMessage:      func(r *chat.Receipt) { d.read <- r },
		OnConversationRead: func(r *chat.Receipt) { d.whole <- r },
		OnError:            func(err *chat.Error) { d.errs <- err },
		OnDisconnected:     func(err error) { d.ended <- err },
	})
	if err := client.Login(t.Context(), p.user, chat.Password(password)); err != nil {
		t.Fatal(err)
	}
	next(t, connected, "OnConnected")
	return d
}

// send sends texts and fails the test if the server does not take one.
func (d *device) send(t *testing.T, to string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if _, err := d.SendText(t.Context(), to, text); err != nil {
			t.Fatal(err)
		}
	}
}

// expect takes the next messages, which must be these.
func (d *device) expect(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if got := next(t, d.texts, fmt.Sprintf("%q for %s", text, d.user)); got.Text != text {
			t.Fatalf("%s received %q, want %q", d.user, got.Text, text)
		}
	}
}

// expectEnd waits for the end of the session, which must be reported with the code.
func (d *device) expectEnd(t *testing.T, code errcode.Code) {
	t.Helper()
	for what, err := range map[string]error{
		"OnError":        next(t, d.errs, "OnError of "+d.user),
		"OnDisconnected": next(t, d.ended, "OnDisconnected of "+d.user),
	} {
		if !errors.Is(err, code) {
			t.Errorf("%s got %v, want %d", what, err, code)
		}
	}
}

func next[T any](t *testing.T, events <-chan T, what string) T {
	t.Helper()
	select {
	case event := <-events:
		return event
	case <-time.After(patience):
		t.Fatalf("%s did not come within %v", what, patience)
		panic("unreachable")
	}
}

// eventually polls for what is reported by no event.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(patience); !holds(); {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}
