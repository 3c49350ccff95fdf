package policy

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// source reads one YAML file by its syntax tree, so that every problem has a
// place, and reading goes on after it.
type source struct {
	file     string
	lines    []string
	rule     string // for problems, while a rule is read
	problems []Problem
}

// root parses the file and returns its one document's mapping, or nil.
func (s *source) root(raw []byte) *ast.MappingNode {
	raw = bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n")) // the parser miscounts lines with both
	s.lines = strings.Split(string(raw), "\n")
	if len(bytes.TrimSpace(raw)) == 0 {
		// It may be half of a save: rules must not vanish by that.
		s.problems = append(s.problems, Problem{File: s.file, What: "the file is empty", Remedy: "delete it, or leave a comment in it"})
		return nil
	}
	file, err := parser.ParseBytes(raw, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		var syntax *yaml.SyntaxError
		p := Problem{File: s.file, What: "not valid YAML: " + err.Error(), Remedy: "check indentation and quotes"}
		if errors.As(err, &syntax) {
			p.What = "not valid YAML: " + syntax.Message
			if syntax.Token != nil && syntax.Token.Position != nil {
				p.Line, p.Column = syntax.Token.Position.Line, syntax.Token.Position.Column
			}
		}
		s.problems = append(s.problems, p)
		return nil
	}
	var bodies []ast.Node
	for _, d := range file.Docs {
		if d.Body != nil && d.Body.Type() != ast.NullType && d.Body.Type() != ast.CommentType {
			bodies = append(bodies, d.Body)
		}
	}
	switch len(bodies) {
	case 0:
		return nil // comments only
	case 1:
		return s.mapping(bodies[0], "the file")
	default:
		s.bad(bodies[1], "several YAML documents in one file", "one document a file: split it at ---")
		return nil
	}
}

func (s *source) bad(n ast.Node, what, remedy string) {
	line, column := place(n)
	s.badAt(line, column, what, remedy)
}

func (s *source) badAt(line, column int, what, remedy string) {
	s.problems = append(s.problems, Problem{File: s.file, Line: line, Column: column, Rule: s.rule, What: what, Remedy: remedy})
}

// place returns where a node begins; a mapping's token is its first colon.
func place(n ast.Node) (line, column int) {
	if n == nil {
		return 0, 0
	}
	switch m := n.(type) {
	case *ast.MappingNode:
		if len(m.Values) > 0 && !m.IsFlowStyle {
			return place(m.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return place(m.Key)
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line, t.Position.Column
	}
	return 0, 0
}

// entry is one key of a mapping with its value.
type entry struct {
	key   string
	at    ast.Node
	value ast.Node
}

func (s *source) mapping(n ast.Node, what string) *ast.MappingNode {
	switch m := n.(type) {
	case *ast.MappingNode:
		return m
	case *ast.MappingValueNode:
		return &ast.MappingNode{BaseNode: m.BaseNode, Start: m.Start, Values: []*ast.MappingValueNode{m}}
	}
	if !s.reused(n) {
		s.bad(n, fmt.Sprintf("%s must be a mapping of keys to values, not %s", what, kind(n)), "write it as key: value")
	}
	return nil
}

// entries returns a mapping's entries; unknown and repeated keys are problems.
func (s *source) entries(n ast.Node, what string, known []string) []entry {
	m := s.mapping(n, what)
	if m == nil {
		return nil
	}
	seen := map[string]bool{}
	var out []entry
	for _, v := range m.Values {
		if v.Key.IsMergeKey() {
			s.bad(v.Key, "YAML merge keys are not supported", "write the keys out: a rule is read by itself")
			continue
		}
		key, ok := s.scalar(v.Key, "a key")
		if !ok {
			continue
		}
		switch {
		case seen[key]:
			s.bad(v.Key, fmt.Sprintf("key %q is written twice in %s", key, what), "keep one of them")
			continue
		case known != nil && !contains(known, key):
			s.bad(v.Key, fmt.Sprintf("unknown key %q in %s", key, what), didYouMean(key, known))
			continue
		}
		seen[key] = true
		out = append(out, entry{key: key, at: v.Key, value: v.Value})
	}
	return out
}

func (s *source) list(n ast.Node, what string) []ast.Node {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		if !s.reused(n) {
			s.bad(n, fmt.Sprintf("%s must be a list, not %s", what, kind(n)), "write it as [a, b], or one \"- item\" a line")
		}
		return nil
	}
	return seq.Values
}

// reused reports anchors and aliases, which are not supported.
func (s *source) reused(n ast.Node) bool {
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode:
		s.bad(n, "YAML anchors and aliases are not supported", "write the value out: a rule is read by itself")
		return true
	}
	return false
}

// scalar returns the text of a plain value, exactly as written.
func (s *source) scalar(n ast.Node, what string) (string, bool) {
	switch v := n.(type) {
	case *ast.StringNode:
		return v.Value, true
	case *ast.LiteralNode:
		return v.Value.Value, true
	case *ast.IntegerNode, *ast.BoolNode, *ast.FloatNode:
		return n.GetToken().Value, true
	}
	if !s.reused(n) {
		s.bad(n, fmt.Sprintf("%s must be a single value, not %s", what, kind(n)), "write one value")
	}
	return "", false
}

// text is scalar for values that must not be empty.
func (s *source) text(n ast.Node, what string) string {
	if f, ok := n.(*ast.FloatNode); ok {
		s.bad(n, fmt.Sprintf("%s is the number %s", what, f.GetToken().Value), "put it in quotes: it is compared as text, exactly as written")
		return ""
	}
	v, ok := s.scalar(n, what)
	if ok && strings.TrimSpace(v) == "" {
		s.bad(n, what+" is empty", "write a value, or leave the key out")
		return ""
	}
	return v
}

// id reads an identifier that is compared exactly as a string. A number
// without quotes is taken where YAML could not have read another one.
func (s *source) id(n ast.Node, what string) string {
	if i, ok := n.(*ast.IntegerNode); ok {
		t := i.GetToken().Value
		if v, err := strconv.ParseUint(t, 10, 64); err != nil || strconv.FormatUint(v, 10) != t {
			s.bad(n, fmt.Sprintf("%s %s is not a plain decimal number", what, t), "put it in quotes: ids are compared exactly as written")
			return ""
		}
		return t
	}
	return s.text(n, what)
}

// texts reads a non-empty list of distinct values.
func (s *source) texts(n ast.Node, what string) []string {
	var out []string
	nodes := s.list(n, what)
	for _, v := range nodes {
		t := s.text(v, "an item of "+what)
		if t == "" {
			continue
		}
		if contains(out, t) {
			s.bad(v, fmt.Sprintf("%q is twice in %s", t, what), "keep one of them")
			continue
		}
		out = append(out, t)
	}
	if _, ok := n.(*ast.SequenceNode); ok && len(nodes) == 0 {
		s.bad(n, what+" is an empty list", "name at least one, or leave the key out")
	}
	return out
}

func (s *source) boolean(n ast.Node, what string) bool {
	b, ok := n.(*ast.BoolNode)
	if !ok {
		s.bad(n, fmt.Sprintf("%s must be true or false, not %s", what, kind(n)), "write true")
		return false
	}
	return b.Value
}

func (s *source) number(n ast.Node, what string, lowest, highest int64) int64 {
	t, ok := s.scalar(n, what)
	if !ok {
		return 0
	}
	v, err := strconv.ParseInt(t, 10, 64)
	if _, integer := n.(*ast.IntegerNode); !integer || err != nil || v < lowest || v > highest {
		s.bad(n, fmt.Sprintf("%s must be a whole number from %d to %d, not %q", what, lowest, highest, t), "write the number without quotes or underscores")
		return 0
	}
	return v
}

func (s *source) duration(n ast.Node, what string, highest time.Duration) time.Duration {
	t, ok := s.scalar(n, what)
	if !ok {
		return 0
	}
	d, err := time.ParseDuration(t)
	if err != nil {
		s.bad(n, fmt.Sprintf("%s is not a duration: %q", what, t), "write it like 90s, 15m or 1h30m")
		return 0
	}
	if d < time.Second || d > highest {
		s.bad(n, fmt.Sprintf("%s of %s is out of range", what, t), fmt.Sprintf("write 1s to %s", Short(highest)))
		return 0
	}
	return d
}

func kind(n ast.Node) string {
	switch n.(type) {
	case nil:
		return "nothing"
	case *ast.NullNode:
		return "nothing"
	case *ast.SequenceNode:
		return "a list"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.StringNode, *ast.LiteralNode:
		return "text"
	case *ast.IntegerNode, *ast.FloatNode:
		return "a number"
	case *ast.BoolNode:
		return "true or false"
	case *ast.AnchorNode, *ast.AliasNode:
		return "an anchor or alias"
	case *ast.TagNode:
		return "a tag"
	default:
		return "another kind of YAML"
	}
}

// Short prints a duration as a policy writes it: 15m, not 15m0s.
func Short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}
