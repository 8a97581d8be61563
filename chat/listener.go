package chat

// Listener is a set of callbacks; those that are nil are skipped. All callbacks of a client run one at a time, in the
// order of the events, on a goroutine that is not the caller's. They may call methods of the client, also Close, and
// should return soon: while one runs, the others wait. Messages and receipts are shared by all listeners and must not
// be changed.
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

	// OnTextMessage is called for text messages, OnMessage after it for messages of every kind. A message that the user
	// sent from another device comes too, with From = the user.
	OnTextMessage func(m *Message)
	OnMessage     func(m *Message)
	// OnDeliveredMessage is called when a message of the user's has reached a device of the other, OnReadMessage when it
	// was read, OnConversationRead when the other has read all of the conversation.
	OnDeliveredMessage func(r *Receipt)
	OnReadMessage      func(r *Receipt)
	OnConversationRead func(r *Receipt)

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
