package account

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/store"
)

// Settings are what an application's operator can set. The JSON names are those of the settings route and of
// `stoa app`.
type Settings struct {
	// Serving false refuses every login with code 57.
	Serving bool `json:"serving"`
	// OpenRegistration lets anybody register users without a token.
	OpenRegistration bool `json:"open_registration"`
	// MultiDevice lets a user be online on several devices; without it a login ends the others with code 206.
	MultiDevice bool `json:"multi_device"`
	// MaxDevicesPerPlatform is how many devices of one platform (web, android, …) a user may be online with; the next
	// one ends the earliest with code 206. 1 to 100.
	MaxDevicesPerPlatform int `json:"max_devices_per_platform"`
	// AllowedOrigins are the origins (scheme://host[:port]) whose pages may use the app; empty: any.
	AllowedOrigins []string `json:"allowed_origins"`
	// MessageMaxBytes bounds body and extension of a message together; above it is code 511. 1 to 49152, so that what
	// surrounds a message stays below the largest frame, 64 KiB.
	MessageMaxBytes int `json:"message_max_bytes"`
	// TokenTTLSeconds is the life of issued tokens whose request names none; 0: no end.
	TokenTTLSeconds int64 `json:"token_ttl_seconds"`
	// DynamicTokens accepts the dt- tokens of docs/protocol/tokens.md §5. Off by default: what they sign has no
	// separators, so a user whose name is another's and some digits can become that other.
	DynamicTokens bool `json:"dynamic_tokens"`
	// ContactsOnly refuses one-to-one messages between users who are not contacts, with code 221.
	ContactsOnly bool `json:"contacts_only"`
	// ContactsAutoAccept makes users contacts as soon as one invites the other.
	ContactsAutoAccept bool `json:"contacts_auto_accept"`
	// UserAttributes offers user attributes.
	UserAttributes bool `json:"user_attributes"`
	// RTCTokens gives every user tokens for calls, which are signed with the app's certificate.
	RTCTokens bool `json:"rtc_tokens"`
	// Presence offers presence: what users publish of themselves, and news of who comes and goes.
	Presence bool `json:"presence"`
	// Push offers settings of notifications, and notifications to those who are away.
	Push bool `json:"push"`
	// PushProviders bring the notifications to devices; none: there are none.
	PushProviders []PushProvider `json:"push_providers"`
	// Files lets users and the app's backend upload files. What has been uploaded can be read without it.
	Files bool `json:"files"`
	// FileMaxBytes bounds an uploaded file; above it is code 101. 1 to 209715200, which is 200 MiB.
	FileMaxBytes int64 `json:"file_max_bytes"`
	// FileLifetimeSeconds is how long what came with messages can be read; later it is code 223. 0: for ever.
	FileLifetimeSeconds int64 `json:"file_lifetime_seconds"`
	// Translation offers translation, if the server has a provider.
	Translation bool `json:"translation"`
	// Reactions offers reactions to messages.
	Reactions bool `json:"reactions"`
	// Pins offers to pin messages.
	Pins bool `json:"pins"`
	// Reports offers to report messages to the app's operator.
	Reports bool `json:"reports"`
	// GroupMaxMembers and RoomMaxMembers bound the size that a group or a chatroom may ask for; above it is code 607.
	// 1 to 100000.
	GroupMaxMembers int `json:"group_max_members"`
	RoomMaxMembers  int `json:"room_max_members"`
	// ContactsPerUser and BlockedPerUser bound how many contacts a user may have, and how many a user may block (1 to
	// MostContacts).
	ContactsPerUser int `json:"contacts_per_user"`
	BlockedPerUser  int `json:"blocked_per_user"`
	// GroupsPerUser and RoomsPerUser bound how many a user may have joined, GroupsPerApp and RoomsPerApp how many there may
	// be; above it is code 50. 1 to 1000000.
	GroupsPerUser int `json:"groups_per_user"`
	RoomsPerUser  int `json:"rooms_per_user"`
	GroupsPerApp  int `json:"groups_per_app"`
	RoomsPerApp   int `json:"rooms_per_app"`
	// GroupInviteConfirm has who is invited to a group asked, where the group does not say.
	GroupInviteConfirm bool `json:"group_invite_confirm"`
	// GroupMemberAttributes and RoomAttributes are services; off is code 505.
	GroupMemberAttributes bool `json:"group_member_attributes"`
	RoomAttributes        bool `json:"room_attributes"`
	// Threads lets members of groups start threads under messages; off is code 505.
	Threads bool `json:"threads"`
	// RoomHistory keeps the messages of chatrooms, so that who comes later can read them.
	RoomHistory bool `json:"room_history"`
	// RoomLeaveAfterSeconds is how long members of a chatroom may be offline before they leave it; owner, admins and who is
	// on the allow list stay. -1: nobody leaves.
	RoomLeaveAfterSeconds int64 `json:"room_leave_after_seconds"`
	// History offers the messages of a conversation for reading back and deleting.
	History bool `json:"history"`
	// ConversationList offers the list of a user's conversations.
	ConversationList bool `json:"conversation_list"`
	// Search offers the search in a user's messages. What is sent while it is off is not found later.
	Search bool `json:"search"`
	// RetentionDays is for how many days messages are kept; 0: for ever. At most 36500.
	RetentionDays int `json:"retention_days"`
	// Recall lets senders recall messages, up to RecallSeconds after sending (1 to 604800); later it is code 504.
	Recall        bool  `json:"recall"`
	RecallSeconds int64 `json:"recall_seconds"`
	// Edit lets senders edit texts and custom messages.
	Edit bool `json:"edit"`
	// GroupReceipts counts who has read the messages of groups whose senders ask for it.
	GroupReceipts bool `json:"group_receipts"`
	// Broadcasts lets the app's backend send messages to all users, to all who are online, and to all chatrooms.
	Broadcasts bool `json:"broadcasts"`
	// MessagesPerSecond is how many messages and edits a user may send through a node, in bursts of up to three times as
	// many; above it is code 509. 0: any number. At most 1000000, as the others of the kind.
	MessagesPerSecond int `json:"messages_per_second"`
	// RESTPerSecond is how many calls of one route a node takes from all callers, RESTPerUserSecond how many calls from one
	// user; above it is status 429, code 500. 0: any number.
	RESTPerSecond     int `json:"rest_per_second"`
	RESTPerUserSecond int `json:"rest_per_user_second"`
	// CloudRates adds the limits of the hosted service to those, so that a backend can rehearse being refused for them.
	CloudRates bool `json:"cloud_rates"`
	// FailedLoginsPerMinute is how many wrong passwords a node takes for one user, or from one address ten times as many;
	// further logins are refused with status 429, code 500. 0: any number.
	FailedLoginsPerMinute int `json:"failed_logins_per_minute"`
}

// DefaultSettings are those of a new application.
func DefaultSettings() Settings {
	return Settings{
		Serving:               true,
		MultiDevice:           true,
		MaxDevicesPerPlatform: 4,
		AllowedOrigins:        []string{},
		MessageMaxBytes:       5 * 1024,
		TokenTTLSeconds:       int64((60 * 24 * time.Hour).Seconds()),
		UserAttributes:        true,
		RTCTokens:             true,
		Presence:              true,
		Push:                  true,
		PushProviders:         []PushProvider{},
		Files:                 true,
		FileMaxBytes:          10 << 20,
		Translation:           true,
		Reactions:             true,
		Pins:                  true,
		Reports:               true,
		GroupMaxMembers:       5000,
		RoomMaxMembers:        10_000,
		ContactsPerUser:       1000,
		BlockedPerUser:        500,
		GroupsPerUser:         10_000,
		RoomsPerUser:          100,
		GroupsPerApp:          100_000,
		RoomsPerApp:           100_000,
		GroupMemberAttributes: true,
		RoomAttributes:        true,
		Threads:               true,
		RoomHistory:           true,
		RoomLeaveAfterSeconds: 120,
		History:               true,
		ConversationList:      true,
		Search:                true,
		Recall:                true,
		RecallSeconds:         120,
		Edit:                  true,
		GroupReceipts:         true,
		Broadcasts:            true,
	}
}

// MostContacts is the most that Settings.ContactsPerUser may be: lists of contacts are read whole.
const MostContacts = 10_000

// ServeSettings are those of a new application that is not for development: generous limits of rates are on.
func ServeSettings() Settings {
	s := DefaultSettings()
	s.MessagesPerSecond, s.RESTPerSecond, s.RESTPerUserSecond, s.FailedLoginsPerMinute = 100, 1000, 100, 10
	return s
}

// check refuses settings that make no sense, naming all of them.
func (s Settings) check() error {
	var wrong []string
	if s.MaxDevicesPerPlatform < 1 || s.MaxDevicesPerPlatform > 100 {
		wrong = append(wrong, "max_devices_per_platform must be 1 to 100")
	}
	if s.MessageMaxBytes < 1 || s.MessageMaxBytes > 48*1024 {
		wrong = append(wrong, "message_max_bytes must be 1 to 49152")
	}
	if s.TokenTTLSeconds < 0 || s.TokenTTLSeconds > math.MaxInt32 {
		wrong = append(wrong, "token_ttl_seconds must be 0 (no end) to 2147483647")
	}
	if s.FileMaxBytes < 1 || s.FileMaxBytes > 200<<20 {
		wrong = append(wrong, "file_max_bytes must be 1 to 209715200")
	}
	if s.FileLifetimeSeconds < 0 || s.FileLifetimeSeconds > math.MaxInt32 {
		wrong = append(wrong, "file_lifetime_seconds must be 0 (for ever) to 2147483647")
	}
	for _, count := range []struct {
		name       string
		value, max int
	}{{"group_max_members", s.GroupMaxMembers, 100_000}, {"room_max_members", s.RoomMaxMembers, 100_000},
		{"contacts_per_user", s.ContactsPerUser, MostContacts}, {"blocked_per_user", s.BlockedPerUser, MostContacts},
		{"groups_per_user", s.GroupsPerUser, 1_000_000}, {"rooms_per_user", s.RoomsPerUser, 1_000_000},
		{"groups_per_app", s.GroupsPerApp, 1_000_000}, {"rooms_per_app", s.RoomsPerApp, 1_000_000}} {
		if count.value < 1 || count.value > count.max {
			wrong = append(wrong, fmt.Sprintf("%s must be 1 to %d", count.name, count.max))
		}
	}
	for _, rate := range []struct {
		name  string
		value int
	}{{"messages_per_second", s.MessagesPerSecond}, {"rest_per_second", s.RESTPerSecond}, {"rest_per_user_second", s.RESTPerUserSecond},
		{"failed_logins_per_minute", s.FailedLoginsPerMinute}} {
		if rate.value < 0 || rate.value > 1_000_000 {
			wrong = append(wrong, rate.name+" must be 0 (any number) to 1000000")
		}
	}
	if s.RoomLeaveAfterSeconds < -1 || s.RoomLeaveAfterSeconds > math.MaxInt32 {
		wrong = append(wrong, "room_leave_after_seconds must be -1 (never) to 2147483647")
	}
	if s.RetentionDays < 0 || s.RetentionDays > 36500 {
		wrong = append(wrong, "retention_days must be 0 (for ever) to 36500")
	}
	if s.RecallSeconds < 1 || s.RecallSeconds > int64((7*24*time.Hour).Seconds()) {
		wrong = append(wrong, "recall_seconds must be 1 to 604800")
	}
	for _, origin := range s.AllowedOrigins {
		if !originForm.MatchString(origin) {
			wrong = append(wrong, fmt.Sprintf("allowed_origins: %q is not scheme://host[:port]", origin))
		}
	}
	wrong = append(wrong, checkProviders(s.PushProviders)...)
	if len(wrong) > 0 {
		return &errcode.Error{Code: errcode.InvalidParameter, Op: "settings", Message: strings.Join(wrong, "; "), Err: ErrSettings}
	}
	return nil
}

var originForm = regexp.MustCompile(`^[a-z][a-z0-9+.-]*://[^/?#\s]+$`)

// AllowsOrigin reports whether pages of an origin may use the app. Programs that are no browser send none.
func (s Settings) AllowsOrigin(origin string) bool {
	if origin == "" || len(s.AllowedOrigins) == 0 {
		return true
	}
	for _, allowed := range s.AllowedOrigins {
		if strings.EqualFold(allowed, origin) {
			return true
		}
	}
	return false
}

// App is an application with its settings. It is read-only.
type App struct {
	store.App
	Settings Settings
}

// Key returns the app key, org#name.
func (a *App) Key() string { return a.Org + "#" + a.Name }

func (a *Service) loadApps(ctx context.Context) error {
	a.loading.Lock()
	defer a.loading.Unlock()
	rows, err := a.store.Apps(ctx)
	if err != nil {
		return err
	}
	byKey, byID := map[string]*App{}, map[int64]*App{}
	for _, row := range rows {
		app := &App{App: row, Settings: DefaultSettings()}
		if err := json.Unmarshal(row.Settings, &app.Settings); err != nil {
			return fmt.Errorf("read settings of %s: %w", app.Key(), err)
		}
		byKey[app.Key()], byID[app.ID] = app, app
	}
	a.apps.mu.Lock()
	defer a.apps.mu.Unlock()
	a.apps.byKey, a.apps.byID = byKey, byID
	return nil
}

// App finds an application by its key, org#name. The error is code 27.
func (a *Service) App(key string) (*App, error) {
	a.apps.mu.RLock()
	defer a.apps.mu.RUnlock()
	if app, ok := a.apps.byKey[key]; ok {
		return app, nil
	}
	return nil, noApp(key)
}

// AppByAgoraID finds an application by its Agora App ID. The error is code 27.
func (a *Service) AppByAgoraID(id string) (*App, error) {
	a.apps.mu.RLock()
	defer a.apps.mu.RUnlock()
	for _, app := range a.apps.byKey {
		if app.AgoraID == id {
			return app, nil
		}
	}
	return nil, noApp(id)
}

// Current returns an application with the settings of now.
func (a *Service) Current(app *App) *App {
	a.apps.mu.RLock()
	defer a.apps.mu.RUnlock()
	if current, ok := a.apps.byID[app.ID]; ok {
		return current
	}
	return app
}

// AppByID finds an application by its number, with the settings of now.
func (a *Service) AppByID(id int64) (*App, bool) {
	a.apps.mu.RLock()
	defer a.apps.mu.RUnlock()
	app, ok := a.apps.byID[id]
	return app, ok
}

// All returns the applications, in any order.
func (a *Service) All() []*App {
	a.apps.mu.RLock()
	defer a.apps.mu.RUnlock()
	return slices.Collect(maps.Values(a.apps.byID))
}

// AnyApp reports whether something holds for one of the applications.
func (a *Service) AnyApp(holds func(*App) bool) bool {
	a.apps.mu.RLock()
	defer a.apps.mu.RUnlock()
	for _, app := range a.apps.byID {
		if holds(app) {
			return true
		}
	}
	return false
}

// Apps returns the number of applications.
func (a *Service) Apps() int {
	a.apps.mu.RLock()
	defer a.apps.mu.RUnlock()
	return len(a.apps.byKey)
}

func noApp(name string) error {
	return &errcode.Error{Code: errcode.InvalidAppKey, Message: fmt.Sprintf("this server has no application %q", name), Err: ErrNoApp}
}

var (
	orgForm = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)
	appForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	hexForm = regexp.MustCompile(`^[0-9A-Fa-f]{32}$`)
)

// reserved are the first path segments that are not organisations.
var reserved = map[string]bool{
	"ws": true, "websocket": true, "console": true, "playground": true, "metrics": true, "healthz": true, "readyz": true,
	"debug": true, "app-id": true, "easemob": true, "admin": true, "favicon": true, "robots": true,
}

// NewApp says what CreateApp makes. Credentials that are empty are drawn at random.
type NewApp struct {
	Key                                          string
	AgoraID, Certificate, ClientID, ClientSecret string
	Settings                                     Settings
}

// CreateApp makes an application. The errors are code -3, and ErrAppExists under code -3.
func (a *Service) CreateApp(ctx context.Context, n NewApp) (*App, error) {
	org, name, ok := strings.Cut(n.Key, "#")
	if !ok || !orgForm.MatchString(org) || !appForm.MatchString(name) || reserved[strings.ToLower(org)] {
		return nil, errcode.Newf(errcode.InvalidParameter, "app key %q is not org#app: letters, digits and - (in the app also _), and no reserved org", n.Key)
	}
	for what, text := range map[string]string{"App ID": n.AgoraID, "App Certificate": n.Certificate} {
		if text != "" && !hexForm.MatchString(text) {
			return nil, errcode.Newf(errcode.InvalidParameter, "the %s %q is not 32 hex digits", what, text)
		}
	}
	if err := n.Settings.check(); err != nil {
		return nil, err
	}
	settings, err := json.Marshal(n.Settings)
	if err != nil {
		return nil, err
	}
	row := store.App{
		Org: org, Name: name, UUID: uuid.NewString(), Settings: settings, SigningKey: random(32), Created: a.now(),
		AgoraID: or(n.AgoraID, 16), Certificate: or(n.Certificate, 16), ClientID: or(n.ClientID, 12), ClientSecret: or(n.ClientSecret, 24),
	}
	row, err = a.store.CreateApp(ctx, row)
	if errors.Is(err, store.ErrExists) {
		// Another node may have made it before this one could hear of it.
		if err := a.loadApps(ctx); err != nil {
			return nil, err
		}
		return nil, &errcode.Error{Code: errcode.InvalidParameter, Message: "an application with this key, App ID or client id exists", Err: ErrAppExists}
	} else if err != nil {
		return nil, err
	}
	if err := a.loadApps(ctx); err != nil {
		return nil, err
	}
	a.tell(string(heardApps))
	return &App{App: row, Settings: n.Settings}, nil
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return b
}

// or returns the text, or n random bytes as hex if it is empty.
func or(text string, n int) string {
	if text != "" {
		return text
	}
	return hex.EncodeToString(random(n))
}

// ChangeSettings applies a JSON object of settings to an application; what it does not name stays. The error for an
// unknown or bad setting is code -3, wrapping ErrSettings.
func (a *Service) ChangeSettings(ctx context.Context, app *App, patch []byte) (Settings, error) {
	a.changing.Lock()
	defer a.changing.Unlock()
	// Another node may have changed them since.
	if err := a.loadApps(ctx); err != nil {
		return Settings{}, err
	}
	current, err := a.App(app.Key())
	if err != nil {
		return Settings{}, err
	}
	changed := current.Settings
	changed.AllowedOrigins = append([]string{}, changed.AllowedOrigins...)
	changed.PushProviders = nil // what is there would show through the new ones
	decoder := json.NewDecoder(bytes.NewReader(patch))
	decoder.DisallowUnknownFields()
	err = decoder.Decode(&changed)
	if err == nil {
		if _, more := decoder.Token(); more != io.EOF {
			err = errors.New("something follows the object of settings")
		}
	}
	if err != nil {
		return Settings{}, &errcode.Error{Code: errcode.InvalidParameter, Op: "settings", Message: err.Error(), Err: ErrSettings}
	}
	if changed.AllowedOrigins == nil {
		changed.AllowedOrigins = []string{}
	}
	if changed.PushProviders == nil {
		changed.PushProviders = current.Settings.PushProviders
	} else {
		keepSecrets(changed.PushProviders, current.Settings.PushProviders)
	}
	if err := changed.check(); err != nil {
		return Settings{}, err
	}
	settings, err := json.Marshal(changed)
	if err != nil {
		return Settings{}, err
	}
	if err := a.store.SaveAppSettings(ctx, app.ID, settings); err != nil {
		return Settings{}, err
	}
	if err := a.loadApps(ctx); err != nil {
		return Settings{}, err
	}
	a.tell(string(heardApps))
	return changed, nil
}
