package pgcatalog_test

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/gatestay/gatestay/libs/command/postgres"
	"github.com/gatestay/gatestay/libs/pgcatalog"
)

// normal brings a snapshot into an order of its own: a catalog's lists come in
// none.
func normal(s *postgres.Snapshot) *postgres.Snapshot {
	out := &postgres.Snapshot{Functions: slices.Clone(s.Functions), Operators: slices.Clone(s.Operators), Types: slices.Clone(s.Types)}
	for _, r := range s.Relations {
		r.Columns = slices.Clone(r.Columns)
		for i := range r.Columns {
			r.Columns[i].From = slices.Sorted(slices.Values(r.Columns[i].From))
		}
		r.Reads = slices.SortedFunc(slices.Values(r.Reads), func(a, b postgres.ColumnRef) int {
			return cmp.Or(cmp.Compare(a.OID, b.OID), cmp.Compare(a.Number, b.Number))
		})
		r.References = slices.SortedFunc(slices.Values(r.References), func(a, b postgres.Reference) int {
			return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b))
		})
		r.Parents, r.Cascades, r.Keys = slices.Sorted(slices.Values(r.Parents)), slices.Sorted(slices.Values(r.Cascades)), slices.Sorted(slices.Values(r.Keys))
		r.Primary = slices.Sorted(slices.Values(r.Primary))
		r.ReadExpressions, r.WriteExpressions = slices.Sorted(slices.Values(r.ReadExpressions)), slices.Sorted(slices.Values(r.WriteExpressions))
		out.Relations = append(out.Relations, r)
	}
	slices.SortFunc(out.Relations, func(a, b postgres.Relation) int { return cmp.Compare(a.OID, b.OID) })
	slices.SortFunc(out.Functions, func(a, b postgres.Function) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	slices.SortFunc(out.Operators, func(a, b postgres.Name) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	slices.SortFunc(out.Types, func(a, b postgres.Type) int { return cmp.Compare(a.OID, b.OID) })
	return out
}

// definitions change one another's meaning.
var definitions = []string{
	"CREATE TABLE a (id int PRIMARY KEY, email text)", "CREATE TABLE b (id int REFERENCES a ON DELETE CASCADE, x text DEFAULT 'y')",
	"CREATE VIEW v AS SELECT id, email FROM a", "CREATE VIEW w AS SELECT * FROM v JOIN b USING (id)", "ALTER TABLE b ADD email text", "ALTER TABLE a ADD x text",
	"ALTER TABLE a RENAME email TO mail", "ALTER TABLE a RENAME x TO email", "ALTER TABLE a RENAME TO c", "ALTER TABLE c RENAME TO a",
	"CREATE OR REPLACE VIEW v AS SELECT id, lower(mail) AS email FROM a", "DROP VIEW w", "CREATE UNIQUE INDEX ix ON a (lower(mail))", "DROP INDEX ix", "CREATE INDEX ON a (id) WHERE id > 3",
	"CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$", "CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW EXECUTE FUNCTION f()",
	"ALTER TABLE a DISABLE TRIGGER t", "ALTER TABLE a ENABLE TRIGGER t", "DROP TRIGGER t ON a", "CREATE RULE r AS ON UPDATE TO b DO ALSO NOTIFY n", "DROP RULE r ON b",
	"ALTER TABLE b DROP CONSTRAINT b_id_fkey", "ALTER TABLE b ADD CHECK (length(x) < 9)", "ALTER TABLE b ALTER x DROP DEFAULT", "ALTER TABLE b ALTER x SET DEFAULT upper('z')",
	"CREATE POLICY p ON b USING (x = 'a')", "ALTER TABLE b ENABLE ROW LEVEL SECURITY", "ALTER POLICY p ON b USING (x = 'b')", "DROP POLICY p ON b",
	"CREATE TABLE part (id int, y text) PARTITION BY RANGE (id)", "CREATE TABLE part1 PARTITION OF part FOR VALUES FROM (1) TO (9)", "CREATE TABLE part2 (id int, y text)",
	"ALTER TABLE part ATTACH PARTITION part2 DEFAULT", "ALTER TABLE part DETACH PARTITION part1", "CREATE TABLE kid (z int) INHERITS (a)", "ALTER TABLE kid NO INHERIT a",
	"CREATE TYPE mood AS ENUM ('good')", "ALTER TYPE mood ADD VALUE 'bad'", "CREATE DOMAIN dom AS int CHECK (VALUE > 0)", "ALTER DOMAIN dom ADD CHECK (VALUE < 99)", "ALTER TYPE mood RENAME TO spirit",
	"CREATE FUNCTION g(int) RETURNS int LANGUAGE sql AS 'SELECT 1'", "CREATE FUNCTION g(text) RETURNS int LANGUAGE sql AS 'SELECT 1'", "ALTER TABLE a ADD n int DEFAULT g(1)", "ALTER FUNCTION g(int) RENAME TO h",
	"CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq)", "DROP OPERATOR === (int, int)", "CREATE SCHEMA s", "CREATE TABLE s.a (id int)", "ALTER SCHEMA s RENAME TO s2", "DROP SCHEMA s2 CASCADE",
	"ALTER TABLE a ADD full_name text GENERATED ALWAYS AS (mail || '!') STORED", "ALTER TABLE a DROP COLUMN email", "ALTER TABLE b ALTER id TYPE bigint", "CREATE SEQUENCE seq", "DROP SEQUENCE seq",
	"CREATE MATERIALIZED VIEW m AS SELECT * FROM b", "REFRESH MATERIALIZED VIEW m", "TRUNCATE b", "ANALYZE", "CREATE FUNCTION k(spirit) RETURNS int LANGUAGE sql AS 'SELECT 1'", "CREATE CAST (spirit AS int) WITH FUNCTION k(spirit)", "DROP TABLE a CASCADE", "DROP OWNED BY nobody",
}

// TestReaderReadsWhatHasChanged compares it with a load of the whole after each
// change of a definition, also while an older transaction is running, and after
// several at once.
func TestReaderReadsWhatHasChanged(t *testing.T) {
	db := database(t, "CREATE ROLE nobody")
	name := db.Config().Database
	older := connect(t, name)
	for pass, every := range []int{1, 1, 3} {
		if pass == 1 {
			if _, err := older.Exec(t.Context(), "BEGIN; CREATE TEMP TABLE old (id int)"); err != nil {
				t.Fatal(err)
			}
		}
		r := pgcatalog.NewReader(connect(t, name))
		if _, changed, err := r.Read(t.Context()); err != nil || !changed {
			t.Fatal("at first", changed, err)
		}
		for i, text := range definitions {
			if text == "DROP OWNED BY nobody" && pass > 0 {
				continue
			}
			if _, err := db.Exec(t.Context(), text); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			if i%every != 0 {
				continue
			}
			got, _, err := r.Read(t.Context())
			if err != nil {
				t.Fatal(text, err)
			}
			want, err := pgcatalog.Load(t.Context(), db)
			if err != nil {
				t.Fatal(text, err)
			}
			difference(t, text, normal(got), normal(want))
			if again, changed, err := r.Read(t.Context()); err != nil || changed && pass == 0 || again != got && pass == 0 {
				t.Errorf("after %s: changed again %v, %v", text, changed, err)
			}
		}
		if _, err := db.Exec(t.Context(), "DROP SCHEMA public CASCADE; CREATE SCHEMA public"); err != nil {
			t.Fatal(err)
		}
	}
}

func difference(t *testing.T, after string, got, want *postgres.Snapshot) {
	t.Helper()
	if reflect.DeepEqual(got, want) {
		return
	}
	t.Errorf("after %s:", after)
	for i := range max(len(got.Relations), len(want.Relations)) {
		if i >= len(got.Relations) || i >= len(want.Relations) {
			t.Errorf("%d and %d relations", len(got.Relations), len(want.Relations))
			break
		}
		if !reflect.DeepEqual(got.Relations[i], want.Relations[i]) {
			t.Errorf("got  %+v\nwant %+v", got.Relations[i], want.Relations[i])
		}
	}
	for _, l := range [][2]any{{got.Functions, want.Functions}, {got.Operators, want.Operators}, {got.Types, want.Types}} {
		if !reflect.DeepEqual(l[0], l[1]) {
			t.Errorf("got  %+v\nwant %+v", l[0], l[1])
		}
	}
}

// TestReaderUnprintable: what is locked cannot be printed, and is read again
// although nothing of it has changed.
func TestReaderUnprintable(t *testing.T) {
	db := database(t, "CREATE TABLE a (id int CHECK (id > 0)); CREATE VIEW v AS SELECT id FROM a; CREATE TABLE b (id int)")
	locker := connect(t, db.Config().Database)
	lock := func(sql string) {
		t.Helper()
		if _, err := locker.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	r := pgcatalog.NewReader(db)
	view := func() postgres.Relation {
		t.Helper()
		s, _, err := r.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(s.Relations, func(r postgres.Relation) bool { return r.Name == "v" })
		return s.Relations[i]
	}
	lock("BEGIN; LOCK a IN ACCESS EXCLUSIVE MODE")
	if v := view(); v.Definition != "" {
		t.Errorf("printed although locked: %+v", v)
	}
	lock("COMMIT")
	if v := view(); v.Definition == "" {
		t.Error("never printed again")
	}
}

// TestReaderIsQuick: what one table more costs does not grow with the others.
func TestReaderIsQuick(t *testing.T) {
	db := database(t, "DO $$ BEGIN FOR i IN 1..500 LOOP EXECUTE format('CREATE TABLE t%s (id serial primary key, a text check (length(a) < 100), b int default 7, c timestamptz default now())', i); END LOOP; END $$")
	conn := connect(t, db.Config().Database)
	r := pgcatalog.NewReader(conn)
	began := time.Now()
	first, _, err := r.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	whole := time.Since(began)
	var some time.Duration
	const rounds = 10
	for i := range rounds {
		if _, err := db.Exec(t.Context(), fmt.Sprintf("CREATE TABLE more%d (id int PRIMARY KEY)", i)); err != nil {
			t.Fatal(err)
		}
		began = time.Now()
		next, changed, err := r.Read(t.Context())
		if err != nil || !changed || len(next.Relations) != len(first.Relations)+1 {
			t.Fatal(changed, err)
		}
		first = next
		some += time.Since(began)
	}
	t.Logf("500 tables: %s, one more: %s", whole, some/rounds)
	if some/rounds > whole/2 {
		t.Errorf("one more table costs %s, all of them %s", some/rounds, whole)
	}
}
