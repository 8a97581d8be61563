package token

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// ErrPasswordHash means that a stored password hash is not an argon2id string, or one that asks for more work
// than the server is willing to do.
var ErrPasswordHash = errors.New("unusable password hash")

// argon2Params are the costs of one argon2id hash.
type argon2Params struct {
	memory  uint32 // KiB
	time    uint32 // passes
	threads uint8
}

var (
	// newHash is the work of new hashes: the second choice of the OWASP list, which is the same security for
	// half the memory of the first.
	newHash = argon2Params{memory: 19456, time: 2, threads: 1}
	// maxHash bounds what a stored hash, perhaps imported, can make the server do. It admits the second
	// recommendation of RFC 9106.
	maxHash = argon2Params{memory: 64 << 10, time: 8, threads: 8}
)

const (
	saltSize = 16
	hashSize = 32
	// The sizes of salt and hash accepted in a stored hash.
	minPart, maxPart = 8, 64
)

// hashing holds one slot per processor: more hashes at a time would not be done sooner, and each takes its
// memory. GOMAXPROCS is read once.
var hashing = make(chan struct{}, runtime.GOMAXPROCS(0))

// hashEncoding is that of the PHC string format.
var hashEncoding = base64.RawStdEncoding.Strict()

// HashPassword returns a hash of the password for storage, with a random salt, as
// $argon2id$v=19$m=19456,t=2,p=1$salt$hash. It takes tens of milliseconds and 19 MiB. No more than GOMAXPROCS
// passwords are hashed or checked at a time; others wait their turn or for the end of ctx, whose error is then
// returned.
func HashPassword(ctx context.Context, password string) (string, error) {
	salt := make([]byte, saltSize)
	rand.Read(salt) // never fails
	sum, err := derive(ctx, password, salt, newHash, hashSize)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, newHash.memory, newHash.time,
		newHash.threads, hashEncoding.EncodeToString(salt), hashEncoding.EncodeToString(sum)), nil
}

// CheckPassword reports whether the password is the one that was hashed. It does the work that the hash asks for
// and waits like HashPassword. The error is that of ctx, or ErrPasswordHash.
func CheckPassword(ctx context.Context, hash, password string) (bool, error) {
	salt, want, p, err := parseHash(hash)
	if err != nil {
		return false, err
	}
	sum, err := derive(ctx, password, salt, p, len(want))
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(sum, want) == 1, nil
}

func derive(ctx context.Context, password string, salt []byte, p argon2Params, size int) ([]byte, error) {
	if err := ctx.Err(); err != nil { // a free slot must not win over a ctx that has ended
		return nil, fmt.Errorf("hash password: %w", err)
	}
	select {
	case hashing <- struct{}{}:
		defer func() { <-hashing }()
	case <-ctx.Done():
		return nil, fmt.Errorf("wait to hash password: %w", ctx.Err())
	}
	return argon2.IDKey([]byte(password), salt, p.time, p.memory, p.threads, uint32(size)), nil
}

// parseHash reads a PHC string.
func parseHash(hash string) (salt, sum []byte, p argon2Params, err error) {
	part := strings.Split(hash, "$")
	if len(part) != 6 || part[0] != "" || part[1] != "argon2id" || part[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return nil, nil, p, ErrPasswordHash
	}
	cost := strings.Split(part[3], ",")
	if len(cost) != 3 {
		return nil, nil, p, ErrPasswordHash
	}
	memory, okM := costOf(cost[0], "m=", maxHash.memory)
	time, okT := costOf(cost[1], "t=", maxHash.time)
	threads, okP := costOf(cost[2], "p=", uint32(maxHash.threads))
	salt, errSalt := hashEncoding.DecodeString(part[4])
	sum, errSum := hashEncoding.DecodeString(part[5])
	if !okM || !okT || !okP || errSalt != nil || errSum != nil ||
		len(salt) < minPart || len(salt) > maxPart || len(sum) < minPart || len(sum) > maxPart {
		return nil, nil, p, ErrPasswordHash
	}
	return salt, sum, argon2Params{memory: memory, time: time, threads: uint8(threads)}, nil
}

// costOf reads one positive parameter such as t=2.
func costOf(s, name string, limit uint32) (uint32, bool) {
	digits, ok := strings.CutPrefix(s, name)
	n, err := strconv.ParseUint(digits, 10, 32)
	return uint32(n), ok && err == nil && n > 0 && n <= uint64(limit)
}
