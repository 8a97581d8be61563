package push

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"
)

// newClient makes the client to providers. They speak HTTP/2 and want connections that last.
func newClient() *http.Client {
	return &http.Client{
		Timeout: sendTime,
		Transport: &http.Transport{ForceAttemptHTTP2: true, Proxy: http.ProxyFromEnvironment, IdleConnTimeout: 10 * time.Minute,
			TLSHandshakeTimeout: 10 * time.Second, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}},
		// A provider has no reason to send its clients elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// maxAnswer bounds what is read of a provider's answer.
const maxAnswer = 64 << 10

// post sends JSON and returns status, headers and body of the answer.
func post(ctx context.Context, client *http.Client, url string, header http.Header, body any) (*http.Response, []byte, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(text))
	if err != nil {
		return nil, nil, err
	}
	request.Header = header
	request.Header.Set("Content-Type", "application/json")
	return do(client, request)
}

func do(client *http.Client, request *http.Request) (*http.Response, []byte, error) {
	answer, err := client.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	return answer, text, err
}

// failure is what a provider said no with.
func failure(answer *http.Response, reason string, class error) error {
	err := fmt.Errorf("provider answered %d %s", answer.StatusCode, reason)
	if class != nil {
		return fmt.Errorf("%w: %w", class, err)
	}
	if seconds, bad := strconv.Atoi(answer.Header.Get("Retry-After")); bad == nil && seconds > 0 {
		return &laterError{after: time.Duration(seconds) * time.Second, err: err}
	}
	return err
}

// signedToken makes a JSON Web Token. Sign signs the bytes.
func signedToken(header, claims any, sign func([]byte) ([]byte, error)) (string, error) {
	h, err := json.Marshal(header)
	if err != nil {
		return "", err
	}
	c, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	encode := base64.RawURLEncoding.EncodeToString
	text := encode(h) + "." + encode(c)
	signature, err := sign([]byte(text))
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return text + "." + encode(signature), nil
}

// pemBytes returns what a PEM text holds.
func pemBytes(text string) ([]byte, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("the key is not PEM")
	}
	return block.Bytes, nil
}

// logged is the provider for development: it writes into the server's log that there is something, but not what. Who has
// chosen it wants to see that, so it is no mere information: the development server shows warnings only.
type logged struct{ log *slog.Logger }

// Send implements provider.
func (l logged) Send(_ context.Context, _ string, note Note) error {
	l.log.Warn("notification", "message", note.Message, "conversation", note.Conversation, "kind", note.Kind, "badge", note.Badge)
	return nil
}
