package sqlite

import (
	"errors"
	"iter"
	"slices"
	"testing"

	"github.com/stoa-chat/stoa/internal/store"
	"github.com/stoa-chat/stoa/internal/store/tables"
)

// What no archive has: it is derived, or belongs to the database.
var notArchived = []string{"meta", "entry_index", "sent_run", "search", "search_config", "search_data", "search_docsize", "search_idx",
	"search_content", "push_message", "goose_db_version", "sqlite_sequence", "entry.pos", "notification.taker"}

func TestArchivesHaveEveryColumn(t *testing.T) {
	s := openIn(t, t.TempDir())
	rows, err := s.readPool.Query("SELECT m.name, c.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c WHERE m.type = 'table'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	archived := map[string]bool{}
	for _, table := range tables.All {
		for _, c := range table.Columns {
			archived[table.Name+"."+tables.SQLite.Column(c)] = true
		}
	}
	for rows.Next() {
		var table, column string
		if err := rows.Scan(&table, &column); err != nil {
			t.Fatal(err)
		}
		name := table + "." + column
		if !archived[name] && !slices.Contains(notArchived, table) && !slices.Contains(notArchived, name) {
			t.Errorf("%s is in no archive: add it to internal/store/tables, or say here that it is derived", name)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

func TestMessagesAreNotImportedBehindNewerOnes(t *testing.T) {
	s := openIn(t, t.TempDir())
	if _, err := s.Append(t.Context(), []store.Draft{{Key: store.PairKey(1, 1, 2), ID: 1000, Time: 1, Sender: 1}}); err != nil {
		t.Fatal(err)
	}
	archive := func(id int64) iter.Seq2[store.Row, error] {
		return func(yield func(store.Row, error) bool) {
			for _, name := range []string{"app", "timeline", "entry"} {
				table, _ := tables.Find(name)
				row := store.Row{Table: name}
				for _, c := range table.Columns {
					row.Values = append(row.Values, map[tables.Type]any{tables.Int: int64(1), tables.Bool: false, tables.Text: c.Name,
						tables.Bytes: []byte("x"), tables.Nullable: []byte(nil), tables.Audience: []byte(nil)}[c.Type])
					if name == "entry" && c.Name == "id" {
						row.Values[len(row.Values)-1] = id
					}
				}
				if !yield(row, nil) {
					return
				}
			}
		}
	}
	if _, err := s.ImportApp(t.Context(), archive(999)); !errors.Is(err, store.ErrOrder) {
		t.Errorf("the error is %v", err)
	}
	app, err := s.ImportApp(t.Context(), archive(1001))
	if err != nil {
		t.Fatal(err)
	}
	for id, owner := range map[int64]int64{1000: 1, 1001: app} {
		if _, err := s.FindEntry(t.Context(), owner, id); err != nil {
			t.Errorf("message %d: %v", id, err)
		}
	}
}
