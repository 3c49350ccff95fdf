package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const project = "github.com/gatestay/gatestay/"

// source is one package as `go list` sees it.
type source struct {
	ImportPath   string
	Dir          string
	Doc          string
	GoFiles      []string
	CgoFiles     []string
	TestGoFiles  []string
	XTestGoFiles []string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// path is the import path below the project: libs/policy.
func (s *source) path() string { return strings.TrimPrefix(s.ImportPath, project) }

// tests are the files that only tests compile.
func (s *source) tests() []string { return slices.Concat(s.TestGoFiles, s.XTestGoFiles) }

func (s *source) files() []string { return slices.Concat(s.GoFiles, s.CgoFiles, s.tests()) }

// repository is the folder with go.work.
func repository(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(dir)
}

// sources lists every package of the workspace, by path.
func sources(t *testing.T) map[string]*source {
	t.Helper()
	var stderr bytes.Buffer
	command := exec.Command("go", "list", "-e", "-json=ImportPath,Dir,Doc,GoFiles,CgoFiles,TestGoFiles,XTestGoFiles,Imports,TestImports,XTestImports", "work")
	command.Dir = repository(t)
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	all := map[string]*source{}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		s := &source{}
		if err := decoder.Decode(s); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		all[s.path()] = s
	}
	if len(all) < 10 {
		t.Fatalf("go list found %d packages only; the rules would hold for lack of a subject", len(all))
	}
	return all
}

// match reports whether a pattern covers a path: exactly, or "a/b/..." for a/b
// and all below it, or "..." for everything.
func match(pattern, path string) bool {
	prefix, wild := strings.CutSuffix(pattern, "...")
	if !wild {
		return pattern == path
	}
	return strings.HasPrefix(path, prefix) || path == strings.TrimSuffix(prefix, "/")
}

func matchAny(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return match(p, path) })
}
