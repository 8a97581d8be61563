package migrate

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
)

const (
	hourForm = "2006010215"
	// An hour's messages can be fetched once it has been over for so long.
	hourDelay = time.Hour
	// exportEvery and exportBurst are how often the source tells of an hour's messages: ten times a minute.
	exportEvery = 6 * time.Second
	exportBurst = 10
)

// messages imports the files of messages: those of the folder, and those of each hour.
func (r *run) messages(ctx context.Context) error {
	if r.Files != "" {
		paths, err := filepath.Glob(filepath.Join(r.Files, "*.gz"))
		if err != nil {
			return err
		}
		for _, path := range paths { // in order of their names
			if err := r.file(ctx, filepath.Base(path), func() ([]byte, error) { return readFile(path) }); err != nil {
				return err
			}
		}
	}
	if r.Since.IsZero() {
		return nil
	}
	limit := rate.NewLimiter(rate.Every(exportEvery), exportBurst)
	for hour := r.Since.UTC().Truncate(time.Hour); !hour.Add(time.Hour + hourDelay).After(time.Now()); hour = hour.Add(time.Hour) {
		name := hour.Format(hourForm)
		if err := r.file(ctx, name, func() ([]byte, error) { return r.hour(ctx, limit, name) }); err != nil {
			return err
		}
	}
	return nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := unzip(f)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return text, nil
}

// hour fetches the messages of an hour.
func (r *run) hour(ctx context.Context, limit *rate.Limiter, name string) (text []byte, err error) {
	if err := limit.Wait(ctx); err != nil {
		return nil, err
	}
	files, err := get[[]struct {
		URL string `json:"url"`
	}](ctx, r.source, "/chatmessages/"+name)
	switch {
	case isAbsent(err): // nobody has said anything
		return nil, nil
	case isRefusal(err):
		r.report.lost("hours of messages that the source does not have any more, or not yet", name)
		return nil, nil
	case err != nil:
		return nil, err
	}
	for _, file := range files {
		part, err := r.source.download(ctx, file.URL)
		if isRefusal(err) {
			r.report.lost("hours of messages whose file the source does not give", name)
			continue
		} else if err != nil {
			return nil, err
		}
		text = append(append(text, part...), '\n')
	}
	return text, nil
}

// message is a line of a file.
type message struct {
	ID        string          `json:"msg_id"`
	Timestamp json.RawMessage `json:"timestamp"` // a text, or a number
	Direction string          `json:"direction"`
	From      string          `json:"from"`
	To        string          `json:"to"`
	ChatType  string          `json:"chat_type"`
	Payload   struct {
		Bodies []map[string]any `json:"bodies"`
		Ext    map[string]any   `json:"ext"`
	} `json:"payload"`

	time int64
}

// conversation is what orders messages among each other.
func (m *message) conversation() string {
	if m.ChatType == "chat" {
		return min(m.From, m.To) + "\x00" + max(m.From, m.To)
	}
	return m.To
}

// file imports a file, unless that was done before.
func (r *run) file(ctx context.Context, name string, read func() ([]byte, error)) error {
	if slices.Contains(r.state.Files, name) {
		return nil
	}
	text, err := read()
	if err != nil {
		return err
	}
	all, err := r.parse(name, text)
	if err != nil {
		return err
	}
	// Those of a conversation stay in order, so that each keeps its time.
	workers := max(r.Parallel, 1)
	shares := make([][]message, workers)
	seed := maphash.MakeSeed()
	for _, m := range all {
		i := maphash.String(seed, m.conversation()) % uint64(workers)
		shares[i] = append(shares[i], m)
	}
	var done atomic.Int64
	began := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for _, share := range shares {
		group.Go(func() error {
			for _, m := range share {
				if err := r.message(ctx, m); err != nil {
					return err
				}
				if n := done.Add(1); n%1000 == 0 {
					r.Log.Info("progress", "file", name, "messages", n, "of", len(all), "per_second", int(float64(n)/time.Since(began).Seconds()))
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	r.state.Files = append(r.state.Files, name)
	return r.next("")
}

// parse reads a file, oldest message first.
func (r *run) parse(name string, text []byte) (all []message, err error) {
	seen := map[string]bool{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		var m message
		err := json.Unmarshal(lines.Bytes(), &m)
		if err == nil {
			m.time, err = strconv.ParseInt(strings.Trim(string(m.Timestamp), `"`), 10, 64)
		}
		switch {
		case err != nil || m.From == "" || m.To == "" || len(m.Payload.Bodies) == 0:
			r.report.lost("lines of message files that are no messages", name)
		case seen[m.ID] && m.ID != "": // told once for who sent it, and once for who was given it
		default:
			seen[m.ID] = true
			all = append(all, m)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	slices.SortStableFunc(all, func(a, b message) int {
		return cmp.Or(cmp.Compare(a.time, b.time), cmp.Compare(len(a.ID), len(b.ID)), cmp.Compare(a.ID, b.ID))
	})
	return all, nil
}

var importRoutes = map[string]string{"chat": "/messages/users/import", "groupchat": "/messages/chatgroups/import"}

// message imports a message. The target recognises one that it has.
func (r *run) message(ctx context.Context, m message) error {
	route, ok := importRoutes[m.ChatType]
	kind, _ := m.Payload.Bodies[0]["type"].(string)
	switch {
	case m.ChatType == "chatroom":
		r.report.lost("messages in chatrooms: they are no history", m.To)
		return nil
	case !ok:
		r.report.lost("messages of a kind of conversation that is not known: "+m.ChatType, m.ID)
		return nil
	case kind == "cmd":
		r.report.lost("commands: they are no history", m.ID)
		return nil
	}
	body := map[string]any{"from": m.From, "target": m.To, "type": kind, "body": m.Payload.Bodies[0], "msg_timestamp": m.time}
	if len(m.Payload.Ext) > 0 {
		body["ext"] = m.Payload.Ext
	}
	if r.DryRun {
		r.report.carried("messages", 1)
		return nil
	}
	err := r.target.call(ctx, http.MethodPost, route, body, nil)
	var said *refused
	if isRefusal(err) && errors.As(err, &said) {
		r.report.lost("messages that the server refuses: "+said.text, m.ID)
		return nil
	} else if err != nil {
		return err
	}
	r.report.carried("messages", 1)
	r.report.lost("ids of messages: the server gives new ones. Their times stay", m.ID)
	if address, ok := m.Payload.Bodies[0]["url"].(string); ok {
		r.report.lost("files of messages: the messages name them where they were, which may remove them", address)
	}
	if len(m.Payload.Bodies) > 1 {
		r.report.lost("further parts of messages that have more than one", m.ID)
	}
	return nil
}
