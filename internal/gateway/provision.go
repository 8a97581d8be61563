package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/gobwas/ws"
	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/message"
	"github.com/stoa-chat/stoa/internal/msync"
)

// maxResource bounds the name of a device, in bytes.
const maxResource = 256

// maxReason bounds the text that a displaced device is shown, in bytes; clients send up to 1024 characters.
const maxReason = 4096

// provision signs a user in (docs/protocol/wire.md §2).
func (s *session) provision(b []byte) bool {
	s.mu.Lock()
	refused := s.said
	s.mu.Unlock()
	if refused {
		return true
	}
	var envelope msync.MSync
	var p msync.Provision
	if err := proto.Unmarshal(b, &envelope); err != nil {
		return s.violates("not an MSync")
	}
	if err := proto.Unmarshal(envelope.Payload, &p); err != nil {
		return s.violates("not a Provision")
	}
	err := s.signIn(context.Background(), &envelope, &p)
	s.gateway.metrics.logins.WithLabelValues(codeLabel(err)).Inc()
	if err == nil {
		return true
	}
	if errors.Is(err, errCutOff) {
		s.drop()
		return true
	}
	if _, coded := errcode.CodeOf(err); !coded {
		// The server's own trouble is no verdict on the credentials: the client shall try again.
		s.gateway.log.Error("sign in", "error", err)
		s.leave(ws.StatusInternalServerError, "not available")
		return true
	}
	s.gateway.log.Info("sign-in refused", "remote", s.conn.RemoteAddr().String(), "app", envelope.Guid.GetAppKey(), "user", envelope.Guid.GetName(), "error", err)
	status, reason := loginStatus(err)
	s.send(msync.MSync_PROVISION, &msync.Provision{Status: &msync.Status{ErrorCode: status, Reason: reason}, Resource: p.Resource})
	s.leave(ws.StatusPolicyViolation, "sign-in refused")
	return true
}

func (s *session) signIn(ctx context.Context, envelope *msync.MSync, p *msync.Provision) error {
	info := account.DeviceInfo{Resource: p.Resource, UUID: p.DeviceUuid, Name: p.DeviceName, Reason: p.Reason}
	if info.Resource == "" {
		info.Resource = envelope.Guid.GetClientResource()
	}
	if bad := badDevice(info); bad != "" {
		return errcode.New(errcode.InvalidParameter, bad)
	}
	name := envelope.Guid.GetName()
	login, err := s.gateway.accounts.Login(ctx, envelope.Guid.GetAppKey(), name, tokenOf(envelope, p))
	if err != nil {
		return err
	}
	if !login.App.Settings.AllowsOrigin(s.origin) {
		return errcode.Newf(errcode.AuthFailed, "pages of %s may not use the app", s.origin)
	}
	if err := s.rehearseLogin(login.User.ID); err != nil {
		return err
	}
	row, err := s.gateway.accounts.OpenSession(ctx, login, info)
	if err != nil {
		return err
	}
	s.login, s.row = login, row
	s.sender = message.Sender{App: login.App, User: login.User, Device: row.Device, Resource: row.Resource}
	s.expires.Store(login.Expires)
	down := &msync.Provision{Status: &msync.Status{}, Resource: row.Resource}
	if login.Expires != 0 {
		down.AuthToken = fmt.Sprintf(`{"expires_in":%d}`, login.Expires)
	}
	s.send(msync.MSync_PROVISION, down)
	who := delivery.Identity{Session: row.ID, User: login.User.ID, Device: row.Device, Name: login.User.Name, Alias: name}
	if s.deliver, err = s.gateway.hub.Open(who, s); err != nil {
		return errors.Join(err, s.gateway.accounts.CloseSession(ctx, row))
	}
	s.returnToRooms(ctx)
	s.loggedIn.Store(true)
	s.rehearseNotice()
	s.gateway.log.Debug("signed in", "app", login.App.Key(), "user", login.User.ID, "resource", row.Resource)
	return nil
}

func badDevice(d account.DeviceInfo) string {
	for name, text := range map[string]string{"resource": d.Resource, "device_uuid": d.UUID, "device_name": d.Name} {
		if len(text) > maxResource || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == utf8.RuneError }) {
			return name + " is too long or holds control characters"
		}
	}
	if d.Resource == "" {
		return "resource is missing"
	}
	if len(d.Reason) > maxReason {
		return "reason is too long"
	}
	return ""
}

// tokenOf finds the token: in the envelope, or as JSON in the Provision.
func tokenOf(envelope *msync.MSync, p *msync.Provision) string {
	if envelope.Auth != "" {
		return strings.TrimPrefix(envelope.Auth, "$t$")
	}
	var auth struct {
		Token string `json:"token"`
	}
	if json.Unmarshal([]byte(p.AuthToken), &auth) != nil {
		return ""
	}
	return strings.TrimPrefix(auth.Token, "$t$")
}
