package machine

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/event"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// Producer is the producer of every approval's records, whichever replica
// writes them: the chain of an approval lives in its state, not in a process.
const (
	Producer = "approval/steps"
	service  = "approval"
)

// The steps of an approval, as its records name them.
const (
	stepRequested = "requested"
	stepVoted     = "voted"
	stepDecided   = "decided"
	stepExpired   = "expired"
	stepCancelled = "cancelled"
	stepRevoked   = "revoked"
)

// Chain is the approval's chain of batches: incarnation is the approval's id.
// A batch is sealed within the same compare-and-set as the transition that it
// records, and waits in Outgoing until the stream has it: the records of an
// approval are exactly its transitions, whatever is killed when.
type Chain struct {
	Number   uint64   `json:"number,omitempty"`
	Previous []byte   `json:"previous,omitempty"`
	Outgoing [][]byte `json:"outgoing,omitempty"` // marshalled batches

	steps []*eventv1.Record
}

// step notes a record of the running transition.
func (s *State) step(action string, at time.Time, fill func(*eventv1.Record)) {
	r := &eventv1.Record{
		Id: ulid.Make().String(), Time: timestamppb.New(at), Kind: eventv1.Kind_KIND_APPROVAL, ApprovalId: s.ID, Action: action,
		Details: map[string]string{},
	}
	if req, err := s.Parse(); err == nil && req != nil {
		r.SessionId, r.CommandId, r.TraceId, r.Principal = req.SessionId, req.CommandId, req.TraceId, req.Principal
		r.Target, r.Database, r.Environment = req.Target, req.Database, req.Environment
		r.Verb, r.Class, r.Objects = req.Verb, req.Class, req.Objects
		r.Rule, r.RuleHash, r.PolicyVersion = req.Rule, req.RuleHash, req.PolicyVersion
	}
	fill(r)
	s.Chain.steps = append(s.Chain.steps, r)
}

// Requested notes the first step: the record that says what was asked.
func (s *State) Requested(now time.Time) {
	s.step(stepRequested, now, func(r *eventv1.Record) {
		req, err := s.Parse()
		if err != nil || req == nil {
			return
		}
		r.Actor, r.Statement, r.Parameters, r.Reason = "gateway/"+s.Gateway, req.Statement, req.Parameters, req.Reason
		if g := req.BreakGlass; g != nil {
			r.Details["break_glass"] = req.Reason
			r.Details["until"], r.Details["uses"] = g.Until.AsTime().UTC().Format(time.RFC3339), strconv.FormatUint(uint64(g.Uses), 10)
			return
		}
		r.Details["deadline"] = req.Deadline.AsTime().UTC().Format(time.RFC3339)
		if lines := approval.Radius(req); len(lines) > 0 {
			r.Details["radius"] = strings.Join(lines, "\n")
		}
	})
}

// Seal closes the transition: what it noted becomes the next batch.
func (s *State) Seal(key *seal.Key) error {
	if len(s.Chain.steps) == 0 {
		return nil
	}
	b := &eventv1.Batch{
		Producer: Producer, Incarnation: s.ID, Number: s.Chain.Number + 1, PreviousHash: s.Chain.Previous, Records: s.Chain.steps,
	}
	if err := event.Seal(b, key); err != nil {
		return fmt.Errorf("machine: seal: %w", err)
	}
	raw, err := proto.Marshal(b)
	if err != nil {
		return fmt.Errorf("machine: marshal batch: %w", err)
	}
	s.Chain = Chain{Number: b.Number, Previous: b.Hash, Outgoing: append(s.Chain.Outgoing, raw)}
	return nil
}
