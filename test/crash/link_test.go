package crash_test

import (
	"context"
	"fmt"
	"net"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/test/internal/node"
)

// link is a signed-in connection that does only what it is told, unlike an SDK, which repairs and hides things.
type link struct {
	net.Conn
}

func userJID(user, device string) *msync.JID {
	return &msync.JID{AppKey: node.DevApp.Key, Name: user, Domain: "easemob.com", ClientResource: device}
}

// signIn opens a connection. The context bounds the sign-in only.
func signIn(ctx context.Context, socket, user, device, token string) (*link, error) {
	conn, early, _, err := ws.Dial(ctx, socket)
	if err != nil {
		return nil, err
	}
	l := &link{conn}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if early != nil {
		err = fmt.Errorf("the server spoke before it was asked")
	}
	if err == nil {
		err = l.provision(user, device, token)
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("sign in %s: %w", user, err)
	}
	return l, nil
}

func (l *link) provision(user, device, token string) error {
	payload, err := proto.Marshal(&msync.Provision{OsType: msync.OsType_OS_OTHER, Version: "1.4.0", Resource: device, DeviceUuid: device, DeviceName: device})
	if err != nil {
		return err
	}
	err = l.write(&msync.MSync{Command: msync.MSync_PROVISION, Guid: userJID(user, device), Auth: "$t$" + token, Payload: payload})
	if err != nil {
		return err
	}
	var answer msync.Provision
	command, err := l.read(map[msync.MSync_Command]proto.Message{msync.MSync_PROVISION: &answer})
	switch {
	case err != nil:
		return err
	case command != msync.MSync_PROVISION:
		return fmt.Errorf("the answer is a %v", command)
	case answer.GetStatus().GetErrorCode() != msync.Status_OK:
		return fmt.Errorf("refused: %v", answer.GetStatus())
	}
	return nil
}

// write sends a frame with one call, so that several goroutines may.
func (l *link) write(m *msync.MSync) error {
	b, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	if b, err = ws.CompileFrame(ws.MaskFrameInPlace(ws.NewBinaryFrame(b))); err != nil {
		return err
	}
	_, err = l.Write(b)
	return err
}

func (l *link) sync(up *msync.CommSyncUL) error {
	payload, err := proto.Marshal(up)
	if err != nil {
		return err
	}
	return l.write(&msync.MSync{Command: msync.MSync_SYNC, Payload: payload})
}

func (l *link) askUnread() error { return l.write(&msync.MSync{Command: msync.MSync_UNREAD}) }

// read waits for the next frame and decodes its payload into the message for its command, if there is one.
func (l *link) read(into map[msync.MSync_Command]proto.Message) (msync.MSync_Command, error) {
	b, err := wsutil.ReadServerBinary(l)
	if err != nil {
		return 0, err
	}
	var frame msync.MSync
	if err := proto.Unmarshal(b, &frame); err != nil {
		return 0, err
	}
	if m := into[frame.GetCommand()]; m != nil {
		return frame.GetCommand(), proto.Unmarshal(frame.GetPayload(), m)
	}
	return frame.GetCommand(), nil
}
