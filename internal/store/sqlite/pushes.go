package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/stoa-chat/stoa/internal/store"
)

const templateColumns = "name, title, content, created, updated"

func scanTemplate(r row) (t store.PushTemplate, err error) {
	return t, r.Scan(&t.Name, &t.Title, &t.Content, &t.Created, &t.Updated)
}

// PutPushTemplate implements store.Pushes.
func (s *Store) PutPushTemplate(ctx context.Context, app int64, t store.PushTemplate, limit int) (stored store.PushTemplate, err error) {
	err = s.do(ctx, func(tx *statements) error {
		stored, err = scanTemplate(tx.QueryRowContext(context.Background(), `INSERT INTO push_template (app, name, title, content, created, updated)
			VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET title = excluded.title, content = excluded.content, updated = excluded.updated
			RETURNING `+templateColumns, app, t.Name, t.Title, t.Content, t.Created, t.Updated))
		if err != nil {
			return err
		}
		if full, err := exists(tx, "SELECT COUNT(*) > ? FROM push_template WHERE app = ?", limit, app); err != nil {
			return err
		} else if full {
			return store.ErrFull
		}
		return nil
	})
	return stored, err
}

// PushTemplates implements store.Pushes.
func (s *Store) PushTemplates(ctx context.Context, app int64, names []string) ([]store.PushTemplate, error) {
	rows, err := s.readDB.QueryContext(ctx, "SELECT "+templateColumns+` FROM push_template
		WHERE app = ? AND name IN (SELECT value FROM json_each(?)) ORDER BY name`, app, asJSON(names))
	return all(rows, err, scanTemplate)
}

// DropPushTemplate implements store.Pushes.
func (s *Store) DropPushTemplate(ctx context.Context, app int64, name string) (t store.PushTemplate, err error) {
	err = s.do(ctx, func(tx *statements) error {
		t, err = scanTemplate(tx.QueryRowContext(context.Background(), "DELETE FROM push_template WHERE app = ? AND name = ? RETURNING "+templateColumns, app, name))
		return err
	})
	return t, err
}

const labelColumns = "id, name, description, users, created"

func scanLabel(r row) (l store.PushLabel, err error) {
	err = r.Scan(&l.ID, &l.Name, &l.Description, &l.Users, &l.Created)
	return l, storeError(err)
}

// CreatePushLabel implements store.Pushes.
func (s *Store) CreatePushLabel(ctx context.Context, app int64, l store.PushLabel, limit int) (store.PushLabel, error) {
	err := s.do(ctx, func(tx *statements) error {
		err := tx.QueryRowContext(context.Background(), "INSERT INTO push_label (app, name, description, created) VALUES (?, ?, ?, ?) RETURNING id",
			app, l.Name, l.Description, l.Created).Scan(&l.ID)
		if err != nil {
			return err
		}
		if full, err := exists(tx, "SELECT COUNT(*) > ? FROM push_label WHERE app = ?", limit, app); err != nil {
			return err
		} else if full {
			return store.ErrFull
		}
		return nil
	})
	return l, err
}

// PushLabel implements store.Pushes.
func (s *Store) PushLabel(ctx context.Context, app int64, name string) (store.PushLabel, error) {
	return scanLabel(s.readDB.QueryRowContext(ctx, "SELECT "+labelColumns+" FROM push_label WHERE app = ? AND name = ?", app, name))
}

// ListPushLabels implements store.Pushes.
func (s *Store) ListPushLabels(ctx context.Context, app, below int64, limit int) ([]store.PushLabel, error) {
	rows, err := s.readDB.QueryContext(ctx, "SELECT "+labelColumns+` FROM push_label
		WHERE app = ?1 AND (?2 = 0 OR id < ?2) ORDER BY id DESC LIMIT ?3`, app, below, limit)
	return all(rows, err, scanLabel)
}

// DropPushLabel implements store.Pushes.
func (s *Store) DropPushLabel(ctx context.Context, app int64, name string) error {
	return s.do(ctx, func(tx *statements) error {
		var id int64
		err := tx.QueryRowContext(context.Background(), "DELETE FROM push_label WHERE app = ? AND name = ? RETURNING id", app, name).Scan(&id)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(context.Background(), "DELETE FROM push_labelled WHERE label = ?", id)
		return err
	})
}

// LabelUsers implements store.Pushes.
func (s *Store) LabelUsers(ctx context.Context, label int64, users []int64, now int64, limit int) error {
	return s.do(ctx, func(tx *statements) error {
		ctx := context.Background()
		result, err := tx.ExecContext(ctx, `INSERT INTO push_labelled (label, user, created)
			SELECT ?1, u.id, ?2 FROM json_each(?3) j JOIN user u ON u.id = j.value WHERE true ON CONFLICT DO NOTHING`, label, now, asJSON(users))
		if err != nil {
			return err
		}
		added, err := result.RowsAffected()
		if err != nil {
			return err
		}
		var n int
		if err := tx.QueryRowContext(ctx, "UPDATE push_label SET users = users + ? WHERE id = ? RETURNING users", added, label).Scan(&n); err != nil {
			return err
		}
		if n > limit {
			return store.ErrFull
		}
		return nil
	})
}

// UnlabelUsers implements store.Pushes.
func (s *Store) UnlabelUsers(ctx context.Context, label int64, users []int64) (had []int64, err error) {
	err = s.do(ctx, func(tx *statements) error {
		ctx := context.Background()
		rows, err := tx.QueryContext(ctx, "DELETE FROM push_labelled WHERE label = ? AND user IN (SELECT value FROM json_each(?)) RETURNING user",
			label, asJSON(users))
		if had, err = all(rows, err, scanNumber); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE push_label SET users = users - ? WHERE id = ?", len(had), label)
		return err
	})
	return had, err
}

func scanNumber(r row) (n int64, err error) { return n, r.Scan(&n) }

// unlabel takes all labels from a deleted user, within a job.
func unlabel(tx *statements, user int64) error {
	for _, statement := range []string{
		"UPDATE push_label SET users = users - 1 WHERE id IN (SELECT label FROM push_labelled WHERE user = ?)",
		"DELETE FROM push_labelled WHERE user = ?",
	} {
		if _, err := tx.ExecContext(context.Background(), statement, user); err != nil {
			return fmt.Errorf("take labels: %w", err)
		}
	}
	return nil
}

// ListLabelled implements store.Pushes.
func (s *Store) ListLabelled(ctx context.Context, label, above int64, limit int) ([]store.Labelled, error) {
	rows, err := s.readDB.QueryContext(ctx, `SELECT l.user, u.name, l.created FROM push_labelled l JOIN user u ON u.id = l.user
		WHERE l.label = ? AND l.user > ? ORDER BY l.user LIMIT ?`, label, above, limit)
	return all(rows, err, func(r row) (l store.Labelled, err error) { return l, r.Scan(&l.User.ID, &l.User.Name, &l.Created) })
}

// PutPush implements store.Pushes.
func (s *Store) PutPush(ctx context.Context, p store.PushMessage, users []int64, limit int) (id int64, err error) {
	err = s.do(ctx, func(tx *statements) error {
		ctx := context.Background()
		if users == nil {
			if full, err := exists(tx, "SELECT COUNT(*) >= ? FROM push_message WHERE done = 0 AND app = ?", limit, p.App); err != nil {
				return err
			} else if full {
				return store.ErrFull
			}
		}
		err := tx.QueryRowContext(ctx, "INSERT INTO push_message (app, content, labels, done, created) VALUES (?, ?, ?, ?, ?) RETURNING id",
			p.App, p.Content, asJSON(p.Labels), users != nil, p.Created).Scan(&id)
		if err != nil {
			return err
		}
		return notifyUsers(tx, id, users)
	})
	return id, err
}

// notifyUsers makes notifications of a push for the devices of users, within a job.
func notifyUsers(tx *statements, push int64, users []int64) error {
	_, err := tx.ExecContext(context.Background(), `INSERT INTO notification (app, user, device, timeline, seq, created, attempts, due)
		SELECT p.app, t.user, t.device, 0, p.id, p.created, 0, p.created FROM push_message p, json_each(?2) j JOIN push_token t ON t.user = j.value AND t.app = p.app
		WHERE p.id = ?1 ON CONFLICT DO NOTHING`, push, asJSON(users))
	return err
}

// PushMessage implements store.Pushes.
func (s *Store) PushMessage(ctx context.Context, id int64) (p store.PushMessage, err error) {
	var labels []byte
	err = s.readDB.QueryRowContext(ctx, "SELECT id, app, content, labels, created FROM push_message WHERE id = ?", id).
		Scan(&p.ID, &p.App, &p.Content, &labels, &p.Created)
	if err != nil {
		return p, storeError(err)
	}
	return p, json.Unmarshal(labels, &p.Labels)
}

// SpreadPush implements store.Pushes.
func (s *Store) SpreadPush(ctx context.Context, limit int) (bool, error) {
	var id, app, reached int64
	var text []byte
	err := s.readDB.QueryRowContext(ctx, "SELECT id, app, labels, reached FROM push_message WHERE done = 0 ORDER BY id LIMIT 1").Scan(&id, &app, &text, &reached)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	var labels []int64
	if err := json.Unmarshal(text, &labels); err != nil {
		return false, err
	}
	// A slice is one of those who have the first label, so that a few among many are found soon.
	query, args := "SELECT DISTINCT user FROM push_token WHERE app = ? AND user > ? ORDER BY user LIMIT ?", []any{app, reached, limit}
	if len(labels) > 0 {
		query, args = "SELECT user FROM push_labelled WHERE label = ? AND user > ? ORDER BY user LIMIT ?", []any{labels[0], reached, limit}
	}
	rows, err := s.readDB.QueryContext(ctx, query, args...)
	users, err := all(rows, err, scanNumber)
	if err != nil {
		return false, err
	}
	done := len(users) < limit
	if len(users) > 0 {
		reached = users[len(users)-1]
	}
	for _, label := range labels[min(1, len(labels)):] {
		rows, err := s.readDB.QueryContext(ctx, "SELECT user FROM push_labelled WHERE label = ? AND user IN (SELECT value FROM json_each(?))", label, asJSON(users))
		if users, err = all(rows, err, scanNumber); err != nil {
			return false, err
		}
	}
	return true, s.do(ctx, func(tx *statements) error {
		if err := notifyUsers(tx, id, users); err != nil {
			return err
		}
		_, err := tx.ExecContext(context.Background(), "UPDATE push_message SET reached = ?, done = ? WHERE id = ?", reached, done, id)
		return err
	})
}

// DropPushes implements store.Pushes.
func (s *Store) DropPushes(ctx context.Context, before int64, limit int) (n int, err error) {
	if some, err := exists(s.readDB, "SELECT EXISTS (SELECT 1 FROM push_message WHERE done = 1 AND created < ?)", before); err != nil || !some {
		return 0, err
	}
	err = s.do(ctx, func(tx *statements) error {
		result, err := tx.ExecContext(context.Background(), `DELETE FROM push_message WHERE id IN
			(SELECT id FROM push_message WHERE done = 1 AND created < ? ORDER BY created LIMIT ?)`, before, limit)
		if err != nil {
			return err
		}
		many, err := result.RowsAffected()
		n = int(many)
		return err
	})
	return n, err
}
