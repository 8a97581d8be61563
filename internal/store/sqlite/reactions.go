package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/stoa-chat/stoa/internal/store"
)

// AddReaction implements store.Reactions.
func (s *Store) AddReaction(ctx context.Context, message int64, text string, user store.Peer, now int64, limit int) (r store.Reaction, err error) {
	err = s.do(ctx, func(tx *statements) (err error) {
		ctx := context.Background()
		r, err = readReaction(ctx, tx, message, text, user.ID)
		switch {
		case err == nil && r.Mine:
			return store.ErrExists
		case errors.Is(err, sql.ErrNoRows):
			if full, err := exists(tx, "SELECT COUNT(*) >= ? FROM reaction WHERE message = ?", limit, message); err != nil {
				return err
			} else if full {
				return store.ErrFull
			}
			err = tx.QueryRowContext(ctx, "INSERT INTO reaction (message, text, count, created, updated) VALUES (?1, ?2, 0, ?3, ?3) RETURNING id",
				message, text, now).Scan(&r.ID)
		}
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO reactor (reaction, user, name, created) VALUES (?, ?, ?, ?)", r.ID, user.ID, user.Name, now); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "UPDATE reaction SET count = count + 1, updated = ? WHERE id = ?", now, r.ID); err != nil {
			return err
		}
		r, err = readReaction(ctx, tx, message, text, user.ID)
		return err
	})
	return r, err
}

// RemoveReaction implements store.Reactions.
func (s *Store) RemoveReaction(ctx context.Context, message int64, text string, user int64) (r store.Reaction, err error) {
	err = s.do(ctx, func(tx *statements) (err error) {
		ctx := context.Background()
		if r, err = readReaction(ctx, tx, message, text, user); err != nil {
			return err
		}
		if !r.Mine {
			return store.ErrNotFound
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM reactor WHERE reaction = ? AND user = ?", r.ID, user); err != nil {
			return err
		}
		if r.Count == 1 {
			_, err := tx.ExecContext(ctx, "DELETE FROM reaction WHERE id = ?", r.ID)
			r.Count, r.Mine, r.Users = 0, false, nil
			return err
		}
		if _, err := tx.ExecContext(ctx, "UPDATE reaction SET count = count - 1 WHERE id = ?", r.ID); err != nil {
			return err
		}
		r, err = readReaction(ctx, tx, message, text, user)
		return err
	})
	return r, err
}

// reactionColumns are those of a reaction r as user ?1 sees it. The users come as a JSON array.
var reactionColumns = fmt.Sprintf(`r.message, r.id, r.text, r.count, r.created, r.updated,
	EXISTS (SELECT 1 FROM reactor WHERE reaction = r.id AND user = ?1),
	(SELECT json_group_array(json_object('ID', user, 'Name', name)) FROM (
		SELECT user, name FROM reactor WHERE reaction = r.id ORDER BY id LIMIT %d))`, store.ReactionUsers)

func scanReaction(row row) (message int64, r store.Reaction, err error) {
	var users string
	if err = row.Scan(&message, &r.ID, &r.Text, &r.Count, &r.Created, &r.Updated, &r.Mine, &users); err == nil {
		err = json.Unmarshal([]byte(users), &r.Users)
	}
	return message, r, err
}

func readReaction(ctx context.Context, db *statements, message int64, text string, user int64) (store.Reaction, error) {
	_, r, err := scanReaction(db.QueryRowContext(ctx, "SELECT "+reactionColumns+" FROM reaction r WHERE message = ?2 AND text = ?3", user, message, text))
	return r, err
}

// ReactionOf implements store.Reactions.
func (s *Store) ReactionOf(ctx context.Context, message int64, text string, user int64) (store.Reaction, error) {
	r, err := readReaction(ctx, s.readDB, message, text, user)
	if err != nil {
		return r, fmt.Errorf("read reaction: %w", storeError(err))
	}
	return r, nil
}

// ListReactions implements store.Reactions.
func (s *Store) ListReactions(ctx context.Context, messages []int64, user int64) (map[int64][]store.Reaction, error) {
	list, err := json.Marshal(messages)
	if err != nil {
		return nil, err
	}
	rows, err := s.readDB.QueryContext(ctx, "SELECT "+reactionColumns+` FROM reaction r
		WHERE message IN (SELECT value FROM json_each(?2)) ORDER BY message, id`, user, string(list))
	if err != nil {
		return nil, fmt.Errorf("list reactions: %w", err)
	}
	defer rows.Close()
	reactions := map[int64][]store.Reaction{}
	for rows.Next() {
		message, r, err := scanReaction(rows)
		if err != nil {
			return nil, fmt.Errorf("read reaction: %w", err)
		}
		reactions[message] = append(reactions[message], r)
	}
	return reactions, rows.Err()
}

// ListReactors implements store.Reactions.
func (s *Store) ListReactors(ctx context.Context, _, reaction, above int64, limit int) ([]store.Reactor, error) {
	rows, err := s.readDB.QueryContext(ctx, "SELECT id, user, name, created FROM reactor WHERE reaction = ? AND id > ? ORDER BY id LIMIT ?",
		reaction, above, limit)
	if err != nil {
		return nil, fmt.Errorf("list reactors: %w", err)
	}
	defer rows.Close()
	var reactors []store.Reactor
	for rows.Next() {
		var r store.Reactor
		if err := rows.Scan(&r.Row, &r.Peer.ID, &r.Peer.Name, &r.Time); err != nil {
			return nil, fmt.Errorf("read reactor: %w", err)
		}
		reactors = append(reactors, r)
	}
	return reactors, rows.Err()
}

// DropReactions implements store.Reactions.
func (s *Store) DropReactions(ctx context.Context, message int64) error {
	return s.do(ctx, func(tx *statements) error {
		_, err := tx.ExecContext(context.Background(), "DELETE FROM reactor WHERE reaction IN (SELECT id FROM reaction WHERE message = ?)", message)
		if err == nil {
			_, err = tx.ExecContext(context.Background(), "DELETE FROM reaction WHERE message = ?", message)
		}
		return err
	})
}
