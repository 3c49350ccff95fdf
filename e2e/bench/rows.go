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

// bulk is a way that many rows go through a connection.
type bulk struct {
	figure, heading string
	run             func(raw) (rows int, err error)
}

var bulks = []bulk{
	{"postgres/rows1m/", "A million rows (168 MB)", func(r raw) (int, error) { return r.read(largeQuery) }},
	{"postgres/copy_out/", "COPY TO STDOUT of a million rows", func(r raw) (int, error) { return r.read("COPY rows1m TO STDOUT") }},
	{"postgres/copy_in/", "COPY FROM STDIN of a million rows", func(r raw) (int, error) { return r.fill("COPY rows_in FROM STDIN", largeRows) }},
}

func makeRows(ctx context.Context, g *kit.Gatestay) error {
	err := g.DB.Exec(ctx, "shop", fmt.Sprintf(`CREATE TABLE IF NOT EXISTS rows1m AS
		SELECT n::bigint AS id, timestamptz '2026-01-01' + n * interval '1 second' AS made, 'Person number ' || n AS name,
			'person.' || n || '@example.com' AS mail, repeat('note of some length ', 3) || n AS note
		FROM generate_series(1, %d) AS n`, largeRows))
	if err == nil {
		err = g.DB.Exec(ctx, "shop", "CREATE UNLOGGED TABLE IF NOT EXISTS rows_in (LIKE rows1m); GRANT SELECT ON rows1m TO app; GRANT INSERT ON rows_in TO app; ANALYZE rows1m")
	}
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	return nil
}

// rows times a million rows each way, its client doing no more than to frame them.
func rows(ctx context.Context, g *kit.Gatestay, all [2][]*contender, t *table) error {
	for r := range t.options.Rounds {
		t.options.Log(fmt.Sprintf("rows: round %d of %d", r+1, t.options.Rounds))
		for _, b := range bulks {
			for _, set := range all {
				for i := range set {
					c := set[(i+r)%len(set)]
					name := withTLS(b.figure+c.name, c.tls)
					if c.commands || c.name == "pgbouncer-transaction" || !t.wants(name) {
						continue
					}
					if err := g.DB.Exec(ctx, "shop", "TRUNCATE rows_in"); err != nil {
						return fmt.Errorf("bench: %w", err)
					}
					took, cpu, err := c.large(ctx, b)
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
	}
	return nil
}

// large moves the million rows once.
func (c *contender) large(ctx context.Context, b bulk) (took, cpu time.Duration, err error) {
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
	n, err := b.run(r)
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
	for _, b := range bulks {
		for _, tls := range []bool{false, true} {
			name := func(c string) string { return withTLS(b.figure+c, tls) }
			t.lines(b.heading+", "+secured(tls)+": median (least–greatest)", resultNames, []line{
				{"s", name}, {"proxy's CPU a row, µs", func(c string) string { return name(c) + "/cpu" }},
			})
		}
	}
}
