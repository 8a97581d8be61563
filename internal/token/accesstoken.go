package token

import (
	"bytes"
	"compress/zlib"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

const (
	accessTokenPrefix = "007"

	// maxPacked bounds an inflated AccessToken2. A chat token has about 120 bytes; RTM2 permission lists are
	// the only part that can grow.
	maxPacked = 8 << 10
)

// ServiceType numbers the services that an AccessToken2 can grant.
type ServiceType uint16

// The services that are read and written.
const (
	ServiceRTC  ServiceType = 1
	ServiceChat ServiceType = 5
)

// The services that are only skipped. They have no length field, so one must know what is inside.
const (
	serviceRTM       ServiceType = 2
	serviceStreaming ServiceType = 3
	serviceFPA       ServiceType = 4
	serviceFCDN      ServiceType = 6
	serviceAPaaS     ServiceType = 7
	serviceRTM2      ServiceType = 8
)

// The privileges of an RTC service.
const (
	PrivilegeJoinChannel  Privilege = 1
	PrivilegePublishAudio Privilege = 2
	PrivilegePublishVideo Privilege = 3
	PrivilegePublishData  Privilege = 4
)

// Service is one grant inside an AccessToken2.
type Service struct {
	Type       ServiceType
	Channel    string               // RTC only
	User       string               // chat: the user's name or UUID as signed, empty in an app token
	Privileges map[Privilege]uint32 // seconds after the token's issue until which each holds
}

// AccessToken is an AccessToken2 (version 007). The fields are as on the wire.
type AccessToken struct {
	AppID    string    // 32 hexadecimal digits
	IssuedAt uint32    // Unix seconds
	Expire   uint32    // life in seconds after IssuedAt, as signed: UserAt and AppAt clamp it
	Salt     uint32    // random
	Services []Service // chat and RTC services only, others are dropped by ParseAccessToken

	// Of a parsed token, what was signed and with which signature.
	body, signature []byte
}

// NewSalt returns a random salt for a new token.
func NewSalt() uint32 { return 1 + rand.Uint32N(99_999_999) }

// BuildUser returns the text of an AccessToken2 that makes its bearer the given user of the app, for life (whole
// seconds) from issued. It fails if the App ID or the certificate is not of 32 hexadecimal digits, and on times
// that the format cannot hold.
func BuildUser(appID, certificate, user string, issued time.Time, life time.Duration, salt uint32) (string, error) {
	if user == "" {
		return "", errors.New("build access token: no user")
	}
	return buildChat(appID, certificate, user, PrivilegeUser, issued, life, salt)
}

// BuildApp returns the text of an AccessToken2 that gives its bearer the app privilege. It fails like BuildUser.
func BuildApp(appID, certificate string, issued time.Time, life time.Duration, salt uint32) (string, error) {
	return buildChat(appID, certificate, "", PrivilegeApp, issued, life, salt)
}

func buildChat(appID, certificate, user string, p Privilege, issued time.Time, life time.Duration, salt uint32) (string, error) {
	at, expire := issued.Unix(), int64(life/time.Second)
	if at < 0 || at > math.MaxUint32 || expire < 0 || expire > math.MaxUint32 {
		return "", fmt.Errorf("build access token: issue %v or life %v out of range", issued, life)
	}
	t := AccessToken{
		AppID:    appID,
		IssuedAt: uint32(at),
		Expire:   uint32(expire),
		Salt:     salt,
		Services: []Service{{Type: ServiceChat, User: user, Privileges: map[Privilege]uint32{p: uint32(expire)}}},
	}
	return t.Build(certificate)
}

// Build returns the token's text, signed with the App Certificate. Services are written in ascending order of
// their types. It fails if the App ID or the certificate is not of 32 hexadecimal digits, on a service that is
// neither chat nor RTC, and if the token would be larger than ParseAccessToken accepts.
func (t *AccessToken) Build(certificate string) (string, error) {
	packed, err := t.pack(certificate)
	if err != nil {
		return "", fmt.Errorf("build access token: %w", err)
	}
	return encodePacked(packed), nil
}

func (t *AccessToken) pack(certificate string) ([]byte, error) {
	if !isHex32(t.AppID) {
		return nil, errors.New("the App ID is not 32 hexadecimal digits")
	}
	if !isHex32(certificate) {
		return nil, errors.New("the App Certificate is not 32 hexadecimal digits")
	}
	services := slices.SortedStableFunc(slices.Values(t.Services), func(a, b Service) int {
		return int(a.Type) - int(b.Type)
	})
	le := binary.LittleEndian
	body := appendText(nil, t.AppID)
	body = le.AppendUint32(body, t.IssuedAt)
	body = le.AppendUint32(body, t.Expire)
	body = le.AppendUint32(body, t.Salt)
	body = le.AppendUint16(body, uint16(len(services)))
	for _, s := range services {
		if s.Type != ServiceChat && s.Type != ServiceRTC {
			return nil, fmt.Errorf("cannot write service type %d", s.Type)
		}
		if !plain(s.Channel) || !plain(s.User) {
			return nil, errors.New("channel or user is not plain text")
		}
		body = le.AppendUint16(body, uint16(s.Type))
		body = le.AppendUint16(body, uint16(len(s.Privileges)))
		for _, p := range slices.Sorted(maps.Keys(s.Privileges)) {
			body = le.AppendUint16(body, uint16(p))
			body = le.AppendUint32(body, s.Privileges[p])
		}
		if s.Type == ServiceRTC {
			body = appendText(body, s.Channel)
		}
		body = appendText(body, s.User)
	}
	packed := append(appendText(nil, string(signBody(certificate, body))), body...)
	// Every length that wraps its 16 bits is caught here, because what it counts is in the body.
	if len(packed) > maxPacked {
		return nil, fmt.Errorf("%d bytes are more than %d", len(packed), maxPacked)
	}
	return packed, nil
}

// ParseAccessToken reads an AccessToken2 without verifying it. Services that Stoa does not use are skipped, and a
// service of an unknown type ends the reading: what came before it is kept, and the signature can still be
// verified. The only error is ErrMalformed.
func ParseAccessToken(text string) (*AccessToken, error) {
	packed, err := decodePacked(text)
	if err != nil {
		return nil, err
	}
	r := reader{b: packed}
	t := &AccessToken{signature: r.bytes()}
	t.body = r.b
	t.AppID = r.text()
	t.IssuedAt = r.u32()
	t.Expire = r.u32()
	t.Salt = r.u32()
	for n := r.u16(); n > 0 && !r.bad; n-- {
		s, ok := r.service()
		if !ok {
			break
		}
		if s.Type == ServiceChat || s.Type == ServiceRTC {
			t.Services = append(t.Services, s)
		}
	}
	if r.bad || len(t.signature) != sha256.Size || !isHex32(t.AppID) {
		return nil, ErrMalformed
	}
	return t, nil
}

// Verify reports whether a parsed token was signed with the App Certificate. It does not look at the time: UserAt
// and AppAt do. A token that was not parsed does not verify.
func (t *AccessToken) Verify(certificate string) bool {
	return certificate != "" && t.body != nil && hmac.Equal(t.signature, signBody(certificate, t.body))
}

// UserAt returns the user whom the token lets its bearer be, as signed (a name in any case, or a UUID), and the
// instant after now until which it does: the earliest of the ends of token and privilege and of MaxLife, or the
// end of ExpiryGrace if that is past already. Call Verify first. The errors are ErrNotYetValid, ErrExpired and
// ErrNotUser, which also stands for a privilege that ended before its token.
func (t *AccessToken) UserAt(now time.Time) (user string, expires time.Time, err error) {
	return t.chatAt(PrivilegeUser, ErrNotUser, now)
}

// AppAt returns until when the token gives the app privilege, like UserAt. The errors are ErrNotYetValid,
// ErrExpired and ErrNotApp.
func (t *AccessToken) AppAt(now time.Time) (expires time.Time, err error) {
	_, expires, err = t.chatAt(PrivilegeApp, ErrNotApp, now)
	return expires, err
}

func (t *AccessToken) chatAt(p Privilege, missing error, now time.Time) (string, time.Time, error) {
	issued := seconds(t.IssuedAt)
	if issued.After(now.Add(MaxAhead)) {
		return "", time.Time{}, ErrNotYetValid
	}
	life := min(time.Duration(t.Expire)*time.Second, MaxLife)
	if _, ok := alive(issued.Add(life), now); !ok {
		return "", time.Time{}, ErrExpired
	}
	lapsed := false
	for _, s := range t.Services {
		held, ok := s.Privileges[p]
		if s.Type != ServiceChat || !ok || p == PrivilegeUser && s.User == "" {
			continue
		}
		end := issued.Add(min(time.Duration(held)*time.Second, life))
		if expires, ok := alive(end, now); ok {
			return s.User, expires, nil
		}
		lapsed = true
	}
	if lapsed {
		return "", time.Time{}, fmt.Errorf("%w: privilege expired", missing)
	}
	return "", time.Time{}, missing
}

// signBody returns the signature of the bytes after the signature, which begin with an App ID of 32 digits, issue,
// expiry and salt. The integers are the keys and the certificate is the message, not the other way round.
func signBody(certificate string, body []byte) []byte {
	issued, salt := body[34:38], body[42:46]
	return hmacSHA256(hmacSHA256(salt, hmacSHA256(issued, []byte(certificate))), body)
}

func hmacSHA256(key, message []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(message)
	return h.Sum(nil)
}

// inflater holds what takes tens of kilobytes to read one token.
type inflater struct {
	src bytes.Reader
	z   io.ReadCloser
	buf [maxPacked + 1]byte
}

// The pools keep an app whose REST calls carry AccessToken2 from making garbage of the same buffers at each call.
var (
	inflaters = sync.Pool{New: func() any { return new(inflater) }}
	deflaters = sync.Pool{New: func() any { return zlib.NewWriter(nil) }}
)

func encodePacked(packed []byte) string {
	var out bytes.Buffer
	w := deflaters.Get().(*zlib.Writer)
	defer deflaters.Put(w)
	w.Reset(&out)
	w.Write(packed) // a bytes.Buffer takes everything
	w.Close()
	return accessTokenPrefix + base64.StdEncoding.EncodeToString(out.Bytes())
}

func decodePacked(text string) ([]byte, error) {
	if len(text) > maxText || KindOf(text) != KindAccessToken {
		return nil, ErrMalformed
	}
	deflated, err := base64.StdEncoding.DecodeString(text[len(accessTokenPrefix):])
	if err != nil {
		return nil, ErrMalformed
	}
	in := inflaters.Get().(*inflater)
	defer inflaters.Put(in)
	in.src.Reset(deflated)
	defer in.src.Reset(nil)
	if in.z == nil {
		in.z, err = zlib.NewReader(&in.src)
	} else {
		err = in.z.(zlib.Resetter).Reset(&in.src, nil)
	}
	if err != nil {
		return nil, ErrMalformed
	}
	n, err := io.ReadFull(in.z, in.buf[:])
	// A stream may end after a sync flush, without final block and checksum: the signature guards it anyway.
	if n > maxPacked || err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, ErrMalformed
	}
	return bytes.Clone(in.buf[:n]), nil
}

// reader takes a packed token apart. Reading past the end sets bad and gives zero values from then on.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.b, r.bad = nil, true
		return nil
	}
	head := r.b[:n:n]
	r.b = r.b[n:]
	return head
}

func (r *reader) u16() uint16 {
	if b := r.take(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (r *reader) u32() uint32 {
	if b := r.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *reader) bytes() []byte { return r.take(int(r.u16())) }

func (r *reader) text() string {
	s := string(r.bytes())
	if !plain(s) {
		r.bad = true
	}
	return s
}

// service reads one service; false means that its type is unknown.
func (r *reader) service() (s Service, ok bool) {
	s.Type = ServiceType(r.u16())
	if s.Type < ServiceRTC || s.Type > serviceRTM2 {
		return s, false
	}
	s.Privileges = make(map[Privilege]uint32)
	for n := r.u16(); n > 0 && !r.bad; n-- {
		p := Privilege(r.u16())
		s.Privileges[p] = r.u32()
	}
	switch s.Type {
	case ServiceRTC, serviceStreaming, serviceFCDN:
		s.Channel = r.text()
		s.User = r.text()
	case ServiceChat, serviceRTM:
		s.User = r.text()
	case serviceFPA:
	case serviceAPaaS:
		r.text() // room
		r.text() // user
		r.u16()  // role
	case serviceRTM2:
		r.text() // user
		for resources := r.u16(); resources > 0 && !r.bad; resources-- {
			r.u16() // resource type
			for permissions := r.u16(); permissions > 0 && !r.bad; permissions-- {
				r.u16() // permission type
				for names := r.u16(); names > 0 && !r.bad; names-- {
					r.text()
				}
			}
		}
	}
	return s, true
}

func appendText(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint16(b, uint16(len(s))), s...)
}

func isHex32(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) == 32
}
