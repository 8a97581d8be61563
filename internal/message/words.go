package message

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	maxWord  = 40   // letters of a word that count
	maxWords = 2000 // of a message
)

// unspaced are the scripts that put no blanks between words. Their texts are cut into pairs of letters, which finds any
// part of a text without a dictionary.
var unspaced = []*unicode.RangeTable{unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Bopomofo, unicode.Thai, unicode.Lao,
	unicode.Khmer, unicode.Myanmar, unicode.Tibetan, unicode.Javanese, unicode.Balinese, unicode.Tai_Le, unicode.New_Tai_Lue, unicode.Tai_Tham}

// run is letters that follow each other and are cut in the same way.
type run struct {
	text     []rune
	unspaced bool
}

// runs splits a text. Case, width, ligatures and the accents of European scripts make no difference.
func runs(text string) (all []run) {
	text = strings.ToValidUTF8(text, " ")
	open := false
	for _, r := range norm.NFKC.String(strings.Map(withoutAccent, norm.NFKD.String(text))) {
		r = unicode.ToLower(r)
		// Signs that people search for, as emoji, count as letters of a text without blanks.
		symbol := r > unicode.MaxASCII && unicode.In(r, unicode.So)
		if !symbol && !unicode.In(r, unicode.L, unicode.N, unicode.M) {
			open = false
			continue
		}
		cut := symbol || unicode.In(r, unspaced...)
		if unicode.Is(unicode.M, r) || r == 'ー' { // belongs to what is before it
			cut = open && all[len(all)-1].unspaced
		}
		if !open || all[len(all)-1].unspaced != cut {
			all, open = append(all, run{unspaced: cut}), true
		}
		last := &all[len(all)-1]
		last.text = append(last.text, r)
	}
	return all
}

// withoutAccent leaves out the marks that a decomposed European letter carries.
func withoutAccent(r rune) rune {
	if r >= 0x0300 && r <= 0x036f {
		return -1
	}
	return r
}

// wordsOf returns the words by which a text is found, each once.
func wordsOf(text string) []string {
	var words []string
	seen := map[string]bool{}
	add := func(letters []rune) {
		if word := string(letters); !seen[word] && len(words) < maxWords {
			seen[word] = true
			words = append(words, word)
		}
	}
	for _, r := range runs(text) {
		if !r.unspaced {
			add(r.text[:min(len(r.text), maxWord)])
			continue
		}
		for i := range r.text {
			add(r.text[i:min(i+2, len(r.text))]) // the last letter alone, so that it is found, too
		}
	}
	return words
}

// wanted returns what a message must hold to be found by a text: whole words, and beginnings of words. Words are found by
// their beginnings; a text without blanks is found by any part of it.
func wanted(text string) (words, prefixes []string) {
	for _, r := range runs(text) {
		if !r.unspaced {
			prefixes = append(prefixes, string(r.text[:min(len(r.text), maxWord)]))
			continue
		}
		if len(r.text) == 1 {
			prefixes = append(prefixes, string(r.text))
		}
		for i := range len(r.text) - 1 {
			words = append(words, string(r.text[i:i+2]))
		}
	}
	slices.Sort(words)
	slices.Sort(prefixes)
	return slices.Compact(words), slices.Compact(prefixes)
}

// holds reports whether a text really has the parts without blanks that were asked for: pairs of letters may be there in
// another order.
func holds(text, query string) bool {
	var whole strings.Builder
	for _, r := range runs(text) {
		whole.WriteString(string(r.text))
		whole.WriteByte(' ')
	}
	for _, r := range runs(query) {
		if r.unspaced && utf8.RuneCountInString(string(r.text)) > 2 && !strings.Contains(whole.String(), string(r.text)) {
			return false
		}
	}
	return true
}
