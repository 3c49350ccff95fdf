package approval

import (
	"time"

	"github.com/gatestay/gatestay/libs/electorate"
	"github.com/gatestay/gatestay/libs/passkey"
	"github.com/gatestay/gatestay/libs/policy"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

const (
	// maxWait is how long any request waits, whatever its rule says.
	maxWait = 24 * time.Hour
	// ProofLife is how long a passkey may take to sign a vote, and for how long its
	// answer is then taken.
	ProofLife = 5 * time.Minute
)

// Ballot returns a vote to approve as a tally counts it, with what its passkey
// must have signed.
func Ballot(v *eventv1.Vote, approvalID string, requestHash []byte) electorate.Ballot {
	b := electorate.Ballot{Account: v.GetAccount(), Groups: v.GetGroups(), At: v.GetAt().AsTime()}
	if v.GetAssertion() != nil {
		b.Proof = &passkey.Proof{Challenge: passkey.Challenge(approvalID, requestHash, v), Assertion: v.Assertion}
	}
	return b
}

// elected reports that a decision's votes to approve suffice by the rule. What a
// gateway cannot see for itself, that somebody was in a group, is the vote's word;
// when it was given is, too, but never before the request or after now;
// that a passkey signed it is not, and a decision that gives more than such a vote
// gave, or is dated further from it than the request waited, does not have it.
func elected(d *eventv1.ApprovalDecision, reason bool, e *electorate.Electorate, waited time.Duration, now time.Time) bool {
	var ballots []electorate.Ballot
	for _, v := range d.Votes {
		if v.GetVote() != Approve || reason && Blank(v.GetReason()) || !electorate.Plausible(v.GetAt().AsTime(), e.Requested, now) {
			continue
		}
		b := Ballot(v, d.ApprovalId, d.RequestHash)
		if b.Proof != nil && !gives(v, d, waited) {
			b.Proof = nil
		}
		ballots = append(ballots, b)
	}
	return e.Tally(ballots).Met()
}

// gives reports that a vote which a passkey signed gives what the decision says.
func gives(v *eventv1.Vote, d *eventv1.ApprovalDecision, waited time.Duration) bool {
	since := d.DecidedAt.AsTime().Sub(v.Assertion.GetAt().AsTime())
	if took := v.GetAt().AsTime().Sub(v.Assertion.GetAt().AsTime()); took < -slack || took > ProofLife+slack {
		return false // its hours are told by when it was signed
	}
	if d.DecidedAt == nil || since < -slack || since > min(waited, maxWait)+slack {
		return false
	}
	switch d.GetGrant().GetScope() {
	case policy.ScopeRun, policy.ScopeJob:
		life := d.ExpiresAt.AsTime().Sub(d.DecidedAt.AsTime())
		return v.GetScope() == d.Grant.Scope && (v.GetUses() == 0 || d.Uses <= v.Uses) &&
			(v.GetLife() == nil || life <= v.Life.AsDuration()+slack)
	}
	return true // the command itself: now, on its return, or as part of its plan
}
