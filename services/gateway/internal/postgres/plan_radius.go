package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

const (
	planRadiusLimit = time.Second     // for one statement
	planMeasuring   = 5 * time.Second // for all of a plan
)

// planMeasurer measures the statements of a plan that would be held. What an
// earlier one of them defines is not measured: it is not there yet, or will be
// another then.
type planMeasurer struct {
	number  int            // of the statement, from 1
	defined map[string]int // by which statement
}

// measure returns nil where nobody would be asked. ctx ends when the plan is
// measured long enough.
func (m *planMeasurer) measure(ctx context.Context, gate seam.Session, c *seam.Command) *seam.Radius {
	m.number++
	defer m.define(c)
	if !gate.WouldHold(c) || c.Radius == nil {
		return nil
	}
	for _, o := range c.Facts.Objects {
		if by := m.defined[o.String()]; by > 0 {
			return unestimated(fmt.Sprintf("it depends on statement %d", by))
		}
	}
	if ctx.Err() != nil {
		return unestimated("the plan is too long to measure all of it")
	}
	ctx, cancel := context.WithTimeout(ctx, planRadiusLimit)
	defer cancel()
	r := c.Radius(ctx)
	if r != nil {
		r.Transaction = nil // the plan's own, which holds nothing
	}
	return r
}

func (m *planMeasurer) define(c *seam.Command) {
	if c.Facts.Class != command.DDL {
		return
	}
	for _, o := range c.Facts.Objects {
		if _, known := m.defined[o.String()]; !known && o.Access != command.Read {
			m.defined[o.String()] = m.number
		}
	}
}

func unestimated(why string) *seam.Radius { return &seam.Radius{Unknown: why, Unseen: why} }
