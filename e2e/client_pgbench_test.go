package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPgbenchInAllModes makes pgbench's tables through the gateway, COPY
// included, and runs its transactions, and a pipeline of statements, from eight
// clients in each of its protocols. Money is neither made nor lost.
func TestPgbenchInAllModes(t *testing.T) {
	g := shared.Get(t)
	direct, gateway := matrixWays(t, g, migrator)
	gateway.run(t, "pgbench", "--initialize", "--init-steps=dtgp", "--scale=1", "--quiet")
	pipeline := filepath.Join(t.TempDir(), "pipeline.sql")
	const script = `\set aid random(1, 100000)
\startpipeline
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = :aid;
UPDATE pgbench_branches SET bbalance = bbalance + 1;
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
\endpipeline
`
	if err := os.WriteFile(pipeline, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []string{"simple", "extended", "prepared"} {
		runs := [][]string{{"--builtin=tpcb-like"}, {"--select-only"}, {"--file=" + pipeline}}
		if mode == "simple" { // knows no pipelines
			runs = runs[:2]
		}
		for _, what := range runs {
			out := gateway.run(t, "pgbench", append([]string{"--no-vacuum", "--protocol=" + mode, "--client=8", "--jobs=2", "--transactions=25", "--max-tries=1"}, what...)...)
			if !strings.Contains(out, "200/200") || strings.Contains(out, "number of failed transactions: 1") {
				t.Errorf("%s %v:\n%s", mode, what, out)
			}
		}
	}
	const sums = "SELECT (SELECT sum(abalance) FROM pgbench_accounts) - (SELECT sum(bbalance) FROM pgbench_branches)"
	for _, w := range []way{direct, gateway} {
		if out := w.run(t, "psql", "-XAtc", sums); strings.TrimSpace(out) != "0" {
			t.Errorf("%s: accounts and branches differ by %s", w.name, out)
		}
	}
}
