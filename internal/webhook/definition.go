package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"
)

// definition is what the definitions of rules of both kinds have, see docs/callbacks.md.
type definition struct {
	URL       string   `json:"url"`
	Secret    string   `json:"secret"`
	ChatTypes []string `json:"chat_types"`
	Kinds     []string `json:"message_types"`
	Timeout   int      `json:"timeout_ms"`
	Enabled   bool     `json:"enabled"`
}

func byDefault(timeout time.Duration) definition {
	return definition{Timeout: int(timeout.Milliseconds()), Enabled: true}
}

func (d *definition) timeout() time.Duration { return time.Duration(d.Timeout) * time.Millisecond }

// parse reads a definition, which names nothing unknown, into a struct that has common in it, and checks that: its timeout
// is at most maxTimeout milliseconds.
func parse(text []byte, into any, common *definition, maxTimeout int) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	switch {
	case !isAddress(common.URL):
		return errors.New("url is no http:// or https:// address")
	case common.Secret == "":
		return errors.New("there is no secret")
	case common.Timeout < 1 || common.Timeout > maxTimeout:
		return fmt.Errorf("timeout_ms is 1 to %d", maxTimeout)
	}
	for _, name := range common.ChatTypes {
		if !slices.Contains([]string{"chat", "groupchat", "chatroom"}, name) {
			return fmt.Errorf("there is no chat type %.50q", name)
		}
	}
	return nil
}

func isAddress(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}
