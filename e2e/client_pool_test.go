package e2e

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gatestay/gatestay/e2e/kit"
)

// TestPoolBeforeTheGateway puts pgbouncer between the clients and the gateway:
// its connections share the credential of one run.
func TestPoolBeforeTheGateway(t *testing.T) {
	g := shared.Get(t)
	all := clients(t)
	for mode, names := range map[string][]string{
		"session":     {"psql", "psycopg2", "psycopg", "node-postgres", "jdbc"},
		"transaction": {"psql", "psycopg2", "psycopg", "node-postgres"}, // JDBC prepares statements, which this mode of this pgbouncer does not follow
	} {
		t.Run(mode, func(t *testing.T) {
			credential, err := g.Exchange(t.Context(), g.Token(t, kit.Importer), kit.Target)
			if err != nil {
				t.Fatal(err)
			}
			host, port, _ := net.SplitHostPort(g.Postgres)
			pool := g.Pool(t, kit.PoolOptions{
				Mode: mode, Database: kit.Target, CA: g.CA,
				Server: fmt.Sprintf("host=%s port=%s dbname=%s user=job password=%s", host, port, kit.Target, credential),
			})
			w := way{
				name: "pool", want: fmt.Sprintf(job, maskedEmail, theGateways),
				environment: func() []string { return libpq(pool.Address, pool.CA, "anybody", "", kit.Target) },
			}
			for _, name := range names {
				t.Run(name, func(t *testing.T) { w.job(t, g, name, all[name]) })
			}
		})
	}
}

// TestPoolBehindTheGateway has a pgbouncer for a target.
func TestPoolBehindTheGateway(t *testing.T) {
	g := shared.Get(t)
	credential := pooledTarget(t, g, "pooled-db", "session")
	w := way{
		name: "pooled", want: fmt.Sprintf(job, plainEmail, "GS1202: "), // no mask and no rule names this target
		environment: func() []string { return libpq(g.Postgres, g.CA, "job", credential, "pooled-db") },
	}
	for name, c := range clients(t) {
		t.Run(name, func(t *testing.T) { w.job(t, g, name, c) })
	}
}

// TestRedteam10_PoolThatSharesSessions: a pooler that pools transactions gives a
// session's statements to several of the target's processes, each in a state of
// its own. The session ends when that shows, before another command is decided.
func TestRedteam10_PoolThatSharesSessions(t *testing.T) {
	g := shared.Get(t)
	credential := pooledTarget(t, g, "shared-db", "transaction")
	dial := func() *kit.Client {
		c, err := g.Dial(t.Context(), "shared-db", credential, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Hang)
		return c
	}
	must := func(_ pgconn.CommandTag, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	one, other := dial(), dial()
	must(one.Exec(t.Context(), "SELECT count(*) FROM orders"))
	must(other.Exec(t.Context(), "BEGIN"))
	must(other.Exec(t.Context(), "SELECT count(*) FROM orders")) // keeps the process that served one
	must(one.Exec(t.Context(), "SET search_path = pg_catalog"))
	marker := kit.Marker("elsewhere")
	_, err := one.Exec(t.Context(), "SELECT count(*) AS "+marker+" FROM orders")
	kit.Refused(t, err, "GS1206")
	if g.TargetSaw(t, marker) {
		t.Error("the target has seen the statement")
	}
}

// pooledTarget adds the database behind a pgbouncer as a target, and returns a
// credential for it.
func pooledTarget(t *testing.T, g *kit.Gatestay, name, mode string) string {
	t.Helper()
	host, port, _ := net.SplitHostPort(g.DB.Address)
	pool := g.Pool(t, kit.PoolOptions{
		Mode: mode, Database: "shop", CA: g.DB.CA, Server: fmt.Sprintf("host=%s port=%s dbname=shop", host, port),
		Users: map[string]string{"app": g.TargetPassword()},
	})
	rules := fmt.Sprintf(`rules:
  - name: %s-is-used
    effect: allow
    targets: [%s]
    principals: [{repository: acme/importer, repository_id: "1002", repository_owner_id: "2002"}]
    when: command.class in ["read", "write"]
`, name, name)
	if err := g.Rewrite("policies/"+name+".yaml", func(string) string { return rules }); err != nil {
		t.Fatal(err)
	}
	if err := g.Rewrite("gatestay.yaml", func(text string) string {
		return strings.Replace(text, "targets:\n", fmt.Sprintf(`targets:
  %s: {protocol: postgres, environment: test, address: "%s", database: shop, user: app, password: "env:GATESTAY_TARGET_PASSWORD", tls: verify-full, ca: "%s", session_limit: 10m}
`, name, pool.Address, pool.CA), 1)
	}); err != nil {
		t.Fatal(err)
	}
	var credential string
	kit.Eventually(t, 20*time.Second, func() (err error) {
		credential, err = g.Exchange(t.Context(), g.Token(t, kit.Importer), name)
		return err
	})
	kit.Eventually(t, 20*time.Second, func() error {
		c, err := g.Dial(t.Context(), name, credential, nil)
		if err != nil {
			return err
		}
		defer c.Hang()
		_, err = c.Exec(t.Context(), "SELECT count(*) FROM orders")
		return err
	})
	return credential
}
