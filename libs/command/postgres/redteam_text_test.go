package postgres

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/gatestay/gatestay/libs/command"
)

// parsed parses a text that must be read.
func parsed(t testing.TB, sql string) []Statement {
	t.Helper()
	st, err := Parse(sql)
	if err != nil {
		t.Fatalf("%q: %v", sql, err)
	}
	return st
}

// one parses a text of one statement.
func one(t testing.TB, sql string) command.Facts {
	t.Helper()
	st := parsed(t, sql)
	if len(st) != 1 {
		t.Fatalf("%q has %d statements", sql, len(st))
	}
	return st[0].Facts
}

// TestRedteam06_WhatTheServerWouldRun: the statements of a text are those that
// the server runs, whatever its quotes and comments look like.
func TestRedteam06_WhatTheServerWouldRun(t *testing.T) {
	for _, tc := range []struct {
		name, sql string
		verbs     []string // of the statements, in order
	}{
		{"two", "SELECT 1; DROP TABLE t", []string{"select", "drop table"}},
		{"empty ones", ";;SELECT 1;;;", []string{"select"}},
		{"only a comment", "-- DROP TABLE t", nil},
		{"in a comment", "SELECT 1 /* ; DROP TABLE t; */", []string{"select"}},
		{"nested comment", "SELECT 1 /* /* */ ; DROP TABLE a; */; DROP TABLE b", []string{"select", "drop table"}},
		{"comment ends at the line", "SELECT 1 -- ; DELETE FROM a\r; DROP TABLE b", []string{"select", "drop table"}},
		{"comment for a space", "DROP/**/TABLE/* */t", []string{"drop table"}},
		{"dollar quotes", "SELECT $$; DROP TABLE t; $$", []string{"select"}},
		{"dollar tag", "SELECT $a$ $b$ ; DROP TABLE t; $a$", []string{"select"}},
		{"dollar tag that is not", "SELECT a$b$ FROM t; DROP TABLE c -- $b$", []string{"select", "drop table"}},
		{"E string", `SELECT E'\'; DROP TABLE t; --'`, []string{"select"}},
		{"backslash in a plain string", `SELECT '\'; DROP TABLE t; --'`, []string{"select", "drop table"}},
		{"continued string", "SELECT 'a'\n'; DROP TABLE t; --'", []string{"select"}},
		{"quoted identifier", `SELECT ";DROP TABLE t;--" FROM x`, []string{"select"}},
		{"body of a function", "CREATE PROCEDURE p() LANGUAGE sql BEGIN ATOMIC SELECT 1; DELETE FROM a; END; SELECT 1", []string{"create procedure", "select"}},
		{"actions of a rule", "CREATE RULE r AS ON INSERT TO a DO (DELETE FROM b; DELETE FROM c); SELECT 1", []string{"create rule", "select"}},
		{"a transaction", "BEGIN; DELETE FROM t; COMMIT", []string{"begin", "delete", "commit"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var verbs []string
			for _, s := range parsed(t, tc.sql) {
				verbs = append(verbs, s.Facts.Verb)
				if s.Text != tc.sql[s.Start:s.End] {
					t.Errorf("statement %q is not what lies at %d to %d", s.Text, s.Start, s.End)
				}
			}
			if !slices.Equal(verbs, tc.verbs) {
				t.Errorf("%v, want %v", verbs, tc.verbs)
			}
		})
	}
}

// TestRedteam06_NamesHoweverTheyAreSpelled: an escaped or quoted name is the
// name that the server sees.
func TestRedteam06_NamesHoweverTheyAreSpelled(t *testing.T) {
	for sql, want := range map[string]string{
		`DELETE FROM U&"\0063ustomers"`:                   "customers",
		`DELETE FROM U&"!0063ustomers" UESCAPE '!'`:       "customers",
		`DELETE FROM CUSTOMERS`:                           "customers",
		`DELETE FROM "CUSTOMERS"`:                         "CUSTOMERS",
		`DELETE FROM /*x*/"public" . /*y*/ customers`:     "public.customers",
		`DELETE FROM "customers "`:                        "customers ",
		`DELETE FROM "cust""omers"`:                       `cust"omers`,
		`DELETE FROM customers`:                           "customers",
		"DELETE FROM \"\u0441ustomers\" -- a cyrillic es": "\u0441ustomers",
	} {
		f := one(t, sql)
		if len(f.Objects) != 1 || f.Objects[0].String() != want {
			t.Errorf("%s: %v, want %q", sql, f.Objects, want)
		}
	}
}

// TestRedteam06_WhatChangesTheMeaningOfText: a command that changes how later
// text is read says so.
func TestRedteam06_WhatChangesTheMeaningOfText(t *testing.T) {
	for sql, want := range map[string]string{
		"SET standard_conforming_strings = off":               "standard_conforming_strings",
		"SET LOCAL Standard_Conforming_Strings TO off":        "standard_conforming_strings",
		"SET client_encoding TO SJIS":                         "client_encoding",
		"SET NAMES 'GBK'":                                     "client_encoding",
		"RESET client_encoding":                               "client_encoding",
		"RESET ALL":                                           everySetting,
		"DISCARD ALL":                                         everySetting,
		"SELECT set_config('client_encoding', 'BIG5', false)": "client_encoding",
		"SELECT pg_catalog.set_config('Client_Encoding', 'BIG5', false)":            "client_encoding",
		"INSERT INTO t SELECT pg_catalog.set_config('client_encoding', 'x', false)": "client_encoding",
	} {
		f := one(t, sql)
		if !slices.Contains(f.Settings, want) || f.Neutral {
			t.Errorf("%s: settings %v, neutral %v; want %s", sql, f.Settings, f.Neutral, want)
		}
	}
	if f := one(t, "SELECT set_config('client' || '_encoding', 'BIG5', false)"); !f.IsUnknown("settings") || f.Class != command.Unknown {
		t.Errorf("a computed name: class %s, unknown %v", f.Class, f.Unknown)
	}
}

// TestRedteam06_UnreadableTextIsUnknown: what cannot be read whole is unknown
// as a whole, and nothing of it is quoted in the error.
func TestRedteam06_UnreadableTextIsUnknown(t *testing.T) {
	for name, sql := range map[string]string{
		"syntax":           "SELECT 'hunter2' FRM customers WHERE",
		"open string":      "SELECT 'hunter2",
		"open comment":     "SELECT 1 /* hunter2",
		"zero byte":        "SELECT 1\x00; DROP TABLE hunter2",
		"not UTF-8":        "SELECT '\xff hunter2'",
		"half a character": "SELECT '\x83'; DROP TABLE hunter2; --'",
		"too long":         "SELECT '" + strings.Repeat("hunter2", MaxText/7) + "'",
		"PostgreSQL 18":    "UPDATE t SET a = 'hunter2' RETURNING WITH (OLD AS o) o.a",
		"one bad of two":   "SELECT 1; SELEC 'hunter2'",
	} {
		t.Run(name, func(t *testing.T) {
			st, err := Parse(sql)
			var se *SyntaxError
			if !errors.As(err, &se) || st != nil {
				t.Fatalf("%d statements, error %v", len(st), err)
			}
			if strings.Contains(se.Error(), "hunter2") {
				t.Errorf("the error quotes the text: %v", se)
			}
			f := se.Facts()
			if f.Class != command.Unknown || f.Why == "" {
				t.Errorf("class %s, why %q", f.Class, f.Why)
			}
			for _, field := range []string{"class", "verb", "objects", "reads", "writes", "columns", "filters", "functions", "filtered", "catalog", "transaction", "settings"} {
				if !f.IsUnknown(field) {
					t.Errorf("%s is taken for known", field)
				}
			}
		})
	}
}
