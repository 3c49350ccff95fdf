package approval

import (
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/electorate"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func principal() *eventv1.Principal {
	return &eventv1.Principal{
		Issuer: "https://token.actions.githubusercontent.com", Subject: "repo:acme/shop", Preset: "github-actions",
		Repository: "acme/shop", RepositoryId: "1001", Job: "deploy", RunId: "4711", Ref: "refs/heads/main", Actor: "dana",
		Claims: map[string]string{"a": "1", "b": "2", "c": "3"},
	}
}

func expectation() Expectation {
	return Expectation{
		ApprovalID: "apr_1", Gateway: "gw1", Session: "s1", Command: "c1", Principal: principal(), Target: "prod-db",
		RuleHash: "r1", Digest: []byte("digest"), RequestHash: RequestHash([]byte("request")), Count: 1, Now: now, Electorate: asks(&eventv1.Approvers{SlackUsers: []string{"U0KIM", "U0LEE"}}),
	}
}

func decision() *eventv1.ApprovalDecision {
	return &eventv1.ApprovalDecision{
		ApprovalId: "apr_1", Outcome: Approved, Gateway: "gw1", SessionId: "s1", CommandId: "c1",
		PrincipalHash: PrincipalHash(principal()), Target: "prod-db", RuleHash: "r1", Digest: []byte("digest"),
		RequestHash: RequestHash([]byte("request")), Uses: 1,
		Votes:     []*eventv1.Vote{{Person: "kim", Account: "slack:U0KIM", Vote: Approve}},
		DecidedAt: timestamppb.New(now.Add(-time.Second)), ExpiresAt: timestamppb.New(now.Add(5 * time.Minute)),
	}
}

func key(t *testing.T) *seal.Key {
	t.Helper()
	k, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sign(t *testing.T, k *seal.Key, d *eventv1.ApprovalDecision) *eventv1.Signed {
	t.Helper()
	s, err := Sign(k, d)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func code(t *testing.T, err error) refusal.Code {
	t.Helper()
	if err == nil {
		return ""
	}
	var r *refusal.Refusal
	if !errors.As(err, &r) {
		t.Fatalf("not a refusal: %v", err)
	}
	return r.Code
}

func TestVerifyAccepts(t *testing.T) {
	k := key(t)
	d, err := Verify(k.Public(), sign(t, k, decision()), expectation())
	if err != nil || d.GetApprovalId() != "apr_1" {
		t.Fatalf("got %v, %v", d, err)
	}
}

// Every bound field, changed alone on either side, makes the decision useless.
func TestRedteam18_DecisionFitsOneCommand(t *testing.T) {
	k := key(t)
	for name, change := range map[string]func(*eventv1.ApprovalDecision){
		"approval": func(d *eventv1.ApprovalDecision) { d.ApprovalId = "apr_2" },
		"gateway":  func(d *eventv1.ApprovalDecision) { d.Gateway = "gw2" },
		"session":  func(d *eventv1.ApprovalDecision) { d.SessionId = "s2" },
		"command":  func(d *eventv1.ApprovalDecision) { d.CommandId = "c2" },
		"principal": func(d *eventv1.ApprovalDecision) {
			p := principal()
			p.RunId = "4712"
			d.PrincipalHash = PrincipalHash(p)
		},
		"no principal":   func(d *eventv1.ApprovalDecision) { d.PrincipalHash = nil },
		"target":         func(d *eventv1.ApprovalDecision) { d.Target = "staging-db" },
		"rule":           func(d *eventv1.ApprovalDecision) { d.RuleHash = "r2" },
		"digest":         func(d *eventv1.ApprovalDecision) { d.Digest = []byte("Digest") },
		"digest prefix":  func(d *eventv1.ApprovalDecision) { d.Digest = []byte("dig") },
		"no digest":      func(d *eventv1.ApprovalDecision) { d.Digest = nil },
		"request":        func(d *eventv1.ApprovalDecision) { d.RequestHash = RequestHash([]byte("Request")) },
		"no request":     func(d *eventv1.ApprovalDecision) { d.RequestHash = nil },
		"no use":         func(d *eventv1.ApprovalDecision) { d.Uses = 0 },
		"no vote":        func(d *eventv1.ApprovalDecision) { d.Votes = nil },
		"nameless vote":  func(d *eventv1.ApprovalDecision) { d.Votes[0].Person = "" },
		"a vote to deny": func(d *eventv1.ApprovalDecision) { d.Votes = append(d.Votes, &eventv1.Vote{Person: "lee", Vote: Deny}) },
		"no outcome":     func(d *eventv1.ApprovalDecision) { d.Outcome = "" },
		"other outcome":  func(d *eventv1.ApprovalDecision) { d.Outcome = "APPROVED" },
	} {
		t.Run(name, func(t *testing.T) {
			d := decision()
			change(d)
			got, err := Verify(k.Public(), sign(t, k, d), expectation())
			if got != nil || code(t, err) != refusal.ApprovalInvalid {
				t.Fatalf("got %v, %v", got, err)
			}
		})
	}
	for name, forget := range map[string]func(*Expectation){
		"approval": func(e *Expectation) { e.ApprovalID = "" }, "session": func(e *Expectation) { e.Session = "" },
		"command": func(e *Expectation) { e.Command = "" }, "target": func(e *Expectation) { e.Target = "" },
		"gateway": func(e *Expectation) { e.Gateway = "" }, "rule": func(e *Expectation) { e.RuleHash = "" },
		"digest": func(e *Expectation) { e.Digest = nil }, "request": func(e *Expectation) { e.RequestHash = nil },
	} {
		t.Run("empty on both sides/"+name, func(t *testing.T) {
			e, d := expectation(), decision()
			forget(&e)
			d.ApprovalId, d.Gateway, d.SessionId, d.CommandId = e.ApprovalID, e.Gateway, e.Session, e.Command
			d.Target, d.RuleHash, d.Digest, d.RequestHash = e.Target, e.RuleHash, e.Digest, e.RequestHash
			if _, err := Verify(k.Public(), sign(t, k, d), e); code(t, err) != refusal.ApprovalInvalid {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestRedteam18_Expiry(t *testing.T) {
	k := key(t)
	for name, c := range map[string]struct {
		expires *timestamppb.Timestamp
		want    refusal.Code
	}{
		"a nanosecond left": {timestamppb.New(now.Add(1)), ""},
		"at the instant":    {timestamppb.New(now), refusal.ApprovalExpired},
		"past":              {timestamppb.New(now.Add(-time.Hour)), refusal.ApprovalExpired},
		"none":              {nil, refusal.ApprovalExpired},
	} {
		t.Run(name, func(t *testing.T) {
			d := decision()
			d.ExpiresAt = c.expires
			if _, err := Verify(k.Public(), sign(t, k, d), expectation()); code(t, err) != c.want {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestRedteam20_ForgedDecision(t *testing.T) {
	k, other := key(t), key(t)
	good := sign(t, k, decision())
	raw, _ := proto.Marshal(decision())
	for name, s := range map[string]*eventv1.Signed{
		"nil":              nil,
		"another's key":    sign(t, other, decision()),
		"its key id taken": {Payload: raw, KeyId: k.ID(), Signature: sign(t, other, decision()).Signature},
		"payload changed":  {Payload: append([]byte{}, append(good.Payload, 0x10, 0x00)...), KeyId: k.ID(), Signature: good.Signature},
		"no signature":     {Payload: raw, KeyId: k.ID()},
		"other context":    k.Sign(seal.ContextBundle, raw),
		"not a decision":   k.Sign(seal.ContextApproval, []byte{0xff, 0xff}),
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := Verify(k.Public(), s, expectation()); got != nil || code(t, err) != refusal.ApprovalInvalid {
				t.Fatalf("got %v, %v", got, err)
			}
		})
	}
	if _, err := Verify(nil, good, expectation()); code(t, err) != refusal.ApprovalInvalid {
		t.Fatalf("no trust at all: %v", err)
	}
}

func TestRedteam19_QuorumIsDistinctPersons(t *testing.T) {
	k := key(t)
	d, e := decision(), expectation()
	e.Count = 2
	e.Electorate = asks(&eventv1.Approvers{SlackUsers: []string{"U0KIM", "U0LEE"}, Count: 2})
	d.Votes = append(d.Votes, &eventv1.Vote{Person: "kim", Account: "oidc:kim@acme.example", Vote: Approve})
	if _, err := Verify(k.Public(), sign(t, k, d), e); code(t, err) != refusal.ApprovalInvalid {
		t.Fatalf("one person counted twice: %v", err)
	}
	d.Votes = append(d.Votes, &eventv1.Vote{Person: "lee", Account: "slack:U0LEE", Vote: Approve})
	if _, err := Verify(k.Public(), sign(t, k, d), e); err != nil {
		t.Fatal(err)
	}
}

// What the approval service signs does not make an approver of somebody whom the
// rule does not ask for.
func TestRedteam19_TheGatewayKnowsWhoMayApprove(t *testing.T) {
	k := key(t)
	for name, c := range map[string]struct {
		approvers *eventv1.Approvers
		vote      *eventv1.Vote
		passes    bool
	}{
		"named":                      {&eventv1.Approvers{SlackUsers: []string{"U0KIM"}}, &eventv1.Vote{Account: "slack:U0KIM"}, true},
		"a stranger":                 {&eventv1.Approvers{SlackUsers: []string{"U0KIM"}}, &eventv1.Vote{Account: "slack:U0EVE"}, false},
		"a requester":                {&eventv1.Approvers{SlackUsers: []string{"U0DANA"}}, &eventv1.Vote{Account: "slack:U0DANA"}, false},
		"in the Slack group":         {&eventv1.Approvers{SlackGroups: []string{"S0DBA"}}, &eventv1.Vote{Account: "slack:U0EVE", Groups: []string{"slack:S0DBA"}}, true},
		"in another Slack group":     {&eventv1.Approvers{SlackGroups: []string{"S0DBA"}}, &eventv1.Vote{Account: "slack:U0EVE", Groups: []string{"slack:S0OPS"}}, false},
		"in no group":                {&eventv1.Approvers{SlackGroups: []string{"S0DBA"}}, &eventv1.Vote{Account: "slack:U0KIM"}, false},
		"in the sign-in group":       {&eventv1.Approvers{OidcGroups: []string{"dba"}}, &eventv1.Vote{Account: "slack:U0KIM", Groups: []string{"oidc:dba"}}, true},
		"in it, but not in the map":  {&eventv1.Approvers{OidcGroups: []string{"dba"}}, &eventv1.Vote{Account: "oidc:eve@x", Groups: []string{"oidc:dba"}}, false},
		"a person's name on a vote":  {&eventv1.Approvers{Persons: []string{"kim"}}, &eventv1.Vote{Account: "slack:U0EVE"}, false},
		"one of two groups":          {allOf, &eventv1.Vote{Account: "slack:U0KIM"}, false},
		"groups of an all_of by one": {allOf, &eventv1.Vote{Account: "slack:U0KIM", Groups: []string{"slack:S0SEC"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			d, e := decision(), expectation()
			c.vote.Person, c.vote.Vote = "kim", Approve
			d.Votes, e.Electorate = []*eventv1.Vote{c.vote}, asks(c.approvers)
			_, err := Verify(k.Public(), sign(t, k, d), e)
			if passes := err == nil; passes != c.passes || !passes && code(t, err) != refusal.ApprovalInvalid {
				t.Fatal(err)
			}
			g, u := granted(policy.ScopeRun), grantUse(t)
			g.Votes, u.Approvers = d.Votes, c.approvers
			if Covers(g, u) != c.passes {
				t.Fatalf("a grant by these votes covers: %v", !c.passes)
			}
		})
	}
	e := expectation()
	e.Electorate = nil
	if _, err := Verify(k.Public(), sign(t, k, decision()), e); code(t, err) != refusal.ApprovalInvalid {
		t.Fatal("without a word of who may approve, somebody may")
	}
}

var allOf = &eventv1.Approvers{AllOf: []*eventv1.ApproverGroup{{Name: "dba", SlackUsers: []string{"U0KIM"}, Count: 1}, {Name: "sec", SlackGroups: []string{"S0SEC"}, Count: 1}}}

// The gateway looks at when each vote was given: within the hours of its group,
// after its escalation, and neither before the request nor after now.
func TestRedteam18_VerifyLooksAtTheMomentOfEachVote(t *testing.T) {
	k := key(t)
	asked := now.Add(-30 * time.Minute) // a Tuesday noon
	open := []*eventv1.Hours{{Days: []string{"tue"}, From: "11:00", To: "13:00", Zone: "UTC"}}
	shut := []*eventv1.Hours{{Days: []string{"mon"}, Zone: "UTC"}}
	later := &eventv1.Escalation{After: durationpb.New(10 * time.Minute), To: &eventv1.ApproverGroup{SlackUsers: []string{"U0KIM"}}}
	for name, c := range map[string]struct {
		approvers *eventv1.Approvers
		at        time.Time
		passes    bool
	}{
		"no hours":                    {&eventv1.Approvers{SlackUsers: []string{"U0KIM"}}, now.Add(-time.Minute), true},
		"within the hours":            {&eventv1.Approvers{SlackUsers: []string{"U0KIM"}, Hours: open}, now.Add(-time.Minute), true},
		"outside them":                {&eventv1.Approvers{SlackUsers: []string{"U0KIM"}, Hours: shut}, now.Add(-time.Minute), false},
		"dated back into them":        {&eventv1.Approvers{SlackUsers: []string{"U0KIM"}, Hours: shut}, now.Add(-24 * time.Hour), false},
		"dated ahead":                 {&eventv1.Approvers{SlackUsers: []string{"U0KIM"}}, now.Add(2 * time.Minute), false},
		"before the request":          {&eventv1.Approvers{SlackUsers: []string{"U0KIM"}}, asked.Add(-2 * time.Minute), false},
		"no moment":                   {&eventv1.Approvers{SlackUsers: []string{"U0KIM"}}, time.Time{}, false},
		"escalated":                   {&eventv1.Approvers{SlackUsers: []string{"U0LEE"}, Escalation: later}, asked.Add(10 * time.Minute), true},
		"escalated, but not by then":  {&eventv1.Approvers{SlackUsers: []string{"U0LEE"}, Escalation: later}, asked.Add(9 * time.Minute), false},
		"the first group before that": {&eventv1.Approvers{SlackUsers: []string{"U0KIM"}, Escalation: later}, asked.Add(time.Minute), true},
	} {
		t.Run(name, func(t *testing.T) {
			d, e := decision(), expectation()
			d.Votes[0].At, d.RequestedAt = timestamppb.New(c.at), timestamppb.New(asked)
			e.Electorate = func() *electorate.Electorate {
				of := asks(c.approvers)()
				of.Requested = asked
				return of
			}
			if _, err := Verify(k.Public(), sign(t, k, d), e); (err == nil) != c.passes || err != nil && code(t, err) != refusal.ApprovalInvalid {
				t.Errorf("verified: %v", err)
			}
			g, u := granted(policy.ScopeRun), grantUse(t)
			g.Votes, g.RequestedAt, u.Approvers = d.Votes, d.RequestedAt, c.approvers
			if Covers(g, u) != c.passes {
				t.Errorf("a grant by this vote covers: %v", !c.passes)
			}
		})
	}
}

// asks is who may approve what dana asked for.
func asks(a *eventv1.Approvers) func() *electorate.Electorate {
	return func() *electorate.Electorate {
		e, err := policy.Compile(map[string][]byte{"rules.yaml": []byte("rules: []"), "people.yaml": []byte(peopleFile)})
		if err != nil {
			panic(err)
		}
		return &electorate.Electorate{Approvers: a, Requesters: []string{"github:dana"}, People: e.People()}
	}
}

func TestVerifySaysThatTheRuleChanged(t *testing.T) {
	k, d := key(t), decision()
	d.Outcome, d.ExpiresAt, d.Votes, d.Reason = Cancelled, nil, nil, RuleChanged
	if _, err := Verify(k.Public(), sign(t, k, d), expectation()); code(t, err) != refusal.RuleChanged {
		t.Error(err)
	}
}

func TestVerifyOtherOutcomes(t *testing.T) {
	k := key(t)
	for outcome, want := range map[string]refusal.Code{
		Denied: refusal.ApprovalDenied, Expired: refusal.ApprovalExpired, Cancelled: refusal.ApprovalCancelled,
	} {
		t.Run(outcome, func(t *testing.T) {
			d := decision()
			d.Outcome, d.ExpiresAt = outcome, nil
			d.Votes = []*eventv1.Vote{{Person: "kim", Vote: Deny, Reason: "wrong \u202etable"}}
			got, err := Verify(k.Public(), sign(t, k, d), expectation())
			if got.GetOutcome() != outcome || code(t, err) != want {
				t.Fatalf("got %v, %v", got, err)
			}
			var r *refusal.Refusal
			if errors.As(err, &r); outcome == Denied && !strings.Contains(r.Detail, "Denied by kim: wrong ‹U+202E›table") {
				t.Errorf("detail: %s", r.Detail)
			}
		})
	}
}
