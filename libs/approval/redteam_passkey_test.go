package approval

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/electorate"
	"github.com/gatestay/gatestay/libs/passkey"
	"github.com/gatestay/gatestay/libs/passkey/passkeytest"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// keyring is a people map whose persons have passkeys, and those.
type keyring struct {
	kim, dana *passkeytest.Authenticator
	people    *policy.People
}

func newKeyring(t *testing.T) *keyring {
	t.Helper()
	rp := passkey.RelyingParty{ID: "approvals.acme.example", Origin: "https://approvals.acme.example"}
	k := &keyring{}
	var err error
	if k.kim, err = passkeytest.New(rp, passkeytest.ES256); err != nil {
		t.Fatal(err)
	}
	if k.dana, err = passkeytest.New(rp, passkeytest.EdDSA); err != nil {
		t.Fatal(err)
	}
	k.people, err = policy.ReadPeople([]byte(`
relying_party: {origin: "https://approvals.acme.example"}
people:
  - {name: kim, accounts: ["github:kim", "slack:U0KIM", "oidc:kim@acme.example"], passkeys: [` + k.kim.YAML() + `]}
  - {name: dana, accounts: ["slack:U0DANA", "oidc:dana@acme.example"], passkeys: [` + k.dana.YAML() + `]}
  - {name: lee, accounts: ["github:dana"]}
`))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

var withPasskey = &eventv1.Approvers{Persons: []string{"kim", "dana"}, Count: 1, StepUp: policy.StepUpPasskey}

func (k *keyring) expectation() Expectation {
	want := expectation()
	want.Electorate = func() *electorate.Electorate {
		return &electorate.Electorate{Approvers: withPasskey, Requesters: []string{"github:dana"}, People: k.people}
	}
	return want
}

// signed is a decision whose one vote a passkey has signed.
func signed(t *testing.T, by *passkeytest.Authenticator, vote *eventv1.Vote, change ...func(*eventv1.ApprovalDecision)) *eventv1.ApprovalDecision {
	t.Helper()
	d := decision()
	d.Votes = []*eventv1.Vote{vote}
	for _, f := range change {
		f(d)
	}
	if by != nil {
		if err := by.Sign("apr_1", RequestHash([]byte("request")), vote, now.Add(-2*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func kims() *eventv1.Vote {
	return &eventv1.Vote{Person: "kim", Account: "oidc:kim@acme.example", Vote: Approve, Via: "web", At: timestamppb.New(now.Add(-time.Second))}
}

// An approval service that was taken over has the right key to sign decisions, and
// no passkey: what it makes up is not used.
func TestRedteam20_TheApprovalServiceCannotForgeAPasskey(t *testing.T) {
	service, k := key(t), newKeyring(t)
	good := signed(t, k.kim, kims())
	if _, err := Verify(service.Public(), sign(t, service, good), k.expectation()); err != nil {
		t.Fatal(err)
	}
	elsewhere, err := passkeytest.New(passkey.RelyingParty{ID: "approvals.acme.example", Origin: "https://evil.example"}, passkeytest.ES256)
	if err != nil {
		t.Fatal(err)
	}
	for name, d := range map[string]*eventv1.ApprovalDecision{
		"no assertion":             signed(t, nil, kims()),
		"an empty one":             signed(t, nil, &eventv1.Vote{Person: "kim", Account: "oidc:kim@acme.example", Vote: Approve, Assertion: &eventv1.Assertion{}}),
		"another person's passkey": signed(t, k.dana, kims()),
		"a passkey of nobody":      signed(t, elsewhere, kims()),
		"moved to another account": signed(t, k.kim, kims(), func(d *eventv1.ApprovalDecision) {
			v := kims()
			v.Assertion, v.At = good.Votes[0].Assertion, good.Votes[0].At
			v.Account = "slack:U0KIM"
			d.Votes = []*eventv1.Vote{v}
		}),
		"from another vote of the same": signed(t, nil, &eventv1.Vote{
			Person: "kim", Account: "oidc:kim@acme.example", Vote: Approve, Reason: "other", Assertion: good.Votes[0].Assertion, At: good.Votes[0].At,
		}),
		"a Slack account with the name of a person": signed(t, k.kim, &eventv1.Vote{Person: "kim", Account: "slack:U0EVE", Vote: Approve}),
		"given at another hour": signed(t, k.kim, kims(), func(d *eventv1.ApprovalDecision) {
			d.Votes[0].At = timestamppb.New(now.Add(-8 * time.Minute))
		}),
		"dated a day later": signed(t, k.kim, kims(), func(d *eventv1.ApprovalDecision) {
			d.DecidedAt, d.ExpiresAt = timestamppb.New(now.Add(25*time.Hour)), timestamppb.New(now.Add(26*time.Hour))
		}),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Verify(service.Public(), sign(t, service, d), k.expectation())
			if got != nil || code(t, err) != refusal.ApprovalInvalid {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
	t.Run("for another approval", func(t *testing.T) {
		want, d := k.expectation(), signed(t, k.kim, kims())
		want.ApprovalID, d.ApprovalId = "apr_2", "apr_2"
		if got, err := Verify(service.Public(), sign(t, service, d), want); got != nil {
			t.Errorf("got %v, %v", got, err)
		}
	})
	t.Run("for another request", func(t *testing.T) {
		want, d := k.expectation(), signed(t, k.kim, kims())
		want.RequestHash = RequestHash([]byte("DROP"))
		d.RequestHash = want.RequestHash
		if got, err := Verify(service.Public(), sign(t, service, d), want); got != nil {
			t.Errorf("got %v, %v", got, err)
		}
	})
	t.Run("by a passkey that the map has no more", func(t *testing.T) {
		want := k.expectation()
		k.people = newKeyring(t).people
		if got, err := Verify(service.Public(), sign(t, service, good), want); got != nil {
			t.Errorf("got %v, %v", got, err)
		}
	})
}

// A quorum takes a passkey from each, and no vote is both.
func TestRedteam21_EachOfAQuorumHasAPasskey(t *testing.T) {
	service, k := key(t), newKeyring(t)
	want := k.expectation()
	want.Count = 2
	want.Electorate = func() *electorate.Electorate {
		return &electorate.Electorate{
			Approvers:  &eventv1.Approvers{Persons: []string{"kim", "dana"}, Count: 2, StepUp: policy.StepUpPasskey},
			Requesters: []string{"github:dana"}, People: k.people,
		}
	}
	d, other := signed(t, k.kim, kims()), &eventv1.Vote{Person: "dana", Account: "oidc:dana@acme.example", Vote: Approve}
	d.Votes = append(d.Votes, other)
	if got, err := Verify(service.Public(), sign(t, service, d), want); got != nil {
		t.Errorf("one passkey for two: %v, %v", got, err)
	}
	if err := k.dana.Sign("apr_1", RequestHash([]byte("request")), other, now); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(service.Public(), sign(t, service, d), want); err != nil {
		t.Error(err)
	}
}

// A grant gives what the passkey signed, and no more.
func TestRedteam18_AGrantGivesWhatThePasskeySigned(t *testing.T) {
	k := newKeyring(t)
	for name, c := range map[string]struct {
		vote   *eventv1.Vote
		change func(*eventv1.ApprovalDecision)
		ok     bool
	}{
		"as given":              {&eventv1.Vote{Scope: policy.ScopeRun, Uses: 5, Life: durationpb.New(time.Hour)}, nil, true},
		"all that the rule has": {&eventv1.Vote{Scope: policy.ScopeRun}, nil, true},
		"for this command":      {&eventv1.Vote{}, nil, false},
		"for the job":           {&eventv1.Vote{Scope: policy.ScopeJob}, nil, false},
		"fewer uses":            {&eventv1.Vote{Scope: policy.ScopeRun, Uses: 4}, nil, false},
		"a shorter life":        {&eventv1.Vote{Scope: policy.ScopeRun, Life: durationpb.New(time.Minute)}, nil, false},
		"dated anew": {&eventv1.Vote{Scope: policy.ScopeRun}, func(d *eventv1.ApprovalDecision) {
			d.Votes[0].Assertion.At = timestamppb.New(now.Add(-time.Minute))
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := granted(policy.ScopeRun)
			v := kims()
			v.Scope, v.Uses, v.Life = c.vote.Scope, c.vote.Uses, c.vote.Life
			d.Votes = []*eventv1.Vote{v}
			if err := k.kim.Sign(d.ApprovalId, d.RequestHash, v, now.Add(-2*time.Minute)); err != nil {
				t.Fatal(err)
			}
			if c.change != nil {
				c.change(d)
			}
			u := grantUse(t)
			u.Approvers, u.People, u.Deadline = withPasskey, k.people, 15*time.Minute
			if got := Covers(d, u); got != c.ok {
				t.Errorf("covers: %v", got)
			}
		})
	}
	d, u := granted(policy.ScopeRun), grantUse(t)
	v := kims()
	v.Scope = policy.ScopeRun
	d.Votes = []*eventv1.Vote{v}
	if err := k.kim.Sign(d.ApprovalId, d.RequestHash, v, now.Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	u.Approvers, u.People, u.Deadline = withPasskey, k.people, 15*time.Minute
	if Covers(d, u) {
		t.Error("a vote of an hour ago makes a decision of now, where the rule waits for a quarter of one")
	}
}

// Whoever has no passkey is no approver, in words and in numbers.
func TestWhoHasNoPasskeyIsNotAsked(t *testing.T) {
	k := newKeyring(t)
	e := electorate.Electorate{
		Approvers:  &eventv1.Approvers{Persons: []string{"kim", "lee"}, SlackUsers: []string{"U0NEW"}, Count: 1, StepUp: policy.StepUpPasskey},
		Requesters: []string{"slack:U0DANA"}, People: k.people,
	}
	if words := e.InWords(time.Time{}); words != "kim, with a passkey" {
		t.Errorf("it says %q", words)
	}
	if a := e.Attainable(); !a.Met() || len(a.Counted) != 1 || !slices.ContainsFunc(a.Counted, func(v electorate.Voter) bool { return v.Person == "kim" }) {
		t.Errorf("attainable: %+v", a)
	}
	e.Approvers.Count = 2
	if e.Attainable().Met() {
		t.Error("lee and an unmapped account cannot give a passkey")
	}
	e.Approvers.StepUp = "sorcery"
	if e.Tally([]electorate.Ballot{{Account: "slack:U0KIM"}}).Met() || e.Attainable().Met() {
		t.Error("a step-up that is not known is met")
	}
}

// Whoever checks a decision afterwards sees whether passkeys made it, with the
// people map and, as far as that goes, without.
func TestRedteam20_PasskeysAreCheckedOffline(t *testing.T) {
	service, k := key(t), newKeyring(t)
	for name, c := range map[string]struct {
		by              *passkeytest.Authenticator
		change          func(*eventv1.Vote)
		with, withoutIt bool
	}{
		"as it should be":    {k.kim, nil, true, true},
		"none":               {nil, nil, false, false},
		"another's":          {k.dana, nil, false, true},
		"of another vote":    {k.kim, func(v *eventv1.Vote) { v.Reason = "changed" }, false, false},
		"a broken signature": {k.kim, func(v *eventv1.Vote) { v.Assertion.Signature[9] ^= 1 }, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := proof(t, service, func(r *eventv1.ApprovalRequest, d *eventv1.ApprovalDecision) {
				r.Approvers = withPasskey
				raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(r)
				if err != nil {
					t.Fatal(err)
				}
				d.RequestHash = RequestHash(raw)
				v := kims()
				d.Votes = []*eventv1.Vote{v}
				if c.by != nil {
					if err := c.by.Sign(d.ApprovalId, d.RequestHash, v, d.DecidedAt.AsTime()); err != nil {
						t.Fatal(err)
					}
				}
				if c.change != nil {
					c.change(v)
				}
			})
			e, err := Examine(service.Public(), p, k.people)
			if err != nil || e.OK() != c.with {
				t.Errorf("with the map: %v, %+v", err, e.Checks)
			}
			e, err = Examine(service.Public(), p, nil)
			if err != nil || e.OK() != c.withoutIt {
				t.Errorf("without the map: %v, %+v", err, e.Checks)
			}
		})
	}
}
