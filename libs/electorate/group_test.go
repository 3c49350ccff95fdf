package electorate

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

func TestAdmitGroups(t *testing.T) {
	e := Electorate{
		Approvers:  &eventv1.Approvers{SlackGroups: []string{"S0DBA"}, OidcGroups: []string{"dba"}},
		Requesters: []string{"github:riley"}, People: everybody,
	}
	for name, c := range map[string]struct {
		account string
		groups  []string
		want    refusal.Code
	}{
		"in the Slack group":                 {"slack:U0KIM", []string{"slack:S0DBA"}, ""},
		"in the Slack group, unmapped":       {"slack:U0NEW", []string{"slack:S0DBA"}, ""},
		"in another Slack group":             {"slack:U0KIM", []string{"slack:S0OPS"}, refusal.VoteForbidden},
		"in a sign-in group of a like name":  {"oidc:kim@x", []string{"oidc:S0DBA"}, refusal.VoteForbidden},
		"in the sign-in group":               {"oidc:kim@x", []string{"oidc:dba"}, ""},
		"in the sign-in group, not in map":   {"oidc:new@x", []string{"oidc:dba"}, refusal.VoteForbidden},
		"in another sign-in group":           {"oidc:kim@x", []string{"oidc:ops"}, refusal.VoteForbidden},
		"in a Slack group of a like name":    {"slack:U0KIM", []string{"slack:dba"}, refusal.VoteForbidden},
		"in none":                            {"slack:U0KIM", nil, refusal.VoteForbidden},
		"a requester in the group":           {"slack:U0RILEY", []string{"slack:S0DBA"}, refusal.VoteSelf},
		"unmapped by sign-in in Slack group": {"oidc:new@x", []string{"slack:S0DBA"}, refusal.VoteForbidden},
	} {
		_, r := e.Admit(Ballot{Account: c.account, Groups: c.groups})
		got := refusal.Code("")
		if r != nil {
			got = r.Code
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func allOf(requesters ...string) *Electorate {
	return &Electorate{
		Approvers: &eventv1.Approvers{Count: 2, AllOf: []*eventv1.ApproverGroup{
			{Name: "dba", Persons: []string{"dana", "kim"}, Count: 1},
			{Name: "security", Persons: []string{"kim", "sam"}, Count: 1},
		}},
		Requesters: requesters, People: everybody,
	}
}

// The one click of somebody who is in both groups fills one place.
func TestRedteam19_OneClickDoesNotFillTwoGroups(t *testing.T) {
	e := allOf("github:riley")
	if got := e.Tally(ballots("slack:U0KIM", "oidc:kim@x")); got.Met() || got.Missing() != 1 {
		t.Fatalf("kim alone meets both groups: %+v", got)
	}
	// Two of the same group do not fill another one.
	e.Approvers.AllOf[1].Persons = []string{"sam"}
	if got := e.Tally(ballots("slack:U0KIM", "slack:U0DANA")); got.Met() || got.Missing() != 1 {
		t.Fatalf("two of dba meet security: %+v", got)
	}
}

// Who came first must not take the only place that another could fill.
func TestAllOfIsMatchedNotGreedy(t *testing.T) {
	e := allOf("github:riley")
	for _, votes := range [][]string{{"slack:U0KIM", "slack:U0DANA"}, {"slack:U0KIM", "oidc:sam@x"}, {"slack:U0DANA", "oidc:sam@x"}} {
		got := e.Tally(ballots(votes...))
		if !got.Met() || got.Missing() != 0 || len(got.Groups[0].Counted) != 1 || len(got.Groups[1].Counted) != 1 {
			t.Errorf("%v: %+v", votes, got)
		}
	}
}

// A requester whom the map does not know could be any of the voters: the others
// must do in every group.
func TestRedteam19_AllOfHoldsWithoutTheUnknownRequester(t *testing.T) {
	e := allOf("github:ghost")
	if got := e.Tally(ballots("slack:U0DANA", "oidc:sam@x")); got.Met() {
		t.Fatal("the ghost may be sam")
	}
	e.Approvers.AllOf[0].Persons = []string{"dana", "riley"}
	e.Approvers.AllOf[1].Persons = []string{"sam"}
	if got := e.Tally(ballots("slack:U0DANA", "slack:U0RILEY", "oidc:sam@x")); got.Met() {
		t.Fatal("three voted, but the ghost may be sam, who alone is of security")
	}
	e.Approvers.AllOf[1].Persons = []string{"sam", "kim"}
	if got := e.Tally(ballots("slack:U0DANA", "slack:U0RILEY", "oidc:sam@x", "slack:U0KIM")); !got.Met() {
		t.Fatalf("whoever the ghost is, the others do: %+v", got)
	}
}

// Fillable is what trying every choice finds, and assign finds as much.
func TestFillableIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		groups := rapid.IntRange(1, 3).Draw(t, "groups")
		in := rapid.SliceOfN(rapid.SliceOfN(rapid.Bool(), groups, groups), 0, 5).Draw(t, "in")
		counts := rapid.SliceOfN(rapid.IntRange(1, 2), groups, groups).Draw(t, "counts")
		spare := rapid.IntRange(0, 2).Draw(t, "spare")
		total := 0
		for _, n := range counts {
			total += n
		}
		var most func(v int, left []int, out uint) int
		most = func(v int, left []int, out uint) int {
			if v == len(in) {
				return 0
			}
			best := most(v+1, left, out)
			for g := range left {
				if in[v][g] && left[g] > 0 && out&(1<<v) == 0 {
					left[g]--
					best = max(best, 1+most(v+1, left, out))
					left[g]++
				}
			}
			return best
		}
		want := true
		for out := range uint(1) << len(in) {
			n := 0
			for v := range in {
				n += int(out >> v & 1)
			}
			if n == min(spare, len(in)) && most(0, counts, out) < total {
				want = false
			}
		}
		if got := Fillable(in, counts, spare); got != want {
			t.Fatalf("Fillable %v, by trying %v", got, want)
		}
		placed := 0
		for _, g := range assign(in, counts) {
			if g >= 0 {
				placed++
			}
		}
		if want := most(0, counts, 0); placed != want {
			t.Fatalf("assigned %d, by trying %d", placed, want)
		}
	})
}
