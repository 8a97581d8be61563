package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/stoa-chat/stoa/internal/store"
	"github.com/stoa-chat/stoa/internal/store/tables"
)

// ExportApp implements store.Archives.
func (s *Store) ExportApp(ctx context.Context, app int64, give func(store.Row) error) error {
	tx, err := s.readPool.Conn(ctx)
	if err != nil {
		return fmt.Errorf("take read connection: %w", err)
	}
	defer tx.Close()
	if _, err := tx.ExecContext(ctx, "BEGIN DEFERRED"); err != nil {
		return fmt.Errorf("begin export: %w", err)
	}
	defer tx.ExecContext(context.WithoutCancel(ctx), "ROLLBACK") // there is nothing to keep
	lines, _ := tables.Find("timeline")
	id, head := lines.Column("id"), lines.Column("head")
	return tables.SQLite.Export(ctx, tx, app, func(row store.Row) error {
		if row.Table == lines.Name {
			row.Values[head] = s.timeline.headAbove(row.Values[id].(int64), row.Values[head].(int64))
		}
		return give(row)
	})
}

// ImportApp implements store.Archives. It holds the writer until it ends.
func (s *Store) ImportApp(ctx context.Context, rows iter.Seq2[store.Row, error]) (app int64, err error) {
	// What is in a commit is not interrupted: the context ends it between two rows.
	err = s.do(context.WithoutCancel(ctx), func(tx *statements) error {
		app, err = s.importApp(context.WithoutCancel(ctx), tx, func(yield func(store.Row, error) bool) {
			for row, err := range rows {
				if !yield(row, errors.Join(err, ctx.Err())) {
					return
				}
			}
		})
		return err
	})
	return app, err
}

func (s *Store) importApp(ctx context.Context, tx *statements, rows iter.Seq2[store.Row, error]) (int64, error) {
	before := s.timeline.next - 1
	var last int64 // id
	err := tx.QueryRowContext(ctx, "SELECT id FROM entry ORDER BY pos DESC LIMIT 1").Scan(&last)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("find newest message: %w", err)
	}
	im, err := tables.SQLite.NewImporter(ctx, tx)
	if err != nil {
		return 0, err
	}
	entries, _ := tables.Find("entry")
	id := entries.Column("id")
	im.Extra = map[string][]string{entries.Name: {"pos"}}
	im.Filled = func(t tables.Table, row []any) ([]any, error) {
		if t.Name != entries.Name {
			return nil, nil
		}
		if row[id].(int64) < last {
			return nil, store.ErrOrder
		}
		last = row[id].(int64)
		s.timeline.next++ // positions are not used twice, also if this is undone
		return []any{s.timeline.next - 1}, nil
	}
	for row, err := range rows {
		if err == nil {
			err = im.Put(ctx, row)
		}
		if err != nil {
			return 0, err
		}
	}
	if err := im.Finish(ctx); err != nil {
		return 0, err
	}
	return im.App, s.derive(ctx, tx, before)
}

// derive makes what is kept beside the rows of entries after a position: how they are found, and the cursors from which a
// user's next device begins, which PostgreSQL has only of devices that are gone.
func (s *Store) derive(ctx context.Context, tx *statements, before int64) error {
	for _, step := range []struct {
		statement string
		values    []any
	}{
		{`INSERT INTO entry_index (timeline, seq, pos, sender, content, ref, directed)
			SELECT timeline, seq, pos, sender, content, ref, audience IS NOT NULL FROM entry WHERE pos > ? ORDER BY timeline, seq`, []any{before}},
		{`INSERT INTO sent_run (sender, device, upto, low, high, ids)
			SELECT sender, device, pos, id, id, ids FROM (SELECT sender, device, pos, unhex(printf('%016x%016x', client, pos)) AS ids,
				CASE WHEN client < 0 THEN client + 9223372036854775807 + 1 ELSE client - 9223372036854775807 - 1 END AS id
				FROM entry WHERE pos > ? AND client <> 0 AND time > ?)`, []any{before, time.Now().Add(-repetitionLife).UnixMilli()}},
		{`INSERT INTO cursor (user, device, timeline, seq) SELECT user, 0, timeline, MAX(seq) FROM cursor WHERE true GROUP BY user, timeline
			ON CONFLICT DO UPDATE SET seq = excluded.seq WHERE excluded.seq > seq`, nil},
	} {
		if _, err := tx.ExecContext(ctx, step.statement, step.values...); err != nil {
			return fmt.Errorf("index what was imported: %w", err)
		}
	}
	indexed, err := s.mark(ctx, "indexed")
	if err != nil || indexed < before {
		return err // older entries wait: the next start finds them, and passes over what is done
	}
	_, err = tx.ExecContext(ctx, setMark, "indexed", s.timeline.next-1)
	return err
}
