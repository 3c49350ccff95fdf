package e2e

import (
	"debug/elf"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatestay/gatestay/e2e/kit"
)

// The binaries that people get: built as `make build` does, the services
// static, so that an image needs nothing beside them.
func TestReleaseBinariesAreStaticAndExplainThemselves(t *testing.T) {
	root := repository(t)
	build := exec.Command("make", "build")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("make build: %v\n%s", err, out)
	}
	for _, name := range append([]string{"gatestay"}, kit.Services...) {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(root, "build", "bin", name)
			if name != "gatestay" {
				static(t, path)
			}
			help, err := exec.Command(path, "--help").CombinedOutput()
			if err != nil {
				t.Fatalf("--help: %v", err)
			}
			says := []string{name, "Usage:", "Example", "/readyz"}
			if name == "gatestay" {
				says = []string{name, "Usage:", "run", "dev", "policy"}
			}
			for _, want := range says {
				if !strings.Contains(string(help), want) {
					t.Errorf("--help does not say %q:\n%s", want, help)
				}
			}
		})
	}
}

func static(t *testing.T, path string) {
	t.Helper()
	file, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			t.Errorf("%s needs a dynamic loader", path)
		}
	}
}
