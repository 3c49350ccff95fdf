package run

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

const dialTimeout = 20 * time.Second

// dial opens a TLS connection to the gateway's PostgreSQL side, as libpq does
// with sslmode=verify-full. It never goes on without TLS.
func (g *Gateway) dial(ctx context.Context) (*tls.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", g.postgres)
	if err != nil {
		return nil, fmt.Errorf("run: reach the gateway: %w", err)
	}
	conn, err := g.secure(ctx, raw)
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	return conn, nil
}

func (g *Gateway) secure(ctx context.Context, raw net.Conn) (*tls.Conn, error) {
	if deadline, ok := ctx.Deadline(); ok {
		if err := raw.SetDeadline(deadline); err != nil {
			return nil, fmt.Errorf("run: %w", err)
		}
	}
	ask, err := (&pgproto3.SSLRequest{}).Encode(nil)
	if err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	if _, err := raw.Write(ask); err != nil {
		return nil, fmt.Errorf("run: ask the gateway for TLS: %w", err)
	}
	// Exactly one byte: what somebody slipped in behind it would be read as TLS.
	var answer [1]byte
	if _, err := io.ReadFull(raw, answer[:]); err != nil {
		return nil, fmt.Errorf("run: ask the gateway for TLS: %w", err)
	}
	if answer[0] != 'S' {
		return nil, fmt.Errorf("run: %s offers no TLS; a credential never travels without", g.postgres)
	}
	host, _, err := net.SplitHostPort(g.postgres)
	if err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	conn := tls.Client(raw, &tls.Config{
		ServerName: host, RootCAs: g.roots, MinVersion: tls.VersionTLS12, NextProtos: []string{"postgresql"},
	})
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("run: TLS with the gateway: %w", err)
	}
	if err := raw.SetDeadline(time.Time{}); err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	return conn, nil
}
