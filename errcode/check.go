package errcode

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// mention is a code in a line of a log: as Error writes it, as the web SDK's error object looks when it is printed, as
// slog and JSON write the field, or the name alone.
var mention = regexp.MustCompile(`(-[1-4]|\b\d{1,4}) ([A-Z][A-Z0-9_]{5,})\b` +
	`|"?\b(?:code|type|error_code)"?\s*[:=]\s*"?(-?\d{1,4})\b` +
	`|\b([A-Z][A-Z0-9]*(?:_[A-Z0-9]+){1,6})\b`)

// Check reads a log and writes which codes of the catalogue it mentions, how often and where first, with an explanation
// of each. Lines may be of any length. The error is one of reading or writing.
func Check(log io.Reader, w io.Writer) error {
	type find struct {
		count, line int
		text        string
	}
	found := map[Code]*find{}
	lines := bufio.NewReader(log)
	for n := 1; ; n++ {
		line, err := lines.ReadString('\n')
		if err != nil && err != io.EOF {
			return fmt.Errorf("read log: %w", err)
		}
		for _, code := range mentioned(line) {
			if found[code] == nil {
				found[code] = &find{line: n, text: shorten(strings.TrimSpace(oneLine(line)))}
			}
			found[code].count++
		}
		if err == io.EOF {
			break
		}
	}
	if len(found) == 0 {
		_, err := fmt.Fprintln(w, "The log mentions no code of the catalogue.")
		return err
	}
	for _, e := range All() {
		f := found[e.Code]
		if f == nil || e.Code == 0 {
			continue
		}
		delete(found, e.Code)
		if _, err := fmt.Fprintf(w, "%d %s: %d times, first in line %d\n  %s\n  %s\n  why:   %s\n  helps: %s\n\n",
			int(e.Code), e.Name, f.count, f.line, f.text, e.Summary, e.Causes[0], e.Remedy()); err != nil {
			return err
		}
	}
	return nil
}

// mentioned returns the codes in a line, each once. A number counts only where a name or a key says that it is a code of
// the catalogue.
func mentioned(line string) (codes []Code) {
	for _, m := range mention.FindAllStringSubmatch(line, -1) {
		var entry Entry
		var ok bool
		switch {
		case m[2] != "":
			entry, ok = ByName(m[2])
			ok = ok && strconv.Itoa(int(entry.Code)) == m[1]
		case m[3] != "":
			number, _ := strconv.Atoi(m[3])
			entry, ok = Lookup(Code(number))
		default:
			entry, ok = ByName(m[4])
		}
		if ok && entry.Code != 0 && !slices.Contains(codes, entry.Code) {
			codes = append(codes, entry.Code)
		}
	}
	return codes
}

// shorten keeps a line of a log from filling the screen.
func shorten(line string) string {
	const most = 160
	if runes := []rune(line); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return line
}
