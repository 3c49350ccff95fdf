package postgres

import (
	"testing"

	"github.com/gatestay/gatestay/libs/command"
)

// TestRedteam10_SettingsByName: pg_dump sets what an older server may not have.
func TestRedteam10_SettingsByName(t *testing.T) {
	s := shop()
	s.Relations = append(s.Relations, table(810, "pg_catalog", "pg_settings", 'v', "name"), table(811, "app", "pg_settings", 'v', "name"))
	s.Functions = append(s.Functions, Function{Name: Name{"evil", "set_config"}})
	c := NewCatalog(s)
	const dump = "SELECT set_config(name, 'view, foreign-table', false) FROM pg_settings WHERE name = 'restrict_nonsystem_relation_kind'"
	for name, tc := range map[string]struct {
		sql  string
		path []string
		want command.Class
	}{
		"pg_dump":                {dump, nil, command.Session},
		"in a search_path":       {dump, public, command.Session},
		"qualified":              {"SELECT pg_catalog.set_config(name, 'x', true) FROM pg_catalog.pg_settings WHERE name = 'work_mem'", public, command.Session},
		"another's operator":     {dump, []string{"app"}, command.Unknown},
		"another's function":     {dump, []string{"evil"}, command.Unknown},
		"another's view":         {dump, []string{"app", "pg_catalog"}, command.Unknown},
		"another's view by name": {"SELECT set_config(name, 'x', false) FROM app.pg_settings WHERE name = 'work_mem'", public, command.Unknown},
		"the role":               {"SELECT set_config(name, 'admin', false) FROM pg_settings WHERE name = 'Role'", public, command.Unknown},
		"a superuser's":          {"SELECT set_config(name, 'replica', false) FROM pg_settings WHERE name = 'session_replication_role'", public, command.Unknown},
		"any":                    {"SELECT set_config(name, 'x', false) FROM pg_settings", public, command.Unknown},
		"any that is":            {"SELECT set_config(name, 'x', false) FROM pg_settings WHERE name = name", public, command.Unknown},
		"any that is not":        {"SELECT set_config(name, 'x', false) FROM pg_settings WHERE name <> 'work_mem'", public, command.Unknown},
		"several":                {"SELECT set_config(name, 'x', false) FROM pg_settings WHERE name = ANY ('{a,b}')", public, command.Unknown},
		"like one":               {"SELECT set_config(name, 'x', false) FROM pg_settings WHERE name LIKE 'work_mem'", public, command.Unknown},
		"or another":             {"SELECT set_config(name, 'x', false) FROM pg_settings WHERE name = 'work_mem' OR true", public, command.Unknown},
		"another column":         {"SELECT set_config(setting, 'x', false) FROM pg_settings WHERE name = 'work_mem'", public, command.Unknown},
		"another column's name":  {"SELECT set_config(name, 'x', false) FROM pg_settings p(x, name) WHERE name = 'work_mem'", public, command.Unknown},
		"a value that is read":   {"SELECT set_config(name, setting, false) FROM pg_settings WHERE name = 'work_mem'", public, command.Unknown},
		"a second":               {"SELECT set_config(name, 'x', false) FROM pg_settings, customers WHERE name = 'work_mem'", public, command.Unknown},
		"more besides":           {"SELECT set_config(name, 'x', false), email FROM pg_settings WHERE name = 'work_mem'", public, command.Unknown},
		"a function besides":     {"SELECT set_config(name, 'x', false) FROM pg_settings WHERE name = 'work_mem' ORDER BY app.evil()", public, command.Unknown},
		"another operator":       {"SELECT set_config(name, 'x', false) FROM pg_settings WHERE name OPERATOR(app.=) 'work_mem'", public, command.Unknown},
		"another's set_config":   {"SELECT evil.set_config(name, 'x', false) FROM pg_settings WHERE name = 'work_mem'", public, command.Unknown},
	} {
		f := resolved(t, c, tc.sql, tc.path, "")
		if f.Class != tc.want || f.Neutral || tc.want == command.Session && (f.Verb != "set" || len(f.Settings) != 1) {
			t.Errorf("%s: class %s, neutral %v, verb %s, settings %v: %s", name, f.Class, f.Neutral, f.Verb, f.Settings, f.Why)
		}
	}
}

// TestRedteam10_WhoActsIsAdministration: a change of the role is never a mere
// session command, however it is spelled.
func TestRedteam10_WhoActsIsAdministration(t *testing.T) {
	for _, sql := range []string{
		"SET ROLE admin", "SET LOCAL ROLE admin", "SET ROLE NONE", "RESET ROLE", "SET role TO admin", `SET "Role" = 'admin'`,
		"SET SESSION AUTHORIZATION joe", "SET session_authorization = joe", "RESET SESSION AUTHORIZATION",
		"SELECT pg_catalog.set_config('role', 'admin', false)", "SELECT pg_catalog.set_config('ROLE', 'admin', true)",
		"SELECT pg_catalog.set_config('session_authorization', 'joe', false)",
		"SET session_replication_role = replica", "SET LOCAL session_replication_role TO 'replica'", `SET "Session_Replication_Role" = replica`, "SET log_statement = none",
		"SET session_preload_libraries = 'x'", "SET allow_system_table_mods = on", "RESET log_statement",
		"SELECT pg_catalog.set_config('session_replication_role', 'replica', true)",
	} {
		f := one(t, sql)
		if f.Class != command.Admin || f.Neutral {
			t.Errorf("%s: class %s, neutral %v", sql, f.Class, f.Neutral)
		}
	}
	for _, sql := range []string{
		"SELECT set_config('role', 'admin', false)",
		"SELECT pg_catalog.set_config('ro' || 'le', 'admin', false)",
		"SELECT pg_catalog.set_config($1, 'admin', false)",
		"SELECT pg_catalog.set_config('search_path', 'x', false) FROM customers",
		"SELECT pg_catalog.set_config('search_path', 'x', false) WHERE app.evil()",
		"SELECT pg_catalog.set_config('search_path', (SELECT email FROM customers), false)",
		"SELECT pg_catalog.set_config('search_path', 'x', false) UNION SELECT 1",
		"SELECT 1 WHERE pg_catalog.set_config('search_path', 'x', false) = ''",
	} {
		if f := one(t, sql); f.Class != command.Unknown || f.Neutral {
			t.Errorf("%s: class %s, neutral %v", sql, f.Class, f.Neutral)
		}
	}
}

// TestRedteam10_StateChangesAreNotNeutral: after these the session's state must
// be asked of the server.
func TestRedteam10_StateChangesAreNotNeutral(t *testing.T) {
	for _, sql := range []string{
		"SET search_path = evil", "SET LOCAL search_path = evil", "RESET search_path", "RESET ALL", "DISCARD ALL", "DISCARD TEMP",
		"ROLLBACK", "ROLLBACK TO a", "COMMIT", "ABORT", "END", "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
		"SELECT evil()", "DO 'x'", "CALL p()", "EXECUTE p", "INSERT INTO t VALUES (1)", "CREATE TABLE t ()", "FETCH c",
	} {
		if one(t, sql).Neutral {
			t.Errorf("%s is taken for neutral", sql)
		}
	}
}

// TestRedteam10_ShadowedNames: a name that another schema of the search_path
// has is not PostgreSQL's own.
func TestRedteam10_ShadowedNames(t *testing.T) {
	c := NewCatalog(shop())
	for _, tc := range []struct {
		name, sql string
		path      []string
		temp      string
		want      command.Class
	}{
		{"a function on the path", "SELECT lower('x')", []string{"public", "app"}, "", command.Unknown},
		{"not on the path", "SELECT lower('x')", public, "", command.Read},
		{"qualified", "SELECT pg_catalog.lower('x')", []string{"app"}, "", command.Read},
		{"in C, by a superuser", "SELECT upper('x')", []string{"public", "ext"}, "", command.Read},
		{"in the query of a new table", "CREATE TABLE x AS SELECT lower('x')", []string{"public", "app"}, "", command.Unknown},
		{"in a default of a new table", "CREATE TABLE x (a text DEFAULT lower('x'))", []string{"public", "app"}, "", command.DDL},
		{"an operator on the path", "SELECT 1 = 1", []string{"app"}, "", command.Unknown},
		{"an implied operator: IN", "SELECT 1 IN (SELECT 2)", []string{"app"}, "", command.Unknown},
		{"an implied operator: USING", "SELECT 1 FROM customers JOIN orders USING (id)", []string{"public", "app"}, "", command.Unknown},
		{"an implied operator: CASE", "SELECT CASE 1 WHEN 2 THEN 3 END", []string{"app"}, "", command.Unknown},
		{"a qualified operator", "SELECT 1 OPERATOR(pg_catalog.=) 1", []string{"app"}, "", command.Read},
		{"pg_catalog last", "SELECT upper('x')", []string{"public", "pg_catalog"}, "", command.Unknown},
		{"pg_catalog last, only an operator", "SELECT 1 + 1", []string{"public", "pg_catalog"}, "", command.Unknown},
		{"pg_catalog after the temporary schema", "SELECT upper('x')", []string{"pg_temp_3", "pg_catalog", "public"}, "pg_temp_3", command.Read},
		{"a function as an attribute", "SELECT c.evil FROM customers c", []string{"public", "app"}, "", command.Unknown},
		{"a function of a value", "SELECT (1).evil", []string{"app"}, "", command.Unknown},
		{"a function of a sub-select's row", "SELECT s.evil FROM (SELECT 1) s", []string{"app"}, "", command.Unknown},
		{"a column of that name", "SELECT c.name FROM customers c", []string{"public", "app"}, "", command.Read},
		{"an enum", "SELECT 'x'::mood", public, "", command.Read},
		{"an enum's array", "SELECT '{x}'::mood[]", public, "", command.Read},
		{"a type with code", "SELECT 'x'::sneaky", []string{"app"}, "", command.Unknown},
		{"a domain whose check calls a function", "SELECT 'x'::checked", public, "", command.Unknown},
		{"a type with a dot in its name", `SELECT 'x'::"public.mood"`, public, "", command.Unknown},
		{"a row type", "SELECT null::customers", public, "", command.Unknown},
		{"a type that is not there", "SELECT 'x'::nothing", public, "", command.Unknown},
		{"catalog name on the path first", "SELECT * FROM pg_class", []string{"public", "pg_catalog"}, "", command.Read},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := resolved(t, c, tc.sql, tc.path, tc.temp)
			if f.Class != tc.want {
				t.Errorf("%s: %s (%s), want %s", tc.sql, f.Class, f.Why, tc.want)
			}
			if f.Class == command.Unknown && (f.Why == "" || f.Neutral || f.Catalog) {
				t.Errorf("why %q, neutral %v, catalog %v", f.Why, f.Neutral, f.Catalog)
			}
		})
	}
}

// TestRedteam10_ACatalogThatIsNone: a user's table with a system catalog's
// name, found first, is no catalog.
func TestRedteam10_ACatalogThatIsNone(t *testing.T) {
	s := shop()
	s.Relations = append(s.Relations, table(500, "app", "pg_class", 'r', "oid", "secret"), table(501, "pg_temp_3", "pg_stats", 'r', "x"))
	c := NewCatalog(s)
	if f := resolved(t, c, "SELECT * FROM pg_class", []string{"app", "pg_catalog"}, ""); f.Catalog || f.Objects[0].Schema != "app" {
		t.Errorf("catalog %v, objects %v", f.Catalog, f.Objects)
	}
	if f := resolved(t, c, "SELECT * FROM pg_class", []string{"app"}, ""); !f.Catalog {
		t.Errorf("pg_catalog is searched first: objects %v", f.Objects)
	}
	if f := resolved(t, c, "SELECT * FROM pg_stats", public, "pg_temp_3"); f.Objects[0].Schema != "pg_temp_3" {
		t.Errorf("the temporary schema is searched first: objects %v", f.Objects)
	}
}
