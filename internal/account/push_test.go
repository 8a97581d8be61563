package account

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stoa-chat/stoa/errcode"
)

func TestSecretsOfProvidersAreKeptAndNeverShown(t *testing.T) {
	w := newWorld(t)
	change := func(patch string) Settings {
		t.Helper()
		settings, err := w.ChangeSettings(t.Context(), w.app, []byte(patch))
		w.must(err)
		shown, err := json.Marshal(settings.Shown())
		w.must(err)
		if strings.Contains(string(shown), "hush") {
			t.Errorf("shown: %s", shown)
		}
		return settings
	}
	secrets := func(s Settings) map[string]string {
		got := map[string]string{}
		for _, p := range s.PushProviders {
			got[p.Name] = p.Secret
		}
		return got
	}
	google := `{"name":"google","type":"fcm","secret":"hush1"}`
	apple := `{"name":"apple","type":"apns","secret":"hush2","key_id":"k","team_id":"t","topic":"p"}`
	both := map[string]string{"google": "hush1", "apple": "hush2"}
	for _, test := range []struct {
		patch string
		want  map[string]string
	}{
		{`{"push_providers":[` + google + `,` + apple + `]}`, both},
		{`{"serving":true}`, both},
		{`{"push_providers":[` + strings.Replace(apple, "hush2", SecretShown, 1) + `,{"name":"google","type":"fcm"}]}`, both},
		{`{"push_providers":[` + strings.Replace(google, "hush1", "hush3", 1) + `]}`, map[string]string{"google": "hush3"}},
		{`{"push_providers":[{"name":"log","type":"log"}]}`, map[string]string{"log": ""}},
		{`{"push_providers":[]}`, map[string]string{}},
	} {
		if diff := cmp.Diff(test.want, secrets(change(test.patch))); diff != "" {
			t.Errorf("%s: %s", test.patch, diff)
		}
	}
}

func TestProvidersThatCannotWorkAreRefused(t *testing.T) {
	w := newWorld(t)
	for name, providers := range map[string]string{
		"no name":                   `{"type":"log"}`,
		"two of a name":             `{"name":"a","type":"log"},{"name":"a","type":"log"}`,
		"no type":                   `{"name":"a"}`,
		"no secret":                 `{"name":"a","type":"fcm"}`,
		"a secret that is not told": `{"name":"a","type":"fcm","secret":"********"}`,
		"Apple without a topic":     `{"name":"a","type":"apns","secret":"s","key_id":"k","team_id":"t"}`,
		"a plain address":           `{"name":"a","type":"log","url":"http://example.org"}`,
		"no address":                `{"name":"a","type":"log","url":"https://"}`,
		"an unknown field":          `{"name":"a","type":"log","password":"p"}`,
		"too many":                  strings.TrimSuffix(strings.Repeat(`{"name":"a","type":"log"},`, 21), ","),
	} {
		_, err := w.ChangeSettings(t.Context(), w.app, []byte(`{"push_providers":[`+providers+`]}`))
		refused(t, name, err, errcode.InvalidParameter, ErrSettings)
	}
}
