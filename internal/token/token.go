// Package token makes and checks every credential that Stoa knows: AccessToken2 and dynamic tokens, which a
// customer's backend signs, tokens that the server issues itself, and password hashes.
//
// The package knows no store and no HTTP. A check therefore comes in two steps: parsing says what a token claims
// (its app, its user), the caller looks up the secret of that app, and verifying says whether the claim holds.
// Nothing that a parse returns may be trusted before the verification; but all text in it is valid UTF-8 without
// NUL bytes, so that it can be used to look things up.
//
// Secrets are compared in constant time, and an empty secret verifies nothing. All functions may be called
// concurrently; token values are read-only once parsed.
package token

import (
	"errors"
	"strings"
	"time"
	"unicode/utf8"
)

// What can be wrong with a token. Returned errors may wrap these: compare with errors.Is.
var (
	// ErrMalformed means that the text is no token of the kind it was parsed as.
	ErrMalformed = errors.New("malformed token")
	// ErrSignature means that the token was not made with the secret at hand, or was changed since.
	ErrSignature = errors.New("token signature does not match")
	// ErrExpired means that the token's life is over.
	ErrExpired = errors.New("token expired")
	// ErrNotYetValid means that the token was issued more than MaxAhead in the future.
	ErrNotYetValid = errors.New("token issued in the future")
	// ErrTooLong means that a dynamic token asks for more life than MaxLife.
	ErrTooLong = errors.New("token life too long")
	// ErrNotUser means that an AccessToken2 gives no user privilege, or none any more.
	ErrNotUser = errors.New("token without user privilege")
	// ErrNotApp means that an AccessToken2 gives no app privilege, or none any more.
	ErrNotApp = errors.New("token without app privilege")
)

// How the clock of a customer's backend is treated. Tokens that the server issued itself get no allowance.
const (
	// MaxLife is the longest life, counted from its issue, of a token that a backend signs.
	MaxLife = 24 * time.Hour
	// MaxAhead is how far in the future a token may have been issued: a backend whose clock runs ahead can
	// still log its users in, but nobody can store up tokens for next year.
	MaxAhead = 5 * time.Minute
	// ExpiryGrace is how long a token is still accepted after its end.
	ExpiryGrace = 5 * time.Second
)

// maxText bounds the text of a token, in bytes, before anything is decoded.
const maxText = 16 << 10

// Kind tells which of the package's parsers understands a token.
type Kind int

// The kinds of token.
const (
	KindUnknown     Kind = iota // none of the below
	KindAccessToken             // AccessToken2: ParseAccessToken
	KindDynamic                 // dynamic user token: ParseDynamic
	KindIssued                  // issued by the server: ParseIssued
)

// KindOf tells a token's kind by its first characters, without decoding it.
func KindOf(text string) Kind {
	switch {
	case strings.HasPrefix(text, accessTokenPrefix):
		return KindAccessToken
	case strings.HasPrefix(text, dynamicPrefix):
		return KindDynamic
	case strings.HasPrefix(text, issuedPrefix):
		return KindIssued
	}
	return KindUnknown
}

// Privilege is what a token lets its bearer be. The numbers are those of the AccessToken2 services and mean
// something else in each of them.
type Privilege uint16

// The privileges of a chat service, and of a token that the server issues.
const (
	PrivilegeUser Privilege = 1 // act as one user
	PrivilegeApp  Privilege = 2 // administrate the app
)

// alive returns until when a backend's token with the given end is accepted, and whether it is now. The result is
// end itself, unless now is already in the grace after it: then it is the end of the grace.
func alive(end, now time.Time) (time.Time, bool) {
	if now.Before(end) {
		return end, true
	}
	end = end.Add(ExpiryGrace)
	return end, now.Before(end)
}

// seconds is the time of a Unix timestamp as tokens carry it.
func seconds(unix uint32) time.Time { return time.Unix(int64(unix), 0).UTC() }

// plain reports whether a store can take the text.
func plain(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }
