package rest

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stoa-chat/stoa/internal/blob/blobtest"
)

// field is a field of a form.
type field struct {
	name, file, kind, text string
}

func fileField(name, kind, text string) field { return field{"file", name, kind, text} }

func form(fields ...field) (kind, body string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, f := range fields {
		h := textproto.MIMEHeader{"Content-Disposition": {fmt.Sprintf("form-data; name=%q", f.name)}}
		if f.file != "" {
			h.Set("Content-Disposition", multipart.FileContentDisposition(f.name, f.file))
		}
		if f.kind != "" {
			h.Set("Content-Type", f.kind)
		}
		part, err := w.CreatePart(h)
		if err == nil {
			_, err = io.WriteString(part, f.text)
		}
		if err != nil {
			panic(err) // a buffer takes everything
		}
	}
	w.Close()
	return w.FormDataContentType(), b.String()
}

// submit sends a form.
func (w *world) submit(method, path, as string, headers []string, fields ...field) reply {
	w.Helper()
	kind, body := form(fields...)
	authorization := ""
	if as != "" {
		authorization = w.bearer(as)
	}
	return w.send(method, "/acme/demo"+path, authorization, body, append(headers, "Content-Type", kind)...)
}

// uploaded is a file that was taken.
type uploaded struct{ uuid, secret string }

func (w *world) taken(got reply) uploaded {
	w.Helper()
	if got.status != http.StatusOK {
		w.Fatalf("upload: %d %s", got.status, got.text)
	}
	entity := got.object["entities"].([]any)[0].(map[string]any)
	if entity["type"] != "chatfile" {
		w.Errorf("upload: %s", got.text)
	}
	return uploaded{entity["uuid"].(string), entity["share-secret"].(string)}
}

func (w *world) upload(as string, restricted bool, fields ...field) uploaded {
	w.Helper()
	return w.taken(w.submit("POST", "/chatfiles", as, []string{"restrict-access", fmt.Sprint(restricted)}, fields...))
}

// fetch downloads. An error must be JSON.
func (w *world) fetch(method, path, as string, headers ...string) reply {
	w.Helper()
	r, err := http.NewRequestWithContext(w.Context(), method, w.server.URL+"/acme/demo"+path, nil)
	w.must(err)
	if as != "" {
		r.Header.Set("Authorization", w.bearer(as))
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := w.server.Client().Do(r)
	w.must(err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	w.must(err)
	got := reply{status: answer.StatusCode, header: answer.Header, text: string(text)}
	if got.status >= 400 && method != http.MethodHead {
		if err := json.Unmarshal(text, &got.object); err != nil || got.header.Get("Content-Type") != "application/json; charset=utf-8" {
			w.Errorf("%s %s: %d with a body that is no JSON: %q", method, path, got.status, text)
		}
	}
	if got.header.Get("X-Content-Type-Options") != "nosniff" || got.header.Get("Access-Control-Allow-Origin") != "*" {
		w.Errorf("%s %s: headers %v", method, path, got.header)
	}
	return got
}

func TestARestrictedFileIsReadWithItsSecret(t *testing.T) {
	w := newWorld(t)
	f := w.upload("alice", true, fileField("ü \"x\".txt", "text/plain", "hello"))
	path := "/chatfiles/" + f.uuid
	for name, tt := range map[string]struct {
		path, as string
		headers  []string
		want     string // of an error
	}{
		"secret in the header":          {path, "bob", []string{"share-secret", f.secret}, ""},
		"secret in the query":           {path + "?em-redirect=true&share-secret=" + f.secret, "", nil, ""},
		"secret beside a useless token": {path + "?share-secret=" + f.secret, "Bearer undefined", nil, ""},
		"the owner":                     {path, "alice", nil, ""},
		"the backend":                   {path, "app", nil, ""},
		"another user":                  {path, "bob", nil, `{"error":"forbidden_op","error_description":"chatfile no permission"}`},
		"nobody":                        {path, "", nil, `{"error":"forbidden_op","error_description":"chatfile no permission"}`},
		"a wrong secret":                {path + "?share-secret=x", "", nil, `{"error_description":"chatfile no permission"}`},
		"a wrong secret of a user":      {path, "bob", []string{"share-secret", f.secret + "x"}, `{"error_description":"chatfile no permission"}`},
		"an empty secret":               {path, "bob", []string{"share-secret", ""}, `{"error_description":"chatfile no permission"}`},
		"a useless token":               {path, "Bearer undefined", nil, corrupt},
		"vframe of what is no video":    {path + "?vframe=true", "", nil, `{"error_description":"chatfile no permission"}`},
	} {
		got := w.fetch("GET", tt.path, tt.as, tt.headers...)
		if tt.want == "" {
			if got.status != http.StatusOK || got.text != "hello" {
				t.Errorf("%s: %d %s", name, got.status, got.text)
			}
		} else if diff := holds(got.object, tt.want); got.status < 400 || diff != "" {
			t.Errorf("%s: %d %s", name, got.status, got.text)
		}
	}
}

func TestAFileThatIsNotRestrictedIsReadByAll(t *testing.T) {
	w := newWorld(t)
	f := w.upload("app", false, fileField("a", "", "hello"))
	if got := w.fetch("GET", "/chatfiles/"+f.uuid, ""); got.status != http.StatusOK || got.text != "hello" {
		t.Errorf("%d %s", got.status, got.text)
	}
	for _, path := range []string{"/chatfiles/nothing", "/chatfiles/%00", "/chatfiles/00000000-0000-4000-8000-000000000000"} {
		if got := w.fetch("GET", path, "alice"); got.status != http.StatusNotFound || got.object["error"] != "resource_not_found" {
			t.Errorf("%s: %d %s", path, got.status, got.text)
		}
	}
	r, err := http.Get(w.server.URL + "/acme/other/chatfiles/" + f.uuid)
	w.must(err)
	r.Body.Close()
	if r.StatusCode != http.StatusNotFound {
		t.Errorf("another app's file: %d", r.StatusCode)
	}
}

func TestDownloadsHaveRangesAndConditions(t *testing.T) {
	w := newWorld(t)
	f := w.upload("alice", false, fileField("a.bin", "", "0123456789"))
	path := "/chatfiles/" + f.uuid
	whole := w.fetch("GET", path, "")
	tag := whole.header.Get("ETag")
	for name, tt := range map[string]struct {
		method  string
		headers []string
		status  int
		text    string
	}{
		"a range":               {"GET", []string{"Range", "bytes=2-4"}, 206, "234"},
		"the last bytes":        {"GET", []string{"Range", "bytes=-3"}, 206, "789"},
		"a range outside":       {"GET", []string{"Range", "bytes=20-"}, 416, ""},
		"a range that is none":  {"GET", []string{"Range", "lines=1"}, 416, ""},
		"a range of that file":  {"GET", []string{"Range", "bytes=0-0", "If-Range", tag}, 206, "0"},
		"a range of another":    {"GET", []string{"Range", "bytes=0-0", "If-Range", `"x"`}, 200, "0123456789"},
		"what the client has":   {"GET", []string{"If-None-Match", tag}, 304, ""},
		"what it has not":       {"GET", []string{"If-None-Match", `"x"`}, 200, "0123456789"},
		"another than expected": {"GET", []string{"If-Match", `"x"`}, 412, ""},
		"the head":              {"HEAD", nil, 200, ""},
		"the head of a range":   {"HEAD", []string{"Range", "bytes=2-4"}, 206, ""},
	} {
		got := w.fetch(tt.method, path, "", tt.headers...)
		if got.status != tt.status || tt.status < 400 && got.text != tt.text {
			t.Errorf("%s: %d %q", name, got.status, got.text)
		}
		if tt.method == "HEAD" && tt.headers == nil && got.header.Get("Content-Length") != "10" {
			t.Errorf("%s: %v", name, got.header)
		}
	}
	if !strings.Contains(whole.header.Get("Access-Control-Expose-Headers"), "Content-Range") {
		t.Errorf("pages are not shown the range: %v", whole.header)
	}
}

// TestNothingUploadedRunsAsAPage has types that a browser would run, and says how they are served.
func TestNothingUploadedRunsAsAPage(t *testing.T) {
	w := newWorld(t)
	const script = "<script>alert(1)</script>"
	for kind, want := range map[string][2]string{
		"text/html":                     {"application/octet-stream", "attachment; filename=a.html"},
		"image/svg+xml":                 {"application/octet-stream", "attachment; filename=a.html"},
		"text/javascript":               {"application/octet-stream", "attachment; filename=a.html"},
		"application/xhtml+xml":         {"application/octet-stream", "attachment; filename=a.html"},
		"application/pdf":               {"application/octet-stream", "attachment; filename=a.html"},
		"":                              {"application/octet-stream", "attachment; filename=a.html"}, // told from the content
		"IMAGE/PNG; charset=\"utf-8\"":  {"image/png", "inline; filename=a.html"},
		"image/png":                     {"image/png", "inline; filename=a.html"},
		"video/mp4":                     {"video/mp4", "inline; filename=a.html"},
		"image/png, text/html":          {"application/octet-stream", "attachment; filename=a.html"},
		"multipart/mixed; boundary=abc": {"application/octet-stream", "attachment; filename=a.html"},
	} {
		f := w.upload("alice", false, fileField("a.html", kind, script))
		for _, method := range []string{"GET", "HEAD"} {
			got := w.fetch(method, "/chatfiles/"+f.uuid, "")
			if got.status != 200 || got.header.Get("Content-Type") != want[0] || got.header.Get("Content-Disposition") != want[1] ||
				got.header.Get("Content-Security-Policy") != "sandbox; default-src 'none'" {
				t.Errorf("%q: %d %v", kind, got.status, got.header)
			}
		}
	}
	for name, want := range map[string]string{
		"ü.txt": "attachment; filename*=utf-8''%C3%BC.txt", "a\"b;c.txt": `attachment; filename="a\"b;c.txt"`, "../../etc/passwd": "attachment; filename=passwd",
		strings.Repeat("ü", 300): "attachment; filename*=utf-8''" + strings.Repeat("%C3%BC", 127),
	} {
		f := w.upload("alice", false, fileField(name, "text/plain", "x"))
		if got := w.fetch("GET", "/chatfiles/"+f.uuid, ""); got.header.Get("Content-Disposition") != want {
			t.Errorf("%q: %q, want %q", name, got.header.Get("Content-Disposition"), want)
		}
	}
}

func TestUploadsAreRefused(t *testing.T) {
	w := newWorld(t)
	w.set(`{"file_max_bytes":1000}`)
	kind, whole := form(fileField("a", "", strings.Repeat("x", 100)))
	for name, tt := range map[string]struct {
		as, kind, body string
		status         int
		want           string
	}{
		"too large":                {"alice", kind, strings.Replace(whole, "xx", strings.Repeat("x", 2000), 1), 413, `{"error":"file exceeding maximum limit"}`},
		"empty":                    {"alice", kind, strings.ReplaceAll(whole, "x", ""), 422, `{"error_description":"the file is empty"}`},
		"no file":                  {"alice", kind, strings.Replace(whole, "name=\"file\"", "name=\"other\"", 1), 422, `{"error":"invalid_request_body"}`},
		"cut off":                  {"alice", kind, whole[:200], 422, `{"error":"invalid_request_body"}`},
		"cut off in a header":      {"alice", kind, whole[:60], 422, `{"error":"invalid_request_body"}`},
		"another boundary":         {"alice", "multipart/form-data; boundary=other", whole, 422, `{"error":"invalid_request_body"}`},
		"no boundary":              {"alice", "multipart/form-data", whole, 422, `{"error":"invalid_request_body"}`},
		"no form":                  {"alice", "application/json", "{}", 422, `{"error":"invalid_request_body"}`},
		"nobody":                   {"", kind, whole, 401, expired},
		"a thumbnail that is none": {"alice", "", "", 422, `{"error_description":"the thumbnail is not a picture that the server can read"}`},
	} {
		if tt.kind == "" {
			tt.kind, tt.body = form(field{"thumbnail", "t", "image/png", "no picture"}, fileField("a", "", "x"))
		}
		authorization := ""
		if tt.as != "" {
			authorization = w.bearer(tt.as)
		}
		got := w.send("POST", "/acme/demo/chatfiles", authorization, tt.body, "Content-Type", tt.kind)
		if diff := holds(got.object, tt.want); got.status != tt.status || diff != "" || got.object["entities"] != nil {
			t.Errorf("%s: %d %s", name, got.status, got.text)
		}
	}
	if got := w.submit("POST", "/chatfiles", "alice", nil, fileField("a", "", strings.Repeat("x", 1000))); got.status != 200 {
		t.Errorf("as large as allowed: %d %s", got.status, got.text)
	}
	w.set(`{"files":false}`)
	for _, path := range []string{"/chatfiles", "/sdk/chatfiles/part-upload"} {
		got := w.submit("POST", path, "alice", nil, fileField("a", "", "x"))
		if got.status != http.StatusForbidden || !strings.Contains(got.text, "service not open!") {
			t.Errorf("%s of an app without files: %d %s", path, got.status, got.text)
		}
	}
}

// TestAnUploadThatIsRefusedIsReadToItsEnd has bodies larger than what a server reads by itself after its answer: a client
// that is cut off while it sends never sees the answer.
func TestAnUploadThatIsRefusedIsReadToItsEnd(t *testing.T) {
	w := newWorld(t)
	w.set(`{"file_max_bytes":1000}`)
	for as, status := range map[string]int{"alice": 413, "Bearer undefined": 401} {
		got := w.submit("POST", "/chatfiles", as, nil, fileField("a", "", strings.Repeat("x", 8<<20)))
		if got.status != status {
			t.Errorf("%s: %d %s", as, got.status, got.text)
		}
	}
}

func TestFilesExpire(t *testing.T) {
	w := newWorld(t)
	kept := w.upload("alice", false, fileField("a", "", "kept"))
	other := w.upload("bob", false, fileField("a", "", "of bob"))
	f := w.upload("alice", false, fileField("a", "", "hello"))
	life := func(body string, status int) {
		t.Helper()
		if got := w.send("POST", "/acme/demo/users/alice/chatfiles/lifetime", w.bearer("app"), body); got.status != status {
			t.Errorf("lifetime %s: %d %s", body, got.status, got.text)
		}
	}
	life(fmt.Sprintf(`{"chatfile_ids":[%q,%q,"nothing"],"lifetime":"forever"}`, kept.uuid, other.uuid), 200)
	life(`{"chatfile_ids":[],"lifetime":"a year"}`, 400)
	life(`{"chatfile_ids":["`+strings.Repeat(`x","`, 100)+`"],"lifetime":"default"}`, 400)

	w.clock.Advance(1000 * time.Hour)
	if got := w.fetch("GET", "/chatfiles/"+f.uuid, ""); got.status != 200 {
		t.Errorf("without a lifetime: %d %s", got.status, got.text)
	}
	w.set(`{"file_lifetime_seconds":3600}`)
	for range 2 { // before and after it is removed
		for _, gone := range []uploaded{f, other} {
			got := w.fetch("GET", "/chatfiles/"+gone.uuid, "")
			if got.status != http.StatusNotFound || got.object["error"] != "file_expired" {
				t.Errorf("expired: %d %s", got.status, got.text)
			}
		}
		if got := w.fetch("GET", "/chatfiles/"+kept.uuid, ""); got.text != "kept" {
			t.Errorf("what is kept for ever: %d %s", got.status, got.text)
		}
		_, err := w.files.Sweep(t.Context())
		w.must(err)
	}
	life(fmt.Sprintf(`{"chatfile_ids":[%q],"lifetime":"refresh"}`, kept.uuid), 200)
	if got := w.fetch("GET", "/chatfiles/"+kept.uuid, ""); got.text != "kept" {
		t.Errorf("refreshed: %d %s", got.status, got.text)
	}
	w.clock.Advance(2 * time.Hour)
	if got := w.fetch("GET", "/chatfiles/"+kept.uuid, ""); got.object["error"] != "file_expired" {
		t.Errorf("an hour after that: %d %s", got.status, got.text)
	}
}

// picture is a PNG with a red left half.
func testPicture(width, height int, opaque bool) string {
	img := image.NewNRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			c := color.NRGBA{B: 255, A: 255}
			if x < width/2 {
				c = color.NRGBA{R: 255, A: 255}
			}
			if !opaque && y == 0 {
				c.A = 0
			}
			img.SetNRGBA(x, y, c)
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		panic(err) // a buffer takes everything
	}
	return b.String()
}

func (w *world) decode(got reply) image.Image {
	w.Helper()
	img, _, err := image.Decode(strings.NewReader(got.text))
	if err != nil {
		w.Fatalf("%d %v: %v", got.status, got.header, err)
	}
	return img
}

func TestImagesHaveThumbnails(t *testing.T) {
	w := newWorld(t)
	opaque, clear := testPicture(400, 200, true), testPicture(400, 200, false)
	box := []field{{name: "thumbnail-width", text: "100"}, {name: "thumbnail-height", text: "100"}}
	for name, tt := range map[string]struct {
		fields []field
		kind   string
		size   image.Point
	}{
		"a box":                    {append([]field{fileField("a.png", "image/png", opaque)}, box...), "image/jpeg", image.Pt(100, 50)},
		"a box that is said first": {append(box, fileField("a.png", "image/png", opaque)), "image/jpeg", image.Pt(100, 50)},
		"a transparent image":      {append(box, fileField("a.png", "image/png", clear)), "image/png", image.Pt(100, 50)},
		"only a height":            {[]field{fileField("a.png", "image/png", opaque), {name: "thumbnail-height", text: "10"}}, "image/jpeg", image.Pt(20, 10)},
		"no box":                   {[]field{fileField("a.png", "image/png", opaque)}, "image/png", image.Pt(400, 200)},
		"a box that is none":       {[]field{fileField("a.png", "image/png", opaque), {name: "thumbnail-height", text: "-x"}}, "image/png", image.Pt(400, 200)},
		"a type that says nothing": {append(box, fileField("a", "", opaque)), "image/jpeg", image.Pt(100, 50)},
	} {
		f := w.upload("alice", true, tt.fields...)
		path := "/chatfiles/" + f.uuid + "?share-secret=" + f.secret
		for range 2 { // made, and kept
			got := w.fetch("GET", path+"&thumbnail=true", "")
			if img := w.decode(got); img.Bounds().Size() != tt.size || got.header.Get("Content-Type") != tt.kind {
				t.Errorf("%s: %s %v", name, got.header.Get("Content-Type"), img.Bounds())
			}
		}
		if got := w.fetch("GET", path, "", "thumbnail", "true"); got.header.Get("Content-Type") != tt.kind {
			t.Errorf("%s, by the header: %v", name, got.header)
		}
		if got := w.fetch("GET", path, ""); w.decode(got).Bounds().Size() != image.Pt(400, 200) {
			t.Errorf("%s: the image itself is %v", name, got.header)
		}
		if got := w.fetch("GET", "/chatfiles/"+f.uuid+"?thumbnail=true", "bob"); got.status != http.StatusForbidden {
			t.Errorf("%s: the thumbnail without a secret: %d", name, got.status)
		}
	}
	for name, content := range map[string]string{"text": "hello", "a broken image": opaque[:300], "a bomb": bomb()} {
		f := w.upload("alice", false, append(box, fileField("a.png", "image/png", content))...)
		for range 2 {
			if got := w.fetch("GET", "/chatfiles/"+f.uuid+"?thumbnail=true", ""); got.status != http.StatusNotFound || got.object["error"] != "resource_not_found" {
				t.Errorf("thumbnail of %s: %d %s", name, got.status, got.text)
			}
		}
		if got := w.fetch("GET", "/chatfiles/"+f.uuid, ""); got.text != content {
			t.Errorf("%s is not served as it came", name)
		}
	}
}

// bomb is a PNG that says of itself that it has 30000×30000 pixels.
func bomb() string {
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 1, 1))); err != nil {
		panic(err) // a buffer takes everything
	}
	data := b.Bytes()
	copy(data[16:], "\x00\x00\x75\x30\x00\x00\x75\x30")
	copy(data[29:], crcOf(data[12:29]))
	return string(data)
}

func TestAVideoHasThePictureThatWasSentWithIt(t *testing.T) {
	w := newWorld(t)
	var small bytes.Buffer
	w.must(jpeg.Encode(&small, w.decode(reply{text: testPicture(64, 48, true)}), nil))
	with := w.upload("alice", true, fileField("v.mp4", "video/mp4", "moving"), field{"thumbnail", "t.jpg", "image/jpeg", small.String()})
	without := w.upload("alice", true, fileField("v.mp4", "video/mp4", "moving"))
	for path, want := range map[string]int{
		"/chatfiles/" + with.uuid + "?vframe=true":                                              200, // a link of a player says no secret
		"/chatfiles/" + with.uuid + "?vframe=true&em-redirect=true&share-secret=" + with.secret: 200,
		"/chatfiles/" + with.uuid:                                                               403,
		"/chatfiles/" + with.uuid + "?thumbnail=true":                                           403,
		"/chatfiles/" + without.uuid + "?vframe=true":                                           404,
		"/chatfiles/" + without.uuid + "?vframe=true&share-secret=" + without.secret:            404,
	} {
		got := w.fetch("GET", path, "")
		if got.status != want {
			t.Errorf("%s: %d %s, want %d", path, got.status, got.text, want)
		}
		if want == 200 && w.decode(got).Bounds().Size() != image.Pt(64, 48) {
			t.Errorf("%s is another picture", path)
		}
	}
}

// parts is an upload in parts.
type parts struct {
	*world
	as, id string
}

func (w *world) beginParts(as string) parts {
	w.Helper()
	got := w.send("POST", "/acme/demo/sdk/chatfiles/part-upload", w.bearer(as), "")
	if diff := holds(got.object, `{"entities":[{"part_lower_limit":5242880,"file_upper_limit":10485760}]}`); got.status != 200 || diff != "" {
		w.Fatalf("begin: %d %s", got.status, got.text)
	}
	return parts{w, as, got.object["entities"].([]any)[0].(map[string]any)["uuid"].(string)}
}

func (p parts) put(number, text string) reply {
	p.Helper()
	return p.submit("PUT", "/sdk/chatfiles/part-upload/"+p.id, p.as, nil,
		field{"part_file", "blob", "application/octet-stream", text}, field{name: "part_number", text: number})
}

func (p parts) call(method, query string) reply {
	p.Helper()
	return p.send(method, "/acme/demo/sdk/chatfiles/part-upload/"+p.id+query, p.bearer(p.as), "")
}

func TestPartsMakeAFile(t *testing.T) {
	w := newWorld(t)
	p := w.beginParts("alice")
	image := testPicture(400, 200, true)
	for _, part := range [][2]string{{"3", image[200:]}, {"1", "wrong"}, {"2", image[100:200]}, {"1", image[:100]}} {
		if got := p.put(part[0], part[1]); got.status != 200 {
			t.Fatalf("part %s: %d %s", part[0], got.status, got.text)
		}
	}
	f := w.taken(p.call("POST", "?restrict-access=true&chat-type=CHAT&chat-target=bob&thumbnail-width=40&thumbnail-height=40"))
	got := w.fetch("GET", "/chatfiles/"+f.uuid, "", "share-secret", f.secret)
	if got.text != image || got.header.Get("Content-Type") != "image/png" {
		t.Errorf("%d bytes of %d, %v", len(got.text), len(image), got.header)
	}
	if got := w.fetch("GET", "/chatfiles/"+f.uuid+"?thumbnail=true&share-secret="+f.secret, ""); w.decode(got).Bounds().Dx() != 40 {
		t.Errorf("thumbnail: %v", got.header)
	}
	if got := w.fetch("GET", "/chatfiles/"+f.uuid, "bob"); got.status != http.StatusForbidden {
		t.Errorf("without the secret: %d", got.status)
	}
	for name, got := range map[string]reply{"finish again": p.call("POST", ""), "abort": p.call("DELETE", ""), "another part": p.put("4", "x")} {
		if got.status != http.StatusNotFound {
			t.Errorf("%s: %d %s", name, got.status, got.text)
		}
	}
}

func TestPartUploadsAreRefused(t *testing.T) {
	w := newWorld(t)
	p := w.beginParts("alice")
	nobodys := parts{w, "alice", "00000000-0000-4000-8000-000000000000"}
	bobs := parts{w, "bob", p.id}
	for name, tt := range map[string]struct {
		got    reply
		status int
	}{
		"a part of no upload":         {nobodys.put("1", "x"), 404},
		"a part of another's upload":  {bobs.put("1", "x"), 404},
		"the end of another's upload": {bobs.call("POST", ""), 404},
		"abort of another's upload":   {bobs.call("DELETE", ""), 404},
		"part 0":                      {p.put("0", "x"), 422},
		"part x":                      {p.put("x", "x"), 422},
		"part 1001":                   {p.put("1001", "x"), 422},
		"a part in no form":           {p.call("PUT", ""), 422},
		"a part without content":      {p.submit("PUT", "/sdk/chatfiles/part-upload/"+p.id, p.as, nil, field{name: "part_number", text: "1"}), 422},
		"no parts":                    {p.call("POST", ""), 422},
		"part 2":                      {p.put("2", "x"), 200},
		"part 1 is missing":           {p.call("POST", ""), 422},
	} {
		if tt.got.status != tt.status {
			t.Errorf("%s: %d %s, want %d", name, tt.got.status, tt.got.text, tt.status)
		}
	}
	w.set(`{"file_max_bytes":10}`)
	if got := p.put("1", strings.Repeat("x", 11)); got.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a part larger than a file may be: %d %s", got.status, got.text)
	}
	if got := p.put("1", strings.Repeat("x", 10)); got.status != http.StatusRequestEntityTooLarge {
		t.Errorf("parts larger than a file may be: %d %s", got.status, got.text)
	}
	if got := p.put("1", "xxx"); got.status != 200 {
		t.Errorf("parts that fit: %d %s", got.status, got.text)
	}
	// What failed can be finished once nothing is missing.
	if got := p.call("POST", ""); got.status != 200 {
		t.Errorf("finish: %d %s", got.status, got.text)
	}
	w.set(`{"file_max_bytes":10485760}`)
	p = w.beginParts("app")
	if got := p.call("DELETE", ""); got.status != 200 {
		t.Errorf("abort: %d %s", got.status, got.text)
	}
	if got := p.put("1", "x"); got.status != 404 {
		t.Errorf("a part after the end: %d %s", got.status, got.text)
	}
}

// TestMemoryDoesNotGrowWithTheFile uploads and downloads 64 MiB and counts all that client and server allocate meanwhile.
func TestMemoryDoesNotGrowWithTheFile(t *testing.T) {
	const size, bound = 64 << 20, 8 << 20
	w := newWorld(t)
	w.set(`{"file_max_bytes":209715200}`)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	body, out := io.Pipe()
	multi := multipart.NewWriter(out)
	wrote := sha256.New()
	go func() {
		part, err := multi.CreateFormFile("file", "large")
		if err == nil {
			_, err = io.Copy(part, io.TeeReader(blobtest.Content(1, size), wrote))
		}
		multi.Close()
		out.CloseWithError(err)
	}()
	r, err := http.NewRequestWithContext(t.Context(), "POST", w.server.URL+"/acme/demo/chatfiles", body)
	w.must(err)
	r.Header.Set("Authorization", w.bearer("alice"))
	r.Header.Set("Content-Type", multi.FormDataContentType())
	answer, err := w.server.Client().Do(r)
	w.must(err)
	var got struct{ Entities []struct{ UUID string } }
	w.must(json.NewDecoder(answer.Body).Decode(&got))
	answer.Body.Close()
	if len(got.Entities) != 1 {
		t.Fatalf("upload: %d", answer.StatusCode)
	}
	answer, err = w.server.Client().Get(w.server.URL + "/acme/demo/chatfiles/" + got.Entities[0].UUID)
	w.must(err)
	defer answer.Body.Close()
	read := sha256.New()
	n, err := io.Copy(read, answer.Body)
	w.must(err)
	runtime.ReadMemStats(&after)
	if n != size || !bytes.Equal(read.Sum(nil), wrote.Sum(nil)) {
		t.Errorf("%d other bytes came back", n)
	}
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > bound {
		t.Errorf("%d bytes were allocated for a file of %d, want at most %d", allocated, size, bound)
	}
}

// raw is a connection to a server whose requests have a time limit that is over before they are.
func (w *world) raw(limit time.Duration) (net.Conn, *bufio.Reader) {
	w.Helper()
	server := httptest.NewUnstartedServer(w.api)
	server.Config.ReadTimeout, server.Config.IdleTimeout = limit, time.Minute
	server.Start()
	w.Cleanup(server.Close)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	w.must(err)
	w.Cleanup(func() { conn.Close() })
	return conn, bufio.NewReader(conn)
}

func (w *world) answer(r *bufio.Reader) *http.Response {
	w.Helper()
	answer, err := http.ReadResponse(r, nil)
	w.must(err)
	return answer
}

// head is the head of a request of alice's.
func (w *world) head(line string, length int, kind string) string {
	return fmt.Sprintf("%s HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", line, w.bearer("alice"), kind, length)
}

func TestWhoIsSlowIsNotCutOff(t *testing.T) {
	w := newWorld(t)
	w.set(`{"file_max_bytes":209715200}`)
	const limit, size = 400 * time.Millisecond, 16 << 20 // more than the buffers between the two take
	kind, whole := form(fileField("a", "", strings.Repeat("x", size)))
	begin := w.head("POST /acme/demo/chatfiles", len(whole), kind) + whole[:100]
	conn, in := w.raw(limit)
	_, err := io.WriteString(conn, begin)
	w.must(err)
	time.Sleep(2 * limit) // a client that pauses is what this is about
	_, err = io.WriteString(conn, whole[100:])
	w.must(err)
	up := w.answer(in)
	var got struct{ Entities []struct{ UUID string } }
	w.must(json.NewDecoder(up.Body).Decode(&got))
	_, err = io.Copy(io.Discard, up.Body)
	w.must(err)
	if up.StatusCode != http.StatusOK {
		t.Fatalf("upload: %d", up.StatusCode)
	}
	// On the same connection, which no deadline of the upload is left on.
	time.Sleep(2 * limit)
	_, err = io.WriteString(conn, w.head("GET /acme/demo/chatfiles/"+got.Entities[0].UUID, 0, ""))
	w.must(err)
	down := w.answer(in)
	_, err = io.CopyN(io.Discard, down.Body, 100)
	w.must(err)
	time.Sleep(2 * limit)
	n, err := io.Copy(io.Discard, down.Body)
	w.must(err)
	if down.StatusCode != http.StatusOK || n != size-100 {
		t.Errorf("download: %d, %d bytes", down.StatusCode, n)
	}
}

func TestWhoMakesNoProgressIsCutOff(t *testing.T) {
	w := newWorld(t)
	w.set(`{"file_max_bytes":209715200}`)
	f := w.upload("alice", false, fileField("a", "", strings.Repeat("x", 32<<20)))
	w.api.pace = pace{bytes: 1000, up: 50 * time.Millisecond, down: 50 * time.Millisecond}
	kind, whole := form(fileField("a", "", strings.Repeat("x", 5000)))
	conn, in := w.raw(time.Minute)
	_, err := io.WriteString(conn, w.head("POST /acme/demo/chatfiles", len(whole), kind)+whole[:2500])
	w.must(err)
	if got := w.answer(in); got.StatusCode != http.StatusRequestTimeout || got.Header.Get("Content-Type") != "application/json; charset=utf-8" {
		t.Errorf("an upload that stops: %d %v", got.StatusCode, got.Header)
	}
	conn, in = w.raw(time.Minute)
	_, err = io.WriteString(conn, w.head("GET /acme/demo/chatfiles/"+f.uuid, 0, ""))
	w.must(err)
	answer := w.answer(in)
	time.Sleep(300 * time.Millisecond) // nothing is read
	if n, err := io.Copy(io.Discard, answer.Body); err == nil {
		t.Errorf("a download that stops ended well, with %d bytes", n)
	}
}

func crcOf(chunk []byte) string {
	return string(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(chunk)))
}
