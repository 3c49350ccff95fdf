package postgres_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/gatestay/gatestay/services/gateway/internal/seam/seamtest"
)

// TestRedteam10_SearchPathWithoutATemporarySchema: a search_path that begins with
// pg_temp is known without making that schema, and as the server has it.
func TestRedteam10_SearchPathWithoutATemporarySchema(t *testing.T) {
	long := strings.Repeat("long", 16) // 64 bytes: the server cuts the last one off
	if err := target.Exec(t.Context(), "postgres", `CREATE SCHEMA IF NOT EXISTS "Odd, ""name"; CREATE SCHEMA IF NOT EXISTS `+long[:63]+`; CREATE SCHEMA IF NOT EXISTS closed;
		DROP ROLE IF EXISTS nothing; CREATE ROLE nothing; CREATE SCHEMA IF NOT EXISTS nothing; GRANT USAGE ON SCHEMA nothing TO nothing`); err != nil {
		t.Fatal(err)
	}
	g := start(t, &seamtest.Gate{})
	for name, c := range map[string]struct {
		before []string
		want   []string
	}{
		"alone":            {[]string{"SET search_path = pg_temp"}, []string{"pg_catalog"}},
		"before others":    {[]string{"SET search_path = pg_temp, nowhere, public"}, []string{"pg_catalog", "public"}},
		"quoted":           {[]string{`SET search_path = "pg_temp", "Odd, ""name", "PUBLIC"`}, []string{"pg_catalog", `Odd, "name`}},
		"as a text":        {[]string{`SELECT pg_catalog.set_config('search_path', E'  PG_Temp,\tPUBLIC ,"public" ', false)`}, []string{"pg_catalog", "public", "public"}},
		"the catalog last": {[]string{"SET search_path = pg_temp, public, pg_catalog"}, []string{"public", "pg_catalog"}},
		"a long name":      {[]string{"SELECT pg_catalog.set_config('search_path', 'pg_temp," + long + ",public', false)"}, []string{"pg_catalog", long[:63], "public"}},
		"the user's":       {[]string{`SET search_path = pg_temp, "$user", public`}, []string{"pg_catalog", "public"}},
		"another user's":   {[]string{`SET search_path = pg_temp, "$user", closed, public`, "SET ROLE nothing"}, []string{"pg_catalog", "nothing", "public"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := dialRaw(t, g.config(t))
			mark := "/* temp " + name + " */"
			got := r.query(t, append(c.before, "SELECT pg_catalog.pg_my_temp_schema() "+mark)...)
			if !slices.Contains(got, `row ["0"]`) {
				t.Errorf("there is a temporary schema, or an error: %q", got)
			}
			state, _ := stateOf(t, g.Gate, mark)
			equal(t, name, state.SearchPath, c.want)
		})
	}
}
