package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	pgfacts "github.com/gatestay/gatestay/libs/command/postgres"
	"github.com/gatestay/gatestay/libs/pgcatalog"
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
}

// connect signs in to a session's target. The password lives no longer than
// this call.
func (s *Server) connect(ctx context.Context, gate seam.Session, target string, settings map[string]string) (*upstream, error) {
	up, err := gate.Upstream(ctx)
	if err != nil {
		return nil, fmt.Errorf("postgres: upstream: %w", err)
	}
	config, err := connectConfig(up)
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
	u := &upstream{conn: h.Conn, out: wire.NewWriter(h.Conn), status: h.ParameterStatuses, pid: h.PID, key: h.SecretKey, address: h.Conn.RemoteAddr().String(), tls: config.TLSConfig}
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

// connectConfig turns a target into a configuration that the environment of
// the gateway's process has no part in.
func connectConfig(up seam.Upstream) (*pgconn.Config, error) {
	config, err := pgconn.ParseConfig("host=127.0.0.1 port=5432 user=x password=x dbname=x sslmode=disable passfile=/dev/null target_session_attrs=any")
	if err != nil {
		return nil, fmt.Errorf("postgres: upstream configuration: %w", err)
	}
	host, port, err := net.SplitHostPort(up.Address)
	if err != nil {
		return nil, fmt.Errorf("postgres: target address: %w", err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("postgres: target port: %w", err)
	}
	config.Host, config.Port = host, uint16(n)
	config.User, config.Password, config.Database = up.User, up.Password, up.Database
	config.Fallbacks, config.ValidateConnect, config.AfterConnect = nil, nil, nil
	config.SSLNegotiation, config.SSLCertMode, config.RequireAuth, config.ChannelBinding = "", "", "", ""
	config.MinProtocolVersion, config.MaxProtocolVersion = "", ""
	config.RuntimeParams = map[string]string{}
	config.MaxProtocolMessageBodyLen = maxReport
	config.ConnectTimeout = 10 * time.Second
	dialer := &net.Dialer{KeepAliveConfig: keepAliveConfig()}
	config.DialFunc = dialer.DialContext
	config.TLSConfig, err = tlsConfig(up, host)
	return config, err
}

// tlsConfig is nil only where the target's configuration says "disable".
func tlsConfig(up seam.Upstream, host string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	if up.CA != "" {
		pem, err := os.ReadFile(up.CA)
		if err != nil {
			return nil, fmt.Errorf("postgres: target CA: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("postgres: target CA: the file holds no certificate")
		}
	}
	switch up.TLS {
	case "disable":
		return nil, nil
	case "require": // encrypted, whoever answers: the owner of the target chose so
		c.InsecureSkipVerify = true // the meaning of this mode
	case "verify-ca":
		c.InsecureSkipVerify = true // VerifyConnection checks the chain, not the name
		roots := c.RootCAs
		c.VerifyConnection = func(s tls.ConnectionState) error { return verifyChain(s, roots) }
	case "verify-full", "":
	default:
		return nil, fmt.Errorf("postgres: unknown TLS mode %q", up.TLS)
	}
	return c, nil
}

func verifyChain(s tls.ConnectionState, roots *x509.CertPool) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("postgres: the target sent no certificate")
	}
	o := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
	for _, c := range s.PeerCertificates[1:] {
		o.Intermediates.AddCert(c)
	}
	if _, err := s.PeerCertificates[0].Verify(o); err != nil {
		return fmt.Errorf("postgres: target certificate: %w", err)
	}
	return nil
}

// loadCatalog reads a target's catalog over a connection beside the session.
func loadCatalog(ctx context.Context, gate seam.Session) (*pgfacts.Catalog, error) {
	up, err := gate.Upstream(ctx)
	if err != nil {
		return nil, fmt.Errorf("postgres: upstream: %w", err)
	}
	inner, err := connectConfig(up)
	if err != nil {
		return nil, err
	}
	config, err := pgx.ParseConfig("host=127.0.0.1 user=x sslmode=disable passfile=/dev/null target_session_attrs=any")
	if err != nil {
		return nil, fmt.Errorf("postgres: catalog configuration: %w", err)
	}
	config.Config = *inner
	config.RuntimeParams = map[string]string{"application_name": "gatestay catalog", "client_encoding": "UTF8", "search_path": ""}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("postgres: catalog connection: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	snapshot, err := pgcatalog.Load(ctx, conn)
	if err != nil {
		return nil, fmt.Errorf("postgres: catalog: %w", err)
	}
	return pgfacts.NewCatalog(snapshot), nil
}

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
		if c, err = startTLS(raw, u.tls); err != nil {
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

func startTLS(c net.Conn, config *tls.Config) (net.Conn, error) {
	if _, err := c.Write(wire.AppendCode(nil, wire.CodeSSL)); err != nil {
		return nil, fmt.Errorf("postgres: cancel: %w", err)
	}
	var b [1]byte
	if _, err := c.Read(b[:]); err != nil || b[0] != 'S' {
		return nil, errors.New("postgres: cancel: the target takes no TLS")
	}
	t := tls.Client(c, config)
	if err := t.Handshake(); err != nil {
		return nil, fmt.Errorf("postgres: cancel: %w", err)
	}
	return t, nil
}
