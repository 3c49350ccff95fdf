package policy

import (
	"fmt"
	"strings"

	"github.com/gatestay/gatestay/libs/command"
)

// shadowed finds rules that a stronger one without more conditions always beats.
func (c *checker) shadowed(r *rule) {
	for _, by := range c.engine.rules {
		beats := by.Effect == Deny && r.Effect != Deny || by.Effect == Hold && r.Effect == Allow
		if by == r || !beats {
			continue
		}
		if len(by.Hours) > 0 || by.condition != nil && by.When != r.When || !c.coversTargets(by, r) || !coversPrincipals(by, r) {
			continue
		}
		c.add(FoundShadowed, r, "name", fmt.Sprintf("rule %q always decides instead: it covers the same targets and principals, and %s beats %s", by.Name, by.Effect, r.Effect), "narrow the one or remove the other")
		return
	}
}

func (c *checker) coversTargets(by, r *rule) bool {
	if contains(by.Targets, "*") {
		return true
	}
	for _, e := range r.Environments {
		if !contains(by.Environments, e) {
			return false
		}
	}
	for _, t := range r.Targets {
		if !contains(by.Targets, t) && (strings.ContainsAny(t, "*?[") || !by.coversTarget(c.target(t))) {
			return false
		}
	}
	return true
}

// target returns the configured target of a name.
func (c *checker) target(name string) Target {
	for _, t := range c.Targets {
		if t.Name == name {
			return t
		}
	}
	return Target{Name: name}
}

// coversPrincipals reports whether every selector of r asks for all that some
// pinned selector of by asks for.
func coversPrincipals(by, r *rule) bool {
	for _, s := range r.Principals {
		covered := false
		for _, w := range by.Principals {
			covered = covered || w.Pinned("") && w.Agent == "" && wider(w, s)
		}
		if !covered {
			return false
		}
	}
	return true
}

func wider(w, s Selector) bool {
	want, have := w.fields(), s.fields()
	for i := range want {
		if want[i].want != "" && want[i].want != have[i].want {
			return false
		}
	}
	return true
}

// overlaps finds pairs of hold rules that may match the same command but ask
// others.
func (c *checker) overlaps() {
	for i, r := range c.engine.rules {
		if r.Effect != Hold {
			continue
		}
		for _, other := range c.engine.rules[i+1:] {
			if other.Effect != Hold || approversText(r.Approvers.Event()) == approversText(other.Approvers.Event()) || !c.meet(r, other) {
				continue
			}
			decides, silent := r, other
			if stricter(r, other) != r {
				decides, silent = other, r
			}
			c.add(FoundOverlap, silent, "approvers", fmt.Sprintf("where rule %q holds the same command, only that rule's approvers are asked", decides.Name), "make the conditions exclude each other, or ask the same approvers")
		}
	}
}

// meet reports whether two rules may match one command.
func (c *checker) meet(a, b *rule) bool {
	if !c.shareTarget(a, b) || !sharePrincipal(a, b) {
		return false
	}
	other := b.possible()
	for class, possible := range a.possible() {
		if possible && other[class] && class != command.Session {
			return true
		}
	}
	return false
}

func (c *checker) shareTarget(a, b *rule) bool {
	if c.Targets == nil {
		return c.coversTargets(a, b) || c.coversTargets(b, a)
	}
	for _, t := range c.Targets {
		if a.coversTarget(t) && b.coversTarget(t) {
			return true
		}
	}
	return false
}

func sharePrincipal(a, b *rule) bool {
	for _, s := range a.Principals {
		for _, w := range b.Principals {
			if compatible(s, w) {
				return true
			}
		}
	}
	return false
}

func compatible(a, b Selector) bool {
	fa, fb := a.fields(), b.fields()
	for i := range fa {
		if fa[i].want != "" && fb[i].want != "" && fa[i].want != fb[i].want {
			return false
		}
	}
	return true
}
