// Package config is the server's configuration: one struct, whose fields are set by, in rising order, their defaults, a
// TOML file, STOA_* environment variables and flags.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/pelletier/go-toml/v2"
)

// Config is what an operator can set. The names of flags are those of the file's keys.
type Config struct {
	Listen       string `help:"Address to serve on." default:":8080" env:"STOA_LISTEN"`
	AdminListen  string `help:"Address for /metrics and /debug/pprof; empty: none." default:"127.0.0.1:8081" env:"STOA_ADMIN_LISTEN"`
	Data         string `help:"Folder for the database (with SQLite) and for files." default:"stoa-data" env:"STOA_DATA" type:"path"`
	DatabaseURL  string `help:"PostgreSQL to use in place of SQLite: postgres://…" env:"STOA_DATABASE_URL" placeholder:"URL"`
	NATSURL      string `name:"nats-url" help:"NATS that connects several nodes: nats://…" env:"STOA_NATS_URL" placeholder:"URL"`
	FilesURL     string `name:"files-url" help:"Where uploaded files are kept: s3://BUCKET?endpoint=URL, or file:///FOLDER; default: files in the data folder." env:"STOA_FILES_URL" placeholder:"URL"`
	TLSCert      string `name:"tls-cert" help:"Certificate file (PEM); read again when it changes." env:"STOA_TLS_CERT" placeholder:"FILE"`
	TLSKey       string `name:"tls-key" help:"Private key file (PEM) of the certificate." env:"STOA_TLS_KEY" placeholder:"FILE"`
	TrustProxy   bool   `help:"Believe X-Forwarded-Proto, X-Forwarded-Host and X-Forwarded-For: only behind a proxy that sets them." env:"STOA_TRUST_PROXY"`
	TranslateURL string `help:"LibreTranslate server that translates messages: http://…" env:"STOA_TRANSLATE_URL" placeholder:"URL"`
	TranslateKey string `help:"API key for that server." env:"STOA_TRANSLATE_KEY" placeholder:"KEY"`
	App          string `help:"Key of an app to make if the server does not have it; the first start makes stoa#app without it." env:"STOA_APP" placeholder:"ORG#APP"`
	AppID        string `name:"app-id" help:"Agora App ID of that app, 32 hex digits; as the next three: random unless it is given." env:"STOA_APP_ID" placeholder:"ID"`
	Certificate  string `name:"app-certificate" help:"Its App Certificate, 32 hex digits." env:"STOA_APP_CERTIFICATE" placeholder:"HEX"`
	ClientID     string `name:"client-id" help:"Its client id." env:"STOA_CLIENT_ID" placeholder:"ID"`
	ClientSecret string `name:"client-secret" help:"Its client secret." env:"STOA_CLIENT_SECRET" placeholder:"SECRET"`
	Rehearsal    bool   `help:"Let backends rehearse errors: make the server fail for single users on purpose." env:"STOA_REHEARSAL"`
	LogLevel     string `help:"debug, info, warn or error." enum:"debug,info,warn,error" default:"info" env:"STOA_LOG_LEVEL"`
	LogFormat    string `help:"text or json." enum:"text,json" default:"json" env:"STOA_LOG_FORMAT"`
}

// Validate reports everything that is wrong at once. Kong calls it.
func (c *Config) Validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		wrong("listen: %w", err)
	}
	if c.AdminListen != "" {
		if _, _, err := net.SplitHostPort(c.AdminListen); err != nil {
			wrong("admin-listen: %w", err)
		}
	}
	if c.DatabaseURL != "" && !scheme(c.DatabaseURL, "postgres", "postgresql") {
		wrong("database-url: want postgres://…")
	}
	if c.NATSURL != "" && !scheme(c.NATSURL, "nats", "tls", "ws", "wss") {
		wrong("nats-url: want nats://…")
	}
	if c.NATSURL != "" && c.DatabaseURL == "" {
		wrong("nats-url: several nodes need PostgreSQL, set database-url as well")
	}
	if c.FilesURL != "" && !scheme(c.FilesURL, "s3", "file") {
		wrong("files-url: want s3://… or file://…")
	}
	if c.TranslateURL != "" && !scheme(c.TranslateURL, "http", "https") {
		wrong("translate-url: want http://…")
	}
	if c.TranslateKey != "" && c.TranslateURL == "" {
		wrong("translate-key: there is no translate-url that it is for")
	}
	if c.App == "" && c.AppID+c.Certificate+c.ClientID+c.ClientSecret != "" {
		wrong("app-id, app-certificate, client-id and client-secret are those of an app: set app as well")
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		wrong("tls-cert and tls-key go together")
	}
	return errors.Join(errs...)
}

func scheme(text string, allowed ...string) bool {
	// The first of a list decides.
	u, err := url.Parse(strings.Split(text, ",")[0])
	if err != nil {
		return false
	}
	for _, s := range allowed {
		if u.Scheme == s {
			return true
		}
	}
	return false
}

// Logger returns the logger that the configuration asks for; it writes to standard error.
func (c *Config) Logger() *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		level = slog.LevelInfo
	}
	options := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, options))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, options))
}

// LoadFile returns a kong resolver that takes the values of flags from a TOML file. A key that is none of the flags is an
// error, so that a misspelt one is not passed over in silence.
func LoadFile(path string, flags []*kong.Flag) (kong.Resolver, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	values := map[string]any{}
	if err := toml.Unmarshal(content, &values); err != nil {
		var bad *toml.DecodeError
		if errors.As(err, &bad) {
			line, column := bad.Position()
			return nil, fmt.Errorf("%s:%d:%d: %w", path, line, column, err)
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if !slices.ContainsFunc(flags, func(f *kong.Flag) bool { return f.Name == key }) {
			errs = append(errs, fmt.Errorf("%s: unknown key %q", path, key))
		}
	}
	return fileResolver{path, values}, errors.Join(errs...)
}

type fileResolver struct {
	path   string
	values map[string]any
}

// Validate implements kong.Resolver.
func (fileResolver) Validate(*kong.Application) error { return nil }

// Resolve implements kong.Resolver.
func (f fileResolver) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, env := range flag.Envs {
		if _, set := os.LookupEnv(env); set {
			return nil, nil // the environment goes before the file
		}
	}
	value, ok := f.values[flag.Name]
	if !ok {
		return nil, nil
	}
	switch value.(type) {
	case string, bool, int64:
		return fmt.Sprint(value), nil
	}
	return nil, fmt.Errorf("%s: %s is not text, a number, true or false", f.path, flag.Name)
}
