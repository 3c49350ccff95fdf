package approval_test

import (
	"testing"

	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// A break-glass on its page, in Chromium: what passed, and closing it by keyboard.
func TestReviewPictures(t *testing.T) {
	w := newWorld(t)
	i := w.startIssuer()
	w.publish(glassRules, people)
	r := w.start(withInbox(i))
	at := "http://" + r.service.Addr()
	q := w.broken(mapped, func(r *eventv1.ApprovalRequest) {
		r.Statement, r.Parameters, r.Warnings = "UPDATE orders SET state = 'open' WHERE state = 'stuck'", nil, nil
		r.Objects = []*eventv1.Object{{Schema: "public", Name: "orders", Access: "write"}}
	})
	w.message(q, justifiedButton)
	w.use(q, 2)
	w.use(q, 3, func(u *eventv1.ApprovalUse) { u.Reason = "INC-2041: and its invoices" })
	w.message(q, "3 commands")
	p := chromium(t)()
	p.signIn(i, at+"/", "dana")
	p.open(at + "/reviews")
	p.holds(`document.querySelectorAll(".entry.mine").length === 1`)
	p.picture("reviews")
	p.open(at + "/approvals/" + q.Id)
	p.holds(`document.querySelectorAll(".passed li").length === 3 && document.querySelector("form.close")`)
	p.picture("review")
	p.holds(`!document.getElementById("live").hidden`)
	w.use(q, 4) // seen as it passes
	p.holds(`document.querySelectorAll(".passed li").length === 4`)
	p.eval(`document.getElementById("note").value = "orders were stuck, INC-2041"; document.querySelector("form.close .primary").click()`)
	p.holds(`document.getElementById("status").innerText.includes("Reviewed: justified")`)
	for _, f := range p.faults {
		t.Errorf("the browser complains: %s", f)
	}
	w.message(q, "Reviewed: justified")
}
