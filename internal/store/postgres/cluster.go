package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/stoa-chat/stoa/internal/store"
)

const nodes = 1024 // there are ten bits for the node in a message id

var errNodes = fmt.Errorf("all %d node numbers are leased", nodes)

// JoinCluster implements store.Cluster. It gives the lowest number that is free.
func (s *Store) JoinCluster(ctx context.Context, now, until int64) (store.Lease, error) {
	lease := store.Lease{Token: rand.Text()}
	err := s.tx(ctx, func(tx pgx.Tx) error {
		// One at a time. Readers of the table are not held up.
		if _, err := tx.Exec(ctx, "LOCK TABLE node IN EXCLUSIVE MODE"); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, "SELECT number, reserved FROM node WHERE until <= $1 ORDER BY number LIMIT 1", now).
			Scan(&lease.Node, &lease.IDFloor)
		if errors.Is(err, pgx.ErrNoRows) {
			err = tx.QueryRow(ctx, "SELECT count(*) FROM node").Scan(&lease.Node)
		}
		if err != nil {
			return err
		}
		if lease.Node >= nodes {
			return errNodes
		}
		// A node whose clock is behind makes its ids from the floor on, and must have room there, too.
		reserved := max(until, lease.IDFloor+until-now)
		_, err = tx.Exec(ctx, `
			INSERT INTO node (number, token, until, reserved) VALUES ($1, $2, $3, $4)
			ON CONFLICT (number) DO UPDATE SET token = $2, until = $3, reserved = $4`,
			lease.Node, lease.Token, until, reserved)
		if err != nil {
			return err
		}
		return endSessions(ctx, tx, lease.Node, now)
	})
	return lease, wrap("join cluster", err)
}

// RenewNode implements store.Cluster.
func (s *Store) RenewNode(ctx context.Context, lease store.Lease, _, until int64) error {
	tag, err := s.pool.Exec(ctx, `
		UPDATE node SET until = $3, reserved = greatest(reserved, $3) WHERE number = $1 AND token = $2 AND token <> ''`,
		lease.Node, lease.Token, until)
	return wrap("renew node", affected(tag, err, store.ErrLeaseLost))
}

// LeaveCluster implements store.Cluster.
func (s *Store) LeaveCluster(ctx context.Context, lease store.Lease) error {
	return wrap("leave cluster", s.tx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, "UPDATE node SET token = '', until = 0 WHERE number = $1 AND token = $2 AND token <> ''",
			lease.Node, lease.Token)
		if err != nil || tag.RowsAffected() == 0 {
			return err // the number, and what there is of sessions, is another node's
		}
		return endSessions(ctx, tx, lease.Node, 0)
	}))
}

// endSessions removes what a node has left of its sessions, and has it told.
func endSessions(ctx context.Context, tx pgx.Tx, node int, due int64) error {
	_, err := tx.Exec(ctx, `
		WITH gone AS (DELETE FROM session WHERE node = $1 RETURNING user_id, resource)
		INSERT INTO departure (user_id, resource, due) SELECT user_id, resource, $2 FROM gone ON CONFLICT DO NOTHING`, node, due)
	return err
}
