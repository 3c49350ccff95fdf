package pgcatalog_test

import (
	"testing"

	"github.com/gatestay/gatestay/libs/command"
)

// attack runs statements on a real server, each of which must run, and looks
// for planted values in what would pass.
func attack(t *testing.T, schema string, masked command.Column, statements ...string) {
	t.Helper()
	conn := database(t, plantedShop+schema)
	c := load(t, conn)
	l := &leakFinder{conn: conn, catalog: c, masks: c.Masks([]command.Column{masked})}
	for _, sql := range statements {
		l.run(t, sql)
	}
	if l.ran != len(statements) || l.seen < l.ran {
		t.Errorf("%d of %d statements ran, with %d planted values in their results", l.ran, len(statements), l.seen)
	}
}

var email = command.Column{Schema: "public", Table: "customers", Name: "email"}

func TestRedteam13_JoinAlias(t *testing.T) {
	attack(t, `CREATE TABLE suppliers (id int, email text); INSERT INTO suppliers VALUES (1, 'open')`, email,
		"SELECT upper(c.email) FROM customers c, (suppliers c CROSS JOIN suppliers d) AS j",
		"SELECT upper(c.email) FROM (suppliers c CROSS JOIN suppliers d) AS j, customers c",
		"SELECT (SELECT string_agg(c.email, ',') FROM (suppliers s JOIN suppliers c ON true) AS k) FROM customers c",
		"SELECT j.upper || '' FROM suppliers s, (customers c CROSS JOIN LATERAL upper(c.email)) AS j",
		"SELECT upper(j.email) FROM (customers c CROSS JOIN orders d) AS j",
	)
}
