package desk

import (
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/approval/internal/rulebook"
)

const granting = `
rules:
  - name: two
    effect: hold
    targets: [db]
    principals: [{any: true}]
    approvers: {slack_users: [U0DANA, U0KIM], count: 2}
    deadline: 15m
    grants: {scopes: [run, job], uses: 20, for: 1h}
`

var key = []byte("0123456789abcdef0123456789abcdef")

func (b *bench) allow(t *testing.T, rules string) {
	t.Helper()
	e, err := policy.Compile(map[string][]byte{"r.yaml": []byte(rules), "people.yaml": []byte(peopleFile)})
	if err != nil {
		t.Fatal(err)
	}
	b.engine, b.book = e, rulebook.NewBook(e, 1, nil)
}

// offered takes a request that offers grants, as a gateway makes it.
func (b *bench) offered(t *testing.T, d *Desk, change func(*eventv1.ApprovalRequest)) (*eventv1.ApprovalRequest, []byte) {
	t.Helper()
	r, _ := b.request()
	r.Approvers = &eventv1.Approvers{SlackUsers: []string{"U0DANA", "U0KIM"}, Count: 2}
	r.Database, r.Principal = "shop", &eventv1.Principal{
		Preset: "github-actions", Issuer: "https://i", RepositoryId: "1", RunId: "7", Workflow: "w", Actor: "riley", Claims: map[string]string{"sha": "beef"},
	}
	r.Offer = &eventv1.Offer{Scopes: []string{"run", "job"}, Uses: 20, Life: durationpb.New(time.Hour), Shape: []byte("shape"), Exact: []byte("exact")}
	if change != nil {
		change(r)
	}
	raw, _ := proto.Marshal(r) // strings only
	tag := hex.EncodeToString(approval.Tag(key, approval.RequestHash(raw)))
	if err := d.Requested(t.Context(), "gw1", r.Id, raw, tag); err != nil {
		t.Fatal(err)
	}
	return r, raw
}

func (b *bench) decision(t *testing.T, id string) *eventv1.ApprovalDecision {
	t.Helper()
	all := b.decisions(id)
	if len(all) != 1 {
		t.Fatalf("%d decisions", len(all))
	}
	signed := &eventv1.Signed{}
	if err := proto.Unmarshal(all[0], signed); err != nil {
		t.Fatal(err)
	}
	d, err := approval.OpenDecision(b.key.Public(), signed)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (b *bench) use(r *eventv1.ApprovalRequest) approval.Use {
	return approval.Use{
		Principal: r.Principal, Target: r.Target, Database: r.Database, RuleHash: r.RuleHash, Approvers: r.Approvers, People: b.engine.People(), Key: key,
		Grants: &policy.Grants{Scopes: []string{"run", "job", "return"}, Uses: 20, Life: time.Hour}, Shape: r.Offer.Shape, Exact: r.Offer.Exact, Now: b.now(),
	}
}

// What every counted approver gave is what is granted: one who clicked plain
// Approve has approved one command, and of two limits the lower one counts.
func TestRedteam18_AGrantIsWhatAllApproversGave(t *testing.T) {
	b := newBench(t)
	b.allow(t, granting)
	d := b.desk(JetStream{JS: b.bus.JS})
	for name, c := range map[string]struct {
		dana, kim Ballot
		scope     string
		uses      uint32
		life      time.Duration
	}{
		"both the run":        {Ballot{Scope: "run"}, Ballot{Scope: "run"}, "run", 20, time.Hour},
		"one the command":     {Ballot{Scope: "run"}, Ballot{}, "", 1, 0},
		"different scopes":    {Ballot{Scope: "run"}, Ballot{Scope: "job"}, "", 1, 0},
		"the lower of limits": {Ballot{Scope: "job", Uses: 5, Life: 10 * time.Minute}, Ballot{Scope: "job", Uses: 7, Life: 5 * time.Minute}, "job", 5, 5 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := b.offered(t, d, nil)
			for account, ballot := range map[string]Ballot{"slack:U0DANA": c.dana, "slack:U0KIM": c.kim} {
				ballot.Approval, ballot.Account, ballot.Vote, ballot.Via = r.Id, account, approval.Approve, "cli"
				if _, err := d.Vote(t.Context(), ballot); err != nil {
					t.Fatal(err)
				}
			}
			got := b.decision(t, r.Id)
			if got.GetGrant().GetScope() != c.scope || got.Uses != c.uses {
				t.Fatalf("granted %q, %d uses", got.GetGrant().GetScope(), got.Uses)
			}
			if c.scope == "" {
				return
			}
			if life := got.ExpiresAt.AsTime().Sub(got.DecidedAt.AsTime()); life != c.life {
				t.Errorf("for %s", life)
			}
			if !approval.Covers(got, b.use(r)) {
				t.Error("it does not cover what it was given for")
			}
		})
	}
}

func TestRedteam18_NobodyGivesMoreThanTheRule(t *testing.T) {
	b := newBench(t)
	b.allow(t, granting)
	d := b.desk(JetStream{JS: b.bus.JS})
	r, _ := b.offered(t, d, nil)
	for name, ballot := range map[string]Ballot{
		"another scope":     {Vote: approval.Approve, Scope: "return"},
		"more uses":         {Vote: approval.Approve, Scope: "run", Uses: 21},
		"longer":            {Vote: approval.Approve, Scope: "run", Life: 2 * time.Hour},
		"uses of a command": {Vote: approval.Approve, Uses: 2},
		"a scope of denial": {Vote: approval.Deny, Scope: "run"},
	} {
		ballot.Approval, ballot.Account, ballot.Via = r.Id, "slack:U0DANA", "cli"
		_, err := d.Vote(t.Context(), ballot)
		var no *refusal.Refusal
		if !errors.As(err, &no) || no.Code != refusal.ApprovalInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A request that offers what its rule does not let is nobody's to decide.
	for name, change := range map[string]func(*eventv1.ApprovalRequest){
		"another scope": func(r *eventv1.ApprovalRequest) { r.Offer.Scopes = []string{"return"} },
		"more uses":     func(r *eventv1.ApprovalRequest) { r.Offer.Uses = 21 },
		"longer":        func(r *eventv1.ApprovalRequest) { r.Offer.Life = durationpb.New(2 * time.Hour) },
		"no waiting":    func(r *eventv1.ApprovalRequest) { r.Returned = true },
	} {
		r, _ := b.offered(t, d, change)
		if got := b.decision(t, r.Id); got.Outcome != approval.Cancelled {
			t.Errorf("%s: %s", name, got.Outcome)
		}
	}
}

func TestAGrantIsRevokedOnceAndForGood(t *testing.T) {
	b := newBench(t)
	b.allow(t, granting)
	p := &flaky{Publisher: JetStream{JS: b.bus.JS}}
	d := b.desk(p)
	r, _ := b.offered(t, d, nil)
	for _, account := range []string{"slack:U0DANA", "slack:U0KIM"} {
		if _, err := d.Vote(t.Context(), Ballot{Approval: r.Id, Account: account, Vote: approval.Approve, Scope: "run", Via: "cli"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Revoke(t.Context(), Revocation{Approval: r.Id, Account: "slack:U0EVE"}); err == nil {
		t.Fatal("a stranger revoked it")
	}
	p.fail.Store(true)
	if _, err := d.Revoke(t.Context(), Revocation{Approval: r.Id, Account: "slack:U0RILEY", Via: "slack"}); err == nil {
		t.Fatal("revoked, though no gateway was told")
	}
	p.fail.Store(false)
	if err := d.Settle(t.Context(), r.Id); err != nil { // what any replica does
		t.Fatal(err)
	}
	if n := len(b.messages(bus.StreamUses, bus.RevokedSubject(r.Id))); n != 1 {
		t.Fatalf("%d revocations on the stream", n)
	}
	st, err := d.Revoke(t.Context(), Revocation{Approval: r.Id, Account: "slack:U0KIM"})
	if err != nil || st.Grant.By != "riley" {
		t.Fatalf("revoked again: %v, %+v", err, st)
	}
	got, err := b.steps(r.Id)
	if err != nil || got != "requested voted voted decided revoked" {
		t.Fatalf("steps %q, %v", got, err)
	}
}
