package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// connectConfig turns a target into a configuration that the environment of
// the gateway's process has no part in.
func (a *authorities) connectConfig(up seam.Upstream) (*pgconn.Config, error) {
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
	config.Fallbacks, config.ValidateConnect, config.AfterConnect, config.AfterNetConnect = nil, nil, nil, nil
	config.OAuthTokenProvider = nil
	config.MinProtocolVersion, config.MaxProtocolVersion = oldestVersion, oldestVersion
	config.RuntimeParams = map[string]string{}
	config.MaxProtocolMessageBodyLen = maxReport
	config.ConnectTimeout = 10 * time.Second
	dialer := &net.Dialer{KeepAliveConfig: keepAliveConfig()}
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err //nolint:wrapcheck // pgconn's to wrap
		}
		return wire.NewConn(c), nil
	}
	if config.TLSConfig, err = a.tlsConfig(up, host); err != nil {
		return nil, err
	}
	config.SSLNegotiation, config.SSLCertMode, config.ChannelBinding = "", "disable", "prefer"
	if up.Direct {
		config.SSLNegotiation = "direct"
	}
	if up.Certificate != "" {
		config.SSLCertMode = "require" // a target that does not look at it is not the one that was meant
	}
	if up.ChannelBinding {
		config.ChannelBinding = "require"
	}
	config.RequireAuth, err = requireAuth(up)
	return config, err
}

// verified reports that the target has to prove who it is before it is told
// anything.
func verified(up seam.Upstream) bool {
	return up.TLS == "" || up.TLS == "verify-ca" || up.TLS == "verify-full"
}

// requireAuth lists the methods by which the target may ask who the gateway
// is. Whoever could be an impostor gets no password, nor a hash of one that
// fast guessing would open; and a target that lets in without asking does not
// know the password either, so it may be an impostor too.
func requireAuth(up seam.Upstream) (string, error) {
	if len(up.RequireAuth) > 0 {
		if slices.Contains(up.RequireAuth, "password") && !verified(up) {
			return "", errors.New("postgres: the password would go to a target that is not verified")
		}
		return strings.Join(up.RequireAuth, ","), nil
	}
	var methods []string
	if up.Password != "" || up.Certificate == "" {
		methods = append(methods, "scram-sha-256")
		if verified(up) {
			methods = append(methods, "md5", "password")
		}
	}
	if up.Certificate != "" {
		methods = append(methods, "none")
	}
	return strings.Join(methods, ","), nil
}
