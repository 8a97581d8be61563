package gateway

import (
	"context"
	"encoding/json"
	"errors"

	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/message"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/muc"
	"github.com/stoa-chat/stoa/internal/store"
)

// place joins or leaves a chatroom. All else that can be done with groups and chatrooms is done by REST.
func (s *session) place(meta *msync.Meta) {
	if !s.begin() {
		s.answer("join", meta.Id, message.Result{Err: errEnded()})
		return
	}
	defer s.settle()
	info, err := s.changeRoom(meta.Payload)
	if err != nil || info == nil || meta.Id == 0 {
		s.answer("join", meta.Id, message.Result{Err: err})
		return
	}
	s.gateway.metrics.requests.WithLabelValues(codeLabel(nil)).Inc()
	user := &msync.JID{Name: s.deliver.Alias, Domain: msync.UserDomain}
	s.send(msync.MSync_SYNC, &msync.CommSyncDL{Status: &msync.Status{}, MetaId: meta.Id, Timestamp: uint64(s.gateway.clock.Now().UnixMilli()),
		Metas: []*msync.Meta{{From: user, To: user, Ns: msync.Meta_MUC, Payload: info}}})
	s.deliver.Touch()
}

// changeRoom does what a MUCBody asks for, and returns the body of the answer to a join.
func (s *session) changeRoom(payload []byte) (answer []byte, err error) {
	var body msync.MUCBody
	if err := proto.Unmarshal(payload, &body); err != nil {
		return nil, &errcode.Error{Code: errcode.BadMessage, Op: "join", Message: "the body does not decode", Err: err}
	}
	ctx, id := context.Background(), body.MucId.GetName()
	actor := muc.Actor{App: s.sender.App, User: s.sender.User, Device: s.sender.Device, Resource: s.sender.Resource}
	switch body.Operation {
	case msync.MUCBody_JOIN:
		room, info, err := s.gateway.mucs.JoinRoom(ctx, actor, id, muc.JoinOptions{Ext: body.Ext, LeaveOthers: body.LeaveOtherRooms})
		if err != nil {
			return nil, err
		}
		s.deliver.Enter(room.ID)
		return joined(&body, s.deliver.Alias, info)
	case msync.MUCBody_LEAVE:
		room, err := s.gateway.mucs.Leave(ctx, actor, store.MucRoom, id)
		if errors.Is(err, muc.ErrNotMember) {
			// The client has no code of its own for it here, and reads this one (docs/protocol/errors.md §2).
			return nil, &errcode.Error{Code: errcode.GroupNotJoined, Op: "leave", Message: err.Error(), Reason: "not in group or chatroom", Err: err}
		}
		if err == nil {
			s.deliver.Exit(room.ID)
		}
		return nil, err
	}
	return nil, errcode.Newf(errcode.ServiceNotEnabled, "this server does not offer %v over the socket", body.Operation)
}

// joined packs the answer to a join: what the room is like, under the user's name as the client knows it.
func joined(body *msync.MUCBody, name string, info muc.RoomInfo) ([]byte, error) {
	text, err := json.Marshal(map[string]muc.RoomInfo{name: info})
	if err != nil {
		return nil, err
	}
	return proto.Marshal(&msync.MUCBody{MucId: body.MucId, Operation: body.Operation, From: &msync.JID{Name: name, Domain: msync.UserDomain},
		IsChatroom: true, Status: &msync.MUCBody_Status{ChatroomInfo: string(text)}})
}

// returnToRooms has a new session sent what happens in the rooms that the user is still in.
func (s *session) returnToRooms(ctx context.Context) {
	rooms, err := s.gateway.mucs.CameOnline(ctx, s.login.User)
	if err != nil {
		s.gateway.log.Error("return to rooms", "user", s.row.User, "error", err)
	}
	for _, room := range rooms {
		s.deliver.Enter(room)
	}
}
