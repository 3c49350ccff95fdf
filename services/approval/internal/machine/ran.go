package machine

import (
	"time"

	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// Run is how an approved command ended.
type Run struct {
	Command  string        `json:"command"`
	Status   string        `json:"status"` // ok, error, cancelled, not_executed, unknown
	Code     string        `json:"code,omitempty"`
	Message  string        `json:"message,omitempty"`
	Rows     int64         `json:"rows,omitempty"`
	Duration time.Duration `json:"duration,omitempty"`
	At       time.Time     `json:"at"`
	// Uses is how many commands the approval has let pass, as far as it was told.
	Uses uint32 `json:"uses,omitempty"`
}

// Ran notes how a command ended that the approval let pass; the newest stays. It
// reports false where it is known already, or nothing was approved.
func (s *State) Ran(o *eventv1.ApprovalOutcome) bool {
	if s.Status != Approved || s.Latest != nil && (s.Latest.Command == o.CommandId || s.Latest.Uses > o.Use) {
		return false
	}
	s.Latest = &Run{
		Command: o.CommandId, Status: o.Status, Code: o.Code, Message: o.Message, Rows: o.Rows, Duration: time.Duration(o.DurationNs),
		At: o.At.AsTime(), Uses: o.Use,
	}
	s.Slack.Final = false
	return true
}
