package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/stoa-chat/stoa/internal/store"
)

const fileColumns = "id, app, uuid, owner, owner_name, place, state, blob, secret, restricted, size, type, name, width, height, thumb, created, since"

func scanFile(row pgx.CollectableRow) (f store.File, err error) {
	err = row.Scan(&f.ID, &f.App, &f.UUID, &f.Owner.ID, &f.Owner.Name, &f.Place, &f.State, &f.Blob, &f.Secret, &f.Restricted,
		&f.Size, &f.Type, &f.Name, &f.Width, &f.Height, &f.Thumb, &f.Created, &f.Since)
	return f, err
}

// CreateFile implements store.Files.
func (s *Store) CreateFile(ctx context.Context, f store.File) (store.File, error) {
	err := s.pool.QueryRow(ctx, `
		INSERT INTO file (app, uuid, owner, owner_name, place, state, blob, secret, restricted, size, type, name, width, height, thumb, created, since)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) RETURNING id`,
		f.App, f.UUID, f.Owner.ID, f.Owner.Name, f.Place, f.State, f.Blob, some(f.Secret), f.Restricted,
		f.Size, f.Type, f.Name, f.Width, f.Height, f.Thumb, f.Created, f.Since).Scan(&f.ID)
	return f, wrap("create file", err)
}

// File implements store.Files.
func (s *Store) File(ctx context.Context, app int64, uuid string) (store.File, error) {
	rows, err := s.pool.Query(ctx, "SELECT "+fileColumns+" FROM file WHERE app = $1 AND uuid = $2", app, uuid)
	if err != nil {
		return store.File{}, wrap("read file", err)
	}
	f, err := pgx.CollectExactlyOneRow(rows, scanFile)
	return f, wrap("read file", err)
}

// PutFilePart implements store.Files. The file's row is held meanwhile, so that the sum of the parts is right.
func (s *Store) PutFilePart(ctx context.Context, file int64, part store.FilePart, now, limit int64) (replaced string, err error) {
	err = storeOrWrap("put file part", s.tx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, "UPDATE file SET since = $2 WHERE id = $1 AND state = $3", file, now, store.FileOpen)
		if err := affected(tag, err, store.ErrNotFound); err != nil {
			return err
		}
		if full, err := exists(ctx, tx, "SELECT coalesce(sum(size), 0) + $1 > $2 FROM file_part WHERE file = $3 AND number <> $4",
			part.Size, limit, file, part.Number); err != nil {
			return err
		} else if full {
			return store.ErrFull
		}
		err = tx.QueryRow(ctx, "SELECT blob FROM file_part WHERE file = $1 AND number = $2", file, part.Number).Scan(&replaced)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		_, err = tx.Exec(ctx, `
			INSERT INTO file_part (file, number, blob, size) VALUES ($1, $2, $3, $4)
			ON CONFLICT (file, number) DO UPDATE SET blob = $3, size = $4`, file, part.Number, part.Blob, part.Size)
		return err
	}))
	return replaced, err
}

// FileParts implements store.Files.
func (s *Store) FileParts(ctx context.Context, file int64) ([]store.FilePart, error) {
	rows, err := s.pool.Query(ctx, "SELECT number, blob, size FROM file_part WHERE file = $1 ORDER BY number", file)
	if err != nil {
		return nil, wrap("list file parts", err)
	}
	parts, err := pgx.CollectRows(rows, pgx.RowToStructByPos[store.FilePart])
	return parts, wrap("list file parts", err)
}

// MoveFile implements store.Files.
func (s *Store) MoveFile(ctx context.Context, file int64, from, to store.FileState) error {
	return wrap("move file", s.tx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, "UPDATE file SET state = $3 WHERE id = $1 AND state = $2", file, from, to)
		if err := affected(tag, err, store.ErrNotFound); err != nil || to != store.FileGone {
			return err
		}
		return dropParts(ctx, tx, file)
	}))
}

// ForgetFile implements store.Files.
func (s *Store) ForgetFile(ctx context.Context, file int64) error {
	return wrap("forget file", s.tx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "DELETE FROM file WHERE id = $1", file); err != nil {
			return err
		}
		return dropParts(ctx, tx, file)
	}))
}

func dropParts(ctx context.Context, tx pgx.Tx, file int64) error {
	_, err := tx.Exec(ctx, "DELETE FROM file_part WHERE file = $1", file)
	return err
}

// FinishFile implements store.Files. A place takes one file at a time, so that the limit holds.
func (s *Store) FinishFile(ctx context.Context, f store.File, limit int) error {
	return storeOrWrap("finish file", s.tx(ctx, func(tx pgx.Tx) error {
		if f.Place != 0 {
			if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", f.Place); err != nil {
				return err
			}
			if full, err := exists(ctx, tx, "SELECT count(*) >= $1 FROM file WHERE place = $2 AND place <> 0 AND state = $3",
				limit, f.Place, store.FileReady); err != nil {
				return err
			} else if full {
				return store.ErrFull
			}
		}
		tag, err := tx.Exec(ctx, `
			UPDATE file SET state = $1, secret = $2, restricted = $3, size = $4, type = $5, name = $6, width = $7, height = $8, thumb = $9, since = $10
			WHERE id = $11 AND state = $12`, store.FileReady, some(f.Secret), f.Restricted,
			f.Size, f.Type, f.Name, f.Width, f.Height, f.Thumb, f.Since, f.ID, store.FileClosing)
		if err := affected(tag, err, store.ErrNotFound); err != nil {
			return err
		}
		return dropParts(ctx, tx, f.ID)
	}))
}

// SetThumb implements store.Files.
func (s *Store) SetThumb(ctx context.Context, file int64, thumb store.ThumbState) error {
	_, err := s.pool.Exec(ctx, "UPDATE file SET thumb = $2 WHERE id = $1", file, thumb)
	return wrap("set thumbnail", err)
}

// SetFileSince implements store.Files.
func (s *Store) SetFileSince(ctx context.Context, app, owner int64, uuids []string, since *int64) (int, error) {
	tag, err := s.pool.Exec(ctx, `
		UPDATE file SET since = coalesce($4::bigint, created)
		WHERE app = $1 AND uuid = ANY($3) AND owner = $2 AND place = 0 AND state = $5`, app, owner, uuids, since, store.FileReady)
	return int(tag.RowsAffected()), wrap("set life of files", err)
}

// ListShared implements store.Files.
func (s *Store) ListShared(ctx context.Context, place, below int64, limit int) ([]store.File, error) {
	return s.files(ctx, "WHERE place = $1 AND place <> 0 AND ($2::bigint = 0 OR id < $2) AND state = $3 ORDER BY id DESC LIMIT $4",
		place, below, store.FileReady, limit)
}

// DropShared implements store.Files.
func (s *Store) DropShared(ctx context.Context, place int64, limit int) (int, error) {
	tag, err := s.pool.Exec(ctx, `
		UPDATE file SET state = $1
		WHERE id = ANY(ARRAY(SELECT id FROM file WHERE place = $2 AND place <> 0 AND state = $3 LIMIT $4))`,
		store.FileDropped, place, store.FileReady, limit)
	return int(tag.RowsAffected()), wrap("drop shared files", err)
}

// ListFiles implements store.Files.
func (s *Store) ListFiles(ctx context.Context, app int64, state store.FileState, before int64, limit int) ([]store.File, error) {
	return s.files(ctx, "WHERE app = $1 AND state = $2 AND since < $3 ORDER BY since LIMIT $4", app, state, before, limit)
}

func (s *Store) files(ctx context.Context, where string, args ...any) ([]store.File, error) {
	rows, err := s.pool.Query(ctx, "SELECT "+fileColumns+" FROM file "+where, args...)
	if err != nil {
		return nil, wrap("list files", err)
	}
	files, err := pgx.CollectRows(rows, scanFile)
	return files, wrap("list files", err)
}
