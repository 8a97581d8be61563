package main

import (
	"context"
	"fmt"
	"net"
	"os"

	"github.com/alecthomas/kong"

	"github.com/stoa-chat/stoa/internal/clock"
	"github.com/stoa-chat/stoa/internal/config"
	"github.com/stoa-chat/stoa/internal/heap"
	"github.com/stoa-chat/stoa/internal/server"
)

type serveCommand struct {
	File configFile `name:"config" help:"Configuration file (TOML); its keys are the names of these flags." env:"STOA_CONFIG" placeholder:"FILE"`
	config.Config
}

// configFile is a flag whose file gives values to the other flags.
type configFile string

// BeforeResolve reads the file. Kong calls it.
func (configFile) BeforeResolve(k *kong.Kong, parsed *kong.Context, trace *kong.Path) error {
	path := string(parsed.FlagValue(trace.Flag).(configFile))
	if path == "" {
		return nil
	}
	resolver, err := config.LoadFile(path, parsed.Flags())
	if err == nil {
		parsed.AddResolver(resolver)
	}
	return err
}

func (c *serveCommand) Run(ctx context.Context) error {
	heap.Keep(ctx)
	s, err := server.New(ctx, c.Config, clock.New(), c.Logger())
	if err != nil {
		return err
	}
	if err := s.SetUp(ctx, os.Stdout); err != nil {
		s.Close()
		return err
	}
	return s.Run(ctx, func() {
		fmt.Printf("REST        %s\nWebSocket   %s\n", s.URL(), s.SocketURL())
	})
}

type devCommand struct {
	Listen       string `help:"Address to serve on." default:"127.0.0.1:8080" env:"STOA_LISTEN"`
	AllowRemote  bool   `help:"Allow an address that other machines reach. Everybody knows the credentials." env:"STOA_ALLOW_REMOTE"`
	Data         string `help:"Folder for the data; without it the data is thrown away at the end." type:"path" placeholder:"DIR"`
	LogLevel     string `help:"debug, info, warn or error." enum:"debug,info,warn,error" default:"warn" env:"STOA_LOG_LEVEL"`
	TranslateURL string `help:"LibreTranslate server that translates messages: http://…" env:"STOA_TRANSLATE_URL" placeholder:"URL"`
}

func (c *devCommand) Run(ctx context.Context) error {
	heap.Keep(ctx)
	if !loopback(c.Listen) {
		if !c.AllowRemote {
			return fmt.Errorf("%s can be reached from other machines, and everybody knows the credentials of stoa dev: use 127.0.0.1, or --allow-remote if that is what you want", c.Listen)
		}
		fmt.Fprintf(os.Stderr, "WARNING: %s can be reached from other machines, and everybody knows these credentials.\n", c.Listen)
	}
	data := c.Data
	if data == "" {
		folder, err := os.MkdirTemp("", "stoa-dev-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(folder)
		data = folder
	}
	settings := config.Config{Listen: c.Listen, Data: data, App: server.DevApp, Rehearsal: true, LogLevel: c.LogLevel, LogFormat: "text", TranslateURL: c.TranslateURL}
	s, err := server.New(ctx, settings, clock.New(), settings.Logger())
	if err != nil {
		return err
	}
	if err := s.SetUpDev(ctx); err != nil {
		s.Close()
		return err
	}
	return s.Run(ctx, func() {
		fmt.Printf(`REST             %s
WebSocket        %s
Playground       %s/playground/
App key          %s
Users            alice and bob, password %s
Client ID        %s
Client secret    %s
App ID           %s
App certificate  %s
`, s.URL(), s.SocketURL(), s.URL(), server.DevApp, server.DevPassword, server.DevClientID, server.DevClientSecret, server.DevAgoraID, server.DevCertificate)
	})
}

// loopback reports whether only this machine reaches an address.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return true // listening will say what is wrong
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
