package session_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/passkey"
	"github.com/gatestay/gatestay/libs/passkey/passkeytest"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

var party = passkey.RelyingParty{ID: "acme.example", Origin: "https://approvals.acme.example"}

// withPasskeys publishes a rule that asks for a passkey, and a people map that has
// these of dana.
func (w *world) withPasskeys(more string, of ...*passkeytest.Authenticator) {
	w.t.Helper()
	var keys []string
	for _, a := range of {
		keys = append(keys, a.YAML())
	}
	text := strings.Replace(rules, "approvers: {slack_users: [U0DANA], count: 1}", "approvers: {persons: [dana], count: 1, step_up: passkey}", 1)
	w.publish("policy", map[string]string{"a.yaml": strings.Replace(text, "    deadline: 30s\n", "    deadline: 30s\n"+more, 1), "people.yaml": `
relying_party: {origin: "https://approvals.acme.example", id: acme.example}
people:
  - {name: starter, accounts: ["github:kim", "slack:U0STARTER"]}
  - {name: dana, accounts: ["slack:U0DANA", "oidc:dana@acme.example"], passkeys: [` + strings.Join(keys, ", ") + `]}
`})
}

func newPasskey(t *testing.T) *passkeytest.Authenticator {
	t.Helper()
	a, err := passkeytest.New(party, passkeytest.ES256)
	must(t, err)
	return a
}

// stepUp is the decision of an approval service, with dana's vote signed by a passkey.
func (w *world) stepUp(r *request, by *passkeytest.Authenticator) *eventv1.ApprovalDecision {
	w.t.Helper()
	d := w.decision(r)
	d.Votes = []*eventv1.Vote{{Person: "dana", Account: "oidc:dana@acme.example", Vote: approval.Approve, At: timestamppb.Now(), Via: "web"}}
	if by != nil {
		must(w.t, by.Sign(d.ApprovalId, d.RequestHash, d.Votes[0], time.Now()))
	}
	return d
}

// An approval service that was taken over has the right key, signs what it likes,
// and lets nothing pass that asks for a passkey; nor does a passkey that the
// gateway's own bundle does not have.
func TestRedteam20_NoPasskeyNoCommand(t *testing.T) {
	w := newWorld(t)
	hers, evil := newPasskey(t), newPasskey(t)
	w.withPasskeys("", hers)
	s := w.open()
	done := admit(t.Context(), s, write())
	r := <-w.requests
	if r.Approvers.StepUp != "passkey" {
		t.Fatalf("the request asks %v", r.Approvers)
	}
	replayed := w.stepUp(r, hers)
	elsewhere := write()
	elsewhere.Text = "DELETE FROM customers"
	second := w.open()
	other := admit(t.Context(), second, elsewhere)
	q := <-w.requests

	w.decide(w.approvals, w.stepUp(q, nil))  // made up
	w.decide(w.approvals, w.stepUp(q, evil)) // with a passkey of its own
	moved := w.stepUp(q, nil)                // with the assertion of another approval
	moved.Votes[0].Assertion, _ = proto.Clone(replayed.Votes[0].Assertion).(*eventv1.Assertion)
	w.decide(w.approvals, moved)
	w.decide(w.approvals, replayed)
	a := <-done
	must(t, a.err)
	a.permit.Done(seam.Outcome{Status: "ok"})
	select {
	case a := <-other:
		t.Fatalf("it passes: %v", a.err)
	default:
	}

	w.withPasskeys("", evil) // hers was taken out of the map: the rule is the same
	w.decide(w.approvals, w.stepUp(q, hers))
	w.decide(w.approvals, w.stepUp(q, evil))
	a = <-other
	must(t, a.err)
	a.permit.Done(seam.Outcome{Status: "ok"})
}

// A grant that the passkey did not sign is none, on any later command.
func TestRedteam18_AGrantIsWhatThePasskeySigned(t *testing.T) {
	w := newWorld(t)
	hers := newPasskey(t)
	w.withPasskeys("    grants: {scopes: [run, job], uses: 3, for: 10m}\n", hers)
	s := w.open()
	for _, scope := range []string{"", "run"} { // what she signed
		done := admit(t.Context(), s, tier("signed "+scope))
		r := <-w.requests
		d := w.grant(r, "run")
		v := &eventv1.Vote{Person: "dana", Account: "oidc:dana@acme.example", Vote: approval.Approve, Scope: scope}
		must(t, hers.Sign(d.ApprovalId, d.RequestHash, v, time.Now()))
		v.Scope = "run" // as the service says
		d.Votes = []*eventv1.Vote{v}
		w.decide(w.approvals, d)
		if scope == "" {
			w.decide(w.approvals, w.stepUp(r, hers)) // the command itself was approved
			a := <-done
			must(t, a.err)
			a.permit.Done(seam.Outcome{Status: "ok"})
			w.asks(s, tier("another"))
			continue
		}
		a := <-done
		must(t, a.err)
		a.permit.Done(seam.Outcome{Status: "ok"})
		w.passes(s, tier("another"))
	}
}
