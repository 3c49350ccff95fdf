package e2e

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The layout of DESIGN.md, and the community files.
var top = regexp.MustCompile(`^(\..+|README\.md|Makefile|go\.work(\.sum)?|docker-compose\.yml|schemas|libs|services|deploy|e2e|LICENSE|CONTRIBUTING\.md|SECURITY\.md|CHANGELOG\.md)$`)

// Names that say nothing about what is inside.
var vague = regexp.MustCompile(`^(utils?|common|models?|pkg|helpers?|misc|shared|base|core|types|lib)$`)

var generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

func TestLayout(t *testing.T) {
	command := exec.Command("git", "ls-files", "-z")
	command.Dir = repository(t)
	out, err := command.Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	seen := map[string]bool{}
	for _, file := range strings.Split(strings.TrimRight(string(out), "\x00"), "\x00") {
		name, _, _ := strings.Cut(file, "/")
		if !seen[name] && !top.MatchString(name) {
			t.Errorf("%s: the top of the repository holds DESIGN.md's layout, dotfiles and community files only", name)
		}
		seen[name] = true
	}
}

func TestPackages(t *testing.T) {
	all := sources(t)
	for _, path := range slices.Sorted(maps.Keys(all)) {
		s := all[path]
		for _, part := range strings.Split(path, "/") {
			if vague.MatchString(part) {
				t.Errorf("%s: %q says nothing about what is inside: name the idea", path, part)
			}
		}
		if s.Doc == "" && slices.ContainsFunc(slices.Concat(s.GoFiles, s.CgoFiles), func(f string) bool { return !strings.HasSuffix(f, ".pb.go") }) {
			t.Errorf("%s: no package comment: say what it is for", path)
		}
	}
}

func TestFiles(t *testing.T) {
	all := sources(t)
	for _, path := range slices.Sorted(maps.Keys(all)) {
		s := all[path]
		tests := s.tests()
		for _, name := range s.files() {
			raw, err := os.ReadFile(filepath.Join(s.Dir, name))
			if err != nil {
				t.Error(err)
				continue
			}
			if generated.Match(raw) {
				continue
			}
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, name, raw, parser.ParseComments)
			if err != nil {
				t.Error(err)
				continue
			}
			check := &fileCheck{
				test: slices.Contains(tests, name), main: strings.Contains(path, "/cmd/") && name == "main.go" && strings.HasPrefix(path, "services/"),
				lines: bytes.Count(raw, []byte("\n")), file: file,
			}
			for position, problem := range check.problems() {
				t.Errorf("%s/%s:%d: %s", path, name, set.Position(position).Line, problem)
			}
		}
	}
}

// fileCheck holds one file against the house's rules.
type fileCheck struct {
	file  *ast.File
	lines int
	test  bool // compiled into tests only
	main  bool // a service's main.go
}

var unfinished = regexp.MustCompile(`\b(TODO|FIXME|XXX|HACK)\b`)

func (c *fileCheck) problems() map[token.Pos]string {
	found := map[token.Pos]string{}
	if c.lines > 500 {
		found[c.file.Package] = "over 500 lines: a file is one concept, split it"
	}
	if c.main && c.lines >= 40 {
		found[c.file.Package] = "a main.go parses, catches signals and runs: under 40 lines"
	}
	for _, group := range c.file.Comments {
		if unfinished.MatchString(group.Text()) {
			found[group.Pos()] = "unfinished work belongs in an issue"
		}
	}
	for _, d := range c.file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
			found[f.Pos()] = "no init: an import has no side effects"
		}
	}
	// In a synctest bubble sleeping is how the fake clock moves.
	bubble := slices.ContainsFunc(c.file.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"testing/synctest"` })
	ast.Inspect(c.file, func(n ast.Node) bool {
		call, ok := n.(*ast.SelectorExpr)
		if !ok || !c.test {
			return true
		}
		x, ok := call.X.(*ast.Ident)
		switch {
		case !ok:
		case x.Name == "time" && call.Sel.Name == "Sleep" && !bubble:
			found[call.Pos()] = "no sleeps in tests: wait for a condition with a deadline"
		case (x.Name == "t" || x.Name == "b") && strings.HasPrefix(call.Sel.Name, "Skip"):
			found[call.Pos()] = "no skipped tests: the set-up installs what is missing"
		}
		return true
	})
	return found
}
