package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/event"
	"github.com/gatestay/gatestay/libs/masking"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/gateway/internal/hold"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// permit implements seam.Permit.
type permit struct {
	admission *admission
	pending   event.Pending
	by        *hold.Result    // the approval that let it pass, or nil
	ran       *seam.Rehearsal // what the run has changed, measured before its commit
	masked    atomic.Int64
	done      sync.Once
}

var _ seam.Permit = (*permit)(nil)

// permit records the intent and, for anything but a read, waits until the
// record is durable: nothing that changes the target is forwarded before. by is
// the approval that let it pass, nil where it needed none.
func (s *Session) permit(ctx context.Context, a *admission, by *hold.Result) (seam.Permit, error) {
	if r := s.remember(ctx, a); r != nil {
		return nil, s.refuse(a, r)
	}
	p := &permit{admission: a, by: by}
	p.pending = s.gate.Records.Offer(p.intent())
	if overlaps(a.command.Facts.Class) && (by == nil || !by.Glass) {
		return p, nil
	}
	if err := p.Durable(ctx); err != nil {
		p.Done(seam.Outcome{Status: "not_executed", Code: string(refusal.JournalUnavailable)})
		return nil, err
	}
	return p, nil
}

func (p *permit) intent() *eventv1.Record {
	if p.by == nil {
		r := p.admission.intent(nil, "")
		p.admission.byRule(r)
		return r
	}
	r := p.admission.intent(p.by.Approvers, p.by.ApprovalID)
	r.WaitNs = p.by.Wait.Nanoseconds()
	if p.by.Glass {
		if r.Details == nil {
			r.Details = map[string]string{}
		}
		r.Effect, r.Details["break_glass"] = string(policy.Allow), p.admission.session.reason
	}
	if g := p.by.Grant; g != nil {
		if r.Details == nil {
			r.Details = map[string]string{}
		}
		r.Details["grant"] = g.Decision.Grant.Scope
		r.Details["grant_use"] = fmt.Sprintf("%d of %d", g.Number, g.Decision.Uses)
		if g.Number == 0 {
			r.Details["grant_use"] = "bookkeeping"
		}
	}
	return r
}

// overlaps reports whether a command may be forwarded while its record is on
// its way: its result is then withheld until the record is durable.
func overlaps(c command.Class) bool { return c == command.Read || c == command.Session }

// Durable implements seam.Permit.
func (p *permit) Durable(ctx context.Context) error {
	limit := time.NewTimer(durableLimit) // a context for it would cost more than the wait
	defer limit.Stop()
	var err error
	select {
	case <-p.pending.Durable():
		err = p.pending.Wait(ctx)
	case <-ctx.Done():
		err = ctx.Err()
	case <-limit.C:
		err = context.DeadlineExceeded
	}
	if err != nil {
		return unrecorded(err)
	}
	return nil
}

// DurableNow implements seam.Permit.
func (p *permit) DurableNow() bool {
	select {
	case <-p.pending.Durable():
		return p.pending.Wait(context.Background()) == nil
	default:
		return false
	}
}

// Stands implements seam.Permit. A change of other rules, or one by which the same
// is decided, is none for this command.
func (p *permit) Stands(begun bool) error {
	a, s := p.admission, p.admission.session
	if !begun {
		if err := s.alive(); err != nil {
			return err
		}
		if r := p.approvalOver(); r != nil {
			return r
		}
	}
	masks := s.gate.Masking.Current()
	if masks != a.masking && (!slices.Equal(masks.Engine.Masks(s.target), a.masking.Engine.Masks(s.target)) ||
		!begun && !slices.Equal(masks.Engine.Comparisons(s.target), a.masking.Engine.Comparisons(s.target))) {
		return outdated("masks")
	}
	if begun || a.policy == s.gate.Policy.Current() {
		return nil
	}
	again := s.judge(a.command)
	switch d := again.decision; {
	case d.Effect == policy.Deny:
		return s.refuse(again, again.denied())
	case d.Effect != a.decision.Effect || d.Effect == policy.Hold && d.RuleHash != a.decision.RuleHash, d.RowLimit != a.decision.RowLimit, d.ByteLimit != a.decision.ByteLimit,
		d.ReasonRequired && s.reason == "", a.unasked && d.ApproveIf.String() != a.decision.ApproveIf.String():
		return outdated("rules")
	}
	return nil
}

// approvalOver refuses a command whose approval has come to its end, or was revoked,
// before it ran.
func (p *permit) approvalOver() *refusal.Refusal {
	if p.by == nil {
		return nil
	}
	s := p.admission.session
	r := &refusal.Refusal{ID: p.by.ApprovalID, Hint: "Send it again (in the extended protocol: bind it again): it asks anew."}
	if !s.gate.Now().Before(p.by.Expires) {
		r.Code, r.Message = refusal.ApprovalExpired, "the command was approved too long ago, and has not been run since"
		return r
	}
	if p.by.Grant == nil && !p.by.Glass {
		return nil // only what outlives its command can be revoked
	}
	switch revoked, err := s.gate.Grants.Revoked(s.life, p.by.ApprovalID); {
	case err != nil:
		s.gate.Log.Warn().Err(err).Str("session_id", s.id).Msg("it cannot be known whether a grant was revoked")
		r.Code, r.Message, r.Hint = refusal.BusUnavailable, "it cannot be known whether the approval was revoked: the bus does not answer", "Try again in a moment."
		return r
	case revoked:
		r.Code, r.Message = refusal.ApprovalOver, "the approval was revoked before the command ran"
		return r
	}
	return nil
}

// outdated refuses what was decided under other rules or masks.
func outdated(what string) *refusal.Refusal {
	return &refusal.Refusal{
		Code: refusal.StateChanged, Message: "the " + what + " have changed since this command was decided",
		Hint: "Send it again (in the extended protocol: bind it again): it is decided anew.",
	}
}

// MaxRows implements seam.Permit.
func (p *permit) MaxRows() int64 { return p.admission.decision.RowLimit }

// MaxBytes implements seam.Permit.
func (p *permit) MaxBytes() int64 { return p.admission.decision.ByteLimit }

// Translated implements seam.Permit.
func (p *permit) Translated() map[int][]byte { return p.admission.translated }

// Result implements seam.Permit. A masking bundle that has gone since the
// decision lets nothing pass.
func (p *permit) Result(columns []seam.Column) (seam.Masker, error) {
	current := p.admission.session.gate.Masking.Current()
	if current == nil {
		return nil, &refusal.Refusal{Code: refusal.BundleMissing, Message: "no masking rules are loaded, so no result is released"}
	}
	in := make([]masking.ResultColumn, len(columns))
	for i, c := range columns {
		from, tainted := p.admission.session.origin(&columns[i])
		in[i] = masking.ResultColumn{
			Name: c.Name, Origin: from, Tainted: tainted,
			Kind: kind(c.Kind), Element: c.Element, Binary: c.Binary,
		}
	}
	plan, err := current.Engine.Plan(p.admission.session.target, in)
	if err != nil {
		var r *refusal.Refusal
		if errors.As(err, &r) {
			r.ID = p.admission.id
		}
		return nil, err
	}
	if !plan.Any() {
		return nil, nil
	}
	return &masker{plan: plan, count: &p.masked}, nil
}

func kind(k seam.Kind) masking.Kind {
	switch k {
	case seam.KindText:
		return masking.KindText
	case seam.KindJSON:
		return masking.KindJSON
	case seam.KindJSONB:
		return masking.KindJSONB
	case seam.KindBytes:
		return masking.KindBytes
	case seam.KindWordless:
		return masking.KindWordless
	case seam.KindOther:
		return masking.KindOther
	}
	return masking.KindOther
}

type masker struct {
	plan  *masking.Plan
	count *atomic.Int64
}

var _ seam.Masker = (*masker)(nil)

// Untouched implements seam.Masker.
func (m *masker) Untouched(i int) bool { return m.plan.Untouched(i) }

// Mask implements seam.Masker.
func (m *masker) Mask(i int, value []byte) ([]byte, bool) {
	out, changed := m.plan.Mask(i, value)
	if changed {
		m.count.Add(1)
	}
	return out, changed
}

// Written implements seam.Permit.
func (p *permit) Written(columns []string) (seam.Inspector, error) {
	current := p.admission.session.gate.Masking.Current()
	if current == nil {
		return nil, &refusal.Refusal{Code: refusal.BundleMissing, Message: "no masking rules are loaded, so no data is written"}
	}
	guard := current.Engine.WriteGuard(p.admission.session.target, columns)
	if guard == nil {
		return nil, nil
	}
	return &inspector{guard: guard, admission: p.admission}, nil
}

type inspector struct {
	guard     *masking.WriteGuard
	admission *admission
}

var _ seam.Inspector = (*inspector)(nil)

// Look implements seam.Inspector.
func (i *inspector) Look(column int, piece []byte, last bool) error {
	r := i.guard.Look(column, piece, last)
	if r == nil {
		return nil
	}
	r.Rule, r.ID = i.admission.decision.Rule, i.admission.id
	return r
}

// Done implements seam.Permit.
func (p *permit) Done(o seam.Outcome) {
	p.done.Do(func() {
		s := p.admission.session
		r := s.outcome(p.admission.id, func(r *eventv1.Record) {
			r.Status, r.Code, r.Rows, r.Bytes = o.Status, o.Code, o.Rows, o.Bytes
			r.DurationNs, r.MaskedCells = o.Duration.Nanoseconds(), p.masked.Load()
			if o.Message != "" {
				r.Message = s.scrubError(o.Message, p.admission.scrubbed.statement)
			}
		})
		if p.ran != nil {
			a := p.admission
			a.detail(r, "measured_rows", strconv.FormatUint(p.ran.Rows(), 10))
		}
		if p.by != nil {
			r.ApprovalId = p.by.ApprovalID
			s.gate.Desk.Ran(p.by, r)
		}
		s.gate.Records.Later(r)
	})
}
