package message

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

// extOf is a message's extension in words.
func extOf(list []*msync.KeyValue) map[string]string {
	ext := map[string]string{}
	for _, kv := range list {
		ext[kv.GetKey()] = kv.GetStringValue()
	}
	return ext
}

func keyValue(key, value string) []*msync.KeyValue {
	return []*msync.KeyValue{{Key: key, Type: msync.KeyValue_STRING, Value: &msync.KeyValue_StringValue{StringValue: value}}}
}

// TestEditsAtTheSameTimeKeepEachOthersExtension has a backend's edit come while the store is about to take another one.
func TestEditsAtTheSameTimeKeepEachOthersExtension(t *testing.T) {
	w := newWorld(t)
	sent := w.sent(w.alice, fresh(metaTo("bob", text("hello"))))
	edit := func(key string) error {
		return w.messages.EditFor(t.Context(), w.app, Edit{ID: sent.ID, By: Spokesman, Ext: keyValue(key, "1"),
			Content: &msync.MessageBody_Content{Type: msync.MessageBody_Content_TEXT, Text: key}})
	}
	w.must(edit("first"))
	// The other edit is of another node: it goes past this one's delivery, which is about to append.
	found, meta, body := w.read(sent.ID)
	body.Ext = append(body.Ext, keyValue("meanwhile", "1")...)
	meta.Payload = mustMarshal(body)
	next, err := msync.StoredMeta(meta)
	w.must(err)
	other := store.Draft{Key: found.Key, ID: w.delivery.NewID(), Time: found.Time, Meta: next,
		Amend: &store.Amend{Seq: found.Seq, Version: found.Version, Meta: next}}
	var meanwhile error
	w.store.before = func() {
		var appended []store.Appended
		if appended, meanwhile = w.store.Store.Append(t.Context(), []store.Draft{other}); meanwhile == nil {
			meanwhile = appended[0].Err
		}
	}
	w.must(edit("last"))
	w.must(meanwhile)
	_, _, body = w.read(sent.ID)
	if got := extOf(body.Ext); len(got) != 3 || body.Contents[0].Text != "last" {
		t.Errorf("the message is %q with %v", body.Contents[0].Text, got)
	}
}

func TestABackendsEditChangesTheExtension(t *testing.T) {
	w := newWorld(t)
	first := text("hello")
	first.Ext = keyValue("a", "1")
	sent := w.sent(w.alice, fresh(metaTo("bob", first)))
	content := &msync.MessageBody_Content{Type: msync.MessageBody_Content_TEXT, Text: "hi"}
	for _, test := range []struct {
		name string
		edit Edit
		want map[string]string
	}{
		{"none is given", Edit{}, map[string]string{"a": "1"}},
		{"one is added", Edit{Ext: keyValue("b", "2")}, map[string]string{"a": "1", "b": "2"}},
		{"one is changed", Edit{Ext: keyValue("a", "3")}, map[string]string{"a": "3", "b": "2"}},
		{"all are replaced", Edit{Ext: keyValue("c", "4"), Replace: true}, map[string]string{"c": "4"}},
	} {
		test.edit.ID, test.edit.By, test.edit.Content = sent.ID, Spokesman, content
		w.must(w.messages.EditFor(t.Context(), w.app, test.edit))
		_, _, body := w.read(sent.ID)
		if got := extOf(body.Ext); len(got) != len(test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		} else {
			for key, value := range test.want {
				if got[key] != value {
					t.Errorf("%s: %v, want %v", test.name, got, test.want)
				}
			}
		}
	}
	bad := Edit{ID: sent.ID, By: Spokesman, Content: content, Ext: badJSON}
	if err := w.messages.EditFor(t.Context(), w.app, bad); !isCode(err, errcode.BadMessage) {
		t.Errorf("an extension that is not the JSON it says to be: %v", err)
	}
}

// TestAStoreThatFailsIsNotAMissingMessage matters because a backend gives up on what is missing.
func TestAStoreThatFailsIsNotAMissingMessage(t *testing.T) {
	w := newWorld(t)
	sent := w.sent(w.alice, fresh(metaTo("bob", text("hello"))))
	broken := errors.New("broken")
	w.store.breakDown(broken)
	w.accounts.Heard(fmt.Appendf(nil, "u%d bob", w.app.ID)) // what is known of him is forgotten
	edit := Edit{ID: sent.ID, By: Spokesman, Content: &msync.MessageBody_Content{Type: msync.MessageBody_Content_TEXT, Text: "hi"}}
	if err := w.messages.EditFor(t.Context(), w.app, edit); !errors.Is(err, broken) {
		t.Errorf("an edit: %v, want %v", err, broken)
	}
	if err := w.messages.RecallFor(t.Context(), w.app, Recall{ID: sent.ID, Type: Chat, To: "bob"}); !errors.Is(err, broken) {
		t.Errorf("a recall: %v, want %v", err, broken)
	}
	w.store.breakDown(nil)
	w.must(w.messages.EditFor(t.Context(), w.app, edit))
	w.must(w.messages.RecallFor(t.Context(), w.app, Recall{ID: sent.ID, Type: Chat, To: "bob"}))
}

// TestABackendNamesReceiversInAnyCase: the sender is one of them here.
func TestABackendNamesReceiversInAnyCase(t *testing.T) {
	w := newWorld(t)
	group := w.group(w.alice, w.device(w.bob), w.sender("carol"))
	ids, err := w.messages.SendFor(t.Context(), w.app, Outgoing{From: "alice", Type: Group, To: []string{group.Name}, Only: []string{"ALICE", "Bob"},
		Content: &msync.MessageBody_Content{Type: msync.MessageBody_Content_TEXT, Text: "hi"}})
	w.must(err)
	found, _, _ := w.read(ids[0])
	if !found.Audience.Has(w.alice.User.ID) || !found.Audience.Has(w.bob.ID) || len(found.Audience.Users) != 2 {
		t.Errorf("it is for %+v", found.Audience)
	}
}

func TestABroadcastThatIsTooLargeIsRefused(t *testing.T) {
	w := newWorld(t)
	w.set(`{"message_max_bytes":600}`)
	b := Broadcast{From: Spokesman, Content: &msync.MessageBody_Content{Type: msync.MessageBody_Content_TEXT, Text: string(make([]byte, 600))}}
	if _, err := w.messages.BroadcastToRooms(t.Context(), w.app, b); !isCode(err, errcode.MessageTooLarge) {
		t.Errorf("with no room to send it to: %v", err)
	}
}
