package policy

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Pins are the ids to write beside a repository's name.
type Pins struct {
	Repository        string // as rules name it
	RepositoryID      string // GitHub's repository_id, GitLab's project_id
	RepositoryOwnerID string // needed for GitHub; empty: not written
	// Replace writes over ids that differ: the repository was recreated.
	Replace bool
}

// Pinned is one selector that was looked at.
type Pinned struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Rule    string `json:"rule"`
	Changed bool   `json:"changed"` // false: it had these ids already
}

// ErrOtherIDs is returned by Pin for a selector that has other ids already.
var ErrOtherIDs = errors.New("pinned to other ids already")

// Pin writes ids into every rule that names a repository and returns the files
// that changed. Everything else in them, comments and layout too, stays as it is.
func Pin(files map[string][]byte, p Pins) (map[string][]byte, []Pinned, error) {
	changed := map[string][]byte{}
	var all []Pinned
	for _, name := range sortedNames(files) {
		if !IsRuleFile(name) {
			continue
		}
		e := &pinEditor{source: source{file: name}, pins: p}
		next, err := e.edit(files[name])
		if err != nil {
			return nil, nil, err
		}
		all = append(all, e.found...)
		if next != string(files[name]) {
			changed[name] = []byte(next)
		}
	}
	return changed, all, nil
}

// pinEditor finds places in the syntax tree and edits the text there.
type pinEditor struct {
	source
	pins  Pins
	found []Pinned
	edits []edit
}

// edit replaces text[from:to] of one line; a whole line is inserted after it
// where after is set.
type edit struct {
	line     int // from 0
	from, to int
	text     string
	after    bool
}

func (e *pinEditor) edit(raw []byte) (string, error) {
	root := e.root(raw)
	if root == nil {
		return string(raw), e.broken()
	}
	for _, top := range e.entries(root, "a rule file", fileKeys) {
		if top.key != "rules" {
			continue
		}
		for _, n := range e.list(top.value, "rules") {
			e.rule = peekName(n)
			for _, key := range e.entries(n, "a rule", ruleKeys) {
				if key.key == "break_glass" && e.narrowed(key.value) != nil {
					key.key, key.value = "principals", e.narrowed(key.value)
				}
				if key.key != "principals" {
					continue
				}
				for _, sel := range e.list(key.value, "principals") {
					if err := e.selector(sel); err != nil {
						return "", err
					}
				}
			}
		}
	}
	if err := e.broken(); err != nil {
		return "", err
	}
	// From the end, so that earlier places stay right.
	for i := len(e.edits) - 1; i >= 0; i-- {
		e.apply(e.edits[i])
	}
	end := "\n"
	if bytes.Contains(raw, []byte("\r\n")) {
		end = "\r\n"
	}
	return strings.Join(e.lines, end), nil
}

// narrowed returns the principals of a rule's break_glass, nil where it has none.
func (e *pinEditor) narrowed(n ast.Node) ast.Node {
	if m, ok := n.(*ast.MappingNode); ok {
		for _, v := range m.Values {
			if v.Key.String() == "principals" {
				return v.Value
			}
		}
	}
	return nil
}

func (e *pinEditor) broken() error {
	if len(e.problems) == 0 {
		return nil
	}
	return &ProblemsError{Problems: e.problems}
}

func (e *pinEditor) selector(n ast.Node) error {
	m := e.mapping(n, "a principal")
	if m == nil {
		return nil
	}
	have := map[string]*ast.MappingValueNode{}
	for _, v := range m.Values {
		have[v.Key.String()] = v
	}
	repository := have["repository"]
	if repository == nil {
		return nil
	}
	if name, ok := e.scalar(repository.Value, "repository"); !ok || name != e.pins.Repository {
		return nil
	}
	line, _ := place(repository)
	pinned := Pinned{File: e.file, Line: line, Rule: e.rule}
	last := repository
	for _, key := range [][2]string{{"repository_id", e.pins.RepositoryID}, {"repository_owner_id", e.pins.RepositoryOwnerID}} {
		name, want := key[0], key[1]
		there := have[name]
		if want == "" || there == nil {
			if there != nil {
				last = there
			}
			if want != "" {
				e.insert(m, last, fmt.Sprintf("%s: %q", name, want))
				pinned.Changed = true
			}
			continue
		}
		last = there
		got, _ := e.scalar(there.Value, name)
		switch {
		case got == want:
		case !e.pins.Replace:
			return fmt.Errorf("%s:%d: rule %q: %s has %s %q: %w", e.file, line, e.rule, e.pins.Repository, name, got, ErrOtherIDs)
		default:
			e.replace(there.Value, fmt.Sprintf("%q", want))
			pinned.Changed = true
		}
	}
	e.found = append(e.found, pinned)
	return nil
}

// insert adds an entry after another one of the same mapping, in its style.
func (e *pinEditor) insert(m *ast.MappingNode, after *ast.MappingValueNode, text string) {
	line, _, end := e.extent(after.Value)
	if m.IsFlowStyle {
		e.edits = append(e.edits, edit{line: line, from: end, to: end, text: ", " + text})
		return
	}
	_, column := place(after.Key)
	e.edits = append(e.edits, edit{line: line, text: strings.Repeat(" ", column-1) + text, after: true})
}

func (e *pinEditor) replace(n ast.Node, text string) {
	line, from, end := e.extent(n)
	e.edits = append(e.edits, edit{line: line, from: from, to: end, text: text})
}

// extent returns the line (from 0) of a scalar on one line, and where it
// begins and ends there, in bytes.
func (e *pinEditor) extent(n ast.Node) (line, from, end int) {
	line, column := place(n)
	line--
	from = min(byteOffset(e.lines[line], column-1), len(e.lines[line]))
	rest := e.lines[line][from:]
	if rest == "" || rest[0] != '"' && rest[0] != '\'' {
		return line, from, from + len(n.GetToken().Value)
	}
	for i := 1; i < len(rest); i++ {
		switch {
		case rest[i] == '\\' && rest[0] == '"':
			i++
		case rest[i] == rest[0]:
			return line, from, from + i + 1
		}
	}
	return line, from, len(e.lines[line])
}

// byteOffset turns a column in characters into one in bytes.
func byteOffset(line string, column int) int {
	for i := range line {
		if column == 0 {
			return i
		}
		column--
	}
	return len(line)
}

func (e *pinEditor) apply(x edit) {
	if !x.after {
		e.lines[x.line] = e.lines[x.line][:x.from] + x.text + e.lines[x.line][x.to:]
		return
	}
	e.lines = slices.Insert(e.lines, x.line+1, x.text)
}
