package postgres

import (
	"reflect"
	"testing"
)

func TestHandle(t *testing.T) {
	for sql, want := range map[string]*Handle{
		"DECLARE c CURSOR WITH HOLD FOR SELECT 1": {Cursor: true, Name: "c", Defines: true},
		`FETCH ALL FROM "C"`:                      {Cursor: true, Name: "C"},
		"MOVE 5 IN c":                             {Cursor: true, Name: "c"},
		"PREPARE p (int) AS SELECT $1":            {Name: "p", Defines: true},
		"EXECUTE p (1)":                           {Name: "p", arguments: []int{1}},
		"EXECUTE p (NULL, -1, 'x' || 'y')":        {Name: "p", arguments: []int{null, 1, computed}},
		"CREATE TABLE t AS EXECUTE p (1)":         nil,
		"EXPLAIN EXECUTE p (1)":                   nil,
		"CLOSE c":                                 nil,
		"DEALLOCATE p":                            nil,
	} {
		st, err := Parse(sql)
		if err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		if got := st[0].Handle; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", sql, got, want)
		}
	}
}

// TestRedteam09_ArgumentsThatCompute: an EXECUTE whose arguments run something is
// not only what was prepared.
func TestRedteam09_ArgumentsThatCompute(t *testing.T) {
	given := one(t, "PREPARE p (text) AS SELECT $1")
	for sql, want := range map[string]bool{
		"EXECUTE p ('x')": true, "EXECUTE p (1, -2.5, NULL, true)": true, "EXECUTE p": true,
		"EXECUTE p (f())": false, "EXECUTE p ((SELECT a FROM t))": false, "EXECUTE p ('x' || 'y')": false, "EXECUTE p ('x'::t)": false, "EXECUTE p (('x').a)": false,
	} {
		st, err := Parse(sql)
		if err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		if _, _, ok := Referred(&st[0], "PREPARE p (text) AS SELECT $1", given); ok != want {
			t.Errorf("%s: %v, want %v", sql, ok, want)
		}
	}
}

// TestRedteam13_ComparisonsOfAUse: the value that an EXECUTE compares a column with
// is its own argument, found in its own text, and no other literal.
func TestRedteam13_ComparisonsOfAUse(t *testing.T) {
	text := "PREPARE p (text, int) AS SELECT id FROM customers WHERE email = $1 AND id = $2 AND name = 'n'"
	given := one(t, text)
	for sql, want := range map[string]string{
		"EXECUTE p ('guess', 5)":                   "equality 'guess'",
		"EXECUTE p ('guess', -5)":                  "equality 'guess'",
		"EXECUTE p (NULL, 5)":                      "is_null",
		"EXECUTE p ('guess')":                      "equality 'guess'",
		"EXECUTE p (coalesce('guess', 'b'), NULL)": "expression",
		"EXECUTE p ('a', coalesce(1, 2))":          "equality 'a'",
		"EXECUTE p (upper('guess'), 5)":            "expression",
	} {
		st, err := Parse(sql)
		if err != nil {
			t.Fatal(err)
		}
		full, f, ok := Referred(&st[0], text, given)
		if !ok {
			if want != "expression" {
				t.Errorf("%s: not referred", sql)
			}
			continue
		}
		for _, c := range f.Comparisons {
			got := string(c.Use)
			if c.Literal > 0 {
				got += " " + full[f.Literals[c.Literal-1].Start:f.Literals[c.Literal-1].End]
			}
			switch {
			case c.Parameter > 0:
				t.Errorf("%s: a parameter that is not there: %+v", sql, c)
			case c.Column.Name == "email" && got != want:
				t.Errorf("%s: %s, want %s", sql, got, want)
			case c.Column.Name == "name" && got != "equality 'n'":
				t.Errorf("%s: %s", sql, got)
			}
		}
	}
}
