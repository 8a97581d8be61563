package admin_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stoa-chat/stoa/admin"
)

func TestWhatABackendMissesIsReplayed(t *testing.T) {
	w := newWorld(t, http.DefaultTransport)
	ctx, c := t.Context(), w.admin
	var well atomic.Bool
	told := make(chan string, 100)
	backend := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		signature := r.Header.Get(admin.SignatureHeader)
		if err != nil || !admin.Signed(signature, body, "s") || admin.Signed(signature, body, "t") {
			t.Errorf("the signature of %s is %s", body, signature)
		}
		if !well.Load() {
			rw.WriteHeader(http.StatusInternalServerError)
			return
		}
		told <- string(body)
	}))
	defer backend.Close()
	w.must(c.SetListener(ctx, "all", admin.Listener{URL: backend.URL, Secret: "s", Enabled: true, Events: []string{"message"}, Backend: true}))
	since := time.Now().Add(-time.Minute)
	ids := value(c.SendMessage(ctx, admin.Users, admin.Message{From: "alice", To: []string{"bob"}, Content: admin.Text("hello")}))(w)
	var dead []admin.DeadEvent
	for len(dead) == 0 {
		w.must(c.AdvanceClock(ctx, time.Hour))
		dead = all(w, c.DeadEvents(ctx, admin.Dead{Listener: "all"}))
	}
	if d := dead[0]; d.CallID != "stoa#demo_"+ids["bob"] || d.Error != "status 500" || !strings.Contains(string(d.Body), "hello") {
		t.Errorf("dead is %+v", d)
	}
	well.Store(true)
	w.equal("replayed", 1, value(c.Replay(ctx, admin.Dead{Since: since, Listener: "all"}, ""))(w))
	if body := <-told; !strings.Contains(body, ids["bob"]) {
		t.Errorf("the backend was told %s", body)
	}
	w.equal("replayed by id", 0, value(c.Replay(ctx, admin.Dead{IDs: []string{dead[0].ID}}, ""))(w))
}
