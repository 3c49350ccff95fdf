package postgres_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gatestay/gatestay/services/gateway/internal/seam/seamtest"
)

func TestSimpleAndExtended(t *testing.T) {
	g := start(t, &seamtest.Gate{})
	for _, mode := range []pgx.QueryExecMode{
		pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeExec, pgx.QueryExecModeDescribeExec,
		pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeCacheStatement,
	} {
		t.Run(mode.String(), func(t *testing.T) {
			conn := g.connect(t, func(c *pgx.ConnConfig) { c.DefaultQueryExecMode = mode })
			for range 3 {
				var name string
				var born int
				err := conn.QueryRow(t.Context(), "SELECT name, id FROM customers WHERE id = $1", 7).Scan(&name, &born)
				if err != nil || name != "name 7" || born != 7 {
					t.Fatalf("got %q, %d, %v", name, born, err)
				}
			}
			_, err := conn.Exec(t.Context(), "SELECT * FROM nowhere")
			if err == nil || !strings.Contains(err.Error(), `relation "nowhere" does not exist`) {
				t.Fatalf("got %v", err)
			}
			if err := conn.Ping(context.Background()); err != nil {
				t.Fatal(err)
			}
		})
	}
}
