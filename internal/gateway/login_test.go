package gateway

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/msync"
)

// sockJSUp is how the releases before 1.4.0 send a frame.
func sockJSUp(frame []byte) []byte {
	return []byte(`["` + base64.StdEncoding.EncodeToString(frame) + `"]`)
}

func TestASignInIsAnsweredWithResourceAndEndOfTheToken(t *testing.T) {
	w := newWorld(t)
	c := w.dial("/ws", nil)
	p := c.provision("alice", w.token("alice"), "webim_web_1")
	if p.Status == nil || p.Status.ErrorCode != 0 || p.Resource != "webim_web_1" {
		t.Fatalf("answered with %v", p)
	}
	var auth struct {
		ExpiresIn int64 `json:"expires_in"`
	}
	if err := json.Unmarshal([]byte(p.AuthToken), &auth); err != nil {
		t.Fatalf("auth_token %q: %v", p.AuthToken, err)
	}
	life := time.Until(time.UnixMilli(auth.ExpiresIn))
	if life < 59*24*time.Hour || life > 61*24*time.Hour {
		t.Errorf("the token is said to end in %v", life)
	}
	if sessions, err := w.accounts.Sessions(t.Context(), w.user("alice")); err != nil || len(sessions) != 1 || sessions[0].Resource != "webim_web_1" {
		t.Errorf("alice is online with %v, %v", sessions, err)
	}
	c.hangUp()
	w.until("alice's going offline", func() bool {
		sessions, err := w.accounts.Sessions(t.Context(), w.user("alice"))
		return err == nil && len(sessions) == 0
	})
	if n := w.hub.Count(); n != 0 {
		t.Errorf("the hub still has %d sessions", n)
	}
}

func TestATokenWithoutEndHasNoTimers(t *testing.T) {
	w := newWorld(t)
	w.token("alice")
	token, err := w.accounts.InheritToken(t.Context(), w.app, "alice", false, account.TTL{Set: true})
	w.must(err)
	if p := w.dial("/ws", nil).provision("alice", token.Text, "r"); p.Status.ErrorCode != 0 || p.AuthToken != "" {
		t.Errorf("answered with %v", p)
	}
}

func TestTheTokenMayStandInTheProvision(t *testing.T) {
	w := newWorld(t)
	c := w.dial("/ws", nil)
	p := &msync.Provision{Resource: "r", AuthToken: `{"token":"$t$` + w.token("alice") + `"}`}
	b := up(msync.MSync_PROVISION, p)
	b = append(b, marshalGuid("alice")...)
	c.frame(ws.OpBinary, b)
	if g := c.next(); g == nil || g.Provision == nil || g.Provision.Status.GetErrorCode() != 0 {
		t.Errorf("got %v", g)
	}
}

func TestRefusedSignInsAreToldAndClosed(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.token("alice"), w.token("bob")
	w.token("carol")
	if _, err := w.accounts.SetActive(t.Context(), w.app, "carol", false); err != nil {
		t.Fatal(err)
	}
	carol := w.token("carol")
	short, err := w.accounts.InheritToken(t.Context(), w.app, "alice", false, account.TTL{Set: true, Seconds: 60})
	w.must(err)
	appToken, err := w.accounts.AppToken(w.app, w.app.ClientID, w.app.ClientSecret, account.TTL{})
	w.must(err)
	for _, test := range []struct {
		name, user, token, resource string
		want                        errcode.Code
	}{
		{"no token", "alice", "", "r", 28},
		{"garbage", "alice", "garbage", "r", 28},
		{"another user's token", "alice", bob, "r", 28},
		{"the app's token", "alice", appToken.Text, "r", 28},
		{"a changed token", "alice", alice[:len(alice)-2] + "AA", "r", 28},
		{"a token that has ended", "alice", short.Text, "r", 56},
		{"no such user", "nobody", alice, "r", 204},
		{"an empty name", "", alice, "r", 204},
		{"a banned user", "carol", carol, "r", 28}, // the ban revoked the token
		{"no resource", "alice", alice, "", -3},
		{"a control character in the resource", "alice", alice, "r\n", -3},
		{"a long resource", "alice", alice, strings.Repeat("r", maxResource+1), -3},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.want == 56 {
				w.clock.Advance(2 * time.Minute)
			}
			c := w.dial("/ws", nil)
			c.sendProvision(test.user, test.token, test.resource)
			g := c.want("a Provision", func(g *got) bool { return g != nil && g.Provision != nil })
			p := g.Provision
			if p.Status == nil || p.Resource != test.resource {
				t.Fatalf("answered with %v", p)
			}
			if code := loginCode(p.Status.ErrorCode, p.Status.Reason); code != test.want {
				t.Errorf("arrives as %d (%v), want %d", code, p.Status, test.want)
			}
			// What still comes in is passed over, also another attempt: the close is on its way.
			c.sendProvision("bob", bob, "r")
			c.sendMeta(textTo("alice", "bob", "hi", 1))
			c.ended(ws.StatusPolicyViolation)
		})
	}
	w.until("the end of the sessions", func() bool { return len(w.gateway.snapshot()) == 0 })
	if n := w.hub.Count(); n != 0 {
		t.Errorf("%d sessions were let in", n)
	}
}

func TestAnAppThatIsSwitchedOffOrUnknownRefusesSignIns(t *testing.T) {
	w := newWorld(t)
	token := w.token("alice")
	w.set(`{"serving":false}`)
	p := w.dial("/ws", nil).provision("alice", token, "r")
	if code := loginCode(p.Status.ErrorCode, p.Status.Reason); code != 57 {
		t.Errorf("switched off: %v, code %d", p, code)
	}
	c := w.dial("/ws", nil)
	c.frame(ws.OpBinary, append(up(msync.MSync_PROVISION, &msync.Provision{Resource: "r"}), marshalJID(&msync.JID{AppKey: "no#app", Name: "alice"})...))
	g := c.next()
	if g == nil || g.Provision == nil || loginCode(g.Provision.Status.ErrorCode, g.Provision.Status.Reason) != 2 {
		t.Errorf("unknown app: %v", g)
	}
	c.ended(ws.StatusPolicyViolation)
}

func TestOriginsThatAreNotAllowedAreRefused(t *testing.T) {
	w := newWorld(t)
	w.set(`{"allowed_origins":["https://chat.example","http://localhost:3000"]}`)
	for origin, want := range map[string]msync.Status_ErrorCode{
		"":                      0, // no browser
		"https://chat.example":  0,
		"HTTPS://Chat.Example":  0,
		"http://localhost:3000": 0,
		"http://localhost:3001": 2,
		"http://chat.example":   2,
		"null":                  2,
	} {
		headers := http.Header{}
		if origin != "" {
			headers.Set("Origin", origin)
		}
		c := w.dial("/ws", headers)
		if p := c.provision("alice", w.token("alice"), "r"); p.Status.ErrorCode != want {
			t.Errorf("pages of %q: %v, want %v", origin, p.Status, want)
		} else if want != 0 {
			c.ended(ws.StatusPolicyViolation)
		}
	}
}

func TestASocketWithoutASignInIsClosedAfterAWhile(t *testing.T) {
	w := newWorld(t)
	c := w.dial("/ws", nil)
	c.frame(ws.OpText, []byte("hello")) // read as an empty frame, which asks for nothing
	c.frame(ws.OpPing, nil)
	c.want("a pong", isPong)
	s := w.only()
	s.sweep(s.began.Add(loginTime), time.Now())
	c.frame(ws.OpPing, nil)
	c.want("a pong", isPong)
	s.sweep(s.began.Add(loginTime+time.Millisecond), time.Now())
	c.ended(0)
}

func TestTheEndOfTheTokenEndsTheSession(t *testing.T) {
	w := newWorld(t)
	w.token("alice")
	token, err := w.accounts.InheritToken(t.Context(), w.app, "alice", false, account.TTL{Set: true, Seconds: 60})
	w.must(err)
	c := w.dial("/ws", nil)
	if p := c.provision("alice", token.Text, "r"); p.Status.ErrorCode != 0 {
		t.Fatal(p)
	}
	s := w.only()
	s.sweep(time.Now(), token.Expires.Truncate(time.Millisecond).Add(tokenGrace)) // the client's own timer goes first
	c.quiet("the token has just ended")

	// A longer life that is taken up by REST moves the end; a shorter one does not.
	w.accounts.Extend(account.Principal{User: token.User, Expires: token.Expires.Add(time.Hour)})
	w.accounts.Extend(account.Principal{User: token.User, Expires: token.Expires.Add(time.Minute)})
	s.sweep(time.Now(), token.Expires.Add(59*time.Minute))
	c.quiet("the token was renewed")

	w.clock.Advance(2 * time.Hour) // wakes the sweep
	c.ended(ws.StatusPolicyViolation)
}

func TestATokenWithoutEndExtendsForEver(t *testing.T) {
	w := newWorld(t)
	w.token("alice")
	token, err := w.accounts.InheritToken(t.Context(), w.app, "alice", false, account.TTL{Set: true, Seconds: 60})
	w.must(err)
	c := w.dial("/ws", nil)
	c.provision("alice", token.Text, "r")
	w.accounts.Extend(account.Principal{User: token.User})
	w.accounts.Extend(account.Principal{User: token.User, Expires: token.Expires.Add(time.Second)})
	w.only().sweep(time.Now(), token.Expires.Add(1000*time.Hour))
	c.quiet("the token has no end any more")
}

func TestASilentClientIsPingedAndThenCutOff(t *testing.T) {
	w := newWorld(t)
	c := w.online("alice", "r")
	s := w.only()
	heard := time.Unix(s.heard.Load(), 0)
	s.sweep(heard.Add(pingAfter), time.Now())
	c.quiet("a minute and a half of silence is normal")
	s.sweep(heard.Add(pingAfter+2*time.Second), time.Now())
	s.sweep(heard.Add(pingAfter+3*time.Second), time.Now())
	c.want("a ping", isPing)
	c.frame(ws.OpPong, nil)
	c.quiet("one ping is enough")
	heard = time.Unix(s.heard.Load(), 0)
	s.sweep(heard.Add(pingAfter+2*time.Second), time.Now())
	c.want("a ping after the next silence", isPing)
	s.sweep(heard.Add(idleTime+2*time.Second), time.Now())
	c.ended(0)
}

// rests reports whether a session's goroutine is the one that waits at rest.
func rests(s *session) bool {
	var stacks bytes.Buffer
	pprof.Lookup("goroutine").WriteTo(&stacks, 2)
	for stack := range strings.SplitSeq(stacks.String(), "\n\n") {
		if strings.Contains(stack, fmt.Sprintf("gateway.(*session).rest(%p", s)) {
			return !strings.Contains(stack, "gateway.(*session).run(")
		}
	}
	return false
}

func TestASilentSessionRests(t *testing.T) {
	w := newWorld(t)
	c := w.online("alice", "r")
	s := w.only()
	rest := func() {
		t.Helper()
		s.sweep(time.Unix(s.heard.Load(), 0).Add(restAfter+time.Second), time.Now())
		w.until("the session's rest", func() bool { return rests(s) })
	}
	for range 3 { // one that rests hears, works, and rests again
		rest()
		c.unread()
		w.until("the session's work", func() bool { return !rests(s) && !s.resting.Load() })
	}

	rest()
	c.conn.Close()
	w.until("the end of the session", func() bool { return len(w.gateway.snapshot()) == 0 })
}

func TestTheOldReleasesSpeakSockJS(t *testing.T) {
	w := newWorld(t)
	answer, err := http.Get(w.server.URL + "/ws/info?t=1")
	w.must(err)
	defer answer.Body.Close()
	var info struct {
		WebSocket bool `json:"websocket"`
	}
	w.must(json.NewDecoder(answer.Body).Decode(&info))
	if !info.WebSocket || !strings.HasPrefix(answer.Header.Get("Content-Type"), "application/json") {
		t.Errorf("info offers %+v as %s", info, answer.Header.Get("Content-Type"))
	}
	c := w.dial("/ws/123/abcdefgh/websocket", nil)
	c.want("the open frame", func(g *got) bool { return g != nil && g.Op == ws.OpText && string(g.Data) == "o" })
	if p := c.provision("alice", w.token("alice"), "r"); p.Status.ErrorCode != 0 {
		t.Fatal(p)
	}
	bob := w.online("bob", "r")
	// Two frames in one message.
	one := sockJSUp(up(msync.MSync_UNREAD, nil))
	two := sockJSUp(up(msync.MSync_SYNC, &msync.CommSyncUL{Meta: textTo("alice", "bob", "hi", 1)}))
	c.frame(ws.OpText, []byte(string(one[:len(one)-1])+","+string(two[1:])))
	c.want("an UNREAD", isUnread)
	if g := c.want("an answer", isAnswer); g.Sync.Status.ErrorCode != 0 {
		t.Errorf("answered with %v", g)
	}
	bob.push("hi")
	bob.ok("alice", "ho", 1)
	c.push("ho")
	c.frame(ws.OpText, []byte("not SockJS"))
	c.ended(ws.StatusPolicyViolation)
}

func TestInfoMayBeAskedFromOtherOrigins(t *testing.T) {
	w := newWorld(t)
	for _, method := range []string{http.MethodGet, http.MethodOptions} {
		r, err := http.NewRequestWithContext(t.Context(), method, w.server.URL+"/ws/info?t=1", nil)
		w.must(err)
		r.Header.Set("Origin", "https://chat.example")
		answer, err := http.DefaultClient.Do(r)
		w.must(err)
		body, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if answer.StatusCode != 200 || answer.Header.Get("Access-Control-Allow-Origin") != "https://chat.example" || (len(body) > 0) != (method == http.MethodGet) {
			t.Errorf("%s: %s %v %s", method, answer.Status, answer.Header, body)
		}
	}
}

// TestWhoBreaksTheProtocolIsClosed: with which code is told apart in browsers' consoles only, but closed it must be.
func TestWhoBreaksTheProtocolIsClosed(t *testing.T) {
	w := newWorld(t)
	w.token("bob")
	provision := func(c *client) {
		c.sendProvision("alice", w.token("alice"), "r2")
	}
	for _, test := range []struct {
		name   string
		signed bool
		do     func(*client)
		want   ws.StatusCode
	}{
		{"a frame that is not protobuf", true, func(c *client) { c.frame(ws.OpBinary, []byte{0xff}) }, 1008},
		{"a frame that is not protobuf, before the sign-in", false, func(c *client) { c.frame(ws.OpBinary, []byte{0xff}) }, 1008},
		{"a SYNC that is not protobuf", true, func(c *client) { c.frame(ws.OpBinary, []byte{0x4a, 1, 0xff}) }, 1008},
		{"a queue that is not a JID", true, func(c *client) { c.frame(ws.OpBinary, []byte{0x4a, 3, 0x1a, 1, 0xff}) }, 1008},
		{"a Provision that is not protobuf", false, func(c *client) { c.frame(ws.OpBinary, []byte{0x40, 3, 0x4a, 1, 0xff}) }, 1008},
		{"a Logout that is not protobuf", true, func(c *client) { c.frame(ws.OpBinary, []byte{0x40, 4, 0x4a, 1, 0xff}) }, 1008},
		{"an unknown command", true, func(c *client) { c.send(99, nil) }, 1008},
		{"a notice", true, func(c *client) { c.send(msync.MSync_NOTICE, nil) }, 1008},
		{"a message before the sign-in", false, func(c *client) { c.sendMeta(textTo("alice", "bob", "hi", 1)) }, 1008},
		{"UNREAD before the sign-in", false, func(c *client) { c.send(msync.MSync_UNREAD, nil) }, 1008},
		{"a second Provision", true, provision, 1008},
		{"a frame over 64 KiB", true, func(c *client) { c.frame(ws.OpBinary, make([]byte, maxFrame+1)) }, 1009},
		{"a frame over 64 KiB before the sign-in", false, func(c *client) { c.frame(ws.OpBinary, make([]byte, maxFrame+1)) }, 1009},
		{"a frame that is not masked", true, func(c *client) { c.conn.Write([]byte{0x82, 0}) }, 1002},
		{"a reserved bit", true, func(c *client) { c.conn.Write([]byte{0xc2, 0x80, 0, 0, 0, 0}) }, 1002},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := w.dial("/ws", nil)
			if test.signed {
				if p := c.provision("alice", w.token("alice"), "r"); p.Status.ErrorCode != 0 {
					t.Fatal(p)
				}
			}
			test.do(c)
			c.ended(test.want)
		})
	}
	w.until("the end of the sessions", func() bool { return len(w.gateway.snapshot()) == 0 })
}

func TestFramesThatAskForNothingArePassedOver(t *testing.T) {
	w := newWorld(t)
	c := w.online("alice", "r")
	key := uint64(0)
	c.frame(ws.OpText, []byte("text"))
	c.frame(ws.OpBinary, nil)
	c.send(msync.MSync_SYNC, &msync.CommSyncUL{})
	c.send(msync.MSync_SYNC, &msync.CommSyncUL{Key: &key}) // after a text frame (docs/protocol/wire.md §0, rule 19)
	c.sendMeta(&msync.Meta{Id: 1700000000000, Ns: msync.Meta_STATISTIC})
	c.quiet("nothing was asked")
}

func TestALogoutIsAnswered(t *testing.T) {
	w := newWorld(t)
	c := w.online("alice", "r")
	c.send(msync.MSync_LOGOUT, &msync.Logout{SessionId: "17:", Reason: "inner:logout"})
	g := c.want("a Logout", func(g *got) bool { return g != nil && g.Logout != nil })
	if g.Logout.SessionId != "17:" || g.Logout.Status == nil || g.Logout.Status.ErrorCode != 0 {
		t.Errorf("answered with %v", g.Logout)
	}
	c.frame(ws.OpClose, nil)
	c.ended(ws.StatusNormalClosure)
}

func TestMessagesThatComeWithTheUpgradeAreNotLost(t *testing.T) {
	w := newWorld(t)
	server, path := strings.TrimPrefix(w.server.URL, "http://"), "/ws"
	conn := dialRaw(t, server)
	request := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", path, server)
	provision := append(up(msync.MSync_PROVISION, &msync.Provision{Resource: "r", AuthToken: `{"token":"` + w.token("alice") + `"}`}), marshalGuid("alice")...)
	unread := clientFrame(binFin, string(up(msync.MSync_UNREAD, nil)), 0)
	all := append([]byte(request), clientFrame(binFin, string(provision), 0)...)
	all = append(all, unread...)
	all = append(all, unread[:5]...) // and half a frame: what can be answered is, although more is on its way
	if _, err := conn.Write(all); err != nil {
		t.Fatal(err)
	}
	c := &client{failer: w, world: w, conn: conn, name: "raw"}
	for line := ""; line != "\r\n"; {
		line = ""
		for !strings.HasSuffix(line, "\r\n") {
			var b [1]byte
			if _, err := io.ReadFull(c, b[:]); err != nil {
				t.Fatal(err)
			}
			line += string(b[:])
		}
	}
	c.want("a Provision", func(g *got) bool { return g != nil && g.Provision != nil && g.Provision.Status.GetErrorCode() == 0 })
	c.want("an UNREAD", isUnread)
	conn.Write(unread[5:])
	c.want("the other UNREAD", isUnread)
}
