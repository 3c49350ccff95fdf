package postgres

import (
	"reflect"
	"testing"

	"github.com/gatestay/gatestay/libs/command"
)

func TestHandle(t *testing.T) {
	for sql, want := range map[string]*Handle{
		"DECLARE c CURSOR WITH HOLD FOR SELECT 1": {true, "c", true},
		`FETCH ALL FROM "C"`:                      {true, "C", false},
		"MOVE 5 IN c":                             {true, "c", false},
		"PREPARE p (int) AS SELECT $1":            {false, "p", true},
		"EXECUTE p (1)":                           {false, "p", false},
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

// TestRedteam13_ComparisonsOfAUse: a value that an EXECUTE compares a column with
// is found in its own text.
func TestRedteam13_ComparisonsOfAUse(t *testing.T) {
	text := "PREPARE p (text, int) AS SELECT id FROM customers WHERE email = $1 AND id = $2 AND name = 'n'"
	given := one(t, text)
	use := func(sql string) (string, command.Facts) {
		st, err := Parse(sql)
		if err != nil {
			t.Fatal(err)
		}
		full, f, ok := Referred(&st[0], text, given)
		if !ok {
			t.Fatal(sql)
		}
		return full, f
	}
	full, f := use("EXECUTE p ('guess', 5)")
	found := map[string]string{}
	for _, c := range f.Comparisons {
		if c.Literal > 0 {
			l := f.Literals[c.Literal-1]
			found[c.Column.Name] = full[l.Start:l.End]
		}
	}
	if found["name"] != "'n'" || found["email"] != "" && found["email"] != "'guess'" {
		t.Errorf("found %v of %+v", found, f.Comparisons)
	}
	_, f = use("EXECUTE p ('guess')")
	for _, c := range f.Comparisons {
		if c.Parameter > 0 || c.Column.Name == "email" && c.Use == command.Equality {
			t.Errorf("an argument that is not there: %+v", c)
		}
	}
}
