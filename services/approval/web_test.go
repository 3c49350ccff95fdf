package approval_test

import (
	"net/http"
	"strings"
	"testing"

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
