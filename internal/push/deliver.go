package push

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/store"
)

const (
	atOnce      = 16               // notifications under way
	taken       = 64               // notifications that are taken from the store together
	askEvery    = time.Second      // for what is due
	again       = 2 * time.Minute  // when what was taken, and neither delivered nor given back, is due again
	firstRetry  = 2 * time.Second  // it doubles with each
	lastRetry   = 30 * time.Minute // and becomes no longer
	maxAge      = 24 * time.Hour   // later nobody is told any more
	sendTime    = 20 * time.Second // for a provider to answer
	spreadSlice = 500              // users for whom notifications are made together
	dropEvery   = 10 * time.Minute // for what backends have told long ago
	dropSlice   = 1000
	maxTitle    = 64  // characters
	maxBody     = 150 // characters
)

// Note is a notification as a device shows it.
type Note struct {
	Title, Body  string
	Subtitle     string // of Apple's devices; empty: none
	Badge        int    // unread messages of the user
	Message      string // its id; of what a backend tells an id of its own
	From         string // the sender's id
	Conversation string // the sender's id, or that of the group or thread
	Kind         string // chat or groupchat; push is what a backend tells, without a message: it has no sender and conversation
	Action       string // what the device does when it is touched; empty: it opens the app
	Extra        map[string]string
}

// data is what an app can read of a note.
func (n Note) data() map[string]string {
	data := map[string]string{}
	maps.Copy(data, n.Extra)
	data["m"], data["kind"] = n.Message, n.Kind
	if n.Conversation != "" {
		data["f"], data["t"] = n.From, n.Conversation
	}
	return data
}

// provider is the port to a service that reaches devices. Send returns nil when the service has taken the note, an error
// that wraps errDead when it does not know the token any more, one that wraps errRefused when it will never take the
// note, and any other when it may be tried again.
type provider interface {
	Send(ctx context.Context, token string, note Note) error
}

var (
	errDead    = errors.New("token is not known any more")
	errRefused = errors.New("notification is refused")
	errGone    = errors.New("there is nothing to tell")
)

// laterError asks to be tried again after a time.
type laterError struct {
	after time.Duration
	err   error
}

func (e *laterError) Error() string { return e.err.Error() }
func (e *laterError) Unwrap() error { return e.err }

// deliverAll works off what is due, first what an earlier run of this node had under way.
func (s *Service) deliverAll(ctx context.Context) {
	for ctx.Err() == nil {
		err := s.store.ReturnNotifications(ctx, s.node, s.now())
		if err == nil {
			break
		}
		s.failed(ctx, "take up notifications", err)
	}
	var dropped time.Time
	for ctx.Err() == nil {
		moved := s.clock.Moved()
		spread, err := s.store.SpreadPush(ctx, spreadSlice)
		if err != nil {
			s.failed(ctx, "spread a push", err)
			continue
		}
		n, err := s.deliverSome(ctx)
		if err != nil {
			s.failed(ctx, "deliver notifications", err)
			continue
		}
		if spread || n > 0 {
			continue
		}
		if time.Since(dropped) >= dropEvery {
			dropped = time.Now()
			if _, err := s.store.DropPushes(ctx, s.now()-2*maxAge.Milliseconds(), dropSlice); err != nil {
				s.failed(ctx, "remove pushes", err)
			}
		}
		timer := time.NewTimer(askEvery)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-moved:
		case <-s.more:
		}
		timer.Stop()
	}
}

func (s *Service) deliverSome(ctx context.Context) (int, error) {
	now := s.now()
	notifications, err := s.store.TakeNotifications(ctx, s.node, now, now+again.Milliseconds(), taken)
	if err != nil {
		return 0, err
	}
	var work sync.WaitGroup
	room := make(chan struct{}, atOnce)
	for _, n := range notifications {
		room <- struct{}{}
		work.Go(func() {
			defer func() { <-room }()
			if err := s.settle(ctx, n, s.deliver(ctx, n)); err != nil && ctx.Err() == nil {
				s.log.Warn("note what became of a notification", "error", err) // it is due again
			}
		})
	}
	work.Wait()
	return len(notifications), nil
}

// settle notes what became of an attempt.
func (s *Service) settle(ctx context.Context, n store.Notification, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	result := resultFailed
	switch {
	case err == nil:
		result = resultTaken
	case errors.Is(err, errGone):
		result = resultDropped
	case errors.Is(err, errDead):
		result = resultDead
	case errors.Is(err, errRefused):
		result = resultRefused
		s.log.Warn("notification refused", "user", n.User, "error", err)
	}
	s.metrics.results.WithLabelValues(result).Inc()
	if result != resultFailed {
		return s.store.FinishNotification(ctx, n.ID)
	}
	n.Attempts++
	wait := min(firstRetry<<min(n.Attempts-1, 16), lastRetry)
	var later *laterError
	if errors.As(err, &later) {
		wait = max(wait, min(later.after, maxAge))
	}
	s.log.Info("notification failed", "user", n.User, "attempts", n.Attempts, "error", err)
	return s.store.RetryNotification(ctx, n.ID, n.Attempts, s.now()+wait.Milliseconds())
}

// deliver gives a notification to its provider. The error wraps errGone when there is nothing to tell any more.
func (s *Service) deliver(ctx context.Context, n store.Notification) error {
	if s.now()-n.Created > maxAge.Milliseconds() {
		return fmt.Errorf("%w: the message is old", errGone)
	}
	app, ok := s.accounts.AppByID(n.App)
	if !ok || !notifies(app) {
		return fmt.Errorf("%w: the app notifies nobody", errGone)
	}
	var told backendPush
	if n.Timeline == 0 {
		var err error
		if told, err = s.backendPush(ctx, n); err != nil {
			return err
		}
	}
	if n.Timeline != 0 || told.Strategy == StrategyAway {
		sessions, err := s.store.SessionsOf(ctx, []int64{n.User}, s.now())
		if err != nil {
			return err
		}
		if len(sessions) > 0 {
			return fmt.Errorf("%w: the user has come online", errGone)
		}
	}
	user, err := s.store.UserByID(ctx, n.User)
	if errors.Is(err, store.ErrNotFound) || err == nil && !user.Active {
		return fmt.Errorf("%w: the user is deleted or banned", errGone)
	} else if err != nil {
		return err
	}
	token, err := s.token(ctx, n)
	if err != nil {
		return err
	}
	p, err := s.provider(app, token.Notifier)
	if err != nil {
		return err
	}
	var note Note
	if n.Timeline == 0 {
		note, err = s.backendNote(ctx, app, token, told, n.Seq)
	} else {
		note, err = s.note(ctx, n)
	}
	if err != nil {
		return err
	}
	return s.send(ctx, p, token, note)
}

// send gives a note to a provider, and forgets a token that it does not know any more.
func (s *Service) send(ctx context.Context, p provider, token store.PushToken, note Note) error {
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	err := p.Send(ctx, token.Token, note)
	if errors.Is(err, errDead) {
		s.log.Info("push token removed", "user", token.User, "notifier", token.Notifier, "error", err)
		return errors.Join(err, s.store.DropPushToken(ctx, token))
	}
	return err
}

func (s *Service) token(ctx context.Context, n store.Notification) (store.PushToken, error) {
	tokens, err := s.store.PushTokens(ctx, []int64{n.User})
	if err != nil {
		return store.PushToken{}, err
	}
	for _, t := range tokens {
		if t.Device == n.Device {
			return t, nil
		}
	}
	return store.PushToken{}, fmt.Errorf("%w: the device has no token", errGone)
}

// providerKey names a provider of an application.
type providerKey struct {
	app  int64
	name string
}

// provided is a provider, as long as its settings are these.
type provided struct {
	settings account.PushProvider
	provider provider
}

// provider returns the provider of that name. It is made anew when its settings have changed.
func (s *Service) provider(app *account.App, name string) (provider, error) {
	at := slices.IndexFunc(app.Settings.PushProviders, func(p account.PushProvider) bool { return p.Name == name })
	if at < 0 {
		return nil, fmt.Errorf("%w: the app has no provider %q", errGone, name)
	}
	settings, key := app.Settings.PushProviders[at], providerKey{app.ID, name}
	s.provideMu.Lock()
	defer s.provideMu.Unlock()
	if had, ok := s.providers[key]; ok && had.settings == settings {
		return had.provider, nil
	}
	p, err := s.newProvider(settings)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errRefused, err)
	}
	s.providers[key] = provided{settings, p}
	return p, nil
}

func (s *Service) newProvider(settings account.PushProvider) (provider, error) {
	switch settings.Type {
	case account.ProviderAPNs:
		return newAPNs(settings, s.client, s.clock)
	case account.ProviderFCM:
		return newFCM(settings, s.client, s.clock)
	}
	return logged{s.log}, nil
}

// note words a notification.
func (s *Service) note(ctx context.Context, n store.Notification) (note Note, err error) {
	entries, err := s.store.ReadTimeline(ctx, n.Timeline, n.Seq-1, 1, 1)
	if err != nil {
		return note, err
	}
	if len(entries) == 0 || entries[0].Seq != n.Seq || entries[0].Recalled {
		return note, fmt.Errorf("%w: the message is not there any more", errGone)
	}
	c, err := contentOf(entries[0])
	if err != nil {
		return note, fmt.Errorf("%w: %w", errRefused, err)
	}
	note = Note{Message: fmt.Sprint(entries[0].ID), From: c.From, Conversation: c.From, Kind: c.Type}
	if c.Type != "chat" {
		note.Conversation = c.To
	}
	if note.Badge, err = s.unread(ctx, n.User); err != nil {
		return note, err
	}
	wanted, err := s.store.PushUserOf(ctx, n.User)
	if err != nil {
		return note, err
	}
	if wanted.Detailed {
		if note.Title, note.Body, err = s.wording(ctx, n, entries[0], c); err != nil {
			return note, err
		}
	} else {
		note.Title, note.Body = "New message", "You have a new message"
	}
	err = s.reword(ctx, n, entries[0], c, wanted.Template, &note)
	note.Title, note.Body = cut(note.Title, maxTitle), cut(note.Body, maxBody)
	return note, err
}

// wording is a notification that shows sender and content: the title is the sender or the group.
func (s *Service) wording(ctx context.Context, n store.Notification, e store.Entry, c content) (title, body string, err error) {
	if title, err = s.senderOf(ctx, e, c); err != nil {
		return "", "", err
	}
	body = c.text()
	if c.Type == "chat" {
		return title, body, nil
	}
	place, err := s.store.Muc(ctx, n.App, c.To)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return "", "", err
	}
	body = title + ": " + body
	if place.Title != "" {
		title = place.Title
	}
	return title, body, nil
}

// senderOf is what a notification calls the sender: the nickname, if there is one.
func (s *Service) senderOf(ctx context.Context, e store.Entry, c content) (string, error) {
	sender, err := s.store.UserByID(ctx, e.Sender)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return "", err
	}
	return cmp.Or(sender.Nickname, c.From), nil
}

// text is what a notification says of a message.
func (c content) text() string {
	if len(c.Bodies) == 0 {
		return ""
	}
	return wordOf(c.Bodies[0])
}

// wordOf is what a notification says of a content.
func wordOf(body map[string]any) string {
	kind, _ := body["type"].(string)
	if body["subType"] == "sub_combine" {
		kind = "combine"
	}
	if kind == "txt" {
		text, _ := body["msg"].(string)
		return text
	}
	if word, ok := kindWords[kind]; ok {
		return word
	}
	return "[Message]"
}

var kindWords = map[string]string{
	"img": "[Image]", "video": "[Video]", "audio": "[Voice message]", "loc": "[Location]", "file": "[File]", "combine": "[Chat history]",
}

func cut(text string, longest int) string {
	runes := []rune(strings.Join(strings.Fields(text), " "))
	if len(runes) > longest {
		return string(runes[:longest-1]) + "…"
	}
	return string(runes)
}

// unread counts a user's unread messages.
func (s *Service) unread(ctx context.Context, user int64) (n int, err error) {
	conversations, err := s.store.ListConversations(ctx, user)
	if err != nil {
		return 0, err
	}
	counts, err := s.store.CountUnread(ctx, user, conversations)
	for _, count := range counts {
		n += count
	}
	return n, err
}
