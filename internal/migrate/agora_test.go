package migrate_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stoa-chat/stoa/chat"
	"github.com/stoa-chat/stoa/internal/config"
	"github.com/stoa-chat/stoa/internal/migrate"
)

// cloud stands in for the REST API of Agora Chat, as docs/protocol/admin-rest.md tells of it.
type cloud struct {
	*httptest.Server
	mu     sync.Mutex
	answer map[string]any                                         // by path below the app: what data is
	lists  map[string][]any                                       // by path: what is told a page at a time, by cursor
	calls  map[string]int                                         // by path with query
	upset  func(path string, nth int, w http.ResponseWriter) bool // answers in its place
	total  int
}

const (
	cloudID     = "cloud-id"
	cloudSecret = "cloud-secret"
	cloudToken  = "YWMtcloud"
)

func newCloud(t *testing.T) *cloud {
	c := &cloud{answer: map[string]any{}, lists: map[string][]any{"/users": {}, "/chatgroups": {}, "/chatrooms": {}}, calls: map[string]int{}}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

// meddle lets upset answer from now on, and counts the calls afresh. An importer that was interrupted may have a call
// under way.
func (c *cloud) meddle(upset func(path string, nth int, w http.ResponseWriter) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.upset, c.calls = upset, map[string]int{}
}

// asked returns how often each path was called since the last meddling.
func (c *cloud) asked() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.calls)
}

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, ours := strings.CutPrefix(r.URL.Path, "/acme/old")
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total++
	c.calls[r.Method+" "+path]++
	say := func(status int, body any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(body)
	}
	refuse := func(status int, slug, text string) {
		say(status, map[string]any{"error": slug, "error_description": text})
	}
	switch {
	case c.upset != nil && c.upset(path, c.calls[r.Method+" "+path], w):
	case strings.HasPrefix(r.URL.Path, "/store/"):
		w.Write(c.answer[r.URL.Path].([]byte))
	case !ours:
		refuse(404, "organization_application_not_found", "Could not find application")
	case path == "/token":
		var in map[string]string
		if json.NewDecoder(r.Body).Decode(&in) != nil || in["client_id"] != cloudID || in["client_secret"] != cloudSecret {
			refuse(400, "invalid_grant", "client_secret does not match")
			return
		}
		say(200, map[string]any{"access_token": cloudToken, "expires_in": 3600})
	case r.Header.Get("Authorization") != "Bearer "+cloudToken:
		refuse(401, "unauthorized", "Unable to authenticate (OAuth)")
	case c.lists[path] != nil:
		limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
		from, _ := strconv.Atoi(r.URL.Query().Get("cursor"))
		rows := c.lists[path]
		to := min(len(rows), from+limit)
		answer := map[string]any{"entities": rows[from:to], "data": rows[from:to], "count": to - from}
		if to < len(rows) {
			answer["cursor"] = fmt.Sprint(to)
		}
		say(200, answer)
	case c.answer[path] != nil:
		if n := r.URL.Query().Get("pagenum"); n != "" && n != "1" || strings.HasPrefix(path, "/mutes") && r.URL.Query().Get("pageNum") != "1" {
			say(200, map[string]any{"data": []any{}})
			return
		}
		say(200, map[string]any{"data": c.answer[path], "entities": []any{}})
	case strings.HasSuffix(path, "/contacts"):
		say(200, map[string]any{"data": map[string]any{"contacts": []any{}}})
	case strings.HasSuffix(path, "/announcement"):
		say(200, map[string]any{"data": map[string]any{"announcement": ""}})
	case strings.HasPrefix(path, "/metadata/"):
		say(200, map[string]any{"data": map[string]any{}})
	case strings.HasPrefix(path, "/chatmessages/"):
		refuse(404, "storage_object_not_found", "Failed to find chat message history download url")
	case strings.HasPrefix(path, "/users/"), strings.HasPrefix(path, "/chatgroups/"), strings.HasPrefix(path, "/chatrooms"):
		say(200, map[string]any{"data": []any{}})
	default:
		refuse(404, "service_resource_not_found", "Service resource not found")
	}
}

type object = map[string]any

const (
	cloudUsers = 250
	cloudGroup = "201000000000001"
	cloudRoom  = "201000000000002"
)

func userName(i int) string { return fmt.Sprintf("u%03d", i) }

// furnish fills the cloud: users with all that hangs on them, a group, a room, and an hour of messages.
func (c *cloud) furnish(hour time.Time) {
	for i := range cloudUsers {
		c.lists["/users"] = append(c.lists["/users"], object{"username": userName(i), "nickname": "The " + userName(i), "activated": i != 7, "type": "user"})
	}
	c.answer["/metadata/user/u001"] = object{"nickname": "One", "avatarurl": "https://x/1.png"}
	c.answer["/user/u001/contacts"] = object{"contacts": []object{{"username": "u002", "remark": "my friend"}, {"username": "u003", "remark": nil}, {"username": "gone", "remark": nil}}}
	c.answer["/user/u002/contacts"] = object{"contacts": []object{{"username": "u001", "remark": nil}}}
	c.answer["/users/u004/blocks/users"] = []string{"u005", "u006"}
	c.answer["/mutes"] = object{"data": []object{{"username": "u009", "chat": 600}, {"username": "u010", "groupchat": -1}}}
	c.lists["/chatgroups"] = []any{object{"groupid": cloudGroup, "groupname": "devs", "owner": "acme#old_u000", "affiliations": 62, "lastModified": "1"}}
	c.answer["/chatgroups/"+cloudGroup] = []object{{"id": cloudGroup, "name": "devs", "description": "who build", "membersonly": true, "allowinvites": false,
		"invite_need_confirm": true, "maxusers": 200, "owner": "u000", "custom": "x", "mute": true, "disabled": false, "public": true, "affiliations": []object{{"owner": "u000"}}}}
	members := []object{{"owner": "u000"}}
	for i := 1; i < 80; i++ {
		members = append(members, object{"member": userName(i)})
	}
	c.answer["/chatgroups/"+cloudGroup+"/users"] = append(members, object{"member": "gone"})
	c.answer["/chatgroups/"+cloudGroup+"/admin"] = []string{"u001"}
	c.answer["/chatgroups/"+cloudGroup+"/white/users"] = []string{"u002"}
	c.answer["/chatgroups/"+cloudGroup+"/blocks/users"] = []string{"u200"}
	c.answer["/chatgroups/"+cloudGroup+"/mute"] = []object{{"user": "u003", "expire": time.Now().Add(time.Hour).UnixMilli()}, {"user": "u004", "expire": time.Now().Add(-time.Hour).UnixMilli()}}
	c.answer["/chatgroups/"+cloudGroup+"/announcement"] = object{"announcement": "we ship"}
	c.answer["/metadata/chatgroup/"+cloudGroup+"/get"] = object{"u001": object{"team": "core"}}
	c.lists["/chatrooms"] = []any{object{"id": cloudRoom, "name": "live", "owner": "u000", "affiliations_count": 2, "disabled": false}}
	c.answer["/chatrooms/"+cloudRoom] = []object{{"id": cloudRoom, "name": "live", "description": "tonight", "maxusers": 1000, "owner": "u000", "custom": ""}}
	c.answer["/chatrooms/"+cloudRoom+"/users"] = []object{{"owner": "u000"}, {"member": "u011"}}
	c.answer["/metadata/chatroom/"+cloudRoom] = object{"song": "one"}
	c.answer["/chatrooms/super_admin"] = []string{"u001"}
	c.answer["/chatmessages/"+hour.Format("2006010215")] = []object{{"url": c.URL + "/store/hour.gz"}}
	c.answer["/store/hour.gz"] = zipped(slices.Concat(
		line(3, hour.Add(3*time.Second), "u001", "u002", "chat", object{"type": "txt", "msg": "third"}),
		line(1, hour.Add(1*time.Second), "u001", "u002", "chat", object{"type": "txt", "msg": "first"}),
		line(2, hour.Add(2*time.Second), "u002", "u001", "chat", object{"type": "img", "url": "https://cloud/chatfiles/1", "filename": "a.png", "secret": "s"}),
		line(2, hour.Add(2*time.Second), "u002", "u001", "chat", object{"type": "img", "url": "https://cloud/chatfiles/1", "filename": "a.png", "secret": "s"}),
		line(4, hour.Add(4*time.Second), "u001", cloudGroup, "groupchat", object{"type": "txt", "msg": "to all"}),
		line(5, hour.Add(5*time.Second), "u001", cloudRoom, "chatroom", object{"type": "txt", "msg": "la"}),
		line(6, hour.Add(6*time.Second), "u001", "299000000000009", "groupchat", object{"type": "txt", "msg": "nowhere"}),
		[]byte("{broken\n"))...)
}

func line(id int, at time.Time, from, to, kind string, body object) []byte {
	text, _ := json.Marshal(object{"msg_id": fmt.Sprintf("120000000000000000%d", id), "timestamp": fmt.Sprint(at.UnixMilli()), "direction": "outgoing",
		"from": from, "to": to, "chat_type": kind, "payload": object{"bodies": []object{body}, "ext": object{"n": id}, "from": from, "to": to}})
	return append(text, '\n')
}

func zipped(text ...byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(text)
	w.Close()
	return b.Bytes()
}

// lastHour is one whose messages the cloud has.
func lastHour() time.Time { return time.Now().UTC().Truncate(time.Hour).Add(-3 * time.Hour) }

func (c *cloud) into(n *node) migrate.Agora {
	return migrate.Agora{
		Source: migrate.Endpoint{URL: c.URL, App: "acme#old", ClientID: cloudID, ClientSecret: cloudSecret},
		Target: migrate.Endpoint{URL: n.url, App: app, ClientID: clientID, ClientSecret: clientSecret},
		State:  filepath.Join(n.TempDir(), "state.json"), Rate: 100000, Parallel: 4, Since: lastHour(), Pause: time.Millisecond,
		Log: slog.New(slog.NewTextHandler(n.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
}

// away is since when a member of a chatroom is away, which goes on by itself.
var away = regexp.MustCompile(`(?m),\d+\]$`)

// rowsOf returns the rows of a server's app, which is stopped.
func rowsOf(t *testing.T, n *node, c config.Config) map[string]string {
	t.Helper()
	n.stop()
	rows := unpack(t, export(t, c))
	delete(rows, "stoa.json")
	delete(rows, "manifest.json")
	delete(rows, "departure.jsonl") // of the test's own clients
	rows["muc_member.jsonl"] = away.ReplaceAllString(rows["muc_member.jsonl"], "]")
	return rows
}

func losses(report *migrate.Report) map[string]int64 {
	counts := map[string]int64{}
	for why, loss := range report.Lost {
		counts[why] = loss.Count
	}
	return counts
}

// The cloud is busy now and then, gives half an answer, and forgets a token; none of it is noticed.
func upset(path string, nth int, w http.ResponseWriter) bool {
	switch {
	case path == "/users" && nth == 2, strings.HasSuffix(path, "/contacts") && nth == 1, path == "/chatgroups/"+cloudGroup && nth < 3:
		w.WriteHeader(http.StatusTooManyRequests)
		fmt.Fprint(w, `{"error":"reach_limit","error_description":"This request has reached api limit"}`)
	case path == "/users" && nth == 3:
		fmt.Fprint(w, `{"entities":[{"username":"u1`)
	case path == "/chatgroups" && nth == 1:
		w.WriteHeader(http.StatusBadGateway)
		fmt.Fprint(w, "<html>")
	case path == "/mutes" && nth == 1:
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"error":"unauthorized","error_description":"Unable to authenticate (OAuth)"}`)
	case path == "/store/hour.gz" && nth == 1: // the file of messages
		w.Write(zipped('{')[:10])
	default:
		return false
	}
	return true
}

func TestACloudIsImportedWithAllThatItTells(t *testing.T) {
	source, c := newCloud(t), config.Config{Data: t.TempDir()}
	source.furnish(lastHour())
	source.upset = upset
	n := serve(t, c)
	report, err := source.into(n).Run(t.Context())
	n.must(err)
	if diff := cmp.Diff(map[string]int64{"users": 250, "bans": 1, "user attributes": 2, "contacts": 2, "blocked users": 2, "mutes": 2, "groups": 1,
		"members of groups": 79, "admins of groups": 1, "allow lists of groups": 1, "block lists of groups": 1, "mutes in groups": 1, "attributes in groups": 1,
		"announcements": 1, "groups where all are muted": 1, "super admins": 1, "chatrooms": 1, "members of chatrooms": 1, "attributes in chatrooms": 1,
		"messages": 4}, report.Carried); diff != "" {
		t.Errorf("carried (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int64{
		"passwords: they cannot be read. Users log in with the tokens that your backend signs, or with passwords that it sets": 250,
		"contacts that the server refuses: Service resource not found":                                                         1,
		"members of groups that the server refuses: not added":                                                                 1,
		"messages in chatrooms: they are no history":                                                                           1,
		"messages that the server refuses: grpID 299000000000009 does not exist!":                                              1,
		"lines of message files that are no messages":                                                                          1,
		"files of messages: the messages name them where they were, which may remove them":                                     1,
		"ids of messages: the server gives new ones. Their times stay":                                                         4,
	}, losses(report)); diff != "" {
		t.Errorf("not carried (-want +got):\n%s", diff)
	}

	group := n.rest("GET", "/chatgroups/"+cloudGroup, "")["data"].([]any)[0].(object)
	for key, want := range (object{"name": "devs", "description": "who build", "owner": "u000", "membersonly": true, "public": true, "custom": "x", "mute": true, "affiliations_count": 80.0}) {
		if group[key] != want {
			t.Errorf("the group's %s is %v", key, group[key])
		}
	}
	u1 := n.client("u001", chat.Token(token(n, "u001")))
	contacts, err := u1.Contacts(t.Context())
	n.must(err)
	if len(contacts) != 2 || !slices.ContainsFunc(contacts, func(c chat.Contact) bool { return c.User == "u002" && c.Remark == "my friend" }) {
		t.Errorf("the contacts are %+v", contacts)
	}
	var texts []string
	for m, err := range u1.History(t.Context(), chat.ToUser("u002"), chat.HistoryQuery{OldestFirst: true}) {
		n.must(err)
		texts = append(texts, fmt.Sprint(m.From, " ", m.Text, m.URL, " ", m.Time.UTC().Sub(lastHour()), " ", m.Ext["n"]))
	}
	if diff := cmp.Diff([]string{"u001 first 1s 1", "u002 https://cloud/chatfiles/1 2s 2", "u001 third 3s 3"}, texts); diff != "" {
		t.Errorf("the history (-want +got):\n%s", diff)
	}
	if m := first(t, u1.History(t.Context(), chat.ToGroup(cloudGroup), chat.HistoryQuery{})); m.Text != "to all" || m.Time.UTC().Sub(lastHour()) != 4*time.Second {
		t.Errorf("the group's message is %+v", m)
	}
	u1.Close()

	// Once more, by a state that knows nothing of the first time.
	n.stop()
	want := rowsOf(t, n, c)
	n = serve(t, c)
	report, err = source.into(n).Run(t.Context())
	n.must(err)
	if diff := cmp.Diff(map[string]int64{"messages": 4}, report.Carried); diff != "" {
		t.Errorf("carried again (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, rowsOf(t, n, c)); diff != "" {
		t.Errorf("the second import has changed something (-want +got):\n%s", diff)
	}
}

func TestAnInterruptedImportGoesOnWhereItWas(t *testing.T) {
	source, straight := newCloud(t), config.Config{Data: t.TempDir()}
	source.furnish(lastHour())
	n := serve(t, straight)
	report, err := source.into(n).Run(t.Context())
	n.must(err)
	want, whole := counts(rowsOf(t, n, straight)), report.Carried

	broken := config.Config{Data: t.TempDir()}
	n = serve(t, broken)
	import1 := source.into(n)
	interruptions := 0
	for _, at := range []string{"/users", "/user/u120/contacts", "/chatgroups/" + cloudGroup + "/mute", "/chatrooms/super_admin", "/store/hour.gz"} {
		ctx, interrupt := context.WithCancel(t.Context())
		source.meddle(func(path string, nth int, _ http.ResponseWriter) bool {
			if path == at && (at != "/users" || nth == 2) {
				interrupt()
			}
			return false
		})
		if _, err := import1.Run(ctx); errors.Is(err, context.Canceled) {
			interruptions++
		}
		interrupt()
	}
	source.meddle(nil)
	report, err = import1.Run(t.Context())
	n.must(err)
	if interruptions != 5 {
		t.Errorf("%d interruptions", interruptions)
	}
	if calls := source.asked(); calls["GET /users"] != 0 || calls["GET /chatgroups"] != 0 {
		t.Errorf("what was done is asked for again: %v", calls)
	}
	if diff := cmp.Diff(want, counts(rowsOf(t, n, broken))); diff != "" {
		t.Errorf("the rows (-straight +interrupted):\n%s", diff)
	}
	for kind, n := range whole {
		if got := report.Carried[kind] + report.Kept[kind]; got < n {
			t.Errorf("%s: %d of %d are reported", kind, got, n)
		}
	}
}

// counts counts the rows of each table.
func counts(rows map[string]string) map[string]int {
	n := map[string]int{}
	for table, text := range rows {
		n[table] = strings.Count(text, "\n")
	}
	return n
}

func TestADryRunChangesNothing(t *testing.T) {
	source, c := newCloud(t), config.Config{Data: t.TempDir()}
	source.furnish(lastHour())
	n := serve(t, c)
	dry := source.into(n)
	dry.DryRun = true
	report, err := dry.Run(t.Context())
	n.must(err)
	if report.Carried["users"] != 250 || report.Carried["members of groups"] != 80 || report.Carried["messages"] != 5 {
		t.Errorf("the report is %v", report.Carried)
	}
	if _, err := os.Stat(dry.State); !os.IsNotExist(err) {
		t.Errorf("there is a state: %v", err)
	}
	if users := counts(rowsOf(t, n, c))["user.jsonl"]; users != 0 {
		t.Errorf("%d lines of users", users)
	}
}

func TestMessageFilesThatWereKeptAreImported(t *testing.T) {
	source, n := newCloud(t), serve(t, config.Config{Data: t.TempDir()})
	folder := t.TempDir()
	at := time.UnixMilli(1600000000000)
	n.must(os.WriteFile(filepath.Join(folder, "2020091312.gz"), zipped(slices.Concat(
		line(2, at.Add(time.Second), "bob", "alice", "chat", object{"type": "txt", "msg": "hello"}),
		line(1, at, "alice", "bob", "chat", object{"type": "txt", "msg": "hi"}))...), 0o600))
	for _, user := range []string{"alice", "bob"} {
		token(n, user)
	}
	a := source.into(n)
	a.Files, a.Since = folder, time.Time{}
	for range 2 {
		_, err := a.Run(t.Context())
		n.must(err)
	}
	var texts []string
	for m, err := range n.client("bob", chat.Token(token(n, "bob"))).History(t.Context(), chat.ToUser("alice"), chat.HistoryQuery{OldestFirst: true}) {
		n.must(err)
		texts = append(texts, m.Text+" "+m.Time.UTC().Format(time.DateTime))
	}
	if diff := cmp.Diff([]string{"hi 2020-09-13 12:26:40", "hello 2020-09-13 12:26:41"}, texts); diff != "" {
		t.Errorf("the history (-want +got):\n%s", diff)
	}
}

func TestAnImportThatCannotBeginSaysWhy(t *testing.T) {
	source, n := newCloud(t), serve(t, config.Config{Data: t.TempDir()})
	for want, change := range map[string]func(*migrate.Agora){
		"client_secret does not match": func(a *migrate.Agora) { a.Source.ClientSecret = "wrong" },
		"org#app":                      func(a *migrate.Agora) { a.Source.App = "acme" },
		"not the address":              func(a *migrate.Agora) { a.Target.URL = "localhost" },
		"name another file": func(a *migrate.Agora) {
			n.must(os.WriteFile(a.State, []byte(`{"source":"https://x a#b","target":"y"}`), 0o600))
		},
	} {
		a := source.into(n)
		change(&a)
		if _, err := a.Run(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v, want one with %q", err, want)
		}
	}
}
