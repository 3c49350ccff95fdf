package postgres

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
)

// alpn is the application protocol that direct TLS has to name.
const alpn = "postgresql"

// firstTLSByte starts a TLS handshake record; no start-up packet starts so,
// since it would be 369 MB long.
const firstTLSByte = 0x16

// greeting is what a connection wants.
type greeting struct {
	secure   bool // over TLS
	version  uint32
	settings []wire.Setting
	cancel   *cancelRequest
}

type cancelRequest struct {
	pid uint32
	key []byte
}

var errNegotiation = errors.New("postgres: encryption asked for twice, or inside of TLS")

// negotiate settles encryption and returns the connection to go on with, and
// what the client wants. Not a byte is read beyond a request for encryption.
func (s *Server) negotiate(raw net.Conn) (net.Conn, *greeting, error) {
	c, g := raw, &greeting{}
	var asked [2]bool // for TLS, for GSSAPI
	for first := true; ; first = false {
		start, err := s.readFirst(&c, g, first)
		if err != nil {
			return nil, nil, err
		}
		switch start.Code {
		case wire.CodeSSL:
			if g.secure || asked[0] {
				return nil, nil, errNegotiation
			}
			asked[0] = true
			if c, err = s.answerSSL(c, g); err != nil {
				return nil, nil, err
			}
		case wire.CodeGSS:
			if g.secure || asked[1] {
				return nil, nil, errNegotiation
			}
			asked[1] = true
			if _, err := c.Write([]byte{'N'}); err != nil {
				return nil, nil, fmt.Errorf("postgres: decline GSSAPI: %w", err)
			}
		case wire.CodeCancel:
			// Older clients send it in the clear even where they use TLS.
			pid, key, err := start.Cancel()
			if err != nil {
				return nil, nil, fmt.Errorf("postgres: cancel request: %w", err)
			}
			g.cancel = &cancelRequest{pid, key}
			return c, g, nil
		default:
			g.version = start.Code
			if g.settings, err = start.Settings(); err != nil {
				s.turnAway(c, violation(err))
				return nil, nil, fmt.Errorf("postgres: start-up: %w", err)
			}
			return c, g, nil
		}
	}
}

// readFirst reads a first packet; where the connection opens with TLS at once,
// that is established before.
func (s *Server) readFirst(c *net.Conn, g *greeting, first bool) (*wire.Startup, error) {
	if !first {
		start, err := wire.ReadStartup(*c)
		if err != nil {
			return nil, fmt.Errorf("postgres: start-up: %w", err)
		}
		return start, nil
	}
	var b [1]byte
	if _, err := io.ReadFull(*c, b[:]); err != nil {
		return nil, fmt.Errorf("postgres: first byte: %w", err)
	}
	src := io.MultiReader(bytes.NewReader(b[:]), *c)
	if b[0] == firstTLSByte {
		t, err := s.handshake(&prefixed{Conn: *c, first: b[:]})
		if err != nil {
			return nil, err
		}
		// Without the protocol's name another protocol's client could be led here.
		if t.ConnectionState().NegotiatedProtocol != alpn {
			return nil, errors.New("postgres: direct TLS without ALPN")
		}
		*c, g.secure, src = t, true, t
	}
	start, err := wire.ReadStartup(src)
	if err != nil {
		return nil, fmt.Errorf("postgres: start-up: %w", err)
	}
	return start, nil
}

func (s *Server) answerSSL(c net.Conn, g *greeting) (net.Conn, error) {
	answer := byte('S')
	if s.tls == nil {
		answer = 'N'
	}
	if _, err := c.Write([]byte{answer}); err != nil {
		return nil, fmt.Errorf("postgres: answer to SSLRequest: %w", err)
	}
	if s.tls == nil {
		return c, nil
	}
	t, err := s.handshake(c)
	if err != nil {
		return nil, err
	}
	g.secure = true
	return t, nil
}

func (s *Server) handshake(c net.Conn) (*tls.Conn, error) {
	if s.tls == nil {
		return nil, errors.New("postgres: TLS is not configured")
	}
	t := tls.Server(c, s.tls)
	if err := t.Handshake(); err != nil { // bounded by the connection's deadline
		return nil, fmt.Errorf("postgres: TLS: %w", err)
	}
	return t, nil
}

// requireTLS refuses a session in the clear.
func (s *Server) requireTLS(g *greeting) error {
	if g.secure || s.plain {
		return nil
	}
	return &refusal.Refusal{
		Code: refusal.TLSRequired, Message: "this gateway takes no connection without TLS",
		Hint: "Set sslmode=verify-full (PGSSLMODE), with the gateway's CA in sslrootcert (PGSSLROOTCERT).",
	}
}

// prefixed is a connection with its first bytes put back.
type prefixed struct {
	net.Conn
	first []byte
}

// NetConn returns the connection below.
func (p *prefixed) NetConn() net.Conn { return p.Conn }

// Read implements io.Reader.
func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.first) > 0 {
		n := copy(b, p.first)
		p.first = p.first[n:]
		return n, nil
	}
	return p.Conn.Read(b) //nolint:wrapcheck // a connection's own error
}
