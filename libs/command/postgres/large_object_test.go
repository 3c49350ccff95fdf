package postgres

import (
	"fmt"
	"slices"
	"testing"

	"github.com/gatestay/gatestay/libs/command"
)

// TestRedteam08_LargeObjects: who reads or writes one reads or writes the catalog
// that holds them all.
func TestRedteam08_LargeObjects(t *testing.T) {
	c := NewCatalog(shop())
	for sql, want := range map[string]string{
		"SELECT pg_catalog.lo_open($1, $2)":                "read read neutral",
		"SELECT lo_get(1)":                                 "read read neutral",
		"COPY (SELECT lo_get(1)) TO STDOUT":                "read read neutral",
		"SELECT loread(0, 10), lowrite(0, 'x')":            "write read write neutral changes",
		"SELECT pg_catalog.lo_creat(-1)":                   "write write neutral",
		"SELECT lo_from_bytea(0, 'x')":                     "write write neutral",
		"SELECT lo_put(1, 0, 'x')":                         "write write neutral changes",
		"SELECT lo_unlink(loid) FROM pg_largeobject":       "write read write neutral changes",
		"UPDATE orders SET total = 1 WHERE lo_unlink(5)=1": "write write neutral changes",
		"SELECT (5::oid).lo_unlink":                        "unknown",
		"SELECT lo_import('/etc/passwd')":                  "unknown",
		"SELECT lo_export(1, '/tmp/x')":                    "unknown",
		"SELECT app.lo_get(1)":                             "unknown",
	} {
		f := resolved(t, c, sql, public, "")
		got := string(f.Class)
		for _, access := range []command.Class{command.Read, command.Write} {
			if slices.Contains(f.Objects, command.Object{Schema: "pg_catalog", Name: "pg_largeobject", Access: access}) {
				got += fmt.Sprintf(" %s", access)
			}
		}
		if f.Neutral {
			got += " neutral"
		}
		if f.Changes && f.Class != command.Unknown {
			got += " changes"
		}
		if got != want || f.Catalog {
			t.Errorf("%s: %s, want %s (%s)", sql, got, want, f.Why)
		}
	}
}

// TestRedteam13_LargeObjectsMayHoldMaskedData: what one holds is masked whole
// where a column is masked at all, and compared as that.
func TestRedteam13_LargeObjectsMayHoldMaskedData(t *testing.T) {
	s := shop()
	s.Relations = append(s.Relations,
		viewOf(table(800, "public", "files", 'v', "id", "content"), `SELECT id, lo_get(id::oid) AS content FROM public.archive`, ColumnRef{oidArchive, 1}))
	quiet := table(801, "public", "defaulted", 'r', "id", "content")
	quiet.WriteExpressions = []string{"lo_get(5)"}
	s.Relations = append(s.Relations, quiet)
	c := NewCatalog(s)
	m := c.Masks(maskedEmail)
	for sql, tainted := range map[string]bool{
		"SELECT lo_get(1)":                       true,
		"SELECT encode(loread(0, 10), 'base64')": true,
		"SELECT length(x) FROM lo_get(1) x":      true,
		"SELECT content FROM files":              true,
		"SELECT lo_open(1, 262144)":              false,
		"SELECT lowrite(0, $1)":                  false,
		"SELECT lo_creat(-1)":                    false,
	} {
		f := resolved(t, c, sql, public, "")
		if got := m.Taint(&f).Columns(make([]ColumnRef, 1))[0].Tainted; got != tainted {
			t.Errorf("%s: tainted %v", sql, got)
		}
		if tainted && c.Taint(&f, nil).Columns(make([]ColumnRef, 1))[0].Tainted {
			t.Errorf("%s: tainted, though nothing is masked", sql)
		}
		if got := m.Taint(&f).Copies(); len(got) > 0 {
			t.Errorf("%s copies %v", sql, got)
		}
	}
	for _, sql := range []string{
		"SELECT lowrite(0, email::bytea) FROM public.customers", "SELECT lo_put(1, 0, lo_get(2))", "INSERT INTO archive SELECT 1, lo_get(5)::text",
	} {
		f := resolved(t, c, sql, public, "")
		if len(m.Taint(&f).Copies()) == 0 {
			t.Errorf("%s copies nothing", sql)
		}
	}
	f := resolved(t, c, "SELECT 1 WHERE lo_get(1) = 'x'", public, "")
	if len(m.Compared(&f)) == 0 {
		t.Error("a comparison with a large object is none")
	}
	f = resolved(t, c, "INSERT INTO defaulted (id) VALUES (1)", public, "")
	if f.Neutral {
		t.Error("a default that reads a large object is no code")
	}
}
