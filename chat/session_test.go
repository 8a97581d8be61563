package chat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/msync"
)

type sent struct {
	m   *Message
	err error
}

func sendLater(ctx context.Context, c *Client, text string, opts ...SendOption) <-chan sent {
	return later(func() sent {
		m, err := c.SendText(ctx, "bob", text, opts...)
		return sent{m, err}
	})
}

func TestSendReturnsTheMessageAsStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		c, s, events := p.online()
		result := sendLater(t.Context(), c, "hi", WithExt(map[string]any{"k": 1}), WithClientID("42"))
		meta, body := s.call()
		if meta.GetId() != 42 || meta.GetFrom() != nil || meta.GetTo().GetName() != "bob" || meta.GetTo().GetDomain() != userDomain ||
			meta.GetTo().GetAppKey() != "stoa#demo" {
			t.Errorf("meta is %v", meta)
		}
		if body.GetType() != msync.MessageBody_CHAT || body.GetFrom().GetName() != "alice" || body.GetTo().GetName() != "bob" ||
			body.GetContents()[0].GetText() != "hi" || body.GetExt()[0].GetVarintValue() != 1 {
			t.Errorf("body is %v", body)
		}
		s.answer(42, msync.Status_OK, "", 1500000000000000008)
		got := <-result
		if got.err != nil {
			t.Fatal(got.err)
		}
		want := &Message{
			ID: "1500000000000000008", ClientID: "42", From: "alice", To: "bob", Conversation: "bob", Time: time.UnixMilli(1_700_000_000_000),
			Content: Content{Text: "hi"}, Ext: map[string]any{"k": 1},
		}
		if diff := cmp.Diff(want, got.m); diff != "" {
			t.Errorf("message differs (-want +got):\n%s", diff)
		}
		wantEvents(t, events)
	})
}

func TestSendAddressesGroupsAndDevices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		c, s, _ := p.online()
		for _, tt := range []struct {
			to     string
			opts   []SendOption
			name   string
			domain string
			device string
			kind   msync.MessageBody_Type
		}{
			{"bob/ios_1", nil, "bob", userDomain, "ios_1", msync.MessageBody_CHAT},
			{"g1", []SendOption{WithChatType(GroupChat)}, "g1", groupDomain, "", msync.MessageBody_GROUPCHAT},
			{"r1", []SendOption{WithChatType(RoomChat)}, "r1", groupDomain, "", msync.MessageBody_CHATROOM},
		} {
			result := later(func() sent {
				m, err := c.SendText(t.Context(), tt.to, "hi", tt.opts...)
				return sent{m, err}
			})
			meta, body := s.call()
			to := meta.GetTo()
			if to.GetName() != tt.name || to.GetDomain() != tt.domain || to.GetClientResource() != tt.device || body.GetType() != tt.kind || body.GetTo().GetName() != tt.name {
				t.Errorf("message to %s goes to %v as %v", tt.to, to, body.GetType())
			}
			s.answer(meta.GetId(), msync.Status_OK, "", 7)
			if got := <-result; got.err != nil {
				t.Error(got.err)
			}
		}
	})
}

func TestRefusedSendCarriesBothIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		c, s, events := p.online()
		result := sendLater(t.Context(), c, "hi", WithClientID("42"))
		s.call()
		s.answer(42, msync.Status_FAIL, "nonroster", 8)
		err := (<-result).err
		wantCode(t, err, errcode.UserNotFriend)
		if diff := cmp.Diff(map[string]any{"id": "42", "mid": "8", "reason": "nonroster", "status": 1}, err.(*Error).Data); diff != "" {
			t.Errorf("data differs (-want +got):\n%s", diff)
		}
		wantEvents(t, events)
	})
}

func TestSendChecksLocally(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		c, _ := p.client()
		send := func(to, text string, opts ...SendOption) error {
			_, err := c.SendText(t.Context(), to, text, opts...)
			return err
		}
		wantCode(t, send("bob", "hi"), errcode.NotLoggedIn)
		wantCode(t, c.SendRead(t.Context(), &Message{ID: "1", From: "bob"}), errcode.NotLoggedIn)

		c, s, _ := p.online()
		wantCode(t, send("", "hi"), errcode.MessageParameterError)
		wantCode(t, send("bob", "\xff"), errcode.InvalidParameter)
		wantCode(t, send("\xff", "x"), errcode.InvalidParameter)
		wantCode(t, send("bob", "x", WithExt(map[string]any{"f": func() {}})), errcode.InvalidParameter)
		for _, id := range []string{"0", "-1", "x", "18446744073709551616"} {
			wantCode(t, send("bob", "x", WithClientID(id)), errcode.InvalidParameter)
		}
		_, err := c.Send(t.Context(), "bob", Content{Kind: 99})
		wantCode(t, err, errcode.InvalidParameter)
		wantCode(t, c.SendRead(t.Context(), nil), errcode.MessageParameterError)
		wantCode(t, c.SendRead(t.Context(), &Message{From: "bob"}), errcode.MessageParameterError)
		wantCode(t, c.SendRead(t.Context(), &Message{ID: "1"}), errcode.MessageParameterError)
		wantCode(t, c.SendConversationRead(t.Context(), ""), errcode.MessageParameterError)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = c.SendText(ended, "bob", "hi")
		wantCode(t, err, errcode.RequestAbort)

		first := sendLater(t.Context(), c, "hi", WithClientID("42"))
		s.call()
		wantCode(t, send("bob", "other", WithClientID("42")), errcode.InvalidParameter)
		c.Close()
		wantCode(t, (<-first).err, errcode.SendInterrupted)
		wantCode(t, send("bob", "hi"), errcode.NotLoggedIn)
	})
}

func TestReceiptsGoToTheSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		c, s, _ := p.online()
		single := &Message{ID: "5", From: "bob", To: "alice"}
		group := &Message{ID: "6", From: "bob", To: "g1", ChatType: GroupChat}
		for _, tt := range []struct {
			call   func() error
			kind   msync.MessageBody_Type
			to     string
			domain string
			id     uint64
			group  bool
		}{
			{func() error { return c.SendRead(t.Context(), single) }, msync.MessageBody_READ_ACK, "bob", userDomain, 5, false},
			{func() error { return c.SendDelivered(t.Context(), single) }, msync.MessageBody_DELIVER_ACK, "bob", userDomain, 5, false},
			{func() error { return c.SendConversationRead(t.Context(), "bob") }, msync.MessageBody_CHANNEL_ACK, "bob", userDomain, 0, false},
			{func() error { return c.SendRead(t.Context(), group) }, msync.MessageBody_READ_ACK, "g1", groupDomain, 6, true},
		} {
			result := later(tt.call)
			meta, body := s.call()
			if body.GetType() != tt.kind || meta.GetTo().GetName() != tt.to || meta.GetTo().GetDomain() != tt.domain ||
				body.GetAckMessageId() != tt.id || body.GetMsgConfig().GetAllowGroupAck() != tt.group || len(body.GetContents()) != 1 {
				t.Errorf("receipt is %v to %v", body, meta.GetTo())
			}
			s.answer(meta.GetId(), msync.Status_OK, "", 0)
			if err := <-result; err != nil {
				t.Error(err)
			}
		}
		result := later(func() error { return c.SendRead(t.Context(), single) })
		meta, _ := s.call()
		s.answer(meta.GetId(), msync.Status_FAIL, "username bob doesn't exist!", 0)
		wantCode(t, <-result, errcode.UserNotFound)
	})
}

func TestUnansweredSendIs512AndReconnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		c, s, events := p.online()
		began := time.Now()
		result := sendLater(t.Context(), c, "hi")
		s.call()
		wantCode(t, (<-result).err, errcode.SendTimeout)
		if got := time.Since(began); got != 15*time.Second {
			t.Errorf("it took %v", got)
		}
		next := p.next()
		if got := time.Since(began); got > 16*time.Second {
			t.Errorf("the client reconnected after %v", got)
		}
		next.accept(time.Time{})
		next.welcome()
		wantEvents(t, events, "error 16", "reconnecting", "connected")
	})
}

func TestSendEndsWithItsContextWhileOnline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		c, s, events := p.online()
		ctx, cancel := context.WithCancel(t.Context())
		result := sendLater(ctx, c, "hi", WithClientID("42"))
		s.call()
		cancel()
		err := (<-result).err
		wantCode(t, err, errcode.RequestAbort)
		if !errors.Is(err, context.Canceled) || err.(*Error).Data["id"] != "42" {
			t.Errorf("error is %+v", err)
		}
		// The answer comes late, even a refusal: nobody waits for it.
		s.answer(42, msync.Status_FAIL, "nonroster", 0)

		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		result = sendLater(ctx, c, "hi")
		s.call()
		err = (<-result).err
		wantCode(t, err, errcode.RequestTimeout)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v does not match context.DeadlineExceeded", err)
		}
		wantEvents(t, events)
	})
}

func TestUnansweredSendIsRepeatedAfterAReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		c, s, events := p.online()
		first := sendLater(t.Context(), c, "one")
		before := s.frame(msync.MSync_SYNC)
		s.ws.CloseNow()
		synctest.Wait()
		second := sendLater(t.Context(), c, "two") // waits in the queue
		synctest.Wait()

		s = p.next()
		wantEvents(t, events, "error 16", "reconnecting")
		if user, ok := c.User(); !ok || user != "alice" {
			t.Errorf("user is %q, %v while reconnecting", user, ok)
		}
		wantCode(t, c.Login(t.Context(), "alice", Token("t")), errcode.AlreadyLoggedIn)
		s.accept(time.Time{})
		again := s.frame(msync.MSync_SYNC)
		if !bytes.Equal(before.GetPayload(), again.GetPayload()) {
			t.Errorf("the frame was sent as %x and again as %x", before.GetPayload(), again.GetPayload())
		}
		var up msync.CommSyncUL
		if err := proto.Unmarshal(again.GetPayload(), &up); err != nil {
			t.Fatal(err)
		}
		meta, body := s.call()
		if body.GetContents()[0].GetText() != "two" {
			t.Errorf("second frame is %v", body)
		}
		s.welcome() // UNREAD comes after what waited
		s.answer(up.GetMeta().GetId(), msync.Status_OK, "", 7)
		s.answer(meta.GetId(), msync.Status_OK, "", 8)
		if got := <-first; got.err != nil || got.m.ID != "7" {
			t.Errorf("first send: %+v", got)
		}
		if got := <-second; got.err != nil || got.m.ID != "8" {
			t.Errorf("second send: %+v", got)
		}
		wantEvents(t, events, "connected")
	})
}

func TestWhatWaitedGoesFirstAndInOrderAfterAReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		c, s, _ := p.online()
		const written, waiting = 3, 3 * writeBatch
		send := func(id int) {
			sendLater(t.Context(), c, "x", WithClientID(fmt.Sprint(id)))
			synctest.Wait()
		}
		for id := 1; id <= written; id++ {
			send(id)
			s.call()
		}
		s.ws.CloseNow()
		synctest.Wait()
		for id := written + 1; id <= written+waiting; id++ {
			send(id)
		}
		s = p.next()
		s.accept(time.Time{})
		for id := 1; id <= written+waiting; id++ {
			if meta, _ := s.call(); meta.GetId() != uint64(id) {
				t.Fatalf("call %d comes where %d should", meta.GetId(), id)
			}
		}
		s.welcome()
	})
}

func TestSendsEndWithTheirContextWhileOffline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		c, s, _ := p.online()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		written := sendLater(ctx, c, "one")
		s.call()
		p.set(func() { p.down = true })
		s.ws.CloseNow()
		synctest.Wait()
		waiting := sendLater(ctx, c, "two")
		err := (<-written).err
		wantCode(t, err, errcode.SendInterrupted)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v does not match context.DeadlineExceeded", err)
		}
		err = (<-waiting).err
		wantCode(t, err, errcode.ClientOffline)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v does not match context.DeadlineExceeded", err)
		}
	})
}

func TestNothingWaitsWithoutAnOfflineQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		c, s, _ := p.online(WithOfflineQueue(0))
		written := sendLater(t.Context(), c, "one")
		s.call()
		s.ws.CloseNow()
		wantCode(t, (<-written).err, errcode.SendInterrupted)
		_, err := c.SendText(t.Context(), "bob", "two")
		wantCode(t, err, errcode.ClientOffline)
	})
}

func TestOfflineQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		c, s, _ := p.online(WithOfflineQueue(2))
		p.set(func() { p.down = true })
		s.ws.CloseNow()
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		one, two := sendLater(ctx, c, "one"), sendLater(ctx, c, "two")
		synctest.Wait()
		_, err := c.SendText(t.Context(), "bob", "three")
		wantCode(t, err, errcode.ClientOffline)
		cancel()
		wantCode(t, (<-one).err, errcode.ClientOffline)
		wantCode(t, (<-two).err, errcode.ClientOffline)
	})
}

func TestAFrameThatBreaksConnectionsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		c, s, _ := p.online()
		result := sendLater(t.Context(), c, "poison")
		for range maxWrites - 1 {
			s.call()
			s.ws.CloseNow()
			s = p.next()
			s.accept(time.Time{})
		}
		s.call()
		s.ws.CloseNow()
		wantCode(t, (<-result).err, errcode.SendInterrupted)
		s = p.next()
		s.accept(time.Time{})
		s.welcome()
	})
}

func TestReconnectGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		c, s, events := p.online(WithReconnect(Reconnect{Attempts: 3}))
		written := sendLater(t.Context(), c, "one")
		s.call()
		p.set(func() { p.down = true })
		s.ws.CloseNow()
		synctest.Wait()
		began := time.Now()
		waiting := sendLater(t.Context(), c, "two")
		for _, result := range []<-chan sent{written, waiting} {
			err := (<-result).err
			wantCode(t, err, errcode.SendInterrupted)
			if !errors.Is(err, errcode.Disconnected) {
				t.Errorf("%v does not wrap 16", err)
			}
		}
		if took := time.Since(began); took < 3500*time.Millisecond || took > 7*time.Second {
			t.Errorf("three attempts took %v, want between 3.5 s and 7 s", took)
		}
		wantEvents(t, events, "error 16", "reconnecting", "error 40", "error 40", "error 40", "disconnected 16")
		_, err := c.SendText(t.Context(), "bob", "x")
		wantCode(t, err, errcode.NotLoggedIn)

		p.set(func() { p.down = false })
		p.login(c, Token("t1"), time.Time{})
		wantEvents(t, events, "connected")
	})
}

func TestAttemptsCountOnWhileConnectionsDieYoung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		_, s, events := p.online(WithReconnect(Reconnect{Attempts: 2}), WithTimeouts(Timeouts{Heartbeat: time.Hour}))
		for range 2 {
			s.ws.CloseNow()
			s = p.next()
			s.accept(time.Time{})
			s.welcome()
		}
		time.Sleep(stable)
		s.ws.CloseNow() // an old connection: counting begins again
		s = p.next()
		s.accept(time.Time{})
		s.welcome()
		s.ws.CloseNow()
		s = p.next()
		s.accept(time.Time{})
		s.welcome()
		s.ws.CloseNow()
		lost := []string{"error 16", "reconnecting", "connected"}
		wantEvents(t, events, append(append(append(append(append([]string(nil), lost...), lost...), lost...), lost...),
			"error 16", "reconnecting", "disconnected 16")...)
	})
}

func TestRefusedReconnectEndsTheSession(t *testing.T) {
	for _, tt := range []struct {
		status msync.Status_ErrorCode
		reason string
		code   errcode.Code
	}{
		{msync.Status_FAIL, "Sorry, token expired", errcode.TokenExpired},
		{msync.Status_UNAUTHORIZED, "", errcode.AuthFailed},
		{msync.Status_IM_FORBIDDEN, "", errcode.ServingDisabled},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPeer(t)
				c, s, events := p.online()
				s.ws.CloseNow()
				synctest.Wait()
				waiting := sendLater(t.Context(), c, "hi")
				p.next().verdict(tt.status, tt.reason)
				wantCode(t, (<-waiting).err, tt.code)
				wantEvents(t, events, "error 16", "reconnecting", fmt.Sprintf("error %d", tt.code), fmt.Sprintf("disconnected %d", tt.code))
				time.Sleep(time.Hour)
				if len(p.sockets) > 0 {
					t.Error("the client tried again")
				}
			})
		})
	}
}

func TestKickEndsTheSession(t *testing.T) {
	for op, code := range kickCodes {
		t.Run(code.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPeer(t)
				c, s, events := p.online()
				var reason any
				c.AddEventListener("reason", Listener{OnError: func(e *Error) { reason = e.Data["reason"] }})
				written := sendLater(t.Context(), c, "hi")
				s.call()
				s.send(msync.MSync_SYNC, &msync.CommSyncDL{
					Status: &msync.Status{}, Queue: &msync.JID{Name: "q"}, IsLast: true,
					Metas: []*msync.Meta{textMeta(5, "bob", "last words"), kickMeta(op, "I am the other")},
				})
				err := (<-written).err
				wantCode(t, err, errcode.SendInterrupted)
				if !errors.Is(err, code) {
					t.Errorf("%v does not wrap %d", err, code)
				}
				wantEvents(t, events, "text 5 bob last words", fmt.Sprintf("error %d", code), fmt.Sprintf("disconnected %d", code))
				if reason != "I am the other" {
					t.Errorf("reason is %v", reason)
				}
				_, err = c.SendText(t.Context(), "bob", "hi")
				wantCode(t, err, errcode.NotLoggedIn)
				time.Sleep(time.Hour)
				wantEvents(t, events)
				if !s.ended() || len(p.sockets) > 0 {
					t.Error("the client keeps the connection or made another")
				}
			})
		})
	}
}

func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		_, s, events := p.online()
		began := time.Now()
		s.frame(msync.MSync_UNREAD)
		if got := time.Since(began); got != 30*time.Second {
			t.Errorf("UNREAD came after %v of silence", got)
		}
		s.send(msync.MSync_UNREAD, &msync.CommUnreadDL{Status: &msync.Status{}})
		s.frame(msync.MSync_SYNC)
		time.Sleep(20 * time.Second)
		s.send(msync.MSync_NOTICE, &msync.CommNotice{}) // any frame is a sign of life
		synctest.Wait()
		began = time.Now()
		s.frame(msync.MSync_UNREAD)
		if got := time.Since(began); got != 30*time.Second {
			t.Errorf("UNREAD came after %v of silence", got)
		}
		wantEvents(t, events)

		// Nothing comes any more.
		next := p.next()
		if got := time.Since(began); got < 45*time.Second || got > 47*time.Second {
			t.Errorf("the client reconnected after %v of silence, want 30 s + 15 s and a pause", got)
		}
		next.accept(time.Time{})
		wantEvents(t, events, "error 16", "reconnecting", "connected")
	})
}

func TestUnreadQueuesAreReadToTheirEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		c, events := p.client()
		s := p.login(c, Token("t1"), time.Time{})
		s.frame(msync.MSync_UNREAD)
		s.frame(msync.MSync_SYNC)
		q := &msync.JID{AppKey: "a", Name: "q", Domain: "d", ClientResource: "r"}
		s.send(msync.MSync_UNREAD, &msync.CommUnreadDL{Status: &msync.Status{}, Unread: []*msync.MetaQueue{{Queue: q, N: 3}, {Queue: &msync.JID{Name: "q2"}}, {}}})
		if up := s.sync(); !proto.Equal(up.GetQueue(), q) || up.Key != nil {
			t.Errorf("first pull is %v", up)
		}
		if up := s.sync(); up.GetQueue().GetName() != "q2" || up.Key != nil {
			t.Errorf("second pull is %v", up)
		}
		batch := func(key uint64, metas ...*msync.Meta) {
			s.send(msync.MSync_SYNC, &msync.CommSyncDL{Status: &msync.Status{}, Queue: q, Metas: metas, NextKey: key})
		}
		wantKey := func(key uint64) {
			t.Helper()
			if up := s.sync(); !proto.Equal(up.GetQueue(), q) || up.Key == nil || up.GetKey() != key {
				t.Errorf("acknowledgement is %v, want key %d", up, key)
			}
		}
		batch(7, textMeta(1, "bob", "a"), textMeta(2, "bob", "b"))
		wantKey(7)
		batch(1<<64-1, textMeta(2, "bob", "b"), textMeta(3, "bob", "c")) // 2 came before
		wantKey(1<<64 - 1)
		s.send(msync.MSync_SYNC, &msync.CommSyncDL{Status: &msync.Status{}, Queue: q, IsLast: true})
		wantEvents(t, events, "connected", "text 1 bob a", "text 2 bob b", "text 3 bob c")

		// The queue may be announced again, also while it is read.
		s.send(msync.MSync_NOTICE, &msync.CommNotice{Queue: q})
		if up := s.sync(); up.Key != nil {
			t.Errorf("pull after a notice is %v", up)
		}
		s.send(msync.MSync_NOTICE, &msync.CommNotice{Queue: q})
		synctest.Wait()
		if frames := s.drained(); len(frames) != 0 {
			t.Errorf("%d frames after a notice for a queue that is being read", len(frames))
		}
		s.send(msync.MSync_SYNC, &msync.CommSyncDL{Status: &msync.Status{}, Queue: q, IsLast: true})
		if up := s.sync(); up.Key != nil {
			t.Errorf("pull after the remembered notice is %v", up)
		}
	})
}

func TestPushesAreAcknowledgedAfterTheirCallbacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		c, s, _ := p.online()
		release := make(chan struct{})
		c.AddEventListener("slow", Listener{OnTextMessage: func(*Message) { <-release }})
		q := &msync.JID{Name: "q"}
		s.send(msync.MSync_SYNC, &msync.CommSyncDL{Status: &msync.Status{}, Queue: q, Metas: []*msync.Meta{textMeta(1, "bob", "a")}, NextKey: 9})
		synctest.Wait()
		if frames := s.drained(); len(frames) != 0 {
			t.Error("acknowledged before the callback returned")
		}
		close(release)
		if up := s.sync(); up.GetKey() != 9 {
			t.Errorf("acknowledgement is %v", up)
		}
		// What is marked as last is not acknowledged, and neither is what has no key or no queue.
		for _, down := range []*msync.CommSyncDL{
			{Queue: q, Metas: []*msync.Meta{textMeta(2, "bob", "b")}, NextKey: 10, IsLast: true},
			{Queue: q, Metas: []*msync.Meta{textMeta(3, "bob", "c")}},
			{Metas: []*msync.Meta{textMeta(4, "bob", "d")}, NextKey: 11},
		} {
			s.send(msync.MSync_SYNC, down)
		}
		synctest.Wait()
		if frames := s.drained(); len(frames) != 0 {
			t.Errorf("%d frames after batches that want no acknowledgement", len(frames))
		}
	})
}

func TestReceiptsAndMessagesReachTheirCallbacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		c, s, events := p.online(WithDeliveryReceipts())
		var kinds []Kind
		c.AddEventListener("kinds", Listener{OnMessage: func(m *Message) { kinds = append(kinds, m.Kind) }})
		receipt := func(id uint64, kind msync.MessageBody_Type) *msync.Meta {
			return bodyMeta(id, "bob", &msync.MessageBody{
				Type: kind, From: &msync.JID{Name: "bob"}, To: &msync.JID{Name: "alice"}, AckMessageId: 77, Contents: []*msync.MessageBody_Content{{}},
			})
		}
		image := textMeta(5, "bob", "")
		var body msync.MessageBody
		if err := proto.Unmarshal(image.GetPayload(), &body); err != nil {
			t.Fatal(err)
		}
		body.Contents[0].Type = msync.MessageBody_Content_IMAGE
		image = bodyMeta(5, "bob", &body)
		s.send(msync.MSync_SYNC, &msync.CommSyncDL{Queue: &msync.JID{Name: "q"}, NextKey: 3, Metas: []*msync.Meta{
			textMeta(1, "bob", "hi"),
			receipt(2, msync.MessageBody_DELIVER_ACK), receipt(3, msync.MessageBody_READ_ACK), receipt(4, msync.MessageBody_CHANNEL_ACK),
			image,
			textMeta(6, "alice", "from my other device"),
			{Id: 7, Ns: msync.Meta_MUC, From: &msync.JID{Name: "g"}},
			{Id: 8, Ns: msync.Meta_NOTIFY, From: &msync.JID{Name: "g"}, Payload: []byte("{}")},
			receipt(9, msync.MessageBody_RECALL),
			receipt(10, 99),
		}})
		for _, want := range []uint64{1, 5} { // delivery receipts: of messages, and not of one's own
			meta, body := s.call()
			if body.GetType() != msync.MessageBody_DELIVER_ACK || body.GetAckMessageId() != want || meta.GetTo().GetName() != "bob" {
				t.Errorf("delivery receipt is %v", body)
			}
			s.answer(meta.GetId(), msync.Status_FAIL, "whatever", 0) // not the app's concern
		}
		if up := s.sync(); up.GetKey() != 3 {
			t.Errorf("acknowledgement is %v", up)
		}
		wantEvents(t, events, "text 1 bob hi", "delivered 77 bob", "read 77 bob", "conversation read bob", "text 6 alice from my other device", "recall 77 bob")
		if diff := cmp.Diff([]Kind{KindText, KindImage, KindText}, kinds); diff != "" {
			t.Errorf("kinds differ (-want +got):\n%s", diff)
		}
	})
}

func TestUndecodableFramesAndMessagesAreReportedAndSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		_, s, events := p.online()
		s.raw([]byte{0xff})
		s.raw([]byte{0x40, 0, 0x4a, 1, 0xff})
		s.raw([]byte{0x40, 1, 0x4a, 1, 0xff})
		s.raw([]byte{0x40, 2, 0x4a, 1, 0xff})
		s.raw([]byte{0x40, 77, 0x4a, 1, 0xff}) // a command of another time
		wantEvents(t, events, "error 604", "error 604", "error 604", "error 604")
		s.send(msync.MSync_SYNC, &msync.CommSyncDL{Queue: &msync.JID{Name: "q"}, NextKey: 3, Metas: []*msync.Meta{
			{Id: 1, Ns: msync.Meta_CHAT, Payload: []byte{0xff}},
			{Id: 2, Ns: msync.Meta_STATISTIC, Payload: []byte{0xff}},
			bodyMeta(3, "bob", &msync.MessageBody{Type: msync.MessageBody_CHAT}),
			bodyMeta(4, "bob", &msync.MessageBody{}),
			textMeta(5, "bob", "good"),
		}})
		if up := s.sync(); up.GetKey() != 3 {
			t.Errorf("acknowledgement is %v", up)
		}
		wantEvents(t, events, "error 604", "error 604", "error 604", "error 604", "text 5 bob good")
	})
}

func TestSlowCallbacksMakeTheClientReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		c, s, events := p.online(WithEventQueue(2))
		release := make(chan struct{})
		c.AddEventListener("slow", Listener{OnTextMessage: func(*Message) { <-release }})
		push := func(s *socket, id uint64) {
			s.send(msync.MSync_SYNC, &msync.CommSyncDL{Queue: &msync.JID{Name: "q"}, Metas: []*msync.Meta{textMeta(id, "bob", "x")}, NextKey: id})
			synctest.Wait()
		}
		for id := uint64(1); id <= 4; id++ { // 1 is in its callback, 2 and 3 wait, 4 is dropped
			push(s, id)
		}
		release <- struct{}{}
		wantKeys := func(keys ...uint64) {
			t.Helper()
			for _, key := range keys {
				if up := s.sync(); up.GetKey() != key {
					t.Errorf("acknowledgement is %v, want %d", up, key)
				}
			}
		}
		wantKeys(1)
		push(s, 5) // there is room now, but 4 would be lost if 5 were acknowledged
		// Calls go on meanwhile.
		result := sendLater(t.Context(), c, "hi")
		meta, _ := s.call()
		s.answer(meta.GetId(), msync.Status_OK, "", 8)
		if got := <-result; got.err != nil {
			t.Fatal(got.err)
		}
		close(release)
		wantKeys(2, 3)
		s = p.next()
		s.accept(time.Time{})
		s.welcome()
		for id := uint64(3); id <= 5; id++ {
			push(s, id)
			wantKeys(id)
		}
		wantEvents(t, events, "text 1 bob x", "text 2 bob x", "text 3 bob x", "error 16", "reconnecting", "connected", "text 4 bob x", "text 5 bob x")
	})
}

func TestCloseInACallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		c, s, events := p.online()
		c.AddEventListener("closer", Listener{OnTextMessage: func(m *Message) {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}})
		s.send(msync.MSync_SYNC, &msync.CommSyncDL{Queue: &msync.JID{Name: "q"}, NextKey: 3, Metas: []*msync.Meta{
			textMeta(1, "bob", "a"), textMeta(2, "bob", "b"),
		}})
		wantEvents(t, events, "text 1 bob a", "disconnected")
		for _, f := range s.drained() {
			t.Errorf("frame after Close: %v", f)
		}
	})
}

func TestCloseMayBeCalledByMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		c, _, events := p.online()
		for range 3 {
			go c.Close()
		}
		c.Close()
		wantEvents(t, events, "disconnected")
	})
}

func TestLogoutDoesNotWaitForAServerThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		p.set(func() { p.stall = true })
		c, events := p.client()
		p.login(c, Token("t1"), time.Time{})
		synctest.Wait() // the first frame after the login is being written
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantCode(t, c.Logout(ctx), errcode.RequestTimeout)
		wantEvents(t, events, "connected", "disconnected")
		began := time.Now()
		c.Close()
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("Close took %v", took)
		}
	})
}

func TestServerThatReadsNothingIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		p.set(func() { p.stall = true })
		c, events := p.client()
		p.login(c, Token("t1"), time.Time{})
		began := time.Now()
		p.set(func() { p.stall = false })
		s := p.next()
		if took := time.Since(began); took < writeTimeout || took > writeTimeout+time.Second {
			t.Errorf("the client left after %v", took)
		}
		s.accept(time.Time{})
		s.welcome()
		wantEvents(t, events, "connected", "error 16", "reconnecting", "connected")
	})
}

func TestTokenEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		c, events := p.client(WithTimeouts(Timeouts{Heartbeat: 24 * time.Hour}))
		result := later(func() error { return c.Login(t.Context(), "alice", Token("t1")) })
		s := p.next()
		began := time.Now()
		s.accept(began.Add(100 * time.Second))
		if err := <-result; err != nil {
			t.Fatal(err)
		}
		time.Sleep(80*time.Second - 1)
		wantEvents(t, events, "connected")
		time.Sleep(time.Nanosecond)
		wantEvents(t, events, "token will expire")
		time.Sleep(20*time.Second - 1)
		wantEvents(t, events)
		time.Sleep(time.Nanosecond)
		wantEvents(t, events, "token expired", "disconnected 56")
		if !s.ended() {
			t.Error("the connection is open after the token's end")
		}
		_, err := c.SendText(t.Context(), "bob", "hi")
		wantCode(t, err, errcode.NotLoggedIn)
	})
}

func TestTokenEndIsByTheServersClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		c, events := p.client(WithTimeouts(Timeouts{Heartbeat: 24 * time.Hour}))
		result := later(func() error { return c.Login(t.Context(), "alice", Token("t1")) })
		s := p.next()
		server := time.Now().Add(-time.Hour) // the local clock is an hour ahead
		s.accept(server.Add(100 * time.Second))
		if err := <-result; err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		wantEvents(t, events, "connected")
		s.send(msync.MSync_UNREAD, &msync.CommUnreadDL{Timestamp: uint64(server.Add(time.Second).UnixMilli())})
		time.Sleep(79*time.Second - 1)
		wantEvents(t, events)
		time.Sleep(time.Nanosecond)
		wantEvents(t, events, "token will expire")
		// The server's clock jumps past the end.
		s.send(msync.MSync_UNREAD, &msync.CommUnreadDL{Timestamp: uint64(server.Add(101 * time.Second).UnixMilli())})
		wantEvents(t, events, "token expired", "disconnected 56")
	})
}

func TestRenewToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		var answer any
		status := 200
		p.rest = func(w http.ResponseWriter, r *http.Request) {
			if r.Method != "GET" || r.URL.Path != "/stoa/demo/sdk/users/alice/token/expires" || r.Header.Get("Authorization") != "Bearer t2" {
				t.Errorf("request is %s %s %s", r.Method, r.URL.Path, r.Header.Get("Authorization"))
			}
			writeJSON(w, status, answer)
		}
		c, events := p.client(WithTimeouts(Timeouts{Heartbeat: 24 * time.Hour}))
		err := c.RenewToken(t.Context(), "t2")
		wantCode(t, err, errcode.RestNoSession)
		if !errors.Is(err, errcode.InvalidToken) {
			t.Errorf("%v does not wrap 28", err)
		}
		s := p.login(c, Token("t1"), time.Now().Add(100*time.Second))
		wantEvents(t, events, "connected")
		wantCode(t, c.RenewToken(t.Context(), ""), errcode.InvalidToken)
		for _, bad := range []any{map[string]any{}, map[string]any{"expire_timestamp": "soon"}, map[string]any{"expire_timestamp": nil}} {
			answer = bad
			wantCode(t, c.RenewToken(t.Context(), "t2"), errcode.RequestFailed)
		}
		status, answer = 401, map[string]any{"error_description": "Unable to authenticate (OAuth)"}
		wantCode(t, c.RenewToken(t.Context(), "t2"), errcode.NoPermission)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		wantCode(t, c.RenewToken(ended, "t2"), errcode.RequestAbort)

		time.Sleep(90 * time.Second)
		wantEvents(t, events, "token will expire")
		status, answer = 200, map[string]any{"expire_timestamp": time.Now().Add(1000 * time.Second).UnixMilli()}
		if err := c.RenewToken(t.Context(), "t2"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(799 * time.Second)
		wantEvents(t, events)
		time.Sleep(time.Second)
		wantEvents(t, events, "token will expire")

		// The new token is the one of the next connection.
		s.ws.CloseNow()
		if s = p.next(); s.auth != "$t$t2" {
			t.Errorf("reconnect with %s", s.auth)
		}
		s.accept(time.Now().Add(199 * time.Second))
		wantEvents(t, events, "error 16", "reconnecting", "connected")
	})
}

// As after the sleep of a laptop.
func TestProviderRenewsATokenThatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		p.rest = func(w http.ResponseWriter, r *http.Request) {
			writeJSON(w, 200, map[string]any{"expire_timestamp": time.Now().Add(24 * time.Hour).UnixMilli()})
		}
		var calls atomic.Int64
		provider := TokenProvider(func(context.Context) (string, error) { return fmt.Sprintf("t%d", calls.Add(1)), nil })
		c, events := p.client(WithTimeouts(Timeouts{Heartbeat: 24 * time.Hour}))
		s := p.login(c, provider, time.Now().Add(100*time.Second))
		wantEvents(t, events, "connected")
		s.send(msync.MSync_UNREAD, &msync.CommUnreadDL{Timestamp: uint64(time.Now().Add(time.Hour).UnixMilli())})
		synctest.Wait()
		if n := calls.Load(); n != 2 {
			t.Errorf("the provider was called %d times", n)
		}
		wantEvents(t, events)
		s.ws.CloseNow()
		if s = p.next(); s.auth != "$t$t2" {
			t.Errorf("the client came back with %s", s.auth)
		}
		s.accept(time.Time{})
		wantEvents(t, events, "error 16", "reconnecting", "connected")
	})
}

func TestProviderRenewsTheToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		p.rest = func(w http.ResponseWriter, r *http.Request) {
			writeJSON(w, 200, map[string]any{"expire_timestamp": time.Now().Add(100 * time.Second).UnixMilli()})
		}
		var calls atomic.Int64
		provider := TokenProvider(func(context.Context) (string, error) {
			n := calls.Add(1)
			if n == 2 {
				return "", errors.New("the token service is down")
			}
			return fmt.Sprintf("t%d", n), nil
		})
		c, events := p.client(WithTimeouts(Timeouts{Heartbeat: 24 * time.Hour}))
		s := p.login(c, provider, time.Now().Add(100*time.Second))
		wantEvents(t, events, "connected")
		time.Sleep(82 * time.Second)
		wantEvents(t, events, "error 12") // and once more a second later
		time.Sleep(time.Second)
		synctest.Wait()
		if n := calls.Load(); n != 3 {
			t.Errorf("the provider was called %d times", n)
		}
		time.Sleep(500 * time.Second)
		wantEvents(t, events)
		if n := calls.Load(); n < 7 {
			t.Errorf("the provider was called %d times", n)
		}

		// A reconnect with a token that has ended meanwhile asks the provider too.
		s.ws.CloseNow()
		before := calls.Load()
		s = p.next()
		s.verdict(msync.Status_FAIL, "Sorry, token expired")
		s = p.next()
		if want := fmt.Sprintf("$t$t%d", before+1); s.auth != want {
			t.Errorf("auth is %s, want %s", s.auth, want)
		}
		s.accept(time.Time{})
		wantEvents(t, events, "error 16", "reconnecting", "connected")
		s.ws.CloseNow()
		p.next().verdict(msync.Status_FAIL, "Sorry, token expired")
		p.next().verdict(msync.Status_FAIL, "Sorry, token expired")
		wantEvents(t, events, "error 16", "reconnecting", "error 56", "disconnected 56")
	})
}

func TestCallbackPanicsReachOnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		c, s, events := p.online()
		c.AddEventListener("bad", Listener{OnTextMessage: func(*Message) { panic("boom") }})
		for id := uint64(1); id <= 2; id++ {
			s.send(msync.MSync_SYNC, &msync.CommSyncDL{Queue: &msync.JID{Name: "q"}, NextKey: id, Metas: []*msync.Meta{textMeta(id, "bob", "a")}})
			if up := s.sync(); up.GetKey() != id {
				t.Errorf("acknowledgement is %v", up)
			}
		}
		wantEvents(t, events, "text 1 bob a", "error 31", "text 2 bob a", "error 31")
	})
}

func TestManyCallsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		c, s, _ := p.online()
		const n = 500
		results := make([]<-chan sent, n)
		for i := range results {
			results[i] = sendLater(t.Context(), c, fmt.Sprint(i))
		}
		for i := range n {
			if i == n/2 {
				s.ws.CloseNow()
				s = p.next()
				s.accept(time.Time{})
				break
			}
			meta, _ := s.call()
			s.answer(meta.GetId(), msync.Status_OK, "", meta.GetId())
		}
		go func() { // until the test ends
			for f := range s.frames {
				var up msync.CommSyncUL
				if proto.Unmarshal(f.GetPayload(), &up) == nil && up.GetMeta().GetNs() == msync.Meta_CHAT {
					s.answer(up.GetMeta().GetId(), msync.Status_OK, "", up.GetMeta().GetId())
				}
			}
		}()
		for i, result := range results {
			if got := <-result; got.err != nil || got.m.ID != got.m.ClientID {
				t.Errorf("send %d: %+v", i, got)
			}
		}
		c.Close()
	})
}

func TestLogoutWhileReconnecting(t *testing.T) {
	for name, wait := range map[string]func(p *peer) *socket{
		"in a pause":    func(*peer) *socket { return nil },
		"in an attempt": func(p *peer) *socket { return p.next() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPeer(t)
				c, s, events := p.online()
				written := sendLater(t.Context(), c, "one")
				s.call()
				s.ws.CloseNow()
				synctest.Wait()
				waiting := sendLater(t.Context(), c, "two")
				s = wait(p)
				if err := c.Logout(t.Context()); err != nil {
					t.Fatal(err)
				}
				wantCode(t, (<-written).err, errcode.SendInterrupted)
				wantCode(t, (<-waiting).err, errcode.NotLoggedIn)
				wantEvents(t, events, "error 16", "reconnecting", "disconnected")
				if s != nil && !s.ended() {
					t.Error("the attempt's connection stays open")
				}
			})
		})
	}
}

func TestProviderThatFailsOnAReconnectIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		var calls atomic.Int64
		provider := TokenProvider(func(context.Context) (string, error) {
			if calls.Add(1) == 2 {
				return "", errors.New("the token service is down")
			}
			return "t", nil
		})
		c, events := p.client()
		s := p.login(c, provider, time.Time{})
		s.ws.CloseNow()
		for range 2 {
			p.next().verdict(msync.Status_FAIL, "Sorry, token or password does not match login info")
		}
		p.next().accept(time.Time{})
		wantEvents(t, events, "connected", "error 16", "reconnecting", "error 12", "connected")
	})
}

func TestAFloodOfNoticesEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t)
		c, _, events := p.online()
		c.mu.Lock()
		s := c.session
		cn := s.conn
		for i := range controlLimit + 10 { // while the writer waits for the lock
			cn.push(unreadFrame())
			if i >= controlLimit && cn.broken == nil {
				t.Error("the queue of frames has no limit")
			}
		}
		if len(cn.control) != controlLimit {
			t.Errorf("%d frames wait", len(cn.control))
		}
		c.mu.Unlock()
		next := p.next()
		next.accept(time.Time{})
		next.welcome()
		wantEvents(t, events, "error 16", "reconnecting", "connected")
	})
}
