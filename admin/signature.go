package admin

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
)

// SignatureHeader is the header of callbacks that [Signed] checks.
const SignatureHeader = "X-Stoa-Signature"

// Signed reports whether a callback comes from a server that knows the secret: signature is the header [SignatureHeader] of
// the request, body all of its body.
func Signed(signature string, body []byte, secret string) bool {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return hmac.Equal([]byte(signature), []byte("sha256="+hex.EncodeToString(mac.Sum(nil))))
}
