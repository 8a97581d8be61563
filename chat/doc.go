// Package chat is the Go SDK of Stoa: it logs a user in to a chat server, does there what users can do with messages,
// people, groups, chatrooms and threads, hears of what others do, and keeps the connection up.
//
//	c, err := chat.New("stoa#demo", chat.WithServer("http://127.0.0.1:8080"))
//	if err != nil { … }
//	defer c.Close()
//	c.AddEventListener("bot", chat.Listener{OnTextMessage: func(m *chat.Message) { fmt.Println(m.From, m.Text) }})
//	err = c.Login(ctx, "alice", chat.Password("stoa"))
//	m, err := c.SendText(ctx, "bob", "hi")
//
// # Conversations and places
//
// A [Target] names a conversation: [ToUser], [ToGroup], [ToRoom], [ToThread]. Messages are sent with [Client.Send] and its
// relatives, to a user or with [WithChatType] elsewhere. [Client.Group], [Client.Room] and [Client.Thread] give what can
// be done in these places:
//
//	g, err := c.CreateGroup(ctx, chat.GroupOptions{Name: "hikers", Members: []string{"bob"}})
//	err = g.Mute(ctx, time.Hour, "bob")
//	for m, err := range c.History(ctx, chat.ToGroup(g.ID()), chat.HistoryQuery{}) { … }
//
// Lists that can be long are iterators. They ask for page after page while they are read, and yield an error as the last.
// What a user does is told to the user's other devices, and to the others whom it concerns, by the callbacks of a
// [Listener]; the device that does it hears of it by the call's return.
//
// # Errors
//
// Every error is an [*Error] with a code of the catalogue (package errcode). An error that answers a call is returned
// by that call and nowhere else, except that a refused login also reaches OnError, so that one listener sees all that
// happens to the session. What no call waits for (kicks, lost connections, panics in callbacks, frames that do not
// decode) goes to OnError.
//
// # Lost connections
//
// The client reconnects by itself, with growing pauses ([Reconnect]). Unlike the web SDK, which rejects with 510
// whatever was under way, a call that was sent and not answered stays open, and its frame is sent again, unchanged and
// with the same id, after the reconnect: the server recognises the id and stores the message once. Calls made meanwhile
// wait in the offline queue. A call ends with
//
//   - the server's verdict;
//   - 512 (SendTimeout), when the server has had the frame for the send timeout and did not answer;
//   - -1 (RequestTimeout) or -4 (RequestAbort), when its context ended while the connection was up;
//   - 32 (ClientOffline), when its context ended while it waited for a connection, or when it could not be queued;
//   - 510 (SendInterrupted), when the connection broke under it and its context or the session ended before it could be
//     sent again, when that happened to the same frame five times, or when no reconnect succeeded;
//   - 39 (NotLoggedIn), or the code that ended the session, when it had not been sent at all.
//
// After -1, -4, 510 and 512 the server may have the message. Sending it again with the same [WithClientID] (the id is in
// the error's Data under "id") is safe: it will not be stored twice.
//
// # The end of a session
//
// A kick (206, 207, 216, 217), refused credentials on a reconnect and the end of the token end the session at once:
// timers stop, nothing reconnects, and calls return 39 until the next Login.
//
// # Callbacks
//
// Callbacks run one at a time, in the order of the events, on a goroutine of their own. They may call any method of
// the client. Messages are acknowledged to the server when their callbacks have returned; what was received but not yet
// handed out when the client is closed comes again at the next login.
package chat
