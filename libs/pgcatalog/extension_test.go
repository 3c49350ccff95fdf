package pgcatalog_test

import (
	"testing"

	"github.com/gatestay/gatestay/libs/command"
)

// Extensions of PostgreSQL's own distribution put operators and functions into
// the search path. They are in C, and make nothing ordinary unknown.
func TestLoad_extensionsMakeNothingUnknown(t *testing.T) {
	c := load(t, database(t, `CREATE EXTENSION citext; CREATE EXTENSION pgcrypto; CREATE EXTENSION btree_gist; CREATE EXTENSION btree_gin; CREATE EXTENSION pg_trgm;
		CREATE EXTENSION hstore; CREATE EXTENSION ltree; CREATE EXTENSION intarray; CREATE EXTENSION cube; CREATE EXTENSION unaccent; CREATE EXTENSION "uuid-ossp";
		CREATE EXTENSION fuzzystrmatch; CREATE EXTENSION tablefunc; CREATE EXTENSION pg_stat_statements;
		CREATE TABLE people (id uuid DEFAULT gen_random_uuid(), email citext UNIQUE, name text, tags hstore, path ltree, ids int[])`))
	for sql, want := range map[string]command.Class{
		"SELECT * FROM people WHERE email = 'a@b'":                                                    command.Read,
		"SELECT name FROM people WHERE name ~ '^A' OR name !~ 'x' OR name LIKE 'b%' ORDER BY name":    command.Read,
		"SELECT * FROM people WHERE email LIKE 'a%' AND email !~ 'x'":                                 command.Read,
		"SELECT id + 1, 2 * 3, 'a' || 'b', ids & ARRAY[1] FROM people p, generate_series(1, 2) AS id": command.Read,
		"SELECT tags -> 'a', path @> 'x'::ltree FROM people":                                          command.Read,
		"SELECT nspname FROM pg_namespace n WHERE n.nspname !~ '^pg_toast'":                           command.Read,
		"INSERT INTO people (email, name) VALUES ('a@b', 'A')":                                        command.Write,
		"UPDATE people SET email = lower(name)::citext WHERE email <> 'x' AND name <> 'y'":            command.Write,
	} {
		if f := resolve(t, c, sql); f.Class != want {
			t.Errorf("%s: %s %v, want %s", sql, f.Class, f.Unknown, want)
		}
	}
}
