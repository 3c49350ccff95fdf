package event

import eventv1 "github.com/gatestay/gatestay/schemas/event/v1"

// weight is about how many bytes a record will have in its batch, and not less.
func weight(r *eventv1.Record) int {
	const fixed, perText = 768, 80 // a text in a list or map brings a commitment
	n := fixed + len(r.Id) + len(r.Producer) + len(r.SessionId) + len(r.CommandId) + len(r.TraceId) + len(r.Target) + len(r.Database) +
		len(r.Environment) + len(r.Protocol) + len(r.Verb) + len(r.Class) + len(r.Fingerprint) + len(r.Statement) + len(r.Reason) + len(r.Effect) +
		len(r.Rule) + len(r.RuleHash) + len(r.ApprovalId) + len(r.Status) + len(r.Code) + len(r.Message) + len(r.Action) + len(r.Actor) + len(r.Outcome)
	for _, p := range r.Parameters {
		n += perText + len(p)
	}
	for _, a := range r.Approvers {
		n += perText + len(a)
	}
	for key, d := range r.Details {
		n += perText + 2*len(key) + len(d)
	}
	for _, o := range r.Objects {
		n += perText + len(o.GetSchema()) + len(o.GetName()) + len(o.GetAccess())
	}
	return n + weightOf(r.Principal)
}

func weightOf(p *eventv1.Principal) int {
	if p == nil {
		return 0
	}
	const fixed, perText = 256, 8
	n := fixed + len(p.Issuer) + len(p.Subject) + len(p.Preset) + len(p.Repository) + len(p.RepositoryId) + len(p.RepositoryOwnerId) + len(p.Workflow) +
		len(p.RunId) + len(p.RunAttempt) + len(p.JobId) + len(p.Job) + len(p.Ref) + len(p.Environment) + len(p.Event) + len(p.Actor) + len(p.ActorId) +
		len(p.TriggeringActor) + len(p.Url) + len(p.Agent) + len(p.OnBehalfOf)
	for key, claim := range p.Claims {
		n += perText + len(key) + len(claim)
	}
	for _, name := range p.Asserted {
		n += perText + len(name)
	}
	return n
}
