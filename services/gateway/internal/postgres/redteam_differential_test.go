package postgres_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/gatestay/gatestay/libs/pgcatalog/querytest"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
	"github.com/gatestay/gatestay/services/gateway/internal/seam/seamtest"
)

// plantedShop makes the database of package querytest, once.
var plantedShop = sync.OnceValue(func() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := target.CreateDatabase(ctx, "planted"); err != nil {
		return err
	}
	return target.Exec(ctx, "planted", querytest.Schema)
})

// startPlanted runs a gateway in front of the planted shop.
func startPlanted(t *testing.T) (*gateway, *pgconn.Config) {
	t.Helper()
	if err := plantedShop(); err != nil {
		t.Fatal(err)
	}
	up := upstreamOf(t)
	up.Database = "planted"
	gate := &seamtest.Gate{Upstream: up}
	for _, c := range querytest.Masked() {
		gate.Masked = append(gate.Masked, seam.MaskedColumn{Schema: c.Schema, Table: c.Table, Column: c.Name})
	}
	c, err := pgconn.ParseConfig(target.URL("planted"))
	if err != nil {
		t.Fatal(err)
	}
	return start(t, gate), c
}

// way is how a statement is sent.
type way struct {
	name string
	send func(t *testing.T, r *raw, sql string)
}

func ways() []way {
	extended := func(format int16) func(*testing.T, *raw, string) {
		return func(t *testing.T, r *raw, sql string) {
			t.Helper()
			r.send(t, &pgproto3.Query{String: "BEGIN"}, &pgproto3.Parse{Query: sql}, &pgproto3.Describe{ObjectType: 'S'}, &pgproto3.Bind{ResultFormatCodes: []int16{format}},
				&pgproto3.Describe{ObjectType: 'P'}, &pgproto3.Execute{}, &pgproto3.Sync{}, &pgproto3.Query{String: "ROLLBACK"})
		}
	}
	return []way{
		{"simple", func(t *testing.T, r *raw, sql string) {
			t.Helper()
			r.send(t, &pgproto3.Query{String: "BEGIN"}, &pgproto3.Query{String: sql}, &pgproto3.Query{String: "ROLLBACK"})
		}},
		{"extended, text", extended(0)},
		{"extended, binary", extended(1)},
		{"COPY", func(t *testing.T, r *raw, sql string) {
			t.Helper()
			r.send(t, &pgproto3.Query{String: "BEGIN"}, &pgproto3.Query{String: "COPY (" + sql + ") TO STDOUT (FORMAT csv, HEADER)"}, &pgproto3.Query{String: "ROLLBACK"})
		}},
		{"COPY, extended, binary", func(t *testing.T, r *raw, sql string) {
			t.Helper()
			r.send(t, &pgproto3.Query{String: "BEGIN"}, &pgproto3.Parse{Query: "COPY (" + sql + ") TO STDOUT (FORMAT binary)"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{}, &pgproto3.Query{String: "ROLLBACK"})
		}},
		{"cursor", func(t *testing.T, r *raw, sql string) {
			t.Helper()
			r.send(t, &pgproto3.Query{String: "BEGIN"}, &pgproto3.Query{String: "DECLARE k CURSOR FOR " + sql + "; FETCH ALL FROM k"}, &pgproto3.Query{String: "ROLLBACK"})
		}},
	}
}

// answers reads what three messages of a way are answered with: all of it that
// can hold values, and the rows.
func answers(t *testing.T, r *raw) (rows [][]byte, said []string, failed bool) {
	t.Helper()
	for ready := 0; ready < 3; {
		m, err := r.Receive()
		if err != nil {
			t.Fatal(err)
		}
		switch m := m.(type) {
		case *pgproto3.DataRow:
			for _, v := range m.Values {
				rows = append(rows, slices.Clone(v))
			}
		case *pgproto3.CopyData:
			rows = append(rows, slices.Clone(m.Data))
		case *pgproto3.ErrorResponse:
			failed = true
			said = append(said, fmt.Sprintf("%+v", m))
		case *pgproto3.NoticeResponse:
			said = append(said, fmt.Sprintf("%+v", m))
		case *pgproto3.ReadyForQuery:
			ready++
		}
	}
	return rows, said, failed
}

// TestRedteam13_NoPlantedValuePassesTheGateway sends random statements in every
// way through a gateway and looks for planted values in all that comes back.
func TestRedteam13_NoPlantedValuePassesTheGateway(t *testing.T) {
	const seeds, most = 700, 60 * time.Second
	g, _ := startPlanted(t)
	end := time.Now().Add(most)
	sent, ran, cells := 0, 0, 0
	r := dialRaw(t, g.config(t))
	for seed := uint64(1_000_001); seed < 1_000_001+seeds && time.Now().Before(end); seed++ {
		sql, _ := querytest.New(seed).Query()
		if seed%8 == 0 {
			sql, _ = querytest.New(seed).Change()
		}
		_ = r.SetDeadline(time.Now().Add(30 * time.Second))
		for _, w := range ways() {
			if seed%8 == 0 && w.name == "cursor" {
				continue
			}
			w.send(t, r, sql)
			rows, said, failed := answers(t, r)
			if sent++; !failed {
				ran++
			}
			for _, v := range rows {
				cells++
				shown := querytest.Secret(v)
				if len(v) == 8 { // a number in binary
					shown += querytest.Secret([]byte(strconv.FormatUint(binary.BigEndian.Uint64(v), 10)))
				}
				if shown != "" {
					t.Fatalf("%s: %q shows %s; sent:\n%s", w.name, v, shown, sql)
				}
			}
			for _, s := range said {
				if shown := querytest.Secret([]byte(s)); shown != "" {
					t.Fatalf("%s: %s shows %s; sent:\n%s", w.name, s, shown, sql)
				}
			}
		}
	}
	t.Logf("%d of %d statements ran, %d cells", ran, sent, cells)
	if ran < sent/3 || cells < sent {
		t.Error("too few of them: the test shows nothing")
	}
}

// TestUnmaskedQueriesAreIdentical: what reads no masked column comes back as
// from the server itself, to the byte.
func TestUnmaskedQueriesAreIdentical(t *testing.T) {
	const seeds, most = 300, 40 * time.Second
	g, own := startPlanted(t)
	end := time.Now().Add(most)
	r, direct := dialRaw(t, g.config(t)), dialRaw(t, own)
	n, ran, masked := 0, 0, 0
	for seed := uint64(2_000_001); seed < 2_000_001+seeds && time.Now().Before(end); seed++ {
		q := querytest.New(seed)
		q.Clean = true
		sql, _ := q.Query()
		for _, w := range ways()[:5] {
			for _, c := range []*raw{r, direct} {
				_ = c.SetDeadline(time.Now().Add(30 * time.Second))
				w.send(t, c, sql)
			}
			got, _, gotFailed := answers(t, r)
			want, _, failed := answers(t, direct)
			if n++; failed {
				continue
			}
			ran++
			if gotFailed || !slices.EqualFunc(got, want, slices.Equal[[]byte]) {
				masked++
				if testing.Verbose() {
					t.Logf("%s: %q, want %q; sent:\n%s", w.name, got, want, sql)
				}
			}
		}
	}
	t.Logf("%d of %d statements ran, %d came back otherwise", ran, n, masked)
	if ran < n/2 || masked > ran/20 {
		t.Error("too many of them are masked for nothing, or too few ran")
	}
}
