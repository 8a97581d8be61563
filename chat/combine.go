package chat

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/msync"
)

const (
	// combinedParts and combinedLevels bound a combined message.
	combinedParts  = 300
	combinedLevels = 10
	// combinedSize bounds the file of a combined message that is read, in bytes.
	combinedSize = 16 << 20
)

// combinedHeader is how the file of a combined message begins.
const combinedHeader = "cm"

// Combined is what a combined message is made of.
type Combined struct {
	Title, Summary string
	Text           string     // shown by programs that do not know combined messages
	Messages       []*Message // 1 to 300, which may be combined themselves, up to 10 levels
}

// SendCombined uploads messages as one file and sends it as a message. For the errors see [Client.Upload] and
// [Client.Send]; 50 for too many messages, none, or too many levels.
func (c *Client) SendCombined(ctx context.Context, to string, combined Combined, opts ...SendOption) (*Message, error) {
	const op = "send"
	if _, err := c.sender(op, to); err != nil {
		return nil, err
	}
	data, level, err := encodeCombined(c.appKey, combined.Messages)
	if err != nil {
		return nil, err
	}
	file := NewFile("combine", data)
	a, err := c.upload(ctx, op, Target{collect(opts).chatType, to}, file)
	if err != nil {
		return nil, err
	}
	// Other clients ask at this address as it stands.
	address := withQuery(a.URL, "em-redirect=true")
	if a.Secret != "" {
		address += "&share-secret=" + a.Secret
	}
	return c.Send(ctx, to, Content{
		Kind: KindCombined, Text: combined.Text, Title: combined.Title, Summary: combined.Summary, Level: level,
		Name: file.Name, URL: address, Secret: a.Secret, Size: int(file.Size),
	}, opts...)
}

// CombinedMessages downloads the messages of a combined message. For the errors see [Client.Download]; 203 for a file that
// is not that of a combined message.
func (c *Client) CombinedMessages(ctx context.Context, content Content) ([]*Message, error) {
	const op = "combined messages"
	if content.Kind != KindCombined {
		return nil, fail(errcode.InvalidParameter, op, "the message is not a combined one", nil)
	}
	var file limitedBuffer
	if err := c.download(ctx, op, content.URL, content.Secret, &file); err != nil {
		return nil, err
	}
	user, _, _ := c.credentials()
	messages, err := decodeCombined(user, file.data)
	if err != nil {
		return nil, fail(errcode.ParseFileFailed, op, "", err)
	}
	return messages, nil
}

// limitedBuffer keeps the bytes of a file that must be in memory.
// It embeds no bytes.Buffer, whose ReadFrom would get round the limit.
type limitedBuffer struct{ data []byte }

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if len(b.data)+len(p) > combinedSize {
		return 0, fmt.Errorf("the file is larger than %d bytes", combinedSize)
	}
	b.data = append(b.data, p...)
	return len(p), nil
}

// encodeCombined returns the file and how deep it is nested.
func encodeCombined(appKey string, messages []*Message) ([]byte, int, *Error) {
	const op = "send"
	if len(messages) == 0 || len(messages) > combinedParts {
		message := fmt.Sprintf("%d messages are combined; it must be 1 to %d", len(messages), combinedParts)
		return nil, 0, fail(errcode.MaxLimit, op, message, nil)
	}
	level := 1
	data := []byte(combinedHeader)
	for _, m := range messages {
		if m == nil {
			return nil, 0, fail(errcode.InvalidParameter, op, "one of the messages is nil", nil)
		}
		level = max(level, m.Level+1)
		wire, err := encodeContent(m.Content)
		if err != nil {
			return nil, 0, err
		}
		ext, err := encodeMap(m.Ext)
		if err != nil {
			return nil, 0, err
		}
		payload, failure := proto.Marshal(&msync.MessageBody{
			Type: m.ChatType.bodyType(), From: &msync.JID{Name: m.From}, To: &msync.JID{Name: m.To},
			Contents: []*msync.MessageBody_Content{wire}, Ext: ext,
		})
		var meta []byte
		if failure == nil {
			meta, failure = proto.Marshal(&msync.Meta{
				Id: parseID(m.ID), To: address(appKey, m.To, m.ChatType), Timestamp: uint64(max(0, m.Time.UnixMilli())),
				Ns: msync.Meta_CHAT, Payload: payload,
			})
		}
		if failure != nil {
			return nil, 0, fail(errcode.InvalidParameter, op, "a message is not valid UTF-8", failure)
		}
		data = binary.BigEndian.AppendUint32(data, uint32(len(meta)))
		data = append(data, meta...)
	}
	if level > combinedLevels {
		message := fmt.Sprintf("the messages are nested %d deep; it may be %d", level, combinedLevels)
		return nil, 0, fail(errcode.MaxLimit, op, message, nil)
	}
	return append(data, checkByte(data)), level, nil
}

// checkByte is the last byte of the file: the XOR of those at odd offsets behind the header.
func checkByte(data []byte) (sum byte) {
	for i := len(combinedHeader) + 1; i < len(data); i += 2 {
		sum ^= data[i]
	}
	return sum
}

func decodeCombined(user string, file []byte) ([]*Message, error) {
	data, ok := bytes.CutPrefix(file, []byte(combinedHeader))
	if !ok || len(data) == 0 {
		return nil, errors.New("it does not begin as one")
	}
	end := len(data) - 1
	if data[end] != checkByte(file[:len(file)-1]) {
		return nil, errors.New("its check byte is wrong")
	}
	data = data[:end]
	var messages []*Message
	for len(data) > 0 {
		if len(data) < 4 || uint64(binary.BigEndian.Uint32(data)) > uint64(len(data)-4) {
			return nil, errors.New("a message is cut off")
		}
		if len(messages) == combinedParts {
			return nil, fmt.Errorf("it has more than %d messages", combinedParts)
		}
		size := binary.BigEndian.Uint32(data)
		var meta msync.Meta
		var body msync.MessageBody
		if err := proto.Unmarshal(data[4:4+size], &meta); err != nil {
			return nil, err
		}
		if err := proto.Unmarshal(meta.GetPayload(), &body); err != nil {
			return nil, err
		}
		m, err := decodeMessage(user, &meta, &body)
		if err != nil {
			return nil, err
		}
		messages = append(messages, m)
		data = data[4+size:]
	}
	return messages, nil
}
