package approval

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// proof is a good one, after change.
func proof(t *testing.T, k *seal.Key, change func(*eventv1.ApprovalRequest, *eventv1.ApprovalDecision)) Proof {
	t.Helper()
	r := &eventv1.ApprovalRequest{
		Id: "apr_1", Gateway: "gw1", SessionId: "s1", CommandId: "c1", Principal: principal(), Target: "prod-db", Rule: "r", RuleHash: "r1",
		Digest: []byte("digest"), Approvers: &eventv1.Approvers{SlackUsers: []string{"U0KIM"}, Count: 1}, Requesters: []string{"github:dana"},
		RequestedAt: timestamppb.New(now.Add(-time.Minute)), Deadline: timestamppb.New(now.Add(time.Minute)), Statement: "UPDATE t",
	}
	d := decision()
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	d.RequestHash = RequestHash(raw)
	if change != nil {
		change(r, d)
	}
	if raw, err = (proto.MarshalOptions{Deterministic: true}).Marshal(r); err != nil {
		t.Fatal(err)
	}
	signed, err := proto.Marshal(sign(t, k, d))
	if err != nil {
		t.Fatal(err)
	}
	return Proof{ID: r.Id, Request: raw, Decision: signed}
}

func TestExamine(t *testing.T) {
	k := key(t)
	e, err := Examine(k.Public(), proof(t, k, nil), nil)
	if err != nil || !e.OK() {
		t.Fatalf("a good proof: %v, %+v", err, e)
	}
	for name, c := range map[string]struct {
		change func(*eventv1.ApprovalRequest, *eventv1.ApprovalDecision)
		fails  string
	}{
		"another text shown": {func(r *eventv1.ApprovalRequest, _ *eventv1.ApprovalDecision) { r.Statement = "DROP TABLE t" }, "exactly this request"},
		"another command":    {func(_ *eventv1.ApprovalRequest, d *eventv1.ApprovalDecision) { d.Digest = []byte("x") }, "digest"},
		"another session":    {func(_ *eventv1.ApprovalRequest, d *eventv1.ApprovalDecision) { d.SessionId = "x" }, "session"},
		"another principal":  {func(_ *eventv1.ApprovalRequest, d *eventv1.ApprovalDecision) { d.PrincipalHash = []byte("x") }, "principal"},
		"another rule":       {func(_ *eventv1.ApprovalRequest, d *eventv1.ApprovalDecision) { d.RuleHash = "x" }, "rule"},
		"too late": {func(_ *eventv1.ApprovalRequest, d *eventv1.ApprovalDecision) {
			d.DecidedAt = timestamppb.New(now.Add(2 * time.Minute))
		}, "deadline"},
		"nobody": {func(_ *eventv1.ApprovalRequest, d *eventv1.ApprovalDecision) { d.Votes = nil }, "distinct persons"},
		"one for two groups": {func(r *eventv1.ApprovalRequest, _ *eventv1.ApprovalDecision) {
			r.Approvers = &eventv1.Approvers{AllOf: []*eventv1.ApproverGroup{{Name: "dba", SlackUsers: []string{"U0KIM"}}, {Name: "security", SlackUsers: []string{"U0SAM"}}}}
		}, "distinct persons"},
		"one for a plan's other rule": {func(r *eventv1.ApprovalRequest, _ *eventv1.ApprovalDecision) {
			r.Plan = &eventv1.Plan{Rules: []*eventv1.PlanRule{{Approvers: &eventv1.Approvers{SlackUsers: []string{"U0KIM", "U0SAM"}, Count: 2}}}}
		}, "distinct persons"},
		"by its requester": {func(_ *eventv1.ApprovalRequest, d *eventv1.ApprovalDecision) { d.Votes[0].Account = "GitHub:dana" }, "none of whom"},
		"uncounted":        {func(_ *eventv1.ApprovalRequest, d *eventv1.ApprovalDecision) { d.Uses = 7 }, "counted"},
		"a grant not offered": {func(_ *eventv1.ApprovalRequest, d *eventv1.ApprovalDecision) {
			d.Grant = &eventv1.Grant{Scope: "run", Digest: []byte("x")}
		}, "counted"},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := Examine(k.Public(), proof(t, k, c.change), nil)
			if err != nil {
				t.Fatal(err)
			}
			found := false
			for _, check := range e.Checks {
				found = found || !check.OK && strings.Contains(check.What, c.fails)
			}
			if !found || e.OK() {
				t.Fatalf("passes: %+v", e.Checks)
			}
		})
	}
	if e, err := Examine(key(t).Public(), proof(t, k, nil), nil); err != nil || e.OK() {
		t.Fatal("a stranger's key verifies it")
	}
	for _, p := range []Proof{{}, {Request: []byte("x"), Decision: []byte("y")}} {
		if _, err := Examine(k.Public(), p, nil); err == nil {
			t.Error("nonsense is a proof")
		}
	}
}
