package postgres

import (
	"slices"
	"testing"

	"github.com/gatestay/gatestay/libs/command"
)

// joinAliases are statements in which the name of a join hides the names below
// it, so that the same name means the masked table.
var joinAliases = []string{
	"SELECT upper(c.email) FROM customers c, (suppliers c CROSS JOIN suppliers d) AS j",
	"SELECT upper(c.email) FROM (suppliers c CROSS JOIN suppliers d) AS j, customers c",
	"SELECT upper(c.email) FROM customers c CROSS JOIN (suppliers c CROSS JOIN suppliers d) AS j",
	"SELECT (SELECT string_agg(c.email, ',') FROM (suppliers s JOIN suppliers c ON true) AS k) FROM customers c",
	"SELECT (SELECT string_agg(c.email, ',') FROM (suppliers s JOIN (suppliers d CROSS JOIN suppliers c) ON true) AS k) FROM customers c",
	"SELECT j.upper || '' FROM suppliers c, (customers c CROSS JOIN LATERAL upper(c.email)) AS j",
	"SELECT j.upper || '' FROM (customers c CROSS JOIN LATERAL upper(c.email)) AS j, suppliers c",
	"SELECT upper(j.email) FROM (customers c CROSS JOIN orders d) AS j",
	"SELECT upper(x.email) FROM (SELECT j.* FROM (customers c CROSS JOIN orders d) AS j) x",
}

func TestRedteam13_JoinAliasHidesTheNamesBelowIt(t *testing.T) {
	s := shop()
	s.Relations = append(s.Relations, table(500, "public", "suppliers", 'r', "id", "email"))
	c := NewCatalog(s)
	m := c.Masks(maskedEmail)
	for _, sql := range joinAliases {
		f := resolved(t, c, sql, public, "")
		if !m.Taint(&f).Expressions {
			t.Errorf("%s: an expression is not tainted\n%s", sql, render(Statement{Text: sql, Facts: f}))
		}
	}
	for _, sql := range []string{
		"SELECT j.* FROM (customers c CROSS JOIN orders d) AS j",
		"SELECT * FROM (customers c CROSS JOIN orders d) AS j",
	} {
		if f := resolved(t, c, sql, public, ""); !slices.Contains(f.Columns, maskedEmail[0]) {
			t.Errorf("%s: the columns lack the masked one: %v", sql, f.Columns)
		}
	}
	for _, sql := range []string{
		"SELECT upper(c.email) FROM suppliers c, (customers k CROSS JOIN orders d) AS j",
		"SELECT upper(d.email) FROM (suppliers s JOIN suppliers d USING (id) AS u)",
	} {
		if f := resolved(t, c, sql, public, ""); m.Taint(&f).Expressions {
			t.Errorf("%s: an expression is tainted\n%s", sql, render(Statement{Text: sql, Facts: f}))
		}
	}
}

// TestRedteam13_ViewOverAJoinAlias: a view's column is passed on from where
// the server says, or from nowhere.
func TestRedteam13_ViewOverAJoinAlias(t *testing.T) {
	s := shop()
	s.Relations = append(s.Relations,
		table(500, "public", "suppliers", 'r', "id", "email"),
		viewOf(table(501, "public", "hidden", 'v', "email"),
			`SELECT c.email FROM public.customers c, (public.suppliers c CROSS JOIN public.suppliers d) j`,
			ColumnRef{oidCustomers, 2}),
	)
	m := NewCatalog(s).Masks(maskedEmail)
	if _, is, tainted := m.Taint(&command.Facts{Class: command.Read}).Column(501, 1); !is && !tainted {
		t.Error("the column of a view over a join alias is clean")
	}
}
