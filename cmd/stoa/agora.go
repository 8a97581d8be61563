package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/stoa-chat/stoa/internal/migrate"
)

type importAgoraCommand struct {
	FromURL          string `name:"from-url" help:"REST address of the app at Agora Chat, without org and app: https://a41.chat.agora.io" required:"" placeholder:"URL"`
	FromApp          string `name:"from-app" help:"Its app key, as org#app." required:"" placeholder:"ORG#APP"`
	FromAppID        string `name:"from-app-id" help:"Its App ID; with the certificate it signs the tokens of the calls." env:"STOA_FROM_APP_ID" placeholder:"ID"`
	FromCertificate  string `name:"from-certificate" help:"Its App Certificate." env:"STOA_FROM_CERTIFICATE" placeholder:"HEX"`
	FromClientID     string `name:"from-client-id" help:"Its client id, in place of App ID and certificate." env:"STOA_FROM_CLIENT_ID" placeholder:"ID"`
	FromClientSecret string `name:"from-client-secret" help:"Its client secret." env:"STOA_FROM_CLIENT_SECRET" placeholder:"SECRET"`
	backend

	Messages time.Duration `help:"Fetch the messages of as long ago (72h); those of the last hours are not there yet." placeholder:"DURATION"`
	Files    string        `help:"Folder of message files that were fetched before (*.gz)." type:"existingdir" placeholder:"DIR"`
	DryRun   bool          `help:"Read, and tell what would be done."`
	State    string        `help:"File that remembers how far the import has come." default:"stoa-import.json" type:"path"`
	Report   string        `help:"Write the report as JSON as well." type:"path" placeholder:"FILE"`
	Rate     float64       `help:"Calls a second that the source is sent." default:"20"`
	Parallel int           `help:"Users, groups or conversations that are worked on at a time." default:"8"`
}

func (c *importAgoraCommand) Run(ctx context.Context) error {
	a := migrate.Agora{
		Source: migrate.Endpoint{URL: c.FromURL, App: c.FromApp, ClientID: c.FromClientID, ClientSecret: c.FromClientSecret, AppID: c.FromAppID, Certificate: c.FromCertificate},
		Target: migrate.Endpoint{URL: c.URL, App: c.App, ClientID: c.ClientID, ClientSecret: c.ClientSecret},
		State:  c.State, DryRun: c.DryRun, Rate: c.Rate, Parallel: c.Parallel, Files: c.Files,
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}
	if c.Rate <= 0 {
		return fmt.Errorf("--rate must be above 0")
	}
	if c.Messages > 0 {
		a.Since = time.Now().Add(-c.Messages)
	}
	report, err := a.Run(ctx)
	report.Write(os.Stdout)
	if c.Report != "" {
		text, marshalErr := json.MarshalIndent(report, "", "  ")
		if marshalErr != nil {
			return marshalErr
		}
		if err := os.WriteFile(c.Report, append(text, '\n'), 0o600); err != nil {
			return err
		}
	}
	if err != nil {
		return fmt.Errorf("%w\nWhat is done is done; run the command again to go on", err)
	}
	return nil
}
