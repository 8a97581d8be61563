package token

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const (
	testClientID     = "YXA6client"
	testClientSecret = "YXA6secret"

	// Made with another program: acme#demo, alice, 1700000000, 600.
	vectorDynamic    = "ZHQteyJzaWduYXR1cmUiOiIzMmY2NmQ4MTJhNTkxNmNlNzE2MjdmMDdkZmIwZTA2YmMyYmIxMDZmYzZhZGQ4ODVhMDY4NmU1NzZlNTRiMDc1IiwiYXBwa2V5IjoiYWNtZSNkZW1vIiwidXNlcklkIjoiYWxpY2UiLCJjdXJUaW1lIjoxNzAwMDAwMDAwLCJ0dGwiOjYwMH0="
	vectorDynamicSig = "32f66d812a5916ce71627f07dfb0e06bc2bb106fc6add885a0686e576e54b075"
)

var dynamicFields = cmpopts.IgnoreUnexported(DynamicToken{})

// dynamicText returns the token with the given JSON payload.
func dynamicText(payload string) string {
	return base64.RawURLEncoding.EncodeToString([]byte("dt-" + payload))
}

func TestDynamicVector(t *testing.T) {
	want := &DynamicToken{AppKey: "acme#demo", User: "alice", IssuedAt: 1700000000, TTL: 600}
	for _, text := range []string{vectorDynamic, strings.TrimRight(vectorDynamic, "=")} {
		got, err := ParseDynamic(text)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, dynamicFields); diff != "" {
			t.Errorf("fields (-want +got):\n%s", diff)
		}
		expires, err := got.Verify(testClientID, testClientSecret, testIssue)
		check(t, "Verify", expires, err, 10*time.Minute, nil)
	}
	built, err := want.Build(testClientID, testClientSecret)
	if err != nil || built != vectorDynamic {
		t.Errorf("Build = %q, %v", built, err)
	}
}

func TestDynamicSignatureCoversEveryField(t *testing.T) {
	payload := func(sig, appKey, user, at, ttl string) string {
		return dynamicText(fmt.Sprintf(`{"signature":%q,"appkey":%q,"userId":%q,"curTime":%s,"ttl":%s}`, sig, appKey, user, at, ttl))
	}
	for name, tc := range map[string]struct {
		text, id, secret string
		want             error
	}{
		"as made":              {payload(vectorDynamicSig, "acme#demo", "alice", "1700000000", "600"), testClientID, testClientSecret, nil},
		"signature in capital": {payload(strings.ToUpper(vectorDynamicSig), "acme#demo", "alice", "1700000000", "600"), testClientID, testClientSecret, nil},
		"signature":            {payload("4"+vectorDynamicSig[1:], "acme#demo", "alice", "1700000000", "600"), testClientID, testClientSecret, ErrSignature},
		"app key":              {payload(vectorDynamicSig, "acme#other", "alice", "1700000000", "600"), testClientID, testClientSecret, ErrSignature},
		"user":                 {payload(vectorDynamicSig, "acme#demo", "bob", "1700000000", "600"), testClientID, testClientSecret, ErrSignature},
		"time":                 {payload(vectorDynamicSig, "acme#demo", "alice", "1700000001", "600"), testClientID, testClientSecret, ErrSignature},
		"life":                 {payload(vectorDynamicSig, "acme#demo", "alice", "1700000000", "601"), testClientID, testClientSecret, ErrSignature},
		"client ID":            {vectorDynamic, "YXA6other", testClientSecret, ErrSignature},
		"client secret":        {vectorDynamic, testClientID, "YXA6other", ErrSignature},
		"no secret":            {vectorDynamic, testClientID, "", ErrSignature},
	} {
		t.Run(name, func(t *testing.T) {
			dt, err := ParseDynamic(tc.text)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := dt.Verify(tc.id, tc.secret, testIssue); !errors.Is(err, tc.want) {
				t.Errorf("Verify: %v, want %v", err, tc.want)
			}
		})
	}
	t.Run("not even with an empty secret on both sides", func(t *testing.T) {
		dt := &DynamicToken{AppKey: "acme#demo", User: "alice", IssuedAt: 1700000000, TTL: 600}
		dt.signature = dt.sign(testClientID, "")
		if _, err := dt.Verify(testClientID, "", testIssue); !errors.Is(err, ErrSignature) {
			t.Errorf("Verify: %v", err)
		}
	})
}

func TestDynamicLife(t *testing.T) {
	for name, tc := range map[string]struct {
		ttl  uint32
		at   time.Duration // after issue
		end  time.Duration // after issue
		want error
	}{
		"at its issue":            {600, 0, 10 * time.Minute, nil},
		"before its end":          {600, 10*time.Minute - 1, 10 * time.Minute, nil},
		"in the grace":            {600, 10 * time.Minute, 10*time.Minute + ExpiryGrace, nil},
		"after the grace":         {600, 10*time.Minute + ExpiryGrace, 0, ErrExpired},
		"the longest life":        {86400, 0, 24 * time.Hour, nil},
		"a longer life":           {86401, 0, 0, ErrTooLong},
		"the largest number":      {1<<32 - 1, 0, 0, ErrTooLong},
		"a little ahead":          {600, -MaxAhead, 10 * time.Minute, nil},
		"too far ahead":           {600, -MaxAhead - 1, 0, ErrNotYetValid},
		"no life, but in a grace": {0, 0, ExpiryGrace, nil},
	} {
		t.Run(name, func(t *testing.T) {
			dt := &DynamicToken{AppKey: "acme#demo", User: "alice", IssuedAt: uint32(testIssue.Unix()), TTL: tc.ttl}
			dt.signature = dt.sign(testClientID, testClientSecret)
			expires, err := dt.Verify(testClientID, testClientSecret, after(tc.at))
			check(t, "Verify", expires, err, tc.end, tc.want)
		})
	}
}

// TestAnotherCutOfASignedTextDoesNotVerify: the characters under the signature have no separators, so that the
// signature of one user's token also fits another user, time and life.
func TestAnotherCutOfASignedTextDoesNotVerify(t *testing.T) {
	for name, tc := range map[string]struct {
		made, forged DynamicToken
		now          uint32
		want         error
	}{
		"alice becomes alice1 in the past": {
			DynamicToken{User: "alice", IssuedAt: 1700000001, TTL: 600},
			DynamicToken{User: "alice1", IssuedAt: 700000001, TTL: 600},
			1700000001, ErrExpired,
		},
		"alice becomes alice1 in the future": {
			DynamicToken{User: "alice", IssuedAt: 1300000000, TTL: 86400},
			DynamicToken{User: "alice1", IssuedAt: 3000000008, TTL: 6400},
			1300000000, ErrNotYetValid,
		},
		"bob1700 becomes bob two days later, for 13 days": {
			DynamicToken{User: "bob1700", IssuedAt: 1700001123, TTL: 600},
			DynamicToken{User: "bob", IssuedAt: 1700170000, TTL: 1123600},
			1700170000, ErrTooLong,
		},
	} {
		t.Run(name, func(t *testing.T) {
			tc.made.AppKey, tc.forged.AppKey = "acme#demo", "acme#demo"
			tc.forged.signature = tc.made.sign(testClientID, testClientSecret)
			if !bytes.Equal(tc.forged.signature, tc.forged.sign(testClientID, testClientSecret)) {
				t.Fatal("not a cut of the same text")
			}
			if _, err := tc.forged.Verify(testClientID, testClientSecret, seconds(tc.now)); !errors.Is(err, tc.want) {
				t.Errorf("Verify: %v, want %v", err, tc.want)
			}
		})
	}
}

func TestMalformedDynamicTokens(t *testing.T) {
	good := func(change, to string) string {
		payload := `{"signature":"` + vectorDynamicSig + `","appkey":"acme#demo","userId":"alice","curTime":1700000000,"ttl":600}`
		return strings.Replace(payload, change, to, 1)
	}
	if _, err := ParseDynamic(dynamicText(good("", ""))); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"no payload":         dynamicText(""),
		"no object":          dynamicText("[]"),
		"null":               dynamicText("null"),
		"cut":                dynamicText(good("}", "")),
		"something after it": dynamicText(good("}", "} {}")),
		"no signature":       dynamicText(good("signature", "s")),
		"short signature":    dynamicText(good(vectorDynamicSig, vectorDynamicSig[2:])),
		"signature not hex":  dynamicText(good(vectorDynamicSig, "zz"+vectorDynamicSig[2:])),
		"no app key":         dynamicText(good("acme#demo", "")),
		"no user":            dynamicText(good("userId", "user")),
		"user with a NUL":    dynamicText(good("alice", `\u0000`)),
		"time as text":       dynamicText(good("1700000000", `"1700000000"`)),
		"time in ms":         dynamicText(good("1700000000", "1700000000000")),
		"negative life":      dynamicText(good("600", "-600")),
		"broken life":        dynamicText(good("600", "600.5")),
		"standard base64":    strings.ReplaceAll(dynamicText(good("alice", "?????>>>>>")), "_", "/"),
		"broken base64":      vectorDynamic[:len(vectorDynamic)-3],
	} {
		t.Run(name, func(t *testing.T) {
			if dt, err := ParseDynamic(text); !errors.Is(err, ErrMalformed) {
				t.Errorf("ParseDynamic = %+v, %v", dt, err)
			}
		})
	}
}

func TestBuildDynamicRefusesMissingFields(t *testing.T) {
	for name, dt := range map[string]DynamicToken{
		"no app key":       {User: "alice"},
		"no user":          {AppKey: "acme#demo"},
		"user not UTF-8":   {AppKey: "acme#demo", User: "\xff"},
		"app key with NUL": {AppKey: "acme\x00", User: "alice"},
	} {
		if text, err := dt.Build(testClientID, testClientSecret); err == nil {
			t.Errorf("%s: built %q", name, text)
		}
	}
	dt := DynamicToken{AppKey: "acme#demo", User: "alice"}
	if text, err := dt.Build(testClientID, ""); err == nil {
		t.Errorf("no secret: built %q", text)
	}
}

// FuzzParseDynamic takes its input as a text, and as the JSON of a text.
func FuzzParseDynamic(f *testing.F) {
	f.Add(vectorDynamic)
	f.Add(strings.TrimRight(vectorDynamic, "="))
	f.Add(vectorDynamic[:50])
	f.Add(`{"signature":"` + vectorDynamicSig + `","appkey":"acme#demo","userId":"alice","curTime":1700000000,"ttl":600}`)
	f.Add(`{"signature":"` + vectorDynamicSig + `","APPKEY":"<&>","userId":"\ud800é","curTime":0,"ttl":4294967295,"x":[]}`)
	f.Fuzz(func(t *testing.T, in string) {
		for _, text := range []string{in, dynamicText(in)} {
			dt, err := ParseDynamic(text)
			if err != nil {
				if dt != nil || !errors.Is(err, ErrMalformed) {
					t.Fatalf("token %v, error %v", dt, err)
				}
				continue
			}
			dt.Verify(testClientID, testClientSecret, testIssue)
			rebuilt, err := dt.Build(testClientID, testClientSecret)
			if err != nil {
				t.Fatalf("cannot rebuild %+v: %v", dt, err)
			}
			again, err := ParseDynamic(rebuilt)
			if err != nil {
				if len(rebuilt) > maxText { // JSON escapes can make it longer than what was read
					continue
				}
				t.Fatal(err)
			}
			if diff := cmp.Diff(dt, again, dynamicFields); diff != "" {
				t.Fatalf("rebuilt token differs (-parsed +again):\n%s", diff)
			}
			if _, err := again.Verify(testClientID, testClientSecret, testIssue); errors.Is(err, ErrSignature) {
				t.Fatal("rebuilt token does not verify")
			}
		}
	})
}

func BenchmarkVerifyDynamic(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		dt, err := ParseDynamic(vectorDynamic)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := dt.Verify(testClientID, testClientSecret, testIssue); err != nil {
			b.Fatal(err)
		}
	}
}
