package electorate

import (
	"slices"
	"strings"

	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// Tally is what the votes to approve amount to.
type Tally struct {
	Counted []Voter // provably distinct persons, none a requester
	Needed  int     // how many of them the rule asks for, and the unknown requesters add
	// Unplaced are requesters who could be one of the voters: each needs one
	// more approver.
	Unplaced []string
	// Groups are those of an all_of, in its order; nil for a flat list.
	Groups []Filled

	short bool // enough persons, but not in every group
	open  bool // nobody can tell how many could still vote
}

// Filled is how far a group of an all_of is met.
type Filled struct {
	Name    string
	Counted []Voter // who fills a place of this group, and of no other
	Needed  int
}

// Met reports that the votes suffice.
func (t Tally) Met() bool { return t.open || len(t.Counted) >= t.Needed && !t.short }

// Missing returns how many more distinct persons it takes, at least.
func (t Tally) Missing() int {
	missing := 0
	for _, g := range t.Groups {
		missing += g.Needed - len(g.Counted)
	}
	missing = max(missing, t.Needed-len(t.Counted), 0)
	if missing == 0 && !t.Met() {
		return 1
	}
	return missing
}

// admitted is a voter and the groups of an all_of that include them.
type admitted struct {
	Voter
	in    []bool
	seats []string // those in whose place they vote, too
}

// Tally counts the votes to approve. Accounts that may not vote count for
// nothing, nor do those that lack the passkey that the rule asks for, nor those given at a time when they may not;
// one person counts once, and fills at most one place of a rule. Of
// several rules each has its own count: the votes suffice where they do for
// every one.
func (e *Electorate) Tally(votes []Ballot) Tally { return e.tallyBy(votes, (*Electorate).Proven) }

// proven says whether a ballot is given as step_up asks.
type proven func(e *Electorate, v Voter, b Ballot) bool

func (e *Electorate) tallyBy(votes []Ballot, proven proven) Tally {
	if len(e.And) == 0 {
		return e.tally(votes, proven)
	}
	var all Tally
	missing := 0
	for _, one := range e.each() {
		t := one.tally(votes, proven)
		missing = max(missing, t.Missing())
		all.short = all.short || !t.Met()
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
	all.Needed = len(all.Counted) + missing
	return all
}

func (e *Electorate) tally(votes []Ballot, proven proven) Tally {
	places := e.places()
	var ballots []Ballot
	var voters []admitted
	seen := map[string]bool{}
	for _, b := range votes {
		v, refused := e.Admit(b)
		if refused != nil || seen[v.Person] || !proven(e, v, b) {
			continue
		}
		seen[v.Person] = true
		a := admitted{Voter: v, in: make([]bool, len(places))}
		for i, g := range places {
			a.in[i] = e.in(b, v, g)
		}
		ballots, voters = append(ballots, b), append(voters, a)
	}
	var withSlack, withoutSlack, unmapped []admitted
	for _, a := range e.seat(ballots, voters) {
		unseen := !e.hasSlack(a.Person) || slices.ContainsFunc(a.seats, func(person string) bool { return !e.hasSlack(person) })
		switch {
		case !a.Mapped:
			unmapped = append(unmapped, a)
		case !unseen:
			withSlack = append(withSlack, a)
		default:
			withoutSlack = append(withoutSlack, a)
		}
	}
	// Only Slack accounts vote unmapped. One of them could belong to a person
	// whose Slack account the map does not tell: of such pairs one side counts.
	t := e.count(places, slices.Concat(withSlack, withoutSlack))
	if len(unmapped) > 0 {
		if other := e.count(places, slices.Concat(withSlack, unmapped)); other.Met() || !t.Met() && len(unmapped) > len(withoutSlack) {
			t = other
		}
	}
	return t
}

func (e *Electorate) count(places []*eventv1.ApproverGroup, voters []admitted) Tally {
	t := Tally{}
	for _, v := range voters {
		t.Counted = append(t.Counted, v.Voter)
	}
	strangers := slices.ContainsFunc(t.Counted, func(v Voter) bool { return !v.Mapped })
	t.Unplaced = e.unplaced(strangers)
	in, counts := make([][]bool, len(voters)), make([]int, len(places))
	for i, v := range voters {
		in[i] = v.in
	}
	for g, p := range places {
		counts[g] = int(max(p.GetCount(), 1))
		t.Needed += counts[g]
	}
	t.Needed += len(t.Unplaced)
	// Whoever of the voters the unknown requesters are, the others must do.
	t.short = !Fillable(in, counts, len(t.Unplaced))
	if len(e.Approvers.GetAllOf()) > 0 {
		for g, p := range places {
			t.Groups = append(t.Groups, Filled{Name: p.GetName(), Needed: counts[g]})
		}
		for i, g := range assign(in, counts) {
			if g >= 0 {
				t.Groups[g].Counted = append(t.Groups[g].Counted, voters[i].Voter)
			}
		}
	}
	return t
}

// Fillable reports whether counts[g] of the voters can be found for every
// group g, each voter for one group, whichever spare of the voters are left
// out. in[v][g] says that voter v is in group g. By Hall's theorem that is so
// exactly where any set of groups has, together, as many voters as places, and
// spare more. It takes 2^len(counts) steps.
func Fillable(in [][]bool, counts []int, spare int) bool {
	for set := 1; set < 1<<len(counts); set++ {
		places, voters := spare, 0
		for g, n := range counts {
			if set&(1<<g) != 0 {
				places += n
			}
		}
		for _, groups := range in {
			for g, member := range groups {
				if member && set&(1<<g) != 0 {
					voters++
					break
				}
			}
		}
		if voters < places {
			return false
		}
	}
	return true
}

// assign gives as many places as can be to voters, each at most one: a maximum
// bipartite matching by augmenting paths. It returns each voter's group, or -1.
func assign(in [][]bool, counts []int) []int {
	of := make([]int, len(in))
	for v := range of {
		of[v] = -1
	}
	filled := make([]int, len(counts))
	var place func(v int, tried []bool) bool
	place = func(v int, tried []bool) bool {
		for g, member := range in[v] {
			if !member || tried[g] {
				continue
			}
			tried[g] = true
			if filled[g] < counts[g] {
				of[v], filled[g] = g, filled[g]+1
				return true
			}
			for other, now := range of {
				if now == g && place(other, tried) { // moves to another group
					of[v] = g
					return true
				}
			}
		}
		return false
	}
	for v := range in {
		place(v, make([]bool, len(counts)))
	}
	return of
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
// approved. Where it is not met, nobody can approve. Who is in a group is not
// known beforehand: with groups, it is met.
func (e *Electorate) Attainable() Tally {
	var all []Ballot
	for _, place := range e.Places() {
		for _, g := range sources(place) {
			all = append(all, e.everybody(g)...)
		}
	}
	t := e.tallyBy(all, (*Electorate).couldProve)
	slack, signIn := e.Groups()
	t.open = len(slack)+len(signIn) > 0 || e.onCall()
	return t
}

// everybody returns a ballot of each account whose owner a group names.
func (e *Electorate) everybody(g *eventv1.ApproverGroup) []Ballot {
	var all []Ballot
	for _, id := range g.GetSlackUsers() {
		all = append(all, Ballot{Account: "slack:" + id, AnyTime: true})
	}
	for _, name := range g.GetPersons() {
		for _, account := range e.People.Accounts(name) {
			if strings.HasPrefix(account, "slack:") || strings.HasPrefix(account, "oidc:") {
				all = append(all, Ballot{Account: account, AnyTime: true})
			}
		}
	}
	return all
}

// onCall reports that a rule asks whoever is on call.
func (e *Electorate) onCall() bool {
	return slices.ContainsFunc(e.Places(), func(place *eventv1.ApproverGroup) bool {
		return slices.ContainsFunc(sources(place), func(g *eventv1.ApproverGroup) bool { return len(g.GetOnCall()) > 0 })
	})
}
