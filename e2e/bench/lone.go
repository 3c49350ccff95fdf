package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gatestay/gatestay/e2e/kit"
)

// loneReads are how many reads each contender does, one after the other.
const loneReads = 500

// loneNames are the contenders of a lone read. splice+records shows what is left
// to gain: it withholds an answer for its record, and does nothing else.
var loneNames = []string{"direct", "splice", "splice+records", "gateway"}

func loneName(contender string, tls bool) string {
	return withTLS("postgres/lone_read/"+contender, tls)
}

// addedName is by how much a median is longer than the longer one of a direct
// answer and a durable write: recording and answering may overlap.
func addedName(contender string, tls bool) string {
	return withTLS("postgres/lone_read/added/"+contender, tls)
}

// loneRead times single reads of one client, of all contenders by turns, and
// beside them a durable write of what a small batch of records takes.
func loneRead(ctx context.Context, g *kit.Gatestay, all [2][]*contender, t *table) error {
	for i, tls := range []bool{false, true} {
		var racers []*racer
		for _, c := range all[i] {
			if !slices.Contains(loneNames, c.name) || !t.wants(addedName("gateway", tls)) {
				continue
			}
			r, err := c.race(ctx)
			if err != nil {
				return err
			}
			defer r.close()
			racers = append(racers, r)
		}
		if len(racers) == 0 {
			continue
		}
		file, err := os.CreateTemp(g.Dir, "durable-")
		if err != nil {
			return fmt.Errorf("bench: %w", err)
		}
		defer func() { _ = file.Close() }()
		for r := range t.options.Rounds {
			t.options.Log(fmt.Sprintf("lone reads: round %d of %d, %s", r+1, t.options.Rounds, secured(tls)))
			if err := t.raceReads(ctx, racers, file, tls); err != nil {
				return err
			}
		}
	}
	return nil
}

// raceReads is one round.
func (t *table) raceReads(ctx context.Context, racers []*racer, file *os.File, tls bool) error {
	batch := make([]byte, 2<<10)
	took, durable := make([]series, len(racers)), &series{}
	for n := range loneReads {
		for i := range racers {
			at := (i + n) % len(racers) // nobody is always first
			us, err := racers[at].read(ctx, 1+(n*7919)%100_000)
			if err != nil {
				return err
			}
			took[at].add(us)
		}
		began := time.Now()
		_, err := file.Write(batch)
		if err := errors.Join(err, file.Sync()); err != nil {
			return fmt.Errorf("bench: %w", err)
		}
		durable.add(float64(time.Since(began).Nanoseconds()) / 1000)
	}
	floor := durable.median()
	for i, r := range racers {
		t.at(loneName(r.name, tls), "µs").add(took[i].median())
		if r.name == "direct" {
			floor = max(floor, took[i].median())
		}
	}
	t.at(loneName("durable_write", tls), "µs").add(durable.median())
	for i, r := range racers {
		if r.name == "splice+records" || r.name == "gateway" {
			t.at(addedName(r.name, tls), "µs").add(took[i].median() - floor)
		}
	}
	return nil
}

// racer is a connection with a prepared read.
type racer struct {
	name string
	conn *pgconn.PgConn
}

func (c *contender) race(ctx context.Context) (*racer, error) {
	via, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := via.dial(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Prepare(ctx, "lone", "SELECT abalance FROM pgbench_accounts WHERE aid = $1", nil); err != nil {
		return nil, errors.Join(fmt.Errorf("bench: %w", err), conn.Close(ctx))
	}
	return &racer{c.name, conn}, nil
}

// read returns how long a read takes, in microseconds.
func (r *racer) read(ctx context.Context, aid int) (float64, error) {
	began := time.Now()
	result := r.conn.ExecPrepared(ctx, "lone", [][]byte{[]byte(strconv.Itoa(aid))}, nil, nil).Read()
	if result.Err != nil {
		return 0, fmt.Errorf("bench: %s: %w", r.name, result.Err)
	}
	return float64(time.Since(began).Nanoseconds()) / 1000, nil
}

func (r *racer) close() { _ = r.conn.Close(context.Background()) }

func printLone(t *table) {
	var lines []line
	for _, tls := range []bool{false, true} {
		lines = append(lines, line{secured(tls), func(c string) string { return loneName(c, tls) }})
	}
	t.lines("One client's read, µs: median of the rounds' medians (least–greatest)", append(slices.Clone(loneNames), "durable_write"), lines)
}

// loneWrites are how many writes each contender does, one after the other.
const loneWrites = 500

// loneWrite times single writes of one client: through the gateway each waits
// for its record. Writes of both contenders alternate; the figure is by how much
// the gateway's median is longer, in each round.
func loneWrite(ctx context.Context, _ *kit.Gatestay, all [2][]*contender, t *table) error {
	const name = "journal/lone_write/added_p50"
	if !t.wants(name) {
		return nil
	}
	var pair [2]*pgconn.PgConn
	for i, want := range []string{"direct", "gateway"} {
		for _, c := range all[0] {
			if c.name != want {
				continue
			}
			via, err := c.connect(ctx)
			if err != nil {
				return err
			}
			if pair[i], err = via.dial(ctx); err != nil {
				return err
			}
			defer func() { _ = pair[i].Close(ctx) }()
		}
	}
	for r := range t.options.Rounds {
		t.options.Log(fmt.Sprintf("lone writes: round %d of %d", r+1, t.options.Rounds))
		var took [2]series
		for n := range loneWrites {
			for i, p := range pair {
				began := time.Now()
				_, err := p.Exec(ctx, fmt.Sprintf("UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = %d", 1+(n*7919)%100_000)).ReadAll()
				if err != nil {
					return fmt.Errorf("bench: %w", err)
				}
				took[i].add(float64(time.Since(began).Nanoseconds()) / 1e6)
			}
		}
		t.at(name, "ms").add(took[1].median() - took[0].median())
	}
	return nil
}
