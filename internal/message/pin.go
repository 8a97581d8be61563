package message

import (
	"context"
	"errors"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

// maxPins is how many messages a conversation may have pinned (docs/protocol/errors.md §11).
const maxPins = 20

// PinnedMessage is a message that is pinned in its conversation.
type PinnedMessage struct {
	store.Pin
	Message msync.MessageObject
}

// PinMessage pins a message for all who are in its conversation, and tells them; every member of a group or room may.
// One that is pinned already stays as it is. The errors are code 505, 51, 50 (too many), 204, and of groups and
// rooms 605, 602, 705 and 702.
func (s *Service) PinMessage(ctx context.Context, by Sender, p Place, message int64) error {
	m, err := s.pinnable(ctx, by, p, message)
	if err != nil {
		return err
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	err = s.store.PutPin(ctx, m.Timeline, message, peerOf(by.User), s.clock.Now().UnixMilli(), maxPins)
	if errors.Is(err, store.ErrExists) {
		return nil
	}
	if errors.Is(err, store.ErrFull) {
		return errcode.Newf(errcode.MaxLimit, "a conversation has at most %d pinned messages", maxPins)
	}
	if err != nil {
		return err
	}
	return s.tellPin(ctx, by, m, "pin")
}

// UnpinMessage ends a pin, whoever has set it, and tells all who are in the conversation. The errors are those of
// PinMessage; code 51 also if the message is not pinned.
func (s *Service) UnpinMessage(ctx context.Context, by Sender, p Place, message int64) error {
	m, err := s.pinnable(ctx, by, p, message)
	if err != nil {
		return err
	}
	ctx, cancel := outlast(ctx)
	defer cancel()
	dropped, err := s.store.DropPin(ctx, m.Timeline, message)
	if err != nil {
		return err
	}
	if !dropped {
		return noMessage(store.ErrNotFound)
	}
	return s.tellPin(ctx, by, m, "pin_delete")
}

// pinnable finds a message in the conversation that is named with it.
func (s *Service) pinnable(ctx context.Context, by Sender, p Place, message int64) (seen, error) {
	if !s.accounts.Current(by.App).Settings.Pins {
		return seen{}, off("pin", "pinned messages")
	}
	key, err := s.placeOfMember(ctx, by.App, by.User, p)
	if err != nil {
		return seen{}, err
	}
	m, err := s.look(ctx, by.App, by.User, message)
	if err == nil && m.Key != key {
		err = noMessage(store.ErrNotFound)
	}
	return m, err
}

// tellPin tells all who see the message. The web client takes from for the conversation of a one-to-one chat, so on the
// other devices of the one who acts it names the wrong one: from is who acts, too.
func (s *Service) tellPin(ctx context.Context, by Sender, m seen, operation string) error {
	p := Place{ChatType(m.object.Payload.Type), m.object.To}
	if other, ok := m.other(by.User); ok {
		p.ID = other.Name
	}
	meta, err := msync.Notify(by.User.Name, m.object.To, conversationNotice(by, p, operation, m.object.ID, s.clock.Now()))
	if err != nil {
		return err
	}
	_, err = s.delivery.AppendWait(ctx, delivery.Post{Key: m.Key, Sender: by.User.ID, Device: by.Device, Ref: m.Seq, Audience: m.Audience,
		Live: p.Type == Room, Meta: meta})
	return err
}

// PinnedMessages returns up to limit pinned messages of a conversation, the last pinned first, from the row below the
// given one on; 0: the newest. next is the row where the next page begins; 0: there is none. The errors are code 505, 204,
// and of groups and rooms 605, 602, 705 and 702.
func (s *Service) PinnedMessages(ctx context.Context, app *account.App, user store.User, p Place, below int64,
	limit int) (list []PinnedMessage, next int64, err error) {
	if !s.accounts.Current(app).Settings.Pins {
		return nil, 0, off("pin", "pinned messages")
	}
	key, err := s.placeOfMember(ctx, app, user, p)
	if err != nil {
		return nil, 0, err
	}
	timeline, err := s.store.FindTimeline(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, 0, nil
	} else if err != nil {
		return nil, 0, err
	}
	pins, err := s.store.ListPins(ctx, timeline.ID, below, limit+1)
	if err != nil {
		return nil, 0, err
	}
	if len(pins) > limit {
		pins = pins[:limit]
		next = pins[limit-1].Row
	}
	var entries []store.Entry
	for _, pin := range pins {
		m, err := s.look(ctx, app, user, pin.Message)
		if errors.Is(err, errcode.MessageNotFound) {
			continue // meant for others, or no longer there
		} else if err != nil {
			return nil, 0, err
		}
		list, entries = append(list, PinnedMessage{Pin: pin}), append(entries, m.Entry)
	}
	if err := s.showReactions(ctx, app, user, entries); err != nil {
		return nil, 0, err
	}
	for i, e := range entries {
		if list[i].Message, err = msync.MessageJSON(e.ID, e.Time, e.Meta); err != nil {
			return nil, 0, err
		}
	}
	return list, next, nil
}
