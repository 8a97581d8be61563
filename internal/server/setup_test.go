package server

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/stoa-chat/stoa/internal/clock"
	"github.com/stoa-chat/stoa/internal/config"
)

// An app keeps the credentials that it had elsewhere, and several live on one server.
func TestTheConfiguredAppIsMadeBesideThoseThatAreThere(t *testing.T) {
	folder := t.TempDir()
	moved := config.Config{App: "acme#old", AppID: strings.Repeat("a1", 16), Certificate: strings.Repeat("c2", 16), ClientID: "YXA6id", ClientSecret: "YXA6secret"}
	for _, step := range []struct {
		name    string
		config  config.Config
		apps    int
		printed string // what the output has; empty: nothing is printed
		refused string
	}{
		{"the first start", config.Config{}, 1, "stoa#app", ""},
		{"a second app with what it had elsewhere", moved, 2, "YXA6secret", ""},
		{"the same again", moved, 2, "", ""},
		{"an app that is there", config.Config{App: "acme#old"}, 2, "", ""},
		{"none", config.Config{}, 2, "", ""},
		{"another secret", config.Config{App: "acme#old", ClientSecret: "other"}, 2, "", "another client secret"},
		{"a third with the App ID of the second", config.Config{App: "acme#new", AppID: moved.AppID}, 2, "", "exists"},
		{"no App ID", config.Config{App: "acme#new", AppID: "42"}, 2, "", "32 hex digits"},
	} {
		t.Run(step.name, func(t *testing.T) {
			step.config.Listen, step.config.Data = "127.0.0.1:0", folder
			s, err := New(t.Context(), step.config, clock.New(), slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			var out strings.Builder
			err = s.SetUp(t.Context(), &out)
			if (err != nil) != (step.refused != "") || err != nil && !strings.Contains(err.Error(), step.refused) {
				t.Errorf("the error is %v", err)
			}
			if (out.Len() > 0) != (step.printed != "") || !strings.Contains(out.String(), step.printed) {
				t.Errorf("printed is %q", out.String())
			}
			if n := s.Accounts().Apps(); n != step.apps {
				t.Errorf("there are %d apps", n)
			}
		})
	}
	if app := (config.Config{Listen: ":0", AppID: moved.AppID}); app.Validate() == nil {
		t.Error("credentials of no app are accepted")
	}
}
