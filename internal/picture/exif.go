package picture

import (
	"bytes"
	"encoding/binary"
	"io"
)

// The markers of JPEG segments that are looked at.
const (
	markerBaseline = 0xc0
	markerExtended = 0xc1
	markerStart    = 0xd8
	markerEnd      = 0xd9
	markerRestart  = 0xd0 // the first of them; they, the start and the end of an image have no length
	markerScan     = 0xda // from here on there are pixels
	markerExif     = 0xe1
	markerFill     = 0xff
)

// maxSegments bounds how far into a JPEG its description is looked for.
const maxSegments = 200

// jpegHead is what the segments before the pixels of a JPEG tell.
type jpegHead struct {
	// orientation is how the pixels are to be turned, 1 to 8 as in EXIF; 1 is not at all.
	orientation int
	// buffered: the decoder may keep all coefficients until the end of the image, as it does for progressive ones.
	buffered bool
}

// readJPEGHead reads the head of a JPEG. It stops at what it does not understand: the pixels may be good all the same. A
// decoder reads on there, so an image is taken for a buffered one until its frame has said otherwise.
func readJPEGHead(r io.Reader) jpegHead {
	head := jpegHead{orientation: 1, buffered: true}
	var marker [4]byte
	if _, err := io.ReadFull(r, marker[:2]); err != nil || marker[0] != 0xff || marker[1] != markerStart {
		return head
	}
	for range maxSegments {
		if _, err := io.ReadFull(r, marker[:]); err != nil || marker[0] != 0xff {
			return head
		}
		kind := marker[1]
		if kind < markerBaseline || kind >= markerRestart && kind <= markerEnd || kind == markerScan || kind == markerFill {
			return head
		}
		length := int64(binary.BigEndian.Uint16(marker[2:])) - 2
		if length < 0 {
			return head
		}
		var segment bytes.Buffer
		if n, err := io.CopyN(&segment, r, length); err != nil || n < length {
			return head
		}
		switch kind {
		case markerExif:
			if o := exifOrientation(segment.Bytes()); o != 0 {
				head.orientation = o
			}
		case markerBaseline, markerExtended:
			head.buffered = false
		}
	}
	return head
}

// exifOrientation returns the orientation of the first image that an EXIF segment describes; 0: it tells none.
func exifOrientation(segment []byte) int {
	const (
		tagOrientation = 0x0112
		typeShort      = 3
		entrySize      = 12
	)
	tiff, ok := bytes.CutPrefix(segment, []byte("Exif\x00\x00"))
	if !ok || len(tiff) < 8 {
		return 0
	}
	var order binary.ByteOrder
	switch string(tiff[:4]) {
	case "II*\x00":
		order = binary.LittleEndian
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return 0
	}
	// The offset of the directory counts from the start of this header.
	at := int64(order.Uint32(tiff[4:]))
	if at < 8 || at+2 > int64(len(tiff)) {
		return 0
	}
	count := int(order.Uint16(tiff[at:]))
	entries := tiff[at+2:]
	for range count {
		if len(entries) < entrySize {
			return 0
		}
		if order.Uint16(entries) == tagOrientation {
			value := int(order.Uint16(entries[8:]))
			if order.Uint16(entries[2:]) != typeShort || order.Uint32(entries[4:]) != 1 || value < 1 || value > 8 {
				return 0
			}
			return value
		}
		entries = entries[entrySize:]
	}
	return 0
}
