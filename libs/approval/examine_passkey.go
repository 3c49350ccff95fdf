package approval

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/gatestay/gatestay/libs/electorate"
	"github.com/gatestay/gatestay/libs/passkey"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// passkeys looks at the votes of a request whose rule asks for passkeys. With the
// people map, their signatures are verified; without it, that each is there and
// was made for exactly its vote is all that can be told.
func (e *Examined) passkeys(people electorate.People, add func(bool, string, string)) {
	r, d := e.Request, e.Decision
	asks := &electorate.Electorate{Approvers: r.GetApprovers()}
	for _, rule := range r.GetPlan().GetRules() {
		asks.And = append(asks.And, rule.GetApprovers())
	}
	if !asks.StepUp() {
		return
	}
	if people != nil {
		asks.People, asks.Requesters, asks.Requested = people, r.Requesters, r.RequestedAt.AsTime()
		ok := elected(d, ReasonRequired(r), asks, r.Deadline.AsTime().Sub(r.RequestedAt.AsTime()), d.DecidedAt.AsTime())
		add(ok, "signed by passkeys that the people map has for those who approved", e.signers(people))
		return
	}
	with, without := 0, []string{}
	for _, v := range d.Votes {
		switch {
		case v.GetVote() != Approve:
		case carries(v, d):
			with++
		default:
			without = append(without, v.GetPerson())
		}
	}
	detail := "give --people FILE to verify the signatures"
	if len(without) > 0 {
		detail = "not so: " + strings.Join(without, ", ")
	}
	mixed := len(r.GetPlan().GetRules()) > 1 // another rule may ask for none
	add(with > 0 && (mixed || len(without) == 0), "votes have a passkey's answer, to exactly that vote", detail)
}

// signers names whose passkeys verify.
func (e *Examined) signers(people electorate.People) string {
	var out []string
	for _, v := range e.Decision.Votes {
		person, ok := people.Person(v.GetAccount())
		if ok && passkey.Verify(people, person, Ballot(v, e.Decision.ApprovalId, e.Decision.RequestHash).Proof) == nil {
			out = append(out, fmt.Sprintf("%s (%x…)", person, v.GetAssertion().GetCredentialId()[:min(4, len(v.GetAssertion().GetCredentialId()))]))
		}
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, ", ")
}

// carries reports that a vote has an answer to the challenge that it makes.
func carries(v *eventv1.Vote, d *eventv1.ApprovalDecision) bool {
	b := Ballot(v, d.ApprovalId, d.RequestHash)
	var client struct{ Challenge string }
	return b.Proof != nil && len(v.Assertion.Signature) > 0 && json.Unmarshal(v.Assertion.ClientData, &client) == nil &&
		client.Challenge == base64.RawURLEncoding.EncodeToString(b.Proof.Challenge)
}
