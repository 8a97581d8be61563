package storetest

import (
	"fmt"
	"math"
	"testing"

	"github.com/stoa-chat/stoa/internal/store"
)

// file creates a file in a state.
func (e *env) file(app store.App, owner store.User, place int64, state store.FileState) store.File {
	e.Helper()
	n := e.next()
	file, err := e.CreateFile(e.ctx, store.File{
		App: app.ID, UUID: fmt.Sprintf("file-%d", n), Owner: peer(owner), Place: place, State: state,
		Blob: fmt.Sprintf("blob-%d", n), Secret: []byte{1, 0, 2}, Restricted: true, Created: start, Since: start,
	})
	e.check("create file", err)
	return file
}

// finish makes a file ready.
func (e *env) finish(file store.File) store.File {
	e.Helper()
	file.Size, file.Type, file.Name = 5, "text/plain", "a.txt"
	e.check("finish file", e.FinishFile(e.ctx, file, plenty))
	file.State = store.FileReady
	return file
}

func (e *env) readFile(file store.File) store.File {
	e.Helper()
	got, err := e.File(e.ctx, file.App, file.UUID)
	e.check("read file", err)
	return got
}

func (e *env) part(file store.File, number int, blob string, size int64) string {
	e.Helper()
	replaced, err := e.PutFilePart(e.ctx, file.ID, store.FilePart{Number: number, Blob: blob, Size: size}, start+hour, 100)
	e.check("put file part", err)
	return replaced
}

func (e *env) parts(file store.File) []store.FilePart {
	e.Helper()
	parts, err := e.FileParts(e.ctx, file.ID)
	e.check("file parts", err)
	return parts
}

// uuids returns the names of files.
func uuids(files []store.File) (names []string) {
	for _, f := range files {
		names = append(names, f.UUID)
	}
	return names
}

var fileTests = []test{
	{"a file is read as it was written", func(t *testing.T, e *env) {
		app, other := e.app(), e.app()
		file := e.file(app, e.user(app, "alice"), 0, store.FileClosing)
		same(t, "file", e.readFile(file), file)
		_, err := e.File(e.ctx, other.ID, file.UUID)
		e.is("another app's file", err, store.ErrNotFound)
		_, err = e.File(e.ctx, app.ID, "nothing")
		e.is("no file", err, store.ErrNotFound)
		again := file
		again.Blob = "other"
		_, err = e.CreateFile(e.ctx, again)
		e.is("the same name again", err, store.ErrExists)

		file.Size, file.Type, file.Name, file.Width, file.Height = 1<<40, "image/png", "ü.png", 100, 200
		file.Thumb, file.Since = store.ThumbMade, store.SinceForever
		file.Secret, file.Restricted = []byte("another"), false
		e.check("finish", e.FinishFile(e.ctx, file, plenty))
		file.State = store.FileReady
		same(t, "finished file", e.readFile(file), file)
		e.is("finish twice", e.FinishFile(e.ctx, file, plenty), store.ErrNotFound)
		e.check("set thumb", e.SetThumb(e.ctx, file.ID, store.ThumbNone))
		same(t, "thumb", e.readFile(file).Thumb, store.ThumbNone)
	}},
	{"parts replace each other while the file is open", func(t *testing.T, e *env) {
		app := e.app()
		file := e.file(app, e.user(app, "alice"), 0, store.FileOpen)
		same(t, "first", e.part(file, 2, "b", 40), "")
		same(t, "second", e.part(file, 1, "a", 40), "")
		same(t, "retry", e.part(file, 2, "c", 60), "b")
		same(t, "parts", e.parts(file), []store.FilePart{{Number: 1, Blob: "a", Size: 40}, {Number: 2, Blob: "c", Size: 60}})
		same(t, "life begins again", e.readFile(file).Since, start+hour)
		_, err := e.PutFilePart(e.ctx, file.ID, store.FilePart{Number: 3, Blob: "d", Size: 1}, start, 100)
		e.is("too much", err, store.ErrFull)
		_, err = e.PutFilePart(e.ctx, file.ID, store.FilePart{Number: 1, Blob: "d", Size: 41}, start, 100)
		e.is("too much in place of less", err, store.ErrFull)
		same(t, "nothing came of it", e.readFile(file).Since, start+hour)

		e.is("finish what takes parts", e.FinishFile(e.ctx, file, plenty), store.ErrNotFound)
		e.check("close", e.MoveFile(e.ctx, file.ID, store.FileOpen, store.FileClosing))
		e.is("close twice", e.MoveFile(e.ctx, file.ID, store.FileOpen, store.FileClosing), store.ErrNotFound)
		_, err = e.PutFilePart(e.ctx, file.ID, store.FilePart{Number: 1, Blob: "d", Size: 1}, start, 100)
		e.is("a part too late", err, store.ErrNotFound)
		same(t, "parts stay", len(e.parts(file)), 2)
		e.finish(file)
		same(t, "parts go", e.parts(file), nil)

		dropped := e.file(app, e.user(app, "bob"), 0, store.FileOpen)
		e.part(dropped, 1, "a", 1)
		e.check("drop", e.MoveFile(e.ctx, dropped.ID, store.FileOpen, store.FileDropped))
		same(t, "parts of the dropped stay", len(e.parts(dropped)), 1)
		e.check("remove", e.MoveFile(e.ctx, dropped.ID, store.FileDropped, store.FileGone))
		same(t, "parts of the removed go", e.parts(dropped), nil)
		same(t, "state", e.readFile(dropped).State, store.FileGone)

		forgotten := e.file(app, e.user(app, "carol"), 0, store.FileOpen)
		e.part(forgotten, 1, "a", 1)
		for range 2 {
			e.check("forget", e.ForgetFile(e.ctx, forgotten.ID))
		}
		same(t, "parts of the forgotten go", e.parts(forgotten), nil)
		_, err = e.File(e.ctx, app.ID, forgotten.UUID)
		e.is("the forgotten", err, store.ErrNotFound)
	}},
	{"files are listed by state and age", func(t *testing.T, e *env) {
		app, other := e.app(), e.app()
		alice := e.user(app, "alice")
		var files []store.File
		for i := range 3 {
			file := e.file(app, alice, 0, store.FileClosing)
			file.Since = start + int64(2-i)
			files = append(files, e.finish(file))
		}
		e.file(app, alice, 0, store.FileOpen)
		e.finish(e.file(other, e.user(other, "alice"), 0, store.FileClosing))
		for _, tt := range []struct {
			before int64
			limit  int
			want   []string
		}{
			{start, plenty, nil},
			{start + 2, plenty, uuids([]store.File{files[2], files[1]})},
			{math.MaxInt64, 2, uuids([]store.File{files[2], files[1]})},
			{math.MaxInt64, plenty, uuids([]store.File{files[2], files[1], files[0]})},
		} {
			got, err := e.ListFiles(e.ctx, app.ID, store.FileReady, tt.before, tt.limit)
			e.check("list files", err)
			same(t, fmt.Sprintf("before %d", tt.before-start), uuids(got), tt.want)
		}
	}},
	{"the life of files is changed by their owner", func(t *testing.T, e *env) {
		app := e.app()
		alice, bob := e.user(app, "alice"), e.user(app, "bob")
		mine := []store.File{e.finish(e.file(app, alice, 0, store.FileClosing)), e.finish(e.file(app, alice, 0, store.FileClosing))}
		others := []store.File{e.finish(e.file(app, bob, 0, store.FileClosing)), e.file(app, alice, 0, store.FileClosing),
			e.finish(e.file(app, alice, 7, store.FileClosing))}
		all := append(uuids(mine), append(uuids(others), "nothing")...)
		forever := store.SinceForever
		n, err := e.SetFileSince(e.ctx, app.ID, alice.ID, all, &forever)
		e.check("set", err)
		same(t, "changed", n, 2)
		for _, f := range mine {
			same(t, "since", e.readFile(f).Since, forever)
		}
		for _, f := range others {
			same(t, "since of others", e.readFile(f).Since, start)
		}
		n, err = e.SetFileSince(e.ctx, app.ID, alice.ID, uuids(mine[:1]), nil)
		e.check("set back", err)
		same(t, "changed", n, 1)
		same(t, "since", e.readFile(mine[0]).Since, start)
	}},
	{"a place lists and drops what it shares", func(t *testing.T, e *env) {
		app := e.app()
		alice := e.user(app, "alice")
		var files []store.File
		for range 3 {
			files = append(files, e.finish(e.file(app, alice, 7, store.FileClosing)))
		}
		unfinished := e.file(app, alice, 7, store.FileClosing)
		e.is("one too many", e.FinishFile(e.ctx, unfinished, 3), store.ErrFull)
		e.finish(e.file(app, alice, 8, store.FileClosing))
		e.finish(e.file(app, alice, 0, store.FileClosing))
		list := func(place, below int64, limit int) []string {
			t.Helper()
			got, err := e.ListShared(e.ctx, place, below, limit)
			e.check("list shared", err)
			return uuids(got)
		}
		same(t, "page", list(7, 0, 2), uuids([]store.File{files[2], files[1]}))
		same(t, "next page", list(7, files[1].ID, 2), uuids(files[:1]))
		same(t, "no place", list(0, 0, plenty), nil)
		e.check("drop one", e.MoveFile(e.ctx, files[1].ID, store.FileReady, store.FileDropped))
		same(t, "without it", list(7, 0, plenty), uuids([]store.File{files[2], files[0]}))
		for _, want := range []int{1, 1, 0} {
			n, err := e.DropShared(e.ctx, 7, 1)
			e.check("drop shared", err)
			same(t, "dropped", n, want)
		}
		same(t, "nothing is left", list(7, 0, plenty), nil)
		same(t, "the other place stays", len(list(8, 0, plenty)), 1)
		n, err := e.DropShared(e.ctx, 0, plenty)
		e.check("drop no place", err)
		same(t, "dropped of no place", n, 0)
	}},
}
