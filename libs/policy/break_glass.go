package policy

import (
	"fmt"
	"time"
	"unicode"

	"github.com/goccy/go-yaml/ast"

	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// Bounds and defaults of breaking the glass.
const (
	DefaultGlassUses = 100
	DefaultGlassLife = 30 * time.Minute
	maxGlassUses     = 1000
	maxGlassLife     = 8 * time.Hour

	// MinGlassReason is how many letters and digits the reason has, at least.
	MinGlassReason = 10
)

var glassKeys = []string{"for", "uses", "agents", "principals"}

// BreakGlass lets a job go on at once where a hold rule would have it wait. What
// it does is told to the approvers while it happens, and reviewed afterwards.
type BreakGlass struct {
	Life time.Duration `json:"life"` // from the first command, 1s to 8h
	Uses uint32        `json:"uses"` // commands at most, 1 to 1,000
	// Agents: a principal with an agent may, too.
	Agents bool `json:"agents,omitempty"`
	// Principals narrow those of the rule; empty for all of them.
	Principals []Selector `json:"principals,omitempty"`
}

// Refuses says in a phrase why the principal may not break the glass, and "" where
// it may. Safe on nil. What the caller merely said opens nothing.
func (g *BreakGlass) Refuses(p *eventv1.Principal) string {
	switch {
	case g == nil:
		return "it allows no break-glass"
	case p.GetAgent() != "" && !g.Agents:
		return "it allows no agent to break the glass"
	case len(g.Principals) == 0:
		return ""
	}
	for _, s := range g.Principals {
		if m, _ := newMatcher(s).match(p); m == matchFull {
			return ""
		}
	}
	return "it does not allow this job to break the glass"
}

// Telling reports that a reason for breaking the glass says something: it has at
// least MinGlassReason letters and digits, of which not all are the same.
func Telling(reason string) bool {
	n, seen := 0, map[rune]bool{}
	for _, r := range reason {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			n++
			seen[unicode.ToLower(r)] = true
		}
	}
	return n >= MinGlassReason && len(seen) > 3
}

// breakGlass returns how the principal may break the glass of a hold, or why not:
// every hold rule that matches must let it.
func breakGlass(decides *rule, holds []*rule, p *eventv1.Principal) (*BreakGlass, string) {
	for _, r := range holds {
		if why := r.BreakGlass.Refuses(p); why != "" {
			return nil, "rule " + quoted(r.Name) + ": " + why
		}
	}
	return decides.BreakGlass, ""
}

// The two words of a test case.
const (
	glassAllow = "allow"
	glassDeny  = "deny"
)

func glassWord(may bool) string {
	if may {
		return glassAllow
	}
	return glassDeny
}

func (s *source) glassWord(n ast.Node) bool {
	t := s.text(n, "break_glass")
	if t != "" && t != glassAllow && t != glassDeny {
		s.bad(n, fmt.Sprintf("break_glass %q is not known", t), didYouMean(t, []string{glassAllow, glassDeny}))
	}
	return t == glassAllow
}

// breakGlass reads "allow", or a mapping.
func (s *source) breakGlass(n ast.Node) *BreakGlass {
	g := &BreakGlass{Life: DefaultGlassLife, Uses: DefaultGlassUses}
	if _, text := n.(*ast.StringNode); text {
		if t := s.text(n, "break_glass"); t != "" && t != "allow" {
			s.bad(n, fmt.Sprintf("break_glass %q is not known", t), `write "break_glass: allow", a mapping {for: 30m, uses: 100}, or leave the key out`)
		}
		return g
	}
	entries := s.entries(n, "break_glass", glassKeys)
	if entries == nil && s.mapping(n, "break_glass") == nil {
		return nil
	}
	for _, e := range entries {
		switch e.key {
		case "for":
			g.Life = s.duration(e.value, "for", maxGlassLife)
		case "uses":
			g.Uses = uint32(s.number(e.value, "uses", 1, maxGlassUses)) //nolint:gosec // bounded just now
		case "agents":
			t := s.text(e.value, "agents")
			if t != "" && t != "allow" {
				s.bad(e.value, fmt.Sprintf("agents %q is not known", t), `write "agents: allow", or leave the key out`)
			}
			g.Agents = t == "allow"
		case "principals":
			for _, p := range s.list(e.value, "principals") {
				if sel, ok := s.selector(p); ok {
					g.Principals = append(g.Principals, sel)
				}
			}
			if len(g.Principals) == 0 && isEmptyList(e.value) {
				s.bad(e.value, "break_glass for no principals", "name some, or leave principals out for all of the rule's")
			}
		}
	}
	return g
}

// BreaksGlass reports whether some hold rule about the target lets the principal
// break the glass.
func (e *Engine) BreaksGlass(p *eventv1.Principal, t Target) bool {
	found := false
	e.index(t).each(p, func(r *rule, _ match) {
		found = found || r.Effect == Hold && r.BreakGlass.Refuses(p) == ""
	})
	return found
}
