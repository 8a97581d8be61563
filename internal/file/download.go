package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/blob"
	"github.com/stoa-chat/stoa/internal/picture"
	"github.com/stoa-chat/stoa/internal/store"
)

const (
	// maxScaling is how many images are scaled at a time; each may take picture.MaxMemory.
	maxScaling = 2
	// An image above largeImage for which no box was asked has thumbnails of defaultBox; the thumbnail of a smaller one is
	// the image itself (docs/protocol/admin-rest.md §8).
	largeImage = 10 << 20
	defaultBox = 170
)

// Content is a file or a thumbnail that is open for reading. It belongs to one goroutine, which closes it.
type Content struct {
	blob.Reader
	Name     string // the client's, cleaned; may be empty
	Type     string // media type
	Modified time.Time
	Tag      string // is another one for other content
}

// Open opens a file that Find or FindShared returned. The error is code 200 (ErrNoFile): it has just been removed.
func (s *Service) Open(ctx context.Context, f store.File) (*Content, error) {
	r, err := s.blobs.Open(ctx, contentOf(f))
	if errors.Is(err, blob.ErrNotFound) {
		return nil, noFile()
	} else if err != nil {
		return nil, fmt.Errorf("open file: %w", err)
	}
	return &Content{Reader: r, Name: f.Name, Type: f.Type, Modified: time.UnixMilli(f.Created), Tag: f.UUID}, nil
}

// HasFreePicture reports whether the picture of a file is shown without its secret, if there is one: clients ask for those
// of videos by links that say no secret.
func (s *Service) HasFreePicture(f store.File) bool { return strings.HasPrefix(f.Type, "video/") }

// OpenThumbnail opens the picture of a file: that which its uploader sent, or for an image one that is made when it is
// asked for first. The error is code 200 (ErrNoThumbnail).
func (s *Service) OpenThumbnail(ctx context.Context, f store.File) (*Content, error) {
	image := strings.HasPrefix(f.Type, "image/")
	if image && f.Thumb == store.ThumbUntried && f.Width == 0 && f.Height == 0 && f.Size <= largeImage {
		return s.Open(ctx, f)
	}
	if image && f.Thumb == store.ThumbUntried {
		if err := s.makeThumbnail(ctx, &f); err != nil {
			return nil, err
		}
	}
	if f.Thumb != store.ThumbMade {
		return nil, refuse(errcode.DownloadFailed, ErrNoThumbnail, "the file has no thumbnail")
	}
	r, err := s.blobs.Open(ctx, thumbOf(f))
	if errors.Is(err, blob.ErrNotFound) {
		return nil, noFile()
	} else if err != nil {
		return nil, fmt.Errorf("open thumbnail: %w", err)
	}
	kind, err := sniff(r)
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("read thumbnail: %w", err)
	}
	return &Content{Reader: r, Type: kind, Modified: time.UnixMilli(f.Created), Tag: f.UUID + "-thumbnail"}, nil
}

// sniff tells the type of a blob by how it begins.
func sniff(r io.ReadSeeker) (string, error) {
	var head [sniffed]byte
	n, err := io.ReadFull(r, head[:])
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", err
	}
	_, err = r.Seek(0, io.SeekStart)
	return http.DetectContentType(head[:n]), err
}

// makeThumbnail makes the thumbnail of an image, or notes that there can be none.
func (s *Service) makeThumbnail(ctx context.Context, f *store.File) error {
	done, err := s.mayScale(ctx)
	if err != nil {
		return err
	}
	defer done()
	// Somebody else may have made it meanwhile.
	now, err := s.store.File(ctx, f.App, f.UUID)
	if err != nil || now.Thumb != store.ThumbUntried {
		f.Thumb = now.Thumb
		return err
	}
	r, err := s.blobs.Open(ctx, contentOf(*f))
	if errors.Is(err, blob.ErrNotFound) {
		return noFile()
	} else if err != nil {
		return fmt.Errorf("open file: %w", err)
	}
	defer r.Close()
	width, height := f.Width, f.Height
	if width == 0 && height == 0 {
		width, height = defaultBox, defaultBox
	}
	f.Thumb = store.ThumbMade
	err = s.scale(ctx, *f, r, width, height)
	if errors.Is(err, picture.ErrFormat) || errors.Is(err, picture.ErrTooLarge) {
		s.log.Info("no thumbnail", "file", f.UUID, "error", err)
		f.Thumb = store.ThumbNone
	} else if err != nil {
		return err
	}
	return s.store.SetThumb(ctx, f.ID, f.Thumb)
}

// mayScale waits until an image may be scaled, and returns what is to be called after that.
func (s *Service) mayScale(ctx context.Context) (done func(), err error) {
	select {
	case s.scaling <- struct{}{}:
		return func() { <-s.scaling }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// scale writes the thumbnail of an image as that of a file.
func (s *Service) scale(ctx context.Context, f store.File, image io.ReadSeeker, width, height int) error {
	var small bytes.Buffer
	if err := picture.Thumbnail(&small, image, width, height); err != nil {
		return err
	}
	if _, err := s.blobs.Put(ctx, thumbOf(f), &small); err != nil {
		return fmt.Errorf("store thumbnail: %w", err)
	}
	return nil
}
