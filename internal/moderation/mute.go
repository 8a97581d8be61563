package moderation

import (
	"context"
	"math"
	"strconv"
	"time"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/bus"
	"github.com/stoa-chat/stoa/internal/store"
)

// Forever is the length of a mute without end, in seconds.
const Forever = -1

// maxMute is the longest mute that ends, in seconds (docs/protocol/admin-rest.md §16).
const maxMute = math.MaxInt32

// Mute is a mute of a user in the whole app.
type Mute struct {
	User    string
	Scope   store.Scope
	Seconds int64 // how much longer; Forever
}

// SetMutes mutes a user for so many seconds in kinds of conversations; 0 lifts a mute, Forever has no end, other negative
// numbers are passed over. The errors are code 204, and -3 (ErrMuteTime).
func (s *Service) SetMutes(ctx context.Context, app *account.App, name string, seconds map[store.Scope]int64) error {
	user, err := s.accounts.User(ctx, app, name)
	if err != nil {
		return err
	}
	var mutes []store.Mute
	for scope, n := range seconds {
		m := store.Mute{User: store.Peer{ID: user.ID, Name: user.Name}, Scope: scope}
		switch {
		case n > maxMute:
			e := errcode.Newf(errcode.InvalidParameter, "a mute lasts at most %d seconds, or for ever with -1", maxMute)
			e.Op, e.Err = "mute", ErrMuteTime
			return e
		case n == Forever:
			m.Until = math.MaxInt64
		case n < 0:
			continue
		case n > 0:
			m.Until = s.now() + n*time.Second.Milliseconds()
		}
		mutes = append(mutes, m)
	}
	if err := s.store.PutMutes(ctx, app.ID, mutes); err != nil {
		return err
	}
	word := strconv.AppendInt([]byte{heardMute}, user.ID, 10)
	s.forget(word)
	if err := s.bus.Publish(bus.All, word); err != nil {
		s.log.Warn("publish change", "error", err)
	}
	return nil
}

func (s *Service) now() int64 { return s.clock.Now().UnixMilli() }

// MutesOf returns the mutes of a user that have not ended. The error is code 204.
func (s *Service) MutesOf(ctx context.Context, app *account.App, name string) ([]Mute, error) {
	user, err := s.accounts.User(ctx, app, name)
	if err != nil {
		return nil, err
	}
	rows, err := s.store.MutesOf(ctx, user.ID)
	return s.lasting(rows), err
}

// Mutes returns up to limit mutes of an app that have not ended, after the first offset of them.
func (s *Service) Mutes(ctx context.Context, app *account.App, offset, limit int) ([]Mute, error) {
	rows, err := s.store.ListMutes(ctx, app.ID, s.now(), offset, limit)
	return s.lasting(rows), err
}

func (s *Service) lasting(rows []store.Mute) (mutes []Mute) {
	now := s.now()
	for _, row := range rows {
		m := Mute{User: row.User.Name, Scope: row.Scope, Seconds: Forever}
		if row.Until <= now {
			continue
		}
		if row.Until != math.MaxInt64 {
			m.Seconds = (row.Until - now + 999) / 1000 // none that lasts is shown as 0
		}
		mutes = append(mutes, m)
	}
	return mutes
}

// MayWrite says whether a user may write to conversations of a kind: nil, or code 219. It asks the store once in some
// seconds for a user.
func (s *Service) MayWrite(ctx context.Context, user store.User, scope store.Scope) error {
	mutes, err := s.mutes.Get(user.ID, func() ([]store.Mute, error) { return s.store.MutesOf(ctx, user.ID) })
	if err != nil {
		return err
	}
	for _, m := range mutes {
		if m.Scope == scope && m.Until > s.now() {
			return &errcode.Error{Code: errcode.UserMutedByAdmin, Op: "send", Message: "the user is muted in the whole app", Reason: "user is mute"}
		}
	}
	return nil
}

// heardMute begins what this package says on bus.All: a user's mutes have changed. The user's number follows.
const heardMute = 'g'

func (s *Service) forget(data []byte) {
	if len(data) == 0 || data[0] != heardMute {
		return
	}
	user, _ := strconv.ParseInt(string(data[1:]), 10, 64)
	s.mutes.Forget(user)
}
