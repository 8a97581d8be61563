package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/stoa-chat/stoa/internal/store"
)

const fileColumns = "id, app, uuid, owner, owner_name, place, state, blob, secret, restricted, size, type, name, width, height, thumb, created, since"

func scanFile(r row) (f store.File, err error) {
	err = r.Scan(&f.ID, &f.App, &f.UUID, &f.Owner.ID, &f.Owner.Name, &f.Place, &f.State, &f.Blob, &f.Secret, &f.Restricted,
		&f.Size, &f.Type, &f.Name, &f.Width, &f.Height, &f.Thumb, &f.Created, &f.Since)
	return f, err
}

// CreateFile implements store.Files.
func (s *Store) CreateFile(ctx context.Context, f store.File) (store.File, error) {
	err := s.do(ctx, func(tx *statements) error {
		result, err := tx.ExecContext(context.Background(), `
			INSERT INTO file (app, uuid, owner, owner_name, place, state, blob, secret, restricted, size, type, name, width, height, thumb, created, since)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			f.App, f.UUID, f.Owner.ID, f.Owner.Name, f.Place, f.State, f.Blob, some(f.Secret), f.Restricted,
			f.Size, f.Type, f.Name, f.Width, f.Height, f.Thumb, f.Created, f.Since)
		if err != nil {
			return err
		}
		f.ID, err = result.LastInsertId()
		return err
	})
	return f, err
}

// some returns bytes that are not NULL for the engine.
func some(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// File implements store.Files.
func (s *Store) File(ctx context.Context, app int64, uuid string) (store.File, error) {
	f, err := scanFile(s.readDB.QueryRowContext(ctx, "SELECT "+fileColumns+" FROM file WHERE app = ? AND uuid = ?", app, uuid))
	return f, storeError(err)
}

// PutFilePart implements store.Files.
func (s *Store) PutFilePart(ctx context.Context, file int64, part store.FilePart, now, limit int64) (replaced string, err error) {
	err = s.do(ctx, func(tx *statements) error {
		ctx := context.Background()
		err := mustTouch(tx.ExecContext(ctx, "UPDATE file SET since = ? WHERE id = ? AND state = ?", now, file, store.FileOpen))
		if err != nil {
			return err
		}
		if full, err := exists(tx, "SELECT COALESCE(SUM(size), 0) + ? > ? FROM file_part WHERE file = ? AND number <> ?",
			part.Size, limit, file, part.Number); err != nil {
			return err
		} else if full {
			return store.ErrFull
		}
		err = tx.QueryRowContext(ctx, "SELECT blob FROM file_part WHERE file = ? AND number = ?", file, part.Number).Scan(&replaced)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		_, err = tx.ExecContext(ctx, "INSERT OR REPLACE INTO file_part (file, number, blob, size) VALUES (?, ?, ?, ?)",
			file, part.Number, part.Blob, part.Size)
		return err
	})
	return replaced, err
}

// FileParts implements store.Files.
func (s *Store) FileParts(ctx context.Context, file int64) ([]store.FilePart, error) {
	rows, err := s.readDB.QueryContext(ctx, "SELECT number, blob, size FROM file_part WHERE file = ? ORDER BY number", file)
	if err != nil {
		return nil, fmt.Errorf("list file parts: %w", err)
	}
	defer rows.Close()
	var parts []store.FilePart
	for rows.Next() {
		var p store.FilePart
		if err := rows.Scan(&p.Number, &p.Blob, &p.Size); err != nil {
			return nil, fmt.Errorf("read file part: %w", err)
		}
		parts = append(parts, p)
	}
	return parts, rows.Err()
}

// MoveFile implements store.Files.
func (s *Store) MoveFile(ctx context.Context, file int64, from, to store.FileState) error {
	return s.do(ctx, func(tx *statements) error {
		ctx := context.Background()
		err := mustTouch(tx.ExecContext(ctx, "UPDATE file SET state = ? WHERE id = ? AND state = ?", to, file, from))
		if err != nil || to != store.FileGone {
			return err
		}
		return dropParts(ctx, tx, file)
	})
}

// ForgetFile implements store.Files.
func (s *Store) ForgetFile(ctx context.Context, file int64) error {
	return s.do(ctx, func(tx *statements) error {
		if _, err := tx.ExecContext(context.Background(), "DELETE FROM file WHERE id = ?", file); err != nil {
			return err
		}
		return dropParts(context.Background(), tx, file)
	})
}

func dropParts(ctx context.Context, tx *statements, file int64) error {
	_, err := tx.ExecContext(ctx, "DELETE FROM file_part WHERE file = ?", file)
	return err
}

// FinishFile implements store.Files.
func (s *Store) FinishFile(ctx context.Context, f store.File, limit int) error {
	return s.do(ctx, func(tx *statements) error {
		ctx := context.Background()
		if f.Place != 0 {
			if full, err := exists(tx, "SELECT COUNT(*) >= ? FROM file WHERE place = ? AND state = ?", limit, f.Place, store.FileReady); err != nil {
				return err
			} else if full {
				return store.ErrFull
			}
		}
		err := mustTouch(tx.ExecContext(ctx, `
			UPDATE file SET state = ?, secret = ?, restricted = ?, size = ?, type = ?, name = ?, width = ?, height = ?, thumb = ?, since = ?
			WHERE id = ? AND state = ?`, store.FileReady, some(f.Secret), f.Restricted,
			f.Size, f.Type, f.Name, f.Width, f.Height, f.Thumb, f.Since, f.ID, store.FileClosing))
		if err != nil {
			return err
		}
		return dropParts(ctx, tx, f.ID)
	})
}

// SetThumb implements store.Files.
func (s *Store) SetThumb(ctx context.Context, file int64, thumb store.ThumbState) error {
	return s.do(ctx, func(tx *statements) error {
		_, err := tx.ExecContext(context.Background(), "UPDATE file SET thumb = ? WHERE id = ?", thumb, file)
		return err
	})
}

// SetFileSince implements store.Files.
func (s *Store) SetFileSince(ctx context.Context, app, owner int64, uuids []string, since *int64) (n int, err error) {
	names, err := json.Marshal(uuids)
	if err != nil {
		return 0, err
	}
	err = s.do(ctx, func(tx *statements) error {
		result, err := tx.ExecContext(context.Background(), `
			UPDATE file SET since = COALESCE(?, created)
			WHERE app = ? AND uuid IN (SELECT value FROM json_each(?)) AND owner = ? AND place = 0 AND state = ?`,
			since, app, string(names), owner, store.FileReady)
		n, err = count(result, err)
		return err
	})
	return n, err
}

func count(result sql.Result, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	return int(n), err
}

// ListShared implements store.Files.
func (s *Store) ListShared(ctx context.Context, place, below int64, limit int) ([]store.File, error) {
	return s.files(ctx, "WHERE place = ?1 AND place <> 0 AND (?2 = 0 OR id < ?2) AND state = ?3 ORDER BY id DESC LIMIT ?4",
		place, below, store.FileReady, limit)
}

// DropShared implements store.Files.
func (s *Store) DropShared(ctx context.Context, place int64, limit int) (n int, err error) {
	err = s.do(ctx, func(tx *statements) error {
		result, err := tx.ExecContext(context.Background(), `
			UPDATE file SET state = ?1 WHERE id IN (SELECT id FROM file WHERE place = ?2 AND place <> 0 AND state = ?3 LIMIT ?4)`,
			store.FileDropped, place, store.FileReady, limit)
		n, err = count(result, err)
		return err
	})
	return n, err
}

// ListFiles implements store.Files.
func (s *Store) ListFiles(ctx context.Context, app int64, state store.FileState, before int64, limit int) ([]store.File, error) {
	return s.files(ctx, "WHERE app = ? AND state = ? AND since < ? ORDER BY since LIMIT ?", app, state, before, limit)
}

func (s *Store) files(ctx context.Context, where string, args ...any) ([]store.File, error) {
	rows, err := s.readDB.QueryContext(ctx, "SELECT "+fileColumns+" FROM file "+where, args...)
	if err != nil {
		return nil, fmt.Errorf("list files: %w", err)
	}
	defer rows.Close()
	var files []store.File
	for rows.Next() {
		f, err := scanFile(rows)
		if err != nil {
			return nil, fmt.Errorf("read file: %w", err)
		}
		files = append(files, f)
	}
	return files, rows.Err()
}
