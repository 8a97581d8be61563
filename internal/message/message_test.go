package message

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/account/accounttest"
	"github.com/stoa-chat/stoa/internal/clock"
	"github.com/stoa-chat/stoa/internal/contact"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/muc"
	"github.com/stoa-chat/stoa/internal/store"
	"github.com/stoa-chat/stoa/internal/store/sqlite"
	"github.com/stoa-chat/stoa/internal/store/sqlitetest"
)

// world is a message service over a real store, with the users alice and bob of acme#demo.
type world struct {
	*testing.T
	store    *brokenStore
	hub      *delivery.Hub
	delivery *delivery.Service
	accounts *account.Service
	mucs     *muc.Service
	messages *Service
	app      *account.App
	clock    *clock.Clock
	alice    Sender
	bob      store.User
}

// brokenStore is the store, whose methods fail when the test says so.
type brokenStore struct {
	*sqlite.Store
	mu       sync.Mutex
	fail     error
	before   func()          // run before the next Append
	verdicts <-chan struct{} // what a verdict is kept for; nil: they are kept at once
}

func (b *brokenStore) breakDown(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fail = err
}

func (b *brokenStore) broken() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.fail
}

func (b *brokenStore) Append(ctx context.Context, drafts []store.Draft) ([]store.Appended, error) {
	if err := b.broken(); err != nil {
		return nil, err
	}
	b.mu.Lock()
	before := b.before
	b.before = nil
	b.mu.Unlock()
	if before != nil {
		before()
	}
	return b.Store.Append(ctx, drafts)
}

func (b *brokenStore) UserByID(ctx context.Context, id int64) (store.User, error) {
	if err := b.broken(); err != nil {
		return store.User{}, err
	}
	return b.Store.UserByID(ctx, id)
}

func (b *brokenStore) PutVerdict(ctx context.Context, v store.Verdict, keep int) error {
	if b.verdicts != nil {
		<-b.verdicts
	}
	return b.Store.PutVerdict(ctx, v, keep)
}

func (b *brokenStore) User(ctx context.Context, app int64, name string) (store.User, error) {
	if err := b.broken(); err != nil {
		return store.User{}, err
	}
	return b.Store.User(ctx, app, name)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel() // most of the time goes into waiting for the disk
	log := slog.New(slog.DiscardHandler)
	s := &brokenStore{Store: sqlitetest.Open(t, log)}
	n := accounttest.New(t, s, log)
	w := &world{T: t, store: s, hub: n.Hub, delivery: n.Delivery, accounts: n.Accounts, app: n.App, clock: n.Clock}
	w.mucs = muc.New(w.accounts, w.store, w.delivery, n.Bus, w.clock, log)
	w.messages = New(w.accounts, contact.New(w.accounts, w.store, w.delivery, n.Bus, w.clock, log), w.mucs, w.store, w.delivery, w.clock, log)
	w.alice = w.sender("alice")
	var err error
	w.bob, err = w.accounts.Register(t.Context(), w.app, account.NewUser{Name: "bob"})
	w.must(err)
	return w
}

// sender registers a user with a device.
func (w *world) sender(name string) Sender {
	w.Helper()
	user, err := w.accounts.Register(w.Context(), w.app, account.NewUser{Name: name})
	w.must(err)
	return w.device(user)
}

// device gives a user a device.
func (w *world) device(user store.User) Sender {
	w.Helper()
	device, err := w.store.OpenDevice(w.Context(), store.Device{User: user.ID, Resource: "webim_web_1"})
	w.must(err)
	return Sender{App: w.app, User: user, Device: device.ID, Resource: "webim_web_1"}
}

// set changes settings of the app.
func (w *world) set(patch string) {
	w.Helper()
	_, err := w.accounts.ChangeSettings(w.Context(), w.app, []byte(patch))
	w.must(err)
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// send sends a meta as alice and returns its result. Done must be called once.
func (w *world) send(meta *msync.Meta) Result { return w.sendAs(w.alice, meta) }

func (w *world) sendAs(from Sender, meta *msync.Meta) Result {
	w.Helper()
	results := make(chan Result, 2)
	w.messages.Send(w.Context(), from, meta, func(r Result) { results <- r })
	var r Result
	select {
	case r = <-results:
	case <-time.After(20 * time.Second):
		w.Fatal("no result")
	}
	select {
	case again := <-results:
		w.Fatalf("a second result: %+v after %+v", again, r)
	default:
	}
	return r
}

// entries returns what is in the timelines that a user reads.
func (w *world) entries(user store.User) (all []*msync.Meta) {
	w.Helper()
	positions, err := w.store.Positions(w.Context(), user.ID, 0)
	w.must(err)
	for _, p := range positions {
		entries, err := w.store.ReadTimeline(w.Context(), p.Timeline, 0, 1000, 1<<30)
		w.must(err)
		for _, e := range entries {
			var m msync.Meta
			w.must(proto.Unmarshal(e.Meta, &m))
			all = append(all, &m)
		}
	}
	return all
}

func text(s string) *msync.MessageBody {
	return &msync.MessageBody{Type: msync.MessageBody_CHAT, From: &msync.JID{Name: "alice"}, To: &msync.JID{Name: "bob"},
		Contents: []*msync.MessageBody_Content{{Type: msync.MessageBody_Content_TEXT, Text: s}}}
}

func metaTo(name string, body *msync.MessageBody) *msync.Meta {
	payload, err := proto.Marshal(body)
	if err != nil {
		panic(err)
	}
	return &msync.Meta{Id: 7, To: &msync.JID{AppKey: "acme#demo", Name: name, Domain: msync.UserDomain}, Ns: msync.Meta_CHAT, Payload: payload}
}

// change returns the meta after a change.
func change(m *msync.Meta, do func(*msync.Meta)) *msync.Meta {
	do(m)
	return m
}

func ofType(t msync.MessageBody_Type) *msync.MessageBody {
	return &msync.MessageBody{Type: t, From: &msync.JID{Name: "alice"}, To: &msync.JID{Name: "bob"}, AckMessageId: 5, Contents: []*msync.MessageBody_Content{{}}}
}

func TestWhatIsRefused(t *testing.T) {
	w := newWorld(t)
	place := func(m *msync.Meta) { m.To.Domain = msync.PlaceDomain }
	withMeta := func(meta string) *msync.MessageBody {
		b := text("hi")
		b.Meta = meta
		return b
	}
	from := func(name string) *msync.MessageBody {
		b := text("hi")
		b.From.Name = name
		return b
	}
	for _, test := range []struct {
		name string
		meta *msync.Meta
		want errcode.Code
	}{
		{"a body that is no protobuf", change(metaTo("bob", text("hi")), func(m *msync.Meta) { m.Payload = []byte{0xff} }), 604},
		{"a text with a lone surrogate", change(metaTo("bob", text("hi")), func(m *msync.Meta) { m.Payload = []byte("\x08\x01\x22\x05\x12\x03\xed\xa0\xbd") }), 604},
		{"no body", change(metaTo("bob", text("hi")), func(m *msync.Meta) { m.Payload = nil }), 604},
		{"a body of type NORMAL", metaTo("bob", ofType(msync.MessageBody_NORMAL)), 604},
		{"a body of a type that does not exist", metaTo("bob", ofType(99)), 604},
		{"a meta that is not JSON", metaTo("bob", withMeta("{")), 604},
		{"a meta that is JSON, but no object", metaTo("bob", withMeta("[]")), 604},
		{"a meta that is null", metaTo("bob", withMeta("null")), 604},
		{"no receiver", metaTo("", text("hi")), 604},
		{"no receiver at all", change(metaTo("bob", text("hi")), func(m *msync.Meta) { m.To = nil }), 604},
		{"a receiver of another app", change(metaTo("bob", text("hi")), func(m *msync.Meta) { m.To.AppKey = "o#b" }), 604},
		{"a receipt to another app", change(metaTo("bob", ofType(msync.MessageBody_READ_ACK)), func(m *msync.Meta) { m.To.AppKey = "o#b" }), 604},
		{"a foreign sender", metaTo("bob", from("bob")), 603},
		{"a foreign sender who does not exist", metaTo("bob", from("nobody")), 603},
		{"a foreign sender of a receipt", metaTo("bob", change2(ofType(msync.MessageBody_READ_ACK), "bob")), 603},
		{"nobody", metaTo("nobody", text("hi")), 204},
		{"a name that cannot be", metaTo("no\x00body", text("hi")), 204},
		{"too much", metaTo("bob", text(strings.Repeat("x", 5*1024))), 511},
		{"too much for nobody: the size comes first", metaTo("nobody", text(strings.Repeat("x", 5*1024))), 511},
		{"a group", metaTo("123", ofType(msync.MessageBody_GROUPCHAT)), 605},
		{"a chatroom", metaTo("123", ofType(msync.MessageBody_CHATROOM)), 705},
		{"a single message to a group's domain", change(metaTo("bob", text("hi")), place), 605},
		{"a group's read receipt for no message", change(metaTo("bob", ofType(msync.MessageBody_READ_ACK)), place), 503},
		{"a receipt for all of a group", change(metaTo("bob", ofType(msync.MessageBody_CHANNEL_ACK)), place), 605},
		{"a content of no kind", metaTo("bob", changed(text("hi"), func(b *msync.MessageBody) { b.Contents[0].Type = 9 })), 604},
		{"an extension that is not the JSON it says to be", metaTo("bob", changed(text("hi"), func(b *msync.MessageBody) { b.Ext = badJSON })), 604},
		{"the same of a custom message", metaTo("bob", changed(text("hi"), func(b *msync.MessageBody) { b.Contents[0].CustomExts = badJSON })), 604},
		{"the same of a content's parameters", metaTo("bob", changed(text("hi"), func(b *msync.MessageBody) { b.Contents[0].Params = badJSON })), 604},
		{"the same around the body", change(metaTo("bob", text("hi")), func(m *msync.Meta) { m.Ext = badJSON }), 604},
		{"the same of a recall", change(metaTo("bob", ofType(msync.MessageBody_RECALL)), func(m *msync.Meta) { m.Ext = badJSON }), 604},
	} {
		r := w.send(test.meta)
		var e *errcode.Error
		if !errors.As(r.Err, &e) || e.Code != test.want || r.ID != 0 || e.Message == "" {
			t.Errorf("%s: %+v, want code %d", test.name, r, test.want)
		}
	}
	if got := w.entries(w.bob); len(got) != 0 {
		t.Errorf("kept %v", got)
	}
}

// badJSON would be an uncaught error in the receiver's client.
var badJSON = []*msync.KeyValue{{Key: "k", Type: msync.KeyValue_JSON_STRING, Value: &msync.KeyValue_StringValue{StringValue: "{"}}}

func changed(b *msync.MessageBody, do func(*msync.MessageBody)) *msync.MessageBody {
	do(b)
	return b
}

func change2(b *msync.MessageBody, from string) *msync.MessageBody {
	b.From.Name = from
	return b
}

// TestTheSizeOfAMessageIsThatOfContentsAndExtension: what else the body holds does not count.
func TestTheSizeOfAMessageIsThatOfContentsAndExtension(t *testing.T) {
	w := newWorld(t)
	const limit = 600
	w.set(`{"message_max_bytes":600}`)
	// Of one content the length's own two bytes count as well.
	content := func(n int) []*msync.MessageBody_Content {
		c := &msync.MessageBody_Content{Text: strings.Repeat("x", n)}
		return []*msync.MessageBody_Content{c}
	}
	sized := func(contents, ext int) *msync.MessageBody {
		b := text("")
		b.Contents = nil
		if contents > 0 {
			b.Contents = content(contents)
		}
		if ext > 0 {
			b.Ext = []*msync.KeyValue{{Key: "k", Type: 7, Value: &msync.KeyValue_StringValue{StringValue: strings.Repeat("x", ext)}}}
		}
		return b
	}
	for _, test := range []struct {
		name string
		body *msync.MessageBody
	}{
		{"contents", sized(400, 0)}, {"extension", sized(0, 400)}, {"both", sized(200, 200)},
	} {
		field := &test.body.Contents
		size := func() int { return contentSize(mustMarshal(test.body)) }
		grow := func(n int) {
			if len(*field) > 0 {
				(*field)[0].Text += strings.Repeat("x", n)
			} else {
				test.body.Ext[0].Value = &msync.KeyValue_StringValue{StringValue: test.body.Ext[0].GetStringValue() + strings.Repeat("x", n)}
			}
		}
		for size() < limit {
			grow(1)
		}
		if n := size(); n != limit {
			t.Fatalf("%s: %d bytes", test.name, n)
		}
		test.body.From, test.body.To, test.body.Meta = &msync.JID{Name: "alice", ClientResource: strings.Repeat("r", 1000)}, nil, `{"a":"`+strings.Repeat("x", 1000)+`"}`
		if r := w.send(metaTo("bob", test.body)); r.Err != nil {
			t.Errorf("%s at the limit: %v", test.name, r.Err)
		}
		grow(1)
		if r := w.send(metaTo("bob", test.body)); !errors.Is(r.Err, errcode.MessageTooLarge) {
			t.Errorf("%s above the limit: %+v", test.name, r)
		}
	}
	// What a text of a certain length costs, so that the limit means what operators read.
	if n := contentSize(mustMarshal(text("hello"))); n < 5 || n > 5+6 {
		t.Errorf("a text of 5 bytes is counted as %d", n)
	}
}

func mustMarshal(m proto.Message) []byte {
	b, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	return b
}

func FuzzContentSize(f *testing.F) {
	f.Add(mustMarshal(text("hello")))
	f.Add([]byte{0x0b, 0x0c})
	f.Fuzz(func(t *testing.T, payload []byte) {
		var body msync.MessageBody
		if proto.Unmarshal(payload, &body) != nil {
			return
		}
		if size := contentSize(payload); size < 0 || size > len(payload) {
			t.Errorf("%d of %d bytes", size, len(payload))
		}
	})
}

func TestNamesAreThoseOfTheUsers(t *testing.T) {
	w := newWorld(t)
	for _, test := range []struct {
		name     string
		from, to *msync.JID
		meta     string
	}{
		{"as they are", &msync.JID{Name: "alice"}, &msync.JID{Name: "bob"}, "bob"},
		{"in capitals", &msync.JID{Name: "ALICE"}, &msync.JID{Name: "Bob"}, "BOB"},
		{"missing", nil, nil, "bob"},
		{"empty", &msync.JID{}, &msync.JID{}, "Bob"},
		{"another receiver in the body", &msync.JID{Name: "alice"}, &msync.JID{Name: "carol"}, "bob"},
	} {
		body := text("hi " + test.name)
		body.From, body.To = test.from, test.to
		body.Ext = []*msync.KeyValue{{Key: "k", Type: 7, Value: &msync.KeyValue_StringValue{StringValue: "v"}}}
		meta := metaTo(test.meta, body)
		unknown := protowire.AppendString(protowire.AppendTag(nil, 900, protowire.BytesType), "news")
		meta.Payload = append(meta.Payload, unknown...)
		sent := string(meta.Payload)
		meta.Ext = []*msync.KeyValue{{Key: "e", Type: 2, Value: &msync.KeyValue_VarintValue{VarintValue: 3}}}
		meta.From, meta.Meta, meta.DirectedUsers = &msync.JID{Name: "forged"}, []byte("{}"), []string{"x"}
		if r := w.send(meta); r.Err != nil || r.ID == 0 || r.Time == 0 {
			t.Fatalf("%s: %+v", test.name, r)
		}
		all := w.entries(w.bob)
		got := all[len(all)-1]
		want := &msync.Meta{Ns: msync.Meta_CHAT, Payload: got.Payload, Ext: meta.Ext,
			From: &msync.JID{Name: "alice", Domain: msync.UserDomain, ClientResource: "webim_web_1"}, To: &msync.JID{Name: "bob", Domain: msync.UserDomain}}
		if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
			t.Errorf("%s: meta (-want +got):\n%s", test.name, diff)
		}
		if !strings.HasPrefix(string(got.Payload), sent) {
			t.Errorf("%s: the payload does not go on as it came", test.name)
		}
		var kept msync.MessageBody
		w.must(proto.Unmarshal(got.Payload, &kept))
		if kept.From.GetName() != "alice" || kept.To.GetName() != "bob" || kept.Contents[0].Text != body.Contents[0].Text || string(kept.ProtoReflect().GetUnknown()) != string(unknown) {
			t.Errorf("%s: body is %v", test.name, &kept)
		}
		if test.name == "as they are" && string(got.Payload) != sent {
			t.Errorf("%s: the payload was changed", test.name)
		}
	}
}

func TestReceiptsGoToTheOtherAndToNobody(t *testing.T) {
	w := newWorld(t)
	for _, kind := range []msync.MessageBody_Type{msync.MessageBody_READ_ACK, msync.MessageBody_DELIVER_ACK, msync.MessageBody_CHANNEL_ACK} {
		before := len(w.entries(w.bob))
		if r := w.send(metaTo("Bob", ofType(kind))); r.Err != nil || r.ID == 0 || r.Time == 0 {
			t.Errorf("%v: %+v", kind, r)
		}
		all := w.entries(w.bob)
		if len(all) != before+1 {
			t.Fatalf("%v: bob has %d entries", kind, len(all))
		}
		var body msync.MessageBody
		w.must(proto.Unmarshal(all[before].Payload, &body))
		if body.Type != kind || body.AckMessageId != 5 || body.To.Name != "bob" || all[before].From.Name != "alice" {
			t.Errorf("%v: %v with the body %v", kind, all[before], &body)
		}
		for _, name := range []string{"nobody", "", "admin", "no body"} {
			if r := w.send(metaTo(name, ofType(kind))); r.Err != nil || r.ID == 0 {
				t.Errorf("%v to %q: %+v", kind, name, r)
			}
		}
	}
	for _, name := range []string{"bob", "123"} { // the client sends it by itself and drops the promise
		m := metaTo(name, ofType(msync.MessageBody_DELIVER_ACK))
		m.To.Domain = msync.PlaceDomain
		if r := w.send(m); r.Err != nil {
			t.Errorf("DELIVER_ACK to the group %s: %v", name, r.Err)
		}
	}
	if got := w.entries(w.alice.User); len(got) != 0 {
		t.Errorf("alice has %v", got)
	}
}

func TestOnlineMessagesAreNotKept(t *testing.T) {
	w := newWorld(t)
	m := metaTo("bob", text("hi"))
	m.Routetype = msync.Meta_ROUTE_ONLINE
	if r := w.send(m); r.Err != nil || r.ID == 0 || r.Time == 0 {
		t.Errorf("%+v", r)
	}
	m = metaTo("nobody", text("hi"))
	m.Routetype = msync.Meta_ROUTE_ONLINE
	if r := w.send(m); !errors.Is(r.Err, errcode.UserNotFound) {
		t.Errorf("to nobody: %+v", r)
	}
	if got := w.entries(w.bob); len(got) != 0 {
		t.Errorf("kept %v", got)
	}
}

func TestTheSameMetaAgainIsTheSameMessage(t *testing.T) {
	w := newWorld(t)
	first := w.send(metaTo("bob", text("hi")))
	if again := w.send(metaTo("BOB", text("hi"))); again.ID != first.ID || again.Time != first.Time {
		t.Errorf("again %+v, first %+v", again, first)
	}
	if other := w.send(metaTo("bob", text("ho"))); other.Err != nil || other.ID == first.ID {
		t.Errorf("another text: %+v, first %+v", other, first)
	}
	if got := w.entries(w.bob); len(got) != 2 {
		t.Errorf("bob has %d entries", len(got))
	}
}

func TestTroubleOfTheStoreHasACodeAndNoDetails(t *testing.T) {
	w := newWorld(t)
	w.store.breakDown(errors.New("disk /dev/secret"))
	for _, meta := range []*msync.Meta{metaTo("bob", text("hi")), metaTo("carol", text("hi")), metaTo("carol", ofType(msync.MessageBody_READ_ACK))} {
		r := w.send(meta)
		var e *errcode.Error
		if !errors.As(r.Err, &e) || e.Code != errcode.ServerUnknownError || strings.Contains(e.Message+e.Reason, "secret") {
			t.Errorf("to %s: %+v", meta.To.Name, r)
		}
	}
	w.store.breakDown(nil)
	w.delivery.Close()
	if r := w.send(metaTo("bob", text("hi"))); !errors.Is(r.Err, errcode.ServerUnknownError) {
		t.Errorf("after the end: %+v", r)
	}
}
