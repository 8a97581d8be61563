// Package message decides what may be sent, and to whom it goes.
package message

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/clock"
	"github.com/stoa-chat/stoa/internal/contact"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
	"github.com/stoa-chat/stoa/internal/translate"
)

// Service is the message service of one node.
type Service struct {
	// Translator translates texts; nil: nothing does. It is not to be changed once the service is used.
	Translator translate.Provider

	accounts *account.Service
	contacts *contact.Service
	store    store.Store
	delivery *delivery.Service
	clock    *clock.Clock
	log      *slog.Logger
}

// New returns a message service.
func New(accounts *account.Service, contacts *contact.Service, s store.Store, d *delivery.Service, c *clock.Clock, log *slog.Logger) *Service {
	return &Service{accounts: accounts, contacts: contacts, store: s, delivery: d, clock: c, log: log}
}

// Sender is who sends: a user on a device.
type Sender struct {
	App      *account.App
	User     store.User
	Device   int64
	Resource string
}

// Done takes the result of a send. It must not block.
type Done func(delivery.Result)

// Send sends a CHAT meta of a client: a message or a receipt. Done is called once: with the entry's id and time when it
// is durable, or with an *errcode.Error. Metas of one sender are handled in the order of the calls.
//
// The order of the checks is that of docs/protocol/errors.md §10. Refusals: 604 (body that does not decode, unknown kind
// of message, no receiver), 603 (foreign sender; the receiver has blocked the sender), 511 (too large), 204 (no such
// user), 605 (no such group or room), 221 (the app wants contacts), 505 (what this server does not do). Receipts are not
// refused for blocks and contacts: they answer what the other has sent.
func (s *Service) Send(ctx context.Context, from Sender, meta *msync.Meta, done Done) {
	if err := s.send(ctx, from, meta, done); err != nil {
		done(delivery.Result{Err: refusal(err)})
	}
}

// refusal makes sure that the edge gets a code.
func refusal(err error) error {
	if _, ok := errcode.CodeOf(err); ok {
		return err
	}
	return &errcode.Error{Code: errcode.ServerUnknownError, Op: "send", Message: "the server could not keep the message", Err: err}
}

// send returns an error if done has not been and will not be called.
func (s *Service) send(ctx context.Context, from Sender, meta *msync.Meta, done Done) error {
	var body msync.MessageBody
	if err := proto.Unmarshal(meta.Payload, &body); err != nil {
		return bad("the message body does not decode", err)
	}
	if name := body.From.GetName(); name != "" && account.Fold(name) != from.User.Name {
		return &errcode.Error{Code: errcode.PermissionDenied, Op: "send", Reason: "Sorry, You do not have permission",
			Message: fmt.Sprintf("the message names %q as its sender", name)}
	}
	if app := meta.To.GetAppKey(); app != "" && app != from.App.Key() {
		return bad(fmt.Sprintf("the receiver is of another application, %q", app), nil)
	}
	if body.Meta != "" && !isObject(body.Meta) {
		// It would be an uncaught error in the receiver's client (docs/protocol/wire.md §4).
		return bad("the meta of the message body is not a JSON object", nil)
	}
	switch body.Type {
	case msync.MessageBody_CHAT:
		return s.chat(ctx, from, meta, &body, done)
	case msync.MessageBody_READ_ACK, msync.MessageBody_DELIVER_ACK, msync.MessageBody_CHANNEL_ACK:
		return s.receipt(ctx, from, meta, &body, done)
	case msync.MessageBody_GROUPCHAT, msync.MessageBody_CHATROOM:
		return noGroup(meta)
	case msync.MessageBody_RECALL:
		return disabled("recall", "message recall disabled")
	case msync.MessageBody_EDIT:
		return disabled("modify", "Sorry, edit is not available")
	}
	return bad(fmt.Sprintf("messages of type %d are not sent by clients", body.Type), nil)
}

func isObject(text string) bool {
	var object map[string]json.RawMessage
	return json.Unmarshal([]byte(text), &object) == nil && object != nil
}

func bad(message string, cause error) error {
	return &errcode.Error{Code: errcode.BadMessage, Op: "send", Message: message, Reason: message, Err: cause}
}

func disabled(op, reason string) error {
	return &errcode.Error{Code: errcode.ServiceNotEnabled, Op: op, Message: "this server does not offer it", Reason: reason}
}

func noGroup(meta *msync.Meta) error {
	return errcode.Newf(errcode.GroupNotExist, "there is no group or chatroom %q", meta.To.GetName())
}

// chat sends a one-to-one message.
func (s *Service) chat(ctx context.Context, from Sender, meta *msync.Meta, body *msync.MessageBody, done Done) error {
	limit := s.accounts.SettingsFor(from.App, from.User.ID).MessageMaxBytes
	if size := contentSize(meta.Payload); size > limit {
		return errcode.Newf(errcode.MessageTooLarge, "body and extension have %d bytes, the limit is %d", size, limit)
	}
	if meta.To.GetDomain() == msync.PlaceDomain {
		return noGroup(meta)
	}
	to, err := s.receiver(ctx, from, meta)
	if err != nil {
		return err
	}
	if err := s.contacts.MayWrite(ctx, from.App, from.User, to); err != nil {
		return err
	}
	stored, err := storedMeta(from, to, meta, body)
	if err != nil {
		return err
	}
	if meta.Routetype == msync.Meta_ROUTE_ONLINE {
		s.push(from, to, stored, done)
		return nil
	}
	s.delivery.Append(delivery.Post{Key: store.PairKey(from.App.ID, from.User.ID, to.ID), Sender: from.User.ID, Device: from.Device,
		ClientID: meta.Id, Meta: stored, Done: settled(done)})
	return nil
}

// settled gives a failure of the store a code.
func settled(done Done) func(delivery.Result) {
	return func(r delivery.Result) {
		if r.Err != nil {
			r.Err = refusal(r.Err)
		}
		done(r)
	}
}

// push delivers to who is online, and keeps nothing.
func (s *Service) push(from Sender, to store.User, stored []byte, done Done) {
	id, time := s.delivery.Push(to.ID, stored, from.Device)
	done(delivery.Result{ID: id, Time: time})
	if to.ID != from.User.ID {
		s.delivery.Push(from.User.ID, stored, from.Device)
	}
}

func (s *Service) receiver(ctx context.Context, from Sender, meta *msync.Meta) (store.User, error) {
	name := meta.To.GetName()
	if name == "" {
		return store.User{}, bad("the message has no receiver", nil)
	}
	return s.accounts.User(ctx, from.App, name)
}

// receipt sends a receipt to whom it concerns: it is an entry of that user's own timeline. A receipt for somebody who is
// not there is taken and dropped (docs/protocol/wire.md §18.1).
func (s *Service) receipt(ctx context.Context, from Sender, meta *msync.Meta, body *msync.MessageBody, done Done) error {
	if meta.To.GetDomain() == msync.PlaceDomain && body.Type != msync.MessageBody_DELIVER_ACK {
		return noGroup(meta)
	}
	to, err := s.receiver(ctx, from, meta)
	if errors.Is(err, account.ErrNoUser) || meta.To.GetName() == "" {
		done(delivery.Result{ID: s.delivery.NewID()})
		return nil
	} else if err != nil {
		return err
	}
	stored, err := storedMeta(from, to, meta, body)
	if err != nil {
		return err
	}
	s.delivery.Append(delivery.Post{Key: store.UserKey(from.App.ID, to.ID), Sender: from.User.ID, Device: from.Device,
		ClientID: meta.Id, Meta: stored, Done: settled(done)})
	return nil
}

// Field numbers of MessageBody.
const (
	bodyFrom     = 2
	bodyTo       = 3
	bodyContents = 4
	bodyExt      = 5
	jidName      = 2
)

// contentSize is what counts against the limit of a message: its contents and its extension.
func contentSize(payload []byte) (size int) {
	for len(payload) > 0 {
		field, kind, n := protowire.ConsumeTag(payload)
		m := protowire.ConsumeFieldValue(field, kind, payload[n:])
		if field == bodyContents || field == bodyExt {
			size += m
		}
		payload = payload[n+m:]
	}
	return size
}

// storedMeta packs what receivers get. The body goes on as it came; only the names in it are made those that the users
// have: a field that comes again replaces the first.
func storedMeta(from Sender, to store.User, meta *msync.Meta, body *msync.MessageBody) ([]byte, error) {
	payload := meta.Payload
	if body.From.GetName() != from.User.Name {
		payload = appendName(payload, bodyFrom, from.User.Name)
	}
	if body.To.GetName() != to.Name {
		payload = appendName(payload, bodyTo, to.Name)
	}
	return msync.StoredMeta(&msync.Meta{
		From:    &msync.JID{Name: from.User.Name, Domain: msync.UserDomain, ClientResource: from.Resource},
		To:      &msync.JID{Name: to.Name, Domain: msync.UserDomain},
		Ns:      meta.Ns,
		Payload: payload,
		Ext:     meta.Ext,
	})
}

func appendName(payload []byte, field protowire.Number, name string) []byte {
	jid := protowire.AppendString(protowire.AppendTag(nil, jidName, protowire.BytesType), name)
	payload = protowire.AppendTag(payload[:len(payload):len(payload)], field, protowire.BytesType)
	return protowire.AppendBytes(payload, jid)
}
