package postgres

import (
	"context"
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
