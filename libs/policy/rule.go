package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/gatestay/gatestay/libs/hours"
)

// Effect is what a rule, or the whole policy, does with a command.
type Effect string

// The effects; deny beats hold beats allow.
const (
	Allow Effect = "allow"
	Hold  Effect = "hold"
	Deny  Effect = "deny"
)

// Bounds and defaults of a hold.
const (
	DefaultDeadline      = 15 * time.Minute
	maxDeadline          = 24 * time.Hour
	maxHoldInTransaction = time.Hour
	maxRowLimit          = 1_000_000_000_000
	maxByteLimit         = 1 << 50
)

var (
	fileKeys = []string{"rules", "freezes"}
	ruleKeys = []string{"name", "description", "effect", "targets", "environments", "principals", "when", "hours", "approvers", "deadline", "reason", "row_limit", "byte_limit", "hold_in_transaction", "hold", "grants", "rehearsal", "approve_if", "break_glass", "masked_copies"}

	effects = []string{string(Allow), string(Hold), string(Deny)}
)

// Rule is one rule as written, with defaults filled in.
type Rule struct {
	Name         string     `json:"name"`
	Description  string     `json:"description,omitempty"`
	Effect       Effect     `json:"effect"`
	Targets      []string   `json:"targets,omitempty"` // names or globs
	Environments []string   `json:"environments,omitempty"`
	Principals   []Selector `json:"principals"`
	When         string     `json:"when,omitempty"` // CEL
	// Hours, if any, are when the rule is there at all.
	Hours             hours.List    `json:"hours,omitempty"`
	Approvers         *Approvers    `json:"approvers,omitempty"`
	Deadline          time.Duration `json:"deadline,omitempty"`
	ReasonRequired    bool          `json:"reason_required,omitempty"`
	RowLimit          int64         `json:"row_limit,omitempty"`  // 0 is none
	ByteLimit         int64         `json:"byte_limit,omitempty"` // of a result as the client gets it; 0 is none
	HoldInTransaction time.Duration `json:"hold_in_transaction,omitempty"`
	// Hold is empty where the client waits, HoldReturn where it is refused at once
	// and passes when it runs again.
	Hold   string  `json:"hold,omitempty"`
	Grants *Grants `json:"grants,omitempty"` // nil: an approval covers one command
	// BreakGlass, nil for never, is how a job may go on without waiting.
	BreakGlass *BreakGlass `json:"break_glass,omitempty"`
	// Rehearsal is nil where a command must not be rehearsed. ApproveIf, CEL over
	// what is measured, lets it pass without a person where it is true.
	Rehearsal *Rehearsal `json:"rehearsal,omitempty"`
	ApproveIf string     `json:"approve_if,omitempty"`
	// MaskedCopies lets a command store what derives from a masked column where no
	// mask is on it.
	MaskedCopies bool `json:"masked_copies,omitempty"`
	// Freeze is set where this is no rule, but a freeze.
	Freeze *Freeze `json:"freeze,omitempty"`

	// File, Line and Column say where the rule begins.
	File   string `json:"-"`
	Line   int    `json:"-"`
	Column int    `json:"-"`
}

// rule is a compiled Rule.
type rule struct {
	Rule
	hash      string
	condition *condition         // nil: always
	bound     *measuredCondition // nil: none
	nodes     map[string]ast.Node
}

// hashRule returns the SHA-256 (hex) of the rule's normalised content: any
// change of the rule changes it; comments, layout and place do not.
func hashRule(r Rule) string {
	raw, err := json.Marshal(r)
	if err != nil { // only strings, numbers and lists of them
		panic("policy: marshal rule: " + err.Error())
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// coversTarget reports whether the rule speaks of the target.
func (r *Rule) coversTarget(t Target) bool {
	for _, e := range r.Environments {
		if e == t.Environment {
			return true
		}
	}
	for _, glob := range r.Targets {
		if ok, err := path.Match(glob, t.Name); ok && err == nil {
			return true
		}
	}
	return false
}

// rules reads one rule file.
func (s *source) rules(raw []byte, conditions *conditions) (out, freezes []*rule) {
	root := s.root(raw)
	if root == nil {
		return nil, nil
	}
	found := false
	for _, e := range s.entries(root, "a rule file", fileKeys) {
		found = true
		if e.key == "freezes" {
			freezes = s.freezes(e.value)
			continue
		}
		for _, n := range s.list(e.value, "rules") {
			if r := s.readRule(n, conditions); r != nil {
				out = append(out, r)
			}
			s.rule = ""
		}
	}
	if !found && len(s.problems) == 0 {
		s.bad(root, "a rule file without rules", "add rules: and a list of rules, or freezes:")
	}
	return out, freezes
}

func (s *source) readRule(n ast.Node, conditions *conditions) *rule {
	r := &rule{nodes: map[string]ast.Node{}}
	r.File = s.file
	r.Line, r.Column = place(n)
	s.rule = peekName(n)
	entries := s.entries(n, "a rule", ruleKeys)
	for _, e := range entries {
		if e.key == "name" {
			r.Name = s.text(e.value, "name")
		}
	}
	if entries == nil {
		return nil
	}
	for _, e := range entries {
		r.nodes[e.key] = e.value
		s.ruleEntry(r, e, conditions)
	}
	s.completeRule(n, r)
	r.hash = hashRule(r.Rule)
	return r
}

// peekName returns a rule's name before the rule is read, so that problems
// with its keys can say it.
func peekName(n ast.Node) string {
	m, ok := n.(*ast.MappingNode)
	if !ok {
		return ""
	}
	for _, v := range m.Values {
		if name, ok := v.Value.(*ast.StringNode); ok && v.Key.String() == "name" {
			return name.Value
		}
	}
	return ""
}

func (s *source) ruleEntry(r *rule, e entry, conditions *conditions) {
	switch e.key {
	case "description":
		r.Description = s.text(e.value, "description")
	case "effect":
		t := s.text(e.value, "effect")
		if t != "" && !contains(effects, t) {
			s.bad(e.value, fmt.Sprintf("effect %q is not known", t), didYouMean(t, effects))
			t = ""
		}
		r.Effect = Effect(t)
	case "targets":
		r.Targets = s.texts(e.value, "targets")
		for _, g := range r.Targets {
			if _, err := path.Match(g, ""); err != nil {
				s.bad(e.value, fmt.Sprintf("target %q is not a valid glob", g), "use *, ? and [abc] only, and close every bracket")
			}
		}
	case "environments":
		r.Environments = s.texts(e.value, "environments")
	case "principals":
		for _, n := range s.list(e.value, "principals") {
			if sel, ok := s.selector(n); ok {
				r.Principals = append(r.Principals, sel)
			}
		}
	case "when":
		if r.When = s.text(e.value, "when"); r.When != "" {
			r.condition = s.when(e.value, r.When, conditions)
		}
	case "hours":
		r.Hours = s.hours(e.value)
	case "approvers":
		r.Approvers = s.approvers(e.value)
	case "deadline":
		r.Deadline = s.duration(e.value, "deadline", maxDeadline)
	case "hold_in_transaction":
		r.HoldInTransaction = s.duration(e.value, "hold_in_transaction", maxHoldInTransaction)
	case "hold":
		r.Hold = s.hold(e.value)
	case "grants":
		r.Grants = s.grants(e.value)
	case "break_glass":
		r.BreakGlass = s.breakGlass(e.value)
	case "rehearsal":
		r.Rehearsal = s.rehearsal(e.value)
	case "approve_if":
		if r.ApproveIf = s.text(e.value, "approve_if"); r.ApproveIf != "" {
			r.bound = s.approveIf(e.value, r.ApproveIf)
		}
	case "reason":
		r.ReasonRequired = s.required(e.value, "reason")
	case "masked_copies":
		t := s.text(e.value, "masked_copies")
		if t != "" && t != "allow" {
			s.bad(e.value, fmt.Sprintf("masked_copies %q is not known", t), `write "masked_copies: allow", or leave the key out`)
		}
		r.MaskedCopies = t == "allow"
	case "row_limit":
		r.RowLimit = s.number(e.value, "row_limit", 1, maxRowLimit)
	case "byte_limit":
		r.ByteLimit = s.number(e.value, "byte_limit", 1, maxByteLimit)
	}
}

// required reads a key whose one value is "required".
func (s *source) required(n ast.Node, key string) bool {
	t := s.text(n, key)
	if t != "" && t != "required" {
		s.bad(n, fmt.Sprintf("%s %q is not known", key, t), fmt.Sprintf("write %q, or leave the key out", key+": required"))
	}
	return t == "required"
}

// completeRule checks what the keys say together, and fills in defaults.
func (s *source) completeRule(n ast.Node, r *rule) {
	has := func(key string) bool { return r.nodes[key] != nil }
	if !has("name") {
		s.bad(n, "a rule without a name", "add name: it appears in refusals and in the audit")
	}
	if !has("effect") {
		s.bad(n, "a rule without an effect", "add effect: allow, hold or deny")
	}
	switch {
	case has("targets") && has("environments"):
		s.bad(r.nodes["environments"], "a rule names targets and environments", "name one of them: write two rules for both")
	case !has("targets") && !has("environments"):
		s.bad(n, "a rule without targets", `add targets: [name], environments: [name], or targets: ["*"]`)
	}
	if !has("principals") || len(r.Principals) == 0 && isEmptyList(r.nodes["principals"]) {
		s.bad(n, "a rule without principals", "add principals: a repository with its id, or any: true for every verified principal")
	}
	for _, key := range []string{"approvers", "deadline", "hold_in_transaction", "hold", "grants", "rehearsal", "approve_if", "break_glass"} {
		if has(key) && r.Effect != Hold && r.Effect != "" {
			s.bad(r.nodes[key], fmt.Sprintf("%s on a rule whose effect is %s", key, r.Effect), "only a hold rule waits for somebody: remove it, or write effect: hold")
		}
	}
	for _, key := range []string{"reason", "row_limit", "byte_limit", "masked_copies"} {
		if has(key) && r.Effect == Deny {
			s.bad(r.nodes[key], key+" on a deny rule", "what is denied has no obligations: remove it")
		}
	}
	if r.Effect != Hold {
		return
	}
	if has("approve_if") && !has("rehearsal") {
		s.bad(r.nodes["approve_if"], "approve_if without a rehearsal: nothing would be measured", "add rehearsal: allow")
	}
	if r.Deadline == 0 {
		r.Deadline = DefaultDeadline
	}
	r.completeGrants()
	s.checkEscalations(r)
	if !has("approvers") {
		s.bad(n, "a hold rule without approvers: nobody could approve", "add approvers: {slack_users: [U…]} or {persons: [name]}")
	}
}

func isEmptyList(n ast.Node) bool {
	seq, ok := n.(*ast.SequenceNode)
	return ok && len(seq.Values) == 0
}
