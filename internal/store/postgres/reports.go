package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/stoa-chat/stoa/internal/store"
)

// PutReport implements store.Reports.
func (s *Store) PutReport(ctx context.Context, r store.Report) error {
	batch := &pgx.Batch{} // a batch is one transaction
	batch.Queue("DELETE FROM report WHERE app = $1 AND message = $2 AND reporter = $3", r.App, r.Message, r.Reporter.ID)
	batch.Queue(`
		INSERT INTO report (app, message, reporter, name, type, reason, created, sent, meta)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (app, message, reporter) DO NOTHING`, // the same report came twice at once
		r.App, r.Message, r.Reporter.ID, r.Reporter.Name, r.Type, r.Reason, r.Time, r.Sent, some(r.Meta))
	return wrap("put report", s.pool.SendBatch(ctx, batch).Close())
}

// ListReports implements store.Reports.
func (s *Store) ListReports(ctx context.Context, app, below int64, limit int) ([]store.Report, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT id, app, message, reporter, name, type, reason, created, sent, meta FROM report
		WHERE app = $1 AND ($2::bigint = 0 OR id < $2) ORDER BY id DESC LIMIT $3`, app, below, limit)
	if err != nil {
		return nil, wrap("list reports", err)
	}
	reports, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r store.Report, err error) {
		err = row.Scan(&r.Row, &r.App, &r.Message, &r.Reporter.ID, &r.Reporter.Name, &r.Type, &r.Reason, &r.Time, &r.Sent, &r.Meta)
		return r, err
	})
	return reports, wrap("list reports", err)
}
