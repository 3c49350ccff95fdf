package e2e

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatestay/gatestay/e2e/kit"
)

// matrixRules are for the tools that a pipeline runs on a database of their own.
// The last is the least that a dump needs beyond reading: see pg_dump's test.
const matrixRules = `rules:
  - name: tools-use-the-matrix
    effect: allow
    targets: [matrix-db]
    principals: [{repository: acme/importer, repository_id: "1002", repository_owner_id: "2002"}]
    when: command.class in ["read", "write"]

  - name: migrations-change-the-matrix
    effect: allow
    targets: [matrix-db]
    principals: [{repository: acme/migrator, repository_id: "1003", repository_owner_id: "2002"}]
    when: command.class in ["read", "write", "ddl"]
`

// migrator is a job that may change the schema of the matrix.
var migrator = kit.Claims{"repository": "acme/migrator", "repository_id": "1003"}

var matrix struct {
	once sync.Once
	err  error
}

// matrixWays are straight to a database with something of everything, and
// through the gateway as a job with these claims.
func matrixWays(t *testing.T, g *kit.Gatestay, claims kit.Claims) (direct, gateway way) {
	t.Helper()
	matrix.once.Do(func() { matrix.err = addMatrix(t, g) })
	if matrix.err != nil {
		t.Fatal(matrix.err)
	}
	var credential string
	kit.Eventually(t, 20*time.Second, func() (err error) {
		credential, err = g.Exchange(t.Context(), g.Token(t, claims), "matrix-db")
		return err
	})
	direct = way{name: "direct", environment: func() []string { return libpq(g.DB.Address, g.DB.CA, "app", g.TargetPassword(), "matrix") }}
	gateway = way{name: "gateway", environment: func() []string { return libpq(g.Postgres, g.CA, "app", credential, "matrix-db") }}
	kit.Eventually(t, 20*time.Second, func() error {
		c, err := g.Dial(t.Context(), "matrix-db", credential, nil)
		if err != nil {
			return err
		}
		defer c.Hang()
		_, err = c.Exec(t.Context(), "SELECT count(*) FROM sales.orders")
		return err
	})
	return direct, gateway
}

func addMatrix(t *testing.T, g *kit.Gatestay) error {
	t.Helper()
	schema, err := os.ReadFile(clientFile("schema.sql"))
	if err != nil {
		return err
	}
	for _, sql := range []string{"CREATE DATABASE matrix OWNER app"} {
		if err := g.DB.Exec(t.Context(), "postgres", sql); err != nil {
			return err
		}
	}
	if err := g.DB.Exec(t.Context(), "matrix", string(schema)); err != nil {
		return err
	}
	if err := g.Rewrite("policies/matrix.yaml", func(string) string { return matrixRules }); err != nil {
		return err
	}
	return g.Rewrite("gatestay.yaml", func(text string) string {
		return strings.Replace(text, "targets:\n", fmt.Sprintf(`targets:
  matrix-db: {protocol: postgres, environment: test, address: "%s", database: matrix, user: app, password: "env:GATESTAY_TARGET_PASSWORD", tls: verify-full, ca: "%s", session_limit: 10m}
`, g.DB.Address, g.DB.CA), 1)
	})
}
