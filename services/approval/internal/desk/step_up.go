package desk

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/electorate"
	"github.com/gatestay/gatestay/libs/passkey"
	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/approval/internal/machine"
)

// vote is the ballot as the state keeps it.
func (b *Ballot) vote(person string, groups []string, at time.Time) machine.Vote {
	v := machine.Vote{
		Person: person, Account: b.Account, Vote: b.Vote, Reason: b.Reason, Via: b.Via, At: at.UTC(),
		Scope: b.Scope, Uses: b.Uses, Life: b.Life, Groups: groups,
	}
	v.Prove(b.Assertion)
	return v
}

// stepUp refuses a vote to approve that lacks the passkey which a rule asks for.
// The gateway verifies it once more, with the public keys of its own bundle.
func (d *Desk) stepUp(st *machine.State, r *eventv1.ApprovalRequest, e *electorate.Electorate, v *machine.Vote) *refusal.Refusal {
	if v.Vote != approval.Approve || !e.StepUpOf(v.Account, v.Groups...) {
		v.Assertion = nil // nobody asked for it, and it would be taken for a proof
		return nil
	}
	refused := &refusal.Refusal{
		Code: refusal.StepUpRequired, ID: st.ID, Rule: r.Rule, Message: "the rule asks whoever approves for their passkey",
		Hint: "open " + d.page(st.ID) + " and approve there",
	}
	_, keys := e.People.Passkeys(v.Person)
	b := st.Ballot(v)
	switch {
	case len(keys) == 0:
		refused.Message = "the rule asks for your passkey, and the people map has none of yours"
		refused.Hint = "make one on the inbox's page 'Your passkeys', and have it added to people.yaml"
		return refused
	case b.Proof == nil:
		return refused
	}
	if age := d.Now().Sub(b.Proof.Assertion.GetAt().AsTime()); age < -time.Second || age > approval.ProofLife {
		refused.Message, refused.Hint = "your passkey's answer took too long", "press Approve once more"
		return refused
	}
	if err := passkey.Verify(e.People, v.Person, b.Proof); err != nil {
		d.Log.Warn().Err(err).Str("approval_id", st.ID).Str("account", v.Account).Msg("a vote whose passkey does not verify was refused")
		refused.Message, refused.Hint = "your passkey's answer does not fit this vote", "press Approve once more; use a passkey that people.yaml has for you"
		return refused
	}
	return nil
}

// page says where an approval's page is.
func (d *Desk) page(id string) string {
	if d.Inbox == "" {
		return "its page in the web inbox"
	}
	return d.Inbox + "/approvals/" + id
}

// Challenge is what a passkey has to sign for a vote to approve, and with which
// passkeys that may be.
type Challenge struct {
	Value []byte
	At    time.Time
	Party passkey.RelyingParty
	Keys  []passkey.Key
}

// Challenge returns what the passkey of a ballot's voter is to sign now.
func (d *Desk) Challenge(st *machine.State, person string, b Ballot) (*Challenge, error) {
	book := d.Rules()
	if book == nil {
		return nil, &refusal.Refusal{Code: refusal.BundleMissing, ID: st.ID, Message: "there is no policy here yet", Hint: "try again in a moment"}
	}
	c := &Challenge{At: d.Now().UTC().Truncate(time.Millisecond)}
	c.Party, c.Keys = book.People().Passkeys(person)
	b.Reason = clean(b.Reason)
	b.Assertion = &eventv1.Assertion{At: timestamppb.New(c.At)}
	v := b.vote(person, nil, c.At)
	c.Value = st.Ballot(&v).Proof.Challenge
	return c, nil
}
