package api

import (
	"time"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/electorate"
	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/approval/internal/desk"
	"github.com/gatestay/gatestay/services/approval/internal/machine"
	"github.com/gatestay/gatestay/services/approval/internal/message"
)

// Approval is an approval as the API shows it. Texts are as they came: a
// reader makes them visible before printing them (libs/approval.Visible).
type Approval struct {
	ID            string     `json:"id"`
	State         string     `json:"state"` // waiting, approved, denied, expired, cancelled; review, reviewed
	Headline      string     `json:"headline"`
	Who           string     `json:"who"`
	RunURL        string     `json:"run_url,omitempty"`
	Requesters    []string   `json:"requesters"`
	Target        string     `json:"target"`
	Environment   string     `json:"environment,omitempty"`
	Database      string     `json:"database,omitempty"`
	Verb          string     `json:"verb"`
	Class         string     `json:"class"`
	Objects       []string   `json:"objects"`
	Statement     string     `json:"statement"`
	Parameters    []string   `json:"parameters"`
	Reason        string     `json:"reason,omitempty"`
	Rule          string     `json:"rule"`
	Description   string     `json:"rule_description,omitempty"`
	PolicyVersion uint64     `json:"policy_version"`
	Warnings      []string   `json:"warnings"`
	Radius        []string   `json:"radius,omitempty"` // what it would touch, in words
	LookAlikes    []string   `json:"look_alikes,omitempty"`
	RequestedAt   time.Time  `json:"requested_at"`
	Deadline      time.Time  `json:"deadline"`
	EndedAt       *time.Time `json:"ended_at,omitempty"`
	Approvers     string     `json:"approvers"` // in words
	Needed        int        `json:"needed"`    // distinct persons
	Missing       int        `json:"missing"`
	Unplaced      []string   `json:"requesters_unknown,omitempty"` // each needs one more approver
	Votes         []Vote     `json:"votes"`
	Unattainable  bool       `json:"unattainable,omitempty"` // nobody is left who could approve it
	MayVote       bool       `json:"may_vote"`
	MayRevoke     bool       `json:"may_revoke,omitempty"`
	WhyNot        string     `json:"why_not,omitempty"`
	Why           string     `json:"why,omitempty"`  // of a cancellation, in words
	Void          string     `json:"void,omitempty"` // why an approval was not used, in words
	Gateway       string     `json:"gateway"`
	SessionID     string     `json:"session_id"`
	CommandID     string     `json:"command_id"`
	TraceID       string     `json:"trace_id,omitempty"`
	SlackTrouble  string     `json:"slack_trouble,omitempty"`
	Returned      bool       `json:"returned,omitempty"` // the client does not wait
	Offer         *Offer     `json:"offer,omitempty"`
	Grant         *Grant     `json:"grant,omitempty"`
	Latest        *Run       `json:"latest,omitempty"`
	// ReasonRequired says that whoever approves must say why; Earlier, of one
	// approval, what was decided before about the same statement.
	ReasonRequired bool `json:"reason_required,omitempty"`
	// StepUp says that the caller approves with a passkey, on the approval's page.
	StepUp  bool      `json:"step_up,omitempty"`
	Earlier []Earlier `json:"earlier,omitempty"`
	// Steps and Rules are of a plan: its statements, and the hold rules that they
	// fall under.
	Steps int      `json:"steps,omitempty"`
	Plan  []Step   `json:"plan,omitempty"`
	Rules []string `json:"rules,omitempty"`
	// Questions were asked of who is behind it; MayAsk and MayAnswer are of the caller.
	Questions []Question `json:"questions,omitempty"`
	MayAsk    bool       `json:"may_ask,omitempty"`
	MayAnswer bool       `json:"may_answer,omitempty"`
	// Review is of a break-glass, whose state is review or reviewed.
	Review *Review `json:"review,omitempty"`
}

// Earlier is a decision about the same statement, with these or other values.
type Earlier struct {
	ID    string    `json:"id,omitempty"` // empty where it does not concern the caller
	State string    `json:"state"`        // approved, denied
	By    []string  `json:"by"`
	At    time.Time `json:"at"`
}

// Run is how the command ended, or the latest of those that a grant let pass.
type Run struct {
	CommandID string    `json:"command_id"`
	Status    string    `json:"status"` // ok, error, cancelled, not_executed, unknown
	Code      string    `json:"code,omitempty"`
	Message   string    `json:"message,omitempty"`
	Rows      int64     `json:"rows"`
	Millis    float64   `json:"duration_ms"`
	At        time.Time `json:"at"`
	Uses      uint32    `json:"uses,omitempty"`
}

// Offer is what an approver may give beyond the command.
type Offer struct {
	Scopes  []string `json:"scopes"` // run, job, return
	Uses    uint32   `json:"uses"`
	Seconds int64    `json:"seconds"`
}

// Grant is what was given.
type Grant struct {
	Scope     string     `json:"scope"`
	Covers    string     `json:"covers"` // in words
	Uses      uint32     `json:"uses"`
	ExpiresAt time.Time  `json:"expires_at"`
	RevokedAt *time.Time `json:"revoked_at,omitempty"`
	RevokedBy string     `json:"revoked_by,omitempty"`
}

// Vote is one vote as the API shows it.
type Vote struct {
	Person string    `json:"person"`
	Vote   string    `json:"vote"`
	Reason string    `json:"reason,omitempty"`
	Via    string    `json:"via"`
	At     time.Time `json:"at"`
	Scope  string    `json:"scope,omitempty"`
	For    string    `json:"for,omitempty"` // in whose place they voted
}

// view fills in what the state and the rule say; e is nil where nobody may
// vote any more, with the reason in whyNot.
func (c *Caller) view(st *machine.State, r *eventv1.ApprovalRequest, e *electorate.Electorate, whyNot string) Approval {
	a := Approval{
		ID: st.ID, State: string(st.Status), Headline: approval.Headline(r.Verb, r.Objects), Who: approval.Describe(r.Principal),
		RunURL: r.GetPrincipal().GetUrl(), Requesters: some(r.Requesters), Target: r.Target, Environment: r.Environment, Database: r.Database,
		Verb: r.Verb, Class: r.Class, Objects: []string{}, Statement: r.Statement, Parameters: some(r.Parameters), Reason: r.Reason,
		Rule: r.Rule, Description: r.RuleDescription, PolicyVersion: r.PolicyVersion, Warnings: some(r.Warnings), Radius: approval.Measured(r),
		LookAlikes: approval.LookAlikes(r.Statement), RequestedAt: r.RequestedAt.AsTime(), Deadline: r.Deadline.AsTime(),
		Approvers: c.People().Approvers(r.Approvers, r.Requesters, time.Time{}), Needed: st.Needed, Votes: []Vote{}, WhyNot: whyNot,
		Gateway: st.Gateway, SessionID: r.SessionId, CommandID: r.CommandId, TraceID: r.TraceId, SlackTrouble: st.Slack.Trouble,
	}
	for _, o := range r.Objects {
		name := o.GetName()
		if o.GetSchema() != "" {
			name = o.GetSchema() + "." + name
		}
		a.Objects = append(a.Objects, name)
	}
	for _, v := range st.Votes {
		a.Votes = append(a.Votes, Vote{Person: v.Person, Vote: v.Vote, Reason: v.Reason, Via: v.Via, At: v.At, Scope: v.Scope, For: v.For})
	}
	a.Returned = r.Returned
	a.Questions = questions(st)
	a.Steps = len(r.GetPlan().GetSteps())
	a.Plan = steps(r)
	for _, rule := range r.GetPlan().GetRules() {
		a.Rules = append(a.Rules, rule.GetRule())
	}
	if o := r.GetOffer(); len(o.GetScopes()) > 0 {
		a.Offer = &Offer{Scopes: o.Scopes, Uses: o.Uses, Seconds: int64(o.Life.AsDuration().Seconds())}
	}
	if l := st.Latest; l != nil {
		a.Latest = &Run{
			CommandID: l.Command, Status: l.Status, Code: l.Code, Message: l.Message, Rows: l.Rows, Millis: float64(l.Duration.Microseconds()) / 1000,
			At: l.At, Uses: l.Uses,
		}
	}
	if g := st.Grant; g != nil {
		a.Grant = &Grant{Scope: g.Scope, Covers: approval.GrantedTo(g.Scope), Uses: g.Uses, ExpiresAt: g.Expires, RevokedBy: g.By}
		if !g.Revoked.IsZero() {
			a.Grant.RevokedAt = &g.Revoked
		}
	}
	if st.Glass != nil {
		c.review(st, r, &a)
	}
	if st.Status == machine.InReview {
		return a
	}
	if st.Done() {
		ended := st.Ended
		a.EndedAt = &ended
		if st.Status == machine.Cancelled {
			a.Why = message.Reason(st.Why)
		}
		if st.Void != "" {
			a.Void = message.Reason(st.Void)
		}
		return a
	}
	if e == nil {
		return a
	}
	t := e.Tally(st.Approving())
	a.Approvers = e.InWords(c.Desk.Now())
	a.Needed, a.Missing, a.Unplaced = t.Needed, t.Missing(), t.Unplaced
	a.Unattainable, a.ReasonRequired = !e.Attainable().Met(), approval.ReasonRequired(r)
	refused := c.admitted(e)
	if refused != nil {
		a.WhyNot = refused.Message
	}
	a.MayVote = refused == nil || refused.Code == refusal.VoteUntimely // who may only deny just now
	if a.MayVote {
		a.StepUp = c.stepUp(e)
		a.MayAsk = desk.Asked(r) != "" && len(st.Questions) < machine.MaxQuestions
	}
	a.MayAnswer = c.Account != "" && c.Desk.IsAsked(st, c.Account)
	return a
}

// some makes an empty list of none: JSON readers expect lists.
func some(list []string) []string { return append([]string{}, list...) }
