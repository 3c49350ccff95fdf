package postgres

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gatestay/gatestay/libs/command"
)

// TestParse_preamblesAreCatalogReads: what psql sends for \d and its like, and
// what drivers ask at start-up, never trips a rule.
func TestParse_preamblesAreCatalogReads(t *testing.T) {
	// \deu, \dRs: options and conninfo hold passwords.
	guarded := []string{"pg_user_mappings", "pg_subscription"}
	for _, file := range []string{"psql.sql", "drivers.sql"} {
		raw, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		st, err := Parse(string(raw))
		if err != nil {
			t.Fatal(err)
		}
		if len(st) < 15 {
			t.Fatalf("%s: only %d statements", file, len(st))
		}
		for _, s := range st {
			f := s.Facts
			want := !slices.ContainsFunc(f.Objects, func(o command.Object) bool { return slices.Contains(guarded, o.Name) })
			if f.Class != command.Read || f.Catalog != want || !f.Neutral || len(f.Unknown) > 0 || len(f.Types) > 0 {
				t.Errorf("%s: class %s, catalog %v, unknown %v, types %v, %s:\n%s", file, f.Class, f.Catalog, f.Unknown, f.Types, f.Why, strings.TrimSpace(s.Text))
			}
		}
	}
}
