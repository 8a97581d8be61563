// Package file keeps what users upload: the attachments of messages, and the files that groups and rooms share. It decides
// who may read a file, how large it may be and how long it lives, and makes thumbnails. Its refusals are *errcode.Error;
// where an edge has to tell apart situations that share a code, one of the package's sentinels is wrapped.
//
// The store has a row for each file before its first byte is written, so that whatever breaks off is found by Sweep.
package file

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/blob"
	"github.com/stoa-chat/stoa/internal/clock"
	"github.com/stoa-chat/stoa/internal/store"
)

const (
	maxName   = 255         // bytes of a file's name
	maxShared = 10_000      // files that a group or room shares
	endTime   = time.Minute // for what must be done although the request has ended
)

// Situations that edges word in their own ways. They are wrapped in an *errcode.Error.
var (
	ErrOff         = errors.New("files are switched off")
	ErrTooLarge    = errors.New("file too large")
	ErrEmpty       = errors.New("file is empty")
	ErrPlaceFull   = errors.New("the group or room shares too many files")
	ErrNoUpload    = errors.New("no such upload")
	ErrPicture     = errors.New("not a picture")
	ErrPart        = errors.New("bad part")
	ErrNoFile      = errors.New("no such file")
	ErrExpired     = errors.New("file has expired")
	ErrNoAccess    = errors.New("no access to the file")
	ErrNoThumbnail = errors.New("no thumbnail")
	ErrLifetime    = errors.New("bad lifetime")
	ErrTooMany     = errors.New("too many files")
)

// Service is the file service of one node.
type Service struct {
	accounts *account.Service
	store    store.Files
	blobs    blob.Store
	clock    *clock.Clock
	log      *slog.Logger
	scaling  chan struct{} // holds a place for each image that is being scaled
}

// New makes the service of a node.
func New(accounts *account.Service, s store.Files, b blob.Store, c *clock.Clock, log *slog.Logger) *Service {
	return &Service{accounts: accounts, store: s, blobs: b, clock: c, log: log, scaling: make(chan struct{}, maxScaling)}
}

func (s *Service) now() int64 { return s.clock.Now().UnixMilli() }

func refuse(code errcode.Code, sentinel error, format string, args ...any) error {
	e := errcode.Newf(code, format, args...)
	e.Op, e.Err = "file", sentinel
	return e
}

// Where the blobs of a file are, below its row's Blob.
func contentOf(f store.File) string { return f.Blob + "/content" }
func thumbOf(f store.File) string   { return f.Blob + "/thumb" }
func partsOf(f store.File) string   { return f.Blob + "/parts" }

// Blobs returns the keys of the blobs that a file has, but for those of its parts, which have rows of their own.
func Blobs(f store.File) (keys []string) {
	if f.State == store.FileReady {
		keys = append(keys, contentOf(f))
	}
	if f.Thumb == store.ThumbMade {
		keys = append(keys, thumbOf(f))
	}
	return keys
}

// newFile is the row of a file that is about to be uploaded.
func (s *Service) newFile(app *account.App, owner store.User, state store.FileState) store.File {
	name := randomName()
	return store.File{
		App: app.ID, UUID: uuid.NewString(), Owner: store.Peer{ID: owner.ID, Name: owner.Name}, State: state,
		Blob: fmt.Sprintf("%d/%s/%s", app.ID, name[:2], name), Created: s.now(), Since: s.now(),
	}
}

// randomName is a name for a blob.
func randomName() string { return hex.EncodeToString(random(16)) }

// newSecret makes a share secret. It needs no escaping in URLs.
func newSecret() string { return base64.RawURLEncoding.EncodeToString(random(24)) }

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return b
}

// hash is how a share secret is kept. It has too many bits to be guessed, so that a fast one will do.
func hash(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// cleanName makes a client's file name one that can be stored and shown.
func cleanName(name string) string {
	name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return -1
		}
		return r
	}, name)
	for len(name) > maxName {
		_, size := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-size]
	}
	return name
}

// cleanType returns a media type without its parameters; empty: it is none.
func cleanType(text string) string {
	kind, _, err := mime.ParseMediaType(text)
	if err != nil || len(kind) > maxName || !strings.Contains(kind, "/") || strings.IndexFunc(kind, notPlain) >= 0 {
		return ""
	}
	return kind
}

func notPlain(r rune) bool { return r <= ' ' || r > '~' }

// Find returns a file that came with a message, whoever may read it. The errors are code 200 (ErrNoFile) and 223
// (ErrExpired).
func (s *Service) Find(ctx context.Context, app *account.App, id string) (store.File, error) {
	f, err := s.find(ctx, app, id)
	if err != nil {
		return f, err
	}
	life := app.Settings.FileLifetimeSeconds * 1000
	switch {
	case f.Place != 0:
		return f, noFile()
	case f.State == store.FileGone, f.State == store.FileReady && life > 0 && f.Since+life <= s.now():
		return f, refuse(errcode.DownloadExpired, ErrExpired, "the file is no longer kept")
	case f.State != store.FileReady:
		return f, noFile()
	}
	return f, nil
}

func (s *Service) find(ctx context.Context, app *account.App, id string) (store.File, error) {
	f, err := s.store.File(ctx, app.ID, cleanID(id))
	if errors.Is(err, store.ErrNotFound) {
		return f, noFile()
	}
	return f, err
}

// cleanID makes what a client takes for the name of a file one that can be looked up.
func cleanID(id string) string {
	if uuid.Validate(id) != nil {
		return ""
	}
	return id
}

func noFile() error {
	return refuse(errcode.DownloadFailed, ErrNoFile, "the server has no such file")
}

// Opens reports whether a share secret opens a file. One that is not restricted needs none: whoever knows its address may
// read it.
func (s *Service) Opens(f store.File, secret string) bool {
	return !f.Restricted || subtle.ConstantTimeCompare(f.Secret, hash(secret)) == 1
}

// MayRead allows the owner of a file and the app's backend to read it without its secret. The error is code 222
// (ErrNoAccess).
func (s *Service) MayRead(f store.File, who account.Principal) error {
	if who.App || f.Owner.ID != 0 && who.User.ID == f.Owner.ID {
		return nil
	}
	return NoAccess()
}

// NoAccess is the refusal of who shows neither the secret of a file nor a token.
func NoAccess() error {
	return refuse(errcode.DownloadNoPermission, ErrNoAccess, "the file may not be read without its share secret")
}

// Shared returns up to limit files that a group or room shares, newest first, from the file below the given number on; 0:
// the newest.
func (s *Service) Shared(ctx context.Context, place, below int64, limit int) ([]store.File, error) {
	return s.store.ListShared(ctx, place, below, limit)
}

// FindShared returns a file that a group or room shares. The error is code 200 (ErrNoFile).
func (s *Service) FindShared(ctx context.Context, app *account.App, place int64, id string) (store.File, error) {
	f, err := s.find(ctx, app, id)
	if err == nil && (f.Place != place || f.State != store.FileReady) {
		err = noFile()
	}
	return f, err
}

// Unshare removes a file that FindShared returned. The error is code 200 (ErrNoFile): somebody else was faster.
func (s *Service) Unshare(ctx context.Context, f store.File) error {
	err := s.store.MoveFile(ctx, f.ID, store.FileReady, store.FileDropped)
	if errors.Is(err, store.ErrNotFound) {
		return noFile()
	}
	return err
}

// DropPlace removes all files of a group or room that is no more.
func (s *Service) DropPlace(ctx context.Context, place int64) error {
	for {
		if n, err := s.store.DropShared(ctx, place, sweepSlice); err != nil || n < sweepSlice {
			return err
		}
	}
}

// Lifetimes of SetLife.
const (
	LifeForever = "forever" // it does not expire
	LifeDefault = "default" // as the app's settings say, from its upload on
	LifeRefresh = "refresh" // the same, from now on
)

const maxLifeIDs = 100

// SetLife changes how long files of a user live; what is none of them is passed over. The errors are code -3 (ErrLifetime,
// ErrTooMany).
func (s *Service) SetLife(ctx context.Context, app *account.App, owner store.User, ids []string, lifetime string) error {
	if len(ids) > maxLifeIDs {
		return refuse(errcode.InvalidParameter, ErrTooMany, "there are %d files, the limit is %d", len(ids), maxLifeIDs)
	}
	var since *int64
	switch lifetime {
	case LifeForever:
		forever := store.SinceForever
		since = &forever
	case LifeRefresh:
		now := s.now()
		since = &now
	case LifeDefault:
	default:
		return refuse(errcode.InvalidParameter, ErrLifetime, "lifetime must be either 'forever' or 'default' or 'refresh'")
	}
	for i, id := range ids {
		ids[i] = cleanID(id)
	}
	_, err := s.store.SetFileSince(ctx, app.ID, owner.ID, ids, since)
	return err
}
