package message

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/store"
)

func TestAReportKeepsTheMessageAsItWas(t *testing.T) {
	w := newWorld(t)
	carol := w.sender("carol")
	id := w.sentText("nasty")
	report := func(by store.User, id int64, kind, reason string) error {
		return w.messages.ReportMessage(t.Context(), w.app, by, id, kind, reason)
	}
	w.must(report(w.bob, id, "spam", "first"))
	w.must(report(w.bob, id, "adult", "no\x00 more"))
	w.must(report(w.alice.User, id, "", ""))
	w.denied("a message that is not there", report(w.bob, id+1, "", ""), errcode.MessageNotFound)
	w.denied("a message between others", report(carol.User, id, "", ""), errcode.MessageNotFound)
	w.denied("a long type", report(w.bob, id, strings.Repeat("☃", 65), ""), errcode.MaxLimit)
	w.denied("a long reason", report(w.bob, id, "", strings.Repeat("☃", 513)), errcode.MaxLimit)
	list, err := w.messages.Reports(t.Context(), w.app, 0, 10)
	w.must(err)
	var got []string
	for _, r := range list {
		got = append(got, fmt.Sprint(r.Reporter.Name, " ", r.Type, " ", r.Reason, " ", r.Message.From, " ", r.Message.Payload.Bodies[0]["msg"]))
	}
	if diff := cmp.Diff([]string{"alice   alice nasty", "bob adult no\uFFFD more alice nasty"}, got); diff != "" {
		t.Error(diff)
	}
	w.set(`{"reports":false}`)
	w.denied("where reports are off", report(w.bob, id, "", ""), errcode.ServiceNotEnabled)
}
