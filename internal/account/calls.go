package account

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/store"
	"github.com/stoa-chat/stoa/internal/token"
)

const (
	callTokenLife = time.Hour // as long as a call may go on before its client asks again
	maxChannel    = 64        // bytes of a channel's name
	maxCallUsers  = 100       // users in one call
)

// CallToken lets a user take part in calls of the vendor's, which are no business of this server.
type CallToken struct {
	AppID   string // Agora App ID
	Text    string // AccessToken2 with the RTC service
	Channel string
	UID     uint32 // the user's number in calls; it stays the same
	Life    time.Duration
}

func (a *Service) offersCalls(app *App) error {
	if !app.Settings.RTCTokens {
		return NotOffered("tokens for calls")
	}
	return nil
}

// CallToken makes a token for a channel; "*" is any. It gives the rights to join and to publish. The errors are code 505
// and -3 (ErrChannel).
func (a *Service) CallToken(app *App, user store.User, channel string) (CallToken, error) {
	if err := a.offersCalls(app); err != nil {
		return CallToken{}, err
	}
	if channel == "" || len(channel) > maxChannel || !store.IsText(channel) {
		e := errcode.Newf(errcode.InvalidParameter, "a channel's name has 1 to %d bytes", maxChannel)
		e.Err = ErrChannel
		return CallToken{}, e
	}
	if user.ID > math.MaxUint32 {
		return CallToken{}, fmt.Errorf("make call token: user number %d is no number of 32 bits", user.ID)
	}
	t := CallToken{AppID: app.AgoraID, Channel: channel, UID: uint32(user.ID), Life: callTokenLife}
	life := uint32(t.Life.Seconds())
	var err error
	t.Text, err = (&token.AccessToken{
		AppID: app.AgoraID, IssuedAt: uint32(a.clock.Now().Unix()), Expire: life, Salt: token.NewSalt(),
		Services: []token.Service{{Type: token.ServiceRTC, Channel: channel, User: strconv.FormatUint(uint64(t.UID), 10),
			Privileges: map[token.Privilege]uint32{
				token.PrivilegeJoinChannel: life, token.PrivilegePublishAudio: life,
				token.PrivilegePublishVideo: life, token.PrivilegePublishData: life,
			}}},
	}).Build(app.Certificate)
	return t, err
}

// CallUsers returns the names of users by their numbers in calls. Numbers of nobody are left out. The errors are code 505
// and 50 (ErrTooManyUsers).
func (a *Service) CallUsers(ctx context.Context, app *App, uids []uint32) (map[uint32]string, error) {
	if err := a.offersCalls(app); err != nil {
		return nil, err
	}
	if len(uids) > maxCallUsers {
		e := errcode.Newf(errcode.MaxLimit, "there are %d users, the limit is %d", len(uids), maxCallUsers)
		e.Err = ErrTooManyUsers
		return nil, e
	}
	names := map[uint32]string{}
	for _, uid := range uids {
		user, err := a.store.UserByID(ctx, int64(uid))
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, fmt.Errorf("read user: %w", err)
		}
		if err == nil && user.App == app.ID {
			names[uid] = user.Name
		}
	}
	return names, nil
}
