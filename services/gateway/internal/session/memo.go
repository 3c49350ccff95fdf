package session

import (
	"strings"
	"time"

	"github.com/gatestay/gatestay/libs/masking"
	"github.com/gatestay/gatestay/libs/policy"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/gateway/internal/bundle"
)

// known is what a seam.Memo holds: what follows from a text and its facts, in one
// session, under the bundles that it names. Under others it is worked out anew,
// so that each execution is decided by the rules of its own moment.
type known struct {
	policy   *bundle.Compiled[*policy.Engine]
	under    *bundle.Compiled[*masking.Engine] // they say which copies are none
	decision policy.Decision                   // an allow
	// made and until bound when it holds: hours of a rule begin or end then. A clock
	// that was set back is before made.
	made, until time.Time

	masking   *bundle.Compiled[*masking.Engine]
	statement string
	cut       bool

	objects []*eventv1.Object
}

// known returns what is known of the command, to be read and added to.
func (a *admission) known() *known {
	if a.command.Memo == nil {
		return &known{}
	}
	k, ok := a.command.Memo.Known.(*known)
	if !ok {
		k = &known{}
		a.command.Memo.Known = k
	}
	return k
}

// decide asks the policy. Only an allow is kept, where no rule looks at the age of
// the session, and until the hours of one begin or end: everything else is worth a
// second look.
func (a *admission) decide() {
	k, now := a.known(), a.session.gate.Now()
	if k.policy == a.policy && k.under == a.masking && !now.Before(k.made) && now.Before(k.until) {
		a.decision = k.decision
		return
	}
	a.decision = a.policy.Engine.Decide(a.input(now))
	k.policy = nil
	if a.decision.Effect != policy.Allow {
		return
	}
	if until, lasts := a.policy.Engine.Lasting(a.session.policyTarget(), now); lasts {
		k.policy, k.under, k.decision, k.made, k.until = a.policy, a.masking, a.decision, now, until
	}
}

// scrubStatement sets the text as it may be recorded.
func (a *admission) scrubStatement() {
	k := a.known()
	if k.masking != a.masking {
		text := a.masking.Engine.ScrubStatement(a.session.target, a.command.Text, &a.command.Facts)
		k.statement = a.limit(strings.ToValidUTF8(text, "\uFFFD"), maxStatement)
		k.masking, k.cut = a.masking, a.scrubbed.cut
	}
	a.scrubbed.statement, a.scrubbed.cut = k.statement, k.cut
}

// objects are those of the record. They are shared by records: nobody changes
// them.
func (a *admission) objects() []*eventv1.Object {
	k := a.known()
	if k.objects == nil {
		k.objects = objects(a.command.Facts.Objects)
	}
	return k.objects
}
