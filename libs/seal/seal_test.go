package seal_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/gatestay/gatestay/libs/seal"
)

func TestOpen(t *testing.T) {
	key, other := generate(t), generate(t)
	signed := key.Sign(seal.ContextApproval, []byte("payload"))
	tests := []struct {
		name    string
		trust   seal.Trust
		context string
		change  func()
		want    error
	}{
		{name: "the trusted key in its context opens", trust: key.Public(), context: seal.ContextApproval},
		{name: "another context does not", trust: key.Public(), context: seal.ContextBundle, want: seal.ErrSignature},
		{name: "an untrusted key does not", trust: other.Public(), context: seal.ContextApproval, want: seal.ErrSignature},
		{name: "an empty trust set does not", trust: seal.Trust{}, context: seal.ContextApproval, want: seal.ErrSignature},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := tt.trust.Open(tt.context, signed); !errors.Is(err, tt.want) {
				t.Fatalf("Open: %v, want %v", err, tt.want)
			}
		})
	}
	for name, spoil := range map[string]func(){
		"payload":   func() { signed.Payload[0] ^= 1 },
		"signature": func() { signed.Signature[0] ^= 1 },
	} {
		spoil()
		if _, err := key.Public().Open(seal.ContextApproval, signed); !errors.Is(err, seal.ErrSignature) {
			t.Errorf("a changed %s opens: %v", name, err)
		}
		spoil()
	}
}

func TestLoadOrGenerate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys", "policy.key")
	made, err := seal.LoadOrGenerate(path)
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := seal.LoadOrGenerate(path)
	if err != nil {
		t.Fatal(err)
	}
	if made.ID() != loaded.ID() {
		t.Fatalf("loaded key %s, made %s", loaded.ID(), made.ID())
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("private key has mode %v", info.Mode())
	}
	trust, err := seal.LoadTrust(path + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := trust.Open(seal.ContextLease, loaded.Sign(seal.ContextLease, []byte("x"))); err != nil {
		t.Fatal(err)
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
