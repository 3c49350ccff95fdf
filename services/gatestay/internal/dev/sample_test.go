package dev

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gatestay/gatestay/libs/masking"
	"github.com/gatestay/gatestay/libs/policy"
)

// TestSampleFilesArePublished: a fresh folder's rules and masks have no problem.
func TestSampleFilesArePublished(t *testing.T) {
	read := func(folder string) map[string][]byte {
		paths, err := filepath.Glob(filepath.Join("files", folder, "*.yaml"))
		if err != nil || len(paths) == 0 {
			t.Fatal(paths, err)
		}
		files := map[string][]byte{}
		for _, p := range paths {
			if files[filepath.Base(p)], err = os.ReadFile(p); err != nil {
				t.Fatal(err)
			}
		}
		return files
	}
	if _, err := masking.Compile(read("masking")); err != nil {
		t.Error(err)
	}
	if _, err := policy.Compile(read("policies")); err != nil {
		t.Error(err)
	}
}
