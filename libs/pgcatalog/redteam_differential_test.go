package pgcatalog_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatestay/gatestay/libs/command/postgres"
	"github.com/gatestay/gatestay/libs/pgcatalog/querytest"
)

// differ runs statements on a real server and compares what masking would let
// pass with what is planted.
type differ struct {
	conn    *pgx.Conn
	catalog *postgres.Catalog
	masks   *postgres.Masks

	ran, hidden      int // statements; cells that show something planted, and are masked
	clean, cleanPass int // columns that are clean by construction; those that pass
}

func newDiffer(t *testing.T) *differ {
	t.Helper()
	return newDifferOf(t, "", querytest.Schema)
}

func newDifferOf(t *testing.T, name, schema string) *differ {
	t.Helper()
	conn := named(t, name, schema)
	if _, err := conn.Exec(t.Context(), "SET statement_timeout = '2s'"); err != nil {
		t.Fatal(err)
	}
	c := load(t, conn)
	return &differ{conn: conn, catalog: c, masks: c.Masks(querytest.Masked())}
}

// run judges the columns of one statement. secret says which may have planted
// values, by construction.
func (d *differ) run(t *testing.T, sql string, secret []bool) {
	t.Helper()
	st, err := postgres.Parse(sql)
	if err != nil || len(st) != 1 {
		t.Fatalf("%s: %v", sql, err)
	}
	f := d.catalog.Resolve(st[0].Facts, []string{"public"}, "")
	results, err := d.conn.PgConn().Exec(t.Context(), "BEGIN; "+sql+"; ROLLBACK").ReadAll()
	if err != nil {
		if testing.Verbose() {
			t.Logf("%v: %s", err, sql)
		}
		if _, err := d.conn.Exec(t.Context(), "ROLLBACK"); err != nil {
			t.Fatal(err)
		}
		return
	}
	d.ran++
	r := results[1]
	origins := make([]postgres.ColumnRef, len(r.FieldDescriptions))
	for i, fd := range r.FieldDescriptions {
		origins[i] = postgres.ColumnRef{OID: fd.TableOID, Number: int16(fd.TableAttributeNumber)}
	}
	for i, j := range d.masks.Taint(&f).Columns(origins) {
		passes := !j.Is && !j.Tainted
		switch {
		case i >= len(secret):
		case secret[i] && passes:
			t.Fatalf("column %d of\n%s\npasses, and is computed from a masked column", i, sql)
		case !secret[i]:
			d.clean++
			if passes {
				d.cleanPass++
			}
		}
		for _, row := range r.Rows {
			switch shown := querytest.Secret(row[i]); {
			case shown != "" && passes:
				t.Fatalf("column %d of\n%s\npasses, and shows %s in %q", i, sql, shown, row[i])
			case shown != "":
				d.hidden++
			}
		}
	}
}

// TestRedteam13_DifferentialMasking: of thousands of random statements over
// planted values, no column that would pass shows one.
func TestRedteam13_DifferentialMasking(t *testing.T) {
	seeds, most := long(6000, 60*time.Second)
	d := newDiffer(t)
	end := time.Now().Add(most)
	n := 0
	for seed := uint64(1); seed <= seeds && time.Now().Before(end); seed++ {
		g := querytest.New(seed)
		sql, secret := g.Query()
		if seed%8 == 0 {
			sql, secret = g.Change()
		}
		d.run(t, sql, secret)
		n++
	}
	t.Logf("%d of %d statements ran; %d cells with planted values hidden; %d of %d clean columns passed", d.ran, n, d.hidden, d.cleanPass, d.clean)
	if d.ran < n/2 || d.hidden < d.ran || d.cleanPass < d.clean*3/4 {
		t.Error("too few of them: the test shows nothing")
	}
}
