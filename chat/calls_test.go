package chat

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/msync"
)

// restPeer is a scripted REST server, and a client that it takes for alice's device "go_test".
type restPeer struct {
	*Client
	requests []string // as "METHOD /path?query body"
	answers  []answer
}

type answer struct {
	status int
	body   string
}

func newRESTPeer(t *testing.T) *restPeer {
	t.Helper()
	p := &restPeer{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		line := r.Method + " " + strings.TrimPrefix(r.URL.EscapedPath(), "/stoa/demo")
		if query, _ := url.QueryUnescape(r.URL.RawQuery); query != "" {
			line += "?" + query
		}
		if len(body) > 0 {
			line += " " + string(body)
		}
		p.requests = append(p.requests, line)
		if len(p.answers) == 0 {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		w.WriteHeader(p.answers[0].status)
		io.WriteString(w, p.answers[0].body)
		p.answers = p.answers[1:]
	}))
	t.Cleanup(server.Close)
	c, err := New("stoa#demo", WithServer(server.URL), WithLogger(slog.New(slog.DiscardHandler)), WithHTTPClient(server.Client()))
	if err != nil {
		t.Fatal(err)
	}
	p.Client = c
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	s := newSession(c, "alice", Token("t"), ctx.Done(), cancel)
	s.phase, s.token, s.device, c.session = online, "t", "go_test", s
	return p
}

// gather reads an iterator.
func gather[T any](seq iter.Seq2[T, error]) (any, error) {
	var all []T
	for v, err := range seq {
		if err != nil {
			return all, err
		}
		all = append(all, v)
	}
	return all, nil
}

// Every call, against what the facts say that it asks and is answered.
func TestCallsAskAndReadWhatTheFactsSay(t *testing.T) {
	ctx := t.Context()
	at := time.UnixMilli(1_700_000_000_000)
	const list = `{"id":"1001","from":"bob","to":"alice","timestamp":1700000000000,"payload":"{\"bodies\":[{\"type\":\"txt\",\"msg\":\"hi\"}],\"from\":\"bob\",\"to\":\"alice\",\"type\":\"chat\",\"ext\":{\"k\":1}}"}`
	listed := &Message{ID: "1001", From: "bob", To: "alice", Conversation: "bob", Time: at, Content: Content{Text: "hi"}, Ext: map[string]any{"k": int64(1)}}
	done := func(err error) (any, error) { return nil, err }
	body, err := proto.Marshal(&msync.MessageBody{Type: msync.MessageBody_CHAT, From: &msync.JID{Name: "bob"}, To: &msync.JID{Name: "alice"},
		Contents: []*msync.MessageBody_Content{{Text: "hi"}}})
	if err != nil {
		t.Fatal(err)
	}
	meta, err := proto.Marshal(&msync.Meta{Id: 1001, Ns: msync.Meta_CHAT, Timestamp: 1_700_000_000_000, Payload: body})
	if err != nil {
		t.Fatal(err)
	}
	stored := base64.StdEncoding.EncodeToString(meta)
	other, err := proto.Marshal(&msync.Meta{Id: 1002, Ns: msync.Meta_NOTIFY, Payload: []byte("{}")})
	if err != nil {
		t.Fatal(err)
	}
	roamed := &Message{ID: "1001", From: "bob", To: "alice", Conversation: "bob", Time: at, Content: Content{Text: "hi"}}

	for name, tt := range map[string]struct {
		call     func(c *Client) (any, error)
		requests []string
		answers  []string // {} where there are none
		want     any
	}{
		"EachContact": {
			func(c *Client) (any, error) { return gather(c.EachContact(ctx)) },
			[]string{"GET /users/alice/contacts?cursor=&limit=50&needReturnRemark=true", "GET /users/alice/contacts?cursor=c1&limit=50&needReturnRemark=true"},
			[]string{`{"data":{"contacts":[{"username":"bob","remark":"Bobby"}],"cursor":"c1"}}`, `{"data":{"contacts":[{"username":"carol"}],"cursor":""}}`},
			[]Contact{{User: "bob", Remark: "Bobby"}, {User: "carol"}},
		},
		"Register": {
			func(c *Client) (any, error) { return done(c.Register(ctx, "newbie", "pw1", "New")) },
			[]string{`POST /users {"nickname":"New","password":"pw1","username":"newbie"}`}, nil, nil,
		},
		"OtherDevices": {
			func(c *Client) (any, error) { return c.OtherDevices(ctx) },
			[]string{"GET /users/alice/resources"}, []string{`{"data":[{"res":"go_test"},{"res":"ios_2"}]}`}, []string{"ios_2"},
		},
		"RTCToken": {
			func(c *Client) (any, error) {
				token, err := c.RTCToken(ctx, "chan1")
				token.Expires = time.Time{}
				return token, err
			},
			[]string{"GET /users/alice/token/rtc?channelName=chan1"},
			[]string{`{"app_id":"a","rtc_token":"t","channel_name":"chan1","rtcUid":42,"expires_in":3600}`},
			RTCToken{AppID: "a", Channel: "chan1", Token: "t", UID: 42},
		},
		"RTCUsers": {
			func(c *Client) (any, error) { return c.RTCUsers(ctx, 42, 43) },
			[]string{`POST /rtc_mapper/batch/get {"data":[42,43]}`}, []string{`{"data":{"42":"bob","x":"carol"}}`}, map[uint32]string{42: "bob"},
		},
		"UpdateProfile": {
			func(c *Client) (any, error) {
				return done(c.UpdateProfile(ctx, map[string]string{ProfileNickname: "Al ice", "sign": "s&s"}))
			},
			[]string{"PUT /metadata/user/alice nickname=Al%20ice&sign=s%26s"}, nil, nil,
		},
		"Profiles": {
			func(c *Client) (any, error) { return c.Profiles(ctx, []string{"bob", "carol"}, "nickname") },
			[]string{`POST /metadata/user/get {"properties":["nickname"],"targets":["bob","carol"]}`},
			[]string{`{"data":{"bob":{"nickname":"Bob"},"carol":{}}}`}, map[string]map[string]string{"bob": {"nickname": "Bob"}, "carol": {}},
		},
		"Profiles with all keys": {
			func(c *Client) (any, error) { return c.Profiles(ctx, []string{"bob"}) },
			[]string{`POST /metadata/user/get {"properties":["nickname","avatarurl","mail","phone","gender","sign","birth","ext"],"targets":["bob"]}`},
			[]string{`{"data":{}}`}, map[string]map[string]string{},
		},

		"Conversations": {
			func(c *Client) (any, error) { return gather(c.Conversations(ctx)) },
			[]string{"GET /sdk/user/alice/user_channels/list?cursor=&limit=50&need_mark=true"},
			[]string{`{"data":{"cursor":"","channel_infos":[{"session_to":"bob","session_type":"chat","is_top":true,"update_top_status_time":1700000000000,"unread_num":1,"marks":["mark_0","x"],"meta":` + list + `},{"session_to":"G1","session_type":"groupchat","is_top":false,"unread_num":0,"meta":{}},{"session_to":"R1","session_type":"chatroom","meta":null}]}}`},
			[]*Conversation{
				{Target: ToUser("bob"), Unread: 1, LastMessage: listed, Pinned: true, PinnedAt: at, Marks: []int{0}},
				{Target: ToGroup("G1")}, {Target: ToRoom("R1")},
			},
		},
		"PinnedConversations": {
			func(c *Client) (any, error) { return gather(c.PinnedConversations(ctx)) },
			[]string{"GET /sdk/user/alice/user_channels/list?cursor=&is_top=true&limit=50&need_mark=true"},
			[]string{`{"data":{"channel_infos":[]}}`}, []*Conversation(nil),
		},
		"MarkedConversations": {
			func(c *Client) (any, error) { return gather(c.MarkedConversations(ctx, 0)) },
			[]string{"GET /sdk/user/alice/user_channels/mark/search?cursor=&limit=50&mark=mark_0&need_mark=true"},
			[]string{`{"data":{"channel_infos":[]}}`}, []*Conversation(nil),
		},
		"PinConversation": {
			func(c *Client) (any, error) { return done(c.PinConversation(ctx, ToUser("bob"))) },
			[]string{`POST /sdk/user/alice/user_channel/top?resource=go_test {"to":"bob","type":"chat"}`}, nil, nil,
		},
		"UnpinConversation": {
			func(c *Client) (any, error) { return done(c.UnpinConversation(ctx, ToGroup("G1"))) },
			[]string{"DELETE /sdk/user/alice/user_channel/top?resource=go_test&to=G1&type=groupChat"}, nil, nil,
		},
		"MarkConversations": {
			func(c *Client) (any, error) { return done(c.MarkConversations(ctx, 3, ToUser("bob"), ToGroup("G1"))) },
			[]string{`POST /sdk/user/alice/user_channels/mark?resource=go_test {"mark":"mark_3","targets":[{"to":"bob","type":"chat"},{"to":"G1","type":"groupchat"}]}`}, nil, nil,
		},
		"UnmarkConversations": {
			func(c *Client) (any, error) { return done(c.UnmarkConversations(ctx, 3, ToUser("bob"))) },
			[]string{`DELETE /sdk/user/alice/user_channels/mark?resource=go_test {"mark":"mark_3","targets":[{"to":"bob","type":"chat"}]}`}, nil, nil,
		},
		"DeleteConversation": {
			func(c *Client) (any, error) { return done(c.DeleteConversation(ctx, ToGroup("G1"), true)) },
			[]string{`DELETE /user/alice/user_channel?resource=go_test {"channel":"G1","delete_roam":true,"type":"groupChat"}`}, nil, nil,
		},
		"History": {
			func(c *Client) (any, error) { return gather(c.History(ctx, ToUser("bob"), HistoryQuery{})) },
			[]string{
				`POST /users/alice/messageroaming {"end":-1,"endTime":null,"is_positive":false,"msgType":"","pull_number":50,"queue":"bob@easemob.com","start":-1,"startTime":null,"userId":null}`,
				`POST /users/alice/messageroaming {"end":-1,"endTime":null,"is_positive":false,"msgType":"","pull_number":50,"queue":"bob@easemob.com","start":"1001","startTime":null,"userId":null}`,
			},
			[]string{
				`{"data":{"msgs":[{"msg":"` + stored + `"},{"msg":"` + base64.StdEncoding.EncodeToString(other) + `"}],"next_key":"1001","is_last":false}}`,
				`{"data":{"msgs":[{"msg":"` + stored + `"}],"next_key":"1000","is_last":true}}`,
			},
			[]*Message{roamed, roamed},
		},
		"History of a group, filtered": {
			func(c *Client) (any, error) {
				return gather(c.History(ctx, ToGroup("G1"), HistoryQuery{
					OldestFirst: true, Kinds: []Kind{KindText, KindImage}, From: "bob", After: "1001",
					Since: time.UnixMilli(1_600_000_000_000), Until: at,
				}))
			},
			[]string{`POST /users/alice/messageroaming {"end":-1,"endTime":1700000000000,"is_positive":true,"msgType":"txt,img","pull_number":50,"queue":"G1@conference.easemob.com","start":"1001","startTime":1600000000000,"userId":"bob"}`},
			[]string{`{"data":{"msgs":[],"is_last":true}}`}, []*Message(nil),
		},
		"Search": {
			func(c *Client) (any, error) {
				return gather(c.Search(ctx, "hi there", SearchQuery{In: ToGroup("G1"), Kinds: []Kind{KindText}}))
			},
			[]string{
				"GET /users/alice/messages/search?limit=50&msgType=txt&text=hi there&to=G1&type=groupchat",
				"GET /users/alice/messages/search?cursor=c1&limit=50&msgType=txt&text=hi there&to=G1&type=groupchat",
			},
			[]string{`{"data":{"msgs":[{"msg":"` + stored + `"}],"cursor":"c1"}}`, `{"data":{"msgs":[],"cursor":""}}`}, []*Message{roamed},
		},
		"DeleteMessages": {
			func(c *Client) (any, error) { return done(c.DeleteMessages(ctx, ToUser("bob"), "M1", "M2")) },
			[]string{"DELETE /sdk/message/roaming/chat/user/alice?msgIdList=M1,M2&resource=go_test&userId=bob"}, nil, nil,
		},
		"DeleteMessagesBefore": {
			func(c *Client) (any, error) { return done(c.DeleteMessagesBefore(ctx, ToRoom("R1"), at)) },
			[]string{"DELETE /sdk/message/roaming/group/user/alice/time?delTime=1700000000000&groupId=R1&resource=go_test"}, nil, nil,
		},
		"DeleteAllMessages": {
			func(c *Client) (any, error) { return done(c.DeleteAllMessages(ctx)) },
			[]string{"POST /sdk/message/roaming/user/alice/delete/all?resource=go_test"}, nil, nil,
		},
		"PinMessage": {
			func(c *Client) (any, error) {
				return done(c.PinMessage(ctx, &Message{ID: "1001", Conversation: "R1", ChatType: RoomChat}))
			},
			[]string{`POST /sdk/user/alice/user_channel/pin?resource=go_test {"pin_msg_id":"1001","to":"R1","type":"chatroom"}`}, nil, nil,
		},
		"UnpinMessage": {
			func(c *Client) (any, error) {
				return done(c.UnpinMessage(ctx, &Message{ID: "1001", Conversation: "bob"}))
			},
			[]string{`DELETE /sdk/user/alice/user_channel/pin?resource=go_test {"pin_msg_id":"1001","to":"bob","type":"chat"}`}, nil, nil,
		},
		"PinnedMessages": {
			func(c *Client) (any, error) { return gather(c.PinnedMessages(ctx, ToUser("bob"))) },
			[]string{"GET /sdk/user/alice/user_channel/pin?cursor=&limit=20&to=bob&type=chat"},
			[]string{`{"data":{"cursor":"","msg_infos":[{"message":` + list + `,"pin_opt_at":1700000000000,"pin_operator":"bob"}]}}`},
			[]*PinnedMessage{{Message: listed, By: "bob", Time: at}},
		},
		"Report": {
			func(c *Client) (any, error) { return done(c.Report(ctx, "M1", "spam", "bad")) },
			[]string{`POST /user/alice/moderation/report/message/M1 {"reportReason":"bad","reportType":"spam","username":"alice"}`}, nil, nil,
		},
		"AddReaction": {
			func(c *Client) (any, error) { return done(c.AddReaction(ctx, "M1", "👍")) },
			[]string{`POST /reaction/user/alice {"message":"👍","msgId":"M1"}`}, nil, nil,
		},
		"RemoveReaction": {
			func(c *Client) (any, error) { return done(c.RemoveReaction(ctx, "M1", "a&b")) },
			[]string{"DELETE /reaction/user/alice?message=a&b&msgId=M1"}, nil, nil,
		},
		"Reactions": {
			func(c *Client) (any, error) { return c.Reactions(ctx, ToGroup("G1"), "M1", "M2") },
			[]string{"GET /reaction/user/alice?groupId=G1&msgIdList=M1,M2&msgType=groupchat"},
			[]string{`{"data":[{"msgId":"M1","reactionList":[{"reaction":"👍","reactionId":"1","state":true,"userCount":1,"userList":["alice"]}]},{"msgId":"M2","reactionList":[]}]}`},
			map[string][]Reaction{"M1": {{Reaction: "👍", Count: 1, Users: []string{"alice"}, Own: true}}},
		},
		"ReactionUsers": {
			func(c *Client) (any, error) { return gather(c.ReactionUsers(ctx, "M1", "ok")) },
			[]string{"GET /reaction/user/alice/detail?message=ok&msgId=M1&pageSize=50", "GET /reaction/user/alice/detail?currentPage=c1&message=ok&msgId=M1&pageSize=50"},
			[]string{`{"data":{"reaction":"ok","userCount":2,"userList":["alice"],"cursor":"c1"}}`, `{"data":{"userList":["bob"]}}`},
			[]string{"alice", "bob"},
		},
		"Languages": {
			func(c *Client) (any, error) { return c.Languages(ctx) },
			[]string{"GET /users/alice/translate/support/language"},
			[]string{`{"data":[{"code":"de","name":"German","nativeName":"Deutsch"}]}`}, []Language{{Code: "de", Name: "German", NativeName: "Deutsch"}},
		},
		"Translate": {
			func(c *Client) (any, error) { return c.Translate(ctx, "hello", "zh-Hans", "fr") },
			[]string{`POST /users/alice/translate {"text":"hello","to":["zh-Hans","fr"]}`},
			[]string{`{"data":[{"translations":[{"text":"bonjour","to":"fr"}]}]}`}, []Translation{{Language: "fr", Text: "bonjour"}},
		},

		"PublishPresence": {
			func(c *Client) (any, error) { return done(c.PublishPresence(ctx, "busy")) },
			[]string{`POST /users/alice/presence/go_test/1 {"ext":"busy"}`}, nil, nil,
		},
		"SubscribePresence": {
			func(c *Client) (any, error) { return c.SubscribePresence(ctx, time.Hour, "bob", "carol") },
			[]string{`POST /users/alice/presence/3600 {"usernames":["bob","carol"]}`},
			[]string{`{"result":[{"uid":"bob","last_time":"1700000000","expiry":"1700003600","ext":"busy","status":{"webim_web_1":"1"}},{"uid":"carol","last_time":0,"expiry":0,"status":{}}]}`},
			[]*Presence{
				{User: "bob", Text: "busy", LastSeen: at, Expires: at.Add(time.Hour), Devices: map[string]int{"webim_web_1": 1}},
				{User: "carol"},
			},
		},
		"PresenceOf": {
			func(c *Client) (any, error) { return c.PresenceOf(ctx, "bob") },
			[]string{`POST /users/alice/presence {"usernames":["bob"]}`}, []string{`{"result":[]}`}, []*Presence{},
		},
		"UnsubscribePresence": {
			func(c *Client) (any, error) { return done(c.UnsubscribePresence(ctx, "bob")) },
			[]string{`DELETE /users/alice/presence ["bob"]`}, nil, nil,
		},
		"PresenceSubscriptions": {
			func(c *Client) (any, error) { return gather(c.PresenceSubscriptions(ctx)) },
			[]string{"GET /users/alice/presence/sublist?pageNum=1&pageSize=50"},
			[]string{`{"result":{"totalnum":1,"sublist":[{"uid":"bob","expiry":1700000000}]}}`}, []Subscription{{User: "bob", Expires: at}},
		},

		"SetPushToken": {
			func(c *Client) (any, error) {
				return done(c.SetPushToken(ctx, PushToken{Device: "D1", Token: "DT", Notifier: "FCM1"}))
			},
			[]string{`PUT /users/alice {"device_id":"D1","device_token":"DT","notifier_name":"FCM1"}`}, nil, nil,
		},
		"RemovePushToken": {
			func(c *Client) (any, error) { return done(c.RemovePushToken(ctx, "D1")) },
			[]string{`PUT /users/alice {"device_id":"D1","device_token":"","notifier_name":""}`}, nil, nil,
		},
		"SetPushNickname": {
			func(c *Client) (any, error) { return done(c.SetPushNickname(ctx, "Nick")) },
			[]string{`PUT /users/alice {"nickname":"Nick"}`}, nil, nil,
		},
		"SetSilentMode": {
			func(c *Client) (any, error) {
				return done(c.SetSilentMode(ctx, SilentChange{Daily: &Interval{Clock{8, 5}, Clock{9, 30}}}))
			},
			[]string{`PUT /users/alice/notification/user/alice?resource=go_test {"ignoreInterval":"8:5-9:30"}`}, nil, nil,
		},
		"SilentMode": {
			func(c *Client) (any, error) { return c.SilentMode(ctx) },
			[]string{"GET /users/alice/notification/user/alice"},
			[]string{`{"data":{"type":"ALL","ignoreDuration":1700000000000,"ignoreInterval":"8:5-9:30"}}`},
			SilentMode{Remind: RemindAll, Until: at, Daily: &Interval{Clock{8, 5}, Clock{9, 30}}},
		},
		"SetConversationSilentMode": {
			func(c *Client) (any, error) {
				return done(c.SetConversationSilentMode(ctx, ToGroup("G1"), SilentChange{For: time.Minute}))
			},
			[]string{`PUT /users/alice/notification/chatgroup/G1?resource=go_test {"ignoreDuration":60000}`}, nil, nil,
		},
		"ClearConversationSilentMode": {
			func(c *Client) (any, error) { return done(c.ClearConversationSilentMode(ctx, ToUser("bob"))) },
			[]string{`PUT /users/alice/notification/user/bob?resource=go_test {"ignoreDuration":0,"type":"DEFAULT"}`}, nil, nil,
		},
		"ClearSilentMode": {
			func(c *Client) (any, error) { return done(c.ClearSilentMode(ctx)) },
			[]string{`PUT /users/alice/notification/user/alice?resource=go_test {"ignoreDuration":0,"ignoreInterval":"","type":"DEFAULT"}`}, nil, nil,
		},
		"ConversationSilentMode": {
			func(c *Client) (any, error) { return c.ConversationSilentMode(ctx, ToUser("bob")) },
			[]string{"GET /users/alice/notification/user/bob"}, []string{`{"data":{"type":"AT"}}`}, SilentMode{Remind: RemindMentioned},
		},
		"ConversationSilentModes": {
			func(c *Client) (any, error) {
				return c.ConversationSilentModes(ctx, ToUser("bob"), ToUser("carol"), ToGroup("G1"))
			},
			[]string{"GET /users/alice/notification?group=G1&user=bob,carol"},
			[]string{`{"data":{"user":{"bob":{"type":"AT"}},"group":{"G1":{"type":"NONE"}}}}`},
			map[Target]SilentMode{ToUser("bob"): {Remind: RemindMentioned}, ToGroup("G1"): {Remind: RemindNone}},
		},
		"SilentConversations": {
			func(c *Client) (any, error) { return gather(c.SilentConversations(ctx)) },
			[]string{"GET /users/alice/notification/mute/type?limit=50", "GET /users/alice/notification/mute/type?cursor=c1&limit=50"},
			[]string{`{"data":[{"user":"bob","value":"NONE"}],"cursor":"c1"}`, `{"data":[{"group":"G1","value":"AT"}],"cursor":""}`},
			[]ConversationRemind{{ToUser("bob"), RemindNone}, {ToGroup("G1"), RemindMentioned}},
		},
		"SetPushLanguage": {
			func(c *Client) (any, error) { return done(c.SetPushLanguage(ctx, "en")) },
			[]string{`PUT /users/alice/notification/language {"translationLanguage":"en"}`}, nil, nil,
		},
		"PushLanguage": {
			func(c *Client) (any, error) { return c.PushLanguage(ctx) },
			[]string{"GET /users/alice/notification/language"}, []string{`{"data":{"language":"en"}}`}, "en",
		},

		"CreateThread": {
			func(c *Client) (any, error) {
				thread, err := c.CreateThread(ctx, "G1", "M1", "topic")
				return thread.ID(), err
			},
			[]string{`POST /thread?resource=go_test {"group_id":"G1","msg_id":"M1","name":"topic","owner":"alice"}`}, []string{`{"data":{"thread_id":"T1"}}`}, "T1",
		},
		"Thread.Join": {
			func(c *Client) (any, error) { return c.Thread("T1").Join(ctx) },
			[]string{"POST /thread/T1/user/alice/join?resource=go_test"},
			[]string{`{"data":{"status":"ok","detail":{"id":"T1","name":"topic","owner":"alice","created":1700000000000,"msgId":"M1","groupId":"G1"}}}`},
			ThreadInfo{ID: "T1", Name: "topic", Owner: "alice", Group: "G1", MessageID: "M1", Created: at},
		},
		"Thread.Leave": {
			func(c *Client) (any, error) { return done(c.Thread("T1").Leave(ctx)) },
			[]string{"DELETE /thread/T1/user/alice/quit?resource=go_test"}, nil, nil,
		},
		"Thread.Destroy": {
			func(c *Client) (any, error) { return done(c.Thread("T1").Destroy(ctx)) },
			[]string{"DELETE /thread/T1?resource=go_test"}, nil, nil,
		},
		"Thread.Rename": {
			func(c *Client) (any, error) { return done(c.Thread("T1").Rename(ctx, "new name")) },
			[]string{`PUT /thread/T1?resource=go_test {"name":"new name"}`}, nil, nil,
		},
		"Thread.Members": {
			func(c *Client) (any, error) { return gather(c.Thread("T1").Members(ctx)) },
			[]string{"GET /thread/T1/users?cursor=&limit=50", "GET /thread/T1/users?cursor=c1&limit=50"},
			[]string{`{"data":{"affiliations":["alice"]},"properties":{"cursor":"c1"}}`, `{"data":{"affiliations":["bob"]},"properties":{}}`}, []string{"alice", "bob"},
		},
		"Thread.Remove": {
			func(c *Client) (any, error) { return done(c.Thread("T1").Remove(ctx, "bob")) },
			[]string{"DELETE /thread/T1/users/bob?resource=go_test"}, nil, nil,
		},
		"JoinedThreads": {
			func(c *Client) (any, error) { return gather(c.JoinedThreads(ctx, "")) },
			[]string{"GET /threads/user/alice?cursor=&limit=50"},
			[]string{`{"entities":[{"id":"T1","name":"topic","owner":"alice","created":1700000000000,"msgId":"M1","groupId":"G1"}],"properties":{"cursor":""}}`},
			[]ThreadInfo{{ID: "T1", Name: "topic", Owner: "alice", Group: "G1", MessageID: "M1", Created: at}},
		},
		"JoinedThreads of a group": {
			func(c *Client) (any, error) { return gather(c.JoinedThreads(ctx, "G1")) },
			[]string{"GET /threads/chatgroups/G1/user/alice?cursor=&limit=50"}, []string{`{"entities":[]}`}, []ThreadInfo(nil),
		},
		"Group.Threads": {
			func(c *Client) (any, error) { return gather(c.Group("G1").Threads(ctx)) },
			[]string{"GET /threads/chatgroups/G1?cursor=&limit=50"}, []string{`{"entities":[]}`}, []ThreadInfo(nil),
		},
		"LastMessages": {
			func(c *Client) (any, error) { return c.LastMessages(ctx, "T1", "T2") },
			[]string{`POST /thread/message {"threadIds":["T1","T2"]}`},
			[]string{`{"entities":[{"thread_id":"T1","last_message":{"id":"1001","from":"bob","to":"T1","timestamp":1700000000000,"payload":{"bodies":[{"type":"txt","msg":"hi"}],"from":"bob","to":"T1","type":"groupchat","ext":{}}}},{"thread_id":"T2","last_message":{}}]}`},
			map[string]*Message{"T1": {ID: "1001", From: "bob", To: "T1", Conversation: "T1", ChatType: ThreadChat, Time: at, Content: Content{Text: "hi"}}},
		},
		"Thread.Info": {
			func(c *Client) (any, error) { return c.Thread("T1").Info(ctx) },
			[]string{"GET /thread/T1"},
			[]string{`{"data":{"id":"T1","name":"topic","owner":"alice","created":1700000000000,"msgId":"M1","groupId":"G1","affiliations_count":2}}`},
			ThreadInfo{ID: "T1", Name: "topic", Owner: "alice", Group: "G1", MessageID: "M1", Members: 2, Created: at},
		},

		"CreateGroup": {
			func(c *Client) (any, error) {
				group, err := c.CreateGroup(ctx, GroupOptions{Name: "g", Description: "d", Members: []string{"bob"}, Public: true, InviteConfirm: true, MaxMembers: 300, Ext: "x"})
				return group.ID(), err
			},
			[]string{`POST /chatgroups?resource=go_test {"allowinvites":true,"approval":false,"avatar":"","custom":"x","desc":"d","groupname":"g","invite_need_confirm":true,"maxusers":300,"members":["bob"],"owner":"alice","public":true}`},
			[]string{`{"data":{"groupid":"G1"}}`}, "G1",
		},
		"CreateGroup with defaults": {
			func(c *Client) (any, error) {
				group, err := c.CreateGroup(ctx, GroupOptions{Name: "g"})
				return group.ID(), err
			},
			[]string{`POST /chatgroups?resource=go_test {"allowinvites":true,"approval":false,"avatar":"","custom":"","desc":"","groupname":"g","invite_need_confirm":false,"maxusers":200,"owner":"alice","public":false}`},
			[]string{`{"data":{"groupid":"G1"}}`}, "G1",
		},
		"PublicGroups": {
			func(c *Client) (any, error) { return gather(c.PublicGroups(ctx)) },
			[]string{"GET /publicchatgroups?limit=50", "GET /publicchatgroups?cursor=c1&limit=50"},
			[]string{`{"data":[{"groupid":"G1","groupname":"g"}],"cursor":"c1"}`, `{"data":[]}`}, []GroupInfo{{ID: "G1", Name: "g"}},
		},
		"JoinedGroups": {
			func(c *Client) (any, error) { return gather(c.JoinedGroups(ctx)) },
			[]string{"GET /chatgroups/user/alice?needAffiliations=true&needRole=true&pagenum=0&pagesize=20"},
			[]string{`{"uri":"/x","entities":[{"groupId":"G1","name":"g","description":"d","public":true,"membersonly":true,"allowinvites":false,"maxusers":200,"affiliations_count":2,"permission":"owner","disabled":true}]}`},
			[]GroupInfo{{ID: "G1", Name: "g", Description: "d", Public: true, JoinApproval: true, OnlyAdminsInvite: true, MaxMembers: 200, Members: 2, Role: RoleOwner, Disabled: true}},
		},
		"JoinedGroupCount": {
			func(c *Client) (any, error) { return c.JoinedGroupCount(ctx) },
			[]string{"GET /chatgroups/user/alice/joined_count"}, []string{`{"data":7}`}, 7,
		},
		"Group.Info": {
			func(c *Client) (any, error) { return c.Group("G1").Info(ctx) },
			[]string{"GET /chatgroups/G1?joined_time=true"},
			[]string{`{"data":[{"id":"G1","name":"g","description":"d","owner":"alice","public":true,"membersonly":true,"allowinvites":true,"maxusers":200,"affiliations_count":2,"affiliations":[{"owner":"alice","joined_time":1700000000000},{"member":"bob","joined_time":1700000000000}],"created":1700000000000,"custom":"x","mute":true,"shieldgroup":true,"avatar":"a"}]}`},
			GroupInfo{
				ID: "G1", Name: "g", Description: "d", Owner: "alice", Public: true, JoinApproval: true, MaxMembers: 200, Members: 2, Created: at, Ext: "x", MutedAll: true, Blocked: true, Avatar: "a",
				Affiliations: []Member{{User: "alice", Role: RoleOwner, Joined: at}, {User: "bob", Role: RoleMember, Joined: at}},
			},
		},
		"GroupInfos": {
			func(c *Client) (any, error) { return c.GroupInfos(ctx, "G1", "G2") },
			[]string{"GET /chatgroups/G1%2CG2?joined_time=true"}, []string{`{"data":[{"id":"G1"}]}`}, []GroupInfo{{ID: "G1"}},
		},
		"Group.Update": {
			func(c *Client) (any, error) {
				return done(c.Group("G1").Update(ctx, GroupUpdate{Name: new("g2"), Avatar: new("a"), Description: new("d2"), Ext: new("y")}))
			},
			[]string{`PUT /chatgroups/G1?resource=go_test {"avatar":"a","custom":"y","description":"d2","groupname":"g2"}`}, nil, nil,
		},
		"Group.TransferTo": {
			func(c *Client) (any, error) { return done(c.Group("G1").TransferTo(ctx, "bob")) },
			[]string{`PUT /chatgroups/G1?resource=go_test {"newowner":"bob"}`}, nil, nil,
		},
		"Group.Members": {
			func(c *Client) (any, error) { return gather(c.Group("G1").Members(ctx)) },
			[]string{"GET /chatgroups/G1/users?cursor=&joined_time=true&limit=50", "GET /chatgroups/G1/users?cursor=c1&joined_time=true&limit=50"},
			[]string{
				`{"data":[{"owner":"alice","joined_time":1700000000000},{"admin":"carol","joined_time":1700000000000}],"cursor":"c1"}`,
				`{"data":[{"member":"bob","joined_time":1700000000000}],"cursor":""}`,
			},
			[]Member{{"alice", RoleOwner, at}, {"carol", RoleAdmin, at}, {"bob", RoleMember, at}},
		},
		"Group.Admins": {
			func(c *Client) (any, error) { return c.Group("G1").Admins(ctx) },
			[]string{"GET /chatgroups/G1/admin"}, []string{`{"data":["carol"]}`}, []string{"carol"},
		},
		"Group.SetAdmin": {
			func(c *Client) (any, error) { return done(c.Group("G1").SetAdmin(ctx, "bob")) },
			[]string{`POST /chatgroups/G1/admin?resource=go_test {"newadmin":"bob"}`}, nil, nil,
		},
		"Group.RemoveAdmin": {
			func(c *Client) (any, error) { return done(c.Group("G1").RemoveAdmin(ctx, "bob")) },
			[]string{"DELETE /chatgroups/G1/admin/bob?resource=go_test"}, nil, nil,
		},
		"Group.Destroy": {
			func(c *Client) (any, error) { return done(c.Group("G1").Destroy(ctx)) },
			[]string{"DELETE /chatgroups/G1?resource=go_test&version=v3"}, nil, nil,
		},
		"Group.Leave": {
			func(c *Client) (any, error) { return done(c.Group("G1").Leave(ctx)) },
			[]string{"DELETE /chatgroups/G1/quit?resource=go_test"}, nil, nil,
		},
		"Group.Invite": {
			func(c *Client) (any, error) { return done(c.Group("G1").Invite(ctx, "bob", "carol")) },
			[]string{`POST /chatgroups/G1/invite?resource=go_test {"usernames":["bob","carol"]}`}, nil, nil,
		},
		"Group.Join": {
			func(c *Client) (any, error) { return done(c.Group("G1").Join(ctx, "let me in")) },
			[]string{`POST /chatgroups/G1/apply?resource=go_test {"message":"let me in"}`}, nil, nil,
		},
		"Group.AcceptJoin": {
			func(c *Client) (any, error) { return done(c.Group("G1").AcceptJoin(ctx, "bob")) },
			[]string{`POST /chatgroups/G1/apply_verify?resource=go_test {"applicant":"bob","verifyResult":true}`}, nil, nil,
		},
		"Group.RejectJoin": {
			func(c *Client) (any, error) { return done(c.Group("G1").RejectJoin(ctx, "bob", "no")) },
			[]string{`POST /chatgroups/G1/apply_verify?resource=go_test {"applicant":"bob","reason":"no","verifyResult":false}`}, nil, nil,
		},
		"Group.AcceptInvite": {
			func(c *Client) (any, error) { return done(c.Group("G1").AcceptInvite(ctx)) },
			[]string{`POST /chatgroups/G1/invite_verify?resource=go_test {"invitee":"alice","verifyResult":true}`}, nil, nil,
		},
		"Group.RejectInvite": {
			func(c *Client) (any, error) { return done(c.Group("G1").RejectInvite(ctx)) },
			[]string{`POST /chatgroups/G1/invite_verify?resource=go_test {"invitee":"alice","verifyResult":false}`}, nil, nil,
		},
		"Group.Remove": {
			func(c *Client) (any, error) { return done(c.Group("G1").Remove(ctx, "bob", "carol")) },
			[]string{"DELETE /chatgroups/G1/users/bob%2Ccarol?resource=go_test"}, nil, nil,
		},
		"Group.Mute": {
			func(c *Client) (any, error) { return done(c.Group("G1").Mute(ctx, time.Minute, "bob")) },
			[]string{`POST /chatgroups/G1/mute?resource=go_test {"mute_duration":60000,"usernames":["bob"]}`}, nil, nil,
		},
		"Group.Mute for ever": {
			func(c *Client) (any, error) { return done(c.Group("G1").Mute(ctx, Forever, "bob")) },
			[]string{`POST /chatgroups/G1/mute?resource=go_test {"mute_duration":-1,"usernames":["bob"]}`}, nil, nil,
		},
		"Group.Unmute": {
			func(c *Client) (any, error) { return done(c.Group("G1").Unmute(ctx, "bob", "carol")) },
			[]string{"DELETE /chatgroups/G1/mute/bob%2Ccarol?resource=go_test"}, nil, nil,
		},
		"Group.Muted": {
			func(c *Client) (any, error) { return c.Group("G1").Muted(ctx) },
			[]string{"GET /chatgroups/G1/mute"}, []string{`{"data":[{"expire":1700000000000,"user":"bob"},{"expire":-1,"user":"carol"},{"expire":9007199254740991,"user":"dave"}]}`},
			[]Mute{{User: "bob", Until: at}, {User: "carol"}, {User: "dave"}},
		},
		"Group.IsMuted": {
			func(c *Client) (any, error) { return c.Group("G1").IsMuted(ctx) },
			[]string{"GET /sdk/chatgroups/G1/mute/alice"}, []string{`{"data":true}`}, true,
		},
		"Group.Block": {
			func(c *Client) (any, error) { return done(c.Group("G1").Block(ctx, "bob", "carol")) },
			[]string{`POST /chatgroups/G1/blocks/users?resource=go_test {"usernames":["bob","carol"]}`}, nil, nil,
		},
		"Group.Unblock": {
			func(c *Client) (any, error) { return done(c.Group("G1").Unblock(ctx, "bob")) },
			[]string{"DELETE /chatgroups/G1/blocks/users/bob?resource=go_test"}, nil, nil,
		},
		"Group.Blocked": {
			func(c *Client) (any, error) { return c.Group("G1").Blocked(ctx) },
			[]string{"GET /chatgroups/G1/blocks/users"}, []string{`{"data":["bob"]}`}, []string{"bob"},
		},
		"Group.MuteAll": {
			func(c *Client) (any, error) { return done(c.Group("G1").MuteAll(ctx)) },
			[]string{"POST /chatgroups/G1/ban?resource=go_test"}, nil, nil,
		},
		"Group.UnmuteAll": {
			func(c *Client) (any, error) { return done(c.Group("G1").UnmuteAll(ctx)) },
			[]string{"DELETE /chatgroups/G1/ban?resource=go_test"}, nil, nil,
		},
		"Group.Allow": {
			func(c *Client) (any, error) { return done(c.Group("G1").Allow(ctx, "bob")) },
			[]string{`POST /chatgroups/G1/white/users?resource=go_test {"usernames":["bob"]}`}, nil, nil,
		},
		"Group.Disallow": {
			func(c *Client) (any, error) { return done(c.Group("G1").Disallow(ctx, "bob")) },
			[]string{"DELETE /chatgroups/G1/white/users/bob?resource=go_test"}, nil, nil,
		},
		"Group.Allowed": {
			func(c *Client) (any, error) { return c.Group("G1").Allowed(ctx) },
			[]string{"GET /chatgroups/G1/white/users"}, []string{`{"data":["alice","bob"]}`}, []string{"alice", "bob"},
		},
		"Group.IsAllowed": {
			func(c *Client) (any, error) { return c.Group("G1").IsAllowed(ctx, "bob") },
			[]string{"GET /chatgroups/G1/white/users/bob"}, []string{`{"data":{"white":true,"member":"bob"}}`}, true,
		},
		"Group.Readers": {
			func(c *Client) (any, error) { return gather(c.Group("G1").Readers(ctx, "M1")) },
			[]string{"GET /chatgroups/G1/acks/M1?limit=500", "GET /chatgroups/G1/acks/M1?key=k1&limit=500"},
			[]string{`{"data":{"is_last":false,"next_key":"k1","total":2,"userlist":["bob"]}}`, `{"data":{"is_last":true,"next_key":"k2","total":2,"userlist":["carol"]}}`},
			[]string{"bob", "carol"},
		},
		"Group.ReadCount": {
			func(c *Client) (any, error) { return c.Group("G1").ReadCount(ctx, "M1") },
			[]string{"GET /chatgroups/G1/acks/M1?limit=1"}, []string{`{"data":{"total":2,"userlist":["bob"]}}`}, 2,
		},
		"Group.Announcement": {
			func(c *Client) (any, error) { return c.Group("G1").Announcement(ctx) },
			[]string{"GET /chatgroups/G1/announcement"}, []string{`{"data":{"announcement":"hi"}}`}, "hi",
		},
		"Group.SetAnnouncement": {
			func(c *Client) (any, error) { return done(c.Group("G1").SetAnnouncement(ctx, "hi")) },
			[]string{`POST /chatgroups/G1/announcement?resource=go_test {"announcement":"hi"}`}, nil, nil,
		},
		"Group.SharedFiles": {
			func(c *Client) (any, error) { return gather(c.Group("G1").SharedFiles(ctx)) },
			[]string{"GET /chatgroups/G1/share_files?pagenum=1&pagesize=50"},
			[]string{`{"data":[{"file_id":"F1","file_name":"a.txt","file_owner":"alice","file_size":3,"created":1700000000000}]}`},
			[]SharedFile{{ID: "F1", Name: "a.txt", Owner: "alice", Size: 3, Created: at}},
		},
		"Group.DeleteFile": {
			func(c *Client) (any, error) { return done(c.Group("G1").DeleteFile(ctx, "F1")) },
			[]string{"DELETE /chatgroups/G1/share_files/F1?resource=go_test"}, nil, nil,
		},
		"Group.SetMemberAttributes": {
			func(c *Client) (any, error) {
				return done(c.Group("G1").SetMemberAttributes(ctx, "bob", map[string]string{"k": "v"}))
			},
			[]string{`PUT /sdk/metadata/chatgroup/G1/user/bob?resource=go_test {"metaData":{"k":"v"}}`}, nil, nil,
		},
		"Group.MemberAttributes": {
			func(c *Client) (any, error) { return c.Group("G1").MemberAttributes(ctx, []string{"bob"}) },
			[]string{`POST /sdk/metadata/chatgroup/G1/get {"properties":[],"targets":["bob"]}`},
			[]string{`{"data":{"bob":{"k":"v"}}}`}, map[string]map[string]string{"bob": {"k": "v"}},
		},
		"Group.BlockMessages": {
			func(c *Client) (any, error) { return done(c.Group("G1").BlockMessages(ctx)) },
			[]string{"POST /chatgroups/G1/shield?resource=go_test&version=v3"}, nil, nil,
		},
		"Group.UnblockMessages": {
			func(c *Client) (any, error) { return done(c.Group("G1").UnblockMessages(ctx)) },
			[]string{"DELETE /chatgroups/G1/shield?resource=go_test&version=v3"}, nil, nil,
		},
		"Group.IgnorePush": {
			func(c *Client) (any, error) { return done(c.Group("G1").IgnorePush(ctx, true)) },
			[]string{`PUT /users/alice?resource=go_test {"entities":[{"notification_ignore_G1":true}]}`}, nil, nil,
		},

		"Rooms": {
			func(c *Client) (any, error) { return gather(c.Rooms(ctx)) },
			[]string{"GET /chatrooms?pagenum=1&pagesize=50"},
			[]string{`{"data":[{"id":"R1","name":"r","owner":"alice","affiliations_count":3}]}`}, []GroupInfo{{ID: "R1", Name: "r", Owner: "alice", Members: 3}},
		},
		"JoinedRooms": {
			func(c *Client) (any, error) { return gather(c.JoinedRooms(ctx)) },
			[]string{"GET /users/alice/joined_chatrooms?detail=true&pagenum=1&pagesize=50"},
			[]string{`{"data":[{"id":"R1","title":"r","owner":"stoa#demo_alice","created":1700000000000,"description":"d","max_users":200}]}`},
			[]GroupInfo{{ID: "R1", Name: "r", Owner: "alice", Created: at, Description: "d", MaxMembers: 200}},
		},
		"CreateRoom": {
			func(c *Client) (any, error) {
				room, err := c.CreateRoom(ctx, RoomOptions{Name: "r", Description: "d", MaxMembers: 200, Members: []string{"bob"}})
				return room.ID(), err
			},
			[]string{`POST /chatrooms?resource=go_test {"description":"d","maxusers":200,"members":["bob"],"name":"r","owner":"alice"}`},
			[]string{`{"data":{"id":"R1"}}`}, "R1",
		},
		"Room.Destroy": {
			func(c *Client) (any, error) { return done(c.Room("R1").Destroy(ctx, "APP")) },
			[]string{"DELETE /chatrooms/R1?resource=go_test&version=v3"}, nil, nil,
		},
		"Room.Info": {
			func(c *Client) (any, error) { return c.Room("R1").Info(ctx) },
			[]string{"GET /chatrooms/R1"}, []string{`{"data":[{"id":"R1","name":"r"}]}`}, GroupInfo{ID: "R1", Name: "r"},
		},
		"Room.Update": {
			func(c *Client) (any, error) {
				return done(c.Room("R1").Update(ctx, RoomUpdate{Name: new("r2"), Description: new("d2"), MaxMembers: new(300)}))
			},
			[]string{`PUT /chatrooms/R1?resource=go_test {"description":"d2","groupname":"r2","maxusers":300}`}, nil, nil,
		},
		"Room.Add": {
			func(c *Client) (any, error) { return done(c.Room("R1").Add(ctx, "bob", "carol")) },
			[]string{`POST /chatrooms/R1/users?resource=go_test {"usernames":["bob","carol"]}`}, nil, nil,
		},
		"Room.IsMuted": {
			func(c *Client) (any, error) { return c.Room("R1").IsMuted(ctx) },
			[]string{"GET /sdk/chatrooms/R1/mute/alice"}, []string{`{"data":false}`}, false,
		},
		"Room.Block": {
			func(c *Client) (any, error) { return done(c.Room("R1").Block(ctx, "bob")) },
			[]string{`POST /chatrooms/R1/blocks/users?resource=go_test {"usernames":["bob"]}`}, nil, nil,
		},
		"Room.Attributes": {
			func(c *Client) (any, error) { return c.Room("R1").Attributes(ctx, "k1") },
			[]string{`POST /metadata/chatroom/R1 {"keys":["k1"]}`}, []string{`{"data":{"k1":"v1"}}`}, map[string]string{"k1": "v1"},
		},
		"Room.Attributes, all": {
			func(c *Client) (any, error) { return c.Room("R1").Attributes(ctx) },
			[]string{`POST /metadata/chatroom/R1 {}`}, []string{`{"data":{}}`}, map[string]string{},
		},
		"Room.SetAttributes": {
			func(c *Client) (any, error) {
				return done(c.Room("R1").SetAttributes(ctx, map[string]string{"k1": "v1"}, AttributeOptions{}))
			},
			[]string{`PUT /metadata/chatroom/R1/user/alice {"autoDelete":"DELETE","metaData":{"k1":"v1"}}`},
			[]string{`{"data":{"successKeys":["k1"],"errorKeys":{}}}`}, nil,
		},
		"Room.SetAttributes by force": {
			func(c *Client) (any, error) {
				return done(c.Room("R1").SetAttributes(ctx, map[string]string{"k1": "v1"}, AttributeOptions{Keep: true, Force: true}))
			},
			[]string{`PUT /metadata/chatroom/R1/user/alice/forced {"autoDelete":"NO_DELETE","metaData":{"k1":"v1"}}`},
			[]string{`{"data":{"successKeys":["k1"],"errorKeys":{}}}`}, nil,
		},
		"Room.RemoveAttributes": {
			func(c *Client) (any, error) { return done(c.Room("R1").RemoveAttributes(ctx, false, "k1")) },
			[]string{`DELETE /metadata/chatroom/R1/user/alice {"keys":["k1"]}`}, []string{`{"data":{"successKeys":["k1"],"errorKeys":{}}}`}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newRESTPeer(t)
			if tt.answers == nil {
				tt.answers = []string{"{}"}
			}
			for _, body := range tt.answers {
				p.answers = append(p.answers, answer{http.StatusOK, body})
			}
			got, err := tt.call(p.Client)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.requests, p.requests); diff != "" {
				t.Errorf("requests differ (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("result differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCallsWithBadArgumentsAskNothing(t *testing.T) {
	ctx := t.Context()
	p := newRESTPeer(t)
	c := p.Client
	second := func(_ any, err error) error { return err }
	for name, err := range map[string]error{
		"a group without id":          c.Group("").Leave(ctx),
		"a path":                      c.Group("..").Leave(ctx),
		"no users":                    c.Group("G1").Remove(ctx),
		"a comma":                     c.Group("G1").Remove(ctx, "a,b"),
		"no members to mute":          c.Room("R1").Mute(ctx, Forever),
		"a mute that is over":         c.Room("R1").Mute(ctx, -time.Second, "bob"),
		"a mute of no time":           c.Room("R1").Mute(ctx, time.Microsecond, "bob"),
		"a shared file without an id": c.Group("G1").DownloadFile(ctx, "", io.Discard),
		"a shared file of dots":       c.Group("G1").DownloadFile(ctx, "..", io.Discard),
		"no conversation":             second(gather(c.History(ctx, Target{}, HistoryQuery{}))),
		"no messages":                 c.DeleteMessages(ctx, ToUser("bob")),
		"messages of nobody":          c.DeleteMessagesBefore(ctx, Target{}, time.Now()),
		"mark 20":                     c.MarkConversations(ctx, 20, ToUser("bob")),
		"nothing to mark":             c.MarkConversations(ctx, 1),
		"a pin without message":       c.PinMessage(ctx, nil),
		"no reactions":                second(c.Reactions(ctx, ToUser("bob"))),
		"nothing to translate":        second(c.Translate(ctx, " ", "fr")),
		"a short subscription":        second(c.SubscribePresence(ctx, time.Millisecond, "bob")),
		"no presence":                 second(c.PresenceOf(ctx)),
		"nobody to unsubscribe":       c.UnsubscribePresence(ctx),
		"no attributes":               c.UpdateProfile(ctx, nil),
		"no profiles":                 second(c.Profiles(ctx, nil)),
		"no numbers":                  second(c.RTCUsers(ctx)),
		"no silent mode":              c.SetSilentMode(ctx, SilentChange{}),
		"two silent modes":            c.SetSilentMode(ctx, SilentChange{Remind: RemindAll, For: time.Hour}),
		"no time of day":              c.SetSilentMode(ctx, SilentChange{Daily: &Interval{To: Clock{24, 0}}}),
		"daily for a conversation":    c.SetConversationSilentMode(ctx, ToUser("bob"), SilentChange{Daily: &Interval{}}),
		"no silent modes":             second(c.ConversationSilentModes(ctx)),
		"no threads":                  second(c.LastMessages(ctx)),
		"no member attributes":        second(c.Group("G1").MemberAttributes(ctx, nil)),
		"a text that holds no file":   c.Download(ctx, Content{}, io.Discard),
		"a text taken for a combined": second(c.CombinedMessages(ctx, Content{Text: "x"})),
		"a file of kind text":         second(c.SendFile(ctx, "bob", NewFile("a", []byte("x")), Content{})),
	} {
		if codeOf(err) != errcode.InvalidParameter {
			t.Errorf("%s is %v, want -3", name, err)
		}
	}
	wantCode(t, c.PublishPresence(ctx, strings.Repeat("x", 1025)), errcode.PresenceTooLong)
	if len(p.requests) > 0 {
		t.Errorf("requests %v", p.requests)
	}
}

func TestCallsWithoutASession(t *testing.T) {
	c, err := New("stoa#demo")
	if err != nil {
		t.Fatal(err)
	}
	err = c.Group("G1").Leave(t.Context())
	if codeOf(err) != errcode.RestNoSession || !errors.Is(err, errcode.InvalidToken) {
		t.Errorf("error is %v, want 700 with 28", err)
	}
	_, err = gather(c.Conversations(t.Context()))
	wantCode(t, err, errcode.RestNoSession)
	_, err = c.Room("R1").Join(t.Context(), JoinOptions{})
	wantCode(t, err, errcode.NotLoggedIn)
	_, err = c.Upload(t.Context(), ToUser("bob"), NewFile("a", []byte("x")))
	wantCode(t, err, errcode.UploadNotLoggedIn)
	_, err = c.Group("G1").UploadFile(t.Context(), NewFile("a", []byte("x")))
	wantCode(t, err, errcode.UploadNotLoggedIn)
	wantCode(t, c.Download(t.Context(), Content{URL: "http://x/y"}, io.Discard), errcode.RestNoSession)
}

func TestAListThatFailsOnItsSecondPageYieldsTheFirst(t *testing.T) {
	p := newRESTPeer(t)
	p.answers = []answer{{200, `{"data":[{"member":"bob"}],"cursor":"c1"}`}, {404, `{"error_description":"grpID G1 does not exist!"}`}}
	got, err := gather(p.Group("G1").Members(t.Context()))
	wantCode(t, err, errcode.GroupNotExist)
	if diff := cmp.Diff([]Member{{User: "bob", Role: RoleMember}}, got); diff != "" {
		t.Errorf("members differ (-want +got):\n%s", diff)
	}
}

func TestAListThatRepeatsItsCursorEnds(t *testing.T) {
	p := newRESTPeer(t)
	for range 3 {
		p.answers = append(p.answers, answer{200, `{"data":[],"cursor":"c1"}`})
	}
	if _, err := gather(p.Group("G1").Members(t.Context())); err != nil || len(p.requests) != 2 {
		t.Errorf("%d requests, %v", len(p.requests), err)
	}
}

func TestAttributesThatCouldNotBeSet(t *testing.T) {
	p := newRESTPeer(t)
	p.answers = []answer{{200, `{"data":{"successKeys":["a"],"errorKeys":{"c":"c is not Legal","b":"room is not part of you"}}}`}}
	err := p.Room("R1").SetAttributes(t.Context(), map[string]string{"a": "1", "b": "2", "c": "3"}, AttributeOptions{})
	wantCode(t, err, errcode.NoPermission)
	reasons, _ := json.Marshal(err.(*Error).Data["attributes"])
	if string(reasons) != `{"b":"room is not part of you","c":"c is not Legal"}` {
		t.Errorf("reasons are %s", reasons)
	}
}

func TestUsersThatWereRefused(t *testing.T) {
	p := newRESTPeer(t)
	p.answers = []answer{{200, `{"data":[{"user":"bob","result":true},{"user":"dave","result":false,"reason":"full"},{"user":"carol","result":false,"reason":"blocked"}]}`}}
	err := p.Group("G1").Invite(t.Context(), "bob", "carol", "dave")
	wantCode(t, err, errcode.RequestFailed)
	if diff := cmp.Diff(map[string]string{"carol": "blocked", "dave": "full"}, err.(*Error).Data["users"]); diff != "" {
		t.Errorf("data differs (-want +got):\n%s", diff)
	}
	for _, told := range []string{`{"user":"bob","result":true}`, `["bob"]`, `{"newmembers":["bob"]}`, `true`, `{"result":"success"}`} {
		p.answers = []answer{{200, `{"data":` + told + `}`}}
		if err := p.Room("R1").Block(t.Context(), "bob"); err != nil {
			t.Errorf("%s is %v", told, err)
		}
	}
}

func TestConversationsThatCouldNotBeMarked(t *testing.T) {
	p := newRESTPeer(t)
	p.answers = []answer{{200, `{"data":{"ignore":[{"to":"carol","type":"chat"}]}}`}}
	err := p.MarkConversations(t.Context(), 1, ToUser("bob"), ToUser("carol"))
	wantCode(t, err, errcode.ConversationNotExist)
	if diff := cmp.Diff([]string{"carol"}, err.(*Error).Data["conversations"]); diff != "" {
		t.Errorf("data differs (-want +got):\n%s", diff)
	}
}

func TestAHistoryThatDoesNotDecode(t *testing.T) {
	for name, page := range map[string]string{
		"base64": `{"data":{"msgs":[{"msg":"?"}],"is_last":true}}`,
		"Meta":   `{"data":{"msgs":[{"msg":"/w=="}],"is_last":true}}`,
	} {
		t.Run(name, func(t *testing.T) {
			p := newRESTPeer(t)
			p.answers = []answer{{200, page}}
			_, err := gather(p.History(t.Context(), ToUser("bob"), HistoryQuery{}))
			wantCode(t, err, errcode.BadMessage)
		})
	}
}
