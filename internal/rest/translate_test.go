package rest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stoa-chat/stoa/internal/translate"
)

// interpreter is a provider that is there at once.
type interpreter struct{ fail error }

func (i interpreter) Languages(context.Context) ([]translate.Language, error) {
	return []translate.Language{{Code: "fr", Name: "French", NativeName: "français"}, {Code: "zh-Hans", Name: "Chinese", NativeName: "简体中文"}}, i.fail
}

func (i interpreter) Translate(_ context.Context, text string, to []string) (translate.Translation, error) {
	t := translate.Translation{Language: "en", Score: 0.5}
	for _, code := range to {
		t.Texts = append(t.Texts, text+" in "+code)
	}
	return t, i.fail
}

func TestTranslation(t *testing.T) {
	const path = "/acme/demo/users/alice/translate"
	notValid := description("illegal_argument", "The target language is not valid.")
	failed := description("translation_failed", "translte failed!")
	off := `{"error_code":40000}`
	for name, test := range map[string]struct {
		settings string
		provider translate.Provider
		steps    []step
	}{
		"a text is translated into all languages": {"", interpreter{}, []step{
			{"POST", path, "alice", `{"text":"hello ☃","to":["zh-hans","fr"]}`, 200,
				`{"data":[{"detectedLanguage":{"language":"en","score":0.5},"translations":[{"text":"hello ☃ in zh-Hans","to":"zh-hans"},{"text":"hello ☃ in fr","to":"fr"}]}]}`, ""},
			{"POST", "/acme/demo/translate", "app", `{"text":"hello","to":["fr"]}`, 200, `{"data":[{"translations":[{"text":"hello in fr"}]}]}`, ""},
			{"GET", path + "/support/language", "alice", "", 200, `{"data":[{"code":"fr","name":"French","nativeName":"français"},{"code":"zh-Hans","name":"Chinese","nativeName":"简体中文"}]}`, ""},
			{"GET", "/acme/demo/translate/support/language", "app", "", 200, "", ""},
		}},
		"what cannot be translated is refused": {"", interpreter{}, []step{
			{"POST", path, "alice", `{"text":"hello","to":["fr","xx"]}`, 400, notValid, ""},
			{"POST", path, "alice", `{"text":"hello","to":[]}`, 400, notValid, ""},
			{"POST", path, "alice", `{"text":"hello"}`, 400, notValid, ""},
			{"POST", path, "alice", `{"text":"` + strings.Repeat("☃", 5000) + `","to":["fr"]}`, 200, "", ""},
			{"POST", path, "alice", `{"text":"` + strings.Repeat("☃", 5001) + `","to":["fr"]}`, 400, description("illegal_argument", "The input text is too long."), ""},
			{"POST", path, "alice", `{"text":"hello","to":[` + strings.Repeat(`"fr",`, 20) + `"fr"]}`, 400, description("exceed_limit", "The quantity has exceeded the limit!"), ""},
			{"POST", path, "alice", `{"to":["fr"]}`, 400, invalidBody, ""},
			{"POST", path, "alice", `{"text":["hello"],"to":"fr"}`, 400, invalidBody, ""},
		}},
		"an app may switch it off": {`{"translation":false}`, interpreter{}, []step{
			{"POST", path, "alice", `{"text":"hello","to":["fr"]}`, 403, off, ""},
			{"GET", path + "/support/language", "alice", "", 403, off, ""},
		}},
		"a server may have no provider": {"", nil, []step{
			{"POST", path, "alice", `{"text":"hello","to":["fr"]}`, 403, off, ""},
			{"GET", path + "/support/language", "alice", "", 403, off, ""},
		}},
		"a provider may fail": {"", interpreter{errors.New("no model")}, []step{
			{"POST", path, "alice", `{"text":"hello","to":["fr"]}`, 500, failed, ""},
			{"GET", path + "/support/language", "alice", "", 500, failed, ""},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.messages.Translator = test.provider
			if test.settings != "" {
				w.set(test.settings)
			}
			w.play(test.steps)
		})
	}
}
