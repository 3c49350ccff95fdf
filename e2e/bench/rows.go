package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/gatestay/gatestay/e2e/kit"
)

// largeRows are the rows of the large result: 1,000,000 of 5 columns, 168 bytes each
// on the wire.
const largeRows = 1_000_000

const largeQuery = "SELECT id, made, name, mail, note FROM rows1m"

func makeRows(ctx context.Context, g *kit.Gatestay) error {
	err := g.DB.Exec(ctx, "shop", fmt.Sprintf(`CREATE TABLE IF NOT EXISTS rows1m AS
		SELECT n::bigint AS id, timestamptz '2026-01-01' + n * interval '1 second' AS made, 'Person number ' || n AS name,
			'person.' || n || '@example.com' AS mail, repeat('note of some length ', 3) || n AS note
		FROM generate_series(1, %d) AS n`, largeRows))
	if err == nil {
		err = g.DB.Exec(ctx, "shop", "GRANT SELECT ON rows1m TO app; ANALYZE rows1m")
	}
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	return nil
}

func rowsName(contender string, tls bool) string { return withTLS("postgres/rows1m/"+contender, tls) }

// rows times the large result in full, its client doing no more than to frame it.
func rows(ctx context.Context, _ *kit.Gatestay, all [2][]*contender, t *table) error {
	for r := range t.options.Rounds {
		t.options.Log(fmt.Sprintf("rows: round %d of %d", r+1, t.options.Rounds))
		for _, set := range all {
			for i := range set {
				c := set[(i+r)%len(set)]
				name := rowsName(c.name, c.tls)
				if c.name == "pgbouncer-transaction" || !t.wants(name) {
					continue
				}
				took, cpu, err := c.large(ctx)
				if err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				t.at(name, "s").add(took.Seconds())
				if c.pid != 0 {
					t.at(name+"/cpu", "µs").add(float64(cpu.Nanoseconds()) / 1000 / largeRows)
				}
			}
		}
	}
	return nil
}

// large reads the large result once.
func (c *contender) large(ctx context.Context) (took, cpu time.Duration, err error) {
	via, err := c.connect(ctx)
	if err != nil {
		return 0, 0, err
	}
	r, err := via.raw(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = r.Close() }()
	before, err := c.cpu()
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	if err := r.query(largeQuery); err != nil {
		return 0, 0, err
	}
	n, err := r.drain()
	took = time.Since(began)
	if err != nil {
		return 0, 0, err
	}
	if n != largeRows {
		return 0, 0, fmt.Errorf("bench: %d rows of %d", n, largeRows)
	}
	after, err := c.cpu()
	return took, after - before, err
}

// cpu returns the proxy's CPU time so far, 0 where there is none.
func (c *contender) cpu() (time.Duration, error) {
	if c.pid == 0 {
		return 0, nil
	}
	return cpuTime(c.pid)
}

func printRows(t *table) {
	for _, tls := range []bool{false, true} {
		t.heading("A million rows (168 MB), " + secured(tls) + ": median (least–greatest)")
		t.row("", resultNames...)
		t.rule(len(resultNames))
		t.cells("s", resultNames, func(c string) string { return rowsName(c, tls) })
		t.cells("proxy's CPU a row, µs", resultNames, func(c string) string { return rowsName(c, tls) + "/cpu" })
	}
}
