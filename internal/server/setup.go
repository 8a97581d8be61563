package server

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/stoa-chat/stoa/internal/account"
)

// What everybody knows of the development server's application.
const (
	DevApp          = "stoa#demo"
	DevClientID     = "stoa-demo-id"
	DevClientSecret = "stoa-demo-secret"
	DevAgoraID      = "570a0000000000000000000000000de0"
	DevCertificate  = "570a0000000000000000000000c0ffee"
	DevPassword     = "stoa"
	// devHash is DevPassword hashed, so that the start need not wait for it.
	devHash = "$argon2id$v=19$m=19456,t=2,p=1$yEgsBqbDGV5TUxFEdsDwjQ$K4G9yb44sNVszIagEehqKP5LTHkHg4ksgke6P3a2tsI"
)

var devUsers = []string{"alice", "bob"}

// SetUpDev makes the development application and its users, as far as they are missing.
func (s *Server) SetUpDev(ctx context.Context) error {
	settings := account.DefaultSettings()
	settings.OpenRegistration = true
	settings.PushProviders = []account.PushProvider{{Name: "log", Type: account.ProviderLog}}
	app, err := s.accounts.CreateApp(ctx, account.NewApp{Key: DevApp, AgoraID: DevAgoraID, Certificate: DevCertificate,
		ClientID: DevClientID, ClientSecret: DevClientSecret, Settings: settings})
	if errors.Is(err, account.ErrAppExists) {
		return nil // its users may have been deleted on purpose
	} else if err != nil {
		return fmt.Errorf("make development app: %w", err)
	}
	for _, name := range devUsers {
		if _, err := s.accounts.RegisterHashed(ctx, app, account.NewUser{Name: name}, devHash); err != nil && !errors.Is(err, account.ErrUserExists) {
			return fmt.Errorf("make user %s: %w", name, err)
		}
	}
	return nil
}

// firstApp is the key of the app that the first start makes if the configuration names none.
const firstApp = "stoa#app"

// SetUp makes the app that the configuration names, if the server does not have it, and prints its credentials, once. The
// first start makes one in any case. An app that is there must have the credentials that the configuration gives.
func (s *Server) SetUp(ctx context.Context, out io.Writer) error {
	c := s.config
	if c.App == "" {
		if s.accounts.Apps() > 0 {
			return nil
		}
		c.App = firstApp
	}
	if there, err := s.accounts.App(c.App); err == nil {
		for what, given := range map[string]struct{ flag, is string }{"App ID": {c.AppID, there.AgoraID}, "App Certificate": {c.Certificate, there.Certificate},
			"client id": {c.ClientID, there.ClientID}, "client secret": {c.ClientSecret, there.ClientSecret}} {
			if given.flag != "" && given.flag != given.is {
				return fmt.Errorf("app %s is there, and has another %s than the configuration", c.App, what)
			}
		}
		return nil
	}
	app, err := s.accounts.CreateApp(ctx, account.NewApp{Key: c.App, AgoraID: c.AppID, Certificate: c.Certificate,
		ClientID: c.ClientID, ClientSecret: c.ClientSecret, Settings: account.ServeSettings()})
	if errors.Is(err, account.ErrAppExists) {
		if _, there := s.accounts.App(c.App); there == nil {
			return nil // another node was faster, and printed them
		}
	}
	if err != nil {
		return fmt.Errorf("make app %s: %w", c.App, err)
	}
	_, err = fmt.Fprintf(out, `This is a new app. Keep its credentials; they are not shown again.
App key          %s
Client ID        %s
Client secret    %s
App ID           %s
App certificate  %s

`, app.Key(), app.ClientID, app.ClientSecret, app.AgoraID, app.Certificate)
	return err
}
