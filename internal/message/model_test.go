package message

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

// screen is a device that reacts as the web client does (docs/protocol/wire.md §5) and shows messages: what it was sent,
// and what it has sent itself.
type screen struct {
	*world
	who      Sender
	session  *delivery.Session
	mu       sync.Mutex
	frames   [][]byte
	deaf     bool // what it acknowledges is lost
	seen     []uint64
	texts    map[int64]string // by message id
	comments map[int64][]string
	wrong    []string
}

func (d *screen) Queue(frame []byte, _ bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.frames = append(d.frames, frame)
	return true
}

func (d *screen) Flush()             {}
func (d *screen) Kick(delivery.Kick) {}
func (d *screen) Extend(int64)       {}

var lastSession int64 // the tests of this file run one after another

func (d *screen) connect() {
	lastSession++
	var err error
	d.session, err = d.hub.Open(delivery.Identity{Session: 1e6 + lastSession, User: d.who.User.ID, Device: d.who.Device,
		Name: d.who.User.Name, Alias: d.who.User.Name}, d)
	d.must(err)
	unread, err := d.session.Unread(d.Context())
	d.must(err)
	for _, u := range unread {
		d.pull(u.Queue, true)
	}
}

func (d *screen) disconnect() {
	d.must(d.session.Close(context.Background()))
	d.session, d.frames, d.deaf = nil, nil, false
}

func (d *screen) pull(queue string, again bool) {
	d.must(d.session.Pull(d.Context(), mustMarshal(&msync.JID{Name: queue}), queue, again))
}

// read takes what has come until there is nothing more.
func (d *screen) read() {
	for {
		d.mu.Lock()
		frames := d.frames
		d.frames = nil
		d.mu.Unlock()
		if len(frames) == 0 {
			return
		}
		for _, frame := range frames {
			d.react(frame)
		}
	}
}

func (d *screen) react(frame []byte) {
	var m msync.MSync
	d.must(proto.Unmarshal(frame, &m))
	if m.Command == msync.MSync_NOTICE {
		var notice msync.CommNotice
		d.must(proto.Unmarshal(m.Payload, &notice))
		d.pull(notice.Queue.Name, true)
		return
	}
	var batch msync.CommSyncDL
	d.must(proto.Unmarshal(m.Payload, &batch))
	for _, meta := range batch.Metas {
		if slices.Contains(d.seen, meta.Id) {
			continue // clients drop what they have just seen
		}
		d.seen = append(d.seen, meta.Id)
		d.seen = d.seen[max(0, len(d.seen)-101):]
		d.show(meta)
	}
	if !batch.IsLast && !d.deaf && d.session.Acknowledge(batch.Queue.Name, batch.NextKey) {
		d.pull(batch.Queue.Name, false)
	}
}

// show does to the screen what an entry says.
func (d *screen) show(meta *msync.Meta) {
	switch meta.Ns {
	case msync.Meta_NOTIFY:
		d.comment(meta.Payload)
	case msync.Meta_CHAT:
		var body msync.MessageBody
		d.must(proto.Unmarshal(meta.Payload, &body))
		switch body.Type {
		case msync.MessageBody_CHAT, msync.MessageBody_GROUPCHAT:
			if _, twice := d.texts[int64(meta.Id)]; twice {
				d.wrong = append(d.wrong, fmt.Sprintf("message %d came twice", meta.Id))
			}
			d.texts[int64(meta.Id)] = body.Contents[0].Text
		case msync.MessageBody_RECALL:
			delete(d.texts, int64(body.AckMessageId))
			delete(d.comments, int64(body.AckMessageId))
		case msync.MessageBody_EDIT:
			d.change(int64(body.EditMessageId), body.Contents[0].Text)
		}
	}
}

func (d *screen) change(id int64, text string) {
	if _, ok := d.texts[id]; ok {
		d.texts[id] = text
	}
}

// comment takes the notice of a reaction.
func (d *screen) comment(payload []byte) {
	var n struct {
		Type string
		Data json.RawMessage
	}
	d.must(json.Unmarshal(payload, &n))
	if n.Type != "reaction" {
		return
	}
	var data []struct {
		MessageID string `json:"messageId"`
		Reactions []struct{ UserList []string }
	}
	d.must(json.Unmarshal(n.Data, &data))
	id, err := strconv.ParseInt(data[0].MessageID, 10, 64)
	d.must(err)
	if _, ok := d.texts[id]; ok {
		users := data[0].Reactions[0].UserList
		slices.Sort(users)
		d.comments[id] = users
	}
}

// reference is what should be.
type reference struct {
	said    []*modelMessage
	readTo  map[string]map[string]int // by user and conversation: how many messages of it are read
	removed map[string]map[int64]bool // by user
	cleared map[string]map[string]int // by user and conversation
	hidden  map[string]map[string]int // by user and conversation: off the list until there is a message after this one
}

type modelMessage struct {
	in        string // the conversation
	place     int    // its place there, from 1
	id        int64
	time      int64
	from      Sender
	text      string
	edits     int
	recalled  bool
	reactions map[string]bool // users
}

func (r *reference) in(conversation string) (list []*modelMessage) {
	for _, m := range r.said {
		if m.in == conversation {
			list = append(list, m)
		}
	}
	return list
}

// visible is the history of a user, oldest first.
func (r *reference) visible(user, conversation string) (list []*modelMessage) {
	for _, m := range r.in(conversation) {
		if !m.recalled && !r.removed[user][m.id] && m.place > r.cleared[user][conversation] {
			list = append(list, m)
		}
	}
	return list
}

func (r *reference) unread(user, conversation string) (n int) {
	for _, m := range r.visible(user, conversation) {
		if m.from.User.Name != user && m.place > r.readTo[user][conversation] {
			n++
		}
	}
	return n
}

// model is the real thing beside the reference.
type model struct {
	*world
	reference
	names   []string // three users
	screens []*screen
	group   store.Muc
	last    map[*screen]func() Result // sends the last message again
}

const pairOfModel, groupOfModel = "pair", "group"

// places are the conversations that a user is in, as the user names them. The first two users are a pair.
func (m *model) places(user string) map[string]Place {
	places := map[string]Place{groupOfModel: {Group, m.group.Name}}
	switch user {
	case m.names[0]:
		places[pairOfModel] = Place{Chat, m.names[1]}
	case m.names[1]:
		places[pairOfModel] = Place{Chat, m.names[0]}
	}
	return places
}

// address makes a meta that goes to a conversation.
func (m *model) address(d *screen, conversation string, body *msync.MessageBody) *msync.Meta {
	body.From = &msync.JID{Name: d.who.User.Name}
	if conversation == groupOfModel {
		return metaIn(m.group, body)
	}
	to := m.places(d.who.User.Name)[pairOfModel].ID
	body.To = &msync.JID{Name: to}
	return fresh(metaTo(to, body))
}

// draw picks a screen that is online, or puts one online, and a conversation of its user. The screen has read what has come.
func (m *model) draw(r *rapid.T) (*screen, string) {
	var online []*screen
	for _, d := range m.screens {
		if d.session != nil {
			online = append(online, d)
		}
	}
	if len(online) == 0 { // a run of actions that all need somebody would end the test
		m.screens[0].connect()
		m.settle()
		online = m.screens[:1]
	}
	d := online[rapid.IntRange(0, len(online)-1).Draw(r, "device")]
	conversation := groupOfModel
	if d.who.User.Name != m.names[2] {
		conversation = rapid.SampledFrom([]string{pairOfModel, groupOfModel}).Draw(r, "conversation")
	}
	return d, conversation
}

// drawMessage picks one of the last messages of a conversation for which something holds.
func drawMessage(r *rapid.T, list []*modelMessage, ok func(*modelMessage) bool) *modelMessage {
	list = slices.DeleteFunc(list, func(m *modelMessage) bool { return !ok(m) })
	if len(list) == 0 {
		r.Skip("there is no such message")
	}
	list = list[max(0, len(list)-6):]
	return list[rapid.IntRange(0, len(list)-1).Draw(r, "message")]
}

// settle returns when all devices that are online have taken what was sent.
func (m *model) settle() {
	m.Helper()
	_, err := m.delivery.AppendWait(m.Context(), delivery.Post{Key: store.UserKey(m.app.ID, 1<<40)})
	m.must(err)
	for _, d := range m.screens {
		if d.session != nil {
			d.read()
		}
	}
}

// check compares histories and counts with the reference, for every user.
func (m *model) check(r *rapid.T) {
	m.settle()
	for _, d := range m.screens {
		for _, wrong := range d.wrong {
			r.Fatalf("%s/%d: %s", d.who.User.Name, d.who.Device, wrong)
		}
		user := d.who.User.Name
		listed, _, err := m.messages.Conversations(m.Context(), m.app, d.who.User, ConversationQuery{Mark: -1, Limit: 50})
		m.must(err)
		for conversation, place := range m.places(user) {
			m.checkHistory(r, d, conversation, place)
			i := slices.IndexFunc(listed, func(l Listed) bool { return l.Place == place })
			kept := slices.ContainsFunc(m.in(conversation), func(one *modelMessage) bool {
				return !one.recalled && one.place > m.hidden[user][conversation]
			})
			if kept != (i >= 0) {
				r.Fatalf("%s has the %s in the list: %v, want %v", user, conversation, i >= 0, kept)
			}
			if i < 0 {
				continue
			}
			if want := m.unread(user, conversation); listed[i].Unread != want {
				r.Fatalf("%s has %d unread messages in the %s, want %d", user, listed[i].Unread, conversation, want)
			}
			if visible := m.visible(user, conversation); (len(visible) > 0) != (listed[i].Last != nil) ||
				len(visible) > 0 && listed[i].Last.ID != strconv.FormatInt(visible[len(visible)-1].id, 10) {
				r.Fatalf("the last message of %s in the %s is %+v", user, conversation, listed[i].Last)
			}
		}
	}
}

// line is a message as it is compared.
type line struct {
	ID        int64
	From      string
	Text      string
	Reactions []string
}

func (m *model) checkHistory(r *rapid.T, d *screen, conversation string, place Place) {
	user := d.who.User.Name
	var want, got []line
	for _, one := range m.visible(user, conversation) {
		want = append(want, line{one.id, one.from.User.Name, one.text, sorted(one.reactions)})
	}
	forward := rapid.Bool().Draw(r, "forward")
	q := HistoryQuery{Forward: forward, Limit: rapid.IntRange(1, 7).Draw(r, "page")}
	for {
		page, err := m.messages.History(m.Context(), m.app, d.who.User, place, q)
		m.must(err)
		for _, meta := range page.Messages {
			got = append(got, m.lineOf(meta))
		}
		if q.Start = page.Next; page.Last {
			break
		}
	}
	if !forward {
		slices.Reverse(got)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		r.Fatalf("history of %s in the %s (-want +got):\n%s", user, conversation, diff)
	}
}

func sorted(users map[string]bool) (list []string) {
	for user := range users {
		list = append(list, user)
	}
	slices.Sort(list)
	return list
}

func (m *model) lineOf(whole []byte) line {
	var meta msync.Meta
	var body msync.MessageBody
	m.must(proto.Unmarshal(whole, &meta))
	m.must(proto.Unmarshal(meta.Payload, &body))
	l := line{ID: int64(meta.Id), From: body.From.GetName(), Text: body.Contents[0].Text}
	var about struct {
		Reaction []struct{ UserList []string }
	}
	if body.Meta != "" {
		m.must(json.Unmarshal([]byte(body.Meta), &about))
	}
	for _, reaction := range about.Reaction {
		l.Reactions = append(l.Reactions, reaction.UserList...)
	}
	slices.Sort(l.Reactions)
	return l
}

// TestRandomWorkOnMessagesGivesWhatTheReferenceGives drives several devices of three users, of which some come and go.
func TestRandomWorkOnMessagesGivesWhatTheReferenceGives(t *testing.T) {
	// A hundred runs would take a minute; -rapid.checks asks for as many as one likes.
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		checks.Value.Set("25")
		defer checks.Value.Set(checks.DefValue)
	}
	w := newWorld(t)
	rapid.Check(t, func(r *rapid.T) {
		m := newModel(w)
		defer m.close()
		r.Repeat(map[string]func(*rapid.T){
			"send": func(r *rapid.T) {
				d, conversation := m.draw(r)
				m.say(d, conversation, fmt.Sprintf("text %d", len(m.said)))
			},
			"send again": func(r *rapid.T) {
				d, _ := m.draw(r)
				if m.last[d] == nil {
					r.Skip("nothing was sent")
				}
				if result := m.last[d](); result.Err != nil {
					r.Fatalf("send again: %v", result.Err)
				}
			},
			"recall": func(r *rapid.T) {
				d, conversation := m.draw(r)
				one := drawMessage(r, m.in(conversation), func(one *modelMessage) bool { return one.from.User.ID == d.who.User.ID && !one.recalled })
				m.sent(d.who, m.address(d, conversation, recallOf(one.id)))
				one.recalled = true
				delete(d.texts, one.id)
				delete(d.comments, one.id)
			},
			"edit": func(r *rapid.T) {
				d, conversation := m.draw(r)
				one := drawMessage(r, m.in(conversation), func(one *modelMessage) bool {
					return one.from.User.ID == d.who.User.ID && !one.recalled && one.edits < 10
				})
				one.edits++
				one.text = fmt.Sprintf("%s, edit %d", one.text, one.edits)
				m.sent(d.who, m.address(d, conversation, editOf(one.id, one.text)))
				d.change(one.id, one.text)
			},
			"react": func(r *rapid.T) {
				d, conversation := m.draw(r)
				one := drawMessage(r, m.in(conversation), func(one *modelMessage) bool { return !one.recalled })
				user := d.who.User.Name
				if one.reactions[user] {
					m.must(m.messages.RemoveReaction(m.Context(), d.who, one.id, "ok"))
					delete(one.reactions, user)
					return
				}
				_, _, err := m.messages.AddReaction(m.Context(), d.who, one.id, "ok")
				m.must(err)
				one.reactions[user] = true
			},
			"read": func(r *rapid.T) {
				d, conversation := m.draw(r)
				m.sent(d.who, m.address(d, conversation, &msync.MessageBody{Type: msync.MessageBody_CHANNEL_ACK, Contents: []*msync.MessageBody_Content{{}}}))
				m.readTo[d.who.User.Name][conversation] = len(m.in(conversation))
			},
			"delete": func(r *rapid.T) {
				d, conversation := m.draw(r)
				one := drawMessage(r, m.in(conversation), func(*modelMessage) bool { return true })
				m.must(m.messages.RemoveMessages(m.Context(), d.who, m.places(d.who.User.Name)[conversation], []int64{one.id}))
				m.removed[d.who.User.Name][one.id] = true
			},
			"delete conversation": func(r *rapid.T) {
				d, conversation := m.draw(r)
				user, n := d.who.User.Name, len(m.in(conversation))
				clear := rapid.Bool().Draw(r, "with messages")
				m.must(m.messages.DeleteConversation(m.Context(), d.who, m.places(user)[conversation], clear))
				m.readTo[user][conversation], m.hidden[user][conversation] = n, n
				if clear {
					m.cleared[user][conversation] = n
				}
			},
			"lose acknowledgements": func(r *rapid.T) {
				d, _ := m.draw(r)
				d.deaf = true
			},
			"disconnect": func(r *rapid.T) {
				d, _ := m.draw(r)
				d.disconnect()
			},
			"reconnect": func(r *rapid.T) {
				for _, d := range m.screens {
					if d.session == nil {
						d.connect()
						return
					}
				}
				r.Skip("all are online")
			},
			"": m.check,
		})
		m.checkScreens(r)
	})
}

// newModel makes three users who know nobody else: every round has its own in the same app.
func newModel(w *world) *model {
	m := &model{world: w, last: map[*screen]func() Result{}}
	m.readTo, m.removed = map[string]map[string]int{}, map[string]map[int64]bool{}
	m.cleared, m.hidden = map[string]map[string]int{}, map[string]map[string]int{}
	var users []Sender
	for _, name := range []string{"ada", "ben", "cem"} {
		lastSession++
		name = fmt.Sprint(name, lastSession)
		users, m.names = append(users, m.sender(name)), append(m.names, name)
		m.readTo[name], m.removed[name] = map[string]int{}, map[int64]bool{}
		m.cleared[name], m.hidden[name] = map[string]int{}, map[string]int{}
	}
	m.group = m.world.group(users[0], users[1], users[2])
	for i, who := range users {
		m.add(who)
		if i == 2 {
			continue // two devices of the pair, one of the third
		}
		row, err := m.store.OpenDevice(m.Context(), store.Device{User: who.User.ID, Resource: "webim_web_2"})
		m.must(err)
		who.Device, who.Resource = row.ID, row.Resource
		m.add(who)
	}
	m.settle()
	return m
}

func (m *model) add(who Sender) {
	d := &screen{world: m.world, who: who, texts: map[int64]string{}, comments: map[int64][]string{}}
	d.connect()
	m.screens = append(m.screens, d)
}

func (m *model) close() {
	for _, d := range m.screens {
		if d.session != nil {
			d.disconnect()
		}
	}
}

// say sends a text and notes it everywhere.
func (m *model) say(d *screen, conversation, text string) {
	body := &msync.MessageBody{Type: msync.MessageBody_CHAT, Contents: []*msync.MessageBody_Content{{Text: text}}}
	if conversation == groupOfModel {
		body.Type = msync.MessageBody_GROUPCHAT
	}
	meta := m.address(d, conversation, body)
	result := m.sent(d.who, meta)
	m.last[d] = func() Result { return m.sendAs(d.who, meta) }
	d.texts[result.ID] = text
	m.said = append(m.said, &modelMessage{in: conversation, place: len(m.in(conversation)) + 1, id: result.ID, time: result.Time, from: d.who,
		text: text, reactions: map[string]bool{}})
}

// checkScreens has all devices come back, and compares what they show with the reference: no message is missing, none
// is there that was recalled, and all are as they are now.
func (m *model) checkScreens(r *rapid.T) {
	for _, d := range m.screens {
		if d.session == nil || d.deaf {
			if d.session != nil {
				d.disconnect()
			}
			d.connect()
		}
	}
	m.settle()
	for _, d := range m.screens {
		texts, comments := map[int64]string{}, map[int64][]string{}
		for conversation := range m.places(d.who.User.Name) {
			for _, one := range m.in(conversation) {
				if one.recalled {
					continue
				}
				texts[one.id] = one.text
				if len(one.reactions) > 0 {
					comments[one.id] = sorted(one.reactions)
				}
			}
		}
		for id, users := range d.comments {
			if len(users) == 0 {
				delete(d.comments, id)
			}
		}
		if diff := cmp.Diff(texts, d.texts); diff != "" {
			r.Fatalf("%s/%d shows (-want +got):\n%s", d.who.User.Name, d.who.Device, diff)
		}
		if diff := cmp.Diff(comments, d.comments); diff != "" {
			r.Fatalf("%s/%d shows reactions (-want +got):\n%s", d.who.User.Name, d.who.Device, diff)
		}
		for _, wrong := range d.wrong {
			r.Fatalf("%s/%d: %s", d.who.User.Name, d.who.Device, wrong)
		}
	}
}
