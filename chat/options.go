package chat

import (
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/stoa-chat/stoa/errcode"
)

// DefaultServer is where `stoa dev` listens.
const DefaultServer = "http://127.0.0.1:8080"

// Option changes a setting of a [Client]. An option that makes no sense makes [New] return -3 (InvalidParameter).
type Option func(*options) error

type options struct {
	server, socket   *url.URL
	device           string
	httpClient       *http.Client
	ownTransport     *http.Transport // closed with the client; nil when the app gave an http.Client
	log              *slog.Logger
	offlineQueue     int
	eventQueue       int
	timeouts         Timeouts
	reconnect        Reconnect
	deliveryReceipts bool
	loginInfo        string
}

// Timeouts are the limits of single steps. A zero field means its default, which is the protocol's.
type Timeouts struct {
	Dial      time.Duration // opening the socket, 10 s
	Login     time.Duration // the server's answer to the login, 10 s
	Send      time.Duration // the server's answer to a message or receipt once it is written, 15 s
	Request   time.Duration // an HTTP request, 15 s
	Upload    time.Duration // the upload of a file, or of one part of a large one, 300 s
	Heartbeat time.Duration // silence after which the client asks the server for a sign of life, 30 s
}

// Reconnect says how a lost connection is opened again. A zero field means its default.
type Reconnect struct {
	// Attempts is how often in a row it is tried before the session ends with 16, by default 20 (about eight minutes).
	// Negative means without end.
	Attempts int
	// Min is the longest pause before the first attempt, 1 s. It doubles with each attempt up to Max, 30 s. The pause is
	// drawn between half of that time and all of it.
	Min, Max time.Duration
}

// WithServer sets the address of the server's REST interface, as "https://chat.example.com"; by default [DefaultServer].
// The socket is expected at /ws below it.
func WithServer(address string) Option {
	return func(o *options) (err error) {
		o.server, err = parseURL("server", address, "http", "https")
		return err
	}
}

// WithSocketURL sets the address of the socket, as "wss://chat.example.com/ws", where it is not /ws below the server.
func WithSocketURL(address string) Option {
	return func(o *options) (err error) {
		o.socket, err = parseURL("socket URL", address, "ws", "wss")
		return err
	}
}

// WithDevice names this device. The server keeps for each device of a user what it has been given, so a program that is
// restarted should keep its name; two programs of one user must not share one. By default it is a new random name for
// each client.
func WithDevice(id string) Option {
	return func(o *options) error {
		if id == "" {
			return fail(errcode.InvalidParameter, "new", "the device id is empty", nil)
		}
		o.device = id
		return nil
	}
}

// loginInfoLimit is how many bytes the text of [WithLoginInfo] may have.
const loginInfoLimit = 1024

// WithLoginInfo sets a text of up to 1,024 bytes that a device is shown when this one takes its place: it stands in the
// Data of that device's 206, under "reason".
func WithLoginInfo(text string) Option {
	return func(o *options) error {
		if len(text) > loginInfoLimit {
			return fail(errcode.InvalidParameter, "new", "the login info is longer than 1024 bytes", nil)
		}
		o.loginInfo = text
		return nil
	}
}

// WithHTTPClient sets the client for REST calls and for opening the socket, for instance with a proxy or certificates of
// its own. It stays the caller's: Close leaves its idle connections alone.
func WithHTTPClient(h *http.Client) Option {
	return func(o *options) error {
		if h == nil {
			return fail(errcode.InvalidParameter, "new", "the HTTP client is nil", nil)
		}
		o.httpClient, o.ownTransport = h, nil
		return nil
	}
}

// WithLogger sets where the client logs what it cannot report otherwise; by default slog.Default().
func WithLogger(log *slog.Logger) Option {
	return func(o *options) error {
		if log == nil {
			return fail(errcode.InvalidParameter, "new", "the logger is nil", nil)
		}
		o.log = log
		return nil
	}
}

// WithOfflineQueue sets how many messages and receipts may wait while the connection is down; by default 1000. With 0
// nothing waits: calls return 32 (ClientOffline) at once, and those under way when the connection breaks return 510.
func WithOfflineQueue(n int) Option {
	return func(o *options) error {
		if n < 0 {
			return fail(errcode.InvalidParameter, "new", "the offline queue's size is negative", nil)
		}
		o.offlineQueue = n
		return nil
	}
}

// WithEventQueue sets how many received messages and receipts may wait for their callbacks; by default 4096. What comes
// beyond is dropped unacknowledged; when the callbacks have caught up, the client reconnects and is given it again.
func WithEventQueue(n int) Option {
	return func(o *options) error {
		if n < 1 {
			return fail(errcode.InvalidParameter, "new", "the event queue's size is less than 1", nil)
		}
		o.eventQueue = n
		return nil
	}
}

// WithTimeouts sets time limits.
func WithTimeouts(t Timeouts) Option {
	return func(o *options) error {
		for set, d := range map[*time.Duration]time.Duration{
			&o.timeouts.Dial: t.Dial, &o.timeouts.Login: t.Login, &o.timeouts.Send: t.Send,
			&o.timeouts.Request: t.Request, &o.timeouts.Upload: t.Upload, &o.timeouts.Heartbeat: t.Heartbeat,
		} {
			switch {
			case d < 0:
				return fail(errcode.InvalidParameter, "new", "a timeout is negative", nil)
			case d > 0:
				*set = d
			}
		}
		return nil
	}
}

// WithReconnect sets how lost connections are opened again.
func WithReconnect(r Reconnect) Option {
	return func(o *options) error {
		if r.Attempts != 0 {
			o.reconnect.Attempts = r.Attempts
		}
		if r.Min != 0 {
			o.reconnect.Min = r.Min
		}
		if r.Max != 0 {
			o.reconnect.Max = r.Max
		}
		if o.reconnect.Min < 0 || o.reconnect.Max < o.reconnect.Min {
			return fail(errcode.InvalidParameter, "new", "the reconnect pauses are negative or the wrong way round", nil)
		}
		return nil
	}
}

// WithDeliveryReceipts makes the client tell senders of one-to-one messages that their message has arrived.
func WithDeliveryReceipts() Option {
	return func(o *options) error {
		o.deliveryReceipts = true
		return nil
	}
}

func defaultOptions() options {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	server, _ := url.Parse(DefaultServer)
	return options{
		server:       server,
		httpClient:   &http.Client{Transport: transport},
		ownTransport: transport,
		log:          slog.Default(),
		offlineQueue: 1000,
		eventQueue:   4096,
		timeouts: Timeouts{
			Dial:      10 * time.Second,
			Login:     10 * time.Second,
			Send:      15 * time.Second,
			Request:   15 * time.Second,
			Upload:    300 * time.Second,
			Heartbeat: 30 * time.Second,
		},
		reconnect: Reconnect{Attempts: 20, Min: time.Second, Max: 30 * time.Second},
	}
}

func parseURL(what, address string, schemes ...string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fail(errcode.InvalidParameter, "new", "the "+what+" is not a URL", err)
	}
	for _, scheme := range schemes {
		if u.Scheme == scheme && u.Host != "" {
			return u, nil
		}
	}
	return nil, fail(errcode.InvalidParameter, "new", "the "+what+" must begin with "+schemes[0]+":// or "+schemes[1]+"://", nil)
}

// pause returns how long to wait before the given attempt (1 is the first); draw is between 0 and 1.
func (r Reconnect) pause(attempt int, draw float64) time.Duration {
	d := r.Min
	for range attempt - 1 {
		if d *= 2; d >= r.Max {
			d = r.Max
			break
		}
	}
	return d/2 + time.Duration(draw*float64(d/2))
}
