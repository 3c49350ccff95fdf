package electorate

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	"github.com/gatestay/gatestay/libs/hours"
	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

var (
	office = []*eventv1.Hours{{Days: []string{"mon-fri"}, From: "09:00", To: "17:30", Zone: "Europe/Berlin"}}
	monday = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC) // within office
	night  = time.Date(2026, 11, 30, 22, 0, 0, 0, time.UTC)
)

func at(when time.Time, votes ...Ballot) []Ballot {
	for i := range votes {
		votes[i].At = when
	}
	return votes
}

// Outside its hours nobody of a group approves, whoever the vote comes from; to
// deny is possible at any time.
func TestRedteam19_OutsideItsHoursAGroupDoesNotApprove(t *testing.T) {
	flat := &eventv1.Approvers{Persons: []string{"kim", "dana"}, Count: 1, Hours: office}
	all := &eventv1.Approvers{AllOf: []*eventv1.ApproverGroup{
		{Name: "dba", Persons: []string{"kim"}, Count: 1, Hours: office},
		{Name: "security", Persons: []string{"dana"}, Count: 1},
	}}
	for name, c := range map[string]struct {
		approvers *eventv1.Approvers
		when      time.Time
		met       bool
	}{
		"a flat list, within":          {flat, monday, true},
		"a flat list, outside":         {flat, night, false},
		"a group of all_of, within":    {all, monday, true},
		"a group of all_of, outside":   {all, night, false},
		"no moment at all":             {flat, time.Time{}, false},
		"a window that cannot be read": {&eventv1.Approvers{Persons: []string{"kim"}, Count: 1, Hours: []*eventv1.Hours{{Zone: "Nowhere"}}}, monday, false},
	} {
		e := &Electorate{Approvers: c.approvers, Requesters: []string{"github:riley"}, People: everybody}
		if got := e.Tally(at(c.when, ballots("slack:U0KIM", "oidc:dana@x")...)); got.Met() != c.met {
			t.Errorf("%s: met %v", name, got.Met())
		}
	}
	e := &Electorate{Approvers: flat, Requesters: []string{"github:riley"}, People: everybody}
	_, refused := e.Admit(Ballot{Account: "slack:U0KIM", At: night})
	if refused == nil || refused.Code != refusal.VoteUntimely || !strings.Contains(refused.Message, "mon-fri 09:00-17:30 Europe/Berlin") {
		t.Fatalf("refused %v", refused)
	}
	if _, refused := e.Admit(Ballot{Account: "slack:U0KIM", At: night, AnyTime: true}); refused != nil {
		t.Fatalf("a denial at night is refused: %v", refused)
	}
	if _, refused := e.Admit(Ballot{Account: "oidc:sam@x", At: night, AnyTime: true}); refused == nil {
		t.Fatal("a stranger may deny")
	}
	if !e.Attainable().Met() {
		t.Fatal("what can be approved tomorrow is not unattainable")
	}
}

func escalating(requesters ...string) *Electorate {
	return &Electorate{
		Approvers: &eventv1.Approvers{Persons: []string{"kim"}, Count: 1, Escalation: &eventv1.Escalation{
			After: durationpb.New(10 * time.Minute), To: &eventv1.ApproverGroup{Persons: []string{"dana"}, SlackGroups: []string{"S0LEADS"}},
		}},
		Requesters: requesters, People: everybody, Requested: monday,
	}
}

// The second group's votes count from the escalation on, not before, and never
// where nobody knows since when the request waits.
func TestRedteam19_TheSecondGroupDoesNotVoteBeforeTheEscalation(t *testing.T) {
	e := escalating("github:riley")
	for name, c := range map[string]struct {
		votes []Ballot
		met   bool
	}{
		"the first group at once":         {at(monday, ballots("slack:U0KIM")...), true},
		"the second at once":              {at(monday, ballots("oidc:dana@x")...), false},
		"the second a moment too early":   {at(monday.Add(10*time.Minute-1), ballots("oidc:dana@x")...), false},
		"the second after":                {at(monday.Add(10*time.Minute), ballots("oidc:dana@x")...), true},
		"a member of the second's group":  {at(monday.Add(time.Hour), Ballot{Account: "slack:U0NEW", Groups: []string{"slack:S0LEADS"}}), true},
		"and too early":                   {at(monday, Ballot{Account: "slack:U0NEW", Groups: []string{"slack:S0LEADS"}}), false},
		"the first group afterwards, too": {at(monday.Add(time.Hour), ballots("slack:U0KIM")...), true},
		"a stranger afterwards":           {at(monday.Add(time.Hour), ballots("oidc:sam@x")...), false},
	} {
		if got := e.Tally(c.votes); got.Met() != c.met {
			t.Errorf("%s: met %v", name, got.Met())
		}
	}
	late := at(monday.Add(time.Hour), ballots("oidc:dana@x")...)
	for _, unknown := range []time.Time{{}, time.Unix(0, 0)} {
		if e.Requested = unknown; e.Tally(late).Met() || len(e.Escalations()) > 0 {
			t.Fatal("it escalates though nobody knows since when it waits")
		}
	}
	e = escalating("github:dana")
	if e.Tally(late).Met() {
		t.Fatal("a requester approves by the escalation")
	}
}

// A vote given before the request, or after now, is nobody's.
func TestPlausible(t *testing.T) {
	for name, c := range map[string]struct {
		at   time.Time
		want bool
	}{
		"between":                {monday.Add(time.Minute), true},
		"clocks a little apart":  {monday.Add(-Skew), true},
		"long before":            {monday.Add(-Skew - time.Second), false},
		"a little after now":     {monday.Add(time.Hour + Skew), true},
		"long after now":         {monday.Add(time.Hour + Skew + time.Second), false},
		"no moment at all":       {time.Time{}, false},
		"the beginning of Unix'": {time.Unix(0, 0), false},
	} {
		if got := Plausible(c.at, monday, monday.Add(time.Hour)); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Whatever the hours and the escalation: what counts was within the hours of a
// place that names the voter, or after its escalation within the hours of those
// escalated to.
func TestRedteam19_NoVoteCountsAtAnotherTime(t *testing.T) {
	persons := []string{"dana", "kim", "sam"}
	accounts := map[string]string{"dana": "oidc:dana@x", "kim": "oidc:kim@x", "sam": "oidc:sam@x"}
	draw := rapid.Custom(func(t *rapid.T) *eventv1.ApproverGroup {
		g := &eventv1.ApproverGroup{Count: 1, Persons: rapid.SliceOfNDistinct(rapid.SampledFrom(persons), 1, 3, rapid.ID[string]).Draw(t, "persons")}
		if rapid.Bool().Draw(t, "hours") {
			g.Hours = []*eventv1.Hours{{Days: []string{rapid.SampledFrom(hours.Week).Draw(t, "day")}, From: "22:00", To: "06:00", Zone: "America/New_York"}}
		}
		return g
	})
	rapid.Check(t, func(t *rapid.T) {
		e := &Electorate{Approvers: &eventv1.Approvers{}, Requesters: []string{"github:riley"}, People: everybody, Requested: monday}
		for range 2 {
			g := draw.Draw(t, "group")
			if rapid.Bool().Draw(t, "escalates") {
				g.Escalation = &eventv1.Escalation{After: durationpb.New(time.Duration(rapid.IntRange(1, 3000).Draw(t, "after")) * time.Minute), To: draw.Draw(t, "to")}
			}
			e.Approvers.AllOf = append(e.Approvers.AllOf, g)
		}
		moments := map[string]time.Time{}
		var votes []Ballot
		for _, p := range persons {
			moments[p] = monday.Add(time.Duration(rapid.IntRange(0, 7*24*60).Draw(t, p)) * time.Minute)
			votes = append(votes, Ballot{Account: accounts[p], At: moments[p]})
		}
		got := e.Tally(votes)
		for i, filled := range got.Groups {
			for _, v := range filled.Counted {
				g, when := e.Approvers.AllOf[i], moments[v.Person]
				may := named(g, v.Person) && hours.Of(g.Hours).Open(when)
				if to := g.Escalation.GetTo(); to != nil {
					may = may || named(to, v.Person) && hours.Of(to.Hours).Open(when) && !when.Before(monday.Add(g.Escalation.After.AsDuration()))
				}
				if !may {
					t.Fatalf("%s fills a place of %v at %s", v.Person, g, when)
				}
			}
		}
	})
}

func named(g *eventv1.ApproverGroup, person string) bool {
	for _, p := range g.Persons {
		if p == person {
			return true
		}
	}
	return false
}
