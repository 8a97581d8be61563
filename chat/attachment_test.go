package chat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stoa-chat/stoa/errcode"
)

// fileServer keeps what is uploaded and answers as the facts say.
type fileServer struct {
	t *testing.T

	mu       sync.Mutex
	parts    map[int][]byte
	whole    []byte
	forms    []map[string]string
	steps    []string
	limit    int64
	noParts  bool
	failures map[string]int // step → how often it fails with 500
	refusal  func(w http.ResponseWriter)
}

func (f *fileServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	step := r.Method + " " + strings.TrimPrefix(r.URL.Path, "/stoa/demo")
	fields, file := map[string]string{}, []byte(nil)
	if kind, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind == "multipart/form-data" {
		if r.Header.Get("Restrict-Access") != "true" {
			f.t.Error("the upload does not ask for a secret")
		}
		form := multipart.NewReader(r.Body, params["boundary"])
		for {
			part, err := form.NextPart()
			if err == io.EOF {
				break
			}
			if err != nil {
				return // the client has given up
			}
			data, err := io.ReadAll(part)
			if err != nil {
				return
			}
			if part.FileName() != "" {
				fields[part.FormName()], file = part.FileName()+" "+part.Header.Get("Content-Type"), data
			} else {
				fields[part.FormName()] = string(data)
			}
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := fields["part_number"]; n != "" {
		step += " part " + n
	}
	f.steps = append(f.steps, step+" "+r.URL.RawQuery)
	if f.refusal != nil {
		f.refusal(w)
		return
	}
	if f.failures[step] > 0 {
		f.failures[step]--
		http.Error(w, `{"error_description":"try again"}`, http.StatusInternalServerError)
		return
	}
	switch {
	case strings.HasSuffix(step, "part-upload") && f.noParts:
		http.Error(w, `{"error":"not_found"}`, http.StatusNotFound)
	case strings.HasSuffix(step, "part-upload"):
		fmt.Fprintf(w, `{"entities":[{"uuid":"PU","file_upper_limit":%d,"part_lower_limit":1000}]}`, f.limit)
	case r.Method == http.MethodPut:
		n, _ := strconv.Atoi(fields["part_number"])
		if f.parts == nil {
			f.parts = map[int][]byte{}
		}
		f.parts[n] = file
		io.WriteString(w, `{}`)
	case r.Method == http.MethodDelete:
		io.WriteString(w, `{}`)
	case strings.HasSuffix(step, "/PU"):
		for n := 1; n <= len(f.parts); n++ {
			f.whole = append(f.whole, f.parts[n]...)
		}
		io.WriteString(w, `{"entities":[{"uuid":"U2","share-secret":"S"}]}`)
	default:
		f.whole, f.forms = file, append(f.forms, fields)
		io.WriteString(w, `{"entities":[{"uuid":"U1","type":"chatfile","share-secret":"S"}]}`)
	}
}

// uploader returns a client that is logged in at the server.
func uploader(t *testing.T, f http.Handler) (*Client, string) {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	c, err := New("stoa#demo", WithServer(server.URL), WithLogger(slog.New(slog.DiscardHandler)), WithHTTPClient(server.Client()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	s := newSession(c, "alice", Token("t"), ctx.Done(), cancel)
	s.phase, s.token, s.device, c.session = online, "t", "go_test", s
	return c, server.URL
}

func content(size int) []byte {
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i % 251)
	}
	return data
}

func TestAFileIsUploadedAtOnce(t *testing.T) {
	f := &fileServer{t: t}
	c, url := uploader(t, f)
	var told []int64
	file := NewFile("ä.png", content(100_000))
	file.Type, file.ThumbnailWidth, file.ThumbnailHeight = "image/png", 180, 170
	file.Progress = func(sent, size int64) {
		if size != 100_000 {
			t.Errorf("size is %d", size)
		}
		told = append(told, sent)
	}
	a, err := c.Upload(t.Context(), ToGroup("G1"), file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&Attachment{URL: url + "/stoa/demo/chatfiles/U1", Secret: "S"}, a); diff != "" {
		t.Errorf("attachment differs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]map[string]string{{"file": "ä.png image/png", "thumbnail-width": "180", "thumbnail-height": "170"}}, f.forms); diff != "" {
		t.Errorf("form differs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"POST /chatfiles chat-target=G1&chat-type=GROUP"}, f.steps); diff != "" {
		t.Errorf("requests differ (-want +got):\n%s", diff)
	}
	if !bytes.Equal(f.whole, content(100_000)) {
		t.Error("the file arrived changed")
	}
	if !slices.IsSorted(told) || len(told) == 0 || told[len(told)-1] != 100_000 {
		t.Errorf("progress was %v", told)
	}
}

func TestALargeFileIsUploadedInParts(t *testing.T) {
	const size = 8<<20 + 10
	f := &fileServer{t: t, limit: 10 << 20, failures: map[string]int{"PUT /sdk/chatfiles/part-upload/PU part 2": 2}}
	c, url := uploader(t, f)
	// The part size that the server tells is used for later files: this one is large by the default.
	file := NewFile("a.bin", content(size))
	file.ThumbnailWidth = 100
	var last int64
	file.Progress = func(sent, _ int64) { last = sent }
	a, err := c.Upload(t.Context(), ToUser("bob"), file)
	if err != nil {
		t.Fatal(err)
	}
	if a.URL != url+"/stoa/demo/chatfiles/U2" || a.Secret != "S" {
		t.Errorf("attachment is %+v", a)
	}
	if !bytes.Equal(f.whole, content(size)) {
		t.Errorf("%d bytes arrived, want %d", len(f.whole), size)
	}
	if last != size {
		t.Errorf("progress ended at %d", last)
	}
	end := f.steps[len(f.steps)-1]
	if end != "POST /sdk/chatfiles/part-upload/PU chat-target=bob&chat-type=CHAT&restrict-access=true&thumbnail-width=100" {
		t.Errorf("the upload is completed with %s", end)
	}
}

func TestAPanicInProgressIs31(t *testing.T) {
	f := &fileServer{t: t}
	c, _ := uploader(t, f)
	errs := make(chan *Error, 100)
	c.AddEventListener("errors", Listener{OnError: func(e *Error) { errs <- e }})
	file := NewFile("a", []byte("x"))
	file.Progress = func(int64, int64) { panic("x") }
	if _, err := c.Upload(t.Context(), ToUser("bob"), file); err != nil {
		t.Fatal(err)
	}
	wantCode(t, <-errs, errcode.CallbackPanic)
}

func TestAPartThatFailsCancelsTheUpload(t *testing.T) {
	f := &fileServer{t: t, failures: map[string]int{"PUT /sdk/chatfiles/part-upload/PU part 3": partAttempts}}
	c, _ := uploader(t, f)
	c.uploads.part = 1000
	_, err := c.Upload(t.Context(), ToUser("bob"), NewFile("a.bin", content(5500)))
	wantCode(t, err, errcode.UploadFailed)
	f.mu.Lock() // a part that was on its way may arrive yet, even after the end of the upload
	defer f.mu.Unlock()
	if !slices.Contains(f.steps, "DELETE /sdk/chatfiles/part-upload/PU ") {
		t.Errorf("the upload is not cancelled: %q", f.steps)
	}
}

func TestAServerWithoutPartsGetsTheFileAtOnce(t *testing.T) {
	f := &fileServer{t: t, noParts: true}
	c, _ := uploader(t, f)
	c.uploads.part = 1000
	if _, err := c.Upload(t.Context(), ToRoom("R1"), NewFile("a.bin", content(5000))); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"POST /sdk/chatfiles/part-upload ", "POST /chatfiles chat-target=R1&chat-type=ROOM"}, f.steps); diff != "" {
		t.Errorf("requests differ (-want +got):\n%s", diff)
	}
}

func TestAFileAboveTheServersLimitIsNotSent(t *testing.T) {
	f := &fileServer{t: t, limit: 4000}
	c, _ := uploader(t, f)
	c.uploads.part = 1000
	for range 2 {
		f.steps = nil
		_, err := c.Upload(t.Context(), ToUser("bob"), NewFile("a.bin", content(5000)))
		wantCode(t, err, errcode.UploadFailed)
		if !strings.Contains(err.Error(), "5000") || !strings.Contains(err.Error(), "4000") {
			t.Errorf("error is %v", err)
		}
		if diff := cmp.Diff([]string{"POST /sdk/chatfiles/part-upload ", "DELETE /sdk/chatfiles/part-upload/PU "}, f.steps); diff != "" {
			t.Errorf("requests differ (-want +got):\n%s", diff)
		}
	}
	f.limit = 6000 // raised by the operator
	if _, err := c.Upload(t.Context(), ToUser("bob"), NewFile("a.bin", content(5000))); err != nil {
		t.Error(err)
	}
}

func TestEveryUploadOfTheCatalogueHasItsCode(t *testing.T) {
	seen := 0
	for _, entry := range errcode.All() {
		for _, w := range entry.Wire {
			if w.Kind != "upload" {
				continue
			}
			seen++
			c, _ := uploader(t, &fileServer{t: t, refusal: func(answer http.ResponseWriter) {
				answer.WriteHeader(w.HTTP)
				answer.Write(w.Body)
			}})
			_, err := c.Upload(t.Context(), ToUser("bob"), NewFile("a", []byte("x")))
			if w.Target == "shared" {
				_, err = c.Group("G1").UploadFile(t.Context(), NewFile("a", []byte("x")))
			}
			wantCode(t, err, entry.Code)
		}
	}
	if seen == 0 {
		t.Error("the catalogue lists no uploads")
	}
}

func TestUploadsThatFail(t *testing.T) {
	for name, refusal := range map[string]func(w http.ResponseWriter){
		"too large":      func(w http.ResponseWriter) { http.Error(w, `{"error":"x"}`, http.StatusRequestEntityTooLarge) },
		"refused":        func(w http.ResponseWriter) { http.Error(w, `{"error":"x"}`, http.StatusForbidden) },
		"no JSON":        func(w http.ResponseWriter) { http.Error(w, `<html>`, http.StatusBadGateway) },
		"no entities":    func(w http.ResponseWriter) { io.WriteString(w, `{}`) },
		"empty entities": func(w http.ResponseWriter) { io.WriteString(w, `{"entities":[]}`) },
		"hanging up":     func(w http.ResponseWriter) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := uploader(t, &fileServer{t: t, refusal: refusal})
			_, err := c.Upload(t.Context(), ToUser("bob"), NewFile("a", []byte("x")))
			wantCode(t, err, errcode.UploadFailed)
			_, err = c.Group("G1").UploadFile(t.Context(), NewFile("a", []byte("x")))
			wantCode(t, err, errcode.UploadFailed)
		})
	}
	c, _ := uploader(t, &fileServer{t: t})
	_, err := c.Upload(t.Context(), ToUser("bob"), NewFile("a", nil))
	wantCode(t, err, errcode.UploadFailed)
	_, err = c.Upload(t.Context(), ToUser("bob"), File{Name: "a", Size: 1})
	wantCode(t, err, errcode.UploadFailed)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.Upload(ctx, ToUser("bob"), NewFile("a", []byte("x")))
	wantCode(t, err, errcode.RequestAbort)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v is not the context's", err)
	}
}

func TestDownloads(t *testing.T) {
	var asked []string
	c, url := uploader(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, fmt.Sprintf("%s %s %s", r.URL, r.Header.Get("Authorization"), r.Header.Get("Share-Secret")))
		switch r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:] {
		case "no-permission":
			http.Error(w, `{"error":"x","error_description":"chatfile no permission"}`, http.StatusForbidden)
		case "forbidden":
			http.Error(w, `{"error":"x"}`, http.StatusForbidden)
		case "forbidden-text":
			http.Error(w, `<html>`, http.StatusForbidden)
		case "expired":
			http.Error(w, `{"error":"file_expired"}`, http.StatusNotFound)
		case "unknown":
			http.Error(w, `{"error":"x"}`, http.StatusNotFound)
		case "broken":
			http.Error(w, `{}`, http.StatusInternalServerError)
		case "cut":
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "abc")
		default:
			io.WriteString(w, "the file")
		}
	}))
	var got bytes.Buffer
	// Another name of the same server, as another user knows it.
	err := c.Download(t.Context(), Content{URL: "https://elsewhere.example/stoa/demo/chatfiles/U1?em-redirect=true", Secret: "S"}, &got)
	if err != nil || got.String() != "the file" {
		t.Fatalf("file is %q, %v", got.String(), err)
	}
	if err := c.Download(t.Context(), Content{URL: url + "/other/file"}, io.Discard); err != nil {
		t.Fatal(err)
	}
	if err := c.Group("G1").DownloadFile(t.Context(), "F1", io.Discard); err != nil {
		t.Fatal(err)
	}
	want := []string{"/stoa/demo/chatfiles/U1?em-redirect=true Bearer t S", "/other/file  ", "/stoa/demo/chatgroups/G1/share_files/F1 Bearer t "}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("requests differ (-want +got):\n%s", diff)
	}
	for name, code := range map[string]errcode.Code{
		"no-permission": errcode.DownloadNoPermission, "forbidden": errcode.PermissionDenied, "forbidden-text": errcode.DownloadFailed,
		"expired": errcode.DownloadExpired, "unknown": errcode.DownloadFailed, "broken": errcode.ServerUnknownError, "cut": errcode.DownloadFailed,
	} {
		t.Run(name, func(t *testing.T) {
			wantCode(t, c.Download(t.Context(), Content{URL: url + "/stoa/demo/chatfiles/" + name}, io.Discard), code)
		})
	}
	wantCode(t, c.Download(t.Context(), Content{URL: "http://127.0.0.1:1/x"}, io.Discard), errcode.DownloadFailed)
}

func TestThumbnails(t *testing.T) {
	for _, tt := range []struct{ in, want Content }{
		{Content{Kind: KindImage, URL: "u", Secret: "s"}, Content{Kind: KindImage, URL: "u?thumbnail=true", Secret: "s"}},
		{Content{Kind: KindImage, URL: "u?a=b"}, Content{Kind: KindImage, URL: "u?a=b&thumbnail=true"}},
		{Content{Kind: KindVideo, URL: "u", Secret: "s"}, Content{Kind: KindImage, URL: "u?vframe=true", Secret: "s"}},
		{Content{Kind: KindVideo, URL: "u", ThumbnailURL: "v", ThumbSecret: "ts"}, Content{Kind: KindImage, URL: "v", Secret: "ts"}},
		{Content{Kind: KindFile, URL: "u"}, Content{Kind: KindImage}},
	} {
		if got := tt.in.Thumbnail(); !cmp.Equal(got, tt.want) {
			t.Errorf("thumbnail of %+v is %+v", tt.in, got)
		}
	}
}
