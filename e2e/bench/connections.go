package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gatestay/gatestay/e2e/kit"
)

// idleConnections are those that lie idle at once.
const idleConnections = 1000

// sessions counts how many connections a second sign in, run a query and leave.
func sessions(ctx context.Context, _ *kit.Gatestay, all [2][]*contender, t *table) error {
	for r := range t.options.Rounds {
		t.options.Log(fmt.Sprintf("sessions: round %d of %d", r+1, t.options.Rounds))
		for _, set := range all {
			for i := range set {
				c := set[(i+r)%len(set)]
				name := sessionsName(c.name, c.tls)
				if c.results || c.commands || c.name == "gateway+masking" || !t.wants(name) {
					continue
				}
				rate, err := c.signIns(ctx, time.Duration(t.options.Seconds)*time.Second)
				if err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				t.at(name, "sessions/s").add(rate)
			}
		}
	}
	return nil
}

func sessionsName(contender string, tls bool) string {
	return withTLS("postgres/sessions/"+contender, tls)
}

// signIns opens and closes sessions, eight at a time.
func (c *contender) signIns(ctx context.Context, during time.Duration) (float64, error) {
	via, err := c.connect(ctx)
	if err != nil {
		return 0, err
	}
	var mu sync.Mutex
	var all []error
	n := 0
	began := time.Now()
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for time.Since(began) < during {
				err := signIn(ctx, via)
				mu.Lock()
				n++
				all = append(all, err)
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	workers.Wait()
	return float64(n) / time.Since(began).Seconds(), errors.Join(all...)
}

func signIn(ctx context.Context, via connection) error {
	p, err := via.dial(ctx)
	if err != nil {
		return err
	}
	_, err = p.Exec(ctx, "SELECT 1").ReadAll()
	if err := errors.Join(err, p.Close(ctx)); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	return nil
}

// idle measures what a connection that does nothing costs the gateway. Each has
// run one query.
func idle(ctx context.Context, g *kit.Gatestay, all [2][]*contender, t *table) error {
	for _, set := range all {
		for _, c := range set {
			name := withTLS("postgres/idle_connection/"+c.name, c.tls)
			if c.name != "gateway" || !t.wants(name) {
				continue
			}
			t.options.Log(fmt.Sprintf("idle: %d connections, %s", idleConnections, secured(c.tls)))
			// A process without a past: what earlier load has left would hide it.
			if err := g.Restart(ctx, []string{kit.Gateway}, nil); err != nil {
				return err
			}
			c.pid = g.PID(kit.Gateway)
			grown, err := c.idle(ctx, func() error { return nil })
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			t.at(name, "bytes").add(grown / idleConnections)
		}
	}
	return nil
}

func (c *contender) idle(ctx context.Context, look func() error) (grown float64, err error) {
	via, err := c.connect(ctx)
	if err != nil {
		return 0, err
	}
	if err := signIn(ctx, via); err != nil { // what the first one brings along is not a connection's
		return 0, err
	}
	before, err := resident(c.pid)
	if err != nil {
		return 0, err
	}
	for range idleConnections {
		p, err := via.dial(ctx)
		if err != nil {
			return 0, err
		}
		defer func() { _ = p.Close(ctx) }()
		if _, err := p.Exec(ctx, "SELECT 1").ReadAll(); err != nil {
			return 0, fmt.Errorf("bench: %w", err)
		}
	}
	after, err := resident(c.pid)
	return after - before, errors.Join(err, look())
}

// slow lets a client ask for the large result and not read it for a while, and
// measures how the gateway grows.
func slow(ctx context.Context, g *kit.Gatestay, all [2][]*contender, t *table) error {
	for _, set := range all {
		for _, c := range set {
			name := withTLS("postgres/slow_reader/"+c.name, c.tls)
			if c.name != "gateway+masking" && c.name != "gateway" || !t.wants(name) {
				continue
			}
			t.options.Log("slow reader: " + c.name + ", " + secured(c.tls))
			if err := g.Restart(ctx, []string{kit.Gateway}, nil); err != nil {
				return err
			}
			c.pid = g.PID(kit.Gateway)
			grown, err := c.slow(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			t.at(name, "bytes").add(grown)
		}
	}
	return nil
}

func (c *contender) slow(ctx context.Context) (grown float64, err error) {
	via, err := c.connect(ctx)
	if err != nil {
		return 0, err
	}
	r, err := via.raw(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = r.Close() }()
	before, err := resident(c.pid)
	if err != nil {
		return 0, err
	}
	if err := r.query(largeQuery); err != nil {
		return 0, err
	}
	done := make(chan error, 1)
	go func() {
		select {
		case <-time.After(2 * time.Second): // everything that can fill up has
		case <-ctx.Done():
		}
		_, err := r.drain()
		done <- err
	}()
	most := before
	for {
		now, err := resident(c.pid)
		if err != nil {
			return 0, err
		}
		most = max(most, now)
		select {
		case err := <-done:
			return most - before, err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// resident returns the bytes of a process that lie in memory.
func resident(pid int) (float64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("bench: %w", err)
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "VmRSS:"); ok {
			kib, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 64)
			if err != nil {
				return 0, fmt.Errorf("bench: %w", err)
			}
			return kib * 1024, nil
		}
	}
	return 0, fmt.Errorf("bench: process %d has no VmRSS", pid)
}

func printConnections(t *table) {
	ways := names[:len(names)-1]
	var signIns []line
	for _, tls := range []bool{false, true} {
		signIns = append(signIns, line{secured(tls), func(c string) string { return sessionsName(c, tls) }})
	}
	t.lines("Sessions a second: sign in, run a query, leave; eight at a time", ways, signIns)
	for _, part := range []struct{ name, title, unit string }{
		{"postgres/idle_connection/", fmt.Sprintf("What a connection costs the gateway while %d lie idle", idleConnections), "KiB"},
		{"postgres/slow_reader/", "How the gateway grows while a client reads a million rows slowly", "KiB"},
	} {
		columns := []string{"gateway", "gateway+masking"}
		if !slices.ContainsFunc(columns, func(c string) bool { return t.measured(part.name+c, part.name+c+"/tls") }) {
			continue
		}
		t.heading(part.title + ", " + part.unit)
		t.row("", columns...)
		t.rule(len(columns))
		for _, tls := range []bool{false, true} {
			cells := make([]string, len(columns))
			for i, c := range columns {
				cells[i] = "—"
				if s := t.series[withTLS(part.name+c, tls)]; s != nil {
					cells[i] = number(s.median() / 1024)
				}
			}
			t.row(secured(tls), cells...)
		}
	}
}
