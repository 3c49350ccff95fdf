package plan

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// The tools whose files are known.
const (
	toolSQL     = "sql"
	toolGoose   = "goose"
	toolMigrate = "golang-migrate"
	toolFlyway  = "flyway"
	toolPrisma  = "prisma"
)

var tools = []string{toolSQL, toolGoose, toolMigrate, toolFlyway, toolPrisma}

const maxRead = 1 << 20 // bytes of all files; the gateway takes no more

// script is one text to be planned, as the gateway's API has it.
type script struct {
	Source string `json:"source"`
	Text   string `json:"text"`
	// Together reports that its tool runs it in one transaction.
	Together bool `json:"together"`
}

// file is a file to be planned.
type file struct {
	path, name string // name as it is shown
	text       string
}

// read returns the scripts of files, folders and - (stdin), in the order in which
// their tool runs them, and the tool. after leaves out versions up to it.
func read(paths []string, stdin io.Reader, tool, after string) ([]script, string, error) {
	if tool != "" && !slices.Contains(tools, tool) {
		return nil, "", fmt.Errorf("plan: tool %q is not known; known are %s", tool, strings.Join(tools, ", "))
	}
	var files []file
	total := 0
	for _, path := range paths {
		list, err := collect(path, stdin)
		if err != nil {
			return nil, "", err
		}
		for _, f := range list {
			if total += len(f.text); total > maxRead {
				return nil, "", errors.New("plan: the files hold more than 1 MiB, more than an approver reads: plan and run them in several parts")
			}
		}
		files = append(files, list...)
	}
	if tool == "" {
		var err error
		if tool, err = detect(files); err != nil {
			return nil, "", err
		}
	}
	files, err := order(files, tool, after)
	if err != nil {
		return nil, "", err
	}
	out := make([]script, 0, len(files))
	for _, f := range files {
		s, err := scriptOf(f, tool)
		if err != nil {
			return nil, "", err
		}
		out = append(out, s)
	}
	if len(out) == 0 {
		return nil, "", fmt.Errorf("plan: there is no migration of %s in %s", tool, strings.Join(paths, ", "))
	}
	return out, tool, nil
}

func collect(path string, stdin io.Reader) ([]file, error) {
	if path == "-" {
		raw, err := io.ReadAll(io.LimitReader(stdin, maxRead+1))
		if err != nil {
			return nil, fmt.Errorf("plan: %w", err)
		}
		return []file{{path: "stdin", name: "stdin", text: string(raw)}}, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	var out []file
	add := func(p, name string) error {
		raw, err := os.ReadFile(p) //nolint:gosec // named by who runs it
		if err != nil {
			return fmt.Errorf("plan: %w", err)
		}
		out = append(out, file{path: p, name: name, text: string(bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf")))})
		return nil
	}
	if !info.IsDir() {
		name := path
		if filepath.IsAbs(path) {
			name = filepath.Base(path)
		}
		err := add(path, filepath.ToSlash(name))
		return out, err
	}
	err = filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.EqualFold(filepath.Ext(p), ".sql") {
			return err
		}
		name, err := filepath.Rel(path, p)
		if err != nil {
			return fmt.Errorf("plan: %w", err)
		}
		return add(p, filepath.ToSlash(name))
	})
	if err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	return out, nil
}

var (
	gooseUp     = regexp.MustCompile(`(?m)^--\s*\+goose\s+Up\s*$`)
	gooseNote   = regexp.MustCompile(`^--\s*\+goose\s+(.*?)\s*$`)
	migrateName = regexp.MustCompile(`^(\d+)_.*\.up\.sql$`)
	flywayName  = regexp.MustCompile(`^V(\d+(?:[._]\d+)*)__.*\.sql$`)
	flywayAgain = regexp.MustCompile(`^R__.*\.sql$`)
	numbered    = regexp.MustCompile(`^(\d+)_.*\.sql$`)
	placeholder = regexp.MustCompile(`\$\{[^}\n]*\}`)
)

// detect tells the tool by what the files are named, and goose's by what they say.
func detect(files []file) (string, error) {
	is := func(f func(file) bool) bool { return slices.ContainsFunc(files, f) }
	base := func(f file) string { return filepath.Base(f.path) }
	var found []string
	if is(func(f file) bool { return gooseUp.MatchString(f.text) }) {
		found = append(found, toolGoose)
	}
	if is(func(f file) bool { return migrateName.MatchString(base(f)) }) {
		found = append(found, toolMigrate)
	}
	if is(func(f file) bool { return flywayName.MatchString(base(f)) || flywayAgain.MatchString(base(f)) }) {
		found = append(found, toolFlyway)
	}
	if is(func(f file) bool { return base(f) == "migration.sql" && filepath.Dir(f.name) != "." }) {
		found = append(found, toolPrisma)
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return "", fmt.Errorf("plan: these may be files of %s; say which with --tool", strings.Join(found, " or of "))
	case len(files) == 1 || !is(func(f file) bool { return f.name != f.path }):
		return toolSQL, nil
	}
	return "", errors.New("plan: whose files these are cannot be told by their names, nor in which order they run; name them one by one with -f, or say --tool")
}

// order leaves the files that the tool runs, in its order.
func order(files []file, tool, after string) ([]file, error) {
	if tool == toolSQL {
		if after != "" {
			return nil, errors.New("plan: --after is for the files of a migration tool")
		}
		return files, nil // as they were named
	}
	type versioned struct {
		file
		version string
		last    bool // runs after the others
	}
	var out []versioned
	for _, f := range files {
		base := filepath.Base(f.path)
		v := versioned{file: f}
		switch tool {
		case toolGoose:
			if m := numbered.FindStringSubmatch(base); m != nil {
				v.version = m[1]
			}
		case toolMigrate:
			if m := migrateName.FindStringSubmatch(base); m != nil {
				v.version = m[1]
			}
		case toolFlyway:
			if m := flywayName.FindStringSubmatch(base); m != nil {
				v.version = m[1]
			} else if flywayAgain.MatchString(base) {
				v.version, v.last = base, true
			}
		case toolPrisma:
			if base == "migration.sql" {
				v.version = filepath.Base(filepath.Dir(f.path))
			}
		}
		if v.version == "" && len(files) == 1 && tool == toolGoose {
			v.version = base
		}
		if v.version != "" && (after == "" || v.last || versions(v.version, after, tool) > 0) {
			out = append(out, v)
		}
	}
	slices.SortStableFunc(out, func(a, b versioned) int {
		if a.last != b.last {
			return map[bool]int{true: 1, false: -1}[a.last]
		}
		if a.last {
			return cmp.Compare(a.version, b.version)
		}
		return versions(a.version, b.version, tool)
	})
	list := make([]file, len(out))
	for i, v := range out {
		if i > 0 && !v.last && versions(v.version, out[i-1].version, tool) == 0 {
			return nil, fmt.Errorf("plan: %s and %s have the same version", out[i-1].name, v.name)
		}
		list[i] = v.file
	}
	return list, nil
}

// versions compares two versions as their tool does: by numbers, Prisma's by
// their text.
func versions(a, b, tool string) int {
	if tool == toolPrisma {
		return cmp.Compare(a, b)
	}
	split := func(s string) []string {
		return strings.FieldsFunc(s, func(r rune) bool { return r == '.' || r == '_' })
	}
	as, bs := split(a), split(b)
	for i := range max(len(as), len(bs)) {
		x, y := "", ""
		if i < len(as) {
			x = strings.TrimLeft(as[i], "0")
		}
		if i < len(bs) {
			y = strings.TrimLeft(bs[i], "0")
		}
		if c := cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y)); c != 0 {
			return c
		}
	}
	return 0
}

// scriptOf returns what the tool sends of a file.
func scriptOf(f file, tool string) (script, error) {
	s := script{Source: f.name, Text: f.text, Together: tool != toolSQL}
	switch tool {
	case toolGoose:
		return gooseScript(f)
	case toolFlyway:
		if found := placeholder.FindString(f.text); found != "" {
			return s, fmt.Errorf("plan: %s: Flyway would put a value in place of %s; plan the text that it runs", f.name, found)
		}
	}
	return s, nil
}

// gooseScript leaves the Up part of a file, and its lines where they are.
func gooseScript(f file) (script, error) {
	s := script{Source: f.name, Together: true}
	up := false
	var b strings.Builder
	for line := range strings.Lines(f.text) {
		note := gooseNote.FindStringSubmatch(strings.TrimRight(line, "\r\n"))
		switch {
		case note == nil && up:
			b.WriteString(line)
			continue
		case note == nil:
		case note[1] == "Up":
			up = true
		case note[1] == "Down":
			up = false
		case note[1] == "NO TRANSACTION":
			s.Together = false
		case note[1] == "ENVSUB ON":
			return s, fmt.Errorf("plan: %s: goose would put values of its environment into this file; plan the text that it runs", f.name)
		}
		b.WriteString("\n")
	}
	s.Text = b.String()
	return s, nil
}
