package postgres

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatestay/gatestay/libs/command"
)

// leaks are the statements of testdata/leaks.sql.
func leaks(t testing.TB) []string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "leaks.sql"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(raw)), "\n\n")[1:]
}

var maskedEmail = []command.Column{{Schema: "public", Table: "customers", Name: "email"}}

// TestRedteam13_ExpressionsOverAMaskedColumn: a result column without an
// origin is tainted wherever the masked column may flow into it.
// libs/pgcatalog shows the same with planted values on a real server.
func TestRedteam13_ExpressionsOverAMaskedColumn(t *testing.T) {
	c := NewCatalog(shop())
	m := c.Masks(maskedEmail)
	for _, sql := range append(leaks(t),
		"SELECT name FROM nowhere",
		"SELECT lower(x) FROM nowhere",
		"SELECT app.emails()",
		"EXECUTE p",
		"FETCH c",
	) {
		f := resolved(t, c, sql, public, "")
		if !m.Taint(&f).Expressions {
			t.Errorf("%s: an expression is not tainted\n%s", sql, render(Statement{Text: sql, Facts: f}))
		}
		if c.Taint(&f, nil).Expressions {
			t.Errorf("%s: tainted, though nothing is masked", sql)
		}
	}
}

// TestRedteam13_WhatIsCleanStaysClean: a mask that hides too much is turned off
// by its users.
func TestRedteam13_WhatIsCleanStaysClean(t *testing.T) {
	c := NewCatalog(shop())
	m := c.Masks(maskedEmail)
	for _, sql := range []string{
		"SELECT 1",
		"SELECT count(*) FROM customers",
		"SELECT lower(name) FROM customers",
		"SELECT count(*), max(id) FROM customers WHERE name LIKE 'a%' GROUP BY name",
		"SELECT lower(name) FROM customers c JOIN orders o ON o.customer = c.id",
		"SELECT (SELECT max(total) FROM orders WHERE customer = c.id) FROM customers c",
		"SELECT * FROM (VALUES (1, 'a')) v(a, b)",
		"SELECT upper(name) FROM safe",
		"SELECT row_to_json(o) FROM orders o",
		"WITH o AS (SELECT * FROM orders) SELECT count(*) FROM o",
		"SELECT sum(total) FROM orders UNION SELECT 1",
		"UPDATE customers SET name = 'x' WHERE id = 1 RETURNING lower(name)",
		"SELECT relname || '' FROM pg_class",
		"SHOW search_path",
	} {
		f := resolved(t, c, sql, public, "")
		if m.Taint(&f).Expressions {
			t.Errorf("%s: an expression is tainted\n%s", sql, render(Statement{Text: sql, Facts: f}))
		}
	}
}

// TestRedteam13_NewerThanTheCatalog: a name that no table has may be a column that
// was made since the catalog was read; one that the text gives is known.
func TestRedteam13_NewerThanTheCatalog(t *testing.T) {
	c := NewCatalog(shop())
	m := c.Masks(maskedEmail)
	for sql, want := range map[string]bool{
		"SELECT upper(newer) FROM customers":                                         true,
		"SELECT c.newer || '' FROM customers c":                                      true,
		"SELECT x.newer || '' FROM (SELECT * FROM customers) x":                      true,
		"SELECT (SELECT newer) || '' FROM orders, customers":                         true,
		"SELECT upper(newer) FROM orders":                                            false,
		"SELECT x || '' FROM (SELECT name AS x FROM customers) s":                    false,
		"WITH w (y) AS (SELECT name FROM customers) SELECT upper(y) FROM w":          false,
		"SELECT g + 1 FROM customers, generate_series(1, 3) g":                       false,
		"SELECT upper(v) FROM customers, (VALUES ('a')) t (v)":                       false,
		"SELECT count(*) AS n FROM customers GROUP BY name ORDER BY n":               false,
		"SELECT upper(e) FROM customers, unnest(ARRAY['a']) WITH ORDINALITY u(e, n)": false,
	} {
		f := resolved(t, c, sql, public, "")
		if got := m.Taint(&f).Columns([]ColumnRef{{}})[0].Tainted; got != want {
			t.Errorf("%s: tainted %v", sql, got)
		}
	}
}

// TestRedteam13_OriginsOfAMaskedColumn: what a RowDescription names.
func TestRedteam13_OriginsOfAMaskedColumn(t *testing.T) {
	c := NewCatalog(shop())
	for _, tc := range []struct {
		name    string
		masked  command.Column
		oid     uint32
		number  int16
		is      bool
		tainted bool
	}{
		{"the column", maskedEmail[0], oidCustomers, 2, true, false},
		{"its neighbour", maskedEmail[0], oidCustomers, 3, false, false},
		{"a system column", maskedEmail[0], oidCustomers, -1, false, false},
		{"renamed by a view", maskedEmail[0], oidContacts, 2, true, false},
		{"a view's plain column", maskedEmail[0], oidContacts, 1, false, false},
		{"a view's expression over another column", maskedEmail[0], oidContacts, 3, false, false},
		{"a view's expression", command.Column{Schema: "public", Table: "customers", Name: "name"}, oidContacts, 3, false, true},
		{"a view upon a view", maskedEmail[0], oidOver, 2, true, false},
		{"its plain column", maskedEmail[0], oidOver, 1, false, false},
		{"a view with a whole row", maskedEmail[0], oidWhole, 2, false, true},
		{"a view that does not read it", maskedEmail[0], oidSafe, 2, false, false},
		{"a partition of the table", command.Column{Schema: "public", Table: "events", Name: "secret"}, oidEvents26, 2, true, false},
		{"the table of a partition", command.Column{Schema: "public", Table: "events_2026", Name: "secret"}, oidEvents, 2, true, false},
		{"samples of values", maskedEmail[0], oidStats, 2, false, true},
		{"a relation newer than the catalog", maskedEmail[0], 9999, 1, false, true},
		{"a column newer than the catalog", maskedEmail[0], oidCustomers, 99, false, true},
		{"a table of that name elsewhere", maskedEmail[0], oidScratch, 1, false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := command.Facts{Class: command.Read}
			column, is, tainted := c.Taint(&f, []command.Column{tc.masked}).Column(tc.oid, tc.number)
			if is != tc.is || tainted != tc.tainted || (is && column != tc.masked) {
				t.Errorf("%v, masked %v, tainted %v; want %v, %v", column, is, tainted, tc.is, tc.tainted)
			}
		})
	}
}

// TestRedteam13_OneMaskDoesNotShowAnother: a masked column that is given the
// values of another comes back as neither.
func TestRedteam13_OneMaskDoesNotShowAnother(t *testing.T) {
	c := NewCatalog(shop())
	m := c.Masks(append([]command.Column{{Schema: "public", Table: "customers", Name: "doc"}}, maskedEmail...))
	for sql, whole := range map[string]bool{
		"UPDATE customers SET doc = left(email, 4) RETURNING doc":               true,
		"INSERT INTO customers (doc) SELECT email FROM customers RETURNING doc": true,
		"UPDATE customers SET doc = 'x' WHERE email = 'a' RETURNING doc":        false,
	} {
		f := resolved(t, c, sql, public, "")
		_, is, tainted := m.Taint(&f).Column(oidCustomers, 5)
		if is == whole || tainted != whole {
			t.Errorf("%s: is %v, tainted %v", sql, is, tainted)
		}
	}
}
