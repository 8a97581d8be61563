package message

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/muc"
	"github.com/stoa-chat/stoa/internal/store"
)

// Situations of receipts in groups that the HTTP edge words in its own ways. They are wrapped in an *errcode.Error.
var (
	ErrReceiptsOff = errors.New("receipts in groups are switched off")
	ErrNoMessage   = errors.New("no such message in the group")
	ErrNotSender   = errors.New("not the sender of the message")
)

// receipt sends a receipt to whom it concerns: it is an entry of that user's own timeline. A receipt for somebody who is
// not there is taken and dropped (docs/protocol/wire.md §18.1). What has been read is noted for the reader.
func (s *Service) receipt(ctx context.Context, from Sender, meta *msync.Meta, body *msync.MessageBody, done Done) error {
	inPlace := meta.To.GetDomain() == msync.PlaceDomain
	switch {
	case body.Type == msync.MessageBody_READ_ACK && (inPlace || body.MsgConfig.GetAllowGroupAck()):
		return s.groupReceipt(ctx, from, meta, body, done)
	case body.Type == msync.MessageBody_CHANNEL_ACK && inPlace:
		return s.readPlace(ctx, from, meta, body, done)
	}
	to, err := s.accounts.User(ctx, from.App, meta.To.GetName())
	if errors.Is(err, account.ErrNoUser) {
		done(s.taken())
		return nil
	} else if err != nil {
		return err
	}
	if err := s.markRead(ctx, from, to, body); err != nil {
		return err
	}
	bodyMeta, err := cleanMeta(body.Meta, nil)
	if err != nil {
		return err
	}
	stored, err := pack(from, &msync.JID{Name: to.Name, Domain: msync.UserDomain}, meta, body, bodyMeta)
	if err != nil {
		return err
	}
	s.tell(from, to.ID, meta.Id, stored, done)
	return nil
}

// taken is the result of what is taken and told to nobody.
func (s *Service) taken() Result {
	return Result{ID: s.delivery.NewID(), Time: s.clock.Now().UnixMilli()}
}

// tell appends a receipt to a user's own timeline.
func (s *Service) tell(from Sender, user int64, clientID uint64, stored []byte, done Done) {
	s.delivery.Append(delivery.Post{Key: store.UserKey(from.App.ID, user), Sender: from.User.ID, Device: from.Device,
		ClientID: clientID, Meta: stored, Done: func(r delivery.Result) { done(kept(r)) }})
}

// markRead moves the read mark of who has read a message, or the whole conversation, of another user.
func (s *Service) markRead(ctx context.Context, from Sender, with store.User, body *msync.MessageBody) error {
	key := store.PairKey(from.App.ID, from.User.ID, with.ID)
	switch body.Type {
	case msync.MessageBody_READ_ACK:
		found, err := s.store.FindEntry(ctx, from.App.ID, int64(body.AckMessageId))
		if errors.Is(err, store.ErrNotFound) || err == nil && found.Key != key {
			return nil
		} else if err != nil {
			return err
		}
		return s.store.MarkRead(ctx, from.User.ID, found.Timeline, found.Seq)
	case msync.MessageBody_CHANNEL_ACK:
		return s.markAll(ctx, from, key)
	}
	return nil
}

// markAll marks all of a conversation as read.
func (s *Service) markAll(ctx context.Context, from Sender, key store.Key) error {
	line, err := s.store.FindTimeline(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	return s.store.MarkRead(ctx, from.User.ID, line.ID, line.Head)
}

// readPlace notes that a member has read all of a group, room or thread. Nobody else is told.
func (s *Service) readPlace(ctx context.Context, from Sender, meta *msync.Meta, body *msync.MessageBody, done Done) error {
	c, err := s.find(ctx, from, meta, body)
	if err != nil {
		return err
	}
	if err := s.markAll(ctx, from, c.key); err != nil {
		return err
	}
	done(s.taken())
	return nil
}

// groupReceipt counts who has read a message of a group or thread, and tells its sender how many have. The receiver that
// the meta names means nothing: it is whatever the application passed.
func (s *Service) groupReceipt(ctx context.Context, from Sender, meta *msync.Meta, body *msync.MessageBody, done Done) error {
	settings := s.settings(from)
	if !settings.GroupReceipts {
		return refuseReceipt(ErrReceiptsOff, "group ack not open")
	}
	if size, limit := contentSize(meta.Payload)+len(body.AckContent), settings.MessageMaxBytes; size > limit {
		return errcode.Newf(errcode.MessageTooLarge, "the receipt has %d bytes, the limit is %d", size, limit)
	}
	found, err := s.counted(ctx, from, body.AckMessageId)
	if err != nil {
		return err
	}
	if err := s.store.MarkRead(ctx, from.User.ID, found.Timeline, found.Seq); err != nil {
		return err
	}
	if found.Sender == from.User.ID {
		done(s.taken())
		return nil
	}
	count, news, err := s.store.AddReceipt(ctx, store.Point{Timeline: found.Timeline, Seq: found.Seq}, peerOf(from.User), s.clock.Now().UnixMilli())
	if err != nil {
		return err
	}
	if !news {
		done(s.taken())
		return nil
	}
	sender, err := s.store.UserByID(ctx, found.Sender)
	if errors.Is(err, store.ErrNotFound) {
		done(s.taken())
		return nil
	} else if err != nil {
		return err
	}
	stored, err := packCount(from, sender, body, count)
	if err != nil {
		return err
	}
	s.tell(from, sender.ID, meta.Id, stored, done)
	return nil
}

func refuseReceipt(sentinel error, reason string) error {
	return &errcode.Error{Code: errcode.ServerUnknownError, Op: "receipt", Message: reason, Reason: reason, Err: sentinel}
}

// counted finds a message of a group or thread whose sender wants receipts, for who was a member when it was sent.
func (s *Service) counted(ctx context.Context, from Sender, id uint64) (store.Found, error) {
	found, err := s.store.FindEntry(ctx, from.App.ID, int64(id))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return found, refuseReceipt(ErrNoMessage, "group ack msg not found")
	case err != nil:
		return found, err
	case found.Key.Kind != store.KindMuc || found.Recalled || !store.History.Has(found.Content):
		return found, refuseReceipt(ErrNoMessage, "group ack msg not found")
	}
	right, err := s.store.Subscription(ctx, from.User.ID, found.Timeline)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return found, err
	}
	if err != nil || !right.Reads(found.Seq) || !found.Audience.Has(from.User.ID) {
		return found, refuseReceipt(ErrNoMessage, "group ack msg permission denied")
	}
	_, body, err := unpack(found.Meta)
	if err != nil {
		return found, err
	}
	if !body.MsgConfig.GetAllowGroupAck() {
		return found, refuseReceipt(ErrNoMessage, "group ack msg permission denied")
	}
	return found, nil
}

// packCount makes the receipt that tells the sender of a message how many have read it.
func packCount(from Sender, to store.User, body *msync.MessageBody, count int) ([]byte, error) {
	text, err := json.Marshal(map[string]int{strconv.FormatUint(body.AckMessageId, 10): count})
	if err != nil {
		return nil, fmt.Errorf("pack count: %w", err)
	}
	receiver := &msync.JID{Name: to.Name, Domain: msync.UserDomain}
	payload, err := proto.Marshal(&msync.MessageBody{
		Type: msync.MessageBody_READ_ACK, From: &msync.JID{Name: from.User.Name}, To: &msync.JID{Name: to.Name},
		Contents: body.Contents, AckMessageId: body.AckMessageId, AckContent: body.AckContent, MsgConfig: &msync.MessageBody_MessageConfig{AllowGroupAck: true},
		Ext: []*msync.KeyValue{{Key: "group_read_count", Type: msync.KeyValue_STRING, Value: &msync.KeyValue_StringValue{StringValue: string(text)}}},
	})
	if err != nil {
		return nil, fmt.Errorf("pack receipt: %w", err)
	}
	return msync.StoredMeta(&msync.Meta{From: &msync.JID{Name: from.User.Name, Domain: msync.UserDomain, ClientResource: from.Resource},
		To: receiver, Ns: msync.Meta_CHAT, Payload: payload})
}

// Readers is a page of who has read a message of a group.
type Readers struct {
	Page  []store.Reader // in the order in which they have read it
	Count int            // of all
}

// GroupReaders returns up to limit users who have read a message of a group, from the row above the given one on. Only the
// sender may ask, and backends. The errors are those of the group, 603 (ErrNotSender) and 503 (ErrReceiptsOff,
// ErrNoMessage).
func (s *Service) GroupReaders(ctx context.Context, by muc.Actor, group string, id uint64, above int64, limit int) (Readers, error) {
	if !s.accounts.Current(by.App).Settings.GroupReceipts {
		return Readers{}, refuseReceipt(ErrReceiptsOff, "group ack not open")
	}
	place, err := s.mucs.Find(ctx, by.App, group)
	if err != nil {
		return Readers{}, err
	}
	found, err := s.store.FindEntry(ctx, by.App.ID, int64(id))
	switch {
	case errors.Is(err, store.ErrNotFound) || err == nil && (found.Key != store.MucKey(by.App.ID, place.ID) || !store.History.Has(found.Content)):
		return Readers{}, refuseReceipt(ErrNoMessage, "group ack msg not found")
	case err != nil:
		return Readers{}, err
	case !by.IsBackend() && found.Sender != by.User.ID:
		return Readers{}, refuse(errcode.PermissionDenied, "receipts", ErrNotSender, "only the sender of a message is told who has read it")
	}
	page, count, err := s.store.ListReceipts(ctx, store.Point{Timeline: found.Timeline, Seq: found.Seq}, above, limit)
	return Readers{Page: page, Count: count}, err
}
