package approval

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/electorate"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// Proof is all that a stranger needs to check a decision: the exact bytes of
// what was asked and of what was signed.
type Proof struct {
	ID       string `json:"approval"`
	Request  []byte `json:"request"`  // ApprovalRequest
	Decision []byte `json:"decision"` // Signed ApprovalDecision
}

// Check is one thing that was looked at.
type Check struct {
	What   string `json:"check"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"` // what was found
}

// Examined is a proof, read and checked.
type Examined struct {
	Request  *eventv1.ApprovalRequest
	Decision *eventv1.ApprovalDecision
	KeyID    string
	Checks   []Check
}

// OK reports that every check held.
func (e *Examined) OK() bool {
	return !slices.ContainsFunc(e.Checks, func(c Check) bool { return !c.OK })
}

// Examine checks a decision afterwards, offline, with the approval service's
// public key: that it was signed, that it was made for exactly this request (what
// its approvers were shown), and that its votes are what the request asks for.
// Whether the rule was what the request says is the policy bundle's to tell. With the
// people map (nil: without) passkeys are verified, too. An error is returned for what cannot be read.
func Examine(trust seal.Trust, p Proof, people electorate.People) (*Examined, error) {
	signed, r := &eventv1.Signed{}, &eventv1.ApprovalRequest{}
	if err := proto.Unmarshal(p.Request, r); err != nil || r.Id == "" {
		return nil, fmt.Errorf("approval: the proof's request cannot be read")
	}
	if err := proto.Unmarshal(p.Decision, signed); err != nil {
		return nil, fmt.Errorf("approval: the proof's decision cannot be read")
	}
	d := &eventv1.ApprovalDecision{}
	if err := proto.Unmarshal(signed.Payload, d); err != nil {
		return nil, fmt.Errorf("approval: the proof's decision cannot be read")
	}
	e := &Examined{Request: r, Decision: d, KeyID: signed.KeyId}
	add := func(ok bool, what, detail string) {
		e.Checks = append(e.Checks, Check{What: what, OK: ok, Detail: detail})
	}
	_, err := trust.Open(seal.ContextApproval, signed)
	detail := "key " + signed.KeyId
	if err != nil {
		detail = err.Error()
	}
	add(err == nil, "signed by the approval service's key", detail)
	add(bytes.Equal(d.RequestHash, RequestHash(p.Request)), "made for exactly this request, as its approvers were shown it", fmt.Sprintf("sha256 %x", d.RequestHash))
	e.binding(add)
	if d.Outcome == Approved {
		e.votes(add)
		e.passkeys(people, add)
	}
	return e, nil
}

// binding compares what the decision names with the request.
func (e *Examined) binding(add func(bool, string, string)) {
	r, d := e.Request, e.Decision
	add(d.ApprovalId == r.Id && d.Gateway == r.Gateway && d.SessionId == r.SessionId && d.CommandId == r.CommandId,
		"bound to this approval, gateway, session and command", strings.Join([]string{d.ApprovalId, d.Gateway, d.SessionId, d.CommandId}, " "))
	add(bytes.Equal(d.PrincipalHash, PrincipalHash(r.Principal)), "bound to this principal", Describe(r.Principal))
	add(d.Target == r.Target && d.RuleHash == r.RuleHash && d.RuleHash != "", "bound to this target and this state of the rule", d.Target+", rule "+r.Rule+" "+d.RuleHash)
	add(len(d.Digest) > 0 && bytes.Equal(d.Digest, r.Digest), "bound to the digest of the exact command, its parameters and session state", fmt.Sprintf("%x", d.Digest))
	made, asked, ends := d.DecidedAt.AsTime(), r.RequestedAt.AsTime(), r.Deadline.AsTime()
	add(!made.Before(asked) && (d.Outcome != Approved || !made.After(ends)), "decided between the request and its deadline", made.UTC().Format(time.RFC3339))
}

// votes compares the votes with what the request asks for.
func (e *Examined) votes(add func(bool, string, string)) {
	r, d := e.Request, e.Decision
	need := places(r.GetApprovers())
	for _, rule := range r.GetPlan().GetRules() {
		need = max(need, places(rule.GetApprovers()))
	}
	have := persons(d.Votes, ReasonRequired(r))
	names, _ := Approving(d)
	add(have >= need, "approved by as many distinct persons as the rule asks for", fmt.Sprintf("%d of %d: %s", have, need, strings.Join(names, ", ")))
	self := ""
	for _, v := range d.Votes {
		if slices.ContainsFunc(r.Requesters, func(a string) bool {
			return strings.EqualFold(a, v.GetAccount()) || strings.EqualFold(a, v.GetPerson())
		}) {
			self = v.GetPerson()
		}
	}
	add(self == "", "none of whom asked for it", self)
	good := d.Uses >= 1 && d.ExpiresAt != nil && d.ExpiresAt.AsTime().After(d.DecidedAt.AsTime())
	scope := GrantedTo("")
	switch {
	case r.Plan != nil:
		scope = GrantedTo(ScopePlan)
		good = good && d.Grant.GetScope() == ScopePlan && PlanProblem(r) == "" && int(d.Uses) == len(r.Plan.Steps)
	case d.Grant != nil:
		scope = GrantedTo(d.Grant.Scope)
		good = good && slices.Contains(r.GetOffer().GetScopes(), d.Grant.Scope) && d.Uses <= max(r.Offer.GetUses(), 1) &&
			(bytes.Equal(d.Grant.Digest, r.Offer.Shape) || bytes.Equal(d.Grant.Digest, r.Offer.Exact))
	default:
		good = good && d.Uses == 1
	}
	add(good, "counted, and it ends", fmt.Sprintf("at most %d: %s, until %s", d.Uses, scope, d.ExpiresAt.AsTime().UTC().Format(time.RFC3339)))
}

// places is how many distinct persons a rule's approvers have to be, at least: one
// fills one place of one group. That they are in those groups, the gateway has
// looked at with the people map; a proof has none.
func places(a *eventv1.Approvers) uint32 {
	n := uint32(0)
	for _, g := range (&electorate.Electorate{Approvers: a}).Places() {
		n += max(g.GetCount(), 1)
	}
	return n
}
