package session

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/masking"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/gateway/internal/bundle"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

const defaultDeadline = 15 * time.Minute

// admission is one command on its way through Admit: what was decided, under
// which bundles, and the text as it may be recorded.
type admission struct {
	session  *Session
	command  *seam.Command
	id       string
	policy   *bundle.Compiled[*policy.Engine]
	masking  *bundle.Compiled[*masking.Engine]
	decision policy.Decision
	scrubbed scrubbed
	// unmasking is why masks do not allow it, nil where they do.
	unmasking *refusal.Refusal
	// translated are values behind tokens, by the parameter's index.
	translated map[int][]byte
	// counted are comparisons of which the values count.
	counted []masking.Counted
}

// Precheck implements seam.Session.
func (s *Session) Precheck(c *seam.Command) error {
	if err := s.alive(); err != nil {
		return err
	}
	a := s.begin(c)
	if a.decision.Effect != policy.Deny {
		return nil
	}
	return s.refuse(a, a.denied())
}

// WouldHold implements seam.Session.
func (s *Session) WouldHold(c *seam.Command) bool {
	return s.alive() == nil && s.begin(c).decision.Effect == policy.Hold
}

// Admit implements seam.Session.
func (s *Session) Admit(ctx context.Context, c *seam.Command) (seam.Permit, error) {
	if err := s.alive(); err != nil {
		return nil, err
	}
	a := s.begin(c)
	if err := a.scrub(); err != nil {
		return nil, s.refuse(a, err)
	}
	if a.decision.Effect != policy.Deny && a.decision.ReasonRequired && s.reason == "" {
		return nil, s.refuse(a, &refusal.Refusal{
			Code: refusal.ReasonRequired, Rule: a.decision.Rule, ID: a.id, Message: "this command needs a reason",
			Hint: `Give one: gatestay run ` + s.target + ` --reason "why" -- COMMAND`,
		})
	}
	switch a.decision.Effect {
	case policy.Allow:
		if err := s.spend(ctx, a); err != nil {
			return nil, err
		}
		return s.permit(ctx, a, nil, "")
	case policy.Hold:
		return s.hold(ctx, a)
	default:
		return nil, s.refuse(a, a.denied())
	}
}

// Refused implements seam.Session.
func (s *Session) Refused(c *seam.Command, cause error) {
	var r *refusal.Refusal
	if s.alive() != nil || !errors.As(cause, &r) {
		return
	}
	a := s.begin(c)
	a.decision = policy.Decision{Effect: policy.Deny}
	_ = s.refuse(a, r)
}

func (s *Session) alive() error {
	select {
	case <-s.done:
		return s.Cause()
	default:
		return s.gate.admissible()
	}
}

// begin decides a command by policy and by what its masks allow.
func (s *Session) begin(c *seam.Command) *admission {
	a := s.judge(c)
	a.compare()
	return a
}

// judge decides a command by policy alone.
func (s *Session) judge(c *seam.Command) *admission {
	a := &admission{session: s, command: c, id: "cmd_" + ulid.Make().String(), policy: s.gate.Policy.Current(), masking: s.gate.Masking.Current()}
	a.decide()
	s.text.Store(&c.Text)
	return a
}

func (s *Session) input(c *seam.Command) policy.Input {
	return policy.Input{
		Principal: s.principal, Target: s.policyTarget(), Facts: &c.Facts,
		Session: policy.Session{ID: s.id, Age: s.gate.Now().Sub(s.started), Reason: s.reason},
	}
}

// denied turns a deny into a refusal that teaches.
func (a *admission) denied() *refusal.Refusal {
	if a.unmasking != nil {
		a.unmasking.Rule, a.unmasking.ID = a.decision.Rule, a.id
		return a.unmasking
	}
	r := &refusal.Refusal{Code: refusal.DeniedByRule, Rule: a.decision.Rule, ID: a.id, Message: a.decision.Why}
	switch {
	case a.command.Facts.Class == command.Unknown && a.command.Facts.Why != "":
		r.Code = refusal.CommandUnknown
		r.Message = "what this command does cannot be established, so no rule allows it: " + a.command.Facts.Why
	case a.decision.Rule == "":
		r.Code = refusal.DeniedByDefault
	}
	if r.Code != refusal.CommandUnknown { // a rule that denies what is not known speaks of something else
		r.Detail = sentence(a.decision.Description)
	}
	if a.decision.MaskedCopy {
		r.Code, r.Message = refusal.MaskedCopy, a.decision.Why
	}
	if len(a.decision.Allowed) > 0 {
		r.Detail = strings.TrimSpace(r.Detail + " Allowed here: " + strings.Join(a.decision.Allowed, "; ") + ".")
	}
	if a.decision.MaskedCopy {
		r.Hint = fmt.Sprintf("Leave the column out, or ask for a rule that lets it be copied; quote %s.", a.id)
		return r
	}
	r.Hint = fmt.Sprintf("'gatestay can %s' lists what this job may do; quote %s when you ask for a rule.", a.session.target, a.id)
	return r
}

// refuse records the refused command and returns the refusal for the client.
func (s *Session) refuse(a *admission, r *refusal.Refusal) error {
	if a.scrubbed.statement == "" {
		if err := a.scrub(); err != nil {
			a.scrubbed = scrubbed{statement: "(too long to be recorded)"}
		}
	}
	s.gate.Records.Later(a.intent(nil, ""))
	s.gate.Records.Later(s.outcome(a.id, func(rec *eventv1.Record) {
		rec.Status, rec.Code, rec.Message = "refused", string(r.Code), r.Message
	}))
	return r
}

// hold raises an approval and waits; a second decision at resume makes sure
// that the matched rule still is what the approver decided under.
func (s *Session) hold(ctx context.Context, a *admission) (seam.Permit, error) {
	limit := a.decision.Deadline
	if limit <= 0 {
		limit = defaultDeadline
	}
	if a.command.Dirty {
		if a.decision.HoldInTransaction <= 0 {
			return nil, s.refuse(a, &refusal.Refusal{
				Code: refusal.HoldInTx, Rule: a.decision.Rule, ID: a.id,
				Message: "this command needs an approval, but its transaction has already written or locked something: waiting for a person would block others",
				Detail:  a.decision.Why,
				Hint:    "Run it first in its transaction, or in one of its own; a rule can opt in with hold_in_transaction.",
			})
		}
		limit = min(limit, a.decision.HoldInTransaction)
	}
	if a.scrubbed.cut {
		return nil, s.refuse(a, &refusal.Refusal{
			Code: refusal.LimitReached, Rule: a.decision.Rule, ID: a.id,
			Message: "this command needs an approval, and it is too long to be shown whole to an approver",
			Hint:    fmt.Sprintf("Keep a command that is held below %d KiB.", maxStatement>>10),
		})
	}
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("session: %w", err)
	}
	digest := command.Digest(key, a.command.Text, a.command.Parameters, a.command.State)
	request := a.request(digest, limit)
	if a.command.Notify != nil {
		a.command.Notify(a.notice(request))
	}
	began := s.gate.Now()
	held, release := s.holdContext(ctx)
	defer release()
	result, err := s.gate.Desk.Hold(held, request, approval.Expectation{
		ApprovalID: request.Id, Gateway: request.Gateway, Session: s.id, Command: a.id, Principal: s.principal,
		Target: s.target, RuleHash: a.decision.RuleHash, Digest: digest, Count: a.decision.Approvers.GetCount(),
	})
	if err != nil {
		return nil, s.refuseHeld(a, request.Id, s.gate.Now().Sub(began), err)
	}
	if err := s.resume(held, a, request.Id, digest, key); err != nil {
		s.gate.Desk.Void(ctx, request.Id)
		return nil, s.refuseHeld(a, request.Id, s.gate.Now().Sub(began), err)
	}
	if a.command.Notify != nil {
		a.command.Notify(seam.Notice{
			Code:    "GS1300",
			Message: fmt.Sprintf("approved by %s after %s", approval.Visible(strings.Join(result.Approvers, ", ")), result.Wait.Round(100*time.Millisecond)),
			Detail:  approval.Visible(strings.Join(result.Said, "; ")),
		})
	}
	permit, err := s.permit(ctx, a, result.Approvers, request.Id, func(r *eventv1.Record) { r.WaitNs = result.Wait.Nanoseconds() })
	return permit, err
}

// holdContext ends a hold when the session ends, too. release must be called.
func (s *Session) holdContext(ctx context.Context) (held context.Context, release func()) {
	held, cancel := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-s.done:
			cancel(s.Cause())
		case <-held.Done():
		}
	}()
	return held, func() {
		cancel(nil)
		<-watched
	}
}

// resume decides anew. Another rule's change does not void the approval; the
// matched rule's does.
func (s *Session) resume(ctx context.Context, a *admission, approvalID string, digest, key []byte) error {
	if err := s.alive(); err != nil {
		return err
	}
	if err := a.refresh(ctx, approvalID); err != nil {
		return err
	}
	again := s.judge(a.command) // a person has seen what it compares
	switch again.decision.Effect {
	case policy.Allow:
		return nil
	case policy.Hold:
		if again.decision.RuleHash != a.decision.RuleHash {
			return &refusal.Refusal{
				Code: refusal.RuleChanged, Rule: again.decision.Rule, ID: approvalID,
				Message: "the rule changed while the command was held, so its approval no longer fits", Hint: "Run it again; it asks anew.",
			}
		}
	default:
		again.id = a.id
		return again.denied()
	}
	if !slices.Equal(digest, command.Digest(key, a.command.Text, a.command.Parameters, a.command.State)) {
		return &refusal.Refusal{Code: refusal.ApprovalInvalid, ID: approvalID, Message: "the command is not the one that was approved"}
	}
	a.policy, a.masking = again.policy, again.masking
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
		Statement: a.scrubbed.statement, Parameters: a.scrubbed.parameters, Reason: s.reason, Digest: digest,
		RequestedAt: timestamppb.New(now), Deadline: timestamppb.New(now.Add(limit)), Warnings: warnings(a.command),
	}
}

// sentence ends a rule's description as a sentence.
func sentence(description string) string {
	description = strings.TrimSpace(description)
	if description == "" || strings.ContainsAny(description[len(description)-1:], ".!?") {
		return description
	}
	return description + "."
}

func warnings(c *seam.Command) []string {
	var w []string
	if !c.Facts.Filtered && (c.Facts.Verb == "update" || c.Facts.Verb == "delete") {
		w = append(w, "no WHERE clause: every row of the table is affected")
	}
	if len(c.Facts.Copies) > 0 {
		w = append(w, "copies a masked column to where no mask covers it")
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

func (a *admission) notice(r *eventv1.ApprovalRequest) seam.Notice {
	return seam.Notice{
		Code:    "GS1300",
		Message: fmt.Sprintf("held for approval: %s", a.decision.Why),
		Detail: strings.TrimSpace(sentence(r.RuleDescription) + " " + fmt.Sprintf("Request %s, rule %q. %s may approve; it expires at %s.", r.Id, r.Rule,
			a.policy.Engine.People().Approvers(r.Approvers, r.Requesters), r.Deadline.AsTime().UTC().Format("15:04:05 MST"))),
		Hint: "This connection waits. Cancel the command (^C) to withdraw the request.",
	}
}
