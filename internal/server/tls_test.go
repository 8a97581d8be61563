package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// writePair makes a self-signed certificate with a serial number and writes it, as modified at a time.
func writePair(t *testing.T, cert, key string, serial int64, modified time.Time) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, modified, modified); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCertificateIsReadAgainWhenItsFilesChange(t *testing.T) {
	folder := t.TempDir()
	cert, key := filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	start := time.Now().Add(-time.Hour)
	writePair(t, cert, key, 1, start)
	c, err := loadCertificate(cert, key, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	serial := func() int64 {
		c.looked = time.Time{} // as if a second had passed
		pair, err := c.get(&tls.ClientHelloInfo{})
		if err != nil {
			t.Fatal(err)
		}
		return pair.Leaf.SerialNumber.Int64()
	}
	if got := serial(); got != 1 {
		t.Fatalf("serial %d at the start", got)
	}
	writePair(t, cert, key, 2, start.Add(time.Minute))
	if got := serial(); got != 2 {
		t.Errorf("serial %d after the files changed, want 2", got)
	}
	// In the middle of a renewal the files do not fit together: the last good pair serves.
	if err := os.WriteFile(cert, []byte("half a certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := serial(); got != 2 {
		t.Errorf("serial %d while the files are broken, want 2", got)
	}
	writePair(t, cert, key, 3, start.Add(2*time.Minute))
	if got := serial(); got != 3 {
		t.Errorf("serial %d after the renewal, want 3", got)
	}
}

func TestMissingCertificateIsAnError(t *testing.T) {
	if _, err := loadCertificate("no-cert.pem", "no-key.pem", slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a certificate that is not there was loaded")
	}
}
