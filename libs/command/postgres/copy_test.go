package postgres

import (
	"reflect"
	"strings"
	"testing"

	"github.com/gatestay/gatestay/libs/command"
)

func TestCopy(t *testing.T) {
	text := Copy{Relation: `"t"`, Format: CopyText, Delimiter: '\t', Null: `\N`}
	csv := Copy{Relation: `"t"`, Format: CopyCSV, Delimiter: ',', Quote: '"', Escape: '"'}
	with := func(c Copy, change func(*Copy)) *Copy {
		change(&c)
		return &c
	}
	for sql, want := range map[string]*Copy{
		"COPY t TO STDOUT":                     &text,
		"COPY t FROM STDOUT":                   with(text, func(c *Copy) { c.From = true }),
		"COPY t TO stdin WITH (FORMAT 'text')": &text,
		`copy "S"."T" ("a""b", c) to stdout`: with(text, func(c *Copy) {
			c.Relation, c.Columns = `"S"."T"`, []string{`"a""b"`, `"c"`}
		}),
		"COPY t TO STDOUT WITH CSV":                      &csv,
		"COPY t TO STDOUT (FORMAT CSV, HEADER)":          with(csv, func(c *Copy) { c.Header = true }),
		"COPY t TO STDOUT CSV HEADER":                    with(csv, func(c *Copy) { c.Header = true }),
		"COPY t TO STDOUT (FORMAT csv, HEADER off)":      &csv,
		"COPY t TO STDOUT (FORMAT csv, HEADER 0)":        &csv,
		"COPY t TO STDOUT (FORMAT csv, HEADER 'TrUe')":   with(csv, func(c *Copy) { c.Header = true }),
		"COPY t TO STDOUT (FORMAT csv, ENCODING 'utf8')": &csv,
		"COPY t TO STDOUT DELIMITER ';' NULL 'x' CSV QUOTE '''' ESCAPE AS '\\' FORCE QUOTE *": with(csv, func(c *Copy) {
			c.Delimiter, c.Null, c.Quote, c.Escape = ';', "x", '\'', '\\'
		}),
		"COPY t TO STDOUT (FORMAT csv, QUOTE $$'$$)":    with(csv, func(c *Copy) { c.Quote, c.Escape = '\'', '\'' }),
		"COPY t TO STDOUT WITH (DELIMITER E'\\x01')":    with(text, func(c *Copy) { c.Delimiter = 1 }),
		"COPY t TO STDOUT BINARY":                       {Relation: `"t"`, Format: CopyBinary, Delimiter: '\t', Null: `\N`},
		"COPY BINARY t TO STDOUT":                       {Relation: `"t"`, Format: CopyBinary, Delimiter: '\t', Null: `\N`},
		"COPY (SELECT ')' /* ) */ AS a, (1)) TO STDOUT": {Query: "SELECT ')' /* ) */ AS a, (1)", Format: CopyText, Delimiter: '\t', Null: `\N`},
		"COPY t TO '/tmp/x'":                            nil,
		"COPY t FROM PROGRAM 'id'":                      nil,
		"SELECT 1":                                      nil,
	} {
		st, err := Parse(sql)
		if err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		if got := st[0].Copy; !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n%+v, want\n%+v", sql, got, want)
		}
	}
}

// TestRedteam14_CopyOptions: options through which rows could be told apart
// otherwise than the server does.
func TestRedteam14_CopyOptions(t *testing.T) {
	for _, options := range []string{
		"FORMAT text, FORMAT csv", "HEADER, HEADER off", "FORMAT 'CSV'", "FORMAT 'parquet'", "DELIMITER ''", "DELIMITER 'ab'", "DELIMITER 'é'", "DELIMITER E'\\n'", "DELIMITER E'\\\\'",
		"DELIMITER 'b'", "DELIMITER '.'", "NULL E'\\n'", "DELIMITER 'N'", "DELIMITER ',', NULL ','", "QUOTE 'x'", "ESCAPE 'x'", "FORMAT csv, QUOTE ','", "FORMAT csv, QUOTE ''", "FORMAT csv, ESCAPE 'ab'",
		"FORMAT csv, NULL '\"'", "FORMAT csv, HEADER 2", "FORMAT csv, HEADER 'maybe'", "FORMAT csv, HEADER match", "FORMAT binary, HEADER", "ENCODING 'SJIS'", "ENCODING 'latin1'", "INVENTED 1", `"FORMAT" csv`,
		"FORMAT csv, DELIMITER", "NULL *",
	} {
		for _, sql := range []string{"COPY t TO STDOUT (" + options + ")", "COPY (SELECT 1) TO STDOUT (" + options + ")"} {
			st, err := Parse(sql)
			if err != nil {
				t.Errorf("%s: %v", sql, err)
				continue
			}
			if st[0].Copy.Unclear == "" {
				t.Errorf("%s: %+v", sql, st[0].Copy)
			}
		}
	}
}

// TestCopyQuery: the text of the query is the query's, whatever surrounds it.
func TestCopyQuery(t *testing.T) {
	for _, query := range []string{
		"SELECT 1", "VALUES (1), (2)", "TABLE t", "SELECT $$)$$, $a$)$a$, E'\\')', U&'\\0029', \")\" FROM t", "INSERT INTO t VALUES (1) RETURNING *", "WITH a AS (SELECT 1) SELECT * FROM a",
		"SELECT /* /* ) */ ) */ 1 -- )\n", "SELECT '1'\n')'", "SELECT ARRAY[(1)]::int[], a[1:2] FROM t",
	} {
		for _, sql := range []string{"COPY (" + query + ") TO STDOUT", "SELECT 1; /* ( */ COPY /* ( */\n(" + query + ") TO STDOUT (FORMAT csv); SELECT (2)"} {
			st, err := Parse(sql)
			if err != nil {
				t.Fatalf("%s: %v", sql, err)
			}
			c := st[len(st)/2].Copy
			if c.Query != query || c.Unclear != "" || c.Select(nil) != query {
				t.Errorf("%s: %+v", sql, c)
			}
		}
	}
}

func TestCopyIsResolved(t *testing.T) {
	c := NewCatalog(shop())
	for sql, want := range map[string]command.Class{
		"COPY customers TO STDOUT":                            command.Read,
		"COPY (SELECT * FROM customers) TO STDOUT":            command.Read,
		"COPY (DELETE FROM customers RETURNING id) TO STDOUT": command.Write,
		"COPY customers FROM STDIN":                           command.Write,
		"COPY customers FROM STDIN WHERE evil(id)":            command.Unknown,
		"COPY nowhere TO STDOUT":                              command.Unknown,
		"COPY (SELECT evil()) TO STDOUT":                      command.Unknown,
		"COPY customers TO '/tmp/x'":                          command.Admin,
	} {
		f := resolved(t, c, sql, public, "")
		if f.Class != want {
			t.Errorf("%s: %s, want %s (%s)", sql, f.Class, want, f.Why)
		}
		if strings.Contains(sql, "customers") && (len(f.Objects) == 0 || f.Objects[0].Schema != "public") {
			t.Errorf("%s: objects %v", sql, f.Objects)
		}
	}
	f := resolved(t, c, "COPY customers TO STDOUT", public, "")
	if masked, is, _ := c.Taint(&f, maskedEmail).Column(oidCustomers, 2); !is || masked.Name != "email" {
		t.Errorf("column 2 of customers is %v, %v", masked, is)
	}
}
