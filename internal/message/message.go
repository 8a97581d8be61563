// Package message decides what may be sent, and to whom it goes.
package message

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/clock"
	"github.com/stoa-chat/stoa/internal/contact"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/limit"
	"github.com/stoa-chat/stoa/internal/moderation"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/muc"
	"github.com/stoa-chat/stoa/internal/store"
	"github.com/stoa-chat/stoa/internal/translate"
	"github.com/stoa-chat/stoa/internal/webhook"
)

// Service is the message service of one node.
type Service struct {
	// Translator translates texts; nil: nothing does. It is not to be changed once the service is used.
	Translator translate.Provider
	// Moderation says who is muted in the whole app, and what texts may not say; nil: nothing is refused. It is not to be
	// changed once the service is used.
	Moderation *moderation.Service
	// Webhooks ask the app's backend about messages of clients; nil: nobody is asked. It is not to be changed once the
	// service is used.
	Webhooks *webhook.Service

	accounts *account.Service
	contacts *contact.Service
	mucs     *muc.Service
	store    store.Store
	delivery *delivery.Service
	clock    *clock.Clock
	log      *slog.Logger

	pace   limit.Buckets[int64] // by user
	notes  chan struct{}        // one for each message of which is being noted what moderation has found
	noting sync.WaitGroup       // of them
}

// New returns a message service.
func New(accounts *account.Service, contacts *contact.Service, mucs *muc.Service, s store.Store, d *delivery.Service, c *clock.Clock, log *slog.Logger) *Service {
	return &Service{accounts: accounts, contacts: contacts, mucs: mucs, store: s, delivery: d, clock: c, log: log, notes: make(chan struct{}, maxNotes)}
}

// Sender is who sends: a user on a device, or a backend in a user's name.
type Sender struct {
	App      *account.App
	User     store.User
	Device   int64 // 0: none
	Resource string
	// Backend is for what the app itself does: it is bound to no membership, mute, block or audience.
	Backend bool
}

// Result tells what became of something that was sent.
type Result struct {
	ID   int64  // the id that the server has given it
	Time int64  // milliseconds since 1970
	Meta []byte // made by msync.StoredMeta, goes with the answer; nil: nothing does
	Err  error  // an *errcode.Error
}

// Done takes the result of a send. It must not block.
type Done func(Result)

// Send sends a CHAT meta of a client: a message, a receipt, a recall or an edit. Done is called once: with the entry's id
// and time when it is durable, or with an *errcode.Error. Metas of one sender are handled in the order of the calls.
//
// The order of the checks is that of docs/protocol/errors.md §10. Refusals: 604 (body that does not decode or would harm
// the receiver's client, unknown kind of message, no receiver), 603 (foreign sender; the receiver has blocked the sender),
// 511 (too large), 50 (too many directed users), 204 (no such user), 605 and 705 (no such group or room), 608 (disabled),
// 602 (not a member), 221 (the app wants contacts), 507 and 506 (muted); of messages and edits also 509 (too fast), 219
// (muted in the whole app), 501 and 508 (the text is not allowed), and of messages 502 (the app's backend refuses). Receipts are not refused for blocks, contacts and
// mutes: they answer what the other has sent. Of recalls and edits: 505 (switched off), 504 (too late), 1302 to 1304.
func (s *Service) Send(ctx context.Context, from Sender, meta *msync.Meta, done Done) {
	if err := s.send(ctx, from, meta, done); err != nil {
		done(Result{Err: refusal(err)})
	}
}

// refusal makes sure that the edge gets a code.
func refusal(err error) error {
	if _, ok := errcode.CodeOf(err); ok {
		return err
	}
	return &errcode.Error{Code: errcode.ServerUnknownError, Op: "send", Message: "the server could not keep the message", Err: err}
}

// kept turns the result of a post into that of a send.
func kept(r delivery.Result) Result {
	if r.Err != nil {
		return Result{Err: refusal(r.Err)}
	}
	return Result{ID: r.ID, Time: r.Time}
}

// send returns an error if done has not been and will not be called.
func (s *Service) send(ctx context.Context, from Sender, meta *msync.Meta, done Done) error {
	var body msync.MessageBody
	if err := proto.Unmarshal(meta.Payload, &body); err != nil {
		return bad("the message body does not decode", err)
	}
	if name := body.From.GetName(); name != "" && account.Fold(name) != from.User.Name {
		return notAllowed(fmt.Sprintf("the message names %q as its sender", name))
	}
	if app := meta.To.GetAppKey(); app != "" && app != from.App.Key() {
		return bad(fmt.Sprintf("the receiver is of another application, %q", app), nil)
	}
	if err := checkBody(meta, &body); err != nil {
		return err
	}
	switch body.Type {
	case msync.MessageBody_CHAT, msync.MessageBody_GROUPCHAT, msync.MessageBody_CHATROOM:
		return s.message(ctx, from, meta, &body, done)
	case msync.MessageBody_READ_ACK, msync.MessageBody_DELIVER_ACK, msync.MessageBody_CHANNEL_ACK:
		return s.receipt(ctx, from, meta, &body, done)
	case msync.MessageBody_RECALL:
		return s.recall(ctx, from, meta, &body, done)
	case msync.MessageBody_EDIT:
		return s.edit(ctx, from, meta, &body, done)
	}
	return bad(fmt.Sprintf("messages of type %d are not sent by clients", body.Type), nil)
}

func bad(message string, cause error) error {
	return &errcode.Error{Code: errcode.BadMessage, Op: "send", Message: message, Reason: message, Err: cause}
}

func disabled(op, reason string) error {
	return &errcode.Error{Code: errcode.ServiceNotEnabled, Op: op, Message: "the app has switched it off", Reason: reason}
}

// notAllowed is a 603 that is not a block.
func notAllowed(message string) error {
	return &errcode.Error{Code: errcode.PermissionDenied, Op: "send", Reason: "Sorry, You do not have permission", Message: message}
}

// settings are those that hold for the sender now.
func (s *Service) settings(from Sender) account.Settings {
	return s.accounts.SettingsFor(from.App, from.User.ID)
}
