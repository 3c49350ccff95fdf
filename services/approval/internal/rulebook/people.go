package rulebook

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/people"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// change returns who the people map in force names for a change of itself, or one
// of the errors of this package.
func (b *Book) change(r *eventv1.ApprovalRequest) (*eventv1.Approvers, error) {
	if problem := people.Problem(r); problem != "" {
		return nil, fmt.Errorf("%w: %s", ErrForged, problem)
	}
	switch {
	case r.RuleHash != b.hash && b.Version < r.PolicyVersion:
		return nil, ErrNotYet
	case r.RuleHash != b.hash:
		return nil, ErrChanged
	case !proto.Equal(b.people.Changes().Event(), r.GetApprovers()):
		return nil, fmt.Errorf("%w: its approvers are others", ErrForged)
	case r.Deadline.AsTime().Sub(r.RequestedAt.AsTime()) > people.Wait+slack:
		return nil, fmt.Errorf("%w: its deadline is later", ErrForged)
	}
	return r.GetApprovers(), nil
}
