package gateway

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/stoa-chat/stoa/internal/bus"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/muc"
	"github.com/stoa-chat/stoa/internal/store"
)

// said is a message of the model of a group.
type said struct {
	from     *device
	id       uint64
	texts    []string        // the one that was sent, then those of the edits
	readers  map[string]bool // users who are given it
	recalled bool
}

// editCount is how often a message has been edited, as its meta tells.
func editCount(meta string) int {
	var told map[string]struct{ Count int }
	json.Unmarshal([]byte(meta), &told)
	return told["edit_msg"].Count
}

// did has a device show what its user has done on it to a message: it is not told of that.
func (d *device) did(body *msync.MessageBody) {
	payload, err := proto.Marshal(body)
	if err != nil {
		panic(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shown = append(d.shown, &msync.Meta{From: &msync.JID{Name: d.user}, Ns: msync.Meta_CHAT, Payload: payload})
}

// view is what a device shows of a group: the texts by the messages' ids.
func (d *device) view() map[uint64]string {
	d.mu.Lock()
	defer d.mu.Unlock()
	texts, edits := map[uint64]string{}, map[uint64]int{}
	for _, m := range d.shown {
		var body msync.MessageBody
		if m.From == nil {
			d.wrong = append(d.wrong, fmt.Sprintf("meta %d is from nobody", m.Id))
		}
		if m.Ns != msync.Meta_CHAT || proto.Unmarshal(m.Payload, &body) != nil {
			continue
		}
		switch body.Type {
		case msync.MessageBody_GROUPCHAT:
			if _, twice := texts[m.Id]; twice {
				d.wrong = append(d.wrong, fmt.Sprintf("message %d came twice", m.Id))
			}
			texts[m.Id], edits[m.Id] = body.Contents[0].Text, editCount(body.Meta)
		case msync.MessageBody_EDIT:
			id, n := body.EditMessageId, editCount(body.Meta)
			if _, ok := texts[id]; ok && n > edits[id] {
				texts[id], edits[id] = body.Contents[0].Text, n
			}
		case msync.MessageBody_RECALL:
			delete(texts, body.AckMessageId)
		}
	}
	return texts
}

// shows says what is wrong with a device's view; empty: nothing. Of a message that was changed after its user had left, the
// user may have an earlier form.
func (d *device) shows(all []*said, member bool) string {
	got := d.view()
	for _, m := range all {
		text, ok := got[m.id]
		delete(got, m.id)
		given := m.readers[d.user] && m.from != d
		switch {
		case ok && !given:
			return fmt.Sprintf("shows %q, which is not for it", text)
		case ok && m.recalled && member:
			return fmt.Sprintf("shows %q, which was recalled", text)
		case !ok && given && !m.recalled:
			return fmt.Sprintf("does not show %q", m.texts[0])
		case ok && member && text != m.texts[len(m.texts)-1], ok && !slices.Contains(m.texts, text):
			return fmt.Sprintf("shows %q of %q", text, m.texts)
		}
	}
	if len(got) > 0 {
		return fmt.Sprintf("shows %v, which nobody has sent", got)
	}
	return ""
}

// groupMeta addresses a body to a group.
func groupMeta(group string, id uint64, body *msync.MessageBody) *msync.Meta {
	m := metaTo(group, id, body)
	m.To.Domain = msync.PlaceDomain
	return m
}

// TestEveryMemberSeesTheSameGroupWhateverHappens lets the devices of a group's members come, go, send to all and to
// some, edit, recall, be slow and miss what the bus loses, while members join and leave. In the end every device must
// show just the messages that were sent to its user as a member, as they are by then.
func TestEveryMemberSeesTheSameGroupWhateverHappens(t *testing.T) {
	defer fewRuns()()
	w := newWorld(t)
	w.set(`{"max_devices_per_platform":100}`)
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		wild := &wildness{flush: w.hub.Flush}
		w.bus.use(func(subject bus.Subject, data []byte, publish func()) {
			if subject.Kind == bus.KindMuc {
				wild.rule(subject, data, publish)
			} else { // a word of leaving that is lost is found by the next look at the store only
				publish()
			}
		})
		defer w.bus.use(nil)
		var users []string
		for _, name := range []string{"anna", "ben", "cleo", "dion"} {
			users = append(users, fmt.Sprint(name, run))
			w.user(users[len(users)-1])
		}
		members := map[string]bool{users[0]: true, users[1]: true, users[2]: true} // the fourth may join, the third leave
		group, err := w.mucs.Create(w.Context(), muc.Backend(w.app), store.MucGroup, muc.Options{Owner: users[0], Title: "agora", Members: users[1:3]})
		w.must(err)
		var devices []*device
		for i, user := range users {
			devices = append(devices, w.devices(user, []string{"webim_web_1", "android_1"}[:1+i%2]...)...)
		}
		defer offline(devices)
		var all []*said
		nextID := uint64(1)
		ask := func(d *device, body *msync.MessageBody, change func(*msync.Meta), cut bool) *msync.CommSyncDL {
			meta := groupMeta(group.Name, nextID, body)
			if change != nil {
				change(meta)
			}
			nextID++
			d.client.sendMeta(meta)
			if cut { // the connection breaks before the answer; the client sends it again
				d.disconnect()
				d.connect()
				d.client.sendMeta(meta)
			}
			w.until("an answer", func() bool { return d.answer(meta.Id) != nil })
			a := d.answer(meta.Id)
			if a.Status.ErrorCode != 0 {
				t.Fatalf("%v is answered with %v", body, a)
			}
			return a
		}
		own := func(d *device) (mine []*said) {
			for _, m := range all {
				if m.from.user == d.user && !m.recalled && len(m.texts) <= 10 {
					mine = append(mine, m)
				}
			}
			return mine
		}
		actions := []string{"send", "send", "send", "cut", "directed", "edit", "recall", "disconnect", "lazy", "bus", "unread", "join", "leave"}
		for range rapid.IntRange(5, 30).Draw(t, "steps") {
			d := devices[rapid.IntRange(0, len(devices)-1).Draw(t, "device")]
			action := rapid.SampledFrom(actions).Draw(t, "action")
			content := func(text string) []*msync.MessageBody_Content { return []*msync.MessageBody_Content{{Text: text}} }
			switch {
			case action == "join" && !members[users[3]]:
				_, err := w.mucs.Invite(w.Context(), muc.Backend(w.app), group.Name, users[3:])
				w.must(err)
				members[users[3]] = true
			case action == "leave" && members[users[2]]:
				_, err := w.mucs.Remove(w.Context(), muc.Backend(w.app), store.MucGroup, group.Name, users[2:3])
				w.must(err)
				delete(members, users[2])
			case d.client == nil:
				d.connect()
			case action == "disconnect":
				d.disconnect()
			case action == "lazy":
				d.setLazy(!d.lazy)
			case action == "bus":
				wild.draw(t)
			case action == "unread":
				d.client.send(msync.MSync_UNREAD, nil)
			case !members[d.user]:
			case action == "send", action == "cut", action == "directed":
				m := &said{from: d, texts: []string{fmt.Sprint("text ", nextID)}, readers: maps.Clone(members)}
				var change func(*msync.Meta)
				if action == "directed" {
					to := rapid.SampledFrom(users).Draw(t, "to")
					m.readers = map[string]bool{d.user: true, to: members[to]}
					change = func(meta *msync.Meta) {
						meta.Routetype, meta.DirectedUsers = msync.Meta_ROUTE_DIRECT, []string{to}
					}
				}
				m.id = ask(d, &msync.MessageBody{Type: msync.MessageBody_GROUPCHAT, Contents: content(m.texts[0])}, change, action == "cut").ServerId
				all = append(all, m)
			case len(own(d)) == 0:
			case action == "edit":
				m := rapid.SampledFrom(own(d)).Draw(t, "message")
				text := fmt.Sprint("edit ", nextID)
				edit := &msync.MessageBody{Type: msync.MessageBody_EDIT, EditMessageId: m.id, EditScope: msync.MessageBody_BODY, Contents: content(text)}
				a := ask(d, edit, nil, false)
				if len(a.Metas) != 1 || editCount(string(a.Metas[0].Payload)) != len(m.texts) {
					t.Errorf("edit %d is answered with %v", len(m.texts), a)
				}
				m.texts = append(m.texts, text)
				edit.Meta = string(a.Metas[0].Payload)
				d.did(edit)
			case action == "recall":
				m := rapid.SampledFrom(own(d)).Draw(t, "message")
				m.recalled = true
				recall := &msync.MessageBody{Type: msync.MessageBody_RECALL, AckMessageId: m.id, Contents: content("")}
				ask(d, recall, nil, rapid.Bool().Draw(t, "cut"))
				d.did(recall)
			}
		}
		wild.calm(devices)
		for _, d := range devices {
			member, wrong := members[d.user], ""
			w.until("the right view at "+d.user+"/"+d.resource, func() bool { wrong = d.shows(all, member); return wrong == "" })
			d.barrier()
			d.barrier() // what the first answers may have had as a consequence
			if wrong = d.shows(all, member); wrong != "" {
				t.Errorf("%s/%s %s", d.user, d.resource, wrong)
			}
			d.mu.Lock()
			if len(d.wrong) > 0 {
				t.Errorf("%s/%s: %q", d.user, d.resource, d.wrong)
			}
			d.mu.Unlock()
		}
		w.nothingLeft(t, devices)
	})
}
