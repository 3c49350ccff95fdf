package postgres

import (
	"slices"
	"strings"
	"testing"

	"github.com/gatestay/gatestay/libs/command"
)

// TestResolve_followsTheSearchPath: an unqualified name is the relation that
// the server finds first.
func TestResolve_followsTheSearchPath(t *testing.T) {
	c := NewCatalog(shop())
	for _, tc := range []struct {
		name, sql string
		path      []string
		temp      string
		want      string
	}{
		{"only one", "SELECT * FROM orders", public, "", "public.orders"},
		{"first wins", "SELECT * FROM orders", []string{"app", "public"}, "", "app.orders"},
		{"later", "SELECT * FROM customers", []string{"app", "public"}, "", "public.customers"},
		{"qualified", "SELECT * FROM app.orders", public, "", "app.orders"},
		{"pg_catalog is implied", "SELECT * FROM pg_class", public, "", "pg_catalog.pg_class"},
		{"effective path", "SELECT * FROM pg_class", []string{"pg_catalog", "public"}, "", "pg_catalog.pg_class"},
		{"temporary first", "SELECT * FROM customers", public, "pg_temp_3", "pg_temp_3.customers"},
		{"temporary last where it says so", "SELECT * FROM customers", []string{"public", "pg_temp"}, "pg_temp_3", "public.customers"},
		{"another session's", "SELECT * FROM customers", public, "pg_temp_9", "public.customers"},
		{"alias of the temporary schema", "SELECT * FROM pg_temp.customers", public, "pg_temp_3", "pg_temp_3.customers"},
		{"new", "CREATE TABLE x ()", []string{"pg_catalog", "app", "public"}, "pg_temp_3", "app.x"},
		{"new and temporary", "CREATE TEMP TABLE x ()", public, "pg_temp_3", "pg_temp_3.x"},
		{"new of a name that is", "CREATE TABLE orders ()", []string{"app", "public"}, "", "app.orders"},
		{"dropped", "DROP TABLE orders", public, "", "public.orders"},
		{"function", "DROP FUNCTION evil()", []string{"app"}, "", "app.evil"},
		{"type", "DROP TYPE mood", public, "", "public.mood"},
		{"in a new schema", "CREATE SCHEMA s CREATE TABLE x ()", public, "", "s"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := resolved(t, c, tc.sql, tc.path, tc.temp)
			if len(f.Objects) == 0 || f.Objects[0].String() != tc.want || f.IsUnknown("objects") {
				t.Errorf("objects %v, unknown %v; want %s", f.Objects, f.Unknown, tc.want)
			}
		})
	}
}

func TestResolve_namesColumns(t *testing.T) {
	c := NewCatalog(shop())
	for _, tc := range []struct {
		sql  string
		want []string
	}{
		{"SELECT email FROM customers", []string{"public.customers.email"}},
		{"SELECT * FROM orders", []string{"public.orders.id", "public.orders.customer", "public.orders.total"}},
		{"SELECT o.*, c.email FROM orders o, customers c", []string{"public.orders.id", "public.orders.customer", "public.orders.total", "public.customers.email"}},
		{"SELECT id FROM orders, customers", []string{"public.orders.id", "public.customers.id"}}, // which, the server would ask too
		{"SELECT total, email FROM orders JOIN customers ON customer = customers.id", []string{"public.orders.customer", "public.customers.id", "public.orders.total", "public.customers.email"}},
		{"SELECT x.e FROM (SELECT email AS e FROM customers) x", []string{"public.customers.email", "e"}},
		{"SELECT name AS n FROM customers ORDER BY n", []string{"public.customers.name", "n"}},
		{"SELECT ctid FROM customers", []string{"public.customers.ctid"}},
		{"INSERT INTO orders VALUES (1)", []string{"public.orders.id", "public.orders.customer", "public.orders.total"}},
	} {
		t.Run(tc.sql, func(t *testing.T) {
			if got := columnNames(resolved(t, c, tc.sql, public, "").Columns); !slices.Equal(got, tc.want) {
				t.Errorf("%v, want %v", got, tc.want)
			}
		})
	}
}

func TestResolve_namesColumnsOfAnInsertByPosition(t *testing.T) {
	f := resolved(t, NewCatalog(shop()), "INSERT INTO customers VALUES (1, 'a@b.c', $1), ($2, lower($3), 'x', 'y', 'z', 'too many')", public, "")
	var literals []string
	for _, l := range f.Literals {
		literals = append(literals, l.Column)
	}
	if want := []string{"id", "email", "name", "tags", "doc", ""}; !slices.Equal(literals, want) {
		t.Errorf("literals %v, want %v", literals, want)
	}
	if want := []string{"name", "id", "email"}; !slices.Equal(f.ParameterColumns, want) {
		t.Errorf("parameters %v, want %v", f.ParameterColumns, want)
	}
}

// TestResolve_leavesTheParsedFactsAlone: they are shared by all sessions.
func TestResolve_leavesTheParsedFactsAlone(t *testing.T) {
	c := NewCatalog(shop())
	st := parsed(t, "INSERT INTO customers VALUES (1, $1); SELECT app.evil(), * FROM customers c WHERE c.id = 1 FOR UPDATE")
	before := render(st[0]) + render(st[1])
	for i := range st {
		_ = c.Resolve(st[i].Facts, []string{"app", "public"}, "pg_temp_3")
	}
	if after := render(st[0]) + render(st[1]); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// TestResolve_viewsAreWhatTheyRead: a view brings the tables below it, and what
// its query would run.
func TestResolve_viewsAreWhatTheyRead(t *testing.T) {
	c := NewCatalog(shop())
	f := resolved(t, c, "SELECT id FROM over", public, "")
	for _, want := range []string{"public.over", "public.contacts", "public.customers"} {
		if !slices.ContainsFunc(f.Objects, func(o command.Object) bool { return o.String() == want && o.Access == command.Read }) {
			t.Errorf("%v lack %s", f.Objects, want)
		}
	}
	if f.Class != command.Read || f.Catalog {
		t.Errorf("class %s, catalog %v", f.Class, f.Catalog)
	}
	if f := resolved(t, c, "SELECT 1 FROM evil_view", public, ""); f.Class != command.Unknown || !f.IsUnknown("objects") {
		t.Errorf("a view that calls a function: class %s", f.Class)
	}
}

// TestResolve_namesWhatIsWrittenAlong: through a view, as a partition, by a
// foreign key. What CASCADE takes is not known.
func TestResolve_namesWhatIsWrittenAlong(t *testing.T) {
	s := shop()
	for i := range s.Relations {
		if s.Relations[i].OID == oidCustomers {
			s.Relations[i].Cascades = []uint32{oidOrders}
		}
	}
	c := NewCatalog(s)
	for _, tc := range []struct {
		sql     string
		writes  []string
		unknown bool
	}{
		{"DELETE FROM orders WHERE id = 1", []string{"public.orders"}, false},
		{"DELETE FROM customers WHERE id = 1", []string{"public.customers", "public.orders"}, false},
		{"INSERT INTO customers VALUES (1)", []string{"public.customers"}, false},
		{"UPDATE over SET mail = 'x' WHERE id = 1", []string{"public.over", "public.contacts", "public.customers", "public.orders"}, false},
		{"INSERT INTO events_2026 VALUES (1)", []string{"public.events_2026", "public.events"}, false},
		{"DELETE FROM child WHERE id = 1", []string{"public.child", "public.customers"}, false},
		{"TRUNCATE orders", []string{"public.orders"}, false},
		{"TRUNCATE customers CASCADE", []string{"public.customers", "public.orders"}, true},
		{"DROP TABLE orders CASCADE", nil, true},
	} {
		t.Run(tc.sql, func(t *testing.T) {
			f := resolved(t, c, tc.sql, public, "")
			var writes []string
			for _, o := range f.Objects {
				if o.Access == command.Write {
					writes = append(writes, o.String())
				}
			}
			if !slices.Equal(writes, tc.writes) || f.IsUnknown("objects") != tc.unknown {
				t.Errorf("writes %v, unknown %v; want %v", writes, f.Unknown, tc.writes)
			}
		})
	}
}

// TestResolve_withoutACatalogNothingIsKnown: of a relation; the rest stands.
func TestResolve_withoutACatalogNothingIsKnown(t *testing.T) {
	var c *Catalog
	for sql, want := range map[string]command.Class{
		"SELECT 1":                  command.Read,
		"SELECT * FROM customers":   command.Unknown,
		"SELECT 'x'::mood":          command.Unknown,
		"INSERT INTO t VALUES (1)":  command.Write,
		"DROP TABLE t":              command.DDL,
		"BEGIN":                     command.Session,
		"SELECT * FROM pg_class":    command.Unknown,
		"GRANT SELECT ON t TO joe":  command.Admin,
		"SELECT app.evil()":         command.Unknown,
		"CREATE TABLE t (a int)":    command.DDL,
		"SELECT * FROM t FOR SHARE": command.Write,
	} {
		f := resolved(t, nil, sql, public, "")
		if f.Class != want {
			t.Errorf("%s: %s, want %s", sql, f.Class, want)
		}
		if f.Neutral && f.Class != command.Read && sql != "BEGIN" {
			t.Errorf("%s is taken for neutral", sql)
		}
	}
	if _, _, _, ok := c.Column(1, 1); ok {
		t.Error("a nil catalog knows a column")
	}
}

// TestResolve_saysThatARelationIsMissing: plainly, where there is a catalog that
// could have it.
func TestResolve_saysThatARelationIsMissing(t *testing.T) {
	for why, c := range map[string]*Catalog{`relation "schema_migrations" does not exist in `: NewCatalog(shop()), "not what schema_migrations is": nil} {
		if f := resolved(t, c, "SELECT * FROM schema_migrations", public, ""); f.Class != command.Unknown || !strings.Contains(f.Why, why) {
			t.Errorf("%s: %q", f.Class, f.Why)
		}
	}
}

func TestResolve_neutralOnlyWhereNothingElseRuns(t *testing.T) {
	c := NewCatalog(shop())
	for sql, want := range map[string]bool{
		"SELECT * FROM customers":                    true,
		"INSERT INTO orders VALUES (1)":              true,
		"UPDATE orders SET total = 1 WHERE id = 1":   true,
		"INSERT INTO triggered VALUES (1)":           false,
		"WITH x AS (DELETE FROM triggered) SELECT 1": false,
		"UPDATE contacts SET mail = 'x'":             false, // through a view
		"INSERT INTO nowhere VALUES (1)":             false,
		"SELECT app.evil()":                          false,
		"CREATE TABLE x ()":                          false,
		"SET search_path = x":                        false,
		"SHOW search_path":                           true,
		"BEGIN":                                      true,
		"COMMIT":                                     false,
		"ROLLBACK TO a":                              false,
	} {
		if f := resolved(t, c, sql, public, ""); f.Neutral != want {
			t.Errorf("%s: neutral %v", sql, f.Neutral)
		}
	}
}
