package chat_test

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stoa-chat/stoa/chat"
	"github.com/stoa-chat/stoa/errcode"
)

func TestFilesAgainstTheServer(t *testing.T) {
	server := startServer(t)
	register(t, server, "carol")
	alice, _ := login(t, server, "alice", "stoa")
	bob, onBob := login(t, server, "bob", "stoa")
	carol, _ := login(t, server, "carol", "pw")

	t.Run("a picture and its thumbnail", func(t *testing.T) {
		picture := image.NewRGBA(image.Rect(0, 0, 640, 480))
		for x := range 640 {
			picture.Set(x, x%480, color.White)
		}
		var data bytes.Buffer
		if err := png.Encode(&data, picture); err != nil {
			t.Fatal(err)
		}
		file := chat.NewFile("a picture.png", data.Bytes())
		file.Type, file.ThumbnailWidth, file.ThumbnailHeight = "image/png", 64, 64
		var told int64
		file.Progress = func(sent, _ int64) { told = sent }
		sent, err := alice.SendFile(t.Context(), "bob", file, chat.Content{Kind: chat.KindImage, Width: 640, Height: 480})
		if err != nil {
			t.Fatal(err)
		}
		if told != file.Size {
			t.Errorf("progress ended at %d of %d", told, file.Size)
		}
		got := next(t, onBob.messages, "the picture")
		if diff := cmp.Diff(sent.Content, got.Content); diff != "" {
			t.Errorf("content differs (-sent +got):\n%s", diff)
		}
		var read bytes.Buffer
		if err := bob.Download(t.Context(), got.Content, &read); err != nil || !bytes.Equal(read.Bytes(), data.Bytes()) {
			t.Errorf("%d bytes of %d came back, %v", read.Len(), data.Len(), err)
		}
		read.Reset()
		if err := bob.Download(t.Context(), got.Thumbnail(), &read); err != nil {
			t.Fatal(err)
		}
		small, _, err := image.DecodeConfig(&read)
		if err != nil || small.Width > 64 || small.Height > 64 || small.Width == 0 {
			t.Errorf("thumbnail is %dx%d, %v", small.Width, small.Height, err)
		}
		hidden := got.Content
		hidden.Secret = ""
		want(t, carol.Download(t.Context(), hidden, &read), errcode.DownloadNoPermission)
	})

	t.Run("a large file goes in parts", func(t *testing.T) {
		data := bytes.Repeat([]byte("0123456789abcdef"), 8<<20/16)
		data = append(data, "the end"...)
		sent, err := alice.SendFile(t.Context(), "bob", chat.NewFile("large.bin", data), chat.Content{Kind: chat.KindFile})
		if err != nil {
			t.Fatal(err)
		}
		next(t, onBob.messages, "the file")
		var read bytes.Buffer
		if err := bob.Download(t.Context(), sent.Content, &read); err != nil || !bytes.Equal(read.Bytes(), data) {
			t.Errorf("%d bytes of %d came back, %v", read.Len(), len(data), err)
		}
	})

	t.Run("a file above the limit is 101", func(t *testing.T) {
		_, err := alice.Upload(t.Context(), chat.ToUser("bob"), chat.NewFile("huge.bin", make([]byte, 11<<20)))
		want(t, err, errcode.UploadFailed)
		token := appToken(t, server)
		rest(t, server, token, "PUT", "/settings", map[string]any{"file_max_bytes": 2000})
		defer rest(t, server, token, "PUT", "/settings", map[string]any{"file_max_bytes": 10 << 20})
		_, err = alice.Upload(t.Context(), chat.ToUser("bob"), chat.NewFile("a.bin", make([]byte, 3000)))
		want(t, err, errcode.UploadFailed)
	})

	t.Run("a file that is not there is 200", func(t *testing.T) {
		lost := chat.Content{Kind: chat.KindFile, URL: server + "/stoa/demo/chatfiles/00000000-0000-0000-0000-000000000000"}
		want(t, bob.Download(t.Context(), lost, new(bytes.Buffer)), errcode.DownloadFailed)
	})

	t.Run("combined messages, nested", func(t *testing.T) {
		first, err := alice.SendText(t.Context(), "bob", "one", chat.WithExt(map[string]any{"k": "v"}))
		if err != nil {
			t.Fatal(err)
		}
		next(t, onBob.messages, "the text")
		inner, err := alice.SendCombined(t.Context(), "bob", chat.Combined{Title: "chat", Summary: "alice: one", Messages: []*chat.Message{first}})
		if err != nil {
			t.Fatal(err)
		}
		next(t, onBob.messages, "the combined message")
		if _, err := alice.SendCombined(t.Context(), "bob", chat.Combined{Title: "chats", Messages: []*chat.Message{first, inner}}); err != nil {
			t.Fatal(err)
		}
		outer := next(t, onBob.messages, "the combined message of combined messages")
		if outer.Kind != chat.KindCombined || outer.Level != 2 || outer.Title != "chats" {
			t.Errorf("content is %+v", outer.Content)
		}
		parts, err := bob.CombinedMessages(t.Context(), outer.Content)
		if err != nil || len(parts) != 2 {
			t.Fatalf("parts are %v, %v", parts, err)
		}
		if parts[0].ID != first.ID || parts[0].Text != "one" || parts[0].From != "alice" || parts[0].Ext["k"] != "v" || !parts[0].Time.Equal(first.Time) {
			t.Errorf("first part is %+v", parts[0])
		}
		deeper, err := bob.CombinedMessages(t.Context(), parts[1].Content)
		if err != nil || len(deeper) != 1 || deeper[0].Text != "one" {
			t.Errorf("parts of the part are %v, %v", deeper, err)
		}
		notCombined := outer.Content
		notCombined.URL = first.URL
		a, err := alice.Upload(t.Context(), chat.ToUser("bob"), chat.NewFile("combine", []byte("no")))
		if err != nil {
			t.Fatal(err)
		}
		notCombined.URL, notCombined.Secret = a.URL, a.Secret
		_, err = bob.CombinedMessages(t.Context(), notCombined)
		want(t, err, errcode.ParseFileFailed)
	})
}
