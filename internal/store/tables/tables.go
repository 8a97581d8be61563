// Package tables knows which tables and columns an application has, so that it can be moved from one database to another
// as rows. Both engines keep the same rows; where they differ in names or derive something, it is said here or in the
// engine's own ExportApp and ImportApp.
package tables

import (
	"fmt"
	"slices"
	"strings"
)

// Type is what a column holds.
type Type uint8

// The types of columns, with the Go types of their values.
const (
	Int      Type = iota // int64
	Bool                 // bool
	Text                 // string
	Bytes                // []byte, not nil
	Nullable             // []byte, nil for NULL
	Audience             // []byte, as store.AppendAudience packs users; nil: all
)

// Column is a column of a table.
type Column struct {
	Name string
	Type Type
	// Of names the table whose rows an Int numbers; empty: it is a number like any other. Numbers that are not positive
	// stand for no row.
	Of string

	postgres string // its name there, if it is another
	sqlite   string // how it is derived there, if it is no column
}

// Table is a table of which an application has rows.
type Table struct {
	Name    string
	Columns []Column

	where string // which of its rows are those of app $1
	order string
}

// keyOf marks the columns that hold a user or a group, by the kind of the timeline.
const keyOf = "key"

// Rows that belong to an app by something that belongs to it.
const (
	byApp      = "app = $1"
	byUser     = "{user} IN (SELECT id FROM {users} WHERE app = $1)"
	byTimeline = "timeline IN (SELECT id FROM timeline WHERE app = $1)"
	byMuc      = "muc IN (SELECT id FROM muc WHERE app = $1)"
	byMessage  = "message IN (SELECT id FROM entry WHERE " + byTimeline + ")"
)

// All are the tables in the order in which they are archived. A column is followed by its type, where it is no number:
// ? Bool, : Text, # Bytes, ~ Nullable, @ Audience, and = with the table whose rows it numbers.
var All = []Table{
	table("app", "id", "id = $1", `id=app org: name: uuid: agora_id: certificate: certificate2: client_id: client_secret:
		signing_key# settings# created`),
	table("user", "id", byApp, "id=user app=app name: uuid: nickname: password: active? generation created modified"),
	table("device", "id", byUser, "id=device user=user resource: platform: uuid: name: seen"),
	table("muc", "id", byApp, `id=muc app=app kind name: owner=user owner_name: parent=muc message title: title_key: description:
		avatar: custom: announcement: public? approval? allow_invites? invite_confirm? max_users members mute_all? disabled?
		closed? created modified`),
	table("muc_member", "id", byApp, `id=muc_member muc=muc user=user app=app kind name: role joined shielded? attributes: away`),
	table("muc_mark", "id", byMuc, "id=muc_mark muc=muc mark user=user name: until by_user=user by_name: reason: created"),
	table("muc_count", "kind", byApp, "app=app kind count"),
	table("room_tag", "muc, tag, {user}", byMuc, "muc=muc tag: user=user until"),
	table("room_attribute", "muc, key", byMuc, "muc=muc key: value: user=user auto?"),
	table("super_admin", "{user}", byApp, "app=app user=user name:"),
	table("timeline", "id", byApp, "id=timeline app=app kind a=key b=key head floor"),
	table("subscription", "{user}, timeline", byTimeline, "user=user timeline=timeline start until"),
	table("cursor", "{user}, device, timeline", byTimeline, "user=user device=device timeline=timeline seq"),
	table("entry", "{pos}", byTimeline, `timeline=timeline seq id time sender=user device=device client content ref audience@
		version recalled? digest~ meta#`),
	table("conversation", "{user}, timeline", byTimeline, "user=user timeline=timeline read cleared hidden pinned marks since counted unread"),
	table("removed", "{user}, timeline, seq", byTimeline, "user=user timeline=timeline seq"),
	table("receipt", "id", byTimeline, "id=receipt timeline=timeline seq user=user name: created"),
	table("pin", "id", byTimeline, "id=pin timeline=timeline message user=user name: created"),
	table("reaction", "id", byMessage, "id=reaction message text: count created updated"),
	table("reactor", "id", "reaction IN (SELECT id FROM reaction WHERE "+byMessage+")", "id=reactor message reaction=reaction user=user name: created"),
	table("report", "id", byApp, "id=report app=app message reporter=user name: type: reason: created sent meta#"),
	table("contact", "id", byUser, "id=contact user=user peer=user name: remark: created"),
	table("block", "id", byUser, "id=block user=user peer=user name: created"),
	table("invitation", "{user}, peer", byUser, "user=user peer=user reason: created"),
	table("profile", "{user}, key", byApp, "user=user key: value: app=app size"),
	table("presence", "{user}, resource", byUser, "user=user resource: status text: time"),
	table("watch", "watcher, target", byApp, "watcher=user target=user name: app=app expires"),
	table("departure", "{user}, resource", byUser, "user=user resource: due"),
	table("push_setting", "id", byUser, "id=push_setting user=user scope target: type: until quiet:"),
	table("push_user", "{user}", byUser, "user=user language: detailed? template:"),
	table("push_template", "name", byApp, "app=app name: title: content: created updated"),
	table("push_label", "id", byApp, "id=push_label app=app name: description: users created"),
	table("push_labelled", "label, {user}", "label IN (SELECT id FROM push_label WHERE app = $1)", "label=push_label user=user created"),
	table("push_token", "{user}, device", byApp, "user=user device: app=app notifier: token: updated"),
	table("notification", "id", byApp, "id=notification app=app user=user device: timeline=timeline seq created attempts due"),
	table("rule", "kind, name", byApp, "app=app kind name: definition:"),
	table("callback", "id", byApp, `id=callback app=app rule: event: lane: created attempts due dead replays target: error: body#`),
	table("callback_mark", "rule, node", byApp, "app=app rule: node id"),
	table("global_mute", "{user}, scope", byApp, "app=app user=user scope name: until"),
	table("verdict", "id", byApp, "id=verdict app=app rule: action: found: user=user name: message created meta#"),
	table("file", "id", byApp, `id=file app=app uuid: owner=user owner_name: place=muc state blob: secret# restricted? size type: name:
		width height thumb created since`),
	table("file_part", "file, number", "file IN (SELECT id FROM file WHERE app = $1)", "file=file number blob: size"),
}

// Numbers is what is archived before the tables: for each table that numbers its rows, the highest number that was ever
// used. Numbers are not used twice.
var Numbers = Table{Name: "numbers", Columns: []Column{{Name: "table", Type: Text}, {Name: "last"}}}

// table reads the description of a table. It panics on a slip in it.
func table(name, order, where, columns string) Table {
	t := Table{Name: name, where: where, order: order}
	types := map[byte]Type{'?': Bool, ':': Text, '#': Bytes, '~': Nullable, '@': Audience}
	for text := range strings.FieldsSeq(columns) {
		c := Column{Name: text}
		if kind, ok := types[text[len(text)-1]]; ok {
			c.Name, c.Type = text[:len(text)-1], kind
		}
		c.Name, c.Of, _ = strings.Cut(c.Name, "=")
		switch {
		case c.Name == "user":
			c.postgres = "user_id"
		case name == "entry" && c.Name == "client":
			c.postgres = "client_id"
		case name == "reactor" && c.Name == "message":
			c.sqlite = "(SELECT message FROM reaction WHERE id = reactor.reaction)"
		}
		t.Columns = append(t.Columns, c)
	}
	if t.Columns[0].Name == "id" && t.Columns[0].Of != name {
		panic(fmt.Sprintf("tables: %s does not number its own rows", name))
	}
	return t
}

// Find returns a table by its name in archives.
func Find(name string) (Table, bool) {
	if name == Numbers.Name {
		return Numbers, true
	}
	i := slices.IndexFunc(All, func(t Table) bool { return t.Name == name })
	if i < 0 {
		return Table{}, false
	}
	return All[i], true
}

// Column returns the place of a column in rows; it panics if there is none.
func (t Table) Column(name string) int {
	i := slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == name })
	if i < 0 {
		panic("tables: " + t.Name + " has no column " + name)
	}
	return i
}

// numbered reports whether the table numbers its rows.
func (t Table) numbered() bool { return t.Columns[0].Of == t.Name }
