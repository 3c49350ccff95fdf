package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	pgfacts "github.com/gatestay/gatestay/libs/command/postgres"
	"github.com/gatestay/gatestay/libs/pgcatalog"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

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
	config.RuntimeParams = map[string]string{"application_name": "gatestay catalog", "client_encoding": "UTF8"} // a pooler takes no others; Load sets the rest
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
