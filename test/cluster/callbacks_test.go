package cluster_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
)

// testCallbacks: a backend is told of everything once, whichever node it came in through.
func (c *nodes) testCallbacks(t *testing.T) {
	var mu sync.Mutex
	told := map[string]int{}
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var call struct {
			ID string `json:"msg_id"`
		}
		if err := json.NewDecoder(r.Body).Decode(&call); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		told[call.ID]++
	}))
	defer backend.Close()
	rule := map[string]any{"url": backend.URL, "secret": "s", "events": []string{"message"}}
	c.rest(t, 0, http.MethodPut, "/callbacks/post/count", rule)
	defer c.rest(t, 0, http.MethodDelete, "/callbacks/post/count", nil)
	alice, bob := c.person(t, "alice").login(t, c.url(0)), c.person(t, "bob").login(t, c.url(1))
	// Of a probe that a node was sent before it knew the rule nobody is told, so there is one more each time.
	knows := func(d *device, to string) func() bool {
		var probes []string
		return func() bool {
			m, err := d.SendText(t.Context(), to, "do you hear?")
			if err != nil {
				t.Fatal(err)
			}
			probes = append(probes, m.ID)
			mu.Lock()
			defer mu.Unlock()
			return slices.ContainsFunc(probes, func(id string) bool { return told[id] > 0 })
		}
	}
	eventually(t, "the first node knows the rule", knows(alice, bob.user))
	eventually(t, "the second node knows the rule", knows(bob, alice.user))

	const count = 100
	var sent []string
	var sending sync.WaitGroup
	for _, pair := range [][2]*device{{alice, bob}, {bob, alice}} {
		sending.Go(func() {
			for n := range count {
				m, err := pair[0].SendText(t.Context(), pair[1].user, strconv.Itoa(n))
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				sent = append(sent, m.ID)
				mu.Unlock()
			}
		})
	}
	sending.Wait()
	all := func() bool {
		mu.Lock()
		defer mu.Unlock()
		for _, id := range sent {
			if told[id] == 0 {
				return false
			}
		}
		return true
	}
	eventually(t, "the backend is told of all messages", all)
	mu.Lock()
	defer mu.Unlock()
	for id, n := range told {
		if n > 1 {
			t.Errorf("the backend was told %d times of message %s", n, id)
		}
	}
}
