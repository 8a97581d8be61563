package errcode

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// misspelled is the distance from which on a word is only similar to a name, not part of an entry.
const misspelled = 2000

// Nearest returns up to n entries most like the query, the most alike first. For a number these are the codes near it
// in value or in digits; for a word those that have it in their names, then in their summary; only if there are none,
// those whose names are spelled most like it.
func Nearest(query string, n int) []Entry {
	type candidate struct {
		entry    Entry
		distance int
	}
	query = strings.TrimSpace(query)
	number, err := strconv.Atoi(query)
	isNumber := err == nil
	var candidates []candidate
	for _, e := range catalogue().entries {
		distance := 0
		if isNumber {
			distance = numberDistance(number, int(e.Code))
		} else {
			distance = wordDistance(query, e)
		}
		candidates = append(candidates, candidate{e, distance})
	}
	slices.SortStableFunc(candidates, func(a, b candidate) int { return cmp.Compare(a.distance, b.distance) })
	var entries []Entry
	for _, c := range candidates[:min(max(n, 0), len(candidates))] {
		if c.distance >= misspelled && candidates[0].distance < misspelled {
			break
		}
		entries = append(entries, c.entry)
	}
	return entries
}

// numberDistance counts a wrong, missing or additional digit as ten.
func numberDistance(a, b int) int {
	distance := 10 * editDistance(strconv.Itoa(a), strconv.Itoa(b))
	if difference := max(a, b) - min(a, b); difference >= 0 { // negative: overflow
		distance = min(distance, difference)
	}
	return distance
}

// wordDistance ignores case, blanks and punctuation, so that "not friend" is in USER_NOT_FRIEND.
func wordDistance(query string, e Entry) int {
	const inSummary = misspelled / 2 // above the length of any name
	q := letters(query)
	names := []string{letters(e.Name), letters(e.GoName)}
	best := misspelled * 2
	for _, name := range names {
		switch {
		case q != "" && strings.Contains(name, q):
			best = min(best, len(name)-len(q))
		case q != "" && strings.Contains(letters(e.Summary), q):
			best = min(best, inSummary)
		default:
			best = min(best, misspelled+editDistance(q, name))
		}
	}
	return best
}

func letters(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, s)
}

// editDistance is the number of characters to insert, delete or replace to make b of a.
func editDistance(a, b string) int {
	s, t := []rune(a), []rune(b)
	row := make([]int, len(t)+1)
	for j := range row {
		row[j] = j
	}
	for i := range s {
		diagonal := row[0]
		row[0] = i + 1
		for j := range t {
			replace := diagonal
			if s[i] != t[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(t)]
}
