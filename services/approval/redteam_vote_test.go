package approval_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	approvals "github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/localslack"
	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// from makes a requester of an account: actor of GitHub, or on-behalf-of.
func from(actor, triggering, onBehalfOf string) func(*eventv1.ApprovalRequest) {
	return func(r *eventv1.ApprovalRequest) {
		r.Principal.Actor, r.Principal.TriggeringActor, r.Principal.OnBehalfOf = actor, triggering, onBehalfOf
	}
}

func TestRedteam18_DecisionOfOneRequestFitsNoOther(t *testing.T) {
	w := newWorld(t)
	r := w.start()
	q := w.hold("one-click")
	other := w.held("one-click")
	w.message(q, approveButton)
	if status, c := r.vote(q, "oidc:dana@acme.example", "approve"); status != http.StatusOK {
		t.Fatalf("got %d %s", status, c)
	}
	if _, err := w.decided(q); err != nil {
		t.Fatal(err)
	}
	if d, err := w.verify(other, w.decisions(q)[0]); d != nil || code(err) != refusal.ApprovalInvalid {
		t.Fatalf("got %v, %v", d, err)
	}
}

func TestRedteam18_RuleChangedWhileHeld(t *testing.T) {
	w := newWorld(t)
	r := w.start()
	q := w.hold("one-click")
	w.message(q, approveButton)
	w.publish(strings.Replace(rules, "name: two-clicks", "name: two-clicks-renamed", 1), people)
	until(t, "new policy", func() bool { return r.ask(http.MethodGet, "/readyz", "", "", nil) == http.StatusOK })
	w.approve(q, "U0DANA") // another rule's change voids nothing
	if _, err := w.decided(q); err != nil {
		t.Fatal(err)
	}
	changed := w.hold("one-click")
	w.message(changed, approveButton)
	w.publish(strings.Replace(rules, "U0DANA, U0KIM, U0GUEST", "U0KIM, U0GUEST", 1), people) // dana is no approver any more
	d, err := w.decided(changed)
	if code(err) != refusal.RuleChanged || d.Reason != approvals.RuleChanged {
		t.Fatalf("got %v, %v", d, err)
	}
	w.message(changed, "the rule changed while the command was held")
	if status, c := r.vote(changed, "oidc:dana@acme.example", "approve"); status == http.StatusOK {
		t.Fatalf("got %d %s", status, c)
	}
}

func TestRedteam18_VoteAfterTheDeadline(t *testing.T) {
	w := newWorld(t)
	r := w.start()
	q := w.hold("one-click", func(r *eventv1.ApprovalRequest) { r.Deadline = timestamppb.New(time.Now().Add(400 * time.Millisecond)) })
	w.message(q, approveButton)
	until(t, "deadline", func() bool { return time.Now().After(q.Deadline.AsTime()) })
	if status, c := r.vote(q, "oidc:dana@acme.example", "approve"); status != http.StatusConflict || c != string(refusal.ApprovalOver) {
		t.Fatalf("got %d %s", status, c)
	}
	if d, err := w.decided(q); code(err) != refusal.ApprovalExpired || len(d.Votes) != 0 {
		t.Fatalf("got %v, %v", d, err)
	}
}

func TestRedteam19_SelfApproval(t *testing.T) {
	for name, c := range map[string]struct {
		who  func(*eventv1.ApprovalRequest)
		rule string
		user string
	}{
		"the CI actor":                   {from("dana", "", ""), "one-click", "U0DANA"},
		"the CI actor in another case":   {from("DANA", "", ""), "one-click", "U0DANA"},
		"whoever pressed re-run":         {from("sam", "dana", ""), "one-click", "U0DANA"},
		"on-behalf-of":                   {from("sam", "", "dana@acme.example"), "one-click", "U0DANA"},
		"a second account of the person": {from("kim", "", ""), "two-clicks", "U0KIM2"},
		"an administrator":               {from("riley", "", ""), "two-clicks", "U0RILEY"},
		"requesters left out by the gateway": {func(r *eventv1.ApprovalRequest) {
			from("dana", "", "")(r)
			r.Requesters = []string{}
		}, "one-click", "U0DANA"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.start()
			q := w.hold(c.rule, c.who)
			w.approve(q, c.user)
			w.told(c.user, "You are among those who asked for this")
			w.deny(q, c.user) // neither may they deny: it would be a vote
			w.recorded(q, "requested")
		})
	}
}

func TestRedteam19_SelfApprovalByTheTerminal(t *testing.T) {
	w := newWorld(t)
	r := w.start()
	q := w.hold("two-clicks", from("sam", "", ""))
	w.message(q, approveButton)
	if status, c := r.vote(q, "oidc:sam@acme.example", "approve"); status != http.StatusForbidden || c != string(refusal.VoteSelf) {
		t.Fatalf("got %d %s", status, c)
	}
	if status, c := r.vote(q, "oidc:SAM@acme.example", "approve"); status != http.StatusForbidden || c != string(refusal.VoteSelf) {
		t.Fatalf("in capitals: %d %s", status, c)
	}
}

func TestRedteam21_RequesterOutsideThePeopleMap(t *testing.T) {
	w := newWorld(t)
	w.start()
	q := w.hold("one-click", from("ghost", "", ""))
	m := w.message(q, "*2 of 2 approvals* still needed")
	if !strings.Contains(shown(m), "the people map does not know `github:ghost`") {
		t.Errorf("it does not say why: %s", shown(m))
	}
	w.approve(q, "U0DANA")
	w.message(q, "*1 of 2 approvals*")
	if n := len(w.decisions(q)); n != 0 {
		t.Fatal("one approver sufficed, who may be the requester")
	}
	w.approve(q, "U0KIM")
	if _, err := w.decided(q); err != nil {
		t.Fatal(err)
	}
}

func TestRedteam21_NobodyKnownBehindThePrincipal(t *testing.T) {
	w := newWorld(t)
	w.start()
	q := w.hold("one-click", from("", "", ""))
	m := w.message(q, "*2 of 2 approvals* still needed")
	if !strings.Contains(shown(m), "does not know who started this") {
		t.Errorf("got %s", shown(m))
	}
}

func TestRedteam21_TooFewCouldEverApprove(t *testing.T) {
	w := newWorld(t)
	r := w.start()
	q := w.hold("elsewhere", from("ghost", "", ""))
	m := w.messageIn("C0DBA", q, "*Nobody can approve this:* it takes 2, and only 1 of <@U0DANA> may")
	if strings.Contains(shown(m), approveButton) || !strings.Contains(shown(m), denyButton) {
		t.Fatalf("got %s", shown(m))
	}
	if status, c := r.vote(q, "oidc:dana@acme.example", "approve"); status != http.StatusOK {
		t.Fatalf("got %d %s", status, c)
	}
	w.recorded(q, "requested", "voted")
}

func TestRedteam19_OnePersonCountsOnce(t *testing.T) {
	w := newWorld(t)
	r := w.start()
	q := w.hold("two-clicks")
	w.approve(q, "U0KIM")
	w.approve(q, "U0KIM2")
	if status, c := r.vote(q, "oidc:kim@acme.example", "approve"); status != http.StatusOK {
		t.Fatalf("got %d %s", status, c)
	}
	w.recorded(q, "requested", "voted")
	w.message(q, "*1 of 2 approvals*")
	w.approve(q, "U0DANA")
	d, err := w.decided(q)
	if err != nil || len(d.Votes) != 2 {
		t.Fatalf("got %v, %v", d, err)
	}
}

func TestRedteam19_OutsidersOfTheWorkspace(t *testing.T) {
	w := newWorld(t)
	w.start()
	q := w.hold("one-click")
	w.message(q, approveButton)
	w.approve(q, "U0GUEST")
	w.told("U0GUEST", "A guest may not decide")
	w.approve(q, "U0OUT")
	w.told("U0OUT", "Only members of this workspace may decide")
	w.approve(q, "U0MALLORY")
	w.told("U0MALLORY", "The rule does not name you as an approver. It waits for dana")
	w.recorded(q, "requested")
}

// The button was clicked, and then the account is deactivated or becomes a
// bot before the service asks Slack about it.
func TestRedteam19_DeactivatedBetweenRequestAndClick(t *testing.T) {
	for words, u := range map[string]localslack.User{
		"Your account is deactivated": {ID: "U0GONE", Name: "gone", Deleted: true},
		"A bot may not decide":        {ID: "U0GONE", Name: "gone", Bot: true},
	} {
		t.Run(words, func(t *testing.T) {
			w := newWorld(t)
			r := w.start(overHTTP(w))
			p := w.captured(r, "U0GONE")
			w.slack.SetUser(u)
			if status := p.send(nil); status != http.StatusOK {
				t.Fatalf("got %d", status)
			}
			w.told("U0GONE", words)
			w.recorded(p.request, "requested")
		})
	}
}

func TestRedteam19_MappingRemovedBetweenTwoVotes(t *testing.T) {
	w := newWorld(t)
	r := w.start()
	q := w.hold("two-clicks")
	w.message(q, approveButton)
	if status, c := r.vote(q, "oidc:sam@acme.example", "approve"); status != http.StatusOK {
		t.Fatalf("got %d %s", status, c)
	}
	w.message(q, "*1 of 2 approvals*")
	w.publish(rules, strings.Replace(people, `"oidc:sam@acme.example", `, "", 1)) // it was not sam's account
	w.message(q, "*2 of 2 approvals*")
	w.approve(q, "U0DANA")
	w.message(q, "*1 of 2 approvals*")
	if n := len(w.decisions(q)); n != 0 {
		t.Fatal("a vote counted whose account belongs to nobody")
	}
}

func TestRedteam20_ApproveAndDenyRace(t *testing.T) {
	w := newWorld(t)
	replicas := []*replica{w.start(), w.start(func(c *config.Config) { c.Approval.Instance = "2" })}
	for range 12 {
		q := w.hold("one-click")
		until(t, "request", func() bool {
			return replicas[0].ask(http.MethodGet, "/v1/approvals/"+q.Id, "oidc:dana@acme.example", "", nil) == http.StatusOK
		})
		var wg sync.WaitGroup
		results := make([]int, 2)
		wg.Go(func() { results[0], _ = replicas[0].vote(q, "oidc:dana@acme.example", "approve") })
		wg.Go(func() { results[1], _ = replicas[1].vote(q, "oidc:kim@acme.example", "deny") })
		wg.Wait()
		d, err := w.decided(q)
		won := map[bool]string{true: approvals.Approved, false: approvals.Denied}[err == nil]
		if d.Outcome != won || len(w.decisions(q)) != 1 || len(d.Votes) != 1 {
			t.Fatalf("got %v, %v", d, err)
		}
		if (results[0] == http.StatusOK) == (results[1] == http.StatusOK) {
			t.Fatalf("both or neither were told that they decided: %v", results)
		}
		w.recorded(q, "requested", "voted", "decided "+won)
	}
}

func TestRedteam21_QuorumReachedByRacingVotes(t *testing.T) {
	w := newWorld(t)
	replicas := []*replica{w.start(), w.start(func(c *config.Config) { c.Approval.Instance = "2" })}
	for range 6 {
		q := w.hold("two-clicks")
		until(t, "request", func() bool {
			return replicas[0].ask(http.MethodGet, "/v1/approvals/"+q.Id, "oidc:dana@acme.example", "", nil) == http.StatusOK
		})
		var wg sync.WaitGroup
		for i, person := range []string{"dana", "kim", "sam", "dana", "kim", "sam"} {
			wg.Go(func() { replicas[i%2].vote(q, "oidc:"+person+"@acme.example", "approve") })
		}
		wg.Wait()
		d, err := w.decided(q)
		if err != nil || len(d.Votes) != 2 || d.Votes[0].Person == d.Votes[1].Person || len(w.decisions(q)) != 1 {
			t.Fatalf("got %v, %v", d, err)
		}
		w.recorded(q, "requested", "voted", "voted", "decided approved")
	}
}

// Somebody with access to the bus answers in the service's place.
func TestRedteam20_ForgedDecisionOnTheBus(t *testing.T) {
	w := newWorld(t)
	r := w.start()
	q := w.hold("one-click")
	w.message(q, approveButton)
	forger, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	forged, err := proto.Marshal(forger.Sign(seal.ContextApproval, []byte("anything")))
	if err != nil {
		t.Fatal(err)
	}
	w.send(bus.Decided, q, forged)
	if status, c := r.vote(q, "oidc:dana@acme.example", "approve"); status != http.StatusOK {
		t.Fatalf("got %d %s", status, c)
	}
	until(t, "both", func() bool { return len(w.decisions(q)) == 2 })
	if d, err := w.verify(q, w.decisions(q)[0]); d != nil || code(err) != refusal.ApprovalInvalid {
		t.Fatalf("the forged one: %v, %v", d, err)
	}
	if _, err := w.verify(q, w.decisions(q)[1]); err != nil {
		t.Fatal(err)
	}
	until(t, "finding", func() bool { return strings.Contains(strings.Join(w.findings(), " "), "approval.decision_forged") })
}

func TestRedteam20_AnotherGatewaysCancellation(t *testing.T) {
	w := newWorld(t)
	w.start()
	q := w.hold("one-click")
	w.message(q, approveButton)
	raw, err := proto.Marshal(&eventv1.ApprovalCancelled{ApprovalId: q.Id, Reason: approvals.ClientGone})
	if err == nil {
		_, err = w.bus.JS.Publish(t.Context(), bus.ApprovalSubject("gw2", q.Id, bus.Cancelled), raw)
	}
	if err != nil {
		t.Fatal(err)
	}
	until(t, "finding", func() bool { return strings.Contains(strings.Join(w.findings(), " "), "approval.cancel_refused") })
	w.approve(q, "U0DANA")
	if _, err := w.decided(q); err != nil {
		t.Fatal(err)
	}
}

// What the request says of its rule must be what the signed rule says: each
// field of an approver rule, ignored, would make one of these pass.
func TestRedteam21_EveryFieldOfTheRuleCounts(t *testing.T) {
	for name, change := range map[string]func(*eventv1.ApprovalRequest){
		"slack_users": func(r *eventv1.ApprovalRequest) { r.Approvers.SlackUsers = append(r.Approvers.SlackUsers, "U0MALLORY") },
		"persons":     func(r *eventv1.ApprovalRequest) { r.Approvers.Persons = append(r.Approvers.Persons, "riley") },
		"count":       func(r *eventv1.ApprovalRequest) { r.Approvers.Count = 1 },
		"channel":     func(r *eventv1.ApprovalRequest) { r.Approvers.Channel = "C0DBA" },
		"deadline": func(r *eventv1.ApprovalRequest) {
			r.Deadline = timestamppb.New(r.RequestedAt.AsTime().Add(16 * time.Minute))
		},
		"no approvers": func(r *eventv1.ApprovalRequest) { r.Approvers = nil },
		"rule's name":  func(r *eventv1.ApprovalRequest) { r.Rule = "one-click" },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.start()
			q := w.hold("two-clicks", change)
			if d, err := w.decided(q); code(err) != refusal.ApprovalCancelled || d.Reason != "request_forged" {
				t.Fatalf("got %v, %v", d, err)
			}
			until(t, "finding", func() bool { return strings.Contains(strings.Join(w.findings(), " "), "approval.request_forged") })
			if n := len(w.slack.Messages(channel)) + len(w.slack.Messages("C0DBA")); n != 0 {
				t.Fatalf("it was shown: %d messages", n)
			}
		})
	}
	t.Run("an allow rule", func(t *testing.T) {
		w := newWorld(t)
		w.start()
		q := w.hold("one-click", func(r *eventv1.ApprovalRequest) { r.Rule, r.RuleHash = "reads", w.engine.Hashes()["reads"] })
		if d, err := w.decided(q); code(err) != refusal.ApprovalCancelled {
			t.Fatalf("got %v, %v", d, err)
		}
	})
	t.Run("a rule of a policy that is not there", func(t *testing.T) {
		w := newWorld(t)
		w.start()
		q := w.hold("one-click", func(r *eventv1.ApprovalRequest) { r.RuleHash = strings.Repeat("0", 64) })
		if d, err := w.decided(q); code(err) != refusal.RuleChanged || d.Reason != approvals.RuleChanged {
			t.Fatalf("got %v, %v", d, err)
		}
	})
}

func TestRedteam21_MalformedRequests(t *testing.T) {
	for name, change := range map[string]func(*eventv1.ApprovalRequest){
		"another gateway's": func(r *eventv1.ApprovalRequest) { r.Gateway = "gw2" },
		"no digest":         func(r *eventv1.ApprovalRequest) { r.Digest = nil },
		"no principal":      func(r *eventv1.ApprovalRequest) { r.Principal, r.Requesters = nil, []string{"github:riley"} },
		"no session":        func(r *eventv1.ApprovalRequest) { r.SessionId = "" },
		"no deadline":       func(r *eventv1.ApprovalRequest) { r.Deadline = nil },
		"endless":           func(r *eventv1.ApprovalRequest) { r.Deadline = timestamppb.New(time.Now().Add(25 * time.Hour)) },
		"over before begun": func(r *eventv1.ApprovalRequest) {
			r.Deadline = timestamppb.New(r.RequestedAt.AsTime().Add(-time.Second))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			r := w.start()
			q := w.hold("one-click", change)
			until(t, "finding", func() bool { return strings.Contains(strings.Join(w.findings(), " "), "approval.request_refused") })
			if status, c := r.vote(q, "oidc:dana@acme.example", "approve"); status != http.StatusNotFound {
				t.Fatalf("got %d %s", status, c)
			}
		})
	}
}

func TestRedteam21_SecondRequestUnderTheSameID(t *testing.T) {
	w := newWorld(t)
	w.start()
	q := w.hold("one-click")
	w.message(q, approveButton)
	harmless := w.held("one-click", func(r *eventv1.ApprovalRequest) { r.Id, r.Statement = q.Id, "DROP TABLE customers" })
	w.send(bus.Requested, harmless, harmless.raw)
	until(t, "finding", func() bool { return strings.Contains(strings.Join(w.findings(), " "), "approval.request_repeated") })
	w.approve(q, "U0DANA")
	if _, err := w.decided(q); err != nil {
		t.Fatal(err)
	}
	if d, err := w.verify(harmless, w.decisions(q)[0]); d != nil || err == nil {
		t.Fatalf("got %v, %v", d, err)
	}
}

func TestRedteam33_PolicyMissingOrOlder(t *testing.T) {
	w := newWorld(t)
	w.publish(rules, people) // version 2
	r := w.start()
	forger, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	open := strings.Replace(rules, "U0UNMAPPED]", "U0UNMAPPED, U0MALLORY]", 1)
	w.publishAs(forger, 9, open, people) // signed by nobody we trust
	w.publishAs(w.key, 1, open, people)  // an old one, replayed
	q := w.hold("one-click")
	w.approve(q, "U0MALLORY")
	w.told("U0MALLORY", "The rule does not name you")
	ahead := w.hold("one-click", func(r *eventv1.ApprovalRequest) { r.PolicyVersion, r.RuleHash = 7, strings.Repeat("1", 64) })
	until(t, "request", func() bool {
		return r.ask(http.MethodGet, "/v1/approvals/"+ahead.Id, "oidc:dana@acme.example", "", nil) == http.StatusOK
	})
	if status, c := r.vote(ahead, "oidc:dana@acme.example", "approve"); status != http.StatusServiceUnavailable || c != string(refusal.BundleMissing) {
		t.Fatalf("a policy that has not arrived: %d %s", status, c)
	}
	r.stop()
	again, err := newService(w)
	if err != nil {
		t.Fatal(err)
	}
	// After a restart with the replayed bundle in the bucket there is no policy:
	// the floor outlives the process.
	stop := w.run(again)
	defer stop()
	until(t, "bus", func() bool {
		return again.Ready() != nil && strings.Contains(again.Ready().Error(), "no policy bundle yet")
	})
	if again.Ready() == nil {
		t.Fatal("an older policy was taken after a restart")
	}
}
