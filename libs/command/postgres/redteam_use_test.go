package postgres

import (
	"strings"
	"testing"

	"github.com/gatestay/gatestay/libs/command"
)

// TestRedteam13_UsesThatNoConditionNames: a masked column that decides something
// where no WHERE compares it.
func TestRedteam13_UsesThatNoConditionNames(t *testing.T) {
	for sql, want := range map[string]string{
		// A row compared as one, with a query of several columns.
		"SELECT ('1', 'a') = (SELECT id, email FROM customers LIMIT 1)":                                      "expression",
		"SELECT 1 FROM archive WHERE (SELECT id, email FROM customers LIMIT 1) = (id, note)":                 "expression",
		"SELECT 1 FROM archive WHERE (id, note) < (SELECT id, email FROM customers LIMIT 1)":                 "expression",
		"SELECT 1 FROM (VALUES ('1', 'a')) v WHERE ROW(v.*) IN (SELECT id, email FROM customers)":            "other",
		"SELECT 1 FROM (VALUES ('1', 'a')) v WHERE (v.*, 'x') = ANY (SELECT id, name, email FROM customers)": "other",
		// Subscripts of what is assigned.
		"UPDATE orders SET total[(SELECT count(*) FROM customers WHERE email < 'm')] = 'x'":                                         "range",
		"UPDATE orders SET total[length(c.email):9] = 'x' FROM customers c":                                                         "expression",
		"INSERT INTO orders (total[(SELECT count(*) FROM customers WHERE email < 'm')]) VALUES ('x')":                               "range",
		"INSERT INTO orders (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET total[(SELECT length(max(email)) FROM customers)] = 'x'": "expression",
		"MERGE INTO orders o USING customers c ON true WHEN MATCHED THEN UPDATE SET total[length(c.email)] = 'x'":                   "expression",
		"MERGE INTO orders o USING customers c ON true WHEN NOT MATCHED THEN INSERT (total[length(c.email)]) VALUES ('x')":          "expression",
		// Functions of the list that fail for some values with more arguments.
		`SELECT pg_catalog."varchar"(email, 9, false) FROM customers`: "expression",
		"SELECT length(email, 'UTF8') FROM customers":                 "expression",
		// What is called = is not always equality.
		"SELECT 1 FROM customers WHERE email OPERATOR(app.=) 'x'":              "expression",
		"SELECT 1 FROM customers WHERE email OPERATOR(app.=) ANY ('{x}')":      "expression",
		"SELECT 1 WHERE 'x' OPERATOR(app.=) ANY (SELECT email FROM customers)": "expression",
		"SELECT 1 FROM customers WHERE email OPERATOR(pg_catalog.=) 'x'":       "equality literal 2 of 2",
		"SELECT 1 FROM customers WHERE email = 'x'::app.sneaky":                "other",
		"SELECT 1 FROM customers WHERE email = 'x'::pg_catalog.text":           "equality literal 2 of 2",
		// What the server looks for in rows that there are.
		"ALTER TABLE customers ALTER email TYPE int":                                     "expression",
		"ALTER TABLE customers ALTER email TYPE varchar(5)":                              "expression",
		"ALTER TABLE customers ALTER email TYPE app.sneaky":                              "expression",
		"ALTER TABLE customers ALTER email TYPE text":                                    "",
		"ALTER TABLE customers ALTER email SET NOT NULL":                                 "is_null",
		"ALTER TABLE customers ALTER name TYPE int, ALTER id SET NOT NULL":               "",
		"CREATE TABLE p PARTITION OF customers FOR VALUES IN ('guess')":                  "other",
		"ALTER TABLE events ATTACH PARTITION customers FOR VALUES FROM ('a') TO ('b')":   "",
		"ALTER TABLE nowhere ATTACH PARTITION customers FOR VALUES FROM ('a') TO ('b')":  "other",
		"ALTER TABLE by_email ATTACH PARTITION customers FOR VALUES FROM ('a') TO ('b')": "other",
		"ALTER TABLE by_email ATTACH PARTITION archive FOR VALUES FROM ('a') TO ('b')":   "",
		"ALTER DOMAIN mood ADD CHECK (VALUE < 'm')":                                      "",
		"CLUSTER customers USING i":                                                      "order",
		"CLUSTER":                                                                        "order",
		"CLUSTER orders USING i":                                                         "",
		// A mask shows of what is put under it what it shows of its own values.
		"UPDATE customers SET email = left(email, 1)":                                                                                          "expression",
		"UPDATE customers SET email = 'a' || email WHERE id = '1'":                                                                             "expression",
		"UPDATE customers SET (email, name) = (SELECT left(email, 1), 'x')":                                                                    "expression",
		"UPDATE customers SET (name, email) = ('x', left(email, 1))":                                                                           "expression",
		"INSERT INTO customers (id, email) SELECT id, left(email, 1) FROM customers":                                                           "expression key",
		"INSERT INTO customers SELECT id, left(email, 1) FROM customers":                                                                       "expression key",
		"INSERT INTO customers (email) VALUES ((SELECT left(email, 1) FROM customers LIMIT 1))":                                                "expression key",
		"INSERT INTO customers (id) VALUES ('1') ON CONFLICT (id) DO UPDATE SET email = left(customers.email, 1)":                              "expression key",
		"MERGE INTO customers USING archive ON true WHEN MATCHED THEN UPDATE SET email = left(email, 1)":                                       "expression key",
		"MERGE INTO customers c USING customers d ON false WHEN NOT MATCHED THEN INSERT (email) VALUES (left(d.email, 1))":                     "expression key",
		"ALTER TABLE customers ALTER email TYPE text USING left(email, 1)":                                                                     "expression other",
		"UPDATE customers SET email = coalesce(left(email, 1), 'x')":                                                                           "expression",
		"UPDATE customers SET email = CASE WHEN id = '1' THEN left(email, 1) ELSE email END":                                                   "expression",
		"UPDATE customers SET email = CASE WHEN email < 'm' THEN email END":                                                                    "key range",
		"UPDATE customers SET email = coalesce(email, 'x')":                                                                                    "key",
		"UPDATE customers SET email = CASE WHEN id = '1' THEN coalesce('x', email) ELSE email END":                                             "key",
		"INSERT INTO customers (id, email) VALUES ('1', 'x') ON CONFLICT (id) DO UPDATE SET email = coalesce(excluded.email, customers.email)": "key",
		"INSERT INTO customers (id, email) VALUES ('1', 'x') ON CONFLICT (id) DO UPDATE SET email = excluded.email":                            "key",
		"UPDATE customers SET email = email":                                                                                                   "key",
		"UPDATE customers SET email = 'x', name = left(name, 1)":                                                                               "key",
		"INSERT INTO customers SELECT * FROM child":                                                                                            "key",
		"INSERT INTO customers (id, email) SELECT id, email FROM child":                                                                        "key",
		"INSERT INTO child SELECT * FROM customers":                                                                                            "key",
	} {
		s := shopWithKeys()
		by := table(820, "public", "by_email", 'p', "id", "email")
		by.Partitioned = []int16{2}
		events := by
		for i := range s.Relations {
			if s.Relations[i].OID == oidEvents {
				s.Relations[i].Partitioned = []int16{1}
			}
		}
		s.Relations = append(s.Relations, events)
		got := strings.Join(comparedIn(t, s, sql), " ")
		want := want
		if strings.HasPrefix(sql, "UPDATE customers SET") && !strings.Contains(want, "key") && want != "" {
			want += " key" // email has a key
		}
		if got != want {
			t.Errorf("%s: %q, want %q", sql, got, want)
		}
	}
}

// TestRedteam13_ErrorsThatTellOfOtherColumns: a row that cannot be changed tells
// of a column that the statement does not name.
func TestRedteam13_ErrorsThatTellOfOtherColumns(t *testing.T) {
	s := shop()
	for i := range s.Relations {
		switch r := &s.Relations[i]; r.OID {
		case oidCustomers:
			r.References = []Reference{{Number: 2, To: ColumnRef{oidArchive, 2}}} // email is a note of the archive
			r.WriteExpressions = []string{"((name <> email) AND (length(tags) > 3))", "nextval('s'::regclass)", "((tags || ' '::text) || email)"}
		case oidChild:
			r.Columns[3].TypeName = "postal" // a domain: tags
		}
	}
	for sql, want := range map[string]string{
		"DELETE FROM archive WHERE note = 'guess'":                                                  "key",
		"DELETE FROM archive":                                                                       "key",
		"UPDATE archive SET note = 'x' WHERE note = 'guess'":                                        "key",
		"MERGE INTO archive a USING orders o ON true WHEN MATCHED THEN DELETE":                      "key",
		"UPDATE archive SET id = 'x'":                                                               "",
		"INSERT INTO archive VALUES ('1', 'x')":                                                     "",
		"UPDATE customers SET name = 'guess' WHERE id = '1'":                                        "expression",
		"UPDATE child SET name = 'guess' WHERE id = '1'":                                            "expression",
		"INSERT INTO customers (id) VALUES ('1') ON CONFLICT (id) DO UPDATE SET name = 'guess'":     "expression",
		"MERGE INTO customers c USING orders o ON true WHEN MATCHED THEN UPDATE SET name = 'guess'": "expression",
		"UPDATE customers SET tags = 'x' WHERE id = '1'":                                            "",
		"INSERT INTO customers (id, name) VALUES ('1', 'x')":                                        "",
		"DELETE FROM customers":                                                                     "",
	} {
		if got := strings.Join(comparedIn(t, s, sql), " "); got != want {
			t.Errorf("%s: %q, want %q", sql, got, want)
		}
	}
	// Two columns under one mask tell by that what a join does.
	under := shop()
	refs := table(810, "public", "refs", 'r', "id", "who")
	refs.References = []Reference{{Number: 2, To: ColumnRef{oidCustomers, 2}}}
	under.Relations = append(under.Relations, refs)
	if got := comparedIn(t, under, "DELETE FROM customers WHERE id = '1'"); len(got) > 0 {
		t.Errorf("a row that others under its mask refer to: %q", got)
	}
	// A domain is of whatever column has it.
	f := resolved(t, NewCatalog(s), "ALTER DOMAIN postal ADD CHECK (VALUE < 'm')", public, "")
	m := NewCatalog(s).Masks([]command.Column{{Schema: "public", Table: "child", Name: "tags"}})
	if got := m.Compared(&f); len(got) != 1 || got[0].Use != command.Other {
		t.Errorf("a check that a domain is given: %v", got)
	}
}

// TestRedteam13_MasksThatDiffer: a value goes from under one mask to under another.
func TestRedteam13_MasksThatDiffer(t *testing.T) {
	c := NewCatalog(shop())
	m := c.Masks([]command.Column{{Schema: "public", Table: "customers", Name: "email"}, {Schema: "public", Table: "customers", Name: "doc"}})
	for sql, want := range map[string]string{
		"UPDATE customers SET doc = email":                                "join with another",
		"UPDATE customers SET doc = left(email, 1)":                       "expression",
		"INSERT INTO customers (doc, email) SELECT email, doc FROM child": "join with another",
		"INSERT INTO customers (email, doc) SELECT email, doc FROM child": "",
		"INSERT INTO customers SELECT * FROM child":                       "",
		"UPDATE customers SET doc = 'x', email = 'y'":                     "",
		"UPDATE customers c SET email = d.email FROM child d":             "",
	} {
		f := resolved(t, c, sql, public, "")
		if got := strings.Join(words(m.Compared(&f), &f), " "); got != want {
			t.Errorf("%s: %q, want %q", sql, got, want)
		}
	}
}
