package file

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/account/accounttest"
	"github.com/stoa-chat/stoa/internal/blob"
	"github.com/stoa-chat/stoa/internal/blob/blobtest"
	"github.com/stoa-chat/stoa/internal/clock"
	"github.com/stoa-chat/stoa/internal/store"
	"github.com/stoa-chat/stoa/internal/store/sqlitetest"
)

var errBroken = errors.New("broken on purpose")

// blobs is a blob store that fails when it is told to, and counts what is put.
type blobs struct {
	blob.Store
	broken atomic.Bool
	puts   atomic.Int64
	stuck  atomic.Pointer[string] // a folder that cannot be deleted
}

// DeleteAll implements blob.Store.
func (b *blobs) DeleteAll(ctx context.Context, folder string) error {
	if stuck := b.stuck.Load(); stuck != nil && *stuck == folder {
		return errBroken
	}
	return b.Store.DeleteAll(ctx, folder)
}

// Put implements blob.Store.
func (b *blobs) Put(ctx context.Context, key string, r io.Reader) (int64, error) {
	if b.broken.Load() {
		return 0, errBroken
	}
	b.puts.Add(1)
	return b.Store.Put(ctx, key, r)
}

// world is the service of a node with one application, in which is alice.
type world struct {
	testing.TB
	*Service
	accounts *account.Service
	clock    *clock.Clock
	blobs    *blobs
	root     string // of the blobs
	app      *account.App
	alice    store.User
}

func newWorld(t testing.TB) *world {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	s := sqlitetest.Open(t, log)
	n := accounttest.New(t, s, log)
	w := &world{TB: t, accounts: n.Accounts, clock: n.Clock, root: filepath.Join(t.TempDir(), "files"), app: n.App, alice: store.User{ID: 1, Name: "alice"}}
	folder, err := blob.OpenFolder(w.root)
	w.must(err)
	w.blobs = &blobs{Store: folder}
	w.Service = New(w.accounts, s, w.blobs, w.clock, log)
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// refused fails the test if the error is another.
func (w *world) refused(err error, code errcode.Code, sentinel error) {
	w.Helper()
	if got, _ := errcode.CodeOf(err); got != code || !errors.Is(err, sentinel) {
		w.Errorf("error is %v, want code %d, %v", err, code, sentinel)
	}
}

func (w *world) begin(o Options) *Upload {
	w.Helper()
	u, err := w.Begin(w.Context(), w.app, w.alice, o)
	w.must(err)
	return u
}

func (w *world) upload(o Options, name, text string) store.File {
	w.Helper()
	u := w.begin(o)
	defer u.Close(w.Context())
	w.must(u.Write(w.Context(), strings.NewReader(text), name, ""))
	f, secret, err := u.Finish(w.Context(), 10, 10)
	w.must(err)
	if !w.Opens(f, secret) || o.Restricted && w.Opens(f, secret+"x") {
		w.Errorf("the secret of %s does not open it alone", name)
	}
	return f
}

func (w *world) part(id string, number int, text string) error {
	w.Helper()
	p, err := w.BeginPart(w.Context(), w.app, w.alice, id)
	if err != nil {
		return err
	}
	defer p.Close(w.Context())
	if err := p.Write(w.Context(), strings.NewReader(text)); err != nil {
		return err
	}
	return p.Finish(w.Context(), number)
}

func (w *world) beginParts(parts ...string) string {
	w.Helper()
	id, err := w.BeginParts(w.Context(), w.app, w.alice)
	w.must(err)
	for i, text := range parts {
		w.must(w.part(id, i+1, text))
	}
	return id
}

func (w *world) finishParts(id string) (store.File, error) {
	f, _, err := w.FinishParts(w.Context(), w.app, w.alice, id, true, 0, 0)
	return f, err
}

func (w *world) read(f store.File) string {
	w.Helper()
	c, err := w.Open(w.Context(), f)
	w.must(err)
	defer c.Close()
	text, err := io.ReadAll(c)
	w.must(err)
	return string(text)
}

// stored returns how many blobs there are.
func (w *world) stored() (n int) {
	w.Helper()
	w.must(filepath.WalkDir(w.root, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			n++
		}
		return err
	}))
	return n
}

func (w *world) sweep(want int) {
	w.Helper()
	n, err := w.Sweep(w.Context())
	w.must(err)
	if n != want {
		w.Errorf("%d files were removed, want %d", n, want)
	}
}

func TestWhatIsBrokenOffIsRemoved(t *testing.T) {
	w := newWorld(t)
	kept := w.upload(Options{}, "a", "kept")
	u := w.begin(Options{})
	if err := u.Write(t.Context(), io.MultiReader(strings.NewReader("half"), &brokenReader{}), "a", ""); !errors.Is(err, errBroken) {
		t.Errorf("error is %v, want %v", err, errBroken)
	}
	u.Close(t.Context())
	u = w.begin(Options{})
	w.must(u.Write(t.Context(), strings.NewReader("whole"), "a", "")) // and never finished
	u.Close(t.Context())
	if w.stored() != 2 {
		t.Errorf("there are %d blobs, want 2", w.stored())
	}
	w.sweep(2)
	if w.stored() != 1 || w.read(kept) != "kept" {
		t.Errorf("there are %d blobs, want 1", w.stored())
	}
}

type brokenReader struct{}

// Read implements io.Reader.
func (*brokenReader) Read([]byte) (int, error) { return 0, errBroken }

func TestAbandonedUploadsAreSwept(t *testing.T) {
	w := newWorld(t)
	live, left := w.beginParts("a", "b"), w.beginParts("c")
	crashed := w.begin(Options{}) // the process ends before Close
	w.must(crashed.Write(t.Context(), strings.NewReader("x"), "", ""))
	w.clock.Advance(20 * time.Hour)
	w.must(w.part(live, 3, "d")) // a sign of life
	w.sweep(0)
	w.clock.Advance(5 * time.Hour)
	w.sweep(2)
	w.sweep(0)
	w.refused(w.part(left, 2, "x"), errcode.UploadFailed, ErrNoUpload)
	f, err := w.finishParts(live)
	w.must(err)
	if got := w.read(f); got != "abd" {
		t.Errorf("what lived on is %q", got)
	}
	if w.stored() != 1 {
		t.Errorf("there are %d blobs, want 1", w.stored())
	}
}

func TestExpiredFilesGoWithAllThatBelongsToThem(t *testing.T) {
	w := newWorld(t)
	pixels := bytes.Buffer{}
	w.must(png.Encode(&pixels, image.NewGray(image.Rect(0, 0, 50, 50))))
	f := w.upload(Options{}, "a.png", pixels.String())
	c, err := w.OpenThumbnail(t.Context(), f)
	w.must(err)
	c.Close()
	shared := w.upload(Options{Place: 7}, "b", "shared")
	if w.stored() != 3 {
		t.Fatalf("there are %d blobs, want 3", w.stored())
	}
	_, err = w.accounts.ChangeSettings(t.Context(), w.app, []byte(`{"file_lifetime_seconds":60}`))
	w.must(err)
	w.app = w.accounts.Current(w.app)
	w.clock.Advance(time.Hour)
	_, err = w.Find(t.Context(), w.app, f.UUID)
	w.refused(err, errcode.DownloadExpired, ErrExpired)
	w.sweep(1)
	if w.stored() != 1 || w.read(shared) != "shared" {
		t.Errorf("there are %d blobs, want that which is shared", w.stored())
	}
	_, err = w.Find(t.Context(), w.app, f.UUID)
	w.refused(err, errcode.DownloadExpired, ErrExpired)
	w.sweep(0)
}

func TestSlicesDoNotEndTheSweep(t *testing.T) {
	w := newWorld(t)
	for range 2*sweepSlice + 1 {
		w.begin(Options{}).Close(t.Context())
	}
	w.sweep(2*sweepSlice + 1)
}

func TestWhatCannotBeRemovedIsTriedAgain(t *testing.T) {
	w := newWorld(t)
	var stuck string
	for range 3 {
		u := w.begin(Options{})
		w.must(u.Write(t.Context(), strings.NewReader("x"), "", ""))
		u.Close(t.Context())
		stuck = cmp.Or(stuck, u.row.Blob)
	}
	w.blobs.stuck.Store(&stuck)
	if n, err := w.Sweep(t.Context()); n != 2 || !errors.Is(err, errBroken) {
		t.Errorf("%d files were removed, want 2; error is %v, want %v", n, err, errBroken)
	}
	w.blobs.stuck.Store(nil)
	w.sweep(1)
	if w.stored() != 0 {
		t.Errorf("there are %d blobs, want none", w.stored())
	}
}

// TestPartsAreFinishedOnce has many finish one upload at once, while others send its parts again.
func TestPartsAreFinishedOnce(t *testing.T) {
	w := newWorld(t)
	id := w.beginParts("one,", "two,", "three")
	var all sync.WaitGroup
	var finished atomic.Int64
	for i := range 8 {
		all.Go(func() {
			f, err := w.finishParts(id)
			if err == nil {
				finished.Add(1)
				if got := w.read(f); got != "one,two,three" {
					t.Errorf("the file is %q", got)
				}
			} else if !errors.Is(err, ErrNoUpload) {
				t.Errorf("finish: %v", err)
			}
		})
		all.Go(func() {
			if err := w.part(id, i%3+1, []string{"one,", "two,", "three"}[i%3]); err != nil && !errors.Is(err, ErrNoUpload) {
				t.Errorf("part: %v", err)
			}
		})
	}
	all.Wait()
	if finished.Load() != 1 {
		t.Errorf("it was finished %d times", finished.Load())
	}
	if w.stored() != 1 {
		t.Errorf("there are %d blobs, want 1", w.stored())
	}
}

func TestAFinishThatFailedIsTriedAgain(t *testing.T) {
	w := newWorld(t)
	id := w.beginParts("a", "b")
	w.blobs.broken.Store(true)
	if _, err := w.finishParts(id); !errors.Is(err, errBroken) {
		t.Fatalf("error is %v, want %v", err, errBroken)
	}
	w.blobs.broken.Store(false)
	f, err := w.finishParts(id)
	w.must(err)
	if got := w.read(f); got != "ab" {
		t.Errorf("the file is %q", got)
	}
}

func TestAPartThatIsSentAgainReplacesTheFirst(t *testing.T) {
	w := newWorld(t)
	id := w.beginParts("first", "b")
	w.must(w.part(id, 1, "second"))
	if w.stored() != 2 {
		t.Errorf("there are %d blobs, want 2", w.stored())
	}
	w.app.Settings.FileMaxBytes = 8
	w.refused(w.part(id, 3, "xx"), errcode.UploadFailed, ErrTooLarge)
	w.refused(w.part(id, 0, "x"), errcode.UploadFailed, ErrPart)
	if w.stored() != 2 {
		t.Errorf("parts that were refused have left %d blobs, want 2", w.stored())
	}
	w.must(w.AbortParts(t.Context(), w.app, w.alice, id))
	w.refused(w.AbortParts(t.Context(), w.app, w.alice, id), errcode.UploadFailed, ErrNoUpload)
	w.sweep(1)
	if w.stored() != 0 {
		t.Errorf("there are %d blobs, want none", w.stored())
	}
}

func TestAThumbnailIsKept(t *testing.T) {
	w := newWorld(t)
	pixels := bytes.Buffer{}
	w.must(png.Encode(&pixels, image.NewGray(image.Rect(0, 0, 50, 50))))
	f := w.upload(Options{}, "a.png", pixels.String())
	before := w.blobs.puts.Load()
	open := func() {
		f, err := w.Find(t.Context(), w.app, f.UUID)
		if err != nil {
			t.Error(err)
			return
		}
		c, err := w.OpenThumbnail(t.Context(), f)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		if img, _, err := image.Decode(c); err != nil || img.Bounds().Dx() != 10 {
			t.Errorf("the thumbnail: %v", err)
		}
	}
	var all sync.WaitGroup
	for range 6 {
		all.Go(open)
	}
	all.Wait()
	if n := w.blobs.puts.Load() - before; n < 1 || n > maxScaling {
		t.Errorf("it was made %d times", n)
	}
	// A store that fails is no reason to give up for ever.
	f = w.upload(Options{}, "a.png", pixels.String())
	w.blobs.broken.Store(true)
	if _, err := w.OpenThumbnail(t.Context(), f); !errors.Is(err, errBroken) {
		t.Errorf("error is %v, want %v", err, errBroken)
	}
	w.blobs.broken.Store(false)
	open()
}

func TestAPlaceSharesFiles(t *testing.T) {
	w := newWorld(t)
	var want []string
	for i := range 3 {
		want = append(want, w.upload(Options{Place: 7}, fmt.Sprintf("%d.txt", i), "x").UUID)
	}
	slices.Reverse(want)
	beside := w.upload(Options{Place: 8}, "a", "beside")
	list := func(below int64, limit int) (files []store.File) {
		t.Helper()
		files, err := w.Shared(t.Context(), 7, below, limit)
		w.must(err)
		return files
	}
	first := list(0, 2)
	if len(first) != 2 || first[0].UUID != want[0] || first[0].Owner.Name != "alice" || first[0].Name != "2.txt" {
		t.Errorf("the first page is %+v", first)
	}
	if rest := list(first[1].ID, 2); len(rest) != 1 || rest[0].UUID != want[2] {
		t.Errorf("the second page is %+v", rest)
	}
	_, err := w.Find(t.Context(), w.app, want[0]) // it came with no message
	w.refused(err, errcode.DownloadFailed, ErrNoFile)
	_, err = w.FindShared(t.Context(), w.app, 8, want[0])
	w.refused(err, errcode.DownloadFailed, ErrNoFile)
	f, err := w.FindShared(t.Context(), w.app, 7, want[0])
	w.must(err)
	w.must(w.Unshare(t.Context(), f))
	w.refused(w.Unshare(t.Context(), f), errcode.DownloadFailed, ErrNoFile)
	_, err = w.FindShared(t.Context(), w.app, 7, want[0])
	w.refused(err, errcode.DownloadFailed, ErrNoFile)
	w.must(w.DropPlace(t.Context(), 7))
	if left := list(0, 10); len(left) > 0 {
		t.Errorf("a place that is no more shares %+v", left)
	}
	w.sweep(3)
	if got := w.read(beside); got != "beside" || w.stored() != 1 {
		t.Errorf("another place's file is %q, beside %d blobs", got, w.stored())
	}
}

func TestOnlyTheOwnerAndTheBackendNeedNoSecret(t *testing.T) {
	w := newWorld(t)
	mine := w.upload(Options{Restricted: true}, "a", "x")
	w.alice = store.User{}
	backends := w.upload(Options{Restricted: true}, "a", "x")
	alice, bob := account.Principal{User: store.User{ID: 1}}, account.Principal{User: store.User{ID: 2}}
	w.must(w.MayRead(mine, alice))
	w.must(w.MayRead(mine, account.Principal{App: true}))
	w.must(w.MayRead(backends, account.Principal{App: true}))
	for _, err := range []error{w.MayRead(mine, bob), w.MayRead(backends, alice), w.MayRead(backends, account.Principal{})} {
		w.refused(err, errcode.DownloadNoPermission, ErrNoAccess)
	}
}

func TestNamesAndTypesAreCleaned(t *testing.T) {
	for in, want := range map[string]string{
		"a.txt": "a.txt", "a\x00b\n\r\tc\x7f\u009fd": "abcd", "a\xffb": "ab", strings.Repeat("ü", 300): strings.Repeat("ü", 127), "": "",
	} {
		if got := cleanName(in); got != want {
			t.Errorf("name %q: %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{
		"image/PNG; q=1": "image/png", "text/html\r\nX: y": "", "text": "", "": "", "a/" + strings.Repeat("b", 300): "", "ü/x": "", "*/*": "*/*",
	} {
		if got := cleanType(in); got != want {
			t.Errorf("type %q: %q, want %q", in, got, want)
		}
	}
}

// BenchmarkFiles moves files into a folder and back.
func BenchmarkFiles(b *testing.B) {
	for _, size := range []int64{10 << 10, 8 << 20} {
		w := newWorld(b)
		upload := func() store.File {
			u := w.begin(Options{})
			defer u.Close(b.Context())
			w.must(u.Write(b.Context(), blobtest.Content(1, size), "a", ""))
			f, _, err := u.Finish(b.Context(), 0, 0)
			w.must(err)
			return f
		}
		b.Run(fmt.Sprintf("up/%dKiB", size>>10), func(b *testing.B) {
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				upload()
			}
		})
		f := upload()
		b.Run(fmt.Sprintf("down/%dKiB", size>>10), func(b *testing.B) {
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				c, err := w.Open(b.Context(), f)
				w.must(err)
				if n, err := io.Copy(io.Discard, c); err != nil || n != size {
					b.Fatalf("read %d bytes: %v", n, err)
				}
				c.Close()
			}
		})
	}
}
