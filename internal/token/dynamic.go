package token

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	dynamicMagic  = "dt-"
	dynamicPrefix = "ZHQt" // dynamicMagic in base64
)

// DynamicToken is a user token that a backend makes with the client ID and secret of its app.
//
// The signature covers the fields put one after the other without separators, so one signature fits several ways
// to cut the same characters: "alice1" at 790000000 reads like "alice" at 1790000000, and the digits at the end of
// a user's name can be moved into the time, those of the time into the life. Whoever picks a name that is another
// user's name and some digits could become that user. Verify closes this as far as the format allows, by taking
// only times that are not in the future and lives up to MaxLife; an app that lets its users choose such names
// should rather use AccessToken2.
type DynamicToken struct {
	AppKey   string // org#app
	User     string // the user's name as signed
	IssuedAt uint32 // Unix seconds
	TTL      uint32 // life in seconds

	signature []byte
}

// dynamicJSON is the payload.
type dynamicJSON struct {
	Signature string `json:"signature"`
	AppKey    string `json:"appkey"`
	User      string `json:"userId"`
	CurTime   uint32 `json:"curTime"`
	TTL       uint32 `json:"ttl"`
}

// ParseDynamic reads a dynamic token, with or without base64 padding, without verifying it. The only error is
// ErrMalformed.
func ParseDynamic(text string) (*DynamicToken, error) {
	if len(text) > maxText || KindOf(text) != KindDynamic {
		return nil, ErrMalformed
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil {
		return nil, ErrMalformed
	}
	var p dynamicJSON
	if err := json.Unmarshal(raw[len(dynamicMagic):], &p); err != nil {
		return nil, ErrMalformed
	}
	signature, err := hex.DecodeString(p.Signature)
	if err != nil || len(signature) != sha256.Size || p.AppKey == "" || p.User == "" || !plain(p.AppKey) || !plain(p.User) {
		return nil, ErrMalformed
	}
	return &DynamicToken{AppKey: p.AppKey, User: p.User, IssuedAt: p.CurTime, TTL: p.TTL, signature: signature}, nil
}

// Verify checks a parsed token against the client ID and secret of the app named by its AppKey, and returns the
// instant after now until which it is good: its own end, or that of ExpiryGrace if the first is past. The errors
// are ErrSignature, ErrNotYetValid, ErrTooLong and ErrExpired, tested in this order.
func (t *DynamicToken) Verify(clientID, clientSecret string, now time.Time) (expires time.Time, err error) {
	if clientSecret == "" || subtle.ConstantTimeCompare(t.signature, t.sign(clientID, clientSecret)) == 0 {
		return time.Time{}, ErrSignature
	}
	issued, life := seconds(t.IssuedAt), time.Duration(t.TTL)*time.Second
	if issued.After(now.Add(MaxAhead)) {
		return time.Time{}, ErrNotYetValid
	}
	// Refused, not clamped: a forged cut (see DynamicToken) has most digits of a timestamp in its life.
	if life > MaxLife {
		return time.Time{}, ErrTooLong
	}
	expires, ok := alive(issued.Add(life), now)
	if !ok {
		return time.Time{}, ErrExpired
	}
	return expires, nil
}

// Build returns the token's text, signed with the client ID and secret. It fails if a field is missing or is not
// plain text.
func (t *DynamicToken) Build(clientID, clientSecret string) (string, error) {
	if t.AppKey == "" || t.User == "" || clientSecret == "" || !plain(t.AppKey) || !plain(t.User) {
		return "", errors.New("build dynamic token: app key, user and client secret must be plain text")
	}
	payload, err := json.Marshal(dynamicJSON{
		Signature: hex.EncodeToString(t.sign(clientID, clientSecret)),
		AppKey:    t.AppKey,
		User:      t.User,
		CurTime:   t.IssuedAt,
		TTL:       t.TTL,
	})
	if err != nil {
		return "", fmt.Errorf("build dynamic token: %w", err)
	}
	return base64.URLEncoding.EncodeToString(append([]byte(dynamicMagic), payload...)), nil
}

func (t *DynamicToken) sign(clientID, clientSecret string) []byte {
	sum := sha256.Sum256([]byte(clientID + t.AppKey + t.User +
		strconv.FormatUint(uint64(t.IssuedAt), 10) + strconv.FormatUint(uint64(t.TTL), 10) + clientSecret))
	return sum[:]
}
