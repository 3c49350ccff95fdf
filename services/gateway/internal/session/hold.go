package session

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/electorate"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/gateway/internal/credential"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

const defaultDeadline = 15 * time.Minute

// hold lets a command pass by a grant, or raises an approval and waits; a second
// decision at resume makes sure that the matched rule still is what the approver
// decided under.
func (s *Session) hold(ctx context.Context, a *admission) (seam.Permit, error) {
	if a.scrubbed.cut {
		return nil, s.refuse(a, &refusal.Refusal{
			Code: refusal.LimitReached, Rule: a.decision.Rule, ID: a.id,
			Message: "this command needs an approval, and it is too long to be shown whole to an approver",
			Hint:    fmt.Sprintf("Keep a command that is held below %d KiB.", maxStatement>>10),
		})
	}
	switch permit, err := s.planned(ctx, a); {
	case err != nil:
		return nil, s.refuse(a, err)
	case permit != nil:
		return permit()
	}
	use := a.use()
	switch permit, err := s.granted(ctx, a, use); {
	case err != nil:
		return nil, s.refuse(a, err)
	case permit != nil:
		return permit()
	}
	switch permit, err := s.breakGlass(ctx, a); {
	case err != nil:
		return nil, s.refuse(a, err)
	case permit != nil:
		return permit()
	}
	if err := a.rehearse(ctx); err != nil {
		return nil, err
	}
	switch permit, err := s.within(ctx, a); {
	case err != nil:
		return nil, s.refuseHeld(a, "", 0, err)
	case permit != nil:
		return permit()
	}
	if !s.waits(a) {
		return nil, s.refuse(a, s.askOnly(ctx, a, use))
	}
	limit, tooLate := a.holdLimit()
	if tooLate != nil {
		return nil, s.refuse(a, tooLate)
	}
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("session: %w", err)
	}
	digest := command.Digest(key, a.command.Text, a.command.Parameters, a.command.State)
	radius := a.measure(ctx)
	request := a.request(digest, limit)
	request.Offer, request.Radius = a.offer(use), radius
	if a.command.Notify != nil {
		a.command.Notify(a.notice(request))
	}
	began := s.gate.Now()
	held, release := s.holdContext(ctx)
	defer release()
	result, err := s.gate.Desk.Hold(held, request, approval.Expectation{
		ApprovalID: request.Id, Gateway: request.Gateway, Session: s.id, Command: a.id, Principal: s.principal,
		Target: s.target, RuleHash: a.decision.RuleHash, Digest: digest, Count: a.decision.Approvers.GetCount(),
		ReasonRequired: a.decision.Approvers.GetReasonRequired(), Electorate: a.electorate(request),
	}, s.passing(a, use))
	if err != nil {
		return nil, s.refuseHeld(a, request.Id, s.gate.Now().Sub(began), err)
	}
	if err := s.resume(held, a, request.Id, digest, key); err != nil {
		if result.ApprovalID == request.Id {
			s.gate.Desk.Void(ctx, request.Id)
		}
		return nil, s.refuseHeld(a, request.Id, s.gate.Now().Sub(began), err)
	}
	if a.command.Notify != nil {
		a.command.Notify(seam.Notice{
			Code:    "GS1300",
			Message: fmt.Sprintf("approved by %s after %s", approval.Visible(strings.Join(result.Approvers, ", ")), result.Wait.Round(100*time.Millisecond)),
			Detail:  approval.Visible(strings.Join(result.Said, "; ")),
		})
	}
	return s.permit(ctx, a, result)
}

// electorate returns who may approve, each time by the people map of then. The
// rule is that of the command's decision: its hash is compared.
func (a *admission) electorate(r *eventv1.ApprovalRequest) func() *electorate.Electorate {
	return func() *electorate.Electorate {
		return &electorate.Electorate{Approvers: a.decision.Approvers, Requesters: r.Requesters, People: a.people(), Requested: r.RequestedAt.AsTime()}
	}
}

// people is the people map of now.
func (a *admission) people() *policy.People {
	if now := a.session.gate.Policy.Current(); now != nil {
		return now.Engine.People()
	}
	return a.policy.Engine.People()
}

// waits reports whether the client keeps its connection while a person decides.
func (s *Session) waits(a *admission) bool {
	if s.run != nil && s.run.Wait != "" {
		return s.run.Wait == credential.Wait
	}
	return !a.decision.Return
}

// deadline is for how long an approval may be waited for.
func (a *admission) deadline() time.Duration {
	if a.decision.Deadline <= 0 {
		return defaultDeadline
	}
	return a.decision.Deadline
}

// holdLimit is how long a command may be held, or why not at all.
func (a *admission) holdLimit() (time.Duration, *refusal.Refusal) {
	if !a.command.Dirty {
		return a.deadline(), nil
	}
	if a.decision.HoldInTransaction <= 0 {
		return 0, &refusal.Refusal{
			Code: refusal.HoldInTx, Rule: a.decision.Rule, ID: a.id,
			Message: "this command needs an approval, but its transaction has already written or locked something: waiting for a person would block others",
			Detail:  a.decision.Why,
			Hint:    "Run it first in its transaction, or in one of its own; a rule can opt in with hold_in_transaction.",
		}
	}
	return min(a.deadline(), a.decision.HoldInTransaction), nil
}

// holdContext ends a hold when the session ends, too. release must be called.
func (s *Session) holdContext(ctx context.Context) (held context.Context, release func()) {
	held, cancel := context.WithCancelCause(ctx)
	unwatch := context.AfterFunc(s.life, func() { cancel(context.Cause(s.life)) })
	return held, func() {
		unwatch()
		cancel(nil)
	}
}

// resume decides anew. Another rule's change does not void the approval, though what
// it asks of the command holds; the matched rule's does.
func (s *Session) resume(ctx context.Context, a *admission, approvalID string, digest, key []byte) error {
	if err := s.alive(); err != nil {
		return err
	}
	if err := a.refresh(ctx, approvalID); err != nil {
		return err
	}
	again := s.judge(a.command)
	again.id = a.id
	again.compare(true)
	switch again.decision.Effect {
	case policy.Allow:
	case policy.Hold:
		if again.decision.RuleHash != a.decision.RuleHash && again.decision.Frozen {
			return &refusal.Refusal{
				Code: refusal.Frozen, Rule: again.decision.Rule, ID: approvalID,
				Message: "a freeze has begun while the command was held, so its approval no longer fits: " + again.decision.Why, Hint: "Run it again; it asks those whom the freeze names.",
			}
		}
		if again.decision.RuleHash != a.decision.RuleHash {
			return &refusal.Refusal{
				Code: refusal.RuleChanged, Rule: again.decision.Rule, ID: approvalID,
				Message: "the rule changed while the command was held, so its approval no longer fits", Hint: "Run it again; it asks anew.",
			}
		}
	default:
		return again.denied()
	}
	if r := again.unreasoned(); r != nil {
		return r
	}
	if !slices.Equal(digest, command.Digest(key, a.command.Text, a.command.Parameters, a.command.State)) {
		return &refusal.Refusal{Code: refusal.ApprovalInvalid, ID: approvalID, Message: "the command is not the one that was approved"}
	}
	a.policy, a.masking, a.translated = again.policy, again.masking, again.translated
	a.decision.RowLimit, a.decision.ByteLimit = again.decision.RowLimit, again.decision.ByteLimit
	return nil
}

// refresh makes sure that the command still touches what its approver was shown.
func (a *admission) refresh(ctx context.Context, approvalID string) error {
	if a.command.Refresh == nil {
		return nil
	}
	facts, err := a.command.Refresh(ctx)
	if err == nil && facts.Same(&a.command.Facts) {
		return nil
	}
	changed := &refusal.Refusal{
		Code: refusal.StateChanged, ID: approvalID,
		Message: "what the command touches changed while it was held, so its approval no longer fits", Hint: "Run it again; it asks anew.",
	}
	var r *refusal.Refusal
	switch {
	case errors.As(err, &r):
		changed = r
		changed.ID = approvalID
	case err != nil:
		return fmt.Errorf("%w: %w", changed, err)
	}
	return changed
}

// request is what the approver is shown.
func (a *admission) request(digest []byte, limit time.Duration) *eventv1.ApprovalRequest {
	s, now := a.session, a.session.gate.Now()
	return &eventv1.ApprovalRequest{
		Id: approval.NewID(), Gateway: s.gate.Config().Gateway.ID, SessionId: s.id, CommandId: a.id, TraceId: s.traceID,
		Principal: s.principal, Requesters: policy.Requesters(s.principal), Target: s.target, Database: s.database, Environment: s.conf.Environment,
		Rule: a.decision.Rule, RuleHash: a.decision.RuleHash, RuleDescription: a.decision.Description, PolicyVersion: a.policy.Version,
		Approvers: a.decision.Approvers, Verb: a.command.Facts.Verb, Class: string(a.command.Facts.Class), Objects: objects(a.command.Facts.Objects),
		Fingerprint: a.command.Facts.Fingerprint, Statement: a.scrubbed.statement, Parameters: a.scrubbed.parameters, Reason: s.reason, Digest: digest,
		RequestedAt: timestamppb.New(now), Deadline: timestamppb.New(now.Add(limit)), Warnings: append(a.outside(), a.warnings()...),
	}
}

func (a *admission) warnings() []string {
	c, w := a.command, []string(nil)
	if unfiltered(&c.Facts) {
		w = append(w, "no WHERE clause: every row of the table is affected")
	}
	if len(a.copies()) > 0 {
		w = append(w, "copies a masked column to where no mask covers it")
	}
	if f := fired(c.Facts.Triggers); f != "" {
		w = append(w, "fires triggers, which run "+f)
	}
	if c.Facts.Class == command.Unknown {
		w = append(w, "what this does could not be established: "+c.Facts.Why)
	}
	if c.State.InTransaction == 'T' {
		w = append(w, "runs inside an open transaction")
	}
	if c.Dirty {
		w = append(w, "the open transaction has written or locked something: others may wait on it")
	}
	return w
}

// unfiltered reports a change of every row of a table.
func unfiltered(f *command.Facts) bool {
	return !f.Filtered && (f.Verb == "update" || f.Verb == "delete")
}

func (a *admission) notice(r *eventv1.ApprovalRequest) seam.Notice {
	return seam.Notice{
		Code:    "GS1300",
		Message: fmt.Sprintf("held for approval: %s", a.decision.Why),
		Detail: strings.TrimSpace(sentence(r.RuleDescription) + " " + fmt.Sprintf("Request %s, rule %q. %s may approve; it expires at %s.", r.Id, r.Rule,
			a.policy.Engine.People().Approvers(r.Approvers, r.Requesters, a.session.gate.Now()), r.Deadline.AsTime().UTC().Format("15:04:05 MST"))),
		Hint: "This connection waits. Cancel the command (^C) to withdraw the request.",
	}
}
