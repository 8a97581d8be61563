package chat

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/restclient"
)

// File is what is uploaded.
type File struct {
	Name    string // shown to who receives it
	Type    string // media type; empty: application/octet-stream
	Content io.ReaderAt
	Size    int64 // bytes
	// ThumbnailWidth and ThumbnailHeight bound the thumbnail of an image, in pixels; 0 leaves them to the server.
	ThumbnailWidth, ThumbnailHeight int
	// Progress is told how many bytes have left, one call after the other, on goroutines that are not the caller's; it may
	// be nil. After a failed part the number goes back. A panic in it is recovered and reported to OnError as 31.
	Progress func(sent, size int64)
}

// NewFile returns a file of bytes in memory.
func NewFile(name string, data []byte) File {
	return File{Name: name, Content: bytes.NewReader(data), Size: int64(len(data))}
}

// Attachment is an uploaded file.
type Attachment struct {
	URL    string
	Secret string // asked for at the download
}

const (
	// partsFrom is the size above which a file is uploaded in parts, in parts' sizes.
	partsFrom       = 1.5
	defaultPartSize = 5 << 20
	// partsAtOnce bounds the parts under way.
	partsAtOnce = 4
	// partAttempts is how often a part is sent before the upload fails.
	partAttempts = 3
)

// uploadLimits are what the server has told of uploads; Client.mu guards them.
type uploadLimits struct {
	file int64 // the largest file, in bytes; 0: not told
	part int64 // the size of a part, in bytes; 0: not told
}

// SendFile uploads a file and sends it as a message; content says of which kind, and what the kind asks for besides the
// file fields, which it fills in. To repeat a sending without a verdict as the same message, upload with [Client.Upload]
// and then [Client.Send] it. For the errors see [Client.Upload] and [Client.Send]; -3 for content that holds no file,
// 501 for an image marked as GIF whose type is another.
func (c *Client) SendFile(ctx context.Context, to string, file File, content Content, opts ...SendOption) (*Message, error) {
	const op = "send"
	switch content.Kind {
	case KindImage, KindVideo, KindAudio, KindFile:
	default:
		return nil, fail(errcode.InvalidParameter, op, "content of this kind holds no file", nil)
	}
	if content.GIF && file.Type != "" && file.Type != "image/gif" {
		return nil, fail(errcode.IllegalContent, op, "the image is marked as GIF, its type is "+file.Type, nil)
	}
	o := collect(opts)
	if _, err := c.sender(op, to); err != nil {
		return nil, err
	}
	a, err := c.upload(ctx, op, Target{o.chatType, to}, file)
	if err != nil {
		return nil, err
	}
	content.Name, content.URL, content.Secret, content.Size = file.Name, a.URL, a.Secret, int(file.Size)
	if content.Kind == KindVideo && content.ThumbnailURL == "" {
		content.ThumbnailURL, content.ThumbSecret = a.URL+"?vframe=true", a.Secret
	}
	return c.Send(ctx, to, content, opts...)
}

// Upload uploads a file for a conversation, whose members may download it; large files go in parts.
//
// It returns 102 without a session, 101 for an empty file, one that is larger than the server takes, and when the upload
// fails (the cause is wrapped), -1 and -4 when the context ended.
func (c *Client) Upload(ctx context.Context, to Target, file File) (*Attachment, error) {
	a, err := c.upload(ctx, "upload", to, file)
	if err != nil {
		return nil, err
	}
	return a, nil
}

func (c *Client) upload(ctx context.Context, op string, to Target, file File) (*Attachment, *Error) {
	c.mu.Lock()
	limits := c.uploads
	c.mu.Unlock()
	if err := c.uploadable(op, file); err != nil {
		return nil, err
	}
	query := url.Values{"chat-target": {to.ID}, "chat-type": {"CHAT"}}
	switch to.Type {
	case GroupChat, ThreadChat:
		query.Set("chat-type", "GROUP")
	case RoomChat:
		query.Set("chat-type", "ROOM")
	}
	progress := c.newMeter(file)
	// The server tells its limit when parts are begun. One that was told before may have been raised.
	large := float64(file.Size) > partsFrom*float64(cmp.Or(limits.part, defaultPartSize))
	if large || limits.file > 0 && file.Size > limits.file {
		a, err := c.uploadParts(ctx, op, query, file, progress)
		if a != nil || err != nil {
			return a, err
		}
	}
	body := newMultipart("file", file, 0, file.Size, progress, thumbnailFields(file))
	var answer uploadAnswer
	if err := c.sendMultipart(ctx, op, http.MethodPost, query, body, &answer, "chatfiles"); err != nil {
		return nil, err
	}
	return c.attachment(op, answer)
}

// uploadable is 102 without a session and 101 for an empty file.
func (c *Client) uploadable(op string, file File) *Error {
	switch _, _, token := c.credentials(); {
	case token == "":
		return fail(errcode.UploadNotLoggedIn, op, "", nil)
	case file.Content == nil || file.Size <= 0:
		return fail(errcode.UploadFailed, op, "the file is empty", nil)
	}
	return nil
}

// uploadAnswer is what the server tells of an upload.
type uploadAnswer struct {
	Entities []struct {
		UUID   string             `json:"uuid"`
		Secret string             `json:"share-secret"`
		Limit  restclient.Integer `json:"file_upper_limit"`
		Part   restclient.Integer `json:"part_lower_limit"`
	} `json:"entities"`
}

func (c *Client) attachment(op string, answer uploadAnswer) (*Attachment, *Error) {
	if len(answer.Entities) == 0 || answer.Entities[0].UUID == "" {
		return nil, fail(errcode.UploadFailed, op, "the server's answer names no file", nil)
	}
	e := answer.Entities[0]
	return &Attachment{URL: c.path("chatfiles", e.UUID).String(), Secret: e.Secret}, nil
}

// uploadParts uploads a file in parts. Both results are nil where the server has no such uploads.
func (c *Client) uploadParts(ctx context.Context, op string, query url.Values, file File, progress *meter) (*Attachment, *Error) {
	path := []string{"sdk", "chatfiles", "part-upload"}
	var begun uploadAnswer
	if err := c.doCall(ctx, call{op: op, method: http.MethodPost, path: path, out: &begun}); err != nil {
		if ctx.Err() != nil {
			return nil, restclient.ContextError(ctx, op)
		}
		return nil, nil
	}
	if len(begun.Entities) == 0 || begun.Entities[0].UUID == "" {
		return nil, nil
	}
	limits := uploadLimits{file: int64(begun.Entities[0].Limit), part: int64(begun.Entities[0].Part)}
	c.mu.Lock()
	c.uploads = limits
	c.mu.Unlock()
	path = append(path, begun.Entities[0].UUID)
	a, err := c.finishParts(ctx, op, path, query, file, limits, progress)
	if err != nil {
		// Also when the caller's context has ended: the server need not keep what nobody completes.
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.opt.timeouts.Request)
		defer cancel()
		if err := c.doCall(bounded, call{op: op, method: http.MethodDelete, path: path}); err != nil {
			c.opt.log.Debug("part upload not cancelled", "err", err)
		}
	}
	return a, err
}

// finishParts sends the parts of an upload that was begun, and completes it.
func (c *Client) finishParts(ctx context.Context, op string, path []string, query url.Values, file File, limits uploadLimits,
	progress *meter) (*Attachment, *Error) {
	if limits.file > 0 && file.Size > limits.file {
		message := fmt.Sprintf("the file has %d bytes, the server takes %d", file.Size, limits.file)
		return nil, fail(errcode.UploadFailed, op, message, nil)
	}
	size := limits.part
	if size <= 0 {
		size = defaultPartSize
	}
	parts := (file.Size + size - 1) / size
	running, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		group sync.WaitGroup
		once  sync.Once
		first *Error
		next  = make(chan int64)
	)
	for range min(partsAtOnce, parts) {
		group.Go(func() {
			for i := range next {
				if err := c.uploadPart(running, op, path, file, i, size, progress); err != nil {
					once.Do(func() { first = err })
					cancel()
				}
			}
		})
	}
	for i := range parts {
		select {
		case next <- i:
		case <-running.Done():
		}
	}
	close(next)
	group.Wait()
	if first != nil {
		return nil, first
	}
	query.Set("restrict-access", "true")
	for name, value := range thumbnailFields(file) {
		query.Set(name, value)
	}
	var done uploadAnswer
	limited, stop := context.WithTimeout(ctx, c.opt.timeouts.Upload)
	defer stop()
	if err := c.doCall(limited, call{op: op, method: http.MethodPost, path: path, query: query, out: &done}); err != nil {
		return nil, uploadError(ctx, op, err)
	}
	return c.attachment(op, done)
}

// uploadPart sends one part, again after a failure that may pass.
func (c *Client) uploadPart(ctx context.Context, op string, path []string, file File, i, size int64, progress *meter) *Error {
	offset := i * size
	length := min(size, file.Size-offset)
	for attempt := 1; ; attempt++ {
		body := newMultipart("part_file", File{Name: "blob", Content: file.Content}, offset, length, progress,
			map[string]string{"part_number": strconv.FormatInt(i+1, 10)})
		err := c.sendMultipart(ctx, op, http.MethodPut, nil, body, nil, path...)
		if err == nil {
			return nil
		}
		progress.add(-body.sent())
		status, answered := err.Data["http_status"].(int)
		if attempt >= partAttempts || ctx.Err() != nil || (answered && status < http.StatusInternalServerError) {
			return err
		}
	}
}

func thumbnailFields(file File) map[string]string {
	fields := map[string]string{}
	if file.ThumbnailWidth > 0 {
		fields["thumbnail-width"] = strconv.Itoa(file.ThumbnailWidth)
	}
	if file.ThumbnailHeight > 0 {
		fields["thumbnail-height"] = strconv.Itoa(file.ThumbnailHeight)
	}
	return fields
}

// sendMultipart sends a form with a file. Every failure but the end of the context is 101.
func (c *Client) sendMultipart(ctx context.Context, op, method string, query url.Values, body *multipartBody, out any,
	path ...string) *Error {
	_, _, token := c.credentials()
	u := c.path(path...)
	u.RawQuery = query.Encode()
	limited, cancel := context.WithTimeout(ctx, c.opt.timeouts.Upload)
	defer cancel()
	req, err := http.NewRequestWithContext(limited, method, u.String(), body)
	if err != nil {
		return fail(errcode.InvalidParameter, op, "the request has no valid form", err)
	}
	req.ContentLength = body.length
	req.Header.Set("Content-Type", body.contentType)
	req.Header.Set("Restrict-Access", "true")
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := c.opt.httpClient.Do(req)
	if err != nil {
		return uploadError(ctx, op, restclient.Unreached(ctx, op, err))
	}
	defer resp.Body.Close()
	if err := restclient.Read(ctx, op, resp, out); err != nil {
		return uploadError(ctx, op, err)
	}
	return nil
}

// uploadError makes what went wrong 101, unless the caller's context has ended.
func uploadError(ctx context.Context, op string, cause *Error) *Error {
	if ctx.Err() != nil {
		return restclient.ContextError(ctx, op)
	}
	e := fail(errcode.UploadFailed, op, cause.Message, cause)
	e.Data, e.RequestID = cause.Data, cause.RequestID
	return e
}

// multipartBody is a form that holds a part of a file; it is never in memory as a whole.
type multipartBody struct {
	io.Reader
	contentType string
	length      int64 // bytes, all of it
	file        *meteredReader
}

func (b *multipartBody) sent() int64 { return b.file.read() }

func newMultipart(field string, file File, offset, length int64, progress *meter, more map[string]string) *multipartBody {
	var head bytes.Buffer
	form := multipart.NewWriter(&head)
	for name, value := range more {
		form.WriteField(name, value) // to memory: cannot fail
	}
	form.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {multipart.FileContentDisposition(field, file.Name)},
		"Content-Type":        {cmp.Or(file.Type, "application/octet-stream")},
	})
	opening := head.Len()
	form.Close()
	closing := head.Bytes()[opening:]
	content := &meteredReader{from: io.NewSectionReader(file.Content, offset, length), meter: progress}
	return &multipartBody{
		Reader:      io.MultiReader(bytes.NewReader(head.Bytes()[:opening]), content, bytes.NewReader(closing)),
		contentType: form.FormDataContentType(),
		length:      int64(head.Len()) + length,
		file:        content,
	}
}

// meter tells the application how far an upload is.
type meter struct {
	events *dispatcher
	size   int64
	tell   func(sent, size int64)

	mu   sync.Mutex
	sent int64
}

func (c *Client) newMeter(file File) *meter {
	return &meter{events: &c.events, size: file.Size, tell: file.Progress}
}

func (m *meter) add(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sent += n
	if m.tell != nil && n != 0 {
		m.events.guard("File.Progress", func() { m.tell(m.sent, m.size) }, m.events.failed)
	}
}

// meteredReader counts what is read from it. The transport may still read when its request has ended.
type meteredReader struct {
	from  io.Reader
	meter *meter

	mu    sync.Mutex
	count int64
	ended bool
}

func (r *meteredReader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return 0, errors.New("the request has ended")
	}
	r.count += int64(n)
	r.meter.add(int64(n))
	return n, err
}

// read ends the reader and returns how much was read.
func (r *meteredReader) read() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	return r.count
}

// Download writes the file of a message, or of its thumbnail, to w; see [Content.Thumbnail]. A file on another server is
// fetched without the session's token. When it fails, w may have been given a part of the file.
//
// It returns 700 (wrapping 28) without a session, -3 for content without a file, 222 when the user may not have it, 223
// when it is no longer kept, 603, 503, and 200 for every other failure, also of w; -1 and -4 when the context ended.
func (c *Client) Download(ctx context.Context, content Content, w io.Writer) error {
	return asError(c.download(ctx, "download", content.URL, content.Secret, w))
}

// Thumbnail returns content whose file is the thumbnail of this image or video; without one its URL is empty.
func (c Content) Thumbnail() Content {
	t := Content{Kind: KindImage, Name: c.Name, URL: c.ThumbnailURL, Secret: cmp.Or(c.ThumbSecret, c.Secret)}
	if t.URL == "" && c.URL != "" {
		switch c.Kind {
		case KindImage:
			t.URL = withQuery(c.URL, "thumbnail=true")
		case KindVideo:
			t.URL = withQuery(c.URL, "vframe=true")
		}
	}
	return t
}

func withQuery(address, query string) string {
	if strings.Contains(address, "?") {
		return address + "&" + query
	}
	return address + "?" + query
}

// download fetches the file of a message. The host in its address is the sender's way to the server; this client has its
// own.
func (c *Client) download(ctx context.Context, op, address, secret string, w io.Writer) *Error {
	u, err := url.Parse(address)
	if err != nil || address == "" {
		return fail(errcode.InvalidParameter, op, "there is no file, or its address is no URL", err)
	}
	below := "/" + c.org + "/" + c.app + "/chatfiles/"
	if i := strings.LastIndex(u.Path, below); i >= 0 {
		own := c.path("chatfiles", u.Path[i+len(below):])
		own.RawQuery = u.RawQuery
		return c.fetch(ctx, op, own, secret, true, w)
	}
	return c.fetch(ctx, op, u, "", false, w)
}

// fetch writes what is at an address to w. Only the own server is shown the session's token.
func (c *Client) fetch(ctx context.Context, op string, u *url.URL, secret string, own bool, w io.Writer) *Error {
	_, _, token := c.credentials()
	if token == "" {
		return fail(errcode.RestNoSession, op, "", errcode.InvalidToken)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return fail(errcode.InvalidParameter, op, "the file's address is no URL", err)
	}
	if own {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if secret != "" {
		req.Header.Set("Share-Secret", secret)
	}
	resp, err := c.opt.httpClient.Do(req)
	if err != nil {
		return downloadError(ctx, op, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, restclient.AnswerLimit))
		return refusedDownload(op, resp, text)
	}
	if _, err := io.Copy(w, resp.Body); err != nil { // also one that ends too early
		return downloadError(ctx, op, err)
	}
	return nil
}

func downloadError(ctx context.Context, op string, err error) *Error {
	if ctx.Err() != nil {
		return restclient.ContextError(ctx, op)
	}
	return fail(errcode.DownloadFailed, op, "", err)
}

// refusedDownload is the error of an answer other than 200.
func refusedDownload(op string, resp *http.Response, text []byte) *Error {
	var b restclient.Body
	err := json.Unmarshal(text, &b)
	code := errcode.DownloadFailed
	switch {
	case resp.StatusCode == http.StatusInternalServerError:
		code = errcode.ServerUnknownError
	case err != nil:
	case resp.StatusCode == http.StatusForbidden && b.Description == "chatfile no permission":
		code = errcode.DownloadNoPermission
	case resp.StatusCode == http.StatusForbidden:
		code = errcode.PermissionDenied
	case resp.StatusCode == http.StatusNotFound && b.Error == "file_expired":
		code = errcode.DownloadExpired
	}
	e := restclient.Refusal(op, resp, text)
	return &Error{Code: code, Op: op, Message: e.Message, RequestID: e.RequestID, Data: e.Data}
}
