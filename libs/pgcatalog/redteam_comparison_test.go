package pgcatalog_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/command/postgres"
	"github.com/gatestay/gatestay/libs/pgcatalog/querytest"
)

// twin has other values in every masked column than querytest.Schema: longer or
// shorter, in another order, equal to none. All else is the same.
func twin() string {
	return strings.NewReplacer(
		"Xq7Zk9Wv2Jm4Tp@one.example", "zz-0@y", "Bn3Fj6Ht8Rw5Ly@two.example", "Aa Mm Long Enough@somewhere.else.example", "Vk8Dq2Nc7Zs5Gr@three.example", "",
		"4539871236540987", "7", "6011329874561230", "-8", "3782822463100059", "0",
		"{Hc5Rn8Yd3Lf6}", "{}", "{Mz4Pt9Cj2Xk7}", "{b,a,c}", "{Jb9Lw4Fx6Tm3}", "{x}",
		`{"pin": "Gw2Ks7Vb9Qx4"}`, `[]`, `{"pin": "Td6Hf3Zn8Wq5"}`, `{"pin": 3, "more": [1]}`, `{"pin": "Rp5Yc8Kd2Hn7"}`, `"text"`,
		"Wf7Xz3Kq9Bt5", "b", "Ny4Gv8Jr2Dm6", "A",
	).Replace(querytest.Schema)
}

// result is all that a reader can tell of what a statement gave.
type result struct {
	state   string // of an error
	rows    int
	columns []string // the cells of each column that passes, in no order
}

func (d *differ) result(t *testing.T, sql string) (result, command.Facts) {
	t.Helper()
	f := resolve(t, d.catalog, sql)
	results, err := d.conn.PgConn().Exec(t.Context(), "BEGIN; "+sql+"; ROLLBACK").ReadAll()
	if err != nil {
		var pe *pgconn.PgError
		if !errors.As(err, &pe) {
			t.Fatal(err)
		}
		if _, err := d.conn.Exec(t.Context(), "ROLLBACK"); err != nil {
			t.Fatal(err)
		}
		return result{state: pe.Code}, f
	}
	r := results[1]
	out := result{rows: len(r.Rows)}
	origins := make([]postgres.ColumnRef, len(r.FieldDescriptions))
	for i, fd := range r.FieldDescriptions {
		origins[i] = postgres.ColumnRef{OID: fd.TableOID, Number: int16(fd.TableAttributeNumber)}
	}
	for i, j := range d.masks.Taint(&f).Columns(origins) {
		var cells []string
		for _, row := range r.Rows {
			switch {
			case row[i] == nil:
				cells = append(cells, "NULL") // a mask keeps it
			case !j.Is && !j.Tainted:
				cells = append(cells, "="+string(row[i]))
			}
		}
		slices.Sort(cells)
		out.columns = append(out.columns, strings.Join(cells, "\n"))
	}
	return out, f
}

// TestRedteam13_ComparisonsAreComplete: where no use of a masked column is
// found, its values decide nothing. The same statements over other values give
// the same number of rows, the same NULLs, the same errors, and the same cells
// in what is not masked.
func TestRedteam13_ComparisonsAreComplete(t *testing.T) {
	seeds, most := long(6000, 60*time.Second)
	d := newDiffer(t)
	other := newDifferOf(t, "twin", twin())
	end := time.Now().Add(most)
	var n, quiet, failed, differ, secret int
	for seed := uint64(1); seed <= seeds && time.Now().Before(end); seed++ {
		sql, _ := querytest.New(seed).Query()
		n++
		one, f := d.result(t, sql)
		two, _ := other.result(t, sql)
		compared := d.masks.Compared(&f)
		const timeout = "57014"
		if one.state == timeout || two.state == timeout {
			continue
		}
		same := one.state == two.state && one.rows == two.rows && slices.Equal(one.columns, two.columns)
		switch {
		case len(compared) > 0 && !same:
			differ++
		case len(compared) > 0:
		case !same:
			t.Fatalf("no use of a masked column is found in\n%s\nand with other values it gives other results:\n%+v\n%+v", sql, one, two)
		case one.state != "":
			failed++
		default:
			quiet++
			if d.masks.Taint(&f).Expressions {
				secret++
			}
		}
	}
	t.Logf("%d statements: %d without a comparison give the same (%d of them touch masked columns), %d the same error; of the others %d give other results", n, quiet, secret, failed, differ)
	if quiet < n/10 || secret < quiet/10 || differ < n/100 {
		t.Error("too few of them: the test shows nothing")
	}
}

// TestRedteam13_PlansTellNothing: EXPLAIN shows estimates, which come from samples of
// the values. Where no use of a masked column is found, and the plan passes, it is
// the same over other values.
func TestRedteam13_PlansTellNothing(t *testing.T) {
	seeds, most := long(3000, 40*time.Second)
	d := newDiffer(t)
	other := newDifferOf(t, "twin", twin())
	end := time.Now().Add(most)
	var n, same, hidden int
	for ; uint64(n) < seeds && time.Now().Before(end); n++ {
		seed := uint64(7_000_000 + n)
		g := querytest.New(seed)
		g.Clean = seed%2 == 0
		sql, _ := g.Query()
		if seed%8 == 1 {
			sql, _ = g.Change()
		}
		sql = []string{"EXPLAIN ", "EXPLAIN (VERBOSE) ", "EXPLAIN (FORMAT JSON, SETTINGS) "}[seed%3] + sql
		one, f := d.result(t, sql)
		two, _ := other.result(t, sql)
		switch {
		case len(d.masks.Compared(&f)) > 0 || one.state != "" && one.state == two.state:
		case one.state != two.state || !slices.Equal(one.columns, two.columns):
			t.Fatalf("no use of a masked column is found in\n%s\nand with other values its plan is another:\n%s\n%s", sql, one.columns, two.columns)
		case d.masks.Taint(&f).Expressions:
			hidden++
		default:
			same++
		}
	}
	t.Logf("%d plans without a comparison or with one: of the former %d pass and are the same, %d are hidden", n, same, hidden)
	if same < n/30 || hidden < n/30 {
		t.Error("too few of them: the test shows nothing")
	}
}
