package sqlite

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/stoa-chat/stoa/internal/store"
)

// Standing implements store.Mucs.
func (s *Store) Standing(ctx context.Context, muc, user int64) (st store.Standing, err error) {
	rows, err := s.readDB.QueryContext(ctx, `SELECT 0, role, joined, shielded, 0, '' FROM muc_member WHERE muc = ?1 AND user = ?2
		UNION ALL SELECT mark, 0, until, 0, by_user, by_name FROM muc_mark WHERE muc = ?1 AND user = ?2`, muc, user)
	if err != nil {
		return st, fmt.Errorf("read standing: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var mark store.Mark
		var role store.Role
		var time int64
		var shielded bool
		var by store.Peer
		if err := rows.Scan(&mark, &role, &time, &shielded, &by.ID, &by.Name); err != nil {
			return st, fmt.Errorf("read standing: %w", err)
		}
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
	}
	return st, rows.Err()
}

// AddMembers implements store.Mucs.
func (s *Store) AddMembers(ctx context.Context, j store.Join) (change store.MemberChange, err error) {
	err = s.do(ctx, func(tx *statements) error {
		ctx := context.Background()
		var app int64
		var kind store.MucKind
		var members, limit int
		if err := tx.QueryRowContext(ctx, "SELECT app, kind, members, max_users FROM muc WHERE id = ? AND closed = 0", j.Muc).Scan(&app, &kind, &members, &limit); err != nil {
			return err
		}
		rows, err := tx.QueryContext(ctx, `SELECT u.id, u.name,
				EXISTS (SELECT 1 FROM muc_mark WHERE muc = ?2 AND user = u.id AND mark = ?3),
				(SELECT COUNT(*) FROM (SELECT 1 FROM muc_member WHERE user = u.id AND kind = ?5 LIMIT ?6)) >= ?6,
				?4 = 0 OR EXISTS (SELECT 1 FROM muc_mark WHERE muc = ?2 AND user = u.id AND mark = ?4)
			FROM json_each(?1) j CROSS JOIN user u ON u.id = j.value
			WHERE NOT EXISTS (SELECT 1 FROM muc_member WHERE muc = ?2 AND user = u.id) ORDER BY j.key`,
			asJSON(j.Numbers()), j.Muc, store.MarkBan, j.Needs, kind, j.PerUser)
		candidates, err := all(rows, err, func(r row) (c store.Candidate, err error) {
			err = r.Scan(&c.User.ID, &c.User.Name, &c.Banned, &c.Full, &c.Invited)
			return c, err
		})
		if err != nil {
			return err
		}
		if change, err = j.Choose(candidates, members, limit); err != nil || len(change.Users) == 0 {
			return err
		}
		ids := asJSON(idsOf(change.Users))
		for _, step := range []struct {
			statement string
			args      []any
		}{
			{`INSERT INTO muc_member (muc, user, app, kind, name, role, joined)
				SELECT ?2, u.id, ?3, ?4, u.name, ?5, ?6 FROM json_each(?1) j CROSS JOIN user u ON u.id = j.value ORDER BY j.key`,
				[]any{ids, j.Muc, app, kind, store.RoleMember, j.Now}},
			{"DELETE FROM muc_mark WHERE muc = ?2 AND user IN (SELECT value FROM json_each(?1)) AND mark IN (?3, ?4)",
				[]any{ids, j.Muc, store.MarkInvite, store.MarkApply}},
			{"UPDATE muc SET members = ? WHERE id = ?", []any{change.Members, j.Muc}},
		} {
			if _, err := tx.ExecContext(ctx, step.statement, step.args...); err != nil {
				return err
			}
		}
		return s.follow(&change, app, j.Muc, kind)
	})
	return change, err
}

// RemoveMembers implements store.Mucs.
func (s *Store) RemoveMembers(ctx context.Context, muc int64, users []int64) (change store.MemberChange, err error) {
	err = s.do(ctx, func(tx *statements) error {
		change, err = s.removeMembers(tx, muc, users)
		return err
	})
	return change, err
}

func (s *Store) removeMembers(tx *statements, muc int64, users []int64) (change store.MemberChange, err error) {
	ctx := context.Background()
	var app int64
	var kind store.MucKind
	if err := tx.QueryRowContext(ctx, "SELECT app, kind, members FROM muc WHERE id = ? AND closed = 0", muc).Scan(&app, &kind, &change.Members); err != nil {
		return change, err
	}
	rows, err := tx.QueryContext(ctx, `DELETE FROM muc_member WHERE muc = ? AND user IN (SELECT value FROM json_each(?)) AND role < ?
		RETURNING user, name`, muc, asJSON(users), store.RoleOwner)
	if change.Users, err = all(rows, err, scanPeer); err != nil || len(change.Users) == 0 {
		return change, err
	}
	ids := asJSON(idsOf(change.Users))
	change.Members -= len(change.Users)
	if _, err := tx.ExecContext(ctx, "UPDATE muc SET members = ? WHERE id = ?", change.Members, muc); err != nil {
		return change, err
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM muc_mark WHERE muc = ? AND user IN (SELECT value FROM json_each(?)) AND mark = ?", muc, ids, store.MarkAllow); err != nil {
		return change, err
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM room_tag WHERE muc = ? AND user IN (SELECT value FROM json_each(?))", muc, ids); err != nil {
		return change, err
	}
	rows, err = tx.QueryContext(ctx, "DELETE FROM room_attribute WHERE muc = ? AND auto = 1 AND user IN (SELECT value FROM json_each(?)) RETURNING key", muc, ids)
	if change.Keys, err = all(rows, err, func(r row) (key string, err error) { return key, r.Scan(&key) }); err != nil {
		return change, err
	}
	return change, s.unfollow(&change, app, muc, kind)
}

const memberColumns = "id, user, name, role, joined, shielded, attributes"

func scanMember(r row) (m store.Member, err error) {
	var attributes string
	if err := r.Scan(&m.Row, &m.User.ID, &m.User.Name, &m.Role, &m.Joined, &m.Shielded, &attributes); err != nil || attributes == "" {
		return m, err
	}
	return m, json.Unmarshal([]byte(attributes), &m.Attributes)
}

// ListMembers implements store.Mucs.
func (s *Store) ListMembers(ctx context.Context, muc int64, q store.MemberQuery) ([]store.Member, error) {
	query, args := "SELECT "+memberColumns+" FROM muc_member WHERE muc = ? AND id > ?", []any{muc, q.After}
	if q.Role > store.RoleMember {
		query += " AND role > 1 AND role >= ?"
		args = append(args, q.Role)
	}
	if q.Shielded {
		query += " AND shielded = 1"
	}
	rows, err := s.readDB.QueryContext(ctx, query+" ORDER BY id LIMIT ? OFFSET ?", append(args, q.Limit, q.Offset)...)
	list, err := all(rows, err, scanMember)
	if err != nil {
		return nil, fmt.Errorf("list members: %w", err)
	}
	return list, nil
}

// FindMembers implements store.Mucs.
func (s *Store) FindMembers(ctx context.Context, muc int64, users []int64) ([]store.Member, error) {
	// By +id, as else the engine goes through all members to have them in order.
	rows, err := s.readDB.QueryContext(ctx, "SELECT "+memberColumns+" FROM muc_member WHERE muc = ? AND user IN (SELECT value FROM json_each(?)) ORDER BY +id",
		muc, asJSON(users))
	list, err := all(rows, err, scanMember)
	if err != nil {
		return nil, fmt.Errorf("find members: %w", err)
	}
	return list, nil
}

// SetRole implements store.Mucs.
func (s *Store) SetRole(ctx context.Context, muc, user int64, role store.Role, limit int) (changed bool, err error) {
	err = s.do(ctx, func(tx *statements) error {
		ctx := context.Background()
		var old store.Role
		if err := tx.QueryRowContext(ctx, "SELECT role FROM muc_member WHERE muc = ? AND user = ? AND role < ?", muc, user, store.RoleOwner).Scan(&old); err != nil {
			return err
		}
		if changed = old != role; !changed {
			return nil
		}
		if role == store.RoleAdmin {
			if full, err := exists(tx, "SELECT COUNT(*) >= ? FROM muc_member WHERE muc = ? AND role > 1 AND role = ?", limit, muc, role); err != nil {
				return err
			} else if full {
				return store.ErrFull
			}
		}
		_, err := tx.ExecContext(ctx, "UPDATE muc_member SET role = ? WHERE muc = ? AND user = ?", role, muc, user)
		return err
	})
	return changed && err == nil, err
}

// ChangeOwner implements store.Mucs.
func (s *Store) ChangeOwner(ctx context.Context, muc, user, now int64) error {
	return s.do(ctx, func(tx *statements) error {
		ctx := context.Background()
		if _, err := tx.ExecContext(ctx, "UPDATE muc_member SET role = ? WHERE muc = ? AND role > 1 AND role = ?", store.RoleMember, muc, store.RoleOwner); err != nil {
			return err
		}
		var name string
		if err := tx.QueryRowContext(ctx, "UPDATE muc_member SET role = ? WHERE muc = ? AND user = ? RETURNING name", store.RoleOwner, muc, user).Scan(&name); err != nil {
			return err
		}
		return mustTouch(tx.ExecContext(ctx, "UPDATE muc SET owner = ?, owner_name = ?, modified = ? WHERE id = ? AND closed = 0", user, name, now, muc))
	})
}

// SetShield implements store.Mucs.
func (s *Store) SetShield(ctx context.Context, muc int64, user store.Peer, on bool) (change store.MemberChange, err error) {
	err = s.do(ctx, func(tx *statements) error {
		change = store.MemberChange{Users: []store.Peer{user}}
		var app int64
		var kind store.MucKind
		err := tx.QueryRowContext(context.Background(), "UPDATE muc_member SET shielded = ? WHERE muc = ? AND user = ? RETURNING app, kind", on, muc, user.ID).Scan(&app, &kind)
		if err != nil {
			return err
		}
		if on {
			return s.unfollow(&change, app, muc, kind)
		}
		return s.follow(&change, app, muc, kind)
	})
	return change, err
}

// SetMemberAttributes implements store.Mucs.
func (s *Store) SetMemberAttributes(ctx context.Context, muc, user int64, change map[string]string, limit int) (attributes map[string]string, err error) {
	err = s.do(ctx, func(tx *statements) error {
		ctx := context.Background()
		member, err := scanMember(tx.QueryRowContext(ctx, "SELECT "+memberColumns+" FROM muc_member WHERE muc = ? AND user = ?", muc, user))
		if err != nil {
			return err
		}
		var text string
		if attributes, text, err = store.MergeAttributes(member.Attributes, change, limit); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE muc_member SET attributes = ? WHERE id = ?", text, member.Row)
		return err
	})
	return attributes, err
}

// JoinedMucs implements store.Mucs.
func (s *Store) JoinedMucs(ctx context.Context, q store.JoinedQuery) ([]store.Joined, error) {
	query, args := "SELECT j.id, j.role, j.joined, "+mucColumns+` FROM muc_member j JOIN muc m ON m.id = j.muc
		WHERE j.user = ? AND j.kind = ? AND m.closed = 0`, []any{q.User, q.Kind}
	if q.Parent != 0 {
		query += " AND m.parent = ?"
		args = append(args, q.Parent)
	}
	if q.Below != 0 {
		query += " AND j.id < ?"
		args = append(args, q.Below)
	}
	rows, err := s.readDB.QueryContext(ctx, query+" ORDER BY j.id DESC LIMIT ? OFFSET ?", append(args, q.Limit, q.Offset)...)
	list, err := all(rows, err, func(r row) (j store.Joined, err error) {
		err = r.Scan(append([]any{&j.Row, &j.Role, &j.Joined}, mucFields(&j.Muc)...)...)
		return j, err
	})
	if err != nil {
		return nil, fmt.Errorf("list joined groups: %w", err)
	}
	return list, nil
}

// CountJoined implements store.Mucs.
func (s *Store) CountJoined(ctx context.Context, user int64, kind store.MucKind) (n int, err error) {
	err = s.readDB.QueryRowContext(ctx, "SELECT COUNT(*) FROM muc_member j JOIN muc m ON m.id = j.muc WHERE j.user = ? AND j.kind = ? AND m.closed = 0", user, kind).Scan(&n)
	return n, err
}

// ofOpenMuc runs a job on a group or room that is there.
func (s *Store) ofOpenMuc(ctx context.Context, muc int64, run func(tx *statements) error) error {
	return s.do(ctx, func(tx *statements) error {
		if ok, err := exists(tx, "SELECT EXISTS (SELECT 1 FROM muc WHERE id = ? AND closed = 0)", muc); err != nil {
			return err
		} else if !ok {
			return store.ErrNotFound
		}
		return run(tx)
	})
}

// PutMarks implements store.Mucs.
func (s *Store) PutMarks(ctx context.Context, muc int64, mark store.Mark, users []store.Marked, limit int) error {
	return s.ofOpenMuc(ctx, muc, func(tx *statements) error {
		if len(users) > 0 {
			_, err := tx.ExecContext(context.Background(), "DELETE FROM muc_mark WHERE muc = ? AND mark = ? AND until > 0 AND until <= ?", muc, mark, users[0].Created)
			if err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(context.Background(), `INSERT INTO muc_mark (muc, mark, user, name, until, by_user, by_name, reason, created)
			SELECT ?2, ?3, u.id, u.name, j.value ->> 'Until', j.value ->> '$.By.ID', j.value ->> '$.By.Name', j.value ->> 'Reason', j.value ->> 'Created'
			FROM json_each(?1) j CROSS JOIN user u ON u.id = j.value ->> '$.User.ID' WHERE true ORDER BY j.key
			ON CONFLICT DO UPDATE SET until = excluded.until, by_user = excluded.by_user, by_name = excluded.by_name,
				reason = excluded.reason, created = excluded.created`, asJSON(users), muc, mark)
		if err != nil {
			return err
		}
		if full, err := exists(tx, "SELECT COUNT(*) > ?3 FROM (SELECT 1 FROM muc_mark WHERE muc = ?1 AND mark = ?2 LIMIT ?3 + 1)", muc, mark, limit); err != nil {
			return err
		} else if full {
			return store.ErrFull
		}
		return nil
	})
}

// DropMarks implements store.Mucs.
func (s *Store) DropMarks(ctx context.Context, muc int64, mark store.Mark, users []int64) (dropped []store.Peer, err error) {
	err = s.do(ctx, func(tx *statements) error {
		rows, err := tx.QueryContext(context.Background(), `DELETE FROM muc_mark WHERE muc = ? AND mark = ? AND user IN (SELECT value FROM json_each(?))
			RETURNING user, name`, muc, mark, asJSON(users))
		dropped, err = all(rows, err, scanPeer)
		return err
	})
	return dropped, err
}

// ListMarks implements store.Mucs.
func (s *Store) ListMarks(ctx context.Context, muc int64, mark store.Mark, now, after int64, limit int) ([]store.Marked, error) {
	rows, err := s.readDB.QueryContext(ctx, `SELECT id, user, name, until, by_user, by_name, reason, created FROM muc_mark
		WHERE muc = ? AND mark = ? AND id > ? AND (until = 0 OR until > ?) ORDER BY id LIMIT ?`, muc, mark, after, now, limit)
	list, err := all(rows, err, func(r row) (m store.Marked, err error) {
		err = r.Scan(&m.Row, &m.User.ID, &m.User.Name, &m.Until, &m.By.ID, &m.By.Name, &m.Reason, &m.Created)
		return m, err
	})
	if err != nil {
		return nil, fmt.Errorf("list marked users: %w", err)
	}
	return list, nil
}

// leaveMucs removes a deleted user from all groups and rooms, within a job.
func leaveMucs(tx *statements, user int64) error {
	for _, statement := range []string{
		"UPDATE muc SET members = members - 1 WHERE id IN (SELECT muc FROM muc_member WHERE user = ?)",
		"UPDATE muc SET owner = 0, owner_name = '' WHERE owner = ?",
		"DELETE FROM muc_member WHERE user = ?",
		"DELETE FROM muc_mark WHERE user = ?",
		"DELETE FROM room_tag WHERE user = ?",
		"DELETE FROM super_admin WHERE user = ?",
	} {
		if _, err := tx.ExecContext(context.Background(), statement, user); err != nil {
			return fmt.Errorf("leave groups: %w", err)
		}
	}
	return nil
}
