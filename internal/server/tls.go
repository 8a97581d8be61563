package server

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificate is a key pair in files, which is read again when they change.
type certificate struct {
	cert, key string
	log       *slog.Logger

	mu      sync.Mutex
	pair    *tls.Certificate
	changed time.Time // the later modification time of the two files
	looked  time.Time
}

func loadCertificate(cert, key string, log *slog.Logger) (*certificate, error) {
	c := &certificate{cert: cert, key: key, log: log}
	return c, c.load()
}

func (c *certificate) load() error {
	changed, err := c.modified()
	if err != nil {
		return fmt.Errorf("read certificate: %w", err)
	}
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return fmt.Errorf("read certificate: %w", err)
	}
	c.pair, c.changed = &pair, changed
	return nil
}

func (c *certificate) modified() (latest time.Time, err error) {
	for _, name := range []string{c.cert, c.key} {
		info, err := os.Stat(name)
		if err != nil {
			return latest, err
		}
		if info.ModTime().After(latest) {
			latest = info.ModTime()
		}
	}
	return latest, nil
}

// get is tls.Config.GetCertificate. It looks at the files once a second at most; while they do not fit together, as in
// the middle of a renewal, the last good pair serves.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) >= time.Second {
		c.looked = time.Now()
		if changed, err := c.modified(); err != nil || !changed.Equal(c.changed) {
			if err := c.load(); err != nil {
				c.log.Warn("certificate not replaced", "error", err)
			} else {
				c.log.Info("certificate replaced", "file", c.cert)
			}
		}
	}
	return c.pair, nil
}
