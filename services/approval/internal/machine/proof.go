package machine

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/electorate"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// Event returns the vote as a decision carries it.
func (v *Vote) Event() *eventv1.Vote {
	e := &eventv1.Vote{
		Person: v.Person, Account: v.Account, Vote: v.Vote, Reason: v.Reason, At: timestamppb.New(v.At), Via: v.Via,
		Scope: v.Scope, Uses: v.Uses, Life: lifeOf(v.Life), Groups: v.Groups, ForPerson: v.For,
	}
	if len(v.Assertion) > 0 {
		e.Assertion = &eventv1.Assertion{}
		if proto.Unmarshal(v.Assertion, e.Assertion) != nil {
			e.Assertion = nil // what cannot be read proves nothing
		}
	}
	return e
}

// Prove adds what the voter's passkey made of the vote.
func (v *Vote) Prove(a *eventv1.Assertion) {
	if a == nil {
		return
	}
	v.Assertion, _ = proto.Marshal(a) // bytes and a time: it does not fail, and nothing proves nothing
}

// Ballot returns a vote on this approval as a tally counts it.
func (s *State) Ballot(v *Vote) electorate.Ballot {
	return approval.Ballot(v.Event(), s.ID, approval.RequestHash(s.Request))
}

// Approving returns the votes to approve.
func (s *State) Approving() []electorate.Ballot {
	var ballots []electorate.Ballot
	for i := range s.Votes {
		if s.Votes[i].Vote == approval.Approve {
			ballots = append(ballots, s.Ballot(&s.Votes[i]))
		}
	}
	return ballots
}
