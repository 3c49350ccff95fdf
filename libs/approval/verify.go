package approval

import (
	"crypto/subtle"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/electorate"
	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// Expectation is everything that a decision must be bound to, from the
// gateway's own memory of what it holds, never from the bus.
type Expectation struct {
	ApprovalID  string
	Gateway     string
	Session     string
	Command     string
	Principal   *eventv1.Principal
	Target      string
	RuleHash    string
	Digest      []byte // of the exact command, parameters and session state
	RequestHash []byte // RequestHash of the request's bytes as published
	// Count is how many distinct persons the rule asks for; less than 1 means 1.
	Count uint32
	// ReasonRequired: a vote to approve without a reason counts for nothing.
	ReasonRequired bool
	// Electorate returns who may approve by the rule and the people map in force
	// now. The votes must suffice by it, whatever the approval service found.
	Electorate func() *electorate.Electorate
	Now        time.Time
}

// Verify opens a signed decision and compares every bound field. It returns
// the decision and nil only for an approval that fits the expectation and has
// not expired. Errors are *refusal.Refusal:
//
//   - GS1304 with a nil decision: not signed by a trusted key, bound to
//     something else, or malformed. It says nothing about this approval: a
//     caller that waits ignores it and goes on waiting.
//   - GS1301, GS1302, GS1303 with the decision: an authentic, fitting decision
//     that does not approve (or approved, and its life is over: GS1302).
func Verify(trust seal.Trust, signed *eventv1.Signed, want Expectation) (*eventv1.ApprovalDecision, error) {
	payload, err := trust.Open(seal.ContextApproval, signed)
	if err != nil {
		return nil, invalid(want, "its signature does not verify")
	}
	d := &eventv1.ApprovalDecision{}
	if err := proto.Unmarshal(payload, d); err != nil {
		return nil, invalid(want, "it cannot be read")
	}
	if field := mismatch(d, want); field != "" {
		return nil, invalid(want, "it was made for another "+field)
	}
	switch d.Outcome {
	case Approved:
	case Denied:
		return d, denied(d, want)
	case Expired:
		return d, expired(want, "Nobody decided before the deadline.")
	case Cancelled:
		if d.Reason == RuleChanged {
			return d, &refusal.Refusal{
				Code: refusal.RuleChanged, ID: want.ApprovalID,
				Message: "the rule changed while the command was held, so its approval no longer fits", Hint: "Run it again; it asks anew.",
			}
		}
		return d, &refusal.Refusal{
			Code: refusal.ApprovalCancelled, ID: want.ApprovalID,
			Message: "the approval was cancelled", Hint: "run the command again to ask anew",
		}
	default:
		return nil, invalid(want, fmt.Sprintf("its outcome %q is not known", d.Outcome))
	}
	if d.Uses < 1 {
		return nil, invalid(want, "it is good for no use")
	}
	if n := persons(d.Votes, want.ReasonRequired); n < max(want.Count, 1) {
		return nil, invalid(want, fmt.Sprintf("%d persons approved where the rule asks for %d", n, max(want.Count, 1)))
	}
	if want.Electorate == nil || !elected(d, want.ReasonRequired, want.Electorate(), maxWait, want.Now) {
		return nil, invalid(want, "those who approved are not those whom the rule asks for")
	}
	if d.ExpiresAt == nil || !want.Now.Before(d.ExpiresAt.AsTime()) {
		return d, expired(want, "It was approved, but too long ago.")
	}
	return d, nil
}

// mismatch names the first bound field that differs, in words.
func mismatch(d *eventv1.ApprovalDecision, want Expectation) string {
	same := func(a, b []byte) bool { return len(b) > 0 && subtle.ConstantTimeCompare(a, b) == 1 }
	switch {
	case d.ApprovalId != want.ApprovalID || want.ApprovalID == "":
		return "approval"
	case d.Gateway != want.Gateway || want.Gateway == "":
		return "gateway"
	case d.SessionId != want.Session || want.Session == "":
		return "session"
	case d.CommandId != want.Command || want.Command == "":
		return "command"
	case !same(d.PrincipalHash, PrincipalHash(want.Principal)):
		return "principal"
	case d.Target != want.Target || want.Target == "":
		return "target"
	case d.RuleHash != want.RuleHash || want.RuleHash == "":
		return "rule, or another state of it"
	case !same(d.Digest, want.Digest):
		return "statement, set of parameters or session state"
	case !same(d.RequestHash, want.RequestHash):
		return "request than the approver was shown"
	}
	return ""
}

// persons counts the distinct persons who voted to approve. A vote without a
// person, or without a reason that is required, counts for nothing; one vote to
// deny makes all of it worthless.
func persons(votes []*eventv1.Vote, reason bool) uint32 {
	seen := map[string]bool{}
	for _, v := range votes {
		if v.GetVote() == Deny {
			return 0
		}
		if v.GetVote() == Approve && v.GetPerson() != "" && (!reason || !Blank(v.GetReason())) {
			seen[v.GetPerson()] = true
		}
	}
	return uint32(len(seen)) //nolint:gosec // a handful
}

func invalid(want Expectation, why string) *refusal.Refusal {
	return &refusal.Refusal{
		Code: refusal.ApprovalInvalid, ID: want.ApprovalID,
		Message: "a decision was offered that does not fit this command",
		Detail:  "The decision was not used: " + why + ".",
		Hint:    "run the command again to ask anew; if this repeats, show it to whoever runs Gatestay",
	}
}

func expired(want Expectation, detail string) *refusal.Refusal {
	return &refusal.Refusal{
		Code: refusal.ApprovalExpired, ID: want.ApprovalID, Message: "the approval expired",
		Detail: detail, Hint: "run the command again to ask anew, and tell the approvers",
	}
}

func denied(d *eventv1.ApprovalDecision, want Expectation) *refusal.Refusal {
	detail := "Somebody who may decide said no."
	for _, v := range d.Votes {
		if v.GetVote() != Deny {
			continue
		}
		detail = "Denied by " + Visible(v.GetPerson())
		if reason := strings.TrimSpace(v.GetReason()); reason != "" {
			detail += ": " + Visible(reason)
		} else {
			detail += "."
		}
	}
	return &refusal.Refusal{
		Code: refusal.ApprovalDenied, ID: want.ApprovalID, Message: "the command was denied",
		Detail: detail, Hint: "talk to whoever denied it before you run it again",
	}
}
