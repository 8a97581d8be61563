package token

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// The vectors of docs/protocol/tokens.md: app and times as in token_test.go, life 3600 s.
const (
	vectorUser     = "007eJxTYFigm6WeVx0keUjixS5OwQXcitb71cXer+D+5uDR82uVwhEFBgNDI2MTUzNzC8vEpOSU1DR0PsPH4FQBPgYGSwMGBkYGVgZGBkYGEJ+VITEnMzkVACh8Gt0="
	vectorUserBody = "2000303132333435363738396162636465663031323334353637383961626364656600f15365100e0000393000000100050001000100100e00000500616c696365"
	vectorUserSig  = "a02d6a276e7b5219c218e8ba0911a00b213bbf2716efa80bf640488cfaaa20c4"
	vectorApp      = "007eJxTYJh/6tD6CXff8vpu7ymvdLX6pl6SELqOv0Bhz+VpcRE3+hQVGAwMjYxNTM3MLSwTk5JTUtPQ+Qwfg1MF+BgYLA0YGBgZWBkYGZgYQHwGBgCbQhuR"
	vectorAppBody  = "2000303132333435363738396162636465663031323334353637383961626364656600f15365100e0000393000000100050001000200100e00000000"
	vectorAppSig   = "9fcac2af90dded0d4db78c7779453af627746055ae0f7020bcd3965e58d88e21"
)

// vectorMany was made with the npm package agora-token 2.0.6: one service of every type from 1 to 8, then an app's
// chat service, whose reading proves that all before were skipped by their right lengths, then a service of type 10.
const vectorMany = "007eJxTYFBUVXrrFiLVMvN83yf/qfVxFcWvVjNPeHia+cvj599Y1qcrMBgYGhmbmJqZW1gmJiWnpKah8xk+BqcK8DEwWBowMHAxMDKwMDAypDAwMDAxnGBgYGBm0GFkYGBhmMDIwMDKkJOflFTJyGDOxMDIwMjACpZPyk9ihnPhSixZkMRALJAVrAyJOZnJqWxYlLPDxVgYivLzc8HmMjFwoFrEBHYXCDMyJDIyJDGCpZMhdkFsYmKwYQABLrhOAOKJLmI="

func mustHex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustParse(t testing.TB, text string) *AccessToken {
	t.Helper()
	at, err := ParseAccessToken(text)
	if err != nil {
		t.Fatalf("ParseAccessToken(%q): %v", text, err)
	}
	return at
}

// fields ignores what a parse keeps for Verify.
var fields = cmpopts.IgnoreUnexported(AccessToken{})

func chat(user string, privileges map[Privilege]uint32) Service {
	return Service{Type: ServiceChat, User: user, Privileges: privileges}
}

func TestAccessTokenVectors(t *testing.T) {
	for _, v := range []struct {
		name, text, body, sig string
		want                  AccessToken
	}{
		{"user", vectorUser, vectorUserBody, vectorUserSig, AccessToken{
			AppID: testAppID, IssuedAt: 1700000000, Expire: 3600, Salt: testSalt,
			Services: []Service{chat("alice", map[Privilege]uint32{PrivilegeUser: 3600})},
		}},
		{"app", vectorApp, vectorAppBody, vectorAppSig, AccessToken{
			AppID: testAppID, IssuedAt: 1700000000, Expire: 3600, Salt: testSalt,
			Services: []Service{chat("", map[Privilege]uint32{PrivilegeApp: 3600})},
		}},
	} {
		t.Run(v.name, func(t *testing.T) {
			got := mustParse(t, v.text)
			if diff := cmp.Diff(&v.want, got, fields); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
			if !bytes.Equal(got.body, mustHex(t, v.body)) || !bytes.Equal(got.signature, mustHex(t, v.sig)) {
				t.Errorf("body %x, signature %x", got.body, got.signature)
			}
			if !got.Verify(testCert) {
				t.Error("does not verify")
			}
			packed, err := v.want.pack(testCert)
			if err != nil {
				t.Fatal(err)
			}
			if want := mustHex(t, "2000"+v.sig+v.body); !bytes.Equal(packed, want) {
				t.Errorf("packed\n%x, want\n%x", packed, want)
			}
		})
	}
}

func TestBuildersMakeTheVectors(t *testing.T) {
	user, err := BuildUser(testAppID, testCert, "alice", testIssue, time.Hour, testSalt)
	if err != nil {
		t.Fatal(err)
	}
	app, err := BuildApp(testAppID, testCert, testIssue, time.Hour, testSalt)
	if err != nil {
		t.Fatal(err)
	}
	for text, vector := range map[string]string{user: vectorUser, app: vectorApp} {
		got, err := decodePacked(text)
		if err != nil {
			t.Fatal(err)
		}
		want, err := decodePacked(vector)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("packed\n%x, want\n%x", got, want)
		}
	}
}

func TestOtherServicesAroundAChatServiceAreSkipped(t *testing.T) {
	got := mustParse(t, vectorMany)
	want := &AccessToken{AppID: testAppID, IssuedAt: 1700000000, Expire: 3600, Salt: testSalt, Services: []Service{
		{Type: ServiceRTC, Channel: "lobby", User: "7", Privileges: map[Privilege]uint32{
			PrivilegeJoinChannel: 100, PrivilegePublishAudio: 200, PrivilegePublishVideo: 300, PrivilegePublishData: 400,
		}},
		chat("alice", map[Privilege]uint32{PrivilegeUser: 3600}),
		chat("", map[Privilege]uint32{PrivilegeApp: 60}),
	}}
	if diff := cmp.Diff(want, got, fields); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	if !got.Verify(testCert) {
		t.Error("does not verify")
	}
	// Without what was skipped it packs to something else, which must be sound again.
	text, err := got.Build(testCert)
	if err != nil {
		t.Fatal(err)
	}
	again := mustParse(t, text)
	if diff := cmp.Diff(want, again, fields); diff != "" || !again.Verify(testCert) {
		t.Errorf("rebuilt (-want +got):\n%s", diff)
	}
}

// signed returns the text of a token with the given bytes after salt.
func signed(services []byte) string {
	body := appendText(nil, testAppID)
	for _, n := range []uint32{1700000000, 3600, testSalt} {
		body = binary.LittleEndian.AppendUint32(body, n)
	}
	body = append(body, services...)
	return withSignature(signBody(testCert, body), body)
}

func withSignature(signature, body []byte) string {
	return encodePacked(append(appendText(nil, string(signature)), body...))
}

func TestAnUnknownServiceEndsParsingAndTheSignatureStays(t *testing.T) {
	at := mustParse(t, signed(slices.Concat(
		[]byte{3, 0},
		mustHex(t, "050001000100100e00000500616c696365"),
		[]byte{77, 0}, []byte("what nobody can read"),
	)))
	if user, _, err := at.UserAt(testIssue); user != "alice" || err != nil || !at.Verify(testCert) {
		t.Errorf("UserAt = %q, %v", user, err)
	}
}

func TestSignedNonsenseIsMalformed(t *testing.T) {
	for name, services := range map[string][]byte{
		"no service count":              {},
		"a service without type":        {1, 0},
		"a service without privileges":  {1, 0, 5, 0},
		"a privilege without end":       {1, 0, 5, 0, 1, 0, 1, 0},
		"fewer privileges than counted": {1, 0, 5, 0, 255, 255, 1, 0, 1, 0, 0, 0, 0, 0},
		"a user shorter than counted":   {1, 0, 5, 0, 0, 0, 9, 0, 'a'},
		"fewer services than counted":   {2, 0, 5, 0, 0, 0, 1, 0, 'a'},
		"a user with a NUL":             {1, 0, 5, 0, 0, 0, 1, 0, 0},
		"a user that is not UTF-8":      {1, 0, 5, 0, 0, 0, 1, 0, 0xff},
		"RTM2 counts without content":   {1, 0, 8, 0, 0, 0, 0, 0, 255, 255, 0, 0, 255, 255, 0, 0, 255, 255},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ParseAccessToken(signed(services)); !errors.Is(err, ErrMalformed) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestSignatureAndAppIDHaveFixedLengths(t *testing.T) {
	body := mustHex(t, vectorUserBody)
	sig := mustHex(t, vectorUserSig)
	if _, err := ParseAccessToken(withSignature(sig, body)); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"no signature":    withSignature(nil, body),
		"short signature": withSignature(sig[:31], body),
		"long signature":  withSignature(append(sig[:32:32], 0), body),
		"no App ID":       withSignature(sig, append([]byte{0, 0}, body[34:]...)),
		"short App ID":    withSignature(sig, append([]byte{4, 0, '0', '1', '2', '3'}, body[34:]...)),
		"App ID not hex":  withSignature(sig, bytes.Replace(body, []byte("9a"), []byte("9g"), 1)),
		"nothing":         encodePacked(nil),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ParseAccessToken(text); !errors.Is(err, ErrMalformed) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestAStreamThatEndsWithASyncFlushIsRead(t *testing.T) {
	packed, err := decodePacked(vectorUser)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	w.Write(packed[:50])
	w.Flush()
	w.Write(packed[50:])
	w.Flush() // and never closed
	at := mustParse(t, "007"+base64.StdEncoding.EncodeToString(out.Bytes()))
	if !at.Verify(testCert) {
		t.Error("does not verify")
	}
}

func TestEveryChangedByteOfAPackedTokenIsNoticed(t *testing.T) {
	packed, err := decodePacked(vectorUser)
	if err != nil {
		t.Fatal(err)
	}
	for i := range packed {
		for bit := range 8 {
			changed := bytes.Clone(packed)
			changed[i] ^= 1 << bit
			at, err := ParseAccessToken(encodePacked(changed))
			if err == nil && at.Verify(testCert) {
				t.Errorf("byte %d, bit %d: verifies", i, bit)
			}
			if err != nil && !errors.Is(err, ErrMalformed) {
				t.Errorf("byte %d, bit %d: %v", i, bit, err)
			}
		}
	}
	for n := range packed {
		if at, err := ParseAccessToken(encodePacked(packed[:n])); err == nil && at.Verify(testCert) {
			t.Errorf("cut to %d bytes: verifies", n)
		}
	}
}

// TestAChangedTextGivesTheSameTokenOrNone: a text can be changed where nothing is said (the checksum that a sync
// flush would lack), but then the token is the same.
func TestAChangedTextGivesTheSameTokenOrNone(t *testing.T) {
	want := mustParse(t, vectorUser)
	check := func(text string) {
		t.Helper()
		at, err := ParseAccessToken(text)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		if at.Verify(testCert) && !bytes.Equal(at.body, want.body) {
			t.Errorf("%q verifies with another body", text)
		}
	}
	for i := range vectorUser {
		check(vectorUser[:i])
		for _, c := range "A/z\n =" {
			check(vectorUser[:i] + string(c) + vectorUser[i+1:])
		}
	}
}

func TestVerifyTakesOnlyTheRightCertificate(t *testing.T) {
	at := mustParse(t, vectorUser)
	for _, cert := range []string{"", testAppID, strings.ToUpper(testCert), testCert + "0", testCert[1:]} {
		if at.Verify(cert) {
			t.Errorf("verifies with %q", cert)
		}
	}
	body := mustHex(t, vectorUserBody)
	if mustParse(t, withSignature(signBody("", body), body)).Verify("") {
		t.Error("an empty certificate verifies what anyone can sign with it")
	}
	if (&AccessToken{AppID: testAppID}).Verify(testCert) {
		t.Error("a token that was not parsed verifies")
	}
}

func TestAZlibBombIsRefused(t *testing.T) {
	head := 34 + 34 + 12 // signature, App ID and numbers
	if _, err := ParseAccessToken(signed(make([]byte, maxPacked-head))); err != nil {
		t.Fatalf("the largest token: %v", err)
	}
	for name, size := range map[string]int{"just too large": maxPacked - head + 1, "4 MB": 4 << 20} {
		t.Run(name, func(t *testing.T) {
			text := signed(make([]byte, size))
			if len(text) > maxText {
				t.Fatalf("the text alone is too long: %d", len(text))
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if _, err := ParseAccessToken(text); !errors.Is(err, ErrMalformed) {
				t.Errorf("error %v", err)
			}
			runtime.ReadMemStats(&after)
			if got := after.TotalAlloc - before.TotalAlloc; got > 256<<10 {
				t.Errorf("allocates %d bytes", got)
			}
		})
	}
}

func TestBuildRefusesWhatTheFormatCannotHold(t *testing.T) {
	huge := strings.Repeat("x", 70_000)
	for name, build := range map[string]func() (string, error){
		"short App ID":        func() (string, error) { return BuildApp("0123", testCert, testIssue, time.Hour, 1) },
		"App ID not hex":      func() (string, error) { return BuildApp(testAppID[:31]+"g", testCert, testIssue, time.Hour, 1) },
		"no certificate":      func() (string, error) { return BuildApp(testAppID, "", testIssue, time.Hour, 1) },
		"no user":             func() (string, error) { return BuildUser(testAppID, testCert, "", testIssue, time.Hour, 1) },
		"user with a NUL":     func() (string, error) { return BuildUser(testAppID, testCert, "a\x00", testIssue, time.Hour, 1) },
		"user over 64 KiB":    func() (string, error) { return BuildUser(testAppID, testCert, huge, testIssue, time.Hour, 1) },
		"negative life":       func() (string, error) { return BuildApp(testAppID, testCert, testIssue, -time.Second, 1) },
		"life of 200 years":   func() (string, error) { return BuildApp(testAppID, testCert, testIssue, 200*365*24*time.Hour, 1) },
		"issued before 1970":  func() (string, error) { return BuildApp(testAppID, testCert, time.Unix(-1, 0), time.Hour, 1) },
		"issued in the 2200s": func() (string, error) { return BuildApp(testAppID, testCert, time.Unix(1<<33, 0), time.Hour, 1) },
		"an RTM service":      (&AccessToken{AppID: testAppID, Services: []Service{{Type: serviceRTM}}}).build,
		"65,537 services":     (&AccessToken{AppID: testAppID, Services: slices.Repeat([]Service{chat("", nil)}, 1<<16+1)}).build,
	} {
		t.Run(name, func(t *testing.T) {
			if text, err := build(); err == nil {
				t.Errorf("built %.40q", text)
			}
		})
	}
}

func (t *AccessToken) build() (string, error) { return t.Build(testCert) }

func TestBuildDoesNotReorderTheServicesOfItsToken(t *testing.T) {
	at := AccessToken{AppID: testAppID, Services: []Service{chat("b", nil), {Type: ServiceRTC}, chat("a", nil)}}
	text, err := at.Build(testCert)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range mustParse(t, text).Services {
		got = append(got, s.User)
	}
	if diff := cmp.Diff([]string{"", "b", "a"}, got); diff != "" || at.Services[0].User != "b" {
		t.Errorf("services (-want +got):\n%s", diff)
	}
}

func TestUserAtAndAppAt(t *testing.T) {
	const day = 24 * time.Hour
	user := func(expire, privilege uint32) AccessToken {
		return AccessToken{Expire: expire, Services: []Service{chat("alice", map[Privilege]uint32{PrivilegeUser: privilege})}}
	}
	for name, tc := range map[string]struct {
		token   AccessToken
		at      time.Duration // after issue
		user    string
		userEnd time.Duration // after issue
		userErr error
		appEnd  time.Duration
		appErr  error
	}{
		"a user token at its issue": {
			token: user(3600, 3600), at: 0,
			user: "alice", userEnd: time.Hour, appErr: ErrNotApp,
		},
		"in its last millisecond": {
			token: user(3600, 3600), at: time.Hour - time.Millisecond,
			user: "alice", userEnd: time.Hour, appErr: ErrNotApp,
		},
		"at its end the grace begins": {
			token: user(3600, 3600), at: time.Hour,
			user: "alice", userEnd: time.Hour + ExpiryGrace, appErr: ErrNotApp,
		},
		"at the end of the grace": {
			token: user(3600, 3600), at: time.Hour + ExpiryGrace,
			userErr: ErrExpired, appErr: ErrExpired,
		},
		"a life of a year is clamped to a day": {
			token: user(365*86400, 365*86400), at: time.Hour,
			user: "alice", userEnd: day, appErr: ErrNotApp,
		},
		"and ends after a day": {
			token: user(365*86400, 365*86400), at: day + ExpiryGrace,
			userErr: ErrExpired, appErr: ErrExpired,
		},
		"the largest life does not overflow": {
			token: user(1<<32-1, 1<<32-1), at: time.Hour,
			user: "alice", userEnd: day, appErr: ErrNotApp,
		},
		"issued ahead by a clock that is a little fast": {
			token: user(3600, 3600), at: -MaxAhead,
			user: "alice", userEnd: time.Hour, appErr: ErrNotApp,
		},
		"issued too far ahead": {
			token: user(3600, 3600), at: -MaxAhead - time.Millisecond,
			userErr: ErrNotYetValid, appErr: ErrNotYetValid,
		},
		"a privilege that ends before the token": {
			token: user(3600, 60), at: time.Second,
			user: "alice", userEnd: time.Minute, appErr: ErrNotApp,
		},
		"and has ended": {
			token: user(3600, 60), at: time.Minute + ExpiryGrace,
			userErr: ErrNotUser, appErr: ErrNotApp,
		},
		"a privilege that outlives the token": {
			token: user(60, 3600), at: time.Minute + ExpiryGrace,
			userErr: ErrExpired, appErr: ErrExpired,
		},
		"an app token": {
			token:   AccessToken{Expire: 3600, Services: []Service{chat("", map[Privilege]uint32{PrivilegeApp: 3600})}},
			userErr: ErrNotUser, appEnd: time.Hour,
		},
		"a user privilege for nobody": {
			token:   AccessToken{Expire: 3600, Services: []Service{chat("", map[Privilege]uint32{PrivilegeUser: 3600})}},
			userErr: ErrNotUser, appErr: ErrNotApp,
		},
		"the same numbers in an RTC service mean something else": {
			token: AccessToken{Expire: 3600, Services: []Service{{Type: ServiceRTC, User: "alice",
				Privileges: map[Privilege]uint32{1: 3600, 2: 3600}}}},
			userErr: ErrNotUser, appErr: ErrNotApp,
		},
		"no service": {
			token:   AccessToken{Expire: 3600},
			userErr: ErrNotUser, appErr: ErrNotApp,
		},
		"two chat services, the first one over": {
			token: AccessToken{Expire: 3600, Services: []Service{
				chat("alice", map[Privilege]uint32{PrivilegeUser: 1}),
				chat("bob", map[Privilege]uint32{PrivilegeUser: 600, PrivilegeApp: 1200}),
			}},
			at: time.Minute, user: "bob", userEnd: 10 * time.Minute, appEnd: 20 * time.Minute,
		},
	} {
		t.Run(name, func(t *testing.T) {
			tc.token.IssuedAt = uint32(testIssue.Unix())
			gotUser, expires, err := tc.token.UserAt(after(tc.at))
			check(t, "UserAt", expires, err, tc.userEnd, tc.userErr)
			if gotUser != tc.user {
				t.Errorf("user %q, want %q", gotUser, tc.user)
			}
			expires, err = tc.token.AppAt(after(tc.at))
			check(t, "AppAt", expires, err, tc.appEnd, tc.appErr)
		})
	}
}

func check(t *testing.T, what string, expires time.Time, err error, want time.Duration, wantErr error) {
	t.Helper()
	if !errors.Is(err, wantErr) {
		t.Errorf("%s: error %v, want %v", what, err, wantErr)
	}
	if wantErr == nil && !expires.Equal(after(want)) || wantErr != nil && !expires.IsZero() {
		t.Errorf("%s: expires %v, want %v after issue", what, expires, want)
	}
}

func TestSaltsAreInRangeAndDiffer(t *testing.T) {
	seen := make(map[uint32]bool)
	for range 100 {
		s := NewSalt()
		if s < 1 || s > 99_999_999 {
			t.Fatalf("salt %d", s)
		}
		seen[s] = true
	}
	if len(seen) < 50 {
		t.Errorf("%d different salts of 100", len(seen))
	}
}

// FuzzParseAccessToken takes its input as a text, and as the packed bytes of a text.
func FuzzParseAccessToken(f *testing.F) {
	for _, text := range []string{vectorUser, vectorApp, vectorMany, "007", "007eJw=", "", vectorUser[:60]} {
		f.Add(text)
		if packed, err := decodePacked(text); err == nil {
			f.Add(string(packed))
		}
	}
	f.Fuzz(func(t *testing.T, in string) {
		for _, text := range []string{in, encodePacked([]byte(in))} {
			at, err := ParseAccessToken(text)
			if err != nil {
				if at != nil || !errors.Is(err, ErrMalformed) {
					t.Fatalf("token %v, error %v", at, err)
				}
				continue
			}
			at.Verify(testCert)
			at.UserAt(testIssue)
			at.AppAt(testIssue)
			rebuilt, err := at.Build(testCert)
			if err != nil {
				t.Fatalf("cannot rebuild %+v: %v", at, err)
			}
			again := mustParse(t, rebuilt)
			if !again.Verify(testCert) {
				t.Fatal("rebuilt token does not verify")
			}
			slices.SortStableFunc(at.Services, func(a, b Service) int { return int(a.Type) - int(b.Type) })
			if diff := cmp.Diff(at, again, fields); diff != "" {
				t.Fatalf("rebuilt token differs (-parsed +again):\n%s", diff)
			}
		}
	})
}

// BenchmarkVerifyAccessToken is all that a REST call with an AccessToken2 costs here.
func BenchmarkVerifyAccessToken(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		at, err := ParseAccessToken(vectorUser)
		if err != nil || !at.Verify(testCert) {
			b.Fatal(err)
		}
		if _, _, err := at.UserAt(testIssue); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBuildUser(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := BuildUser(testAppID, testCert, "alice", testIssue, time.Hour, testSalt); err != nil {
			b.Fatal(err)
		}
	}
}
