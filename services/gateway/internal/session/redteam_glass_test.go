package session_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
	"github.com/gatestay/gatestay/services/gateway/internal/session"
)

const glassRule = "    deadline: 30s\n    break_glass: {for: 10m, uses: 3}\n"

const emergency = "INC-2041: orders are stuck"

// glassWorld is a world whose rule for writes lets the glass be broken.
func glassWorld(t *testing.T, more ...string) *world {
	t.Helper()
	w := newWorld(t)
	w.publish("policy", map[string]string{"a.yaml": strings.Replace(rules, "    deadline: 30s\n", glassRule, 1) + strings.Join(more, "")})
	return w
}

// breaks exchanges a token for a run that would break the glass.
func (w *world) breaks(change ...func(*session.ExchangeRequest)) (*session.Exchanged, error) {
	w.t.Helper()
	r := session.ExchangeRequest{Token: w.token(), Target: "prod-db", Protocol: "postgres", Reason: emergency, BreakGlass: true}
	for _, f := range change {
		f(&r)
	}
	return w.gate.Exchange(w.t.Context(), r)
}

func (w *world) broken(change ...func(*session.ExchangeRequest)) seam.Session {
	w.t.Helper()
	e, err := w.breaks(change...)
	must(w.t, err)
	s, err := w.gate.Authenticate(w.t.Context(), seam.Credentials{Protocol: "postgres", Target: "prod-db", Secret: e.Credential})
	must(w.t, err)
	w.t.Cleanup(func() { s.Close("test over") })
	return s
}

// uses receives what is told of further commands.
func (w *world) uses() chan *eventv1.ApprovalUse {
	w.t.Helper()
	out := make(chan *eventv1.ApprovalUse, 64)
	sub, err := w.bus.Conn.Subscribe(bus.ApprovalSubject("gw1", "*", bus.Used), func(m *nats.Msg) {
		u := &eventv1.ApprovalUse{}
		if proto.Unmarshal(m.Data, u) == nil {
			out <- u
		}
	})
	must(w.t, err)
	w.t.Cleanup(func() { _ = sub.Unsubscribe() })
	return out
}

// The request is on the stream before the command may go, and the record says
// what it is.
func TestRedteam21_BreakGlassIsToldBeforeItPasses(t *testing.T) {
	w := glassWorld(t)
	told := w.uses()
	s := w.broken()
	c := write()
	var notices []seam.Notice
	c.Notify = func(n seam.Notice) { notices = append(notices, n) }
	p, err := s.Admit(t.Context(), c)
	must(t, err)
	r := <-w.requests
	if r.BreakGlass == nil || r.BreakGlass.Uses != 3 || r.Reason != emergency || !strings.HasPrefix(r.Statement, "UPDATE customers SET tier = ") {
		t.Fatalf("asked %v", r.ApprovalRequest)
	}
	stream, err := w.bus.JS.Stream(t.Context(), bus.StreamApprovals)
	must(t, err)
	if _, err := stream.GetLastMsgForSubject(t.Context(), bus.ApprovalSubject("gw1", r.Id, bus.Requested)); err != nil {
		t.Fatal(err)
	}
	if len(notices) != 1 || !strings.Contains(notices[0].Message, r.Id) {
		t.Fatalf("told the client %v", notices)
	}
	p.Done(seam.Outcome{Status: "ok", Rows: 7})
	var intent *eventv1.Record
	for _, rec := range w.sink.all() {
		if rec.Kind == eventv1.Kind_KIND_INTENT {
			intent = rec
		}
	}
	if intent.GetEffect() != "allow" || intent.ApprovalId != r.Id || intent.Details["break_glass"] != emergency || len(intent.Approvers) != 0 || intent.Rule != "writes" {
		t.Fatalf("recorded %v", intent)
	}
	w.passes(s, tier("silver"))
	u := <-told
	if u.ApprovalId != r.Id || u.Number != 2 || !strings.HasPrefix(u.Statement, "UPDATE customers SET tier = ") {
		t.Fatalf("told %v", u)
	}
	again := w.broken() // the same run of the job goes on where it was
	w.passes(again, tier("copper"))
	if u = <-told; u.ApprovalId != r.Id || u.Number != 3 {
		t.Fatalf("told %v", u)
	}
	if held := w.asks(again, tier("a fourth time")); held.BreakGlass != nil || !strings.Contains(strings.Join(held.Warnings, " "), "asked to break the glass") {
		t.Fatalf("asked %v", held.ApprovalRequest)
	}
}

func TestRedteam21_BreakGlassNeedsAReasonAndARule(t *testing.T) {
	w := glassWorld(t)
	for _, reason := range []string{"", "   ", "fix it", "aaaaaaaaaaaaaaaa", "\u200b\u200b\u200b\u200b\u200b\u200b\u200b\u200b\u200b\u200b\u200b", "............!!!"} {
		_, err := w.breaks(func(r *session.ExchangeRequest) { r.Reason = reason })
		refused(t, err, refusal.ReasonRequired)
	}
	_, err := w.breaks(func(r *session.ExchangeRequest) { r.Agent = "claude" })
	refused(t, err, refusal.GlassForbidden)
	_, err = w.breaks(func(r *session.ExchangeRequest) {
		raw, err := w.issuer.Mint("github-actions", map[string]any{"repository": "fork/shop", "repository_id": "9999", "repository_owner_id": "2003", "run_id": "1"})
		must(t, err)
		r.Token = raw
	})
	refused(t, err, refusal.TargetForbidden)
	plain := newWorld(t)
	_, err = plain.breaks()
	refused(t, err, refusal.GlassForbidden)
	// The token is not used up by a no.
	token := w.token()
	for range 2 {
		_, err = w.breaks(func(r *session.ExchangeRequest) { r.Token, r.Reason = token, "" })
		refused(t, err, refusal.ReasonRequired)
	}
	w.asks(w.open(), write()) // who does not ask is held
}

// Another hold rule that matches and allows no break-glass, a denial, and one that
// narrows the principals: none of them is broken.
func TestRedteam21_BreakGlassOpensNoOtherRule(t *testing.T) {
	const also = `
  - name: customers-too
    effect: hold
    targets: [prod-db]
    principals: [{any: true}]
    when: '"public.customers" in command.writes'
    approvers: {slack_users: [U0KIM], count: 1}
  - name: never
    effect: deny
    targets: [prod-db]
    principals: [{any: true}]
    when: '"public.payroll" in command.writes'
`
	w := glassWorld(t, also)
	s := w.broken()
	if r := w.asks(s, write()); r.BreakGlass != nil {
		t.Fatal("one of two rules was enough")
	}
	c := write()
	c.Facts.Objects[0].Name = "payroll"
	_, err := s.Admit(t.Context(), c)
	refused(t, err, refusal.DeniedByRule)

	narrowed := newWorld(t)
	narrowed.publish("policy", map[string]string{"a.yaml": strings.Replace(rules, "    deadline: 30s\n",
		"    break_glass: {principals: [{repository: acme/shop, repository_id: \"1001\", repository_owner_id: \"2002\", workflow: rescue}]}\n", 1)})
	_, err = narrowed.breaks()
	refused(t, err, refusal.GlassForbidden)
}

// Nobody can be told: nothing passes.
func TestRedteam22_BreakGlassWithoutTheBusDoesNotPass(t *testing.T) {
	w := glassWorld(t)
	s := w.broken()
	p, err := s.Admit(t.Context(), tier("one"))
	must(t, err)
	p.Done(seam.Outcome{Status: "ok"})
	other := w.broken()
	<-w.requests
	w.bus.Close()
	_, err = s.Admit(t.Context(), tier("two"))
	refused(t, err, refusal.BusUnavailable)
	_, err = other.Admit(t.Context(), tier("three"))
	refused(t, err, refusal.BusUnavailable)
}

// A read waits for its record, too: nobody approved it.
func TestRedteam16_BreakGlassWithoutARecordDoesNotPass(t *testing.T) {
	w := glassWorld(t)
	s := w.broken()
	w.sink.setBroken(true)
	defer w.sink.setBroken(false)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	c := read()
	w.publish("policy", map[string]string{"a.yaml": strings.ReplaceAll(strings.Replace(rules, "    deadline: 30s\n", glassRule, 1), `== "write"`, `in ["write", "read"]`)})
	_, err := s.Admit(ctx, c)
	refused(t, err, refusal.JournalUnavailable)
}

// Closing its review ends it, also for what is bound and not run yet.
func TestRedteam18_BreakGlassEndsWithItsReview(t *testing.T) {
	w := glassWorld(t)
	s := w.broken()
	p, err := s.Admit(t.Context(), write())
	must(t, err)
	r := <-w.requests
	must(t, p.Stands(false))
	_, err = w.bus.JS.Publish(t.Context(), bus.RevokedSubject(r.Id), []byte("review"))
	must(t, err)
	refused(t, p.Stands(false), refusal.ApprovalOver)
	if held := w.asks(s, tier("late")); held.BreakGlass != nil {
		t.Fatal("it passes on")
	}
}

// Connections that race are counted, each once.
func TestRedteam18_BreakGlassIsCounted(t *testing.T) {
	w := glassWorld(t)
	s := w.broken()
	var passed, held sync.WaitGroup
	var mu sync.Mutex
	n := 0
	ctx := t.Context()
	for range 8 {
		held.Add(1)
		passed.Go(func() {
			done := admit(ctx, s, write())
			select {
			case a := <-done:
				if a.err == nil {
					mu.Lock()
					n++
					mu.Unlock()
				}
			case <-time.After(20 * time.Second):
			}
			held.Done()
		})
	}
	for asked := 0; asked < 6; asked++ { // one break-glass, five that are held
		if r := <-w.requests; r.BreakGlass == nil {
			d := w.decision(r)
			d.Outcome, d.Votes[0].Vote = "denied", "deny"
			w.decide(w.approvals, d)
		}
	}
	passed.Wait()
	if n != 3 {
		t.Fatalf("%d passed, 3 may", n)
	}
}
