package bench

import (
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
)

// table is the figures of a part of the benchmark, by name, and how to print
// them as Markdown.
type table struct {
	options Options
	match   *regexp.Regexp
	series  map[string]*series
	out     io.Writer
	sent    int // selects that the gateway has answered
}

func newTable(o Options, out io.Writer) (*table, error) {
	match, err := regexp.Compile(o.Match)
	if err != nil {
		return nil, fmt.Errorf("--match: %w", err)
	}
	return &table{options: o, match: match, series: map[string]*series{}, out: out}, nil
}

// wants reports whether a figure is to be measured.
func (t *table) wants(name string) bool { return t.match.MatchString(name) }

// at returns the samples of a figure.
func (t *table) at(name, unit string) *series {
	s := t.series[name]
	if s == nil {
		s = &series{name: name, unit: unit}
		t.series[name] = s
	}
	return s
}

func (t *table) results() []Result {
	var all []Result
	for _, name := range slices.Sorted(maps.Keys(t.series)) {
		all = append(all, t.series[name].result())
	}
	return all
}

// measured reports whether there is any sample of the figures.
func (t *table) measured(names ...string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return t.series[n] != nil })
}

func (t *table) heading(title string) { fmt.Fprintf(t.out, "\n%s\n\n", title) }

func (t *table) row(first string, rest ...string) {
	fmt.Fprintf(t.out, "| %s |", first)
	for _, c := range rest {
		fmt.Fprintf(t.out, " %s |", c)
	}
	fmt.Fprintln(t.out)
}

func (t *table) rule(columns int) {
	fmt.Fprint(t.out, "|---|")
	for range columns {
		fmt.Fprint(t.out, "--:|")
	}
	fmt.Fprintln(t.out)
}

// line is one row of figures.
type line struct {
	first string
	name  func(column string) string // of the figure
}

// lines prints a table of the lines, and the columns, that have a figure.
func (t *table) lines(title string, columns []string, lines []line) {
	lines = slices.DeleteFunc(lines, func(l line) bool {
		return !slices.ContainsFunc(columns, func(c string) bool { return t.measured(l.name(c)) })
	})
	columns = slices.DeleteFunc(slices.Clone(columns), func(c string) bool {
		return !slices.ContainsFunc(lines, func(l line) bool { return t.measured(l.name(c)) })
	})
	if len(lines) == 0 {
		return
	}
	t.heading(title)
	t.row("", columns...)
	t.rule(len(columns))
	for _, l := range lines {
		cells := make([]string, len(columns))
		for i, c := range columns {
			cells[i] = t.series[l.name(c)].cell()
		}
		t.row(l.first, cells...)
	}
}

func withTLS(name string, tls bool) string {
	if tls {
		return name + "/tls"
	}
	return name
}

func secured(tls bool) string {
	if tls {
		return "TLS on both sides"
	}
	return "without TLS, on loopback"
}
