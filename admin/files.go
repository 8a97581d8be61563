package admin

import (
	"bytes"
	"context"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strconv"

	"github.com/stoa-chat/stoa/errcode"
)

// File is what is uploaded.
type File struct {
	Name    string // shown to who receives it
	Type    string // media type; empty: application/octet-stream
	Content io.ReaderAt
	Size    int64 // bytes
	// Restricted: only who knows the secret can read it, for instance as it comes with a message.
	Restricted bool
	// ThumbnailWidth and ThumbnailHeight bound the thumbnail of a picture, in pixels; 0 leaves them to the server.
	ThumbnailWidth, ThumbnailHeight int
}

// Attachment is an uploaded file. Image and its like make messages of it.
type Attachment struct {
	ID     string
	URL    string
	Secret string // asked for at the download of a restricted file
	Name   string
	Size   int64 // bytes
}

// Upload uploads a file. The error is 101 for one that is larger than the app's setting.
func (c *Client) Upload(ctx context.Context, f File) (Attachment, error) {
	header := http.Header{}
	if f.Restricted {
		header.Set("Restrict-Access", "true")
	}
	if f.ThumbnailWidth > 0 && f.ThumbnailHeight > 0 {
		header.Set("Thumbnail-Width", strconv.Itoa(f.ThumbnailWidth))
		header.Set("Thumbnail-Height", strconv.Itoa(f.ThumbnailHeight))
	}
	answer, err := one[struct {
		ID     string `json:"uuid"`
		Secret string `json:"share-secret"`
	}](ctx, c, call{op: "upload", method: http.MethodPost, path: []string{"chatfiles"}, header: header, in: f.form()})
	if err != nil {
		return Attachment{}, err
	}
	return Attachment{ID: answer.ID, URL: c.base.JoinPath("chatfiles", answer.ID).String(), Secret: answer.Secret, Name: f.Name, Size: f.Size}, nil
}

// form is the file as the server takes it. It is never in memory as a whole.
func (f File) form() form {
	var head bytes.Buffer
	w := multipart.NewWriter(&head)
	kind := f.Type
	if kind == "" {
		kind = "application/octet-stream"
	}
	// What is written to memory cannot fail.
	w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {multipart.FileContentDisposition("file", f.Name)}, "Content-Type": {kind}})
	opening := head.Len()
	w.Close()
	return form{kind: w.FormDataContentType(), content: func() io.Reader {
		return io.MultiReader(bytes.NewReader(head.Bytes()[:opening]), io.NewSectionReader(f.Content, 0, f.Size), bytes.NewReader(head.Bytes()[opening:]))
	}}
}

// Download writes a file to w. Secret is that of a restricted file, else it may be empty. The error is 603 or 17 for a
// wrong secret, and 17 for a file that does not exist or is no longer kept.
func (c *Client) Download(ctx context.Context, id, secret string, w io.Writer) error {
	header := http.Header{}
	if secret != "" {
		header.Set("Share-Secret", secret)
	}
	return c.do(ctx, call{op: "download", method: http.MethodGet, path: []string{"chatfiles", id}, header: header, to: w})
}

// Lifetime says how long files are kept.
type Lifetime string

// The lifetimes of files.
const (
	Forever  Lifetime = "forever"
	Standard Lifetime = "default" // as the app is set, from the upload on
	Refresh  Lifetime = "refresh" // as the app is set, from now on
)

// KeepFiles sets how long up to 100 files of a user are kept.
func (c *Client) KeepFiles(ctx context.Context, user string, lifetime Lifetime, ids ...string) error {
	if len(ids) == 0 {
		return fail(errcode.InvalidParameter, "keep files", "there is no id", nil)
	}
	return c.do(ctx, call{op: "keep files", method: http.MethodPost, path: []string{"users", user, "chatfiles", "lifetime"},
		in: map[string]any{"chatfile_ids": ids, "lifetime": lifetime}})
}
