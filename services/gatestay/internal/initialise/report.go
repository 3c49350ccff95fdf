package initialise

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
	"github.com/gatestay/gatestay/services/gatestay/internal/ui"
)

// report is what init says at its end.
type report struct {
	o        options
	tables   []*table
	proposal proposal
	skipped  []string
	files    []outcome
}

// proposed is one mask, as JSON.
type proposed struct {
	Name     string `json:"name"`
	Column   string `json:"column"`
	Strategy string `json:"strategy"`
	Reason   string `json:"reason"`
}

func (r report) print(env *cli.Env, p *ui.Printer) error {
	if env.JSON() {
		masks := make([]proposed, len(r.proposal.masks))
		for i, m := range r.proposal.masks {
			masks[i] = proposed{m.Name, m.Column.String(), string(m.Strategy), m.Reason}
		}
		return env.PrintJSON(map[string]any{"target": r.o.target, "tables": len(r.tables), "masks": masks, "notes": r.proposal.notes, "not_sampled": r.skipped, "files": r.files})
	}
	columns := 0
	for _, t := range r.tables {
		columns += len(t.columns)
	}
	p.Title(fmt.Sprintf("%s: %d tables, %d columns, %d look sensitive", r.o.target, len(r.tables), columns, len(r.proposal.masks)))
	rows := [][]string{{"column", "mask", "why"}}
	for _, m := range r.proposal.masks {
		rows = append(rows, []string{comment(m.Column.String()), string(m.Strategy), comment(m.Reason)})
	}
	if len(rows) > 1 {
		for _, line := range p.Table(rows) {
			fmt.Fprintln(env.Stdout, "  "+line)
		}
	}
	for _, n := range r.proposal.notes {
		p.Progress(comment(n) + ": left to the detectors")
	}
	if len(r.skipped) > 0 {
		p.Progress(comment("not sampled (no right to read, or too slow): " + strings.Join(r.skipped, ", ")))
	}
	p.Title("Files")
	kept := 0
	for _, f := range r.files {
		switch {
		case f.Written:
			fmt.Fprintf(env.Stdout, "  wrote %s (%d lines)\n", f.Path, f.Lines)
		case f.Same:
			fmt.Fprintf(env.Stdout, "  %s is there already, with the same content\n", f.Path)
		default:
			kept++
			fmt.Fprintf(env.Stdout, "  %s is there already and stays as it is; %d lines would have been written\n", f.Path, f.Lines)
		}
	}
	if kept > 0 {
		p.Note("See what would have been written with --print, or write beside it with --out.")
	}
	p.Note("Read the files: they are a beginning, and each line says what it does. Then:")
	config := filepath.Join(r.o.out, "gatestay.yaml")
	p.Code("gatestay policy test --config " + config)
	if r.o.repositoryID == "" {
		name := r.o.repository
		if name == "" {
			name = unnamed
		}
		p.Code("gatestay policy pin " + name + " --repository-id … --owner-id … --config " + config + "   # until then the rules match no job")
	}
	p.Code("gatestay policy check --config " + config + " --catalog")
	p.Code("gatestay keys --config " + config)
	return nil
}
