package postgres

import (
	"slices"
	"testing"

	"github.com/stoa-chat/stoa/internal/store/tables"
)

// What no archive has: it is derived, or belongs to nodes.
var notArchived = []string{"node", "session", "search", "searched", "push_mark", "push_message", "goose_db_version", "callback_mark.taken", "notification.taker"}

func TestArchivesHaveEveryColumn(t *testing.T) {
	s := open(t, newSchema(t))
	rows, err := s.pool.Query(t.Context(), "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	archived, found := map[string]bool{}, 0
	for _, table := range tables.All {
		for _, c := range table.Columns {
			archived[tables.Postgres.Table(table)+"."+tables.Postgres.Column(c)] = true
		}
	}
	for rows.Next() {
		var table, column string
		if err := rows.Scan(&table, &column); err != nil {
			t.Fatal(err)
		}
		found++
		name := table + "." + column
		if !archived[name] && !slices.Contains(notArchived, table) && !slices.Contains(notArchived, name) {
			t.Errorf("%s is in no archive: add it to internal/store/tables, or say here that it is derived", name)
		}
	}
	if err := rows.Err(); err != nil || found < len(archived) {
		t.Fatalf("%d columns, %v", found, err)
	}
}
