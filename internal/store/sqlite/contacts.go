package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/stoa-chat/stoa/internal/store"
)

// Relation implements store.Contacts.
func (s *Store) Relation(ctx context.Context, user, peer int64) (r store.Relation, err error) {
	err = s.readDB.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM contact WHERE user = ?1 AND peer = ?2),
		EXISTS (SELECT 1 FROM block WHERE user = ?1 AND peer = ?2),
		EXISTS (SELECT 1 FROM invitation WHERE user = ?1 AND peer = ?2)`, user, peer).Scan(&r.Contact, &r.Blocked, &r.Invited)
	if err != nil {
		return r, fmt.Errorf("read relation: %w", err)
	}
	return r, nil
}

// relate runs a job on the rows of users who must exist.
func (s *Store) relate(ctx context.Context, run func(tx *statements) error, users ...int64) error {
	return s.do(ctx, func(tx *statements) error {
		for _, user := range users {
			if ok, err := exists(tx, "SELECT EXISTS (SELECT 1 FROM user WHERE id = ?)", user); err != nil {
				return err
			} else if !ok {
				return store.ErrNotFound
			}
		}
		return run(tx)
	})
}

func exists(q *statements, query string, args ...any) (ok bool, err error) {
	err = q.QueryRowContext(context.Background(), query, args...).Scan(&ok)
	return ok, err
}

// roomForContact refuses what would make a list of contacts too long, and users who are contacts already.
func roomForContact(tx *statements, user, peer int64, limit int) error {
	if ok, err := exists(tx, "SELECT EXISTS (SELECT 1 FROM contact WHERE user = ? AND peer = ?)", user, peer); err != nil {
		return err
	} else if ok {
		return store.ErrExists
	}
	for _, side := range []struct {
		user int64
		full error
	}{{user, store.ErrFull}, {peer, store.ErrPeerFull}} {
		if full, err := exists(tx, "SELECT COUNT(*) >= ? FROM contact WHERE user = ?", limit, side.user); err != nil {
			return err
		} else if full {
			return side.full
		}
	}
	return nil
}

// PutInvitation implements store.Contacts.
func (s *Store) PutInvitation(ctx context.Context, user, peer store.Peer, reason string, now int64, limit int) error {
	return s.relate(ctx, func(tx *statements) error {
		if err := roomForContact(tx, user.ID, peer.ID, limit); err != nil {
			return err
		}
		_, err := tx.ExecContext(context.Background(), "INSERT OR REPLACE INTO invitation (user, peer, reason, created) VALUES (?, ?, ?, ?)",
			user.ID, peer.ID, reason, now)
		return err
	}, user.ID, peer.ID)
}

// DropInvitation implements store.Contacts.
func (s *Store) DropInvitation(ctx context.Context, user, peer int64) (dropped bool, err error) {
	err = s.relate(ctx, func(tx *statements) error {
		dropped, err = touched(tx.ExecContext(context.Background(), "DELETE FROM invitation WHERE user = ? AND peer = ?", user, peer))
		return err
	}, user, peer)
	return dropped && err == nil, err
}

func touched(result sql.Result, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// AddContact implements store.Contacts.
func (s *Store) AddContact(ctx context.Context, user, peer store.Peer, asked bool, now int64, limit int) error {
	return s.relate(ctx, func(tx *statements) error {
		if err := roomForContact(tx, user.ID, peer.ID, limit); err != nil {
			return err
		}
		ctx := context.Background()
		const drop = "DELETE FROM invitation WHERE user = ? AND peer = ?"
		if was, err := touched(tx.ExecContext(ctx, drop, user.ID, peer.ID)); err != nil {
			return err
		} else if asked && !was {
			return store.ErrNotFound
		}
		if _, err := tx.ExecContext(ctx, drop, peer.ID, user.ID); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO contact (user, peer, name, remark, created) VALUES (?1, ?2, ?3, '', ?5), (?2, ?1, ?4, '', ?5)",
			user.ID, peer.ID, peer.Name, user.Name, now)
		return err
	}, user.ID, peer.ID)
}

// RemoveContact implements store.Contacts.
func (s *Store) RemoveContact(ctx context.Context, user, peer int64) (removed bool, err error) {
	err = s.relate(ctx, func(tx *statements) error {
		removed, err = touched(tx.ExecContext(context.Background(),
			"DELETE FROM contact WHERE user = ?1 AND peer = ?2 OR user = ?2 AND peer = ?1", user, peer))
		return err
	}, user, peer)
	return removed && err == nil, err
}

// SetRemark implements store.Contacts.
func (s *Store) SetRemark(ctx context.Context, user, peer int64, remark string) error {
	return s.do(ctx, func(tx *statements) error {
		return mustTouch(tx.ExecContext(context.Background(), "UPDATE contact SET remark = ? WHERE user = ? AND peer = ?", remark, user, peer))
	})
}

// pageOf is the end of a query for a page of a user's list, newest first.
const pageOf = " WHERE user = ?1 AND (?2 = 0 OR id < ?2) ORDER BY id DESC LIMIT ?3"

// ListContacts implements store.Contacts.
func (s *Store) ListContacts(ctx context.Context, user, below int64, limit int) ([]store.Contact, error) {
	rows, err := s.readDB.QueryContext(ctx, "SELECT id, peer, name, remark, created FROM contact"+pageOf, user, below, limit)
	if err != nil {
		return nil, fmt.Errorf("list contacts: %w", err)
	}
	defer rows.Close()
	var contacts []store.Contact
	for rows.Next() {
		var c store.Contact
		if err := rows.Scan(&c.Row, &c.Peer.ID, &c.Peer.Name, &c.Remark, &c.Created); err != nil {
			return nil, fmt.Errorf("read contact: %w", err)
		}
		contacts = append(contacts, c)
	}
	return contacts, rows.Err()
}

// Block implements store.Contacts.
func (s *Store) Block(ctx context.Context, user int64, peers []store.Peer, now int64, limit int) error {
	users := []int64{user}
	for _, peer := range peers {
		users = append(users, peer.ID)
	}
	return s.relate(ctx, func(tx *statements) error {
		for _, peer := range peers {
			_, err := tx.ExecContext(context.Background(), "INSERT INTO block (user, peer, name, created) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
				user, peer.ID, peer.Name, now)
			if err != nil {
				return err
			}
		}
		if full, err := exists(tx, "SELECT COUNT(*) > ? FROM block WHERE user = ?", limit, user); err != nil {
			return err
		} else if full {
			return store.ErrFull
		}
		return nil
	}, users...)
}

// Unblock implements store.Contacts.
func (s *Store) Unblock(ctx context.Context, user int64, peers []int64) error {
	return s.relate(ctx, func(tx *statements) error {
		for _, peer := range peers {
			if _, err := tx.ExecContext(context.Background(), "DELETE FROM block WHERE user = ? AND peer = ?", user, peer); err != nil {
				return err
			}
		}
		return nil
	}, user)
}

// ListBlocked implements store.Contacts.
func (s *Store) ListBlocked(ctx context.Context, user, below int64, limit int) ([]store.Blocked, error) {
	rows, err := s.readDB.QueryContext(ctx, "SELECT id, peer, name, created FROM block"+pageOf, user, below, limit)
	if err != nil {
		return nil, fmt.Errorf("list blocked users: %w", err)
	}
	defer rows.Close()
	var blocked []store.Blocked
	for rows.Next() {
		var b store.Blocked
		if err := rows.Scan(&b.Row, &b.Peer.ID, &b.Peer.Name, &b.Created); err != nil {
			return nil, fmt.Errorf("read blocked user: %w", err)
		}
		blocked = append(blocked, b)
	}
	return blocked, rows.Err()
}
