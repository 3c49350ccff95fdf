package policy_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatestay/gatestay/libs/people"
	"github.com/gatestay/gatestay/libs/seal"
)

// Confirming alone says what it does, does nothing by itself, and signs with a key
// that is there.
func TestPeopleConfirm(t *testing.T) {
	w := newWorld(t)
	key := filepath.Join(".gatestay", "keys", "policy.pem")
	w.file(".gatestay/gatestay.yaml", "policy: {dir: policies, key: keys/policy.pem}\n")
	const before = "people: [{name: dana, accounts: [\"slack:U0DANA\"]}]\n"
	const after = "people: [{name: dana, accounts: [\"slack:U0DANA\", \"github:dana\"]}]\n"
	w.file(".gatestay/policies/people.yaml", after)
	if out, code := w.run("people", "confirm", "--yes"); code != 1 || !strings.Contains(out, "the policy service's key is not here") {
		t.Fatalf("without a key: %d %s", code, out)
	}
	k, err := seal.LoadOrGenerate(key)
	if err != nil {
		t.Fatal(err)
	}
	first := (*people.State)(nil).Next([]byte(before), people.First, time.Now())
	raw, err := first.Sign(k)
	if err == nil {
		err = people.Write(people.Path(key), raw)
	}
	if err != nil {
		t.Fatal(err)
	}
	if out, code := w.run("people", "confirm"); code != 0 || !strings.Contains(out, "+ dana: github:dana") || !strings.Contains(out, "nothing was done") {
		t.Fatalf("without --yes: %d %s", code, out)
	}
	if s, err := people.Read(people.Path(key), k.Public()); err != nil || s.Sequence != first.Sequence {
		t.Fatalf("something was done: %v, %v", s, err)
	}
	if out, code := w.run("people", "confirm", "--yes"); code != 0 || !strings.Contains(out, "confirmed by ") {
		t.Fatalf("with --yes: %d %s", code, out)
	}
	s, err := people.Read(people.Path(key), k.Public())
	if err != nil || string(s.Map) != after || s.How != people.Machine || s.Sequence <= first.Sequence || len(s.By) != 1 {
		t.Fatalf("got %+v, %v", s, err)
	}
	stranger, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	if s, err := people.Read(people.Path(key), stranger.Public()); err == nil {
		t.Errorf("another key's trust reads %+v", s)
	}
}
