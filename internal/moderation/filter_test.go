package moderation

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func filter(t *testing.T, definition string) *Filter {
	t.Helper()
	f, err := ParseFilter([]byte(definition))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// masked returns a text with what a rule finds in it replaced.
func masked(f *Filter, text string) string {
	compared := fold(text)
	spans := f.find(compared.text)
	for _, span := range spans {
		span[0], span[1] = compared.from[span[0]], compared.to[span[1]-1]
	}
	return mask(text, spans)
}

func TestWordsAreFoundHoweverTheyAreWritten(t *testing.T) {
	f := filter(t, `{"words":["Darn","straße","敏感","ofﬁce"],"action":"mask"}`)
	for text, want := range map[string]string{
		"":                           "",
		"harmless":                   "harmless",
		"darn it":                    "**** it",
		"DARN darndarn":              "**** ********",
		"ｄａｒｎ!":                      "****!",
		"da\u00adr\u200bn":           "******",
		"d\u034farn\ufe0f":           "*****\ufe0f",
		"\u3164d\u115fa\U000e0100rn": "\u3164******",
		"STRASSE, Straße":            "*******, ******",
		"这是敏感词":                      "这是**词",
		"oﬃce office OFFICE":         "**** ****** ******",
		"\xffdarn\xff":               "\xff****\xff",
		"dar":                        "dar",
		"e\u0301darn\u0301 e\u0301":  "e\u0301darn\u0301 e\u0301", // ń is another letter
	} {
		if got := masked(f, text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

func TestWholeWordsAreNoPartsOfOthers(t *testing.T) {
	f := filter(t, `{"words":["ass","ass hat"],"whole_words":true,"action":"mask"}`)
	for text, want := range map[string]string{
		"ass":            "***",
		"class assert":   "class assert",
		"an ass, a ASS!": "an ***, a ***!",
		"ass hats":       "*** hats",
		"ass hat":        "*******",
		"ässass":         "ässass",
	} {
		if got := masked(f, text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

// TestWordsThatBeginWithOthersAreFound compares with looking for each word in turn.
func TestWordsThatBeginWithOthersAreFound(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	some := func(length int) string {
		text := make([]byte, 1+random.IntN(length))
		for i := range text {
			text[i] = "abc"[random.IntN(3)]
		}
		return string(text)
	}
	for range 2000 {
		words := make([]string, 1+random.IntN(12))
		for i := range words {
			words[i] = some(6)
		}
		text, odd := some(9), random.IntN(2) == 0
		accept := func(n int) bool { return !odd || n%2 == 1 }
		want := 0
		for _, word := range words {
			if strings.HasPrefix(text, word) && accept(len(word)) {
				want = max(want, len(word))
			}
		}
		if got := newWordSet(slices.Clone(words)).longest(text, accept); got != want {
			t.Fatalf("%q in %q: %d bytes, want %d", text, words, got, want)
		}
	}
}

func TestPatternsAreFound(t *testing.T) {
	f := filter(t, `{"patterns":["\\b\\d{4}-\\d{4}\\b","buy .*? now","x*"],"words":["now"],"action":"mask"}`)
	for text, want := range map[string]string{
		"call 1234-5678 or １２３４-５６７８": "call ********* or *********",
		"BUY it Now, now": "**********, ***",
		"11234-5678":      "11234-5678",
	} {
		if got := masked(f, text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

func TestRulesThatMakeNoSenseAreRefused(t *testing.T) {
	for name, definition := range map[string]string{
		"no JSON":             `{`,
		"an array":            `[]`,
		"more after it":       `{"words":["a"],"action":"block"} {}`,
		"an unknown key":      `{"words":["a"],"action":"block","colour":1}`,
		"no action":           `{"words":["a"]}`,
		"an unknown action":   `{"words":["a"],"action":"shout"}`,
		"an unknown code":     `{"words":["a"],"action":"block","code":502}`,
		"nothing to find":     `{"words":[],"action":"block"}`,
		"an empty word":       `{"words":[""],"action":"block"}`,
		"an invisible word":   `{"words":["\u200b"],"action":"block"}`,
		"a long word":         `{"words":["` + strings.Repeat("a", maxWord+1) + `"],"action":"block"}`,
		"many words":          `{"words":["a"` + strings.Repeat(`,"a"`, maxWords) + `],"action":"block"}`,
		"a broken pattern":    `{"patterns":["("],"action":"block"}`,
		"a long pattern":      `{"patterns":["` + strings.Repeat("a", maxPattern+1) + `"],"action":"block"}`,
		"words of no strings": `{"words":[1],"action":"block"}`,
	} {
		if _, err := ParseFilter([]byte(definition)); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// FuzzMask looks that of whatever text comes nothing is left that the rule finds.
func FuzzMask(f *testing.F) {
	rule, err := ParseFilter([]byte(`{"words":["a","ﬁ","ß"],"action":"mask"}`))
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{"", "abc", "ﬁ ß \u200d a\u0301", "\xff\xfe", "한국어", "c\u0301\u0302\u0303\u0304\u0305"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := masked(rule, text)
		if len(rule.find(fold(got).text)) > 0 {
			t.Errorf("%q becomes %q", text, got)
		}
	})
}
