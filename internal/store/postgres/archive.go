package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"iter"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/stoa-chat/stoa/internal/store"
	"github.com/stoa-chat/stoa/internal/store/tables"
)

// archive runs a transaction that goes through whole tables and may wait for its caller.
func (s *Store) archive(ctx context.Context, options sql.TxOptions, run func(tx *sql.Tx) error) error {
	db := stdlib.OpenDBFromPool(s.pool)
	defer db.Close()
	tx, err := db.BeginTx(ctx, &options)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer tx.Rollback() // nothing, after the commit
	for _, setting := range []string{"enable_seqscan = on", "enable_hashjoin = on", "enable_mergejoin = on", "idle_in_transaction_session_timeout = 0"} {
		if _, err := tx.ExecContext(ctx, "SET LOCAL "+setting); err != nil {
			return fmt.Errorf("prepare transaction: %w", err)
		}
	}
	if err := run(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// ExportApp implements store.Archives.
func (s *Store) ExportApp(ctx context.Context, app int64, give func(store.Row) error) error {
	return wrap("export app", s.archive(ctx, sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}, func(tx *sql.Tx) error {
		return tables.Postgres.Export(ctx, tx, app, give)
	}))
}

// ImportApp implements store.Archives.
func (s *Store) ImportApp(ctx context.Context, rows iter.Seq2[store.Row, error]) (app int64, err error) {
	entries, _ := tables.Find("entry")
	id := entries.Column("id")
	err = s.archive(ctx, sql.TxOptions{}, func(tx *sql.Tx) error {
		im, err := tables.Postgres.NewImporter(ctx, tx)
		if err != nil {
			return err
		}
		// Rows that hang on a message are found by its id alone. Of two apps that come from different servers the same id
		// is possible, if hardly so.
		taken, err := tx.PrepareContext(ctx, "SELECT EXISTS (SELECT FROM entry e JOIN timeline t ON t.id = e.timeline WHERE e.id = $1 AND t.app <> $2)")
		if err != nil {
			return err
		}
		for row, err := range rows {
			if err != nil {
				return err
			}
			if row.Table == entries.Name && im.Others {
				var other bool
				if err := taken.QueryRowContext(ctx, row.Values[id], im.App).Scan(&other); err != nil {
					return err
				} else if other {
					return fmt.Errorf("message %d: %w", row.Values[id], store.ErrExists)
				}
			}
			if err := im.Put(ctx, row); err != nil {
				return err
			}
		}
		app = im.App
		return im.Finish(ctx)
	})
	return app, wrap("import app", err)
}
