package rest

import (
	"net/http"
	"testing"
	"time"
)

const reachLimit = `{"error":"reach_limit","error_description":"This request has reached api limit"}`

// until calls until it is refused for the rate, and returns how many calls were not.
func (w *world) until(limit int, call func() reply) (n int) {
	w.Helper()
	for ; n <= limit; n++ {
		if got := call(); got.status == http.StatusTooManyRequests {
			if diff := holds(got.object, reachLimit); diff != "" {
				w.Error(diff)
			}
			return n
		}
	}
	w.Fatalf("%d calls are served", n)
	return n
}

func TestRoutesAndUsersHaveRates(t *testing.T) {
	w := newWorld(t)
	get := func(path, as string) func() reply {
		return func() reply { return w.send("GET", "/acme/demo"+path, w.bearer(as), "") }
	}
	w.set(`{"rest_per_second":3}`)
	if n := w.until(60, get("/users", "app")); n < 3*burst {
		t.Errorf("%d calls of the route", n)
	}
	if got := get("/users/alice", "app")(); got.status != 200 {
		t.Errorf("another route: %d %s", got.status, got.text)
	}
	w.clock.Advance(time.Minute)
	if got := get("/users", "app")(); got.status != 200 {
		t.Errorf("a minute later: %d %s", got.status, got.text)
	}
	w.set(`{"rest_per_second":0,"rest_per_user_second":3}`)
	if n := w.until(60, get("/users/alice", "alice")); n < 3*burst {
		t.Errorf("%d calls of the user", n)
	}
	for _, as := range []string{"bob", "app"} {
		if got := get("/users/bob", as)(); got.status != 200 {
			t.Errorf("%s: %d %s", as, got.status, got.text)
		}
	}
}

func TestWrongPasswordsSlowLoginsDown(t *testing.T) {
	w := newWorld(t)
	login := func(user, password string) func() reply {
		return func() reply {
			return w.send("POST", "/acme/demo/token", "", `{"grant_type":"password","username":"`+user+`","password":"`+password+`"}`)
		}
	}
	w.set(`{"failed_logins_per_minute":2}`)
	for range 5 {
		if got := login("alice", password)(); got.status != 200 {
			t.Fatalf("right passwords: %d %s", got.status, got.text)
		}
	}
	if n := w.until(10, login("alice", "wrong")); n < 2 {
		t.Errorf("%d wrong ones", n)
	}
	if got := login("Alice", password)(); got.status != http.StatusTooManyRequests {
		t.Errorf("then the right one: %d", got.status)
	}
	if got := login("bob", password)(); got.status != 200 {
		t.Errorf("another user: %d", got.status)
	}
	w.clock.Advance(time.Minute)
	if got := login("alice", password)(); got.status != 200 {
		t.Errorf("a minute later: %d", got.status)
	}
	for i := range 2*perAddress + 1 {
		login("nobody"+string(rune('a'+i)), "wrong")()
	}
	if got := login("bob", password)(); got.status != http.StatusTooManyRequests {
		t.Errorf("after many from the address: %d", got.status)
	}
}

func TestManyGuessesAtOnceAreNotTriedBeyondTheLimit(t *testing.T) {
	w := newWorld(t)
	w.set(`{"failed_logins_per_minute":2}`)
	const guesses = 20
	answers := make(chan int, guesses)
	for range guesses {
		go func() {
			answers <- w.send("POST", "/acme/demo/token", "", `{"grant_type":"password","username":"alice","password":"wrong"}`).status
		}()
	}
	tried := 0
	for range guesses {
		if <-answers == http.StatusBadRequest {
			tried++
		}
	}
	if tried > 3 { // one more may have come back meanwhile
		t.Errorf("%d guesses were tried", tried)
	}
}

func TestCloudRatesAreThoseOfTheHostedService(t *testing.T) {
	w := newWorld(t)
	call := func(method, path, body string) func() reply {
		return func() reply { return w.send(method, "/acme/demo"+path, w.bearer("app"), body) }
	}
	broadcast := call("POST", "/messages/broadcast", `{"target_type":"users","msg":{"type":"txt","msg":"hi"}}`)
	if got := broadcast(); got.status != 200 {
		t.Fatalf("without them: %d %s", got.status, got.text)
	}
	w.set(`{"cloud_rates":true}`)
	for i, wait := range []time.Duration{0, 31 * time.Minute, 31 * time.Minute} {
		w.clock.Advance(wait)
		if got := broadcast(); got.status != 200 {
			t.Errorf("broadcast %d: %d %s", i+1, got.status, got.text)
		}
		if got := broadcast(); got.status != http.StatusForbidden ||
			holds(got.object, `{"error":"forbidden_op","error_description":"broadcast message limit exceeded"}`) != "" {
			t.Errorf("another at once: %d %s", got.status, got.text)
		}
	}
	if n := w.until(20, call("GET", "/user/alice/user_channels", "")); n != 5 {
		t.Errorf("%d calls of a route with a limit for each user", n)
	}
	if got := call("GET", "/user/bob/user_channels", "")(); got.status != 200 {
		t.Errorf("for another user: %d %s", got.status, got.text)
	}
}

func TestCloudRatesNameRoutes(t *testing.T) {
	w := newWorld(t)
	routes := map[string]bool{}
	for _, r := range w.api.Routes() {
		routes[r.String()] = true
	}
	for route := range cloudRatesOf {
		if !routes[route] {
			t.Errorf("there is no route %s", route)
		}
	}
}

func TestCloudRatesCountTogetherWhatTheyName(t *testing.T) {
	w := newWorld(t)
	now := w.clock.Now()
	taken := func(method, pattern string) (n int) {
		c := &Call{App: w.app, route: &Route{Method: method, Pattern: pattern}}
		for n < 1000 && w.api.likeTheCloud(c, now) == nil {
			n++
		}
		return n
	}
	for _, c := range []struct {
		method, pattern string
		want            int
	}{
		{"GET", "/users/{user}/contacts/users", 100},
		{"GET", "/users/{user}/contacts", 100}, // a count of its own
		{"GET", "/users/{user}/joined_chatgroups", 50},
		{"GET", "/users/{user}", 100},
		{"PUT", "/users/{user}", 0}, // counts with the one before
		{"POST", "/messages/chatgroups", 20},
	} {
		if got := taken(c.method, c.pattern); got != c.want {
			t.Errorf("%s %s: %d calls at once, want %d", c.method, c.pattern, got, c.want)
		}
	}
}
