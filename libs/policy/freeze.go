package policy

import (
	"fmt"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/gatestay/gatestay/libs/command"
)

var freezeKeys = []string{"name", "reason", "targets", "environments", "from", "to", "zone", "effect", "approvers", "deadline"}

// Freeze is a time in which nothing but reads passes: not what rules allow or
// hold. It lets nothing pass that no rule does.
type Freeze struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"` // exclusive
}

// On reports that a moment lies in the freeze. Safe on nil.
func (f *Freeze) On(at time.Time) bool { return f != nil && !at.Before(f.From) && at.Before(f.To) }

// freezes reads the list of a rule file. A freeze is kept as a rule of its own: it
// has a name, a hash, and, where it holds, approvers.
func (s *source) freezes(n ast.Node) []*rule {
	var out []*rule
	for _, n := range s.list(n, "freezes") {
		s.rule = peekName(n)
		if f := s.readFreeze(n); f != nil {
			out = append(out, f)
		}
		s.rule = ""
	}
	return out
}

func (s *source) readFreeze(n ast.Node) *rule {
	entries := s.entries(n, "a freeze", freezeKeys)
	if entries == nil {
		return nil
	}
	r := &rule{nodes: map[string]ast.Node{}}
	r.File, r.Effect, r.Freeze, r.Principals = s.file, Deny, &Freeze{}, []Selector{{Any: true}}
	r.Line, r.Column = place(n)
	for _, e := range entries {
		r.nodes[e.key] = e.value
		switch e.key {
		case "name", "targets", "environments", "approvers", "deadline":
			s.ruleEntry(r, e, nil)
		case "reason":
			r.Description = s.text(e.value, "reason")
		case "effect":
			if s.ruleEntry(r, e, nil); r.Effect == Allow {
				s.bad(e.value, "a freeze that allows", "write effect: deny, or effect: hold with approvers")
			}
		}
	}
	if name := r.nodes["name"]; name != nil {
		r.Name = s.text(name, "name")
	}
	s.freezeTimes(n, r)
	s.completeFreeze(n, r)
	r.hash = hashRule(r.Rule)
	return r
}

// freezeTimes reads from and to. A day without a time is all of it: a freeze that
// ends on a day includes that day.
func (s *source) freezeTimes(n ast.Node, r *rule) {
	var zone *time.Location
	if at := r.nodes["zone"]; at != nil {
		zone = s.zone(at)
	}
	read := func(key string) (at time.Time) {
		node := r.nodes[key]
		if node == nil {
			s.bad(n, "a freeze without "+key, "add "+key+": 2026-12-20 with zone: Europe/Berlin, or "+key+`: "2026-12-20T18:00:00+01:00"`)
			return at
		}
		return s.momentIn(node, key, zone, key == "to")
	}
	from, to := read("from"), read("to")
	s.span(n, "the freeze", from, to)
	if zone == nil {
		zone = time.UTC
	}
	r.Freeze.From, r.Freeze.To = from.In(zone), to.In(zone)
}

func (s *source) completeFreeze(n ast.Node, r *rule) {
	has := func(key string) bool { return r.nodes[key] != nil }
	if !has("name") {
		s.bad(n, "a freeze without a name", "add name: it appears in refusals and in the audit")
	}
	switch {
	case has("targets") && has("environments"):
		s.bad(r.nodes["environments"], "a freeze names targets and environments", "name one of them: write two freezes for both")
	case !has("targets") && !has("environments"):
		s.bad(n, "a freeze without targets", `add targets: [name], environments: [name], or targets: ["*"]`)
	}
	if r.Effect != Hold {
		for _, key := range []string{"approvers", "deadline"} {
			if has(key) {
				s.bad(r.nodes[key], key+" on a freeze that denies", "write effect: hold to have exceptions approved, or remove it")
			}
		}
		return
	}
	if !has("approvers") {
		s.bad(n, "a freeze that holds without approvers: nobody could approve", "add approvers: {persons: [name]}, or leave effect out")
	}
	if r.Deadline == 0 {
		r.Deadline = DefaultDeadline
	}
	s.checkEscalations(r)
	// A job that does not wait under its own rule does not wait here either.
	r.Grants = &Grants{Scopes: []string{ScopeReturn}, Uses: DefaultGrantUses, Life: DefaultGrantLife}
}

// freeze adds the freeze that is on, if it is about the command. A read, and a
// client's own preamble, pass. At no moment there is none.
func (e *Engine) freeze(in *Input, t *tally) {
	if f := in.Facts; f != nil && f.Class == command.Read && !f.IsUnknown("class") || in.At.IsZero() {
		return
	}
	for _, f := range e.freezes {
		if !f.Freeze.On(in.At) || !f.coversTarget(in.Target) {
			continue
		}
		switch have := t.frozen; {
		case have == nil || have.Effect == Hold && f.Effect == Deny:
			t.frozen = f
		case have.Effect != f.Effect:
		case f.Effect == Hold && stricter(have, f) == f, f.Effect == Deny && f.Freeze.To.After(have.Freeze.To):
			t.frozen = f
		}
	}
	if t.frozen != nil && t.frozen.Effect == Hold {
		t.holds = append(t.holds, t.frozen)
	}
}

// frozenBy returns what decides in a freeze instead of a rule that would allow or
// hold: the freeze. Where it would ask fewer than the rule does, nobody is asked.
func (t *tally) frozenBy(base *rule) (by *rule, weaker bool) {
	if base == nil || base.Effect == Deny || t.frozen == nil {
		return base, false
	}
	f := t.frozen
	return f, f.Effect == Hold && base.Effect == Hold &&
		(f.Approvers.Count < base.Approvers.Count || f.Approvers.StepUp == "" && base.Approvers.StepUp != "")
}

// whyFrozen says in a sentence what a freeze does, until when and why.
func (r *rule) whyFrozen() string {
	s := "freeze " + quoted(r.Name) + ", until " + r.Freeze.To.Format("2006-01-02 15:04 MST") + ","
	if r.Description != "" {
		s = "freeze " + quoted(r.Name) + " (" + r.Description + "), until " + r.Freeze.To.Format("2006-01-02 15:04 MST") + ","
	}
	return s
}

// Freezes returns all freezes by name.
func (e *Engine) Freezes() []Rule {
	out := make([]Rule, len(e.freezes))
	for i, f := range e.freezes {
		out[i] = f.Rule
	}
	return out
}

// FoundFreeze is the kind of a finding: a freeze that is over, or about nothing,
// or that asks fewer than the rules below it.
const FoundFreeze = "freeze"

func (c *checker) freezes() {
	for _, f := range c.engine.freezes {
		if !c.Now.IsZero() && !c.Now.Before(f.Freeze.To) {
			c.add(FoundFreeze, f, "to", "the freeze ended at "+f.Freeze.To.Format("2006-01-02 15:04 MST"), "remove it, or give it a new end")
		}
		c.targets(f)
		c.approvers(f)
		if f.Effect != Hold {
			continue
		}
		for _, r := range c.engine.rules {
			t := tally{frozen: f}
			if _, weaker := t.frozenBy(r); weaker && c.coversTargets(f, r) {
				c.add(FoundFreeze, f, "approvers", fmt.Sprintf("rule %q asks for more than the freeze does, so what it holds is denied while the freeze is on", r.Name), "ask for as many, and for a passkey where the rule does")
			}
		}
	}
}
