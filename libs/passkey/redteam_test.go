package passkey_test

import (
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/passkey"
	"github.com/gatestay/gatestay/libs/passkey/passkeytest"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

var party = passkey.RelyingParty{ID: "acme.example", Origin: "https://approvals.acme.example"}

// holders is a people map.
type holders map[string][]passkey.Key

func (h holders) Passkeys(person string) (passkey.RelyingParty, []passkey.Key) {
	return party, h[person]
}

func authenticator(t *testing.T, algorithm int) *passkeytest.Authenticator {
	t.Helper()
	a, err := passkeytest.New(party, algorithm)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func vote() *eventv1.Vote {
	return &eventv1.Vote{
		Person: "dana", Account: "oidc:dana@acme.example", Vote: "approve", Reason: "release 42", Scope: "run", Uses: 3, Life: durationpb.New(time.Hour),
	}
}

func TestEachAlgorithm(t *testing.T) {
	for name, algorithm := range map[string]int{"ES256": passkeytest.ES256, "EdDSA": passkeytest.EdDSA, "RS256": passkeytest.RS256} {
		t.Run(name, func(t *testing.T) {
			a := authenticator(t, algorithm)
			v := vote()
			if err := a.Sign("apr_1", []byte("hash"), v, time.Now()); err != nil {
				t.Fatal(err)
			}
			proof := &passkey.Proof{Challenge: passkey.Challenge("apr_1", []byte("hash"), v), Assertion: v.Assertion}
			if err := passkey.Verify(holders{"dana": {a.Key}}, "dana", proof); err != nil {
				t.Error(err)
			}
		})
	}
}

// An assertion is of one vote: a changed field of any kind voids it.
func TestRedteam18_AnAssertionFitsOneVoteOnly(t *testing.T) {
	a := authenticator(t, passkeytest.ES256)
	signed := vote()
	if err := a.Sign("apr_1", []byte("hash"), signed, time.Now()); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(v *eventv1.Vote, id, hash *string){
		"nothing":          func(*eventv1.Vote, *string, *string) {},
		"another approval": func(_ *eventv1.Vote, id, _ *string) { *id = "apr_2" },
		"another request":  func(_ *eventv1.Vote, _, hash *string) { *hash = "other" },
		"a moved boundary": func(_ *eventv1.Vote, id, hash *string) { *id, *hash = "apr_1h", "ash" },
		"another account":  func(v *eventv1.Vote, _, _ *string) { v.Account = "slack:U0DANA" },
		"another vote":     func(v *eventv1.Vote, _, _ *string) { v.Vote = "deny" },
		"another scope":    func(v *eventv1.Vote, _, _ *string) { v.Scope = "job" },
		"more uses":        func(v *eventv1.Vote, _, _ *string) { v.Uses = 4 },
		"all uses":         func(v *eventv1.Vote, _, _ *string) { v.Uses = 0 },
		"a longer life":    func(v *eventv1.Vote, _, _ *string) { v.Life = durationpb.New(2 * time.Hour) },
		"another reason":   func(v *eventv1.Vote, _, _ *string) { v.Reason = "" },
		"another time": func(v *eventv1.Vote, _, _ *string) {
			v.Assertion.At = timestamppb.New(v.Assertion.At.AsTime().Add(time.Hour))
		},
	} {
		t.Run(name, func(t *testing.T) {
			v, ok := proto.Clone(signed).(*eventv1.Vote)
			if !ok {
				t.Fatal("no vote")
			}
			id, hash := "apr_1", "hash"
			change(v, &id, &hash)
			err := passkey.Verify(holders{"dana": {a.Key}}, "dana", &passkey.Proof{Challenge: passkey.Challenge(id, []byte(hash), v), Assertion: v.Assertion})
			if (err == nil) != (name == "nothing") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Whoever misses one thing of a passkey misses all of it.
func TestRedteam20_WhatIsNoAssertionOfThisPerson(t *testing.T) {
	rp := func(change func(*passkeytest.Authenticator)) func(a *passkeytest.Authenticator, h holders) {
		return func(a *passkeytest.Authenticator, _ holders) { change(a) }
	}
	for name, change := range map[string]func(a *passkeytest.Authenticator, h holders){
		"good":                      func(*passkeytest.Authenticator, holders) {},
		"another origin":            rp(func(a *passkeytest.Authenticator) { a.RP.Origin = "https://evil.example" }),
		"another port":              rp(func(a *passkeytest.Authenticator) { a.RP.Origin = "https://approvals.acme.example:8443" }),
		"plain http":                rp(func(a *passkeytest.Authenticator) { a.RP.Origin = "http://approvals.acme.example" }),
		"a sibling's origin":        rp(func(a *passkeytest.Authenticator) { a.RP.Origin = "https://wiki.acme.example" }),
		"another relying party":     rp(func(a *passkeytest.Authenticator) { a.RP.ID = "evil.example" }),
		"user not verified":         rp(func(a *passkeytest.Authenticator) { a.Flags = 1 }),
		"user not present":          rp(func(a *passkeytest.Authenticator) { a.Flags = 4 }),
		"an enrolment's ceremony":   rp(func(a *passkeytest.Authenticator) { a.Type = "webauthn.create" }),
		"in another origin's frame": rp(func(a *passkeytest.Authenticator) { a.Cross = true }),
		"another person's":          func(a *passkeytest.Authenticator, h holders) { h["kim"], h["dana"] = []passkey.Key{a.Key}, nil },
		"not in the map":            func(_ *passkeytest.Authenticator, h holders) { h["dana"] = nil },
		"the id of another key": func(a *passkeytest.Authenticator, h holders) {
			other := authenticator(t, passkeytest.ES256)
			h["dana"] = []passkey.Key{{ID: a.ID, Public: other.Public}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := authenticator(t, passkeytest.ES256)
			h := holders{"dana": {a.Key}}
			change(a, h)
			v := vote()
			if err := a.Sign("apr_1", []byte("hash"), v, time.Now()); err != nil {
				t.Fatal(err)
			}
			err := passkey.Verify(h, "dana", &passkey.Proof{Challenge: passkey.Challenge("apr_1", []byte("hash"), v), Assertion: v.Assertion})
			if (err == nil) != (name == "good") {
				t.Errorf("got %v", err)
			}
		})
	}
	if err := passkey.Verify(holders{}, "dana", nil); !errors.Is(err, passkey.ErrNone) {
		t.Errorf("no proof: %v", err)
	}
	if err := passkey.Verify(holders{}, "dana", &passkey.Proof{Challenge: []byte("x")}); !errors.Is(err, passkey.ErrNone) {
		t.Errorf("no assertion: %v", err)
	}
}

func TestRelyingParties(t *testing.T) {
	for _, c := range []struct {
		origin, id, want string
	}{
		{"https://approvals.acme.example", "", "approvals.acme.example"},
		{"https://approvals.acme.example:8443", "acme.example", "acme.example"},
		{"http://localhost:9103", "", "localhost"},
		{"http://127.0.0.1:9103", "", ""},
		{"https://10.0.0.1", "", ""},
		{"http://approvals.acme.example", "", ""},
		{"https://approvals.acme.example/", "", ""},
		{"https://approvals.acme.example/inbox", "", ""},
		{"approvals.acme.example", "", ""},
		{"https://approvals.acme.example", "example", ""},
		{"https://approvals.acme.example", "evil.example", ""},
		{"https://approvals.acme.example", "s.acme.example", ""},
		{"https://u@approvals.acme.example", "", ""},
	} {
		rp, err := passkey.At(c.origin, c.id)
		if rp.ID != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s, %q: %+v, %v", c.origin, c.id, rp, err)
		}
	}
}
