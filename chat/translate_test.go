package chat_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stoa-chat/stoa/chat"
	"github.com/stoa-chat/stoa/errcode"
)

func TestTranslationAgainstTheServer(t *testing.T) {
	// It translates every text by naming the language, and fails on one.
	translator := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/languages" {
			io.WriteString(w, `[{"code":"fr","name":"French"},{"code":"de","name":"German"}]`)
			return
		}
		var in struct{ Q, Target string }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			t.Error(err)
		}
		if in.Q == "unspeakable" {
			http.Error(w, `{"error":"no"}`, http.StatusInternalServerError)
			return
		}
		fmt.Fprintf(w, `{"translatedText":"%s in %s","detectedLanguage":{"language":"en","confidence":90}}`, in.Q, in.Target)
	}))
	defer translator.Close()
	server := launch(t, "--listen", "127.0.0.1:0", "--translate-url", translator.URL).url
	alice, _ := login(t, server, "alice", "stoa")
	_, onBob := login(t, server, "bob", "stoa")

	languages, err := alice.Languages(t.Context())
	ok(t, err)
	codes := map[string]bool{}
	for _, l := range languages {
		codes[l.Code] = l.Name != "" && l.NativeName != ""
	}
	same(t, "languages", map[string]bool{"fr": true, "de": true}, codes)

	french := []chat.Translation{{Language: "fr", Text: "hello in fr"}, {Language: "de", Text: "hello in de"}}
	got, err := alice.Translate(t.Context(), "hello", "fr", "de")
	ok(t, err)
	same(t, "translations", french, got)
	sent, err := alice.SendText(t.Context(), "bob", "hello", chat.WithTranslations("fr", "de"))
	ok(t, err)
	same(t, "sent", french, sent.Translations)
	m := next(t, onBob.texts, "the message")
	same(t, "received", french, m.Translations)
	same(t, "text", "hello", m.Text)

	_, err = alice.Translate(t.Context(), "hello", "xx")
	want(t, err, errcode.TranslationNotValid)
	_, err = alice.Translate(t.Context(), "unspeakable", "fr")
	want(t, err, errcode.TranslationFailed)
}
