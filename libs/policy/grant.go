package policy

import (
	"fmt"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// The scopes of a grant: what an approval may cover beyond the one command.
const (
	// ScopeRun: commands of the same shape, for the rest of the run.
	ScopeRun = "run"
	// ScopeJob: commands of the same shape by the same job, in any of its runs.
	ScopeJob = "job"
	// ScopeReturn: the exact command again, once, by the same job at the same
	// commit: for pipelines that cannot wait.
	ScopeReturn = "return"
)

// Bounds and defaults of a grant.
const (
	DefaultGrantUses = 20
	DefaultGrantLife = time.Hour
	maxGrantUses     = 10_000
	maxGrantLife     = 24 * time.Hour
)

// HoldReturn is the hold of a rule that does not let the client wait.
const HoldReturn = "return"

var (
	grantKeys   = []string{"scopes", "uses", "for"}
	grantScopes = []string{ScopeRun, ScopeJob, ScopeReturn}
	holdKinds   = []string{"wait", HoldReturn}
)

// Grants says what an approver may give beyond the one command.
type Grants struct {
	Scopes []string      `json:"scopes"`
	Uses   uint32        `json:"uses"` // at most, 1 to 10,000; of run and job
	Life   time.Duration `json:"life"` // at most, 1s to 24h
}

// Allows reports whether an approver may give a scope. Safe on nil.
func (g *Grants) Allows(scope string) bool { return g != nil && contains(g.Scopes, scope) }

func (s *source) grants(n ast.Node) *Grants {
	g := &Grants{Uses: DefaultGrantUses, Life: DefaultGrantLife}
	entries := s.entries(n, "grants", grantKeys)
	if entries == nil && s.mapping(n, "grants") == nil {
		return nil
	}
	for _, e := range entries {
		switch e.key {
		case "scopes":
			for _, scope := range s.texts(e.value, "scopes") {
				switch {
				case !contains(grantScopes, scope):
					s.bad(e.value, fmt.Sprintf("scope %q is not known", scope), didYouMean(scope, grantScopes))
				case !contains(g.Scopes, scope):
					g.Scopes = append(g.Scopes, scope)
				}
			}
		case "uses":
			g.Uses = uint32(s.number(e.value, "uses", 1, maxGrantUses)) //nolint:gosec // bounded just now
		case "for":
			g.Life = s.duration(e.value, "for", maxGrantLife)
		}
	}
	if len(g.Scopes) == 0 {
		s.bad(n, "grants without scopes: an approver could give none", "add scopes: [run], [job] or [return], or remove grants")
	}
	return g
}

// hold reads how a hold waits: "" is by keeping the connection.
func (s *source) hold(n ast.Node) string {
	t := s.text(n, "hold")
	switch {
	case t == "" || t == "wait":
		return ""
	case !contains(holdKinds, t):
		s.bad(n, fmt.Sprintf("hold %q is not known", t), `write "hold: return" to refuse at once and let the job run again, or leave the key out`)
		return ""
	}
	return t
}

// completeGrants makes what hold: return needs explicit.
func (r *Rule) completeGrants() {
	if r.Hold != HoldReturn {
		return
	}
	if r.Grants == nil {
		r.Grants = &Grants{Uses: DefaultGrantUses, Life: DefaultGrantLife}
	}
	if !r.Grants.Allows(ScopeReturn) {
		r.Grants.Scopes = append(r.Grants.Scopes, ScopeReturn)
	}
}
