package rest

import (
	"context"
	"errors"
	"net/http"

	"github.com/stoa-chat/stoa/internal/file"
	"github.com/stoa-chat/stoa/internal/muc"
	"github.com/stoa-chat/stoa/internal/store"
)

// sharing are the routes of the files that a group or chatroom shares.
func (p places) sharing() []Route {
	all := p.path + "/{place}/share_files"
	return []Route{
		{http.MethodPost, all, AnyToken, p.of(p.shareFile)},
		{http.MethodGet, all, AnyToken, p.of(p.sharedFiles)},
		{http.MethodGet, all + "/{file}", AnyToken, p.of(p.downloadShared)},
		{http.MethodDelete, all + "/{file}", AnyToken, p.of(p.unshareFile)},
	}
}

const (
	pageOfFiles    = 10
	maxPageOfFiles = 1000
	maxSkipped     = 10_000 // files before a page; there are no more
)

// backendName is the owner of what a backend has shared.
const backendName = "@ppAdmin"

func sharedFile(f store.File) map[string]any {
	owner := f.Owner.Name
	if f.Owner.ID == 0 {
		owner = backendName
	}
	return map[string]any{"file_id": f.UUID, "file_name": f.Name, "file_owner": owner, "file_size": f.Size, "created": f.Created}
}

// shareFile refuses with 400 whatever it refuses: clients take every other answer for success.
func (p places) shareFile(ctx context.Context, c *Call, who muc.Actor, id string) (Answer, error) {
	f, err := p.share(ctx, c, who, id)
	if err != nil {
		say := *refusalOf(sayPlace(c, err))
		if say.status < http.StatusInternalServerError {
			say.status = http.StatusBadRequest
		}
		return Answer{}, &say
	}
	row := sharedFile(f)
	scheme, host := p.base(c.http)
	row["group_id"], row["file_url"] = id, scheme+"://"+host+c.http.URL.EscapedPath()+"/"+f.UUID
	return Answer{Data: row}, nil
}

func (p places) share(ctx context.Context, c *Call, who muc.Actor, id string) (store.File, error) {
	place, err := p.mucs.Permit(ctx, who, p.kind, id, muc.AddFile)
	if err != nil {
		return store.File{}, err
	}
	f, _, err := p.receiveFile(ctx, c, file.Options{Place: place.ID})
	if err != nil {
		return f, err
	}
	if err = p.mucs.AnnounceFile(ctx, who, p.kind, id, false); err == nil {
		return f, nil
	}
	// The place may have ended meanwhile: nobody would ever see the file, or remove it.
	if dropped := p.files.Unshare(context.WithoutCancel(ctx), f); dropped != nil {
		err = errors.Join(err, dropped)
	}
	return f, err
}

func (p places) sharedFiles(ctx context.Context, c *Call, who muc.Actor, id string) (Answer, error) {
	place, err := p.mucs.Permit(ctx, who, p.kind, id, muc.ReadFiles)
	if err != nil {
		return Answer{}, err
	}
	offset, limit, err := c.Page(1, pageOfFiles, maxPageOfFiles)
	if err != nil {
		return Answer{}, err
	}
	files, err := p.files.Shared(ctx, place.ID, 0, min(offset, maxSkipped)+limit)
	if err != nil {
		return Answer{}, err
	}
	rows := []map[string]any{}
	for _, f := range files[min(offset, len(files)):] {
		rows = append(rows, sharedFile(f))
	}
	count := len(rows)
	return Answer{Data: rows, Count: &count}, nil
}

func (p places) downloadShared(ctx context.Context, c *Call, who muc.Actor, id string) (Answer, error) {
	place, err := p.mucs.Permit(ctx, who, p.kind, id, muc.ReadFiles)
	if err != nil {
		return Answer{}, err
	}
	f, err := p.files.FindShared(ctx, c.App, place.ID, c.Value("file"))
	if err != nil {
		return Answer{}, err
	}
	content, err := p.files.Open(ctx, f)
	if err != nil {
		return Answer{}, err
	}
	return serveFile(content), nil
}

func (p places) unshareFile(ctx context.Context, c *Call, who muc.Actor, id string) (Answer, error) {
	place, err := p.mucs.Permit(ctx, who, p.kind, id, muc.AddFile)
	if err != nil {
		return Answer{}, err
	}
	f, err := p.files.FindShared(ctx, c.App, place.ID, c.Value("file"))
	if err != nil {
		return Answer{}, err
	}
	if own := f.Owner.ID != 0 && f.Owner.ID == who.User.ID; !own {
		if _, err := p.mucs.Permit(ctx, who, p.kind, id, muc.RemoveFile); err != nil {
			return Answer{}, err
		}
	}
	if err := p.files.Unshare(ctx, f); err != nil {
		return Answer{}, err
	}
	row := map[string]any{"group_id": id, "id": id, "file_id": f.UUID, "result": true}
	return Answer{Data: row}, p.mucs.AnnounceFile(ctx, who, p.kind, id, true)
}
