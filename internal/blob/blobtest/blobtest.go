// Package blobtest is the suite that every implementation of blob.Store must pass.
package blobtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"runtime/metrics"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/stoa-chat/stoa/internal/blob"
)

// large is more than an implementation sends or holds at a time.
const large = 12<<20 + 7

// Run tests an implementation. Each call of open returns a store of its own that is empty.
func Run(t *testing.T, open func(t *testing.T) blob.Store) {
	for name, test := range map[string]func(*testing.T, blob.Store){
		"what is put is read":                             testPut,
		"a blob is read from any place on":                testSeek,
		"a blob is replaced":                              testReplace,
		"a blob is deleted once and again":                testDelete,
		"a folder of blobs is deleted":                    testDeleteAll,
		"what is not there is not found":                  testNotFound,
		"a put that fails leaves what was there":          testFailingReader,
		"a put whose context ends leaves what was there":  testCancelledPut,
		"many write and read at once":                     testConcurrency,
		"put and read take no more memory for more bytes": testMemory,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// Content gives n bytes that are the same for the same seed.
func Content(seed uint64, n int64) io.Reader {
	var key [32]byte
	key[0] = byte(seed)
	return io.LimitReader(rand.NewChaCha8(key), n)
}

func content(seed uint64, n int64) []byte {
	data, err := io.ReadAll(Content(seed, n))
	if err != nil {
		panic(err) // it does not fail
	}
	return data
}

func put(t *testing.T, s blob.Store, key string, data []byte) {
	t.Helper()
	size, err := s.Put(t.Context(), key, iotest.HalfReader(bytes.NewReader(data)))
	if err != nil || size != int64(len(data)) {
		t.Fatalf("put %s: %d bytes of %d, %v", key, size, len(data), err)
	}
}

func open(t *testing.T, s blob.Store, key string) blob.Reader {
	t.Helper()
	r, err := s.Open(t.Context(), key)
	if err != nil {
		t.Fatalf("open %s: %v", key, err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func holds(t *testing.T, s blob.Store, key string, want []byte) {
	t.Helper()
	r := open(t, s, key)
	if r.Size() != int64(len(want)) {
		t.Fatalf("%s has %d bytes, want %d", key, r.Size(), len(want))
	}
	got, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("read %s: %v", key, err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%s holds other bytes than were put (%d of %d)", key, len(got), len(want))
	}
}

func absent(t *testing.T, s blob.Store, key string) {
	t.Helper()
	if r, err := s.Open(t.Context(), key); !errors.Is(err, blob.ErrNotFound) {
		if err == nil {
			r.Close()
		}
		t.Fatalf("open %s: error is %v, want ErrNotFound", key, err)
	}
}

func testPut(t *testing.T, s blob.Store) {
	for i, n := range []int64{0, 1, 4096, 5 << 20, 5<<20 + 1, large} {
		key := fmt.Sprintf("1/ab/file-%d.x", i)
		data := content(uint64(i), n)
		put(t, s, key, data)
		holds(t, s, key, data)
	}
}

func testSeek(t *testing.T, s blob.Store) {
	data := content(1, 1<<20)
	put(t, s, "a", data)
	r := open(t, s, "a")
	for _, tt := range []struct {
		offset int64
		whence int
		at     int64
	}{{1000, io.SeekStart, 1000}, {-10, io.SeekEnd, 1<<20 - 10}, {0, io.SeekStart, 0}, {0, io.SeekEnd, 1 << 20}, {500_000, io.SeekStart, 500_000}} {
		at, err := r.Seek(tt.offset, tt.whence)
		if err != nil || at != tt.at {
			t.Fatalf("seek %d, %d: %d, %v", tt.offset, tt.whence, at, err)
		}
		want := data[at:min(at+100, int64(len(data)))]
		got := make([]byte, len(want))
		if _, err := io.ReadFull(r, got); err != nil {
			t.Fatalf("read at %d: %v", at, err)
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("at %d there are other bytes", at)
		}
	}
}

func testReplace(t *testing.T, s blob.Store) {
	put(t, s, "1/a", []byte("first, which is longer"))
	put(t, s, "1/b", []byte("beside it"))
	put(t, s, "1/a", []byte("second"))
	holds(t, s, "1/a", []byte("second"))
	holds(t, s, "1/b", []byte("beside it"))
}

func testDelete(t *testing.T, s blob.Store) {
	put(t, s, "1/a", []byte("a"))
	put(t, s, "1/b", []byte("b"))
	for range 2 {
		if err := s.Delete(t.Context(), "1/a"); err != nil {
			t.Fatal(err)
		}
		absent(t, s, "1/a")
	}
	holds(t, s, "1/b", []byte("b"))
}

func testDeleteAll(t *testing.T, s blob.Store) {
	for _, key := range []string{"1/a/x", "1/a/y", "1/a/deep/z", "1/ab/x", "1/b"} {
		put(t, s, key, []byte(key))
	}
	for range 2 {
		if err := s.DeleteAll(t.Context(), "1/a"); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"1/a/x", "1/a/y", "1/a/deep/z"} {
		absent(t, s, key)
	}
	for _, key := range []string{"1/ab/x", "1/b"} {
		holds(t, s, key, []byte(key))
	}
	put(t, s, "1/a/x", []byte("again"))
	holds(t, s, "1/a/x", []byte("again"))
}

func testNotFound(t *testing.T, s blob.Store) {
	absent(t, s, "nothing")
	absent(t, s, "no/such/folder")
	put(t, s, "1/a", []byte("a"))
	absent(t, s, "1")
}

// failing gives some content and then an error.
func failing(n int64, err error) io.Reader {
	return io.MultiReader(Content(1, n), iotest.ErrReader(err))
}

func testFailingReader(t *testing.T, s blob.Store) {
	broken := errors.New("broken")
	put(t, s, "1/old", []byte("old"))
	for _, n := range []int64{0, 100, large} {
		// A body that is cut off ends with io.ErrUnexpectedEOF, which must not be taken for its end.
		for _, cause := range []error{broken, io.ErrUnexpectedEOF} {
			for _, key := range []string{"1/old", "1/new"} {
				if _, err := s.Put(t.Context(), key, failing(n, cause)); !errors.Is(err, cause) {
					t.Errorf("put %s, broken after %d: error is %v, want %v", key, n, err, cause)
				}
			}
		}
	}
	holds(t, s, "1/old", []byte("old"))
	absent(t, s, "1/new")
}

func testCancelledPut(t *testing.T, s blob.Store) {
	put(t, s, "old", []byte("old"))
	for _, key := range []string{"old", "new"} {
		ctx, cancel := context.WithCancel(t.Context())
		body := io.MultiReader(Content(1, large), readerFunc(func([]byte) (int, error) { cancel(); return 0, nil }), Content(2, large))
		if _, err := s.Put(ctx, key, body); !errors.Is(err, context.Canceled) {
			t.Errorf("put %s: error is %v, want %v", key, err, context.Canceled)
		}
	}
	holds(t, s, "old", []byte("old"))
	absent(t, s, "new")
}

type readerFunc func([]byte) (int, error)

// Read implements io.Reader.
func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func testConcurrency(t *testing.T, s blob.Store) {
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			key := fmt.Sprintf("%d/mine", i%4)
			data := content(uint64(i%4), 100_000) // two write the same
			for range 5 {
				if _, err := s.Put(t.Context(), key, bytes.NewReader(data)); err != nil {
					t.Errorf("put: %v", err)
					return
				}
				r, err := s.Open(t.Context(), key)
				if err != nil {
					t.Errorf("open: %v", err)
					return
				}
				got, err := io.ReadAll(r)
				r.Close()
				if err != nil || !bytes.Equal(got, data) {
					t.Errorf("read %d bytes that are not those put: %v", len(got), err)
				}
			}
		})
	}
	all.Wait()
}

// testMemory writes and reads 64 MiB and watches how much is in use meanwhile. What is in use grows by the buffers of a
// part at most, however long the file is.
func testMemory(t *testing.T, s blob.Store) {
	const size, bound = 64 << 20, 40 << 20
	runtime.GC()
	before := inUse()
	most := before
	watch := func(p []byte) (int, error) {
		most = max(most, inUse())
		return len(p), nil
	}
	wrote, read := sha256.New(), sha256.New()
	if _, err := s.Put(t.Context(), "1/large", io.TeeReader(Content(3, size), io.MultiWriter(wrote, writerFunc(watch)))); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.MultiWriter(read, writerFunc(watch)), open(t, s, "1/large")); err != nil || n != size {
		t.Fatalf("read %d bytes: %v", n, err)
	}
	if !bytes.Equal(wrote.Sum(nil), read.Sum(nil)) {
		t.Error("other bytes were read than written")
	}
	if grown := most - before; most > before && grown > bound {
		t.Errorf("%d bytes more were in use for a file of %d, want at most %d", grown, size, bound)
	}
}

// inUse returns how many bytes of the heap are in use, garbage that was not collected yet among them.
func inUse() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
