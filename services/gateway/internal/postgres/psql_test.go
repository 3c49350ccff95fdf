package postgres_test

import (
	"context"
	"encoding/pem"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatestay/gatestay/services/gateway/internal/seam/seamtest"
)

// environment is what libpq needs to reach the gateway, or with an empty
// address the target.
func (g *gateway) environment(t testing.TB) []string {
	t.Helper()
	host, port, _ := net.SplitHostPort(g.addr)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: g.leaf}), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "PGHOST=" + host, "PGPORT=" + port, "PGUSER=job", "PGPASSWORD=" + seamtest.Secret,
		"PGDATABASE=prod-db", "PGSSLMODE=verify-full", "PGSSLROOTCERT=" + ca, "PGGSSENCMODE=disable", "LC_ALL=C.UTF-8",
	}
}

func targetEnvironment(t testing.TB) []string {
	t.Helper()
	host, port, _ := net.SplitHostPort(target.Address)
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "PGHOST=" + host, "PGPORT=" + port, "PGUSER=" + target.Superuser, "PGPASSWORD=" + target.Password,
		"PGDATABASE=postgres", "LC_ALL=C.UTF-8", "PGCLIENTENCODING=UTF8",
	}
}

// tool runs a client program; one that the machine does not have fails the test.
func tool(t testing.TB, env []string, stdin, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, name, args...)
	c.Env, c.Stdin = env, strings.NewReader(stdin)
	out, err := c.CombinedOutput()
	return string(out), err
}

// TestPsqlMeta compares what psql's own commands show through the gateway with
// what they show directly.
func TestPsqlMeta(t *testing.T) {
	g := start(t, &seamtest.Gate{})
	script := strings.Join([]string{
		`\d`, `\d+ customers`, `\dt+`, `\di`, `\dv`, `\ds`, `\df`, `\df+ volatile_write`, `\dn+`, `\du`, `\dp`, `\dT`, `\dx`, `\l`, `\dD`, `\dO`, `\dC`, `\dconfig`,
		`\dS pg_class`, `\sf volatile_write`, `\d nowhere`, `\encoding`, `\conninfo_skip`, `SELECT 1 AS a \gdesc`, `SELECT 1 \g`, `SELECT 2; SELECT 3`,
		`SELECT format('SELECT %s', g) FROM generate_series(1, 3) g \gexec`, `\set AUTOCOMMIT off`, `SELECT 5;`, `COMMIT;`, `SELECT 1/0;`, `SELECT 1;`, `ROLLBACK;`,
		`\echo :ROW_COUNT :SQLSTATE`,
	}, "\n")
	want, _ := tool(t, targetEnvironment(t), script, "psql", "-X")
	got, _ := tool(t, g.environment(t), script, "psql", "-X")
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			t.Fatalf("line %d differs; through the gateway:\n%s\ndirectly:\n%s", i, strings.Join(a[min(i, len(a)):min(i+10, len(a))], "\n"), strings.Join(b[min(i, len(b)):min(i+10, len(b))], "\n"))
		}
	}
}

func TestPgbench(t *testing.T) {
	g := start(t, &seamtest.Gate{})
	if out, err := tool(t, targetEnvironment(t), "", "pgbench", "-i", "-q", "-s", "1"); err != nil {
		t.Fatal(out, err)
	}
	for _, mode := range []string{"simple", "extended", "prepared"} {
		for _, script := range [][]string{{"-S"}, {}} {
			args := append([]string{"-n", "-M", mode, "-c", "8", "-j", "2", "-t", "50"}, script...)
			out, err := tool(t, g.environment(t), "", "pgbench", args...)
			if err != nil || !strings.Contains(out, "400/400") {
				t.Fatalf("%v: %v\n%s", args, err, out)
			}
		}
	}
}
