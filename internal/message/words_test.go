package message

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// found tells whether a message with a text is found by a query.
func found(text, query string) bool {
	has := wordsOf(text)
	words, prefixes := wanted(query)
	if len(words)+len(prefixes) == 0 {
		return false
	}
	for _, word := range words {
		if !slices.Contains(has, word) {
			return false
		}
	}
	for _, prefix := range prefixes {
		if !slices.ContainsFunc(has, func(word string) bool { return strings.HasPrefix(word, prefix) }) {
			return false
		}
	}
	return holds(text, query)
}

func TestTextsOfAnyScriptAreFound(t *testing.T) {
	for _, test := range []struct {
		text, query string
		want        bool
	}{
		{"Hello, World!", "hello", true},
		{"Hello, World!", "wor HEL", true},
		{"Hello, World!", "ello", false},
		{"Hello, World!", "hello there", false},
		{"Crème brûlée", "creme", true},
		{"creme", "crème", true},
		{"Straße", "straß", true},
		{"ＦＵＬＬ　ｗｉｄｔｈ", "full", true},
		{"Привет, мир", "при", true},
		{"γειά σου", "γεια", true},
		{"今天天气很好", "天气", true},
		{"今天天气很好", "气天", false},
		{"今天天气很好", "好", true},
		{"今天天气很好", "今", true},
		{"今天天气很好", "天气很好", true},
		{"天气很好 今天天", "今天天气", false}, // all its pairs are there
		{"東京タワーに行く", "タワー", true},
		{"がぎぐ", "かき", false}, // the marks of kana are letters' own
		{"안녕하세요 여러분", "안녕", true},
		{"ภาษาไทย", "ไทย", true},
		{"नमस्ते दुनिया", "नमस्ते", true},
		{"مرحبا بالعالم", "مرحبا", true},
		{"nice 👍 work", "👍", true},
		{"order 12345", "123", true},
		{"v1.2, a_b", "a b", true},
		{"iPhone手机", "手机", true},
		{"iPhone手机", "iphone", true},
		{"anything", "", false},
		{"anything", "!?", false},
	} {
		if got := found(test.text, test.query); got != test.want {
			t.Errorf("%q in %q: %v", test.query, test.text, got)
		}
	}
}

func TestWordsAreBounded(t *testing.T) {
	long := strings.Repeat("a", 1000)
	if words := wordsOf(long + " " + long); len(words) != 1 || len(words[0]) != maxWord {
		t.Errorf("words are %q", words)
	}
	if !found(long, strings.Repeat("a", 500)) {
		t.Error("a long word is not found")
	}
}

// The stores rely on it that words hold neither blanks nor ASCII signs, and are text.
func FuzzWords(f *testing.F) {
	for _, seed := range []string{"Hello", "今天", "a\x00b\xff", "👍🏽", "e\u0301", "'\"\\*:@"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		words, prefixes := wanted(text)
		for _, word := range slices.Concat(wordsOf(text), words, prefixes) {
			if word == "" || !utf8.ValidString(word) {
				t.Fatalf("%q has the word %q", text, word)
			}
			for _, r := range word {
				if r < 0x80 && !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z') {
					t.Fatalf("%q has the word %q", text, word)
				}
			}
		}
	})
}
