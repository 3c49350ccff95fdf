package desk

import (
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/approval/internal/machine"
)

const planning = `
rules:
  - name: data
    effect: hold
    targets: [db]
    principals: [{any: true}]
    approvers: {slack_users: [U0DANA], count: 1}
    deadline: 15m
  - name: schema
    effect: hold
    targets: [db]
    principals: [{any: true}]
    approvers: {slack_users: [U0KIM, U0SAM], count: 1}
    deadline: 15m
`

// plan is a request for a plan that falls under both rules, as a gateway makes it.
func (b *bench) plan(change func(*eventv1.ApprovalRequest)) (*eventv1.ApprovalRequest, []byte, string) {
	r, _ := b.request()
	hashes := b.engine.Hashes()
	r.Rule, r.RuleHash, r.Approvers = "data", hashes["data"], &eventv1.Approvers{SlackUsers: []string{"U0DANA"}, Count: 1}
	r.Database, r.Verb = "shop", "plan of 2 statements, 2 held:"
	r.Principal = &eventv1.Principal{Preset: "github-actions", Issuer: "https://i", RepositoryId: "1", RunId: "7", Workflow: "w", Actor: "riley", Claims: map[string]string{"sha": "beef"}}
	r.Plan = &eventv1.Plan{
		Tool:  "goose",
		Steps: []*eventv1.PlanStep{{Digest: []byte("1"), State: []byte("s"), Effect: "hold", Rule: "data"}, {Digest: []byte("2"), State: []byte("s"), Effect: "hold", Rule: "schema"}},
		Rules: []*eventv1.PlanRule{
			{Rule: "data", RuleHash: hashes["data"], Approvers: r.Approvers},
			{Rule: "schema", RuleHash: hashes["schema"], Approvers: &eventv1.Approvers{SlackUsers: []string{"U0KIM", "U0SAM"}, Count: 1}},
		},
	}
	if change != nil {
		change(r)
	}
	raw, _ := proto.Marshal(r) // strings only
	return r, raw, hex.EncodeToString(approval.Tag(key, approval.RequestHash(raw)))
}

func (b *bench) votes(t *testing.T, d *Desk, id, account string) *machine.State {
	t.Helper()
	st, err := d.Vote(t.Context(), Ballot{Approval: id, Account: account, Vote: approval.Approve, Via: "cli"})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// A plan under several rules needs the approvers of every one of them, and what
// it grants is the plan.
func TestRedteam18_APlanNeedsTheApproversOfEachOfItsRules(t *testing.T) {
	b := newBench(t)
	b.allow(t, planning)
	d := b.desk(JetStream{JS: b.bus.JS})
	r, raw, tag := b.plan(nil)
	if err := d.Requested(t.Context(), "gw1", r.Id, raw, tag); err != nil {
		t.Fatal(err)
	}
	if st := b.votes(t, d, r.Id, "slack:U0KIM"); st.Done() {
		t.Fatal("the approvers of one rule approved for both")
	}
	if _, err := d.Vote(t.Context(), Ballot{Approval: r.Id, Account: "slack:U0SAM", Vote: approval.Approve, Via: "cli"}); err != nil {
		t.Fatal(err) // a second of the same rule is not one of the other
	}
	var refused *refusal.Refusal
	for account, code := range map[string]refusal.Code{"slack:U0RILEY": refusal.VoteSelf, "slack:U0NEW": refusal.VoteForbidden} {
		_, err := d.Vote(t.Context(), Ballot{Approval: r.Id, Account: account, Vote: approval.Approve, Via: "cli"})
		if !errors.As(err, &refused) || refused.Code != code {
			t.Errorf("%s: %v", account, err)
		}
	}
	if st := b.votes(t, d, r.Id, "slack:U0DANA"); st.Status != machine.Approved {
		t.Fatalf("it is %s", st.Status)
	}
	got := b.decision(t, r.Id)
	why := approval.PlanFits(got, r, raw, approval.Planning{
		Principal: r.Principal, Target: "db", Database: "shop", People: b.engine.People(), Key: key, Now: b.now(),
	})
	if why != "" || got.Uses != 2 || len(got.Votes) != 3 {
		t.Errorf("%s: %v", why, got)
	}
	proof, err := approval.Examine(b.key.Public(), approval.Proof{ID: r.Id, Request: raw, Decision: b.decisions(r.Id)[0]}, nil)
	if err != nil || !proof.OK() {
		t.Errorf("a stranger cannot check it: %+v, %v", proof.Checks, err)
	}
	if life := got.ExpiresAt.AsTime().Sub(got.DecidedAt.AsTime()); life != approval.PlanLife {
		t.Errorf("for %s", life)
	}
	if approval.Covers(got, approval.Use{
		Principal: r.Principal, Target: "db", Database: "shop", RuleHash: r.RuleHash, Approvers: r.Approvers, People: b.engine.People(), Key: key,
		Grants: &policy.Grants{Scopes: []string{"run", "job", "return"}, Uses: 20, Life: 24 * time.Hour}, Shape: r.Digest, Exact: r.Digest, Now: b.now(),
	}) {
		t.Error("a plan's approval is a grant for anything")
	}
}

// A request that says of a plan what no gateway would is not voted on.
func TestRedteam21_APlanThatContradictsItsRulesIsRefused(t *testing.T) {
	b := newBench(t)
	b.allow(t, planning)
	d := b.desk(JetStream{JS: b.bus.JS})
	for name, change := range map[string]func(*eventv1.ApprovalRequest){
		"no steps":                func(r *eventv1.ApprovalRequest) { r.Plan.Steps = nil },
		"a step without a digest": func(r *eventv1.ApprovalRequest) { r.Plan.Steps[1].Digest = nil },
		"a step without a state":  func(r *eventv1.ApprovalRequest) { r.Plan.Steps[1].State = nil },
		"another first rule":      func(r *eventv1.ApprovalRequest) { r.Plan.Rules[0], r.Plan.Rules[1] = r.Plan.Rules[1], r.Plan.Rules[0] },
		"a rule twice":            func(r *eventv1.ApprovalRequest) { r.Plan.Rules[1] = r.Plan.Rules[0] },
		"an offer, too":           func(r *eventv1.ApprovalRequest) { r.Offer = &eventv1.Offer{Scopes: []string{"job"}} },
	} {
		r, raw, tag := b.plan(change)
		if err := d.Requested(t.Context(), "gw1", r.Id, raw, tag); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*eventv1.ApprovalRequest){
		"another approver of the second rule": func(r *eventv1.ApprovalRequest) { r.Plan.Rules[1].Approvers.SlackUsers = []string{"U0DANA"} },
		"a rule that is none":                 func(r *eventv1.ApprovalRequest) { r.Plan.Rules[1].RuleHash = "none" },
	} {
		r, raw, tag := b.plan(change)
		if err := d.Requested(t.Context(), "gw1", r.Id, raw, tag); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Vote(t.Context(), Ballot{Approval: r.Id, Account: "slack:U0DANA", Vote: approval.Approve, Via: "cli"}); err == nil {
			t.Errorf("%s: a vote was taken", name)
		}
	}
}
