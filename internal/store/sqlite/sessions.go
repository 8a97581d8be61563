package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/stoa-chat/stoa/internal/store"
)

// sessions is who is online. It ends with the process, as the sessions do.
type sessions struct {
	mu     sync.Mutex
	online map[int64][]store.Session // by user, oldest first
}

func (s *sessions) forget(user int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.online, user)
}

// OpenDevice implements store.Sessions.
func (s *Store) OpenDevice(ctx context.Context, d store.Device) (store.Device, error) {
	err := s.do(ctx, func(tx *statements) error {
		ctx := context.Background()
		err := tx.QueryRowContext(ctx, "UPDATE device SET seen = ?, platform = ?, uuid = ?, name = ? WHERE user = ? AND resource = ? RETURNING id",
			d.Seen, d.Platform, d.UUID, d.Name, d.User, d.Resource).Scan(&d.ID)
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		err = tx.QueryRowContext(ctx, "INSERT INTO device (user, resource, platform, uuid, name, seen) VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
			d.User, d.Resource, d.Platform, d.UUID, d.Name, d.Seen).Scan(&d.ID)
		if err != nil {
			return fmt.Errorf("make device: %w", err)
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO cursor (user, device, timeline, seq) SELECT user, ?, timeline, seq FROM cursor WHERE user = ? AND device = 0", d.ID, d.User)
		return err
	})
	return d, err
}

// SeeDevice implements store.Sessions.
func (s *Store) SeeDevice(ctx context.Context, user, device, seen int64) error {
	return s.do(ctx, func(tx *statements) error {
		_, err := tx.ExecContext(context.Background(), "UPDATE device SET seen = MAX(seen, ?) WHERE id = ? AND user = ?", seen, device, user)
		return err
	})
}

// ForgetDevices implements store.Sessions.
func (s *Store) ForgetDevices(ctx context.Context, before int64, limit int) (int, error) {
	s.sessions.mu.Lock()
	online := []int64{}
	for _, sessions := range s.sessions.online {
		for _, session := range sessions {
			online = append(online, session.Device)
		}
	}
	s.sessions.mu.Unlock()
	stay, err := json.Marshal(online)
	if err != nil {
		return 0, err
	}
	rows, err := s.readDB.QueryContext(ctx, `SELECT id, user FROM device
		WHERE seen < ? AND id NOT IN (SELECT value FROM json_each(?)) ORDER BY seen LIMIT ?`, before, string(stay), limit)
	if err != nil {
		return 0, fmt.Errorf("find devices: %w", err)
	}
	defer rows.Close()
	var old []store.Device
	for rows.Next() {
		var d store.Device
		if err := rows.Scan(&d.ID, &d.User); err != nil {
			return 0, fmt.Errorf("read device: %w", err)
		}
		old = append(old, d)
	}
	if err := rows.Err(); err != nil || len(old) == 0 {
		return 0, err
	}
	return len(old), s.do(ctx, func(tx *statements) error {
		for _, d := range old {
			if _, err := tx.ExecContext(context.Background(), "DELETE FROM device WHERE id = ?", d.ID); err != nil {
				return err
			}
			if _, err := tx.ExecContext(context.Background(), "DELETE FROM cursor WHERE user = ? AND device = ?", d.User, d.ID); err != nil {
				return err
			}
		}
		return nil
	})
}

// PutSession implements store.Sessions.
func (s *Store) PutSession(_ context.Context, session store.Session, _ int64) ([]store.Session, error) {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	others := slices.DeleteFunc(slices.Clone(s.sessions.online[session.User]), func(x store.Session) bool { return x.Device == session.Device })
	s.sessions.online[session.User] = append(slices.Clip(others), session)
	return others, nil
}

// DropSession implements store.Sessions.
func (s *Store) DropSession(_ context.Context, user, id int64) error {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	rest := slices.DeleteFunc(s.sessions.online[user], func(x store.Session) bool { return x.ID == id })
	if len(rest) == 0 {
		delete(s.sessions.online, user)
	} else {
		s.sessions.online[user] = rest
	}
	return nil
}

// ListSessions implements store.Sessions.
func (s *Store) ListSessions(_ context.Context, user, _ int64) ([]store.Session, error) {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	return slices.Clone(s.sessions.online[user]), nil
}

// SessionsOf implements store.Sessions.
func (s *Store) SessionsOf(_ context.Context, users []int64, _ int64) (all []store.Session, err error) {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	for _, user := range users {
		all = append(all, s.sessions.online[user]...)
	}
	return all, nil
}

// HasSession implements store.Sessions.
func (s *Store) HasSession(_ context.Context, user, id int64) (bool, error) {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	return slices.ContainsFunc(s.sessions.online[user], func(x store.Session) bool { return x.ID == id }), nil
}

// JoinCluster implements store.Cluster. The node is always 0: the folder's lock is the lease.
func (s *Store) JoinCluster(ctx context.Context, now, until int64) (store.Lease, error) {
	var lease store.Lease
	err := s.do(ctx, func(tx *statements) (err error) {
		if lease.IDFloor, err = s.mark(context.Background(), "id_floor"); err != nil {
			return err
		}
		_, err = tx.ExecContext(context.Background(), setMark, "id_floor", max(lease.IDFloor, now)+until-now)
		return err
	})
	return lease, err
}

// RenewNode implements store.Cluster.
func (s *Store) RenewNode(ctx context.Context, _ store.Lease, _, until int64) error {
	return s.do(ctx, func(tx *statements) error {
		_, err := tx.ExecContext(context.Background(), setMark+" WHERE excluded.value > value", "id_floor", until)
		return err
	})
}

// LeaveCluster implements store.Cluster.
func (s *Store) LeaveCluster(context.Context, store.Lease) error {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	clear(s.sessions.online)
	return nil
}
