package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/stoa-chat/stoa/internal/store"
)

// Standing implements store.Mucs.
func (s *Store) Standing(ctx context.Context, muc, user int64) (st store.Standing, err error) {
	rows, err := s.pool.Query(ctx, `
		SELECT 0::smallint, role, joined, shielded, 0::bigint, '' FROM muc_member WHERE muc = $1 AND user_id = $2
		UNION ALL SELECT mark, 0::smallint, until, false, by_user, by_name FROM muc_mark WHERE muc = $1 AND user_id = $2`, muc, user)
	if err != nil {
		return st, wrap("read standing", err)
	}
	var mark store.Mark
	var role store.Role
	var time int64
	var shielded bool
	var by store.Peer
	_, err = pgx.ForEachRow(rows, []any{&mark, &role, &time, &shielded, &by.ID, &by.Name}, func() error {
		switch mark {
		case 0:
			st.Role, st.Joined, st.Shielded = role, time, shielded
		case store.MarkMute:
			st.MutedUntil = time
		case store.MarkAllow:
			st.Allowed = true
		case store.MarkBan:
			st.Banned = true
		case store.MarkInvite:
			st.Invited, st.InvitedBy = true, by
		case store.MarkApply:
			st.Applied = true
		}
		return nil
	})
	return st, wrap("read standing", err)
}

// AddMembers implements store.Mucs.
func (s *Store) AddMembers(ctx context.Context, j store.Join) (change store.MemberChange, err error) {
	err = s.tx(ctx, func(tx pgx.Tx) error {
		change = store.MemberChange{}
		// The users first, as where they are deleted: none of them is while this goes on. They are not held against each
		// other, so two groups that add a user at once may pass the limit for users by one.
		if _, err := tx.Exec(ctx, "SELECT FROM users WHERE id = ANY ($1) ORDER BY id FOR KEY SHARE", j.Numbers()); err != nil {
			return err
		}
		p, err := hold(ctx, tx, j.Muc)
		if err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `
			SELECT u.id, u.name, EXISTS (SELECT FROM muc_mark WHERE muc = $2 AND user_id = u.id AND mark = $3),
				(SELECT count(*) FROM (SELECT FROM muc_member WHERE user_id = u.id AND kind = $5 LIMIT $6) x) >= $6,
				$4 = 0::smallint OR EXISTS (SELECT FROM muc_mark WHERE muc = $2 AND user_id = u.id AND mark = $4)
			FROM unnest($1::bigint[]) WITH ORDINALITY j(id, n) JOIN users u ON u.id = j.id
			WHERE NOT EXISTS (SELECT FROM muc_member WHERE muc = $2 AND user_id = u.id) ORDER BY j.n`,
			j.Numbers(), j.Muc, int16(store.MarkBan), int16(j.Needs), int16(p.kind), j.PerUser)
		candidates, err := all(rows, err, func(row pgx.CollectableRow) (c store.Candidate, err error) {
			err = row.Scan(&c.User.ID, &c.User.Name, &c.Banned, &c.Full, &c.Invited)
			return c, err
		})
		if err != nil {
			return err
		}
		if change, err = j.Choose(candidates, p.members, p.limit); err != nil || len(change.Users) == 0 {
			return err
		}
		ids := idsOf(change.Users)
		batch := &pgx.Batch{}
		batch.Queue(`
			INSERT INTO muc_member (muc, user_id, app, kind, name, role, joined)
			SELECT $2, u.id, $3, $4, u.name, $5, $6 FROM unnest($1::bigint[]) WITH ORDINALITY j(id, n) JOIN users u ON u.id = j.id ORDER BY j.n`,
			ids, j.Muc, p.app, int16(p.kind), int16(store.RoleMember), j.Now)
		batch.Queue("DELETE FROM muc_mark WHERE muc = $2 AND user_id = ANY ($1) AND mark IN ($3, $4)", ids, j.Muc, int16(store.MarkInvite), int16(store.MarkApply))
		batch.Queue("UPDATE muc SET members = $2 WHERE id = $1", j.Muc, change.Members)
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return err
		}
		return follow(ctx, tx, &change, p.app, j.Muc, p.kind)
	})
	return change, storeOrWrap("add members", err)
}

// RemoveMembers implements store.Mucs.
func (s *Store) RemoveMembers(ctx context.Context, muc int64, users []int64) (change store.MemberChange, err error) {
	err = s.tx(ctx, func(tx pgx.Tx) error {
		p, err := hold(ctx, tx, muc)
		if err != nil {
			return err
		}
		change = store.MemberChange{Members: p.members}
		rows, err := tx.Query(ctx, "DELETE FROM muc_member WHERE muc = $1 AND user_id = ANY ($2) AND role < $3 RETURNING user_id, name",
			muc, users, int16(store.RoleOwner))
		if change.Users, err = all(rows, err, scanPeer); err != nil || len(change.Users) == 0 {
			return err
		}
		ids := idsOf(change.Users)
		change.Members -= len(ids)
		batch := &pgx.Batch{}
		batch.Queue("UPDATE muc SET members = $2 WHERE id = $1", muc, change.Members)
		batch.Queue("DELETE FROM muc_mark WHERE muc = $1 AND user_id = ANY ($2) AND mark = $3", muc, ids, int16(store.MarkAllow))
		batch.Queue("DELETE FROM room_tag WHERE muc = $1 AND user_id = ANY ($2)", muc, ids)
		batch.Queue("DELETE FROM room_attribute WHERE muc = $1 AND auto AND user_id = ANY ($2) RETURNING key", muc, ids).Query(func(rows pgx.Rows) (err error) {
			change.Keys, err = pgx.CollectRows(rows, pgx.RowTo[string])
			return err
		})
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return err
		}
		return unfollow(ctx, tx, &change, p.app, muc, p.kind)
	})
	return change, wrap("remove members", err)
}

const memberColumns = "id, user_id, name, role, joined, shielded, attributes"

func scanMember(row pgx.CollectableRow) (m store.Member, err error) {
	var attributes string
	if err := row.Scan(&m.Row, &m.User.ID, &m.User.Name, &m.Role, &m.Joined, &m.Shielded, &attributes); err != nil || attributes == "" {
		return m, err
	}
	return m, json.Unmarshal([]byte(attributes), &m.Attributes)
}

// ListMembers implements store.Mucs.
func (s *Store) ListMembers(ctx context.Context, muc int64, q store.MemberQuery) ([]store.Member, error) {
	query, args := "SELECT "+memberColumns+" FROM muc_member WHERE muc = $1 AND id > $2", []any{muc, q.After, q.Limit, q.Offset}
	if q.Role > store.RoleMember {
		query += " AND role > 1 AND role >= $5"
		args = append(args, int16(q.Role))
	}
	if q.Shielded {
		query += " AND shielded"
	}
	rows, err := s.pool.Query(ctx, query+" ORDER BY id LIMIT $3 OFFSET $4", args...)
	list, err := all(rows, err, scanMember)
	return list, wrap("list members", err)
}

// FindMembers implements store.Mucs.
func (s *Store) FindMembers(ctx context.Context, muc int64, users []int64) ([]store.Member, error) {
	// By id + 0, as else the engine may go through all members to have them in order.
	rows, err := s.pool.Query(ctx, "SELECT "+memberColumns+" FROM muc_member WHERE muc = $1 AND user_id = ANY ($2) ORDER BY id + 0", muc, users)
	list, err := all(rows, err, scanMember)
	return list, wrap("find members", err)
}

// SetRole implements store.Mucs.
func (s *Store) SetRole(ctx context.Context, muc, user int64, role store.Role, limit int) (changed bool, err error) {
	err = s.tx(ctx, func(tx pgx.Tx) error {
		if _, err := hold(ctx, tx, muc); err != nil {
			return err
		}
		var old store.Role
		err := tx.QueryRow(ctx, "SELECT role FROM muc_member WHERE muc = $1 AND user_id = $2 AND role < $3", muc, user, int16(store.RoleOwner)).Scan(&old)
		if err != nil {
			return err
		}
		if changed = old != role; !changed {
			return nil
		}
		if role == store.RoleAdmin {
			if full, err := exists(ctx, tx, "SELECT count(*) >= $2 FROM muc_member WHERE muc = $1 AND role > 1 AND role = $3", muc, limit, int16(role)); err != nil {
				return err
			} else if full {
				return store.ErrFull
			}
		}
		_, err = tx.Exec(ctx, "UPDATE muc_member SET role = $3 WHERE muc = $1 AND user_id = $2", muc, user, int16(role))
		return err
	})
	return changed && err == nil, storeOrWrap("set role", err)
}

// ChangeOwner implements store.Mucs.
func (s *Store) ChangeOwner(ctx context.Context, muc, user, now int64) error {
	return wrap("change owner", s.tx(ctx, func(tx pgx.Tx) error {
		if _, err := hold(ctx, tx, muc); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE muc_member SET role = $2 WHERE muc = $1 AND role > 1 AND role = $3", muc, int16(store.RoleMember), int16(store.RoleOwner)); err != nil {
			return err
		}
		var name string
		err := tx.QueryRow(ctx, "UPDATE muc_member SET role = $3 WHERE muc = $1 AND user_id = $2 RETURNING name", muc, user, int16(store.RoleOwner)).Scan(&name)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "UPDATE muc SET owner = $2, owner_name = $3, modified = $4 WHERE id = $1", muc, user, name, now)
		return err
	}))
}

// SetShield implements store.Mucs.
func (s *Store) SetShield(ctx context.Context, muc int64, user store.Peer, on bool) (change store.MemberChange, err error) {
	err = s.tx(ctx, func(tx pgx.Tx) error {
		p, err := hold(ctx, tx, muc)
		if err != nil {
			return err
		}
		change = store.MemberChange{Users: []store.Peer{user}, Members: p.members}
		tag, err := tx.Exec(ctx, "UPDATE muc_member SET shielded = $3 WHERE muc = $1 AND user_id = $2", muc, user.ID, on)
		if err := affected(tag, err, store.ErrNotFound); err != nil {
			return err
		}
		if on {
			return unfollow(ctx, tx, &change, p.app, muc, p.kind)
		}
		return follow(ctx, tx, &change, p.app, muc, p.kind)
	})
	return change, wrap("block messages", err)
}

// SetMemberAttributes implements store.Mucs.
func (s *Store) SetMemberAttributes(ctx context.Context, muc, user int64, change map[string]string, limit int) (attributes map[string]string, err error) {
	err = s.tx(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, "SELECT "+memberColumns+" FROM muc_member WHERE muc = $1 AND user_id = $2 FOR NO KEY UPDATE", muc, user)
		if err != nil {
			return err
		}
		member, err := pgx.CollectExactlyOneRow(rows, scanMember)
		if err != nil {
			return err
		}
		var text string
		if attributes, text, err = store.MergeAttributes(member.Attributes, change, limit); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "UPDATE muc_member SET attributes = $3 WHERE muc = $1 AND user_id = $2", muc, user, text)
		return err
	})
	return attributes, storeOrWrap("set member attributes", err)
}

// JoinedMucs implements store.Mucs.
func (s *Store) JoinedMucs(ctx context.Context, q store.JoinedQuery) ([]store.Joined, error) {
	query, args := "SELECT j.id, j.role, j.joined, "+mucColumns+` FROM muc_member j JOIN muc m ON m.id = j.muc
		WHERE j.user_id = $1 AND j.kind = $2 AND NOT m.closed`, []any{q.User, int16(q.Kind), q.Limit, q.Offset}
	if q.Parent != 0 {
		args = append(args, q.Parent)
		query += fmt.Sprintf(" AND m.parent = $%d", len(args))
	}
	if q.Below != 0 {
		args = append(args, q.Below)
		query += fmt.Sprintf(" AND j.id < $%d", len(args))
	}
	rows, err := s.pool.Query(ctx, query+" ORDER BY j.id DESC LIMIT $3 OFFSET $4", args...)
	list, err := all(rows, err, func(row pgx.CollectableRow) (j store.Joined, err error) {
		err = row.Scan(append([]any{&j.Row, &j.Role, &j.Joined}, mucFields(&j.Muc)...)...)
		return j, err
	})
	return list, wrap("list joined groups", err)
}

// CountJoined implements store.Mucs.
func (s *Store) CountJoined(ctx context.Context, user int64, kind store.MucKind) (n int, err error) {
	err = s.pool.QueryRow(ctx, "SELECT count(*) FROM muc_member j JOIN muc m ON m.id = j.muc WHERE j.user_id = $1 AND j.kind = $2 AND NOT m.closed",
		user, int16(kind)).Scan(&n)
	return n, wrap("count joined groups", err)
}

// PutMarks implements store.Mucs.
func (s *Store) PutMarks(ctx context.Context, muc int64, mark store.Mark, users []store.Marked, limit int) error {
	var ids, untils, byIDs, times []int64
	var byNames, reasons []string
	for _, m := range users {
		ids, untils, byIDs, times = append(ids, m.User.ID), append(untils, m.Until), append(byIDs, m.By.ID), append(times, m.Created)
		byNames, reasons = append(byNames, m.By.Name), append(reasons, m.Reason)
	}
	return storeOrWrap("mark users", s.tx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT FROM users WHERE id = ANY ($1) ORDER BY id FOR KEY SHARE", ids); err != nil {
			return err
		}
		if _, err := hold(ctx, tx, muc); err != nil {
			return err
		}
		if len(users) > 0 {
			_, err := tx.Exec(ctx, "DELETE FROM muc_mark WHERE muc = $1 AND mark = $2 AND until > 0 AND until <= $3", muc, int16(mark), users[0].Created)
			if err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, `
			INSERT INTO muc_mark (muc, mark, user_id, name, until, by_user, by_name, reason, created)
			SELECT $1, $2, u.id, u.name, j.until, j.by_user, j.by_name, j.reason, j.created
			FROM unnest($3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::bigint[])
				WITH ORDINALITY j(id, until, by_user, by_name, reason, created, n) JOIN users u ON u.id = j.id ORDER BY j.n
			ON CONFLICT (muc, user_id, mark) DO UPDATE SET until = excluded.until, by_user = excluded.by_user, by_name = excluded.by_name,
				reason = excluded.reason, created = excluded.created`, muc, int16(mark), ids, untils, byIDs, byNames, reasons, times)
		if err != nil {
			return err
		}
		if full, err := exists(ctx, tx, "SELECT count(*) > $3 FROM (SELECT FROM muc_mark WHERE muc = $1 AND mark = $2 LIMIT $3 + 1) x", muc, int16(mark), limit); err != nil {
			return err
		} else if full {
			return store.ErrFull
		}
		return nil
	}))
}

// DropMarks implements store.Mucs.
func (s *Store) DropMarks(ctx context.Context, muc int64, mark store.Mark, users []int64) ([]store.Peer, error) {
	rows, err := s.pool.Query(ctx, "DELETE FROM muc_mark WHERE muc = $1 AND mark = $2 AND user_id = ANY ($3) RETURNING user_id, name", muc, int16(mark), users)
	dropped, err := all(rows, err, scanPeer)
	return dropped, wrap("unmark users", err)
}

// ListMarks implements store.Mucs.
func (s *Store) ListMarks(ctx context.Context, muc int64, mark store.Mark, now, after int64, limit int) ([]store.Marked, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT id, user_id, name, until, by_user, by_name, reason, created FROM muc_mark
		WHERE muc = $1 AND mark = $2 AND id > $3 AND (until = 0 OR until > $4) ORDER BY id LIMIT $5`, muc, int16(mark), after, now, limit)
	list, err := all(rows, err, func(row pgx.CollectableRow) (m store.Marked, err error) {
		err = row.Scan(&m.Row, &m.User.ID, &m.User.Name, &m.Until, &m.By.ID, &m.By.Name, &m.Reason, &m.Created)
		return m, err
	})
	return list, wrap("list marked users", err)
}

// leaveMucs removes a deleted user from all groups and rooms. The rows of these are held in the order of their numbers.
func leaveMucs(ctx context.Context, tx pgx.Tx, user int64) error {
	_, err := tx.Exec(ctx, `
		SELECT FROM muc WHERE id IN (SELECT muc FROM muc_member WHERE user_id = $1) OR owner = $1 ORDER BY id FOR NO KEY UPDATE`, user)
	if err != nil {
		return err
	}
	batch := &pgx.Batch{}
	for _, statement := range []string{
		"UPDATE muc SET members = members - 1 WHERE id IN (SELECT muc FROM muc_member WHERE user_id = $1)",
		"UPDATE muc SET owner = 0, owner_name = '' WHERE owner = $1",
		"DELETE FROM muc_member WHERE user_id = $1",
		"DELETE FROM muc_mark WHERE user_id = $1",
		"DELETE FROM room_tag WHERE user_id = $1",
		"DELETE FROM super_admin WHERE user_id = $1",
	} {
		batch.Queue(statement, user)
	}
	return tx.SendBatch(ctx, batch).Close()
}
