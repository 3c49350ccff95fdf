package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/policy/offline"
	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
	"github.com/gatestay/gatestay/services/gatestay/internal/ui"
)

const testHelp = `Run the cases in *_test.yaml beside the rules. A case names a principal, a target
and SQL, and what is expected:

  cases:
    - name: an update waits
      principal: {preset: github-actions, repository_id: "1001", repository_owner_id: "2002"}
      target: prod-db
      sql: UPDATE orders SET state = 'sent' WHERE id = 7
      expect: {effect: hold, rule: writes, reason: required, row_limit: 1000}

expect: allow is short for {effect: allow}. Of several statements the one counts
that stops first. Names without a schema are taken to lie in public; no server is
asked. The policy service runs the same cases and publishes nothing that fails.

Exit code 1 if a case fails, a file has problems, or --run matches no case.`

func testCommand(env *cli.Env, w *where) *cobra.Command {
	var verbose bool
	var run string
	c := &cobra.Command{
		Use: "test", Short: "Run the cases in *_test.yaml", Long: testHelp, Example: "  gatestay policy test\n  gatestay policy test -v --run update", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			filter, err := regexp.Compile(run)
			if err != nil {
				return fmt.Errorf("--run: %w", err)
			}
			f, err := w.read()
			if err != nil {
				return err
			}
			return f.test(env, filter, verbose)
		},
	}
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "also print the cases that pass")
	c.Flags().StringVar(&run, "run", "", "only cases whose name matches this regular expression")
	return c
}

// tested is one case, as JSON.
type tested struct {
	Name     string        `json:"name"`
	File     string        `json:"file"`
	Line     int           `json:"line"`
	Passed   bool          `json:"passed"`
	Failures []string      `json:"failures,omitempty"`
	Effect   policy.Effect `json:"effect"`
	Rule     string        `json:"rule"`
	Why      string        `json:"why"`
	Seconds  float64       `json:"seconds"`
}

func (f *folder) test(env *cli.Env, filter *regexp.Regexp, verbose bool) error {
	start := time.Now()
	p := ui.New(env, env.Stdout)
	engine, problems, err := f.compile()
	var results []policy.Result
	if engine != nil {
		results, err = engine.Test(f.files, f.around.Targets, offline.Facts)
		if err != nil {
			problems, err = problemsOf(err)
		}
	}
	if err != nil {
		return err
	}
	if len(problems) > 0 {
		return f.refuse(env, p, problems)
	}
	all := len(results)
	results = slices.DeleteFunc(results, func(r policy.Result) bool { return !filter.MatchString(r.Case.Name) })
	if len(results) == 0 && filter.String() != "" {
		return fmt.Errorf("no case was run: --run %q matches none of %s in %s; 'gatestay policy test -v' names them", filter, plural(all, "case"), f.dir)
	}
	failed := 0
	out := make([]tested, 0, len(results))
	for _, r := range results {
		if !r.Passed() {
			failed++
		}
		out = append(out, tested{
			Name: r.Case.Name, File: f.path(r.Case.File), Line: r.Case.Line, Passed: r.Passed(), Failures: r.Failures,
			Effect: r.Decision.Effect, Rule: r.Decision.Rule, Why: r.Decision.Why, Seconds: r.Took.Seconds(),
		})
	}
	if env.JSON() {
		err = env.PrintJSON(out)
	} else {
		f.printTested(p, out, verbose)
		f.printSummary(p, engine, out, failed, time.Since(start))
	}
	if err == nil && failed > 0 {
		return cli.ExitError(1)
	}
	return err
}

// refuse prints problems and ends with exit code 1.
func (f *folder) refuse(env *cli.Env, p *ui.Printer, problems []policy.Problem) error {
	if env.JSON() {
		if err := env.PrintJSON(checked{Problems: problems, Findings: []policy.Finding{}}); err != nil {
			return err
		}
		return cli.ExitError(1)
	}
	notices := make([]notice, 0, len(problems))
	for _, x := range problems {
		notices = append(notices, f.problem(x))
	}
	f.print(p, "problem", notices)
	return cli.ExitError(1)
}

func (f *folder) printTested(p *ui.Printer, cases []tested, verbose bool) {
	for _, c := range cases {
		if c.Passed {
			if verbose {
				p.Line(p.Good("--- PASS: ") + c.Name + p.Dim(fmt.Sprintf(" (%s)", took(c.Seconds))))
			}
			continue
		}
		p.Line(p.Bad("--- FAIL: ") + c.Name + p.Dim(fmt.Sprintf(" (%s)", took(c.Seconds))))
		p.Line(fmt.Sprintf("    %s:%d", c.File, c.Line))
		for _, line := range c.Failures {
			p.Line("        " + line)
		}
	}
}

func (f *folder) printSummary(p *ui.Printer, e *policy.Engine, cases []tested, failed int, t time.Duration) {
	met := map[string]bool{}
	for _, c := range cases {
		met[c.Rule] = true
	}
	var unmet []string
	for _, r := range e.Rules() {
		if !met[r.Name] {
			unmet = append(unmet, r.Name)
		}
	}
	label := p.Good("ok  ")
	if failed > 0 {
		label = p.Bad("FAIL")
	}
	summary := fmt.Sprintf("%s  %s  %s", label, f.dir, plural(len(cases), "case"))
	if failed > 0 {
		summary += fmt.Sprintf(", %d failed", failed)
	}
	p.Line(summary + "  " + took(t.Seconds()))
	switch {
	case len(cases) == 0:
		p.Line(p.Warn("!     ") + "no case was run: write one into a *_test.yaml, " + f.env.Typed("see 'gatestay policy test --help'"))
	case len(unmet) > 0:
		p.Line(p.Dim("      no case is decided by: " + strings.Join(unmet, ", ")))
	}
}

func took(seconds float64) string {
	return time.Duration(seconds * float64(time.Second)).Round(10 * time.Microsecond).String()
}
