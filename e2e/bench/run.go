package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/gatestay/gatestay/e2e/kit"
	"github.com/gatestay/gatestay/libs/service"
)

// part is a part of the benchmark that needs the contenders.
type part struct {
	name string
	run  func(context.Context, *kit.Gatestay, [2][]*contender, *table) error
}

// The last two restart the gateway, so that it has no past.
var parts = []part{{"select", selects}, {"rows", rows}, {"sessions", sessions}, {"read", loneRead}, {"write", loneWrite}, {"slow", slow}, {"idle", idle}}

// Parts are the names that Options.Only takes.
func Parts() []string {
	all := []string{"decide", "holds", "archival"}
	for _, p := range parts {
		all = append(all, p.name)
	}
	return all
}

// chose reports whether a part is to run.
func (t *table) chose(part string) bool {
	return t.options.Only == "" || slices.Contains(strings.Split(t.options.Only, ","), part)
}

// Run measures and prints tables to w as it goes.
func Run(ctx context.Context, w io.Writer, o Options) (results []Result, err error) {
	t, err := newTable(o, w)
	if err != nil {
		return nil, err
	}
	if t.chose("decide") {
		if err := decide(ctx, t); err != nil {
			return nil, err
		}
		printDecide(t)
	}
	inContest := slices.ContainsFunc(parts, func(p part) bool { return t.chose(p.name) })
	if !inContest && !t.chose("holds") && !t.chose("archival") {
		printGoals(t)
		return t.results(), nil
	}
	if o.Profile != "" {
		if err := os.Setenv(service.ProfileVariable, "1"); err != nil {
			return nil, fmt.Errorf("bench: %w", err)
		}
	}
	g, err := kit.Start(ctx, kit.Options{Bin: o.Bin, LogLevel: "info", Progress: o.Log, TargetSettings: map[string]string{
		"max_connections": "1300", "log_statement": "none", "shared_buffers": "512MB",
	}})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	if t.chose("holds") {
		s, err := holds(ctx, g, o)
		if err != nil {
			return nil, err
		}
		p50, p99 := round(s.quantile(0.5)), round(s.quantile(0.99))
		results = append(results,
			Result{"approval/click_to_resumed/p50", p50, s.unit}, Result{"approval/click_to_resumed/p99", p99, s.unit})
		fmt.Fprintf(w, "\nFrom a click in Slack to the held statement's answer, ms (%d clicks)\n\n| p50 | p99 |\n|--:|--:|\n| %.1f | %.1f |\n", len(s.samples), p50, p99)
		many, err := crowd(ctx, g, o)
		if err != nil {
			return nil, fmt.Errorf("%w\n%s", err, g.LogTail(kit.Approval, 10))
		}
		results = append(results, many...)
		fmt.Fprintf(w, "\n%d commands held at once\n\n| a held command, KiB | its connection among it, KiB | until all wait, s | votes a second |\n|--:|--:|--:|--:|\n| %.1f | %.1f | %.2f | %.0f |\n",
			crowdSize, many[0].Value/1024, many[1].Value/1024, many[2].Value, many[3].Value)
	}
	if t.chose("archival") {
		archived, err := archive(ctx, g, o)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(w, "\nRecords a second into ClickHouse (%d records; median of the rounds)\n\n| gatestay | bare insert of the same rows |\n|--:|--:|\n| %s | %s |\n",
			o.Records, archived[0].cell(), archived[1].cell())
		results = append(results, archived[0].result(), archived[1].result())
	}
	if inContest {
		if err := contest(ctx, g, t); err != nil {
			return nil, fmt.Errorf("%w\n%s", err, g.LogTail(kit.Gateway, 10))
		}
		printSelects(t)
		printRows(t)
		printLone(t)
		printConnections(t)
		printRecords(t)
	}
	printGoals(t)
	return append(results, t.results()...), nil
}

// contest runs the parts in which ways to the database compete.
func contest(ctx context.Context, g *kit.Gatestay, t *table) error {
	if err := addTargets(g); err != nil {
		return err
	}
	if err := loaded(ctx, g); err != nil {
		return err
	}
	// On this machine they would take the load's CPU; in a deployment they
	// run elsewhere. The gateway still journals and forwards every record.
	if err := g.Restart(ctx, []string{kit.Gateway}, []string{kit.Masking, kit.Archival}); err != nil {
		return err
	}
	if err := grantSelect(ctx, g); err != nil {
		return err
	}
	if err := makeRows(ctx, g); err != nil {
		return err
	}
	all, stop, err := both(ctx, g)
	defer stop()
	if err != nil {
		return err
	}
	if t.options.Profile != "" {
		return profile(ctx, g, all, t)
	}
	for _, p := range parts {
		if !t.chose(p.name) {
			continue
		}
		if err := p.run(ctx, g, all, t); err != nil {
			return err
		}
	}
	return atRest(ctx, g, t)
}

// loaded waits until the gateway has the rules that addTargets wrote, and has
// got no newer ones for a second: several files have changed.
func loaded(ctx context.Context, g *kit.Gatestay) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	var last [2]string
	since := time.Now()
	for {
		var now [2]string
		for i, kind := range []string{"policy", "masking"} {
			var err error
			if now[i], err = metric(ctx, g, "gatestay_gateway_"+kind+"_version"); err != nil {
				return err
			}
		}
		if now != last {
			last, since = now, time.Now()
		}
		if now[0] > "1" && now[1] > "1" && time.Since(since) > time.Second {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("bench: the gateway has policy version %s and masking version %s", now[0], now[1])
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func metric(ctx context.Context, g *kit.Gatestay, name string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, g.Health(kit.Gateway)+"/metrics", nil)
	if err != nil {
		return "", fmt.Errorf("bench: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", fmt.Errorf("bench: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			return value, nil
		}
	}
	return "", nil
}
