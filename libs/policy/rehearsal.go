package policy

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"github.com/goccy/go-yaml/ast"
)

// Bounds and defaults of a rehearsal.
const (
	DefaultRehearsalTimeout = 5 * time.Second
	maxRehearsalTimeout     = 30 * time.Second
)

var rehearsalKeys = []string{"timeout"}

// Rehearsal lets a held command run in a transaction that is rolled back, to
// measure what it changes.
type Rehearsal struct {
	Timeout time.Duration `json:"timeout"` // of the command, 1s to 30s
}

// Measured is what a command has changed, in a rehearsal or before its commit.
type Measured struct {
	Rows   uint64   // inserted, updated and deleted, over all tables
	Tables []string // with their schemas
	// Total are these rows and those of all commands that the same run has passed
	// with in this way before; at least Rows.
	Total uint64
}

// ApproveIf is the condition under which a held command needs nobody: that of
// every hold rule that matched it, since one rule's bound is no leave of another.
// It is immutable and safe for concurrent use; nil allows nothing.
type ApproveIf struct{ conditions []*measuredCondition }

// Allows reports that what was measured is within every bound. What cannot be
// evaluated is not.
func (a *ApproveIf) Allows(m Measured) bool {
	total := max(m.Total, m.Rows)
	if a == nil || len(a.conditions) == 0 || total > math.MaxInt64 {
		return false
	}
	tables := slices.Compact(slices.Sorted(slices.Values(m.Tables)))
	for _, c := range a.conditions {
		out, _, err := c.program.Eval(map[string]any{varRows: int64(min(m.Rows, math.MaxInt64)), varTotal: int64(min(total, math.MaxInt64)), varTables: tables})
		if err != nil || out.Value() != true {
			return false
		}
	}
	return true
}

// String is the condition as written; several are joined by &&.
func (a *ApproveIf) String() string {
	if a == nil {
		return ""
	}
	parts := make([]string, len(a.conditions))
	for i, c := range a.conditions {
		parts[i] = c.text
	}
	slices.Sort(parts)
	return strings.Join(slices.Compact(parts), " && ")
}

// The variables of approve_if.
const (
	varRows   = "rehearsal.rows"
	varTotal  = "rehearsal.total"
	varTables = "rehearsal.tables"
)

// measuredCondition is a compiled approve_if.
type measuredCondition struct {
	text    string
	program cel.Program
}

// rehearsal reads "allow", or a mapping.
func (s *source) rehearsal(n ast.Node) *Rehearsal {
	r := &Rehearsal{Timeout: DefaultRehearsalTimeout}
	if kind(n) == "a mapping" {
		entries := s.entries(n, "rehearsal", rehearsalKeys)
		if len(entries) == 0 {
			s.bad(n, "an empty rehearsal", `write "rehearsal: allow"`)
		}
		for _, e := range entries {
			r.Timeout = s.duration(e.value, "timeout", maxRehearsalTimeout)
		}
		return r
	}
	if t := s.text(n, "rehearsal"); t != "" && t != "allow" {
		s.bad(n, fmt.Sprintf("rehearsal %q is not known", t), `write "rehearsal: allow" or "rehearsal: {timeout: 5s}", or leave the key out`)
	}
	return r
}

// approveIf compiles a condition over what was measured.
func (s *source) approveIf(n ast.Node, text string) *measuredCondition {
	bad := func(what, remedy string) *measuredCondition {
		s.bad(n, "approve_if: "+what, remedy)
		return nil
	}
	const remedy = "compare rehearsal.rows or rehearsal.total (numbers), or rehearsal.tables (names with their schemas): rehearsal.rows <= 50"
	if len(text) > maxCondition {
		return bad(fmt.Sprintf("the condition is longer than %d bytes", maxCondition), "write a shorter one")
	}
	env, err := cel.NewEnv(cel.ParserRecursionLimit(64), cel.ParserExpressionSizeLimit(maxCondition),
		cel.Variable(varRows, cel.IntType), cel.Variable(varTotal, cel.IntType), cel.Variable(varTables, cel.ListType(cel.StringType)))
	if err != nil {
		return bad(err.Error(), remedy)
	}
	checked, issues := env.Compile(text)
	switch {
	case issues.Err() != nil:
		return bad(strings.TrimPrefix(issues.Errors()[0].Message, "Syntax error: "), remedy)
	case checked.OutputType() != cel.BoolType:
		return bad(fmt.Sprintf("it is of type %s, not bool", checked.OutputType()), remedy)
	}
	bounded := false
	for _, r := range checked.NativeRep().ReferenceMap() {
		bounded = bounded || r.Name == varRows || r.Name == varTotal
	}
	if !bounded {
		return bad("it does not look at rehearsal.rows or rehearsal.total, so it bounds nothing", remedy)
	}
	program, err := env.Program(checked, cel.CostLimit(maxCost))
	if err != nil {
		return bad(err.Error(), remedy)
	}
	c := &measuredCondition{text: text, program: program}
	if (&ApproveIf{[]*measuredCondition{c}}).Allows(Measured{Rows: math.MaxInt64}) {
		return bad("it is true however many rows are changed, so it bounds nothing", remedy)
	}
	return c
}

// rehearsals returns what all hold rules that match a command allow together.
func rehearsals(holds []*rule) (*Rehearsal, *ApproveIf) {
	if len(holds) == 0 {
		return nil, nil
	}
	all := &Rehearsal{}
	bound := &ApproveIf{}
	for _, r := range holds {
		if r.Rehearsal == nil {
			return nil, nil
		}
		if all.Timeout == 0 || r.Rehearsal.Timeout < all.Timeout {
			all.Timeout = r.Rehearsal.Timeout
		}
		if r.bound == nil { // it wants a person, whatever is measured
			bound = nil
		}
		if bound != nil {
			bound.conditions = append(bound.conditions, r.bound)
		}
	}
	return all, bound
}
