package sqlite

import (
	"context"
	"fmt"

	"github.com/stoa-chat/stoa/internal/store"
)

// PutReport implements store.Reports.
func (s *Store) PutReport(ctx context.Context, r store.Report) error {
	return s.do(ctx, func(tx *statements) error {
		_, err := tx.ExecContext(context.Background(), `INSERT OR REPLACE INTO report
			(app, message, reporter, name, type, reason, created, sent, meta) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			r.App, r.Message, r.Reporter.ID, r.Reporter.Name, r.Type, r.Reason, r.Time, r.Sent, notNull(r.Meta))
		return err
	})
}

// ListReports implements store.Reports.
func (s *Store) ListReports(ctx context.Context, app, below int64, limit int) ([]store.Report, error) {
	rows, err := s.readDB.QueryContext(ctx, `SELECT id, app, message, reporter, name, type, reason, created, sent, meta FROM report
		WHERE app = ?1 AND (?2 = 0 OR id < ?2) ORDER BY id DESC LIMIT ?3`, app, below, limit)
	if err != nil {
		return nil, fmt.Errorf("list reports: %w", err)
	}
	defer rows.Close()
	var reports []store.Report
	for rows.Next() {
		var r store.Report
		if err := rows.Scan(&r.Row, &r.App, &r.Message, &r.Reporter.ID, &r.Reporter.Name, &r.Type, &r.Reason, &r.Time, &r.Sent, &r.Meta); err != nil {
			return nil, fmt.Errorf("read report: %w", err)
		}
		reports = append(reports, r)
	}
	return reports, rows.Err()
}
