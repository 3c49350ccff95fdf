package desk

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/electorate"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/approval/internal/machine"
	"github.com/gatestay/gatestay/services/approval/internal/store"
)

// Words are a question or an answer, by an account whose owner has been verified.
type Words struct {
	Approval, Account, Text, Via string
	Groups                       []string // that the ID token names
	// Channel and TS, for Slack, are where the button was.
	Channel, TS string
}

// Asked returns the account of who is behind a request and can be asked: the person
// on whose behalf it acts, else who started it; empty for nobody.
func Asked(r *eventv1.ApprovalRequest) string {
	p := r.GetPrincipal()
	for _, account := range policy.Requesters(&eventv1.Principal{OnBehalfOf: p.GetOnBehalfOf()}) {
		return account
	}
	for _, account := range requesters(r) {
		return account
	}
	return ""
}

// Ask takes a question of somebody who may vote. It returns the state after it,
// durable, or a *refusal.Refusal.
func (d *Desk) Ask(ctx context.Context, w Words) (*machine.State, error) { return d.say(ctx, w, d.ask) }

// Answer takes the answer of who was asked; it is of the oldest question that waits.
func (d *Desk) Answer(ctx context.Context, w Words) (*machine.State, error) {
	return d.say(ctx, w, d.answer)
}

// MayAsk reports what Ask would answer to a question.
func (d *Desk) MayAsk(ctx context.Context, w Words) error {
	st, _, err := d.Store.Get(ctx, w.Approval)
	if errors.Is(err, store.ErrUnknown) {
		return unknown(w.Approval)
	}
	if err != nil {
		return err
	}
	w.Text = "?"
	_, err = d.ask(st.Clone(), w)
	return err
}

func (d *Desk) say(ctx context.Context, w Words, f func(*machine.State, Words) (bool, error)) (*machine.State, error) {
	if !validID.MatchString(w.Approval) {
		return nil, unknown(w.Approval)
	}
	w.Text = clean(w.Text)
	st, err := d.change(ctx, w.Approval, func(st *machine.State) (bool, error) { return f(st, w) })
	if errors.Is(err, store.ErrUnknown) {
		return nil, unknown(w.Approval)
	}
	return st, err
}

// ask is the transition.
func (d *Desk) ask(st *machine.State, w Words) (bool, error) {
	r, err := st.Parse()
	if err != nil || r == nil {
		return false, errors.Join(err, unknown(w.Approval))
	}
	if st.Done() {
		return false, over(st)
	}
	e, err := d.Electorate(r)
	if err != nil {
		return false, refuse(st, err)
	}
	b := Ballot{Approval: w.Approval, Account: w.Account, Groups: w.Groups, Via: w.Via, Vote: approval.Deny, Channel: w.Channel, TS: w.TS}
	if refused := d.here(st, r, b); refused != nil {
		return false, refused
	}
	voter, _, refused := d.admit(e, b, d.Now())
	if refused != nil {
		refused.ID, refused.Rule = st.ID, r.Rule
		return false, refused
	}
	to := Asked(r)
	wrong := ""
	switch {
	case to == "":
		wrong = "nobody is known to be behind this request, so nobody can be asked"
	case approval.Blank(w.Text):
		wrong = "there is no question in it"
	case len(st.Questions) >= machine.MaxQuestions:
		wrong = fmt.Sprintf("%d questions were asked already", machine.MaxQuestions)
	}
	if wrong != "" {
		return false, &refusal.Refusal{Code: refusal.ApprovalInvalid, ID: st.ID, Rule: r.Rule, Message: wrong}
	}
	of := e.Voter(to).Person
	return st.Ask(machine.Question{Text: w.Text, By: voter.Person, Account: w.Account, Via: w.Via, At: d.Now().UTC(), To: to, Of: of}), nil
}

// answer is the transition.
func (d *Desk) answer(st *machine.State, w Words) (bool, error) {
	r, err := st.Parse()
	if err != nil || r == nil {
		return false, errors.Join(err, unknown(w.Approval))
	}
	i := st.Open()
	switch {
	case i < 0:
		return false, &refusal.Refusal{Code: refusal.ApprovalOver, ID: st.ID, Message: "no question waits for an answer here"}
	case st.Done():
		return false, over(st)
	case !d.IsAsked(st, w.Account):
		return false, &refusal.Refusal{Code: refusal.VoteForbidden, ID: st.ID, Message: "somebody else was asked", Hint: "only who was asked answers"}
	case approval.Blank(w.Text):
		return false, &refusal.Refusal{Code: refusal.ApprovalInvalid, ID: st.ID, Message: "there is no answer in it"}
	}
	st.Answered(i, w.Text, w.Account, w.Via, d.Now().UTC())
	return true, nil
}

// IsAsked reports that the oldest open question is for the owner of an account: it is
// the account itself, or the people map, now, gives both to one person.
func (d *Desk) IsAsked(st *machine.State, account string) bool {
	i := st.Open()
	book := d.Rules()
	if i < 0 || book == nil {
		return false
	}
	e := electorate.Electorate{People: book.People()}
	to, by := e.Voter(st.Questions[i].To), e.Voter(account)
	return strings.EqualFold(to.Account, by.Account) || to.Mapped && by.Mapped && to.Person == by.Person
}

// Reply takes a message in the thread of an approval's message; nil where it is of
// none, or not the answer of who was asked.
func (d *Desk) Reply(ctx context.Context, channel, thread, account, text string) error {
	for _, st := range d.Store.Active() {
		if st.Slack.Channel != channel || st.Slack.TS != thread || thread == "" {
			continue
		}
		if !d.IsAsked(st, account) {
			return nil
		}
		_, err := d.Answer(ctx, Words{Approval: st.ID, Account: account, Text: text, Via: "slack"})
		var r *refusal.Refusal
		if errors.As(err, &r) {
			return nil // it ended meanwhile, or says nothing
		}
		return err
	}
	return nil
}
