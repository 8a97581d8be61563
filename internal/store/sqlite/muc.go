package sqlite

import (
	"context"
	"database/sql"
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
