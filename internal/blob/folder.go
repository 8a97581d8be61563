package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// abandonedAfter is how old a half-written blob is when it is taken for one that nobody writes any more.
const abandonedAfter = 24 * time.Hour

// folder is a Store in a folder, which several nodes may share.
type folder struct {
	root, half string // half: blobs that are being written
}

// OpenFolder opens the store in a folder, and makes the folder if it is missing. It removes what earlier processes have
// left half-written.
func OpenFolder(root string) (Store, error) {
	f := &folder{root: root, half: filepath.Join(root, "half")}
	if err := os.MkdirAll(f.half, 0o700); err != nil {
		return nil, fmt.Errorf("make folder for files: %w", err)
	}
	entries, err := os.ReadDir(f.half)
	if err != nil {
		return nil, fmt.Errorf("read folder for files: %w", err)
	}
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && time.Since(info.ModTime()) > abandonedAfter {
			os.Remove(filepath.Join(f.half, entry.Name())) // another node may have been faster
		}
	}
	return f, nil
}

func (f *folder) path(key string) (string, error) {
	if !filepath.IsLocal(key) || filepath.Clean(key) == "." {
		return "", fmt.Errorf("blob key %q leaves the folder", key)
	}
	return filepath.Join(f.root, "blobs", filepath.FromSlash(key)), nil
}

// Put implements Store.
func (f *folder) Put(ctx context.Context, key string, r io.Reader) (size int64, err error) {
	path, err := f.path(key)
	if err != nil {
		return 0, err
	}
	file, err := os.CreateTemp(f.half, "")
	if err != nil {
		return 0, fmt.Errorf("create blob: %w", err)
	}
	defer func() {
		if err != nil {
			file.Close()
			os.Remove(file.Name())
		}
	}()
	if size, err = io.Copy(file, whileContext{ctx, r}); err != nil {
		return 0, fmt.Errorf("write blob: %w", err)
	}
	if err := file.Sync(); err != nil {
		return 0, fmt.Errorf("sync blob: %w", err)
	}
	if err := file.Close(); err != nil {
		return 0, fmt.Errorf("close blob: %w", err)
	}
	parent := filepath.Dir(path)
	if err := makeDurable(parent); err != nil {
		return 0, fmt.Errorf("make folder of blob: %w", err)
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return 0, fmt.Errorf("name blob: %w", err)
	}
	if err := syncFolder(parent); err != nil {
		return 0, fmt.Errorf("sync folder of blob: %w", err)
	}
	return size, nil
}

// makeDurable makes a folder, with those above it, so that it is there after a crash.
func makeDurable(path string) error {
	err := os.Mkdir(path, 0o700)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeDurable(filepath.Dir(path)); err != nil {
			return err
		}
		err = os.Mkdir(path, 0o700)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	} else if err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

func syncFolder(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Open implements Store.
func (f *folder) Open(_ context.Context, key string) (Reader, error) {
	path, err := f.path(key)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	} else if err != nil {
		return nil, fmt.Errorf("open blob: %w", err)
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = ErrNotFound
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return folderBlob{file, info.Size()}, nil
}

// Delete implements Store.
func (f *folder) Delete(_ context.Context, key string) error {
	path, err := f.path(key)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete blob: %w", err)
	}
	return nil
}

// DeleteAll implements Store.
func (f *folder) DeleteAll(_ context.Context, folder string) error {
	path, err := f.path(folder)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(path); err != nil {
		return fmt.Errorf("delete folder of blobs: %w", err)
	}
	return nil
}

type folderBlob struct {
	*os.File
	size int64
}

// Size implements Reader.
func (b folderBlob) Size() int64 { return b.size }
