// Package picture makes thumbnails of JPEG, PNG, GIF and WebP images that strangers have sent: what would take too much
// memory is refused before it is decoded.
package picture

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	_ "image/gif" // registers the format, as do the next ones
	"image/jpeg"
	"image/png"
	"io"

	"golang.org/x/image/draw"
	_ "golang.org/x/image/webp"
)

var (
	// ErrFormat is returned for what is no image of a known format, or a broken one.
	ErrFormat = errors.New("not an image that can be read")
	// ErrTooLarge is returned for an image whose pixels would take more memory than MaxMemory.
	ErrTooLarge = errors.New("image has too many pixels")
)

// MaxMemory bounds what decoding one image takes, in bytes: enough for 85 megapixels of a plain JPEG, 64 of a PNG or 17
// of a progressive JPEG.
const MaxMemory = 256 << 20

// MaxBox is the largest side of a thumbnail, in pixels.
const MaxBox = 1024

const jpegQuality = 80

// Thumbnail reads an image and writes it scaled down to fit into width times height pixels, turned as its EXIF data say. A
// side that is 0 is not bounded; both are taken for MaxBox at most. An image that fits is not made larger. What is written
// is a JPEG, or a PNG if pixels are transparent; of an animation it is the first picture. The errors are ErrFormat,
// ErrTooLarge and those of reader and writer.
func Thumbnail(w io.Writer, r io.ReadSeeker, width, height int) error {
	src := &source{ReadSeeker: r}
	config, format, err := image.DecodeConfig(src)
	if err != nil {
		return src.blame(err)
	}
	var head jpegHead
	if format == "jpeg" {
		if err := src.rewind(); err != nil {
			return err
		}
		head = readJPEGHead(src)
	}
	if err := checkMemory(config, format, head); err != nil {
		return err
	}
	if err := src.rewind(); err != nil {
		return err
	}
	img, _, err := image.Decode(src)
	if err != nil {
		return src.blame(err)
	}
	if head.orientation > 4 { // these lie on their side
		width, height = height, width
	}
	small := turn(scale(img, width, height), head.orientation)
	if small.Opaque() {
		err = jpeg.Encode(w, small, &jpeg.Options{Quality: jpegQuality})
	} else {
		err = png.Encode(w, small)
	}
	if err != nil {
		return fmt.Errorf("write thumbnail: %w", err)
	}
	return nil
}

// source remembers that reading failed, which a decoder may take for a broken image.
type source struct {
	io.ReadSeeker
	err error
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	n, err := s.ReadSeeker.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

func (s *source) rewind() error {
	if _, err := s.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read image: %w", err)
	}
	return nil
}

// blame says whether the image or the reader is to blame for an error of a decoder.
func (s *source) blame(err error) error {
	if s.err != nil {
		return fmt.Errorf("read image: %w", s.err)
	}
	return fmt.Errorf("%w: %w", ErrFormat, err)
}

// checkMemory refuses an image whose decoder would need too much.
func checkMemory(config image.Config, format string, head jpegHead) error {
	if config.Width <= 0 || config.Height <= 0 {
		return fmt.Errorf("%w: it has no pixels", ErrFormat)
	}
	bytes := int64(4) // of a pixel
	switch config.ColorModel {
	case color.RGBA64Model, color.NRGBA64Model:
		bytes = 8
	case color.YCbCrModel, color.NYCbCrAModel:
		bytes = 3
	}
	switch {
	case head.buffered:
		bytes += 12 // three coefficients of 32 bits
	case format == "webp":
		bytes = 8
	}
	// Each side is below 2^31, so the product of the sides fits, and is compared before it is multiplied further.
	if int64(config.Width)*int64(config.Height) > MaxMemory/bytes {
		return fmt.Errorf("%w: %d×%d", ErrTooLarge, config.Width, config.Height)
	}
	return nil
}

// scale returns the image in a size that fits into the box.
func scale(img image.Image, width, height int) *image.RGBA {
	size := img.Bounds().Size()
	target := fit(size, bound(width), bound(height))
	// The good scaler's memory grows with the source: what is much larger than the target is brought near it first.
	if near := image.Pt(min(size.X, 2*target.X), min(size.Y, 2*target.Y)); near != size {
		rough := image.NewRGBA(image.Rectangle{Max: near})
		draw.ApproxBiLinear.Scale(rough, rough.Rect, img, img.Bounds(), draw.Src, nil)
		img = rough
	}
	out := image.NewRGBA(image.Rectangle{Max: target})
	draw.CatmullRom.Scale(out, out.Rect, img, img.Bounds(), draw.Src, nil)
	return out
}

func bound(side int) int {
	if side <= 0 || side > MaxBox {
		return MaxBox
	}
	return side
}

// fit returns the largest size of the same shape within the box, and at most the size itself.
func fit(size image.Point, width, height int) image.Point {
	if size.X <= width && size.Y <= height {
		return size
	}
	if size.X*height > size.Y*width { // the width decides
		return image.Pt(width, max(size.Y*width/size.X, 1))
	}
	return image.Pt(max(size.X*height/size.Y, 1), height)
}

// turn brings an image of an EXIF orientation upright.
func turn(img *image.RGBA, orientation int) *image.RGBA {
	if orientation <= 1 {
		return img
	}
	w, h := img.Rect.Dx(), img.Rect.Dy()
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	if orientation > 4 {
		out = image.NewRGBA(image.Rect(0, 0, h, w))
	}
	for y := range h {
		for x := range w {
			var to image.Point
			switch orientation {
			case 2:
				to = image.Pt(w-1-x, y)
			case 3:
				to = image.Pt(w-1-x, h-1-y)
			case 4:
				to = image.Pt(x, h-1-y)
			case 5:
				to = image.Pt(y, x)
			case 6:
				to = image.Pt(h-1-y, x)
			case 7:
				to = image.Pt(h-1-y, w-1-x)
			case 8:
				to = image.Pt(y, w-1-x)
			}
			out.SetRGBA(to.X, to.Y, img.RGBAAt(x, y))
		}
	}
	return out
}
