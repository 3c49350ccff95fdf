package initialise

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/loopback"
)

// target is what gatestay.yaml says of the target.
type target struct {
	Address, Database, User, Password, TLS, CA string
	PasswordGiven                              bool // Password is the caller's own reference
}

// connect signs in. The connection string's password, if any, is used and
// forgotten.
func connect(ctx context.Context, o options) (target, *pgx.Conn, error) {
	u, err := url.Parse(o.dsn)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" || u.Host == "" {
		return target{}, nil, errors.New("--dsn: write postgres://user@host:port/database") // the error would quote a password
	}
	query := u.Query()
	mode := query.Get("sslmode")
	if mode == "" && !loopback.Host(u.Hostname()) {
		mode = "verify-full" // libpq's default would fall back to plain text
		query.Set("sslmode", mode)
		u.RawQuery = query.Encode()
	}
	c, err := pgx.ParseConfig(u.String())
	if err != nil {
		return target{}, nil, errors.New("--dsn: this connection string cannot be read, or its TLS files cannot; write postgres://user@host:port/database?sslmode=verify-full")
	}
	t := target{
		Address: net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port))), Database: c.Database, User: c.User, TLS: mode, CA: query.Get("sslrootcert"),
		Password: "env:" + passwordVariable(o.target),
	}
	if o.password != "" {
		ref := config.Secret(o.password)
		if !ref.Valid() {
			return target{}, nil, errors.New("--password is a reference: write env:NAME or file:PATH")
		}
		dir, err := os.Getwd()
		if err != nil {
			return target{}, nil, fmt.Errorf("init: %w", err)
		}
		if c.Password, err = ref.Resolve(dir); err != nil {
			return target{}, nil, fmt.Errorf("--password: %w", err)
		}
		t.Password, t.PasswordGiven = o.password, true
	}
	c.RuntimeParams["application_name"] = "gatestay init"
	conn, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		return target{}, nil, fmt.Errorf("sign in as %s at %s: %w%s", c.User, t.Address, briefly(err), tlsHint(mode))
	}
	if mode == "" || mode == "prefer" || mode == "allow" {
		t.TLS = "disable"
		if _, encrypted := conn.PgConn().Conn().(*tls.Conn); encrypted {
			t.TLS = "require"
		}
	}
	return t, conn, nil
}

// briefly says once what failed in the same way with and without TLS.
func briefly(err error) error {
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		return dial.Err // the address is said already
	}
	var failed *pgconn.ConnectError
	if !errors.As(err, &failed) {
		return err
	}
	if tries, ok := failed.Unwrap().(interface{ Unwrap() []error }); ok {
		if all := tries.Unwrap(); len(all) > 0 && !slices.ContainsFunc(all, func(e error) bool { return e.Error() != all[0].Error() }) {
			return all[0]
		}
	}
	return failed.Unwrap()
}

func tlsHint(mode string) string {
	if mode == "verify-full" || mode == "verify-ca" {
		return "\nif the server's certificate is not known here, name its authority: ?sslmode=verify-full&sslrootcert=FILE"
	}
	return ""
}

// passwordVariable is the environment variable that the gateway will read.
func passwordVariable(name string) string {
	return "GATESTAY_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")) + "_PASSWORD"
}
