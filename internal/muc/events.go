package muc

import (
	"context"
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

// event is a change as clients are told of it (docs/protocol/wire.md §8.2). Which fields an operation has is said there.
type event struct {
	operation msync.MUCBody_Operation
	from      string   // who acted; of PRESENCE and ABSENCE who has come or gone; empty: the actor
	to        []string // whom it is about
	reason    string
	ext       string
	detail    any // JSON of event_info.ext
	count     int // members
	members   []string
	parent    string // of threads: the id of the group
}

func jid(name string) *msync.JID { return &msync.JID{Name: name, Domain: msync.UserDomain} }

func (a Actor) jid() *msync.JID {
	return &msync.JID{Name: a.name(), Domain: msync.UserDomain, ClientResource: a.Resource}
}

func mucJID(app *account.App, m store.Muc) *msync.JID {
	return &msync.JID{AppKey: app.Key(), Name: m.Name, Domain: msync.PlaceDomain}
}

// pack makes the stored Meta of an event.
func (e event) pack(actor Actor, m store.Muc, to *msync.JID) ([]byte, error) {
	from := actor.jid()
	if e.from != "" && e.from != actor.name() {
		from = jid(e.from)
	}
	body := &msync.MUCBody{MucId: mucJID(actor.App, m), Operation: e.operation, From: from, Reason: e.reason, Ext: e.ext,
		IsChatroom: m.Kind == store.MucRoom, IsThread: m.Kind == store.MucThread, MucName: m.Title,
		MucMemberCount: int32(e.count), Members: e.members}
	if e.parent != "" {
		body.MucParentId = &msync.JID{AppKey: actor.App.Key(), Name: e.parent, Domain: msync.PlaceDomain}
	}
	for _, name := range e.to {
		body.To = append(body.To, jid(name))
	}
	if e.detail != nil {
		text, err := json.Marshal(e.detail)
		if err != nil {
			return nil, fmt.Errorf("pack event: %w", err)
		}
		body.EventInfo = &msync.MUCBody_EventInfo{Ext: string(text)}
	}
	payload, err := proto.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("pack event: %w", err)
	}
	return msync.StoredMeta(&msync.Meta{From: from, To: to, Ns: msync.Meta_MUC, Payload: payload})
}

// toAll tells all members: those of a room who are online now, those of a group whenever they are. The device that the
// actor has done it on is left out.
func (s *Service) toAll(ctx context.Context, actor Actor, m store.Muc, e event) error {
	if m.Kind == store.MucRoom {
		return s.push(actor, m, e, store.Audience{})
	}
	meta, err := e.pack(actor, m, mucJID(actor.App, m))
	if err != nil {
		return err
	}
	_, err = s.delivery.AppendWait(ctx, delivery.Post{Key: store.MucKey(m.App, m.ID), Sender: actor.User.ID, Device: actor.Device, Meta: meta})
	return err
}

// push tells who is online in a room.
func (s *Service) push(actor Actor, m store.Muc, e event, audience store.Audience) error {
	meta, err := e.pack(actor, m, mucJID(actor.App, m))
	if err != nil {
		return err
	}
	id, time := s.delivery.PushMuc(m.ID, meta, actor.Device, audience)
	s.happened(actor, m, store.Entry{ID: id, Time: time, Meta: meta})
	return nil
}

func (s *Service) happened(actor Actor, m store.Muc, e store.Entry) {
	if s.observer != nil {
		e.Sender, e.Device = actor.User.ID, actor.Device
		s.observer.Happened(store.Found{Key: store.MucKey(m.App, m.ID), Entry: e})
	}
}

// unheard tells the observer of an event that clients have none for.
func (s *Service) unheard(actor Actor, m store.Muc, e event) error {
	meta, err := e.pack(actor, m, mucJID(actor.App, m))
	if err == nil {
		s.happened(actor, m, store.Entry{ID: s.delivery.NewID(), Time: s.now(), Meta: meta})
	}
	return err
}

// toMembers is toAll for some of a group's members. Of a room they are told on their own timelines.
func (s *Service) toMembers(ctx context.Context, actor Actor, m store.Muc, e event, members ...store.Member) error {
	var audience []int64
	var apart []store.Peer
	for _, member := range members {
		if m.Kind == store.MucRoom || member.Shielded {
			apart = append(apart, member.User)
		} else {
			audience = append(audience, member.User.ID)
		}
	}
	err := s.toUsers(ctx, actor, m, e, apart...)
	if err != nil || len(audience) == 0 {
		return err
	}
	meta, err := e.pack(actor, m, mucJID(actor.App, m))
	if err != nil {
		return err
	}
	_, err = s.delivery.AppendWait(ctx, delivery.Post{Key: store.MucKey(m.App, m.ID), Sender: actor.User.ID, Device: actor.Device, Meta: meta,
		Audience: store.Audience{Users: audience}})
	return err
}

// toUsers tells persons on their own timelines, members or not.
func (s *Service) toUsers(ctx context.Context, actor Actor, m store.Muc, e event, users ...store.Peer) error {
	var posts []delivery.Post
	for _, user := range users {
		meta, err := e.pack(actor, m, jid(user.Name))
		if err != nil {
			return err
		}
		post := delivery.Post{Key: store.UserKey(m.App, user.ID), Sender: actor.User.ID, Meta: meta}
		if user.ID == actor.User.ID {
			post.Device = actor.Device
		}
		posts = append(posts, post)
	}
	return s.delivery.AppendAll(ctx, posts...)
}

// toSelf tells the actor's other devices.
func (s *Service) toSelf(ctx context.Context, actor Actor, m store.Muc, e event) error {
	if actor.IsBackend() {
		return nil
	}
	return s.toUsers(ctx, actor, m, e, peer(actor.User))
}
