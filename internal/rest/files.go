package rest

import (
	"context"
	"mime"
	"mime/multipart"
	"net/http"
	"strconv"

	"github.com/stoa-chat/stoa/internal/file"
	"github.com/stoa-chat/stoa/internal/store"
)

func (a *API) fileRoutes() []Route {
	return []Route{
		{http.MethodPost, "/chatfiles", AnyToken, a.uploadFile},
		{http.MethodGet, "/chatfiles/{file}", Anyone, a.downloadFile}, // an <img> sends no token: the file says who may
		{http.MethodHead, "/chatfiles/{file}", Anyone, a.downloadFile},
		{http.MethodPost, "/sdk/chatfiles/part-upload", AnyToken, a.beginParts},
		{http.MethodPut, "/sdk/chatfiles/part-upload/{file}", AnyToken, a.putPart},
		{http.MethodPost, "/sdk/chatfiles/part-upload/{file}", AnyToken, a.finishParts},
		{http.MethodDelete, "/sdk/chatfiles/part-upload/{file}", AnyToken, a.abortParts},
		{http.MethodPost, "/users/{user}/chatfiles/lifetime", AppToken, a.setFileLife},
	}
}

// fileEntity is an uploaded file in answers.
type fileEntity struct {
	UUID   string `json:"uuid"`
	Type   string `json:"type"`
	Secret string `json:"share-secret"`
}

func oneFile(f store.File, secret string) Answer {
	return Answer{Entities: []fileEntity{{UUID: f.UUID, Type: "chatfile", Secret: secret}}}
}

// said returns a header, or else the parameter of the query of that name: links have no headers.
func (c *Call) said(name string) string {
	if text := c.http.Header.Get(name); text != "" {
		return text
	}
	return c.Query(name)
}

// saidNumber is said for a whole number; 0: it is none.
func (c *Call) saidNumber(name string) int {
	n, _ := strconv.Atoi(c.said(name)) // clients write whatever the app gave them
	return n
}

func (a *API) uploadFile(ctx context.Context, c *Call) (Answer, error) {
	f, secret, err := a.receiveFile(ctx, c, file.Options{Restricted: c.said("restrict-access") == "true"})
	if err != nil {
		return Answer{}, err
	}
	return oneFile(f, secret), nil
}

// receiveFile takes the file of a form from the caller, and returns it with its share secret.
func (a *API) receiveFile(ctx context.Context, c *Call, o file.Options) (store.File, string, error) {
	up, err := a.files.Begin(ctx, c.App, c.Who.User, o)
	if err != nil {
		return store.File{}, "", err
	}
	defer up.Close(ctx)
	width, height := c.saidNumber("thumbnail-width"), c.saidNumber("thumbnail-height")
	found := false
	err = c.EachField(func(field *multipart.Part) (err error) {
		switch field.FormName() {
		case "file":
			found = true
			err = up.Write(ctx, fieldReader{field}, field.FileName(), field.Header.Get("Content-Type"))
		case "thumbnail":
			err = up.WriteThumbnail(ctx, fieldReader{field})
		case "thumbnail-width":
			width, err = number(fieldReader{field})
		case "thumbnail-height":
			height, err = number(fieldReader{field})
		}
		return err
	})
	if err != nil {
		return store.File{}, "", err
	}
	if !found {
		return store.File{}, "", &refuseForm
	}
	return up.Finish(ctx, width, height)
}

func (a *API) beginParts(ctx context.Context, c *Call) (Answer, error) {
	id, err := a.files.BeginParts(ctx, c.App, c.Who.User)
	if err != nil {
		return Answer{}, err
	}
	return Answer{Entities: []map[string]any{{
		"uuid": id, "file_upper_limit": c.App.Settings.FileMaxBytes, "part_lower_limit": file.PartSize,
	}}}, nil
}

func (a *API) putPart(ctx context.Context, c *Call) (Answer, error) {
	part, err := a.files.BeginPart(ctx, c.App, c.Who.User, c.Value("file"))
	if err != nil {
		return Answer{}, err
	}
	defer part.Close(ctx)
	n := 0
	err = c.EachField(func(field *multipart.Part) (err error) {
		switch field.FormName() {
		case "part_file":
			err = part.Write(ctx, fieldReader{field})
		case "part_number":
			n, err = number(fieldReader{field})
		}
		return err
	})
	if err != nil {
		return Answer{}, err
	}
	return done(), part.Finish(ctx, n)
}

func (a *API) finishParts(ctx context.Context, c *Call) (Answer, error) {
	f, secret, err := a.files.FinishParts(ctx, c.App, c.Who.User, c.Value("file"), c.said("restrict-access") == "true",
		c.saidNumber("thumbnail-width"), c.saidNumber("thumbnail-height"))
	if err != nil {
		return Answer{}, err
	}
	return oneFile(f, secret), nil
}

func (a *API) abortParts(ctx context.Context, c *Call) (Answer, error) {
	return done(), a.files.AbortParts(ctx, c.App, c.Who.User, c.Value("file"))
}

// downloadFile serves a file, or its picture: thumbnail is asked for of images, vframe of videos.
func (a *API) downloadFile(ctx context.Context, c *Call) (Answer, error) {
	if err := a.rehearsedBearer(ctx, c); err != nil {
		return Answer{}, err
	}
	f, err := a.files.Find(ctx, c.App, c.Value("file"))
	if err != nil {
		return Answer{}, err
	}
	frame := c.Query("vframe") == "true"
	if free := frame && a.files.HasFreePicture(f); !free && !a.files.Opens(f, c.said("share-secret")) {
		if bearer(c.http) == "" {
			return Answer{}, file.NoAccess()
		}
		if err := a.authorise(ctx, c, AnyToken); err != nil {
			return Answer{}, err
		}
		if err := a.files.MayRead(f, c.Who); err != nil {
			return Answer{}, err
		}
	}
	open := a.files.Open
	if frame || c.said("thumbnail") == "true" {
		open = a.files.OpenThumbnail
	}
	content, err := open(ctx, f)
	if err != nil {
		return Answer{}, err
	}
	return serveFile(content), nil
}

// shownInPlace are the media types that a browser may show by itself: none of them can hold a script. Everything else is
// handed out as bytes to save.
var shownInPlace = map[string]bool{
	"image/jpeg": true, "image/png": true, "image/gif": true, "image/webp": true, "image/bmp": true, "image/avif": true,
	"video/mp4": true, "video/webm": true, "video/ogg": true, "video/quicktime": true,
	"audio/mpeg": true, "audio/mp4": true, "audio/aac": true, "audio/ogg": true, "audio/webm": true, "audio/wav": true,
	"audio/wave": true, "audio/x-wav": true, "audio/amr": true, "audio/flac": true,
}

// serveFile is the answer with a file. The file comes from a stranger and shares an origin with the server's own pages.
func serveFile(content *file.Content) Answer {
	return Answer{Stream: func(w http.ResponseWriter, r *http.Request) {
		defer content.Close()
		h := w.Header()
		kind, disposition := content.Type, "inline"
		if !shownInPlace[kind] {
			kind, disposition = "application/octet-stream", "attachment"
		}
		parameters := map[string]string{}
		if content.Name != "" {
			parameters["filename"] = content.Name
		}
		h.Set("Content-Type", kind)
		h.Set("Content-Disposition", mime.FormatMediaType(disposition, parameters))
		h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
		h.Set("Cross-Origin-Resource-Policy", "cross-origin") // the pages of apps show it
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "private, max-age=86400")
		h.Add("Vary", "Authorization, share-secret, thumbnail")
		h.Set("ETag", strconv.Quote(content.Tag))
		http.ServeContent(w, r, "", content.Modified, content)
	}}
}

func (a *API) setFileLife(ctx context.Context, c *Call) (Answer, error) {
	var in struct {
		IDs      []string `json:"chatfile_ids"`
		Lifetime string   `json:"lifetime"`
	}
	if err := c.Decode(&in); err != nil {
		return Answer{}, err
	}
	user, err := a.target(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	return done(), a.files.SetLife(ctx, c.App, user, in.IDs, in.Lifetime)
}
