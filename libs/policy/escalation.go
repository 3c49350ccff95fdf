package policy

import (
	"fmt"
	"time"

	"github.com/goccy/go-yaml/ast"
	"google.golang.org/protobuf/types/known/durationpb"

	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

var escalationKeys = []string{"after", "to"}

// Escalation says who may approve, too, once a request has waited for a while.
type Escalation struct {
	After time.Duration `json:"after"` // since the request, at least 1s
	To    Members       `json:"to"`
}

// event is safe on nil.
func (x *Escalation) event() *eventv1.Escalation {
	if x == nil {
		return nil
	}
	return &eventv1.Escalation{After: durationpb.New(x.After), To: x.To.event()}
}

func escalationOf(x *eventv1.Escalation) *Escalation {
	if x == nil {
		return nil
	}
	return &Escalation{After: x.GetAfter().AsDuration(), To: membersOf(x.GetTo())}
}

func (s *source) escalation(n ast.Node) *Escalation {
	x := &Escalation{}
	entries := s.entries(n, "escalate", escalationKeys)
	if entries == nil && s.mapping(n, "escalate") == nil {
		return nil
	}
	for _, e := range entries {
		switch e.key {
		case "after":
			x.After = s.duration(e.value, "after", maxDeadline)
		case "to":
			for _, e := range s.entries(e.value, "to", memberKeys) {
				s.members(e, &x.To)
			}
		}
	}
	if x.After == 0 {
		s.bad(n, "escalate without after", "add after: 10m")
	}
	if x.To.empty() {
		s.bad(n, "escalate names nobody", "add to: {slack_groups: [S…]}, {persons: [name]}, {slack_users: [U…]} or {oidc_groups: [name]}")
	}
	return x
}

// checkEscalations finds escalations that come when nobody waits any more.
func (s *source) checkEscalations(r *rule) {
	if r.Approvers == nil {
		return
	}
	for _, g := range r.Approvers.groups() {
		if g.Escalate != nil && g.Escalate.After >= r.Deadline {
			s.bad(r.nodes["approvers"], fmt.Sprintf("it escalates after %s, when its deadline of %s is over", Short(g.Escalate.After), Short(r.Deadline)), "escalate earlier, or write a later deadline")
		}
	}
}

// sources are the members, and those whom they escalate to.
func (m *Members) sources() []*Members {
	if m.Escalate == nil {
		return []*Members{m}
	}
	return []*Members{m, &m.Escalate.To}
}

// escalates says in words whom members escalate to, and when.
func (p *People) escalates(m *Members, asked map[string]bool, stepUp string, at time.Time) string {
	if m.Escalate == nil {
		return ""
	}
	return "; after " + Short(m.Escalate.After) + " also " + p.group(&m.Escalate.To, 1, asked, stepUp, at)
}
