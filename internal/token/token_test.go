package token

import (
	"strings"
	"testing"
	"time"
)

// The app of the vectors in docs/protocol/tokens.md.
const (
	testAppID = "0123456789abcdef0123456789abcdef"
	testCert  = "fedcba9876543210fedcba9876543210"
	testSalt  = 12345
)

var testIssue = time.Unix(1700000000, 0).UTC()

// after is the instant d after the issue of the test tokens.
func after(d time.Duration) time.Time { return testIssue.Add(d) }

func TestKindOfTellsTokensByTheirFirstCharacters(t *testing.T) {
	for text, want := range map[string]Kind{
		vectorUser:    KindAccessToken,
		vectorDynamic: KindDynamic,
		vectorIssued:  KindIssued,
		"007":         KindAccessToken,
		"006abc":      KindUnknown,
		"00":          KindUnknown,
		"ywmt":        KindUnknown,
		"":            KindUnknown,
		"secret":      KindUnknown,
	} {
		if got := KindOf(text); got != want {
			t.Errorf("KindOf(%.8q) = %v, want %v", text, got, want)
		}
	}
}

// TestNoParserTakesAnotherKind also covers what is too short or too long for any of them.
func TestNoParserTakesAnotherKind(t *testing.T) {
	texts := []string{
		"", "0", "007", "YWMt", "ZHQt", "secret", "007!", "ZHQt!", "ZHQte30",
		vectorUser, vectorDynamic, vectorIssued,
		"007" + strings.Repeat("A", maxText), "ZHQt" + strings.Repeat("A", maxText), "YWMt" + strings.Repeat("A", maxText),
	}
	for _, text := range texts {
		_, err := ParseAccessToken(text)
		if ok := text == vectorUser; (err == nil) != ok {
			t.Errorf("ParseAccessToken(%.12q): %v", text, err)
		}
		_, err = ParseDynamic(text)
		if ok := text == vectorDynamic; (err == nil) != ok {
			t.Errorf("ParseDynamic(%.12q): %v", text, err)
		}
		_, err = ParseIssued(text)
		if ok := text == vectorIssued; (err == nil) != ok {
			t.Errorf("ParseIssued(%.12q): %v", text, err)
		}
	}
}
