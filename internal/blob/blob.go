// Package blob keeps the bytes of files: in a folder, or in a store that speaks the protocol of Amazon S3. What the bytes
// are, whose they are and how long they live is known elsewhere (store.Files).
package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
)

// ErrNotFound is returned when there is no blob of that key.
var ErrNotFound = errors.New("blob not found")

// Store keeps blobs. All methods are safe for concurrent use, also by several nodes.
//
// Keys are paths of letters, digits and "-", "." within segments that "/" parts. A blob is there whole or not at all.
type Store interface {
	// Put keeps what the reader gives, to its end, in place of what the key held before, and returns how many bytes that
	// were. When it returns they are durable. An error of the reader or the end of the context leaves what was there. The
	// memory that it takes does not depend on the size.
	Put(ctx context.Context, key string, r io.Reader) (size int64, err error)
	// Open reads a blob; the context holds for all of the reading. ErrNotFound. A blob that is replaced or deleted while
	// it is read may break off with an error.
	Open(ctx context.Context, key string) (Reader, error)
	// Delete removes a blob; it is no error if there is none.
	Delete(ctx context.Context, key string) error
	// DeleteAll removes every blob whose key begins with folder and "/"; it is no error if there is none.
	DeleteAll(ctx context.Context, folder string) error
}

// Reader reads a blob from any place on. It belongs to one goroutine.
type Reader interface {
	io.ReadSeekCloser
	// Size is the number of bytes in the blob.
	Size() int64
}

// Open opens the store that a URL names: file:///PATH, or s3://[KEY:SECRET@]BUCKET[/PREFIX][?endpoint=URL&region=NAME]. It
// fails if the store cannot be used. Without a key in the URL an S3 store is accessed with AWS_ACCESS_KEY_ID,
// AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN of the environment.
func Open(ctx context.Context, address string) (Store, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("read URL of the file store: it is not a URL") // the cause would show the secret
	}
	switch u.Scheme {
	case "file":
		return OpenFolder(filepath.FromSlash(u.Path))
	case "s3":
		return openS3(ctx, u)
	}
	return nil, fmt.Errorf("read URL of the file store: the scheme is %q, want file or s3", u.Scheme)
}

// whileContext is a reader that ends with an error when the context does.
type whileContext struct {
	ctx context.Context
	io.Reader
}

// Read implements io.Reader.
func (r whileContext) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}
