package admin

import (
	"context"
	"io"
	"iter"
	"net/http"
	"time"

	"github.com/stoa-chat/stoa/internal/restclient"
)

// SharedFile is a file of a group or chatroom.
type SharedFile struct {
	ID, Name string
	Owner    string // who shared it
	Size     int64  // bytes
	Created  time.Time
}

type sharedJSON struct {
	ID      string            `json:"file_id"`
	Name    string            `json:"file_name"`
	Owner   string            `json:"file_owner"`
	Size    int64             `json:"file_size"`
	Created restclient.Millis `json:"created"`
}

func (f sharedJSON) file() SharedFile {
	return SharedFile{f.ID, f.Name, f.Owner, f.Size, f.Created.Time}
}

// SharedFiles returns the shared files.
func (p place) SharedFiles(ctx context.Context) iter.Seq2[SharedFile, error] {
	rows := numbered[sharedJSON](ctx, p.c, call{op: "list shared files", method: http.MethodGet, path: p.path("share_files")}, "pagenum", "pagesize", 100)
	return mapped(rows, sharedJSON.file)
}

// ShareFile shares a file with the members.
func (p place) ShareFile(ctx context.Context, f File) (SharedFile, error) {
	row, err := data[sharedJSON](ctx, p.c, call{op: "share file", method: http.MethodPost, path: p.path("share_files"), in: f.form()})
	return row.file(), err
}

// DownloadFile writes a shared file to w.
func (p place) DownloadFile(ctx context.Context, id string, w io.Writer) error {
	return p.c.do(ctx, call{op: "download shared file", method: http.MethodGet, path: p.path("share_files", id), to: w})
}

// DeleteFile removes a shared file.
func (p place) DeleteFile(ctx context.Context, id string) error {
	return p.do(ctx, "delete shared file", http.MethodDelete, nil, "share_files", id)
}
