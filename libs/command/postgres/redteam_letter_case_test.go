package postgres

import (
	"testing"

	"github.com/gatestay/gatestay/libs/command"
)

// TestRedteam13_MaskInAnotherLetterCase: a mask that names "eMail" without its
// quotes is read as email, and is a mask of "eMail" all the same, wherever its
// values go.
func TestRedteam13_MaskInAnotherLetterCase(t *testing.T) {
	s := shop()
	s.Relations = append(s.Relations,
		table(500, "s2", "People", 'r', "id", "eMail"),
		viewOf(table(501, "s2", "v", 'v', "eMail", "up"), `SELECT "eMail", upper("eMail") AS up FROM s2."People"`, ColumnRef{500, 2}),
		viewOf(table(502, "s2", "mv", 'm', "m"), `SELECT max("eMail") AS m FROM s2."People"`, ColumnRef{500, 2}),
	)
	c := NewCatalog(s)
	for _, rule := range []command.Column{
		{Schema: "s2", Table: "people", Name: "email"},
		{Schema: "S2", Table: "PEOPLE", Name: "EMAIL"},
		{Table: "people", Name: "email"},
		{Schema: "s2", Table: "clients", Name: "email"}, // no such table: every column of the name
	} {
		m := c.Masks([]command.Column{rule})
		for _, ref := range []ColumnRef{{500, 2}, {501, 1}, {501, 2}, {502, 1}} {
			if _, is, tainted := m.column(ref.OID, ref.Number); !is && !tainted {
				t.Errorf("%v: column %v is clean", rule, ref)
			}
		}
		if _, is, tainted := m.column(500, 1); is || tainted {
			t.Errorf("%v: the id is masked", rule)
		}
		for _, sql := range []string{
			`SELECT max("eMail") FROM s2."People"`, `SELECT upper("eMail") FROM s2."People"`, `SELECT upper(up) FROM s2.v`,
			`SELECT p::text FROM s2."People" p`, `SELECT x || '' FROM (SELECT "eMail" AS x FROM s2."People") q`,
		} {
			if f := resolved(t, c, sql, public, ""); !m.Taint(&f).Expressions {
				t.Errorf("%v: %s: not tainted", rule, sql)
			}
		}
		for _, sql := range []string{
			`SELECT id FROM s2."People" WHERE "eMail" LIKE 'pl%'`, `SELECT id FROM s2."People" ORDER BY "eMail"`,
			`SELECT id FROM s2.v WHERE "eMail" < 'p'`, `SELECT count(*) FROM s2."People" GROUP BY "eMail"`,
		} {
			if f := resolved(t, c, sql, public, ""); len(m.Compared(&f)) == 0 {
				t.Errorf("%v: %s: no comparison", rule, sql)
			}
		}
		for _, sql := range []string{
			`CREATE TABLE cp AS SELECT "eMail" FROM s2."People"`, `CREATE TABLE cp AS SELECT upper("eMail") FROM s2."People"`,
			`INSERT INTO archive (note) SELECT "eMail" FROM s2."People"`,
			`ALTER TABLE s2."People" RENAME COLUMN "eMail" TO x`, `ALTER TABLE s2."People" RENAME TO y`,
		} {
			if f := resolved(t, c, sql, public, ""); len(m.Taint(&f).Copies()) == 0 {
				t.Errorf("%v: %s: no copy", rule, sql)
			}
		}
	}
}

// Of two columns that differ in letter case only, a mask is on both; what was
// copied is where it is.
func TestRedteam13_LetterCaseOfTwo(t *testing.T) {
	s := shop()
	s.Relations = append(s.Relations, table(500, "s2", "people", 'r', "email", "eMail", "id"), table(501, "s2", "People", 'r', "eMail"))
	c := NewCatalog(s)
	exact := command.Column{Schema: "s2", Table: "people", Name: "email"}
	for _, tc := range []struct {
		masks *Masks
		want  map[ColumnRef]command.Column
	}{
		{c.Masks([]command.Column{exact}), map[ColumnRef]command.Column{
			{500, 1}: exact, {500, 2}: {Schema: "s2", Table: "people", Name: "eMail"}, {501, 1}: {Schema: "s2", Table: "People", Name: "eMail"}, {500, 3}: {},
		}},
		{c.Masks(nil, exact), map[ColumnRef]command.Column{{500, 1}: exact, {500, 2}: {}, {501, 1}: {}}},
	} {
		for ref, want := range tc.want {
			if got, _, tainted := tc.masks.column(ref.OID, ref.Number); got != want || tainted {
				t.Errorf("%v is masked as %v, want %v", ref, got, want)
			}
		}
		if len(tc.masks.Missing()) > 0 {
			t.Errorf("missing: %v", tc.masks.Missing())
		}
	}
}
