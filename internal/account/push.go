package account

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
)

// The kinds of providers of notifications.
const (
	ProviderAPNs = "apns" // Apple
	ProviderFCM  = "fcm"  // Google, HTTP v1
	ProviderLog  = "log"  // the server's log: for development
)

// PushProvider is who brings notifications to devices. Devices choose one by its name when they bind their token.
type PushProvider struct {
	// Name is the notifier's name that clients give (uploadPushToken).
	Name string `json:"name"`
	// Type is apns, fcm or log.
	Type string `json:"type"`
	// Secret is the signing key of Apple (the text of the .p8 file), or the service account of Google (the text of its
	// JSON file). It is never shown: SecretShown stands in its place, and in a change it means the one that is there.
	Secret string `json:"secret,omitempty"`
	// KeyID and TeamID say whose key it is, Topic is the app's bundle id. Apple only.
	KeyID  string `json:"key_id,omitempty"`
	TeamID string `json:"team_id,omitempty"`
	Topic  string `json:"topic,omitempty"`
	// URL is where the provider is reached, if not at its usual address: https://api.push.apple.com,
	// https://fcm.googleapis.com. Apple's sandbox is https://api.sandbox.push.apple.com.
	URL string `json:"url,omitempty"`
}

// SecretShown is what settings show in the place of a secret.
const SecretShown = "********"

const maxProviders = 20

var notifierForm = regexp.MustCompile(`^[^\x00-\x1f]{1,256}$`)

// Shown returns the settings without their secrets.
func (s Settings) Shown() Settings {
	s.PushProviders = slices.Clone(s.PushProviders)
	for i := range s.PushProviders {
		if s.PushProviders[i].Secret != "" {
			s.PushProviders[i].Secret = SecretShown
		}
	}
	return s
}

// keepSecrets fills in the secrets that a change does not tell.
func keepSecrets(changed, current []PushProvider) {
	for i := range changed {
		if changed[i].Secret != "" && changed[i].Secret != SecretShown {
			continue
		}
		changed[i].Secret = ""
		for _, had := range current {
			if had.Name == changed[i].Name && had.Type == changed[i].Type {
				changed[i].Secret = had.Secret
			}
		}
	}
}

// checkProviders says what is wrong with the providers.
func checkProviders(providers []PushProvider) (wrong []string) {
	say := func(p PushProvider, what string) {
		wrong = append(wrong, fmt.Sprintf("push_providers: %q %s", p.Name, what))
	}
	if len(providers) > maxProviders {
		wrong = append(wrong, fmt.Sprintf("push_providers must be at most %d", maxProviders))
	}
	names := map[string]bool{}
	for _, p := range providers {
		if !notifierForm.MatchString(p.Name) || names[p.Name] {
			say(p, "must have a name of its own")
		}
		names[p.Name] = true
		switch p.Type {
		case ProviderLog:
		case ProviderAPNs:
			if p.Secret == "" || p.KeyID == "" || p.TeamID == "" || p.Topic == "" {
				say(p, "needs secret, key_id, team_id and topic")
			}
		case ProviderFCM:
			if p.Secret == "" {
				say(p, "needs a secret")
			}
		default:
			say(p, "must be of type apns, fcm or log")
		}
		if u, err := url.Parse(p.URL); p.URL != "" && (err != nil || u.Host == "" || u.Scheme != "https") {
			say(p, "has a url that is not https://host")
		}
	}
	return wrong
}
