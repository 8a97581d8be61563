package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/stoa-chat/stoa/internal/store"
)

const templateColumns = "name, title, content, created, updated"

func scanTemplate(row pgx.Row) (t store.PushTemplate, err error) {
	return t, row.Scan(&t.Name, &t.Title, &t.Content, &t.Created, &t.Updated)
}

// PutPushTemplate implements store.Pushes.
func (s *Store) PutPushTemplate(ctx context.Context, app int64, t store.PushTemplate, limit int) (stored store.PushTemplate, err error) {
	err = s.tx(ctx, func(tx pgx.Tx) error {
		stored, err = scanTemplate(tx.QueryRow(ctx, `
			INSERT INTO push_template (app, name, title, content, created, updated) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (app, name) DO UPDATE SET title = excluded.title, content = excluded.content, updated = excluded.updated
			RETURNING `+templateColumns, app, t.Name, t.Title, t.Content, t.Created, t.Updated))
		if err != nil {
			return err
		}
		if full, err := exists(ctx, tx, "SELECT count(*) > $2 FROM push_template WHERE app = $1", app, limit); err != nil {
			return err
		} else if full {
			return store.ErrFull
		}
		return nil
	})
	return stored, storeOrWrap("put push template", err)
}

// PushTemplates implements store.Pushes.
func (s *Store) PushTemplates(ctx context.Context, app int64, names []string) ([]store.PushTemplate, error) {
	rows, err := s.pool.Query(ctx, "SELECT "+templateColumns+" FROM push_template WHERE app = $1 AND name = ANY ($2) ORDER BY name", app, names)
	return collect[store.PushTemplate]("read push templates", rows, err)
}

// DropPushTemplate implements store.Pushes.
func (s *Store) DropPushTemplate(ctx context.Context, app int64, name string) (store.PushTemplate, error) {
	t, err := scanTemplate(s.pool.QueryRow(ctx, "DELETE FROM push_template WHERE app = $1 AND name = $2 RETURNING "+templateColumns, app, name))
	return t, wrap("drop push template", err)
}

const labelColumns = "id, name, description, users, created"

// CreatePushLabel implements store.Pushes.
func (s *Store) CreatePushLabel(ctx context.Context, app int64, l store.PushLabel, limit int) (store.PushLabel, error) {
	err := s.tx(ctx, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, "INSERT INTO push_label (app, name, description, created) VALUES ($1, $2, $3, $4) RETURNING id",
			app, l.Name, l.Description, l.Created).Scan(&l.ID)
		if err != nil {
			return err
		}
		if full, err := exists(ctx, tx, "SELECT count(*) > $2 FROM push_label WHERE app = $1", app, limit); err != nil {
			return err
		} else if full {
			return store.ErrFull
		}
		return nil
	})
	return l, storeOrWrap("create push label", err)
}

// PushLabel implements store.Pushes.
func (s *Store) PushLabel(ctx context.Context, app int64, name string) (l store.PushLabel, err error) {
	err = s.pool.QueryRow(ctx, "SELECT "+labelColumns+" FROM push_label WHERE app = $1 AND name = $2", app, name).
		Scan(&l.ID, &l.Name, &l.Description, &l.Users, &l.Created)
	return l, wrap("read push label", err)
}

// ListPushLabels implements store.Pushes.
func (s *Store) ListPushLabels(ctx context.Context, app, below int64, limit int) ([]store.PushLabel, error) {
	rows, err := s.pool.Query(ctx, "SELECT "+labelColumns+` FROM push_label
		WHERE app = $1 AND ($2 = 0 OR id < $2) ORDER BY id DESC LIMIT $3`, app, below, limit)
	return collect[store.PushLabel]("list push labels", rows, err)
}

// DropPushLabel implements store.Pushes.
func (s *Store) DropPushLabel(ctx context.Context, app int64, name string) error {
	return wrap("drop push label", s.tx(ctx, func(tx pgx.Tx) error {
		var id int64
		if err := tx.QueryRow(ctx, "DELETE FROM push_label WHERE app = $1 AND name = $2 RETURNING id", app, name).Scan(&id); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "DELETE FROM push_labelled WHERE label = $1", id)
		return err
	}))
}

// LabelUsers implements store.Pushes.
func (s *Store) LabelUsers(ctx context.Context, label int64, users []int64, now int64, limit int) error {
	return storeOrWrap("label users", s.tx(ctx, func(tx pgx.Tx) error {
		// The users first, as where they are deleted, then the label: who counts waits for others who do.
		if _, err := tx.Exec(ctx, "SELECT FROM users WHERE id = ANY ($1) ORDER BY id FOR KEY SHARE", users); err != nil {
			return err
		}
		var n int64
		if err := tx.QueryRow(ctx, "SELECT users FROM push_label WHERE id = $1 FOR NO KEY UPDATE", label).Scan(&n); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `
			INSERT INTO push_labelled (label, user_id, created) SELECT $1, id, $2 FROM users WHERE id = ANY ($3) ON CONFLICT DO NOTHING`, label, now, users)
		if err != nil {
			return err
		}
		if n+tag.RowsAffected() > int64(limit) {
			return store.ErrFull
		}
		_, err = tx.Exec(ctx, "UPDATE push_label SET users = $2 WHERE id = $1", label, n+tag.RowsAffected())
		return err
	}))
}

// UnlabelUsers implements store.Pushes.
func (s *Store) UnlabelUsers(ctx context.Context, label int64, users []int64) (had []int64, err error) {
	err = s.tx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT FROM push_label WHERE id = $1 FOR NO KEY UPDATE", label); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, "DELETE FROM push_labelled WHERE label = $1 AND user_id = ANY ($2) RETURNING user_id", label, users)
		if err != nil {
			return err
		}
		if had, err = pgx.CollectRows(rows, pgx.RowTo[int64]); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "UPDATE push_label SET users = users - $2 WHERE id = $1", label, len(had))
		return err
	})
	return had, wrap("unlabel users", err)
}

// unlabel takes all labels from a deleted user.
func unlabel(batch *pgx.Batch, user int64) {
	// In one order, or two users with the same labels who are deleted at once would wait for one another.
	batch.Queue("SELECT FROM push_label WHERE id IN (SELECT label FROM push_labelled WHERE user_id = $1) ORDER BY id FOR NO KEY UPDATE", user)
	batch.Queue("UPDATE push_label SET users = users - 1 WHERE id IN (SELECT label FROM push_labelled WHERE user_id = $1)", user)
	batch.Queue("DELETE FROM push_labelled WHERE user_id = $1", user)
}

// ListLabelled implements store.Pushes.
func (s *Store) ListLabelled(ctx context.Context, label, above int64, limit int) ([]store.Labelled, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT l.user_id, u.name, l.created FROM push_labelled l JOIN users u ON u.id = l.user_id
		WHERE l.label = $1 AND l.user_id > $2 ORDER BY l.user_id LIMIT $3`, label, above, limit)
	users, err := all(rows, err, func(row pgx.CollectableRow) (l store.Labelled, err error) {
		return l, row.Scan(&l.User.ID, &l.User.Name, &l.Created)
	})
	return users, wrap("list labelled users", err)
}

// PutPush implements store.Pushes.
func (s *Store) PutPush(ctx context.Context, p store.PushMessage, users []int64, limit int) (id int64, err error) {
	labels := p.Labels
	if labels == nil {
		labels = []int64{}
	}
	err = s.tx(ctx, func(tx pgx.Tx) error {
		if users == nil {
			if full, err := exists(ctx, tx, "SELECT count(*) >= $2 FROM push_message WHERE NOT done AND app = $1", p.App, limit); err != nil {
				return err
			} else if full {
				return store.ErrFull
			}
		}
		err := tx.QueryRow(ctx, "INSERT INTO push_message (app, content, labels, done, created) VALUES ($1, $2, $3, $4, $5) RETURNING id",
			p.App, some(p.Content), labels, users != nil, p.Created).Scan(&id)
		if err != nil {
			return err
		}
		return notifyUsers(ctx, tx, id, users)
	})
	return id, storeOrWrap("put push", err)
}

// notifyUsers makes notifications of a push for the devices of users.
func notifyUsers(ctx context.Context, tx pgx.Tx, push int64, users []int64) error {
	_, err := tx.Exec(ctx, `
		INSERT INTO notification (app, user_id, device, timeline, seq, created, attempts, due)
		SELECT p.app, t.user_id, t.device, 0, p.id, p.created, 0, p.created FROM push_message p JOIN push_token t ON t.app = p.app
		WHERE p.id = $1 AND t.user_id = ANY ($2) ON CONFLICT DO NOTHING`, push, users)
	return err
}

// PushMessage implements store.Pushes.
func (s *Store) PushMessage(ctx context.Context, id int64) (p store.PushMessage, err error) {
	err = s.pool.QueryRow(ctx, "SELECT id, app, content, labels, created FROM push_message WHERE id = $1", id).
		Scan(&p.ID, &p.App, &p.Content, &p.Labels, &p.Created)
	return p, wrap("read push", err)
}

// SpreadPush implements store.Pushes.
func (s *Store) SpreadPush(ctx context.Context, limit int) (found bool, err error) {
	err = s.tx(ctx, func(tx pgx.Tx) error {
		var id, app, reached int64
		var labels []int64
		err := tx.QueryRow(ctx, `
			SELECT id, app, labels, reached FROM push_message WHERE NOT done ORDER BY id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED`).Scan(&id, &app, &labels, &reached)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		} else if err != nil {
			return err
		}
		found = true
		// A slice is one of those who have the first label, so that a few among many are found soon.
		query, args := "SELECT DISTINCT user_id FROM push_token WHERE app = $1 AND user_id > $2 ORDER BY user_id LIMIT $3", []any{app, reached, limit}
		if len(labels) > 0 {
			query, args = "SELECT user_id FROM push_labelled WHERE label = $1 AND user_id > $2 ORDER BY user_id LIMIT $3", []any{labels[0], reached, limit}
		}
		rows, err := tx.Query(ctx, query, args...)
		users, err := all(rows, err, pgx.RowTo[int64])
		if err != nil {
			return err
		}
		done := len(users) < limit
		if len(users) > 0 {
			reached = users[len(users)-1]
		}
		for _, label := range labels[min(1, len(labels)):] {
			rows, err := tx.Query(ctx, "SELECT user_id FROM push_labelled WHERE label = $1 AND user_id = ANY ($2)", label, users)
			if users, err = all(rows, err, pgx.RowTo[int64]); err != nil {
				return err
			}
		}
		if err := notifyUsers(ctx, tx, id, users); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "UPDATE push_message SET reached = $2, done = $3 WHERE id = $1", id, reached, done)
		return err
	})
	return found, wrap("spread push", err)
}

// DropPushes implements store.Pushes.
func (s *Store) DropPushes(ctx context.Context, before int64, limit int) (int, error) {
	tag, err := s.pool.Exec(ctx, `
		DELETE FROM push_message WHERE id IN (SELECT id FROM push_message WHERE done AND created < $1 ORDER BY created LIMIT $2)`, before, limit)
	return int(tag.RowsAffected()), wrap("drop pushes", err)
}
