package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/stoa-chat/stoa/internal/store"
)

// react runs a transaction on the reactions to a message. Of two at the same message one waits, for some seconds.
func (s *Store) react(ctx context.Context, what string, message int64, run func(tx pgx.Tx) error) error {
	const lockNotAvailable = "55P03"
	err := s.tx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT set_config('lock_timeout', '3s', true)"); err != nil {
			return err
		}
		if err := lock(ctx, tx, "reaction", message); err != nil {
			return err
		}
		return run(tx)
	})
	var engine *pgconn.PgError
	if errors.As(err, &engine) && engine.Code == lockNotAvailable {
		return store.ErrConflict
	}
	return storeOrWrap(what, err)
}

// lock makes those who change the same wait for each other, until the transaction ends. There need not be a row of it.
func lock(ctx context.Context, tx pgx.Tx, table string, owner int64) error {
	_, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || ' ' || $1, $2))", table, owner)
	return err
}

// AddReaction implements store.Reactions.
func (s *Store) AddReaction(ctx context.Context, message int64, text string, user store.Peer, now int64, limit int) (r store.Reaction, err error) {
	err = s.react(ctx, "add reaction", message, func(tx pgx.Tx) (err error) {
		r, err = readReaction(ctx, tx, message, text, user.ID)
		switch {
		case err == nil && r.Mine:
			return store.ErrExists
		case errors.Is(err, pgx.ErrNoRows):
			if full, err := exists(ctx, tx, "SELECT count(*) >= $2 FROM reaction WHERE message = $1", message, limit); err != nil {
				return err
			} else if full {
				return store.ErrFull
			}
			err = tx.QueryRow(ctx, "INSERT INTO reaction (message, text, count, created, updated) VALUES ($1, $2, 0, $3, $3) RETURNING id",
				message, text, now).Scan(&r.ID)
		}
		if err != nil {
			return err
		}
		batch := &pgx.Batch{}
		batch.Queue("INSERT INTO reactor (message, reaction, user_id, name, created) VALUES ($1, $2, $3, $4, $5)", message, r.ID, user.ID, user.Name, now)
		batch.Queue("UPDATE reaction SET count = count + 1, updated = $3 WHERE message = $1 AND id = $2", message, r.ID, now)
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return err
		}
		r, err = readReaction(ctx, tx, message, text, user.ID)
		return err
	})
	return r, err
}

// RemoveReaction implements store.Reactions.
func (s *Store) RemoveReaction(ctx context.Context, message int64, text string, user int64) (r store.Reaction, err error) {
	err = s.react(ctx, "remove reaction", message, func(tx pgx.Tx) (err error) {
		if r, err = readReaction(ctx, tx, message, text, user); err != nil {
			return err
		}
		if !r.Mine {
			return store.ErrNotFound
		}
		if _, err := tx.Exec(ctx, "DELETE FROM reactor WHERE message = $1 AND reaction = $2 AND user_id = $3", message, r.ID, user); err != nil {
			return err
		}
		if r.Count == 1 {
			_, err := tx.Exec(ctx, "DELETE FROM reaction WHERE message = $1 AND id = $2", message, r.ID)
			r.Count, r.Mine, r.Users = 0, false, nil
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE reaction SET count = count - 1 WHERE message = $1 AND id = $2", message, r.ID); err != nil {
			return err
		}
		r, err = readReaction(ctx, tx, message, text, user)
		return err
	})
	return r, err
}

// reactionColumns are those of a reaction r as user $1 sees it. The users come as a JSON array.
var reactionColumns = fmt.Sprintf(`r.message, r.id, r.text, r.count, r.created, r.updated,
	EXISTS (SELECT FROM reactor WHERE message = r.message AND reaction = r.id AND user_id = $1),
	(SELECT coalesce(json_agg(json_build_object('ID', u.user_id, 'Name', u.name) ORDER BY u.id), '[]')::text FROM (
		SELECT id, user_id, name FROM reactor WHERE message = r.message AND reaction = r.id ORDER BY id LIMIT %d) u)`, store.ReactionUsers)

func scanReaction(row pgx.Row) (message int64, r store.Reaction, err error) {
	var users string
	if err = row.Scan(&message, &r.ID, &r.Text, &r.Count, &r.Created, &r.Updated, &r.Mine, &users); err == nil {
		err = json.Unmarshal([]byte(users), &r.Users)
	}
	return message, r, err
}

// querier is a transaction or the pool.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func readReaction(ctx context.Context, db querier, message int64, text string, user int64) (store.Reaction, error) {
	_, r, err := scanReaction(db.QueryRow(ctx, "SELECT "+reactionColumns+" FROM reaction r WHERE message = $2 AND text = $3", user, message, text))
	return r, err
}

// ReactionOf implements store.Reactions.
func (s *Store) ReactionOf(ctx context.Context, message int64, text string, user int64) (store.Reaction, error) {
	r, err := readReaction(ctx, s.pool, message, text, user)
	return r, wrap("read reaction", err)
}

// ListReactions implements store.Reactions.
func (s *Store) ListReactions(ctx context.Context, messages []int64, user int64) (map[int64][]store.Reaction, error) {
	rows, err := s.pool.Query(ctx, "SELECT "+reactionColumns+" FROM reaction r WHERE message = ANY ($2) ORDER BY message, id", user, messages)
	if err != nil {
		return nil, wrap("list reactions", err)
	}
	defer rows.Close()
	reactions := map[int64][]store.Reaction{}
	for rows.Next() {
		message, r, err := scanReaction(rows)
		if err != nil {
			return nil, wrap("read reaction", err)
		}
		reactions[message] = append(reactions[message], r)
	}
	return reactions, wrap("list reactions", rows.Err())
}

// ListReactors implements store.Reactions.
func (s *Store) ListReactors(ctx context.Context, message, reaction, above int64, limit int) ([]store.Reactor, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT id, user_id, name, created FROM reactor
		WHERE message = $1 AND reaction = $2 AND id > $3 ORDER BY id LIMIT $4`, message, reaction, above, limit)
	if err != nil {
		return nil, wrap("list reactors", err)
	}
	reactors, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r store.Reactor, err error) {
		err = row.Scan(&r.Row, &r.Peer.ID, &r.Peer.Name, &r.Time)
		return r, err
	})
	return reactors, wrap("list reactors", err)
}

// DropReactions implements store.Reactions.
func (s *Store) DropReactions(ctx context.Context, message int64) error {
	return s.react(ctx, "drop reactions", message, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		batch.Queue("DELETE FROM reactor WHERE message = $1", message)
		batch.Queue("DELETE FROM reaction WHERE message = $1", message)
		return tx.SendBatch(ctx, batch).Close()
	})
}
