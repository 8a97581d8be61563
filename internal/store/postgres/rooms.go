package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/stoa-chat/stoa/internal/store"
)

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
