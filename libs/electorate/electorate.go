// Package electorate says who may vote on an approval, and whether the votes
// suffice. It is pure. The rule names approvers; the people map joins the
// accounts of one person; a requester may never vote, and what cannot be
// proved distinct does not count as distinct. The approval service decides by
// it, and the gateway checks by it what the approval service signed.
package electorate

import (
	"slices"
	"strings"
	"time"

	"github.com/gatestay/gatestay/libs/passkey"
	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// People joins accounts to persons (libs/policy.People).
type People interface {
	passkey.Keys
	Person(account string) (name string, ok bool)
	Accounts(name string) []string
	// OnCall returns who is on call in a rotation at a moment, and StandsFor in whose
	// place somebody may vote then.
	OnCall(rotation string, at time.Time) []string
	StandsFor(person string, at time.Time) []string
	// Approvers says in words who may approve, at a moment.
	Approvers(a *eventv1.Approvers, requesters []string, at time.Time) string
}

// Electorate is who may decide one approval. Approvers come from the signed
// policy bundle's rule, requesters from the verified principal.
type Electorate struct {
	Approvers  *eventv1.Approvers
	Requesters []string // accounts: github:dana, oidc:dana@acme.example
	People     People
	// Requested is when the request was made: an escalation counts from then. The
	// zero time is never escalated.
	Requested time.Time
	// And are the other rules' approvers, all of whom must approve, too: a plan
	// may fall under several. Requesters and people are the same.
	And []*eventv1.Approvers
}

// each returns one electorate for each rule.
func (e *Electorate) each() []*Electorate {
	out := []*Electorate{{Approvers: e.Approvers, Requesters: e.Requesters, People: e.People, Requested: e.Requested}}
	for _, a := range e.And {
		out = append(out, &Electorate{Approvers: a, Requesters: e.Requesters, People: e.People, Requested: e.Requested})
	}
	return out
}

// InWords says who may approve, at a moment.
func (e *Electorate) InWords(at time.Time) string {
	var out []string
	for _, one := range e.each() {
		if words := e.People.Approvers(one.Approvers, e.Requesters, at); !slices.Contains(out, words) {
			out = append(out, words)
		}
	}
	return strings.Join(out, "; and ")
}

// Ballot is one account's vote to approve.
type Ballot struct {
	Account string
	// Groups are those of the rule's groups in which the voter was found when
	// voting, as SlackGroup and SignInGroup spell them.
	Groups []string
	At     time.Time
	// Proof is what the voter's passkey has signed; nil where it was not asked.
	Proof *passkey.Proof
	// AnyTime: hours and escalations are not looked at. So it is where the question
	// is whether somebody ever may, and for a vote to deny, which only restricts.
	AnyTime bool
}

// SlackGroup names a Slack user group in a Ballot.
func SlackGroup(id string) string { return "slack:" + id }

// SignInGroup names a group of the sign-in provider in a Ballot.
func SignInGroup(name string) string { return "oidc:" + name }

// Voter is one account and whom it belongs to.
type Voter struct {
	Account string // slack:U0DANA, oidc:dana@acme.example
	Person  string // name in the people map, or the account where unmapped
	Mapped  bool
	// For is in whose place they vote; empty: as themselves.
	For string
}

// Voter resolves an account.
func (e *Electorate) Voter(account string) Voter {
	if name, ok := e.People.Person(account); ok {
		return Voter{Account: account, Person: name, Mapped: true}
	}
	return Voter{Account: account, Person: account}
}

// Admit says whether a ballot may be cast, given the rule's groups that its
// account was found in; else why not, in kind words.
func (e *Electorate) Admit(b Ballot) (Voter, *refusal.Refusal) {
	v := e.Voter(b.Account)
	if e.requested(v) {
		return v, &refusal.Refusal{
			Code: refusal.VoteSelf, Message: "you are among those who asked for this, so somebody else must decide",
			Hint: "ask another approver; to withdraw it, cancel the command where it runs",
		}
	}
	if e.placed(b, v) {
		return v, nil
	}
	if of := e.standsFor(b, v, func(as Voter) bool { return e.placed(b, as) }); len(of) > 0 {
		v.For = of[0]
		return v, nil
	}
	if ever := b; !b.AnyTime {
		if ever.AnyTime = true; e.placed(ever, v) {
			return v, e.untimely(b, v)
		}
	}
	return v, e.stranger(v, b.Groups)
}

// stranger says why somebody is no approver, and what would make them one.
func (e *Electorate) stranger(v Voter, groups []string) *refusal.Refusal {
	r := &refusal.Refusal{
		Code: refusal.VoteForbidden, Message: "the rule does not name you as an approver",
		Hint: "being in the channel is not enough: ask one of the approvers",
	}
	_, signIn := e.Groups()
	switch {
	case len(signIn) == 0:
	case strings.HasPrefix(v.Account, "slack:"):
		r.Hint = "it names groups of the sign-in provider, which a click in Slack does not tell: if you are in one, sign in and vote with 'gatestay approvals' or in the web inbox"
	case !v.Mapped && slices.ContainsFunc(signIn, func(name string) bool { return slices.Contains(groups, SignInGroup(name)) }):
		r.Message = "you are in a group that may approve, but the people map does not know you: it cannot be told whether you asked for this yourself"
		r.Hint = "have " + v.Account + " added to people.yaml"
	}
	return r
}

// Places returns the groups that must each be met, of every rule: those of
// all_of, or the one flat list.
func (e *Electorate) Places() []*eventv1.ApproverGroup {
	var out []*eventv1.ApproverGroup
	for _, one := range e.each() {
		out = append(out, one.places()...)
	}
	return out
}

// places are those of the first rule.
func (e *Electorate) places() []*eventv1.ApproverGroup {
	a := e.Approvers
	if len(a.GetAllOf()) > 0 {
		return a.GetAllOf()
	}
	return []*eventv1.ApproverGroup{{
		SlackUsers: a.GetSlackUsers(), Persons: a.GetPersons(), SlackGroups: a.GetSlackGroups(), OidcGroups: a.GetOidcGroups(), Count: a.GetCount(),
		Hours: a.GetHours(), OnCall: a.GetOnCall(), Escalation: a.GetEscalation(),
	}}
}

// Groups returns the groups that the rule names: ids of Slack user groups, and
// names of groups of the sign-in provider.
func (e *Electorate) Groups() (slack, signIn []string) {
	for _, place := range e.Places() {
		for _, g := range sources(place) {
			slack, signIn = append(slack, g.GetSlackGroups()...), append(signIn, g.GetOidcGroups()...)
		}
	}
	slices.Sort(slack)
	slices.Sort(signIn)
	return slices.Compact(slack), slices.Compact(signIn)
}

// requested reports that the voter is one of the requesters.
func (e *Electorate) requested(v Voter) bool {
	return slices.ContainsFunc(e.Requesters, func(account string) bool {
		r := e.Voter(account)
		return strings.EqualFold(account, v.Account) || r.Mapped && v.Mapped && r.Person == v.Person
	})
}

// member reports that a group of approvers includes the voter. A Slack account
// counts by its id; another account of a mapped person counts where the group
// names the person, or a Slack id that the map gives to the person. Whoever
// votes as a member of a sign-in group must be in the map: nothing else tells
// them from a requester, or from another voter.
func (e *Electorate) member(v Voter, groups []string, g *eventv1.ApproverGroup, at time.Time) bool {
	if v.Mapped && slices.ContainsFunc(g.GetOnCall(), func(name string) bool { return slices.Contains(e.People.OnCall(name, at), v.Person) }) {
		return true
	}
	if v.Mapped && slices.Contains(g.GetPersons(), v.Person) {
		return true
	}
	id, slack := strings.CutPrefix(v.Account, "slack:")
	if (slack || v.Mapped) && slices.ContainsFunc(g.GetSlackGroups(), func(id string) bool { return slices.Contains(groups, SlackGroup(id)) }) {
		return true
	}
	if v.Mapped && slices.ContainsFunc(g.GetOidcGroups(), func(name string) bool { return slices.Contains(groups, SignInGroup(name)) }) {
		return true
	}
	if slack {
		return slices.Contains(g.GetSlackUsers(), id)
	}
	return v.Mapped && slices.ContainsFunc(g.GetSlackUsers(), func(id string) bool {
		name, ok := e.People.Person("slack:" + id)
		return ok && name == v.Person
	})
}
