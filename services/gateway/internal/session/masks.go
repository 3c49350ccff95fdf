package session

import (
	"context"
	"slices"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/masking"
	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/gateway/internal/bundle"
	"github.com/gatestay/gatestay/services/gateway/internal/copied"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// masks are the masked columns as a session saw them last, with what they are of.
type masks struct {
	bundle            *bundle.Compiled[*masking.Engine]
	copies, temporary *copied.List
	columns           []seam.MaskedColumn
}

// Masks implements seam.Session: the columns that rules name, and those that
// they were copied to.
func (s *Session) Masks() []seam.MaskedColumn {
	current := s.gate.Masking.Current()
	if current == nil {
		return nil
	}
	now := &masks{bundle: current, copies: s.gate.Copied.Of(s.target, s.database), temporary: s.temporary.Load()}
	if last := s.masks.Load(); last != nil && last.bundle == now.bundle && last.copies == now.copies && last.temporary == now.temporary {
		return last.columns
	}
	for _, c := range current.Engine.Columns(s.target) {
		now.columns = append(now.columns, seam.MaskedColumn{Schema: c.Schema, Table: c.Table, Column: c.Name})
	}
	for _, list := range []*copied.List{now.copies, now.temporary} {
		if list != nil {
			for _, m := range list.Masks {
				now.columns = append(now.columns, seam.MaskedColumn{Schema: m.To.Schema, Table: m.To.Table, Column: m.To.Name, Copied: true})
			}
		}
	}
	s.masks.Store(now)
	return now.columns
}

// lost is a masked column that a database does not have, under one bundle.
type lost struct {
	target, database string
	column           seam.MaskedColumn
	version          uint64
}

// maxLost bounds what is remembered of them: a gateway's targets and rules.
const maxLost = 10_000

// NotFound implements seam.Session: a finding, once for a version of the rules.
func (s *Session) NotFound(columns []seam.MaskedColumn) {
	current := s.gate.Masking.Current()
	if current == nil {
		return
	}
	for _, c := range columns {
		if !s.gate.firstLost(lost{s.target, s.database, c, current.Version}) {
			continue
		}
		name := masking.Column{Schema: c.Schema, Table: c.Table, Name: c.Column}.String()
		s.gate.Records.Later(&eventv1.Record{
			Kind: eventv1.Kind_KIND_FINDING, Action: "masking.not-found", Actor: "gateway", Target: s.target, Database: s.database, Environment: s.conf.Environment,
			MaskingVersion: current.Version, Message: "a mask names " + name + ", which this database does not have",
			Details: map[string]string{"column": name, "remedy": "correct the mask, or limit it to the targets that have the column; until then what may be it is masked whole"},
		})
	}
}

// firstLost reports what was not told before.
func (g *Gate) firstLost(l lost) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.notFound[l] {
		return false
	}
	if g.notFound == nil || len(g.notFound) >= maxLost {
		g.notFound = map[lost]bool{}
	}
	g.notFound[l] = true
	return true
}

// remember makes sure that what a command copies is masked from now on, before
// it is forwarded: for every session where it outlives this one.
func (s *Session) remember(ctx context.Context, a *admission) *refusal.Refusal {
	for _, c := range a.copies() {
		if c.To.Table == "" {
			continue
		}
		m := copied.Mask{Target: s.target, Database: s.database, To: c.To, From: c.From, Plain: c.Plain, By: a.id}
		if c.Temporary {
			m.To.Schema = "" // the session's, whatever its number
			s.rememberTemporary(m)
			continue
		}
		if s.copies.holds(m) {
			continue
		}
		release, err := s.gate.Copied.Add(ctx, m)
		if err != nil {
			s.gate.Log.Error().Err(err).Str("session_id", s.id).Msg("a copy of a masked column cannot be remembered")
			return &refusal.Refusal{
				Code: refusal.BusUnavailable, Rule: a.decision.Rule, ID: a.id,
				Message: "this command copies a masked column, and the copy cannot be remembered: the bus does not answer",
				Hint:    "Try again in a moment.",
			}
		}
		s.copies.hold(m, release)
	}
	return nil
}

// copies are those of the command's copies that put a masked column where it is
// hidden less: not where a mask lies that hides at least as much, nor where it
// was copied to before, and is masked for it.
func (a *admission) copies() []command.Copy {
	all := a.command.Facts.Copies
	if len(all) == 0 || a.masking == nil {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(c command.Copy) bool {
		return c.Over.Name != "" && (a.masking.Engine.Hides(a.session.target, c.Over, c.From) || a.session.copied(c))
	})
}

// copied reports that the same was copied there before.
func (s *Session) copied(c command.Copy) bool {
	for _, list := range []*copied.List{s.gate.Copied.Of(s.target, s.database), s.temporary.Load()} {
		if list != nil && slices.ContainsFunc(list.Masks, func(m copied.Mask) bool {
			return m.From.Name != "" && m.From == c.From && m.To.Name == c.To.Name && covers(m.To, seam.MaskedColumn{Schema: c.To.Schema, Table: c.To.Table, Column: c.To.Name})
		}) {
			return true
		}
	}
	return false
}

func (s *Session) rememberTemporary(m copied.Mask) {
	next := &copied.List{}
	if before := s.temporary.Load(); before != nil {
		next.Masks = append(next.Masks, before.Masks...)
	}
	next.Masks = append(next.Masks, m)
	s.temporary.Store(next)
}

// origin says how a column that a masked one was copied to is masked: as that
// one, where it has its values unchanged and no other's, else whole.
func (s *Session) origin(c *seam.Column) (from masking.Column, tainted bool) {
	from, tainted = masking.Column{Schema: c.Origin.Schema, Table: c.Origin.Table, Name: c.Origin.Column}, c.Tainted
	if c.Origin.Table == "" {
		return from, tainted
	}
	var source *copied.Mask
	for _, list := range []*copied.List{s.gate.Copied.Of(s.target, s.database), s.temporary.Load()} {
		if list == nil {
			continue
		}
		for i := range list.Masks {
			switch m := &list.Masks[i]; {
			case !covers(m.To, c.Origin):
			case !m.Plain || m.From.Name == "" || source != nil && source.From != m.From:
				return masking.Column{}, true
			default:
				source = m
			}
		}
	}
	if source != nil {
		from = masking.Column{Schema: source.From.Schema, Table: source.From.Table, Name: source.From.Name}
	}
	return from, tainted
}

// covers reports that a copy is in a column.
func covers(to command.Column, c seam.MaskedColumn) bool {
	return to.Table == c.Table && (to.Name == "*" || to.Name == c.Column) && (to.Schema == "" || c.Schema == "" || to.Schema == c.Schema)
}
