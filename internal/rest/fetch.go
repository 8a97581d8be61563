package rest

import (
	"context"
	"net/http"
	"net/url"
	"path"
	"time"

	"github.com/stoa-chat/stoa/internal/file"
	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/store"
)

// fetchTime bounds the download of a file that an imported message names.
const fetchTime = time.Minute

// fetchFile takes over the file of an imported message from where it is, and has the message name it here.
func (a *API) fetchFile(ctx context.Context, c *Call, content *msync.MessageBody_Content) error {
	from, err := url.Parse(content.RemotePath)
	if err != nil || from.Scheme != "http" && from.Scheme != "https" || from.Host == "" {
		return illegal("url must be an address of http or https")
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, from.String(), nil)
	if err != nil {
		return illegal("url must be an address of http or https").because(err)
	}
	if content.SecretKey != "" {
		r.Header.Set("share-secret", content.SecretKey)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return illegal("the file cannot be downloaded").because(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return illegal("the file cannot be downloaded: status %d", answer.StatusCode)
	}
	up, err := a.files.Begin(ctx, c.App, store.User{}, file.Options{Restricted: true})
	if err != nil {
		return err
	}
	defer up.Close(ctx)
	name := content.DisplayName
	if name == "" {
		name = path.Base(from.Path)
	}
	if err := up.Write(ctx, answer.Body, name, answer.Header.Get("Content-Type")); err != nil {
		return err
	}
	f, secret, err := up.Finish(ctx, 0, 0)
	if err != nil {
		return err
	}
	scheme, host := a.base(c.http)
	content.RemotePath = scheme + "://" + host + "/" + c.App.Org + "/" + c.App.Name + "/chatfiles/" + f.UUID
	content.SecretKey, content.FileLength = secret, int32(f.Size)
	return nil
}
