package postgres

import (
	"bytes"
	"testing"
)

// A plan's step is what it was approved as however a tool lays it out, and
// nothing else is: what changes the meaning changes the tokens.
func TestRedteam18_CanonicalIsTheStatementAndNothingElse(t *testing.T) {
	for name, same := range map[string][2]string{
		"white space":          {"SELECT 1", "\n  SELECT\t\t1 ;\n"},
		"comments":             {"-- up\nSELECT /* a /* b */ */ 1", "SELECT 1;"},
		"a comment at the end": {"SELECT 1 -- one", "SELECT 1"},
	} {
		if !bytes.Equal(Canonical(same[0]), Canonical(same[1])) {
			t.Errorf("%s: %q and %q differ", name, same[0], same[1])
		}
	}
	for name, other := range map[string][2]string{
		"in a literal":             {"SELECT 'a b'", "SELECT 'a  b'"},
		"a comment in a literal":   {"SELECT 'a --b'", "SELECT 'a '"},
		"in a body":                {"DO $$ a $$", "DO $$ a  $$"},
		"in a name":                {`SELECT "a b"`, `SELECT "a  b"`},
		"a national literal":       {"SELECT n'1'", "SELECT n '1'"},
		"a continued literal":      {"SELECT 'a'\n'b'", "SELECT 'a' 'b'"},
		"an operator":              {"SELECT 1 - -1", "SELECT 1 --1"},
		"a comment that ends more": {"SELECT 1 -- ;\n", "SELECT 1 -- \n; DROP TABLE a"},
		"a statement more":         {"SELECT 1", "SELECT 1; SELECT 2"},
		"case of a word":           {"SELECT a", "SELECT A"},
		"another number":           {"SELECT 1", "SELECT 2"},
		"an escape":                {`SELECT E'a\'--'`, `SELECT E'a'`},
	} {
		if bytes.Equal(Canonical(other[0]), Canonical(other[1])) {
			t.Errorf("%s: %q and %q are the same", name, other[0], other[1])
		}
	}
	if len(Canonical(" ; -- nothing\n")) > 0 {
		t.Error("nothing is something")
	}
}

func TestBlanked(t *testing.T) {
	shape := Blanked("INSERT INTO goose_db_version (version_id, is_applied) VALUES ($1, $2)")
	if !bytes.Equal(shape, Blanked("INSERT INTO goose_db_version (version_id, is_applied) VALUES (7, 'x')")) {
		t.Error("constants differ")
	}
	for _, other := range []string{
		"INSERT INTO customers (version_id, is_applied) VALUES ($1, $2)",
		"INSERT INTO goose_db_version (version_id, is_applied) VALUES ($1, (SELECT 1))",
		"INSERT INTO evil.goose_db_version (version_id, is_applied) VALUES ($1, $2)",
		"INSERT INTO goose_db_version (version_id, is_applied) VALUES ($1, $2); DROP TABLE customers",
		"INSERT INTO goose_db_version (version_id, is_applied) VALUES ($1, $2) RETURNING 1",
	} {
		if bytes.Equal(shape, Blanked(other)) {
			t.Errorf("%q has the shape", other)
		}
	}
}
