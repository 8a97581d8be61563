package gateway

import (
	"errors"
	"time"

	"github.com/gobwas/ws"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/message"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/rehearse"
)

// What a user rehearses on the socket. Everything here is a nil check and an atomic load while nobody rehearses.

// errCutOff ends a login without an answer.
var errCutOff = errors.New("the login is cut off by a rehearsal")

// rehearseLogin returns the error with which a login of the user is to end.
func (s *session) rehearseLogin(user int64) error {
	outcome, code := s.gateway.Rehearsals.Login(user)
	if outcome == rehearse.Ordinary {
		return nil
	}
	s.gateway.Rehearsals.Met(user, code)
	if outcome == rehearse.Close {
		return errCutOff
	}
	return &errcode.Error{Code: code, Op: "login", Message: "rehearsal"}
}

// rehearseNotice ends the session that has just begun, if a kick waits for its user.
func (s *session) rehearseNotice() {
	if operation, ok := s.gateway.Rehearsals.Notice(s.row.User); ok {
		s.Kick(delivery.Kick{Operation: int32(operation), Reason: "rehearsal"})
	}
}

// rehearseUplink holds an uplink up, and reports whether it was refused. An answer that is to be lost is noted.
func (s *session) rehearseUplink(meta *msync.Meta) (refused bool) {
	r, user := s.gateway.Rehearsals, s.row.User
	if d := r.Delay(user); d > 0 {
		select {
		case <-time.After(d):
		case <-s.gateway.stop:
		}
	}
	op := operation(meta)
	if op == "" {
		return false
	}
	outcome, code := r.Uplink(user, rehearse.Uplink{Op: op, Place: meta.To.GetDomain() == msync.PlaceDomain})
	if outcome == rehearse.Ordinary && r.LoseAnswer(user) {
		outcome = rehearse.Silence
	}
	switch outcome {
	case rehearse.Refuse:
		s.answer(op, meta.Id, message.Result{Err: &errcode.Error{Code: code, Op: op, Message: "rehearsal"}})
		return true
	case rehearse.Silence, rehearse.Close:
		s.mu.Lock()
		if s.lost == nil {
			s.lost = map[uint64]rehearse.Outcome{}
		}
		s.lost[meta.Id] = outcome
		s.mu.Unlock()
		s.losing.Store(true)
		r.Met(user, code)
	}
	return false
}

// loses reports whether the answer to a Meta is to be lost, and ends the socket if that is the rehearsal.
func (s *session) loses(id uint64) bool {
	if !s.losing.Load() {
		return false
	}
	s.mu.Lock()
	outcome, ok := s.lost[id]
	delete(s.lost, id)
	s.mu.Unlock()
	if outcome == rehearse.Close {
		s.drop()
	}
	return ok
}

// drop ends the socket so that the client takes it for lost.
func (s *session) drop() { s.leave(ws.StatusGoingAway, "connection lost") }

// operation names what a client asks for, as the catalogue does; "" for receipts, whose answers nobody waits for.
func operation(meta *msync.Meta) string {
	switch meta.Ns {
	case msync.Meta_MUC:
		return "join"
	case msync.Meta_CHAT:
		switch kind := bodyType(meta.Payload); kind {
		case msync.MessageBody_CHAT, msync.MessageBody_GROUPCHAT, msync.MessageBody_CHATROOM:
			return "send"
		case msync.MessageBody_RECALL:
			return "recall"
		case msync.MessageBody_EDIT:
			return "modify"
		}
	}
	return ""
}

// bodyType reads the type of a message body, which is its first field.
func bodyType(payload []byte) msync.MessageBody_Type {
	field, kind, n := protowire.ConsumeTag(payload)
	if n < 0 || field != 1 || kind != protowire.VarintType {
		return 0
	}
	value, n := protowire.ConsumeVarint(payload[n:])
	if n < 0 {
		return 0
	}
	return msync.MessageBody_Type(value)
}
