package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// command is a command line as cmd/stoa has it.
type command struct {
	File file `name:"config"`
	Config
}

type file string

func (file) BeforeResolve(_ *kong.Kong, parsed *kong.Context, trace *kong.Path) error {
	path := string(parsed.FlagValue(trace.Flag).(file))
	if path == "" {
		return nil
	}
	resolver, err := LoadFile(path, parsed.Flags())
	if err == nil {
		parsed.AddResolver(resolver)
	}
	return err
}

// parse reads a file's text, the environment and arguments. An empty text means no file.
func parse(t *testing.T, text string, env map[string]string, args ...string) (Config, error) {
	t.Helper()
	for name, value := range env {
		t.Setenv(name, value)
	}
	if text != "" {
		path := filepath.Join(t.TempDir(), "stoa.toml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append([]string{"--config", path}, args...)
	}
	var c command
	parser, err := kong.New(&c)
	if err != nil {
		t.Fatal(err)
	}
	_, err = parser.Parse(args)
	return c.Config, err
}

func TestFlagsGoBeforeTheEnvironmentAndThatBeforeTheFile(t *testing.T) {
	const text = "listen = \"127.0.0.1:1\"\ntrust-proxy = true\nlog-level = \"debug\"\n"
	for name, tt := range map[string]struct {
		text string
		env  map[string]string
		args []string
		want string
	}{
		"the default":           {want: ":8080"},
		"the file":              {text: text, want: "127.0.0.1:1"},
		"the environment alone": {env: map[string]string{"STOA_LISTEN": "127.0.0.1:2"}, want: "127.0.0.1:2"},
		"environment over file": {text: text, env: map[string]string{"STOA_LISTEN": "127.0.0.1:2"}, want: "127.0.0.1:2"},
		"flag over both": {text: text, env: map[string]string{"STOA_LISTEN": "127.0.0.1:2"},
			args: []string{"--listen", "127.0.0.1:3"}, want: "127.0.0.1:3"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := parse(t, tt.text, tt.env, tt.args...)
			if err != nil {
				t.Fatal(err)
			}
			if c.Listen != tt.want {
				t.Errorf("listen is %q, want %q", c.Listen, tt.want)
			}
			if fromFile := tt.text != ""; c.TrustProxy != fromFile || (c.LogLevel == "debug") != fromFile {
				t.Errorf("the rest of the file: %+v", c)
			}
		})
	}
}

func TestEverythingWrongIsSaidAtOnce(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		args []string
		want []string
	}{
		"addresses":        {args: []string{"--listen", "here", "--admin-listen", "there"}, want: []string{"listen", "admin-listen"}},
		"databases":        {args: []string{"--database-url", "mysql://x", "--nats-url", "http://x"}, want: []string{"database-url", "nats-url"}},
		"NATS alone":       {args: []string{"--nats-url", "nats://x"}, want: []string{"database-url"}},
		"a file store":     {args: []string{"--files-url", "/srv/files"}, want: []string{"files-url"}},
		"half a key pair":  {args: []string{"--tls-key", "key.pem"}, want: []string{"tls-cert and tls-key"}},
		"unknown keys":     {text: "lisen = \"x\"\nextra = 1", want: []string{`"lisen"`, `"extra"`, "stoa.toml"}},
		"no TOML":          {text: "listen = \"a\"\nlisten", want: []string{"stoa.toml:2"}},
		"a table":          {text: "[listen]\nhost = \"x\"", want: []string{"listen is not text"}},
		"a level":          {args: []string{"--log-level", "loud"}, want: []string{"log-level"}},
		"a level, in file": {text: "log-level = \"loud\"", want: []string{"log-level"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse(t, tt.text, nil, tt.args...)
			if err == nil {
				t.Fatal("it was accepted")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not name %s: %v", want, err)
				}
			}
		})
	}
}

func TestLoggerHasTheLevelAskedFor(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		c := Config{LogLevel: "warn", LogFormat: format}
		if log := c.Logger(); log.Enabled(t.Context(), -4) || log.Enabled(t.Context(), 0) || !log.Enabled(t.Context(), 4) {
			t.Errorf("%s: not the level warn", format)
		}
	}
}
