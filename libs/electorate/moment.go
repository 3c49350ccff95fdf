package electorate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatestay/gatestay/libs/hours"
	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// Skew is how far the clocks of two services may be apart. Whether a vote was
// given within hours, and after an escalation, is told by the one moment that it
// bears, everywhere alike; only that this moment lies between the request and now
// is a comparison of two clocks.
const Skew = time.Minute

// Plausible reports that a vote was given between the request and now, by clocks
// that are at most Skew apart. A zero requested is not known.
func Plausible(at, requested, now time.Time) bool {
	return (requested.IsZero() || !at.Before(requested.Add(-Skew))) && !at.After(now.Add(Skew))
}

// sources are whom a place takes its voters from: its own members, and those whom
// it escalates to.
func sources(g *eventv1.ApproverGroup) []*eventv1.ApproverGroup {
	if to := g.GetEscalation().GetTo(); to != nil {
		return []*eventv1.ApproverGroup{g, to}
	}
	return []*eventv1.ApproverGroup{g}
}

// placed reports that some place is open to a ballot.
func (e *Electorate) placed(b Ballot, v Voter) bool {
	return slices.ContainsFunc(e.Places(), func(g *eventv1.ApproverGroup) bool { return e.in(b, v, g) })
}

// in reports that a place is open to a ballot: its voter is a member within their
// hours, or one of those whom it has escalated to by then.
func (e *Electorate) in(b Ballot, v Voter, place *eventv1.ApproverGroup) bool {
	for i, g := range sources(place) {
		escalated := i == 0 || e.escalated(place, b.At)
		if e.member(v, b.Groups, g, b.At) && (b.AnyTime || escalated && hours.Of(g.GetHours()).Open(b.At)) {
			return true
		}
	}
	return false
}

// escalated reports that a place had escalated at a moment.
func (e *Electorate) escalated(place *eventv1.ApproverGroup, at time.Time) bool {
	after := place.GetEscalation().GetAfter().AsDuration()
	return e.Requested.Unix() > 0 && after > 0 && !at.Before(e.Requested.Add(after))
}

// Escalations returns when the rule's places escalate, in order, without those
// that never do.
func (e *Electorate) Escalations() []time.Time {
	var out []time.Time
	for _, place := range e.Places() {
		if after := place.GetEscalation().GetAfter().AsDuration(); after > 0 && e.Requested.Unix() > 0 {
			out = append(out, e.Requested.Add(after))
		}
	}
	slices.SortFunc(out, time.Time.Compare)
	return slices.CompactFunc(out, time.Time.Equal)
}

// untimely says to somebody who may approve at another time when that is.
func (e *Electorate) untimely(b Ballot, v Voter) *refusal.Refusal {
	var when []string
	for _, place := range e.Places() {
		for i, g := range sources(place) {
			if !e.member(v, b.Groups, g, b.At) {
				continue
			}
			var parts []string
			if i > 0 && !e.escalated(place, b.At) {
				parts = append(parts, "from "+e.Requested.Add(place.GetEscalation().GetAfter().AsDuration()).UTC().Format("15:04:05 MST")+" on")
			}
			if l := hours.Of(g.GetHours()); !l.Open(b.At) {
				parts = append(parts, l.String())
			}
			if text := strings.Join(parts, " and "); text != "" && !slices.Contains(when, text) {
				when = append(when, text)
			}
		}
	}
	return &refusal.Refusal{
		Code: refusal.VoteUntimely, Message: fmt.Sprintf("you may approve this %s, and not now", strings.Join(when, ", or ")),
		Hint: "you can deny it at any time; to have it approved now, ask another approver",
	}
}
