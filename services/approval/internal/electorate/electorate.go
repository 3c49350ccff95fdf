// Package electorate says who may vote on an approval, and whether the votes
// suffice. It is pure. The rule names approvers; the people map joins the
// accounts of one person; a requester may never vote, and what cannot be
// proved distinct does not count as distinct.
package electorate

import (
	"slices"
	"strings"

	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// People joins accounts to persons (libs/policy.People).
type People interface {
	Person(account string) (name string, ok bool)
	Accounts(name string) []string
	// Approvers says in words who may approve.
	Approvers(a *eventv1.Approvers, requesters []string) string
}

// Electorate is who may decide one approval. Approvers come from the signed
// policy bundle's rule, requesters from the verified principal.
type Electorate struct {
	Approvers  *eventv1.Approvers
	Requesters []string // accounts: github:dana, oidc:dana@acme.example
	People     People
	// And are the other rules' approvers, all of whom must approve, too: a plan
	// may fall under several. Requesters and people are the same.
	And []*eventv1.Approvers
}

// each returns one electorate for each rule.
func (e *Electorate) each() []*Electorate {
	out := []*Electorate{{Approvers: e.Approvers, Requesters: e.Requesters, People: e.People}}
	for _, a := range e.And {
		out = append(out, &Electorate{Approvers: a, Requesters: e.Requesters, People: e.People})
	}
	return out
}

// InWords says who may approve.
func (e *Electorate) InWords() string {
	var out []string
	for _, one := range e.each() {
		if words := e.People.Approvers(one.Approvers, e.Requesters); !slices.Contains(out, words) {
			out = append(out, words)
		}
	}
	return strings.Join(out, "; and ")
}

// Voter is one account and whom it belongs to.
type Voter struct {
	Account string // slack:U0DANA, oidc:dana@acme.example
	Person  string // name in the people map, or the account where unmapped
	Mapped  bool
}

// Voter resolves an account.
func (e *Electorate) Voter(account string) Voter {
	if name, ok := e.People.Person(account); ok {
		return Voter{Account: account, Person: name, Mapped: true}
	}
	return Voter{Account: account, Person: account}
}

// Admit says whether an account may vote; else why not, in kind words.
func (e *Electorate) Admit(account string) (Voter, *refusal.Refusal) {
	v := e.Voter(account)
	if e.requested(v) {
		return v, &refusal.Refusal{
			Code: refusal.VoteSelf, Message: "you are among those who asked for this, so somebody else must decide",
			Hint: "ask another approver; to withdraw it, cancel the command where it runs",
		}
	}
	if !slices.ContainsFunc(e.each(), func(one *Electorate) bool { return one.named(v) }) {
		return v, &refusal.Refusal{
			Code: refusal.VoteForbidden, Message: "the rule does not name you as an approver",
			Hint: "being in the channel is not enough: ask one of the approvers",
		}
	}
	return v, nil
}

// requested reports that the voter is one of the requesters.
func (e *Electorate) requested(v Voter) bool {
	return slices.ContainsFunc(e.Requesters, func(account string) bool {
		r := e.Voter(account)
		return strings.EqualFold(account, v.Account) || r.Mapped && v.Mapped && r.Person == v.Person
	})
}

// named reports that the rule's approvers include the voter. A Slack account
// counts by its id; another account of a mapped person counts where the rule
// names the person, or a Slack id that the map gives to the person.
func (e *Electorate) named(v Voter) bool {
	if v.Mapped && slices.Contains(e.Approvers.GetPersons(), v.Person) {
		return true
	}
	if id, slack := strings.CutPrefix(v.Account, "slack:"); slack {
		return slices.Contains(e.Approvers.GetSlackUsers(), id)
	}
	return v.Mapped && slices.ContainsFunc(e.Approvers.GetSlackUsers(), func(id string) bool {
		name, ok := e.People.Person("slack:" + id)
		return ok && name == v.Person
	})
}

// Tally is what the votes to approve amount to.
type Tally struct {
	Counted []Voter // provably distinct persons, none a requester
	Needed  int     // how many of them the rule asks for, and the unknown requesters add
	// Unplaced are requesters who could be one of the voters: each needs one
	// more approver.
	Unplaced []string
}

// Met reports that the votes suffice.
func (t Tally) Met() bool { return len(t.Counted) >= t.Needed }

// Tally counts the accounts that voted to approve. Accounts that may not vote
// count for nothing, one person counts once. Of several rules each has its own
// count: the votes suffice where they do for every one.
func (e *Electorate) Tally(accounts []string) Tally {
	if len(e.And) == 0 {
		return e.tally(accounts)
	}
	var all Tally
	missing := 0
	for _, one := range e.each() {
		t := one.tally(accounts)
		missing = max(missing, t.Needed-len(t.Counted))
		for _, v := range t.Counted {
			if !slices.ContainsFunc(all.Counted, func(have Voter) bool { return have.Person == v.Person }) {
				all.Counted = append(all.Counted, v)
			}
		}
		for _, u := range t.Unplaced {
			if !slices.Contains(all.Unplaced, u) {
				all.Unplaced = append(all.Unplaced, u)
			}
		}
	}
	all.Needed = len(all.Counted) + max(missing, 0)
	return all
}

func (e *Electorate) tally(accounts []string) Tally {
	var withSlack, withoutSlack, unmapped []Voter
	seen := map[string]bool{}
	for _, account := range accounts {
		v, refused := e.Admit(account)
		if refused != nil || seen[v.Person] {
			continue
		}
		seen[v.Person] = true
		switch {
		case !v.Mapped:
			unmapped = append(unmapped, v)
		case e.hasSlack(v.Person):
			withSlack = append(withSlack, v)
		default:
			withoutSlack = append(withoutSlack, v)
		}
	}
	// Only Slack accounts vote unmapped. One of them could belong to a person
	// whose Slack account the map does not tell: of such pairs one side counts.
	t := Tally{Counted: append(withSlack, withoutSlack...)}
	if len(unmapped) > len(withoutSlack) {
		t.Counted = append(withSlack, unmapped...)
	}
	strangers := slices.ContainsFunc(t.Counted, func(v Voter) bool { return !v.Mapped })
	t.Unplaced = e.unplaced(strangers)
	t.Needed = int(max(e.Approvers.GetCount(), 1)) + len(t.Unplaced)
	return t
}

// unplaced lists the requesters who could be among the voters: those whom the
// map does not know, and, where an unmapped Slack account voted, those whose
// Slack account it does not tell. A principal behind which nobody is known has
// one such requester.
func (e *Electorate) unplaced(strangers bool) []string {
	if len(e.Requesters) == 0 {
		return []string{"unknown"}
	}
	var out []string
	for _, account := range e.Requesters {
		r := e.Voter(account)
		if (!r.Mapped || strangers && !e.hasSlack(r.Person)) && !slices.Contains(out, r.Person) {
			out = append(out, r.Person)
		}
	}
	return out
}

func (e *Electorate) hasSlack(person string) bool {
	return slices.ContainsFunc(e.People.Accounts(person), func(a string) bool { return strings.HasPrefix(a, "slack:") })
}

// Attainable returns what the tally would be if everybody whom the rule names
// approved. Where it is not met, nobody can approve.
func (e *Electorate) Attainable() Tally {
	var all []string
	for _, one := range e.each() {
		for _, id := range one.Approvers.GetSlackUsers() {
			all = append(all, "slack:"+id)
		}
		for _, name := range one.Approvers.GetPersons() {
			for _, account := range e.People.Accounts(name) {
				if strings.HasPrefix(account, "slack:") || strings.HasPrefix(account, "oidc:") {
					all = append(all, account)
				}
			}
		}
	}
	return e.Tally(all)
}
