package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	pgfacts "github.com/gatestay/gatestay/libs/command/postgres"
	"github.com/gatestay/gatestay/libs/pgcatalog"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/catalog"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// source reads a target's catalog over a connection beside the sessions.
type source struct {
	conn    *pgx.Conn
	reader  *pgcatalog.Reader
	catalog *pgfacts.Catalog
}

var _ catalog.Source = (*source)(nil)

// openCatalog connects to a session's target.
func openCatalog(ctx context.Context, gate seam.Session, a *authorities) (*source, error) {
	up, err := gate.Upstream(ctx)
	if err != nil {
		return nil, fmt.Errorf("postgres: upstream: %w", err)
	}
	inner, err := a.connectConfig(up)
	if err != nil {
		return nil, err
	}
	config, err := pgx.ParseConfig("host=127.0.0.1 user=x sslmode=disable passfile=/dev/null target_session_attrs=any")
	if err != nil {
		return nil, fmt.Errorf("postgres: catalog configuration: %w", err)
	}
	config.Config = *inner
	config.RuntimeParams = map[string]string{"application_name": "gatestay catalog", "client_encoding": "UTF8"} // a pooler takes no others; the reader sets the rest
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("postgres: catalog connection: %w", err)
	}
	return &source{conn: conn, reader: pgcatalog.NewReader(conn)}, nil
}

// Read implements catalog.Source.
func (s *source) Read(ctx context.Context) (*pgfacts.Catalog, error) {
	snapshot, changed, err := s.reader.Read(ctx)
	if err != nil {
		return nil, fmt.Errorf("postgres: catalog: %w", err)
	}
	if changed {
		s.catalog = pgfacts.NewCatalog(snapshot)
	}
	return s.catalog, nil
}

// Close implements catalog.Source.
func (s *source) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
	defer cancel()
	_ = s.conn.Close(ctx)
}

// closeLimit bounds the farewell to a target.
const closeLimit = 2 * time.Second
