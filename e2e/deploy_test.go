package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/masking"
	"github.com/gatestay/gatestay/libs/policy"
)

// What the compose file ships is valid: nobody's first start ends in an error of ours.
func TestComposeConfigurationIsValid(t *testing.T) {
	dir := filepath.Join(repository(t), "deploy", "compose", "config")
	path := filepath.Join(dir, "gatestay.yaml")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := config.Parse(raw, path, dir); err != nil {
		t.Error(err)
	}
	rules, err := config.ReadDir(filepath.Join(dir, "policies"))
	if err != nil {
		t.Fatal(err)
	}
	delete(rules, "shop_test.yaml") // cases, not rules
	if _, err := policy.Compile(rules); err != nil {
		t.Errorf("policies: %v", err)
	}
	masks, err := config.ReadDir(filepath.Join(dir, "masking"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := masking.Compile(masks); err != nil {
		t.Errorf("masking: %v", err)
	}
}
