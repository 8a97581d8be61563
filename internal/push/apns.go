package push

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/clock"
)

const (
	apnsURL = "https://api.push.apple.com"
	// apnsTokenLife is how long a token of ours is used. Apple refuses those of more than an hour, and new ones that come
	// within 20 minutes.
	apnsTokenLife = 45 * time.Minute
)

// apns sends by Apple's service, as a provider that signs its tokens.
type apns struct {
	settings account.PushProvider
	base     string
	key      *ecdsa.PrivateKey
	client   *http.Client
	clock    *clock.Clock

	mu     sync.Mutex
	token  string
	signed time.Time
}

func newAPNs(settings account.PushProvider, client *http.Client, c *clock.Clock) (*apns, error) {
	der, err := pemBytes(settings.Secret)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("the key is not one of the curve P-256")
	}
	a := &apns{settings: settings, base: apnsURL, key: key, client: client, clock: c}
	if settings.URL != "" {
		a.base = strings.TrimSuffix(settings.URL, "/")
	}
	return a, nil
}

// bearer returns a token that says that it is us.
func (a *apns) bearer() (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.clock.Now()
	if a.token != "" && now.Sub(a.signed) < apnsTokenLife {
		return a.token, nil
	}
	token, err := signedToken(map[string]string{"alg": "ES256", "kid": a.settings.KeyID},
		map[string]any{"iss": a.settings.TeamID, "iat": now.Unix()}, a.sign)
	if err != nil {
		return "", err
	}
	a.token, a.signed = token, now
	return token, nil
}

// sign signs in the form of JSON Web Tokens: two numbers of 32 bytes.
func (a *apns) sign(text []byte) ([]byte, error) {
	digest := sha256.Sum256(text)
	r, s, err := ecdsa.Sign(rand.Reader, a.key, digest[:])
	if err != nil {
		return nil, err
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signature, nil
}

func (a *apns) forget(token string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.token == token {
		a.token = ""
	}
}

// Send implements provider.
func (a *apns) Send(ctx context.Context, token string, note Note) error {
	bearer, err := a.bearer()
	if err != nil {
		return err
	}
	header := http.Header{}
	header.Set("Authorization", "bearer "+bearer)
	header.Set("apns-topic", a.settings.Topic)
	header.Set("apns-push-type", "alert")
	header.Set("apns-priority", "10")
	header.Set("apns-expiration", strconv.FormatInt(a.clock.Now().Add(maxAge).Unix(), 10))
	header.Set("apns-collapse-id", note.Message)
	alert := map[string]string{"title": note.Title, "body": note.Body}
	if note.Subtitle != "" {
		alert["subtitle"] = note.Subtitle
	}
	aps := map[string]any{"alert": alert, "badge": note.Badge, "sound": "default"}
	if note.Conversation != "" {
		aps["thread-id"] = note.Conversation
	}
	if note.Action != "" {
		aps["category"] = note.Action
	}
	body := map[string]any{}
	for key, value := range note.data() {
		body[key] = value
	}
	body["aps"] = aps
	answer, text, err := post(ctx, a.client, a.base+"/3/device/"+url.PathEscape(token), header, body)
	if err != nil {
		return fmt.Errorf("ask Apple: %w", err)
	}
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	var said struct {
		Reason string `json:"reason"`
	}
	_ = json.Unmarshal(text, &said) // without a reason the status has to do
	switch {
	case answer.StatusCode == http.StatusGone, said.Reason == "BadDeviceToken":
		return failure(answer, said.Reason, errDead)
	case said.Reason == "ExpiredProviderToken":
		a.forget(bearer)
		return failure(answer, said.Reason, nil)
	case answer.StatusCode == http.StatusTooManyRequests, answer.StatusCode >= http.StatusInternalServerError:
		return failure(answer, said.Reason, nil)
	}
	return failure(answer, said.Reason, errRefused)
}
