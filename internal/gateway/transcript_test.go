package gateway

import (
	"encoding/json"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/msync/transcripttest"
	"github.com/stoa-chat/stoa/internal/muc"
	"github.com/stoa-chat/stoa/internal/store"
)

// transcript is what goes over the sockets of a scene, as JSON with what is in the payloads.
type transcript struct {
	*world
	transcripttest.Transcript
}

// note adds a frame: an uplink of a client, or what has come down.
func (tr *transcript) note(who, direction string, m proto.Message) {
	tr.Helper()
	packed, err := protojson.Marshal(m)
	tr.must(err)
	var object any
	tr.must(json.Unmarshal(packed, &object))
	tr.unpack(m, object.(map[string]any))
	text, err := json.MarshalIndent(object, "    ", "  ")
	tr.must(err)
	tr.Notef("%s %s\n    %s\n", who, direction, text)
}

// unpack replaces the payloads of metas by what they hold.
func (tr *transcript) unpack(m proto.Message, object map[string]any) {
	tr.Helper()
	metas, objects := []*msync.Meta{}, []any{}
	switch m := m.(type) {
	case *msync.CommSyncUL:
		metas, objects = append(metas, m.Meta), append(objects, object["meta"])
	case *msync.CommSyncDL:
		metas = m.Metas
		objects, _ = object["metas"].([]any)
	}
	for i, meta := range metas {
		var payload any
		switch meta.Ns {
		case msync.Meta_CHAT:
			packed, err := protojson.Marshal(bodyOf(tr.world, meta))
			tr.must(err)
			tr.must(json.Unmarshal(packed, &payload))
		default:
			tr.must(json.Unmarshal(meta.Payload, &payload))
		}
		objects[i].(map[string]any)["payload"] = payload
	}
}

// says sends a meta and notes it with its answer.
func (tr *transcript) says(c *client, meta *msync.Meta) *msync.CommSyncDL {
	tr.Helper()
	up := &msync.CommSyncUL{Meta: meta}
	tr.note(c.name, "sends", up)
	c.send(msync.MSync_SYNC, up)
	answer := c.want("an answer", isAnswer).Sync
	tr.note(c.name, "is answered", answer)
	return answer
}

// hears notes the next thing that comes to clients.
func (tr *transcript) hears(clients ...*client) {
	tr.Helper()
	for _, c := range clients {
		tr.note(c.name, "is sent", c.want("a batch", isBatch).Sync)
	}
}

// inPlace addresses a body of the web client to a group or room.
func inPlace(place store.Muc, id uint64, from string, body *msync.MessageBody) *msync.Meta {
	body.From, body.To = &msync.JID{Name: from}, &msync.JID{Name: place.Name}
	return groupMeta(place.Name, id, body)
}

func content(text string) []*msync.MessageBody_Content {
	return []*msync.MessageBody_Content{{Text: text}}
}

// TestTranscripts holds the frames of some scenes to those of testdata.
func TestTranscripts(t *testing.T) {
	found := func(tr *transcript, kind store.MucKind, members ...string) store.Muc {
		tr.Helper()
		for _, name := range append(members, "alice") {
			tr.user(name)
		}
		place, err := tr.mucs.Create(tr.Context(), muc.Backend(tr.app), kind, muc.Options{Owner: "alice", Title: "agora", Members: members})
		tr.must(err)
		return place
	}
	// here signs users in on devices and passes over what waits for them.
	here := func(tr *transcript, who ...string) (clients []*client) {
		tr.Helper()
		for _, one := range who {
			name, resource, _ := strings.Cut(one, "/")
			c := tr.login(name, resource)
			c.catchUp()
			clients = append(clients, c)
		}
		return clients
	}
	for name, play := range map[string]func(tr *transcript){
		"directed": func(tr *transcript) {
			group := found(tr, store.MucGroup, "bob", "carol")
			c := here(tr, "alice/web", "alice/phone", "bob/web", "carol/web")
			meta := inPlace(group, 101, "alice", &msync.MessageBody{Type: msync.MessageBody_GROUPCHAT, Contents: content("psst")})
			meta.Routetype, meta.DirectedUsers = msync.Meta_ROUTE_DIRECT, []string{"bob"}
			tr.says(c[0], meta)
			tr.hears(c[1], c[2])
			tr.says(c[2], inPlace(group, 102, "bob", &msync.MessageBody{Type: msync.MessageBody_GROUPCHAT, Contents: content("for all")}))
			tr.hears(c[3])
		},
		"recall": func(tr *transcript) {
			c := here(tr, "alice/web", "alice/phone", "bob/web")
			sent := tr.says(c[0], textTo("alice", "bob", "a slip", 101))
			tr.hears(c[1], c[2])
			meta := metaTo("bob", 102, &msync.MessageBody{Type: msync.MessageBody_RECALL, From: &msync.JID{Name: "alice"}, To: &msync.JID{Name: "bob"},
				AckMessageId: sent.ServerId, Contents: content("")})
			meta.Ext = []*msync.KeyValue{{Key: "recallMessageExtensionInfo", Type: msync.KeyValue_STRING, Value: &msync.KeyValue_StringValue{StringValue: "wrong window"}}}
			tr.says(c[0], meta)
			tr.hears(c[1], c[2])
		},
		"edit": func(tr *transcript) {
			c := here(tr, "alice/web", "alice/phone", "bob/web")
			sent := tr.says(c[0], textTo("alice", "bob", "helo", 101))
			tr.hears(c[1], c[2])
			tr.says(c[0], metaTo("bob", 102, &msync.MessageBody{Type: msync.MessageBody_EDIT, From: &msync.JID{Name: "alice"}, To: &msync.JID{Name: "bob"},
				EditMessageId: sent.ServerId, EditScope: msync.MessageBody_BODY, Contents: content("hello")}))
			tr.hears(c[1], c[2])
		},
		"group-receipt": func(tr *transcript) {
			group := found(tr, store.MucGroup, "bob")
			c := here(tr, "alice/web", "bob/web")
			asks := &msync.MessageBody_MessageConfig{AllowGroupAck: true}
			sent := tr.says(c[0], inPlace(group, 101, "alice", &msync.MessageBody{Type: msync.MessageBody_GROUPCHAT, MsgConfig: asks, Contents: content("read this")}))
			tr.hears(c[1])
			tr.says(c[1], inPlace(group, 102, "bob", &msync.MessageBody{Type: msync.MessageBody_READ_ACK, MsgConfig: asks, AckMessageId: sent.ServerId,
				AckContent: "seen", Contents: content("")}))
			tr.hears(c[0])
		},
		"room": func(tr *transcript) {
			room := found(tr, store.MucRoom, "bob")
			c := here(tr, "alice/web", "bob/web")
			for _, one := range c {
				one.ask(msync.MUCBody_JOIN, room.Name)
			}
			meta := inPlace(room, 101, "alice", &msync.MessageBody{Type: msync.MessageBody_CHATROOM, Contents: content("hello")})
			meta.Ext = []*msync.KeyValue{{Key: "chatroom_msg_tag", Type: msync.KeyValue_INT, Value: &msync.KeyValue_VarintValue{VarintValue: 0}}}
			tr.says(c[0], meta)
			tr.hears(c[1])
		},
	} {
		t.Run(name, func(t *testing.T) {
			tr := &transcript{world: newWorld(t)}
			play(tr)
			tr.Compare(t, name)
		})
	}
}
