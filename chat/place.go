package chat

import (
	"context"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/restclient"
)

// place is what groups and chatrooms have in common. Its methods are those of both.
type place struct {
	c    *Client
	kind string // chatgroups or chatrooms
	id   string
}

// ID returns the id of the group or chatroom.
func (p place) ID() string { return p.id }

// Role is what a member may do.
type Role string

// The roles in groups and chatrooms.
const (
	RoleMember Role = "member"
	RoleAdmin  Role = "admin"
	RoleOwner  Role = "owner"
)

// Member is a member of a group or chatroom.
type Member struct {
	User   string
	Role   Role
	Joined time.Time
}

// Mute is a member who may not send.
type Mute struct {
	User  string
	Until time.Time // zero: for ever
}

// SharedFile is a file that a group or chatroom keeps for its members.
type SharedFile struct {
	ID, Name string
	Owner    string // user id
	Size     int64  // bytes
	Created  time.Time
}

// get reads what is below the place.
func (p place) get(ctx context.Context, op string, out any, query url.Values, path ...string) error {
	return p.c.get(ctx, op, out, query, append([]string{p.kind, p.id}, path...)...)
}

// change makes a call below the place.
func (p place) change(ctx context.Context, op, method string, in, out any, path ...string) error {
	return p.c.change(ctx, op, method, in, out, append([]string{p.kind, p.id}, path...)...)
}

// changeUsers makes a call about users whose ids stand in the path.
func (p place) changeUsers(ctx context.Context, op, method string, users []string, path ...string) error {
	joined, err := restclient.Join(op, users)
	if err != nil {
		return err
	}
	return p.changeEach(ctx, op, method, nil, append(path, joined)...)
}

// changeNamed makes a call about users whose ids stand in the body.
func (p place) changeNamed(ctx context.Context, op string, users []string, path ...string) error {
	if _, err := restclient.Join(op, users); err != nil {
		return err
	}
	return p.changeEach(ctx, op, http.MethodPost, map[string]any{"usernames": users}, path...)
}

// changeEach makes a call that may work for some users and not for others.
func (p place) changeEach(ctx context.Context, op, method string, in any, path ...string) error {
	var answer struct {
		Data restclient.Outcomes `json:"data"`
	}
	if err := p.change(ctx, op, method, in, &answer, path...); err != nil {
		return err
	}
	return asError(answer.Data.Refused(op))
}

// users reads a list of user ids.
func (p place) users(ctx context.Context, op string, path ...string) ([]string, error) {
	var answer struct {
		Data []string `json:"data"`
	}
	err := p.get(ctx, op, &answer, nil, path...)
	return answer.Data, err
}

// Members returns the members, the owner and the admins first.
func (p place) Members(ctx context.Context) iter.Seq2[Member, error] {
	return restclient.Pages("", func(cursor string) ([]Member, string, error) {
		var answer struct {
			Data   []memberJSON `json:"data"`
			Cursor string       `json:"cursor"`
		}
		query := url.Values{"limit": {"50"}, "joined_time": {"true"}, "cursor": {cursor}}
		err := p.get(ctx, "members", &answer, query, "users")
		return membersOf(answer.Data), answer.Cursor, err
	})
}

// memberJSON has one of its names.
type memberJSON struct {
	Owner  string            `json:"owner"`
	Admin  string            `json:"admin"`
	Member string            `json:"member"`
	Joined restclient.Millis `json:"joined_time"`
}

func membersOf(rows []memberJSON) []Member {
	var members []Member
	for _, row := range rows {
		m := Member{User: row.Member, Role: RoleMember, Joined: row.Joined.Time}
		if row.Admin != "" {
			m.User, m.Role = row.Admin, RoleAdmin
		}
		if row.Owner != "" {
			m.User, m.Role = row.Owner, RoleOwner
		}
		members = append(members, m)
	}
	return members
}

// Remove removes members.
func (p place) Remove(ctx context.Context, users ...string) error {
	return p.changeUsers(ctx, "remove members", http.MethodDelete, users, "users")
}

// Admins returns the admins; the owner is none of them.
func (p place) Admins(ctx context.Context) ([]string, error) { return p.users(ctx, "admins", "admin") }

// SetAdmin makes a member an admin.
func (p place) SetAdmin(ctx context.Context, user string) error {
	return p.change(ctx, "set admin", http.MethodPost, map[string]string{"newadmin": user}, nil, "admin")
}

// RemoveAdmin makes an admin a member again.
func (p place) RemoveAdmin(ctx context.Context, user string) error {
	return p.change(ctx, "remove admin", http.MethodDelete, nil, nil, "admin", user)
}

// Forever is a duration without end.
const Forever time.Duration = -1

// Mute keeps members from sending for a time of at least a millisecond, or [Forever]. A time that is over is -3.
func (p place) Mute(ctx context.Context, d time.Duration, users ...string) error {
	const op = "mute members"
	if _, err := restclient.Join(op, users); err != nil {
		return err
	}
	ms := int64(-1)
	if d != Forever {
		if ms = d.Milliseconds(); ms < 1 {
			return fail(errcode.InvalidParameter, op, "the time is shorter than a millisecond", nil)
		}
	}
	return p.changeEach(ctx, op, http.MethodPost, map[string]any{"usernames": users, "mute_duration": ms}, "mute")
}

// Unmute lets muted members send again.
func (p place) Unmute(ctx context.Context, users ...string) error {
	return p.changeUsers(ctx, "unmute members", http.MethodDelete, users, "mute")
}

// Muted returns the members who are muted.
func (p place) Muted(ctx context.Context) ([]Mute, error) {
	var answer struct {
		Data []struct {
			User   string            `json:"user"`
			Expire restclient.Millis `json:"expire"`
		} `json:"data"`
	}
	if err := p.get(ctx, "muted members", &answer, nil, "mute"); err != nil {
		return nil, err
	}
	muted := make([]Mute, len(answer.Data))
	for i, row := range answer.Data {
		muted[i] = Mute{User: row.User, Until: row.Expire.Time}
	}
	return muted, nil
}

// IsMuted reports whether the user who is logged in is muted.
func (p place) IsMuted(ctx context.Context) (bool, error) {
	var answer struct {
		Data bool `json:"data"`
	}
	err := p.c.get(ctx, "is muted", &answer, nil, "sdk", p.kind, p.id, "mute", me)
	return answer.Data, err
}

// MuteAll keeps everyone from sending but the owner, the admins and the allow list.
func (p place) MuteAll(ctx context.Context) error {
	return p.change(ctx, "mute all", http.MethodPost, nil, nil, "ban")
}

// UnmuteAll ends what MuteAll began. Members who are muted themselves stay so.
func (p place) UnmuteAll(ctx context.Context) error {
	return p.change(ctx, "unmute all", http.MethodDelete, nil, nil, "ban")
}

// Block removes members and keeps them from coming again.
func (p place) Block(ctx context.Context, users ...string) error {
	return p.changeNamed(ctx, "block members", users, "blocks", "users")
}

// Unblock lets blocked users come again.
func (p place) Unblock(ctx context.Context, users ...string) error {
	return p.changeUsers(ctx, "unblock members", http.MethodDelete, users, "blocks", "users")
}

// Blocked returns the users who are blocked.
func (p place) Blocked(ctx context.Context) ([]string, error) {
	return p.users(ctx, "blocked members", "blocks", "users")
}

// Allow puts members on the allow list: they may send while all are muted.
func (p place) Allow(ctx context.Context, users ...string) error {
	return p.changeNamed(ctx, "allow members", users, "white", "users")
}

// Disallow takes members off the allow list.
func (p place) Disallow(ctx context.Context, users ...string) error {
	return p.changeUsers(ctx, "disallow members", http.MethodDelete, users, "white", "users")
}

// Allowed returns who is on the allow list.
func (p place) Allowed(ctx context.Context) ([]string, error) {
	return p.users(ctx, "allowed members", "white", "users")
}

// IsAllowed reports whether a user is on the allow list.
func (p place) IsAllowed(ctx context.Context, user string) (bool, error) {
	var answer struct {
		Data struct {
			White bool `json:"white"`
		} `json:"data"`
	}
	err := p.get(ctx, "is allowed", &answer, nil, "white", "users", user)
	return answer.Data.White, err
}

// Announcement returns the announcement; it is empty where there is none.
func (p place) Announcement(ctx context.Context) (string, error) {
	var answer struct {
		Data struct {
			Announcement string `json:"announcement"`
		} `json:"data"`
	}
	err := p.get(ctx, "announcement", &answer, nil, "announcement")
	return answer.Data.Announcement, err
}

// SetAnnouncement changes the announcement, up to 512 characters; an empty one removes it.
func (p place) SetAnnouncement(ctx context.Context, text string) error {
	return p.change(ctx, "set announcement", http.MethodPost, map[string]string{"announcement": text}, nil, "announcement")
}

// SharedFiles returns the shared files, newest first.
func (p place) SharedFiles(ctx context.Context) iter.Seq2[SharedFile, error] {
	const size = 50
	return restclient.NumberedPages(1, size, func(page int) ([]SharedFile, error) {
		var answer struct {
			Data []sharedFileJSON `json:"data"`
		}
		query := url.Values{"pagenum": {strconv.Itoa(page)}, "pagesize": {strconv.Itoa(size)}}
		if err := p.get(ctx, "shared files", &answer, query, "share_files"); err != nil {
			return nil, err
		}
		files := make([]SharedFile, len(answer.Data))
		for i, row := range answer.Data {
			files[i] = row.file()
		}
		return files, nil
	})
}

// sharedFileJSON is a shared file in the server's answers.
type sharedFileJSON struct {
	ID      string             `json:"file_id"`
	Name    string             `json:"file_name"`
	Owner   string             `json:"file_owner"`
	Size    restclient.Integer `json:"file_size"`
	Created restclient.Millis  `json:"created"`
}

func (f sharedFileJSON) file() SharedFile {
	return SharedFile{ID: f.ID, Name: f.Name, Owner: f.Owner, Size: int64(f.Size), Created: f.Created.Time}
}

// UploadFile shares a file. It returns the codes of [Client.Upload], and -3 for an empty id.
func (p place) UploadFile(ctx context.Context, file File) (SharedFile, error) {
	const op = "share file"
	if err := p.c.uploadable(op, file); err != nil {
		return SharedFile{}, err
	}
	if err := restclient.CheckPath(op, []string{p.id}); err != nil {
		return SharedFile{}, err
	}
	var answer struct {
		Data sharedFileJSON `json:"data"`
	}
	_, device, _ := p.c.credentials()
	body := newMultipart("file", file, 0, file.Size, p.c.newMeter(file), nil)
	query := url.Values{"resource": {device}}
	if err := p.c.sendMultipart(ctx, op, http.MethodPost, query, body, &answer, p.kind, p.id, "share_files"); err != nil {
		return SharedFile{}, err
	}
	if answer.Data.ID == "" {
		return SharedFile{}, fail(errcode.UploadFailed, op, "the server's answer names no file", nil)
	}
	return answer.Data.file(), nil
}

// DownloadFile writes a shared file to w. It returns the codes of [Client.Download], and -3 for an empty id.
func (p place) DownloadFile(ctx context.Context, fileID string, w io.Writer) error {
	const op = "download"
	if err := restclient.CheckPath(op, []string{p.id, fileID}); err != nil {
		return err
	}
	return asError(p.c.fetch(ctx, op, p.c.path(p.kind, p.id, "share_files", fileID), "", true, w))
}

// DeleteFile removes a shared file.
func (p place) DeleteFile(ctx context.Context, fileID string) error {
	return p.change(ctx, "delete file", http.MethodDelete, nil, nil, "share_files", fileID)
}
