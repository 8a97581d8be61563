package chat

// Listener is a set of callbacks; those that are nil are skipped. All callbacks of a client run one at a time, in the
// order of the events, on a goroutine that is not the caller's. They may call methods of the client, also Close, and
// should return soon: while one runs, the others wait. What they are given is shared by all listeners and must not be
// changed.
//
// A panic in a callback is recovered and reported to OnError as 31; a panic in OnError itself is logged.
type Listener struct {
	// OnConnected is called when the session is up: after Login and after each reconnect.
	OnConnected func()
	// OnReconnecting is called when the connection was lost and the client begins to open it again.
	OnReconnecting func()
	// OnDisconnected is called once when the session has ended and nothing will reconnect. The error is nil after Logout
	// and Close, else an *Error: the kick or refusal that ended the session, 16 when no reconnect succeeded, 56 when the
	// token came to its end.
	OnDisconnected func(err error)

	// OnTextMessage is called for text messages, OnMessage after it for messages of every kind, commands too. A message
	// that the user sent from another device comes too, with From = the user.
	OnTextMessage func(m *Message)
	OnMessage     func(m *Message)
	// OnDeliveredMessage is called when a message of the user's has reached a device of the other, OnReadMessage when it
	// was read (in a group: by how many), OnConversationRead when the other has read all of the conversation.
	OnDeliveredMessage func(r *Receipt)
	OnReadMessage      func(r *Receipt)
	OnConversationRead func(r *Receipt)

	// OnRecall is called when a message was taken back, OnEdit when one was changed: it has its own id, sender and time, and
	// Edited tells of the change. Both come also for what the user did on another device.
	OnRecall func(r *Recall)
	OnEdit   func(m *Message)
	// OnReaction is called when reactions to a message changed, also by the user; OnMessagePin when a message was pinned or
	// unpinned by somebody else, or by the user on another device.
	OnReaction   func(e *ReactionEvent)
	OnMessagePin func(e *PinEvent)

	// OnGroupEvent is called for what happens in the user's groups and what concerns the user of others, OnRoomEvent for
	// chatrooms that were joined, OnThreadEvent for threads of the user's groups. What happened in groups while the user was
	// away is told after the login.
	OnGroupEvent  func(e *GroupEvent)
	OnRoomEvent   func(e *GroupEvent)
	OnThreadEvent func(e *ThreadEvent)
	// OnPresence is called when a user whose presence was subscribed to comes, goes or publishes a text.
	OnPresence func(p *Presence)
	// OnDeviceEvent is called when the user changed conversations, silent modes or threads on another device.
	OnDeviceEvent func(e *DeviceEvent)

	// OnContactInvited is called when somebody asks to become a contact. OnContactAgreed is called when an invitation of the
	// user's was accepted, OnContactRefused when one was declined, also when the user declined one on another device.
	// OnContactAdded is called when a contact was added, on all devices of both; OnContactDeleted when one was removed, except
	// on the device that did it. What happened while the user was away is told after the login.
	OnContactInvited func(e *ContactEvent)
	OnContactAgreed  func(e *ContactEvent)
	OnContactRefused func(e *ContactEvent)
	OnContactAdded   func(e *ContactEvent)
	OnContactDeleted func(e *ContactEvent)

	// OnTokenWillExpire is called when four fifths of the token's life have passed: it is time for RenewToken. With a
	// [TokenProvider] the client renews by itself and does not call it.
	OnTokenWillExpire func()
	// OnTokenExpired is called at the token's end; the session ends with it.
	OnTokenExpired func()

	// OnError is called for what no call waits for, and for refused logins.
	OnError func(err *Error)
}

// AddEventListener adds callbacks under an id, or replaces those that stand there. Listeners are called in the order in
// which their ids were first added.
func (c *Client) AddEventListener(id string, l Listener) { c.events.add(id, l) }

// RemoveEventListener takes the callbacks of an id away. One that is running is not waited for.
func (c *Client) RemoveEventListener(id string) { c.events.remove(id) }
