package plan

import (
	"slices"
	"strings"
	"testing"

	pgfacts "github.com/gatestay/gatestay/libs/command/postgres"
)

// own are the tables that the tools keep.
var own = map[string]string{"goose": "goose_db_version", "golang-migrate": "schema_migrations", "flyway": "flyway_schema_history", "prisma": "_prisma_migrations"}

// Each shape is one statement that touches the tool's own table, or nothing, and
// holds a single literal text at most: nothing of a statement can hide in it.
func TestRedteam18_EachShapeIsOfTheToolsOwnTable(t *testing.T) {
	if got := Tools(); !slices.Equal(got, []string{"flyway", "golang-migrate", "goose", "prisma", "sql"}) {
		t.Errorf("tools: %v", got)
	}
	for _, tool := range Tools() {
		for _, sql := range Keeping(tool) {
			list, err := pgfacts.Parse(sql)
			if err != nil || len(list) != 1 {
				t.Errorf("%s: %d statements, %v", sql, len(list), err)
				continue
			}
			f := list[0].Facts
			for _, o := range f.Objects {
				system := o.Access == "read" && (o.Schema == "information_schema" || strings.HasPrefix(o.Name, "pg_"))
				if !system && o.Name != own[tool] && !strings.HasPrefix(o.Name, own[tool]+"_") {
					t.Errorf("%s touches %s", sql, o)
				}
			}
			for _, name := range f.Functions {
				if !slices.Contains([]string{"now", "count", "max", "current_schema", "current_database", "pg_advisory_lock", "pg_advisory_unlock", "pg_try_advisory_lock"}, name) {
					t.Errorf("%s calls %s", sql, name)
				}
			}
			if !Bookkeeping(tool, pgfacts.Blanked(sql)) {
				t.Errorf("%s is not known again", sql)
			}
			for _, other := range Tools() {
				if other != tool && len(f.Objects) > 0 && Bookkeeping(other, pgfacts.Blanked(sql)) {
					t.Errorf("%s of %s is taken for %s's", sql, tool, other)
				}
			}
		}
	}
	if Bookkeeping("", pgfacts.Blanked("SELECT 1")) || Bookkeeping("goose", nil) {
		t.Error("nothing is bookkeeping")
	}
}
