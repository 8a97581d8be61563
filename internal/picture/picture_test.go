package picture

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/color/palette"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"testing/iotest"
)

// The corners of the test image, from the upper left on, as they are read.
var corners = [4]color.RGBA{{R: 255, A: 255}, {G: 255, A: 255}, {B: 255, A: 255}, {R: 255, G: 255, A: 255}}

// sample is an image with a colour in each quarter.
func sample(width, height int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			i := 0
			if x >= width/2 {
				i++
			}
			if y >= height/2 {
				i += 2
			}
			img.SetRGBA(x, y, corners[i])
		}
	}
	return img
}

func encoded(t testing.TB, img image.Image, encode func(io.Writer, image.Image) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func asPNG(w io.Writer, img image.Image) error  { return png.Encode(w, img) }
func asJPEG(w io.Writer, img image.Image) error { return jpeg.Encode(w, img, nil) }
func asGIF(w io.Writer, img image.Image) error {
	// An animation whose second picture is another one.
	first, second := image.NewPaletted(img.Bounds(), palette.WebSafe), image.NewPaletted(img.Bounds(), palette.WebSafe)
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			first.Set(x, y, img.At(x, y))
		}
	}
	return gif.EncodeAll(w, &gif.GIF{Image: []*image.Paletted{first, second}, Delay: []int{1, 1}})
}

func thumbnail(t testing.TB, data []byte, width, height int) (image.Image, string) {
	t.Helper()
	var b bytes.Buffer
	if err := Thumbnail(&b, bytes.NewReader(data), width, height); err != nil {
		t.Fatal(err)
	}
	img, format, err := image.Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	return img, format
}

// near reports whether two colours are the same but for what a JPEG loses.
func near(a, b color.Color) bool {
	ar, ag, ab, _ := a.RGBA()
	br, bg, bb, _ := b.RGBA()
	for _, d := range []int{int(ar) - int(br), int(ag) - int(bg), int(ab) - int(bb)} {
		if d < -0x3000 || d > 0x3000 {
			return false
		}
	}
	return true
}

// quarters fails the test if the middle of a quarter has another colour than that of the corner named.
func quarters(t *testing.T, img image.Image, order [4]int) {
	t.Helper()
	size := img.Bounds().Size()
	for i, corner := range order {
		x, y := size.X/4, size.Y/4
		if i%2 == 1 {
			x = size.X * 3 / 4
		}
		if i >= 2 {
			y = size.Y * 3 / 4
		}
		if got := img.At(x, y); !near(got, corners[corner]) {
			t.Errorf("quarter %d is %v, want %v", i, got, corners[corner])
		}
	}
}

func TestAThumbnailFitsIntoTheBox(t *testing.T) {
	for name, encode := range map[string]func(io.Writer, image.Image) error{"png": asPNG, "jpeg": asJPEG, "gif": asGIF} {
		data := encoded(t, sample(400, 200), encode)
		for _, tt := range []struct {
			width, height int
			want          image.Point
		}{
			{100, 100, image.Pt(100, 50)}, {100, 20, image.Pt(40, 20)}, {100, 0, image.Pt(100, 50)}, {0, 20, image.Pt(40, 20)},
			{0, 0, image.Pt(400, 200)}, {1000, 1000, image.Pt(400, 200)}, {1, 1, image.Pt(1, 1)}, {-5, 1 << 30, image.Pt(400, 200)},
		} {
			img, format := thumbnail(t, data, tt.width, tt.height)
			if img.Bounds().Size() != tt.want || format != "jpeg" {
				t.Errorf("%s in %dx%d: a %s of %v, want %v", name, tt.width, tt.height, format, img.Bounds().Size(), tt.want)
			}
			if tt.want.Y >= 20 {
				quarters(t, img, [4]int{0, 1, 2, 3})
			}
		}
	}
	img, _ := thumbnail(t, encoded(t, sample(3000, 2), asPNG), 0, 0)
	if img.Bounds().Size() != image.Pt(MaxBox, 1) {
		t.Errorf("a line became %v", img.Bounds().Size())
	}
}

func TestWebPIsRead(t *testing.T) {
	for name, text := range map[string]string{ // one pixel each
		"lossy":    "UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA",
		"lossless": "UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA==",
	} {
		data, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if img, _ := thumbnail(t, data, 8, 8); img.Bounds().Size() != image.Pt(1, 1) {
			t.Errorf("%s: it became %v", name, img.Bounds())
		}
	}
}

func TestWhatIsTransparentStaysSo(t *testing.T) {
	img := sample(100, 100)
	for x := range 100 {
		for y := range 50 {
			img.SetRGBA(x, y, color.RGBA{})
		}
	}
	small, format := thumbnail(t, encoded(t, img, asPNG), 50, 50)
	if _, _, _, alpha := small.At(10, 10).RGBA(); format != "png" || alpha != 0 {
		t.Errorf("a %s with alpha %d", format, alpha)
	}
	if !near(small.At(10, 40), corners[2]) {
		t.Errorf("below it is %v", small.At(10, 40))
	}
}

// exif is a segment with an orientation.
func exif(order binary.AppendByteOrder, orientation uint16) []byte {
	mark := "II*\x00"
	if order == binary.AppendByteOrder(binary.BigEndian) {
		mark = "MM\x00*"
	}
	tiff := order.AppendUint32([]byte(mark), 8)
	tiff = order.AppendUint16(tiff, 2)
	for _, entry := range [][4]uint16{{0x010f, 2, 0, 0}, {0x0112, 3, 1, orientation}} { // the maker first
		tiff = order.AppendUint16(tiff, entry[0])
		tiff = order.AppendUint16(tiff, entry[1])
		tiff = order.AppendUint32(tiff, uint32(entry[2]))
		tiff = order.AppendUint16(tiff, entry[3])
		tiff = order.AppendUint16(tiff, 0)
	}
	return append([]byte("Exif\x00\x00"), tiff...)
}

// with returns a JPEG with a segment after its start.
func with(data []byte, marker byte, segment []byte) []byte {
	out := []byte{0xff, 0xd8, 0xff, marker}
	out = binary.BigEndian.AppendUint16(out, uint16(len(segment)+2))
	out = append(out, segment...)
	return append(out, data[2:]...)
}

func TestEXIFOrientationIsHonoured(t *testing.T) {
	upright := map[uint16][4]int{ // which corner of what is stored is where
		1: {0, 1, 2, 3}, 2: {1, 0, 3, 2}, 3: {3, 2, 1, 0}, 4: {2, 3, 0, 1},
		5: {0, 2, 1, 3}, 6: {2, 0, 3, 1}, 7: {3, 1, 2, 0}, 8: {1, 3, 0, 2},
	}
	data := encoded(t, sample(80, 40), asJPEG)
	for _, order := range []binary.AppendByteOrder{binary.BigEndian, binary.LittleEndian} {
		for orientation, want := range upright {
			img, _ := thumbnail(t, with(data, markerExif, exif(order, orientation)), 40, 40)
			size := image.Pt(40, 20)
			if orientation > 4 {
				size = image.Pt(20, 40)
			}
			if img.Bounds().Size() != size {
				t.Errorf("%v, %d: %v, want %v", order, orientation, img.Bounds().Size(), size)
			}
			quarters(t, img, want)
		}
	}
	for name, segment := range map[string][]byte{
		"0": exif(binary.BigEndian, 0), "9": exif(binary.BigEndian, 9), "cut off": exif(binary.BigEndian, 6)[:30],
		"something else": []byte("http://ns.adobe.com/xap/1.0/\x00<x/>"), "nothing": nil,
	} {
		img, _ := thumbnail(t, with(data, markerExif, segment), 40, 40)
		if img.Bounds().Size() != image.Pt(40, 20) {
			t.Errorf("orientation %s: %v", name, img.Bounds().Size())
		}
	}
}

// pngHead is the beginning of a PNG of that size.
func pngHead(width, height uint32, depth, kind byte) []byte {
	chunk := []byte("IHDR")
	chunk = binary.BigEndian.AppendUint32(chunk, width)
	chunk = binary.BigEndian.AppendUint32(chunk, height)
	chunk = append(chunk, depth, kind, 0, 0, 0)
	out := append([]byte("\x89PNG\r\n\x1a\n"), 0, 0, 0, 13)
	return binary.BigEndian.AppendUint32(append(out, chunk...), crc32.ChecksumIEEE(chunk))
}

// TestABombIsRefusedBeforeItIsDecoded has small files of images that are large.
func TestABombIsRefusedBeforeItIsDecoded(t *testing.T) {
	// The frame header of a JPEG holds the size as height and width of 16 bits each.
	resized := func(marker byte) []byte {
		data := bytes.Clone(encoded(t, sample(8, 8), asJPEG))
		at := bytes.Index(data, []byte{0xff, 0xc0})
		data[at+1] = marker
		copy(data[at+5:], "\x75\x30\x75\x30") // 30000×30000
		return data
	}
	gifHead := []byte("GIF89a\xff\xff\xff\xff\x00\x00\x00")
	for name, data := range map[string][]byte{
		"PNG": pngHead(30000, 30000, 8, 6), "long PNG": pngHead(1<<31-1, 1, 1, 0), "deep PNG": pngHead(6000, 6000, 16, 6),
		"JPEG": resized(0xc0), "progressive JPEG": resized(0xc2), "GIF": gifHead,
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := Thumbnail(io.Discard, bytes.NewReader(data), 100, 100)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: error is %v, want %v", name, err, ErrTooLarge)
		}
		if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 1<<20 {
			t.Errorf("%s: %d bytes were allocated to find that out", name, allocated)
		}
	}
}

func TestProgressiveImagesTakeMore(t *testing.T) {
	config := image.Config{Width: 5000, Height: 5000, ColorModel: color.YCbCrModel}
	if err := checkMemory(config, "jpeg", jpegHead{}); err != nil {
		t.Errorf("25 megapixels: %v", err)
	}
	if err := checkMemory(config, "jpeg", jpegHead{buffered: true}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("25 progressive megapixels: error is %v, want %v", err, ErrTooLarge)
	}
}

// TestAProgressiveImageCannotHide has what decoders read over, before the frame of a progressive image of 25 megapixels.
func TestAProgressiveImageCannotHide(t *testing.T) {
	plain := encoded(t, sample(8, 8), asJPEG)
	comment := []byte{0xff, 0xfe, 0, 2}
	for name, before := range map[string][]byte{
		"nothing": nil, "a fill byte": {0xff}, "a restart marker": {0xff, 0xd3}, "a stray byte": {7}, "a stuffed byte": {0xff, 0},
		"many comments": bytes.Repeat(comment, maxSegments),
	} {
		hidden := slices.Concat(plain[:2], before, plain[2:])
		frame := bytes.Index(hidden, []byte{0xff, markerBaseline})
		hidden[frame+1] = markerExtended + 1
		copy(hidden[frame+5:], []byte{5000 >> 8, 5000 & 0xff, 5000 >> 8, 5000 & 0xff})
		if err := Thumbnail(io.Discard, bytes.NewReader(hidden), 100, 100); !errors.Is(err, ErrTooLarge) {
			t.Errorf("behind %s: error is %v, want %v", name, err, ErrTooLarge)
		}
		if err := Thumbnail(io.Discard, bytes.NewReader(slices.Concat(plain[:2], before, plain[2:])), 4, 4); err != nil {
			t.Errorf("a small image behind %s: %v", name, err)
		}
	}
	if readJPEGHead(bytes.NewReader(plain)).buffered {
		t.Error("a plain image is taken for a progressive one")
	}
}

func TestWhatIsNoImageIsRefused(t *testing.T) {
	whole := encoded(t, sample(100, 100), asPNG)
	for name, data := range map[string][]byte{"nothing": nil, "text": []byte("hello"), "half an image": whole[:len(whole)/2], "only a head": pngHead(10, 10, 8, 6)} {
		if err := Thumbnail(io.Discard, bytes.NewReader(data), 10, 10); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: error is %v, want %v", name, err, ErrFormat)
		}
	}
}

// failing is a reader that fails from some place on.
type failing struct {
	*bytes.Reader
	err error
}

// Read implements io.Reader.
func (f failing) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if err == io.EOF {
		err = f.err
	}
	return n, err
}

// TestAReaderThatFailsIsNotTheImagesFault matters because an image is tried once only.
func TestAReaderThatFailsIsNotTheImagesFault(t *testing.T) {
	for _, img := range [][]byte{encoded(t, sample(100, 100), asPNG), encoded(t, sample(100, 100), asJPEG)} {
		for _, n := range []int{0, 5, 40, len(img) - 20} {
			broken := errors.New("broken")
			err := Thumbnail(io.Discard, failing{bytes.NewReader(img[:n]), broken}, 10, 10)
			if !errors.Is(err, broken) || errors.Is(err, ErrFormat) {
				t.Errorf("broken after %d: error is %v, want %v", n, err, broken)
			}
		}
	}
}

// FuzzJPEGHead feeds the reader of heads with what is no head.
func FuzzJPEGHead(f *testing.F) {
	img := image.NewRGBA(image.Rect(0, 0, 16, 16))
	plain := encoded(f, img, asJPEG)
	f.Add(plain)
	f.Add(with(plain, markerExif, exif(binary.BigEndian, 6)))
	f.Add(with(plain, markerExif, exif(binary.LittleEndian, 3)))
	f.Add([]byte{0xff, 0xd8, 0xff, 0xe1, 0, 2, 0xff, 0xda, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		head := readJPEGHead(bytes.NewReader(data))
		if head.orientation < 1 || head.orientation > 8 {
			t.Errorf("orientation %d", head.orientation)
		}
		if slow := readJPEGHead(iotest.OneByteReader(bytes.NewReader(data))); slow != head {
			t.Errorf("read byte by byte it is %+v, not %+v", slow, head)
		}
		if o := exifOrientation(data); o < 0 || o > 8 {
			t.Errorf("orientation %d", o)
		}
	})
}

// BenchmarkThumbnail scales a photograph of 12 megapixels.
func BenchmarkThumbnail(b *testing.B) {
	img := image.NewRGBA(image.Rect(0, 0, 4000, 3000))
	random := rand.New(rand.NewPCG(1, 2))
	for i := range img.Pix {
		img.Pix[i] = byte(i/4000) + byte(random.IntN(16))
	}
	data := encoded(b, img, asJPEG)
	for _, box := range []int{170, MaxBox} {
		b.Run(fmt.Sprint(box), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := Thumbnail(io.Discard, bytes.NewReader(data), box, box); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
