package postgres

import (
	"slices"
	"strings"
	"testing"

	"github.com/gatestay/gatestay/libs/command"
)

// copied says what a statement copies, in words.
func copied(t *testing.T, c *Catalog, m *Masks, sql string) string {
	t.Helper()
	f := resolved(t, c, sql, public, "pg_temp_3")
	var out []string
	for _, cp := range m.Taint(&f).Copies() {
		to := cp.To.Name
		if cp.To.Table != "" {
			to = strings.TrimPrefix(cp.To.Schema+"."+cp.To.Table+"."+cp.To.Name, "public.")
		}
		if cp.Temporary {
			to += " temporary"
		}
		if !cp.Plain {
			to += " derived"
		}
		out = append(out, cp.From.Name+" to "+to)
	}
	slices.Sort(out)
	if got := c.Taint(&f, nil).Copies(); len(got) > 0 {
		t.Errorf("%s: copies %v, though nothing is masked", sql, got)
	}
	return strings.Join(out, "; ")
}

// TestRedteam13_CopiesOfAMaskedColumn: what is stored where no mask is on it.
func TestRedteam13_CopiesOfAMaskedColumn(t *testing.T) {
	s := shop()
	s.Relations[0].Columns = append(s.Relations[0].Columns, CatalogColumn{Name: "shout", Number: 6, Type: 25, From: []int16{2}})
	events := table(700, "public", "parts", 'p', "id", "secret")
	part := table(701, "public", "parts_1", 'r', "id", "secret")
	part.Parents = []uint32{700}
	refs, refsOf := table(702, "public", "refs", 'r', "id", "who"), table(703, "public", "refs_of", 'r', "id", "w")
	refs.References, refsOf.References = []Reference{{Number: 2, To: ColumnRef{oidCustomers, 2}}}, []Reference{{Number: 2, To: ColumnRef{702, 2}}}
	s.Relations = append(s.Relations, events, part, refs, refsOf)
	c := NewCatalog(s)
	m := c.Masks(append([]command.Column{{Schema: "public", Table: "parts", Name: "secret"}}, maskedEmail...))
	for sql, want := range map[string]string{
		"INSERT INTO archive SELECT id, email FROM public.customers":                                                                         "email to archive.note",
		"INSERT INTO archive (note, id) SELECT id, email FROM public.customers":                                                              "email to archive.id",
		"INSERT INTO archive (note) SELECT mail FROM over":                                                                                   "email to archive.note",
		"INSERT INTO archive (note) VALUES ('x'), ((SELECT lower(email) FROM public.customers))":                                             "email to archive.note derived",
		"INSERT INTO archive SELECT * FROM (SELECT 1, unnest(ARRAY[email]) FROM public.customers) s":                                         "email to archive.note derived",
		"INSERT INTO public.customers (id, name) SELECT id, email FROM public.customers ON CONFLICT (id) DO UPDATE SET tags = excluded.name": "email to customers.name; email to customers.tags derived",
		"INSERT INTO archive (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET note = (SELECT email FROM public.customers)":                     "email to archive.note derived",
		"UPDATE public.customers SET name = email":                                                                                           "email to customers.name",
		"UPDATE public.customers SET (name, tags) = (SELECT email, 'x')":                                                                     "email to customers.name derived; email to customers.tags derived",
		"UPDATE archive a SET note = left(c.email, 3) FROM public.customers c":                                                               "email to archive.note derived",
		"CREATE TABLE t AS SELECT email, 1 AS n FROM public.customers":                                                                       "email to t.email",
		"CREATE TABLE app.t (a, b) AS SELECT 1, lower(email) FROM public.customers":                                                          "email to app.t.b derived",
		"CREATE TEMP TABLE t AS SELECT email AS e FROM public.customers":                                                                     "email to pg_temp_3.t.e temporary",
		"CREATE TABLE t AS SELECT row_to_json(c) AS doc FROM public.customers c":                                                             "email to t.doc derived; shout to t.doc derived",
		"CREATE MATERIALIZED VIEW t AS SELECT email FROM public.customers":                                                                   "email to t.email",
		"CREATE VIEW v AS SELECT id, upper(email) AS u FROM public.customers":                                                                "email to v.u derived",
		"CREATE RULE r AS ON UPDATE TO public.customers DO ALSO INSERT INTO archive VALUES (1, new.email)":                                   "email to a rule derived; email to archive.id derived; email to archive.note derived",
		"SELECT email INTO t FROM public.customers":                                                                                          "email to t.email",
		"WITH w AS (INSERT INTO archive SELECT id, email FROM public.customers) SELECT 1":                                                    "email to archive.note",
		"WITH w AS (INSERT INTO archive SELECT id, email FROM public.customers) INSERT INTO orders SELECT 1":                                 "email to archive.note",
		"MERGE INTO archive a USING public.customers c ON false WHEN NOT MATCHED THEN INSERT VALUES (c.id, c.email)":                         "email to archive.note",
		"MERGE INTO archive a USING public.customers c ON a.id = c.id WHEN MATCHED THEN UPDATE SET note = c.name || c.email":                 "email to archive.note derived",
		"EXPLAIN ANALYZE INSERT INTO archive SELECT id, email FROM public.customers":                                                         "email to archive.id derived; email to archive.note derived",
		"SELECT pg_notify('c', email) FROM public.customers":                                                                                 "email to pg_notify derived",
		"UPDATE archive SET note = '' FROM public.customers c WHERE pg_notify('c', c.email) IS NULL":                                         "email to pg_notify derived",
		"SELECT setval('s', ascii(email)) FROM public.customers":                                                                             "email to setval derived",
		"SELECT set_config('a.b', email, false) FROM public.customers":                                                                       "email to set_config derived",
		"SELECT pg_catalog.lo_from_bytea(0, email::bytea) FROM public.customers":                                                             "email to lo_from_bytea derived",
		"COPY public.customers TO '/tmp/x'":                                                                                                  "? to a file of the server derived",
		"COPY (SELECT email FROM public.customers) TO PROGRAM 'cat'":                                                                         "email to a file of the server derived",
		"ALTER TABLE public.customers ALTER name TYPE text USING email":                                                                      "email to customers.name derived",
		"ALTER TABLE public.customers ALTER shout DROP EXPRESSION":                                                                           "shout to customers.shout derived",
		"ALTER TABLE public.customers RENAME email TO mail":                                                                                  "email to customers.mail",
		"ALTER TABLE public.customers RENAME TO clients":                                                                                     "email to clients.email; shout to clients.shout derived",
		"ALTER TABLE public.customers SET SCHEMA app":                                                                                        "email to app.customers.email; shout to app.customers.shout derived",
		"ALTER SCHEMA public RENAME TO p":                                                                                                    "email to p.customers.email; secret to p.parts.secret; shout to p.customers.shout derived",
		"ALTER TABLE parts DETACH PARTITION parts_1":                                                                                         "secret to parts_1.secret",
		"ALTER TABLE child NO INHERIT public.customers":                                                                                      "email to child.email",
		// What is stored in another statement's guise, by another name or by the way.
		"EXPLAIN ANALYZE CREATE TABLE t AS SELECT email FROM public.customers":                                                    "email to t.* derived",
		"EXPLAIN (ANALYZE) SELECT email INTO t FROM public.customers":                                                             "email to t.* derived",
		"EXPLAIN ANALYZE CREATE MATERIALIZED VIEW t AS SELECT email FROM public.customers":                                        "email to t.* derived",
		"CREATE SCHEMA s CREATE VIEW v AS SELECT email FROM public.customers":                                                     "email to s.v.* derived",
		"CREATE TABLE t AS EXECUTE p":                                                                                             "? to t.* derived",
		"EXPLAIN ANALYZE CREATE TABLE t AS EXECUTE p":                                                                             "? to t.* derived",
		"UPDATE archive SET note[ascii(c.email)] = 'x' FROM public.customers c":                                                   "email to archive.note derived",
		"INSERT INTO archive (note[(SELECT ascii(email) FROM public.customers)]) VALUES ('x')":                                    "email to archive.note derived",
		"INSERT INTO archive VALUES (1) ON CONFLICT (id) DO UPDATE SET note[(SELECT ascii(email) FROM public.customers)] = 'x'":   "email to archive.note derived",
		"MERGE INTO archive a USING public.customers c ON true WHEN MATCHED THEN UPDATE SET note[ascii(c.email)] = 'x'":           "email to archive.note derived",
		"MERGE INTO archive a USING public.customers c ON false WHEN NOT MATCHED THEN INSERT (note[ascii(c.email)]) VALUES ('x')": "email to archive.note derived",
		"SELECT pg_advisory_lock(ascii(email)) FROM public.customers":                                                             "email to pg_advisory_lock derived",
		"SELECT pg_try_advisory_xact_lock(1, ascii(email)) FROM public.customers":                                                 "email to pg_try_advisory_xact_lock derived",
		"SELECT lo_create(ascii(email)::oid) FROM public.customers":                                                               "email to lo_create derived",
		"SELECT lo_lseek(0, ascii(email), 0) FROM public.customers":                                                               "email to lo_lseek derived",
		"SELECT lo_open(ascii(email)::oid, 1) FROM public.customers":                                                              "email to lo_open derived",
		"ALTER INDEX public.customers RENAME TO hidden":                                                                           "email to hidden.email; shout to hidden.shout derived",
		"ALTER TYPE t RENAME ATTRIBUTE email TO e CASCADE":                                                                        "email to customers.e",
		"ALTER EXTENSION x SET SCHEMA app":                                                                                        "email to app.customers.email; secret to app.parts.secret; shout to app.customers.shout derived",
		"ALTER TABLE public.customers DROP CONSTRAINT k CASCADE":                                                                  "email to refs.who; email to refs_of.w",
		"ALTER TABLE public.customers DROP COLUMN email CASCADE":                                                                  "email to refs.who; email to refs_of.w",
		"DROP TABLE public.customers CASCADE":                                                                                     "email to refs.who; email to refs_of.w",
		"DROP TABLE refs CASCADE":                                                                                                 "email to refs_of.w",
		"DROP INDEX k CASCADE":                                                                                                    "email to refs.who; email to refs_of.w",
		"DROP SCHEMA other CASCADE":                                                                                               "email to refs.who; email to refs_of.w",
		// These keep what is masked under its mask.
		"DROP TABLE public.customers":                                                                "",
		"DROP TABLE archive CASCADE":                                                                 "",
		"DROP INDEX k":                                                                               "",
		"DROP VIEW contacts CASCADE":                                                                 "",
		"ALTER TABLE public.customers DROP COLUMN name CASCADE":                                      "",
		"ALTER TYPE t RENAME ATTRIBUTE email TO e":                                                   "",
		"ALTER INDEX i RENAME TO j":                                                                  "",
		"EXPLAIN CREATE TABLE t AS SELECT email FROM public.customers":                               "",
		"EXPLAIN ANALYZE CREATE TABLE t AS SELECT name FROM public.customers":                        "",
		"UPDATE archive SET note[ascii(c.name)] = 'x' FROM public.customers c":                       "",
		"SELECT pg_advisory_lock(id::int) FROM public.customers WHERE email = 'x'":                   "",
		"SELECT lo_open(1, 1)":                                                                       "",
		"ALTER TABLE parts_1 RENAME TO parts_2":                                                      "",
		"ALTER TABLE public.customers RENAME name TO n":                                              "",
		"ALTER TABLE public.customers DROP CONSTRAINT x":                                             "",
		"ALTER TABLE public.customers ALTER name TYPE varchar USING lower(name)":                     "",
		"INSERT INTO archive SELECT id, name FROM public.customers":                                  "",
		"INSERT INTO archive SELECT id, name FROM public.customers WHERE email = 'x'":                "",
		"INSERT INTO public.customers (id, email) SELECT id, lower(email) FROM public.customers":     "",
		"INSERT INTO public.customers (id, email) VALUES (1, 'x') RETURNING id":                      "",
		"UPDATE public.customers SET email = lower(email)":                                           "",
		"UPDATE public.customers SET email = 'x' WHERE id = 1":                                       "",
		"UPDATE public.customers SET name = upper(name) WHERE email = 'x'":                           "",
		"DELETE FROM public.customers WHERE email = 'x'":                                             "",
		"CREATE TABLE t AS SELECT name, count(*) FROM public.customers WHERE email = 'x' GROUP BY 1": "",
		"CREATE VIEW v AS SELECT name FROM public.customers WHERE email <> ''":                       "",
		"SELECT lower(email), pg_notify('c', name) FROM public.customers":                            "",
		"INSERT INTO archive SELECT app.evil(), 'x'":                                                 "",
		"COPY public.customers TO STDOUT":                                                            "",
	} {
		if got := copied(t, c, m, sql); got != strings.ReplaceAll(want, "?", "") {
			t.Errorf("%s: copies %q, want %q", sql, got, want)
		}
	}
}

// TestRedteam13_ReturningStaysClean: what a write returns is masked where the
// write takes values from elsewhere, and only there.
func TestRedteam13_ReturningStaysClean(t *testing.T) {
	c := NewCatalog(shop())
	m := c.Masks(maskedEmail)
	for _, tc := range []struct {
		sql     string
		oid     uint32
		tainted bool
	}{
		{"INSERT INTO customers (id, email) VALUES (1, 'x') RETURNING name", oidCustomers, false},
		{"UPDATE customers SET name = 'x' WHERE email = 'y' RETURNING name", oidCustomers, false},
		{"INSERT INTO archive SELECT id, name FROM customers RETURNING note", oidArchive, false},
		{"INSERT INTO archive SELECT id, email FROM customers RETURNING note", oidArchive, true},
		{"UPDATE customers SET tags = tags || 'x' WHERE email = 'y' RETURNING name", oidCustomers, false},
		{"FETCH c", oidArchive, false},
		{"EXECUTE p", oidArchive, true},
	} {
		f := resolved(t, c, tc.sql, public, "")
		if _, is, tainted := m.Taint(&f).Column(tc.oid, 3-int16(min(tc.oid-oidCustomers, 1))); is || tainted != tc.tainted {
			t.Errorf("%s: masked %v, tainted %v; want %v", tc.sql, is, tainted, tc.tainted)
		}
	}
}
