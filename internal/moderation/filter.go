package moderation

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
)

// What happens to a message that matches.
const (
	ActionBlock = "block" // it is refused
	ActionMask  = "mask"  // what matches is replaced by asterisks
	ActionFlag  = "flag"  // it is delivered
)

const (
	maxWords    = 10_000 // of a rule
	maxPatterns = 100
	maxWord     = 200  // bytes
	maxPattern  = 1000 // bytes
	maxFound    = 200  // bytes of what matched that are noted
)

// Filter is a rule: words and patterns that a text may not hold, and what happens to one that does. Case, width, ligatures
// and invisible characters make no difference.
type Filter struct {
	action   string
	code     errcode.Code
	whole    bool
	words    *wordSet
	patterns []*regexp.Regexp
}

// ParseFilter reads the definition of a rule, see docs/moderation.md.
func ParseFilter(definition []byte) (*Filter, error) {
	var d struct {
		Words      []string `json:"words"`
		Patterns   []string `json:"patterns"`
		WholeWords bool     `json:"whole_words"`
		Action     string   `json:"action"`
		Code       int      `json:"code"`
	}
	decoder := json.NewDecoder(bytes.NewReader(definition))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil {
		return nil, err
	}
	if _, more := decoder.Token(); more != io.EOF {
		return nil, errors.New("something follows the rule")
	}
	if d.Code == 0 {
		d.Code = int(errcode.IllegalContent)
	}
	f := &Filter{action: d.Action, code: errcode.Code(d.Code), whole: d.WholeWords}
	switch {
	case !slices.Contains([]string{ActionBlock, ActionMask, ActionFlag}, d.Action):
		return nil, fmt.Errorf("action is %s, %s or %s", ActionBlock, ActionMask, ActionFlag)
	case f.code != errcode.IllegalContent && f.code != errcode.ModerationBlocked:
		return nil, fmt.Errorf("code is %d or %d", errcode.IllegalContent, errcode.ModerationBlocked)
	case len(d.Words)+len(d.Patterns) == 0:
		return nil, errors.New("there are neither words nor patterns")
	case len(d.Words) > maxWords || len(d.Patterns) > maxPatterns:
		return nil, fmt.Errorf("a rule has at most %d words and %d patterns", maxWords, maxPatterns)
	}
	words := make([]string, 0, len(d.Words))
	for _, word := range d.Words {
		folded := fold(word).text
		if folded == "" || len(folded) > maxWord {
			return nil, fmt.Errorf("the word %.50q has not 1 to %d bytes", word, maxWord)
		}
		words = append(words, folded)
	}
	f.words = newWordSet(words)
	for _, pattern := range d.Patterns {
		if len(pattern) > maxPattern {
			return nil, fmt.Errorf("the pattern %.50q is longer than %d bytes", pattern, maxPattern)
		}
		compiled, err := regexp.Compile("(?i)" + pattern)
		if err != nil {
			return nil, fmt.Errorf("pattern %.50q: %w", pattern, err)
		}
		f.patterns = append(f.patterns, compiled)
	}
	return f, nil
}

// find returns where in a folded text the rule matches: pairs of start and end.
func (f *Filter) find(text string) (spans [][]int) {
	for at := 0; at < len(text); {
		if n := f.words.longest(text[at:], func(end int) bool { return !f.whole || alone(text, at, at+end) }); n > 0 {
			spans = append(spans, []int{at, at + n})
			at += n
			continue
		}
		_, size := utf8.DecodeRuneInString(text[at:])
		at += size
	}
	for _, p := range f.patterns {
		for _, span := range p.FindAllStringIndex(text, -1) {
			if span[1] > span[0] { // a match of nothing is none
				spans = append(spans, span)
			}
		}
	}
	return spans
}

// alone reports whether a part of a text is no part of a longer word.
func alone(text string, from, to int) bool {
	before, _ := utf8.DecodeLastRuneInString(text[:from])
	after, _ := utf8.DecodeRuneInString(text[to:])
	return !inWord(before) && !inWord(after)
}

func inWord(r rune) bool { return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r)) }

// wordSet is a set of words in order, which takes little more memory than the words themselves.
type wordSet struct {
	sorted []string
	within []int32    // the longest other word that each word begins with; -1: none
	first  [257]int32 // where the words are whose first byte is at least that
}

func newWordSet(words []string) *wordSet {
	slices.Sort(words)
	w := &wordSet{sorted: slices.Compact(words)}
	w.within = make([]int32, len(w.sorted))
	for i, word := range w.sorted {
		w.first[int(word[0])+1]++
		begins := int32(i) - 1
		for begins >= 0 && !strings.HasPrefix(word, w.sorted[begins]) {
			begins = w.within[begins]
		}
		w.within[i] = begins
	}
	for i := 1; i < len(w.first); i++ {
		w.first[i] += w.first[i-1]
	}
	return w
}

// longest returns the length of the longest word that the text begins with and that is accepted; 0: there is none. Whatever
// stands in order between such a word and the text begins with that word.
func (w *wordSet) longest(text string, accept func(end int) bool) (length int) {
	from, to := w.first[text[0]], w.first[int(text[0])+1]
	n, same := slices.BinarySearchFunc(w.sorted[from:to], text, strings.Compare)
	if !same {
		n--
	}
	if n < 0 {
		return 0
	}
	at := from + int32(n)
	shared := common(w.sorted[at], text)
	for ; at >= 0; at = w.within[at] {
		if n := len(w.sorted[at]); n <= shared && accept(n) {
			return n
		}
	}
	return 0
}

// common returns how many bytes two texts share from the beginning on.
func common(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// folded is a text as it is compared, and where in the original each of its bytes comes from.
type folded struct {
	text     string
	from, to []int
}

// fold makes texts equal that people take for the same.
func fold(text string) (f folded) {
	caseless := cases.Fold()
	var it norm.Iter
	it.InitString(norm.NFKC, text)
	var out strings.Builder
	for !it.Done() {
		from := it.Pos()
		part := caseless.String(strings.Map(visible, string(it.Next())))
		out.WriteString(part)
		for range len(part) {
			f.from, f.to = append(f.from, from), append(f.to, it.Pos())
		}
	}
	f.text = out.String()
	return f
}

// visible leaves out what is not seen: soft hyphens, joiners, marks of direction, fillers, selectors of variants.
func visible(r rune) rune {
	if unicode.In(r, unicode.Cf, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point) {
		return -1
	}
	return r
}

// Hit is a rule that a text matched.
type Hit struct {
	Rule, Action string
	Found        string // the first of what matched, as it was written
}

// Judgement is what the rules say of a text.
type Judgement struct {
	Text string // as it may be delivered
	Hits []Hit
	Err  error // why the message may not be sent: code 501 or 508
}

// Judge holds a text against the rules of an app. It asks no store.
func (s *Service) Judge(app *account.App, text string) Judgement {
	j := Judgement{Text: text}
	rules := s.Rules.Of(app.ID)
	if len(rules) == 0 || text == "" {
		return j
	}
	compared := fold(text)
	var masked [][]int
	for _, rule := range rules {
		spans := rule.Made.find(compared.text)
		if len(spans) == 0 {
			continue
		}
		for _, span := range spans { // from now on in the original
			span[0], span[1] = compared.from[span[0]], compared.to[span[1]-1]
		}
		found := strings.ToValidUTF8(text[spans[0][0]:spans[0][1]], "\uFFFD")
		if len(found) > maxFound {
			found = strings.ToValidUTF8(found[:maxFound], "")
		}
		j.Hits = append(j.Hits, Hit{Rule: rule.Name, Action: rule.Made.action, Found: strings.ReplaceAll(found, "\x00", "\uFFFD")})
		switch rule.Made.action {
		case ActionBlock:
			if j.Err == nil {
				j.Err = refusal(rule.Made.code, rule.Name)
			}
		case ActionMask:
			masked = append(masked, spans...)
		}
	}
	if len(masked) > 0 {
		j.Text = mask(text, masked)
	}
	return j
}

// refusal does not tell the sender what matched: who learns the words learns to get round them.
func refusal(code errcode.Code, rule string) error {
	return &errcode.Error{Code: code, Op: "send", Message: fmt.Sprintf("the rule %q of the app does not allow the text", rule)}
}

// mask replaces the characters of parts of a text by asterisks.
func mask(text string, parts [][]int) string {
	slices.SortFunc(parts, func(a, b []int) int { return a[0] - b[0] })
	var out strings.Builder
	at := 0
	for _, part := range parts {
		if part[1] <= at {
			continue
		}
		from := max(part[0], at)
		out.WriteString(text[at:from])
		out.WriteString(strings.Repeat("*", utf8.RuneCountInString(text[from:part[1]])))
		at = part[1]
	}
	return out.String() + text[at:]
}
