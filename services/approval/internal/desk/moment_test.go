package desk

import (
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/approval/internal/machine"
	"github.com/gatestay/gatestay/services/approval/internal/rulebook"
)

// under makes the bench's book that of a rule file, and its clock another.
func (b *bench) under(t *testing.T, rules string, now time.Time) {
	t.Helper()
	var err error
	if b.engine, err = policy.Compile(map[string][]byte{"r.yaml": []byte(rules), "people.yaml": []byte(peopleFile)}); err != nil {
		t.Fatal(err)
	}
	b.book = rulebook.NewBook(b.engine, 1, nil)
	b.clock.Store(now.UnixNano())
}

// ask brings a request by the rule of a name.
func (b *bench) ask(t *testing.T, d *Desk, rule string) *eventv1.ApprovalRequest {
	t.Helper()
	r, _ := b.request()
	for _, of := range b.engine.Rules() {
		if of.Name == rule {
			r.Rule, r.RuleHash, r.Approvers = rule, b.engine.Hashes()[rule], of.Approvers.Event()
			r.Deadline = timestamppb.New(b.now().Add(of.Deadline))
		}
	}
	raw, err := proto.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Requested(t.Context(), "gw1", r.Id, raw, ""); err != nil {
		t.Fatal(err)
	}
	return r
}

// vote returns the state after a vote, or the code of its refusal.
func (b *bench) vote(t *testing.T, d *Desk, id, account, vote string) (machine.Status, refusal.Code) {
	t.Helper()
	st, err := d.Vote(t.Context(), Ballot{Approval: id, Account: account, Vote: vote, Via: "cli"})
	var r *refusal.Refusal
	switch {
	case errors.As(err, &r):
		return "", r.Code
	case err != nil:
		t.Fatal(err)
	}
	return st.Status, ""
}

// Outside the hours of its group a vote to approve is refused and leaves no trace;
// one to deny ends it.
func TestRedteam19_NobodyApprovesOutsideTheHours(t *testing.T) {
	b := newBench(t)
	monday := time.Date(2026, 11, 30, 17, 29, 0, 0, time.UTC)
	b.under(t, `
rules:
  - name: office
    effect: hold
    targets: [db]
    principals: [{any: true}]
    approvers: {persons: [kim, dana], hours: {days: [mon-fri], from: "09:00", to: "17:30", zone: UTC}}
`, monday)
	d := b.desk(nil)
	first, second := b.ask(t, d, "office"), b.ask(t, d, "office")
	b.clock.Store(monday.Add(time.Minute).UnixNano())
	if _, code := b.vote(t, d, first.Id, "slack:U0KIM", approval.Approve); code != refusal.VoteUntimely {
		t.Fatalf("at 17:30: %q", code)
	}
	if st, _, err := d.Store.Get(t.Context(), first.Id); err != nil || len(st.Votes) != 0 {
		t.Fatalf("the refused vote is there: %v", err)
	}
	b.clock.Store(monday.Add(time.Minute - 1).UnixNano())
	d.Bus = JetStream{JS: b.bus.JS}
	if status, code := b.vote(t, d, first.Id, "slack:U0KIM", approval.Approve); status != machine.Approved {
		t.Fatalf("a moment before: %s %s", status, code)
	}
	b.clock.Store(monday.Add(5 * time.Minute).UnixNano())
	if status, code := b.vote(t, d, second.Id, "slack:U0KIM", approval.Deny); status != machine.Denied {
		t.Fatalf("to deny at 17:34: %s %s", status, code)
	}
}

// The second group may vote from the escalation on: what tells them is noted once,
// whichever replicas look, and their votes do not depend on it.
func TestRedteam19_AnEscalationLetsTheSecondGroupVote(t *testing.T) {
	b := newBench(t)
	start := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	b.under(t, `
rules:
  - name: late
    effect: hold
    targets: [db]
    principals: [{any: true}]
    approvers: {persons: [kim], escalate: {after: 5m, to: {persons: [dana]}}}
    deadline: 15m
`, start)
	one, two := b.desk(JetStream{JS: b.bus.JS}), b.desk(JetStream{JS: b.bus.JS})
	r := b.ask(t, one, "late")
	escalate := func() *machine.State {
		for _, d := range []*Desk{one, two} {
			if err := d.Escalate(t.Context(), r.Id); err != nil {
				t.Fatal(err)
			}
		}
		st, _, err := one.Store.Get(t.Context(), r.Id)
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	b.clock.Store(start.Add(5*time.Minute - 1).UnixNano())
	if st := escalate(); st.Escalated != nil || len(st.Slack.Notes) != 0 {
		t.Fatal("it escalates too early")
	}
	if _, code := b.vote(t, one, r.Id, "slack:U0DANA", approval.Approve); code != refusal.VoteUntimely {
		t.Fatalf("dana votes before the escalation: %q", code)
	}
	b.clock.Store(start.Add(5 * time.Minute).UnixNano())
	st := escalate()
	if st.Escalated == nil || len(st.Slack.Notes) != 1 || st.Slack.Notes[0].Kind != machine.NoteEscalation {
		t.Fatalf("escalated %v, notes %v", st.Escalated, st.Slack.Notes)
	}
	if status, code := b.vote(t, two, r.Id, "slack:U0DANA", approval.Approve); status != machine.Approved {
		t.Fatalf("dana after the escalation: %s %s", status, code)
	}
	b.clock.Store(start.Add(10 * time.Minute).UnixNano())
	if st := escalate(); len(st.Slack.Notes) != 1 {
		t.Fatal("what is decided escalates")
	}

	// Nobody noted anything: the time alone decides.
	r = b.ask(t, one, "late")
	b.clock.Store(start.Add(15 * time.Minute).UnixNano())
	if status, code := b.vote(t, one, r.Id, "slack:U0DANA", approval.Approve); status != machine.Approved {
		t.Fatalf("without a note: %s %s", status, code)
	}
}
