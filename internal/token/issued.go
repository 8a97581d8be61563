package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"
)

// An issued token is base64url without padding of
//
//	"ac-" version(1) privilege(2) app(8) user(8) generation(4) issued(8) expires(8) hmac-sha256(32)
//
// with big-endian integers and times in Unix milliseconds. The fields are fixed in size, so every token has the
// same length and exactly one text.
const (
	issuedMagic   = "ac-"
	issuedPrefix  = "YWMt" // issuedMagic in base64, which is how the cloud's opaque tokens begin
	issuedVersion = 1
	issuedClaims  = len(issuedMagic) + 1 + 2 + 8 + 8 + 4 + 8 + 8
	issuedSize    = issuedClaims + sha256.Size
)

// issuedEncoding refuses stray trailing bits.
var issuedEncoding = base64.RawURLEncoding.Strict()

// Claims is what a token issued by the server says.
type Claims struct {
	Privilege  Privilege // PrivilegeUser or PrivilegeApp
	App        int64     // the app's number, positive
	User       int64     // the user's number, positive; 0 in an app token
	Generation uint32    // of the bearer's tokens when it was made: raising the stored one revokes all before
	IssuedAt   time.Time // to the millisecond
	ExpiresAt  time.Time // to the millisecond; the zero time means never
}

// Issued is a parsed token of the server.
type Issued struct {
	Claims
	payload, signature []byte
}

// Mint returns the text of a token with the given claims, signed with the key of the app that they name. Claims
// out of their ranges and an empty key give a text that ParseIssued or Verify refuses.
func Mint(key []byte, c Claims) string {
	var expires int64
	if !c.ExpiresAt.IsZero() {
		expires = max(1, c.ExpiresAt.UnixMilli()) // 0 would mean never
	}
	be := binary.BigEndian
	b := make([]byte, 0, issuedSize)
	b = append(b, issuedMagic...)
	b = append(b, issuedVersion)
	b = be.AppendUint16(b, uint16(c.Privilege))
	b = be.AppendUint64(b, uint64(c.App))
	b = be.AppendUint64(b, uint64(c.User))
	b = be.AppendUint32(b, c.Generation)
	b = be.AppendUint64(b, uint64(c.IssuedAt.UnixMilli()))
	b = be.AppendUint64(b, uint64(expires))
	b = append(b, hmacSHA256(key, b)...)
	return issuedEncoding.EncodeToString(b)
}

// ParseIssued reads a token of the server without verifying it, so that the caller can find the key of the app
// that it names. The only error is ErrMalformed. Times are in UTC.
func ParseIssued(text string) (*Issued, error) {
	if len(text) != issuedEncoding.EncodedLen(issuedSize) || KindOf(text) != KindIssued {
		return nil, ErrMalformed
	}
	b, err := issuedEncoding.DecodeString(text)
	if err != nil || len(b) != issuedSize || b[3] != issuedVersion {
		return nil, ErrMalformed
	}
	be := binary.BigEndian
	c := Claims{
		Privilege:  Privilege(be.Uint16(b[4:])),
		App:        int64(be.Uint64(b[6:])),
		User:       int64(be.Uint64(b[14:])),
		Generation: be.Uint32(b[22:]),
	}
	issued, expires := int64(be.Uint64(b[26:])), int64(be.Uint64(b[34:]))
	named := c.Privilege == PrivilegeUser && c.User > 0 || c.Privilege == PrivilegeApp && c.User == 0
	if !named || c.App <= 0 || issued < 0 || expires < 0 {
		return nil, ErrMalformed
	}
	c.IssuedAt = time.UnixMilli(issued).UTC()
	if expires != 0 {
		c.ExpiresAt = time.UnixMilli(expires).UTC()
	}
	return &Issued{Claims: c, payload: b[:issuedClaims], signature: b[issuedClaims:]}, nil
}

// Verify checks a parsed token against the key of its app. The errors are ErrSignature and ErrExpired, tested in
// this order. Whether the token was revoked is for the caller to see from the generation.
func (i *Issued) Verify(key []byte, now time.Time) error {
	if len(key) == 0 || !hmac.Equal(i.signature, hmacSHA256(key, i.payload)) {
		return ErrSignature
	}
	if !i.ExpiresAt.IsZero() && !now.Before(i.ExpiresAt) {
		return ErrExpired
	}
	return nil
}
