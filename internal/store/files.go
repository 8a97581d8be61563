package store

import "context"

// FileState is where a file is in its life.
type FileState uint8

const (
	FileOpen    FileState = 1 // takes parts
	FileClosing FileState = 2 // its content is being written
	FileReady   FileState = 3 // can be read
	FileDropped FileState = 4 // is to be removed; nobody is shown it any more
	FileGone    FileState = 5 // was removed; the row tells so
)

// ThumbState is what is known of a file's thumbnail.
type ThumbState uint8

const (
	ThumbUntried ThumbState = 0 // nobody has asked yet
	ThumbMade    ThumbState = 1 // there is a blob
	ThumbNone    ThumbState = 2 // it cannot be made
)

// SinceForever as File.Since keeps a file for ever.
const SinceForever int64 = 1 << 62

// File is an uploaded file. Its content, its thumbnail and its parts are blobs, whose keys begin with Blob.
type File struct {
	ID         int64 // newer files have higher numbers
	App        int64
	UUID       string // the name that clients know; unique in the app
	Owner      Peer   // who uploaded it; zero: the app's backend
	Place      int64  // the group or room that shares it; 0: it came with a message
	State      FileState
	Blob       string
	Secret     []byte // hash of the share secret
	Restricted bool   // reading it takes the secret
	Size       int64  // bytes
	Type       string // media type, as the client or the content says
	Name       string
	Width      int // the box of the thumbnail, pixels; 0: none was asked for
	Height     int
	Thumb      ThumbState
	Created    int64
	Since      int64 // the time from which its life is counted: as a rule Created; of an upload that of the last part
}

// FilePart is a part of an upload.
type FilePart struct {
	Number int // from 1
	Blob   string
	Size   int64
}

// Files keeps what is known of uploaded files. The bytes are elsewhere.
type Files interface {
	// CreateFile notes a file before its content is written, and returns it with its number.
	CreateFile(ctx context.Context, file File) (File, error)
	// File returns a file of an app by its UUID, in any state. ErrNotFound.
	File(ctx context.Context, app int64, uuid string) (File, error)
	// PutFilePart notes a part of an open file, which lives from now on again, and returns the blob of the part that it
	// replaces; empty: of none. ErrNotFound if the file is not open. ErrFull if all parts together would be larger than
	// limit.
	PutFilePart(ctx context.Context, file int64, part FilePart, now, limit int64) (replaced string, err error)
	// FileParts returns the parts of a file by number.
	FileParts(ctx context.Context, file int64) ([]FilePart, error)
	// MoveFile takes a file from one state to another; ErrNotFound if it is not in the first. What is FileGone loses its
	// parts.
	MoveFile(ctx context.Context, file int64, from, to FileState) error
	// ForgetFile removes what is known of a file; it is no error if that is nothing.
	ForgetFile(ctx context.Context, file int64) error
	// FinishFile makes a closing file ready, with all that is given from Secret on. It loses its parts. ErrNotFound if it is
	// not closing. ErrFull if it is shared in a place that has limit files.
	FinishFile(ctx context.Context, file File, limit int) error
	// SetThumb notes what became of a file's thumbnail.
	SetThumb(ctx context.Context, file int64, thumb ThumbState) error
	// SetFileSince changes from when the life of a user's ready files is counted, and returns how many there were. Without
	// since each begins at its creation.
	SetFileSince(ctx context.Context, app, owner int64, uuids []string, since *int64) (int, error)
	// ListShared returns up to limit ready files of a place, newest first, from the file below the given number on; 0: the
	// newest.
	ListShared(ctx context.Context, place, below int64, limit int) ([]File, error)
	// DropShared drops up to limit ready files of a place and returns how many there were.
	DropShared(ctx context.Context, place int64, limit int) (int, error)
	// ListFiles returns up to limit files of an app in a state whose life began before the given time, oldest first.
	ListFiles(ctx context.Context, app int64, state FileState, before int64, limit int) ([]File, error)
}
