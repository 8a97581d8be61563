package store

import "testing"

func TestTextIsWhatEveryStoreKeeps(t *testing.T) {
	for text, want := range map[string]bool{"": true, "héllo 你好": true, "\ufffd": true, "a\x00": false, "\xff": false, "\xed\xa0\x80": false} {
		if got := IsText(text); got != want {
			t.Errorf("%q: %t, want %t", text, got, want)
		}
	}
}
