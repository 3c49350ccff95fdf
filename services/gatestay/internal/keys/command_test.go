package keys_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/seal"
	"github.com/gatestay/gatestay/services/gatestay/internal/keys"
)

func TestMakeMakesWhatIsMissingAndChangesNothing(t *testing.T) {
	dir := t.TempDir()
	cfg, err := config.Parse([]byte(`
gateway:
  id: gw1
  key: keys/gateway.pem
  masking_key: keys/masking.key
  postgres: {listen: "127.0.0.1:0", certificate: tls/server.pem, key: tls/server.key}
policy: {key: keys/policy.pem}
`), "gatestay.yaml", dir)
	if err != nil {
		t.Fatal(err)
	}
	made, err := keys.Make(cfg)
	if err != nil || len(made) != 8 {
		t.Fatalf("made %v, %v", made, err)
	}
	before, err := os.ReadFile(filepath.Join(dir, "keys", "policy.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if made, err = keys.Make(cfg); err != nil || len(made) != 0 {
		t.Fatalf("the second time made %v, %v", made, err)
	}
	after, err := os.ReadFile(filepath.Join(dir, "keys", "policy.pem"))
	if err != nil || string(before) != string(after) {
		t.Fatal("a key was changed")
	}
	if _, err := seal.LoadTrust(filepath.Join(dir, "keys", "policy.pem.pub")); err != nil {
		t.Fatal(err)
	}
}
