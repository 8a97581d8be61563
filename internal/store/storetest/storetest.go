// Package storetest is the suite that every implementation of store.Store must pass.
package storetest

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/stoa-chat/stoa/internal/store"
)

// start is the time at which the tests begin. It is near the machine's, which a store may use to forget what is old, but
// rules follow the times that the store is told.
var start = time.Now().UnixMilli()

const hour int64 = 3600 * 1000

type test struct {
	name string
	run  func(t *testing.T, e *env)
}

// Run tests an implementation. Each call of open returns a store of its own that is empty, and closes it when the test
// has ended. Tests run in parallel.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	groups := []struct {
		name  string
		tests []test
	}{
		{"Apps", appTests},
		{"Users", userTests},
		{"Cluster", clusterTests},
		{"Sessions", sessionTests},
		{"Devices", deviceTests},
		{"Timelines", timelineTests},
		{"Repetitions", repetitionTests},
		{"Cursors", cursorTests},
		{"Contents", contentTests},
		{"Subscriptions", subscriptionTests},
		{"Contacts", contactTests},
		{"Groups", mucTests},
		{"Rooms", roomTests},
		{"GroupModel", mucModelTests},
		{"Conversations", conversationTests},
		{"Words", wordTests},
		{"Files", fileTests},
		{"Receipts", receiptTests},
		{"Reactions", reactionTests},
		{"Pins", pinTests},
		{"Reports", reportTests},
		{"Hanging", hangingTests},
		{"Profiles", profileTests},
		{"Presence", presenceTests},
		{"Push", pushTests},
		{"Notifications", notificationTests},
		{"Campaigns", campaignTests},
		{"Rules", ruleTests},
		{"Mutes", muteTests},
		{"Callbacks", callbackTests},
		{"Verdicts", verdictTests},
		{"Archives", archiveTests},
		{"Model", modelTests},
	}
	for _, group := range groups {
		t.Run(group.name, func(t *testing.T) {
			t.Parallel()
			for _, test := range group.tests {
				t.Run(test.name, func(t *testing.T) {
					t.Parallel()
					test.run(t, newEnv(t, open(t)))
				})
			}
		})
	}
}

// env is a store under test with shorthands that end the test when the store returns an error.
type env struct {
	tb
	store.Store
	ctx  context.Context
	last *atomic.Int64
}

// tb is what the tests need of a *testing.T or a *rapid.T.
type tb interface {
	Helper()
	Fatalf(format string, args ...any)
}

func newEnv(t *testing.T, s store.Store) *env {
	return &env{tb: t, Store: s, ctx: t.Context(), last: new(atomic.Int64)}
}

// next returns a number that the test has not used yet.
func (e *env) next() int64 { return e.last.Add(1) }

func (e *env) app() store.App {
	e.Helper()
	n := e.next()
	app, err := e.CreateApp(e.ctx, store.App{
		Org: "org", Name: fmt.Sprintf("app%d", n), UUID: fmt.Sprintf("uuid-%d", n),
		AgoraID: fmt.Sprintf("%032x", n), Certificate: "certificate", ClientID: fmt.Sprintf("client-%d", n),
		ClientSecret: "secret", SigningKey: []byte("key"), Settings: []byte("{}"), Created: start,
	})
	e.check("create app", err)
	return app
}

func (e *env) user(app store.App, name string) store.User {
	e.Helper()
	user, err := e.CreateUser(e.ctx, store.User{
		App: app.ID, Name: name, UUID: "uuid-" + name, Active: true, Created: start, Modified: start,
	})
	e.check("create user", err)
	return user
}

func (e *env) device(user store.User, resource string) store.Device {
	e.Helper()
	device, err := e.OpenDevice(e.ctx, store.Device{User: user.ID, Resource: resource, Platform: "web", Seen: start})
	e.check("open device", err)
	return device
}

func (e *env) join(now, until int64) store.Lease {
	e.Helper()
	lease, err := e.JoinCluster(e.ctx, now, until)
	e.check("join cluster", err)
	return lease
}

// put stores a session of the device and returns the other sessions.
func (e *env) put(lease store.Lease, id int64, device store.Device, now int64) []store.Session {
	e.Helper()
	others, err := e.PutSession(e.ctx, session(lease, id, device, now), now)
	e.check("put session", err)
	return others
}

func session(lease store.Lease, id int64, device store.Device, now int64) store.Session {
	return store.Session{
		ID: id, User: device.User, Device: device.ID, Resource: device.Resource, Platform: device.Platform,
		UUID: device.UUID, Name: device.Name, Node: lease.Node, Since: now,
	}
}

func (e *env) sessions(user store.User, now int64) []store.Session {
	e.Helper()
	list, err := e.ListSessions(e.ctx, user.ID, now)
	e.check("list sessions", err)
	return list
}

// append stores drafts, gives an id to those that have none, and expects that none of them fails.
func (e *env) append(drafts ...store.Draft) []store.Appended {
	e.Helper()
	for i := range drafts {
		if drafts[i].ID == 0 {
			drafts[i].ID = e.next()
		}
		if drafts[i].Time == 0 {
			drafts[i].Time = start
		}
	}
	results, err := e.Append(e.ctx, drafts)
	e.check("append", err)
	if len(results) != len(drafts) {
		e.Fatalf("append returned %d results for %d drafts", len(results), len(drafts))
	}
	for i, r := range results {
		e.check(fmt.Sprintf("append draft %d", i), r.Err)
	}
	return results
}

// fill appends n entries of their own to a timeline and returns its number.
func (e *env) fill(key store.Key, n int) int64 {
	e.Helper()
	drafts := make([]store.Draft, n)
	for i := range drafts {
		drafts[i] = store.Draft{Key: key, Meta: fmt.Appendf(nil, "entry %d", e.next())}
	}
	return e.append(drafts...)[0].Timeline
}

// read returns all entries of a timeline.
func (e *env) read(timeline int64) []store.Entry {
	e.Helper()
	var all []store.Entry
	for after := int64(0); ; after = all[len(all)-1].Seq {
		entries, err := e.ReadTimeline(e.ctx, timeline, after, 500, 1<<30)
		e.check("read timeline", err)
		if len(entries) == 0 {
			return all
		}
		all = append(all, entries...)
	}
}

func (e *env) positions(user, device int64) []store.Position {
	e.Helper()
	positions, err := e.Positions(e.ctx, user, device)
	e.check("positions", err)
	return positions
}

func (e *env) save(device store.Device, timeline, seq int64) {
	e.Helper()
	e.check("save cursors", e.SaveCursors(e.ctx, []store.Cursor{cursor(device, timeline, seq)}))
}

func cursor(device store.Device, timeline, seq int64) store.Cursor {
	return store.Cursor{User: device.User, Device: device.ID, Timeline: timeline, Seq: seq}
}

func (e *env) check(what string, err error) {
	e.Helper()
	if err != nil {
		e.Fatalf("%s: %v", what, err)
	}
}

// commit waits for a commit. An index may be written behind the entries, and goes on with each.
func (e *env) commit() {
	e.Helper()
	e.check("commit", e.SaveCursors(e.ctx, nil))
}

// same fails the test if got is not want; nil and empty are the same.
func same[T any](t tb, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.EquateErrors()); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}
