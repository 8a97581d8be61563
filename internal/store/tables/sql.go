package tables

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/stoa-chat/stoa/internal/store"
)

// Engine is the SQL of a database.
type Engine struct {
	postgres bool
	names    *strings.Replacer
}

// The two engines.
var (
	SQLite   = Engine{names: strings.NewReplacer("{users}", "user", "{user}", "user", "{pos}", "pos")}
	Postgres = Engine{postgres: true, names: strings.NewReplacer("{users}", "users", "{user}", "user_id", "{pos}", "id, timeline, seq")}
)

// Conn runs statements in one transaction.
type Conn interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// Table returns what the engine calls a table.
func (e Engine) Table(t Table) string {
	if e.postgres && t.Name == "user" {
		return "users"
	}
	return t.Name
}

// Column returns what the engine calls a column; empty if it has none.
func (e Engine) Column(c Column) string {
	switch {
	case !e.postgres && c.sqlite != "":
		return ""
	case e.postgres && c.postgres != "":
		return c.postgres
	}
	return c.Name
}

// last returns the highest number that a table has ever given to a row.
func (e Engine) last(ctx context.Context, tx Conn, t Table) (n int64, err error) {
	if !e.postgres {
		err = tx.QueryRowContext(ctx, "SELECT COALESCE((SELECT seq FROM sqlite_sequence WHERE name = $1), 0)", e.Table(t)).Scan(&n)
		return n, err
	}
	var sequence string
	if err = tx.QueryRowContext(ctx, "SELECT pg_get_serial_sequence($1, 'id')", e.Table(t)).Scan(&sequence); err != nil {
		return 0, err
	}
	err = tx.QueryRowContext(ctx, "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM "+sequence).Scan(&n)
	return n, err
}

// setLast has the next number of a table be above n.
func (e Engine) setLast(ctx context.Context, tx Conn, t Table, n int64) (err error) {
	if n == 0 {
		return nil
	}
	if e.postgres {
		_, err = tx.ExecContext(ctx, "SELECT setval(pg_get_serial_sequence($1, 'id'), $2)", e.Table(t), n)
		return err
	}
	for _, statement := range []string{"DELETE FROM sqlite_sequence WHERE name = $1", "INSERT INTO sqlite_sequence (name, seq) VALUES ($1, $2)"} {
		if _, err = tx.ExecContext(ctx, statement, e.Table(t), n); err != nil {
			return err
		}
	}
	return nil
}

// Export gives the rows of an app to a function. ErrNotFound of package store.
func (e Engine) Export(ctx context.Context, tx Conn, app int64, give func(store.Row) error) error {
	var found bool
	if err := tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM app WHERE id = $1)", app).Scan(&found); err != nil {
		return fmt.Errorf("find app: %w", err)
	} else if !found {
		return store.ErrNotFound
	}
	for _, t := range All {
		if !t.numbered() {
			continue
		}
		last, err := e.last(ctx, tx, t)
		if err != nil {
			return fmt.Errorf("read numbers of %s: %w", t.Name, err)
		}
		if err := give(store.Row{Table: Numbers.Name, Values: []any{t.Name, last}}); err != nil {
			return err
		}
	}
	for _, t := range All {
		if err := e.export(ctx, tx, t, app, give); err != nil {
			return fmt.Errorf("export %s: %w", t.Name, err)
		}
	}
	return nil
}

func (e Engine) export(ctx context.Context, tx Conn, t Table, app int64, give func(store.Row) error) error {
	columns := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		if columns[i] = e.Column(c); columns[i] == "" {
			columns[i] = c.sqlite
		}
	}
	rows, err := tx.QueryContext(ctx, e.names.Replace("SELECT "+strings.Join(columns, ", ")+" FROM "+e.Table(t)+" WHERE "+t.where+" ORDER BY "+t.order), app)
	if err != nil {
		return err
	}
	defer rows.Close()
	row := scanner(t)
	for rows.Next() {
		if err := rows.Scan(row...); err != nil {
			return err
		}
		if err := give(store.Row{Table: t.Name, Values: values(t, row)}); err != nil {
			return err
		}
	}
	return rows.Err()
}

// scanner makes the places into which a row is read.
func scanner(t Table) []any {
	row := make([]any, len(t.Columns))
	for i, c := range t.Columns {
		switch c.Type {
		case Int:
			row[i] = new(int64)
		case Bool:
			row[i] = new(bool)
		case Text:
			row[i] = new(string)
		default:
			row[i] = new([]byte)
		}
	}
	return row
}

// values takes a row out of its places.
func values(t Table, row []any) []any {
	out := make([]any, len(row))
	for i, p := range row {
		switch p := p.(type) {
		case *int64:
			out[i] = *p
		case *bool:
			out[i] = *p
		case *string:
			out[i] = *p
		case *[]byte:
			out[i] = blob(t.Columns[i], *p)
		}
	}
	return out
}

// blob returns bytes as the column has them: engines confuse empty and nil ones.
func blob(c Column, b []byte) []byte {
	switch {
	case c.Type == Bytes && b == nil:
		return []byte{}
	case c.Type != Bytes && len(b) == 0:
		return nil
	}
	return b
}

// batchRows is how many rows one statement inserts.
const batchRows = 100

// Importer writes the rows of an app, with their numbers raised. It belongs to one goroutine.
type Importer struct {
	// Extra are columns that the engine fills itself, in front of those of the table: names, and the values for a row
	// that is about to be written.
	Extra  map[string][]string
	Filled func(t Table, row []any) ([]any, error)
	// App is the number of the app, once its row was put.
	App int64
	// Others tells that the database has, or has had, other apps.
	Others bool

	engine Engine
	tx     Conn
	raise  map[string]int64 // by table
	last   map[string]int64 // numbers given so far
	table  Table
	batch  []any
	rows   int
}

// NewImporter starts an import.
func (e Engine) NewImporter(ctx context.Context, tx Conn) (*Importer, error) {
	im := &Importer{engine: e, tx: tx, raise: map[string]int64{}, last: map[string]int64{}}
	for _, t := range All {
		if !t.numbered() {
			continue
		}
		last, err := e.last(ctx, tx, t)
		if err != nil {
			return nil, fmt.Errorf("read numbers of %s: %w", t.Name, err)
		}
		im.raise[t.Name] = last
	}
	im.Others = im.raise["app"] > 0
	return im, nil
}

// Put takes a row; rows are written some at a time.
func (im *Importer) Put(ctx context.Context, row store.Row) error {
	t, ok := Find(row.Table)
	if !ok || len(row.Values) != len(t.Columns) {
		return fmt.Errorf("import: %q is no table of this version with %d columns", row.Table, len(row.Values))
	}
	if t.Name == Numbers.Name {
		name, _ := row.Values[0].(string)
		last, _ := row.Values[1].(int64)
		im.last[name] = last
		return nil
	}
	if t.Name != im.table.Name || im.rows == batchRows {
		if err := im.flush(ctx); err != nil {
			return err
		}
		im.table = t
	}
	if err := im.raised(t, row.Values); err != nil {
		return err
	}
	if im.Filled != nil {
		extra, err := im.Filled(t, row.Values)
		if err != nil {
			return err
		}
		im.batch = append(im.batch, extra...)
	}
	for i, c := range t.Columns {
		if im.engine.Column(c) != "" {
			im.batch = append(im.batch, row.Values[i])
		}
	}
	im.rows++
	if t.Name == "app" { // what is taken is said before anything else is done
		im.App = row.Values[0].(int64)
		return im.flush(ctx)
	}
	return nil
}

// raised raises the numbers in a row.
func (im *Importer) raised(t Table, row []any) error {
	for i, c := range t.Columns {
		of := c.Of
		if of == keyOf {
			if of = "user"; row[t.Column("kind")] == int64(store.KindMuc) {
				of = "muc"
			}
		}
		switch v := row[i].(type) {
		case int64:
			if of != "" && v > 0 {
				row[i] = v + im.raise[of]
			}
		case []byte:
			row[i] = blob(c, v)
			if c.Type != Audience || len(v) == 0 {
				break
			}
			a, err := store.ReadAudience(v)
			if err != nil {
				return err
			}
			for k := range a.Users {
				a.Users[k] += im.raise["user"]
			}
			row[i] = store.AppendAudience(nil, a)
		}
	}
	return nil
}

// flush writes the rows that wait.
func (im *Importer) flush(ctx context.Context) error {
	if im.rows == 0 {
		return nil
	}
	columns := im.Extra[im.table.Name]
	for _, c := range im.table.Columns {
		if name := im.engine.Column(c); name != "" {
			columns = append(columns[:len(columns):len(columns)], name)
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "INSERT INTO %s (%s)", im.engine.Table(im.table), strings.Join(columns, ", "))
	if im.engine.postgres && im.table.numbered() {
		b.WriteString(" OVERRIDING SYSTEM VALUE")
	}
	b.WriteString(" VALUES ")
	for i := range im.batch {
		switch {
		case i == 0:
			b.WriteString("(")
		case i%len(columns) == 0:
			b.WriteString("), (")
		default:
			b.WriteString(", ")
		}
		if im.engine.postgres {
			fmt.Fprintf(&b, "$%d", i+1)
		} else {
			b.WriteByte('?')
		}
	}
	b.WriteString(")")
	_, err := im.tx.ExecContext(ctx, b.String(), im.batch...)
	im.batch, im.rows = im.batch[:0], 0
	if err != nil {
		return fmt.Errorf("import %s: %w", im.table.Name, err)
	}
	return nil
}

// Finish writes what waits and has new rows numbered above those of the archive.
func (im *Importer) Finish(ctx context.Context) error {
	if err := im.flush(ctx); err != nil {
		return err
	}
	for _, t := range All {
		if !t.numbered() {
			continue
		}
		if err := im.engine.setLast(ctx, im.tx, t, im.raise[t.Name]+im.last[t.Name]); err != nil {
			return fmt.Errorf("set numbers of %s: %w", t.Name, err)
		}
	}
	return nil
}
