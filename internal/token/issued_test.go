package token

import (
	"bytes"
	"encoding/base64"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var testKey = []byte("0123456789abcdef0123456789abcdef")

// vectorIssued was made with another program: user 42 of app 7, generation 3, for an hour.
const vectorIssued = "YWMtAQABAAAAAAAAAAcAAAAAAAAAKgAAAAMAAAGLz-VoAAAAAYvQHFaApIlaajJkBlmd8qb7tzKnQhBwe4RXSAmz-ROWvnPbYH4"

func vectorClaims() Claims {
	return Claims{Privilege: PrivilegeUser, App: 7, User: 42, Generation: 3, IssuedAt: testIssue, ExpiresAt: after(time.Hour)}
}

func TestIssuedVector(t *testing.T) {
	if got := Mint(testKey, vectorClaims()); got != vectorIssued {
		t.Errorf("Mint = %q", got)
	}
	it, err := ParseIssued(vectorIssued)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(vectorClaims(), it.Claims); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	if err := it.Verify(testKey, testIssue); err != nil {
		t.Errorf("Verify: %v", err)
	}
}

func TestIssuedClaimsRoundTrip(t *testing.T) {
	fine := after(123456789 * time.Nanosecond)
	for name, tc := range map[string]struct{ in, want Claims }{
		"an app token that never expires": {
			Claims{Privilege: PrivilegeApp, App: 1, IssuedAt: testIssue},
			Claims{Privilege: PrivilegeApp, App: 1, IssuedAt: testIssue},
		},
		"times are cut to milliseconds and given in UTC": {
			Claims{Privilege: PrivilegeUser, App: 1, User: 1, IssuedAt: fine.In(time.FixedZone("", 3600)), ExpiresAt: fine},
			Claims{Privilege: PrivilegeUser, App: 1, User: 1, IssuedAt: after(123 * time.Millisecond), ExpiresAt: after(123 * time.Millisecond)},
		},
		"largest numbers": {
			Claims{Privilege: PrivilegeUser, App: math.MaxInt64, User: math.MaxInt64, Generation: math.MaxUint32, IssuedAt: testIssue},
			Claims{Privilege: PrivilegeUser, App: math.MaxInt64, User: math.MaxInt64, Generation: math.MaxUint32, IssuedAt: testIssue},
		},
		"an end before 1970 does not turn into never": {
			Claims{Privilege: PrivilegeApp, App: 1, IssuedAt: testIssue, ExpiresAt: time.Unix(0, 0)},
			Claims{Privilege: PrivilegeApp, App: 1, IssuedAt: testIssue, ExpiresAt: time.UnixMilli(1).UTC()},
		},
	} {
		t.Run(name, func(t *testing.T) {
			it, err := ParseIssued(Mint(testKey, tc.in))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, it.Claims); diff != "" {
				t.Errorf("claims (-want +got):\n%s", diff)
			}
		})
	}
}

func TestIssuedLife(t *testing.T) {
	for name, tc := range map[string]struct {
		expires time.Time
		now     time.Time
		want    error
	}{
		"before its end":              {after(time.Hour), after(time.Hour - time.Millisecond), nil},
		"at its end, without a grace": {after(time.Hour), after(time.Hour), ErrExpired},
		"never":                       {time.Time{}, after(100 * 365 * 24 * time.Hour), nil},
		"long ago":                    {time.Unix(0, 0), testIssue, ErrExpired},
	} {
		t.Run(name, func(t *testing.T) {
			c := vectorClaims()
			c.ExpiresAt = tc.expires
			it, err := ParseIssued(Mint(testKey, c))
			if err != nil {
				t.Fatal(err)
			}
			if err := it.Verify(testKey, tc.now); !errors.Is(err, tc.want) {
				t.Errorf("Verify: %v, want %v", err, tc.want)
			}
		})
	}
}

func TestClaimsOutOfRangeAreMalformed(t *testing.T) {
	for name, change := range map[string]func(*Claims){
		"no privilege":         func(c *Claims) { c.Privilege = 0 },
		"unknown privilege":    func(c *Claims) { c.Privilege = 3 },
		"a privilege of 257":   func(c *Claims) { c.Privilege = 257 },
		"a user without user":  func(c *Claims) { c.User = 0 },
		"a negative user":      func(c *Claims) { c.User = -1 },
		"an app with a user":   func(c *Claims) { c.Privilege = PrivilegeApp },
		"no app":               func(c *Claims) { c.App = 0 },
		"a negative app":       func(c *Claims) { c.App = -1 },
		"issued at no time":    func(c *Claims) { c.IssuedAt = time.Time{} },
		"issued in the 1960s":  func(c *Claims) { c.IssuedAt = time.Unix(-1, 0) },
		"no user, no app":      func(c *Claims) { *c = Claims{} },
		"an app and bad user":  func(c *Claims) { c.Privilege, c.User = PrivilegeApp, -1 },
		"user in place of app": func(c *Claims) { c.App, c.User = 0, 7 },
	} {
		t.Run(name, func(t *testing.T) {
			c := vectorClaims()
			change(&c)
			if it, err := ParseIssued(Mint(testKey, c)); !errors.Is(err, ErrMalformed) {
				t.Errorf("ParseIssued = %+v, %v", it, err)
			}
		})
	}
}

func TestAnotherVersionOfIssuedTokensIsMalformed(t *testing.T) {
	raw, err := base64.RawURLEncoding.DecodeString(vectorIssued)
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []byte{0, 2, 255} {
		payload := bytes.Clone(raw[:issuedClaims])
		payload[3] = version
		text := base64.RawURLEncoding.EncodeToString(append(payload, hmacSHA256(testKey, payload)...))
		if _, err := ParseIssued(text); !errors.Is(err, ErrMalformed) {
			t.Errorf("version %d: %v", version, err)
		}
	}
}

func TestEveryChangedBitOfAnIssuedTokenIsNoticed(t *testing.T) {
	raw, err := base64.RawURLEncoding.DecodeString(vectorIssued)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		for bit := range 8 {
			raw[i] ^= 1 << bit
			it, err := ParseIssued(base64.RawURLEncoding.EncodeToString(raw))
			raw[i] ^= 1 << bit
			if err == nil {
				err = it.Verify(testKey, testIssue)
			}
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrSignature) {
				t.Errorf("byte %d, bit %d: %v", i, bit, err)
			}
		}
	}
}

func TestAnIssuedTokenHasExactlyOneText(t *testing.T) {
	for i := range vectorIssued {
		if _, err := ParseIssued(vectorIssued[:i]); !errors.Is(err, ErrMalformed) {
			t.Errorf("cut to %d: %v", i, err)
		}
		if _, err := ParseIssued(vectorIssued[:i] + "\n" + vectorIssued[i:]); !errors.Is(err, ErrMalformed) {
			t.Errorf("line break at %d: %v", i, err)
		}
		if _, err := ParseIssued(vectorIssued[:i] + "\n" + vectorIssued[i+1:]); !errors.Is(err, ErrMalformed) {
			t.Errorf("line break for character %d: %v", i, err)
		}
	}
	last := vectorIssued[len(vectorIssued)-1]
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=" {
		text := vectorIssued[:len(vectorIssued)-1] + string(c)
		it, err := ParseIssued(text)
		if err == nil && it.Verify(testKey, testIssue) == nil && byte(c) != last {
			t.Errorf("%q verifies too", text)
		}
	}
	if _, err := ParseIssued(strings.ReplaceAll(vectorIssued, "-", "+")); !errors.Is(err, ErrMalformed) {
		t.Errorf("standard base64: %v", err)
	}
}

func TestIssuedVerifyTakesOnlyTheRightKey(t *testing.T) {
	it, err := ParseIssued(vectorIssued)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range [][]byte{nil, {}, testKey[1:], []byte(testCert)} {
		if err := it.Verify(key, testIssue); !errors.Is(err, ErrSignature) {
			t.Errorf("key %q: %v", key, err)
		}
	}
	// What anyone can mint.
	if it, err = ParseIssued(Mint(nil, vectorClaims())); err != nil {
		t.Fatal(err)
	}
	if err := it.Verify(nil, testIssue); !errors.Is(err, ErrSignature) {
		t.Errorf("empty key on both sides: %v", err)
	}
}

// FuzzParseIssued takes its input as a text, and as the bytes of a text.
func FuzzParseIssued(f *testing.F) {
	raw, err := base64.RawURLEncoding.DecodeString(vectorIssued)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(vectorIssued)
	f.Add(vectorIssued[:40])
	f.Add(string(raw))
	f.Add(Mint(testKey, Claims{Privilege: PrivilegeApp, App: 1, IssuedAt: testIssue}))
	f.Add("YWMt")
	f.Fuzz(func(t *testing.T, in string) {
		for _, text := range []string{in, base64.RawURLEncoding.EncodeToString([]byte(in))} {
			it, err := ParseIssued(text)
			if err != nil {
				if it != nil || !errors.Is(err, ErrMalformed) {
					t.Fatalf("token %v, error %v", it, err)
				}
				continue
			}
			it.Verify(testKey, testIssue)
			again, err := ParseIssued(Mint(testKey, it.Claims))
			if err != nil {
				t.Fatal(err)
			}
			if it.Claims != again.Claims {
				t.Fatalf("rebuilt token differs: %+v, %+v", it.Claims, again.Claims)
			}
			if err := again.Verify(testKey, testIssue); errors.Is(err, ErrSignature) {
				t.Fatal("rebuilt token does not verify")
			}
		}
	})
}

func BenchmarkVerifyIssued(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		it, err := ParseIssued(vectorIssued)
		if err != nil {
			b.Fatal(err)
		}
		if err := it.Verify(testKey, testIssue); err != nil {
			b.Fatal(err)
		}
	}
}
