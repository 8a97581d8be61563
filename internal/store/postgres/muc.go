package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/stoa-chat/stoa/internal/store"
)

const mucColumns = `m.id, m.app, m.kind, m.name, m.owner, m.owner_name, m.parent, m.message, m.title, m.description, m.avatar, m.custom,
	m.announcement, m.public, m.approval, m.allow_invites, m.invite_confirm, m.max_users, m.members, m.mute_all, m.disabled, m.created, m.modified`

func mucFields(m *store.Muc) []any {
	return []any{&m.ID, &m.App, &m.Kind, &m.Name, &m.Owner.ID, &m.Owner.Name, &m.Parent, &m.Message, &m.Title, &m.Description, &m.Avatar, &m.Custom,
		&m.Announcement, &m.Public, &m.Approval, &m.AllowInvites, &m.InviteConfirm, &m.MaxUsers, &m.Members, &m.MuteAll, &m.Disabled, &m.Created, &m.Modified}
}

func scanMuc(row pgx.CollectableRow) (m store.Muc, err error) {
	err = row.Scan(mucFields(&m)...)
	return m, err
}

func scanPeer(row pgx.CollectableRow) (p store.Peer, err error) {
	err = row.Scan(&p.ID, &p.Name)
	return p, err
}

// all reads all rows of a query.
func all[T any](rows pgx.Rows, err error, scan pgx.RowToFunc[T]) ([]T, error) {
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scan)
}

func idsOf(users []store.Peer) []int64 {
	ids := make([]int64, len(users))
	for i, user := range users {
		ids[i] = user.ID
	}
	return ids
}

// CreateMuc implements store.Mucs.
func (s *Store) CreateMuc(ctx context.Context, m store.Muc, perApp, perUser int) (_ store.Muc, change store.MemberChange, err error) {
	err = s.relate(ctx, "create group", func(tx pgx.Tx) error {
		if full, err := exists(ctx, tx, "SELECT count(*) >= $3 FROM (SELECT FROM muc_member WHERE user_id = $1 AND kind = $2 LIMIT $3) x", m.Owner.ID, int16(m.Kind), perUser); err != nil {
			return err
		} else if full {
			return store.ErrPeerFull
		}
		if err := tx.QueryRow(ctx, "SELECT nextval(pg_get_serial_sequence('muc', 'id'))").Scan(&m.ID); err != nil {
			return err
		}
		if m.Name == "" {
			m.Name = strconv.FormatInt(store.MucIDBase+m.ID, 10)
		}
		m.Members = 1
		_, err := tx.Exec(ctx, `
			INSERT INTO muc (id, app, kind, name, owner, owner_name, parent, message, title, title_key, description, avatar, custom, announcement,
				public, approval, allow_invites, invite_confirm, max_users, members, mute_all, disabled, closed, created, modified)
			OVERRIDING SYSTEM VALUE
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, 1, $20, $21, false, $22, $23)`,
			m.ID, m.App, int16(m.Kind), m.Name, m.Owner.ID, m.Owner.Name, m.Parent, m.Message, m.Title, store.TitleKey(m.Title), m.Description, m.Avatar,
			m.Custom, m.Announcement, m.Public, m.Approval, m.AllowInvites, m.InviteConfirm, m.MaxUsers, m.MuteAll, m.Disabled, m.Created, m.Modified)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "INSERT INTO muc_member (muc, user_id, app, kind, name, role, joined) VALUES ($1, $2, $3, $4, $5, $6, $7)",
			m.ID, m.Owner.ID, m.App, int16(m.Kind), m.Owner.Name, int16(m.Kind.FirstRole()), m.Created)
		if err != nil {
			return err
		}
		change = store.MemberChange{Users: []store.Peer{m.Owner}, Members: 1}
		if err := follow(ctx, tx, &change, m.App, m.ID, m.Kind); err != nil {
			return err
		}
		return countMuc(ctx, tx, m.App, m.Kind, 1, perApp)
	}, m.Owner.ID)
	return m, change, err
}

// countMuc counts what an app has of a kind. ErrFull if it is more than limit. It comes last in a transaction: all that make
// one wait here for each other.
func countMuc(ctx context.Context, tx pgx.Tx, app int64, kind store.MucKind, more, limit int) error {
	var n int
	err := tx.QueryRow(ctx, `
		INSERT INTO muc_count (app, kind, count) VALUES ($1, $2, $3)
		ON CONFLICT (app, kind) DO UPDATE SET count = muc_count.count + excluded.count RETURNING count`, app, int16(kind), more).Scan(&n)
	if err == nil && n > limit {
		return store.ErrFull
	}
	return err
}

// follow has those who have joined read the timeline.
func follow(ctx context.Context, tx pgx.Tx, change *store.MemberChange, app, muc int64, kind store.MucKind) error {
	if kind == store.MucRoom || len(change.Users) == 0 {
		return nil
	}
	line, err := subscribe(ctx, tx, store.MucKey(app, muc), idsOf(change.Users))
	change.Timeline, change.At = line.ID, line.Head
	return err
}

// unfollow has those who have left read it no more.
func unfollow(ctx context.Context, tx pgx.Tx, change *store.MemberChange, app, muc int64, kind store.MucKind) error {
	if kind == store.MucRoom || len(change.Users) == 0 {
		return nil
	}
	line, err := unsubscribe(ctx, tx, store.MucKey(app, muc), idsOf(change.Users))
	change.Timeline, change.At = line.ID, line.Head
	return err
}

// Muc implements store.Mucs.
func (s *Store) Muc(ctx context.Context, app int64, name string) (store.Muc, error) {
	return s.oneMuc(ctx, "m.app = $1 AND m.name = $2", app, name)
}

// MucByID implements store.Mucs.
func (s *Store) MucByID(ctx context.Context, id int64) (store.Muc, error) {
	return s.oneMuc(ctx, "m.id = $1", id)
}

func (s *Store) oneMuc(ctx context.Context, where string, args ...any) (m store.Muc, err error) {
	err = s.pool.QueryRow(ctx, "SELECT "+mucColumns+" FROM muc m WHERE NOT m.closed AND "+where, args...).Scan(mucFields(&m)...)
	return m, wrap("read group", err)
}

// ListMucs implements store.Mucs.
func (s *Store) ListMucs(ctx context.Context, q store.MucQuery) ([]store.Muc, error) {
	where, args := []string{"NOT m.closed", "m.app = $1", "m.kind = $2"}, []any{q.App, int16(q.Kind), q.Limit, q.Offset}
	add := func(condition string, value any) {
		args = append(args, value)
		where = append(where, fmt.Sprintf(condition, len(args)))
	}
	if q.Parent != 0 {
		add("m.parent <> 0 AND m.parent = $%d", q.Parent)
	}
	if q.Messages != nil {
		add("m.message = ANY($%d)", q.Messages)
	}
	if q.Public {
		where = append(where, "m.public")
	}
	if q.Search != "" {
		key := store.TitleKey(q.Search)
		add("m.title_key >= $%d", key)
		add("m.title_key < $%d", key+"\U0010ffff")
	}
	order := " DESC"
	if q.Oldest {
		order = ""
		add("m.id > $%d", q.Below)
	} else if q.Below != 0 {
		add("m.id < $%d", q.Below)
	}
	rows, err := s.pool.Query(ctx, "SELECT "+mucColumns+" FROM muc m WHERE "+strings.Join(where, " AND ")+" ORDER BY m.id"+order+" LIMIT $3 OFFSET $4", args...)
	list, err := all(rows, err, scanMuc)
	return list, wrap("list groups", err)
}

// UpdateMuc implements store.Mucs.
func (s *Store) UpdateMuc(ctx context.Context, id, now int64, c store.MucChange) (m store.Muc, err error) {
	var key *string
	if c.Title != nil {
		folded := store.TitleKey(*c.Title)
		key = &folded
	}
	err = s.pool.QueryRow(ctx, `
		UPDATE muc m SET modified = $2, title = COALESCE($3, title), title_key = COALESCE($4, title_key),
			description = COALESCE($5, description), avatar = COALESCE($6, avatar), custom = COALESCE($7, custom),
			announcement = COALESCE($8, announcement), public = COALESCE($9, public), approval = COALESCE($10, approval),
			allow_invites = COALESCE($11, allow_invites), invite_confirm = COALESCE($12, invite_confirm),
			mute_all = COALESCE($13, mute_all), disabled = COALESCE($14, disabled), max_users = COALESCE($15, max_users)
		WHERE id = $1 AND NOT closed RETURNING `+mucColumns,
		id, now, c.Title, key, c.Description, c.Avatar, c.Custom, c.Announcement, c.Public, c.Approval, c.AllowInvites, c.InviteConfirm,
		c.MuteAll, c.Disabled, c.MaxUsers).Scan(mucFields(&m)...)
	return m, wrap("update group", err)
}

// CloseMuc implements store.Mucs.
func (s *Store) CloseMuc(ctx context.Context, id int64) error {
	return wrap("close group", s.tx(ctx, func(tx pgx.Tx) error {
		var app int64
		var kind store.MucKind
		err := tx.QueryRow(ctx, "UPDATE muc SET closed = true WHERE id = $1 AND NOT closed RETURNING app, kind", id).Scan(&app, &kind)
		if err != nil {
			return err
		}
		return countMuc(ctx, tx, app, kind, -1, math.MaxInt)
	}))
}

// ClosedMucs implements store.Mucs.
func (s *Store) ClosedMucs(ctx context.Context, limit int) ([]store.Muc, error) {
	rows, err := s.pool.Query(ctx, "SELECT "+mucColumns+" FROM muc m WHERE m.closed ORDER BY m.id LIMIT $1", limit)
	list, err := all(rows, err, scanMuc)
	return list, wrap("list closed groups", err)
}

// held is what a transaction on members needs of the row that it holds.
type held struct {
	app            int64
	kind           store.MucKind
	members, limit int
}

// hold locks a group or room, so that of two that change its members one waits. ErrNotFound if it is closed.
func hold(ctx context.Context, tx pgx.Tx, muc int64) (p held, err error) {
	err = tx.QueryRow(ctx, "SELECT app, kind, members, max_users FROM muc WHERE id = $1 AND NOT closed FOR NO KEY UPDATE", muc).
		Scan(&p.app, &p.kind, &p.members, &p.limit)
	return p, err
}

// DropMembers implements store.Mucs.
func (s *Store) DropMembers(ctx context.Context, muc int64, limit int) (change store.MemberChange, err error) {
	err = s.tx(ctx, func(tx pgx.Tx) error {
		var app int64
		var kind store.MucKind
		err := tx.QueryRow(ctx, "SELECT app, kind FROM muc WHERE id = $1 AND closed FOR UPDATE", muc).Scan(&app, &kind)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		} else if err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `
			DELETE FROM muc_member WHERE muc = $1 AND user_id IN (SELECT user_id FROM muc_member WHERE muc = $1 ORDER BY id LIMIT $2)
			RETURNING user_id, name`, muc, limit)
		if change.Users, err = all(rows, err, scanPeer); err != nil {
			return err
		}
		if len(change.Users) > 0 {
			return unfollow(ctx, tx, &change, app, muc, kind)
		}
		for _, statement := range []string{"DELETE FROM muc_mark WHERE muc = $1", "DELETE FROM room_attribute WHERE muc = $1",
			"DELETE FROM room_tag WHERE muc = $1", "DELETE FROM muc WHERE id = $1"} {
			if _, err := tx.Exec(ctx, statement, muc); err != nil {
				return err
			}
		}
		return nil
	})
	return change, wrap("remove members", err)
}

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
		type candidate struct {
			user                  store.Peer
			banned, full, invited bool
		}
		rows, err := tx.Query(ctx, `
			SELECT u.id, u.name, EXISTS (SELECT FROM muc_mark WHERE muc = $2 AND user_id = u.id AND mark = $3),
				(SELECT count(*) FROM (SELECT FROM muc_member WHERE user_id = u.id AND kind = $5 LIMIT $6) x) >= $6,
				$4 = 0::smallint OR EXISTS (SELECT FROM muc_mark WHERE muc = $2 AND user_id = u.id AND mark = $4)
			FROM unnest($1::bigint[]) WITH ORDINALITY j(id, n) JOIN users u ON u.id = j.id
			WHERE NOT EXISTS (SELECT FROM muc_member WHERE muc = $2 AND user_id = u.id) ORDER BY j.n`,
			j.Numbers(), j.Muc, int16(store.MarkBan), int16(j.Needs), int16(p.kind), j.PerUser)
		candidates, err := all(rows, err, func(row pgx.CollectableRow) (c candidate, err error) {
			err = row.Scan(&c.user.ID, &c.user.Name, &c.banned, &c.full, &c.invited)
			return c, err
		})
		if err != nil {
			return err
		}
		change.Members = p.members
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
		case change.Members+len(change.Users) > p.limit:
			return store.ErrFull
		case len(change.Users) == 0:
			return nil
		}
		change.Members += len(change.Users)
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

// SetRoomTags implements store.Mucs.
func (s *Store) SetRoomTags(ctx context.Context, muc, user int64, tags []string) error {
	if tags == nil {
		tags = []string{}
	}
	return wrap("set tags", s.tx(ctx, func(tx pgx.Tx) error {
		if _, err := hold(ctx, tx, muc); err != nil {
			return err
		}
		if err := mustBeIn(ctx, tx, muc, user); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "DELETE FROM room_tag WHERE muc = $1 AND user_id = $2 AND tag <> ALL ($3)", muc, user, tags); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "INSERT INTO room_tag (muc, tag, user_id, until) SELECT $1, t, $2, 0 FROM unnest($3::text[]) t ON CONFLICT DO NOTHING", muc, user, tags)
		return err
	}))
}

// mustBeIn is ErrNotFound for who is no member.
func mustBeIn(ctx context.Context, q querier, muc, user int64) error {
	if ok, err := exists(ctx, q, "SELECT EXISTS (SELECT FROM muc_member WHERE muc = $1 AND user_id = $2)", muc, user); err != nil {
		return err
	} else if !ok {
		return store.ErrNotFound
	}
	return nil
}

// RoomTags implements store.Mucs.
func (s *Store) RoomTags(ctx context.Context, muc, user int64) ([]store.RoomTag, error) {
	if err := mustBeIn(ctx, s.pool, muc, user); err != nil {
		return nil, wrap("read tags", err)
	}
	rows, err := s.pool.Query(ctx, "SELECT tag, until FROM room_tag WHERE muc = $1 AND user_id = $2 ORDER BY tag", muc, user)
	list, err := all(rows, err, pgx.RowToStructByPos[store.RoomTag])
	return list, wrap("read tags", err)
}

// MuteRoomTag implements store.Mucs.
func (s *Store) MuteRoomTag(ctx context.Context, muc int64, tag string, until int64) (users []store.Peer, err error) {
	err = s.tx(ctx, func(tx pgx.Tx) error {
		if _, err := hold(ctx, tx, muc); err != nil {
			return err
		}
		done, err := tx.Exec(ctx, "UPDATE room_tag SET until = $3 WHERE muc = $1 AND tag = $2", muc, tag, until)
		if err := affected(done, err, store.ErrNotFound); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `
			SELECT m.user_id, m.name FROM room_tag t JOIN muc_member m ON m.muc = t.muc AND m.user_id = t.user_id
			WHERE t.muc = $1 AND t.tag = $2 AND m.role < $3 ORDER BY m.id`, muc, tag, int16(store.RoleOwner))
		users, err = all(rows, err, scanPeer)
		return err
	})
	return users, wrap("mute tag", err)
}

// RoomAttributes implements store.Mucs.
func (s *Store) RoomAttributes(ctx context.Context, muc int64, keys []string) ([]store.Attribute, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT key, value, user_id, auto FROM room_attribute WHERE muc = $1 AND (cardinality($2::text[]) IS NULL OR cardinality($2) = 0 OR key = ANY ($2))
		ORDER BY key`, muc, keys)
	list, err := all(rows, err, pgx.RowToStructByPos[store.Attribute])
	return list, wrap("read attributes", err)
}

// attribute runs a transaction on the attributes of a room for a member of it. there is who has set which.
func (s *Store) attribute(ctx context.Context, c store.AttributeChange, run func(tx pgx.Tx, there map[string]int64) error) error {
	return wrap("change attributes", s.tx(ctx, func(tx pgx.Tx) error {
		if _, err := hold(ctx, tx, c.Muc); err != nil {
			return err
		}
		if ok, err := exists(ctx, tx, "SELECT $1 OR EXISTS (SELECT FROM muc_member WHERE muc = $2 AND user_id = $3)", c.Outsider, c.Muc, c.User); err != nil {
			return err
		} else if !ok {
			return store.ErrNotFound
		}
		rows, err := tx.Query(ctx, "SELECT key, user_id FROM room_attribute WHERE muc = $1", c.Muc)
		if err != nil {
			return err
		}
		there := map[string]int64{}
		var key string
		var user int64
		if _, err := pgx.ForEachRow(rows, []any{&key, &user}, func() error { there[key] = user; return nil }); err != nil {
			return err
		}
		return run(tx, there)
	}))
}

// SetRoomAttributes implements store.Mucs.
func (s *Store) SetRoomAttributes(ctx context.Context, c store.AttributeChange, set map[string]string) (refused map[string]error, err error) {
	err = s.attribute(ctx, c, func(tx pgx.Tx, there map[string]int64) error {
		var do []store.Attribute
		do, refused = store.PickAttributes(c, set, there)
		batch := &pgx.Batch{}
		for _, a := range do {
			batch.Queue(`
				INSERT INTO room_attribute (muc, key, value, user_id, auto) VALUES ($1, $2, $3, $4, $5)
				ON CONFLICT (muc, key) DO UPDATE SET value = excluded.value, user_id = excluded.user_id, auto = excluded.auto`, c.Muc, a.Key, a.Value, a.User, a.Auto)
		}
		return tx.SendBatch(ctx, batch).Close()
	})
	return refused, err
}

// DropRoomAttributes implements store.Mucs.
func (s *Store) DropRoomAttributes(ctx context.Context, c store.AttributeChange, keys []string) (refused map[string]error, err error) {
	err = s.attribute(ctx, c, func(tx pgx.Tx, there map[string]int64) error {
		var drop []string
		drop, refused = store.PickDropped(c, keys, there)
		_, err := tx.Exec(ctx, "DELETE FROM room_attribute WHERE muc = $1 AND key = ANY ($2)", c.Muc, drop)
		return err
	})
	return refused, err
}

// PutSuperAdmin implements store.Mucs.
func (s *Store) PutSuperAdmin(ctx context.Context, app int64, user store.Peer) error {
	return s.relate(ctx, "make super admin", func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO super_admin (app, user_id, name) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", app, user.ID, user.Name)
		return err
	}, user.ID)
}

// DropSuperAdmin implements store.Mucs.
func (s *Store) DropSuperAdmin(ctx context.Context, app, user int64) (bool, error) {
	tag, err := s.pool.Exec(ctx, "DELETE FROM super_admin WHERE app = $1 AND user_id = $2", app, user)
	return tag.RowsAffected() > 0, wrap("remove super admin", err)
}

// IsSuperAdmin implements store.Mucs.
func (s *Store) IsSuperAdmin(ctx context.Context, app, user int64) (is bool, err error) {
	err = s.pool.QueryRow(ctx, "SELECT EXISTS (SELECT FROM super_admin WHERE app = $1 AND user_id = $2)", app, user).Scan(&is)
	return is, wrap("read super admin", err)
}

// ListSuperAdmins implements store.Mucs.
func (s *Store) ListSuperAdmins(ctx context.Context, app int64, offset, limit int) ([]store.Peer, error) {
	rows, err := s.pool.Query(ctx, "SELECT user_id, name FROM super_admin WHERE app = $1 ORDER BY user_id LIMIT $2 OFFSET $3", app, limit, offset)
	list, err := all(rows, err, scanPeer)
	return list, wrap("list super admins", err)
}

// SetAway implements store.Mucs.
func (s *Store) SetAway(ctx context.Context, user, since int64) error {
	_, err := s.pool.Exec(ctx, "UPDATE muc_member SET away = $2 WHERE user_id = $1 AND kind = $3", user, since, int16(store.MucRoom))
	return wrap("note who is away", err)
}

// CheckAway implements store.Mucs.
func (s *Store) CheckAway(ctx context.Context, after, since, now int64, limit int) (last int64, err error) {
	var n int
	err = s.pool.QueryRow(ctx, `
		WITH page AS (
			SELECT p.id, p.muc, p.user_id, p.away > 0 AS away,
				EXISTS (SELECT FROM session s JOIN node n ON n.number = s.node WHERE s.user_id = p.user_id AND n.until > $3) AS online
			FROM muc_member p WHERE p.kind = 2 AND p.id > $1 ORDER BY p.id LIMIT $4
		), changed AS (
			UPDATE muc_member m SET away = CASE WHEN page.online THEN 0 ELSE $2::bigint END
			FROM page WHERE m.muc = page.muc AND m.user_id = page.user_id AND page.online = page.away
		)
		SELECT count(*), COALESCE(max(id), 0) FROM page`, after, since, now, limit).Scan(&n, &last)
	if n < limit {
		last = 0
	}
	return last, wrap("check who is away", err)
}

// AwayMembers implements store.Mucs.
func (s *Store) AwayMembers(ctx context.Context, app, before int64, limit int) ([]store.Stay, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT a.id, a.muc, a.user_id, a.name FROM muc_member a
		WHERE a.app = $1 AND a.away > 0 AND a.away <= $2 AND a.kind = $3 AND a.role = $4
			AND NOT EXISTS (SELECT FROM muc_mark WHERE muc = a.muc AND user_id = a.user_id AND mark = $5)
		ORDER BY a.away LIMIT $6`, app, before, int16(store.MucRoom), int16(store.RoleMember), int16(store.MarkAllow), limit)
	list, err := all(rows, err, func(row pgx.CollectableRow) (st store.Stay, err error) {
		err = row.Scan(&st.Row, &st.Muc, &st.User.ID, &st.User.Name)
		return st, err
	})
	return list, wrap("list who is away", err)
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
