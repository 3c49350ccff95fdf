package hold

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/bus"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// Use puts a command that passes by a break-glass on the stream, durably, or
// returns an error: then it must not pass.
func (d *Desk) Use(ctx context.Context, u *eventv1.ApprovalUse) error {
	raw, err := proto.Marshal(u)
	if err != nil {
		return fmt.Errorf("hold: marshal use: %w", err)
	}
	d.mu.Lock()
	b := d.bus
	d.mu.Unlock()
	return d.publish(ctx, b, bus.Used, u.ApprovalId, raw, nil)
}
