package session

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// rehearsalSlack is how much longer than its command a rehearsal may take.
const rehearsalSlack = 3 * time.Second

// rehearse runs the command without leaving anything behind, where every rule that
// holds it lets it be rehearsed; a.rehearsed is then set. It is an act on the target
// like any other: recorded, its intent durable before it is sent. The error is for
// the client: nothing can be recorded, or it has gone.
func (a *admission) rehearse(ctx context.Context) error {
	allowed := a.decision.Rehearsal
	switch {
	case allowed == nil:
		return nil
	case a.command.Rehearse == nil:
		a.rehearsed = &seam.Rehearsal{Unknown: "this protocol cannot rehearse it"}
		return nil
	case len(a.translated) > 0:
		a.rehearsed = &seam.Rehearsal{Unknown: "its values stand for masked ones"}
		return nil
	}
	s := a.session
	id := "reh_" + ulid.Make().String()
	var unwritten error
	begin := func() error {
		pending := s.gate.Records.Offer(a.rehearsal(id))
		p := &permit{admission: a, pending: pending}
		unwritten = p.Durable(ctx)
		if unwritten == nil && ctx.Err() != nil {
			return context.Cause(ctx) //nolint:wrapcheck // nobody sees it
		}
		return unwritten
	}
	limited, cancel := context.WithTimeout(ctx, allowed.Timeout+rehearsalSlack)
	defer cancel()
	began := s.gate.Now()
	a.rehearsed = a.command.Rehearse(limited, allowed.Timeout, begin)
	if a.rehearsed == nil {
		a.rehearsed = &seam.Rehearsal{Unknown: "it could not be measured"}
	}
	a.rehearsalEnded(id, s.gate.Now().Sub(began))
	var r *refusal.Refusal
	if errors.As(unwritten, &r) {
		return s.refuse(a, r)
	}
	return unwritten
}

// rehearsal is the record of the intent to rehearse: of a command of its own, whose
// verb no command of a client has.
func (a *admission) rehearsal(id string) *eventv1.Record {
	r := a.intent(nil, "")
	r.CommandId, r.Verb = id, "rehearse"
	a.detail(r, "rehearsal_of", a.id)
	return r
}

// rehearsalEnded records how a rehearsal ended that was sent.
func (a *admission) rehearsalEnded(id string, took time.Duration) {
	if !a.rehearsed.Sent {
		return
	}
	a.session.gate.Records.Later(a.session.outcome(id, func(r *eventv1.Record) {
		r.Status, r.DurationNs, r.Verb = "ok", took.Nanoseconds(), "rehearse"
		a.detail(r, "rehearsal_of", a.id)
		if why := a.rehearsed.Unknown; why != "" {
			r.Status, r.Message = "error", why
			return
		}
		a.detail(r, "rolled_back_rows", strconv.FormatUint(a.rehearsed.Rows(), 10))
	}))
}

func (a *admission) detail(r *eventv1.Record, key, value string) {
	if r.Details == nil {
		r.Details = map[string]string{}
	}
	r.Details[key] = value
}

// within lets the command pass without a person where its rules' approve_if is true
// of the rehearsal; nil where a person is to be asked. The run is measured the same
// way, and rolled back where it is not true of that.
func (s *Session) within(ctx context.Context, a *admission) (func() (seam.Permit, error), error) {
	r := a.rehearsed
	if r == nil || r.Unknown != "" || r.Alone != "" || !a.fits(r) {
		return nil, nil
	}
	if a.command.Dirty || ctx.Err() != nil {
		return nil, nil
	}
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("session: %w", err)
	}
	bound := a.decision.ApproveIf.String()
	digest := command.Digest(key, a.command.Text, a.command.Parameters, a.command.State)
	if err := s.resume(ctx, a, a.id, digest, key); err != nil {
		return nil, err
	}
	if a.bound() != bound {
		return nil, &refusal.Refusal{
			Code: refusal.RuleChanged, Rule: a.decision.Rule, ID: a.id,
			Message: "the rules changed while the command was rehearsed", Hint: "Run it again; it is decided anew.",
		}
	}
	return func() (seam.Permit, error) {
		a.unasked = true
		if a.command.Notify != nil {
			a.command.Notify(seam.Notice{
				Code: "GS1300", Message: fmt.Sprintf("passes by rule %q: %s", a.decision.Rule, bound),
				Detail: fmt.Sprintf("Its rehearsal changed %s and was rolled back. The run is measured before it is committed.", approval.Rows(r.Rows())),
			})
		}
		return s.permit(ctx, a, nil)
	}, nil
}

// bound is the approve_if of all rules that hold the command as it is now.
func (a *admission) bound() string { return a.session.judge(a.command).decision.ApproveIf.String() }

// Check implements seam.Permit.
func (p *permit) Check() (check func(*seam.Rehearsal) error, limit time.Duration) {
	a := p.admission
	if !a.unasked {
		return nil, 0
	}
	return func(r *seam.Rehearsal) error {
		p.ran = r
		s := a.session
		if r.Unknown == "" && r.Alone == "" && s.gate.passed.spend(s.whole(), r.Rows(), s.gate.Now(), func(total uint64) bool {
			return a.decision.ApproveIf.Allows(measured(r, total))
		}) {
			return nil
		}
		return &refusal.Refusal{
			Code: refusal.RunExceeded, Rule: a.decision.Rule, ID: a.id,
			Message: fmt.Sprintf("the run changed %s, and without a person it passes only where %s: it was rolled back", approval.Rows(r.Rows()), a.decision.ApproveIf),
			Detail:  fmt.Sprintf("Its rehearsal had changed %s; others have changed the data since, or its run has passed with more meanwhile. Nothing was changed.", approval.Rows(a.rehearsed.Rows())),
			Hint:    "Send it again: it is rehearsed anew, and a person is asked where it is too much.",
		}
	}, a.decision.Rehearsal.Timeout
}

// byRule says in an intent that nobody approved it, and why it passes.
func (a *admission) byRule(r *eventv1.Record) {
	if !a.unasked {
		return
	}
	a.detail(r, "approved_by", "rule approve_if")
	a.detail(r, "approve_if", a.decision.ApproveIf.String())
	a.detail(r, "rehearsed_rows", strconv.FormatUint(a.rehearsed.Rows(), 10))
}

func measured(r *seam.Rehearsal, total uint64) policy.Measured {
	return policy.Measured{Rows: r.Rows(), Tables: r.Tables(), Total: total}
}

// fits reports that what a rehearsal has shown is within the rules' bound.
func (a *admission) fits(r *seam.Rehearsal) bool {
	s := a.session
	return a.decision.ApproveIf.Allows(measured(r, s.gate.passed.with(s.whole(), r.Rows(), s.gate.Now())))
}

// whole is whose rows count together: all jobs of one run, whatever its tokens are.
func (s *Session) whole() string {
	p := s.principal
	if p.GetRunId() == "" {
		return s.traceID + " " + s.target
	}
	return fmt.Sprintf("%q %q %q %q", p.GetIssuer(), p.GetRepositoryId(), p.GetRunId(), s.target)
}

// rehearsedFor is what an approver is shown of the rehearsal; nil where the rule
// does not let the command be rehearsed.
func (a *admission) rehearsedFor() *eventv1.Rehearsal {
	r := a.rehearsed
	if r == nil {
		return nil
	}
	out := &eventv1.Rehearsal{Unknown: r.Unknown, Duration: durationpb.New(r.Duration), Bound: a.decision.ApproveIf.String()}
	if out.Bound != "" && r.Unknown == "" && a.fits(r) {
		out.Unbounded = r.Alone
	}
	out.Sample, out.Unsampled = a.sampled(r.Sample), r.Unsampled
	for _, e := range r.Sorted() {
		out.Changed = append(out.Changed, &eventv1.Effect{Verb: e.Verb, Relation: e.Relation, Rows: e.Rows})
	}
	return out
}

// sampled is a sample as an approver may see it: the detectors have looked at what no
// mask is on.
func (a *admission) sampled(s *seam.Sample) *eventv1.RowSample {
	if s == nil {
		return nil
	}
	scrub := func(values []string) []string {
		out := make([]string, len(values))
		for i, v := range values {
			out[i] = strings.ToValidUTF8(a.session.scrubError(v), "\uFFFD")
		}
		return out
	}
	out := &eventv1.RowSample{Relation: s.Relation, Columns: s.Columns}
	for _, r := range s.Rows {
		out.Rows = append(out.Rows, &eventv1.RowPair{Before: scrub(r.Before), After: scrub(r.After)})
	}
	return out
}
