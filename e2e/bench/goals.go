package bench

import "regexp"

// A goal is a relation between two figures of one run, or a bound of one.
type goal struct {
	figure  string // a pattern
	against string // replaces "gateway…" in the figure's name; empty: the bound is absolute
	bound   float64
	atMost  bool
}

// goals are what Gatestay wants to reach. The order is that of the table.
var goals = []goal{
	{figure: `^postgres/select/\w+/(16|64)/gateway(/tls)?$`, against: "splice", bound: 1},
	{figure: `^postgres/select/\w+/(16|64)/gateway(/tls)?$`, against: "pgbouncer-session", bound: 1},
	{figure: `^postgres/select/\w+/(16|64)/gateway/cpu$`, against: "splice", bound: 1, atMost: true},
	{figure: `^postgres/lone_read/added/gateway(/tls)?$`, bound: 30, atMost: true},
	{figure: `^postgres/rows1m/(gateway|gateway\+detectors)(/tls)?$`, against: "pgbouncer-session", bound: 1, atMost: true},
	{figure: `^postgres/rows1m/gateway\+masking(/tls)?$`, against: "pgbouncer-session", bound: 1 / 0.9, atMost: true},
	{figure: `^postgres/rows1m/gateway\+masking(/tls)?/cpu$`, bound: 0.4, atMost: true},
	{figure: `^postgres/idle_connection/gateway(/tls)?$`, bound: 64 << 10, atMost: true},
	{figure: `^postgres/slow_reader/gateway(/tls)?$`, bound: 32 << 20, atMost: true},
	{figure: `^journal/lone_write/added_p50$`, bound: 0.5, atMost: true},
	{figure: `^facts/cached$`, bound: 2000, atMost: true},
	{figure: `^policy/decide/100_rules$`, bound: 5000, atMost: true},
	{figure: `^records/lost$`, bound: 0, atMost: true},
}

var ourWay = regexp.MustCompile(`gateway(\+\w+)?`)

// printGoals sets what was measured beside what is wanted. A ratio is the
// median of the rounds' own ratios: what disturbs a round disturbs both.
func printGoals(t *table) {
	first := true
	for _, g := range goals {
		pattern := regexp.MustCompile(g.figure)
		for _, r := range t.results() {
			if !pattern.MatchString(r.Name) {
				continue
			}
			got, ok := t.against(r.Name, g.against)
			if !ok {
				continue
			}
			if first {
				t.heading("Against the targets")
				t.row("figure", "compared with", "measured", "wanted", "")
				t.rule(4)
				first = false
			}
			t.row(r.Name, or(g.against, r.Unit), number(got), g.wanted(), g.verdict(got))
		}
	}
}

// against returns the ratio to another contender's figure, or the figure.
func (t *table) against(figure, contender string) (float64, bool) {
	s := t.series[figure]
	if contender == "" {
		return s.median(), true
	}
	other := t.series[ourWay.ReplaceAllString(figure, contender)]
	if other == nil || len(other.samples) == 0 {
		return 0, false
	}
	ratios := &series{}
	for i := range min(len(s.samples), len(other.samples)) {
		ratios.add(s.samples[i] / other.samples[i])
	}
	return ratios.median(), true
}

func (g goal) wanted() string {
	if g.atMost {
		return "≤ " + number(g.bound)
	}
	return "≥ " + number(g.bound)
}

func (g goal) verdict(got float64) string {
	if g.atMost == (got <= g.bound) || got == g.bound {
		return "met"
	}
	return "not met"
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
