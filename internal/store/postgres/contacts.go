package postgres

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/stoa-chat/stoa/internal/store"
)

// Relation implements store.Contacts.
func (s *Store) Relation(ctx context.Context, user, peer int64) (r store.Relation, err error) {
	err = s.pool.QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM contact WHERE user_id = $1 AND peer = $2),
			EXISTS (SELECT FROM block WHERE user_id = $1 AND peer = $2),
			EXISTS (SELECT FROM invitation WHERE user_id = $1 AND peer = $2)`, user, peer).Scan(&r.Contact, &r.Blocked, &r.Invited)
	return r, wrap("read relation", err)
}

// relate runs a transaction on the lists of users. It holds their rows, in the order of their numbers: none of them is
// deleted meanwhile, and of two that change the same user's lists one waits, so that the limits hold.
func (s *Store) relate(ctx context.Context, what string, run func(tx pgx.Tx) error, users ...int64) error {
	slices.Sort(users)
	users = slices.Compact(users)
	return storeOrWrap(what, s.tx(ctx, func(tx pgx.Tx) error {
		for _, user := range users {
			if err := tx.QueryRow(ctx, "SELECT id FROM users WHERE id = $1 FOR NO KEY UPDATE", user).Scan(&user); err != nil {
				return err
			}
		}
		return run(tx)
	}))
}

// storeOrWrap is wrap that lets the refusals of lists pass.
func storeOrWrap(what string, err error) error {
	switch err {
	case store.ErrFull, store.ErrPeerFull, store.ErrExists:
		return err
	}
	return wrap(what, err)
}

func exists(ctx context.Context, q querier, query string, args ...any) (ok bool, err error) {
	err = q.QueryRow(ctx, query, args...).Scan(&ok)
	return ok, err
}

// roomForContact refuses what would make a list of contacts too long, and users who are contacts already.
func roomForContact(ctx context.Context, tx pgx.Tx, user, peer int64, limit int) error {
	if ok, err := exists(ctx, tx, "SELECT EXISTS (SELECT FROM contact WHERE user_id = $1 AND peer = $2)", user, peer); err != nil {
		return err
	} else if ok {
		return store.ErrExists
	}
	for _, side := range []struct {
		user int64
		full error
	}{{user, store.ErrFull}, {peer, store.ErrPeerFull}} {
		if full, err := exists(ctx, tx, "SELECT count(*) >= $2 FROM contact WHERE user_id = $1", side.user, limit); err != nil {
			return err
		} else if full {
			return side.full
		}
	}
	return nil
}

// PutInvitation implements store.Contacts.
func (s *Store) PutInvitation(ctx context.Context, user, peer store.Peer, reason string, now int64, limit int) error {
	return s.relate(ctx, "put invitation", func(tx pgx.Tx) error {
		if err := roomForContact(ctx, tx, user.ID, peer.ID, limit); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `
			INSERT INTO invitation (user_id, peer, reason, created) VALUES ($1, $2, $3, $4)
			ON CONFLICT (user_id, peer) DO UPDATE SET reason = $3, created = $4`, user.ID, peer.ID, reason, now)
		return err
	}, user.ID, peer.ID)
}

const dropInvitation = "DELETE FROM invitation WHERE user_id = $1 AND peer = $2"

// DropInvitation implements store.Contacts.
func (s *Store) DropInvitation(ctx context.Context, user, peer int64) (dropped bool, err error) {
	err = s.relate(ctx, "drop invitation", func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, dropInvitation, user, peer)
		dropped = tag.RowsAffected() > 0
		return err
	}, user, peer)
	return dropped && err == nil, err
}

// AddContact implements store.Contacts.
func (s *Store) AddContact(ctx context.Context, user, peer store.Peer, asked bool, now int64, limit int) error {
	return s.relate(ctx, "add contact", func(tx pgx.Tx) error {
		if err := roomForContact(ctx, tx, user.ID, peer.ID, limit); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, dropInvitation, user.ID, peer.ID)
		if err != nil {
			return err
		}
		if asked && tag.RowsAffected() == 0 {
			return store.ErrNotFound
		}
		if _, err := tx.Exec(ctx, dropInvitation, peer.ID, user.ID); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "INSERT INTO contact (user_id, peer, name, remark, created) VALUES ($1, $2, $3, '', $5), ($2, $1, $4, '', $5)",
			user.ID, peer.ID, peer.Name, user.Name, now)
		return err
	}, user.ID, peer.ID)
}

// RemoveContact implements store.Contacts.
func (s *Store) RemoveContact(ctx context.Context, user, peer int64) (removed bool, err error) {
	err = s.relate(ctx, "remove contact", func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, "DELETE FROM contact WHERE (user_id, peer) IN (($1, $2), ($2, $1))", user, peer)
		removed = tag.RowsAffected() > 0
		return err
	}, user, peer)
	return removed && err == nil, err
}

// SetRemark implements store.Contacts.
func (s *Store) SetRemark(ctx context.Context, user, peer int64, remark string) error {
	tag, err := s.pool.Exec(ctx, "UPDATE contact SET remark = $3 WHERE user_id = $1 AND peer = $2", user, peer, remark)
	return wrap("set remark", affected(tag, err, store.ErrNotFound))
}

// pageOf is the end of a query for a page of a user's list, newest first.
const pageOf = " WHERE user_id = $1 AND ($2::bigint = 0 OR id < $2) ORDER BY id DESC LIMIT $3"

// ListContacts implements store.Contacts.
func (s *Store) ListContacts(ctx context.Context, user, below int64, limit int) ([]store.Contact, error) {
	rows, err := s.pool.Query(ctx, "SELECT id, peer, name, remark, created FROM contact"+pageOf, user, below, limit)
	if err != nil {
		return nil, wrap("list contacts", err)
	}
	contacts, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c store.Contact, err error) {
		err = row.Scan(&c.Row, &c.Peer.ID, &c.Peer.Name, &c.Remark, &c.Created)
		return c, err
	})
	return contacts, wrap("list contacts", err)
}

// Block implements store.Contacts.
func (s *Store) Block(ctx context.Context, user int64, peers []store.Peer, now int64, limit int) error {
	users := []int64{user}
	for _, peer := range peers {
		users = append(users, peer.ID)
	}
	return s.relate(ctx, "block users", func(tx pgx.Tx) error {
		for _, peer := range peers {
			_, err := tx.Exec(ctx, `
				INSERT INTO block (user_id, peer, name, created) VALUES ($1, $2, $3, $4)
				ON CONFLICT (user_id, peer) DO NOTHING`, user, peer.ID, peer.Name, now)
			if err != nil {
				return err
			}
		}
		if full, err := exists(ctx, tx, "SELECT count(*) > $2 FROM block WHERE user_id = $1", user, limit); err != nil {
			return err
		} else if full {
			return store.ErrFull
		}
		return nil
	}, users...)
}

// Unblock implements store.Contacts.
func (s *Store) Unblock(ctx context.Context, user int64, peers []int64) error {
	return s.relate(ctx, "unblock users", func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM block WHERE user_id = $1 AND peer = ANY($2)", user, peers)
		return err
	}, user)
}

// ListBlocked implements store.Contacts.
func (s *Store) ListBlocked(ctx context.Context, user, below int64, limit int) ([]store.Blocked, error) {
	rows, err := s.pool.Query(ctx, "SELECT id, peer, name, created FROM block"+pageOf, user, below, limit)
	if err != nil {
		return nil, wrap("list blocked users", err)
	}
	blocked, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (b store.Blocked, err error) {
		err = row.Scan(&b.Row, &b.Peer.ID, &b.Peer.Name, &b.Created)
		return b, err
	})
	return blocked, wrap("list blocked users", err)
}
