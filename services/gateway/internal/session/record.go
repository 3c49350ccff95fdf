package session

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// The largest texts that one record holds: a batch must fit a bus message.
const (
	maxStatement  = 192 << 10
	maxParameter  = 4 << 10
	maxParameters = 64 << 10
)

// scrubbed is the command as it may leave the gateway: for the record and for
// the approver.
type scrubbed struct {
	statement  string
	parameters []string
	cut        bool // something did not fit; says so in its text
}

// scrub replaces what masking rules and detectors find in the command's text
// and parameters.
func (a *admission) scrub() *refusal.Refusal {
	if a.masking == nil {
		return &refusal.Refusal{Code: refusal.BundleMissing, Message: "no masking rules are loaded, so nothing can be recorded"}
	}
	engine, target := a.masking.Engine, a.session.target
	a.scrubStatement()
	total := 0
	for i, p := range engine.ScrubParameters(target, a.command.Text, a.command.Parameters, &a.command.Facts) {
		text := a.limit(strings.ToValidUTF8(p, "\uFFFD"), maxParameter)
		if total += len(text); total > maxParameters {
			a.scrubbed.cut = true
			a.scrubbed.parameters = append(a.scrubbed.parameters, fmt.Sprintf("… and %d more parameters", len(a.command.Parameters)-i))
			break
		}
		a.scrubbed.parameters = append(a.scrubbed.parameters, text)
	}
	return nil
}

func (a *admission) limit(text string, most int) string {
	if len(text) <= most {
		return text
	}
	a.scrubbed.cut = true
	return strings.ToValidUTF8(text[:most], "") + fmt.Sprintf("… [%d more bytes]", len(text)-most)
}

func (a *admission) intent(approvers []string, approvalID string) *eventv1.Record {
	f := &a.command.Facts
	return a.session.record(eventv1.Kind_KIND_INTENT, func(r *eventv1.Record) {
		r.CommandId, r.Verb, r.Class, r.Objects, r.Fingerprint = a.id, f.Verb, string(f.Class), a.objects(), f.Fingerprint
		r.Statement, r.Parameters = a.scrubbed.statement, a.scrubbed.parameters
		r.Effect, r.Rule, r.RuleHash, r.PolicyVersion = effect(a.decision.Effect), a.decision.Rule, a.decision.RuleHash, a.policy.Version
		if a.masking != nil {
			r.MaskingVersion = a.masking.Version
		}
		r.ApprovalId, r.Approvers = approvalID, approvers
		r.Details = a.details()
	})
}

// details are what else is known of a command, nil for nothing.
func (a *admission) details() map[string]string {
	var out map[string]string
	put := func(key, value string) {
		if value != "" && out == nil {
			out = map[string]string{}
		}
		if value != "" {
			out[key] = value
		}
	}
	put("translated", a.translations())
	put("triggers", fired(a.command.Facts.Triggers))
	return out
}

// maxFired bounds how many functions of triggers are named.
const maxFired = 20

// fired names the functions that triggers may run, empty for none.
func fired(triggers []string) string {
	if len(triggers) > maxFired {
		return strings.Join(triggers[:maxFired], ", ") + fmt.Sprintf(" and %d more", len(triggers)-maxFired)
	}
	return strings.Join(triggers, ", ")
}

func (s *Session) outcome(commandID string, fill func(*eventv1.Record)) *eventv1.Record {
	return s.record(eventv1.Kind_KIND_OUTCOME, func(r *eventv1.Record) {
		r.CommandId = commandID
		fill(r)
	})
}

// refuseHeld records a command that was held and did not pass.
func (s *Session) refuseHeld(a *admission, approvalID string, wait time.Duration, err error) error {
	code, message := "", "the hold failed"
	var r *refusal.Refusal
	if errors.As(err, &r) {
		code, message = string(r.Code), r.Message
	}
	intent := a.intent(nil, approvalID)
	intent.WaitNs = wait.Nanoseconds()
	s.gate.Records.Later(intent)
	s.gate.Records.Later(s.outcome(a.id, func(rec *eventv1.Record) {
		rec.Status, rec.Code, rec.Message, rec.ApprovalId = "refused", code, message, approvalID
	}))
	return err
}

func effect(e policy.Effect) string { return string(e) }

func objects(in []command.Object) []*eventv1.Object {
	out := make([]*eventv1.Object, len(in))
	for i, o := range in {
		out[i] = &eventv1.Object{Schema: o.Schema, Name: o.Name, Access: string(o.Access)}
	}
	return out
}
