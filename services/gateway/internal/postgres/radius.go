package postgres

import (
	"context"
	"sync"

	"github.com/gatestay/gatestay/libs/command"
	pgfacts "github.com/gatestay/gatestay/libs/command/postgres"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/catalog"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/radius"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// radius measures what command i of a text would touch (package radius), until ctx
// ends. It is called while the command is held back, by its goroutine.
func (s *session) radius(ctx context.Context, d *decoded, c *seam.Command, before *catalog.Snapshot, i int) *seam.Radius {
	q := &radius.Question{Text: d.statement(i), Parameters: c.Parameters, State: c.State, Backend: s.asked.backend}
	q.Relations, q.Unknown = s.planned(ctx, d, c, before, i)
	if before != nil {
		for _, o := range c.Facts.Objects {
			if oid := before.Catalog.RelationOID(o); oid != 0 && o.Access != command.Read {
				q.Sizes = append(q.Sizes, radius.Relation{OID: oid, Name: o.String()})
			}
		}
	}
	out := s.measure(ctx, q)
	if c.Facts.Class == command.DDL || c.Facts.Class == command.Admin || c.Facts.Verb == "truncate" || c.Facts.Verb == "lock" {
		out.Lock = pgfacts.Lock(q.Text)
	}
	return out
}

// planned returns what planning a command looks at, or why it must not be planned.
func (s *session) planned(ctx context.Context, d *decoded, c *seam.Command, before *catalog.Snapshot, i int) (relations []uint32, why string) {
	now, again, why := s.again(ctx, d, c, before, i)
	if why != "" {
		return nil, why
	}
	return now.Catalog.Planned(&again)
}

// again resolves a command in the catalog as it is now, or says why nothing of it
// may be tried.
func (s *session) again(ctx context.Context, d *decoded, c *seam.Command, before *catalog.Snapshot, i int) (now *catalog.Snapshot, again command.Facts, why string) {
	f := &c.Facts
	switch {
	case d.unreadable != nil || f.Class == command.Unknown:
		return nil, again, f.Why
	case d.statements[i].Handle != nil:
		return nil, again, "it names a prepared statement or a cursor"
	case len(f.Compared) > 0 || f.IsUnknown("comparisons") && len(s.gate.Masks()) > 0:
		// How many rows a value of a masked column has would be an answer about the
		// value, to everybody who reads what approvers are shown, the requester too.
		return nil, again, "masked values decide which rows, so their number is not told"
	}
	// What the planner would run is asked of the catalog as it is now.
	s.catalog.Stale(ctx)
	now, err := s.catalog.Current(ctx)
	if err != nil {
		return nil, again, "the target's catalog could not be read in time"
	}
	again = now.Catalog.Resolve(d.statements[i].Facts, c.State.SearchPath, s.asked.temp)
	if before == nil || again.Class != f.Class || now.Catalog.Identity(&again) != before.Catalog.Identity(f) {
		return nil, again, "what it touches has changed just now"
	}
	for _, field := range resolvedFields {
		if f.IsUnknown(field) && !again.IsUnknown(field) {
			return nil, again, "its transaction has changed what names mean"
		}
	}
	return now, again, ""
}

// measure asks over a connection of its own.
func (s *session) measure(ctx context.Context, q *radius.Question) *seam.Radius {
	unseen := func(why string) *seam.Radius {
		if q.Unknown != "" {
			return &seam.Radius{Unknown: q.Unknown, Unseen: why}
		}
		return &seam.Radius{Unknown: why, Unseen: why}
	}
	conn, leave, why := s.beside(ctx, "gatestay radius", q.State.LoginUser)
	if why != "" {
		return unseen(why)
	}
	defer leave()
	return radius.Measure(ctx, conn, q)
}

// maxAside bounds the connections beside sessions that one target is asked over at
// the same time: a thousand held commands must not become a thousand more.
const maxAside = 4

// aside counts them.
type aside struct {
	mu     sync.Mutex
	places map[string]chan struct{} // by target
}

// enter takes a place, false where ctx ends before there is one.
func (a *aside) enter(ctx context.Context, target string) (leave func(), ok bool) {
	a.mu.Lock()
	if a.places == nil {
		a.places = map[string]chan struct{}{}
	}
	places := a.places[target]
	if places == nil {
		places = make(chan struct{}, maxAside)
		a.places[target] = places
	}
	a.mu.Unlock()
	select {
	case places <- struct{}{}:
		return func() { <-places }, true
	case <-ctx.Done():
		return nil, false
	}
}
