package desk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/electorate"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/approval/internal/machine"
	"github.com/gatestay/gatestay/services/approval/internal/message"
	"github.com/gatestay/gatestay/services/approval/internal/rulebook"
	"github.com/gatestay/gatestay/services/approval/internal/store"
)

const maxReason = 1000 // characters

// Ballot is one vote, by an account whose owner has been verified.
type Ballot struct {
	Approval string
	Account  string // slack:U0DANA, oidc:dana@acme.example
	Vote     string // approve, deny
	Reason   string
	Via      string // slack, cli, web
	// Groups are those that the voter's ID token names; a click brings none.
	Groups []string
	// Scope, of a vote to approve, is empty for the command alone, or one that the
	// request offers; Uses and Life, 0 for all that the rule lets, limit it.
	Scope string
	Uses  uint32
	Life  time.Duration
	// Assertion is what the voter's passkey made of this vote; nil without one.
	Assertion *eventv1.Assertion
	// Look, for a webhook, is what the voter was shown (machine.State.Look).
	Look string
	// Shown, for Slack, is where the button was; the approval's own message.
	Channel, TS string
}

// Vote takes a ballot. It returns the state after it, durable, or a
// *refusal.Refusal; the same vote of the same person again changes nothing.
func (d *Desk) Vote(ctx context.Context, b Ballot) (*machine.State, error) {
	if b.Vote != approval.Approve && b.Vote != approval.Deny {
		return nil, &refusal.Refusal{Code: refusal.ApprovalInvalid, Message: "a vote is approve or deny", ID: b.Approval}
	}
	if !validID.MatchString(b.Approval) {
		return nil, unknown(b.Approval)
	}
	b.Reason = clean(b.Reason)
	st, err := d.change(ctx, b.Approval, func(st *machine.State) (bool, error) { return d.vote(ctx, st, b) })
	var r *refusal.Refusal
	switch {
	case errors.Is(err, store.ErrUnknown):
		err = unknown(b.Approval)
	case errors.As(err, &r) && r.Code == refusal.RuleChanged:
		if end := d.end(ctx, b.Approval, message.WhyRuleChanged); end != nil {
			d.Log.Warn().Err(end).Str("approval_id", b.Approval).Msg("approval not ended; trying again at the next look")
		}
	case err == nil && st.Done() && !st.Has(b.Account, b.Vote):
		err = over(st) // its deadline passed with this vote
	}
	d.Metrics.voted(b, err)
	if err != nil {
		return nil, err
	}
	return st, nil
}

// May reports what Vote would answer, without voting: nil, or a
// *refusal.Refusal. A reason that is still to be given is no refusal.
func (d *Desk) May(ctx context.Context, b Ballot) error {
	if !validID.MatchString(b.Approval) {
		return unknown(b.Approval)
	}
	st, _, err := d.Store.Get(ctx, b.Approval)
	if errors.Is(err, store.ErrUnknown) {
		return unknown(b.Approval)
	}
	if err != nil {
		return err
	}
	_, err = d.vote(ctx, st.Clone(), b)
	var r *refusal.Refusal
	if errors.As(err, &r) && r.Code == refusal.ReasonRequired {
		return nil
	}
	return err
}

// Request returns what is asked under an id, for a dialog about it.
func (d *Desk) Request(ctx context.Context, id string) (*eventv1.ApprovalRequest, error) {
	st, _, err := d.Store.Get(ctx, id)
	if errors.Is(err, store.ErrUnknown) {
		return nil, unknown(id)
	}
	if err != nil {
		return nil, err
	}
	return st.Parse()
}

// vote is the transition.
func (d *Desk) vote(_ context.Context, st *machine.State, b Ballot) (bool, error) {
	r, err := st.Parse()
	if err != nil {
		return false, err
	}
	if r == nil {
		return false, unknown(b.Approval)
	}
	e, err := d.Electorate(r)
	if err != nil && !st.Done() {
		return false, refuse(st, err)
	}
	if st.Done() {
		if st.Has(b.Account, b.Vote) {
			return false, nil // a click delivered again
		}
		return false, over(st)
	}
	if refused := d.here(st, r, b); refused != nil {
		return false, refused
	}
	now := d.Now()
	voter, groups, refused := d.admit(e, b, now)
	if refused != nil {
		refused.ID, refused.Rule = st.ID, r.Rule
		refused.Detail = "It waits for " + e.InWords(now) + "."
		return false, refused
	}
	if b.Vote == approval.Approve && approval.ReasonRequired(r) && approval.Blank(b.Reason) {
		return false, &refusal.Refusal{
			Code: refusal.ReasonRequired, ID: st.ID, Rule: r.Rule, Message: "the rule asks whoever approves to say why",
			Hint: "give a reason: 'gatestay approvals approve " + st.ID + " --reason \"why\"', or the dialog in Slack",
		}
	}
	if refused := scope(st, r, b); refused != nil {
		return false, refused
	}
	vote := b.vote(voter.Person, groups, now)
	vote.For = voter.For
	if refused := d.stepUp(st, r, e, &vote); refused != nil {
		return false, refused
	}
	if !now.Before(r.Deadline.AsTime()) {
		return true, st.Decide(d.Key, machine.Expired, "", now)
	}
	if !st.Voted(vote) {
		return false, nil
	}
	if b.Channel != "" && st.Slack.TS == "" { // the answer to our post was lost: this is the message
		st.Slack.Channel, st.Slack.TS = b.Channel, b.TS
	}
	if b.Vote == approval.Deny {
		return true, st.Decide(d.Key, machine.Denied, "", now)
	}
	return true, d.tally(st, e)
}

func (d *Desk) tally(st *machine.State, e *electorate.Electorate) error {
	t := e.Tally(st.Approving())
	st.Needed = t.Needed
	if !t.Met() {
		return nil
	}
	persons := make([]string, len(t.Counted))
	for i, v := range t.Counted {
		persons[i] = v.Person
	}
	st.Count(persons)
	return st.Decide(d.Key, machine.Approved, "", d.Now())
}

// here refuses what the place of the vote does not allow: approving in Slack
// what Slack did not show whole, or by the button of another message.
func (d *Desk) here(st *machine.State, r *eventv1.ApprovalRequest, b Ballot) *refusal.Refusal {
	if b.Via == ViaWebhook {
		return shown(st, r, b)
	}
	if b.Via != "slack" {
		return nil
	}
	moved := st.Slack.Channel != "" && st.Slack.Channel != b.Channel || st.Slack.TS != "" && st.Slack.TS != b.TS
	if moved {
		return &refusal.Refusal{
			Code: refusal.VoteNotHere, ID: st.ID, Rule: r.Rule, Message: "this is not the message of this approval",
			Hint: "use the buttons of the newest message, or 'gatestay approvals show " + st.ID + "'",
		}
	}
	if b.Vote == approval.Approve && !message.Approvable(r) {
		return &refusal.Refusal{
			Code: refusal.VoteNotHere, ID: st.ID, Rule: r.Rule, Message: "it was not shown whole in Slack, so it cannot be approved there",
			Hint: "read and decide it with 'gatestay approvals show " + st.ID + "'",
		}
	}
	return nil
}

// ViaWebhook is the way of a vote that a webhook passes on.
const ViaWebhook = "webhook"

// shown refuses what a webhook's user did not see whole, or as it is now. The same
// vote again is none of that.
func shown(st *machine.State, r *eventv1.ApprovalRequest, b Ballot) *refusal.Refusal {
	refused := &refusal.Refusal{Code: refusal.VoteNotHere, ID: st.ID, Rule: r.Rule}
	switch {
	case b.Vote == approval.Approve && !message.Approvable(r):
		refused.Message, refused.Hint = "it was not shown whole there, so it cannot be approved there", "read and decide it with 'gatestay approvals show "+st.ID+"'"
	case b.Look != st.Look() && !st.Has(b.Account, b.Vote):
		refused.Message, refused.Hint = "it has changed since it was shown to the voter", "show it as it is now, and send the token of that"
	default:
		return nil
	}
	return refused
}

// scope refuses a grant that the rule does not offer for this command.
func scope(st *machine.State, r *eventv1.ApprovalRequest, b Ballot) *refusal.Refusal {
	offered := "this command alone"
	if scopes := r.GetOffer().GetScopes(); len(scopes) > 0 {
		offered += ", " + strings.Join(scopes, ", ")
	}
	wrong := ""
	switch {
	case b.Vote == approval.Deny && b.Scope != "":
		wrong = "a vote to deny has no scope"
	case !machine.Offered(r, b.Scope):
		wrong = "the rule does not offer this scope for this command"
	case b.Scope == "" && (b.Uses > 0 || b.Life > 0):
		wrong = "uses and a time belong to a grant"
	case b.Uses > r.GetOffer().GetUses() || b.Life > r.GetOffer().GetLife().AsDuration():
		wrong = fmt.Sprintf("the rule lets at most %d uses, for %s", r.Offer.GetUses(), r.Offer.GetLife().AsDuration())
	case b.Life < 0:
		wrong = "a time is not negative"
	default:
		return nil
	}
	return &refusal.Refusal{Code: refusal.ApprovalInvalid, ID: st.ID, Rule: r.Rule, Message: wrong, Hint: "offered here: " + offered}
}

func refuse(st *machine.State, err error) error {
	switch {
	case errors.Is(err, rulebook.ErrNotYet):
		return &refusal.Refusal{
			Code: refusal.BundleMissing, ID: st.ID, Message: "the policy that this request names is not known here yet", Hint: "try again in a moment",
		}
	case errors.Is(err, rulebook.ErrChanged):
		return &refusal.Refusal{
			Code: refusal.RuleChanged, ID: st.ID, Message: "the rule has changed since the command was held",
			Hint: "the command must be run again, and will ask anew",
		}
	}
	return &refusal.Refusal{
		Code: refusal.ApprovalInvalid, ID: st.ID, Message: "this request contradicts its rule, so nobody can decide it",
		Hint: "show this to whoever runs Gatestay",
	}
}

func unknown(id string) *refusal.Refusal {
	return &refusal.Refusal{
		Code: refusal.ApprovalUnknown, ID: id, Message: "there is no such approval", Hint: "'gatestay approvals list' shows those that wait",
	}
}

func over(st *machine.State) *refusal.Refusal {
	if st.Glass != nil {
		return &refusal.Refusal{
			Code: refusal.ApprovalOver, ID: st.ID, Message: "this is a break-glass: it has passed already, and is reviewed now",
			Hint: "say what you found: 'gatestay approvals close " + st.ID + "'",
		}
	}
	return &refusal.Refusal{
		Code: refusal.ApprovalOver, ID: st.ID, Message: fmt.Sprintf("this is over: it was %s before your vote", st.Status),
		Hint: "nothing more can be decided about it",
	}
}

// requesters are the accounts behind the principal: those that the gateway
// named, and those that the principal itself names.
func requesters(r *eventv1.ApprovalRequest) []string {
	out := slices.Clone(r.Requesters)
	for _, account := range policy.Requesters(r.Principal) {
		if !slices.ContainsFunc(out, func(have string) bool { return strings.EqualFold(have, account) }) {
			out = append(out, account)
		}
	}
	return out
}

func clean(reason string) string {
	reason = strings.TrimSpace(strings.ToValidUTF8(reason, "\ufffd"))
	if utf8.RuneCountInString(reason) > maxReason {
		reason = string([]rune(reason)[:maxReason-1]) + "…"
	}
	return reason
}
