package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
)

// checkJSON refuses what is not one JSON value.
func checkJSON(data []byte) error {
	refuse := func(format string, args ...any) error {
		return &refusal{status: http.StatusBadRequest, slug: "json_parse", description: fmt.Sprintf(format, args...)}
	}
	var value json.RawMessage
	var syntax *json.SyntaxError
	err := json.Unmarshal(data, &value)
	switch {
	case err == nil && utf8.Valid(data):
		return nil
	case err == nil:
		return refuse("Unexpected character: the text is not UTF-8")
	case errors.As(err, &syntax) && syntax.Offset > 0 && syntax.Offset <= int64(len(data)) && !strings.HasPrefix(syntax.Error(), "unexpected end"):
		at := syntax.Offset - 1 // the offset is behind the character
		char, _ := utf8.DecodeRune(data[at:])
		return refuse("Unexpected character %q at position %d", char, at)
	}
	return refuse("Unexpected end of the request body")
}

// objectOf reads a JSON object. Its keys differ in capital letters, unlike in encoding/json.
func objectOf(data []byte) (map[string]json.RawMessage, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(data, &object); err != nil || object == nil {
		return nil, refuseBody
	}
	return object, nil
}

// decode reads a JSON object into the fields of a struct, by the names in their json tags, in which capital letters
// count. A key that is missing or null leaves its field as it is; unknown keys are passed over; a value of another type
// is refused.
func decode(data []byte, into any) error {
	object, err := objectOf(data)
	if err != nil {
		return err
	}
	target := reflect.ValueOf(into).Elem()
	for i := range target.NumField() {
		value, ok := object[target.Type().Field(i).Tag.Get("json")]
		if !ok {
			continue
		}
		var said *refusal
		if err := json.Unmarshal(value, target.Field(i).Addr().Interface()); errors.As(err, &said) {
			return said
		} else if err != nil {
			return refuseBody
		}
	}
	return nil
}

// onlyKeys refuses an object that has other keys than these.
func onlyKeys(object map[string]json.RawMessage, known ...string) error {
	var unknown []string
	for _, key := range slices.Sorted(maps.Keys(object)) {
		if !slices.Contains(known, key) {
			unknown = append(unknown, key)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	return &refusal{status: http.StatusBadRequest, slug: "invalid_parameter",
		description: fmt.Sprintf("some of [%s] are not valid fields", strings.Join(unknown, ", "))}
}
