package machine

import (
	"strconv"
	"time"

	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// NoteEscalation is the kind that tells those who may approve from now on, too.
const NoteEscalation = "escalation"

const stepEscalated = "escalated"

// Escalation is how far a waiting request has escalated.
type Escalation struct {
	Steps int       `json:"steps"` // how many of the moments are over
	At    time.Time `json:"at"`    // the last of them
}

// Escalates reports that one of the moments at which a request escalates, in order,
// is over, and nobody was told of it.
func (s *State) Escalates(moments []time.Time, now time.Time) (next Escalation, due bool) {
	for _, at := range moments {
		if !now.Before(at) {
			next.Steps, next.At = next.Steps+1, at.UTC()
		}
	}
	return next, s.Status == Waiting && next.Steps > 0 && (s.Escalated == nil || s.Escalated.Steps < next.Steps)
}

// Escalate notes that it has escalated, and has those told who may approve from
// then on. It reports false where nothing is new.
func (s *State) Escalate(moments []time.Time, now time.Time) bool {
	next, due := s.Escalates(moments, now)
	if !due {
		return false
	}
	s.Escalated = &next
	s.Slack.Notes = append(s.Slack.Notes, Note{ID: "escalation_" + strconv.Itoa(next.Steps), Kind: NoteEscalation, At: next.At})
	s.step(stepEscalated, now, func(r *eventv1.Record) {
		r.Actor, r.Details["since"] = service, next.At.Format(time.RFC3339)
	})
	return true
}
