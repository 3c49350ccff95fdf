package embedded

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/jackc/pgx/v5"
)

// URL is a connection string for the superuser, verified TLS.
func (s *PostgreSQLServer) URL(database string) string {
	return s.UserURL(s.Superuser, s.Password, database)
}

// UserURL is URL for another role.
func (s *PostgreSQLServer) UserURL(user, password, database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(user, password), Host: s.Address, Path: "/" + database,
		RawQuery: url.Values{"sslmode": {"verify-full"}, "sslrootcert": {s.CA}}.Encode(),
	}
	return u.String()
}

// Exec runs SQL (one or more statements) as the superuser.
func (s *PostgreSQLServer) Exec(ctx context.Context, database, sql string) error {
	conn, err := pgx.Connect(ctx, s.URL(database))
	if err != nil {
		return fmt.Errorf("embedded: postgres: %w", err)
	}
	_, err = conn.PgConn().Exec(ctx, sql).ReadAll()
	if err := errors.Join(err, conn.Close(ctx)); err != nil {
		return fmt.Errorf("embedded: postgres: %w", err)
	}
	return nil
}

// CreateDatabase makes an empty database owned by the superuser.
func (s *PostgreSQLServer) CreateDatabase(ctx context.Context, name string) error {
	return s.Exec(ctx, "postgres", "CREATE DATABASE "+pgx.Identifier{name}.Sanitize())
}
