package e2e

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestPsqlDescribesEverything compares what psql shows of a full schema, and
// its ways to run a query, with what it shows without a gateway.
func TestPsqlDescribesEverything(t *testing.T) {
	g := shared.Get(t)
	direct, gateway := matrixWays(t, g, migrator)
	script, err := os.ReadFile(clientFile("describe.psql"))
	if err != nil {
		t.Fatal(err)
	}
	want, got := direct.psql(t, string(script)), gateway.psql(t, string(script))
	if len(want) < 20<<10 {
		t.Errorf("psql shows little:\n%s", want)
	}
	same(t, want, got)
}

// psql runs a script, echoing its lines.
func (w way) psql(t *testing.T, script string) string {
	t.Helper()
	command := w.command(t.Context(), "psql", "-X", "-a")
	command.Stdin = strings.NewReader(script)
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("psql, %s: %v\n%s", w.name, err, out)
	}
	return backend.ReplaceAllString(string(out), "PID …")
}

// backend is who has sent a notification: another at each connection.
var backend = regexp.MustCompile(`PID \d+`)

// same compares two outputs and shows where they part.
func same(t *testing.T, direct, gateway string) {
	t.Helper()
	a, b := strings.Split(direct, "\n"), strings.Split(gateway, "\n")
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			part := func(lines []string) string {
				return strings.Join(lines[min(max(0, i-5), len(lines)):min(i+12, len(lines))], "\n")
			}
			t.Fatalf("line %d differs; directly:\n%s\n\nthrough the gateway:\n%s", i+1, part(a), part(b))
		}
	}
}
