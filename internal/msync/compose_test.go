package msync

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWhatBackendsWriteIsShownAgain(t *testing.T) {
	for _, text := range []string{
		`{"type":"txt","msg":"hi ☃"}`,
		`{"type":"img","url":"u","filename":"f","secret":"s","size":{"width":1,"height":2},"file_length":0}`,
		`{"type":"audio","url":"u","filename":"f","secret":"s","length":3,"file_length":0}`,
		`{"type":"video","url":"u","filename":"f","secret":"s","length":3,"file_length":9,"thumb":"t","thumb_secret":"x","size":{"width":0,"height":0}}`,
		`{"type":"file","url":"u","filename":"f","secret":"s","file_length":0}`,
		`{"type":"loc","lat":1.5,"lng":-2,"addr":"a","buildingName":""}`,
		`{"type":"cmd","action":"a"}`,
		`{"type":"custom","customEvent":"e","customExts":[]}`,
	} {
		in := text
		if text == `{"type":"custom","customEvent":"e","customExts":[]}` {
			in = `{"type":"custom","customEvent":"e"}`
		}
		content, err := ContentFromJSON([]byte(in))
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		packed, err := json.Marshal(contentJSON(content))
		if err != nil {
			t.Fatal(err)
		}
		var got, want any
		if err := errors.Join(json.Unmarshal(packed, &got), json.Unmarshal([]byte(text), &want)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
	for _, bad := range []string{``, `[]`, `{}`, `{"type":"txt"}`, `{"type":"img"}`, `{"type":"loc","lat":"x","lng":1,"addr":"a"}`,
		`{"type":"loc","lat":1,"lng":1}`, `{"type":"cmd"}`, `{"type":"custom"}`, `{"type":"fax","url":"u"}`} {
		if _, err := ContentFromJSON([]byte(bad)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestValuesKeepTheirKind(t *testing.T) {
	in := `{"a":"text","b":true,"c":false,"d":12345678901234,"e":1.5,"f":{"x":[1,null]},"g":null}`
	var values map[string]json.RawMessage
	if err := json.Unmarshal([]byte(in), &values); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(valuesOf(ValuesFromJSON(values)))
	if err != nil || string(out) != in {
		t.Errorf("got %s, %v", out, err)
	}
}
