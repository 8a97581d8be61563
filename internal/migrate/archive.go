// Package migrate moves applications: between servers of ours as archives, and from Agora Chat by its REST API.
package migrate

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stoa-chat/stoa/internal/blob"
	"github.com/stoa-chat/stoa/internal/delivery"
	"github.com/stoa-chat/stoa/internal/file"
	"github.com/stoa-chat/stoa/internal/store"
	"github.com/stoa-chat/stoa/internal/store/tables"
)

// An archive is a gzipped tar file, written and read from beginning to end: stoa.json says what it is, rows/ has the rows
// in parts (JSON lines, of which the first names the table and its columns), files/ the bytes of files, each after the
// part that tells of it, and manifest.json at the end counts and proves what was there. docs/migration.md has the details.
const (
	format   = "stoa archive"
	version  = 1
	partSize = 1 << 20
	maxLine  = 64 << 20

	headName     = "stoa.json"
	rowsPrefix   = "rows/"
	filesPrefix  = "files/"
	manifestName = "manifest.json"
)

type head struct {
	Format  string    `json:"format"`
	Version int       `json:"version"`
	App     string    `json:"app"`
	Made    time.Time `json:"made"`
}

// Manifest tells what an archive holds.
type Manifest struct {
	Rows  map[string]int64 `json:"rows"` // by table
	Files int64            `json:"files"`
	Bytes int64            `json:"bytes"` // of the files
	// Missing are the keys of files that the server should have had and did not.
	Missing []string `json:"missing,omitempty"`
	// SHA256 is the digest of the names and contents of all that is in front of the manifest.
	SHA256 string `json:"sha256"`
}

// String tells of it in a line.
func (m Manifest) String() string {
	var parts []string
	for _, table := range slices.Sorted(maps.Keys(m.Rows)) {
		if table != tables.Numbers.Name {
			parts = append(parts, fmt.Sprintf("%s %d", table, m.Rows[table]))
		}
	}
	return fmt.Sprintf("%s; files %d (%d bytes), missing %d", strings.Join(parts, ", "), m.Files, m.Bytes, len(m.Missing))
}

// ErrArchive is wrapped by the errors of Import that are the archive's fault.
var ErrArchive = errors.New("bad archive")

func badArchive(what string, args ...any) error {
	return fmt.Errorf("%w: "+what, append([]any{ErrArchive}, args...)...)
}

// exporter writes an archive.
type exporter struct {
	ctx   context.Context
	tar   *tar.Writer
	sum   hash.Hash
	blobs blob.Store
	done  Manifest

	table tables.Table
	part  bytes.Buffer
	lines *json.Encoder // into part
	keys  []string      // of the files that part tells of
	parts int
}

// Export writes an application with all that belongs to it.
func Export(ctx context.Context, s store.Store, blobs blob.Store, app store.App, w io.Writer) (Manifest, error) {
	zipped := gzip.NewWriter(w)
	e := &exporter{ctx: ctx, tar: tar.NewWriter(zipped), sum: sha256.New(), blobs: blobs, done: Manifest{Rows: map[string]int64{}}}
	e.lines = json.NewEncoder(&e.part)
	e.lines.SetEscapeHTML(false)
	if err := e.object(headName, head{format, version, app.Org + "#" + app.Name, time.Now().UTC().Truncate(time.Second)}); err != nil {
		return e.done, err
	}
	if err := s.ExportApp(ctx, app.ID, e.row); err != nil {
		return e.done, err
	}
	if err := e.flush(); err != nil {
		return e.done, err
	}
	e.done.SHA256 = hex.EncodeToString(e.sum.Sum(nil))
	if err := e.object(manifestName, e.done); err != nil {
		return e.done, err
	}
	if err := errors.Join(e.tar.Close(), zipped.Close()); err != nil {
		return e.done, fmt.Errorf("write archive: %w", err)
	}
	return e.done, nil
}

// member writes a member of the archive.
func (e *exporter) member(name string, size int64, content io.Reader) error {
	if err := e.tar.WriteHeader(&tar.Header{Name: name, Size: size, Mode: 0o600, Format: tar.FormatPAX}); err != nil {
		return fmt.Errorf("write archive: %w", err)
	}
	io.WriteString(e.sum, name+"\n")
	if _, err := io.Copy(io.MultiWriter(e.tar, e.sum), content); err != nil {
		return fmt.Errorf("write %s into the archive: %w", name, err)
	}
	return nil
}

func (e *exporter) object(name string, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	return e.member(name, int64(len(text)), bytes.NewReader(text))
}

// row takes a row from the store.
func (e *exporter) row(row store.Row) error {
	if row.Table != e.table.Name || e.part.Len() > partSize {
		if err := e.flush(); err != nil {
			return err
		}
		e.table, _ = tables.Find(row.Table)
		if err := e.lines.Encode(partHead{row.Table, columnsOf(e.table)}); err != nil {
			return err
		}
	}
	e.done.Rows[row.Table]++
	value := func(name string) any { return row.Values[e.table.Column(name)] }
	switch row.Table {
	case "file":
		e.keys = append(e.keys, file.Blobs(store.File{Blob: value("blob").(string), State: store.FileState(value("state").(int64)),
			Thumb: store.ThumbState(value("thumb").(int64))})...)
	case "file_part":
		e.keys = append(e.keys, value("blob").(string))
	}
	return e.lines.Encode(row.Values)
}

// partHead is the first line of a part.
type partHead struct {
	Table   string   `json:"table"`
	Columns []string `json:"columns"`
}

func columnsOf(t tables.Table) (names []string) {
	for _, c := range t.Columns {
		names = append(names, c.Name)
	}
	return names
}

// flush writes the part, and the files that it tells of.
func (e *exporter) flush() error {
	if e.part.Len() > 0 {
		e.parts++
		name := fmt.Sprintf("%s%06d-%s.jsonl", rowsPrefix, e.parts, e.table.Name)
		if err := e.member(name, int64(e.part.Len()), &e.part); err != nil {
			return err
		}
	}
	for _, key := range e.keys {
		if err := e.file(key); err != nil {
			return err
		}
	}
	e.keys = e.keys[:0]
	return nil
}

func (e *exporter) file(key string) error {
	content, err := e.blobs.Open(e.ctx, key)
	if errors.Is(err, blob.ErrNotFound) {
		e.done.Missing = append(e.done.Missing, key)
		return nil
	} else if err != nil {
		return fmt.Errorf("read file: %w", err)
	}
	defer content.Close()
	e.done.Files++
	e.done.Bytes += content.Size()
	return e.member(filesPrefix+key, content.Size(), content)
}

// importer reads an archive.
type importer struct {
	ctx    context.Context
	zipped io.Reader
	tar    *tar.Reader
	sum    hash.Hash
	blobs  blob.Store
	done   Manifest
	newest int64    // message id
	put    []string // files
}

// Import makes the application of an archive, and returns its key. Nothing is kept if it fails: the errors are those of
// store.Archives, and ErrArchive.
func Import(ctx context.Context, s store.Store, blobs blob.Store, r io.Reader) (app string, m Manifest, err error) {
	zipped, err := gzip.NewReader(r)
	if err != nil {
		return "", m, badArchive("%w", err)
	}
	i := &importer{ctx: ctx, zipped: zipped, tar: tar.NewReader(zipped), sum: sha256.New(), blobs: blobs, done: Manifest{Rows: map[string]int64{}}}
	h, err := i.head()
	if err != nil {
		return "", m, err
	}
	if _, err = s.ImportApp(ctx, i.rows); err != nil {
		for _, key := range i.put {
			err = errors.Join(err, blobs.Delete(context.WithoutCancel(ctx), key))
		}
		return h.App, i.done, err
	}
	return h.App, i.done, i.reserve(s)
}

// reserve has the server make ids above those of the archive, whatever its clock says.
func (i *importer) reserve(s store.Store) error {
	now := time.Now().UnixMilli()
	lease, err := s.JoinCluster(i.ctx, now, max(now, delivery.TimeOf(i.newest)+1))
	if err == nil {
		err = s.LeaveCluster(i.ctx, lease)
	}
	if err != nil {
		return fmt.Errorf("reserve message ids: %w", err)
	}
	return nil
}

func (i *importer) head() (h head, err error) {
	member, err := i.tar.Next()
	if err != nil {
		return h, badArchive("%w", err)
	}
	if member.Name == headName {
		err = json.NewDecoder(i.content(member.Name)).Decode(&h)
	}
	switch {
	case err != nil:
		return h, badArchive("%w", err)
	case h.Format != format:
		return h, badArchive("it was not made by stoa export")
	case h.Version > version:
		return h, badArchive("it has version %d, and this server reads up to %d", h.Version, version)
	}
	return h, i.rest()
}

// content is that of the member which Next has found.
func (i *importer) content(name string) io.Reader {
	io.WriteString(i.sum, name+"\n")
	return io.TeeReader(i.tar, i.sum)
}

// rest reads what a decoder has left of a member.
func (i *importer) rest() error {
	if _, err := io.Copy(i.sum, i.tar); err != nil {
		return badArchive("%w", err)
	}
	return nil
}

// rows gives the rows of the archive, and puts its files on the way.
func (i *importer) rows(yield func(store.Row, error) bool) {
	stopped := errors.New("stopped")
	err := i.members(func(row store.Row) error {
		if !yield(row, nil) {
			return stopped
		}
		return nil
	})
	if err != nil && err != stopped {
		yield(store.Row{}, err)
	}
}

func (i *importer) members(give func(store.Row) error) error {
	for {
		member, err := i.tar.Next()
		if errors.Is(err, io.EOF) {
			return badArchive("its end is missing")
		} else if err != nil {
			return badArchive("%w", err)
		}
		digest := hex.EncodeToString(i.sum.Sum(nil))
		content := i.content(member.Name)
		key, isFile := strings.CutPrefix(member.Name, filesPrefix)
		switch {
		case member.Name == manifestName:
			return i.prove(content, digest)
		case strings.HasPrefix(member.Name, rowsPrefix):
			err = i.part(content, give)
		case isFile && fs.ValidPath(key):
			i.put = append(i.put, key)
			i.done.Files++
			i.done.Bytes += member.Size
			_, err = i.blobs.Put(i.ctx, key, content)
		default:
			err = badArchive("%q has no place in it", member.Name)
		}
		if err != nil {
			return err
		}
	}
}

// prove compares what was read with the manifest.
func (i *importer) prove(content io.Reader, digest string) error {
	var m Manifest
	if err := json.NewDecoder(content).Decode(&m); err != nil {
		return badArchive("%w", err)
	}
	_, err := i.tar.Next()
	if errors.Is(err, io.EOF) {
		_, err = io.Copy(io.Discard, i.zipped) // to its checksum
	} else if err == nil {
		err = errors.New("something follows the manifest")
	}
	if err != nil {
		return badArchive("%w", err)
	}
	if m.SHA256 != digest || !maps.Equal(m.Rows, i.done.Rows) || m.Files != i.done.Files {
		return badArchive("it does not hold what its manifest says")
	}
	i.done.Missing, i.done.SHA256 = m.Missing, m.SHA256
	return nil
}

// part reads rows of one table. Columns that an older version did not have are empty.
func (i *importer) part(content io.Reader, give func(store.Row) error) error {
	lines := bufio.NewScanner(content)
	lines.Buffer(nil, maxLine)
	var h partHead
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &h) != nil {
		return badArchive("a part has no head")
	}
	t, ok := tables.Find(h.Table)
	if !ok {
		return badArchive("this version knows no table %q", h.Table)
	}
	known := columnsOf(t)
	for _, name := range h.Columns {
		if !slices.Contains(known, name) {
			return badArchive("in this version table %s has no column %q", h.Table, name)
		}
	}
	for lines.Scan() {
		var raw []json.RawMessage
		if err := json.Unmarshal(lines.Bytes(), &raw); err != nil || len(raw) != len(h.Columns) {
			return badArchive("a row of %s cannot be read", h.Table)
		}
		row := store.Row{Table: h.Table, Values: make([]any, len(t.Columns))}
		for k, c := range t.Columns {
			var text json.RawMessage
			if at := slices.Index(h.Columns, c.Name); at >= 0 {
				text = raw[at]
			}
			var err error
			if row.Values[k], err = value(c.Type, text); err != nil {
				return badArchive("%s of %s: %w", c.Name, h.Table, err)
			}
		}
		i.done.Rows[h.Table]++
		if h.Table == "entry" {
			i.newest = max(i.newest, row.Values[t.Column("id")].(int64))
		}
		if err := give(row); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return badArchive("%w", err)
	}
	return nil
}

// value reads a value; without a text it is empty.
func value(kind tables.Type, text json.RawMessage) (any, error) {
	switch kind {
	case tables.Int:
		return decoded[int64](text)
	case tables.Bool:
		return decoded[bool](text)
	case tables.Text:
		return decoded[string](text)
	}
	return decoded[[]byte](text)
}

func decoded[T any](text json.RawMessage) (v T, err error) {
	if text != nil {
		err = json.Unmarshal(text, &v)
	}
	return v, err
}
