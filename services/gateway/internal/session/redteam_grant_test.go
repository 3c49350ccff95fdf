package session_test

import (
	"context"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

const grantRules = "    deadline: 30s\n    grants: {scopes: [run, job], uses: 3, for: 10m}\n"

// tier is an update of one shape: the value differs.
func tier(value string) *seam.Command {
	c := write()
	c.Text = "UPDATE customers SET tier = '" + value + "'"
	c.Facts.Fingerprint = "update customers set tier = ?"
	return c
}

// grant turns a decision into one for a scope, as the approval service does.
func (w *world) grant(r *request, scope string) *eventv1.ApprovalDecision {
	d := w.decision(r)
	d.Grant = &eventv1.Grant{
		Scope: scope, Digest: r.Offer.Shape, Holder: approval.Holder(scope, r.Principal), Requesters: r.Requesters, Database: r.Database,
		Tag: approval.Tag(fleetKey, d.RequestHash),
	}
	d.Uses, d.ExpiresAt = r.Offer.Uses, timestamppb.New(time.Now().Add(r.Offer.Life.AsDuration()))
	if scope == policy.ScopeReturn {
		d.Grant.Digest, d.Uses = r.Offer.Exact, 1
	}
	return d
}

type admitted struct {
	permit seam.Permit
	err    error
}

func admit(ctx context.Context, s seam.Session, c *seam.Command) chan admitted {
	done := make(chan admitted, 1)
	go func() {
		p, err := s.Admit(ctx, c)
		done <- admitted{p, err}
	}()
	return done
}

func (w *world) passes(s seam.Session, c *seam.Command) {
	w.t.Helper()
	done := admit(w.t.Context(), s, c)
	for {
		select {
		case r := <-done:
			must(w.t, r.err)
			r.permit.Done(seam.Outcome{Status: "ok"})
			return
		case <-w.requests: // before the grant was heard of: nobody decides it, and it passes by that
		}
	}
}

// asks reports that the command is held, and withdraws it.
func (w *world) asks(s seam.Session, c *seam.Command) *request {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	done := admit(ctx, s, c)
	select {
	case r := <-w.requests:
		cancel()
		<-done
		return r
	case <-done:
		w.t.Fatalf("%q was not held", c.Text)
	}
	return nil
}

func TestRedteam18_AGrantCoversItsShapeAndNoMore(t *testing.T) {
	w := newWorld(t)
	w.publish("policy", map[string]string{"a.yaml": strings.Replace(rules, "    deadline: 30s\n", grantRules, 1)})
	s := w.open()
	done := admit(t.Context(), s, tier("gold"))
	r := <-w.requests
	w.decide(w.approvals, w.grant(r, policy.ScopeRun))
	first := <-done
	must(t, first.err)
	first.permit.Done(seam.Outcome{Status: "ok"})

	other := tier("gold")
	other.Text, other.Facts.Fingerprint = "UPDATE customers SET email = 'x'", "update customers set email = ?"
	w.asks(s, other)
	elsewhere := tier("gold")
	elsewhere.State.SearchPath = []string{"evil", "public"}
	w.asks(s, elsewhere)
	aside := tier("gold")
	aside.Facts.Objects = append(aside.Facts.Objects, command.Object{Schema: "public", Name: "payroll", Access: command.Write})
	w.asks(s, aside)
	unsure := tier("gold")
	unsure.Facts.Unknown = []string{"functions"}
	w.asks(s, unsure)

	w.passes(s, tier("silver"))
	dirty := tier("copper")
	dirty.Dirty = true // nobody waits for it
	w.passes(w.open(), dirty)
	w.asks(s, tier("a fourth time"))
}

// The last use goes to one of those who race for it, and a grant that is
// revoked lets nothing pass, on whichever gateway.
func TestRedteam18_UsesOfAGrantAreCounted(t *testing.T) {
	w := newWorld(t)
	w.publish("policy", map[string]string{"a.yaml": strings.Replace(rules, "    deadline: 30s\n", grantRules, 1)})
	s := w.open()
	done := admit(t.Context(), s, tier("gold"))
	r := <-w.requests
	w.decide(w.approvals, w.grant(r, policy.ScopeJob))
	must(t, (<-done).err)

	const racing = 8
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	var mu sync.Mutex
	passed := 0
	for range racing {
		session := w.open()
		all.Go(func() {
			if _, err := session.Admit(ctx, tier("silver")); err == nil {
				mu.Lock()
				passed++
				mu.Unlock()
			}
		})
	}
	for range racing - 2 { // the others ask
		<-w.requests
	}
	cancel()
	all.Wait()
	if passed != 2 {
		t.Fatalf("%d passed by a grant with 2 uses left", passed)
	}
}

func TestRedteam18_ARevokedGrantIsWorthNothing(t *testing.T) {
	w := newWorld(t)
	w.publish("policy", map[string]string{"a.yaml": strings.Replace(rules, "    deadline: 30s\n", grantRules, 1)})
	s := w.open()
	done := admit(t.Context(), s, tier("gold"))
	r := <-w.requests
	w.decide(w.approvals, w.grant(r, policy.ScopeRun))
	must(t, (<-done).err)
	_, err := w.bus.JS.Publish(t.Context(), bus.RevokedSubject(r.Id), nil)
	must(t, err)
	w.asks(s, tier("silver"))
}

// What waits passes by what is granted meanwhile: a pool's ten connections ask
// a person once.
func TestAGrantReleasesWhatWaits(t *testing.T) {
	w := newWorld(t)
	w.publish("policy", map[string]string{"a.yaml": strings.Replace(rules, "    deadline: 30s\n", grantRules, 1)})
	one, two := admit(t.Context(), w.open(), tier("gold")), admit(t.Context(), w.open(), tier("silver"))
	r, _ := <-w.requests, <-w.requests
	w.decide(w.approvals, w.grant(r, policy.ScopeRun))
	must(t, (<-one).err)
	must(t, (<-two).err)
}

// A job that cannot wait is refused at once, asks once, and passes when it runs
// again after the approval, once.
func TestRedteam18_AReturnedCommandPassesOnce(t *testing.T) {
	w := newWorld(t)
	w.publish("policy", map[string]string{"a.yaml": strings.Replace(rules, "    deadline: 30s\n", "    deadline: 1h\n    hold: return\n", 1)})
	_, err := w.open().Admit(t.Context(), tier("gold"))
	pending := refused(t, err, refusal.ApprovalPending)
	r := <-w.requests
	if r.Id != pending.ID || !r.Returned {
		t.Fatalf("asked with %s, told %s", r.Id, pending.ID)
	}
	_, err = w.open().Admit(t.Context(), tier("gold"))
	if again := refused(t, err, refusal.ApprovalPending); again.ID != r.Id {
		t.Fatalf("asked again: %s", again.ID)
	}
	w.decide(w.approvals, w.grant(r, policy.ScopeReturn))
	s := w.open()
	for { // the decision is on its way
		_, err = s.Admit(t.Context(), tier("gold"))
		if err == nil {
			break
		}
		refused(t, err, refusal.ApprovalPending)
	}
	_, err = s.Admit(t.Context(), tier("silver"))
	another := refused(t, err, refusal.ApprovalPending)
	if r := <-w.requests; r.Id != another.ID {
		t.Fatalf("asked with %s, told %s", r.Id, another.ID)
	}
	_, err = s.Admit(t.Context(), tier("gold"))
	refused(t, err, refusal.ApprovalPending)
	select {
	case <-w.requests:
	case <-time.After(10 * time.Second): // the request is on its way
		t.Fatal("used up, it is not asked for anew")
	}
}

func TestADeniedReturnedCommandSaysWhy(t *testing.T) {
	w := newWorld(t)
	w.publish("policy", map[string]string{"a.yaml": strings.Replace(rules, "    deadline: 30s\n", "    deadline: 1h\n    hold: return\n", 1)})
	s := w.open()
	_, err := s.Admit(t.Context(), tier("gold"))
	refused(t, err, refusal.ApprovalPending)
	r := <-w.requests
	d := w.decision(r)
	d.Outcome, d.Votes = approval.Denied, []*eventv1.Vote{{Person: "dana", Vote: approval.Deny, Reason: "not today"}}
	w.decide(w.approvals, d)
	for {
		_, err = s.Admit(t.Context(), tier("gold"))
		if !strings.Contains(err.Error(), string(refusal.ApprovalPending)) {
			break
		}
	}
	if r := refused(t, err, refusal.ApprovalDenied); !strings.Contains(r.Detail, "not today") {
		t.Fatal(r.Detail)
	}
}

// An approval that was given is no permit for ever: a portal that is bound under
// it, and run after its end, is refused.
func TestRedteam18_APermitEndsWithItsApproval(t *testing.T) {
	w := newWorld(t)
	done := admit(t.Context(), w.open(), write())
	r := <-w.requests
	d := w.decision(r)
	d.ExpiresAt = timestamppb.New(time.Now().Add(2 * time.Second))
	w.decide(w.approvals, d)
	a := <-done
	must(t, a.err)
	must(t, a.permit.Stands(false))
	for end := time.Now().Add(20 * time.Second); a.permit.Stands(false) == nil; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatal("it stands long after its end")
		}
	}
	refused(t, a.permit.Stands(false), refusal.ApprovalExpired)
	must(t, a.permit.Stands(true)) // what has begun goes on
}

// TestRedteam18_APermitEndsWithItsGrant: what was bound under a grant, or a plan,
// and has not run, does not run once that is revoked.
func TestRedteam18_APermitEndsWithItsGrant(t *testing.T) {
	w := newWorld(t)
	w.publish("policy", map[string]string{"a.yaml": strings.Replace(rules, "    deadline: 30s\n", grantRules, 1)})
	s := w.open()
	done := admit(t.Context(), s, tier("gold"))
	r := <-w.requests
	w.decide(w.approvals, w.grant(r, policy.ScopeRun))
	must(t, (<-done).err)
	a := <-admit(t.Context(), s, tier("silver"))
	must(t, a.err)
	must(t, a.permit.Stands(false))
	_, err := w.bus.JS.Publish(t.Context(), bus.RevokedSubject(r.Id), nil)
	must(t, err)
	refused(t, a.permit.Stands(false), refusal.ApprovalOver)
	must(t, a.permit.Stands(true)) // what has begun goes on
}

// TestRedteam17_WhoApprovesIsToldByThePeopleMapOfThen: somebody whom the map knows as a
// requester by now grants nothing, to what waits since before, either.
func TestRedteam17_WhoApprovesIsToldByThePeopleMapOfThen(t *testing.T) {
	w := newWorld(t)
	granting := strings.Replace(rules, "    deadline: 30s\n", strings.Replace(grantRules, "30s", "3s", 1), 1)
	w.publish("policy", map[string]string{"a.yaml": granting})
	one, two := admit(t.Context(), w.open(), tier("gold")), admit(t.Context(), w.open(), tier("silver"))
	r, _ := <-w.requests, <-w.requests
	w.publish("policy", map[string]string{"a.yaml": granting, "people.yaml": "people:\n  - {name: kim, accounts: [\"github:kim\", \"slack:U0DANA\"]}\n"})
	d := w.grant(r, policy.ScopeRun)
	w.decide(w.approvals, d)
	refused(t, (<-one).err, refusal.ApprovalExpired)
	refused(t, (<-two).err, refusal.ApprovalExpired)
}
