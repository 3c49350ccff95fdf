package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"time"
)

// connection is how one contender is reached.
type connection struct {
	host, port, database, user, password string
	tls                                  bool
	ca                                   string
}

func (c connection) environment() []string {
	// No channel binding: whoever ends TLS in the middle cannot have it, and it
	// is not part of what is measured.
	env := append(os.Environ(), "PGHOST="+c.host, "PGPORT="+c.port, "PGDATABASE="+c.database, "PGUSER="+c.user, "PGPASSWORD="+c.password,
		"PGGSSENCMODE=disable", "PGCHANNELBINDING=disable", "PGSSLMODE=disable")
	if c.tls {
		env = append(env, "PGSSLMODE=verify-ca", "PGSSLROOTCERT="+c.ca)
	}
	return env
}

// load is one pgbench run's result.
type load struct {
	tps          float64
	transactions float64
	// cpu is what the proxy used for one transaction once all clients had signed
	// in: signing in costs more than a thousand selects.
	cpu time.Duration
}

var (
	tpsLine          = regexp.MustCompile(`(?m)^tps = ([0-9.]+) \(without initial connection time\)`)
	transactionsLine = regexp.MustCompile(`(?m)^number of transactions actually processed: ([0-9]+)`)
	progressLine     = regexp.MustCompile(`^progress: ([0-9.]+) s, ([0-9.]+) tps`)
)

// pgbench runs the select-only script for some seconds, behind one in which the
// clients sign in. cpu reads the proxy's clock.
func pgbench(ctx context.Context, c connection, protocol string, clients, seconds int, cpu func() (time.Duration, error)) (load, error) {
	command := exec.CommandContext(ctx, "pgbench", "--no-vacuum", "--select-only", "--protocol="+protocol, "--progress=1",
		"--client="+strconv.Itoa(clients), "--jobs="+strconv.Itoa(min(clients, 2)), "--time="+strconv.Itoa(seconds+1))
	command.Env = c.environment()
	var out bytes.Buffer
	command.Stdout = &out
	said, err := command.StderrPipe()
	if err != nil {
		return load{}, fmt.Errorf("bench: %w", err)
	}
	if err := command.Start(); err != nil {
		return load{}, fmt.Errorf("bench: pgbench: %w", err)
	}
	perTransaction, complaints, err := watchProgress(said, cpu)
	if err := errors.Join(command.Wait(), err); err != nil {
		return load{}, fmt.Errorf("bench: pgbench: %w\n%s%s", err, complaints, out.String())
	}
	tps, transactions := tpsLine.FindSubmatch(out.Bytes()), transactionsLine.FindSubmatch(out.Bytes())
	if tps == nil || transactions == nil {
		return load{}, fmt.Errorf("bench: pgbench printed no result:\n%s", out.String())
	}
	l := load{cpu: perTransaction}
	l.tps, _ = strconv.ParseFloat(string(tps[1]), 64)
	l.transactions, _ = strconv.ParseFloat(string(transactions[1]), 64)
	return l, nil
}

// watchProgress reads the clock at pgbench's lines of progress, one a second,
// and returns what a transaction between the first and the last of them took.
func watchProgress(said io.Reader, cpu func() (time.Duration, error)) (each time.Duration, rest string, err error) {
	var from, to time.Duration
	var since, transactions float64
	seen := 0
	for lines := bufio.NewScanner(said); lines.Scan(); {
		m := progressLine.FindStringSubmatch(lines.Text())
		if m == nil {
			rest += lines.Text() + "\n"
			continue
		}
		now, clock := cpu()
		err = errors.Join(err, clock)
		at, _ := strconv.ParseFloat(m[1], 64)
		tps, _ := strconv.ParseFloat(m[2], 64)
		if seen++; seen == 1 {
			from = now
		} else {
			transactions += tps * (at - since)
		}
		to, since = now, at
	}
	if transactions < 1 {
		return 0, rest, err
	}
	return time.Duration(float64(to-from) / transactions), rest, err
}

// initialise makes pgbench's tables at the target itself.
func initialise(ctx context.Context, c connection) error {
	command := exec.CommandContext(ctx, "pgbench", "--initialize", "--scale=1", "--quiet")
	command.Env = c.environment()
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("bench: pgbench --initialize: %w\n%s", err, out)
	}
	return nil
}
