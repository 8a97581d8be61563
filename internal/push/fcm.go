package push

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/clock"
)

const (
	fcmURL   = "https://fcm.googleapis.com"
	fcmScope = "https://www.googleapis.com/auth/firebase.messaging"
	fcmEarly = time.Minute // before a token's end a new one is asked for
)

// fcm sends by Google's service, HTTP v1, as a service account.
type fcm struct {
	base    string
	account serviceAccount
	key     *rsa.PrivateKey
	client  *http.Client
	clock   *clock.Clock

	mu    sync.Mutex // also held while a token is asked for: the others wait for it
	token string
	ends  time.Time
}

// serviceAccount is what Google's file tells.
type serviceAccount struct {
	Project string `json:"project_id"`
	Email   string `json:"client_email"`
	Key     string `json:"private_key"`
	KeyID   string `json:"private_key_id"`
	Tokens  string `json:"token_uri"`
}

func newFCM(settings account.PushProvider, client *http.Client, c *clock.Clock) (*fcm, error) {
	f := &fcm{base: fcmURL, client: client, clock: c}
	if settings.URL != "" {
		f.base = strings.TrimSuffix(settings.URL, "/")
	}
	if err := json.Unmarshal([]byte(settings.Secret), &f.account); err != nil {
		return nil, errors.New("the service account is not JSON")
	}
	if f.account.Project == "" || f.account.Email == "" || f.account.Tokens == "" {
		return nil, errors.New("the service account lacks project_id, client_email or token_uri")
	}
	der, err := pemBytes(f.account.Key)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	var ok bool
	if f.key, ok = parsed.(*rsa.PrivateKey); !ok {
		return nil, errors.New("the key of the service account is not RSA")
	}
	return f, nil
}

// bearer returns an access token; it asks Google for one when there is none that lasts.
func (f *fcm) bearer(ctx context.Context) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.clock.Now()
	if f.token != "" && now.Before(f.ends) {
		return f.token, nil
	}
	assertion, err := signedToken(map[string]string{"alg": "RS256", "typ": "JWT", "kid": f.account.KeyID}, map[string]any{
		"iss": f.account.Email, "scope": fcmScope, "aud": f.account.Tokens, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}, f.sign)
	if err != nil {
		return "", err
	}
	form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, f.account.Tokens, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, text, err := do(f.client, request)
	if err != nil {
		return "", fmt.Errorf("ask for access token: %w", err)
	}
	var given struct {
		Token string `json:"access_token"`
		Life  int64  `json:"expires_in"`
	}
	if answer.StatusCode != http.StatusOK || json.Unmarshal(text, &given) != nil || given.Token == "" {
		return "", fmt.Errorf("ask for access token: %w", failure(answer, "", nil))
	}
	f.token, f.ends = given.Token, now.Add(time.Duration(given.Life)*time.Second-fcmEarly)
	return f.token, nil
}

func (f *fcm) sign(text []byte) ([]byte, error) {
	digest := sha256.Sum256(text)
	return rsa.SignPKCS1v15(rand.Reader, f.key, crypto.SHA256, digest[:])
}

func (f *fcm) forget(token string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.token == token {
		f.token = ""
	}
}

// Send implements provider.
func (f *fcm) Send(ctx context.Context, token string, note Note) error {
	bearer, err := f.bearer(ctx)
	if err != nil {
		return err
	}
	header := http.Header{}
	header.Set("Authorization", "Bearer "+bearer)
	// A device shows one of those with the same tag: what was sent twice is seen once.
	shown := map[string]any{"notification_count": note.Badge, "tag": note.Message}
	if note.Action != "" {
		shown["click_action"] = note.Action
	}
	body := map[string]any{"message": map[string]any{
		"token":        token,
		"notification": map[string]string{"title": note.Title, "body": note.Body},
		"data":         note.data(),
		"android": map[string]any{
			"priority": "HIGH", "ttl": fmt.Sprintf("%ds", int(maxAge.Seconds())), "notification": shown,
		},
	}}
	answer, text, err := post(ctx, f.client, f.base+"/v1/projects/"+url.PathEscape(f.account.Project)+"/messages:send", header, body)
	if err != nil {
		return fmt.Errorf("ask Google: %w", err)
	}
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	reason := fcmReason(text)
	switch {
	case reason == "UNREGISTERED":
		return failure(answer, reason, errDead)
	case answer.StatusCode == http.StatusUnauthorized:
		f.forget(bearer)
		return failure(answer, reason, nil)
	case answer.StatusCode == http.StatusTooManyRequests, answer.StatusCode >= http.StatusInternalServerError:
		return failure(answer, reason, nil)
	}
	return failure(answer, reason, errRefused)
}

// fcmReason returns the code of Google's error: that of the service if there is one, else the general one.
func fcmReason(text []byte) string {
	var said struct {
		Error struct {
			Status  string `json:"status"`
			Details []struct {
				Code string `json:"errorCode"`
			} `json:"details"`
		} `json:"error"`
	}
	_ = json.Unmarshal(text, &said) // without a reason the status has to do
	for _, d := range said.Error.Details {
		if d.Code != "" {
			return d.Code
		}
	}
	return said.Error.Status
}
