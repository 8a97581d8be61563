package postgres

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/stoa-chat/stoa/internal/store"
)

// ReadTimeline implements store.Timelines.
func (s *Store) ReadTimeline(ctx context.Context, timeline, after int64, limit, maxBytes int) ([]store.Entry, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT seq, id, time, sender, device, client_id, meta FROM (
			SELECT *, sum(length(meta)) OVER (ORDER BY seq ROWS UNBOUNDED PRECEDING) - length(meta) AS before
			FROM entry WHERE timeline = $1 AND seq > $2 ORDER BY seq LIMIT $3
		) e WHERE before < $4 ORDER BY seq`, timeline, after, limit, max(maxBytes, 1))
	if err != nil {
		return nil, wrap("read timeline", err)
	}
	entries, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e store.Entry, err error) {
		var clientID int64
		err = row.Scan(&e.Seq, &e.ID, &e.Time, &e.Sender, &e.Device, &clientID, &e.Meta)
		e.ClientID = uint64(clientID)
		return e, err
	})
	return entries, wrap("read timeline", err)
}

// Positions implements store.Timelines. What belongs to the user and what belongs to the timelines is read apart.
func (s *Store) Positions(ctx context.Context, user, device int64) ([]store.Position, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT s.timeline, 0::bigint, coalesce(c.seq, 0) FROM subscription s
		LEFT JOIN cursor c ON c.user_id = s.user_id AND c.device = $2 AND c.timeline = s.timeline
		WHERE s.user_id = $1 ORDER BY s.timeline`, user, device)
	if err != nil {
		return nil, wrap("read cursors", err)
	}
	positions, err := pgx.CollectRows(rows, pgx.RowToStructByPos[store.Position])
	if err != nil || len(positions) == 0 {
		return nil, wrap("read cursors", err)
	}
	timelines := make([]int64, len(positions))
	for i, p := range positions {
		timelines[i] = p.Timeline
	}
	rows, err = s.pool.Query(ctx, "SELECT id, head FROM timeline WHERE id = ANY ($1)", timelines)
	if err != nil {
		return nil, wrap("read heads", err)
	}
	var id, head int64
	_, err = pgx.ForEachRow(rows, []any{&id, &head}, func() error {
		if i, ok := slices.BinarySearch(timelines, id); ok {
			positions[i].Head = head
		}
		return nil
	})
	return positions, wrap("read heads", err)
}

// SaveCursors implements store.Timelines. Cursors of devices that are gone are left out.
func (s *Store) SaveCursors(ctx context.Context, cursors []store.Cursor) error {
	if len(cursors) == 0 {
		return nil
	}
	users, devices := make([]int64, len(cursors)), make([]int64, len(cursors))
	timelines, seqs := make([]int64, len(cursors)), make([]int64, len(cursors))
	for i, c := range cursors {
		users[i], devices[i], timelines[i], seqs[i] = c.User, c.Device, c.Timeline, c.Seq
	}
	// A batch is one transaction. It need not wait for the disk. Rows are taken in one order by all, so that two who save
	// the same cursors wait for each other and not in a circle.
	batch := &pgx.Batch{}
	batch.Queue("SELECT set_config('synchronous_commit', 'off', true)")
	batch.Queue(`
		INSERT INTO cursor AS old (user_id, device, timeline, seq)
		SELECT c.user_id, c.device, c.timeline, max(c.seq)
		FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) AS c (user_id, device, timeline, seq)
		JOIN device d ON d.user_id = c.user_id AND d.id = c.device
		GROUP BY c.user_id, c.device, c.timeline ORDER BY c.user_id, c.device, c.timeline
		ON CONFLICT (user_id, device, timeline) DO UPDATE SET seq = excluded.seq WHERE old.seq < excluded.seq`,
		users, devices, timelines, seqs)
	return wrap("save cursors", s.pool.SendBatch(ctx, batch).Close())
}
