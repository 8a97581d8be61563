package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/stoa-chat/stoa/internal/store"
)

const mucColumns = `m.id, m.app, m.kind, m.name, m.owner, m.owner_name, m.parent, m.message, m.title, m.description, m.avatar, m.custom,
	m.announcement, m.public, m.approval, m.allow_invites, m.invite_confirm, m.max_users, m.members, m.mute_all, m.disabled, m.created, m.modified`

func mucFields(m *store.Muc) []any {
	return []any{&m.ID, &m.App, &m.Kind, &m.Name, &m.Owner.ID, &m.Owner.Name, &m.Parent, &m.Message, &m.Title, &m.Description, &m.Avatar, &m.Custom,
		&m.Announcement, &m.Public, &m.Approval, &m.AllowInvites, &m.InviteConfirm, &m.MaxUsers, &m.Members, &m.MuteAll, &m.Disabled, &m.Created, &m.Modified}
}

func scanMuc(r row) (m store.Muc, err error) {
	err = r.Scan(mucFields(&m)...)
	return m, storeError(err)
}

func scanPeer(r row) (p store.Peer, err error) {
	err = r.Scan(&p.ID, &p.Name)
	return p, err
}

// CreateMuc implements store.Mucs.
func (s *Store) CreateMuc(ctx context.Context, m store.Muc, perApp, perUser int) (_ store.Muc, change store.MemberChange, err error) {
	err = s.do(ctx, func(tx *statements) error {
		ctx := context.Background()
		if err := countMuc(tx, m.App, m.Kind, 1, perApp); err != nil {
			return err
		}
		if full, err := exists(tx, "SELECT COUNT(*) >= ?3 FROM (SELECT 1 FROM muc_member WHERE user = ?1 AND kind = ?2 LIMIT ?3)", m.Owner.ID, m.Kind, perUser); err != nil {
			return err
		} else if full {
			return store.ErrPeerFull
		}
		if ok, err := exists(tx, "SELECT EXISTS (SELECT 1 FROM user WHERE id = ?)", m.Owner.ID); err != nil {
			return err
		} else if !ok {
			return store.ErrNotFound
		}
		name := m.Name
		if name == "" {
			name = fmt.Sprintf("new %d %d", m.Owner.ID, m.Created) // until the number is known
		}
		m.Members = 1
		err := tx.QueryRowContext(ctx, `INSERT INTO muc (app, kind, name, owner, owner_name, parent, message, title, title_key, description, avatar, custom, announcement,
				public, approval, allow_invites, invite_confirm, max_users, members, mute_all, disabled, closed, created, modified)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?, 0, ?, ?) RETURNING id`,
			m.App, m.Kind, name, m.Owner.ID, m.Owner.Name, m.Parent, m.Message, m.Title, store.TitleKey(m.Title), m.Description, m.Avatar, m.Custom, m.Announcement,
			m.Public, m.Approval, m.AllowInvites, m.InviteConfirm, m.MaxUsers, m.MuteAll, m.Disabled, m.Created, m.Modified).Scan(&m.ID)
		if err != nil {
			return err
		}
		if m.Name == "" {
			m.Name = strconv.FormatInt(store.MucIDBase+m.ID, 10)
			if _, err := tx.ExecContext(ctx, "UPDATE muc SET name = ? WHERE id = ?", m.Name, m.ID); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO muc_member (muc, user, app, kind, name, role, joined) VALUES (?, ?, ?, ?, ?, ?, ?)",
			m.ID, m.Owner.ID, m.App, m.Kind, m.Owner.Name, m.Kind.FirstRole(), m.Created); err != nil {
			return err
		}
		change = store.MemberChange{Users: []store.Peer{m.Owner}, Members: 1}
		return s.follow(&change, m.App, m.ID, m.Kind)
	})
	return m, change, err
}

// countMuc counts what an app has of a kind, within a job. ErrFull if it is more than limit.
func countMuc(tx *statements, app int64, kind store.MucKind, more, limit int) error {
	var n int
	err := tx.QueryRowContext(context.Background(), `INSERT INTO muc_count (app, kind, count) VALUES (?, ?, ?)
		ON CONFLICT DO UPDATE SET count = count + excluded.count RETURNING count`, app, kind, more).Scan(&n)
	if err == nil && n > limit {
		return store.ErrFull
	}
	return err
}

// follow has those who have joined read the timeline.
func (s *Store) follow(change *store.MemberChange, app, muc int64, kind store.MucKind) error {
	if kind == store.MucRoom || len(change.Users) == 0 {
		return nil
	}
	line, err := s.subscribe(store.MucKey(app, muc), idsOf(change.Users))
	change.Timeline, change.At = line.ID, line.Head
	return err
}

// unfollow has those who have left read it no more.
func (s *Store) unfollow(change *store.MemberChange, app, muc int64, kind store.MucKind) error {
	if kind == store.MucRoom || len(change.Users) == 0 {
		return nil
	}
	line, err := s.unsubscribe(store.MucKey(app, muc), idsOf(change.Users))
	change.Timeline, change.At = line.ID, line.Head
	return err
}

func idsOf(users []store.Peer) []int64 {
	ids := make([]int64, len(users))
	for i, user := range users {
		ids[i] = user.ID
	}
	return ids
}

// Muc implements store.Mucs.
func (s *Store) Muc(ctx context.Context, app int64, name string) (store.Muc, error) {
	return scanMuc(s.readDB.QueryRowContext(ctx, "SELECT "+mucColumns+" FROM muc m WHERE m.app = ? AND m.name = ? AND m.closed = 0", app, name))
}

// MucByID implements store.Mucs.
func (s *Store) MucByID(ctx context.Context, id int64) (store.Muc, error) {
	return scanMuc(s.readDB.QueryRowContext(ctx, "SELECT "+mucColumns+" FROM muc m WHERE m.id = ? AND m.closed = 0", id))
}

// ListMucs implements store.Mucs.
func (s *Store) ListMucs(ctx context.Context, q store.MucQuery) ([]store.Muc, error) {
	where, args := []string{"m.closed = 0", "m.app = ?", "m.kind = ?"}, []any{q.App, q.Kind}
	if q.Parent != 0 { // the index of parents is the one to go by
		where[1], where[2] = "+m.app = ?", "+m.kind = ?"
	}
	add := func(condition string, more ...any) {
		where, args = append(where, condition), append(args, more...)
	}
	if q.Parent != 0 {
		add("m.parent <> 0 AND m.parent = ?", q.Parent)
	}
	if q.Messages != nil {
		add("m.message IN (SELECT value FROM json_each(?))", asJSON(q.Messages))
	}
	if q.Public {
		add("m.public = 1")
	}
	if q.Search != "" {
		key := store.TitleKey(q.Search)
		add("m.title_key >= ? AND m.title_key < ?", key, key+"\U0010ffff")
	}
	order := " DESC"
	if q.Oldest {
		order = ""
		add("m.id > ?", q.Below)
	} else if q.Below != 0 {
		add("m.id < ?", q.Below)
	}
	rows, err := s.readDB.QueryContext(ctx, "SELECT "+mucColumns+" FROM muc m WHERE "+strings.Join(where, " AND ")+
		" ORDER BY m.id"+order+" LIMIT ? OFFSET ?", append(args, q.Limit, q.Offset)...)
	list, err := all(rows, err, scanMuc)
	if err != nil {
		return nil, fmt.Errorf("list groups: %w", err)
	}
	return list, nil
}

// UpdateMuc implements store.Mucs.
func (s *Store) UpdateMuc(ctx context.Context, id, now int64, c store.MucChange) (m store.Muc, err error) {
	var key *string
	if c.Title != nil {
		folded := store.TitleKey(*c.Title)
		key = &folded
	}
	err = s.do(ctx, func(tx *statements) error {
		ctx := context.Background()
		err := mustTouch(tx.ExecContext(ctx, `UPDATE muc SET modified = ?2, title = COALESCE(?3, title), title_key = COALESCE(?4, title_key),
				description = COALESCE(?5, description), avatar = COALESCE(?6, avatar), custom = COALESCE(?7, custom),
				announcement = COALESCE(?8, announcement), public = COALESCE(?9, public), approval = COALESCE(?10, approval),
				allow_invites = COALESCE(?11, allow_invites), invite_confirm = COALESCE(?12, invite_confirm),
				mute_all = COALESCE(?13, mute_all), disabled = COALESCE(?14, disabled), max_users = COALESCE(?15, max_users)
			WHERE id = ?1 AND closed = 0`, id, now, c.Title, key, c.Description, c.Avatar, c.Custom, c.Announcement,
			c.Public, c.Approval, c.AllowInvites, c.InviteConfirm, c.MuteAll, c.Disabled, c.MaxUsers))
		if err != nil {
			return err
		}
		m, err = scanMuc(tx.QueryRowContext(ctx, "SELECT "+mucColumns+" FROM muc m WHERE m.id = ?", id))
		return err
	})
	return m, err
}

// CloseMuc implements store.Mucs.
func (s *Store) CloseMuc(ctx context.Context, id int64) error {
	return s.do(ctx, func(tx *statements) error {
		var app int64
		var kind store.MucKind
		err := tx.QueryRowContext(context.Background(), "UPDATE muc SET closed = 1 WHERE id = ? AND closed = 0 RETURNING app, kind", id).Scan(&app, &kind)
		if err != nil {
			return err
		}
		return countMuc(tx, app, kind, -1, math.MaxInt)
	})
}

// ClosedMucs implements store.Mucs.
func (s *Store) ClosedMucs(ctx context.Context, limit int) ([]store.Muc, error) {
	rows, err := s.readDB.QueryContext(ctx, "SELECT "+mucColumns+" FROM muc m WHERE m.closed = 1 ORDER BY m.id LIMIT ?", limit)
	return all(rows, err, scanMuc)
}

// DropMembers implements store.Mucs.
func (s *Store) DropMembers(ctx context.Context, muc int64, limit int) (change store.MemberChange, err error) {
	err = s.do(ctx, func(tx *statements) error {
		ctx := context.Background()
		var app int64
		var kind store.MucKind
		err := tx.QueryRowContext(ctx, "SELECT app, kind FROM muc WHERE id = ? AND closed = 1", muc).Scan(&app, &kind)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		} else if err != nil {
			return err
		}
		rows, err := tx.QueryContext(ctx, `DELETE FROM muc_member WHERE id IN (SELECT id FROM muc_member WHERE muc = ? ORDER BY id LIMIT ?)
			RETURNING user, name`, muc, limit)
		if change.Users, err = all(rows, err, scanPeer); err != nil {
			return err
		}
		if len(change.Users) > 0 {
			return s.unfollow(&change, app, muc, kind)
		}
		for _, statement := range []string{"DELETE FROM muc_mark WHERE muc = ?", "DELETE FROM room_attribute WHERE muc = ?",
			"DELETE FROM room_tag WHERE muc = ?", "DELETE FROM muc WHERE id = ?"} {
			if _, err := tx.ExecContext(ctx, statement, muc); err != nil {
				return err
			}
		}
		return nil
	})
	return change, err
}

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
		change = store.MemberChange{}
		var app int64
		var kind store.MucKind
		var limit int
		if err := tx.QueryRowContext(ctx, "SELECT app, kind, members, max_users FROM muc WHERE id = ? AND closed = 0", j.Muc).Scan(&app, &kind, &change.Members, &limit); err != nil {
			return err
		}
		type candidate struct {
			user                  store.Peer
			banned, full, invited bool
		}
		rows, err := tx.QueryContext(ctx, `SELECT u.id, u.name,
				EXISTS (SELECT 1 FROM muc_mark WHERE muc = ?2 AND user = u.id AND mark = ?3),
				(SELECT COUNT(*) FROM (SELECT 1 FROM muc_member WHERE user = u.id AND kind = ?5 LIMIT ?6)) >= ?6,
				?4 = 0 OR EXISTS (SELECT 1 FROM muc_mark WHERE muc = ?2 AND user = u.id AND mark = ?4)
			FROM json_each(?1) j CROSS JOIN user u ON u.id = j.value
			WHERE NOT EXISTS (SELECT 1 FROM muc_member WHERE muc = ?2 AND user = u.id) ORDER BY j.key`,
			asJSON(j.Numbers()), j.Muc, store.MarkBan, j.Needs, kind, j.PerUser)
		candidates, err := all(rows, err, func(r row) (c candidate, err error) {
			err = r.Scan(&c.user.ID, &c.user.Name, &c.banned, &c.full, &c.invited)
			return c, err
		})
		if err != nil {
			return err
		}
		asked := false
		for _, c := range candidates {
			switch {
			case !c.invited:
				continue
			case c.banned && !j.Force:
				change.Banned = append(change.Banned, c.user)
			case c.full:
				change.Full = append(change.Full, c.user)
			default:
				change.Users = append(change.Users, c.user)
			}
			asked = true
		}
		switch {
		case j.Needs != 0 && len(candidates) > 0 && !asked:
			return store.ErrNotFound
		case change.Members+len(change.Users) > limit:
			return store.ErrFull
		case len(change.Users) == 0:
			return nil
		}
		change.Members += len(change.Users)
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

// SetRoomTags implements store.Mucs.
func (s *Store) SetRoomTags(ctx context.Context, muc, user int64, tags []string) error {
	return s.ofOpenMuc(ctx, muc, func(tx *statements) error {
		if err := mustBeIn(tx, muc, user); err != nil {
			return err
		}
		_, err := tx.ExecContext(context.Background(), "DELETE FROM room_tag WHERE muc = ? AND user = ? AND tag NOT IN (SELECT value FROM json_each(?))",
			muc, user, asJSON(tags))
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(context.Background(), "INSERT INTO room_tag (muc, tag, user, until) SELECT ?, value, ?, 0 FROM json_each(?) WHERE true ON CONFLICT DO NOTHING",
			muc, user, asJSON(tags))
		return err
	})
}

// mustBeIn is ErrNotFound for who is no member.
func mustBeIn(q *statements, muc, user int64) error {
	if ok, err := exists(q, "SELECT EXISTS (SELECT 1 FROM muc_member WHERE muc = ? AND user = ?)", muc, user); err != nil {
		return err
	} else if !ok {
		return store.ErrNotFound
	}
	return nil
}

// RoomTags implements store.Mucs.
func (s *Store) RoomTags(ctx context.Context, muc, user int64) ([]store.RoomTag, error) {
	if err := mustBeIn(s.readDB, muc, user); err != nil {
		return nil, err
	}
	rows, err := s.readDB.QueryContext(ctx, "SELECT tag, until FROM room_tag WHERE muc = ? AND user = ? ORDER BY tag", muc, user)
	return all(rows, err, func(r row) (t store.RoomTag, err error) { return t, r.Scan(&t.Tag, &t.Until) })
}

// MuteRoomTag implements store.Mucs.
func (s *Store) MuteRoomTag(ctx context.Context, muc int64, tag string, until int64) (users []store.Peer, err error) {
	err = s.ofOpenMuc(ctx, muc, func(tx *statements) error {
		ctx := context.Background()
		if err := mustTouch(tx.ExecContext(ctx, "UPDATE room_tag SET until = ? WHERE muc = ? AND tag = ?", until, muc, tag)); err != nil {
			return err
		}
		rows, err := tx.QueryContext(ctx, `SELECT m.user, m.name FROM room_tag t JOIN muc_member m ON m.muc = t.muc AND m.user = t.user
			WHERE t.muc = ? AND t.tag = ? AND m.role < ? ORDER BY m.id`, muc, tag, store.RoleOwner)
		users, err = all(rows, err, scanPeer)
		return err
	})
	return users, err
}

// RoomAttributes implements store.Mucs.
func (s *Store) RoomAttributes(ctx context.Context, muc int64, keys []string) ([]store.Attribute, error) {
	rows, err := s.readDB.QueryContext(ctx, `SELECT key, value, user, auto FROM room_attribute
		WHERE muc = ?1 AND (?2 = '[]' OR key IN (SELECT value FROM json_each(?2))) ORDER BY key`, muc, asJSON(keys))
	return all(rows, err, scanAttribute)
}

func scanAttribute(r row) (a store.Attribute, err error) {
	err = r.Scan(&a.Key, &a.Value, &a.User, &a.Auto)
	return a, err
}

// SetRoomAttributes implements store.Mucs.
func (s *Store) SetRoomAttributes(ctx context.Context, c store.AttributeChange, set map[string]string) (refused map[string]error, err error) {
	err = s.attribute(ctx, c, func(tx *statements, there map[string]int64) error {
		var do []store.Attribute
		do, refused = store.PickAttributes(c, set, there)
		for _, a := range do {
			_, err := tx.ExecContext(context.Background(), `INSERT INTO room_attribute (muc, key, value, user, auto) VALUES (?, ?, ?, ?, ?)
				ON CONFLICT DO UPDATE SET value = excluded.value, user = excluded.user, auto = excluded.auto`, c.Muc, a.Key, a.Value, a.User, a.Auto)
			if err != nil {
				return err
			}
		}
		return nil
	})
	return refused, err
}

// attribute runs a job on the attributes of a room for a member of it. there is who has set which.
func (s *Store) attribute(ctx context.Context, c store.AttributeChange, run func(tx *statements, there map[string]int64) error) error {
	return s.ofOpenMuc(ctx, c.Muc, func(tx *statements) error {
		if ok, err := exists(tx, "SELECT ? OR EXISTS (SELECT 1 FROM muc_member WHERE muc = ? AND user = ?)", c.Outsider, c.Muc, c.User); err != nil {
			return err
		} else if !ok {
			return store.ErrNotFound
		}
		rows, err := tx.QueryContext(context.Background(), "SELECT key, '', user, auto FROM room_attribute WHERE muc = ?", c.Muc)
		list, err := all(rows, err, scanAttribute)
		if err != nil {
			return err
		}
		there := map[string]int64{}
		for _, a := range list {
			there[a.Key] = a.User
		}
		return run(tx, there)
	})
}

// DropRoomAttributes implements store.Mucs.
func (s *Store) DropRoomAttributes(ctx context.Context, c store.AttributeChange, keys []string) (refused map[string]error, err error) {
	err = s.attribute(ctx, c, func(tx *statements, there map[string]int64) error {
		var drop []string
		drop, refused = store.PickDropped(c, keys, there)
		_, err := tx.ExecContext(context.Background(), "DELETE FROM room_attribute WHERE muc = ? AND key IN (SELECT value FROM json_each(?))", c.Muc, asJSON(drop))
		return err
	})
	return refused, err
}

// PutSuperAdmin implements store.Mucs.
func (s *Store) PutSuperAdmin(ctx context.Context, app int64, user store.Peer) error {
	return s.relate(ctx, func(tx *statements) error {
		_, err := tx.ExecContext(context.Background(), "INSERT INTO super_admin (app, user, name) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", app, user.ID, user.Name)
		return err
	}, user.ID)
}

// DropSuperAdmin implements store.Mucs.
func (s *Store) DropSuperAdmin(ctx context.Context, app, user int64) (dropped bool, err error) {
	err = s.do(ctx, func(tx *statements) error {
		dropped, err = touched(tx.ExecContext(context.Background(), "DELETE FROM super_admin WHERE app = ? AND user = ?", app, user))
		return err
	})
	return dropped && err == nil, err
}

// IsSuperAdmin implements store.Mucs.
func (s *Store) IsSuperAdmin(ctx context.Context, app, user int64) (is bool, err error) {
	err = s.readDB.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM super_admin WHERE app = ? AND user = ?)", app, user).Scan(&is)
	return is, err
}

// ListSuperAdmins implements store.Mucs.
func (s *Store) ListSuperAdmins(ctx context.Context, app int64, offset, limit int) ([]store.Peer, error) {
	rows, err := s.readDB.QueryContext(ctx, "SELECT user, name FROM super_admin WHERE app = ? ORDER BY user LIMIT ? OFFSET ?", app, limit, offset)
	return all(rows, err, scanPeer)
}

// SetAway implements store.Mucs.
func (s *Store) SetAway(ctx context.Context, user, since int64) error {
	return s.do(ctx, func(tx *statements) error {
		_, err := tx.ExecContext(context.Background(), "UPDATE muc_member SET away = ? WHERE user = ? AND kind = ?", since, user, store.MucRoom)
		return err
	})
}

// CheckAway implements store.Mucs.
func (s *Store) CheckAway(ctx context.Context, after, since, _ int64, limit int) (last int64, err error) {
	type stay struct {
		row, user int64
		away      bool
	}
	rows, err := s.readDB.QueryContext(ctx, "SELECT id, user, away > 0 FROM muc_member WHERE kind = 2 AND id > ? ORDER BY id LIMIT ?", after, limit)
	stays, err := all(rows, err, func(r row) (st stay, err error) {
		err = r.Scan(&st.row, &st.user, &st.away)
		return st, err
	})
	if err != nil {
		return 0, fmt.Errorf("check who is away: %w", err)
	}
	differs := func() (gone, back []int64) {
		s.sessions.mu.Lock()
		defer s.sessions.mu.Unlock()
		for _, st := range stays {
			switch online := len(s.sessions.online[st.user]) > 0; {
			case online && st.away:
				back = append(back, st.row)
			case !online && !st.away:
				gone = append(gone, st.row)
			}
		}
		return gone, back
	}
	if len(stays) == limit {
		last = stays[limit-1].row
	}
	if gone, back := differs(); len(gone) == 0 && len(back) == 0 {
		return last, nil
	}
	return last, s.do(ctx, func(tx *statements) error {
		// Within the job: whoever comes after this look says so in a later one.
		gone, back := differs()
		const set = "UPDATE muc_member SET away = ? WHERE id IN (SELECT value FROM json_each(?))"
		if _, err := tx.ExecContext(context.Background(), set, since, asJSON(gone)); err != nil {
			return err
		}
		_, err := tx.ExecContext(context.Background(), set, 0, asJSON(back))
		return err
	})
}

// AwayMembers implements store.Mucs.
func (s *Store) AwayMembers(ctx context.Context, app, before int64, limit int) ([]store.Stay, error) {
	rows, err := s.readDB.QueryContext(ctx, `SELECT a.id, a.muc, a.user, a.name FROM muc_member a
		WHERE a.app = ? AND a.away > 0 AND a.away <= ? AND a.kind = ? AND a.role = ?
			AND NOT EXISTS (SELECT 1 FROM muc_mark WHERE muc = a.muc AND user = a.user AND mark = ?)
		ORDER BY a.away LIMIT ?`, app, before, store.MucRoom, store.RoleMember, store.MarkAllow, limit)
	return all(rows, err, func(r row) (st store.Stay, err error) {
		err = r.Scan(&st.Row, &st.Muc, &st.User.ID, &st.User.Name)
		return st, err
	})
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
