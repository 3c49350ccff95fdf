package desk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/electorate"
	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/approval/internal/machine"
	"github.com/gatestay/gatestay/services/approval/internal/rulebook"
	"github.com/gatestay/gatestay/services/approval/internal/store"
)

const maxGlass = 9 * time.Hour // from its request to its end

// Review is what one person says of a break-glass, by an account whose owner has
// been verified.
type Review struct {
	Approval, Account, Via string
	Verdict                string // machine.Justified, machine.Unjustified
	Note                   string
	Groups                 []string // that the ID token names
	// Wide reports an administrator, who may close what no rule vouches for.
	Wide bool
	// Channel and TS, for Slack, are where the button was.
	Channel, TS string
}

// glassProblem names what is wrong with a break-glass, in words.
func glassProblem(r *eventv1.ApprovalRequest, now time.Time) string {
	g := r.BreakGlass
	switch {
	case r.Plan != nil || r.Offer != nil || r.Returned:
		return "it is a break-glass and something else"
	case g.Uses < 1 || g.Uses > 1000 || g.Until == nil || g.Until.AsTime().After(now.Add(maxGlass)):
		return "its break-glass has no bounds"
	case approval.Blank(r.Reason):
		return "its break-glass has no reason"
	}
	return ""
}

// Used takes a use event: a further command of a break-glass.
func (d *Desk) Used(ctx context.Context, gateway, id string, raw []byte) error {
	u := &eventv1.ApprovalUse{}
	if err := proto.Unmarshal(raw, u); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if u.ApprovalId != id || !validID.MatchString(id) || u.CommandId == "" || u.SessionId == "" {
		return fmt.Errorf("%w: its id is not that of its subject", ErrInvalid)
	}
	_, err := d.change(ctx, id, func(st *machine.State) (bool, error) {
		r, err := st.Parse()
		if err != nil {
			return false, err
		}
		if st.Gateway != gateway || r.GetBreakGlass() == nil || u.Number < 2 || u.Number > r.BreakGlass.Uses {
			d.Finding("approval.use_refused", map[string]string{"gateway": gateway, "approval_id": id, "command_id": u.CommandId})
			return false, fmt.Errorf("%w: it is no use of a break-glass of this gateway", ErrInvalid)
		}
		return st.Used(u, d.Now()), nil
	})
	return err // where its request has not come yet, it comes again
}

// vouch notes what the signed rules say of a break-glass. A gateway that let one
// pass which its rule does not allow is a finding.
func (d *Desk) vouch(ctx context.Context, st *machine.State) error {
	r, err := st.Parse()
	if err != nil || r == nil || st.Glass == nil || st.Glass.Known || st.Glass.Forged {
		return err
	}
	_, said := d.Rules().ByRule(r)
	forged := errors.Is(said, rulebook.ErrForged)
	if said != nil && !forged {
		return nil
	}
	if forged {
		d.Finding("approval.break_glass_forged", map[string]string{"gateway": st.Gateway, "approval_id": st.ID, "problem": said.Error()})
	}
	_, err = d.change(ctx, st.ID, func(st *machine.State) (bool, error) { return st.Vouched(!forged), nil })
	return err
}

// Reviewers returns who may close a break-glass, and how many must: anybody whom
// its rule names, whichever group they fill, who is none of its requesters; one
// more for each requester whom the people map does not know. nil where no rule
// vouches for it: then administrators.
func (d *Desk) Reviewers(st *machine.State, r *eventv1.ApprovalRequest) *electorate.Electorate {
	book := d.Rules()
	if book == nil || st.Glass == nil || !st.Glass.Known {
		return nil
	}
	e := electorate.Electorate{Approvers: r.Approvers}
	anyone := &eventv1.Approvers{Count: 1}
	for _, g := range e.Places() {
		anyone.SlackUsers, anyone.SlackGroups = append(anyone.SlackUsers, g.GetSlackUsers()...), append(anyone.SlackGroups, g.GetSlackGroups()...)
		anyone.Persons, anyone.OidcGroups = append(anyone.Persons, g.GetPersons()...), append(anyone.OidcGroups, g.GetOidcGroups()...)
		anyone.OnCall = append(anyone.OnCall, g.GetOnCall()...)
	}
	return &electorate.Electorate{Approvers: anyone, Requesters: requesters(r), People: book.People()}
}

// Close takes a verdict. It returns the state after it, durable, or a
// *refusal.Refusal; the same verdict of the same person again changes nothing.
func (d *Desk) Close(ctx context.Context, v Review) (*machine.State, error) {
	if !slices.Contains([]string{machine.Justified, machine.Unjustified}, v.Verdict) {
		return nil, &refusal.Refusal{Code: refusal.ApprovalInvalid, ID: v.Approval, Message: "a verdict is justified or unjustified"}
	}
	if !validID.MatchString(v.Approval) {
		return nil, unknown(v.Approval)
	}
	v.Note = clean(v.Note)
	st, err := d.change(ctx, v.Approval, func(st *machine.State) (bool, error) { return d.close(st, v) })
	if errors.Is(err, store.ErrUnknown) {
		return nil, unknown(v.Approval)
	}
	if err != nil {
		return nil, err
	}
	return st, d.tellClosed(ctx, st)
}

// MayClose reports what Close would answer to a note, without closing.
func (d *Desk) MayClose(ctx context.Context, v Review) error {
	st, _, err := d.Store.Get(ctx, v.Approval)
	if errors.Is(err, store.ErrUnknown) {
		return unknown(v.Approval)
	}
	if err != nil {
		return err
	}
	v.Note = "-"
	_, err = d.close(st.Clone(), v)
	return err
}

// close is the transition.
func (d *Desk) close(st *machine.State, v Review) (bool, error) {
	r, err := st.Parse()
	if err != nil || r == nil || st.Glass == nil {
		return false, errors.Join(err, unknown(v.Approval))
	}
	if v.Via == "slack" && (st.Slack.Channel != v.Channel || st.Slack.TS != "" && st.Slack.TS != v.TS) {
		return false, &refusal.Refusal{
			Code: refusal.VoteNotHere, ID: st.ID, Rule: r.Rule, Message: "this is not the message of this break-glass",
			Hint: "use the buttons of the newest message, or 'gatestay approvals close " + st.ID + "'",
		}
	}
	e := d.Reviewers(st, r)
	person, groups, refused := d.reviewer(e, st, v)
	if refused != nil {
		refused.ID, refused.Rule = st.ID, r.Rule
		return false, refused
	}
	if st.Status == machine.Reviewed {
		if slices.ContainsFunc(st.Glass.Verdicts, func(old machine.Verdict) bool { return old.Person == person && old.Verdict == v.Verdict }) {
			return false, nil // once more
		}
		return false, &refusal.Refusal{Code: refusal.ApprovalOver, ID: st.ID, Rule: r.Rule, Message: "this is over: its review was closed as " + st.Glass.Verdict}
	}
	if approval.Blank(v.Note) {
		return false, &refusal.Refusal{
			Code: refusal.ReasonRequired, ID: st.ID, Rule: r.Rule, Message: "who closes a review says what they found",
			Hint: "give a note: 'gatestay approvals close " + st.ID + " --verdict justified --note \"…\"'",
		}
	}
	now := d.Now()
	if !st.Review(machine.Verdict{
		Person: person, Account: v.Account, Verdict: v.Verdict, Note: v.Note, Via: v.Via, At: now.UTC(), Groups: groups,
	}) {
		return false, nil
	}
	if e == nil || e.Tally(st.Reviewing()).Met() {
		st.Close(now)
	}
	return true, nil
}

// reviewer says who would close, or why not.
func (d *Desk) reviewer(e *electorate.Electorate, st *machine.State, v Review) (person string, groups []string, refused *refusal.Refusal) {
	if e != nil {
		voter, groups, refused := d.admit(e, Ballot{Approval: v.Approval, Account: v.Account, Groups: v.Groups}, d.Now())
		if refused != nil && refused.Code == refusal.VoteSelf {
			refused.Message, refused.Hint = "you are among those who broke the glass, so somebody else must review it", "ask another of its approvers"
		}
		return voter.Person, groups, refused
	}
	r, err := st.Parse()
	if err != nil || !v.Wide {
		return "", nil, &refusal.Refusal{
			Code: refusal.VoteForbidden, Message: "its rule is not known here, or does not allow it, so only an administrator may close it",
			Hint: "sign_in.admins in gatestay.yaml names them, by the people map",
		}
	}
	of := &electorate.Electorate{Approvers: &eventv1.Approvers{}, Requesters: requesters(r), People: d.Rules().People()}
	if _, refused := of.Admit(electorate.Ballot{Account: v.Account}); refused.Code == refusal.VoteSelf {
		return "", nil, refused
	}
	return of.Voter(v.Account).Person, nil, nil
}

// tellClosed has every gateway know that nothing more passes by a break-glass
// whose review is closed. It is safe to repeat.
func (d *Desk) tellClosed(ctx context.Context, st *machine.State) error {
	if st.Glass == nil || st.Status != machine.Reviewed || st.Glass.Told {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishLimit)
	defer cancel()
	if _, err := d.Bus.PublishOnce(ctx, bus.RevokedSubject(st.ID), []byte("review")); err != nil && !errors.Is(err, ErrTaken) {
		return err
	}
	_, err := d.change(ctx, st.ID, func(st *machine.State) (bool, error) { return st.ToldClosed(), nil })
	return err
}

// Remind has people reminded of an open review, when it is time.
func (d *Desk) Remind(ctx context.Context, id string) error {
	_, err := d.change(ctx, id, func(st *machine.State) (bool, error) { return st.Remind(d.Now()), nil })
	return err
}
