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

// SetUp makes the first application, with random credentials that it prints once, if there is none.
func (s *Server) SetUp(ctx context.Context, out io.Writer) error {
	if s.accounts.Apps() > 0 {
		return nil
	}
	app, err := s.accounts.CreateApp(ctx, account.NewApp{Key: s.config.App, Settings: account.ServeSettings()})
	if errors.Is(err, account.ErrAppExists) {
		return nil // another node was first, and printed them
	} else if err != nil {
		return fmt.Errorf("make first app: %w", err)
	}
	_, err = fmt.Fprintf(out, `This is the first start. Keep these credentials; they are not shown again.
App key          %s
Client ID        %s
Client secret    %s
App ID           %s
App certificate  %s

`, app.Key(), app.ClientID, app.ClientSecret, app.AgoraID, app.Certificate)
	return err
}
