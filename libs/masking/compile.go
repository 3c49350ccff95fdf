package masking

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"sort"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/gatestay/gatestay/libs/command"
)

// compiled is a rule that has been checked.
type compiled struct {
	Rule
	column    Column      // of a column rule
	detectors detectorSet // of a detector rule
}

type compiler struct {
	problems []Problem
	seen     map[string]string // rule name -> file:line
	rules    []compiled
}

// Compile reads masking files (path -> YAML). It returns a *ProblemsError that
// lists everything wrong, each with file, line and remedy. The engine has no
// key yet (see WithKey).
func Compile(files map[string][]byte) (*Engine, error) {
	c := &compiler{seen: map[string]string{}}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		c.file(name, files[name])
	}
	if len(c.problems) > 0 {
		return nil, &ProblemsError{Problems: c.problems}
	}
	return &Engine{rules: c.rules, targets: &targets{}}, nil
}

func (c *compiler) bad(file string, line int, remedy, format string, args ...any) {
	c.problems = append(c.problems, Problem{File: file, Line: max(line, 1), Problem: fmt.Sprintf(format, args...), Remedy: remedy})
}

const shape = "write a list under masks:, each with name, column or detectors, and strategy"

func (c *compiler) file(name string, raw []byte) {
	f, err := parser.ParseBytes(raw, 0)
	if err != nil {
		c.yamlError(name, 1, err)
		return
	}
	if len(f.Docs) > 1 && f.Docs[1].Body != nil {
		c.bad(name, lineOf(f.Docs[1].Body), "put all masks of a file under one masks: key", "a second YAML document would be ignored")
		return
	}
	if len(f.Docs) == 0 || f.Docs[0].Body == nil {
		return // an empty file holds no rules
	}
	for _, entry := range mapping(f.Docs[0].Body) {
		if key := entry.Key.String(); key != "masks" {
			c.bad(name, lineOf(entry.Key), "known at the top: masks", "unknown key %q", key)
			continue
		}
		switch list := entry.Value.(type) {
		case *ast.SequenceNode:
			for _, item := range list.Values {
				c.rule(name, item)
			}
		case *ast.NullNode: // `masks:` with nothing below
		default:
			c.bad(name, lineOf(entry.Key), shape, "masks: is no list")
		}
	}
	if mapping(f.Docs[0].Body) == nil {
		c.bad(name, lineOf(f.Docs[0].Body), shape, "the file is no mapping")
	}
}

func (c *compiler) rule(file string, node ast.Node) {
	line := lineOf(node)
	lines, nulls := map[string]int{}, map[string]string{}
	for _, entry := range mapping(node) {
		lines[entry.Key.String()] = lineOf(entry.Key)
		if _, isNull := entry.Value.(*ast.NullNode); isNull {
			nulls[entry.Key.String()] = entry.Value.String()
		}
	}
	at := func(field string) int {
		if l, ok := lines[field]; ok {
			return l
		}
		return line
	}
	var r compiled
	if err := yaml.NodeToValue(node, &r.Rule, yaml.Strict()); err != nil {
		c.yamlError(file, line, err)
		return
	}
	if nulls["strategy"] == "null" { // YAML reads the word as no value
		r.Strategy = Null
	}
	if r.Name == "" {
		c.bad(file, line, "give each mask a name that says what it protects, e.g. name: customer-email", "a mask without a name")
	} else if first, dup := c.seen[r.Name]; dup {
		c.bad(file, at("name"), "rename one of them", "the name %q is taken by %s", r.Name, first)
	}
	c.seen[r.Name] = fmt.Sprintf("%s:%d", file, at("name"))
	if strictness(r.Strategy) < 0 {
		c.bad(file, at("strategy"), "choose one of "+joined(Strategies()), "unknown strategy %q", r.Strategy)
	}
	for _, pattern := range r.Targets {
		if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
			c.bad(file, at("targets"), "write a target's name, or a pattern with * and ?", "target %q is no name and no pattern", pattern)
		}
	}
	if lines["targets"] > 0 && len(r.Targets) == 0 {
		c.bad(file, at("targets"), "name targets, or leave targets: out for all of them", "an empty list of targets")
	}
	c.compare(file, at, &r)
	switch {
	case r.Column != "" && len(r.Detectors) > 0:
		c.bad(file, line, "split it into two masks", "mask %q names both a column and detectors", r.Name)
	case r.Column != "":
		column, err := parseColumn(r.Column)
		if err != nil {
			c.bad(file, at("column"), `write [schema.]table.column, e.g. public.customers.email; quote what is not lower case: public."Customers".email`, "column: %s", err)
		}
		r.column = column
	case len(r.Detectors) > 0:
		c.detectors(file, at, &r)
	default:
		c.bad(file, line, "add column: schema.table.column or detectors: [email, …]", "mask %q says nothing to mask", r.Name)
	}
	c.rules = append(c.rules, r)
}

// compare checks what a mask says about comparisons.
func (c *compiler) compare(file string, at func(string) int, r *compiled) {
	if r.Translate && (r.Column == "" || r.Strategy != Token) {
		c.bad(file, at("translate"), "write it on the mask of a column with strategy: token", "translate: on mask %q, which makes no tokens of a column", r.Name)
	}
	if r.Compare == nil {
		return
	}
	if r.Column == "" || r.Strategy == Clear {
		c.bad(file, at("compare"), "write it on the mask of a column whose values are hidden", "compare: on mask %q, which hides no column", r.Name)
	}
	for _, u := range r.Compare.Allow {
		if !slices.Contains(command.Uses(), u) {
			c.bad(file, at("compare"), "known: "+uses(), "compare.allow: unknown comparison %q", u)
		}
	}
	if n := r.Compare.ValuesPerDay; n != nil && (*n < 1 || *n > maxValuesPerDay) {
		c.bad(file, at("compare"), fmt.Sprintf("choose 1 to %d, or leave equality out of allow:", maxValuesPerDay), "compare.values_per_day: %d", *n)
	}
	switch r.Compare.Otherwise {
	case "", OtherwiseDeny, OtherwiseHold, OtherwiseAllow:
	default:
		c.bad(file, at("compare"), "choose one of deny, hold, allow", "compare.otherwise: unknown %q", r.Compare.Otherwise)
	}
}

func uses() string {
	names := make([]string, 0, len(command.Uses()))
	for _, u := range command.Uses() {
		names = append(names, string(u))
	}
	return strings.Join(names, ", ")
}

func (c *compiler) detectors(file string, at func(string) int, r *compiled) {
	for _, name := range r.Detectors {
		set := detectorsNamed(name)
		if set == 0 {
			c.bad(file, at("detectors"), "known: "+strings.Join(append(DetectorNames(), groupNames()...), ", "), "unknown detector %q", name)
		}
		r.detectors |= set
	}
	if r.Strategy == Clear {
		c.bad(file, at("strategy"), "leave the mask out, or except single columns: column: t.c with strategy: clear",
			"mask %q would clear a detector everywhere", r.Name)
	}
}

// yamlError turns the parser's error into a problem with its own position.
func (c *compiler) yamlError(file string, line int, err error) {
	message := err.Error()
	var positioned yaml.Error
	if errors.As(err, &positioned) {
		message = positioned.GetMessage()
		if t := positioned.GetToken(); t != nil && t.Position != nil {
			line = t.Position.Line
		}
	}
	c.bad(file, line, shape, "%s", strings.TrimSpace(message))
}

func lineOf(n ast.Node) int {
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 1
}

// mapping returns the entries of a mapping node, nil for other nodes.
func mapping(n ast.Node) []*ast.MappingValueNode {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}
	default:
		return nil
	}
}

func joined(all []Strategy) string {
	names := make([]string, len(all))
	for i, s := range all {
		names[i] = string(s)
	}
	slices.Reverse(names)
	return strings.Join(names, ", ")
}
