package machine

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// ApprovalLife is how long an approved decision may be used, unless the
// deadline comes first.
const ApprovalLife = 5 * time.Minute

// Voted adds a vote. It reports false where the person has given this very
// vote before: a click may be delivered twice.
func (s *State) Voted(v Vote) bool {
	for _, old := range s.Votes {
		if old.Person == v.Person && old.Vote == v.Vote {
			return false
		}
	}
	s.Votes = append(s.Votes, v)
	s.step(stepVoted, v.At, func(r *eventv1.Record) {
		r.Actor = v.Person
		r.Reason = v.Reason
		r.Details["vote"], r.Details["account"], r.Details["via"] = v.Vote, v.Account, v.Via
		if v.For != "" {
			r.Details["for"] = v.For
		}
		if v.Scope != "" {
			r.Details["grant"] = v.Scope
		}
		if len(v.Assertion) > 0 {
			r.Details["step_up"] = "passkey"
		}
		if len(v.Groups) > 0 {
			r.Details["groups"] = strings.Join(v.Groups, " ")
		}
	})
	return true
}

// Count marks the votes of these persons as those that made the decision.
func (s *State) Count(persons []string) {
	for i := range s.Votes {
		s.Votes[i].Counted = s.Votes[i].Vote == approval.Approve && slices.Contains(persons, s.Votes[i].Person)
	}
}

// Decide ends a waiting approval with a signed decision. For an approval the
// counted votes are its votes; for a denial, the votes to deny.
func (s *State) Decide(key *seal.Key, outcome Status, why string, now time.Time) error {
	r, err := s.Parse()
	if err != nil {
		return err
	}
	d := &eventv1.ApprovalDecision{
		ApprovalId: s.ID, Outcome: string(outcome), Gateway: r.Gateway, SessionId: r.SessionId, CommandId: r.CommandId,
		PrincipalHash: approval.PrincipalHash(r.Principal), Target: r.Target, RuleHash: r.RuleHash, Digest: r.Digest,
		RequestHash: approval.RequestHash(s.Request), Reason: why, DecidedAt: timestamppb.New(now), RequestedAt: r.RequestedAt,
	}
	for _, v := range s.Votes {
		if outcome == Approved && v.Counted || outcome == Denied && v.Vote == approval.Deny {
			d.Votes = append(d.Votes, v.Event())
		}
	}
	if outcome == Approved {
		s.grant(r, d, now)
	}
	signed, err := approval.Sign(key, d)
	if err != nil {
		return fmt.Errorf("machine: %w", err)
	}
	if s.Decision, err = proto.Marshal(signed); err != nil {
		return fmt.Errorf("machine: marshal decision: %w", err)
	}
	s.Status, s.Ended, s.Why = outcome, now.UTC(), why
	action := stepDecided
	if outcome == Expired {
		action = stepExpired
	}
	s.step(action, now, func(rec *eventv1.Record) {
		rec.Outcome, rec.Actor = string(outcome), service
		rec.WaitNs = now.Sub(s.Received).Nanoseconds()
		if why != "" {
			rec.Details["why"] = why
		}
		for _, v := range d.Votes {
			rec.Approvers = append(rec.Approvers, v.Person)
		}
		if d.Grant != nil {
			rec.Details["grant"], rec.Details["uses"] = d.Grant.Scope, strconv.FormatUint(uint64(d.Uses), 10)
			rec.Details["until"] = d.ExpiresAt.AsTime().UTC().Format(time.RFC3339)
		}
	})
	return nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// Cancel takes the gateway's word that it no longer waits. Waiting, the
// approval is over; approved, it was not used, but what was granted stays. It reports whether anything
// changed.
func (s *State) Cancel(reason string, now time.Time) bool {
	switch {
	case s.Status == Waiting:
		s.Status, s.Ended, s.Why = Cancelled, now.UTC(), reason
		if reason == approval.DeadlinePassed {
			s.Status = Expired
		}
	case s.Status == Approved && s.Void == "" && s.Grant == nil:
		s.Void = reason
		s.Slack.Final = false
	default:
		return false
	}
	s.cancelled(reason, now)
	return true
}

func (s *State) cancelled(reason string, at time.Time) {
	action := stepCancelled
	if s.Status == Expired {
		action = stepExpired
	}
	s.step(action, at, func(r *eventv1.Record) {
		r.Actor, r.Outcome, r.Details["why"] = "gateway/"+s.Gateway, string(s.Status), reason
	})
}

// Arrived gives a tombstone the request that came after its cancellation. It
// reports false where a request is there already.
func (s *State) Arrived(raw []byte, r *eventv1.ApprovalRequest, now time.Time) bool {
	if len(s.Request) > 0 {
		return false
	}
	s.Request, s.request = raw, r
	s.Requested(now)
	s.cancelled(s.Why, now)
	return true
}
