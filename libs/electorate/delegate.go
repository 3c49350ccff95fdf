package electorate

import "slices"

// standsFor returns in whose place a voter may cast a ballot, of those for whom f
// holds: never of a requester. Groups are asked of the voter, so what is taken over
// is what the rule says of a person by name, by a Slack id, or as being on call.
func (e *Electorate) standsFor(b Ballot, v Voter, f func(as Voter) bool) []string {
	if !v.Mapped {
		return nil
	}
	var out []string
	for _, person := range e.People.StandsFor(v.Person, b.At) {
		as := Voter{Person: person, Mapped: true}
		if person != v.Person && !e.requested(as) && f(as) {
			out = append(out, person)
		}
	}
	return out
}

// seat adds to the voters' places those that they have in somebody's place, and
// drops who then has none. Each person's place is filled once: by themselves, if
// they have voted, else by the first of those who stand in for them.
func (e *Electorate) seat(ballots []Ballot, voters []admitted) []admitted {
	taken := map[string]bool{}
	for _, v := range voters {
		taken[v.Person] = true
	}
	places := e.places()
	var out []admitted
	for i, v := range voters {
		b := ballots[i]
		b.Groups = nil
		own := slices.Contains(v.in, true)
		v.For = ""
		for _, person := range e.standsFor(b, v.Voter, func(as Voter) bool { return !taken[as.Person] && e.placed(b, as) }) {
			taken[person], v.seats = true, append(v.seats, person)
			if v.For == "" && !own {
				v.For = person
			}
			for g, place := range places {
				v.in[g] = v.in[g] || e.in(b, Voter{Person: person, Mapped: true}, place)
			}
		}
		if slices.Contains(v.in, true) {
			out = append(out, v)
		}
	}
	return out
}
