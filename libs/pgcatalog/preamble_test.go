package pgcatalog_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/command/postgres"
)

// TestLoad_preamblesStayCatalogReads resolves what psql and drivers ask: it is
// all in the catalog, and nothing of it is unknown.
func TestLoad_preamblesStayCatalogReads(t *testing.T) {
	conn := database(t, shop)
	c := load(t, conn)
	for _, file := range []string{"psql.sql", "drivers.sql"} {
		raw, err := os.ReadFile(filepath.Join("..", "command", "postgres", "testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		st, err := postgres.Parse(string(raw))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range st {
			for name, path := range map[string][]string{
				"search_path":           {"public"},
				"current_schemas(true)": {"pg_catalog", "public"},
			} {
				f := c.Resolve(s.Facts, path, "")
				if f.Class != command.Read || f.Catalog != s.Facts.Catalog || !f.Neutral || len(f.Unknown) > 0 {
					t.Errorf("%s, %s: class %s, catalog %v, unknown %v, %s:\n%s", file, name, f.Class, f.Catalog, f.Unknown, f.Why, strings.TrimSpace(s.Text))
				}
			}
			if file == "drivers.sql" {
				if _, err := conn.Prepare(t.Context(), "", s.Text); err != nil {
					t.Errorf("the server does not take a query of %s: %v:\n%s", file, err, s.Text)
				}
			}
		}
	}
}
