package pgcatalog_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/command/postgres"
	"github.com/gatestay/gatestay/libs/pgcatalog/querytest"
)

// audited is what makes writes reach further than their text.
const audited = `
CREATE TABLE parents (id int PRIMARY KEY, note text);
CREATE TABLE kids (id int PRIMARY KEY, parent int REFERENCES parents ON DELETE CASCADE ON UPDATE CASCADE, note text);
CREATE TABLE grandkids (id int, kid int REFERENCES kids ON DELETE SET NULL, note text);
INSERT INTO parents SELECT g, 'p' || g FROM generate_series(1, 9) g;
INSERT INTO kids SELECT g, 1 + g % 9, 'k' || g FROM generate_series(1, 20) g;
INSERT INTO grandkids SELECT g, 1 + g % 20, 'g' || g FROM generate_series(1, 30) g;
CREATE TABLE watched (id int, note text);
CREATE TABLE trail (at timestamptz DEFAULT now(), what text);
INSERT INTO watched SELECT g, 'w' || g FROM generate_series(1, 9) g;
CREATE FUNCTION follow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO trail (what) VALUES (TG_OP); RETURN NULL; END $$;
CREATE TRIGGER follow AFTER INSERT OR UPDATE OR DELETE ON watched FOR EACH ROW EXECUTE FUNCTION follow();
CREATE VIEW few_parents AS SELECT id, note FROM parents WHERE id < 5;
CREATE VIEW fewer AS SELECT id, note FROM few_parents WHERE id < 3;
`

// writeOf writes a random statement that changes rows.
func writeOf(r *rand.Rand) string {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	table := pick("parents", "kids", "grandkids", "watched", "few_parents", "fewer", "public.parents", "logs", "logs_1", "archive", "ONLY parents")
	n := 100 + r.IntN(1000)
	other := pick("kids", "parents", "orders", "customers", "contacts", "few_parents", "logs")
	switch r.IntN(8) {
	case 0:
		return fmt.Sprintf("UPDATE %s SET id = id + %d WHERE id IN (SELECT id FROM %s)", table, n, other)
	case 1:
		return fmt.Sprintf("DELETE FROM %s WHERE EXISTS (SELECT FROM %s o WHERE o.id < 4)", table, other)
	case 2:
		return fmt.Sprintf("INSERT INTO %s (id) SELECT id + %d FROM %s LIMIT 2", pick("parents", "kids", "grandkids", "watched", "few_parents", "archive"), n, other)
	case 3:
		return fmt.Sprintf("MERGE INTO %s t USING %s s ON t.id = s.id WHEN MATCHED THEN UPDATE SET id = t.id + %d WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id + %d)", pick("parents", "kids", "archive", "watched"), other, n, n)
	case 4:
		return fmt.Sprintf("WITH d AS (DELETE FROM %s RETURNING id), u AS (UPDATE %s SET id = id + %d) SELECT count(*) FROM d, %s", table, pick("orders", "archive", "watched"), n, other)
	case 5:
		return fmt.Sprintf("INSERT INTO parents (id) VALUES (%d) ON CONFLICT (id) DO UPDATE SET id = excluded.id + %d", 1+r.IntN(9), n)
	case 6:
		return fmt.Sprintf("DELETE FROM %s USING %s o WHERE o.id = 1", table, other)
	default:
		return fmt.Sprintf("UPDATE %s SET id = %d WHERE id = 1", table, n)
	}
}

// touched are the relations that a plan names, written ones apart.
func touched(plan any, read, written map[string]bool) {
	switch n := plan.(type) {
	case []any:
		for _, v := range n {
			touched(v, read, written)
		}
	case map[string]any:
		if name, ok := n["Relation Name"].(string); ok {
			key := fmt.Sprint(n["Schema"]) + "." + name
			if n["Node Type"] == "ModifyTable" {
				written[key] = true
			} else {
				read[key] = true
			}
		}
		for _, v := range n {
			touched(v, read, written)
		}
	}
}

// factsDiffer compares facts with what PostgreSQL says.
type factsDiffer struct {
	conn     *pgx.Conn
	catalog  *postgres.Catalog
	parents  map[string]string
	ran      int
	relation int
	unseen   int // written by triggers, which facts only say there are
}

// has reports that facts name a relation, or what it is a part of.
func (d *factsDiffer) has(f *command.Facts, relation string, write bool) bool {
	for name := relation; name != ""; name = d.parents[name] {
		if slices.ContainsFunc(f.Objects, func(o command.Object) bool {
			return o.String() == name && (!write || o.Access == command.Write)
		}) {
			return true
		}
	}
	return false
}

func (d *factsDiffer) run(t *testing.T, sql string) {
	t.Helper()
	f := resolve(t, d.catalog, sql)
	if f.Class == command.Unknown || f.IsUnknown("objects") {
		t.Fatalf("%s is unknown: %s", sql, f.Why)
	}
	tx, err := d.conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	var raw []byte
	if err := tx.QueryRow(t.Context(), "EXPLAIN (VERBOSE, FORMAT JSON) "+sql).Scan(&raw); err != nil {
		return
	}
	var plan any
	if err := json.Unmarshal(raw, &plan); err != nil {
		t.Fatal(err)
	}
	d.ran++
	read, written := map[string]bool{}, map[string]bool{}
	touched(plan, read, written)
	for name := range read {
		d.relation++
		if !d.has(&f, name, false) {
			t.Errorf("%s\nreads %s, which is not among %v", sql, name, f.Objects)
		}
	}
	for name := range written {
		d.relation++
		if !d.has(&f, name, true) {
			t.Errorf("%s\nwrites %s, which is not among what is written: %v", sql, name, f.Objects)
		}
	}
	if len(written) > 0 && f.Class != command.Write || len(written) == 0 && f.Class != command.Read {
		t.Errorf("%s\nis %s", sql, f.Class)
	}
	if len(written) == 0 {
		return
	}
	before := changes(t, tx)
	if _, err := tx.Exec(t.Context(), sql); err != nil {
		return
	}
	for name, count := range changes(t, tx) {
		if count == before[name] {
			continue
		}
		d.relation++
		switch {
		case d.has(&f, name, true):
		case name == "public.trail" && !f.Neutral:
			d.unseen++
		default:
			t.Errorf("%s\nchanged %s, which is not among what is written: %v", sql, name, f.Objects)
		}
	}
}

// changes counts the rows that the session has written so far, by relation.
func changes(t *testing.T, tx pgx.Tx) map[string]int64 {
	t.Helper()
	rows, err := tx.Query(t.Context(), "SELECT schemaname || '.' || relname, n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_xact_user_tables")
	if err != nil {
		t.Fatal(err)
	}
	out, name, count := map[string]int64{}, "", int64(0)
	if _, err := pgx.ForEachRow(rows, []any{&name, &count}, func() error {
		out[name] = count
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestRedteam07_DifferentialFacts: of thousands of random statements, what facts
// say is read and written covers what PostgreSQL's planner and its counters say.
func TestRedteam07_DifferentialFacts(t *testing.T) {
	seeds, most := long(4000, 60*time.Second)
	conn := database(t, querytest.Schema+audited)
	if _, err := conn.Exec(t.Context(), "SET statement_timeout = '2s'"); err != nil {
		t.Fatal(err)
	}
	d := &factsDiffer{conn: conn, catalog: load(t, conn), parents: map[string]string{"public.logs_1": "public.logs", "public.child": "public.customers"}}
	end, n := time.Now().Add(most), 0
	for seed := uint64(1); seed <= seeds && time.Now().Before(end) && !t.Failed(); seed++ {
		sql, _ := querytest.New(seed + 5_000_000).Query()
		if seed%2 == 0 {
			sql = writeOf(rand.New(rand.NewPCG(seed, 3)))
		}
		d.run(t, sql)
		n++
	}
	t.Logf("%d of %d statements ran; %d relations compared, %d of them written by triggers", d.ran, n, d.relation, d.unseen)
	if d.ran < n/2 || d.relation < d.ran {
		t.Error("too few of them: the test shows nothing")
	}
}
