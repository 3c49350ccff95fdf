package postgres

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// upstream is a signed-in connection to a target.
type upstream struct {
	conn    net.Conn
	in      *wire.Reader
	out     *wire.Writer
	status  map[string]string // reported settings
	pid     uint32
	key     []byte
	address string
	tls     *tls.Config
	direct  bool // TLS without asking for it
}

// connect signs in to a session's target. The password lives no longer than
// this call.
func (s *Server) connect(ctx context.Context, gate seam.Session, target string, settings map[string]string) (*upstream, error) {
	up, err := gate.Upstream(ctx)
	if err != nil {
		return nil, fmt.Errorf("postgres: upstream: %w", err)
	}
	config, err := s.authorities.connectConfig(up)
	if err != nil {
		return nil, loginRefusal(target, err)
	}
	config.RuntimeParams = settings
	conn, err := s.elders.dial(ctx, up.Address, config)
	if err != nil {
		return nil, loginRefusal(target, err)
	}
	if err := conn.SyncConn(ctx); err != nil {
		return nil, loginRefusal(target, err)
	}
	h, err := conn.Hijack()
	if err != nil {
		return nil, loginRefusal(target, err)
	}
	u := &upstream{conn: h.Conn, out: wire.NewWriter(h.Conn), status: h.ParameterStatuses, pid: h.PID, key: h.SecretKey, address: h.Conn.RemoteAddr().String(), tls: config.TLSConfig, direct: up.Direct}
	if len(u.key) > wire.MaxKey {
		_ = h.Conn.Close()
		return nil, loginRefusal(target, fmt.Errorf("postgres: a cancel key of %d bytes", len(u.key)))
	}
	if err := u.drain(h.Frontend); err != nil {
		_ = h.Conn.Close()
		return nil, loginRefusal(target, err)
	}
	u.in = wire.NewReader(h.Conn)
	return u, nil
}

// drain takes what the login's reader has read too much.
func (u *upstream) drain(f *pgproto3.Frontend) error {
	for f.ReadBufferLen() > 0 {
		m, err := f.Receive()
		if err != nil {
			return fmt.Errorf("postgres: after login: %w", err)
		}
		if p, ok := m.(*pgproto3.ParameterStatus); ok {
			u.status[p.Name] = p.Value
		}
	}
	return nil
}
