package blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

const (
	// partSize is how much of a blob is sent at a time, and the least that the protocol allows. A Put holds up to two.
	partSize = 5 << 20
	// checkTime bounds the question at the start whether the bucket is there.
	checkTime = 30 * time.Second
)

// bucket is a Store in a bucket of an S3 store.
type bucket struct {
	client       *minio.Client
	name, prefix string
}

// openS3 opens the bucket that a URL names, see Open.
func openS3(ctx context.Context, u *url.URL) (Store, error) {
	query := u.Query()
	endpoint, secure := "s3.amazonaws.com", true
	if text := query.Get("endpoint"); text != "" {
		e, err := url.Parse(text)
		if err != nil || e.Host == "" || e.Scheme != "http" && e.Scheme != "https" || strings.Trim(e.Path, "/") != "" {
			return nil, errors.New("read URL of the file store: endpoint must be http(s)://HOST[:PORT]")
		}
		endpoint, secure = e.Host, e.Scheme == "https"
	}
	for name := range query {
		if name != "endpoint" && name != "region" {
			return nil, fmt.Errorf("read URL of the file store: unknown parameter %q", name)
		}
	}
	keys := credentials.NewEnvAWS()
	if secret, ok := u.User.Password(); ok {
		keys = credentials.NewStaticV4(u.User.Username(), secret, "")
	}
	client, err := minio.New(endpoint, &minio.Options{Creds: keys, Secure: secure, Region: query.Get("region")})
	if err != nil {
		return nil, fmt.Errorf("open S3 store: %w", err)
	}
	b := &bucket{client: client, name: u.Hostname(), prefix: strings.Trim(u.Path, "/")}
	if b.prefix != "" {
		b.prefix += "/"
	}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	if ok, err := client.BucketExists(ctx, b.name); err != nil {
		return nil, fmt.Errorf("ask S3 store at %s for bucket %s: %w", endpoint, b.name, err)
	} else if !ok {
		return nil, fmt.Errorf("the S3 store at %s has no bucket %s", endpoint, b.name)
	}
	return b, nil
}

// Put implements Store. What fits into one part goes up in one request.
func (b *bucket) Put(ctx context.Context, key string, r io.Reader) (int64, error) {
	r = honest{whileContext{ctx, r}}
	// The end of the context ends the reader, and thereby the upload, which then takes back what it has sent so far: that
	// needs a context that has not ended.
	ctx = context.WithoutCancel(ctx)
	var head bytes.Buffer
	size, err := io.CopyN(&head, r, partSize)
	if errors.Is(err, io.EOF) {
		r, err = &head, nil
	} else {
		r, size = io.MultiReader(&head, r), -1
	}
	if err != nil {
		return 0, fmt.Errorf("write blob: %w", err)
	}
	info, err := b.client.PutObject(ctx, b.name, b.prefix+key, r, size, minio.PutObjectOptions{PartSize: partSize})
	if err != nil {
		return 0, fmt.Errorf("write blob: %w", err)
	}
	return info.Size, nil
}

// honest is a reader whose errors the client does not take for the end: it would for io.ErrUnexpectedEOF.
type honest struct{ io.Reader }

// Read implements io.Reader.
func (r honest) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("read content: %w", err)
	}
	return n, err
}

// Open implements Store.
func (b *bucket) Open(ctx context.Context, key string) (Reader, error) {
	object, err := b.client.GetObject(ctx, b.name, b.prefix+key, minio.GetObjectOptions{})
	if err != nil {
		return nil, fmt.Errorf("open blob: %w", err)
	}
	info, err := object.Stat()
	if err != nil {
		object.Close()
		if minio.ToErrorResponse(err).StatusCode == http.StatusNotFound {
			return nil, ErrNotFound
		}
		return nil, fmt.Errorf("open blob: %w", err)
	}
	return bucketBlob{object, info.Size}, nil
}

// Delete implements Store.
func (b *bucket) Delete(ctx context.Context, key string) error {
	if err := b.client.RemoveObject(ctx, b.name, b.prefix+key, minio.RemoveObjectOptions{}); err != nil {
		return fmt.Errorf("delete blob: %w", err)
	}
	return nil
}

// DeleteAll implements Store.
func (b *bucket) DeleteAll(ctx context.Context, folder string) error {
	list := minio.ListObjectsOptions{Prefix: b.prefix + folder + "/", Recursive: true}
	for object := range b.client.ListObjectsIter(ctx, b.name, list) {
		if object.Err != nil {
			return fmt.Errorf("list blobs: %w", object.Err)
		}
		if err := b.client.RemoveObject(ctx, b.name, object.Key, minio.RemoveObjectOptions{}); err != nil {
			return fmt.Errorf("delete blob: %w", err)
		}
	}
	return nil
}

type bucketBlob struct {
	*minio.Object
	size int64
}

// Size implements Reader.
func (b bucketBlob) Size() int64 { return b.size }
