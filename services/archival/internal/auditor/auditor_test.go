package auditor

import (
	"path/filepath"
	"testing"

	"github.com/rs/zerolog"
	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/archival/internal/intake"
)

func bundle(t *testing.T, key *seal.Key, context string, b *eventv1.Bundle) []byte {
	t.Helper()
	payload, err := proto.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := proto.Marshal(key.Sign(context, payload))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func people(version uint64, yaml string) *eventv1.Bundle {
	return &eventv1.Bundle{Kind: "policy", Version: version, Files: map[string][]byte{"rules.yaml": []byte("rules: []\n"), "people.yaml": []byte(yaml)}}
}

const (
	dana    = "people:\n  - name: dana\n    accounts: [\"oidc:dana@acme.example\", \"slack:U0DANA\"]\n"
	mallory = "people:\n  - name: dana\n    accounts: [\"oidc:mallory@acme.example\"]\n"
)

func TestAuditors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.pem")
	keys, err := intake.NewKeys([]string{path + ".pub"}, seal.Trust{}) // the policy service has not started yet
	if err != nil {
		t.Fatal(err)
	}
	a := &Auditors{Names: []string{"dana", "oidc:riley@acme.example"}, Keys: keys, Log: zerolog.Nop()}
	if _, ok := a.Name("oidc:dana@acme.example"); ok {
		t.Fatal("dana is known before the people map")
	}
	if name, ok := a.Name("oidc:riley@acme.example"); !ok || name != "oidc:riley@acme.example" {
		t.Fatal("an account that is listed itself is not known")
	}
	key, err := seal.LoadOrGenerate(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Take(bundle(t, key, seal.ContextBundle, people(2, dana))); err != nil {
		t.Fatal(err)
	}
	if name, ok := a.Name("oidc:dana@acme.example"); !ok || name != "dana" {
		t.Fatalf("got %q, %v", name, ok)
	}
	if _, ok := a.Name("oidc:mallory@acme.example"); ok {
		t.Fatal("a stranger is an auditor")
	}
	if _, ok := a.Name("dana"); !ok {
		// The bare name is listed; no account looks like it, so it lets nobody in.
		t.Fatal("a listed name is not known")
	}
}

func TestAuditors_refuseOtherBundles(t *testing.T) {
	key, stranger := generate(t), generate(t)
	keys, err := intake.NewKeys(nil, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	a := &Auditors{Names: []string{"dana"}, Keys: keys, Log: zerolog.Nop()}
	if err := a.Take(bundle(t, key, seal.ContextBundle, people(5, dana))); err != nil {
		t.Fatal(err)
	}
	masks := people(9, mallory)
	masks.Kind = "masking"
	for name, raw := range map[string][]byte{
		"signed by a stranger":    bundle(t, stranger, seal.ContextBundle, people(6, mallory)),
		"signed for another use":  bundle(t, key, seal.ContextApproval, people(6, mallory)),
		"an older version":        bundle(t, key, seal.ContextBundle, people(4, mallory)),
		"a masking bundle":        bundle(t, key, seal.ContextBundle, masks),
		"a broken people map":     bundle(t, key, seal.ContextBundle, people(6, "people: 7")),
		"not a bundle":            bundle(t, key, seal.ContextBundle, nil)[:20],
		"nothing":                 {},
		"signed without contents": bundle(t, key, seal.ContextBundle, &eventv1.Bundle{}),
	} {
		if err := a.Take(raw); err == nil {
			t.Errorf("%s: taken", name)
		}
		if _, ok := a.Name("oidc:mallory@acme.example"); ok {
			t.Fatalf("%s: a stranger is an auditor", name)
		}
	}
	if _, ok := a.Name("oidc:dana@acme.example"); !ok {
		t.Error("the last good people map did not stay")
	}
}

func generate(t *testing.T) *seal.Key {
	t.Helper()
	k, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return k
}
