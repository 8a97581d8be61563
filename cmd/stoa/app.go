package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/stoa-chat/stoa/admin"
)

// backend says how a command reaches a server, as the backend of an app.
type backend struct {
	URL          string `name:"url" help:"The server." default:"http://127.0.0.1:8080" env:"STOA_URL"`
	App          string `name:"app" help:"The app, as org#app." default:"stoa#demo" env:"STOA_APP"`
	ClientID     string `name:"client-id" help:"The app's client id." default:"stoa-demo-id" env:"STOA_CLIENT_ID"`
	ClientSecret string `name:"client-secret" help:"The app's client secret." default:"stoa-demo-secret" env:"STOA_CLIENT_SECRET"`
}

func (b *backend) client() (*admin.Client, error) {
	return admin.New(b.URL, b.App, b.ClientID, b.ClientSecret)
}

type appCommand struct {
	Set []string `arg:"" optional:"" help:"Settings to change, as multi_device=false; none: show all." placeholder:"NAME=VALUE"`
	backend
	JSON bool `name:"json" help:"Print the settings as JSON."`
}

func (c *appCommand) Run(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	change := map[string]any{}
	for _, pair := range c.Set {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return fmt.Errorf("%q is not NAME=VALUE", pair)
		}
		change[name] = settingValue(value)
	}
	var settings map[string]any
	if len(change) == 0 {
		settings, err = client.Settings(ctx)
	} else {
		settings, err = client.ChangeSettings(ctx, change)
	}
	if err != nil {
		return err
	}
	if c.JSON {
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		return out.Encode(settings)
	}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		value, err := json.Marshal(settings[name])
		if err != nil {
			return err
		}
		fmt.Printf("%-26s %s\n", name, value)
	}
	return nil
}

// settingValue reads true, 4, ["http://a"] as JSON and everything else as text.
func settingValue(text string) any {
	var value any
	if json.Unmarshal([]byte(text), &value) == nil {
		return value
	}
	return text
}
