package masking

import (
	"errors"
	"testing"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/command/postgres"
)

// What PostgreSQL's own parser says of a statement, and what is left of it.
func TestScrubWithRealFacts(t *testing.T) {
	e := engine(t, scrubRules)
	columns := []postgres.CatalogColumn{{Name: "id", Number: 1}, {Name: "email", Number: 2}, {Name: "plan", Number: 3}, {Name: "city", Number: 4}, {Name: "salary", Number: 5}}
	catalog := postgres.NewCatalog(&postgres.Snapshot{Relations: []postgres.Relation{
		{OID: 1, Schema: "public", Name: "customers", Kind: 'r', Columns: columns}, {OID: 2, Schema: "public", Name: "orders", Kind: 'r', Columns: columns[:1]},
	}})
	for in, want := range map[string]string{
		"SELECT * FROM customers WHERE id = 42 LIMIT 10":                                        "SELECT * FROM customers WHERE id = 42 LIMIT 10",
		"SELECT 1 FROM customers WHERE salary BETWEEN 1 AND 52000":                              "SELECT 1 FROM customers WHERE salary BETWEEN ‹number 1› AND ‹number 5›",
		"UPDATE customers SET plan = 'free'":                                                    "UPDATE customers SET plan = 'free'",
		"UPDATE customers SET email = 'dana', plan='x' WHERE id = 7":                            "UPDATE customers SET email = '‹text 4›', plan='x' WHERE id = 7",
		"INSERT INTO customers (id, email, plan) VALUES (1, 'dana', 'free'), (2, 'eve', 'pro')": "INSERT INTO customers (id, email, plan) VALUES (1, '‹text 4›', 'free'), (2, '‹text 3›', 'pro')",
		"INSERT INTO customers VALUES (1, 'dana')":                                              "INSERT INTO customers VALUES (1, '‹text 4›')",
		"DELETE FROM customers WHERE email IN ('dana') OR lower(email) = 'eve'":                 "DELETE FROM customers WHERE email IN ('‹text 4›') OR lower(email) = '‹text 3›'",
		"SELECT 1 FROM customers WHERE email = ANY(ARRAY['a','b'])":                             "SELECT 1 FROM customers WHERE email = ANY(ARRAY['‹text 1›','‹text 1›'])",
		"SELECT 1 FROM (SELECT email AS city FROM customers) s WHERE city = 'x'":                "SELECT 1 FROM (SELECT email AS city FROM customers) s WHERE city = '‹text 1›'",
		"WITH s AS (SELECT email AS city FROM customers) SELECT 1 FROM s WHERE city = 'x'":      "WITH s AS (SELECT email AS city FROM customers) SELECT 1 FROM s WHERE city = '‹text 1›'",
		"SELECT 1 FROM customers c(a,b) WHERE b = 'dana'":                                       "SELECT 1 FROM customers c(a,b) WHERE b = '‹text 4›'",
		"SELECT CASE email WHEN 'dana' THEN 'x' END FROM customers":                             "SELECT CASE email WHEN '‹text 4›' THEN '‹text 1›' END FROM customers",
		"SELECT 1 FROM customers WHERE email = E'd\\x61na' OR email = U&'\\0064ana'":            "SELECT 1 FROM customers WHERE email = '‹text 4›' OR email = '‹text 4›'",
		"SELECT 1 FROM orders WHERE upper('dana') = 'x' -- it's":                                "SELECT 1 FROM orders WHERE upper('dana') = 'x' -- it's",
		"ALTER TABLE customers ADD note varchar(20) DEFAULT 'x'":                                "ALTER TABLE customers ADD note varchar(20) DEFAULT '‹text 1›'",
		"DO $$ BEGIN UPDATE customers SET email = 'dana'; END $$":                               "DO $$ BEGIN UPDATE customers SET email = '‹text 4›'; END $$",
		"EXECUTE p('dana')": "EXECUTE p('‹text 4›')",
		"PREPARE p AS SELECT 1 FROM customers WHERE email = 'dana'":       "PREPARE p AS SELECT 1 FROM customers WHERE email = '‹text 4›'",
		"EXPLAIN SELECT plan FROM customers WHERE email = 'dana'":         "EXPLAIN SELECT plan FROM customers WHERE email = '‹text 4›'",
		"COPY (SELECT id FROM customers WHERE email = 'dana') TO STDOUT":  "COPY (SELECT id FROM customers WHERE email = '‹text 4›') TO STDOUT",
		"CREATE ROLE x PASSWORD 'abc'":                                    "CREATE ROLE x PASSWORD '[redacted:password]'",
		"SET application_name = 'deploy'":                                 "SET application_name = 'deploy'",
		"SELECT city FROM customers WHERE city = 'Berlin' AND id IN (42)": "SELECT city FROM customers WHERE city = 'Berlin' AND id IN (42)",
		"UPDATE t SET x = 'dana' RETURNING WITH (OLD AS o) o.x":           "UPDATE t SET x = '‹text 4›' RETURNING WITH (OLD AS o) o.x", // PostgreSQL 18 only
		"SELECT 'dana": "SELECT '‹text 5›'",
	} {
		text, f := in, command.Facts{}
		statements, err := postgres.Parse(in)
		var syntax *postgres.SyntaxError
		switch {
		case errors.As(err, &syntax):
			f = syntax.Facts()
		case err != nil || len(statements) != 1:
			t.Fatalf("%s: %v", in, err)
		default:
			text, f = statements[0].Text, catalog.Resolve(statements[0].Facts, []string{"public"}, "")
		}
		if got := tagless(e.ScrubStatement("prod-db", text, &f)); got != want {
			t.Errorf("\n got %s\nwant %s", got, want)
		}
	}
}
