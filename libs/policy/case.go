package policy

import (
	"fmt"
	"time"

	"github.com/gatestay/gatestay/libs/command"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// FactsFunc returns the facts of every statement of a text. An error makes the
// whole text unknown, as at the gateway.
type FactsFunc func(t Target, sql string) ([]command.Facts, error)

// Case is one test of a policy: what is asked, and what is expected.
type Case struct {
	Name  string
	File  string
	Line  int
	SQL   string
	input Input
	facts *command.Facts // given instead of SQL
	// measured is what a rehearsal would measure; nil for none.
	measured *Measured
	expect   expectation
	seen     map[string]bool // keys of expect that were written
}

type expectation struct {
	Effect            Effect
	Rule              string
	ReasonRequired    bool
	RowLimit          int64
	ByteLimit         int64
	Approvers         *Approvers
	Deadline          time.Duration
	HoldInTransaction time.Duration
	BreakGlass        bool
	ApproveIf         bool // what was measured lets it pass without a person
}

// Result is how one case went.
type Result struct {
	Case     Case
	Decision Decision
	Failures []string // empty: passed
	Took     time.Duration
}

// Passed reports whether all was as expected.
func (r Result) Passed() bool { return len(r.Failures) == 0 }

// Test runs the cases of all test files. targets gives the environments of the
// targets that cases name. The error is a *ProblemsError where a test file
// cannot be read.
func (e *Engine) Test(files map[string][]byte, targets []Target, facts FactsFunc) ([]Result, error) {
	var cases []Case
	var problems []Problem
	for _, name := range sortedNames(files) {
		if !IsTestFile(name) {
			continue
		}
		r := &caseReader{source: source{file: name}, engine: e, targets: targets}
		cases = append(cases, r.read(files[name])...)
		problems = append(problems, r.problems...)
	}
	if len(problems) > 0 {
		sortProblems(problems)
		return nil, &ProblemsError{Problems: problems}
	}
	results := make([]Result, 0, len(cases))
	for _, c := range cases {
		start := time.Now()
		r := Result{Case: c, Decision: e.decideText(c.input, c.SQL, c.facts, facts)}
		r.Took = time.Since(start)
		r.Failures = c.failures(r.Decision, len(e.index(c.input.Target).hours) > 0)
		results = append(results, r)
	}
	return results, nil
}

// decideText decides every statement of a text, as the gateway would, and
// returns the decision that stops the text first.
func (e *Engine) decideText(in Input, sql string, given *command.Facts, facts FactsFunc) Decision {
	list := StatementFacts(in.Target, sql, facts)
	if given != nil {
		list = []command.Facts{*given}
	}
	order := map[Effect]int{Allow: 0, Hold: 1, Deny: 2}
	var worst Decision
	for i := range list {
		in.Facts = &list[i]
		if d := e.Decide(in); worst.Effect == "" || order[d.Effect] > order[worst.Effect] {
			worst = d
		}
	}
	return worst
}

// StatementFacts returns the facts of a text's statements; what cannot be
// parsed, or holds no statement, is one unknown command.
func StatementFacts(t Target, sql string, facts FactsFunc) []command.Facts {
	unknown := command.Facts{Class: command.Unknown, Why: "no parser"}
	if facts != nil {
		list, err := facts(t, sql)
		switch {
		case err == nil && len(list) > 0:
			return list
		case err != nil:
			unknown.Why = err.Error()
		default:
			unknown.Why = "no statement in it"
		}
	}
	return []command.Facts{unknown}
}

func (c *Case) failures(d Decision, timed bool) []string {
	var out []string
	differs := func(key string, got, want any) {
		out = append(out, fmt.Sprintf("%s: got %v, want %v", key, got, want))
	}
	x := c.expect
	if d.Effect != x.Effect {
		differs("effect", d.Effect, x.Effect)
	}
	if c.seen["rule"] && d.Rule != x.Rule {
		differs("rule", orDefault(d.Rule), x.Rule)
	}
	if c.seen["reason"] && d.ReasonRequired != x.ReasonRequired {
		differs("reason", "not required", "required")
	}
	if c.seen["row_limit"] && d.RowLimit != x.RowLimit {
		differs("row_limit", d.RowLimit, x.RowLimit)
	}
	if c.seen["byte_limit"] && d.ByteLimit != x.ByteLimit {
		differs("byte_limit", d.ByteLimit, x.ByteLimit)
	}
	if c.seen["deadline"] && d.Deadline != x.Deadline {
		differs("deadline", Short(d.Deadline), Short(x.Deadline))
	}
	if c.seen["hold_in_transaction"] && d.HoldInTransaction != x.HoldInTransaction {
		differs("hold_in_transaction", Short(d.HoldInTransaction), Short(x.HoldInTransaction))
	}
	if c.seen["break_glass"] && (d.BreakGlass != nil) != x.BreakGlass {
		differs("break_glass", glassWord(d.BreakGlass != nil), glassWord(x.BreakGlass))
	}
	if c.seen["approve_if"] {
		if got := d.ApproveIf.Allows(*c.measured); got != x.ApproveIf {
			differs("approve_if", got, x.ApproveIf)
		}
	}
	if c.seen["approvers"] && !sameApprovers(d.Approvers, x.Approvers) {
		differs("approvers", approversText(d.Approvers), approversText(x.Approvers.Event()))
	}
	if len(out) > 0 && c.input.At.IsZero() && timed {
		out = append(out, "the case says no at:, and so rules with hours do not allow, and the others of them are there")
	}
	if len(out) > 0 && d.Why != "" {
		out = append(out, "because "+d.Why)
	}
	return out
}

func orDefault(rule string) string {
	if rule == "" {
		return "no rule (the default)"
	}
	return rule
}

func sameApprovers(got *eventv1.Approvers, want *Approvers) bool {
	return approversText(got) == approversText(want.Event())
}
