package migrate

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
)

// Agora imports an app from Agora Chat into an app of a running server of ours, over the REST APIs of both. What is there
// already stays as it is, so that it can be run as often as one likes.
type Agora struct {
	Source, Target Endpoint
	// State is a file that remembers how far an import has come; empty: none.
	State string
	// DryRun reads the source and what is on the target, and changes nothing.
	DryRun bool
	// Rate is how many calls a second the source is sent.
	Rate float64
	// Parallel is how many users, groups or conversations are worked on at a time.
	Parallel int
	// Since is the hour from which on messages are fetched, until the hour that ended an hour ago; zero: none are.
	Since time.Time
	// Files is a folder of message files that were fetched before (*.gz); empty: there is none.
	Files string
	Log   *slog.Logger
	// Pause is how long it waits before a second attempt; the pauses double, up to half a minute. 0: a quarter of a second.
	Pause time.Duration
}

// Limits of the source, docs/protocol/admin-rest.md.
const (
	namesInCall    = 60
	usersInPage    = 100
	contactsInPage = 50
	blocksInPage   = 50
	groupsInPage   = 1000
	roomsInPage    = 100
	groupMembers   = 100
	roomMembers    = 1000
	mutesInPage    = 50
	targetsInCall  = 10 // whose attributes in a group one call tells
	pairsInCall    = 10 // attributes of a room
	forever        = -1 // a mute
)

// run is an import under way.
type run struct {
	Agora
	source, target *api
	state          *state
	report         *Report
	// pairs are the contacts of the page of users under way: two users who are worked on at a time may have each other.
	pairs *sync.Map // from pair to *sync.Once
}

type pair struct{ a, b string }

// Run runs the import, or goes on with one that was interrupted. The report is of all its runs; it is not nil.
func (a Agora) Run(ctx context.Context) (*Report, error) {
	r := &run{Agora: a, report: newReport()}
	var err error
	if r.source, err = newAPI(a.Source, rate.NewLimiter(rate.Limit(a.Rate), max(1, int(a.Rate)))); err != nil {
		return r.report, fmt.Errorf("source: %w", err)
	}
	if r.target, err = newAPI(a.Target, rate.NewLimiter(rate.Inf, 0)); err != nil {
		return r.report, fmt.Errorf("target: %w", err)
	}
	r.source.pause, r.target.pause = cmp.Or(a.Pause, firstPause), cmp.Or(a.Pause, firstPause)
	path := a.State
	if a.DryRun {
		path = ""
	}
	if r.state, err = loadState(path, a.Source.URL+" "+a.Source.App, a.Target.URL+" "+a.Target.App); err != nil {
		return r.report, err
	}
	if r.state.Report != nil {
		if err := json.Unmarshal(r.state.Report, r.report); err != nil {
			return r.report, fmt.Errorf("read state: %w", err)
		}
	}
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"users", r.users}, {"people", r.people}, {"mutes", r.mutes}, {"groups", r.groups}, {"super admins", r.superAdmins}, {"rooms", r.rooms}, {"messages", r.messages},
	} {
		if slices.Contains(r.state.Done, step.name) {
			continue
		}
		began := time.Now()
		r.Log.Info("begin", "step", step.name)
		if err := step.do(ctx); err != nil {
			return r.report, fmt.Errorf("%s: %w", step.name, err)
		}
		r.state.Done = append(r.state.Done, step.name)
		if err := r.next(""); err != nil {
			return r.report, err
		}
		r.Log.Info("done", "step", step.name, "took", time.Since(began).Round(time.Millisecond))
	}
	r.state.Done, r.state.Report = nil, nil // the next run begins anew
	return r.report, r.state.save()
}

// next notes that what has been done so far is done, and where to go on.
func (r *run) next(cursor string) (err error) {
	r.state.Cursor = cursor
	if r.state.Report, err = json.Marshal(r.report); err != nil {
		return err
	}
	return r.state.save()
}

// each does something with each of a page at a time.
func each[T any](ctx context.Context, r *run, all []T, do func(context.Context, T) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(r.Parallel, 1))
	for _, one := range all {
		group.Go(func() error { return do(ctx, one) })
	}
	return group.Wait()
}

// change makes a call that changes the target. A refusal is noted in the report, and is no error.
func (r *run) change(ctx context.Context, what, of, method, path string, in, out any) (ok bool, err error) {
	if r.DryRun {
		return true, nil
	}
	err = r.target.call(ctx, method, path, in, out)
	var said *refused
	if isRefusal(err) && errors.As(err, &said) {
		r.report.lost(what+" that the server refuses: "+said.text, of)
		return false, nil
	}
	return err == nil, err
}

// optional is what a server says of something that it may not have: what is off or gone is empty.
func (r *run) optional(what, of string, from *api, err error) error {
	if !isRefusal(err) {
		return err
	}
	if from == r.source && !isAbsent(err) {
		var said *refused
		errors.As(err, &said)
		r.report.lost(what+" that the source refuses: "+said.text, of)
	}
	return nil
}

// user is a row of a list of users.
type user struct {
	Username  string `json:"username"`
	Nickname  string `json:"nickname,omitempty"`
	Activated *bool  `json:"activated,omitempty"`
}

// eachPageOfUsers gives pages of the source's users, from where the step was interrupted on.
func (r *run) eachPageOfUsers(ctx context.Context, do func([]user) error) error {
	count := 0
	return r.source.pages(ctx, fmt.Sprintf("/users?limit=%d", usersInPage), r.state.Cursor, func(p page) error {
		var users []user
		if err := json.Unmarshal(p.Entities, &users); err != nil {
			return fmt.Errorf("read users: %w", err)
		}
		if err := do(users); err != nil {
			return err
		}
		count += len(users)
		r.Log.Info("progress", "users", count)
		return r.next(p.Cursor)
	})
}

// users registers the users, without passwords, and bans those that are banned.
func (r *run) users(ctx context.Context) error {
	return r.eachPageOfUsers(ctx, func(users []user) error {
		for batch := range slices.Chunk(users, namesInCall) {
			if err := r.register(ctx, batch); err != nil {
				return err
			}
		}
		return each(ctx, r, users, func(ctx context.Context, u user) error {
			if u.Activated == nil || *u.Activated {
				return nil
			}
			there, err := r.lookUp(ctx, u.Username)
			if err != nil || there == nil || !*there.Activated {
				return err
			}
			ok, err := r.change(ctx, "bans", u.Username, http.MethodPost, "/users/"+url.PathEscape(u.Username)+"/deactivate", struct{}{}, nil)
			if ok {
				r.report.carried("bans", 1)
			}
			return err
		})
	})
}

// lookUp returns a user of the target; nil if there is none.
func (r *run) lookUp(ctx context.Context, name string) (*user, error) {
	var answer struct {
		Entities []user `json:"entities"`
	}
	err := r.target.call(ctx, http.MethodGet, "/users/"+url.PathEscape(name), nil, &answer)
	if isAbsent(err) {
		return nil, nil
	}
	if err != nil || len(answer.Entities) == 0 || answer.Entities[0].Activated == nil {
		return nil, err
	}
	return &answer.Entities[0], nil
}

func (r *run) register(ctx context.Context, users []user) error {
	var known sync.Map
	if err := each(ctx, r, users, func(ctx context.Context, u user) error {
		there, err := r.lookUp(ctx, u.Username)
		if there != nil {
			known.Store(u.Username, true)
		}
		return err
	}); err != nil {
		return err
	}
	var missing []map[string]string
	for _, u := range users {
		if _, there := known.Load(u.Username); there {
			r.report.kept("users", 1)
			continue
		}
		row := map[string]string{"username": u.Username}
		if u.Nickname != "" {
			row["nickname"] = u.Nickname
		}
		missing = append(missing, row)
	}
	if len(missing) == 0 {
		return nil
	}
	var answer struct {
		Data []struct {
			Username string `json:"username"`
			Reason   string `json:"registerUserFailReason"`
		} `json:"data"`
	}
	ok, err := r.change(ctx, "users", missing[0]["username"], http.MethodPost, "/users", missing, &answer)
	if !ok {
		return err
	}
	for _, row := range answer.Data {
		r.report.lost("users that the server refuses: "+row.Reason, row.Username)
	}
	made := len(missing) - len(answer.Data)
	r.report.carried("users", made)
	for _, row := range missing[:made] {
		r.report.lost("passwords: they cannot be read. Users log in with the tokens that your backend signs, or with passwords that it sets", row["username"])
	}
	return nil
}

// people carries over what hangs on each user: attributes, contacts with remarks, block lists.
func (r *run) people(ctx context.Context) error {
	return r.eachPageOfUsers(ctx, func(users []user) error {
		r.pairs = &sync.Map{}
		return each(ctx, r, users, func(ctx context.Context, u user) error {
			for _, carry := range []func(context.Context, string) error{r.attributes, r.contacts, r.blocks} {
				if err := carry(ctx, u.Username); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// both reads something from source and target.
func both[T any](ctx context.Context, r *run, what, of string, read func(context.Context, *api) (T, error)) (from, there T, err error) {
	if from, err = read(ctx, r.source); err != nil {
		return from, there, r.optional(what, of, r.source, err)
	}
	there, err = read(ctx, r.target)
	return from, there, r.optional(what, of, r.target, err)
}

func (r *run) attributes(ctx context.Context, name string) error {
	path := "/metadata/user/" + url.PathEscape(name)
	from, there, err := both(ctx, r, "user attributes", name, func(ctx context.Context, a *api) (map[string]string, error) {
		return get[map[string]string](ctx, a, path)
	})
	if err != nil {
		return err
	}
	total := len(from)
	maps.DeleteFunc(from, func(key, _ string) bool { _, ok := there[key]; return ok })
	r.report.kept("user attributes", total-len(from))
	if len(from) == 0 {
		return nil
	}
	ok, err := r.change(ctx, "user attributes", name, http.MethodPut, path, from, nil)
	if ok {
		r.report.carried("user attributes", len(from))
	}
	return err
}

func (r *run) contacts(ctx context.Context, name string) error {
	path := "/user/" + url.PathEscape(name) + "/contacts"
	from, there, err := both(ctx, r, "contacts", name, func(ctx context.Context, a *api) (map[string]string, error) {
		remarks := map[string]string{}
		return remarks, a.pages(ctx, fmt.Sprintf("%s?limit=%d&needReturnRemark=true", path, contactsInPage), "", func(p page) error {
			var data struct {
				Contacts []struct {
					Username string  `json:"username"`
					Remark   *string `json:"remark"`
				} `json:"contacts"`
			}
			if err := json.Unmarshal(p.Data, &data); err != nil {
				return fmt.Errorf("read contacts of %s: %w", name, err)
			}
			for _, c := range data.Contacts {
				remarks[c.Username] = ""
				if c.Remark != nil {
					remarks[c.Username] = *c.Remark
				}
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	for _, friend := range slices.Sorted(maps.Keys(from)) {
		remark, known := there[friend]
		if known {
			r.report.kept("contacts", 1)
		} else if ok, err := r.befriend(ctx, name, friend); err != nil {
			return err
		} else if !ok {
			continue
		}
		if from[friend] != "" && remark == "" {
			if _, err := r.change(ctx, "remarks", name+" on "+friend, http.MethodPut, path+"/users/"+url.PathEscape(friend),
				map[string]string{"remark": from[friend]}, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// befriend makes two users contacts, once. ok is false if the target refuses it.
func (r *run) befriend(ctx context.Context, name, friend string) (ok bool, err error) {
	ok = true
	once, _ := r.pairs.LoadOrStore(pair{min(name, friend), max(name, friend)}, &sync.Once{})
	once.(*sync.Once).Do(func() {
		ok, err = r.change(ctx, "contacts", name+" and "+friend, http.MethodPost,
			"/users/"+url.PathEscape(name)+"/contacts/users/"+url.PathEscape(friend), struct{}{}, nil)
		if ok {
			r.report.carried("contacts", 1)
		}
	})
	return ok, err
}

func (r *run) blocks(ctx context.Context, name string) error {
	path := "/users/" + url.PathEscape(name) + "/blocks/users"
	from, there, err := both(ctx, r, "block lists", name, func(ctx context.Context, a *api) ([]string, error) {
		return names(ctx, a, fmt.Sprintf("%s?pageSize=%d", path, blocksInPage))
	})
	if err != nil {
		return err
	}
	return r.list(ctx, "blocked users", name, path, blocksInPage, from, there)
}

// names reads a list of names that goes by cursor.
func names(ctx context.Context, a *api, path string) (all []string, err error) {
	err = a.pages(ctx, path, "", func(p page) error {
		var names []string
		if err := json.Unmarshal(p.Data, &names); err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		all = append(all, names...)
		return nil
	})
	return all, err
}

// list adds the names that are missing to a list of the target, some in a call.
func (r *run) list(ctx context.Context, what, of, path string, inCall int, from, there []string) error {
	total := len(from)
	from = slices.DeleteFunc(slices.Clone(from), func(name string) bool { return slices.Contains(there, name) })
	r.report.kept(what, total-len(from))
	for batch := range slices.Chunk(from, inCall) {
		if err := r.listWith(ctx, what, of, path, batch, map[string]any{}); err != nil {
			return err
		}
	}
	return nil
}

// listWith posts names with what else the body has, and reads who was refused.
func (r *run) listWith(ctx context.Context, what, of, path string, batch []string, body map[string]any) error {
	var answer struct {
		Data json.RawMessage `json:"data"`
	}
	body["usernames"] = batch
	if !r.DryRun {
		err := r.target.call(ctx, http.MethodPost, path, body, &answer)
		var said *refused
		switch {
		case isRefusal(err) && len(batch) > 1: // of whom one may be to blame
			for _, name := range batch {
				if err := r.listWith(ctx, what, of, path, []string{name}, body); err != nil {
					return err
				}
			}
			return nil
		case isRefusal(err) && errors.As(err, &said):
			r.report.lost(what+" that the server refuses: "+said.text, of+": "+batch[0])
			return nil
		case err != nil:
			return err
		}
	}
	failed := failures(batch, answer.Data)
	for name, why := range failed {
		r.report.lost(what+" that the server refuses: "+why, of+": "+name)
	}
	r.report.carried(what, len(batch)-len(failed))
	return nil
}

// failures reads who of a batch was refused and why. Answers are a row for each, or the names that were added.
func failures(batch []string, data json.RawMessage) map[string]string {
	failed := map[string]string{}
	var rows []struct {
		Result *bool  `json:"result"`
		User   string `json:"user"`
		Reason string `json:"reason"`
	}
	var added struct {
		Members []string `json:"newmembers"`
	}
	switch {
	case json.Unmarshal(data, &rows) == nil:
		for _, row := range rows {
			if row.Result != nil && !*row.Result {
				failed[row.User] = row.Reason
			}
		}
	case json.Unmarshal(data, &added) == nil && added.Members != nil:
		for _, name := range batch {
			if !slices.Contains(added.Members, name) {
				failed[name] = "not added"
			}
		}
	}
	return failed
}

// mutes carries over who is muted in the whole app, for as long as is left.
func (r *run) mutes(ctx context.Context) error {
	type row struct {
		Username string `json:"username"`
		Chat     int64  `json:"chat"`
		Group    int64  `json:"groupchat"`
		Room     int64  `json:"chatroom"`
	}
	from, there, err := both(ctx, r, "mutes", "app", func(ctx context.Context, a *api) (all []row, err error) {
		for n := 1; ; n++ {
			page, err := get[struct {
				Data []row `json:"data"`
			}](ctx, a, fmt.Sprintf("/mutes?pageNum=%d&pageSize=%d", n, mutesInPage))
			if err != nil {
				return nil, err
			}
			if all = append(all, page.Data...); len(page.Data) < mutesInPage {
				return all, nil
			}
		}
	})
	if err != nil {
		return err
	}
	for _, m := range from {
		same := func(o row) bool {
			return o.Username == m.Username && (o.Chat != 0) == (m.Chat != 0) && (o.Group != 0) == (m.Group != 0) && (o.Room != 0) == (m.Room != 0)
		}
		if slices.ContainsFunc(there, same) {
			r.report.kept("mutes", 1)
			continue
		}
		change := map[string]any{"username": m.Username}
		for scope, seconds := range map[string]int64{"chat": m.Chat, "groupchat": m.Group, "chatroom": m.Room} {
			if seconds != 0 {
				change[scope] = seconds
			}
		}
		ok, err := r.change(ctx, "mutes", m.Username, http.MethodPost, "/mutes", change, nil)
		if err != nil {
			return err
		}
		if ok {
			r.report.carried("mutes", 1)
		}
	}
	return nil
}

func (r *run) superAdmins(ctx context.Context) error {
	const path = "/chatrooms/super_admin"
	from, there, err := both(ctx, r, "super admins", "app", func(ctx context.Context, a *api) ([]string, error) {
		return numbered[string](ctx, a, path, "pagenum", "pagesize", 10)
	})
	if err != nil {
		return err
	}
	for _, name := range from {
		if slices.Contains(there, name) {
			r.report.kept("super admins", 1)
			continue
		}
		ok, err := r.change(ctx, "super admins", name, http.MethodPost, path, map[string]string{"superadmin": name}, nil)
		if err != nil {
			return err
		}
		if ok {
			r.report.carried("super admins", 1)
		}
	}
	return nil
}
