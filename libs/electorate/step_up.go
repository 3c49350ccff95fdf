package electorate

import (
	"slices"

	"github.com/gatestay/gatestay/libs/passkey"
)

// StepUp reports that a vote to approve counts only with its voter's passkey,
// by the rule or, of a plan, by one of its rules.
func (e *Electorate) StepUp() bool {
	return slices.ContainsFunc(e.each(), func(one *Electorate) bool { return one.Approvers.GetStepUp() != "" })
}

// StepUpOf reports that a voter's passkey is asked for: by a rule of which they
// are an approver.
func (e *Electorate) StepUpOf(account string, groups ...string) bool {
	return slices.ContainsFunc(e.each(), func(one *Electorate) bool {
		_, refused := one.Admit(Ballot{Account: account, Groups: groups, AnyTime: true})
		return one.Approvers.GetStepUp() != "" && refused == nil
	})
}

// Proven reports that a ballot is given as the rule's step_up asks: signed by a
// passkey that the people map has for its voter. What is not known asks for more
// than anybody can give.
func (e *Electorate) Proven(v Voter, b Ballot) bool {
	switch e.Approvers.GetStepUp() {
	case "":
		return true
	case "passkey":
		return v.Mapped && passkey.Verify(e.People, v.Person, b.Proof) == nil
	}
	return false
}

// couldProve reports that a voter has what Proven asks for.
func (e *Electorate) couldProve(v Voter, _ Ballot) bool {
	if e.Approvers.GetStepUp() == "" {
		return true
	}
	_, keys := e.People.Passkeys(v.Person)
	return v.Mapped && len(keys) > 0
}

// Able reports that an account's person has the passkey that is asked of them, if
// any is.
func (e *Electorate) Able(account string) bool {
	_, keys := e.People.Passkeys(e.Voter(account).Person)
	return len(keys) > 0 || !e.StepUpOf(account)
}
