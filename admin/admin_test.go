package admin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stoa-chat/stoa/admin"
	"github.com/stoa-chat/stoa/chat"
	"github.com/stoa-chat/stoa/chattest"
	"github.com/stoa-chat/stoa/errcode"
)

// recorder notes which paths were asked.
type recorder struct {
	mu   sync.Mutex
	seen []string
}

func (r *recorder) RoundTrip(request *http.Request) (*http.Response, error) {
	r.mu.Lock()
	r.seen = append(r.seen, request.Method+" "+strings.TrimPrefix(request.URL.EscapedPath(), "/stoa/demo"))
	r.mu.Unlock()
	return http.DefaultTransport.RoundTrip(request)
}

// world is a server with alice, bob, carol and dave.
type world struct {
	*testing.T
	*chattest.Server
	admin *admin.Client
}

func newWorld(t *testing.T, transport http.RoundTripper) world {
	t.Helper()
	s := chattest.Start(t)
	c, err := admin.New(s.URL, s.AppKey, s.ClientID, s.ClientSecret, admin.WithHTTPClient(&http.Client{Transport: transport, Timeout: time.Minute}))
	w := world{t, s, c}
	w.must(err)
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	for _, name := range []string{"carol", "dave"} {
		_, err := c.RegisterUser(t.Context(), admin.NewUser{Name: name})
		w.must(err)
	}
	return w
}

func (w world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w world) equal(what string, want, got any) {
	w.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		w.Errorf("%s: -want +got\n%s", what, diff)
	}
}

func (w world) code(what string, want errcode.Code, err error) {
	w.Helper()
	if !errors.Is(err, want) {
		w.Errorf("%s: %v, want %d", what, err, want)
	}
}

// all reads a list to its end.
func all[T any](w world, list iter.Seq2[T, error]) []T {
	w.Helper()
	rows := []T{}
	for row, err := range list {
		w.must(err)
		rows = append(rows, row)
	}
	return rows
}

// value is for calls that return something.
func value[T any](v T, err error) func(world) T {
	return func(w world) T {
		w.Helper()
		w.must(err)
		return v
	}
}

func namesOf(places []admin.PlaceInfo) (names []string) {
	for _, p := range places {
		names = append(names, p.Name)
	}
	return names
}

// TestABackendUsesEveryRoute calls all methods, and then asks the server's own description of its API whether one of the
// routes for backends was not among them.
func TestABackendUsesEveryRoute(t *testing.T) {
	record := &recorder{}
	w := newWorld(t, record)
	t.Run("users", func(t *testing.T) { users(world{t, w.Server, w.admin}) })
	t.Run("contacts", func(t *testing.T) { contacts(world{t, w.Server, w.admin}) })
	t.Run("messages", func(t *testing.T) { messages(world{t, w.Server, w.admin}) })
	t.Run("files", func(t *testing.T) { files(world{t, w.Server, w.admin}) })
	t.Run("groups", func(t *testing.T) { groups(world{t, w.Server, w.admin}) })
	t.Run("rooms", func(t *testing.T) { rooms(world{t, w.Server, w.admin}) })
	t.Run("threads", func(t *testing.T) { threads(world{t, w.Server, w.admin}) })
	t.Run("people", func(t *testing.T) { people(world{t, w.Server, w.admin}) })
	t.Run("moderation", func(t *testing.T) { moderation(world{t, w.Server, w.admin}) })
	t.Run("settings", func(t *testing.T) { settings(world{t, w.Server, w.admin}) })
	t.Run("translation", func(t *testing.T) { translation(world{t, w.Server, w.admin}) })
	// What another route, which is used, does as well.
	twins := []string{
		"GET /users/{user}/status", "POST /users/{user}/disconnect", "POST /users/{user}/password", "POST /messages", "POST /messages/recall",
		"GET /metadata/user/{user}", "DELETE /threads/{place}/users", "POST /chatgroups/{place}/users/{member}", "POST /chatrooms/{place}/users/{member}",
		"POST /chatgroups/{place}/blocks/users/{member}", "POST /chatrooms/{place}/blocks/users/{member}",
		"POST /chatgroups/{place}/white/users/{member}", "POST /chatrooms/{place}/white/users/{member}",
		"POST /chatgroups/{place}/invite", // a backend adds
		"POST /messages/batch_recall", "POST /stream_message/chatgroup", "GET /callbacks/storage/info", "POST /callbacks/storage/retry",
		"PUT /metadata/chatgroup/{place}/users/batch",
	}
	response, err := http.Get(w.URL + "/openapi.json")
	w.must(err)
	defer response.Body.Close()
	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	w.must(json.NewDecoder(response.Body).Decode(&document))
	for pattern, item := range document.Paths {
		for method, text := range item {
			var operation struct {
				Access string `json:"x-access"`
			}
			if json.Unmarshal(text, &operation) != nil {
				continue // the path's own servers
			}
			route := strings.ToUpper(method) + " " + pattern
			place := strings.HasPrefix(pattern, "/chatgroups/{place}") || strings.HasPrefix(pattern, "/chatrooms/{place}")
			// The others are for SDKs; where a backend needs one of them, it is called above, too.
			if operation.Access != "AppToken" && !(place && operation.Access == "AnyToken") || slices.Contains(twins, route) {
				continue
			}
			if !slices.ContainsFunc(record.seen, func(asked string) bool { return fits(route, asked) }) {
				t.Errorf("nothing calls %s", route)
			}
		}
	}
}

// fits reports whether a path is of a pattern.
func fits(pattern, path string) bool {
	p, q := strings.Split(pattern, "/"), strings.Split(path, "/")
	return len(p) == len(q) && !slices.ContainsFunc(p, func(segment string) bool {
		other := q[0]
		q = q[1:]
		return segment != other && !strings.HasPrefix(segment, "{")
	})
}

func users(w world) {
	ctx, c := w.Context(), w.admin
	registered, refused, err := c.RegisterUsers(ctx, admin.NewUser{Name: "erin", Password: "pw", Nickname: "Erin"}, admin.NewUser{Name: "alice", Password: "x"})
	w.must(err)
	if len(registered) != 1 || registered[0].Name != "erin" || refused["alice"] == "" {
		w.Errorf("registered %v, refused %v", registered, refused)
	}
	_, err = c.RegisterUser(ctx, admin.NewUser{Name: "erin"})
	w.code("erin again", errcode.RequestFailed, err)
	w.must(c.SetNickname(ctx, "erin", "E"))
	erin := value(c.User(ctx, "erin"))(w)
	if erin.Nickname != "E" || !erin.Active || erin.Created.IsZero() || erin.UUID == "" {
		w.Errorf("erin is %+v", erin)
	}
	_, err = c.User(ctx, "nobody")
	w.code("nobody", errcode.UserNotFound, err)
	var names []string
	for _, u := range all(w, c.Users(ctx)) {
		names = append(names, u.Name)
	}
	for _, name := range []string{"alice", "bob", "carol", "dave", "erin"} {
		if !slices.Contains(names, name) {
			w.Errorf("%s is not among %v", name, names)
		}
	}

	client := w.Client(w.T)
	ended := make(chan error, 10)
	client.AddEventListener("test", chat.Listener{OnError: func(err *chat.Error) { ended <- err }})
	w.must(client.Login(ctx, "erin", chat.Password("pw")))
	devices := value(c.Devices(ctx, "erin"))(w)
	if len(devices) != 1 {
		w.Fatalf("erin has %v", devices)
	}
	w.equal("online", map[string]bool{"erin": true, "dave": false, "nobody": false}, value(c.Online(ctx, "erin", "dave", "nobody"))(w))
	w.must(c.DisconnectDevice(ctx, "erin", devices[0].Resource))
	w.code("disconnected", errcode.KickedByOtherDevice, <-ended)
	w.must(client.Login(ctx, "erin", chat.Password("pw")))
	w.must(c.Disconnect(ctx, "erin"))
	w.code("disconnected", errcode.KickedByOtherDevice, <-ended)
	w.must(c.SetPassword(ctx, "erin", "new"))
	w.must(client.Login(ctx, "erin", chat.Password("new")))
	w.must(c.Deactivate(ctx, "erin"))
	<-ended
	if erin := value(c.User(ctx, "erin"))(w); erin.Active {
		w.Error("erin is active")
	}
	w.must(c.Activate(ctx, "erin"))
	token := value(c.UserTokenFor(ctx, "erin", time.Hour))(w)
	w.must(client.Login(ctx, "erin", chat.Token(token)))
	w.must(c.RevokeTokens(ctx, "erin"))
	<-ended
	_, err = c.UserTokenFor(ctx, "nobody", time.Hour)
	if err == nil {
		w.Error("nobody has a token")
	}

	w.equal("attributes", map[string]string{"nickname": "Er", "sign": "s"}, value(c.SetAttributes(ctx, "erin", map[string]string{"nickname": "Er", "sign": "s"}))(w))
	w.equal("attributes", map[string]map[string]string{"erin": {"sign": "s"}}, value(c.Attributes(ctx, []string{"erin"}, "sign"))(w))
	if n := value(c.AttributeBytes(ctx))(w); n == 0 {
		w.Error("attributes have no bytes")
	}
	w.must(c.DeleteAttributes(ctx, "erin"))
	w.equal("attributes", map[string]map[string]string{"erin": {}}, value(c.Attributes(ctx, []string{"erin"}))(w))
	w.must(client.Login(ctx, "erin", chat.Password("new")))
	w.must(c.DeleteUser(ctx, "erin"))
	w.code("deleted", errcode.UserRemoved, <-ended)
	w.code("deleted again", errcode.UserNotFound, c.DeleteUser(ctx, "erin"))
}

func contacts(w world) {
	ctx, c := w.Context(), w.admin
	w.must(c.AddContact(ctx, "alice", "bob"))
	w.must(c.SetRemark(ctx, "alice", "bob", "Bobby"))
	w.code("a remark of a stranger", errcode.UserNotFriend, c.SetRemark(ctx, "alice", "carol", "C"))
	w.must(c.Invite(ctx, "carol", "hello", "alice"))
	w.must(c.AnswerInvitation(ctx, "alice", "carol", true))
	w.must(c.Invite(ctx, "dave", "hello", "alice"))
	w.must(c.AnswerInvitation(ctx, "alice", "dave", false))
	w.code("an answer to nothing", errcode.PermissionDenied, c.AnswerInvitation(ctx, "alice", "dave", true))
	w.equal("contacts", []admin.Contact{{Name: "carol"}, {Name: "bob", Remark: "Bobby"}}, all(w, c.Contacts(ctx, "alice")))
	w.must(c.RemoveContact(ctx, "alice", "carol"))
	w.equal("contacts", map[string]bool{"bob": true, "carol": false}, value(c.AreContacts(ctx, "alice", "bob", "carol"))(w))
	w.must(c.ClearContacts(ctx, "alice"))
	if imported := value(c.ImportContacts(ctx, "alice", "bob", "nobody"))(w); len(imported.Done) != 1 || len(imported.Unknown) != 1 {
		w.Errorf("the import is %+v", imported)
	}
	w.must(c.ClearContacts(ctx, "alice"))
	w.equal("contacts", []admin.Contact{}, all(w, c.Contacts(ctx, "alice")))
	w.must(c.Block(ctx, "alice", "bob", "carol"))
	w.must(c.Unblock(ctx, "alice", "bob"))
	w.equal("blocked", map[string]bool{"bob": false, "carol": true}, value(c.AreBlocked(ctx, "alice", "bob", "carol"))(w))
	w.equal("blocked", []string{"carol"}, value(c.Blocked(ctx, "alice"))(w))
	w.must(c.Unblock(ctx, "alice", "carol"))
}

func messages(w world) {
	ctx, c := w.Context(), w.admin
	bob := w.Client(w.T)
	got, edits := make(chan *chat.Message, 20), make(chan *chat.Message, 10)
	bob.AddEventListener("test", chat.Listener{OnMessage: func(m *chat.Message) { got <- m }, OnEdit: func(m *chat.Message) { edits <- m }})
	w.must(bob.Login(ctx, "bob", chat.Password(chattest.Password)))
	attachment := admin.Attachment{URL: w.URL + "/stoa/demo/chatfiles/1", Secret: "s", Name: "a.bin", Size: 3}
	send := func(content admin.Content) *chat.Message {
		w.Helper()
		ids, err := c.SendMessage(ctx, admin.Users, admin.Message{From: "alice", To: []string{"bob"}, Content: content, Ext: map[string]any{"n": 1}})
		w.must(err)
		m := <-got
		if m.ID != ids["bob"] || m.From != "alice" {
			w.Errorf("bob has %+v, the ids are %v", m, ids)
		}
		return m
	}
	text := send(admin.Text("hello"))
	if text.Text != "hello" {
		w.Errorf("the text is %+v", text)
	}
	if m := send(admin.Image(attachment, 3, 4)); m.Kind != chat.KindImage || m.Width != 3 || m.Secret != "s" {
		w.Errorf("the image is %+v", m)
	}
	if m := send(admin.Audio(attachment, 5*time.Second)); m.Kind != chat.KindAudio || m.Duration != 5 {
		w.Errorf("the audio is %+v", m)
	}
	if m := send(admin.Video(attachment, attachment, 6*time.Second)); m.Kind != chat.KindVideo || m.Duration != 6 || m.ThumbnailURL == "" {
		w.Errorf("the video is %+v", m)
	}
	if m := send(admin.Document(attachment)); m.Kind != chat.KindFile || m.Name != "a.bin" || m.Size != 3 {
		w.Errorf("the file is %+v", m)
	}
	if m := send(admin.Location(1.5, 2.5, "here")); m.Kind != chat.KindLocation || m.Latitude != 1.5 || m.Address != "here" {
		w.Errorf("the location is %+v", m)
	}
	if m := send(admin.Command("go")); m.Kind != chat.KindCommand || m.Action != "go" {
		w.Errorf("the command is %+v", m)
	}
	if m := send(admin.Custom("gift", map[string]string{"k": "v"})); m.Kind != chat.KindCustom || m.Event != "gift" || m.Params["k"] != "v" {
		w.Errorf("the custom message is %+v", m)
	}

	w.must(c.EditMessage(ctx, text.ID, admin.Edit{User: "alice", Content: admin.Text("hello again")}))
	if m := <-edits; m.ID != text.ID || m.Text != "hello again" {
		w.Errorf("the edit is %+v", m)
	}
	w.must(c.React(ctx, "bob", text.ID, "heart"))
	w.code("twice", errcode.ReactionAlreadyAdded, c.React(ctx, "bob", text.ID, "heart"))
	w.equal("reactions", map[string][]admin.Reaction{text.ID: {{Name: "heart", Count: 1, Users: []string{"bob"}}}}, value(c.Reactions(ctx, "bob", text.ID))(w))
	w.must(c.RemoveReaction(ctx, "bob", text.ID, "heart"))
	w.must(c.Recall(ctx, admin.RecallRequest{ID: text.ID, To: "bob", Type: "chat"}))
	w.code("a second recall", errcode.ServerUnknownError, c.Recall(ctx, admin.RecallRequest{ID: text.ID, To: "bob", Type: "chat"}))

	waits := value(c.SendMessage(ctx, admin.Users, admin.Message{From: "alice", To: []string{"dave"}, Content: admin.Text("later")}))(w)
	if n := value(c.Waiting(ctx, "dave"))(w); n == 0 || value(c.IsDelivered(ctx, "dave", waits["dave"]))(w) {
		w.Errorf("%d messages wait for dave", n)
	}
	parts := slices.Values([]admin.Part{{Text: "Once ", Markdown: true}, {Text: "upon"}, {Text: " a time", Last: true}})
	if id := value(c.Stream(ctx, "alice", "bob", false, parts))(w); id == "" {
		w.Error("the stream has no id")
	}
	if m := <-got; m.From != "alice" || !strings.HasPrefix(m.Text, "Once") {
		w.Errorf("the stream begins with %+v", m)
	}
	value(c.BroadcastToOnline(ctx, admin.Broadcast{From: "alice", Content: admin.Text("now")}))(w)
	if m := <-got; m.Text != "now" {
		w.Errorf("the broadcast is %+v", m)
	}
	value(c.BroadcastToUsers(ctx, admin.Broadcast{From: "alice", Content: admin.Text("all")}))(w)
	if m := <-got; m.Text != "all" {
		w.Errorf("the broadcast is %+v", m)
	}
	group := value(c.CreateGroup(ctx, admin.GroupOptions{Name: "old", Owner: "alice", Members: []string{"bob"}}))(w)
	imported := value(c.ImportMessage(ctx, admin.OldMessage{From: "alice", To: "dave", Content: admin.Text("old"), Time: time.UnixMilli(1600000000000), Read: true}))(w)
	value(c.ImportMessage(ctx, admin.OldMessage{From: "alice", To: group.ID(), Group: true, Content: admin.Text("old"), Ext: map[string]any{"a": 1}}))(w)
	only := value(c.SendMessage(ctx, admin.Groups, admin.Message{From: "alice", To: []string{group.ID()}, Only: []string{"bob"}, Content: admin.Text("for bob")}))(w)
	if m := <-got; m.ID != only[group.ID()] || m.Text != "for bob" {
		w.Errorf("bob has %+v", m)
	}
	asked := value(c.SendMessage(ctx, admin.Groups, admin.Message{From: "alice", To: []string{group.ID()}, Receipts: true, Content: admin.Text("who reads?")}))(w)
	w.equal("readers", []string{}, all(w, group.ReadBy(ctx, asked[group.ID()])))
	w.equal("reactions", map[string][]admin.Reaction{asked[group.ID()]: {}}, value(c.GroupReactions(ctx, "bob", group.ID(), asked[group.ID()]))(w))
	_, err := c.SendMessage(ctx, admin.Groups, admin.Message{To: []string{"1"}, Content: admin.Text("x")})
	w.code("no group", errcode.GroupNotExist, err)

	hour := time.Now()
	for _, err := range c.History(ctx, hour) {
		w.code("this hour", errcode.RequestFailed, err)
	}
	w.equal("an hour without messages", []admin.Sent{}, all(w, c.History(ctx, hour.Add(-100*time.Hour))))
	w.Advance(time.Hour)
	sent := all(w, c.History(ctx, hour))
	if !slices.ContainsFunc(sent, func(m admin.Sent) bool {
		return m.ID == imported && m.From == "alice" && m.To == "dave" && m.Bodies[0]["msg"] == "old"
	}) {
		w.Errorf("the hour has %+v", sent)
	}

	w.must(c.DeleteHistory(ctx, "bob", "alice", false, only[group.ID()]))
	w.must(c.DeleteHistoryBefore(ctx, "bob", group.ID(), true, time.Now()))
	w.must(c.DeleteConversation(ctx, "bob", "alice", false, true))
	w.must(c.DeleteAllHistory(ctx, "bob"))
}

func files(w world) {
	ctx, c := w.Context(), w.admin
	content := []byte("three words here")
	f := value(c.Upload(ctx, admin.File{Name: "a.txt", Type: "text/plain", Content: bytes.NewReader(content), Size: int64(len(content)), Restricted: true}))(w)
	var b bytes.Buffer
	w.must(c.Download(ctx, f.ID, f.Secret, &b))
	w.equal("content", string(content), b.String())
	if err := c.Download(ctx, "none", "", io.Discard); err == nil {
		w.Error("there is a file that is not there")
	}
	w.must(c.KeepFiles(ctx, "alice", admin.Forever, f.ID))
	w.code("no files", errcode.InvalidParameter, c.KeepFiles(ctx, "alice", admin.Forever))
}

// common is what groups and chatrooms have.
func common(w world, p interface {
	Members(context.Context) iter.Seq2[admin.Member, error]
	Has(context.Context, string) (bool, error)
	Add(context.Context, ...string) error
	Remove(context.Context, ...string) error
	Admins(context.Context) ([]string, error)
	SetAdmin(context.Context, string) error
	RemoveAdmin(context.Context, string) error
	SetOwner(context.Context, string) error
	Block(context.Context, ...string) error
	Unblock(context.Context, ...string) error
	Blocked(context.Context) ([]string, error)
	Allow(context.Context, ...string) error
	Disallow(context.Context, ...string) error
	Allowed(context.Context) ([]string, error)
	IsAllowed(context.Context, string) (bool, error)
	Mute(context.Context, time.Duration, ...string) error
	Unmute(context.Context, ...string) error
	Muted(context.Context) ([]admin.Mute, error)
	MuteAll(context.Context) error
	UnmuteAll(context.Context) error
	Disable(context.Context) error
	Enable(context.Context) error
	Announcement(context.Context) (string, error)
	SetAnnouncement(context.Context, string) error
	SharedFiles(context.Context) iter.Seq2[admin.SharedFile, error]
	ShareFile(context.Context, admin.File) (admin.SharedFile, error)
	DownloadFile(context.Context, string, io.Writer) error
	DeleteFile(context.Context, string) error
	SetPushSetting(context.Context, string, admin.PushSetting) (admin.PushSetting, error)
	PushSetting(context.Context, string) (admin.PushSetting, error)
	Update(context.Context, admin.PlaceUpdate) error
	Info(context.Context) (admin.PlaceInfo, error)
}) {
	ctx := w.Context()
	w.must(p.Add(ctx, "carol", "dave"))
	members := all(w, p.Members(ctx))
	slices.SortFunc(members, func(a, b admin.Member) int { return strings.Compare(a.Name, b.Name) })
	w.equal("members", []admin.Member{{Name: "alice", Owner: true}, {Name: "bob"}, {Name: "carol"}, {Name: "dave"}}, members)
	w.must(p.Remove(ctx, "dave"))
	if value(p.Has(ctx, "dave"))(w) || !value(p.Has(ctx, "carol"))(w) {
		w.Error("dave or carol is not where they should be")
	}
	w.must(p.SetAdmin(ctx, "bob"))
	w.equal("admins", []string{"bob"}, value(p.Admins(ctx))(w))
	w.must(p.RemoveAdmin(ctx, "bob"))
	w.must(p.Block(ctx, "carol"))
	w.equal("blocked", []string{"carol"}, value(p.Blocked(ctx))(w))
	w.must(p.Unblock(ctx, "carol"))
	w.must(p.Add(ctx, "carol"))
	w.must(p.Allow(ctx, "carol"))
	w.equal("allowed", []string{"carol"}, value(p.Allowed(ctx))(w))
	if !value(p.IsAllowed(ctx, "carol"))(w) || value(p.IsAllowed(ctx, "bob"))(w) {
		w.Error("the allow list is not what it says")
	}
	w.must(p.Disallow(ctx, "carol"))
	w.must(p.Mute(ctx, time.Hour, "carol"))
	if muted := value(p.Muted(ctx))(w); len(muted) != 1 || muted[0].User != "carol" || time.Until(muted[0].Until) < time.Minute {
		w.Errorf("muted are %v", muted)
	}
	w.must(p.Unmute(ctx, "carol"))
	w.must(p.MuteAll(ctx))
	name, ext := "new name", "ext"
	w.must(p.Update(ctx, admin.PlaceUpdate{Name: &name, Ext: &ext}))
	if info := value(p.Info(ctx))(w); info.Name != name || info.Ext != ext || !info.MutedAll || info.Owner != "alice" || info.Members != 3 || info.Created.IsZero() {
		w.Errorf("the place is %+v", info)
	}
	w.must(p.UnmuteAll(ctx))
	w.must(p.Disable(ctx))
	if info := value(p.Info(ctx))(w); !info.Disabled {
		w.Error("it is not disabled")
	}
	w.must(p.Enable(ctx))
	w.must(p.SetAnnouncement(ctx, "tonight"))
	w.equal("announcement", "tonight", value(p.Announcement(ctx))(w))
	shared := value(p.ShareFile(ctx, admin.File{Name: "a.txt", Content: strings.NewReader("text"), Size: 4}))(w)
	if list := all(w, p.SharedFiles(ctx)); len(list) != 1 || list[0].ID != shared.ID || list[0].Size != 4 {
		w.Errorf("shared are %+v", list)
	}
	var b bytes.Buffer
	w.must(p.DownloadFile(ctx, shared.ID, &b))
	w.equal("content", "text", b.String())
	w.must(p.DeleteFile(ctx, shared.ID))
	w.equal("push", admin.NotifyNone, value(p.SetPushSetting(ctx, "bob", admin.PushSetting{Notify: admin.NotifyNone}))(w).Notify)
	w.equal("push", admin.NotifyNone, value(p.PushSetting(ctx, "bob"))(w).Notify)
	w.must(p.SetOwner(ctx, "bob"))
	w.must(p.SetOwner(ctx, "alice"))
}

func groups(w world) {
	ctx, c := w.Context(), w.admin
	g := value(c.CreateGroup(ctx, admin.GroupOptions{ID: "team", Name: "Team", Owner: "alice", Members: []string{"bob"}, Public: true, MaxMembers: 9}))(w)
	w.equal("id", "team", g.ID())
	common(w, g)
	w.code("a member is added", errcode.GroupAlreadyJoined, g.Add(ctx, "bob"))
	w.code("no group", errcode.GroupNotExist, c.Group("1").Destroy(ctx))
	w.code("a member's application", errcode.GroupAlreadyJoined, g.AnswerApplication(ctx, "bob", true, ""))
	confirm := true
	w.must(g.Update(ctx, admin.PlaceUpdate{InviteConfirm: &confirm}))
	w.must(w.Login(w.T, "alice").Group("team").Invite(ctx, "dave"))
	if value(g.Has(ctx, "dave"))(w) {
		w.Error("dave was not asked")
	}
	w.must(g.AnswerInvitation(ctx, "dave", true))
	if !value(g.Has(ctx, "dave"))(w) {
		w.Error("dave is not a member")
	}
	w.must(g.SetMemberAttributes(ctx, "bob", map[string]string{"title": "cook", "x": "1"}))
	w.equal("attributes", map[string]map[string]string{"bob": {"title": "cook"}}, value(g.MemberAttributes(ctx, []string{"bob"}, "title"))(w))
	if n := value(g.OnlineCount(ctx))(w); n > 4 {
		w.Errorf("%d are online", n)
	}
	list := all(w, c.Groups(ctx))
	if i := slices.IndexFunc(list, func(p admin.PlaceInfo) bool { return p.ID == "team" }); i < 0 || list[i].Owner != "alice" || list[i].Members < 3 {
		w.Errorf("the groups are %+v", list)
	}
	for what, list := range map[string]iter.Seq2[admin.PlaceInfo, error]{"public": c.PublicGroups(ctx), "of bob": c.GroupsOf(ctx, "bob")} {
		if names := namesOf(all(w, list)); !slices.Contains(names, "new name") {
			w.Errorf("%s: %v", what, names)
		}
	}
	w.must(g.Destroy(ctx))
}

func rooms(w world) {
	ctx, c := w.Context(), w.admin
	r := value(c.CreateRoom(ctx, admin.RoomOptions{Name: "Hall", Owner: "alice", Members: []string{"bob"}, Description: "d", MaxMembers: 9}))(w)
	common(w, r)
	w.code("no chatroom", errcode.ChatroomNotExist, c.Room("1").Destroy(ctx))
	w.must(r.SetAttributes(ctx, map[string]string{"seat": "bob"}, admin.AttributeOptions{User: "bob", Keep: true}))
	err := r.SetAttributes(ctx, map[string]string{"seat": "alice"}, admin.AttributeOptions{User: "alice"})
	w.code("somebody else's", errcode.NoPermission, err)
	w.equal("attributes", map[string]string{"seat": "bob"}, value(r.Attributes(ctx, "seat"))(w))
	w.must(r.RemoveAttributes(ctx, admin.AttributeOptions{User: "alice", Force: true}, "seat"))
	w.equal("attributes", map[string]string{}, value(r.Attributes(ctx))(w))
	w.must(r.SetTags(ctx, "bob", "loud", "new"))
	w.equal("tags", []string{"loud", "new"}, value(r.Tags(ctx, "bob"))(w))
	w.must(r.MuteTag(ctx, "loud", time.Hour))
	w.must(r.MuteTag(ctx, "loud", 0))
	ids := value(c.SendMessage(ctx, admin.Rooms, admin.Message{From: "alice", To: []string{r.ID()}, Content: admin.Text("hi"), Level: "high"}))(w)
	if ids[r.ID()] == "" {
		w.Errorf("the ids are %v", ids)
	}
	value(c.SendMessage(ctx, admin.Rooms, admin.Message{From: "alice", To: []string{r.ID()}, Only: []string{"bob"}, Content: admin.Text("hi")}))(w)
	if id := value(c.BroadcastToRooms(ctx, admin.Broadcast{From: "alice", Content: admin.Text("all"), Ext: map[string]any{"a": 1}, Level: "low"}))(w); id == "" {
		w.Error("the broadcast has no id")
	}
	for what, list := range map[string]iter.Seq2[admin.PlaceInfo, error]{"all": c.Rooms(ctx), "of bob": c.RoomsOf(ctx, "bob")} {
		if names := namesOf(all(w, list)); !slices.Contains(names, "new name") {
			w.Errorf("%s: %v", what, names)
		}
	}
	w.must(c.AddSuperAdmin(ctx, "carol"))
	w.equal("super admins", []string{"carol"}, all(w, c.SuperAdmins(ctx)))
	w.must(c.RemoveSuperAdmin(ctx, "carol"))
	w.must(r.Destroy(ctx))
}

func threads(w world) {
	ctx, c := w.Context(), w.admin
	g := value(c.CreateGroup(ctx, admin.GroupOptions{Name: "Threads", Owner: "alice", Members: []string{"bob", "carol"}}))(w)
	message := value(c.SendMessage(ctx, admin.Groups, admin.Message{From: "alice", To: []string{g.ID()}, Content: admin.Text("dinner?")}))(w)[g.ID()]
	thread := value(c.CreateThread(ctx, g.ID(), message, "alice", "dinner"))(w)
	_, err := c.CreateThread(ctx, g.ID(), message, "alice", "again")
	w.code("a second thread", errcode.ThreadAlreadyExist, err)
	w.must(thread.Add(ctx, "bob", "carol"))
	w.must(thread.Remove(ctx, "carol"))
	w.equal("members", []string{"alice", "bob"}, slices.Sorted(slices.Values(all(w, thread.Members(ctx)))))
	w.must(thread.Rename(ctx, "supper"))
	info := value(thread.Info(ctx))(w)
	if info.Name != "supper" || info.Group != g.ID() || info.MessageID != message || info.Owner != "alice" || info.Members != 2 {
		w.Errorf("the thread is %+v", info)
	}
	w.equal("threads", []string{thread.ID()}, all(w, c.Threads(ctx)))
	for what, list := range map[string]iter.Seq2[admin.ThreadInfo, error]{"of bob": c.ThreadsOf(ctx, "bob"), "of the group": g.Threads(ctx), "of bob there": g.ThreadsOf(ctx, "bob")} {
		if rows := all(w, list); len(rows) != 1 || rows[0].ID != thread.ID() {
			w.Errorf("threads %s: %+v", what, rows)
		}
	}
	w.must(thread.Destroy(ctx))
	_, err = thread.Info(ctx)
	if err == nil {
		w.Error("the thread is there")
	}
}

func people(w world) {
	ctx, c := w.Context(), w.admin
	w.must(c.Publish(ctx, "bob", "webim_1", 100, "at lunch"))
	watched := value(c.Watch(ctx, "alice", time.Hour, "bob"))(w)
	if len(watched) != 1 || watched[0].User != "bob" || watched[0].Text != "at lunch" {
		w.Errorf("bob is %+v", watched)
	}
	value(c.Presence(ctx, "alice", "bob"))(w)
	w.must(c.Unwatch(ctx, "alice", "bob"))

	w.equal("push", admin.NotifyMention, value(c.SetPushSetting(ctx, "alice", admin.PushSetting{Notify: admin.NotifyMention, Quiet: "21:30-8:0"}))(w).Notify)
	if s := value(c.PushSetting(ctx, "alice"))(w); s.Notify != admin.NotifyMention || s.Quiet == "" {
		w.Errorf("push is %+v", s)
	}
	if s := value(c.SetPushSettingOf(ctx, "alice", "bob", admin.PushSetting{QuietFor: time.Hour}))(w); s.QuietUntil.IsZero() {
		w.Errorf("push is %+v", s)
	}
	value(c.PushSettingOf(ctx, "alice", "bob"))(w)
	w.must(c.SetPushLanguage(ctx, "alice", "fr"))
	w.equal("language", "fr", value(c.PushLanguage(ctx, "alice"))(w))
	token := admin.PushToken{Device: "phone", Provider: "FCM", Token: "t"}
	w.must(c.SetPushToken(ctx, "alice", token))
	w.equal("push tokens", []admin.PushToken{token}, value(c.PushTokens(ctx, "alice"))(w))

	push := admin.Push{Notification: admin.Notification{Title: "Sale", Content: "Everything must go"}, IfAway: true}
	if results := value(c.PushAndWait(ctx, "bob", push))(w); len(results) != 1 || results[0].Sent || results[0].Reason == "" {
		w.Errorf("a push to who has no device: %+v", results)
	}
	if results := value(c.PushTo(ctx, push, "bob", "nobody"))(w); len(results) != 2 {
		w.Errorf("a push to two: %+v", results)
	}
	w.must(c.CreateLabel(ctx, "vip", "who pays"))
	w.must(c.AddLabel(ctx, "vip", "alice", "bob"))
	w.must(c.RemoveLabel(ctx, "vip", "bob"))
	w.code("an unknown user", errcode.RequestFailed, c.AddLabel(ctx, "vip", "nobody"))
	w.equal("labelled", []string{"alice"}, all(w, c.Labelled(ctx, "vip")))
	if !value(c.HasLabel(ctx, "vip", "alice"))(w) || value(c.HasLabel(ctx, "vip", "bob"))(w) {
		w.Error("alice or bob has not the label that they should")
	}
	if l := value(c.Label(ctx, "vip"))(w); l.Users != 1 || l.Description != "who pays" || l.Created.IsZero() {
		w.Errorf("the label is %+v", l)
	}
	if list := all(w, c.Labels(ctx)); len(list) != 1 || list[0].Name != "vip" {
		w.Errorf("the labels are %+v", list)
	}
	value(c.PushToLabels(ctx, push, "vip"))(w)
	value(c.PushToAll(ctx, push))(w)
	w.must(c.DeleteLabel(ctx, "vip"))
	w.must(c.SetNicknames(ctx, map[string]string{"alice": "Al"}))
	template := admin.PushTemplate{Name: "sale", Title: "{0}", Content: "{$fromNickname}: {$msg}"}
	w.must(c.SetPushTemplate(ctx, template))
	w.equal("template", template, value(c.PushTemplate(ctx, "sale"))(w))
	w.must(c.ChoosePushTemplate(ctx, "alice", "sale"))
	w.must(c.DeletePushTemplate(ctx, "sale"))
	call := value(c.CallToken(ctx, "alice", "room"))(w)
	if call.AppID != w.AppID || call.Channel != "room" || !strings.HasPrefix(call.Token, "007") || call.Life <= 0 {
		w.Errorf("the call's token is %+v", call)
	}
}

func moderation(w world) {
	ctx, c := w.Context(), w.admin
	w.must(c.MuteUser(ctx, "dave", admin.AppMute{Chats: time.Minute, Groups: admin.Never}))
	m := value(c.UserMute(ctx, "dave"))(w)
	if m.Chats <= 0 || m.Chats > time.Minute || m.Groups != admin.Never || m.Rooms != 0 {
		w.Errorf("dave is muted %+v", m)
	}
	if list := all(w, c.MutedUsers(ctx)); len(list) != 2 || list[0].User != "dave" {
		w.Errorf("muted are %+v", list)
	}
	w.must(c.MuteUser(ctx, "dave", admin.AppMute{}))

	rule := admin.Rule{Words: []string{"darn"}, Action: admin.ActionFlag}
	w.must(c.SetRule(ctx, "rude", rule))
	w.equal("rules", map[string]admin.Rule{"rude": rule}, value(c.Rules(ctx))(w))
	alice := w.Login(w.T, "alice")
	said, err := alice.SendText(ctx, "bob", "darn")
	w.must(err)
	w.must(alice.Report(ctx, said.ID, "rude", "it is"))
	if list := all(w, c.Reports(ctx)); len(list) != 1 || list[0].User != "alice" || list[0].Message.ID != said.ID {
		w.Errorf("the reports are %+v", list)
	}
	var list []admin.Match
	for len(list) == 0 { // the list follows the message
		list = all(w, c.Matches(ctx))
	}
	if list[0].Rule != "rude" || list[0].User != "alice" || !list[0].Delivered || list[0].Message.Bodies[0]["msg"] != "darn" {
		w.Errorf("the matches are %+v", list)
	}
	w.must(c.DismissMatch(ctx, list[0].ID))
	w.must(c.DeleteRule(ctx, "rude"))
	w.code("no rule", errcode.RequestFailed, c.DeleteRule(ctx, "rude"))

	callback := admin.Callback{URL: "http://127.0.0.1:9/", Secret: "s", Fallback: "pass"}
	w.must(c.SetCallback(ctx, "censor", callback))
	w.equal("callbacks", map[string]admin.Callback{"censor": callback}, value(c.Callbacks(ctx))(w))
	w.must(c.DeleteCallback(ctx, "censor"))

	// Nobody listens there.
	listener := admin.Listener{URL: "http://127.0.0.1:9/", Secret: "s", Events: []string{"message"}}
	w.must(c.SetListener(ctx, "log", listener))
	if got := value(c.Listeners(ctx))(w)["log"]; got.URL != listener.URL || got.Enabled {
		w.Errorf("the listener is %+v", got)
	}
	w.equal("dead events", []admin.DeadEvent{}, all(w, c.DeadEvents(ctx, admin.Dead{Listener: "log", Since: time.UnixMilli(1)})))
	w.equal("replayed", 0, value(c.Replay(ctx, admin.Dead{Listener: "log", Since: time.UnixMilli(1), Until: time.UnixMilli(2)}, ""))(w))
	w.must(c.DeleteListener(ctx, "log"))
}

func settings(w world) {
	ctx, c := w.Context(), w.admin
	w.equal("recall_seconds", any(300.0), value(c.ChangeSettings(ctx, map[string]any{"recall_seconds": 300}))(w)["recall_seconds"])
	w.equal("recall_seconds", any(300.0), value(c.Settings(ctx))(w)["recall_seconds"])
	_, err := c.ChangeSettings(ctx, map[string]any{"colour": "red"})
	w.code("no setting", errcode.RequestFailed, err)
	rehearsal := value(c.Rehearse(ctx, admin.RehearsalRequest{User: "bob", Code: errcode.Muted}))(w)
	if list := value(c.Rehearsals(ctx))(w); len(list) != 1 || list[0].ID != rehearsal.ID {
		w.Errorf("the rehearsals are %+v", list)
	}
	w.must(c.StopRehearsal(ctx, rehearsal.ID))
	w.must(c.StopRehearsal(ctx, ""))
	w.must(c.AdvanceClock(ctx, time.Second))
	if oldest := value(c.DeleteOldestUsers(ctx, 1))(w); len(oldest) != 1 {
		w.Errorf("the oldest are %v", oldest)
	}
}

// translation is not there: the server has no provider.
func translation(w world) {
	_, err := w.admin.Translate(w.Context(), "hello", "fr")
	w.code("translate", errcode.ServiceNotEnabled, err)
	_, err = w.admin.Languages(w.Context())
	w.code("languages", errcode.ServiceNotEnabled, err)
}

func TestCredentialsAreRenewedOrRefused(t *testing.T) {
	s := chattest.Start(t)
	ctx := t.Context()
	wrong, err := admin.New(s.URL, s.AppKey, s.ClientID, "wrong")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wrong.Settings(ctx); !errors.Is(err, errcode.RequestFailed) {
		t.Errorf("wrong credentials: %v", err)
	}
	var asked int
	c, err := admin.New(s.URL, s.AppKey, "", "", admin.WithToken(func(ctx context.Context) (string, error) {
		asked++
		if asked == 1 {
			return "YWMtAAAA", nil // not any more
		}
		return s.User(t, "alice"), nil // nor is that one the app's
	}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Settings(ctx); !errors.Is(err, errcode.NoPermission) || asked != 1 {
		t.Errorf("a token that is none: %v, asked %d times", err, asked)
	}
	if _, err := c.Settings(ctx); !errors.Is(err, errcode.NoPermission) || asked != 2 {
		t.Errorf("a user's token: %v, asked %d times", err, asked)
	}
}

func TestNewRefusesWhatMakesNoSense(t *testing.T) {
	for what, test := range map[string]struct {
		server, key string
		option      admin.Option
		code        errcode.Code
	}{
		"no app key": {"http://127.0.0.1:1", "stoa", nil, errcode.InvalidAppKey},
		"no server":  {"here", "stoa#demo", nil, errcode.InvalidParameter},
		"no client":  {"http://127.0.0.1:1", "stoa#demo", admin.WithHTTPClient(nil), errcode.InvalidParameter},
		"no tokens":  {"http://127.0.0.1:1", "stoa#demo", admin.WithToken(nil), errcode.InvalidParameter},
	} {
		options := []admin.Option{}
		if test.option != nil {
			options = append(options, test.option)
		}
		if _, err := admin.New(test.server, test.key, "", "", options...); !errors.Is(err, test.code) {
			t.Errorf("%s: %v", what, err)
		}
	}
	c, err := admin.New("http://127.0.0.1:1", "stoa#demo", "", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteUser(t.Context(), ".."); !errors.Is(err, errcode.InvalidParameter) {
		t.Errorf("a path out of the app: %v", err)
	}
	if _, err := c.Settings(t.Context()); !errors.Is(err, errcode.RequestUnknown) {
		t.Errorf("nobody answers: %v", err)
	}
}
