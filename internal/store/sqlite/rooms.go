package sqlite

import (
	"context"
	"fmt"

	"github.com/stoa-chat/stoa/internal/store"
)

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
