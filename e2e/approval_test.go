package e2e

import (
	"crypto/ed25519"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/e2e/kit"
	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

func TestRedteam19_NoRequesterApprovesAndNoStranger(t *testing.T) {
	for name, attack := range map[string]struct {
		claims kit.Claims
		user   string
	}{
		"the actor of the run":                 {nil, kit.Kim},
		"whoever pressed re-run":               {kit.Claims{"actor": "riley", "triggering_actor": "kim"}, kit.Kim},
		"a member of the channel, no approver": {nil, kit.Riley},
		"somebody outside the people map":      {nil, kit.Mallory},
	} {
		t.Run(name, func(t *testing.T) {
			g := shared.Get(t)
			c := g.Connect(t, attack.claims)
			marker := kit.Marker("self")
			held := c.Go(t, insertNote, marker)
			m := g.AwaitMessage(t, marker)
			if err := m.Click(t.Context(), attack.user, "Approve"); err != nil {
				t.Fatal(err)
			}
			kit.Never(t, 400*time.Millisecond, g.NotSeen(t, marker))
			running(t, held)
			m.Approve(t, kit.Dana) // the hold is still good for those who may
			if _, err := held.Wait(t); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A requester whom the people map does not know may be anybody, an approver
// included: it takes two.
func TestRedteam19_UnknownRequesterNeedsTwoApprovers(t *testing.T) {
	g := shared.Get(t)
	c := g.Connect(t, kit.Claims{"actor": "a-stranger"})
	marker := kit.Marker("two")
	held := c.Go(t, insertNote, marker)
	m := g.AwaitMessage(t, marker)
	m.Approve(t, kit.Dana)
	_ = m.Click(t.Context(), kit.Dana, "Approve") // one person counts once
	kit.Never(t, 400*time.Millisecond, g.NotSeen(t, marker))
	running(t, held)
	m.Approve(t, kit.Kim)
	if _, err := held.Wait(t); err != nil {
		t.Fatal(err)
	}
}

// thief is on the bus with a stolen credential of one service.
func thief(t *testing.T, g *kit.Gatestay, of string) *nats.Conn {
	t.Helper()
	c, err := nats.Connect(g.BusURL(of), nats.Timeout(5*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// request waits for the request of the held statement on the bus.
func request(t *testing.T, g *kit.Gatestay, marker string) (r *eventv1.ApprovalRequest, raw []byte) {
	t.Helper()
	raw = g.AwaitBus(t, bus.StreamApprovals, "approval.gw1.*.requested", marker)
	r = &eventv1.ApprovalRequest{}
	if err := proto.Unmarshal(raw, r); err != nil {
		t.Fatal(err)
	}
	return r, raw
}

// decision is what the approval service would sign for an approved request.
func decision(r *eventv1.ApprovalRequest, raw []byte) *eventv1.ApprovalDecision {
	return &eventv1.ApprovalDecision{
		ApprovalId: r.Id, Outcome: approval.Approved, Gateway: r.Gateway, SessionId: r.SessionId, CommandId: r.CommandId,
		PrincipalHash: approval.PrincipalHash(r.Principal), Target: r.Target, RuleHash: r.RuleHash, Digest: r.Digest,
		RequestHash: approval.RequestHash(raw), Uses: 1, DecidedAt: timestamppb.Now(), ExpiresAt: timestamppb.New(time.Now().Add(time.Minute)),
		Votes: []*eventv1.Vote{{Person: "dana", Account: "slack:U0DANA", Vote: approval.Approve, At: timestamppb.Now(), Via: "slack"}},
	}
}

func sign(t *testing.T, key *seal.Key, context string, d *eventv1.ApprovalDecision) *eventv1.Signed {
	t.Helper()
	raw, err := proto.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return key.Sign(context, raw)
}

func key(t *testing.T, g *kit.Gatestay, of string) *seal.Key {
	t.Helper()
	k, err := seal.LoadOrGenerate(g.Path("keys", of))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Every field of a decision binds it to something: each is forged in turn, by
// somebody who even has the approval service's place on the bus.
func TestRedteam20_ForgedDecisionOnTheBus(t *testing.T) {
	g := shared.Get(t)
	stranger, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	real := key(t, g, kit.Approval)
	mine := func(change func(*eventv1.ApprovalDecision)) func(*eventv1.ApprovalDecision) *eventv1.Signed {
		return func(d *eventv1.ApprovalDecision) *eventv1.Signed {
			change(d)
			return sign(t, real, seal.ContextApproval, d)
		}
	}
	flip := func(b []byte) []byte { return append([]byte{b[0] ^ 1}, b[1:]...) }
	for name, forge := range map[string]func(*eventv1.ApprovalDecision) *eventv1.Signed{
		"a stranger's key": func(d *eventv1.ApprovalDecision) *eventv1.Signed { return sign(t, stranger, seal.ContextApproval, d) },
		"the policy service's key": func(d *eventv1.ApprovalDecision) *eventv1.Signed {
			return sign(t, key(t, g, kit.Policy), seal.ContextApproval, d)
		},
		"signed as something else": func(d *eventv1.ApprovalDecision) *eventv1.Signed { return sign(t, real, seal.ContextBundle, d) },
		"another's key id": func(d *eventv1.ApprovalDecision) *eventv1.Signed {
			s := sign(t, stranger, seal.ContextApproval, d)
			s.KeyId = real.ID()
			return s
		},
		"no signature": func(d *eventv1.ApprovalDecision) *eventv1.Signed {
			s := sign(t, real, seal.ContextApproval, d)
			s.Signature = nil
			return s
		},
		"a signature cut short": func(d *eventv1.ApprovalDecision) *eventv1.Signed {
			s := sign(t, real, seal.ContextApproval, d)
			s.Signature = s.Signature[:ed25519.SignatureSize-1]
			return s
		},
		"another approval":          mine(func(d *eventv1.ApprovalDecision) { d.ApprovalId = approval.NewID() }),
		"another gateway":           mine(func(d *eventv1.ApprovalDecision) { d.Gateway = "gw2" }),
		"another session":           mine(func(d *eventv1.ApprovalDecision) { d.SessionId += "x" }),
		"another command":           mine(func(d *eventv1.ApprovalDecision) { d.CommandId += "x" }),
		"another principal":         mine(func(d *eventv1.ApprovalDecision) { d.PrincipalHash = flip(d.PrincipalHash) }),
		"another target":            mine(func(d *eventv1.ApprovalDecision) { d.Target = "staging-db" }),
		"another rule":              mine(func(d *eventv1.ApprovalDecision) { d.RuleHash = "0" + d.RuleHash[1:] + "0" }),
		"another statement":         mine(func(d *eventv1.ApprovalDecision) { d.Digest = flip(d.Digest) }),
		"another request was shown": mine(func(d *eventv1.ApprovalDecision) { d.RequestHash = flip(d.RequestHash) }),
		"expired":                   mine(func(d *eventv1.ApprovalDecision) { d.ExpiresAt = timestamppb.New(time.Now().Add(-time.Second)) }),
		"no expiry":                 mine(func(d *eventv1.ApprovalDecision) { d.ExpiresAt = nil }),
		"no use left":               mine(func(d *eventv1.ApprovalDecision) { d.Uses = 0 }),
		"nobody voted":              mine(func(d *eventv1.ApprovalDecision) { d.Votes = nil }),
	} {
		t.Run(name, func(t *testing.T) {
			g := shared.Get(t)
			c := g.Connect(t, nil)
			marker := kit.Marker("forged")
			held := c.Go(t, insertNote, marker)
			r, raw := request(t, g, marker)
			d := decision(r, raw)
			signed, err := proto.Marshal(forge(d))
			if err != nil {
				t.Fatal(err)
			}
			b := thief(t, g, kit.Approval)
			if err := b.Publish(bus.ApprovalSubject("gw1", r.Id, bus.Decided), signed); err != nil {
				t.Fatal(err)
			}
			if err := b.Flush(); err != nil {
				t.Fatal(err)
			}
			kit.Never(t, 300*time.Millisecond, g.NotSeen(t, marker))
			select {
			case <-held.Done():
				if _, err := held.Wait(t); err == nil {
					t.Fatal("a forged decision let the statement through")
				}
			default:
			}
		})
	}
}

// The figure that shows the test above can fail: with nothing forged, the same
// decision lets the statement through.
func TestDecisionOfTheApprovalServicesKeyResumes(t *testing.T) {
	g := shared.Get(t)
	c := g.Connect(t, nil)
	marker := kit.Marker("genuine")
	held := c.Go(t, insertNote, marker)
	r, raw := request(t, g, marker)
	signed, err := proto.Marshal(sign(t, key(t, g, kit.Approval), seal.ContextApproval, decision(r, raw)))
	if err != nil {
		t.Fatal(err)
	}
	b := thief(t, g, kit.Approval)
	if err := b.Publish(bus.ApprovalSubject("gw1", r.Id, bus.Decided), signed); err != nil {
		t.Fatal(err)
	}
	if _, err := held.Wait(t); err != nil {
		t.Fatal(err)
	}
}

func TestRedteam18_ApprovalOfOneStatementIsNoneOfAnother(t *testing.T) {
	for name, next := range map[string]struct {
		claims kit.Claims
		again  bool
	}{
		"the same statement once more in the same session": {again: true},
		"the same statement in another session":            {},
		"the same statement by another run":                {claims: kit.Claims{"run_id": "99999999"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := shared.Get(t)
			c := g.Connect(t, nil)
			marker := kit.Marker("reuse")
			held := c.Go(t, insertNote, marker)
			first, _ := request(t, g, marker)
			g.AwaitMessage(t, marker).Approve(t, kit.Dana)
			if _, err := held.Wait(t); err != nil {
				t.Fatal(err)
			}
			used := g.AwaitBus(t, bus.StreamApprovals, bus.ApprovalSubject("gw1", first.Id, bus.Decided), "")
			runs := g.TargetCount(t, marker)

			if !next.again {
				c = g.Connect(t, next.claims)
			}
			held = c.Go(t, insertNote, marker)
			second := g.AwaitBusAfter(t, bus.StreamApprovals, "approval.gw1.*.requested", marker, first.Id)
			r := &eventv1.ApprovalRequest{}
			if err := proto.Unmarshal(second, r); err != nil {
				t.Fatal(err)
			}
			b := thief(t, g, kit.Approval)
			for _, id := range []string{first.Id, r.Id} { // replayed as it was, and under the new one's name
				if err := b.Publish(bus.ApprovalSubject("gw1", id, bus.Decided), used); err != nil {
					t.Fatal(err)
				}
			}
			if err := b.Flush(); err != nil {
				t.Fatal(err)
			}
			kit.Never(t, 400*time.Millisecond, func() error { return g.TargetCountIs(t, marker, runs) })
			select {
			case <-held.Done():
				if _, err := held.Wait(t); err == nil {
					t.Fatal("a used approval let the statement through")
				}
			default:
			}
		})
	}
}

// A changed rule voids the approval given under the old one; a change elsewhere
// does not.
func TestRedteam18_OnlyAChangeOfTheMatchedRuleVoidsAnApproval(t *testing.T) {
	const rule = `rules:
  - name: voidable
    effect: hold
    targets: [prod-db]
    principals: [{repository: acme/voidable, repository_id: "1004", repository_owner_id: "2002"}]
    when: command.class == "write"
    approvers: {slack_users: [U0DANA], count: 1, channel: C0PROD}
    deadline: 1m
`
	for name, change := range map[string]struct {
		file, text string
		runs       bool
	}{
		"the matched rule":   {"voidable.yaml", rule + "    description: Changed while the statement was held.\n", false},
		"another rule":       {"other.yaml", "rules:\n  - name: other\n    effect: allow\n    targets: [prod-db]\n    principals: [{repository: acme/x, repository_id: \"9\", repository_owner_id: \"9\"}]\n", true},
		"a rule that denies": {"other.yaml", "rules:\n  - name: stop\n    effect: deny\n    targets: [prod-db]\n    principals: [{any: true}]\n    when: '\"public.notes\" in command.objects'\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			g := shared.Get(t)
			withPolicy(t, g, "voidable.yaml", rule)
			c := g.Connect(t, kit.Claims{"repository": "acme/voidable", "repository_id": "1004"})
			marker := kit.Marker("voidable")
			held := c.Go(t, insertNote, marker)
			m := g.AwaitMessage(t, marker)
			withPolicy(t, g, change.file, change.text)
			_ = m.Click(t.Context(), kit.Dana, "Approve") // the message may be gone already
			_, err := held.Wait(t)
			if change.runs && err != nil {
				t.Fatalf("a change elsewhere voided the approval: %v", err)
			}
			if !change.runs {
				if err == nil {
					t.Fatal("the statement ran under a rule that nobody approved it under")
				}
				if g.TargetSaw(t, marker) {
					t.Error("the target has seen it")
				}
			}
		})
	}
}

// A process with another's bus credential can publish only what that one may.
func TestRedteam20_StolenBusCredentialForgesNothingElse(t *testing.T) {
	g := shared.Get(t)
	for user, subjects := range map[string][]string{
		kit.Gateway:  {"approval.gw1.apr_x.decided", "approval.policy.apr_x.requested", "record.gw2", "audit.record.gw1", "admin.policy.1", "control.lease", "$KV.bundle_policy.current", "$KV.bundle_masking.current"},
		kit.Masking:  {"approval.gw1.apr_x.decided", "record.gw1", "control.lease", "$KV.bundle_policy.current", "token.x"},
		kit.Archival: {"approval.gw1.apr_x.decided", "record.gw1", "audit.record.gw1", "control.lease", "$KV.bundle_policy.current"},
		kit.Approval: {"record.gw1", "audit.record.gw1", "control.lease", "$KV.bundle_policy.current", "approval.gw1.apr_x.requested", "approval.policy.apr_x.requested"},
		kit.Policy:   {"approval.gw1.apr_x.decided", "approval.policy.apr_x.decided", "approval.gw1.apr_x.requested", "record.gw1", "audit.record.gw1", "$KV.bundle_masking.current"},
	} {
		for _, subject := range subjects {
			t.Run(user+" on "+subject, func(t *testing.T) {
				refused := make(chan error, 1)
				c, err := nats.Connect(g.BusURL(user), nats.Timeout(5*time.Second), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
					select {
					case refused <- err:
					default:
					}
				}))
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if err := c.Publish(subject, []byte("forged")); err != nil {
					t.Fatal(err)
				}
				if err := c.Flush(); err != nil {
					t.Fatal(err)
				}
				select {
				case <-refused:
				case <-time.After(5 * time.Second):
					t.Errorf("%s may publish on %s", user, subject)
				}
			})
		}
	}
}
