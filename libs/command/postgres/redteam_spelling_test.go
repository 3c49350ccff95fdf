package postgres

import (
	"slices"
	"testing"
)

// TestRedteam08_FunctionByItsOtherName: a condition that asks for a function by one
// of its names sees it by whatever name it is called.
func TestRedteam08_FunctionByItsOtherName(t *testing.T) {
	c := NewCatalog(shop())
	for sql, want := range map[string][]string{
		`SELECT initcap('a')`:                    {"initcap", "pg_catalog.initcap"},
		`SELECT pg_catalog.initcap('a')`:         {"initcap", "pg_catalog.initcap"},
		`SELECT shop.pg_catalog.initcap('a')`:    {"initcap", "pg_catalog.initcap"},
		`SELECT "pg_catalog"."initcap"('a')`:     {"initcap", "pg_catalog.initcap"},
		`SELECT ('a'::text).initcap`:             {"initcap", "pg_catalog.initcap"},
		`SELECT c.to_json FROM customers c`:      {"to_json", "pg_catalog.to_json"},
		`SELECT app.evil()`:                      {"evil", "app.evil"},
		`SELECT evil()`:                          {"evil", "app.evil"},
		`SELECT lower('a')`:                      {"lower", "pg_catalog.lower", "app.lower"},
		`SELECT EXTRACT(year FROM now())`:        {"extract", "pg_catalog.extract", "now", "pg_catalog.now"},
		`SELECT x.email FROM public.customers x`: {},
	} {
		f := resolved(t, c, sql, []string{"public", "app"}, "")
		for _, name := range want {
			if !slices.Contains(f.Functions, name) {
				t.Errorf("%s: no %s in %v", sql, name, f.Functions)
			}
		}
		if len(want) == 0 && len(f.Functions) > 0 {
			t.Errorf("%s: functions %v", sql, f.Functions)
		}
	}
	if f := resolved(t, c, `SELECT pg_catalog.lower('a')`, []string{"app"}, ""); f.Class != "read" || slices.Contains(f.Functions, "app.lower") {
		t.Errorf("class %s, functions %v", f.Class, f.Functions)
	}
}
