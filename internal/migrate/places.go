package migrate

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// placeKind is groups or chatrooms.
type placeKind struct {
	what     string // one of them, in the report
	path     string
	metadata string
	idKey    string // of the id in lists
	page     int
	members  int // in a page
}

var (
	groupKind = placeKind{"groups", "/chatgroups", "/metadata/chatgroup", "groupid", groupsInPage, groupMembers}
	roomKind  = placeKind{"chatrooms", "/chatrooms", "/metadata/chatroom", "id", roomsInPage, roomMembers}
)

// place is a group or chatroom with all that can be read of it.
type place struct {
	ID            string `json:"id"`
	Name          string `json:"name"`
	Avatar        string `json:"avatar"`
	Description   string `json:"description"`
	Approval      bool   `json:"membersonly"`
	AllowInvites  bool   `json:"allowinvites"`
	InviteConfirm bool   `json:"invite_need_confirm"`
	MaxUsers      int    `json:"maxusers"`
	Owner         string `json:"owner"`
	Custom        string `json:"custom"`
	MuteAll       bool   `json:"mute"`
	Disabled      bool   `json:"disabled"`
	Public        bool   `json:"public"`

	announcement string
	members      []string // without the owner
	admins       []string
	allowed      []string
	blocked      []string
	muted        []muted
	attributes   map[string]map[string]string // of members, or of a room under ""
}

type muted struct {
	User   string `json:"user"`
	Expire int64  `json:"expire"` // milliseconds since 1970, or -1
}

func (r *run) groups(ctx context.Context) error { return r.places(ctx, groupKind) }
func (r *run) rooms(ctx context.Context) error  { return r.places(ctx, roomKind) }

func (r *run) places(ctx context.Context, kind placeKind) error {
	count := 0
	return r.source.pages(ctx, fmt.Sprintf("%s?limit=%d", kind.path, kind.page), r.state.Cursor, func(p page) error {
		var rows []map[string]any
		if err := json.Unmarshal(p.Data, &rows); err != nil {
			return fmt.Errorf("read %s: %w", kind.what, err)
		}
		if err := each(ctx, r, rows, func(ctx context.Context, row map[string]any) error {
			id, _ := row[kind.idKey].(string)
			return r.place(ctx, kind, id)
		}); err != nil {
			return err
		}
		count += len(rows)
		r.Log.Info("progress", kind.what, count)
		return r.next(p.Cursor)
	})
}

// read reads a group or chatroom; nil if there is none.
func (a *api) read(ctx context.Context, kind placeKind, id string) (*place, error) {
	path := kind.path + "/" + url.PathEscape(id)
	found, err := get[[]place](ctx, a, path)
	if isAbsent(err) || err == nil && len(found) == 0 {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	p := &found[0]
	affiliations, err := numbered[map[string]any](ctx, a, path+"/users", "pagenum", "pagesize", kind.members)
	if err != nil {
		return nil, err
	}
	for _, row := range affiliations {
		if name, ok := row["member"].(string); ok {
			p.members = append(p.members, name)
		} else if name, ok := row["admin"].(string); ok {
			p.members = append(p.members, name)
		}
	}
	if p.admins, err = get[[]string](ctx, a, path+"/admin"); err != nil {
		return nil, err
	}
	if p.allowed, err = get[[]string](ctx, a, path+"/white/users"); err != nil {
		return nil, err
	}
	if p.blocked, err = names(ctx, a, fmt.Sprintf("%s/blocks/users?pageSize=%d", path, blocksInPage)); err != nil {
		return nil, err
	}
	if p.muted, err = get[[]muted](ctx, a, path+"/mute"); err != nil {
		return nil, err
	}
	told, err := get[struct {
		Announcement string `json:"announcement"`
	}](ctx, a, path+"/announcement")
	if err != nil {
		return nil, err
	}
	p.announcement = told.Announcement
	return p, a.readAttributes(ctx, kind, p)
}

// readAttributes reads the attributes of the members of a group, or those of a room. That they are switched off is no
// error: there are none.
func (a *api) readAttributes(ctx context.Context, kind placeKind, p *place) error {
	p.attributes = map[string]map[string]string{}
	path := kind.metadata + "/" + url.PathEscape(p.ID)
	var err error
	if kind == roomKind {
		var answer struct {
			Data map[string]string `json:"data"`
		}
		err = a.call(ctx, http.MethodPost, path, map[string]any{"keys": []string{}}, &answer)
		p.attributes[""] = answer.Data
	} else {
		for batch := range slices.Chunk(append([]string{p.Owner}, p.members...), targetsInCall) {
			var answer struct {
				Data map[string]map[string]string `json:"data"`
			}
			if err = a.call(ctx, http.MethodPost, path+"/get", map[string]any{"targets": batch, "properties": []string{}}, &answer); err != nil {
				break
			}
			maps.Copy(p.attributes, answer.Data)
		}
	}
	if isRefusal(err) {
		err = nil
	}
	return err
}

// place carries over a group or chatroom: it is made if it is not there, and then given what it lacks.
func (r *run) place(ctx context.Context, kind placeKind, id string) error {
	from, err := r.source.read(ctx, kind, id)
	if err != nil || from == nil {
		return r.optional(kind.what, id, r.source, err) // it may have ended since it was listed
	}
	there, err := r.target.read(ctx, kind, id)
	if err != nil {
		return fmt.Errorf("read %s of the target: %w", id, err)
	}
	if there != nil {
		r.report.kept(kind.what, 1)
	} else if there, err = r.create(ctx, kind, from); err != nil || there == nil {
		return err
	}
	path := kind.path + "/" + url.PathEscape(id)
	post := func(what, of, path string, body any) error {
		ok, err := r.change(ctx, what, id+of, http.MethodPost, path, body, nil)
		if ok {
			r.report.carried(what, 1)
		}
		return err
	}
	if from.Owner != there.Owner {
		r.report.lost(kind.what+" that are on the server and have another owner", id)
	}
	if err := r.list(ctx, "members of "+kind.what, id, path+"/users", namesInCall, without(from.members, there.Owner), there.members); err != nil {
		return err
	}
	for _, name := range from.admins {
		if slices.Contains(there.admins, name) {
			continue
		}
		if err := post("admins of "+kind.what, ": "+name, path+"/admin", map[string]string{"newadmin": name}); err != nil {
			return err
		}
	}
	if err := r.list(ctx, "allow lists of "+kind.what, id, path+"/white/users", namesInCall, from.allowed, there.allowed); err != nil {
		return err
	}
	if err := r.list(ctx, "block lists of "+kind.what, id, path+"/blocks/users", namesInCall, from.blocked, there.blocked); err != nil {
		return err
	}
	if err := r.mutedIn(ctx, kind, path, from, there); err != nil {
		return err
	}
	if err := r.attributesIn(ctx, kind, from, there); err != nil {
		return err
	}
	if from.announcement != "" && there.announcement == "" {
		if err := post("announcements", "", path+"/announcement", map[string]string{"announcement": from.announcement}); err != nil {
			return err
		}
	}
	if from.MuteAll && !there.MuteAll {
		if err := post(kind.what+" where all are muted", "", path+"/ban", struct{}{}); err != nil {
			return err
		}
	}
	if from.Disabled && !there.Disabled {
		return post("disabled "+kind.what, "", path+"/disable", struct{}{})
	}
	return nil
}

func without(names []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == name })
}

// create makes a group or chatroom with the id that it has at the source; nil if the target refuses it.
func (r *run) create(ctx context.Context, kind placeKind, from *place) (*place, error) {
	body := map[string]any{"groupid": from.ID, "owner": from.Owner, "maxusers": max(from.MaxUsers, len(from.members)+1), "custom": from.Custom,
		"description": from.Description}
	if kind == groupKind {
		body["groupname"], body["avatar"], body["public"], body["membersonly"] = from.Name, from.Avatar, from.Public, from.Approval
		body["allowinvites"], body["invite_need_confirm"] = from.AllowInvites, from.InviteConfirm
	} else {
		body["name"] = from.Name
	}
	ok, err := r.change(ctx, kind.what, from.ID, http.MethodPost, kind.path, body, nil)
	if !ok {
		return nil, err
	}
	r.report.carried(kind.what, 1)
	return &place{ID: from.ID, Owner: from.Owner}, nil
}

// mutedIn mutes members for as long as is left.
func (r *run) mutedIn(ctx context.Context, kind placeKind, path string, from, there *place) error {
	what := "mutes in " + kind.what
	for _, m := range from.muted {
		if slices.ContainsFunc(there.muted, func(o muted) bool { return o.User == m.User }) {
			r.report.kept(what, 1)
			continue
		}
		left := m.Expire
		if left != forever {
			if left -= time.Now().UnixMilli(); left <= 0 {
				continue
			}
		}
		if err := r.listWith(ctx, what, from.ID, path+"/mute", []string{m.User}, map[string]any{"mute_duration": left}); err != nil {
			return err
		}
	}
	return nil
}

// attributesIn sets the attributes of members, or of a room, that are not there.
func (r *run) attributesIn(ctx context.Context, kind placeKind, from, there *place) error {
	for _, name := range slices.Sorted(maps.Keys(from.attributes)) {
		missing := map[string]string{}
		for key, value := range from.attributes[name] {
			if _, ok := there.attributes[name][key]; !ok {
				missing[key] = value
			}
		}
		path := kind.metadata + "/" + url.PathEscape(from.ID) + "/user/" + url.PathEscape(cmp.Or(name, from.Owner))
		inCall := len(missing)
		if kind == roomKind {
			path, inCall = path+"/forced", pairsInCall
		}
		for keys := range slices.Chunk(slices.Sorted(maps.Keys(missing)), max(inCall, 1)) {
			body := map[string]any{"autoDelete": "NO_DELETE"}
			pairs := map[string]string{}
			for _, key := range keys {
				pairs[key] = missing[key]
			}
			body["metaData"] = pairs
			ok, err := r.change(ctx, "attributes in "+kind.what, from.ID+" "+name, http.MethodPut, path, body, nil)
			if err != nil {
				return err
			}
			if ok {
				r.report.carried("attributes in "+kind.what, len(pairs))
			}
		}
	}
	return nil
}
