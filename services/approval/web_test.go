package approval_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	approvals "github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/config"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

func TestInboxApproves(t *testing.T) {
	w := newWorld(t)
	i := w.startIssuer()
	r := w.start(withInbox(i))
	q := w.hold("one-click")
	b := r.browser()
	if a := b.get("/approvals/" + q.Id); a.status != http.StatusSeeOther || a.location() != "/signin?return=%2Fapprovals%2F"+q.Id {
		t.Fatalf("without a sign-in: %d to %s", a.status, a.location())
	}
	if to := b.signIn(i, "dana", "/approvals/"+q.Id); to != "/approvals/"+q.Id {
		t.Fatalf("signed in, and sent to %s", to)
	}
	b.sees("/", q.Id)
	page := b.sees("/approvals/"+q.Id, "UPDATE customers SET plan = $1")
	for _, want := range []string{
		"UPDATE public.customers", `href="https://ci.example/acme/shop/runs/4711"`, "job deploy of acme/shop, run 4711, on main, started by riley",
		"<b>prod-db</b>", "production", "<dt>$1</dt>", "&#39;pro&#39;", "backfill plans", "(unverified)", "<code>one-click</code>, policy version 1",
		"Writes wait for the owners.", "no WHERE clause", "1 line, 30 characters, all of it", "data-until", "github:riley",
	} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the page does not show %q:\n%s", want, page.body)
		}
	}
	if a := b.act(q, "approve", "reason", "looks right"); a.status != http.StatusSeeOther || a.location() != "/approvals/"+q.Id {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	d, err := w.decided(q)
	if err != nil || len(d.Votes) != 1 || d.Votes[0].Via != "web" || d.Votes[0].Person != "dana" || d.Votes[0].Reason != "looks right" {
		t.Fatalf("got %v, %v", d, err)
	}
	after := b.get("/approvals/" + q.Id)
	if !strings.Contains(after.body, `class="state approved"`) || strings.Contains(after.body, `id="approve"`) || !strings.Contains(after.body, "looks right") {
		t.Errorf("afterwards:\n%s", after.body)
	}
	w.message(q, "*Approved* by <@U0DANA> (from the web)")
	b.sees("/decided", q.Id)
}

func TestInboxDeniesWithAReason(t *testing.T) {
	w := newWorld(t)
	i := w.startIssuer()
	r := w.start(withInbox(i))
	q := w.hold("one-click")
	b := r.signedIn(i, "kim")
	b.sees("/approvals/"+q.Id, "Deny")
	if a := b.act(q, "deny", "reason", "not on a Friday"); a.status != http.StatusSeeOther {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	w.message(q, "*Denied* by <@U0KIM> (from the web) — not on a Friday")
	b.sees("/decided", "not on a Friday")
}

// What does not fit into Slack is read and approved here.
func TestInboxApprovesWhatSlackCannotShow(t *testing.T) {
	w := newWorld(t)
	i := w.startIssuer()
	r := w.start(withInbox(i))
	last := "-- the very last line"
	q := w.hold("one-click", func(r *eventv1.ApprovalRequest) {
		r.Statement = "UPDATE customers SET plan = $1\n" + strings.Repeat("-- and more of it\n", 3000) + last
	})
	w.message(q, "<"+"http://"+r.service.Addr()+"/approvals/"+q.Id+"|in the inbox>")
	b := r.signedIn(i, "dana")
	page := b.sees("/approvals/"+q.Id, last)
	if n := strings.Count(page.body, `class="line"`); n != 3002 || !strings.Contains(page.body, "3002 lines") {
		t.Errorf("%d lines are shown", n)
	}
	if a := b.act(q, "approve"); a.status != http.StatusSeeOther {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	if _, err := w.decided(q); err != nil {
		t.Fatal(err)
	}
}

func TestInboxListsWhatConcernsTheCallerFirst(t *testing.T) {
	w := newWorld(t)
	i := w.startIssuer()
	r := w.start(withInbox(i))
	asked := w.hold("one-click", from("dana", "", ""))
	waits := w.hold("one-click")
	other := w.hold("elsewhere", func(r *eventv1.ApprovalRequest) { r.Target = "prod-db" })
	dana, kim := r.signedIn(i, "dana"), r.signedIn(i, "kim")
	page := dana.sees("/", asked.Id).body
	if mine, others := strings.Index(page, waits.Id), strings.Index(page, asked.Id); mine < 0 || others < mine || !strings.Contains(page, "Waiting for others") {
		t.Errorf("what dana asked for comes before what waits for dana:\n%s", page)
	}
	if page := kim.sees("/", waits.Id).body; strings.Contains(page, other.Id) {
		t.Error("kim sees what waits for dana alone")
	}
	if page := dana.sees("/?q=elsewhere", other.Id).body; strings.Contains(page, waits.Id) {
		t.Error("the filter leaves what does not match")
	}
	if page := dana.get("/?q=nothing-like-it").body; !strings.Contains(page, "Nothing matches the filter") {
		t.Errorf("got\n%s", page)
	}
}

func TestInboxSignOut(t *testing.T) {
	w := newWorld(t)
	i := w.startIssuer()
	r := w.start(withInbox(i))
	b := r.signedIn(i, "dana")
	kept, err := b.cookie("session")
	if err != nil {
		t.Fatal(err)
	}
	w.publish(rules, people)
	b.sees("/", "Nothing waits for you")
	a := b.send(http.MethodPost, "/signout", map[string][]string{"token": {b.token("/")}}, "Origin", b.base)
	if a.status != http.StatusSeeOther || a.location() != "/signin?out" {
		t.Fatalf("got %d %s", a.status, a.location())
	}
	if a := b.get("/"); a.status != http.StatusSeeOther {
		t.Fatalf("signed out, and in: %d", a.status)
	}
	// A copy of the cookie is worth nothing, at another replica neither.
	second := w.start(withInbox(i), func(c *config.Config) { c.Approval.Instance, c.Approval.URL = "2", b.base })
	for name, at := range map[string]*replica{"here": r, "at another replica": second} {
		got := (&browser{t: t, base: "http://" + at.service.Addr(), client: plainClient(t)}).get("/", "Cookie", kept.Name+"="+kept.Value, "Host", strings.TrimPrefix(b.base, "http://"))
		if got.status != http.StatusSeeOther {
			t.Errorf("a kept cookie opens the inbox %s: %d", name, got.status)
		}
	}
}

func TestInboxShowsWhatBecameOfIt(t *testing.T) {
	w := newWorld(t)
	w.publish(whyRules, people)
	i := w.startIssuer()
	r := w.start(withInbox(i))
	shape := func(r *eventv1.ApprovalRequest) { r.Fingerprint = "a" }
	first := w.hold("why", shape)
	b := r.signedIn(i, "dana")
	b.sees("/approvals/"+first.Id, "the rule asks for it")
	if a := b.act(first, "approve", "reason", " \u200b"); a.status != http.StatusBadRequest || !strings.Contains(a.body, "The rule asks whoever approves to say why.") {
		t.Fatalf("without a reason: %d %s", a.status, a.body)
	}
	if a := b.act(first, "approve", "reason", "release 42"); a.status != http.StatusSeeOther {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	w.ran(first, &eventv1.ApprovalOutcome{Status: "error", Code: "23505", Message: "duplicate <b>key", DurationNs: 1_500_000})
	b.sees("/approvals/"+first.Id, "Failed after 1.5 ms: 23505 duplicate &lt;b&gt;key")
	b.sees("/decided", "Failed after 1.5 ms")
	second := w.hold("why", shape)
	page := b.sees("/approvals/"+second.Id, "The same statement before").body
	if !strings.Contains(page, `href="/approvals/`+first.Id+`">see it`) || !strings.Contains(page, "by dana") {
		t.Errorf("got\n%s", page)
	}
	// Whom the earlier one does not concern is told of it, and not led there.
	other := strings.NewReplacer("slack_users: [U0DANA, U0KIM]", "persons: [sam]").Replace(whyRules)
	w.publish(other, people)
	third := w.hold("why", shape)
	page = r.signedIn(i, "sam").sees("/approvals/"+third.Id, "The same statement before").body
	if strings.Contains(page, first.Id) {
		t.Errorf("sam is led to what does not concern sam:\n%s", page)
	}
}

// ran tells how an approved command ended, as its gateway does.
func (w *world) ran(q *request, o *eventv1.ApprovalOutcome) {
	w.t.Helper()
	o.ApprovalId, o.SessionId, o.CommandId, o.At = q.Id, q.SessionId, q.CommandId, timestamppb.Now()
	raw, err := proto.Marshal(o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.send(bus.Ran, q, raw)
}

func TestInboxShowsAPlan(t *testing.T) {
	w := newWorld(t)
	i := w.startIssuer()
	r := w.start(withInbox(i))
	hashes := w.engine.Hashes()
	q := w.hold("one-click", func(r *eventv1.ApprovalRequest) {
		r.Principal.Workflow, r.Principal.Claims = "release", map[string]string{"sha": "beef"}
		r.Statement, r.Parameters = "-- 1: a.sql:1\nUPDATE a SET b = 1;\n-- 2: a.sql:2\nGRANT c TO d;", nil
		r.Plan = &eventv1.Plan{
			Tool:  "sql",
			Steps: []*eventv1.PlanStep{{Digest: []byte("1"), State: []byte("s"), Effect: "hold", Rule: "one-click"}, {Digest: []byte("2"), State: []byte("s"), Effect: "hold", Rule: "elsewhere"}},
			Rules: []*eventv1.PlanRule{
				{Rule: "one-click", RuleHash: r.RuleHash, Approvers: r.Approvers},
				{Rule: "elsewhere", RuleHash: hashes["elsewhere"], Approvers: &eventv1.Approvers{Persons: []string{"dana"}, Count: 1, Channel: "C0DBA"}},
			},
		}
	})
	b := r.signedIn(i, "dana")
	page := b.sees("/approvals/"+q.Id, "GRANT c TO d").body
	for _, want := range []string{"each of the 2 statements passes once", "It falls under 2 rules", "<code>elsewhere</code>", "4 lines", `id="approve"`} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is missing:\n%s", want, page)
		}
	}
	if a := b.act(q, "approve"); a.status != http.StatusSeeOther {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	b.sees("/grants", q.Id)
}

// A plan's page is a table: each statement with its place, verdict and what it would
// touch, the statements folded; what hides in one is marked.
func TestRedteam21_APlansPageShowsEachStatement(t *testing.T) {
	w := newWorld(t)
	i := w.startIssuer()
	r := w.start(withInbox(i))
	q := w.hold("one-click", planned("UPDATE a SET b = '\u202e'", "DELETE FROM c -- x\n-- 3 of 3, no approval needed\nWHERE '</pre><script>1</script>' = ''", "INSERT INTO d VALUES (1)"))
	page := r.signedIn(i, "dana").sees("/approvals/"+q.Id, "3, in this order").body
	for _, want := range []string{
		`<td class="n">3</td>`, "m.sql:2", "Plans to delete about 12 rows of public.carts (estimate)", "it depends on statement 1", "no WHERE clause", "<summary>delete public.carts</summary>",
		"<mark title=\"not visible by itself\">‹U&#43;202E›</mark>", "&lt;/pre&gt;&lt;script&gt;", `<span class="line">-- 3 of 3, no approval needed`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is missing:\n%s", want, page)
		}
	}
	if n := strings.Count(page, `<td class="n">`); n != 3 {
		t.Errorf("%d rows", n)
	}
}

// planned makes a request a plan of an update, a delete and an insert.
func planned(update, remove, insert string) func(*eventv1.ApprovalRequest) {
	return func(r *eventv1.ApprovalRequest) {
		r.Principal.Workflow, r.Principal.Claims = "release", map[string]string{"sha": "beef"}
		r.Verb, r.Class, r.Parameters, r.Warnings, r.Reason = approvals.PlanVerb(3, 2), "plan", nil, nil, "release 42"
		r.Plan = &eventv1.Plan{Tool: "sql", Rules: []*eventv1.PlanRule{{Rule: r.Rule, RuleHash: r.RuleHash, Approvers: r.Approvers}}}
		var text strings.Builder
		for n, s := range []struct {
			verb, table, statement, effect, why string
			rows                                uint64
		}{
			{"create table", "refunds", update, "allow", "", 0}, {"delete", "carts", remove, "hold", "", 12}, {"insert", "refunds", insert, "hold", "it depends on statement 1", 0},
		} {
			step := &eventv1.PlanStep{
				Digest: []byte{byte(n)}, State: []byte("s"), Source: fmt.Sprintf("m.sql:%d", n+1), Effect: s.effect, Verb: s.verb, Class: "write",
				Objects: []*eventv1.Object{{Schema: "public", Name: s.table, Access: "write"}},
			}
			if s.effect == "hold" {
				step.Rule, step.Radius = r.Rule, &eventv1.Radius{Unknown: s.why}
				if s.rows > 0 {
					step.Radius.Planned, step.Warnings = []*eventv1.Effect{{Verb: s.verb, Relation: "public." + s.table, Rows: s.rows}}, []string{"no WHERE clause: every row of the table is affected"}
				}
			}
			r.Plan.Steps = append(r.Plan.Steps, step)
			text.WriteString(approvals.PlanHeading(n+1, 3) + s.effect + ", " + step.Source + "\n")
			for _, line := range approvals.StepRadius(step) {
				text.WriteString(approvals.PlanNote + line + "\n")
			}
			text.WriteString(approvals.PlanText(s.statement))
		}
		r.Statement = strings.TrimSuffix(text.String(), "\n")
	}
}

// Who may vote as a member of a group of the sign-in provider is told of what
// changes as everybody else is.
func TestInboxOfAGroupsMemberIsLive(t *testing.T) {
	w := newWorld(t)
	w.publish(groupRules, people)
	i := w.startIssuer()
	r := w.start(withInbox(i))
	sam := r.signedIn(i, "sam")
	_, seen := sam.listen(t.Context(), "/events")
	q := w.hold("group")
	if name := next(t, seen); name != "changed" {
		t.Fatalf("got %q", name)
	}
	sam.sees("/", q.Id)
	if a := sam.act(q, "approve"); a.status != http.StatusSeeOther {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	if d, err := w.decided(q); err != nil || d.Votes[0].Person != "sam" {
		t.Fatalf("got %v, %v", d, err)
	}
}
