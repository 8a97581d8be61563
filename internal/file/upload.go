package file

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/blob"
	"github.com/stoa-chat/stoa/internal/picture"
	"github.com/stoa-chat/stoa/internal/store"
)

const (
	// unknownType is what a client says of a file that it does not know either.
	unknownType      = "application/octet-stream"
	sniffed          = 512     // bytes that tell a type
	maxSentThumbnail = 2 << 20 // bytes
)

// Options are what is known of a file before it is uploaded.
type Options struct {
	// Place is the number of the group or room that is to share the file; 0: it comes with a message. What is shared does
	// not expire.
	Place int64
	// Restricted: reading the file takes its share secret.
	Restricted bool
}

// Upload is a file on its way in. It belongs to one goroutine, which calls Write, maybe WriteThumbnail, Finish, and
// whatever came of these Close.
type Upload struct {
	service  *Service
	app      *account.App
	row      store.File
	finished bool
}

// Begin begins the upload of a whole file. The owner is zero for the app's backend. The error is code 505 (ErrOff).
func (s *Service) Begin(ctx context.Context, app *account.App, owner store.User, o Options) (*Upload, error) {
	if err := allowed(app); err != nil {
		return nil, err
	}
	row := s.newFile(app, owner, store.FileClosing)
	row.Place, row.Restricted = o.Place, o.Restricted
	row, err := s.store.CreateFile(ctx, row)
	if err != nil {
		return nil, err
	}
	return &Upload{service: s, app: app, row: row}, nil
}

func allowed(app *account.App) error {
	if !app.Settings.Files {
		return refuse(errcode.ServiceNotEnabled, ErrOff, "files are switched off for this app")
	}
	return nil
}

func tooLarge(limit int64) error {
	return refuse(errcode.UploadFailed, ErrTooLarge, "the file is larger than the limit of %d bytes", limit)
}

// limited reads up to a limit and fails beyond it.
type limited struct {
	io.Reader
	left, limit int64
}

func limit(r io.Reader, n int64) *limited { return &limited{r, n, n} }

// Read implements io.Reader.
func (l *limited) Read(p []byte) (int, error) {
	n, err := l.Reader.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, tooLarge(l.limit)
	}
	return n, err
}

// Write stores the content of the file, to the end of the reader. The name and the media type are the client's; a type
// that says nothing is told from the content. The errors are code 101 (ErrTooLarge, ErrEmpty) and those of the reader.
func (u *Upload) Write(ctx context.Context, r io.Reader, name, mediaType string) error {
	content := bufio.NewReaderSize(limit(r, u.app.Settings.FileMaxBytes), sniffed)
	head, err := content.Peek(sniffed)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if u.row.Type = cleanType(mediaType); u.row.Type == "" || u.row.Type == unknownType {
		u.row.Type = cleanType(http.DetectContentType(head))
	}
	u.row.Name = cleanName(name)
	if len(head) == 0 {
		return refuse(errcode.UploadFailed, ErrEmpty, "the file is empty")
	}
	u.row.Size, err = u.service.blobs.Put(ctx, contentOf(u.row), content)
	return err
}

// WriteThumbnail stores a picture that the client shows in place of the file, as of a video. The errors are code 101
// (ErrTooLarge, ErrPicture) and those of the reader.
func (u *Upload) WriteThumbnail(ctx context.Context, r io.Reader) error {
	data, err := io.ReadAll(limit(r, maxSentThumbnail))
	if err != nil {
		return err
	}
	done, err := u.service.mayScale(ctx)
	if err != nil {
		return err
	}
	defer done()
	err = u.service.scale(ctx, u.row, bytes.NewReader(data), 0, 0)
	if errors.Is(err, picture.ErrFormat) || errors.Is(err, picture.ErrTooLarge) {
		return refuse(errcode.UploadFailed, ErrPicture, "the thumbnail is not a picture that the server can read")
	} else if err != nil {
		return err
	}
	u.row.Thumb = store.ThumbMade
	return nil
}

// Finish makes the file readable and returns it with its share secret. Width and height are the box, in pixels, into
// which thumbnails of an image fit; 0: any. The error is code 101 (ErrPlaceFull).
func (u *Upload) Finish(ctx context.Context, width, height int) (store.File, string, error) {
	u.row.Width, u.row.Height = clampSide(width), clampSide(height)
	secret := newSecret()
	u.row.Secret, u.row.Since = hash(secret), u.service.now()
	if u.row.Place != 0 {
		u.row.Since = store.SinceForever
	}
	err := u.service.store.FinishFile(ctx, u.row, maxShared)
	if errors.Is(err, store.ErrFull) {
		return store.File{}, "", refuse(errcode.UploadFailed, ErrPlaceFull, "%d files are shared here, there is no room for more", maxShared)
	} else if err != nil {
		return store.File{}, "", fmt.Errorf("finish upload: %w", err)
	}
	u.finished = true
	u.row.State = store.FileReady
	return u.row, secret, nil
}

func clampSide(side int) int { return min(max(side, 0), picture.MaxBox) }

// Close ends the upload. What was not finished is removed by Sweep.
func (u *Upload) Close(ctx context.Context) {
	if u.finished {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	if err := u.service.store.MoveFile(ctx, u.row.ID, store.FileClosing, store.FileDropped); err != nil {
		u.service.log.Warn("drop upload", "error", err) // it is swept later
	}
}

// PartSize is how large the parts are into which clients shall cut files.
const PartSize = 5 << 20

const maxParts = 1000

// BeginParts begins an upload in parts and returns its name. The error is code 505 (ErrOff).
func (s *Service) BeginParts(ctx context.Context, app *account.App, owner store.User) (string, error) {
	if err := allowed(app); err != nil {
		return "", err
	}
	row, err := s.store.CreateFile(ctx, s.newFile(app, owner, store.FileOpen))
	return row.UUID, err
}

// upload finds an upload in parts of the owner. The error is code 101 (ErrNoUpload).
func (s *Service) upload(ctx context.Context, app *account.App, owner store.User, id string) (store.File, error) {
	f, err := s.find(ctx, app, id)
	if errors.Is(err, ErrNoFile) || err == nil && (f.State != store.FileOpen || f.Owner.ID != owner.ID) {
		return f, noUpload()
	}
	return f, err
}

func noUpload() error {
	return refuse(errcode.UploadFailed, ErrNoUpload, "there is no such upload, or it has ended")
}

// Part is a part of an upload on its way in. It belongs to one goroutine, which calls Write, Finish, and whatever came of
// these Close.
type Part struct {
	service *Service
	file    store.File
	limit   int64
	part    store.FilePart
	stale   string // the blob that is of no use any more
}

// BeginPart begins a part of an upload. The error is code 101 (ErrNoUpload).
func (s *Service) BeginPart(ctx context.Context, app *account.App, owner store.User, id string) (*Part, error) {
	f, err := s.upload(ctx, app, owner, id)
	if err != nil {
		return nil, err
	}
	p := &Part{service: s, file: f, limit: app.Settings.FileMaxBytes}
	// A part may come again while it is still on its way, so each has a blob of its own.
	p.part.Blob = partsOf(f) + "/" + randomName()
	return p, nil
}

// Write stores the content of the part. The errors are code 101 (ErrTooLarge) and those of the reader.
func (p *Part) Write(ctx context.Context, r io.Reader) (err error) {
	p.stale = p.part.Blob
	p.part.Size, err = p.service.blobs.Put(ctx, p.part.Blob, limit(r, p.limit))
	return err
}

// Finish takes the part into the file under its number, in place of an earlier one of the same. The errors are code 101
// (ErrPart, ErrNoUpload, ErrTooLarge).
func (p *Part) Finish(ctx context.Context, number int) error {
	if number < 1 || number > maxParts {
		return refuse(errcode.UploadFailed, ErrPart, "the number of a part must be 1 to %d", maxParts)
	}
	if p.stale == "" {
		return refuse(errcode.UploadFailed, ErrPart, "the part has no content")
	}
	p.part.Number = number
	replaced, err := p.service.store.PutFilePart(ctx, p.file.ID, p.part, p.service.now(), p.limit)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return noUpload()
	case errors.Is(err, store.ErrFull):
		return tooLarge(p.limit)
	case err != nil:
		return err
	}
	p.stale = replaced
	return nil
}

// Close removes what is of no use any more.
func (p *Part) Close(ctx context.Context) {
	if p.stale == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	if err := p.service.blobs.Delete(ctx, p.stale); err != nil {
		p.service.log.Warn("delete part", "error", err) // it goes with the upload
	}
}

// FinishParts makes a file of the parts of an upload, which must be all from 1 on. The rest is as in Finish. The errors are
// code 101 (ErrNoUpload, ErrPart, ErrTooLarge).
func (s *Service) FinishParts(
	ctx context.Context, app *account.App, owner store.User, id string, restricted bool, width, height int,
) (store.File, string, error) {
	f, err := s.upload(ctx, app, owner, id)
	if err != nil {
		return f, "", err
	}
	// From here on the upload takes no parts, and nobody else finishes it.
	if err := s.store.MoveFile(ctx, f.ID, store.FileOpen, store.FileClosing); errors.Is(err, store.ErrNotFound) {
		return f, "", noUpload()
	} else if err != nil {
		return f, "", err
	}
	parts, err := s.store.FileParts(ctx, f.ID)
	if err == nil {
		err = complete(parts)
	}
	u := &Upload{service: s, app: app, row: f}
	u.row.Restricted = restricted
	if err == nil {
		content := &partsReader{ctx: ctx, blobs: s.blobs, parts: parts}
		err = errors.Join(u.Write(ctx, content, "", ""), content.Close())
	}
	if err != nil {
		// The client may send what is missing and try again.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
		defer cancel()
		return f, "", errors.Join(err, s.store.MoveFile(ctx, f.ID, store.FileClosing, store.FileOpen))
	}
	defer u.Close(ctx)
	// Before the file is ready: what failed to be deleted later would stay for ever.
	if err := s.blobs.DeleteAll(ctx, partsOf(f)); err != nil {
		return f, "", err
	}
	return u.Finish(ctx, width, height)
}

// complete refuses parts of which one is missing.
func complete(parts []store.FilePart) error {
	for i, p := range parts {
		if p.Number != i+1 {
			return refuse(errcode.UploadFailed, ErrPart, "part %d is missing", i+1)
		}
	}
	return nil
}

// partsReader reads parts one after another.
type partsReader struct {
	ctx   context.Context
	blobs blob.Store
	parts []store.FilePart // that are not open yet
	open  blob.Reader
}

// Read implements io.Reader.
func (r *partsReader) Read(p []byte) (int, error) {
	for {
		if r.open == nil {
			if len(r.parts) == 0 {
				return 0, io.EOF
			}
			open, err := r.blobs.Open(r.ctx, r.parts[0].Blob)
			if err != nil {
				return 0, fmt.Errorf("open part %d: %w", r.parts[0].Number, err)
			}
			r.open, r.parts = open, r.parts[1:]
		}
		n, err := r.open.Read(p)
		if err != io.EOF {
			return n, err
		}
		if err := r.Close(); err != nil {
			return n, err
		}
		if n > 0 {
			return n, nil
		}
	}
}

// Close implements io.Closer.
func (r *partsReader) Close() error {
	if r.open == nil {
		return nil
	}
	open := r.open
	r.open = nil
	return open.Close()
}

// AbortParts ends an upload in parts. The error is code 101 (ErrNoUpload).
func (s *Service) AbortParts(ctx context.Context, app *account.App, owner store.User, id string) error {
	f, err := s.upload(ctx, app, owner, id)
	if err != nil {
		return err
	}
	err = s.store.MoveFile(ctx, f.ID, store.FileOpen, store.FileDropped)
	if errors.Is(err, store.ErrNotFound) {
		return noUpload()
	}
	return err
}
