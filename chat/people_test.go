package chat_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stoa-chat/stoa/chat"
	"github.com/stoa-chat/stoa/errcode"
)

func TestPeopleAgainstTheServer(t *testing.T) {
	server := startServer(t)
	for _, user := range []string{"carol", "dave"} {
		register(t, server, user)
	}
	alice, _ := login(t, server, "alice", "stoa")
	bob, _ := login(t, server, "bob", "stoa")

	t.Run("everybody may register where the app lets them", func(t *testing.T) {
		c, _ := newClient(t, server)
		token := appToken(t, server)
		rest(t, server, token, "PUT", "/settings", map[string]any{"open_registration": false})
		want(t, c.Register(t.Context(), "erin", "secret", "Erin"), errcode.RequestFailed)
		rest(t, server, token, "PUT", "/settings", map[string]any{"open_registration": true})
		ok(t, c.Register(t.Context(), "erin", "secret", "Erin"))
		want(t, c.Register(t.Context(), "erin", "secret", ""), errcode.RequestFailed)
		ok(t, c.Login(t.Context(), "erin", chat.Password("secret")))
	})

	t.Run("profiles", func(t *testing.T) {
		ok(t, alice.UpdateProfile(t.Context(), map[string]string{chat.ProfileNickname: "Al & ice", "custom": "x"}))
		ok(t, alice.UpdateProfile(t.Context(), map[string]string{chat.ProfileSignature: "hi"}))
		got, err := bob.Profiles(t.Context(), []string{"alice", "carol"})
		ok(t, err)
		same(t, "alice", map[string]string{"nickname": "Al & ice", "sign": "hi"}, got["alice"])
		same(t, "carol", 0, len(got["carol"]))
		got, err = bob.Profiles(t.Context(), []string{"alice"}, "nickname")
		ok(t, err)
		same(t, "alice", map[string]string{"nickname": "Al & ice"}, got["alice"])
		want(t, alice.UpdateProfile(t.Context(), map[string]string{"ext": strings.Repeat("x", 5000)}), errcode.RequestFailed)
		ok(t, alice.SetPushNickname(t.Context(), "Ali"))
	})

	t.Run("presence", func(t *testing.T) {
		seen := make(chan *chat.Presence, 100)
		alice.AddEventListener("presence", chat.Listener{OnPresence: func(p *chat.Presence) { seen <- p }})
		now, err := alice.SubscribePresence(t.Context(), time.Hour, "carol")
		ok(t, err)
		if len(now) != 1 || now[0].User != "carol" || now[0].Online() || time.Until(now[0].Expires) < 50*time.Minute {
			t.Errorf("presence at the beginning is %+v", now)
		}
		carol, _ := login(t, server, "carol", "pw", chat.WithDevice("phone"))
		until := func(what string, is func(p *chat.Presence) bool) {
			t.Helper()
			for {
				if p := next(t, seen, what); p.User == "carol" && is(p) {
					return
				}
			}
		}
		until("carol online", func(p *chat.Presence) bool { return p.Online() && p.Devices["phone"] == 1 })
		ok(t, carol.PublishPresence(t.Context(), "busy"))
		until("carol's text", func(p *chat.Presence) bool { return p.Text == "busy" })
		now, err = bob.PresenceOf(t.Context(), "carol")
		ok(t, err)
		if len(now) != 1 || now[0].Text != "busy" || !now[0].Online() {
			t.Errorf("presence is %+v", now)
		}
		ok(t, carol.Close())
		until("carol offline", func(p *chat.Presence) bool { return !p.Online() })
		subscriptions := all(t, alice.PresenceSubscriptions(t.Context()))
		if len(subscriptions) != 1 || subscriptions[0].User != "carol" {
			t.Errorf("subscriptions are %+v", subscriptions)
		}
		ok(t, alice.UnsubscribePresence(t.Context(), "carol"))
		same(t, "subscriptions", 0, len(all(t, alice.PresenceSubscriptions(t.Context()))))
	})

	t.Run("silent modes", func(t *testing.T) {
		dave, _ := login(t, server, "dave", "pw")
		other, ow := newClient(t, server)
		events := make(chan *chat.DeviceEvent, 10)
		other.AddEventListener("events", chat.Listener{OnDeviceEvent: func(e *chat.DeviceEvent) { events <- e }})
		ok(t, other.Login(t.Context(), "dave", chat.Password("pw")))
		next(t, ow.connected, "OnConnected")

		daily := &chat.Interval{From: chat.Clock{Hour: 22, Minute: 30}, To: chat.Clock{Hour: 7, Minute: 5}}
		ok(t, dave.SetSilentMode(t.Context(), chat.SilentChange{Daily: daily}))
		e := next(t, events, "the silent mode")
		if e.Operation != chat.DeviceSilent || e.Silent.Daily == nil || *e.Silent.Daily != *daily {
			t.Errorf("event is %+v", e)
		}
		ok(t, dave.SetSilentMode(t.Context(), chat.SilentChange{Remind: chat.RemindMentioned}))
		mode, err := dave.SilentMode(t.Context())
		ok(t, err)
		if mode.Remind != chat.RemindMentioned || mode.Daily == nil || *mode.Daily != *daily {
			t.Errorf("silent mode is %+v", mode)
		}

		ok(t, dave.SetConversationSilentMode(t.Context(), chat.ToUser("bob"), chat.SilentChange{Remind: chat.RemindNone}))
		for e = next(t, events, "the conversation's"); e.Operation != chat.DeviceConversationSilent; e = next(t, events, "the conversation's") {
		}
		if e.Target != chat.ToUser("bob") || e.Silent.Remind != chat.RemindNone {
			t.Errorf("event is %+v", e)
		}
		ok(t, dave.SetConversationSilentMode(t.Context(), chat.ToUser("bob"), chat.SilentChange{For: time.Hour}))
		mode, err = dave.ConversationSilentMode(t.Context(), chat.ToUser("bob"))
		ok(t, err)
		if mode.Remind != chat.RemindNone || time.Until(mode.Until) < 50*time.Minute {
			t.Errorf("silent mode is %+v", mode)
		}
		modes, err := dave.ConversationSilentModes(t.Context(), chat.ToUser("bob"), chat.ToUser("carol"))
		ok(t, err)
		if modes[chat.ToUser("bob")].Remind != chat.RemindNone || modes[chat.ToUser("carol")].Remind != "" {
			t.Errorf("silent modes are %+v", modes)
		}
		same(t, "silent conversations", []chat.ConversationRemind{{Target: chat.ToUser("bob"), Remind: chat.RemindNone}}, all(t, dave.SilentConversations(t.Context())))
		ok(t, dave.ClearConversationSilentMode(t.Context(), chat.ToUser("bob")))
		same(t, "silent conversations", 0, len(all(t, dave.SilentConversations(t.Context()))))
		mode, err = dave.ConversationSilentMode(t.Context(), chat.ToUser("bob"))
		ok(t, err)
		same(t, "silent mode", chat.SilentMode{}, mode)

		for _, change := range []chat.SilentChange{{For: time.Hour}, {Remind: chat.RemindMentioned}, {Daily: &chat.Interval{From: chat.Clock{Hour: 22}, To: chat.Clock{Hour: 7}}}} {
			ok(t, dave.SetSilentMode(t.Context(), change))
		}
		ok(t, dave.ClearSilentMode(t.Context()))
		mode, err = dave.SilentMode(t.Context())
		ok(t, err)
		same(t, "silent mode of all", chat.SilentMode{Remind: chat.RemindAll}, mode)

		ok(t, dave.SetPushLanguage(t.Context(), "fr"))
		language, err := dave.PushLanguage(t.Context())
		ok(t, err)
		same(t, "language", "fr", language)
		ok(t, dave.SetPushToken(t.Context(), chat.PushToken{Device: "d", Token: "t", Notifier: "n"}))
		ok(t, dave.RemovePushToken(t.Context(), "d"))
	})

	t.Run("devices and the real-time service", func(t *testing.T) {
		login(t, server, "bob", "stoa", chat.WithDevice("tablet"))
		devices, err := bob.OtherDevices(t.Context())
		ok(t, err)
		same(t, "devices", []string{"tablet"}, devices)
		token, err := alice.RTCToken(t.Context(), "lounge")
		ok(t, err)
		if token.Channel != "lounge" || !strings.HasPrefix(token.Token, "007") || token.UID == 0 || time.Until(token.Expires) <= 0 {
			t.Errorf("token is %+v", token)
		}
		users, err := bob.RTCUsers(t.Context(), token.UID, token.UID+1000)
		ok(t, err)
		same(t, "users", map[uint32]string{token.UID: "alice"}, users)
	})
}
