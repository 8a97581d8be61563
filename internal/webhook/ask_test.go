package webhook

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

var app = &account.App{App: store.App{ID: 1, Org: "acme", Name: "demo"}}

// asking is a service with one rule, {URL} in which is the address of a backend.
func asking(t *testing.T, rule string, backend http.HandlerFunc) *Service {
	t.Helper()
	w := newWorld(t)
	server := httptest.NewServer(backend)
	t.Cleanup(server.Close)
	w.must(w.service.Hooks.Put(t.Context(), app.ID, "censor", []byte(strings.ReplaceAll(rule, "{URL}", server.URL))))
	return w.service
}

func message(t *testing.T, text string) []byte {
	t.Helper()
	body, err := proto.Marshal(&msync.MessageBody{Type: msync.MessageBody_CHAT, From: &msync.JID{Name: "alice"}, To: &msync.JID{Name: "bob"},
		Contents: []*msync.MessageBody_Content{{Type: msync.MessageBody_Content_TEXT, Text: text}}})
	if err != nil {
		t.Fatal(err)
	}
	stored, err := msync.StoredMeta(&msync.Meta{From: &msync.JID{Name: "alice"}, To: &msync.JID{Name: "bob"}, Ns: msync.Meta_CHAT, Payload: body})
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

func TestABackendDecides(t *testing.T) {
	const rule = `{"url":"{URL}","secret":"s","timeout_ms":3000,"report_error":true`
	for _, test := range []struct{ name, more, answer, text, reason string }{
		{"it lets pass", `}`, `{"valid":true}`, "", ""},
		{"it puts another text", `}`, `{"valid":true,"payload":{"bodies":[{"msg":"h*","type":"txt"}]}}`, "h*", ""},
		{"it refuses and says why", `}`, `{"valid":false,"code":"be kind"}`, "", "be kind"},
		{"it refuses", `}`, `{"valid":false}`, "", "custom logic denied"},
		{"it refuses with an empty reason", `}`, `{"valid":false,"code":""}`, "", "Message blocked by external logic"},
		{"it refuses, and the sender is not to know why", `,"report_error":false}`, `{"valid":false,"code":"be kind"}`, "", "refused by a rule of the app"},
		{"a bad answer lets pass", `}`, `{}`, "", ""},
		{"a bad answer blocks", `,"fallback":"block"}`, `nonsense`, "", "custom internal error"},
		{"a long answer blocks", `,"fallback":"block"}`, `{"valid":true,"x":"` + strings.Repeat("x", maxAnswer) + `"}`, "", "custom internal error"},
		{"it is for other chats", `,"chat_types":["chatroom"]}`, `{"valid":false}`, "", ""},
		{"it is for other messages", `,"message_types":["img"]}`, `{"valid":false}`, "", ""},
		{"it is switched off", `,"enabled":false}`, `{"valid":false}`, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := asking(t, rule+test.more, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				var q struct {
					From, To string
					Security string
				}
				if err := json.Unmarshal(body, &q); err != nil || q.From != "alice" || q.To != "bob" || len(q.Security) != 32 {
					t.Errorf("the question is %s", body)
				}
				if got := r.Header.Get(SignatureHeader); got != signature("s", body) {
					t.Errorf("the signature is %s", got)
				}
				io.WriteString(w, test.answer)
			})
			text, replaced, err := s.Ask(t.Context(), app, message(t, "hello"))
			reason := ""
			if e, ok := err.(*errcode.Error); ok && e.Code == errcode.BlockedExternally {
				reason = e.Reason
			} else if err != nil {
				t.Fatal(err)
			}
			if text != test.text || replaced != (test.text != "") || reason != test.reason {
				t.Errorf("got %q, %v, %q", text, replaced, reason)
			}
		})
	}
}

func TestABackendThatFailsIsNotAskedForAWhile(t *testing.T) {
	var asked atomic.Int32
	s := asking(t, `{"url":"{URL}","secret":"s","timeout_ms":3000}`, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusInternalServerError)
	})
	for range 3 * failures {
		if _, _, err := s.Ask(t.Context(), app, message(t, "hello")); err != nil {
			t.Fatal(err)
		}
	}
	if n := asked.Load(); n != failures {
		t.Errorf("it was asked %d times", n)
	}
}

func TestRulesThatMakeNoSenseAreRefused(t *testing.T) {
	for _, rule := range []string{`{`, `{"url":"ftp://x","secret":"s"}`, `{"url":"http://x"}`, `{"url":"http://x","secret":"s","timeout_ms":0}`,
		`{"url":"http://x","secret":"s","timeout_ms":3001}`, `{"url":"http://x","secret":"s","fallback":"shrug"}`,
		`{"url":"http://x","secret":"s","chat_types":["smoke"]}`, `{"url":"http://x","secret":"s","colour":1}`} {
		if _, err := ParseHook([]byte(rule)); err == nil {
			t.Errorf("%s is taken", rule)
		}
	}
}
