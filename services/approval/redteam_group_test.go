package approval_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatestay/gatestay/libs/localslack"
	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

const groupRules = `
rules:
  - name: group
    effect: hold
    targets: [prod-db]
    principals: [{any: true}]
    approvers: {slack_groups: [S0DBA], oidc_groups: [dba], channel: C0PROD}
  - name: both
    effect: hold
    targets: [prod-db]
    principals: [{any: true}]
    approvers: {all_of: [{name: dba, slack_groups: [S0DBA]}, {name: security, slack_users: [U0KIM], persons: [sam]}], channel: C0PROD}
`

// grouped is a world with a Slack group of kim alone.
func grouped(t *testing.T) (*world, *replica) {
	w := newWorld(t)
	w.slack.SetGroup(localslack.Group{ID: "S0DBA", Handle: "dba", Members: []string{"U0KIM"}})
	w.publish(groupRules, people)
	return w, w.start()
}

func TestRedteam19_OnlyMembersOfTheGroupApprove(t *testing.T) {
	w, r := grouped(t)
	q := w.hold("group")
	w.message(q, "<!subteam^S0DBA>")
	w.approve(q, "U0DANA")
	w.told("U0DANA", "does not name you")
	if status, _ := r.vote(q, "oidc:dana@acme.example ops", "approve"); status == http.StatusOK {
		t.Fatal("a member of another sign-in group approved")
	}
	if status, _ := r.vote(q, "oidc:new@acme.example dba", "approve"); status == http.StatusOK {
		t.Fatal("a member whom the people map does not know approved")
	}
	w.approve(q, "U0KIM")
	d, err := w.decided(q)
	if err != nil || len(d.Votes) != 1 || strings.Join(d.Votes[0].Groups, " ") != "slack:S0DBA" {
		t.Fatalf("got %v, %v", d, err)
	}
}

func TestMembersOfASignInGroupApprove(t *testing.T) {
	w, r := grouped(t)
	q := w.hold("group")
	w.message(q, approveButton)
	if status, c := r.vote(q, "oidc:dana@acme.example ops dba", "approve"); status != http.StatusOK {
		t.Fatalf("got %d %s", status, c)
	}
	d, err := w.decided(q)
	if err != nil || strings.Join(d.Votes[0].Groups, " ") != "oidc:dba" {
		t.Fatalf("got %v, %v", d, err)
	}
}

// Removed between request and click; disabled; and nobody who could tell.
func TestRedteam19_AGroupIsAskedAtTheClick(t *testing.T) {
	for name, change := range map[string]func(*world){
		"removed": func(w *world) {
			w.slack.SetGroup(localslack.Group{ID: "S0DBA", Handle: "dba", Members: []string{"U0DANA"}})
		},
		"disabled": func(w *world) {
			w.slack.SetGroup(localslack.Group{ID: "S0DBA", Members: []string{"U0KIM"}, Disabled: true})
		},
		"no answer": func(w *world) {
			w.slack.SetFaults(localslack.Faults{RateLimited: map[string]time.Duration{"usergroups.users.list": time.Second}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, r := grouped(t)
			q := w.hold("group")
			w.message(q, approveButton)
			change(w)
			w.approve(q, "U0KIM")
			want := "does not name you"
			if name == "no answer" {
				want = "your vote was not taken"
			}
			w.told("U0KIM", want)
			if status, _ := r.vote(q, "oidc:kim@acme.example", "approve"); status == http.StatusOK {
				t.Fatal("a vote rests on a group that nobody tells of")
			}
			if len(w.decisions(q)) != 0 {
				t.Fatal("decided")
			}
			w.slack.SetFaults(localslack.Faults{})
		})
	}
}

// kim is in both groups; her one click is one place, and dana's, in neither, none.
func TestRedteam19_OneClickInTwoGroups(t *testing.T) {
	w, r := grouped(t)
	q := w.hold("both")
	w.message(q, "security")
	w.approve(q, "U0KIM")
	w.message(q, ":white_check_mark:")
	if len(w.decisions(q)) != 0 {
		t.Fatal("one click met two groups")
	}
	if status, c := r.vote(q, "oidc:dana@acme.example", "approve"); status == http.StatusOK || c == "" {
		t.Fatalf("got %d %s", status, c)
	}
	if status, c := r.vote(q, "oidc:sam@acme.example", "approve"); status != http.StatusOK {
		t.Fatalf("got %d %s", status, c)
	}
	d, err := w.decided(q)
	if err != nil || len(d.Votes) != 2 {
		t.Fatalf("got %v, %v", d, err)
	}
}

// A request that says less of its rule than the rule does is forged.
func TestRedteam19_ARequestCannotLeaveOutAGroup(t *testing.T) {
	w, r := grouped(t)
	q := w.hold("both", func(r *eventv1.ApprovalRequest) { r.Approvers.AllOf = r.Approvers.AllOf[1:] })
	until(t, "decision", func() bool { return len(w.decisions(q)) > 0 })
	if status, _ := r.vote(q, "oidc:sam@acme.example", "approve"); status == http.StatusOK {
		t.Fatal("approved without a group that the rule names")
	}
	if d, err := w.decided(q); code(err) != refusal.ApprovalCancelled {
		t.Fatalf("got %v, %v", d, err)
	}
}
