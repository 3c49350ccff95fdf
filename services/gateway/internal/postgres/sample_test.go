package postgres_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

func sampleOf(r *seam.Rehearsal) string {
	if r.Sample == nil {
		return "none: " + r.Unsampled + r.Unknown
	}
	return fmt.Sprintf("%s %v %v", r.Sample.Relation, r.Sample.Columns, r.Sample.Rows)
}

func TestSampleIsOfRowsBeforeAndAfter(t *testing.T) {
	d := direct(t)
	run(t, d, "DROP SCHEMA IF EXISTS smp CASCADE", "CREATE SCHEMA smp", "CREATE TYPE smp.tier AS ENUM ('a', 'b')",
		`CREATE TABLE smp.people (email text, id int, "odd""name" text, tier smp.tier, secret text, doubled int GENERATED ALWAYS AS (id * 2) STORED, PRIMARY KEY (id))`,
		"INSERT INTO smp.people SELECT g || '@example.com', g, NULL, 'a', 's' || g FROM generate_series(1, 20) g",
		"CREATE TABLE smp.keyless (id int)", "INSERT INTO smp.keyless VALUES (1)",
		"CREATE TABLE smp.copied (id int PRIMARY KEY, note text, mail text)", "INSERT INTO smp.copied VALUES (1, 'n', 'x@example.com')",
		"CREATE TABLE smp.tree (id int PRIMARY KEY, up int REFERENCES smp.tree)", "INSERT INTO smp.tree VALUES (1, NULL)")
	g := holding(t, seam.MaskedColumn{Schema: "smp", Table: "people", Column: "email"}, seam.MaskedColumn{Schema: "smp", Table: "people", Column: "secret"})
	conn := g.connect(t)
	const columns = `smp.people [id email odd"name tier secret] `
	for text, want := range map[string]string{
		`UPDATE smp.people SET "odd""name" = E'x"\n\u202e', tier = 'b', email = 'y' WHERE id = 7`:            columns + `[{[7 (masked) NULL "a" (masked)] [7 (masked) "x\"\n\u202e" "b" (masked)]}]`,
		"DELETE FROM smp.people WHERE id BETWEEN 3 AND 4":                                                    columns + `[{[3 (masked) NULL "a" (masked)] []} {[4 (masked) NULL "a" (masked)] []}]`,
		"UPDATE smp.people SET id = id + 100 WHERE id = 5":                                                   "none: ",
		"UPDATE smp.people SET tier = 'b' WHERE false":                                                       "none: ",
		"INSERT INTO smp.copied VALUES (2, 'm')":                                                             "none: ",
		"DELETE FROM smp.keyless":                                                                            "none: the table has no primary key",
		"DELETE FROM smp.tree":                                                                               "none: the table refers to itself",
		"UPDATE smp.copied SET note = repeat('é', 100)":                                                      `smp.copied [id note mail] [{[1 "n" "x@example.com"] [1 "` + strings.Repeat("é", 60) + `"… "x@example.com"]}]`,
		"UPDATE smp.copied SET note = (SELECT string_agg(md5(g::text), '') FROM generate_series(1, 2000) g)": `smp.copied [id note mail] [{[1 "n" "x@example.com"] [1 "(64000 bytes)"`,
	} {
		r := g.rehearsed(t, conn, text)
		got := strings.NewReplacer(`"7"`, "7", `"3"`, "3", `"4"`, "4", `["1"`, "[1").Replace(sampleOf(r))
		if !strings.HasPrefix(got, want) || want == "none: " && got != want || strings.Contains(got, "@example.com") && strings.Contains(got, "people") {
			t.Errorf("%s:\n%s\nnot %s", text, got, want)
		}
	}
	if r := g.rehearsed(t, conn, "UPDATE smp.people SET tier = 'b'"); r.Sample == nil || len(r.Sample.Rows) != 5 || r.Rows() != 20 {
		t.Errorf("%+v", r)
	}
}

// A masked value is not shown by way of a column that has no mask.
func TestRedteam13_ASampleShowsNoMaskedValue(t *testing.T) {
	d := direct(t)
	run(t, d, "DROP SCHEMA IF EXISTS smp CASCADE", "CREATE SCHEMA smp",
		"CREATE TABLE smp.people (id int PRIMARY KEY, email text UNIQUE, note text, derived text GENERATED ALWAYS AS ('is ' || email) STORED)",
		"CREATE TABLE smp.refers (id int PRIMARY KEY, mail text REFERENCES smp.people (email) ON UPDATE CASCADE, note text)",
		"CREATE TABLE smp.heir () INHERITS (smp.people)", "ALTER TABLE smp.heir ADD PRIMARY KEY (id)",
		"INSERT INTO smp.people VALUES (1, 'hidden@example.com', 'n')", "INSERT INTO smp.refers VALUES (1, 'hidden@example.com', 'n')", "INSERT INTO smp.heir VALUES (2, 'hidden@example.com', 'n')",
		"CREATE TABLE smp.keyed (email text PRIMARY KEY, note text)", "INSERT INTO smp.keyed VALUES ('hidden@example.com', 'n')")
	g := holding(t, seam.MaskedColumn{Schema: "smp", Table: "people", Column: "email"})
	conn := g.connect(t)
	sampled := 0
	for _, text := range []string{
		"UPDATE smp.people SET note = 'm'", "DELETE FROM smp.refers", "UPDATE smp.refers SET note = 'm'", "UPDATE smp.heir SET note = 'm'", "UPDATE smp.keyed SET note = 'm'", "DELETE FROM smp.keyed",
		"UPDATE smp.people SET note = email", "UPDATE smp.refers SET note = mail", "UPDATE smp.people SET note = (SELECT mail FROM smp.refers LIMIT 1)",
		"UPDATE smp.refers r SET note = p.email FROM smp.people p WHERE p.id = r.id", "WITH x AS (SELECT email FROM smp.people) UPDATE smp.refers SET note = x.email FROM x",
		"MERGE INTO smp.refers r USING smp.people p ON p.id = r.id WHEN MATCHED THEN UPDATE SET note = p.email",
	} {
		r := g.rehearsed(t, conn, text)
		if got := sampleOf(r); strings.Contains(got, "hidden") {
			t.Errorf("%s: %s", text, got)
		}
		if r.Sample != nil {
			sampled++
		}
	}
	if sampled < 3 {
		t.Errorf("only %d had a sample, so that little was shown", sampled)
	}
}
