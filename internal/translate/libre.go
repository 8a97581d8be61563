package translate

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"
)

const (
	timeout       = 10 * time.Second // for all that one call asks; clients wait for 15 seconds
	calls         = 8                // to the server at a time
	maxWaiting    = 256              // calls that wait for their turn; then ErrBusy
	languagesLife = 10 * time.Minute
	maxAnswer     = 1 << 20 // bytes
)

// LibreTranslate asks a server over HTTP. At most 8 requests are under way at a time; 256 more wait.
type LibreTranslate struct {
	url, key string
	client   *http.Client
	turns    chan struct{}
	waiting  chan struct{}

	reading   sync.Mutex // held while the languages are read, so that one reads and the others wait
	languages []Language
	read      time.Time
}

// NewLibreTranslate returns a provider for the server with that base address, as http://localhost:5000. The key may be
// empty.
func NewLibreTranslate(address, key string) (*LibreTranslate, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("address of the translation server: want http://…, got %q", address)
	}
	return &LibreTranslate{url: strings.TrimSuffix(address, "/"), key: key, client: &http.Client{},
		turns: make(chan struct{}, calls), waiting: make(chan struct{}, calls+maxWaiting)}, nil
}

// Languages implements Provider. What the server says is kept for ten minutes.
func (l *LibreTranslate) Languages(ctx context.Context) ([]Language, error) {
	l.reading.Lock()
	defer l.reading.Unlock()
	if l.languages != nil && time.Since(l.read) < languagesLife {
		return l.languages, nil
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, l.url+"/languages", nil)
	if err != nil {
		return nil, fmt.Errorf("ask for languages: %w", err)
	}
	var said []struct{ Code, Name string }
	if err := l.do(request, &said); err != nil {
		return nil, fmt.Errorf("ask for languages: %w", err)
	}
	languages := []Language{}
	for _, s := range said {
		languages = append(languages, Language{Code: s.Code, Name: s.Name, NativeName: nativeName(s.Code, s.Name)})
	}
	l.languages, l.read = languages, time.Now()
	return languages, nil
}

// nativeName returns what a language calls itself, or its English name if that is not known.
func nativeName(code, english string) string {
	tag, err := language.Parse(code)
	if err != nil {
		return english
	}
	if name := display.Self.Name(tag); name != "" {
		return name
	}
	return english
}

// Translate implements Provider.
func (l *LibreTranslate) Translate(ctx context.Context, text string, to []string) (Translation, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	results := make([]result, len(to))
	errs := make(chan error, len(to))
	for i, code := range to {
		go func() {
			var err error
			results[i], err = l.translate(ctx, text, code)
			errs <- err
		}()
	}
	// All are waited for, so that none outlives the call; the first failure hurries the others.
	var failure error
	for range to {
		if err := <-errs; err != nil && failure == nil {
			failure = fmt.Errorf("translate: %w", err)
			cancel()
		}
	}
	if failure != nil {
		return Translation{}, failure
	}
	var t Translation
	for _, r := range results {
		t.Language, t.Score = r.Detected.Language, min(max(r.Detected.Confidence/100, 0), 1)
		t.Texts = append(t.Texts, r.Text)
	}
	return t, nil
}

// result is the server's answer.
type result struct {
	Text     string `json:"translatedText"`
	Detected struct {
		Language   string  `json:"language"`
		Confidence float64 `json:"confidence"` // percent
	} `json:"detectedLanguage"`
}

func (l *LibreTranslate) translate(ctx context.Context, text, to string) (r result, err error) {
	body, err := json.Marshal(map[string]string{"q": text, "source": "auto", "target": to, "format": "text", "api_key": l.key})
	if err != nil {
		return r, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url+"/translate", bytes.NewReader(body))
	if err != nil {
		return r, err
	}
	request.Header.Set("Content-Type", "application/json")
	return r, l.do(request, &r)
}

// do sends a request when it is its turn and reads the JSON of the answer.
func (l *LibreTranslate) do(request *http.Request, into any) error {
	select {
	case l.waiting <- struct{}{}:
		defer func() { <-l.waiting }()
	default:
		return ErrBusy
	}
	select {
	case l.turns <- struct{}{}:
		defer func() { <-l.turns }()
	case <-request.Context().Done():
		return request.Context().Err()
	}
	answer, err := l.client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %.200q", answer.Status, text)
	}
	return json.Unmarshal(text, into)
}
