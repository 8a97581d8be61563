package push

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

const (
	queueLimit  = 8192             // messages that wait in memory; more are read from the store
	slice       = 256              // messages that are looked at together
	maxLate     = time.Hour        // after a stop that was longer, nobody is told of what is older
	noteEvery   = 5 * time.Second  // the mark is written at least so often, while there are messages
	lookEvery   = 30 * time.Second // for what nodes that have ended left behind
	settled     = time.Minute      // after it was given its id, an entry has been committed or has failed
	membersLife = 5 * time.Second  // that a list of members is used
	maxMembers  = 10_000           // lists of members that are remembered
	retryAfter  = time.Second      // when the store did not answer
	claimTime   = 10 * time.Minute // in which no other node looks at what an ended one left behind
)

// Committed implements delivery.Observer.
func (s *Service) Committed(message store.Found, live bool) {
	if live || !store.History.Has(message.Content) {
		return
	}
	if app, ok := s.accounts.AppByID(message.Key.App); !ok || !notifies(app) {
		return
	}
	s.mu.Lock()
	if len(s.queue) < queueLimit && !s.behind {
		s.queue = append(s.queue, message)
	} else {
		s.behind = true
	}
	s.mu.Unlock()
	nudge(s.wake)
}

func notifies(app *account.App) bool { return app.Settings.Push && len(app.Settings.PushProviders) > 0 }

// decideAll looks at all messages of this node, at those of before its start, and at those of nodes that have ended.
func (s *Service) decideAll(ctx context.Context) {
	for ctx.Err() == nil {
		err := s.begin(ctx)
		if err == nil {
			break
		}
		s.failed(ctx, "read push mark", err)
	}
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for ctx.Err() == nil {
		messages, behind := s.take()
		if len(messages) > 0 {
			messages = slices.DeleteFunc(messages, func(m store.Found) bool { return s.caught[m.ID] })
			for len(messages) > 0 && ctx.Err() == nil {
				err := s.decide(ctx, messages, s.node)
				if err == nil {
					break
				}
				s.failed(ctx, "decide on notifications", err)
			}
			continue
		}
		if behind {
			if err := s.catchUp(ctx, s.node, s.decided); err != nil {
				s.failed(ctx, "read messages to notify of", err)
				s.mu.Lock()
				s.behind = true
				s.mu.Unlock()
			}
			continue
		}
		select {
		case <-ctx.Done():
		case <-s.wake:
		case <-look.C:
			if err := errors.Join(s.inherit(ctx), s.moveOn(ctx)); err != nil {
				s.failed(ctx, "take over notifications", err)
			}
		}
	}
}

func (s *Service) failed(ctx context.Context, what string, err error) {
	if ctx.Err() == nil {
		s.log.Warn(what, "error", err)
		pause(ctx, retryAfter)
	}
}

// take takes messages from the queue. When it is empty it tells whether there are more in the store; from then on they
// queue again.
func (s *Service) take() (messages []store.Found, behind bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(len(s.queue), slice)
	messages, s.queue = s.queue[:n:n], s.queue[n:]
	if n == 0 {
		s.queue = nil
		behind, s.behind = s.behind, false
	}
	return messages, behind
}

// begin looks at what an earlier run of this node has not looked at.
func (s *Service) begin(ctx context.Context) error {
	mark, err := s.store.PushMark(ctx, s.node)
	if err != nil {
		return err
	}
	if mark == 0 || !s.accounts.AnyApp(notifies) {
		return s.keep(ctx, nil, max(mark, s.delivery.NewID())) // what comes now queues
	}
	return s.catchUp(ctx, s.node, mark)
}

// moveOn moves the mark while there is nothing to look at, so that a start need not go through all that came meanwhile. What
// was given its id long ago has been committed, and been in the queue, or it never will. What was caught so long ago is in the
// queue no more.
func (s *Service) moveOn(ctx context.Context) error {
	old := idBefore(2 * maxLate)
	maps.DeleteFunc(s.caught, func(id int64, _ bool) bool { return id < old })
	if !s.accounts.AnyApp(notifies) {
		return nil
	}
	return s.keep(ctx, nil, max(s.decided, idBefore(settled)))
}

// idBefore returns an id below those that are made from some time ago on. Ids follow the machine's clock.
func idBefore(ago time.Duration) int64 { return delivery.IDAt(time.Now().Add(-ago).UnixMilli()) }

// keep stores notifications, and up to where the messages of this node have been looked at.
func (s *Service) keep(ctx context.Context, notifications []store.Notification, decided int64) error {
	s.decided = decided
	if err := s.store.PutNotifications(ctx, notifications, store.PushMark{Node: s.node, ID: decided}); err != nil {
		return err
	}
	s.noted = time.Now()
	return nil
}

// inherit looks at what nodes that have ended have not looked at, and takes up what they had under way.
func (s *Service) inherit(ctx context.Context) error {
	marks, err := s.store.ClaimPushMarks(ctx, s.now(), s.now()+claimTime.Milliseconds())
	for _, mark := range marks {
		if err := s.store.ReturnNotifications(ctx, mark.Node, s.now()); err != nil {
			return err
		}
		if err := s.catchUp(ctx, mark.Node, mark.ID); err != nil {
			return err
		}
		if err := s.store.DropPushMark(ctx, mark.Node); err != nil {
			return err
		}
	}
	return err
}

// catchUp looks at the messages of a node after a mark that are in the store. Those that come while it does may be in the
// queue, too: they are noted, so as not to be looked at twice.
func (s *Service) catchUp(ctx context.Context, node int, mark int64) error {
	mark = max(mark, idBefore(maxLate))
	recent := idBefore(settled)
	for ctx.Err() == nil {
		entries, err := s.store.EntriesAfter(ctx, mark, slice)
		if err != nil || len(entries) == 0 {
			return err
		}
		mark = entries[len(entries)-1].ID
		mine := slices.DeleteFunc(entries, func(f store.Found) bool {
			app, ok := s.accounts.AppByID(f.Key.App)
			return !ok || !notifies(app) || delivery.NodeOf(f.ID) != node || f.Recalled || f.Device == store.NotDelivered || !store.History.Has(f.Content) ||
				f.Time < s.now()-maxLate.Milliseconds()
		})
		if err := s.decide(ctx, mine, node); err != nil {
			return err
		}
		for _, m := range mine {
			if node == s.node && m.ID > recent {
				s.caught[m.ID] = true
			}
		}
	}
	return ctx.Err()
}

// candidate is a reader who may have to be told.
type candidate struct {
	message *store.Found
	user    int64
}

// decide stores who is to be told of messages of a node, and that they have been looked at.
func (s *Service) decide(ctx context.Context, messages []store.Found, node int) error {
	var candidates []candidate
	for i := range messages {
		m := &messages[i]
		readers, err := s.readers(ctx, m.Key)
		if err != nil {
			return err
		}
		for _, user := range readers {
			if user != m.Sender && m.Audience.Has(user) {
				candidates = append(candidates, candidate{m, user})
			}
		}
	}
	notifications, err := s.chosen(ctx, candidates)
	if err != nil {
		return err
	}
	defer nudge(s.more)
	last := int64(0)
	if len(messages) > 0 {
		last = messages[len(messages)-1].ID
	}
	if node != s.node {
		return s.store.PutNotifications(ctx, notifications, store.PushMark{Node: node, ID: last})
	}
	if last = max(last, s.decided); len(notifications) == 0 && time.Since(s.noted) < noteEvery {
		s.decided = last
		return nil
	}
	return s.keep(ctx, notifications, last)
}

// members is who of a group or thread may have to be told.
type members struct {
	users []int64
	at    time.Time
}

// readers returns who reads a timeline, as far as they may have to be told.
func (s *Service) readers(ctx context.Context, key store.Key) ([]int64, error) {
	if key.Kind != store.KindMuc {
		return key.Readers(), nil
	}
	if m, ok := s.members[key.A]; ok && time.Since(m.at) < membersLife {
		return m.users, nil
	}
	users, err := s.store.PushMembers(ctx, key.A)
	if err != nil {
		return nil, err
	}
	if len(s.members) >= maxMembers {
		clear(s.members)
	}
	s.members[key.A] = members{users, time.Now()}
	return users, nil
}

// chosen returns a notification for each device that is to be told: its user is away and wants to know.
func (s *Service) chosen(ctx context.Context, candidates []candidate) ([]store.Notification, error) {
	candidates, devices, err := s.reachable(ctx, candidates)
	if err != nil || len(candidates) == 0 {
		return nil, err
	}
	contents := map[*store.Found]content{}
	var keys []store.UserPushKey
	for _, c := range candidates {
		what, read := contents[c.message]
		if !read {
			if what, err = contentOf(c.message.Entry); err != nil {
				what.silent = true // what is no message is told to nobody
			}
			contents[c.message] = what
		}
		if !what.silent {
			keys = append(keys, store.UserPushKey{User: c.user}, store.UserPushKey{User: c.user, PushKey: c.conversation(what)})
		}
	}
	slices.SortFunc(keys, func(a, b store.UserPushKey) int {
		return cmp.Or(cmp.Compare(a.User, b.User), cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Target, b.Target))
	})
	rows, err := s.store.PushSettingsOf(ctx, slices.Compact(keys))
	if err != nil {
		return nil, err
	}
	settings := map[store.UserPushKey]store.PushSetting{}
	for _, row := range rows {
		settings[store.UserPushKey{User: row.User, PushKey: row.PushKey}] = row.PushSetting
	}
	var notifications []store.Notification
	for _, c := range candidates {
		what := contents[c.message]
		app, ok := s.accounts.AppByID(c.message.Key.App)
		if !ok || what.silent {
			continue
		}
		general, own := settings[store.UserPushKey{User: c.user}], settings[store.UserPushKey{User: c.user, PushKey: c.conversation(what)}]
		wanted, err := s.wants(ctx, c.user, what, general, own)
		if err != nil {
			return nil, err
		}
		for _, t := range devices[c.user] {
			if wanted && hasProvider(app, t.Notifier) {
				notifications = append(notifications, store.Notification{App: c.message.Key.App, User: c.user, Device: t.Device,
					Timeline: c.message.Timeline, Seq: c.message.Seq, Created: c.message.Time, Due: s.now()})
			}
		}
	}
	return notifications, nil
}

// reachable returns those candidates who are away and have a device with a push token, and these devices.
func (s *Service) reachable(ctx context.Context, candidates []candidate) ([]candidate, map[int64][]store.PushToken, error) {
	users := map[int64]bool{}
	for _, c := range candidates {
		users[c.user] = true
	}
	if len(users) == 0 {
		return nil, nil, nil
	}
	sessions, err := s.store.SessionsOf(ctx, slices.Collect(maps.Keys(users)), s.now())
	if err != nil {
		return nil, nil, err
	}
	for _, session := range sessions {
		delete(users, session.User)
	}
	tokens, err := s.store.PushTokens(ctx, slices.Collect(maps.Keys(users)))
	if err != nil {
		return nil, nil, err
	}
	devices := map[int64][]store.PushToken{}
	for _, t := range tokens {
		devices[t.User] = append(devices[t.User], t)
	}
	return slices.DeleteFunc(candidates, func(c candidate) bool { return len(devices[c.user]) == 0 }), devices, nil
}

// conversation names the setting of the conversation that a message is in.
func (c candidate) conversation(what content) store.PushKey {
	if c.message.Key.Kind == store.KindMuc {
		return store.PushKey{Scope: store.PushPlace, Target: what.To}
	}
	return store.PushKey{Scope: store.PushPeer, Target: strconv.FormatInt(c.message.Sender, 10)}
}

func hasProvider(app *account.App, name string) bool {
	return slices.ContainsFunc(app.Settings.PushProviders, func(p account.PushProvider) bool { return p.Name == name })
}

// wants tells whether a user wants to be told of a message, by the setting for all conversations and by that of this one,
// which counts if it says something.
func (s *Service) wants(ctx context.Context, user int64, what content, general, own store.PushSetting) (bool, error) {
	now := s.clock.Now()
	for _, setting := range []store.PushSetting{general, own} {
		if !what.forced && (setting.Until > now.UnixMilli() || quiet(setting.Quiet, now)) {
			return false, nil
		}
	}
	kind := cmp.Or(own.Type, general.Type, TypeAll)
	if kind != TypeAt || what.mentionsAll {
		return kind != TypeNone, nil
	}
	if len(what.mentions) == 0 {
		return false, nil
	}
	u, err := s.store.UserByID(ctx, user)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return slices.Contains(what.mentions, u.Name), err
}

// content is what a message says to who decides on notifications, and to who words them.
type content struct {
	msync.MessagePayload
	silent, forced bool
	mentions       []string // names, folded
	mentionsAll    bool
}

// contentOf reads a message and the keys of its extension that are about notifications (docs/protocol/admin-rest.md §17.6).
func contentOf(e store.Entry) (content, error) {
	object, err := msync.MessageJSON(e.ID, e.Time, e.Meta)
	if err != nil {
		return content{}, err
	}
	c := content{MessagePayload: object.Payload}
	c.silent = valueOf(c.Ext["em_ignore_notification"]) == true
	c.forced = valueOf(c.Ext["em_force_notification"]) == true
	list := valueOf(c.Ext["em_at_list"])
	names, many := list.([]any)
	if !many {
		names = []any{list}
	}
	for _, name := range names {
		switch name, _ := name.(string); name {
		case "":
		case "ALL":
			c.mentionsAll = true
		default:
			c.mentions = append(c.mentions, account.Fold(name))
		}
	}
	return c, nil
}

// valueOf reads a value of an extension: JSON, also where it is packed into a text.
func valueOf(v any) (value any) {
	text, isText := v.(string)
	raw, isRaw := v.(json.RawMessage)
	if isText {
		raw = json.RawMessage(text)
	}
	if !isText && !isRaw || json.Unmarshal(raw, &value) != nil {
		return v
	}
	return value
}
