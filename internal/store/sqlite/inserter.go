package sqlite

import (
	"context"
	"fmt"
	"strings"
)

// rowsAtOnce is how many rows go into one statement. Beyond it there is no more to gain.
const rowsAtOnce = 16

// inserter gathers rows for a table, and inserts many with one statement: a call of SQLite's costs about as much as the
// insertion of a row.
type inserter struct {
	conn   *statements
	insert string // up to VALUES
	width  int
	values []any
	texts  map[int]string // by number of rows
}

func newInserter(conn *statements, insert string, columns ...string) *inserter {
	r := &inserter{conn: conn, insert: insert + " (" + strings.Join(columns, ", ") + ") VALUES ", width: len(columns), texts: map[int]string{}}
	one := "(" + strings.Repeat(", ?", r.width)[2:] + ")"
	for n := 1; n <= rowsAtOnce; n *= 2 {
		r.texts[n] = r.insert + strings.Repeat(", "+one, n)[2:]
	}
	return r
}

// add inserts a row, now or with the next ones.
func (r *inserter) add(values ...any) error {
	r.values = append(r.values, values...)
	if len(r.values) < rowsAtOnce*r.width {
		return nil
	}
	return r.flush()
}

// flush inserts what was added.
func (r *inserter) flush() error {
	defer r.drop()
	rest := r.values
	for n := rowsAtOnce; len(rest) > 0; n /= 2 {
		for ; len(rest) >= n*r.width; rest = rest[n*r.width:] {
			if _, err := r.conn.ExecContext(context.Background(), r.texts[n], rest[:n*r.width]...); err != nil {
				return fmt.Errorf("%s: %w", r.insert, err)
			}
		}
	}
	return nil
}

// drop forgets what was added and not inserted.
func (r *inserter) drop() {
	clear(r.values)
	r.values = r.values[:0]
}
