package storetest

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/stoa-chat/stoa/internal/store"
)

var profileTests = []test{
	{"attributes are set beside those that are there", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob := e.user(app, "alice"), e.user(app, "bob")
		all, err := e.SetAttributes(e.ctx, app.ID, alice.ID, map[string]string{"nickname": "Al", "sign": "☃"}, 100)
		e.check("set attributes", err)
		same(t, "attributes", all, map[string]string{"nickname": "Al", "sign": "☃"})
		all, err = e.SetAttributes(e.ctx, app.ID, alice.ID, map[string]string{"nickname": "", "mail": "a@b.c"}, 100)
		e.check("set attributes", err)
		want := map[string]string{"nickname": "", "sign": "☃", "mail": "a@b.c"}
		same(t, "attributes", all, want)
		got, err := e.Attributes(e.ctx, []int64{bob.ID, alice.ID, 1 << 40})
		e.check("attributes", err)
		same(t, "attributes of several", got, map[int64]map[string]string{alice.ID: want})
		n, err := e.AttributeBytes(e.ctx, app.ID)
		e.check("bytes", err)
		same(t, "bytes", n, int64(len("nickname")+len("sign")+len("☃")+len("mail")+len("a@b.c")))
		n, err = e.AttributeBytes(e.ctx, e.app().ID)
		e.check("bytes", err)
		same(t, "bytes of another app", n, 0)
	}},
	{"attributes that are too large change nothing", func(t *testing.T, e *env) {
		app := e.app()
		alice := e.user(app, "alice")
		_, err := e.SetAttributes(e.ctx, app.ID, alice.ID, map[string]string{"ab": "12345678"}, 10)
		e.check("set attributes up to the limit", err)
		_, err = e.SetAttributes(e.ctx, app.ID, alice.ID, map[string]string{"ab": "123456789"}, 10)
		e.is("above the limit", err, store.ErrFull)
		_, err = e.SetAttributes(e.ctx, app.ID, alice.ID, map[string]string{"c": ""}, 10)
		e.is("above the limit by a name", err, store.ErrFull)
		got, err := e.Attributes(e.ctx, []int64{alice.ID})
		e.check("attributes", err)
		same(t, "attributes", got, map[int64]map[string]string{alice.ID: {"ab": "12345678"}})
	}},
	{"attributes are dropped, and go with the user", func(t *testing.T, e *env) {
		app := e.app()
		alice := e.user(app, "alice")
		set := func() error {
			_, err := e.SetAttributes(e.ctx, app.ID, alice.ID, map[string]string{"ext": "e"}, 10)
			return err
		}
		e.check("set attributes", set())
		e.check("drop attributes", e.DropAttributes(e.ctx, alice.ID))
		e.check("drop attributes again", e.DropAttributes(e.ctx, alice.ID))
		got, err := e.Attributes(e.ctx, []int64{alice.ID})
		e.check("attributes", err)
		same(t, "attributes", got, nil)
		e.check("set attributes", set())
		e.check("delete user", e.DeleteUser(e.ctx, alice.ID))
		got, err = e.Attributes(e.ctx, []int64{alice.ID})
		e.check("attributes", err)
		same(t, "attributes of a deleted user", got, nil)
		e.is("set attributes of a deleted user", set(), store.ErrNotFound)
	}},
}

func (e *env) watch(watcher store.User, expires int64, targets ...store.User) error {
	var peers []store.Peer
	for _, target := range targets {
		peers = append(peers, peer(target))
	}
	return e.Watch(e.ctx, watcher.App, watcher.ID, peers, expires, start, 2)
}

// watchers returns who watches a user at a time.
func (e *env) watchers(target store.User, now int64) (all []int64) {
	e.Helper()
	watches, err := e.Watchers(e.ctx, target.ID, now)
	e.check("watchers", err)
	for _, w := range watches {
		all = append(all, w.Watcher)
	}
	return all
}

var presenceTests = []test{
	{"a publication replaces that of its device and keeps those of devices that stay", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob := e.user(app, "alice"), e.user(app, "bob")
		publish := func(resource string, status int, text string, at int64, keep ...string) {
			t.Helper()
			e.check("publish", e.Publish(e.ctx, store.Publication{User: alice.ID, Resource: resource, Status: status, Text: text, Time: at}, keep))
		}
		publish("phone", 1, "at home ☃", start)
		publish("web", 100, "", start+1, "phone")
		publish("web", 2, "busy", start+2, "phone", "other")
		got, err := e.Publications(e.ctx, []int64{alice.ID, bob.ID})
		e.check("publications", err)
		web := store.Publication{User: alice.ID, Resource: "web", Status: 2, Text: "busy", Time: start + 2}
		same(t, "publications", got, []store.Publication{web, {User: alice.ID, Resource: "phone", Status: 1, Text: "at home ☃", Time: start}})
		publish("web", 2, "busy", start+2)
		got, err = e.Publications(e.ctx, []int64{alice.ID})
		e.check("publications", err)
		same(t, "publications without the phone", got, []store.Publication{web})
		e.check("delete user", e.DeleteUser(e.ctx, alice.ID))
		got, err = e.Publications(e.ctx, []int64{alice.ID})
		e.check("publications", err)
		same(t, "publications of a deleted user", got, nil)
		e.is("publish as a deleted user", e.Publish(e.ctx, web, nil), store.ErrNotFound)
	}},
	{"the last device and the sessions of several users are found", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob, carol := e.user(app, "alice"), e.user(app, "bob"), e.user(app, "carol")
		phone, web := e.device(alice, "phone"), e.device(alice, "web")
		e.check("see device", e.SeeDevice(e.ctx, alice.ID, phone.ID, start+5))
		desk := e.device(bob, "desk")
		devices, err := e.LastDevices(e.ctx, []int64{alice.ID, bob.ID, carol.ID})
		e.check("last devices", err)
		phone.Seen = start + 5
		byUser := cmpopts.SortSlices(func(a, b store.Device) bool { return a.User < b.User })
		if diff := cmp.Diff([]store.Device{phone, desk}, devices, byUser); diff != "" {
			t.Errorf("last devices: %s", diff)
		}
		lease := e.join(start, start+hour)
		e.put(lease, 1, web, start)
		e.put(lease, 2, desk, start)
		e.put(lease, 3, phone, start+1)
		sessions, err := e.SessionsOf(e.ctx, []int64{alice.ID, carol.ID}, start)
		e.check("sessions of", err)
		same(t, "sessions", sessions, []store.Session{session(lease, 1, web, start), session(lease, 3, phone, start+1)})
	}},
	{"a watch lasts until it expires, is renewed or ends", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob, carol := e.user(app, "alice"), e.user(app, "bob"), e.user(app, "carol")
		e.check("watch", e.watch(alice, start+10, bob, carol))
		e.check("watch", e.watch(carol, start+20, bob))
		same(t, "watchers", e.watchers(bob, start), []int64{alice.ID, carol.ID})
		same(t, "watchers when one has ended", e.watchers(bob, start+10), []int64{carol.ID})
		watched, err := e.Watched(e.ctx, []int64{alice.ID, bob.ID, carol.ID}, start+10)
		e.check("watched", err)
		same(t, "watched", watched, []store.Watch{{App: app.ID, Watcher: carol.ID, Target: peer(bob), Expires: start + 20}})
		e.check("watch again", e.watch(alice, start+30, bob))
		same(t, "watchers after a renewal", e.watchers(bob, start+20), []int64{alice.ID})

		page, total, err := e.ListWatched(e.ctx, alice.ID, start, 0, 1)
		e.check("list watched", err)
		same(t, "total", total, 2)
		same(t, "first page", page, []store.Watch{{App: app.ID, Watcher: alice.ID, Target: peer(bob), Expires: start + 30}})
		page, _, err = e.ListWatched(e.ctx, alice.ID, start, 1, 5)
		e.check("list watched", err)
		same(t, "second page", page, []store.Watch{{App: app.ID, Watcher: alice.ID, Target: peer(carol), Expires: start + 10}})
		page, total, err = e.ListWatched(e.ctx, alice.ID, start+10, 0, 5)
		e.check("list watched", err)
		same(t, "those that have not ended", []int{len(page), total}, []int{1, 1})

		n, err := e.ForgetWatches(e.ctx, start+10, 5)
		e.check("forget watches", err)
		same(t, "forgotten", n, 1)
		e.check("unwatch", e.Unwatch(e.ctx, alice.ID, []int64{bob.ID, alice.ID}))
		same(t, "watchers", e.watchers(bob, start), []int64{carol.ID})
	}},
	{"full lists of watches refuse, all or none", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob, carol, dave := e.user(app, "alice"), e.user(app, "bob"), e.user(app, "carol"), e.user(app, "dave")
		e.is("watch three", e.watch(alice, start+10, bob, carol, dave), store.ErrFull)
		same(t, "watchers", e.watchers(bob, start), nil)
		for _, user := range []store.User{bob, carol} {
			e.check("watch", e.watch(user, start+10, alice))
		}
		e.is("a third watcher", e.watch(dave, start+10, bob, alice), store.ErrPeerFull)
		same(t, "watchers", e.watchers(bob, start), nil)
		e.check("watch again", e.watch(bob, start+20, alice))
	}},
	{"watches go with either side", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob, carol := e.user(app, "alice"), e.user(app, "bob"), e.user(app, "carol")
		e.check("watch", e.watch(alice, start+10, bob))
		e.check("watch", e.watch(bob, start+10, carol))
		e.check("delete user", e.DeleteUser(e.ctx, bob.ID))
		same(t, "watchers", append(e.watchers(bob, start), e.watchers(carol, start)...), nil)
		_, total, err := e.ListWatched(e.ctx, alice.ID, start, 0, 5)
		e.check("list watched", err)
		same(t, "watched", total, 0)
		e.is("watch a deleted user", e.watch(alice, start+10, bob), store.ErrNotFound)
	}},
	{"a departure is taken once, when it is due", func(t *testing.T, e *env) {
		lease := e.join(start, start+hour)
		e.check("leave", e.LeaveCluster(e.ctx, lease))
		due := []store.Departure{{User: 1, Resource: "web", Due: start}, {User: 2, Resource: "web", Due: start + 1}}
		e.check("put departures", e.PutDepartures(e.ctx, append(due, store.Departure{User: 3, Resource: "web", Due: start + 2})))
		var taken []store.Departure
		for range 3 {
			some, err := e.TakeDepartures(e.ctx, start+1, 1)
			e.check("take departures", err)
			taken = append(taken, some...)
		}
		same(t, "taken", taken, due)
	}},
}

func (e *env) push(user store.User, scope store.PushScope, target, kind string, until int64, quiet string) error {
	return e.SetPush(e.ctx, user.ID, store.PushSetting{PushKey: store.PushKey{Scope: scope, Target: target}, Type: kind, Until: until, Quiet: quiet}, 3)
}

var pushTests = []test{
	{"push settings are replaced, found and removed", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob := e.user(app, "alice"), e.user(app, "bob")
		e.check("set push", e.push(alice, store.PushAll, "", "ALL", 0, "22:0-8:0"))
		e.check("set push", e.push(alice, store.PushPeer, "bob", "AT", start, ""))
		e.check("set push", e.push(alice, store.PushPlace, "bob", "NONE", 0, ""))
		e.check("set push", e.push(alice, store.PushPeer, "bob", "NONE", 0, ""))
		e.is("one too many", e.push(alice, store.PushPlace, "42", "ALL", 0, ""), store.ErrFull)
		keys := []store.PushKey{{Scope: store.PushAll}, {Scope: store.PushPeer, Target: "bob"}, {Scope: store.PushPlace, Target: "42"}}
		find := func(user store.User) (all []store.PushSetting) {
			t.Helper()
			all, err := e.PushSettings(e.ctx, user.ID, keys)
			e.check("push settings", err)
			for i := range all {
				all[i].Row = 0
			}
			return all
		}
		same(t, "settings", find(alice), []store.PushSetting{{PushKey: keys[0], Type: "ALL", Quiet: "22:0-8:0"}, {PushKey: keys[1], Type: "NONE"}})
		same(t, "settings of another", find(bob), nil)
		e.check("set push", e.push(bob, store.PushPeer, "bob", "AT", 0, ""))
		of := func(user store.User, key store.PushKey) store.UserPushKey {
			return store.UserPushKey{User: user.ID, PushKey: key}
		}
		several, err := e.PushSettingsOf(e.ctx, []store.UserPushKey{of(alice, keys[0]), of(bob, keys[1]), of(bob, keys[0])})
		e.check("push settings of several", err)
		kinds := map[int64]string{}
		for _, one := range several {
			kinds[one.User] = one.Type + one.Quiet
		}
		same(t, "settings of several", kinds, map[int64]string{alice.ID: "ALL22:0-8:0", bob.ID: "AT"})
		e.check("remove", e.push(alice, store.PushPeer, "bob", "", 0, ""))
		e.check("remove again", e.push(alice, store.PushPeer, "bob", "", 0, ""))
		same(t, "settings", len(find(alice)), 1)
	}},
	{"conversations with a type are listed in pages", func(t *testing.T, e *env) {
		alice := e.user(e.app(), "alice")
		e.check("set push", e.push(alice, store.PushAll, "", "NONE", 0, ""))
		e.check("set push", e.push(alice, store.PushPeer, "bob", "", start, ""))
		e.check("set push", e.push(alice, store.PushPlace, "42", "AT", 0, ""))
		e.check("remove", e.push(alice, store.PushAll, "", "", 0, ""))
		e.check("set push", e.push(alice, store.PushPeer, "carol", "ALL", 0, ""))
		first, err := e.ListPushTypes(e.ctx, alice.ID, 0, 1)
		e.check("list", err)
		same(t, "first page", first[0].PushKey, store.PushKey{Scope: store.PushPlace, Target: "42"})
		rest, err := e.ListPushTypes(e.ctx, alice.ID, first[0].Row, 5)
		e.check("list", err)
		same(t, "rest", len(rest), 1)
		same(t, "rest", rest[0].PushKey, store.PushKey{Scope: store.PushPeer, Target: "carol"})
	}},
	{"what a user wants of notifications is kept", func(t *testing.T, e *env) {
		alice := e.user(e.app(), "alice")
		u, err := e.PushUserOf(e.ctx, alice.ID)
		e.check("push user", err)
		same(t, "without any", u, store.PushUser{})
		for _, want := range []store.PushUser{{Language: "fr", Detailed: true}, {Language: "de", Template: "mine"}} {
			e.check("set push user", e.SetPushUser(e.ctx, alice.ID, want))
			u, err := e.PushUserOf(e.ctx, alice.ID)
			e.check("push user", err)
			same(t, "kept", u, want)
		}
	}},
	{"a push token belongs to one user and to one device", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob := e.user(app, "alice"), e.user(app, "bob")
		token := func(user store.User, device, token string) store.PushToken {
			return store.PushToken{App: app.ID, User: user.ID, Device: device, Notifier: "fcm", Token: token, Updated: start}
		}
		tokens := func() []store.PushToken {
			t.Helper()
			all, err := e.PushTokens(e.ctx, []int64{alice.ID, bob.ID})
			e.check("push tokens", err)
			return all
		}
		e.check("bind", e.BindPushToken(e.ctx, token(alice, "phone", "1"), 2))
		e.check("bind", e.BindPushToken(e.ctx, token(alice, "phone", "2"), 2))
		e.check("bind", e.BindPushToken(e.ctx, token(alice, "tablet", "3"), 2))
		e.is("bind one too many", e.BindPushToken(e.ctx, token(alice, "watch", "4"), 2), store.ErrFull)
		same(t, "tokens", tokens(), []store.PushToken{token(alice, "phone", "2"), token(alice, "tablet", "3")})
		e.check("bind the same by another user", e.BindPushToken(e.ctx, token(bob, "phone", "2"), 2))
		same(t, "tokens", tokens(), []store.PushToken{token(alice, "tablet", "3"), token(bob, "phone", "2")})

		older := token(bob, "phone", "2")
		older.Updated--
		e.check("drop", e.DropPushToken(e.ctx, older))
		same(t, "tokens", len(tokens()), 2)
		e.check("drop", e.DropPushToken(e.ctx, token(bob, "phone", "2")))
		e.check("unbind", e.UnbindPushToken(e.ctx, alice.ID, "phone"))
		same(t, "tokens", tokens(), []store.PushToken{token(alice, "tablet", "3")})
		e.check("delete user", e.DeleteUser(e.ctx, alice.ID))
		same(t, "tokens", tokens(), nil)
		e.is("bind by a deleted user", e.BindPushToken(e.ctx, token(alice, "phone", "1"), 2), store.ErrNotFound)
	}},
}

func (e *env) bind(user store.User, device string) {
	e.Helper()
	token := store.PushToken{App: user.App, User: user.ID, Device: device, Notifier: "fcm", Token: user.Name + device, Updated: start}
	e.check("bind push token", e.BindPushToken(e.ctx, token, plenty))
}

// spread spreads pushes in slices of two users until all are done, and returns how many slices it took.
func (e *env) spread() (n int) {
	e.Helper()
	for ; ; n++ {
		more, err := e.SpreadPush(e.ctx, 2)
		e.check("spread", err)
		if !more {
			return n
		}
	}
}

// due returns for whom there are notifications, as name/device, and finishes them.
func (e *env) due() (lines []string) {
	e.Helper()
	taken, err := e.TakeNotifications(e.ctx, 0, start+hour, start+2*hour, plenty)
	e.check("take", err)
	for _, n := range taken {
		user, err := e.UserByID(e.ctx, n.User)
		e.check("user", err)
		if n.Timeline != 0 {
			e.Fatalf("a notification of a push has the timeline %d", n.Timeline)
		}
		lines = append(lines, user.Name+"/"+n.Device)
		e.check("finish", e.FinishNotification(e.ctx, n.ID))
	}
	slices.Sort(lines)
	return lines
}

var campaignTests = []test{
	{"templates are replaced, found and removed", func(t *testing.T, e *env) {
		app, other := e.app(), e.app()
		put := func(name, title string, now int64) (store.PushTemplate, error) {
			return e.PutPushTemplate(e.ctx, app.ID, store.PushTemplate{Name: name, Title: title, Content: "c", Created: now, Updated: now}, 2)
		}
		_, err := put("a", "one", start)
		e.check("put", err)
		_, err = put("b", "two", start)
		e.check("put", err)
		got, err := put("a", "new", start+1)
		e.check("put again", err)
		want := store.PushTemplate{Name: "a", Title: "new", Content: "c", Created: start, Updated: start + 1}
		same(t, "what is stored", got, want)
		_, err = put("c", "three", start)
		e.is("one too many", err, store.ErrFull)
		list, err := e.PushTemplates(e.ctx, app.ID, []string{"c", "b", "a"})
		e.check("find", err)
		same(t, "found", []string{list[0].Title, list[1].Title}, []string{"new", "two"})
		list, err = e.PushTemplates(e.ctx, other.ID, []string{"a"})
		e.check("find", err)
		same(t, "of another app", len(list), 0)
		got, err = e.DropPushTemplate(e.ctx, app.ID, "a")
		e.check("drop", err)
		same(t, "dropped", got, want)
		_, err = e.DropPushTemplate(e.ctx, app.ID, "a")
		e.is("drop again", err, store.ErrNotFound)
	}},
	{"labels gather users", func(t *testing.T, e *env) {
		app, other := e.app(), e.app()
		alice, bob, carol := e.user(app, "alice"), e.user(app, "bob"), e.user(app, "carol")
		create := func(name string) (store.PushLabel, error) {
			return e.CreatePushLabel(e.ctx, app.ID, store.PushLabel{Name: name, Description: "d", Created: start}, 2)
		}
		a, err := create("a")
		e.check("create", err)
		_, err = create("a")
		e.is("create again", err, store.ErrExists)
		b, err := create("b")
		e.check("create", err)
		_, err = create("c")
		e.is("one too many", err, store.ErrFull)
		e.check("label", e.LabelUsers(e.ctx, a.ID, ids(bob, alice, store.User{ID: 1 << 40}), start, 2))
		e.check("label again", e.LabelUsers(e.ctx, a.ID, ids(alice), start+1, 2))
		e.is("one too many", e.LabelUsers(e.ctx, a.ID, ids(carol), start, 2), store.ErrFull)
		e.is("a label that is not there", e.LabelUsers(e.ctx, 1<<40, ids(carol), start, 2), store.ErrNotFound)
		a.Users = 2
		found, err := e.PushLabel(e.ctx, app.ID, "a")
		e.check("find", err)
		same(t, "found", found, a)
		_, err = e.PushLabel(e.ctx, other.ID, "a")
		e.is("in another app", err, store.ErrNotFound)
		list, err := e.ListPushLabels(e.ctx, app.ID, 0, 1)
		e.check("list", err)
		same(t, "the newest", list, []store.PushLabel{b})
		list, err = e.ListPushLabels(e.ctx, app.ID, b.ID, 9)
		e.check("list", err)
		same(t, "the others", list, []store.PushLabel{a})
		labelled, err := e.ListLabelled(e.ctx, a.ID, alice.ID, 9)
		e.check("list labelled", err)
		same(t, "who has it", labelled, []store.Labelled{{User: peer(bob), Created: start}})
		had, err := e.UnlabelUsers(e.ctx, a.ID, ids(alice, carol))
		e.check("unlabel", err)
		same(t, "who had it", had, ids(alice))
		e.check("delete user", e.DeleteUser(e.ctx, bob.ID))
		found, err = e.PushLabel(e.ctx, app.ID, "a")
		e.check("find", err)
		same(t, "users", found.Users, 0)
		e.check("drop", e.DropPushLabel(e.ctx, app.ID, "a"))
		e.is("drop again", e.DropPushLabel(e.ctx, app.ID, "a"), store.ErrNotFound)
		labelled, err = e.ListLabelled(e.ctx, a.ID, 0, 9)
		e.check("list labelled", err)
		same(t, "who has it", len(labelled), 0)
	}},
	{"a push reaches the devices of its users once", func(t *testing.T, e *env) {
		app, other := e.app(), e.app()
		users := []store.User{e.user(app, "alice"), e.user(app, "bob"), e.user(app, "carol"), e.user(app, "dave"), e.user(other, "eve")}
		for _, user := range users {
			e.bind(user, "phone")
		}
		e.bind(users[0], "tablet")
		e.user(app, "frank") // has no device
		var labels []int64
		for i, name := range []string{"most", "two"} {
			label, err := e.CreatePushLabel(e.ctx, app.ID, store.PushLabel{Name: name, Created: start}, plenty)
			e.check("create", err)
			e.check("label", e.LabelUsers(e.ctx, label.ID, ids(users[i], users[1], users[2]), start, plenty))
			labels = append(labels, label.ID)
		}
		put := func(labels []int64, users []int64) int64 {
			id, err := e.PutPush(e.ctx, store.PushMessage{App: app.ID, Content: []byte("{}"), Labels: labels, Created: start}, users, 1)
			e.check("put push", err)
			return id
		}
		one := put(nil, ids(users[0], users[4]))
		same(t, "slices", e.spread(), 0)
		same(t, "who is named", e.due(), []string{"alice/phone", "alice/tablet"})
		put(nil, nil)
		_, err := e.PutPush(e.ctx, store.PushMessage{App: app.ID, Content: []byte("{}"), Created: start}, nil, 1)
		e.is("another at once", err, store.ErrFull)
		same(t, "slices", e.spread(), 3)
		same(t, "all", e.due(), []string{"alice/phone", "alice/tablet", "bob/phone", "carol/phone", "dave/phone"})
		put(labels, nil)
		same(t, "slices", e.spread(), 2)
		same(t, "who has both labels", e.due(), []string{"bob/phone", "carol/phone"})
		p, err := e.PushMessage(e.ctx, one)
		e.check("find", err)
		same(t, "push", []any{p.App, string(p.Content), len(p.Labels)}, []any{app.ID, "{}", 0})
		for _, want := range []int{2, 1, 0} {
			n, err := e.DropPushes(e.ctx, start+1, 2)
			e.check("drop", err)
			same(t, "dropped", n, want)
		}
		_, err = e.PushMessage(e.ctx, one)
		e.is("find", err, store.ErrNotFound)
	}},
}

var notificationTests = []test{
	{"a notification is taken until it is finished", func(t *testing.T, e *env) {
		alice := e.user(e.app(), "alice")
		of := func(seq, due int64) store.Notification {
			return store.Notification{App: alice.App, User: alice.ID, Device: "phone", Timeline: 7, Seq: seq, Created: start, Due: due}
		}
		list := []store.Notification{of(1, start), of(2, start+1), of(3, start+9)}
		e.check("put", e.PutNotifications(e.ctx, list, store.PushMark{ID: 5}))
		e.check("put again", e.PutNotifications(e.ctx, list, store.PushMark{ID: 4}))
		mark, err := e.PushMark(e.ctx, 0)
		e.check("mark", err)
		same(t, "mark", mark, 5)
		take := func(now int64, limit int, want ...int64) []store.Notification {
			t.Helper()
			taken, err := e.TakeNotifications(e.ctx, 3, now, now+5, limit)
			e.check("take", err)
			var seqs []int64
			for _, n := range taken {
				seqs = append(seqs, n.Seq)
			}
			same(t, "taken", seqs, want)
			return taken
		}
		first := take(start+1, 1, 1)[0]
		take(start+1, 5, 2)
		take(start+1, 5)
		e.check("retry", e.RetryNotification(e.ctx, first.ID, 1, start+2))
		again := take(start+2, 5, 1)[0]
		same(t, "taken again", []int64{again.ID, int64(again.Attempts), again.Created}, []int64{first.ID, 1, start})
		e.check("finish", e.FinishNotification(e.ctx, first.ID))
		e.check("finish again", e.FinishNotification(e.ctx, first.ID))
		take(start+6, 5, 2) // nobody has said what became of it
		e.check("return", e.ReturnNotifications(e.ctx, 4, start+6))
		take(start+6, 5)
		e.check("return", e.ReturnNotifications(e.ctx, 3, start+6))
		second := take(start+6, 5, 2)[0]
		e.check("retry", e.RetryNotification(e.ctx, second.ID, 1, start+20))
		e.check("return", e.ReturnNotifications(e.ctx, 3, start+6))
		take(start+10, 5, 3)
		e.check("delete user", e.DeleteUser(e.ctx, alice.ID))
		take(start+hour, 5)
		e.check("put for who is gone", e.PutNotifications(e.ctx, list, store.PushMark{ID: 6}))
		take(start+hour, 5)
		e.check("drop mark", e.DropPushMark(e.ctx, 0))
		mark, err = e.PushMark(e.ctx, 0)
		e.check("mark", err)
		same(t, "mark", mark, 0)
	}},
	{"entries are found by the ids after a given one", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob := e.user(app, "alice"), e.user(app, "bob")
		pair, own := store.PairKey(app.ID, alice.ID, bob.ID), store.UserKey(app.ID, bob.ID)
		e.append(store.Draft{Key: pair, ID: 10, Content: store.ContentText, Meta: []byte("a")},
			store.Draft{Key: own, ID: 12, Meta: []byte("b")}, store.Draft{Key: pair, ID: 14, Content: store.ContentText, Meta: []byte("c")})
		for after, want := range map[int64][]int64{0: {10, 12}, 10: {12, 14}, 11: {12, 14}, 12: {14}, 14: nil, 99: nil} {
			found, err := e.EntriesAfter(e.ctx, after, 2)
			e.check("entries after", err)
			var ids []int64
			for _, f := range found {
				ids = append(ids, f.ID)
				if wanted := map[int64]store.Key{10: pair, 12: own, 14: pair}[f.ID]; f.Key != wanted {
					t.Errorf("key of %d is %v", f.ID, f.Key)
				}
			}
			same(t, "ids", ids, want)
		}
	}},
	{"members of a group with a token are found, unless they have blocked its messages", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob, carol := e.user(app, "alice"), e.user(app, "bob"), e.user(app, "carol")
		for kind, want := range map[store.MucKind][]int64{store.MucGroup: {alice.ID, bob.ID}, store.MucRoom: nil} {
			muc := store.Muc{App: app.ID, Kind: kind, Name: string('0' + rune(kind)), Owner: peer(alice), MaxUsers: 10, Created: start}
			muc, _, err := e.CreateMuc(e.ctx, muc, plenty, plenty)
			e.check("create muc", err)
			_, err = e.AddMembers(e.ctx, store.Join{Muc: muc.ID, Users: []store.Peer{peer(bob), peer(carol)}, Now: start, PerUser: plenty})
			e.check("add members", err)
			if kind == store.MucGroup {
				_, err = e.SetShield(e.ctx, muc.ID, peer(carol), true)
				e.check("set shield", err)
			}
			for _, user := range []store.User{alice, bob, carol} {
				e.bind(user, "phone")
			}
			members, err := e.PushMembers(e.ctx, muc.ID)
			e.check("push members", err)
			same(t, "members", members, want)
		}
	}},
}
