package message

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

const (
	maxReportType   = 64  // characters
	maxReportReason = 512 // characters
)

// ReportedMessage is a report with the message as it was when it was reported.
type ReportedMessage struct {
	store.Report
	Message msync.MessageObject
}

// ReportMessage complains to the app's operator about a message that the user can see. Who complains again about the same
// message replaces the complaint. The errors are code 505, 50 (type or reason too long), 51, and
// of groups and rooms 605, 602, 705 and 702.
func (s *Service) ReportMessage(ctx context.Context, app *account.App, user store.User, message int64, kind, reason string) error {
	if !s.accounts.Current(app).Settings.Reports {
		return off("report", "reports")
	}
	if n := utf8.RuneCountInString(kind); n > maxReportType {
		return errcode.Newf(errcode.MaxLimit, "the type of the report has %d characters, the limit is %d", n, maxReportType)
	}
	if n := utf8.RuneCountInString(reason); n > maxReportReason {
		return errcode.Newf(errcode.MaxLimit, "the reason has %d characters, the limit is %d", n, maxReportReason)
	}
	m, err := s.look(ctx, app, user, message)
	if err != nil {
		return err
	}
	clean := func(text string) string { return strings.ReplaceAll(text, "\x00", "\uFFFD") } // PostgreSQL takes no NUL
	return s.store.PutReport(ctx, store.Report{App: app.ID, Message: message, Reporter: peerOf(user), Type: clean(kind), Reason: clean(reason),
		Time: s.clock.Now().UnixMilli(), Sent: m.Time, Meta: m.Meta})
}

// Reports returns up to limit reports of an app, the newest first, from the row below the given one on; 0: the newest.
func (s *Service) Reports(ctx context.Context, app *account.App, below int64, limit int) ([]ReportedMessage, error) {
	reports, err := s.store.ListReports(ctx, app.ID, below, limit)
	if err != nil {
		return nil, err
	}
	var list []ReportedMessage
	for _, r := range reports {
		object, err := msync.MessageJSON(r.Message, r.Sent, r.Meta)
		if err != nil {
			return nil, err
		}
		list = append(list, ReportedMessage{r, object})
	}
	return list, nil
}
