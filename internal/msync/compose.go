package msync

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
)

// looseNumber is a number in JSON, or text that holds one, as backends send both.
type looseNumber float64

func (n *looseNumber) UnmarshalJSON(b []byte) error {
	value, err := strconv.ParseFloat(string(bytes.Trim(b, `"`)), 64)
	if err != nil || math.IsInf(value, 0) || math.IsNaN(value) {
		return fmt.Errorf("%s is no number", b)
	}
	*n = looseNumber(value)
	return nil
}

// ContentFromJSON reads the content of a message as backends write it: an object with its type and the fields of that type
// (docs/protocol/admin-rest.md §7.3). The error is ErrMalformed.
func ContentFromJSON(text []byte) (*MessageBody_Content, error) {
	var in struct {
		Type        string                     `json:"type"`
		Message     *string                    `json:"msg"`
		URL         string                     `json:"url"`
		Name        string                     `json:"filename"`
		Secret      string                     `json:"secret"`
		Length      looseNumber                `json:"length"`
		FileLength  looseNumber                `json:"file_length"`
		Thumb       string                     `json:"thumb"`
		ThumbSecret string                     `json:"thumb_secret"`
		Latitude    *looseNumber               `json:"lat"`
		Longitude   *looseNumber               `json:"lng"`
		Address     string                     `json:"addr"`
		Action      string                     `json:"action"`
		Event       string                     `json:"customEvent"`
		Exts        map[string]json.RawMessage `json:"customExts"`
		Size        *struct {
			Width  looseNumber `json:"width"`
			Height looseNumber `json:"height"`
		} `json:"size"`
	}
	if err := json.Unmarshal(text, &in); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	missing := func(field string) (*MessageBody_Content, error) {
		return nil, fmt.Errorf("%w: a message of type %q needs %s", ErrMalformed, in.Type, field)
	}
	file := &MessageBody_Content{RemotePath: in.URL, SecretKey: in.Secret, DisplayName: in.Name, FileLength: int32(in.FileLength), Duration: int32(in.Length)}
	if in.Size != nil {
		file.Size = &MessageBody_Content_Size{Width: float64(in.Size.Width), Height: float64(in.Size.Height)}
	}
	switch in.Type {
	case "txt":
		if in.Message == nil {
			return missing("msg")
		}
		return &MessageBody_Content{Type: MessageBody_Content_TEXT, Text: *in.Message}, nil
	case "loc":
		if in.Latitude == nil || in.Longitude == nil || in.Address == "" {
			return missing("lat, lng and addr")
		}
		return &MessageBody_Content{Type: MessageBody_Content_LOCATION, Latitude: float64(*in.Latitude), Longitude: float64(*in.Longitude), Address: in.Address}, nil
	case "cmd":
		if in.Action == "" {
			return missing("action")
		}
		return &MessageBody_Content{Type: MessageBody_Content_COMMAND, Action: in.Action}, nil
	case "custom":
		if in.Event == "" {
			return missing("customEvent")
		}
		return &MessageBody_Content{Type: MessageBody_Content_CUSTOM, CustomEvent: in.Event, CustomExts: ValuesFromJSON(in.Exts)}, nil
	case "img":
		file.Type = MessageBody_Content_IMAGE
	case "audio":
		file.Type = MessageBody_Content_VOICE
	case "video":
		file.Type, file.ThumbnailRemotePath, file.ThumbnailSecretKey = MessageBody_Content_VIDEO, in.Thumb, in.ThumbSecret
	case "file":
		file.Type = MessageBody_Content_FILE
	default:
		return nil, fmt.Errorf("%w: there are no messages of type %q", ErrMalformed, in.Type)
	}
	if in.URL == "" {
		return missing("url")
	}
	return file, nil
}

// ValuesFromJSON packs an extension, in order of the keys: text, true and false and whole numbers as such, what else there is
// in JSON as JSON.
func ValuesFromJSON(values map[string]json.RawMessage) (list []*KeyValue) {
	for _, key := range slices.Sorted(maps.Keys(values)) {
		raw := values[key]
		kv := &KeyValue{Key: key, Type: KeyValue_JSON_STRING, Value: &KeyValue_StringValue{StringValue: string(raw)}}
		var value any
		decoder := json.NewDecoder(bytes.NewReader(raw))
		decoder.UseNumber()
		if decoder.Decode(&value) != nil {
			continue // there is none that was not decoded before
		}
		switch value := value.(type) {
		case string:
			kv.Type, kv.Value = KeyValue_STRING, &KeyValue_StringValue{StringValue: value}
		case bool:
			number := int64(0)
			if value {
				number = 1
			}
			kv.Type, kv.Value = KeyValue_BOOL, &KeyValue_VarintValue{VarintValue: number}
		case json.Number:
			if whole, err := value.Int64(); err == nil {
				kv.Type, kv.Value = KeyValue_LLINT, &KeyValue_VarintValue{VarintValue: whole}
			} else if number, err := value.Float64(); err == nil {
				kv.Type, kv.Value = KeyValue_DOUBLE, &KeyValue_DoubleValue{DoubleValue: number}
			}
		}
		list = append(list, kv)
	}
	return list
}
