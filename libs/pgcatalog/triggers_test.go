package pgcatalog_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// triggered has triggers on everything that can have one; each notes its table and
// itself when it fires.
const triggered = `CREATE TABLE fired (what text); CREATE SCHEMA "Odd Code";
	CREATE TABLE owners (id int PRIMARY KEY, n int); CREATE TABLE pets (id int PRIMARY KEY, owner int REFERENCES owners ON DELETE CASCADE ON UPDATE CASCADE, n int);
	CREATE TABLE toys (id int PRIMARY KEY, pet int REFERENCES pets ON DELETE SET NULL, n int); CREATE TABLE plain (id int, n int);
	CREATE TABLE parts (id int PRIMARY KEY, n int) PARTITION BY RANGE (id); CREATE TABLE low PARTITION OF parts FOR VALUES FROM (0) TO (10); CREATE TABLE high PARTITION OF parts FOR VALUES FROM (10) TO (20);
	CREATE VIEW simple AS SELECT id, n FROM owners; CREATE VIEW joined AS SELECT o.id, p.n FROM owners o JOIN pets p ON p.owner = o.id;
	INSERT INTO owners VALUES (1, 1), (2, 2); INSERT INTO pets VALUES (1, 1, 1), (2, 2, 2); INSERT INTO toys VALUES (1, 1, 1); INSERT INTO parts VALUES (1, 1), (11, 1);`

// triggersOn makes a function of its own for each event of a relation.
func triggersOn(schema, relation, when string, events ...string) string {
	var b strings.Builder
	for _, e := range events {
		name := fmt.Sprintf(`%s.%s_%s`, schema, relation, strings.ToLower(e))
		level := "ROW"
		if e == "TRUNCATE" {
			level = "STATEMENT"
		}
		fmt.Fprintf(&b, `CREATE FUNCTION %s() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO fired VALUES ('%s'); RETURN COALESCE(NEW, OLD); END $$;
			CREATE TRIGGER t_%s %s %s ON %s FOR EACH %s EXECUTE FUNCTION %s();`, name, strings.ReplaceAll(name, `"`, ""), strings.ToLower(e), when, e, relation, level, name)
	}
	return b.String()
}

// TestRedteam07_TriggersAreNamed: every function that a trigger runs at a write is
// named before, with its schema; what the statement cannot fire is not.
func TestRedteam07_TriggersAreNamed(t *testing.T) {
	all := []string{"INSERT", "UPDATE", "DELETE"}
	conn := database(t, triggered+triggersOn("public", "owners", "BEFORE", append(all, "TRUNCATE")...)+triggersOn(`"Odd Code"`, "pets", "AFTER", append(all, "TRUNCATE")...)+
		triggersOn("public", "toys", "BEFORE", append(all, "TRUNCATE")...)+triggersOn("public", "low", "BEFORE", all...)+triggersOn("public", "high", "BEFORE", all...)+
		triggersOn("public", "joined", "INSTEAD OF", all...)+`ALTER TABLE toys DISABLE TRIGGER t_insert;`)
	c := load(t, conn)
	for sql, want := range map[string][]string{
		"INSERT INTO plain VALUES (1, 1)":                                       nil,
		"SELECT n FROM owners":                                                  nil,
		"INSERT INTO owners VALUES (9, 9)":                                      {"public.owners_insert"},
		"INSERT INTO owners VALUES (1, 9) ON CONFLICT (id) DO UPDATE SET n = 3": {"Odd Code.pets_delete", "Odd Code.pets_update", "public.owners_insert", "public.owners_update", "public.toys_delete", "public.toys_update"},
		"INSERT INTO toys VALUES (9, NULL, 9)":                                  nil,
		"UPDATE owners SET n = 3 WHERE id = 1":                                  {"Odd Code.pets_delete", "Odd Code.pets_update", "public.owners_update", "public.toys_delete", "public.toys_update"},
		"UPDATE owners SET id = 3 WHERE id = 2":                                 {"Odd Code.pets_delete", "Odd Code.pets_update", "public.owners_update", "public.toys_delete", "public.toys_update"},
		"DELETE FROM owners":                                                    {"Odd Code.pets_delete", "Odd Code.pets_update", "public.owners_delete", "public.toys_delete", "public.toys_update"},
		"DELETE FROM toys":                                                      {"public.toys_delete"},
		"TRUNCATE owners CASCADE":                                               {"Odd Code.pets_truncate", "public.owners_truncate", "public.toys_truncate"},
		"INSERT INTO parts VALUES (2, 2)":                                       {"public.high_insert", "public.low_insert"},
		"UPDATE parts SET id = 12 WHERE id = 1":                                 {"public.high_delete", "public.high_insert", "public.high_update", "public.low_delete", "public.low_insert", "public.low_update"},
		"UPDATE simple SET n = 4 WHERE id = 1":                                  {"Odd Code.pets_delete", "Odd Code.pets_update", "public.owners_update", "public.toys_delete", "public.toys_update"},
		"INSERT INTO joined VALUES (1, 1)":                                      {"Odd Code.pets_insert", "public.joined_insert", "public.owners_insert"},
		"WITH d AS (DELETE FROM toys) INSERT INTO plain VALUES (1, 1)":          {"public.toys_delete", "public.toys_update"},
		"MERGE INTO toys USING plain ON toys.id = plain.id WHEN NOT MATCHED THEN INSERT VALUES (plain.id, NULL, 1) WHEN MATCHED THEN DELETE": {"public.toys_delete", "public.toys_update"},
	} {
		f := resolve(t, c, sql)
		got := slices.Sorted(slices.Values(f.Triggers))
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", sql, got, want)
		}
		if _, err := conn.Exec(t.Context(), "BEGIN; DELETE FROM fired; "+sql); err != nil {
			t.Fatal(sql, err)
		}
		var fired []string
		if err := conn.QueryRow(t.Context(), "SELECT COALESCE(array_agg(DISTINCT what), '{}') FROM fired").Scan(&fired); err != nil {
			t.Fatal(err)
		}
		for _, name := range fired {
			if !slices.Contains(got, name) {
				t.Errorf("%s fires %s, which is not named", sql, name)
			}
		}
		if _, err := conn.Exec(t.Context(), "ROLLBACK"); err != nil {
			t.Fatal(err)
		}
	}
}
