package push

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/store"
)

const (
	maxPushTitle    = 32 // characters, as the other three
	maxPushSubtitle = 10
	maxPushContent  = 100
	maxPushExtra    = 1024
	maxPushPairs    = 10
	maxPushUsers    = 100 // in one call
	maxPushLabels   = 5
	maxUnderWay     = 3 // pushes of an app to labels or to all that have not reached all yet
)

// Strategies of a push (docs/protocol/admin-rest.md §17.3), as far as there is a provider in them: the vendor's channel is the
// only one that reaches a device without a client.
const (
	StrategyFirst  = 0 // by the provider, who is the only one
	StrategyVendor = 2 // by the provider
	StrategyAway   = 3 // by the provider, to who is not online
)

// ErrPush is a push that makes no sense. It is wrapped in an *errcode.Error.
var ErrPush = errors.New("bad push")

// Message is what a backend tells devices, apart from any message of the chat. Its JSON is that of the protocol
// (docs/protocol/admin-rest.md §17.4).
type Message struct {
	Wording
	Config struct {
		Click struct {
			URL      string `json:"url"`
			Action   string `json:"action"`
			Activity string `json:"activity"`
		} `json:"clickAction"`
		Badge struct {
			Add int `json:"addNum"`
			Set int `json:"setNum"`
		} `json:"badge"`
	} `json:"config"`
	APNs *Wording `json:"apns,omitempty"` // what is said instead to who is reached by Apple
	FCM  *Wording `json:"fcm,omitempty"`  // and by Google
}

// Wording is what a push says. Fields that are empty in that of a provider are as in the common one.
type Wording struct {
	Title    string         `json:"title"`
	Subtitle string         `json:"subTitle"`
	Content  string         `json:"content"`
	Ext      map[string]any `json:"ext,omitempty"`
}

// backendPush is how a push is kept.
type backendPush struct {
	Strategy int     `json:"strategy"`
	Message  Message `json:"message"`
}

// Outcome tells what became of a push to a device, or to a user who has none.
type Outcome struct {
	Device string // empty: none
	Taken  bool   // by the provider
	Reason string // why not
}

func (w *Wording) check() error {
	if w == nil {
		return nil
	}
	for field, text := range map[string]struct {
		is      string
		longest int
	}{"title": {w.Title, maxPushTitle}, "subTitle": {w.Subtitle, maxPushSubtitle}, "content": {w.Content, maxPushContent}} {
		if utf8.RuneCountInString(text.is) > text.longest || !plain(text.is, 4*text.longest) {
			return refuse(errcode.InvalidParameter, ErrPush, "%s has more than %d characters, or is no text", field, text.longest)
		}
	}
	ext, err := json.Marshal(w.Ext)
	if err != nil || len(w.Ext) > maxPushPairs || utf8.RuneCount(ext) > maxPushExtra {
		return refuse(errcode.InvalidParameter, ErrPush, "ext has more than %d pairs or %d characters", maxPushPairs, maxPushExtra)
	}
	return nil
}

// pack checks a push and makes what is kept of it.
func (s *Service) pack(app *account.App, strategy int, m Message) ([]byte, error) {
	if err := s.offered(app); err != nil {
		return nil, err
	}
	switch strategy {
	case StrategyFirst, StrategyVendor, StrategyAway:
	default:
		return nil, refuse(errcode.InvalidParameter, ErrPush, "strategy %d is none of 0, 2 and 3: there is no channel but the providers'", strategy)
	}
	for _, w := range []*Wording{&m.Wording, m.APNs, m.FCM} {
		if err := w.check(); err != nil {
			return nil, err
		}
	}
	if m.Title == "" && m.Content == "" {
		return nil, refuse(errcode.InvalidParameter, ErrPush, "the push has neither title nor content")
	}
	return json.Marshal(backendPush{strategy, m})
}

// PushNow gives a push to the providers of all devices of a user, and waits for what they say. The errors are code 505 and -3
// (ErrPush).
func (s *Service) PushNow(ctx context.Context, app *account.App, user store.User, strategy int, m Message) ([]Outcome, error) {
	app = s.accounts.Current(app)
	if _, err := s.pack(app, strategy, m); err != nil {
		return nil, err
	}
	tokens, err := s.store.PushTokens(ctx, []int64{user.ID})
	if err != nil {
		return nil, err
	}
	if len(tokens) == 0 {
		return []Outcome{{Reason: "no push binding"}}, nil
	}
	if strategy == StrategyAway {
		sessions, err := s.store.SessionsOf(ctx, []int64{user.ID}, s.now())
		if err != nil {
			return nil, err
		}
		if len(sessions) > 0 {
			return []Outcome{{Reason: "the user is online"}}, nil
		}
	}
	var outcomes []Outcome
	for _, token := range tokens {
		outcome := Outcome{Device: token.Device, Taken: true}
		p, err := s.provider(app, token.Notifier)
		var note Note
		if err == nil {
			note, err = s.backendNote(ctx, app, token, backendPush{strategy, m}, s.delivery.NewID())
		}
		if err == nil {
			err = s.send(ctx, p, token, note)
		}
		if err != nil {
			outcome.Taken, outcome.Reason = false, err.Error()
		}
		outcomes = append(outcomes, outcome)
	}
	return outcomes, nil
}

// PushUsers notifies users of what a backend tells; it is kept until their providers have it. It returns who is not notified,
// and why. The errors are code 505, -3 (ErrPush) and 50 (ErrFull: more than 100 users).
func (s *Service) PushUsers(ctx context.Context, app *account.App, names []string, strategy int, m Message) (failed map[string]string, err error) {
	packed, err := s.pack(app, strategy, m)
	if err != nil {
		return nil, err
	}
	switch {
	case len(names) == 0:
		return nil, refuse(errcode.InvalidParameter, ErrPush, "there are no targets")
	case len(names) > maxPushUsers:
		return nil, refuse(errcode.MaxLimit, ErrFull, "there are %d targets, the limit is %d", len(names), maxPushUsers)
	}
	users, unknown, err := s.users(ctx, app, names)
	if err != nil {
		return nil, err
	}
	failed = map[string]string{}
	for name := range unknown {
		failed[name] = "appUser not exists"
	}
	tokens, err := s.store.PushTokens(ctx, idsOf(users))
	if err != nil {
		return nil, err
	}
	reached := []int64{}
	for _, user := range users {
		if slices.ContainsFunc(tokens, func(t store.PushToken) bool { return t.User == user.ID }) {
			reached = append(reached, user.ID)
		} else {
			failed[user.Name] = "no push binding"
		}
	}
	if len(reached) == 0 {
		return failed, nil
	}
	_, err = s.store.PutPush(ctx, store.PushMessage{App: app.ID, Content: packed, Created: s.now()}, reached, maxUnderWay)
	nudge(s.more)
	return failed, err
}

// PushLabels notifies the users who have all of the labels, or without labels all users of the app. It goes on after a
// restart. It returns a number of the push. The errors are code 505, -3 (ErrPush, ErrNoLabel) and 50 (ErrFull: more than 5
// labels, or 3 pushes under way).
func (s *Service) PushLabels(ctx context.Context, app *account.App, labels []string, strategy int, m Message) (int64, error) {
	packed, err := s.pack(app, strategy, m)
	if err != nil {
		return 0, err
	}
	if len(labels) > maxPushLabels {
		return 0, refuse(errcode.MaxLimit, ErrFull, "there are %d labels, the limit is %d", len(labels), maxPushLabels)
	}
	p := store.PushMessage{App: app.ID, Content: packed, Created: s.now()}
	for _, name := range labels {
		label, err := s.Label(ctx, app, name)
		if err != nil {
			return 0, err
		}
		p.Labels = append(p.Labels, label.ID)
	}
	id, err := s.store.PutPush(ctx, p, nil, maxUnderWay)
	if errors.Is(err, store.ErrFull) {
		err = refuse(errcode.MaxLimit, ErrFull, "there are %d pushes under way", maxUnderWay)
	}
	nudge(s.more)
	return id, err
}

// backendPush reads what a notification of a push is about.
func (s *Service) backendPush(ctx context.Context, n store.Notification) (told backendPush, err error) {
	p, err := s.store.PushMessage(ctx, n.Seq)
	if errors.Is(err, store.ErrNotFound) || err == nil && p.App != n.App {
		return told, fmt.Errorf("%w: the push is not there any more", errGone)
	} else if err != nil {
		return told, err
	}
	if err := json.Unmarshal(p.Content, &told); err != nil {
		return told, fmt.Errorf("%w: %w", errRefused, err)
	}
	return told, nil
}

// backendNote words a push for a device.
func (s *Service) backendNote(ctx context.Context, app *account.App, token store.PushToken, told backendPush, id int64) (Note, error) {
	m := told.Message
	special := m.FCM
	if slices.ContainsFunc(app.Settings.PushProviders, func(p account.PushProvider) bool { return p.Name == token.Notifier && p.Type == account.ProviderAPNs }) {
		special = m.APNs
	}
	if special == nil {
		special = &Wording{}
	}
	click := m.Config.Click
	note := Note{Title: cmp.Or(special.Title, m.Title), Subtitle: cmp.Or(special.Subtitle, m.Subtitle), Body: cmp.Or(special.Content, m.Content),
		Message: fmt.Sprint("push-", id), Kind: "push", Action: cmp.Or(click.Action, click.Activity), Extra: map[string]string{}}
	ext := maps.Clone(m.Ext)
	if len(special.Ext) > 0 {
		ext = special.Ext
	}
	for key, value := range ext {
		text, isText := value.(string)
		if !isText {
			packed, err := json.Marshal(value)
			if err != nil {
				return Note{}, fmt.Errorf("%w: %w", errRefused, err)
			}
			text = string(packed)
		}
		note.Extra[key] = text
	}
	if click.URL != "" {
		note.Extra["url"] = click.URL
	}
	if note.Badge = m.Config.Badge.Set; note.Badge != 0 {
		return note, nil
	}
	unread, err := s.unread(ctx, token.User)
	note.Badge = unread + m.Config.Badge.Add
	return note, err
}
