package policy_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatestay/gatestay/libs/electorate"
	"github.com/gatestay/gatestay/libs/policy"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

const scheduled = `
rotations:
  - name: dba-oncall
    zone: Europe/Berlin
    entries:
      - {from: 2026-12-01, to: 2026-12-07, person: dana}
      - {from: "2026-12-08 08:00", to: "2026-12-08 18:00", person: omar}
  - name: weekly
    zone: Europe/Berlin
    weekly: {start: "2026-10-19 09:00", persons: [dana, omar, kim]}
delegations:
  - {from: dana, to: omar, start: 2026-12-20, end: 2027-01-02, zone: Europe/Berlin}
`

const scheduledPeople = `
people:
  - {name: dana, accounts: ["slack:U0DANA", "oidc:dana@x", "github:dana"]}
  - {name: omar, accounts: ["slack:U0OMAR", "oidc:omar@x", "github:omar"]}
  - {name: kim, accounts: ["slack:U0KIM", "oidc:kim@x", "github:kim"]}
  - {name: lee, accounts: ["github:lee", "slack:U0LEE"]}
`

func scheduledWith(t *testing.T, approvers string, more ...string) *policy.Engine {
	t.Helper()
	files := map[string][]byte{
		"r.yaml":      []byte("rules:\n  - {name: h, effect: hold, targets: [prod-db], principals: [{any: true}], approvers: {" + approvers + "}}\n"),
		"people.yaml": []byte(scheduledPeople), "schedule.yaml": []byte(scheduled),
	}
	for i := 0; i < len(more); i += 2 {
		files[more[i]] = []byte(more[i+1])
	}
	e, err := policy.Compile(files)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestOnCall(t *testing.T) {
	p := scheduledWith(t, "on_call: [dba-oncall]").People()
	for _, c := range []struct{ rotation, at, want string }{
		{"dba-oncall", "2026-11-30T23:59:59+01:00", ""},
		{"dba-oncall", "2026-12-01T00:00:00+01:00", "dana"},
		{"dba-oncall", "2026-12-07T23:59:59+01:00", "dana"}, // the last day is included
		{"dba-oncall", "2026-12-08T00:00:00+01:00", ""},
		{"dba-oncall", "2026-12-08T17:59:59+01:00", "omar"},
		{"dba-oncall", "2026-12-08T18:00:00+01:00", ""},
		{"weekly", "2026-10-19T08:59:59+02:00", ""},
		{"weekly", "2026-10-19T09:00:00+02:00", "dana"},
		{"weekly", "2026-10-26T08:59:59+01:00", "dana"}, // the clocks went back on the 25th
		{"weekly", "2026-10-26T09:00:00+01:00", "omar"},
		{"weekly", "2026-11-09T08:59:59+01:00", "kim"},
		{"weekly", "2026-11-09T09:00:00+01:00", "dana"},
		{"weekly", "2027-04-05T08:59:59+02:00", "kim"},
		{"weekly", "2027-04-05T09:00:00+02:00", "dana"},
		{"none", "2026-12-01T00:00:00+01:00", ""},
	} {
		if got := strings.Join(p.OnCall(c.rotation, moment(t, c.at)), " "); got != c.want {
			t.Errorf("%s at %s: %q, want %q", c.rotation, c.at, got, c.want)
		}
	}
	if len(p.OnCall("dba-oncall", time.Time{})) > 0 {
		t.Error("somebody is on call at no moment")
	}
}

func votes(at time.Time, accounts ...string) []electorate.Ballot {
	var out []electorate.Ballot
	for _, a := range accounts {
		out = append(out, electorate.Ballot{Account: a, At: at})
	}
	return out
}

// Who is on call when voting may approve, and nobody else; who stands in for
// somebody fills that one's place, once; separation of duties holds for both.
func TestRedteam19_OnCallAndDelegates(t *testing.T) {
	onCall, holidays := moment(t, "2026-12-03T12:00:00+01:00"), moment(t, "2026-12-24T12:00:00+01:00")
	for name, c := range map[string]struct {
		approvers  string
		requesters []string
		at         time.Time
		votes      []string
		met        bool
	}{
		"on call":                               {"on_call: [dba-oncall]", []string{"github:kim"}, onCall, []string{"slack:U0DANA"}, true},
		"not on call":                           {"on_call: [dba-oncall]", []string{"github:kim"}, onCall, []string{"slack:U0OMAR"}, false},
		"after the shift":                       {"on_call: [dba-oncall]", []string{"github:kim"}, holidays, []string{"slack:U0DANA"}, false},
		"on call and a requester":               {"on_call: [dba-oncall]", []string{"github:dana"}, onCall, []string{"slack:U0DANA"}, false},
		"a delegate":                            {"persons: [dana]", []string{"github:kim"}, holidays, []string{"slack:U0OMAR"}, true},
		"a delegate of a Slack id":              {"slack_users: [U0DANA]", []string{"github:kim"}, holidays, []string{"oidc:omar@x"}, true},
		"before the delegation":                 {"persons: [dana]", []string{"github:kim"}, onCall, []string{"slack:U0OMAR"}, false},
		"the other way round":                   {"persons: [omar]", []string{"github:kim"}, holidays, []string{"slack:U0DANA"}, false},
		"the delegate asked":                    {"persons: [dana, kim]", []string{"github:omar"}, holidays, []string{"slack:U0OMAR"}, false},
		"whom they stand in for asked":          {"persons: [dana, kim]", []string{"github:dana"}, holidays, []string{"slack:U0OMAR"}, false},
		"one place of two":                      {"persons: [dana, kim], count: 2", []string{"github:lee"}, holidays, []string{"slack:U0DANA", "slack:U0OMAR"}, false},
		"two places, both named":                {"persons: [dana, omar, kim], count: 2", []string{"github:kim"}, holidays, []string{"slack:U0DANA", "slack:U0OMAR"}, true},
		"the delegate first, then the person":   {"persons: [dana, kim], count: 2", []string{"github:kim"}, holidays, []string{"slack:U0OMAR", "slack:U0DANA"}, false},
		"a delegate and another":                {"persons: [dana, kim], count: 2", []string{"github:lee"}, holidays, []string{"slack:U0OMAR", "slack:U0KIM"}, true},
		"an unknown requester may be dana":      {"persons: [dana, kim]", []string{"github:riley"}, holidays, []string{"slack:U0OMAR"}, false},
		"one person in two groups by a place":   {"all_of: [{name: a, persons: [dana]}, {name: b, persons: [dana, omar]}]", []string{"github:kim"}, holidays, []string{"slack:U0OMAR"}, false},
		"a place of each, once":                 {"all_of: [{name: a, persons: [dana]}, {name: b, persons: [dana, omar]}]", []string{"github:kim"}, holidays, []string{"slack:U0OMAR", "slack:U0DANA"}, true},
		"a person and their delegate in two":    {"all_of: [{name: a, persons: [dana]}, {name: b, persons: [dana, kim]}]", []string{"github:kim"}, holidays, []string{"slack:U0OMAR", "slack:U0DANA"}, false},
		"delegate within the hours of another":  {"persons: [dana], hours: {days: [mon-fri], from: \"09:00\", to: \"17:00\", zone: UTC}", []string{"github:kim"}, holidays, []string{"slack:U0OMAR"}, true},
		"delegate outside the hours of another": {"persons: [dana], hours: {days: [sat], zone: UTC}", []string{"github:kim"}, holidays, []string{"slack:U0OMAR"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			e := scheduledWith(t, c.approvers)
			of := electorate.Electorate{Approvers: e.Rules()[0].Approvers.Event(), Requesters: c.requesters, People: e.People(), Requested: c.at}
			if got := of.Tally(votes(c.at, c.votes...)); got.Met() != c.met {
				t.Errorf("met %v: %+v", got.Met(), got)
			}
		})
	}
	e := scheduledWith(t, "persons: [dana, kim]")
	of := electorate.Electorate{Approvers: e.Rules()[0].Approvers.Event(), Requesters: []string{"github:kim"}, People: e.People()}
	if v, refused := of.Admit(electorate.Ballot{Account: "slack:U0OMAR", At: holidays}); refused != nil || v.For != "dana" {
		t.Errorf("admitted for %q: %v", v.For, refused)
	}
	if words := e.People().Approvers(of.Approvers, of.Requesters, holidays); !strings.Contains(words, "omar for dana") {
		t.Errorf("in words: %q", words)
	}
	words := scheduledWith(t, "on_call: [dba-oncall]").People().Approvers(&eventv1.Approvers{OnCall: []string{"dba-oncall"}, Count: 1}, []string{"github:kim"}, moment(t, "2026-12-08T12:00:00+01:00"))
	if words != "dba-oncall (omar until 2026-12-08 18:00 CET)" {
		t.Errorf("in words: %q", words)
	}
}

// What was read of a feed is on call until it is too old, and only persons of the
// map; without anything read nobody is.
func TestRedteam19_AFeedThatIsTooOldIsNobody(t *testing.T) {
	const rotation = "\nrotations: [{name: f, ical: {url: \"https://cal.example/a.ics\", max_age: 1h}}]\n"
	noon := moment(t, "2026-12-03T12:00:00Z")
	if p := scheduledWith(t, "on_call: [f]", "schedule.yaml", rotation).People(); len(p.OnCall("f", noon)) > 0 {
		t.Error("somebody is on call of whom nothing was read")
	}
	raw, err := (&policy.Shifts{Until: noon.Add(time.Hour), Shifts: []policy.Shift{
		{From: noon.Add(-time.Hour), To: noon.Add(24 * time.Hour), Person: "dana"}, {From: noon.Add(-time.Hour), To: noon.Add(24 * time.Hour), Person: "eve"},
	}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	e := scheduledWith(t, "on_call: [f]", "schedule.yaml", rotation, policy.ShiftsFile("f"), string(raw))
	if got := e.People().OnCall("f", noon); !slices.Equal(got, []string{"dana"}) {
		t.Errorf("on call: %q", got)
	}
	if got := e.People().OnCall("f", noon.Add(time.Hour)); len(got) > 0 {
		t.Errorf("on call by what is too old: %q", got)
	}
	if feeds := e.Feeds(); len(feeds) != 1 || feeds[0].Rotation != "f" || feeds[0].MaxAge != time.Hour {
		t.Errorf("feeds: %+v", feeds)
	}
}

func TestScheduleProblems(t *testing.T) {
	for text, want := range map[string]string{
		"rotations: [{name: a, entries: [{from: 2026-12-01, to: 2026-12-07, person: nobody}]}]": `"nobody" is not in people.yaml`,
		"rotations: [{name: a}]": "entries, weekly or ical",
		"rotations: [{name: a, weekly: {start: 2026-12-01, persons: []}}]":                     "1 to 50 persons",
		"rotations: [{name: a, entries: [{from: 2026-12-07, to: 2026-12-01, person: dana}]}]":  "ends before it begins",
		"rotations: [{name: a, ical: {url: \"http://x/a.ics\"}}]":                              "no https address",
		"rotations: [{name: a, ical: {file: \"../a.ics\"}}]":                                   "no .ics file of the policy folder",
		"rotations: [{name: a, zone: Nowhere, entries: []}]":                                   "is not known",
		"delegations: [{from: dana, to: dana, start: 2026-12-01, end: 2026-12-02, zone: UTC}]": "stands in for themselves",
		"delegations: [{from: dana, to: omar, start: 2026-12-01, end: 2026-12-02}]":            "start is not a moment",
		"delegations: [{from: dana, to: omar, start: 2026-12-01, zone: UTC}]":                  "without end",
		"rotations: [{name: a, entries: []}, {name: a, entries: []}]":                          "is there twice",
	} {
		_, err := policy.Compile(map[string][]byte{"r.yaml": []byte("rules: []"), "people.yaml": []byte(scheduledPeople), "schedule.yaml": []byte(text)})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	_, err := policy.Compile(map[string][]byte{
		"r.yaml": []byte("rules: [{name: h, effect: hold, targets: [x], principals: [{any: true}], approvers: {on_call: [dba-oncal]}}]"), "people.yaml": []byte(scheduledPeople), "schedule.yaml": []byte(scheduled),
	})
	if err == nil || !strings.Contains(err.Error(), `rotation "dba-oncal" is not in schedule.yaml; did you mean "dba-oncall"?`) {
		t.Error(err)
	}
}
