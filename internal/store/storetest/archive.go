package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stoa-chat/stoa/internal/store"
	"github.com/stoa-chat/stoa/internal/store/tables"
)

// lastNumber is what the archive below says that its store has given to rows of each table.
const lastNumber = 100

// archived returns an archive that has something in every column of every table. Of what numbers rows, the first row has
// number 1 and the second 2, and each is about the others of its number.
func archived() (rows []store.Row) {
	for _, t := range tables.All {
		if t.Columns[0].Of == t.Name {
			rows = append(rows, store.Row{Table: tables.Numbers.Name, Values: []any{t.Name, int64(lastNumber)}})
		}
	}
	for _, t := range tables.All {
		count := int64(2)
		if t.Name == "app" {
			count = 1
		}
		for n := int64(1); n <= count; n++ {
			row := store.Row{Table: t.Name}
			for i, c := range t.Columns {
				row.Values = append(row.Values, valueOf(t, c, n, int64(10*i)))
			}
			rows = append(rows, row)
		}
	}
	return rows
}

func valueOf(t tables.Table, c tables.Column, n, more int64) any {
	switch {
	case c.Type == tables.Bool:
		return n == 1
	case c.Type == tables.Text:
		return fmt.Sprintf("%s %d ✓", c.Name, n)
	case c.Type == tables.Bytes:
		return []byte{0, byte(n), 255}
	case c.Type == tables.Nullable && n == 1, c.Type == tables.Audience && n == 1:
		return []byte(nil)
	case c.Type == tables.Nullable:
		return []byte("digest")
	case c.Type == tables.Audience:
		return store.AppendAudience(nil, store.Audience{Users: []int64{1, 2}, Except: true})
	case c.Of == "app":
		return int64(1)
	case t.Name == "cursor": // those of one user: what a store may derive is there
		return map[string]int64{"user": 1, "device": n - 1, "timeline": 1, "seq": 5}[c.Name]
	case t.Name == "timeline" && c.Name == "kind":
		return int64(store.KindPair) + n - 1 // the first of two users, the second of a group
	case t.Name == "timeline" && c.Name == "b":
		return 4 - 2*n
	case c.Of != "":
		return n
	case t.Name == "entry" && c.Name == "id", c.Name == "message":
		return 1<<40 + n
	}
	return more + n
}

// replay gives rows, and an error at the end if there is one. The rows are copies: a store may change them.
func replay(rows []store.Row, end error) iter.Seq2[store.Row, error] {
	return func(yield func(store.Row, error) bool) {
		for _, row := range rows {
			if !yield(store.Row{Table: row.Table, Values: slices.Clone(row.Values)}, nil) {
				return
			}
		}
		if end != nil {
			yield(store.Row{}, end)
		}
	}
}

// export returns the rows of an app.
func (e *env) export(app int64) (rows []store.Row) {
	e.Helper()
	e.check("export", e.ExportApp(e.ctx, app, func(row store.Row) error {
		rows = append(rows, row)
		return nil
	}))
	return rows
}

// lowered takes from the numbers in rows what an import has added to them.
func lowered(rows []store.Row) []store.Row {
	raise := map[string]int64{}
	for _, row := range rows {
		if t, _ := tables.Find(row.Table); t.Columns[0].Of == t.Name {
			if _, later := raise[t.Name]; !later {
				raise[t.Name] = row.Values[0].(int64) - 1
			}
		}
	}
	for _, row := range rows {
		t, _ := tables.Find(row.Table)
		for i, c := range t.Columns {
			of := c.Of
			if of == "key" {
				of = map[any]string{int64(store.KindPair): "user", int64(store.KindMuc): "muc"}[row.Values[t.Column("kind")]]
			}
			if v, ok := row.Values[i].(int64); ok && v > 0 {
				row.Values[i] = v - raise[of]
			}
			if b, ok := row.Values[i].([]byte); ok && c.Type == tables.Audience && b != nil {
				a, _ := store.ReadAudience(b)
				for k := range a.Users {
					a.Users[k] -= raise["user"]
				}
				row.Values[i] = store.AppendAudience(nil, a)
			}
		}
	}
	return slices.DeleteFunc(rows, func(row store.Row) bool { return row.Table == tables.Numbers.Name })
}

var archiveTests = []test{
	{"an archive is exported as it was imported", func(t *testing.T, e *env) {
		want := archived()
		app, err := e.ImportApp(e.ctx, replay(want, nil))
		e.check("import", err)
		if app != 1 {
			t.Errorf("the app's number is %d", app)
		}
		if diff := cmp.Diff(want, e.export(app)); diff != "" {
			t.Errorf("the rows (-want +got):\n%s", diff)
		}
		if user := e.user(store.App{ID: app}, "next"); user.ID != lastNumber+1 {
			t.Errorf("the next user has number %d", user.ID)
		}
		result := e.append(store.Draft{Key: store.PairKey(app, 1, 2), ID: 1 << 41, Sender: 1})[0]
		if lines, _ := tables.Find("timeline"); result.Seq != int64(10*lines.Column("head"))+2 {
			t.Errorf("the next entry has sequence number %d", result.Seq)
		}
		found, err := e.FindEntry(e.ctx, app, 1<<40+2)
		e.check("find", err)
		if !bytes.Equal(found.Meta, []byte{0, 2, 255}) || !found.Audience.Except {
			t.Errorf("found %+v", found)
		}
	}},
	{"beside another app the numbers are raised", func(t *testing.T, e *env) {
		first := e.app()
		alice, bob := e.user(first, "alice"), e.user(first, "bob")
		e.device(alice, "webim")
		e.muc(first, store.MucGroup, alice, "a group")
		e.befriend(alice, bob)
		before := e.export(first.ID)
		want := archived()
		app, err := e.ImportApp(e.ctx, replay(want, nil))
		e.check("import", err)
		got := e.export(app)
		if diff := cmp.Diff(lowered(want), lowered(got)); diff != "" {
			t.Errorf("the rows (-want +got):\n%s", diff)
		}
		if user, err := e.User(e.ctx, app, "name 2 ✓"); err != nil || user.ID != 2+bob.ID {
			t.Errorf("the second user is %+v: %v", user, err)
		}
		if diff := cmp.Diff(lowered(before), lowered(e.export(first.ID))); diff != "" {
			t.Errorf("the other app has changed (-want +got):\n%s", diff)
		}
	}},
	{"an import that breaks off leaves nothing", func(t *testing.T, e *env) {
		broken := errors.New("the archive is cut off")
		if _, err := e.ImportApp(e.ctx, replay(archived(), broken)); !errors.Is(err, broken) {
			t.Errorf("the error is %v", err)
		}
		if apps, err := e.Apps(e.ctx); err != nil || len(apps) > 0 {
			t.Errorf("there are apps: %v, %v", apps, err)
		}
		app, err := e.ImportApp(e.ctx, replay(archived(), nil))
		e.check("import again", err)
		if diff := cmp.Diff(archived(), e.export(app)); diff != "" {
			t.Errorf("the rows (-want +got):\n%s", diff)
		}
	}},
	{"an app is imported once", func(t *testing.T, e *env) {
		_, err := e.ImportApp(e.ctx, replay(archived(), nil))
		e.check("import", err)
		_, err = e.ImportApp(e.ctx, replay(archived(), nil))
		e.is("import again", err, store.ErrExists)
		e.is("export what is not there", e.ExportApp(e.ctx, 99, nil), store.ErrNotFound)
	}},
	{"rows of no table are refused", func(t *testing.T, e *env) {
		for _, row := range []store.Row{{Table: "robots", Values: []any{int64(1)}}, {Table: "app", Values: []any{int64(1)}}} {
			if _, err := e.ImportApp(e.ctx, replay([]store.Row{row}, nil)); err == nil {
				t.Errorf("%v is imported", row)
			}
		}
	}},
}
