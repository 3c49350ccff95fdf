package postgres

import (
	"testing"

	"github.com/gatestay/gatestay/libs/command"
)

// TestRedteam13_ForeignTablesMayLeadBack: a server that a foreign table is of may
// be this one, and its column the masked one by another name. So may a part of a
// table be.
func TestRedteam13_ForeignTablesMayLeadBack(t *testing.T) {
	s := shop()
	part := table(831, "public", "parted_far", 'f', "id", "x")
	part.Parents = []uint32{830}
	s.Relations = append(s.Relations, table(830, "public", "parted", 'p', "id", "x"), part,
		viewOf(table(832, "public", "over_far", 'v', "id", "y"), `SELECT id, x AS y FROM public.parted_far`, ColumnRef{831, 1}, ColumnRef{831, 2}))
	c := NewCatalog(s)
	m := c.Masks(maskedEmail)
	for sql, oid := range map[string]uint32{
		"SELECT x FROM parted_far": 831, "SELECT x FROM parted": 830, "SELECT y FROM over_far": 832, "INSERT INTO parted VALUES ('1', 'x') RETURNING x": 830,
	} {
		f := resolved(t, c, sql, public, "")
		if f.Class != command.Unknown {
			t.Errorf("%s: class %s", sql, f.Class)
		}
		if j := m.Taint(&f).Columns([]ColumnRef{{oid, 2}, {}}); !j[0].Tainted || !j[1].Tainted {
			t.Errorf("%s: %v", sql, j)
		}
		if j := c.Masks(nil).Taint(&f).Columns([]ColumnRef{{oid, 2}}); j[0].Tainted {
			t.Errorf("%s: tainted, though nothing is masked", sql)
		}
	}
}

// TestRedteam13_ARenamedTableIsNotRenamedOn: a mask whose table is not there holds
// for columns of its name; these cannot be renamed, too.
func TestRedteam13_ARenamedTableIsNotRenamedOn(t *testing.T) {
	c := NewCatalog(shop())
	m := c.Masks([]command.Column{{Schema: "public", Table: "clients", Name: "email"}})
	f := resolved(t, c, "ALTER TABLE customers RENAME email TO e", public, "")
	if got := m.Taint(&f).Copies(); len(got) != 1 || got[0].To.Name != "e" {
		t.Errorf("copies %v", got)
	}
}

// TestRedteam07_ExplainRunsWhatItMakes: a table that EXPLAIN ANALYZE makes is made
// of what its query calls.
func TestRedteam07_ExplainRunsWhatItMakes(t *testing.T) {
	c := NewCatalog(shop())
	for sql, want := range map[string]command.Class{
		"EXPLAIN ANALYZE CREATE TABLE t AS SELECT lower(name) FROM customers": command.Unknown,
		"EXPLAIN ANALYZE SELECT lower(name) INTO t FROM customers":            command.Unknown,
		"CREATE TABLE t AS SELECT lower(name) FROM customers":                 command.Unknown,
		"CREATE VIEW v AS SELECT lower(name) FROM customers":                  command.DDL,
	} {
		if f := resolved(t, c, sql, []string{"app", "pg_catalog", "public"}, ""); f.Class != want {
			t.Errorf("%s: class %s, want %s", sql, f.Class, want)
		}
	}
}

// TestRedteam13_ACopyOfAnotherNumber: a text that is read as another of its shape
// was keeps what that kept.
func TestRedteam13_ACopyOfAnotherNumber(t *testing.T) {
	c, cache := NewCatalog(shop()), NewCache(1<<20)
	for _, sql := range []string{"SELECT email INTO t FROM customers WHERE id = 1", "SELECT email INTO t FROM customers WHERE id = 2"} {
		st, err := cache.Parse(sql)
		if err != nil {
			t.Fatal(err)
		}
		f := c.Resolve(st[0].Facts, public, "")
		if got := c.Masks(maskedEmail).Taint(&f).Copies(); len(got) != 1 {
			t.Errorf("%s: copies %v", sql, got)
		}
	}
}
