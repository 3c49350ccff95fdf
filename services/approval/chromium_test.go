package approval_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/localissuer"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// signIn goes through the pages as a person does.
func (p *tab) signIn(i *localissuer.Issuer, at, name string) {
	p.t.Helper()
	p.open(at)
	p.holds(`document.querySelector("a.primary")`)
	p.picture("signin")
	p.eval(`document.querySelector("a.primary").click()`)
	p.holds(`document.querySelector("[name=secret]")`)
	p.eval(`document.querySelector("[name=secret]").value = "` + i.Secret() + `"; document.querySelector("[name=person][value=` + name + `]").click()`)
	p.holds(`location.href.startsWith("` + at + `")`)
}

func (p *tab) focused() string { return p.eval("document.activeElement && document.activeElement.id") }

// The whole way of an approver at a browser, with keys alone.
func TestInboxInChromium(t *testing.T) {
	w := newWorld(t)
	i := w.startIssuer()
	r := w.start(withInbox(i))
	at := "http://" + r.service.Addr()
	open := chromium(t)
	p := open()
	p.signIn(i, at+"/", "dana")
	p.holds(`document.body.innerText.includes("Nothing waits for you")`)
	p.holds(`!document.getElementById("live").hidden`)

	// It appears by itself, and j and Enter open it.
	q := w.hold("two-clicks")
	p.holds(`document.getElementById("` + q.Id + `")`)
	if p.eval("performance.getEntriesByType('navigation')[0].type") != "navigate" {
		t.Error("the page was reloaded")
	}
	second := w.hold("one-click")
	p.holds(`document.getElementById("` + second.Id + `")`)
	p.key("j")
	p.key("j")
	if got := p.focused(); got != q.Id {
		t.Fatalf("j j leads to %q", got)
	}
	p.key("k")
	p.key("j")
	p.key("Enter")
	p.holds(`location.pathname === "/approvals/` + q.Id + `" && document.getElementById("approve")`)
	p.holds(`!document.getElementById("live").hidden`)
	p.holds(`/in \d+ s/.test(document.querySelector("time[data-until]").textContent)`)

	// What somebody writes stays while the page follows another one's vote.
	p.key("d")
	p.write("not ye")
	if a := r.signedIn(i, "kim").act(q, "approve"); a.status != 303 {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	p.holds(`document.getElementById("status").innerText.includes("1 of 2 approvals")`)
	p.write("t")
	if got := p.eval(`document.getElementById("deny-reason").value`); got != "not yet" || p.focused() != "deny-reason" {
		t.Errorf("while it was written, it became %q, with the focus on %q", got, p.focused())
	}

	// a does not vote; Enter then does.
	p.key("Escape")
	p.key("a")
	if got := p.focused(); got != "approve" {
		t.Fatalf("a leads to %q", got)
	}
	w.recorded(q, "requested", "voted")
	p.key("Enter")
	p.holds(`document.querySelector("#status .state.approved") && !document.getElementById("approve")`)
	if _, err := w.decided(q); err != nil {
		t.Fatal(err)
	}

	// The buttons go by themselves when another one decides.
	p.key("u")
	p.holds(`location.pathname === "/decided"`)
	p.open(at + "/approvals/" + second.Id)
	p.holds(`document.getElementById("approve") && !document.getElementById("live").hidden`)
	w.approve(second, "U0KIM")
	p.holds(`!document.getElementById("approve") && document.querySelector("#status .state.approved")`)

	// The filter, and the help.
	third := w.hold("elsewhere", func(r *eventv1.ApprovalRequest) { r.Reason = "rotate the index" })
	p.open(at + "/")
	p.holds(`document.getElementById("` + third.Id + `")`)
	p.key("/")
	p.write("nothing like it")
	p.holds(`document.getElementById("list").innerText.includes("Nothing matches")`)
	p.key("Escape")
	p.key("?")
	p.holds(`document.getElementById("help").open`)
	p.picture("help")
	p.key("Escape")
	p.holds(`!document.getElementById("help").open`)
	for _, f := range p.faults {
		t.Errorf("the browser complains: %s", f)
	}

	// Signed out in one tab, the other has nothing left to show.
	other := open()
	other.open(at + "/")
	other.holds(`!document.getElementById("live").hidden`)
	other.eval(`document.querySelector("form.who button").click()`)
	other.holds(`location.pathname === "/signin"`)
	p.call("Page.bringToFront", nil, nil) // hidden, it followed nothing
	p.holds(`location.pathname === "/signin"`)
}

// What cannot run, runs in no browser either.
func TestRedteam32_InboxInChromium(t *testing.T) {
	w := newWorld(t)
	i := w.startIssuer()
	r := w.start(withInbox(i))
	at := "http://" + r.service.Addr()
	bad := `"><script>document.title="owned"</script><img src=x onerror='document.title="owned"'><b hx-get="/signin" hx-trigger="load" hx-target="body">x</b>`
	q := w.hold("one-click", func(r *eventv1.ApprovalRequest) {
		r.Principal.Job, r.Statement, r.Parameters, r.Reason, r.Target = bad, bad, []string{bad}, bad, bad
	})
	p := chromium(t)()
	p.signIn(i, at+"/", "dana")
	p.holds(`document.getElementById("` + q.Id + `") && !document.getElementById("live").hidden`)
	w.hold("one-click", func(r *eventv1.ApprovalRequest) { r.Reason = bad })
	p.holds(`document.querySelectorAll(".entry").length === 2`) // through a swap, too
	p.open(at + "/approvals/" + q.Id)
	p.holds(`!document.getElementById("live").hidden && document.querySelector(".statement")`)
	if got := p.eval(`document.title + document.querySelectorAll("main img, main script, main b[hx-get]").length`); strings.Contains(got, "owned") || !strings.HasSuffix(got, "0") {
		t.Errorf("got %q", got)
	}
	// Were it markup after all, the policy would still not let it run.
	p.faults = nil
	p.eval(`document.body.insertAdjacentHTML("beforeend", "<img src=/none onerror='document.title=\"owned\"'>"); new Promise(r => setTimeout(r, 300))`)
	if got := p.eval("document.title"); strings.Contains(got, "owned") || len(p.faults) == 0 {
		t.Errorf("an inline handler runs: %q", got)
	}
}

// The pictures of the README: SCREENSHOTS=folder makes them anew.
func TestInboxPictures(t *testing.T) {
	w := newWorld(t)
	i := w.startIssuer()
	w.publish(strings.Replace(rules, "    deadline: 15m\n  - name: two-clicks", "    deadline: 15m\n    grants: {scopes: [run, job], uses: 20, for: 1h}\n  - name: two-clicks", 1), people)
	r := w.start(withInbox(i))
	at := "http://" + r.service.Addr()
	life := func(r *eventv1.ApprovalRequest) {
		r.Deadline = timestamppb.New(time.Now().Add(14*time.Minute + 30*time.Second))
	}
	kim := r.signedIn(i, "kim")
	first := w.hold("two-clicks", life, func(r *eventv1.ApprovalRequest) { r.Fingerprint = "orders" })
	kim.sees("/approvals/"+first.Id, "Deny")
	kim.act(first, "deny", "reason", "not before the backup")
	migrate := w.hold("two-clicks", life, func(r *eventv1.ApprovalRequest) {
		r.Verb, r.Class, r.Objects = "alter table", "ddl", []*eventv1.Object{{Schema: "public", Name: "orders", Access: "write"}}
		r.Statement = "ALTER TABLE orders\n  ADD COLUMN refunded_at timestamptz,\n  ADD CONSTRAINT refunded_once CHECK (refunded_at IS NULL OR state = 'closed');"
		r.Fingerprint = "orders"
		r.Parameters, r.Reason, r.Warnings = nil, "SHOP-2231: refunds", []string{"takes an ACCESS EXCLUSIVE lock", "checks every row of public.orders"}
	})
	agent := w.hold("one-click", life, func(r *eventv1.ApprovalRequest) {
		r.Principal.Job, r.Principal.Agent, r.Principal.Asserted = "triage", "support-bot", []string{"agent"}
		r.Statement = "UPDATE customers\n   SET plan = $1, note = 'p\u0430id by phone'\n WHERE region = $2\u200b;"
		r.Parameters, r.Reason, r.Warnings = []string{"'pro'", "'EMEA'"}, "ticket 8812: the customer was promised the pro plan", nil
		r.Offer = &eventv1.Offer{Scopes: []string{"run", "job"}, Uses: 20, Life: durationpb.New(time.Hour), Shape: []byte("shape"), Exact: []byte("exact")}
	})
	w.hold("one-click", life, from("dana", "", ""))
	denied := w.hold("one-click", life, func(r *eventv1.ApprovalRequest) {
		r.Verb, r.Statement, r.Parameters, r.Reason = "delete", "DELETE FROM customers", nil, "clean up"
	})
	kim.sees("/approvals/"+denied.Id, "Deny")
	kim.act(denied, "deny", "reason", "No WHERE. Did you mean the test customers?")
	kim.act(migrate, "approve", "reason", "checked on staging")
	p := chromium(t)()
	p.signIn(i, at+"/", "dana")
	p.holds(`document.querySelectorAll(".entry").length === 3 && !document.getElementById("live").hidden`)
	p.picture("inbox")
	p.open(at + "/approvals/" + migrate.Id)
	p.holds(`document.getElementById("approve") && !document.getElementById("live").hidden`)
	p.picture("approval")
	p.open(at + "/approvals/" + agent.Id)
	p.holds(`document.querySelector("[name=scope][value=run]")`)
	p.picture("offers")
	p.eval(`document.querySelector("[name=scope][value=run]").click(); document.querySelector("[name=uses]").value = "5"; document.getElementById("approve").click()`)
	p.holds(`document.querySelector("#status .state.approved") && document.querySelector("#actions .revoke")`)
	w.ran(agent, &eventv1.ApprovalOutcome{Use: 1, Status: "ok", Rows: 12, DurationNs: 34_200_000})
	p.holds(`document.getElementById("status").innerText.includes("Ran: 12 rows in 34 ms (use 1 of 5)")`)
	p.picture("granted")
	p.open(at + "/grants")
	p.holds(`document.querySelector(".entry .revoke")`)
	p.picture("grants")
	plan := w.hold("one-click", life, planned("CREATE TABLE public.refunds (\n  id bigint PRIMARY KEY,\n  order_id bigint NOT NULL\n)",
		"DELETE FROM public.carts", "INSERT INTO public.refunds SELECT id, order_id FROM public.returns"))
	kim.sees("/approvals/"+plan.Id, "Deny")
	p.open(at + "/approvals/" + plan.Id)
	p.holds(`document.querySelectorAll(".plan tbody tr").length === 3 && document.getElementById("approve")`)
	p.picture("plan")
	if got := p.eval(`document.documentElement.scrollWidth <= 1280`); got != "true" {
		t.Errorf("the plan is wider than the window: %s", got)
	}
	kim.act(plan, "deny", "reason", "not now")
	p.open(at + "/decided")
	p.holds(`document.querySelectorAll(".entry").length === 4`)
	p.picture("decided")
	p.open(at + "/grants")
	p.holds(`document.querySelector(".entry .revoke")`)
	p.eval(`document.querySelector(".entry .revoke input[name=reason]").value = "done"; document.querySelector(".entry .revoke button").click()`)
	p.holds(`document.getElementById("status").innerText.includes("Revoked by dana")`)
	for _, f := range p.faults {
		t.Errorf("the browser complains: %s", f)
	}
}
