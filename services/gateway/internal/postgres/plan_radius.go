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
	number  int // of the statement, from 1
	defined []definedBy
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
		if by := m.definer(o); by > 0 {
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

// definedBy is an object that a statement of the plan defines.
type definedBy struct {
	command.Object
	number int
}

// definer returns which statement defines an object, 0 for none. What is not there
// yet is not resolved: then its name has no schema.
func (m *planMeasurer) definer(o command.Object) int {
	for _, d := range m.defined {
		if d.Name == o.Name && (d.Schema == o.Schema || d.Schema == "" || o.Schema == "") {
			return d.number
		}
	}
	return 0
}

func (m *planMeasurer) define(c *seam.Command) {
	if c.Facts.Class != command.DDL {
		return
	}
	for _, o := range c.Facts.Objects {
		if o.Access != command.Read && m.definer(o) == 0 {
			m.defined = append(m.defined, definedBy{o, m.number})
		}
	}
}

func unestimated(why string) *seam.Radius { return &seam.Radius{Unknown: why, Unseen: why} }
