package gateway

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"
)

// certificate serves a key pair from files and picks up a renewed one without
// a restart. Safe for concurrent use.
type certificate struct {
	cert, key string

	mu      sync.Mutex
	loaded  *tls.Certificate
	stamp   time.Time
	checked time.Time
}

const certificateCheck = 10 * time.Second

func loadCertificate(cert, key string) (*certificate, error) {
	c := &certificate{cert: cert, key: key}
	if err := c.load(); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *certificate) load() error {
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return fmt.Errorf("gateway: certificate: %w", err)
	}
	info, err := os.Stat(c.cert)
	if err != nil {
		return fmt.Errorf("gateway: certificate: %w", err)
	}
	c.loaded, c.stamp, c.checked = &pair, info.ModTime(), time.Now()
	return nil
}

// get returns the current pair; a renewed one that cannot be read leaves the
// old one in use.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.checked) > certificateCheck {
		c.checked = time.Now()
		if info, err := os.Stat(c.cert); err == nil && !info.ModTime().Equal(c.stamp) {
			_ = c.load()
		}
	}
	return c.loaded, nil
}
