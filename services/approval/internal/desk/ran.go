package desk

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/approval/internal/machine"
	"github.com/gatestay/gatestay/services/approval/internal/store"
)

// Ran takes a gateway's word of how an approved command ended. The records are
// the truth; this is for the message.
func (d *Desk) Ran(ctx context.Context, gateway, id string, raw []byte) error {
	o := &eventv1.ApprovalOutcome{}
	if err := proto.Unmarshal(raw, o); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if o.ApprovalId != id || !validID.MatchString(id) || !validGateway.MatchString(gateway) {
		return fmt.Errorf("%w: its id is not that of its subject", ErrInvalid)
	}
	_, err := d.change(ctx, id, func(st *machine.State) (bool, error) {
		if st.Grant == nil && st.Gateway != gateway {
			return false, fmt.Errorf("%w: it is another gateway's", ErrInvalid)
		}
		if st.Glass != nil {
			return st.Passed(o), nil
		}
		return st.Ran(o), nil
	})
	if errors.Is(err, store.ErrUnknown) { // long forgotten
		return nil
	}
	return err
}
