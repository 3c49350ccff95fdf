package postgres

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
)

// cancelLimit bounds a request to cancel. It ends with nothing else: the session
// or the gateway may be ending just then, which is why it is sent.
const cancelLimit = 5 * time.Second

// cancel asks the target to cancel what runs on the connection, and returns
// when the target has passed that on.
func (u *upstream) cancel() error {
	if len(u.key) == 0 {
		return errors.New("postgres: cancel: the target gave no key")
	}
	deadline := time.Now().Add(cancelLimit)
	d := net.Dialer{Deadline: deadline}
	raw, err := d.Dial("tcp", u.address)
	if err != nil {
		return fmt.Errorf("postgres: cancel: %w", err)
	}
	defer func() { _ = raw.Close() }()
	_ = raw.SetDeadline(deadline)
	c := raw
	if u.tls != nil {
		if c, err = startTLS(raw, u.tls, u.direct); err != nil {
			return err
		}
	}
	if _, err := c.Write(wire.AppendCancel(nil, u.pid, u.key)); err != nil {
		return fmt.Errorf("postgres: cancel: %w", err)
	}
	var b [1]byte
	_, _ = c.Read(b[:]) // the target closes when the signal is sent
	return nil
}

// startTLS encrypts as the session's own connection is: a key in the clear would
// be anybody's.
func startTLS(c net.Conn, config *tls.Config, direct bool) (net.Conn, error) {
	if !direct {
		if _, err := c.Write(wire.AppendCode(nil, wire.CodeSSL)); err != nil {
			return nil, fmt.Errorf("postgres: cancel: %w", err)
		}
		var b [1]byte
		if _, err := c.Read(b[:]); err != nil || b[0] != 'S' {
			return nil, errors.New("postgres: cancel: the target takes no TLS")
		}
	}
	t := tls.Client(c, config)
	if err := t.Handshake(); err != nil {
		return nil, fmt.Errorf("postgres: cancel: %w", err)
	}
	return t, nil
}
