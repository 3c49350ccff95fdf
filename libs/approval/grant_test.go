package approval

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/policy"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

var fleet = []byte("0123456789abcdef0123456789abcdef")

const peopleFile = `
people:
  - {name: kim, accounts: ["github:kim", "slack:U0KIM"]}
  - {name: dana, accounts: ["github:dana", "slack:U0DANA"]}
`

func people(t *testing.T) *policy.People {
	t.Helper()
	e, err := policy.Compile(map[string][]byte{"rules.yaml": []byte("rules: []"), "people.yaml": []byte(peopleFile)})
	if err != nil {
		t.Fatal(err)
	}
	return e.People()
}

func grantUse(t *testing.T) Use {
	return Use{
		Principal: principal(), Target: "prod-db", Database: "shop", RuleHash: "r1", Approvers: &eventv1.Approvers{SlackUsers: []string{"U0KIM"}, Count: 1}, People: people(t), Key: fleet,
		Grants: &policy.Grants{Scopes: []string{policy.ScopeRun, policy.ScopeJob, policy.ScopeReturn}, Uses: 5, Life: time.Hour},
		Shape:  []byte("shape"), Exact: []byte("exact"), Now: now,
	}
}

func granted(scope string) *eventv1.ApprovalDecision {
	d := decision()
	d.Uses, d.ExpiresAt, d.DecidedAt = 5, timestamppb.New(now.Add(50*time.Minute)), timestamppb.New(now.Add(-time.Minute))
	d.Grant = &eventv1.Grant{
		Scope: scope, Digest: []byte("shape"), Holder: Holder(scope, principal()), Requesters: []string{"github:dana"}, Database: "shop",
		Tag: Tag(fleet, d.RequestHash),
	}
	if scope == policy.ScopeReturn {
		d.Uses, d.Grant.Digest = 1, []byte("exact")
	}
	return d
}

// Every field, changed alone on either side, makes a grant useless.
func TestRedteam18_GrantFitsOneLock(t *testing.T) {
	for _, scope := range []string{policy.ScopeRun, policy.ScopeJob, policy.ScopeReturn} {
		if !Covers(granted(scope), grantUse(t)) {
			t.Fatalf("a %s grant does not cover what it was given for", scope)
		}
		for name, change := range map[string]func(*eventv1.ApprovalDecision, *Use){
			"another target":   func(_ *eventv1.ApprovalDecision, u *Use) { u.Target = "other" },
			"another database": func(_ *eventv1.ApprovalDecision, u *Use) { u.Database = "other" },
			"another rule":     func(_ *eventv1.ApprovalDecision, u *Use) { u.RuleHash = "r2" },
			"no rule":          func(d *eventv1.ApprovalDecision, u *Use) { d.RuleHash, u.RuleHash = "", "" },
			"another command":  func(_ *eventv1.ApprovalDecision, u *Use) { u.Shape, u.Exact = []byte("x"), []byte("y") },
			"no shape":         func(d *eventv1.ApprovalDecision, u *Use) { u.Shape, u.Exact, d.Grant.Digest = nil, nil, nil },
			"another scope":    func(d *eventv1.ApprovalDecision, _ *Use) { d.Grant.Scope = "forever" },
			"a scope not offered": func(_ *eventv1.ApprovalDecision, u *Use) {
				u.Grants = &policy.Grants{Scopes: []string{"x"}, Uses: 5, Life: time.Hour}
			},
			"no grants":            func(_ *eventv1.ApprovalDecision, u *Use) { u.Grants = nil },
			"another repository":   func(_ *eventv1.ApprovalDecision, u *Use) { u.Principal.RepositoryId = "1002" },
			"another issuer":       func(_ *eventv1.ApprovalDecision, u *Use) { u.Principal.Issuer = "https://evil" },
			"another workflow":     func(_ *eventv1.ApprovalDecision, u *Use) { u.Principal.Workflow = "evil.yml" },
			"another environment":  func(_ *eventv1.ApprovalDecision, u *Use) { u.Principal.Environment = "x" },
			"an agent":             func(_ *eventv1.ApprovalDecision, u *Use) { u.Principal.Agent = "bot" },
			"on behalf of another": func(_ *eventv1.ApprovalDecision, u *Use) { u.Principal.OnBehalfOf = "eve@acme" },
			"started by another":   func(_ *eventv1.ApprovalDecision, u *Use) { u.Principal.Actor = "eve" },
			"run again by approver": func(d *eventv1.ApprovalDecision, u *Use) {
				u.Principal.TriggeringActor = "kim"
				d.Grant.Requesters = append(d.Grant.Requesters, "github:kim")
			},
			"more uses than allowed": func(d *eventv1.ApprovalDecision, _ *Use) { d.Uses = 6 },
			"no uses":                func(d *eventv1.ApprovalDecision, _ *Use) { d.Uses = 0 },
			"longer than allowed":    func(d *eventv1.ApprovalDecision, _ *Use) { d.ExpiresAt = timestamppb.New(now.Add(2 * time.Hour)) },
			"over":                   func(_ *eventv1.ApprovalDecision, u *Use) { u.Now = now.Add(51 * time.Minute) },
			"no end":                 func(d *eventv1.ApprovalDecision, _ *Use) { d.ExpiresAt = nil },
			"fewer persons":          func(_ *eventv1.ApprovalDecision, u *Use) { u.Approvers.Count = 2 },
			"a vote to deny": func(d *eventv1.ApprovalDecision, _ *Use) {
				d.Votes = append(d.Votes, &eventv1.Vote{Person: "x", Vote: Deny})
			},
			"denied":                func(d *eventv1.ApprovalDecision, _ *Use) { d.Outcome = Denied },
			"another request shown": func(d *eventv1.ApprovalDecision, _ *Use) { d.RequestHash = []byte("harmless") },
			"a request of nobody":   func(d *eventv1.ApprovalDecision, _ *Use) { d.Grant.Tag = nil },
			"another fleet":         func(_ *eventv1.ApprovalDecision, u *Use) { u.Key = []byte("x") },
			"no key":                func(d *eventv1.ApprovalDecision, u *Use) { u.Key = nil; d.Grant.Tag = Tag(nil, d.RequestHash) },
		} {
			d, u := granted(scope), grantUse(t)
			change(d, &u)
			if Covers(d, u) {
				t.Errorf("a %s grant covers %s", scope, name)
			}
		}
	}
}

func TestGrantScopesSayWhoseTheyAre(t *testing.T) {
	for scope, change := range map[string]func(*eventv1.Principal){
		policy.ScopeRun:    func(p *eventv1.Principal) { p.RunId = "4712" },
		policy.ScopeJob:    func(p *eventv1.Principal) { p.Job = "other" },
		policy.ScopeReturn: func(p *eventv1.Principal) { p.Claims["sha"] = "feed" },
	} {
		u := grantUse(t)
		u.Principal.Claims["sha"] = "beef"
		d := granted(scope)
		d.Grant.Holder = Holder(scope, u.Principal)
		if !Covers(d, u) {
			t.Fatalf("%s: not covered", scope)
		}
		u.Principal.RunAttempt = "2"
		if !Covers(d, u) {
			t.Errorf("%s: not covered when run again", scope)
		}
		change(u.Principal)
		if Covers(d, u) {
			t.Errorf("%s: covers another's", scope)
		}
	}
	u := grantUse(t)
	u.Principal.RunId = "4712"
	if Covers(granted(policy.ScopeRun), u) {
		t.Error("a run's grant covers another run")
	}
	if Holder(policy.ScopeRun, &eventv1.Principal{Issuer: "i", Subject: "s"}) != nil {
		t.Error("a grant for a run without a run id")
	}
}

func TestRedteam21_AVoteWithoutItsReasonCountsForNothing(t *testing.T) {
	for reason, want := range map[string]uint32{"": 0, "  ": 0, "\u200b\u202e": 0, "release 42": 1} {
		if got := persons([]*eventv1.Vote{{Person: "kim", Vote: Approve, Reason: reason}}, true); got != want {
			t.Errorf("%q counts as %d", reason, got)
		}
	}
}
