package push

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

// What a user is notified of in a conversation.
const (
	TypeAll     = "ALL"     // every message
	TypeAt      = "AT"      // messages that mention the user
	TypeNone    = "NONE"    // nothing
	TypeDefault = "DEFAULT" // what the user wants in general; only to ask for it
)

// Conversation names what a setting is about. The zero value is all conversations.
type Conversation struct {
	Peer  string // the name of a user
	Place string // the id of a group or chatroom
}

// Setting is what a user wants to be notified of. Its JSON is that of the protocol (docs/protocol/admin-rest.md §17.1).
type Setting struct {
	Type  string `json:"type,omitempty"`           // empty: as in general, which is ALL unless the user says otherwise
	Until int64  `json:"ignoreDuration,omitempty"` // silent until then, milliseconds
	Quiet string `json:"ignoreInterval,omitempty"` // silent each day in this time, H:M-H:M; all conversations only
}

// Change changes a Setting. Fields that are nil stay.
type Change struct {
	Type  *string
	For   *time.Duration // silent from now on for so long; 0: not any more
	Quiet *string        // empty: never
}

// Named is a conversation with its setting.
type Named struct {
	Conversation Conversation
	Setting      Setting
}

func refuse(code errcode.Code, sentinel error, format string, args ...any) error {
	e := errcode.Newf(code, format, args...)
	e.Op, e.Err = "push", sentinel
	return e
}

func (s *Service) offered(app *account.App) error {
	if !app.Settings.Push {
		return account.NotOffered("push")
	}
	return nil
}

func (s *Service) now() int64 { return s.clock.Now().UnixMilli() }

var placeForm = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,128}$`)

// key is how the store names a conversation. A peer is named by number, so that who takes over a name inherits nothing.
// A user's conversation with oneself is all conversations: that is how clients say it.
func (s *Service) key(ctx context.Context, app *account.App, user store.User, c Conversation) (store.PushKey, error) {
	switch {
	case c.Place != "":
		if !placeForm.MatchString(c.Place) {
			return store.PushKey{}, refuse(errcode.InvalidParameter, ErrSetting, "%q is no group or chatroom", c.Place)
		}
		return store.PushKey{Scope: store.PushPlace, Target: c.Place}, nil
	case c.Peer == "" || account.Fold(c.Peer) == user.Name:
		return store.PushKey{Scope: store.PushAll}, nil
	}
	peer, err := s.accounts.User(ctx, app, c.Peer)
	return store.PushKey{Scope: store.PushPeer, Target: strconv.FormatInt(peer.ID, 10)}, err
}

// Set changes what a user wants to be notified of, and tells the user's other devices. The errors are code 505, 204,
// -3 (ErrSetting) and 50 (ErrFull).
func (s *Service) Set(ctx context.Context, app *account.App, user store.User, device Device, about Conversation, change Change) (Setting, error) {
	if err := s.offered(app); err != nil {
		return Setting{}, err
	}
	key, err := s.key(ctx, app, user, about)
	if err != nil {
		return Setting{}, err
	}
	if err := change.check(key.Scope); err != nil {
		return Setting{}, err
	}
	row, err := s.setting(ctx, user, key)
	if err != nil {
		return Setting{}, err
	}
	change.apply(&row, s.now())
	switch err := s.store.SetPush(ctx, user.ID, row, maxSettings); {
	case errors.Is(err, store.ErrFull):
		return Setting{}, refuse(errcode.MaxLimit, ErrFull, "a user has at most %d push settings", maxSettings)
	case errors.Is(err, store.ErrNotFound):
		return Setting{}, refuse(errcode.UserNotFound, account.ErrNoUser, "there is no user %q", user.Name)
	case err != nil:
		return Setting{}, err
	}
	setting := s.shown(row)
	cleared := change.Type != nil && *change.Type == TypeDefault
	return setting, s.tellDevices(ctx, app, user, device, key, about, setting, cleared)
}

// Device is where a user changes a setting; zero: nowhere, a backend does it.
type Device struct {
	ID       int64
	Resource string
}

func (c Change) check(scope store.PushScope) error {
	if c.Type == nil && c.For == nil && c.Quiet == nil {
		return refuse(errcode.InvalidParameter, ErrSetting, "the setting says nothing")
	}
	if c.Type != nil {
		switch *c.Type {
		case TypeAll, TypeAt, TypeNone, TypeDefault:
		default:
			return refuse(errcode.InvalidParameter, ErrSetting, "type is none of ALL, AT, NONE and DEFAULT")
		}
	}
	if c.For != nil && (*c.For < 0 || *c.For > maxSilence) {
		return refuse(errcode.InvalidParameter, ErrSetting, "ignoreDuration is not 0 to %d", maxSilence.Milliseconds())
	}
	if c.Quiet != nil && *c.Quiet != "" {
		if _, _, err := quietTime(*c.Quiet); err != nil {
			return err
		}
		if scope != store.PushAll {
			return refuse(errcode.InvalidParameter, ErrSetting, "ignoreInterval is for all conversations only")
		}
	}
	return nil
}

func (c Change) apply(row *store.PushSetting, now int64) {
	if c.Type != nil {
		row.Type = *c.Type
		if row.Type == TypeDefault {
			row.Type = ""
		}
	}
	if c.For != nil {
		row.Until = 0
		if *c.For > 0 {
			row.Until = now + c.For.Milliseconds()
		}
	}
	if c.Quiet != nil {
		row.Quiet = *c.Quiet
	}
	if row.Until <= now {
		row.Until = 0
	}
}

var quietForm = regexp.MustCompile(`^(\d{1,2}):(\d{1,2})-(\d{1,2}):(\d{1,2})$`)

// quietTime reads H:M-H:M as minutes of the day.
func quietTime(text string) (from, to int, err error) {
	parts := quietForm.FindStringSubmatch(text)
	if parts == nil {
		return 0, 0, refuse(errcode.InvalidParameter, ErrSetting, "ignoreInterval is not H:M-H:M")
	}
	var n [4]int
	for i, part := range parts[1:] {
		n[i], _ = strconv.Atoi(part) // two digits
	}
	if n[0] > 24 || n[1] > 59 || n[2] > 24 || n[3] > 59 {
		return 0, 0, refuse(errcode.InvalidParameter, ErrSetting, "ignoreInterval is not a time of the day")
	}
	return (n[0]*60 + n[1]) % (24 * 60), (n[2]*60 + n[3]) % (24 * 60), nil
}

// quiet reports whether a time is in H:M-H:M, by UTC. An interval that ends where it begins is the whole day.
func quiet(interval string, at time.Time) bool {
	from, to, err := quietTime(interval)
	if interval == "" || err != nil {
		return false
	}
	minute := at.UTC().Hour()*60 + at.UTC().Minute()
	if from < to {
		return from <= minute && minute < to
	}
	return from <= minute || minute < to
}

func (s *Service) setting(ctx context.Context, user store.User, key store.PushKey) (store.PushSetting, error) {
	rows, err := s.store.PushSettings(ctx, user.ID, []store.PushKey{key})
	if err != nil || len(rows) == 0 {
		return store.PushSetting{PushKey: key}, err
	}
	return rows[0], nil
}

func (s *Service) shown(row store.PushSetting) Setting {
	setting := Setting{Type: row.Type, Quiet: row.Quiet}
	if row.Until > s.now() {
		setting.Until = row.Until
	}
	if setting.Type == "" && row.Scope == store.PushAll {
		setting.Type = TypeAll
	}
	return setting
}

// tellDevices tells a user's other devices, also those that are away.
func (s *Service) tellDevices(ctx context.Context, app *account.App, user store.User, device Device, key store.PushKey, about Conversation, setting Setting, cleared bool) error {
	text, err := json.Marshal(setting)
	if err != nil {
		return err
	}
	data := map[string]any{}
	if err := json.Unmarshal(text, &data); err != nil {
		return err
	}
	value := map[string]any{"operator_resource": device.Resource}
	switch key.Scope {
	case store.PushAll:
		value["user"], data["ignoreInterval"] = user.Name, setting.Quiet // it is what tells clients that all is meant
	case store.PushPeer:
		value["user"] = account.Fold(about.Peer)
	case store.PushPlace:
		value["group"] = about.Place
	}
	if cleared && key.Scope != store.PushAll {
		clear(data) // clients take that, and only that, for the end of a type
	}
	value["data"] = data
	meta, err := msync.Notify(user.Name, user.Name, map[string]any{"type": "user_notification_mute", "values": []any{value}})
	if err != nil {
		return fmt.Errorf("pack push setting: %w", err)
	}
	_, err = s.delivery.AppendWait(ctx, delivery.Post{Key: store.UserKey(app.ID, user.ID), Sender: user.ID, Device: device.ID, Meta: meta})
	return err
}

// Get returns what a user wants to be notified of. The errors are code 505, 204 and -3 (ErrSetting).
func (s *Service) Get(ctx context.Context, app *account.App, user store.User, about Conversation) (Setting, error) {
	if err := s.offered(app); err != nil {
		return Setting{}, err
	}
	key, err := s.key(ctx, app, user, about)
	if err != nil {
		return Setting{}, err
	}
	row, err := s.setting(ctx, user, key)
	return s.shown(row), err
}

// GetMany returns settings of several conversations. Those without one are left out. The errors are code 505, -3
// (ErrSetting) and 50 (ErrFull).
func (s *Service) GetMany(ctx context.Context, app *account.App, user store.User, about []Conversation) ([]Named, error) {
	if err := s.offered(app); err != nil {
		return nil, err
	}
	if len(about) > maxConversations {
		return nil, refuse(errcode.MaxLimit, ErrFull, "there are %d conversations, the limit is %d", len(about), maxConversations)
	}
	keys, asked := []store.PushKey{}, map[store.PushKey]Conversation{}
	for _, c := range about {
		key, err := s.key(ctx, app, user, c)
		if errors.Is(err, account.ErrNoUser) {
			continue
		} else if err != nil {
			return nil, err
		}
		keys, asked[key] = append(keys, key), c
	}
	rows, err := s.store.PushSettings(ctx, user.ID, keys)
	if err != nil {
		return nil, err
	}
	var found []Named
	for _, row := range rows {
		found = append(found, Named{Conversation: asked[row.PushKey], Setting: s.shown(row)})
	}
	return found, nil
}

// ListTypes returns up to limit conversations for which a user has set a type, from the row above the given one on, and
// the row above which the next page begins; 0: this is the last. The error is code 505.
func (s *Service) ListTypes(ctx context.Context, app *account.App, user store.User, above int64, limit int) (found []Named, next int64, err error) {
	if err := s.offered(app); err != nil {
		return nil, 0, err
	}
	rows, err := s.store.ListPushTypes(ctx, user.ID, above, limit+1)
	if err != nil {
		return nil, 0, err
	}
	if len(rows) > limit {
		rows = rows[:limit]
		next = rows[limit-1].Row
	}
	for _, row := range rows {
		named := Named{Setting: s.shown(row), Conversation: Conversation{Place: row.Target}}
		if row.Scope == store.PushPeer {
			number, _ := strconv.ParseInt(row.Target, 10, 64) // key wrote it
			peer, err := s.store.UserByID(ctx, number)
			if errors.Is(err, store.ErrNotFound) {
				continue // deleted
			} else if err != nil {
				return nil, 0, err
			}
			named.Conversation = Conversation{Peer: peer.Name}
		}
		found = append(found, named)
	}
	return found, next, nil
}

var languageForm = regexp.MustCompile(`^[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8}){0,4}$`)

// SetLanguage says into which language a user's notifications are translated; empty: into none. The errors are code 505,
// 204 and -3 (ErrSetting).
func (s *Service) SetLanguage(ctx context.Context, app *account.App, user store.User, language string) error {
	if language != "" && !languageForm.MatchString(language) {
		return refuse(errcode.InvalidParameter, ErrSetting, "%q is no language", language)
	}
	return s.changeUser(ctx, app, user, func(u *store.PushUser) { u.Language = language })
}

// SetDetailed says whether a user's notifications show sender and content. The errors are code 505 and 204.
func (s *Service) SetDetailed(ctx context.Context, app *account.App, user store.User, detailed bool) error {
	return s.changeUser(ctx, app, user, func(u *store.PushUser) { u.Detailed = detailed })
}

func (s *Service) changeUser(ctx context.Context, app *account.App, user store.User, change func(*store.PushUser)) error {
	u, err := s.User(ctx, app, user)
	if err != nil {
		return err
	}
	change(&u)
	err = s.store.SetPushUser(ctx, user.ID, u)
	if errors.Is(err, store.ErrNotFound) {
		return refuse(errcode.UserNotFound, account.ErrNoUser, "there is no user %q", user.Name)
	}
	return err
}

// User returns what a user wants of notifications as such. The error is code 505.
func (s *Service) User(ctx context.Context, app *account.App, user store.User) (store.PushUser, error) {
	if err := s.offered(app); err != nil {
		return store.PushUser{}, err
	}
	return s.store.PushUserOf(ctx, user.ID)
}

// Bind says where notifications for a user's device go, or that they go nowhere any more if the token is empty. The
// errors are code 505, 204, -3 (ErrToken) and 50 (ErrFull).
func (s *Service) Bind(ctx context.Context, app *account.App, user store.User, device, notifier, token string) error {
	if err := s.offered(app); err != nil {
		return err
	}
	if device == "" || !plain(device, maxName) || !plain(notifier, maxName) || !plain(token, maxToken) {
		return refuse(errcode.InvalidParameter, ErrToken, "device, notifier or token is missing, too long or no text")
	}
	if token == "" {
		return s.store.UnbindPushToken(ctx, user.ID, device)
	}
	if notifier == "" {
		return refuse(errcode.InvalidParameter, ErrToken, "the notifier is missing")
	}
	err := s.store.BindPushToken(ctx, store.PushToken{App: app.ID, User: user.ID, Device: device, Notifier: notifier, Token: token, Updated: s.now()}, maxTokens)
	switch {
	case errors.Is(err, store.ErrFull):
		return refuse(errcode.MaxLimit, ErrFull, "a user has at most %d devices with a push token", maxTokens)
	case errors.Is(err, store.ErrNotFound):
		return refuse(errcode.UserNotFound, account.ErrNoUser, "there is no user %q", user.Name)
	}
	return err
}

func plain(s string, longest int) bool {
	return len(s) <= longest && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' })
}

// Bound returns where notifications for a user go. The error is code 505.
func (s *Service) Bound(ctx context.Context, app *account.App, user store.User) ([]store.PushToken, error) {
	if err := s.offered(app); err != nil {
		return nil, err
	}
	return s.store.PushTokens(ctx, []int64{user.ID})
}
