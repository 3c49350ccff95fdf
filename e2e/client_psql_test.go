package e2e

import (
	"os"
	"path/filepath"
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

// TestPsqlCarriesLargeObjects has psql bring a file into the target and back.
func TestPsqlCarriesLargeObjects(t *testing.T) {
	_, gateway := matrixWays(t, shared.Get(t), migrator)
	content := strings.Repeat("0123456789abcdef\x00\xff\n", 5000)
	in, out := filepath.Join(t.TempDir(), "in"), filepath.Join(t.TempDir(), "out")
	if err := os.WriteFile(in, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	said := gateway.psql(t, `\set ON_ERROR_STOP on
\lo_import '`+in+`'
\lo_list
\lo_export :LASTOID '`+out+`'
\lo_unlink :LASTOID
SELECT 'left: ' || count(*) FROM pg_largeobject_metadata WHERE oid = :LASTOID;
`)
	if got, err := os.ReadFile(out); err != nil || string(got) != content {
		t.Errorf("of %d bytes %d came back: %v\n%s", len(content), len(got), err, said)
	}
	if !strings.Contains(said, "left: 0") {
		t.Errorf("psql said:\n%s", said)
	}
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
