package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/gatestay/gatestay/e2e/kit"
)

// Run measures and prints tables to w as it goes.
func Run(ctx context.Context, w io.Writer, o Options) (results []Result, err error) {
	g, err := kit.Start(ctx, kit.Options{Bin: o.Bin, LogLevel: "info", Progress: o.Log})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	want := func(part string) bool { return o.Only == "" || strings.Contains(o.Only, part) }

	if want("holds") {
		s, err := holds(ctx, g, o)
		if err != nil {
			return nil, err
		}
		p50, p99 := round(s.quantile(0.5)), round(s.quantile(0.99))
		results = append(results,
			Result{"approval/click_to_resumed/p50", p50, s.unit}, Result{"approval/click_to_resumed/p99", p99, s.unit})
		fmt.Fprintf(w, "\nFrom a click in Slack to the held statement's answer, ms (%d clicks)\n\n| p50 | p99 |\n|--:|--:|\n| %.1f | %.1f |\n", len(s.samples), p50, p99)
	}
	if want("archival") {
		archived, err := archive(ctx, g, o)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(w, "\nRecords a second into ClickHouse (%d records; median of the rounds)\n\n| gatestay | bare insert of the same rows |\n|--:|--:|\n| %s | %s |\n",
			o.Records, archived[0].cell(), archived[1].cell())
		results = append(results, archived[0].result(), archived[1].result())
	}
	if want("select") {
		if err := addPlainTarget(g); err != nil {
			return nil, err
		}
		// On this machine they would take the load's CPU; in a deployment they
		// run elsewhere. The gateway still journals and forwards every record.
		if err := g.Restart(ctx, []string{kit.Gateway}, []string{kit.Masking, kit.Archival}); err != nil {
			return nil, err
		}
		table, err := selects(ctx, g, o)
		if err != nil {
			return nil, fmt.Errorf("%w\n%s", err, g.LogTail(kit.Gateway, 10))
		}
		table.print(w)
		for _, s := range table.series {
			results = append(results, s.result())
		}
	}
	return results, nil
}
