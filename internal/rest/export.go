package rest

import (
	"compress/gzip"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/stoa-chat/stoa/internal/msync"
)

const (
	hourForm   = "2006010215"
	exportLife = time.Hour // of the address of an export
)

func (a *API) exportRoutes() []Route {
	return []Route{
		{http.MethodGet, "/chatmessages/{hour}", AppToken, a.findExport},
		{http.MethodGet, "/chatmessages/{hour}/file", Anyone, a.export}, // the address is signed
	}
}

// exportHour reads the hour that the path names, in UTC. It must be over.
func (a *API) exportHour(c *Call) (time.Time, error) {
	hour, err := time.Parse(hourForm, c.Value("hour"))
	if err != nil {
		return hour, illegal("This chatmessage request is not supported")
	}
	if hour.Add(time.Hour).After(a.clock.Now()) {
		return hour, illegal("illegal arguments: appkey: %s, time: %s, maybe chat message history is expired or unstored", c.App.Key(), c.Value("hour"))
	}
	return hour, nil
}

// findExport answers with the address of an hour's messages.
func (a *API) findExport(ctx context.Context, c *Call) (Answer, error) {
	hour, err := a.exportHour(c)
	if err != nil {
		return Answer{}, err
	}
	some, err := a.messages.Exports(ctx, c.App, hour)
	if err != nil {
		return Answer{}, err
	}
	if !some {
		return Answer{}, &refusal{status: http.StatusNotFound, slug: "storage_object_not_found",
			description: fmt.Sprintf("Failed to find chat message history download url for appkey: %s, time: %s", c.App.Key(), c.Value("hour"))}
	}
	expires := strconv.FormatInt(a.clock.Now().Add(exportLife).Unix(), 10)
	query := url.Values{"Expires": {expires}, "Signature": {exportSignature(c, expires)}}
	scheme, host := a.base(c.http)
	return Answer{Data: []map[string]string{{"url": scheme + "://" + host + c.http.URL.EscapedPath() + "/file?" + query.Encode()}}}, nil
}

// exportSignature proves that the app's backend was given the address.
func exportSignature(c *Call, expires string) string {
	mac := hmac.New(sha256.New, c.App.SigningKey)
	fmt.Fprintf(mac, "chatmessages/%d/%s/%s", c.App.ID, c.Value("hour"), expires)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// exportLine is a message in an export, docs/protocol/admin-rest.md §9.1.
type exportLine struct {
	ID        string        `json:"msg_id"`
	Timestamp string        `json:"timestamp"`
	Direction string        `json:"direction"`
	From      string        `json:"from"`
	To        string        `json:"to"`
	ChatType  string        `json:"chat_type"`
	Payload   exportPayload `json:"payload"`
}

type exportPayload struct {
	Bodies []map[string]any `json:"bodies"`
	Ext    map[string]any   `json:"ext"`
	From   string           `json:"from"`
	To     string           `json:"to"`
}

func exportLineOf(m msync.MessageObject) exportLine {
	return exportLine{ID: m.ID, Timestamp: strconv.FormatInt(m.Timestamp, 10), Direction: "outgoing", From: m.From, To: m.To, ChatType: m.Payload.Type,
		Payload: exportPayload{Bodies: m.Payload.Bodies, Ext: m.Payload.Ext, From: m.From, To: m.To}}
}

// export streams the messages of an hour, compressed, one a line.
func (a *API) export(_ context.Context, c *Call) (Answer, error) {
	hour, err := a.exportHour(c)
	if err != nil {
		return Answer{}, err
	}
	expires := c.Query("Expires")
	until, err := strconv.ParseInt(expires, 10, 64)
	if err != nil || until < a.clock.Now().Unix() || !hmac.Equal([]byte(c.Query("Signature")), []byte(exportSignature(c, expires))) {
		say := forbidden("forbidden_op", "the address has expired or was not made by this server")
		return Answer{}, &say
	}
	return Answer{Stream: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/gzip")
		w.Header().Set("Content-Disposition", `attachment; filename="`+hour.Format(hourForm)+`.gz"`)
		zipped := gzip.NewWriter(w)
		lines := json.NewEncoder(zipped)
		lines.SetEscapeHTML(false)
		err := a.messages.Export(r.Context(), c.App, hour, func(m msync.MessageObject) error { return lines.Encode(exportLineOf(m)) })
		if err != nil {
			a.log.Warn("export messages", "request_id", c.id, "error", err)
			panic(http.ErrAbortHandler) // an archive without its end is not taken for a whole one
		}
		_ = zipped.Close() // a client that has gone needs no end
	}}, nil
}
