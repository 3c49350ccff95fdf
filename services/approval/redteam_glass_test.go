package approval_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/localslack"
	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

const glassRules = rules + `
  - name: emergencies
    effect: hold
    targets: [prod-db]
    principals: [{any: true}]
    when: command.class == "write"
    approvers: {slack_users: [U0DANA, U0KIM], persons: [riley], count: 2, channel: C0PROD}
    deadline: 15m
    break_glass: {for: 30m, uses: 200}
`

const justifiedButton = "gatestay_justified"

// broken publishes a break-glass as a gateway would.
func (w *world) broken(change ...func(*eventv1.ApprovalRequest)) *request {
	w.t.Helper()
	return w.hold("emergencies", append([]func(*eventv1.ApprovalRequest){func(r *eventv1.ApprovalRequest) {
		r.Reason = "INC-2041: orders are stuck"
		r.BreakGlass = &eventv1.BreakGlass{Until: timestamppb.New(time.Now().Add(10 * time.Minute)), Uses: 200}
	}}, change...)...)
}

// use publishes a further command.
func (w *world) use(r *request, number int, change ...func(*eventv1.ApprovalUse)) {
	w.t.Helper()
	u := &eventv1.ApprovalUse{
		ApprovalId: r.Id, SessionId: r.SessionId, CommandId: fmt.Sprintf("cmd_%d", number), Number: uint32(number), Verb: "delete",
		Class: "write", Objects: r.Objects, Statement: fmt.Sprintf("DELETE FROM orders WHERE id = %d", number), At: timestamppb.Now(),
	}
	for _, f := range change {
		f(u)
	}
	raw, err := proto.Marshal(u)
	if err != nil {
		w.t.Fatal(err)
	}
	w.send(bus.Used, r, raw)
}

// close closes a review by the API and returns the status and the refusal's code.
func (r *replica) close(q *request, account, verdict, note string) (int, string) {
	r.w.t.Helper()
	var answer struct{ Code string }
	status := r.ask(http.MethodPost, "/v1/approvals/"+q.Id+"/close", account, fmt.Sprintf(`{"verdict":%q,"note":%q}`, verdict, note), &answer)
	return status, answer.Code
}

func (r *replica) reviews(account string) []string {
	r.w.t.Helper()
	var answer struct{ Reviews []struct{ ID string } }
	if status := r.ask(http.MethodGet, "/v1/reviews", account, "", &answer); status != http.StatusOK {
		r.w.t.Fatal(status)
	}
	var ids []string
	for _, a := range answer.Reviews {
		ids = append(ids, a.ID)
	}
	return ids
}

func glassWorld(t *testing.T) (*world, *replica) {
	t.Helper()
	w := newWorld(t)
	w.publish(glassRules, people)
	return w, w.start()
}

// mapped has somebody behind the request whom the map knows.
func mapped(r *eventv1.ApprovalRequest) { r.Principal.Actor = "sam" }

func TestABreakGlassIsOpenUntilSomebodyClosesIt(t *testing.T) {
	w, r := glassWorld(t)
	q := w.broken(mapped)
	m := w.message(q, "BREAK-GLASS on prod-db")
	for _, want := range []string{"Nobody approved this", "INC-2041: orders are stuck", "<@U0DANA>", "<@U0KIM>", "1 command"} {
		if !strings.Contains(shown(m), want) {
			t.Fatalf("no %q in %s", want, shown(m))
		}
	}
	w.use(q, 2)
	w.message(q, "DELETE FROM orders WHERE id = 2")
	raw, err := proto.Marshal(&eventv1.ApprovalOutcome{ApprovalId: q.Id, CommandId: "cmd_2", Status: "ok", Rows: 41, At: timestamppb.Now()})
	if err != nil {
		t.Fatal(err)
	}
	w.send(bus.Ran, q, raw)
	w.message(q, "41 rows")
	if got := r.reviews("oidc:dana@acme.example"); !slices.Equal(got, []string{q.Id}) {
		t.Fatalf("open for dana: %v", got)
	}
	if got := r.reviews("oidc:eve@acme.example"); len(got) != 0 {
		t.Fatalf("open for a stranger: %v", got)
	}
	if err := w.click(q, "U0DANA", justifiedButton); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.slack.Answer(t.Context(), "U0DANA", "orders *were* stuck <!here>"); err != nil {
		t.Fatal(err)
	}
	m = w.message(q, "Reviewed: justified")
	if strings.Contains(shown(m), justifiedButton) || strings.Contains(shown(m), "<!here>") || !strings.Contains(shown(m), "orders *were* stuck") {
		t.Fatalf("shown %s", shown(m))
	}
	steps := w.recorded(q, "requested", "used", "reviewed", "decided reviewed")
	if s := steps[0]; s.Details["break_glass"] != "INC-2041: orders are stuck" || s.Effect != "" {
		t.Fatalf("recorded %v", s)
	}
	if s := steps[2]; s.Actor != "dana" || s.Details["verdict"] != "justified" || s.Reason != "orders *were* stuck <!here>" {
		t.Fatalf("recorded %v", s)
	}
	if got := r.reviews("oidc:dana@acme.example"); len(got) != 0 {
		t.Fatalf("still open: %v", got)
	}
	until(t, "word to the gateways", func() bool { return len(w.read(bus.StreamUses, bus.RevokedSubject(q.Id))) == 1 })
}

func TestRedteam19_NobodyClosesTheirOwnBreakGlass(t *testing.T) {
	w, r := glassWorld(t)
	q := w.broken(from("kim", "riley", "dana@acme.example"))
	w.message(q, justifiedButton)
	for _, account := range []string{"oidc:dana@acme.example", "oidc:kim@acme.example", "oidc:riley@acme.example"} { // riley is an administrator
		if status, c := r.close(q, account, "justified", "fine"); status != http.StatusForbidden || c != string(refusal.VoteSelf) {
			t.Fatalf("%s: got %d %s", account, status, c)
		}
	}
	if err := w.click(q, "U0KIM2", justifiedButton); err != nil { // another account of kim's
		t.Fatal(err)
	}
	w.told("U0KIM2", "broke the glass")
	if status, c := r.close(q, "oidc:sam@acme.example", "justified", "fine"); status != http.StatusNotFound {
		t.Fatalf("a stranger: got %d %s", status, c)
	}
	if err := w.click(q, "U0MALLORY", justifiedButton); err != nil {
		t.Fatal(err)
	}
	w.told("U0MALLORY", "does not name you")
	w.recorded(q, "requested")
}

// Somebody behind it whom the map does not know may be the reviewer: it takes two.
func TestRedteam19_AnUnknownRequesterTakesTwoReviewers(t *testing.T) {
	w, r := glassWorld(t)
	q := w.broken(from("nobody-knows", "", ""))
	w.message(q, "2 of them")
	for range 2 { // once more changes nothing
		if status, c := r.close(q, "oidc:dana@acme.example", "justified", "fine"); status != http.StatusOK {
			t.Fatalf("got %d %s", status, c)
		}
	}
	if got := r.reviews("oidc:kim@acme.example"); len(got) != 1 {
		t.Fatalf("closed by one: %v", got)
	}
	if status, c := r.close(q, "oidc:kim@acme.example", "unjustified", "a backfill could have waited"); status != http.StatusOK {
		t.Fatalf("got %d %s", status, c)
	}
	w.message(q, "Reviewed: not justified")
	w.recorded(q, "requested", "reviewed", "reviewed", "decided reviewed")
}

func TestRedteam20_ABreakGlassIsClosedOnce(t *testing.T) {
	w, r := glassWorld(t)
	q := w.broken(mapped)
	w.message(q, justifiedButton)
	if status, c := r.close(q, "oidc:dana@acme.example", "justified", "  "); status != http.StatusBadRequest || c != string(refusal.ReasonRequired) {
		t.Fatalf("without a note: got %d %s", status, c)
	}
	if status, c := r.close(q, "oidc:dana@acme.example", "approved", "fine"); status != http.StatusBadRequest {
		t.Fatalf("another verdict: got %d %s", status, c)
	}
	if status, c := r.vote(q, "oidc:dana@acme.example", "approve"); status != http.StatusConflict || c != string(refusal.ApprovalOver) {
		t.Fatalf("a vote: got %d %s", status, c)
	}
	if status, c := r.close(q, "oidc:dana@acme.example", "unjustified", "no incident"); status != http.StatusOK {
		t.Fatalf("got %d %s", status, c)
	}
	if status, c := r.close(q, "oidc:kim@acme.example", "justified", "I differ"); status != http.StatusConflict || c != string(refusal.ApprovalOver) {
		t.Fatalf("twice: got %d %s", status, c)
	}
	w.recorded(q, "requested", "reviewed", "decided reviewed")
	w.use(q, 2) // it was on its way when the review was closed
	w.message(q, "DELETE FROM orders WHERE id = 2")
	w.recorded(q, "requested", "reviewed", "decided reviewed", "used", "reopened")
	if got := r.reviews("oidc:dana@acme.example"); len(got) != 1 {
		t.Fatal("what came after is reviewed by nobody")
	}
}

// A hundred commands are one message.
func TestRedteam22_AHundredCommandsAreOneMessage(t *testing.T) {
	w, r := glassWorld(t)
	q := w.broken(mapped)
	order := make([]int, 0, 120)
	for n := 2; n <= 120; n++ {
		order = append(order, n)
	}
	slices.Reverse(order[20:60])
	for _, n := range append(order, 3, 50) { // in any order, and twice
		w.use(q, n)
	}
	m := w.message(q, "120 commands")
	posts := 0
	for _, other := range w.slack.Messages(channel) {
		if !other.IsEphemeral {
			posts++
		}
	}
	if posts != 1 || !strings.Contains(shown(m), "the audit has them all") {
		t.Fatalf("%d messages, %s", posts, shown(m))
	}
	steps := []string{"requested"}
	for range 119 {
		steps = append(steps, "used")
	}
	w.recorded(q, steps...)
	if status, _ := r.close(q, "oidc:dana@acme.example", "justified", "fine"); status != http.StatusOK {
		t.Fatal(status)
	}
}

func TestRedteam20_ForgedBreakGlassIsAFinding(t *testing.T) {
	w, r := glassWorld(t)
	q := w.broken(mapped)
	w.message(q, justifiedButton)
	w.use(q, 2, func(u *eventv1.ApprovalUse) { u.Number = 201 }) // more than the rule lets
	held := w.hold("one-click", mapped)
	w.message(held, approveButton)
	w.use(held, 2) // of no break-glass
	forged := w.hold("one-click", mapped, func(r *eventv1.ApprovalRequest) {
		r.Reason = "INC-1: because"
		r.BreakGlass = &eventv1.BreakGlass{Until: timestamppb.New(time.Now().Add(time.Minute)), Uses: 1}
	})
	w.message(forged, "sign of tampering")
	until(t, "findings", func() bool {
		found := w.findings()
		n := 0
		for _, f := range found {
			if f == "approval.use_refused" {
				n++
			}
		}
		return n == 2 && slices.Contains(found, "approval.break_glass_forged")
	})
	if status, c := r.close(forged, "oidc:dana@acme.example", "justified", "fine"); status != http.StatusForbidden || c != string(refusal.VoteForbidden) {
		t.Fatalf("its own approvers close it: got %d %s", status, c)
	}
	if status, _ := r.close(forged, "oidc:riley@acme.example", "unjustified", "nobody may do this"); status != http.StatusOK {
		t.Fatal(status)
	}
	silent := w.broken(mapped, func(r *eventv1.ApprovalRequest) { r.Reason = " \u200b " })
	until(t, "a refusal", func() bool { return slices.Contains(w.findings(), "approval.request_refused") })
	if status := r.ask(http.MethodGet, "/v1/approvals/"+silent.Id, "oidc:dana@acme.example", "", nil); status != http.StatusNotFound {
		t.Fatal(status)
	}
}

func TestRedteam21_BreakGlassShowsHostileTextAsItIs(t *testing.T) {
	w, _ := glassWorld(t)
	q := w.broken(mapped, func(r *eventv1.ApprovalRequest) {
		r.Reason = "INC-9 <!channel> *bold* \u202egnp.exe\x1b[2J `code`"
		r.Statement = "UPDATE a SET b = '<@U0MALLORY>' -- ```\n\n\n\n\n\n\nDROP TABLE users"
	})
	m := shown(w.message(q, "BREAK-GLASS"))
	for _, bad := range []string{"<!channel>", "<@U0MALLORY>", "\u202e", "\x1b"} {
		if strings.Contains(m, bad) {
			t.Fatalf("%q in %s", bad, m)
		}
	}
	for _, want := range []string{"‹U+202E›", "DROP TABLE users"} {
		if !strings.Contains(m, want) {
			t.Fatalf("no %q in %s", want, m)
		}
	}
}

// After a day people are reminded, in the thread, once a day.
func TestAnOpenReviewIsReminded(t *testing.T) {
	w := newWorld(t)
	w.publish(glassRules, people)
	r := w.start()
	q := w.broken(mapped)
	w.message(q, justifiedButton)
	r.stop()
	w.later = 25 * time.Hour
	w.start()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	m, err := w.slack.Await(ctx, channel, func(m localslack.Message) bool { return strings.Contains(m.Text, "open for 1 day") })
	if err != nil {
		t.Fatal(err)
	}
	if m.ThreadTS != w.message(q, justifiedButton).TS || !strings.Contains(shown(m), "<@U0KIM>") {
		t.Fatalf("reminded by %s", shown(m))
	}
	w.recorded(q, "requested", "reminded")
	if n := len(w.slack.Messages(channel)); n != 2 {
		t.Fatalf("%d messages", n)
	}
}
