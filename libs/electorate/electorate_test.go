package electorate

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gatestay/gatestay/libs/passkey"
	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// mapped is a people map.
type mapped map[string][]string

func (m mapped) Person(account string) (string, bool) {
	for name, accounts := range m {
		for _, a := range accounts {
			if strings.EqualFold(a, account) {
				return name, true
			}
		}
	}
	return "", false
}

func (m mapped) Accounts(name string) []string { return m[name] }

func (mapped) Passkeys(string) (passkey.RelyingParty, []passkey.Key) {
	return passkey.RelyingParty{}, nil
}

func (mapped) OnCall(string, time.Time) []string { return nil }

func (mapped) StandsFor(string, time.Time) []string { return nil }

func (m mapped) Approvers(*eventv1.Approvers, []string, time.Time) string { return "" }

func ballots(accounts ...string) []Ballot {
	var out []Ballot
	for _, a := range accounts {
		out = append(out, Ballot{Account: a})
	}
	return out
}

var everybody = mapped{
	"dana":  {"slack:U0DANA", "oidc:dana@x", "github:dana"},
	"kim":   {"slack:U0KIM", "slack:U0KIM2", "oidc:kim@x"},
	"sam":   {"oidc:sam@x", "github:sam"}, // no Slack account known
	"riley": {"github:riley", "slack:U0RILEY"},
}

func TestAdmit(t *testing.T) {
	e := Electorate{
		Approvers:  &eventv1.Approvers{SlackUsers: []string{"U0KIM", "U0NEW"}, Persons: []string{"sam", "riley"}},
		Requesters: []string{"github:riley", "oidc:ghost@x"}, People: everybody,
	}
	for account, want := range map[string]refusal.Code{
		"slack:U0KIM":   "",
		"slack:U0NEW":   "",                    // named, though unmapped
		"oidc:kim@x":    "",                    // the map joins it to a named Slack id
		"oidc:sam@x":    "",                    // a named person
		"slack:U0KIM2":  refusal.VoteForbidden, // another Slack id of a person named by id
		"slack:U0DANA":  refusal.VoteForbidden,
		"oidc:dana@x":   refusal.VoteForbidden,
		"slack:U0RILEY": refusal.VoteSelf, // named as a person, but a requester
		"oidc:ghost@x":  refusal.VoteSelf,
		"OIDC:GHOST@X":  refusal.VoteSelf,
		"slack:u0kim":   refusal.VoteForbidden, // ids are exact
		"github:sam":    "",
		"":              refusal.VoteForbidden,
	} {
		_, r := e.Admit(Ballot{Account: account})
		got := refusal.Code("")
		if r != nil {
			got = r.Code
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", account, got, want)
		}
	}
}

func TestTally(t *testing.T) {
	approvers := func(count uint32) *eventv1.Approvers {
		return &eventv1.Approvers{SlackUsers: []string{"U0DANA", "U0KIM", "U0NEW", "U0NEWER"}, Persons: []string{"sam"}, Count: count}
	}
	for name, c := range map[string]struct {
		count      uint32
		requesters []string
		votes      []string
		counted    []string
		needed     int
	}{
		"one is enough":                          {1, []string{"github:riley"}, []string{"slack:U0DANA"}, []string{"dana"}, 1},
		"a count of zero is one":                 {0, []string{"github:riley"}, nil, nil, 1},
		"one person, two accounts":               {2, []string{"github:riley"}, []string{"slack:U0DANA", "oidc:dana@x"}, []string{"dana"}, 2},
		"a requester's vote is none":             {1, []string{"github:dana"}, []string{"slack:U0DANA"}, nil, 1},
		"a stranger's vote is none":              {1, []string{"github:riley"}, []string{"slack:U0EVE"}, nil, 1},
		"an unknown requester":                   {1, []string{"github:ghost"}, []string{"slack:U0DANA"}, []string{"dana"}, 2},
		"two unknown requesters":                 {1, []string{"github:ghost", "github:other"}, nil, nil, 3},
		"nobody known":                           {1, nil, []string{"slack:U0DANA"}, []string{"dana"}, 2},
		"count and an unknown one":               {2, []string{"github:ghost"}, nil, nil, 3},
		"two unmapped Slack users":               {2, []string{"github:riley"}, []string{"slack:U0NEW", "slack:U0NEWER"}, []string{"slack:U0NEW", "slack:U0NEWER"}, 2},
		"unmapped, requester's Slack is known":   {1, []string{"github:riley"}, []string{"slack:U0NEW"}, []string{"slack:U0NEW"}, 1},
		"unmapped, requester's Slack is unknown": {1, []string{"github:sam"}, []string{"slack:U0NEW"}, []string{"slack:U0NEW"}, 2},
		"unmapped may be sam":                    {2, []string{"github:riley"}, []string{"oidc:sam@x", "slack:U0NEW"}, []string{"sam"}, 2},
		"of two unmapped one may be sam":         {2, []string{"github:riley"}, []string{"oidc:sam@x", "slack:U0NEW", "slack:U0NEWER"}, []string{"slack:U0NEW", "slack:U0NEWER"}, 2},
		"unmapped is not dana, whose Slack is known": {
			2,
			[]string{"github:riley"},
			[]string{"oidc:dana@x", "slack:U0NEW"},
			[]string{"dana", "slack:U0NEW"},
			2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := Electorate{Approvers: approvers(c.count), Requesters: c.requesters, People: everybody}
			got := e.Tally(ballots(c.votes...))
			var persons []string
			for _, v := range got.Counted {
				persons = append(persons, v.Person)
			}
			if !slices.Equal(persons, c.counted) || got.Needed != c.needed || got.Met() != (len(persons) >= c.needed) {
				t.Fatalf("counted %q of %d, want %q of %d", persons, got.Needed, c.counted, c.needed)
			}
		})
	}
}

func TestAttainable(t *testing.T) {
	e := Electorate{Approvers: &eventv1.Approvers{SlackUsers: []string{"U0DANA"}, Persons: []string{"dana", "riley"}, Count: 2}, Requesters: []string{"github:riley"}, People: everybody}
	if e.Attainable().Met() {
		t.Fatal("riley asked, so dana is alone")
	}
	e.Requesters = []string{"github:sam"}
	if !e.Attainable().Met() {
		t.Fatal("dana and riley are two")
	}
}

// Whatever the map, the rule and the votes: what counts are distinct persons,
// named by the rule, none a requester; and whoever the truth makes of the
// accounts that the map does not know, at least the rule's count of people who
// did not ask for it have approved.
func TestRedteam21_NeverTooFewTruePersons(t *testing.T) {
	humans := []string{"ann", "bob", "cyd", "dot"}
	rapid.Check(t, func(t *rapid.T) {
		// The truth: each human has one Slack, one OIDC and one GitHub account.
		truth := mapped{}
		for _, h := range humans {
			truth[h] = []string{"slack:U" + strings.ToUpper(h), "oidc:" + h + "@x", "github:" + h}
		}
		known := mapped{} // what the map tells of it
		for _, h := range humans {
			for _, a := range truth[h] {
				if rapid.Bool().Draw(t, a) {
					known[h] = append(known[h], a)
				}
			}
		}
		e := Electorate{People: known, Approvers: &eventv1.Approvers{Count: uint32(rapid.IntRange(0, 3).Draw(t, "count"))}}
		for _, h := range humans {
			if rapid.Bool().Draw(t, h+" by slack") {
				e.Approvers.SlackUsers = append(e.Approvers.SlackUsers, "U"+strings.ToUpper(h))
			}
			if len(known[h]) > 0 && rapid.Bool().Draw(t, h+" by name") {
				e.Approvers.Persons = append(e.Approvers.Persons, h)
			}
		}
		asked := rapid.SliceOfNDistinct(rapid.SampledFrom(humans), 1, 2, rapid.ID[string]).Draw(t, "requesters")
		for _, h := range asked {
			e.Requesters = append(e.Requesters, "github:"+h)
		}
		var accounts []string
		for _, h := range humans {
			accounts = append(accounts, "slack:U"+strings.ToUpper(h), "oidc:"+h+"@x")
		}
		votes := rapid.SliceOfN(rapid.SampledFrom(accounts), 0, 8).Draw(t, "votes")
		got := e.Tally(ballots(votes...))
		if !got.Met() {
			return
		}
		independent := map[string]bool{}
		for _, v := range got.Counted {
			if !slices.Contains(votes, v.Account) {
				t.Fatalf("%s never voted", v.Account)
			}
			who, _ := truth.Person(v.Account)
			if !slices.Contains(asked, who) {
				independent[who] = true
			}
		}
		if len(independent) < int(max(e.Approvers.Count, 1)) {
			t.Fatalf("count %d, but only %v were independent of %v; counted %v, map %v", e.Approvers.Count, independent, asked, got.Counted, known)
		}
	})
}
