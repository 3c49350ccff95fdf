package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
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
}

var (
	tpsLine          = regexp.MustCompile(`(?m)^tps = ([0-9.]+) \(without initial connection time\)`)
	transactionsLine = regexp.MustCompile(`(?m)^number of transactions actually processed: ([0-9]+)`)
)

// pgbench runs the select-only script for some seconds.
func pgbench(ctx context.Context, c connection, protocol string, clients, seconds int) (load, error) {
	command := exec.CommandContext(ctx, "pgbench", "--no-vacuum", "--select-only", "--protocol="+protocol,
		"--client="+strconv.Itoa(clients), "--jobs="+strconv.Itoa(min(clients, 2)), "--time="+strconv.Itoa(seconds))
	command.Env = c.environment()
	out, err := command.CombinedOutput()
	if err != nil {
		return load{}, fmt.Errorf("bench: pgbench: %w\n%s", err, strings.TrimSpace(string(out)))
	}
	tps, transactions := tpsLine.FindSubmatch(out), transactionsLine.FindSubmatch(out)
	if tps == nil || transactions == nil {
		return load{}, fmt.Errorf("bench: pgbench printed no result:\n%s", out)
	}
	var l load
	l.tps, _ = strconv.ParseFloat(string(tps[1]), 64)
	l.transactions, _ = strconv.ParseFloat(string(transactions[1]), 64)
	return l, nil
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
